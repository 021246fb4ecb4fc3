package exchange

import (
	"cmp"
	"slices"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// workOf puts what a decision leaves for a person to do into its queue, and takes out what it has done away with. leaf is the decision's.
func (c *commit) workOf(t *store.Transfer, d *decided, leaf int64) {
	w := store.Work{Transfer: t.ID, Sender: t.Sender, Owner: d.Owner, Deadline: d.Deadline, Log: c.x.cfg.Origin, Leaf: leaf}
	switch {
	case t.State == transfer.Held:
		w.Queue = store.Holds
	case !d.Outcome.Permits():
		w.Queue = store.Refusals
	case d.Outcome == transfer.PermitException:
		w.Queue = store.Exceptions
	}
	if w.Queue != "" {
		c.work[store.WorkKey{Transfer: t.ID, Queue: w.Queue}] = &w
	}
	if t.State != transfer.Held && c.transfers[t.ID] != nil {
		c.workDone(t.ID, store.Holds)
	}
}

func (c *commit) workDone(id transfer.TransferID, q store.Queue) {
	c.work[store.WorkKey{Transfer: id, Queue: q}] = nil
}

// settleWork turns what became of work into rows, and gives what is done.
func (c *commit) settleWork() []store.WorkKey {
	c.insert.Work = nil
	var over []store.WorkKey
	for key, w := range c.work {
		if w == nil {
			over = append(over, key)
		} else {
			c.insert.Work = append(c.insert.Work, *w)
		}
	}
	// In an order that every copy of the hub keeps, because each row is locked.
	slices.SortFunc(c.insert.Work, func(a, b store.Work) int {
		return cmp.Or(cmp.Compare(a.Transfer, b.Transfer), cmp.Compare(a.Queue, b.Queue))
	})
	slices.SortFunc(over, func(a, b store.WorkKey) int {
		return cmp.Or(cmp.Compare(a.Transfer, b.Transfer), cmp.Compare(a.Queue, b.Queue))
	})
	return over
}
