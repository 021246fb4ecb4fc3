package report_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/transfer"
	sharingagreements "referralhub/sharing-agreements"
)

// The people of these stories are commitments, as in any log: a carer, and the man whom she cares for.
var (
	carer = strings.Repeat("3fa9c1d2", 8)
	caree = strings.Repeat("b07e55aa", 8)
)

const (
	origin  = "hub.example/log/1"
	charity = transfer.PartnerID("carers-in-hertfordshire")
	ageUK   = transfer.PartnerID("age-uk-hertfordshire")
	council = transfer.PartnerID("hertfordshire-county-council")
	fire    = transfer.PartnerID("hertfordshire-fire-and-rescue")

	referred = transfer.TransferID("0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e01")
	warned   = transfer.TransferID("0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e02")
	asked    = transfer.TransferID("0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e03")
	figures  = transfer.TransferID("0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e04")

	digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

var start = time.Date(2026, 11, 2, 9, 30, 0, 123000, time.UTC)

// index holds the agreements of both counties as they are.
var index = sync.OnceValue(func() *agreement.Index {
	x, _, err := agreement.Load(sharingagreements.Files, start)
	if err != nil {
		panic(err)
	}
	return x
})

var (
	casework = ledger.Actor{Partner: charity, System: "carers-in-hertfordshire/casework"}
	lead     = ledger.Actor{Partner: charity, System: "carers-in-hertfordshire/dpl", Person: "dpl-1", Role: transfer.DataProtection}
	inbox    = ledger.Actor{Partner: ageUK, System: "age-uk-hertfordshire/casework"}
	operator = ledger.Actor{Partner: "hub-operator", System: "hub-operator/hub"}
)

func hertswise() *ledger.Agreement {
	return &ledger.Agreement{ID: "hertswise", Version: 1, Digest: digest, Flow: "hertswise@1#refer"}
}

// history is three weeks of a log, a leaf of every kind among it.
func history() []report.Entry {
	refer := ledger.Leaf{Transfer: referred, Sender: charity, Recipient: ageUK, Type: "referral/1", Purpose: "referral.service", Service: "hertswise"}
	goes := []ledger.Subject{
		{
			Role: transfer.Carer, Commitment: carer, Facts: []string{"adult"}, Consents: []string{"0199b3c0-0000-7000-8000-000000000001"},
			Items:    []string{"carer.name.given", "carer.name.family", "carer.date_of_birth", "carer.phones", "carer.condition", "caring_role.hours_per_week"},
			Stripped: []string{"carer.ethnicity", "risks.domestic_abuse"},
		},
		{
			Role: transfer.CaredFor, Commitment: caree, Items: []string{"cared_for.relationship_to_carer", "cared_for.condition"},
			Stripped: []string{"cared_for.name.family"},
		},
	}
	reasons := []ledger.Reason{
		{Code: "ITEM_NOT_LISTED", Gate: "G5", Detail: "the agreement does not list carer.ethnicity", Role: transfer.Carer, Items: []string{"carer.ethnicity"}},
		{Code: "THIRD_PARTY_SUBJECT_NO_BASIS", Gate: "G6", Detail: "nobody has asked the person cared for", Role: transfer.CaredFor},
	}
	decided := func(l ledger.Leaf, o transfer.Outcome, s transfer.State, a *ledger.Agreement) *ledger.Leaf {
		l.Kind, l.Actor, l.Outcome, l.State, l.Agreement, l.Subjects, l.Reasons = ledger.KindDecision, casework, o, s, a, goes, reasons
		return &l
	}
	released := func(before *ledger.Leaf, by ledger.Actor) *ledger.Leaf {
		l := before.Release("hmac-sha256:" + strings.Repeat("c0de", 16))
		l.Actor = by
		return l
	}
	became := func(l ledger.Leaf, s transfer.State, receipt string) *ledger.Leaf {
		l.Kind, l.Actor, l.State, l.Receipt = ledger.KindOutcome, inbox, s, receipt
		return &l
	}

	first := decided(refer, transfer.PermitReduced, "", hertswise())
	first.Obligations = []ledger.Obligation{
		{Code: "do-not-inform", Who: "recipient"}, {Code: "notify-dpl", Who: "sender", By: start.AddDate(0, 1, 0)},
	}
	warn := refer
	warn.Transfer, warn.Recipient, warn.Purpose, warn.Service = warned, council, "safeguarding", ""
	urgent := decided(warn, transfer.PermitException, "", &ledger.Agreement{ID: "safeguarding", Version: 1, Digest: digest, Flow: "safeguarding@1#concern"})
	urgent.Exception = &ledger.Exception{Kind: "safeguarding", Limb: "c", Person: "safeguarding-1", At: "2026-11-04T10:00:00Z", Record: "CIH/2026/77"}
	urgent.Expires = start.Add(72 * time.Hour)
	held := decided(warn, transfer.Hold, transfer.Held, nil)
	held.Owner = "safeguarding-lead"

	counts := refer
	counts.Transfer, counts.Recipient, counts.Type, counts.Purpose = figures, council, "aggregate/1", "contract-monitoring"
	many := decided(counts, transfer.Permit, "", &ledger.Agreement{ID: "funder-returns", Version: 1, Digest: digest, Flow: "funder-returns@1#return"})
	many.Subjects = []ledger.Subject{{Role: transfer.Nobody, Items: []string{"report.title", "report.period", "report.measures"}}}
	many.Reasons = nil

	leaves := []*ledger.Leaf{
		{Kind: ledger.KindConsent, Actor: casework, Consent: &ledger.Consent{
			ID: "0199b3c0-0000-7000-8000-000000000001", Commitment: carer, State: "given", Purpose: "referral.service", Service: "hertswise",
			Explicit: true, Method: "form", Categories: []string{"all"}, At: start.Add(-time.Hour),
		}},
		decided(refer, transfer.PermitReduced, transfer.Queued, hertswise()),
		first, released(first, inbox),
		became(refer, transfer.Received, "received"),
		first, released(first, inbox), // collected again
		held,
		{
			Kind: ledger.KindRuling, Actor: ledger.Actor{Partner: charity, System: casework.System, Person: "safeguarding-1", Role: transfer.SafeguardingLead},
			Transfer: warned, Sender: charity, Recipient: council, State: transfer.Queued, Ruling: &ledger.Ruling{Act: "release", Codes: []string{"CONSENT_NONE"}, Ground: "child-at-risk"},
		},
		urgent, released(urgent, operator),
		{
			Kind: ledger.KindDisclosure, Actor: lead, Sender: charity, Purpose: "emergency", Exception: &ledger.Exception{Kind: "danger-to-life", Person: "caseworker-1"},
			Subjects:   []ledger.Subject{{Role: transfer.Carer, Commitment: carer, Items: []string{"carer.name.family", "carer.addresses.postcode", "carer.medication"}}},
			Disclosure: &ledger.Disclosure{Office: "duty desk, East of England Ambulance Service", How: "telephone", Basis: ledger.Basis{Article6: "d", Article9: "c"}, Person: "caseworker-1", Made: start.Add(-26 * time.Hour)},
		},
		{
			Kind: ledger.KindRelease, Actor: casework, Transfer: asked, Sender: council, Recipient: charity, Type: "referral/1", Purpose: "carers-assessment",
			Outcome: transfer.Permit, State: transfer.Released, Payload: "hmac-sha256:" + strings.Repeat("ab", 32), Agreement: &ledger.Agreement{ID: "no-longer-known", Version: 3, Digest: digest, Flow: "no-longer-known@3#ask"},
			Subjects: []ledger.Subject{{Role: transfer.Carer, Commitment: carer, Items: []string{"carer.name.family", "referral.carers_assessment_done"}}},
		},
		many, released(many, operator),
		{Kind: ledger.KindRequest, Actor: lead, Sender: charity, Purpose: "crime", Request: &ledger.Request{Reference: "request-1", Organisation: "=HYPERLINK(\"https://thief.example\";\"names\")", Office: "Detective Sergeant", Decision: "refused", Reasons: []string{"DEMAND_NOT_COMPELLING"}, Items: []string{"carer.phones"}}},
		{Kind: ledger.KindAgreement, Actor: operator, Agreement: hertswise(), Note: "activated"},
		{Kind: ledger.KindSignature, Actor: lead, Agreement: hertswise(), Signature: &ledger.Signature{Party: charity, JWS: "e30.e30.c2ln"}},
		{Kind: ledger.KindPartner, Actor: operator, Note: "suspended"},
		{Kind: ledger.KindQuery, Actor: lead, Query: &ledger.Query{Kind: "person", Subject: carer, Why: "subject access request of 3 November", Found: 12, Filter: "purpose=referral.service", Form: "csv"}},
		{Kind: ledger.KindQuery, Actor: inbox, Query: &ledger.Query{Kind: "person", Why: "nobody of that number", Found: 0}},
		{Kind: ledger.KindQuery, Actor: inbox, Transfer: warned, Query: &ledger.Query{Kind: "transfer", Why: "just looking", Refused: "not-yours"}},
		{Kind: ledger.KindCase, Actor: lead, Sender: charity, Case: &ledger.Case{
			Reference: "case-0199b3c0-0000-7000-8000-00000000000a", Type: "access", Step: "opened", Commitment: carer, On: "2026-11-03", Due: "2026-12-03", Channel: "telephone",
			Counts: []ledger.Count{{What: "disclosures", N: 3}}, Kept: []ledger.Kept{{What: "leaves", Ground: "art17(3)(b)"}},
		}},
		{Kind: ledger.KindNotice, Actor: lead, Sender: charity, Recipient: ageUK, Notice: &ledger.Notice{
			ID: "notice-1", Case: "case-0199b3c0-0000-7000-8000-00000000000a", Act: "rectify", Commitment: carer, Transfers: []transfer.TransferID{referred},
			Items: []string{"carer.phones"}, Effective: start, Respond: "2026-12-03",
		}},
		{Kind: ledger.KindOutcome, Actor: operator, Transfer: warned, Sender: charity, Recipient: council, State: transfer.Released, Receipt: "timeout", Fault: "receiver", Attempt: 1},
	}
	now := map[transfer.TransferID]transfer.State{referred: transfer.Accepted, warned: transfer.Released, asked: transfer.Completed, figures: transfer.Received}
	entries := make([]report.Entry, len(leaves))
	for i, l := range leaves {
		c := *l
		c.At = start.Add(time.Duration(i) * 13 * time.Hour)
		if i > 0 && c.Kind == ledger.KindRelease && leaves[i-1].ForRelease() {
			c.At = entries[i-1].Leaf.At // one commit
		}
		entries[i] = report.Entry{Origin: origin, Index: int64(4700 + i), Leaf: &c, State: now[c.Transfer]}
	}
	return entries
}

// of gives the entries about one person, as a search for them does.
func of(commitment string) []report.Entry {
	var found []report.Entry
	for _, e := range history() {
		l := e.Leaf
		mine := l.Consent != nil && l.Consent.Commitment == commitment || l.Case != nil && l.Case.Commitment == commitment ||
			l.Notice != nil && l.Notice.Commitment == commitment || l.Query != nil && l.Query.Subject == commitment
		for _, s := range l.Subjects {
			mine = mine || s.Commitment == commitment
		}
		if e.About = commitment; mine {
			found = append(found, e)
		}
	}
	return found
}

func head(to transfer.PartnerID) *report.Head {
	return &report.Head{
		Index: index(), For: to, Question: []report.Line{{Name: "Person", Value: "one person, asked for by number"}, {Name: "Purpose", Value: "any"}},
		By: lead, Why: "subject access request of 3 November", At: start.AddDate(0, 0, 20), Query: report.Place{Origin: origin, Index: 4725},
		Checkpoint: "hub.example/log/1\n4726\nKOgJaPCqWCeRgldc+xL3RzdJeMj+qSwNrRl6X6pEq5o=\n\n— hub.example/log/1 LiQ0m5HACGu3Aauk0nayFu5cmzIW97S3E2rGVDHX3rQWMKiRMkcxlDWTAJFIwKPAcGjn92FgyWTA1KXjXrNpu1XvuAs=\n",
	}
}

// written is a report in a form.
func written(t *testing.T, f report.Form, h *report.Head, entries []report.Entry) string {
	t.Helper()
	var out strings.Builder
	if _, err := f.Write(&out, h, report.Each(entries)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
