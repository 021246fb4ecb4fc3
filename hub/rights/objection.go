package rights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// objection is Art 21: what waits stops at once, and whoever has the data shows compelling grounds or stops for good. Against marketing an objection
// is absolute. An objection that is overridden stays on record: a person then rules on each transfer that it holds.
var objection = procedure{
	person:  whoeverIs,
	grounds: []string{"public-task", "legitimate-interests", "recognised-interests", "marketing", "research"},
	clock:   month("Art 21"),
	opened:  object,
	steps: telling(nil, map[string]rule{
		identityConfirmed: {from: []State{Identity}, to: Open, effect: func(w *work) error { return w.record(consent.Objected, w.k.Items) }},
		"upheld":          {from: []State{Open}, to: Telling, takes: "items", effect: uphold},
		"overridden":      {from: []State{Open}, to: Refused, grounds: []string{"compelling-grounds", "legal-claims"}, effect: override},
	}),
}

// object records the objection when it comes in: nothing goes while it is looked at (Art 21(1)).
func object(w *work) error {
	over, err := w.reach()
	if err != nil {
		return invalid("/scope", "unexpected", "an objection reaches a purpose, a service or a recipient", "name purpose, service or recipient, or leave the scope out for everything")
	}
	if slices.Contains(w.k.Grounds, "marketing") && over.Purpose == "" {
		return invalid("/scope/purpose", "required", "who objects to marketing does not object to being helped", "name the purpose that it is for, such as magazine")
	}
	if w.k.State == Identity {
		return nil // whoever calls in somebody's name could stop their help for good: it counts once they have shown who they are
	}
	return w.record(consent.Objected, w.k.Items)
}

// reach is how far what a person said goes; what is empty means any.
type reach struct {
	Consent    string               `json:"consent"` // of a withdrawal: the event
	Purpose    transfer.Purpose     `json:"purpose"`
	Service    transfer.Service     `json:"service"`
	Recipient  transfer.PartnerID   `json:"recipient"`
	Recipients []transfer.PartnerID `json:"recipients"`
	Categories []string             `json:"categories"`
}

func (r *reach) recipients() []transfer.PartnerID {
	if r.Recipient != "" {
		return []transfer.PartnerID{r.Recipient}
	}
	return r.Recipients
}

// covers reports whether a decision or a disclosure is within it.
func (r *reach) covers(l *ledger.Leaf) bool {
	return (r.Purpose == "" || r.Purpose == l.Purpose) && (r.Service == "" || r.Service == l.Service) &&
		(len(r.recipients()) == 0 || slices.Contains(r.recipients(), l.Recipient))
}

// reach reads how far an objection or a withdrawal goes; every other case is about all that its items cover.
func (w *work) reach() (*reach, error) {
	var out reach
	if w.k.Type != Objection && w.k.Type != Withdrawal || len(w.k.Scope) == 0 {
		return &out, nil
	}
	d := json.NewDecoder(bytes.NewReader(w.k.Scope))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("read the scope of case %s: %w", w.k.Reference, err)
	}
	return &out, nil
}

func uphold(w *work) error {
	over, err := w.reach()
	if err != nil {
		return err
	}
	of := w.disclosures(w.items(), over.covers)
	w.tell("objection", of, w.month())
	w.count("recipients", len(w.told)+len(w.k.Tasks))
	return nil
}

func override(w *work) error {
	if slices.Contains(w.k.Grounds, "marketing") {
		return w.refuse("an objection to marketing is absolute (Art 21(3)): it cannot be overridden")
	}
	return nil
}
