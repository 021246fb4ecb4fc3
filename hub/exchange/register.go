package exchange

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Adopt puts agreements and partners in force and writes down what changed: versions activated, suspended or ended, partners suspended or restored.
// A version whose file differs from the one that was activated under its number is refused, and nothing changes: a message was, or may
// have been, decided under it.
func (x *Exchange) Adopt(ctx context.Context, index *agreement.Index) error {
	var leaves []keyed
	for _, a := range index.Agreements() {
		l, err := x.standing(ctx, a)
		if err != nil {
			return err
		}
		if l != nil {
			leaves = append(leaves, keyed{agreementKey(a), l})
		}
	}
	for _, p := range index.Partners() {
		key := transfer.TransferID("partner/" + string(p.ID))
		before, err := x.filedUnder(ctx, key, ledger.KindPartner)
		if err != nil {
			return err
		}
		was, is := "restored", "restored"
		if len(before) > 0 {
			was = before[len(before)-1].Note
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

// activated is what a leaf says of an agreement that carries data. Of any other it names the status.
const activated = "activated"

func agreementKey(a *agreement.Agreement) transfer.TransferID {
	return transfer.TransferID("agreement/" + a.Ref())
}

// standing is the leaf that says what has become of a version since it was last looked at; nil when nothing has.
func (x *Exchange) standing(ctx context.Context, a *agreement.Agreement) (*ledger.Leaf, error) {
	before, err := x.filedUnder(ctx, agreementKey(a), ledger.KindAgreement)
	if err != nil {
		return nil, err
	}
	was, is := "", activated
	for _, l := range before {
		was = l.Note
		if was == activated && a.Status == agreement.Active && l.Agreement.Digest != a.Digest {
			return nil, fmt.Errorf("agreement %s: %s is not the file that was activated as this version (%s then, %s now): put the old text back and declare the change as version %d",
				a.Ref(), a.File, l.Agreement.Digest, a.Digest, a.Version+1)
		}
	}
	if a.Status != agreement.Active {
		is = string(a.Status)
	}
	if was == is || was == "" && is != activated {
		return nil, nil
	}
	return &ledger.Leaf{
		Kind: ledger.KindAgreement, Actor: hub, Agreement: &ledger.Agreement{ID: a.ID, Version: a.Version, Digest: a.Digest}, Note: is,
	}, nil
}

// filedUnder reads the leaves of a kind filed under key, the newest last. Other kinds are passed over: whatever a question or an answer
// may be filed under, the register starts from what was recorded of the register.
func (x *Exchange) filedUnder(ctx context.Context, key transfer.TransferID, kind ledger.Kind) ([]*ledger.Leaf, error) {
	found, err := x.entries(ctx, []transfer.TransferID{key})
	if err != nil {
		return nil, err
	}
	// Within one log the order is that of the leaves, whatever the clock did meanwhile.
	slices.SortStableFunc(found, func(a, b Entry) int {
		if a.Origin != b.Origin {
			return 0
		}
		return cmp.Compare(a.Index, b.Index)
	})
	var out []*ledger.Leaf
	for _, e := range found {
		if e.Leaf.Kind == kind {
			out = append(out, e.Leaf)
		}
	}
	return out, nil
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
