package exchange

import (
	"context"
	"fmt"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// onward looks up under which clause a partner received what it says that it passes on. Somebody else's transfer, and one that was never
// released, are answered like one that does not exist: there is no such clause.
func (x *Exchange) onward(ctx context.Context, by transfer.PartnerID, of transfer.TransferID) (*policy.Onward, error) {
	if of == "" {
		return nil, nil
	}
	rows, err := x.cfg.Store.Transfers(ctx, []transfer.TransferID{of})
	if err != nil {
		return nil, fmt.Errorf("read what is passed on: %w", err)
	}
	out := &policy.Onward{}
	if len(rows) == 1 && rows[0].Recipient == by && rows[0].ReleaseLeaf >= 0 {
		out.Flow = clauseOf(x.Index(), rows[0].Flow)
	}
	return out, nil
}

// onwardBy is what onward found when the message was accepted, by how the leaf has it. A clause that is known no more lets nothing pass.
func (c *commit) onwardBy(text string) *policy.Onward {
	if text == "" {
		return nil
	}
	return &policy.Onward{Flow: clauseOf(c.index, text)}
}

func onwardText(o *policy.Onward) string {
	switch {
	case o == nil:
		return ""
	case o.Flow == nil:
		return ledger.NotReceived
	}
	return o.Flow.ID
}

// clauseOf finds a clause by its id, "hertswise@1#refer"; nil when there is none.
func clauseOf(x *agreement.Index, id string) *agreement.Flow {
	for _, a := range x.Agreements() {
		for _, f := range a.Flows {
			if f.ID == id {
				return f
			}
		}
	}
	return nil
}
