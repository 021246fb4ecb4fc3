package exchange

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Considered is what would become of a message for one recipient.
type Considered struct {
	Recipient transfer.PartnerID
	Decision  policy.Decision
}

// Consider judges a message as Submit would, without keeping, logging or sending anything. Consents that the message carries count
// as if they had been recorded.
func (x *Exchange) Consider(ctx context.Context, by Principal, doc *contracts.Document) ([]Considered, error) {
	c := newCommit(x)
	hashes := make([][]hash, len(doc.Subjects))
	for i, ds := range doc.Subjects {
		hashes[i] = x.identifierHashes(by.Partner, ds.Identifiers)
		rows, err := x.cfg.Store.SubjectsByIdentifier(ctx, hashes[i])
		if err != nil {
			return nil, fmt.Errorf("read identifiers: %w", err)
		}
		for _, r := range rows {
			c.subjectOf[r.Hash] = r.Subject
		}
	}
	people := c.peopleOf(doc, hashes)
	for _, p := range people {
		if c.events[p.id] != nil {
			continue // in the message twice
		}
		stored, err := x.cfg.Store.Consents(ctx, []transfer.SubjectID{p.id})
		if err != nil {
			return nil, fmt.Errorf("read consents: %w", err)
		}
		if err := c.addEvents(stored); err != nil {
			return nil, err
		}
	}
	for _, k := range doc.Consents {
		ev, err := consent.Parse(k.Body)
		if err != nil {
			return nil, fmt.Errorf("read consent of the message: %w", err)
		}
		for _, p := range people {
			if p.Role == k.Role && p.Position == k.Position {
				ev.ID, ev.Subject, ev.RecordedBy = newID(), p.id, by.Partner
				c.events[p.id] = append(c.events[p.id], ev)
			}
		}
	}
	out := make([]Considered, len(doc.Envelope.Recipients))
	onward, err := x.onward(ctx, by.Partner, doc.Envelope.OnwardOf)
	if err != nil {
		return nil, err
	}
	for i, to := range doc.Envelope.Recipients {
		r := policy.NewRequest(c.index, by.Partner, to, doc, c.at)
		r.Onward = onward
		out[i] = Considered{Recipient: to, Decision: c.decide(r, people).Decision}
	}
	return out, nil
}

// Query asks the disclosure log. Exactly one of Person and Transfer is set.
type Query struct {
	Person   *contracts.Identifier
	Of       transfer.PartnerID // who gave the person that number, when it is a case number: the asker when empty
	Transfer transfer.TransferID
	From, To time.Time // of the leaves; zero means unbounded
	Why      string
	Everyone bool // the asker sees every partner's transfers, not only its own
}

// numbers matches what may be somebody's number or date of birth, however it is spaced.
var numbers = regexp.MustCompile(`(\p{Nd}[\s\p{Z}\p{Pd}./_]?){8,}`)

// HoldsNumber reports whether a reason holds what may identify somebody. Whoever takes a reason from a person refuses such a one before
// it is logged: leaves cannot be taken back.
func HoldsNumber(reason string) bool { return numbers.MatchString(reason) }

// Entry is one leaf found.
type Entry struct {
	Origin string
	Index  int64
	Leaf   *ledger.Leaf
	About  string // the commitment of the person asked about; empty when a transfer was
}

// Search finds what the log holds about a person or a transfer, oldest first, and writes down that it was asked before it answers.
// Somebody the hub does not know gives an empty answer and a leaf all the same.
func (x *Exchange) Search(ctx context.Context, by Principal, q Query) (found []Entry, queryLeaf int64, err error) {
	leaf := &ledger.Leaf{Kind: ledger.KindQuery, Actor: actorOf(by), Query: &ledger.Query{Why: q.Why}}
	var keys []transfer.TransferID
	if q.Person != nil {
		leaf.Query.Kind = "person"
		keys, leaf.Query.Subject, err = x.keysOf(ctx, cmp.Or(q.Of, by.Partner), *q.Person)
	} else {
		leaf.Query.Kind, leaf.Transfer = "transfer", q.Transfer
		keys = []transfer.TransferID{q.Transfer}
	}
	if err != nil {
		return nil, 0, err
	}
	if found, err = x.entries(ctx, keys); err != nil {
		return nil, 0, err
	}
	found = slices.DeleteFunc(found, func(e Entry) bool {
		l := e.Leaf
		mine := q.Everyone || l.Sender == by.Partner || l.Recipient == by.Partner || l.Actor.Partner == by.Partner
		// What the sender's people weighed is between them and the hub.
		theirs := l.Kind == ledger.KindRuling && l.Sender != by.Partner
		return !mine || (l.Kind == ledger.KindQuery || theirs) && !q.Everyone ||
			!q.From.IsZero() && l.At.Before(q.From) || !q.To.IsZero() && !l.At.Before(q.To)
	})
	for i := range found {
		found[i].About = leaf.Query.Subject
	}
	leaf.Query.Found = len(found)
	op := &record{leaf: leaf}
	if err := x.do(ctx, op); err != nil {
		return nil, 0, err
	}
	return found, op.index, nil
}

// keysOf gives the keys under which the leaves about a person are found: their transfers, and the person's own.
func (x *Exchange) keysOf(ctx context.Context, of transfer.PartnerID, id contracts.Identifier) ([]transfer.TransferID, string, error) {
	known, err := x.cfg.Store.SubjectsByIdentifier(ctx, x.identifierHashes(of, []contracts.Identifier{id}))
	if err != nil {
		return nil, "", fmt.Errorf("read identifiers: %w", err)
	}
	if len(known) == 0 {
		return nil, "", nil
	}
	who := known[0].Subject
	rows, err := x.cfg.Store.Subjects(ctx, []transfer.SubjectID{who})
	if err != nil || len(rows) == 0 {
		return nil, "", fmt.Errorf("read person: %w", cmp.Or(err, store.ErrNotFound))
	}
	c := newCommit(x)
	c.salts[who] = rows[0].Salt
	ids, err := x.cfg.Store.TransfersOf(ctx, []transfer.SubjectID{who}, nil)
	if err != nil {
		return nil, "", fmt.Errorf("read the transfers of a person: %w", err)
	}
	commitment := c.commitment(who)
	return append(ids, personKey(commitment)), commitment, nil
}

// personKey files the leaves that are about a person and not about a transfer.
func personKey(commitment string) transfer.TransferID {
	return transfer.TransferID("person/" + commitment)
}

func (x *Exchange) entries(ctx context.Context, keys []transfer.TransferID) ([]Entry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	refs, err := x.cfg.Store.LeavesOf(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("find leaves: %w", err)
	}
	out := make([]Entry, 0, len(refs))
	for _, r := range refs {
		l, err := x.leafAt(ctx, r.Origin, r.Index)
		if err != nil {
			return nil, err
		}
		out = append(out, Entry{Origin: r.Origin, Index: r.Index, Leaf: l})
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(a.Leaf.At.Compare(b.Leaf.At), cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Index, b.Index))
	})
	return out, nil
}

// record is an operation that only writes a leaf.
type record struct {
	leaf  *ledger.Leaf
	index int64
}

func (r *record) reads(*needs) {}

func (r *record) judge(c *commit) error {
	r.index = c.leaf(r.leaf)
	return nil
}

// Transfer gives a transfer to one of its two partners, with the decision that it stands under now and the newest word on what became of
// it. The error is ErrNotYours for anybody else.
func (x *Exchange) Transfer(ctx context.Context, by Principal, id transfer.TransferID) (Judged, error) {
	rows, err := x.cfg.Store.Transfers(ctx, []transfer.TransferID{id})
	if err != nil {
		return Judged{}, fmt.Errorf("read transfer %s: %w", id, err)
	}
	if len(rows) == 0 || rows[0].Sender != by.Partner && rows[0].Recipient != by.Partner {
		return Judged{}, ErrNotYours
	}
	found, err := x.entries(ctx, []transfer.TransferID{id})
	if err != nil {
		return Judged{}, err
	}
	out := Judged{Transfer: rows[0]}
	for _, e := range found {
		switch e.Leaf.Kind {
		case ledger.KindDecision:
			out.Decision, out.Transfer.Log, out.Transfer.DecisionLeaf = e.Leaf, e.Origin, e.Index
		case ledger.KindOutcome:
			out.Last = e.Leaf
		}
	}
	if out.Decision == nil {
		return Judged{}, fmt.Errorf("decision of %s: %w", id, store.ErrNotFound)
	}
	return out, nil
}

// InState lists a partner's transfers in a state, oldest first, with their first decisions.
func (x *Exchange) InState(ctx context.Context, by Principal, s transfer.State, after transfer.TransferID, limit int) ([]Judged, error) {
	rows, err := x.cfg.Store.InState(ctx, by.Partner, s, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list transfers: %w", err)
	}
	return x.judged(ctx, rows)
}

// Inbox lists what waits for a partner, oldest first. It says nothing about any person.
func (x *Exchange) Inbox(ctx context.Context, by Principal, after transfer.TransferID, limit int) ([]store.Transfer, error) {
	rows, err := x.cfg.Store.Inbox(ctx, by.Partner, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list the inbox: %w", err)
	}
	return rows, nil
}

// Spend uses up a client assertion. The error is store.ErrConflict when it was used before.
func (x *Exchange) Spend(ctx context.Context, digest [32]byte, until time.Time) error {
	return x.cfg.Store.InTx(ctx, func(tx store.Tx) error { return tx.SpendAssertion(ctx, digest, until, x.cfg.Now()) })
}
