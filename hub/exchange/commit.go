package exchange

import (
	"context"
	"fmt"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/bus"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

type hash = [32]byte

// needs is what the operations of one commit depend on.
type needs struct {
	messages  []store.MessageKey
	known     []hash                // identifiers of people a message speaks of
	changed   []hash                // identifiers of people whose consent changes
	revisit   []hash                // of those, the ones whose open transfers are decided again
	transfers []transfer.TransferID // locked
	payloads  []transfer.TransferID // read
}

// commit is one group of operations: what was read for it, what it has come to so far, and what must be written. Operations see
// the effects of those before them.
type commit struct {
	x     *Exchange
	at    time.Time
	index *agreement.Index

	byMessage map[store.MessageKey][]*store.Transfer
	subjectOf map[hash]transfer.SubjectID
	transfers map[transfer.TransferID]*store.Transfer
	people    map[transfer.TransferID][]store.TransferSubject
	salts     map[transfer.SubjectID][32]byte
	events    map[transfer.SubjectID][]consent.Event
	payloads  map[transfer.TransferID]store.Payload
	openOf    map[transfer.SubjectID][]transfer.TransferID

	insert  store.Insertions
	changes map[transfer.TransferID]*store.Change
	erase   []transfer.TransferID
	done    []transfer.TransferID
	deferAt []store.Outbox
	leaves  [][]byte
	about   []transfer.TransferID
	publish []bus.Message
	batch   *ledger.Batch
}

func newCommit(x *Exchange) *commit {
	return &commit{
		x: x, at: x.cfg.Now().UTC().Truncate(time.Microsecond), index: x.Index(),
		byMessage: map[store.MessageKey][]*store.Transfer{},
		subjectOf: map[hash]transfer.SubjectID{},
		transfers: map[transfer.TransferID]*store.Transfer{},
		people:    map[transfer.TransferID][]store.TransferSubject{},
		salts:     map[transfer.SubjectID][32]byte{},
		events:    map[transfer.SubjectID][]consent.Event{},
		payloads:  map[transfer.TransferID]store.Payload{},
		openOf:    map[transfer.SubjectID][]transfer.TransferID{},
		changes:   map[transfer.TransferID]*store.Change{},
	}
}

// read fills the commit, in an order that every copy of the hub keeps: messages, identifiers, transfers, people, consents.
func (c *commit) read(ctx context.Context, tx store.Tx, tickets []*ticket) error {
	var n needs
	for _, t := range tickets {
		t.op.reads(&n)
	}
	if len(n.messages) > 0 {
		rows, err := tx.TransfersByMessage(ctx, n.messages)
		if err != nil {
			return fmt.Errorf("read messages: %w", err)
		}
		for i := range rows {
			key := store.MessageKey{Sender: rows[i].Sender, MessageID: rows[i].MessageID}
			c.byMessage[key] = append(c.byMessage[key], &rows[i])
		}
	}
	if err := c.readIdentifiers(ctx, tx, &n); err != nil {
		return err
	}
	changed := c.subjects(n.changed)
	if err := c.readOpen(ctx, tx, &n); err != nil {
		return err
	}
	if err := c.readTransfers(ctx, tx, &n); err != nil {
		return err
	}
	return c.readPeople(ctx, tx, changed)
}

func (c *commit) readIdentifiers(ctx context.Context, tx store.Tx, n *needs) error {
	hashes := slices.Concat(n.known, n.changed)
	if len(hashes) == 0 {
		return nil
	}
	rows, err := tx.SubjectsByIdentifier(ctx, hashes)
	if err != nil {
		return fmt.Errorf("read identifiers: %w", err)
	}
	for _, r := range rows {
		c.subjectOf[r.Hash] = r.Subject
	}
	return nil
}

// readOpen finds the open transfers of people whose consent changes: they are decided again in this commit.
func (c *commit) readOpen(ctx context.Context, tx store.Tx, n *needs) error {
	for _, subject := range c.subjects(n.revisit) {
		ids, err := tx.TransfersOf(ctx, []transfer.SubjectID{subject}, []transfer.State{transfer.Queued, transfer.Held, transfer.Released})
		if err != nil {
			return fmt.Errorf("read open transfers: %w", err)
		}
		c.openOf[subject] = ids
		n.transfers = append(n.transfers, ids...)
		n.payloads = append(n.payloads, ids...)
	}
	return nil
}

func (c *commit) readTransfers(ctx context.Context, tx store.Tx, n *needs) error {
	ids := unique(n.transfers)
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.LockTransfers(ctx, ids)
	if err != nil {
		return fmt.Errorf("lock transfers: %w", err)
	}
	for i := range rows {
		c.transfers[rows[i].ID] = &rows[i]
	}
	joins, err := tx.TransferSubjects(ctx, ids)
	if err != nil {
		return fmt.Errorf("read the people of transfers: %w", err)
	}
	for _, j := range joins {
		c.people[j.Transfer] = append(c.people[j.Transfer], j)
	}
	if len(n.payloads) == 0 {
		return nil
	}
	payloads, err := tx.Payloads(ctx, unique(n.payloads))
	if err != nil {
		return fmt.Errorf("read payloads: %w", err)
	}
	for _, p := range payloads {
		c.payloads[p.Transfer] = p
	}
	return nil
}

func (c *commit) readPeople(ctx context.Context, tx store.Tx, changed []transfer.SubjectID) error {
	var shared []transfer.SubjectID
	for _, s := range c.subjectOf {
		shared = append(shared, s)
	}
	for _, joins := range c.people {
		for _, j := range joins {
			shared = append(shared, j.Subject)
		}
	}
	all := unique(slices.Concat(shared, changed))
	if len(all) == 0 {
		return nil
	}
	shared = slices.DeleteFunc(slices.Clone(all), func(s transfer.SubjectID) bool { return slices.Contains(changed, s) })
	for _, lock := range []struct {
		ids       []transfer.SubjectID
		exclusive bool
	}{{changed, true}, {shared, false}} {
		if len(lock.ids) == 0 {
			continue
		}
		rows, err := tx.LockSubjects(ctx, lock.ids, lock.exclusive)
		if err != nil {
			return fmt.Errorf("lock people: %w", err)
		}
		for _, s := range rows {
			c.salts[s.ID] = s.Salt
		}
	}
	rows, err := tx.Consents(ctx, all)
	if err != nil {
		return fmt.Errorf("read consents: %w", err)
	}
	return c.addEvents(rows)
}

func (c *commit) addEvents(rows []store.Consent) error {
	for _, r := range rows {
		ev, err := consent.Parse(r.Body)
		if err != nil {
			return fmt.Errorf("read consent event %s: %w", r.ID, err)
		}
		ev.ID, ev.Subject, ev.RecordedBy = r.ID, r.Subject, r.RecordedBy
		c.events[r.Subject] = append(c.events[r.Subject], ev)
	}
	return nil
}

// write puts down what the operations came to. The leaves are last: the head of the log is the row that every commit of this copy
// contends for.
func (c *commit) write(ctx context.Context, tx store.Tx) error {
	if err := tx.Insert(ctx, &c.insert); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	if len(c.changes) > 0 {
		changes := make([]store.Change, 0, len(c.changes))
		for _, ch := range c.changes {
			changes = append(changes, *ch)
		}
		slices.SortFunc(changes, func(a, b store.Change) int { return compare(a.ID, b.ID) })
		if err := tx.Update(ctx, changes); err != nil {
			return fmt.Errorf("update transfers: %w", err)
		}
	}
	if len(c.erase) > 0 {
		if err := tx.DeletePayloads(ctx, unique(c.erase)); err != nil {
			return fmt.Errorf("destroy payloads: %w", err)
		}
	}
	if len(c.done) > 0 {
		if err := tx.OutboxDone(ctx, unique(c.done)); err != nil {
			return fmt.Errorf("settle outbox: %w", err)
		}
	}
	if len(c.deferAt) > 0 {
		if err := tx.OutboxDefer(ctx, c.deferAt); err != nil {
			return fmt.Errorf("defer outbox: %w", err)
		}
	}
	if len(c.leaves) == 0 {
		return nil
	}
	batch, err := c.x.tree.Append(c.leaves)
	if err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	if err := tx.AppendLog(ctx, c.x.cfg.Origin, batch, c.about); err != nil {
		return fmt.Errorf("append to log %s: %w", c.x.cfg.Origin, err)
	}
	c.batch = batch
	return nil
}

// leaf adds a leaf and gives its index in the log. It is filed under its transfer, or under key where it is about none.
func (c *commit) leaf(l *ledger.Leaf) int64 { return c.leafUnder(l.Transfer, l) }

func (c *commit) leafUnder(key transfer.TransferID, l *ledger.Leaf) int64 {
	l.At = c.at
	c.leaves = append(c.leaves, l.AppendTo(nil))
	c.about = append(c.about, key)
	return c.x.tree.Size() + int64(len(c.leaves)) - 1
}

// move changes the state of a transfer. A second move in the same commit starts from where the first began.
func (c *commit) move(t *store.Transfer, to transfer.State, flow string, releaseLeaf int64) error {
	if !t.State.CanBecome(to) {
		return &StateError{Transfer: t.ID, State: t.State, Asked: string(to)}
	}
	ch := c.changes[t.ID]
	if ch == nil {
		ch = &store.Change{ID: t.ID, From: t.State, ReleaseLeaf: -1}
		c.changes[t.ID] = ch
	}
	ch.To, ch.At = to, c.at
	if flow != "" {
		ch.Flow, t.Flow = flow, flow
	}
	if releaseLeaf >= 0 {
		ch.ReleaseLeaf, t.ReleaseLeaf = releaseLeaf, releaseLeaf
	}
	t.State, t.UpdatedAt = to, c.at
	return nil
}

// subjects gives the people known by any of the identifiers, each once.
func (c *commit) subjects(hashes []hash) []transfer.SubjectID {
	var out []transfer.SubjectID
	for _, h := range hashes {
		if s, ok := c.subjectOf[h]; ok {
			out = append(out, s)
		}
	}
	return unique(out)
}

// person finds or makes the person with these identifiers. Identifiers that point at different people are ambiguous: nobody is
// merged, nothing is linked, and the first known one stands in until a person has looked.
func (c *commit) person(ids []hash) (subject transfer.SubjectID, ambiguous bool) {
	known := c.subjects(ids)
	switch {
	case len(known) > 1:
		return known[0], true
	case len(known) == 1:
		subject = known[0]
	default:
		var salt [32]byte
		subject, salt = seal.NewSubject()
		c.salts[subject] = salt
		c.insert.Subjects = append(c.insert.Subjects, store.Subject{ID: subject, Salt: salt})
	}
	for _, h := range ids {
		if _, ok := c.subjectOf[h]; !ok {
			c.subjectOf[h] = subject
			c.insert.Identifiers = append(c.insert.Identifiers, store.Identifier{Hash: h, Subject: subject})
		}
	}
	return subject, false
}

func (c *commit) commitment(s transfer.SubjectID) string { return seal.Commitment(c.salts[s], s) }

// caseNumber is the scheme of the numbers that partners give people themselves.
const caseNumber = "case-number"

// identifierHashes gives the keyed hashes of a person's identifiers. A number that a partner gave itself means something only
// together with that partner.
func (x *Exchange) identifierHashes(by transfer.PartnerID, ids []contracts.Identifier) []hash {
	out := make([]hash, len(ids))
	for i, id := range ids {
		scope := ""
		if id.Scheme == caseNumber {
			scope = string(by)
		}
		out[i] = x.cfg.Sealer.IdentifierHash(id.Scheme, scope, id.Value)
	}
	return out
}

func unique[T ~string](in []T) []T {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

func compare[T ~string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
