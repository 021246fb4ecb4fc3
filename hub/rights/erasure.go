package rights

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// kept are the grounds on which something is not erased (Art 17(3)).
var kept = []string{"art17(3)(a)", "art17(3)(b)", "art17(3)(c)", "art17(3)(d)", "art17(3)(e)"}

// erasure is Art 17: everybody who received what is to be erased is told first (Art 19), because afterwards nobody can be found any more, and then
// the hub destroys what it has. The log stays as it is, byte for byte, and cannot be linked to the person any more; the step says on which ground
// it is kept.
//
// The hub holds one pseudonym of a person for every controller. A controller's erasure stops and destroys what the hub has of that controller's;
// the pseudonym goes with the last controller that needs it, or when the operator erases for all. What a controller is told and shows is the same
// either way: that others know the person is not its to know.
var erasure = procedure{
	person:  somebody,
	grounds: []string{"no-longer-needed", "consent-withdrawn", "objected", "unlawful", "legal-obligation", "child-online-service"}, // Art 17(1)
	clock:   month("Art 17"),
	steps: telling(kept, map[string]rule{
		"accepted": {from: []State{Open}, to: Telling, takes: "items", effect: tellItems("erase")},
		erased:     {from: []State{Telling}, grounds: kept, effect: erase},
		closed:     {from: []State{Telling}, to: Closed, effect: finishedErasing},
	}),
}

const erased = "erased"

func finishedErasing(w *work) error {
	if _, yes := w.k.took(erased); !yes && !w.partial() {
		return w.refuse("nothing has been erased: take the step %s", erased)
	}
	return finished(w)
}

// partial reports whether it is about some items of the person, or about them in one role. What recipients do about it is theirs; the hub has
// no values to erase.
func (w *work) partial() bool {
	accepted, _ := w.k.took("accepted")
	return len(w.k.Items) > 0 || len(accepted.Items) > 0 || w.k.Role != ""
}

// erase destroys what the hub has of a person.
func erase(w *work) error {
	if _, yes := w.k.took(erased); yes {
		return w.refuse("it has been erased")
	}
	if w.partial() {
		return w.refuse("what the hub has of a person cannot be erased in part: the recipients have been told, and this case closes without it")
	}
	for _, g := range w.in.Grounds {
		w.leaf.Kept = append(w.leaf.Kept, ledger.Kept{What: "log", Ground: g})
	}
	w.tellTheLast()
	transfers, stopped := 0, 0
	for _, who := range w.all {
		shared, err := w.mayErase(who)
		if err != nil {
			return err
		}
		transfers += w.transfersOf(who)
		for _, t := range w.Open(who) {
			if (w.operator() || t.Sender == w.k.Partner) && w.Stop(w.actor, t, erased, "the person was erased") {
				stopped++
			}
		}
		if shared {
			w.Forget(who, w.k.Partner)
			continue
		}
		w.Erase(who)
	}
	w.count("stopped", stopped)
	w.count("transfers", transfers)
	w.who, w.all = "", nil // the case is the record that it was done, and not of whom
	return nil
}

// tellTheLast tells those who were given something since the erasure was accepted: afterwards nobody could find them.
func (w *work) tellTheLast() {
	before := alreadyTold("erase", w.notices(), w.k.Tasks)
	of := slices.DeleteFunc(w.disclosures(w.k.Items, went), func(d disclosure) bool {
		return before.has(&target{To: d.to, Office: d.office, Transfer: d.transfer, Outside: d.outside})
	})
	w.tell("erase", of, w.month())
}

// notices are those of the case.
func (w *work) notices() []Notice {
	out := make([]Notice, len(w.told))
	for i, t := range w.told {
		out[i] = t.Notice
	}
	return out
}

// transfersOf is how many transfers the log links to a person, of those that the case is about.
func (w *work) transfersOf(who transfer.SubjectID) int {
	of := map[transfer.TransferID]bool{}
	for _, e := range w.own(who) {
		if l := e.Leaf; l.Transfer != "" && (w.operator() || l.Sender == w.k.Partner) {
			of[l.Transfer] = true
		}
	}
	return len(of)
}

// own is what the log says of a person that the case's partner still knows of: what is from before its own erasure is nobody's to it, also where
// others needed the person still and the pseudonym stayed. The operator's cases are about all of it.
func (w *work) own(who transfer.SubjectID) []exchange.Entry {
	history := w.History(who)
	if w.operator() {
		return history
	}
	for i := len(history) - 1; i >= 0; i-- {
		if l := history[i].Leaf; l.Sender == w.k.Partner && l.Erased() {
			return history[i+1:]
		}
	}
	return history
}

// mayErase refuses while something has to be kept that belongs to the case's partner, and reports whether others need the person still.
func (w *work) mayErase(who transfer.SubjectID) (shared bool, err error) {
	holds, err := w.rights.holdsOn(context.Background(), who, w.History(who))
	if err != nil {
		return false, err
	}
	open, err := w.rights.openCases(context.Background(), who)
	if err != nil {
		return false, err
	}
	var mine []string
	for _, row := range append(holds, open...) {
		switch {
		case row.Reference == w.k.Reference:
		case row.Partner == w.k.Partner || w.operator():
			mine = append(mine, fmt.Sprintf("%s (%s)", row.Reference, row.Type))
		default:
			shared = true
		}
	}
	if len(mine) > 0 {
		return false, w.refuse("what is about this person has to be kept for %s: lift or close it first, or refuse the erasure", strings.Join(mine, ", "))
	}
	return shared || !w.operator() && neededBeside(w.History(who), w.k.Partner), nil
}

// neededBeside reports whether another controller than p has dealt with a person and has not erased them since.
func neededBeside(history []exchange.Entry, p transfer.PartnerID) bool {
	needs := map[transfer.PartnerID]bool{}
	for _, e := range history {
		switch l := e.Leaf; l.Kind {
		case ledger.KindDecision, ledger.KindDisclosure:
			needs[l.Sender] = true
		case ledger.KindConsent:
			needs[l.Actor.Partner] = true
		case ledger.KindCase:
			if l.Erased() {
				delete(needs, l.Sender)
			}
		default:
		}
	}
	delete(needs, p)
	return len(needs) > 0
}

// beside are the types of case that do not wait for their person: a hold is looked at by itself, and whoever is told to erase need not be told of a
// withdrawal too.
var beside = []Type{LegalHold, Withdrawal, Flag}

// openCases are the cases about a person that are not over and need the person.
func (r *Rights) openCases(ctx context.Context, who transfer.SubjectID) ([]store.Case, error) {
	rows, err := r.allCases(ctx, store.CaseQuery{Subject: who})
	if err != nil {
		return nil, err
	}
	var out []store.Case
	for _, row := range rows {
		if !State(row.State).Over() && !slices.Contains(beside, Type(row.Type)) {
			out = append(out, row)
		}
	}
	return out, nil
}

// allCases is a list of cases as they stand while an act is judged. Whoever opens a case about a person waits for the person, and so no such case
// can be on its way meanwhile.
func (r *Rights) allCases(ctx context.Context, q store.CaseQuery) ([]store.Case, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	q.Limit = 1000
	var out []store.Case
	for {
		rows, err := r.cfg.Store.Cases(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list cases: %w", err)
		}
		if out = append(out, rows...); len(rows) < q.Limit {
			return out, nil
		}
		q.After = rows[len(rows)-1].Reference
	}
}
