package exchange

import (
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// bears remembers which leaf bears out what changes from leaf to leaf.
func (c *commit) bears(l *ledger.Leaf, index int64) {
	switch {
	case l.Request != nil:
		c.borne[l.Request.Reference] = index
	case l.Case != nil:
		c.borne[l.Case.Reference] = index
	case l.Notice != nil:
		c.borne[l.Notice.ID] = index
	}
}

// mark says of the rows that are about to be written which leaf bears them out, and puts the hub's mark on them, so that a change behind the
// hub's back is found. It gives the people who were known before and have been given more identifiers: their marks change.
func (c *commit) mark() []store.Subject {
	point := func(key string, log *string, leaf *int64) {
		if index, here := c.borne[key]; here {
			*log, *leaf = c.x.cfg.Origin, index
		}
	}
	mac := c.x.cfg.Sealer.RowMAC
	for _, rows := range [][]store.Request{c.insert.Requests, c.decideRequests} {
		for i := range rows {
			point(rows[i].Reference, &rows[i].Log, &rows[i].Leaf)
			rows[i].MAC = rows[i].Sum(mac)
		}
	}
	for _, rows := range [][]store.Case{c.insert.Cases, c.putCases} {
		for i := range rows {
			point(rows[i].Reference, &rows[i].Log, &rows[i].Leaf)
			rows[i].MAC = rows[i].Sum(mac)
		}
	}
	for _, rows := range [][]store.Notice{c.insert.Notices, c.putNotices} {
		for i := range rows {
			point(rows[i].ID, &rows[i].Log, &rows[i].Leaf)
			rows[i].MAC = rows[i].Sum(mac)
		}
	}
	c.insert.Mark(mac)
	var again []store.Subject
	at := map[transfer.SubjectID]int{}
	for _, i := range c.insert.Identifiers {
		before, known := c.macs[i.Subject]
		if !known {
			continue // new, or made known in this commit
		}
		n, marked := at[i.Subject]
		if !marked {
			n = len(again)
			at[i.Subject] = n
			again = append(again, store.Subject{ID: i.Subject, MAC: before})
		}
		again[n].MAC = i.Join(mac, again[n].MAC)
	}
	return again
}
