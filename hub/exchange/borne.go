package exchange

import (
	"encoding/json"
	"fmt"

	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// What rows say in the words of leaves, for whoever holds one against the other. A leaf says more than its row: who did it through which system,
// perhaps when. SameAs leaves out of a leaf what its row cannot say.

// SameAs is what of a leaf a row must say too.
func SameAs(l *ledger.Leaf) *ledger.Leaf {
	switch l.Kind {
	case ledger.KindConsent:
		return &ledger.Leaf{Kind: l.Kind, Actor: ledger.Actor{Partner: l.Actor.Partner}, Consent: l.Consent}
	case ledger.KindRuling:
		return &ledger.Leaf{Kind: l.Kind, At: l.At, Actor: ledger.Actor{Person: l.Actor.Person, Role: l.Actor.Role}, Transfer: l.Transfer, Ruling: l.Ruling}
	case ledger.KindRequest:
		return &ledger.Leaf{Kind: l.Kind, Sender: l.Sender, Purpose: l.Purpose, Request: l.Request}
	case ledger.KindAgreement, ledger.KindSignature:
		out := &ledger.Leaf{Kind: l.Kind, At: l.At, Actor: ledger.Actor{Partner: l.Actor.Partner, Person: l.Actor.Person}}
		if a := l.Agreement; a != nil {
			out.Agreement = &ledger.Agreement{ID: a.ID, Version: a.Version, Digest: a.Digest}
		}
		return out
	}
	return &ledger.Leaf{Kind: l.Kind}
}

// ConsentLeaf is what a consent event at rest says; commitment is that of its person.
func ConsentLeaf(row *store.Consent, commitment string) (*ledger.Leaf, error) {
	ev, err := consent.Parse(row.Body)
	if err != nil {
		return nil, fmt.Errorf("read consent event %s: %w", row.ID, err)
	}
	ev.ID = row.ID
	return &ledger.Leaf{Kind: ledger.KindConsent, Actor: ledger.Actor{Partner: row.RecordedBy}, Consent: consentIn(&ev, commitment)}, nil
}

// RulingLeaf is what a ruling at rest says.
func RulingLeaf(row *store.Ruling) (*ledger.Leaf, error) {
	var r policy.Ruling
	if err := json.Unmarshal(row.Body, &r); err != nil {
		return nil, fmt.Errorf("read a ruling about %s: %w", row.Transfer, err)
	}
	codes := make([]string, len(r.Codes))
	for i, code := range r.Codes {
		codes[i] = string(code)
	}
	return &ledger.Leaf{
		Kind: ledger.KindRuling, At: row.At, Actor: ledger.Actor{Person: r.Person, Role: r.Role}, Transfer: row.Transfer,
		Ruling: &ledger.Ruling{Act: string(r.Act), Codes: codes, Ground: r.Ground},
	}, nil
}

// RequestLeaf is what a one-off request at rest says.
func RequestLeaf(row *store.Request) (*ledger.Leaf, error) {
	r, err := requestIn(row)
	if err != nil {
		return nil, err
	}
	l := r.leaf(Principal{}, "")
	l.Sender, l.Request.Reference = row.Partner, row.Reference
	return SameAs(l), nil
}

// ActLeaf is what an agreement act at rest says.
func ActLeaf(row *store.AgreementAct) (*ledger.Leaf, error) {
	a, err := actIn(row)
	if err != nil {
		return nil, err
	}
	l := &ledger.Leaf{
		Kind: ledger.KindAgreement, At: a.At, Actor: ledger.Actor{Partner: a.Partner, Person: a.Person},
		Agreement: &ledger.Agreement{ID: row.Agreement, Version: row.Version, Digest: a.Digest},
	}
	if a.Do == sign {
		l.Kind = ledger.KindSignature
	}
	return l, nil
}

// FiledUnder is by what a leaf is found: a transfer, a person, a request, a version of an agreement, a partner.
func FiledUnder(l *ledger.Leaf) transfer.TransferID {
	switch {
	case l.Query != nil && l.Query.Subject != "" && l.Transfer == "":
		return personKey(l.Query.Subject)
	case l.Consent != nil:
		return personKey(l.Consent.Commitment)
	case l.Disclosure != nil && len(l.Subjects) > 0:
		return personKey(l.Subjects[0].Commitment)
	case l.Request != nil:
		return requestKey(l.Request.Reference)
	case l.Case != nil && l.Case.Commitment != "":
		return personKey(l.Case.Commitment)
	case l.Notice != nil && l.Notice.Commitment != "":
		return personKey(l.Notice.Commitment)
	case l.Agreement != nil && (l.Kind == ledger.KindAgreement || l.Kind == ledger.KindSignature):
		return transfer.TransferID(fmt.Sprintf("agreement/%s@%d", l.Agreement.ID, l.Agreement.Version))
	case l.Kind == ledger.KindPartner:
		return transfer.TransferID("partner/" + string(l.Recipient))
	}
	return l.Transfer
}
