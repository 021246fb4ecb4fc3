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
//	purposes:                     # by their codes: see Purposes
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
//	    beyond_care: false        # planning, research: the National Data Opt-Out applies; see Purposes
//	    opt_out: The list is checked before each extract. # how the opt-out is respected, or the approval under s.251 NHS Act 2006 that
//	                              # stands in its place; needed beyond care where items that tell who somebody is go as they are
//	    prohibited: [marketing, sale]                     # optional
//	    consent:                                          # optional
//	      form: hertswise-consent/1
//	      on_refusal: Nothing goes.
//	      on_withdrawal: What waits is stopped.
//
//	item_sets:                    # optional: a flow may list its items itself
//	  hertswise:
//	    carer:                    # carer, cared_for, child, household, absent_parent, professional or nobody; who is left out stays out
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
//	    delivery: collect         # collect: the recipient hears that something waits; push: the dataset itself is sent;
//	                              # access: it may look, under its contract, and gets no copy, so nothing is ever sent
//	    items: hertswise          # an item set, or one written out here
//	    # The rest of a flow is optional; each key makes it stricter, or says more of the paper.
//	    free_text: reviewed       # whether free-text items may be listed: true, false (when left out), or reviewed: they wait
//	                              # until somebody at the sender has read them
//	    attachments: false        # the same for attachments
//	    frequency: event          # event, daily, weekly, monthly, quarterly, yearly or ad-hoc
//	    when: caring_role.hours_per_week != "0-19" # the clause applies only where this holds: see Conditions
//	    otherwise: Carers of fewer than twenty hours are helped by the information line. # what the caseworker reads where it does not
//	    told: true                # only where the person was told of this sharing (rule 000-7)
//	    objection: 28d            # nothing goes before people have had so long to object, from the day they were told: a number and d or w
//	    compelled: false          # true: only for a demand that compels, and no more than it asks for (rule 001-7)
//	    onward:                   # to whom the recipient may pass on what it gets; to nobody when left out
//	      to: [members]           # groups, and partners of the register
//	      purposes: [referral.service] # when left out: for the purpose of the flow
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
// # Purposes
//
// The codes of domain.md section 2.2: referral.service, carers-assessment, young-carer-assessment, advocacy, navigation, dementia-support,
// home-safety-visit, safeguarding, emergency, contract-monitoring, contract-case, quality-feedback, legal-order, regulator, crime,
// secondary-planning and research; and for what the notices describe besides: magazine, it-support, benefits, housing,
// legal-representation, family, provider-change, safeguarding-board, integrated-dataset and school-support. Marketing and sale are not among
// them. Secondary-planning, research and integrated-dataset are beyond the care of the person unless beyond_care says otherwise.
//
// # Figures
//
// A report of figures about many people is a message type of its own, whose items are about nobody. Its flows say how counts are blurred:
//
//	flows:
//	  - id: report
//	    from: age-uk-hertfordshire
//	    to: hertfordshire-county-council
//	    messages: aggregate/1
//	    purpose: contract-monitoring
//	    delivery: collect
//	    figures: {below: 5, round: 5} # a count under 5 is suppressed, others are rounded to the nearest 5; round is optional
//	    items:
//	      nobody: {allowed: [report.title, report.period, report.measures]}
//
// # Conditions
//
// A condition is an expression of CEL (cel.dev) that comes to true or false. It sees the sections of the message by their names (carer,
// cared_for, which is a list, referral, risks, advocacy, ...), with the types of the contract, and the words purpose, service, sender and
// recipient:
//
//	when: carer.magazine.post                                    # a boolean
//	when: advocacy.type in ["care-act", "imca"]                  # one of several words
//	when: cared_for.exists(p, p.lives_with_carer)                # of somebody in a list
//	when: has(young_carer.social_care_status) && size(young_carer.social_care_status) > 0
//	when: recipient != "pohwer" || purpose == "advocacy"
//
// What a message leaves out makes a condition unknown, unless has() asks first; and where it is unknown the clause does not apply, any more
// than where it is false. Free text, identifiers and what tells one person from another cannot stand in a condition: the disclosure log keeps
// what each condition came to.
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
//	    kind: charity             # council, nhs, fire-and-rescue, charity, advocacy, housing, company, regulator, government, police, court,
//	                              # school, board, individuals (reached through a partner's own staff) or operator
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
//	    # successor: age-uk-hertfordshire # who has taken its work over: from then on nothing goes from it or to it; optional
//	    profile:                  # where this body is stricter than the law; optional
//	      special_on_legal_grounds: true # special-category data never goes out on consent alone (rule 002-3)
//	      parent_below: 18        # below this age a parent's consent is needed beside the child's own
//	      complaints: three-stages # its notice has a procedure for complaints with clocks of its own (rule 001-36)
//	    dspt: {status: standards-met, expires: 2027-06-30} # Data Security and Protection Toolkit: approaching-standards,
//	                              # standards-met or standards-exceeded, and the last day on which that counts; optional
//	    people:                   # who may decide for it on the hub; optional
//	      - {id: dpl-1, office: Data Protection Lead, roles: [dpl]} # caseworker, dpl, safeguarding-lead, caldicott-guardian, practitioner
//	    functions: [Care Act 2014 s.67] # statutory functions conferred on a body that is not a public one: they let it claim Art 6(1)(e)
//
// # Faults
//
// Every fault has a file, a line, a column, a rule, what is wrong and what to do about it, and all of them are reported
// together; only a file that is no YAML at all hides what comes after. The rules are
//
//   - of the form: syntax, one-document, too-long, no-anchors, key, unknown-key, duplicate-key, missing-key, empty-value,
//     empty-list, type, format, vocabulary, file-name;
//   - of names: unknown-partner, not-a-party, unknown-item, item-of-another-role, unknown-item-set, unknown-service,
//     unknown-purpose, undeclared-purpose, unknown-message, ambiguous-name, duplicate-partner, duplicate-system, duplicate-person,
//     duplicate-party, duplicate-service, duplicate-flow, duplicate-version, supersedes, successor, source, county, system-id, webhook-url;
//   - of the law: purpose-prohibited, basis-not-available, lia-missing, statute-missing, apd-missing, article9-missing,
//     schedule1-missing, schedule1-mismatch, offence-missing, compelled, opt-out-missing, processor-contract, retention-missing,
//     end-after-contract, review-after-end, dates;
//   - of what may flow: direction, to-itself, free-text, attachments, no-reviewer, required-wildcard, transform-wildcard, transform, figures,
//     told, onward, otherwise, condition, condition-item, condition-word, condition-cost, unusable, contradiction;
//   - warnings: schedule1-mismatch and schedule1-not-public where public notices make the same mistake, schedule1-idle,
//     basis-b-not-subject-contract, condition-constant, unusable for some of a group, signed-late, ended, review-due, review-overdue,
//     supersedes, unused.
//
// The folder testdata/broken has an agreement for each of them, and faults.txt beside it what is printed.
//
// # Versions
//
// Several versions of an agreement may stand side by side. The index keeps the flows of all of them and judges no dates; a
// decision takes, with Current, the highest version that is past its drafting and has started at its instant, and asks that
// version's Standing. A suspended version is therefore found and named as the reason, and never revives the one before it.
//
// Diff says what would change if one version took the place of another, and Forecast what will by itself.
//
// # Signing
//
// A party agrees to a version by signing its digest with one of its keys: see Terms and VerifySignature. The digest is of the bytes of the file,
// its status line among them, so a version is signed with the status in which it is to run.
//
// # For other readers
//
// Explain writes a page for people to sign, ODRL the agreement for other software, and RecordOf what a partner has to keep on record (Art 30).
package agreement
