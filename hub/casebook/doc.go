// Package casebook plays the cases that stand beside the agreements: what is sent, what people have said, and what should come of it. They
// are how the people who sign an agreement see that the hub reads it as they do. It is pure: it reads the file system it is given and has
// no clock.
//
// Book.Play puts a case to policy.Decide; hub/server's tests put the same cases to a running hub, and `hub agreement test` is the command
// line of it. All of them compare through Expect.Differences, so that a case means one thing.
//
// # Files
//
// Every county keeps its cases in files of any number of cases, named after what they try:
//
//	hertfordshire/cases/hertswise.cases.yaml
//
// Files are YAML 1.2 without anchors, aliases and tags. A key that is not known is a fault, never ignored.
//
//	cases:
//	  - case: A consent that does not name health leaves health behind # unique in its file
//	    covers: [hertswise@1#refer]       # the clauses that it is a case of; the decision has to be made under one of them, if under any
//	    scenario: A2                      # of domain.md section 4.7; optional
//	    at: 2026-11-20T10:00:00Z          # when the message is submitted
//	    from: carers-in-hertfordshire     # partners, by their ids of the register
//	    to: age-uk-hertfordshire          # the message's only recipient
//	    message:
//	      like: adult-carer-hertswise     # an example of contracts/examples without its ending; left out: all of it stands in with
//	      with:                           # changes of it, a merge patch (RFC 7396): null takes a member away, a list is replaced whole
//	        carer: {email: null, gender: not-known}
//	        household: null
//	      set: {/cared_for/0/lives_with_carer: false, /cared_for/0/addresses: null} # by JSON pointer, where one entry of a list is meant
//	    register:                         # optional: merge patches on entries of partners.yaml
//	      age-uk-hertfordshire: {location: GB}
//	    agreements: {hertswise@1: active} # optional: the status of versions
//	    consents:                         # what was recorded before, in order; the fields of consent/1
//	      - by: carers-in-hertfordshire   # who recorded it
//	        of: carer                     # whose it is, by the place in the message: carer, cared_for[1] (from 0)
//	        state: given
//	        purpose: referral.service
//	        service: hertswise
//	        recipients: [age-uk-hertfordshire]
//	        categories: [identity, contact, mental-health] # left out: every ordinary kind; [all]: every kind, also the special ones
//	        explicit: true                # false when left out
//	        method: paper                 # verbal when left out
//	        authority: self               # self when left out
//	        notice: carers-2026-04
//	        at: 2026-11-19T09:00:00Z      # the day before the message when left out, one after the other
//	    expect:                           # what is left out is not compared
//	      outcome: permit-reduced         # permit, permit-reduced, permit-exception, hold or refuse
//	      items:                          # what goes, by person
//	        carer: {has: [carer.name.family, carer.mental_health], not: [carer.condition]}
//	        cared_for: {all: [cared_for.relationship_to_carer, cared_for.lives_with_carer, cared_for.condition]} # these and no others
//	      stripped: {carer: [carer.condition, carer.health_notes]} # are among what stays behind
//	      reasons: [ITEM_NOT_LISTED, CONSENT_NOT_EXPLICIT, CONSENT_SCOPE, THIRD_PARTY_SUBJECT_NO_BASIS] # these codes and no others
//	      reasons_include: [CONSENT_SCOPE] # or: these among others. A hold or a refusal has to say one of the two
//	      obligations: [log]              # are among those that come with the permit
//	      dataset:                        # what the recipient gets: what a transform made of an item, how a list closed up
//	        has: [/carer/name/family]
//	        equals: {/carer/name/given: Maureen Bríd, /cared_for/0/condition: [dementia, frailty]}
//	    then:                             # what happens before the recipient collects, and what is decided then; optional
//	      - at: 2026-11-20T11:00:00Z      # a minute after the step before when left out
//	        consent: {by: age-uk-hertfordshire, of: carer, state: withdrawn, purpose: referral.service}
//	        expect: {outcome: refuse, owner: dpl, reasons: [CONSENT_WITHDRAWN]} # owner: whose work a hold or a refusal is
//
// Besides a consent a step may have register and agreements, which change from then on, or a ruling by one of the sender's people:
//
//	then:
//	  - ruling: {by: dpl-1, act: release, codes: [CONSENT_REFUSED], ground: vital-interests} # as: dpl, for somebody with several roles
//	    expect: {outcome: permit-reduced}
//	  - agreements: {hertswise@1: suspended}
//	    expect: {outcome: refuse, reasons: [AGREEMENT_SUSPENDED]}
//
// A case of something that is passed on (onward_of) names the case of its file by which the sender received it:
//
//	passes_on: A carer who agrees to all of it, health by name, is referred whole
//
// # Messages
//
// An example is taken without the consents that came with it: what people have said stands in the case, under consents, or in the message
// under with. It is sent at the instant of the case; its undertaking is given then too. Somebody to whom the message gives no number can
// have no consent recorded, and only the message itself can carry one.
//
// # What has to have a case
//
// Of every version that counts, or is still to come: each clause a case in which something goes under it; a clause that gives access and no
// copy a case in which a copy is refused; the agreement a case that is held or refused. A case that fails covers nothing.
//
// # Faults
//
// A file is read strictly and all its faults are reported together, in the form of hub/agreement: syntax, one-document, file-name,
// no-anchors, unknown-key, duplicate-key, missing-key, type, duplicate-case, vocabulary, message, consent, person, no-number, role, pointer,
// unknown-partner, -clause, -agreement, -example, -item, -person, -case; and of what has no case: clause-without-case, agreement-without-no.
package casebook
