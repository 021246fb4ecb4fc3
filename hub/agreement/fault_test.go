package agreement_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"referralhub/hub/agreement"
)

// change is one edit of the agreement or, where a file is given, of that file.
type change struct{ old, new, file string }

// Each story breaks the files in one way and reads what the command line would print.
func TestFaults(t *testing.T) {
	const partners = "herts/partners.yaml"
	for _, test := range []struct {
		story   string
		changes []change
		want    string
	}{
		{
			story: "a key that nobody knows",
			changes: []change{
				{old: "title: Care for carers", new: `title: Care for carers
titel: Care`},
			},
			want: `
care.v1.yaml:4:1: unknown-key: there is no key "titel" here. Did you mean "title"?
`,
		},
		{
			story: "a misspelt key deep inside",
			changes: []change{
				{old: "delivery: push", new: "delivry: push"},
			},
			want: `
care.v1.yaml:59:5: missing-key: delivery is missing. Add it.
care.v1.yaml:64:5: unknown-key: there is no key "delivry" here. Did you mean "delivery"?
`,
		},
		{
			story: "the blocks that matter cannot be left out",
			changes: []change{
				{old: `paper:
  reference: CARE/1
  sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  signed_on: 2025-12-01
`, new: ""},
				{old: `review_by: 2027-06-30
`, new: ""},
				{old: `retention:
  - period: 4y
    trigger: last-input
    disposal: delete
`, new: ""},
				{old: `    basis:
      article6: a
      article9: a
      confidentiality: explicit-consent
`, new: ""},
			},
			want: `
care.v1.yaml:1:1: missing-key: paper is missing. Add it.
care.v1.yaml:1:1: missing-key: retention is missing. Add it.
care.v1.yaml:1:1: missing-key: review_by is missing. Add it.
care.v1.yaml:22:5: missing-key: basis is missing. Add it.
`,
		},
		{
			story: "an empty list is no list",
			changes: []change{
				{old: `retention:
  - period: 4y
    trigger: last-input
    disposal: delete
`, new: `retention: []
`},
			},
			want: `
care.v1.yaml:1:1: empty-list: retention is empty. Say how long recipients keep what they receive.
`,
		},
		{
			story: "the same key twice",
			changes: []change{
				{old: "lead: red-house", new: `lead: red-house
lead: green-house`},
			},
			want: `
care.v1.yaml:7:1: duplicate-key: lead is already given at line 6. Keep one of the two.
`,
		},
		{
			story: "nothing after the colon",
			changes: []change{
				{old: "lead: red-house", new: "lead:"},
			},
			want: `
care.v1.yaml:6:6: empty-value: nothing is written here. Write a value, or leave the key out.
`,
		},
		{
			story: "a number, a date and a word that are none",
			changes: []change{
				{old: "version: 1", new: "version: one"},
				{old: "starts: 2026-01-01", new: "starts: 1 January 2026"},
				{old: "status: active", new: "status: activ"},
			},
			want: `
care.v1.yaml:2:10: type: "one" is not a whole number from 1. Write a whole number from 1.
care.v1.yaml:5:9: vocabulary: "activ" is not a status. Did you mean "active"?
care.v1.yaml:11:9: type: "1 January 2026" is not a date such as 2026-01-01. Write a date such as 2026-01-01.
`,
		},
		{
			story: "a list where one value belongs",
			changes: []change{
				{old: "title: Care for carers", new: "title: [Care, carers]"},
			},
			want: `
care.v1.yaml:3:8: type: this should be one value and is a list or a mapping. Write a single value.
`,
		},
		{
			story: "one value where a mapping belongs",
			changes: []change{
				{old: `contract:
  reference: Carers contract 2026
  ends: 2028-12-31`, new: "contract: Carers contract 2026"},
			},
			want: `
care.v1.yaml:14:11: type: this should be a mapping. Write it as keys and values.
`,
		},
		{
			story: "anchors hide what is signed",
			changes: []change{
				{old: "title: Care for carers", new: "title: &t Care for carers"},
				{old: "reference: CARE/1", new: "reference: *t"},
			},
			want: `
care.v1.yaml:3:8: no-anchors: anchors, aliases and tags have no place here. Write it out: people sign what they can read.
care.v1.yaml:8:14: no-anchors: anchors, aliases and tags have no place here. Write it out: people sign what they can read.
`,
		},
		{
			story: "no YAML at all",
			changes: []change{
				{old: "groups:", new: `groups: [
`},
			},
			want: `
care.v1.yaml:26:1: syntax: ',' or ']' must be specified. Make it well-formed YAML; everything after this place is unread.
`,
		},
		{
			story: "two documents in one file",
			changes: []change{
				{old: "groups:", new: `---
groups:`},
			},
			want: `
care.v1.yaml:1:1: one-document: the file holds 2 documents. Write one YAML document in a file.
`,
		},
		{
			story: "a file under another name",
			changes: []change{
				{old: "version: 1", new: "version: 2"},
			},
			want: `
care.v1.yaml:1:12: file-name: the file of this version is called care.v2.yaml. Rename the file, or correct the agreement and version.
`,
		},
		{
			story: "a file in another county",
			changes: []change{
				{old: "county: herts", new: "county: kent"},
			},
			want: `
care.v1.yaml:4:9: county: the file stands in the folder of herts. Move the file, or correct the county.
`,
		},
		{
			story: "a digest and a period that are not well formed",
			changes: []change{
				{old: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", new: "9F86"},
				{old: "period: 4y", new: "period: four years"},
			},
			want: `
care.v1.yaml:9:11: format: "9F86" is not well formed. Write the SHA-256 of the signed document: 64 lower-case hexadecimal digits.
care.v1.yaml:69:13: format: "four years" is not well formed. Write a number and y, m, w or d: "4y".
`,
		},
		{
			story: "a rule of another notice",
			changes: []change{
				{old: "starts:", new: `source:
  - {notice: "000", rules: [001-3]}
starts:`},
			},
			want: `
care.v1.yaml:12:29: source: 001-3 is not a rule of notice 000. Write the notice's number, a hyphen and the rule's: "000-4".
`,
		},
		{
			story: "an item that the contract lacks",
			changes: []change{
				{old: "[carer.name.family, carer.phones]", new: "[carer.name.family, carer.phone]"},
			},
			want: `
care.v1.yaml:67:38: unknown-item: referral/1 has no item "carer.phone". Did you mean "carer.phones"?
`,
		},
		{
			story: "an item about somebody else",
			changes: []change{
				{old: "allowed: [cared_for.relation]", new: "allowed: [cared_for.relation, children.name]"},
			},
			want: `
care.v1.yaml:49:37: item-of-another-role: children.name is about the child. List it under child.
`,
		},
		{
			story: "wildcards that reach nothing",
			changes: []change{
				{old: "carer.name.*, carer.condition, carer.phones]", new: "carer.name.*, carer.condition, carer.cond*, carer.*.family, children.*]"},
			},
			want: `
care.v1.yaml:46:48: unknown-item: "carer.cond*" matches no ordinary item about the carer in referral/1. Write a path, a dot and a star, as in "carer.name.*"; special-category, offence and free-text items must be named.
care.v1.yaml:46:61: unknown-item: referral/1 has no item "carer.*.family". Did you mean "carer.name.family"?
care.v1.yaml:46:77: unknown-item: "children.*" matches no ordinary item about the carer in referral/1. Write a path, a dot and a star, as in "carer.name.*"; special-category, offence and free-text items must be named.
`,
		},
		{
			story: "a wildcard is no requirement",
			changes: []change{
				{old: "required: [carer.name.family]", new: "required: [carer.name.*]"},
			},
			want: `
care.v1.yaml:45:18: required-wildcard: a wildcard cannot be required. Name each item.
`,
		},
		{
			story: "a partner nobody registered",
			changes: []change{
				{old: "partners: [red-house, green-house]", new: "partners: [red-house, gren-house]"},
			},
			want: `
care.v1.yaml:24:27: unknown-partner: "gren-house" is not on the register. Did you mean "green-house"?
`,
		},
		{
			story: "a partner that has not signed",
			changes: []change{
				{old: `  - {partner: green-house, role: controller, direction: both}
`, new: ""},
			},
			want: `
care.v1.yaml:23:27: not-a-party: green-house is not a party to this agreement. List it under parties.
care.v1.yaml:59:23: not-a-party: green-house is not a party to this agreement. List it under parties.
`,
		},
		{
			story: "a group with the name of a partner",
			changes: []change{
				{old: "  houses:", new: "  red-house:"},
				{old: "from: houses", new: "from: red-house"},
				{old: "to: houses", new: "to: green-house"},
			},
			want: `
care.v1.yaml:22:3: ambiguous-name: red-house is also a partner. Give the group another name.
`,
		},
		{
			story: "a service that nobody delivers",
			changes: []change{
				{old: "service: care", new: "service: car"},
			},
			want: `
care.v1.yaml:56:14: unknown-service: nobody in this agreement delivers "car". Write delivers: car in the group of those who deliver it.
`,
		},
		{
			story: "a purpose that the agreement does not declare",
			changes: []change{
				{old: "purpose: carers-assessment", new: "purpose: advocacy"},
			},
			want: `
care.v1.yaml:34:3: warning: unused: no flow uses the purpose carers-assessment. Use it, or take it out.
care.v1.yaml:63:14: undeclared-purpose: "advocacy" is not a purpose of this agreement. Declare it under purposes.
`,
		},
		{
			story: "a purpose that nobody knows",
			changes: []change{
				{old: `  carers-assessment:
`, new: `  carer-assessment:
`},
				{old: "purpose: carers-assessment", new: "purpose: carer-assessment"},
			},
			want: `
care.v1.yaml:34:3: unknown-purpose: "carer-assessment" is not a purpose. Did you mean "carers-assessment"?
`,
		},
		{
			story: "an unknown message type and item set",
			changes: []change{
				{old: `messages: referral/1
    purpose: carers`, new: `messages: referral/9
    purpose: carers`},
				{old: `items: care
`, new: `items: cares
`},
			},
			want: `
care.v1.yaml:43:3: warning: unused: no flow uses the item set care. Use it, or take it out.
care.v1.yaml:58:12: unknown-item-set: there is no item set "cares". Did you mean "care"?
care.v1.yaml:62:15: unknown-message: there is no message type "referral/9". Write the name and version of a contract, such as "referral/1".
`,
		},
		{
			story: "two clauses of one name",
			changes: []change{
				{old: "id: assess", new: "id: refer"},
			},
			want: `
care.v1.yaml:59:9: duplicate-flow: refer is already a flow at line 51. Give it an id of its own.
`,
		},
		{
			story: "a party twice",
			changes: []change{
				{old: "{partner: green-house,", new: "{partner: red-house,"},
			},
			want: `
care.v1.yaml:19:15: duplicate-party: red-house is a party twice. Keep one of the two.
care.v1.yaml:24:27: not-a-party: green-house is not a party to this agreement. List it under parties.
care.v1.yaml:60:23: not-a-party: green-house is not a party to this agreement. List it under parties.
`,
		},
		{
			story: "marketing is never a purpose",
			changes: []change{
				{old: `  carers-assessment:
`, new: `  marketing:
`},
				{old: "purpose: carers-assessment", new: "purpose: marketing"},
			},
			want: `
care.v1.yaml:34:3: purpose-prohibited: marketing is never a reason to share (gate G2). Take it out: no agreement can cover it.
`,
		},
		{
			story: "special-category data without a condition",
			changes: []change{
				{old: `      article9: a
`, new: ""},
			},
			want: `
care.v1.yaml:57:12: article9-missing: special-category items flow without a condition of Art 9(2): carer.condition. Declare article9: for the purpose, or take the items out.
`,
		},
		{
			story: "a condition without its paragraph",
			changes: []change{
				{old: "article9: a", new: "article9: h"},
			},
			want: `
care.v1.yaml:31:17: schedule1-missing: Art 9(2)(h) needs a condition of DPA 2018 Schedule 1 Part 1 (s.10). Write schedule1: and a paragraph from 1 to 4.
`,
		},
		{
			story: "a condition with a paragraph of the wrong part",
			changes: []change{
				{old: "article9: a", new: `article9: g
      schedule1: para 2`},
			},
			want: `
care.v1.yaml:32:18: schedule1-mismatch: Art 9(2)(g) pairs with DPA 2018 Schedule 1 Part 2, and para 2 is not in it (s.10). Name a paragraph from 6 to 28.
`,
		},
		{
			story: "the mistake that public notices make is a warning",
			changes: []change{
				{old: "article9: a", new: `article9: j
      schedule1: para 6
      apd: APD-1`},
			},
			want: `
care.v1.yaml:32:18: warning: schedule1-mismatch: Art 9(2)(j) pairs with Part 1, and para 6 is in Part 2; special-category items will not go. Name a paragraph from 1 to 4.
`,
		},
		{
			story: "a paragraph that nothing needs",
			changes: []change{
				{old: "article9: a", new: `article9: a
      schedule1: para 2`},
			},
			want: `
care.v1.yaml:32:18: warning: schedule1-idle: no condition claimed here needs para 2. Leave it out, or declare the condition that it belongs to.
`,
		},
		{
			story: "a paragraph that does not exist",
			changes: []change{
				{old: "article9: a", new: `article9: h
      schedule1: paragraph two`},
			},
			want: `
care.v1.yaml:32:18: format: "paragraph two" is not a condition of DPA 2018 Schedule 1. Write it as "para 18" or "para 18(1)(a)".
`,
		},
		{
			story: "a paragraph that needs a policy document",
			changes: []change{
				{old: "article9: a", new: `article9: g
      schedule1: para 18(1)(a)`},
			},
			want: `
care.v1.yaml:30:17: apd-missing: a Schedule 1 condition claimed here needs an appropriate policy document. Write apd: and its reference.
`,
		},
		{
			story: "offence data without a condition",
			changes: []change{
				{old: "[carer.name.family, carer.phones]", new: "[carer.name.family, carer.offences]"},
			},
			want: `
care.v1.yaml:66:7: offence-missing: criminal-offence items flow without a condition (Art 10): carer.offences. Declare offence: and a paragraph of Schedule 1 for the purpose, or take the items out.
`,
		},
		{
			story: "legitimate interests that nobody weighed",
			changes: []change{
				{old: `      lia: LIA-1
`, new: ""},
			},
			want: `
care.v1.yaml:38:17: lia-missing: Art 6(1)(f) needs a legitimate interests assessment. Write lia: and its reference.
`,
		},
		{
			story: "a public task that no law gives",
			changes: []change{
				{old: "{article6: e, statute: Care Act 2014 s.10}", new: "{article6: e}"},
			},
			want: `
care.v1.yaml:41:35: statute-missing: Art 6(1)(e) needs a law behind it (Art 6(3)). Write statute: and the Act and section.
`,
		},
		{
			story: "a council claims legitimate interests",
			changes: []change{
				{old: `      per_party:
        shire-council: {article6: e, statute: Care Act 2014 s.10}
`, new: ""},
			},
			want: `
care.v1.yaml:38:17: basis-not-available: shire-council is a council and cannot claim Art 6(1)(f). Public bodies rely on (e) for their tasks: declare it for shire-council under per_party.
`,
		},
		{
			story: "a charity claims a public task",
			changes: []change{
				{old: `article6: f
      lia: LIA-1`, new: `article6: e
      statute: Care Act 2014 s.10`},
			},
			want: `
care.v1.yaml:38:17: basis-not-available: green-house is a charity and cannot claim Art 6(1)(e). Only public bodies have public tasks: declare another basis for green-house under per_party.
care.v1.yaml:38:17: basis-not-available: red-house is a charity and cannot claim Art 6(1)(e). Only public bodies have public tasks: declare another basis for red-house under per_party.
`,
		},
		{
			story: "a contract with the funder is none with the person",
			changes: []change{
				{old: `  carers-assessment:
`, new: `  contract-case:
`},
				{old: "purpose: carers-assessment", new: "purpose: contract-case"},
				{old: `article6: f
      lia: LIA-1`, new: "article6: b"},
			},
			want: `
care.v1.yaml:38:17: warning: basis-b-not-subject-contract: Art 6(1)(b) is about a contract with the data subject, not with a funder. Declare another basis.
`,
		},
		{
			story: "sharing goes on after the contract",
			changes: []change{
				{old: `  ends: 2028-12-31
parties`, new: `  ends: 2028-06-30
parties`},
			},
			want: `
care.v1.yaml:12:7: end-after-contract: sharing that a contract calls for ends with the contract (rule 003-2). End it with the contract at the latest.
`,
		},
		{
			story: "sharing under a contract has an end",
			changes: []change{
				{old: `ends: 2028-12-31
review_by`, new: "review_by"},
			},
			want: `
care.v1.yaml:15:9: end-after-contract: sharing that a contract calls for ends with the contract (rule 003-2). End it with the contract at the latest.
`,
		},
		{
			story: "a review after the end",
			changes: []change{
				{old: "review_by: 2027-06-30", new: "review_by: 2029-01-01"},
			},
			want: `
care.v1.yaml:13:12: review-after-end: the review comes after the end. Review it while it still runs.
`,
		},
		{
			story: "it ends before it starts",
			changes: []change{
				{old: "starts: 2026-01-01", new: "starts: 2029-01-01"},
			},
			want: `
care.v1.yaml:12:7: dates: the agreement ends before it starts. Correct one of them.
care.v1.yaml:13:12: dates: the review comes before the start. Correct one of them.
`,
		},
		{
			story: "signed after it started",
			changes: []change{
				{old: "signed_on: 2025-12-01", new: "signed_on: 2026-02-01"},
			},
			want: `
care.v1.yaml:10:14: warning: signed-late: it was signed after it started. Correct the date, or ask the parties.
`,
		},
		{
			story: "the review is near",
			changes: []change{
				{old: "review_by: 2027-06-30", new: "review_by: 2027-02-01"},
			},
			want: `
care.v1.yaml:13:12: warning: review-due: the review is due within 3 months. Plan the review.
`,
		},
		{
			story: "the review is overdue",
			changes: []change{
				{old: "review_by: 2027-06-30", new: "review_by: 2026-11-20"},
			},
			want: `
care.v1.yaml:13:12: warning: review-overdue: the review is overdue. Review it, and write a new version with a later date.
`,
		},
		{
			story: "over, and still called active",
			changes: []change{
				{old: `ends: 2028-12-31
review_by: 2027-06-30`, new: `ends: 2026-11-20
review_by: 2026-06-30`},
			},
			want: `
care.v1.yaml:12:7: warning: ended: the agreement is over and still called active. Write a new version, or set its status to expired.
`,
		},
		{
			story: "a party that only receives cannot send",
			changes: []change{
				{old: `from: [red-house, green-house]
    to: shire-council`, new: `from: shire-council
    to: red-house`},
			},
			want: `
care.v1.yaml:60:11: direction: shire-council only receives and does not disclose. Correct the flow, or the party's direction.
`,
		},
		{
			story: "nobody discloses to itself",
			changes: []change{
				{old: "to: shire-council", new: "to: red-house"},
				{old: "from: [red-house, green-house]", new: "from: red-house"},
			},
			want: `
care.v1.yaml:61:9: to-itself: red-house cannot disclose to itself. Name somebody else.
`,
		},
		{
			story: "a condition that nobody would evaluate",
			changes: []change{
				{old: "service: care", new: `service: care
    when: carer.age >= 18`},
			},
			want: `
care.v1.yaml:57:11: when-unsupported: conditions are not evaluated yet, and a flow whose condition is ignored would carry too much. Leave when: out, and split the flow if it must not apply always.
`,
		},
		{
			story: "attachments",
			changes: []change{
				{old: "service: care", new: `service: care
    attachments: true`},
			},
			want: `
care.v1.yaml:57:18: attachments-unsupported: no message type carries attachments. Leave it out.
`,
		},
		{
			story: "free text that the clause does not allow",
			changes: []change{
				{old: "carer.name.*, carer.condition", new: "carer.name.*, carer.name.story, carer.condition"},
			},
			want: `
care.v1.yaml:46:31: free-text: carer.name.story is free text, where anything may be written, and flow care@1#refer does not allow it. Write free_text: true in the flow, or take the item out.
`,
		},
		{
			story: "a transform that does not fit",
			changes: []change{
				{old: "{carer.born: year}", new: "{carer.born: pseudonym, carer.phones: month, carer.name.*: year}"},
			},
			want: `
care.v1.yaml:47:33: transform: carer.born is not an identifier. Pseudonymise identifiers, or leave the item out.
care.v1.yaml:47:58: vocabulary: "month" is not a transform. It is one of year, outward-postcode, pseudonym.
care.v1.yaml:47:65: transform-wildcard: a wildcard cannot be transformed. Name each item.
`,
		},
		{
			story: "an item set about nobody",
			changes: []change{
				{old: `      carer:
        allowed: [carer.name.family, carer.phones]
`, new: `      {}
`},
			},
			want: `
care.v1.yaml:66:7: empty-list: no item is listed. Say what may go.
`,
		},
		{
			story: "declared and never used",
			changes: []change{
				{old: "groups:", new: `groups:
  others: {partners: [red-house]}`},
				{old: "item_sets:", new: `item_sets:
  spare: {carer: {allowed: [carer.phones]}}`},
			},
			want: `
care.v1.yaml:22:3: warning: unused: no flow uses the group others. Use it, or take it out.
care.v1.yaml:44:3: warning: unused: no flow uses the item set spare. Use it, or take it out.
`,
		},
		{
			story: "one mistake in a set that two flows use",
			changes: []change{
				{old: "to: shire-council", new: "to: shire-council"},
				{old: `carer.condition, carer.phones]
`, new: `carer.phone]
`},
				{old: `    items:
      carer:
        allowed: [carer.name.family, carer.phones]
`, new: `    items: care
`},
			},
			want: `
care.v1.yaml:46:31: unknown-item: referral/1 has no item "carer.phone". Did you mean "carer.phones"?
`,
		},
		{
			story: "two partners of one name",
			changes: []change{
				{"id: green-house", "id: red-house", partners},
			},
			want: `
care.v1.yaml:19:15: unknown-partner: "green-house" is not on the register. Did you mean "red-house"?
care.v1.yaml:24:27: unknown-partner: "green-house" is not on the register. Did you mean "red-house"?
care.v1.yaml:60:23: unknown-partner: "green-house" is not on the register. Did you mean "red-house"?
partners.yaml:12:9: duplicate-partner: red-house is on the register twice. Keep one of the two.
`,
		},
		{
			story: "a partner without a Data Protection Lead",
			changes: []change{
				{`    dpl: {name: Data Protection Officer, email: dpo@shire.example}
`, "", partners},
			},
			want: `
partners.yaml:19:5: missing-key: dpl is missing. Add it.
`,
		},
		{
			story: "numbers that no registrar gave",
			changes: []change{
				{"ico: Z1234567", `ico: 1234567
    charity: abc
    company: "12"
    ods: x`, partners},
			},
			want: `
partners.yaml:5:10: format: "1234567" is not well formed. An ICO registration looks like "Z1234567" or "ZA123456".
partners.yaml:6:14: format: "abc" is not well formed. A charity number has six to eight digits.
partners.yaml:7:14: format: "12" is not well formed. A company number has eight digits, or two capitals and six digits.
partners.yaml:8:10: format: "x" is not well formed. An ODS code has three to six capitals and digits.
`,
		},
		{
			story: "a signature that anybody could make",
			changes: []change{
				{"algorithms: [ES256]", "algorithms: [HS256, none]", partners},
			},
			want: `
partners.yaml:10:22: vocabulary: "HS256" is not a signature algorithm. Did you mean "ES256"?
partners.yaml:10:29: vocabulary: "none" is not a signature algorithm. It is one of EdDSA, ES256, ES384, PS256, PS384, PS512, RS256, RS384, RS512.
`,
		},
		{
			story: "a scope that does not exist, for somebody else's system",
			changes: []change{
				{"red-house/casework", "blue-house/casework", partners},
				{"[referrals:send]", "[referral:send]", partners},
			},
			want: `
partners.yaml:9:13: system-id: "blue-house/casework" is not the name of a system of red-house. Write the partner, a slash and a name: "red-house/casework".
partners.yaml:11:18: vocabulary: "referral:send" is not a scope. Did you mean "referrals:send"?
`,
		},
		{
			story: "a webhook without encryption",
			changes: []change{
				{"https://green", "http://green", partners},
			},
			want: `
partners.yaml:18:39: webhook-url: notices cannot go to this url. Write an https address without a password in it.
`,
		},
		{
			story: "a partner of no known kind, in no country",
			changes: []change{
				{"kind: council", "kind: counsel", partners},
				{`location: GB
    delivery`, `location: England
    delivery`, partners},
			},
			want: `
partners.yaml:17:15: format: "England" is not well formed. Write an ISO 3166 country code, such as "GB".
partners.yaml:21:11: vocabulary: "counsel" is not a kind of partner. Did you mean "council"?
`,
		},
	} {
		t.Run(test.story, func(t *testing.T) {
			m := files(t)
			for _, c := range test.changes {
				if c.file == "" {
					c.file = careFile
				}
				edit(t, m, c.file, c.old, c.new)
			}
			x, faults, err := agreement.LoadWith(m, today, referral)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimSpace(test.want), strings.Join(lines(faults), "\n")); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			broken := slices.ContainsFunc(faults, func(f agreement.Fault) bool { return !f.Warning })
			if broken == (x != nil) {
				t.Errorf("broken %v, and an index %v", broken, x != nil)
			}
		})
	}
}
