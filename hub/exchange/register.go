package exchange

import (
	"context"
	"fmt"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Adopt puts agreements and partners in force and writes down what changed: versions not seen before, partners suspended or restored.
// A version whose file differs from the one that was activated under its number is refused, and nothing changes: a message was, or may
// have been, decided under it.
func (x *Exchange) Adopt(ctx context.Context, index *agreement.Index) error {
	var leaves []keyed
	for _, a := range index.Agreements() {
		if a.Status != agreement.Active {
			continue
		}
		key := transfer.TransferID("agreement/" + a.Ref())
		last, err := x.lastUnder(ctx, key, ledger.KindAgreement)
		if err != nil {
			return err
		}
		if last != nil && last.Agreement.Digest != a.Digest {
			return fmt.Errorf("agreement %s: %s is not the file that was activated as this version (%s then, %s now): put the old text back and declare the change as version %d",
				a.Ref(), a.File, last.Agreement.Digest, a.Digest, a.Version+1)
		}
		if last == nil {
			leaves = append(leaves, keyed{key, &ledger.Leaf{
				Kind: ledger.KindAgreement, Actor: hub, Agreement: &ledger.Agreement{ID: a.ID, Version: a.Version, Digest: a.Digest},
				Note: "activated",
			}})
		}
	}
	for _, p := range index.Partners() {
		key := transfer.TransferID("partner/" + string(p.ID))
		last, err := x.lastUnder(ctx, key, ledger.KindPartner)
		if err != nil {
			return err
		}
		was, is := "restored", "restored"
		if last != nil {
			was = last.Note
		}
		if p.Suspended {
			is = "suspended: " + p.SuspendedReason
		}
		if was != is {
			leaves = append(leaves, keyed{key, &ledger.Leaf{Kind: ledger.KindPartner, Actor: hub, Recipient: p.ID, Note: is}})
		}
	}
	if len(leaves) > 0 {
		if err := x.do(ctx, &recordAll{leaves}); err != nil {
			return fmt.Errorf("record what changed in the register: %w", err)
		}
	}
	x.index.Store(index)
	return nil
}

// lastUnder reads the newest leaf of a kind filed under key; nil when there is none. Other kinds are passed over: whatever a question
// or an answer may be filed under, the register starts from what was recorded of the register.
func (x *Exchange) lastUnder(ctx context.Context, key transfer.TransferID, kind ledger.Kind) (*ledger.Leaf, error) {
	found, err := x.entries(ctx, []transfer.TransferID{key})
	if err != nil {
		return nil, err
	}
	var last Entry
	for _, e := range found {
		// Within one log the order is that of the leaves, whatever the clock did meanwhile.
		if e.Leaf.Kind == kind && (e.Origin != last.Origin || e.Index > last.Index) {
			last = e
		}
	}
	return last.Leaf, nil
}

type keyed struct {
	key  transfer.TransferID
	leaf *ledger.Leaf
}

type recordAll struct{ leaves []keyed }

func (*recordAll) reads(*needs) {}

func (r *recordAll) judge(c *commit) error {
	for _, k := range r.leaves {
		c.leafUnder(k.key, k.leaf)
	}
	return nil
}
