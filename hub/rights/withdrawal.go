package rights

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"referralhub/contracts"
	"referralhub/hub/dates"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Informed is the state of a withdrawal whose recipients have been told; in Telling they are still to be.
const Informed State = "informed"

// withdrawal is Art 7(3): whoever was given something on a consent that was withdrawn is told. The exchange opens the case in the commit of the
// withdrawal, so that it cannot be forgotten; the hub goes on with it by itself, and closes it when everybody has done it.
var withdrawal = procedure{
	person: somebody,
	hub:    true,
	itself: true,
	clock: func(k *Case, c *dates.Calendar) []Deadline {
		_, done := k.took(toldRecipients)
		by := c.WorkingDays(k.Received, withdrawalDays)
		return []Deadline{{What: "tell the recipients", By: by.Date.String(), Source: "Art 7(3) UK GDPR, rule 001-30", Met: done, Warning: by.Warning}}
	},
	steps: with(passing(Informed), map[string]rule{
		toldRecipients: {from: []State{Telling}, to: Informed, hub: true, effect: tellOfWithdrawal},
		closed:         {from: []State{Informed}, to: Closed, hub: true, effect: (*work).waits},
	}),
}

const toldRecipients = "told-recipients"

// withdrawalDays is how many working days a withdrawal may take to be in every record (rule 001-30).
const withdrawalDays = 7

// tellOfWithdrawal tells those to whom something went that may have rested on the consent.
func tellOfWithdrawal(w *work) error {
	over, err := w.reach()
	if err != nil {
		return err
	}
	w.k.Known = true
	of := w.disclosures(itemsOf(over.Categories), over.covers, func(l *ledger.Leaf) bool {
		switch l.Kind {
		case ledger.KindRelease:
			return w.restedOnConsent(l.Agreement)
		case ledger.KindDisclosure:
			return l.Disclosure.Basis.Article6 == "a" || l.Disclosure.Basis.Article9 == "a"
		default:
			return false
		}
	})
	w.tell("withdrawn", of, w.rights.cfg.Calendar.WorkingDays(w.on, withdrawalDays).Date)
	w.count("recipients", len(w.told)+len(w.k.Tasks))
	return nil
}

// itemsOf are the items of categories, by name; none for all of them.
func itemsOf(categories []string) []string {
	contract, _ := contracts.For("referral/1") // it is there: the hub would not have started
	var out []string
	for _, item := range contract.Items {
		if slices.Contains(categories, string(item.Category)) {
			out = append(out, item.Name)
		}
	}
	return out
}

// tellWithdrawals tells the recipients of withdrawals that have come in since.
func (r *Rights) tellWithdrawals(ctx context.Context) error {
	const page = 100
	var failed error
	for after := ""; ; {
		rows, err := r.cfg.Store.Cases(ctx, store.CaseQuery{Type: string(Withdrawal), State: string(Telling), After: after, Limit: page})
		if err != nil {
			return fmt.Errorf("list withdrawals: %w", err)
		}
		for _, row := range rows {
			in := &StepIn{MessageID: transfer.MessageID(row.Reference + "/" + toldRecipients), Step: toldRecipients}
			if _, _, err := r.step(ctx, hub, row.Reference, in, nil, true); err != nil {
				failed = errors.Join(failed, fmt.Errorf("tell the recipients of %s: %w", row.Reference, err))
			}
			after = row.Reference
		}
		if len(rows) < page {
			return failed
		}
	}
}
