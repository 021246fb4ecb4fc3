package rights

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"referralhub/hub/agreement"
	"referralhub/hub/dates"
	"referralhub/hub/exchange"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Placed is the state of a legal hold that is in force.
const Placed State = "placed"

// legalHold keeps what the log can say about a person, a transfer, what a partner did or what an agreement carried, whatever erasure and retention
// say (domain.md section 10.4). It keeps no payload: those are their senders' to keep. Somebody with authority places it, looks at it
// again by a day, and lifts it.
var legalHold = procedure{
	person:  perhaps,
	grounds: []string{"litigation", "inquiry", "police", "information-commissioner", "audit", "complaint"},
	reads:   readsHeld,
	opened:  place,
	clock: func(k *Case, _ *dates.Calendar) []Deadline {
		scope, err := readHeld(k.Scope)
		if err != nil || scope.Review.IsZero() {
			return nil
		}
		review := scope.Review
		if again, looked := k.took("reviewed"); looked && again.On.AddMonths(holdReview).After(review) {
			review = again.On.AddMonths(holdReview)
		}
		return []Deadline{{What: "look whether it is still needed", By: review.String(), Source: "Art 5(1)(e) UK GDPR", Met: k.State.Over()}}
	},
	steps: map[string]rule{
		"reviewed": {from: []State{Placed}},
		"lifted":   {from: []State{Placed}, to: Closed, grounds: []string{"over", "not-needed", "placed-in-error"}},
	},
}

// holdReview is after how many months a hold is looked at again.
const holdReview = 6

// Held is what a legal hold without a person is on. All empty is everything, which only the operator may hold.
type Held struct {
	Partner   transfer.PartnerID   `json:"partner,omitempty"`   // what it sent or received
	Agreement transfer.AgreementID `json:"agreement,omitempty"` // what went under it
	Transfer  transfer.TransferID  `json:"transfer,omitempty"`
	Review    dates.Date           `json:"review,omitzero"` // by when somebody looks again; six months from its placing, when left out
}

func readHeld(scope json.RawMessage) (h Held, err error) {
	if len(scope) > 0 {
		err = json.Unmarshal(scope, &h)
	}
	return h, err
}

func place(w *work) error {
	h, err := readHeld(w.k.Scope)
	if err != nil {
		return invalid("/scope", "format", "this is no scope of a legal hold", "name a partner, an agreement or a transfer, or give identifiers of a person")
	}
	switch {
	case len(w.k.Grounds) == 0:
		return invalid("/grounds", "required", "a legal hold says what for", "name one or more of: "+words(w.rights.procedures[LegalHold].grounds))
	case w.who == "" && h == (Held{Review: h.Review}) && !w.operator():
		return invalid("/scope", "required", "only the operator holds everything; and a person has to be one that you have dealt with",
			"name an agreement, a transfer or yourself, or give identifiers of a person")
	case h.Partner != "" && h.Partner != w.k.Partner && !w.operator():
		return invalid("/scope/partner", "not-yours", "a partner holds what it sent or received itself", "name yourself, or ask the hub's operator")
	case h.Agreement != "" && !w.operator() && !w.party(h.Agreement):
		return invalid("/scope/agreement", "not-yours", "you are no party to an agreement of this name", "take the name from GET /v1/agreements")
	case h.Transfer != "" && !w.partyTo(h.Transfer):
		return invalid("/scope/transfer", "unknown", "no transfer of yours has this id", "take it from an answer of the hub")
	}
	if h.Review.IsZero() {
		h.Review = w.on.AddMonths(holdReview)
	}
	if w.k.Scope, err = json.Marshal(h); err != nil {
		return fmt.Errorf("encode the scope of a legal hold: %w", err)
	}
	w.k.State = Placed
	return nil
}

// party reports whether the case's partner is a party to a version of an agreement.
func (w *work) party(id transfer.AgreementID) bool {
	for _, a := range w.Index().Agreements() {
		if a.ID == id && slices.ContainsFunc(a.Parties, func(p agreement.Party) bool { return p.Partner == w.k.Partner }) {
			return true
		}
	}
	return false
}

// partyTo reports whether the case's partner sent or received a transfer; to the operator every one is known.
func (w *work) partyTo(id transfer.TransferID) bool {
	t := w.Transfer(id)
	return t != nil && (w.operator() || t.Sender == w.k.Partner || t.Recipient == w.k.Partner)
}

// readsHeld asks for the transfer that a hold is to be on.
func readsHeld(o *Opening, r *exchange.Reads) {
	if h, err := readHeld(o.Scope); err == nil && h.Transfer != "" {
		r.Transfer(h.Transfer)
	}
}

// holdsOn are the legal holds in force that keep what the log says of a person.
func (r *Rights) holdsOn(ctx context.Context, who transfer.SubjectID, history []exchange.Entry) ([]store.Case, error) {
	rows, err := r.allCases(ctx, store.CaseQuery{Type: string(LegalHold), State: string(Placed)})
	if err != nil {
		return nil, err
	}
	var out []store.Case
	for i := range rows {
		k, err := read(&rows[i])
		if err != nil {
			return nil, err
		}
		h, err := readHeld(k.Scope)
		if err != nil {
			return nil, fmt.Errorf("read the scope of %s: %w", k.Reference, err)
		}
		if who != "" && rows[i].Subject == who || rows[i].Subject == "" && h.covers(history) {
			out = append(out, rows[i])
		}
	}
	return out, nil
}

// covers reports whether a hold that is on nobody in particular is on a history.
func (h Held) covers(history []exchange.Entry) bool {
	if h.Partner == "" && h.Agreement == "" && h.Transfer == "" {
		return true
	}
	return slices.ContainsFunc(history, func(e exchange.Entry) bool {
		l := e.Leaf
		return (h.Partner == "" || l.Sender == h.Partner || l.Recipient == h.Partner) && (h.Transfer == "" || l.Transfer == h.Transfer) &&
			(h.Agreement == "" || l.Agreement != nil && l.Agreement.ID == h.Agreement)
	})
}
