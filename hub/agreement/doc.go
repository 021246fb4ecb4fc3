// Package agreement parses, validates, compiles and explains declared data-sharing agreements, and finds the flows that a
// transfer could go under. It is pure: it reads the file system it is given, has no clock, and changes nothing.
//
// An agreement is a signed paper. Its file transcribes the paper so that the hub can obey it, and each version of an
// agreement is one file that is not edited after it was signed, save for its status: a change is a new version beside the
// old one. Decisions name the version and the digest of its bytes.
//
// # Files
//
// Every county has a folder, every version a file:
//
//	hertfordshire/partners.yaml
//	hertfordshire/agreements/hertswise.v1.yaml
//	hertfordshire/agreements/hertswise.v2.yaml
//
// Files are YAML 1.2, one document each, without anchors, aliases and tags: people sign what they can read. A key that is not
// known is a fault, never ignored. A list of one word may stand without brackets. Dates are civil dates in London: an
// agreement runs from the first moment of starts to the last moment of ends.
//
// # An agreement
//
//	agreement: hertswise          # its name; the file is called <agreement>.v<version>.yaml
//	version: 2
//	title: Hertswise community dementia service
//	county: hertfordshire         # the folder it stands in
//	status: active                # draft, signed, active, suspended, under-review, expired or terminated; only active carries
//	lead: age-uk-hertfordshire    # a party: answers for the agreement, hears about its review
//	supersedes: hertswise@1       # optional
//
//	paper:                        # what was signed
//	  reference: HW/DSA/2026/2
//	  sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	  signed_on: 2026-03-01
//	source:                       # rules of public notices that it rests on; optional
//	  - {notice: "000", rules: [000-3, 000-4]}
//
//	starts: 2026-04-01
//	ends: 2028-12-31              # optional; not after the contract's
//	review_by: 2027-06-30         # not after ends
//	contract:                     # optional: sharing that a service contract calls for ends with it (rule 003-2)
//	  reference: Hertswise service contract 2026-2028
//	  ends: 2028-12-31
//
//	parties:
//	  - partner: age-uk-hertfordshire  # of the register
//	    role: controller               # controller, joint-controller or processor
//	    direction: both                # discloses, receives or both
//	    signatory: chief executive     # an office, never a name; optional
//	    contact: {office: Data Protection Lead, email: dpl@age-uk-hertfordshire.example, phone: 01632 960002} # optional
//	  - {partner: hils, role: controller, direction: both}
//	  - {partner: hertfordshire-county-council, role: controller, direction: receives}
//
//	groups:                       # names for several parties; optional
//	  members:
//	    delivers: hertswise       # the service that they deliver together; optional
//	    partners: [age-uk-hertfordshire, hils]
//
//	purposes:                     # by the codes of domain.md section 2.2
//	  referral.service:
//	    aim: To let the member who can help support the carer.
//	    necessity: The member has to reach the carer and to know what caring asks of them.
//	    benefits: Nobody tells their story twice. # optional
//	    basis:
//	      article6: a             # a, b, c, d, e, ea or f of Art 6(1) UK GDPR
//	      article9: a             # of Art 9(2); needed when special-category items flow
//	      schedule1: para 18(1)(a) # of DPA 2018; (b), (h), (i), (j) need Part 1 and (g) Part 2; elsewhere leave it out
//	      offence: para 36        # Schedule 1 condition; needed when criminal-offence items flow
//	      apd: APD-7              # appropriate policy document; needed by most paragraphs
//	      lia: LIA-3              # legitimate interests assessment; needed by (f)
//	      confidentiality: explicit-consent # or implied-consent, statute, public-interest
//	      statute: Care Act 2014 s.10 # the law behind (c) and (e)
//	      per_party:              # who relies on something else says all of it again; the sender's basis governs a flow
//	        hertfordshire-county-council: {article6: e, article9: h, schedule1: para 2, statute: Care Act 2014 s.10}
//	    prohibited: [marketing, sale]                     # optional
//	    consent:                                          # optional
//	      form: hertswise-consent/1
//	      on_refusal: Nothing goes.
//	      on_withdrawal: What waits is stopped.
//
//	item_sets:                    # optional: a flow may list its items itself
//	  hertswise:
//	    carer:                    # carer, cared_for, child, household, absent_parent, professional; who is left out stays out
//	      required: [carer.name.family]       # a transfer without them is held
//	      allowed: [carer.name.*, carer.phones, carer.condition]
//	      transformed:                        # sent as less than it says: year, outward-postcode or pseudonym
//	        carer.date_of_birth: year
//
//	flows:
//	  - id: refer                 # the clause is hertswise@2#refer
//	    from: members             # groups and parties
//	    to: [members, hertfordshire-county-council]
//	    messages: referral/1      # one message type or several; the items have to be in each
//	    purpose: referral.service
//	    service: hertswise        # optional: only for this service
//	    delivery: collect         # collect: the recipient hears that something waits; push: the dataset itself is sent
//	    items: hertswise          # an item set, or one written out here
//	    free_text: false          # whether free-text items may be listed; false when left out
//	    frequency: event          # event, daily, weekly, monthly, quarterly, yearly or ad-hoc; optional
//	    attachments: false        # reserved: no message type carries any, and true is refused
//	    # when: a condition       # reserved: conditions are not evaluated yet, so one that is given is refused
//
//	retention:
//	  - items: hertswise          # an item set; left out: everything
//	    period: 4y                # a number and y, m, w or d
//	    trigger: last-input       # receipt, last-input, last-entry, case-closed, service-end, contract-end, agreement-end, ...
//	    disposal: delete          # delete, return or anonymise
//
//	# The rest is optional: what people promise one another and read.
//	transparency:
//	  - {party: hils, url: "https://hils.example/privacy", version: 2026-02}
//	accuracy: {responsible: age-uk-hertfordshire, corrections: Whoever corrects an item tells every party that has it.}
//	security: {transfer: through the hub only, encryption: TLS 1.3, access: named accounts, storage: United Kingdom}
//	rights: {pass_on: 2wd, contact: {office: Data Protection Lead, email: dpl@age-uk-hertfordshire.example}}
//	complaints: {route: To the organisation that the person knows., contact: {office: Complaints}}
//	breach: {notify_within: 24h, reports_to_ico: age-uk-hertfordshire, contact: {office: Data Protection Lead}}
//	governance: {review_every: 1y, termination: Three months' notice., audit: Yearly., training: Yearly.}
//
// # Items
//
// Names are those of the contract. A wildcard stands at the end of a path, as in carer.name.*, and reaches ordinary items
// only: special-category data, criminal-offence data and free text have to be named one by one, so that an item added to a
// contract later is not covered by a paper that was signed before. Directives ("safe to contact?") go along with the person
// they are about without being listed.
//
// # The register
//
//	partners:
//	  - id: hils
//	    name: Hertfordshire Independent Living Services # as on the agreement
//	    kind: charity             # council, nhs, fire-and-rescue, charity, advocacy, housing, company, regulator or operator
//	    ods: 8AB12                # ods, charity and company: the numbers that it has
//	    charity: "1234567"
//	    company: "01234567"
//	    ico: ZA123456
//	    dpl: {name: Data Protection Lead, email: dpl@hils.example, phone: 01632 960003}
//	    location: GB              # where it processes data
//	    safeguard: UK IDTA of 2026-02-01 # for a location outside the United Kingdom; optional
//	    suspended: DSPT lapsed on 2026-06-30 # a reason suspends the partner; optional
//	    systems:
//	      - id: hils/casework
//	        algorithms: [ES256, EdDSA] # of its signatures: never none, never an HMAC
//	        scopes: [referrals:send, inbox:read]
//	    delivery: {adapter: webhook, url: "https://hils.example/hub"} # left out: a mailbox
//
// # Faults
//
// Every fault has a file, a line, a column, a rule, what is wrong and what to do about it, and all of them are reported
// together; only a file that is no YAML at all hides what comes after. The rules are
//
//   - of the form: syntax, one-document, too-long, no-anchors, key, unknown-key, duplicate-key, missing-key, empty-value,
//     empty-list, type, format, vocabulary, file-name;
//   - of names: unknown-partner, not-a-party, unknown-item, item-of-another-role, unknown-item-set, unknown-service,
//     unknown-purpose, undeclared-purpose, unknown-message, ambiguous-name, duplicate-partner, duplicate-system, duplicate-party,
//     duplicate-service, duplicate-flow, duplicate-version, supersedes, source, county, system-id, webhook-url;
//   - of the law: purpose-prohibited, basis-not-available, lia-missing, statute-missing, apd-missing, article9-missing,
//     schedule1-missing, schedule1-mismatch, offence-missing, end-after-contract, review-after-end, dates;
//   - of what may flow: direction, to-itself, free-text, required-wildcard, transform-wildcard, transform, when-unsupported,
//     attachments-unsupported;
//   - warnings: schedule1-mismatch where public notices make the same mistake ((b) and (j) with Part 2), schedule1-idle,
//     basis-b-not-subject-contract, signed-late, ended, review-due, review-overdue, supersedes, unused.
//
// # Versions
//
// Several versions of an agreement may stand side by side. The index keeps the flows of all of them and judges no dates; a
// decision takes, with Current, the highest version that is past its drafting and has started at its instant, and asks that
// version's Standing. A suspended version is therefore found and named as the reason, and never revives the one before it.
package agreement
