package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/bus"
	"referralhub/hub/consent"
	"referralhub/hub/delivery"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
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
	past      []hash                // of those, the ones whose past disclosures are wanted
	transfers []transfer.TransferID // locked
	decided   []transfer.TransferID // of those, the ones that are decided again: their people are read
	payloads  []transfer.TransferID // read
	requests  []string              // locked
	entries   []hash

	// Of acts, each of which is alone in its commit.
	subjects  []transfer.SubjectID // whom cases name: like changed, revisited and whole
	whole     []hash               // identifiers of people of whom everything is read
	cases     []string             // locked
	notices   []string             // locked
	noticesOf []string
}

// commit is one group of operations: what was read for it, what it has come to so far, and what must be written. Operations see
// the effects of those before them.
type commit struct {
	x     *Exchange
	at    time.Time
	index *agreement.Index

	register *register // that index is of

	byMessage map[store.MessageKey][]*store.Transfer
	subjectOf map[hash]transfer.SubjectID
	transfers map[transfer.TransferID]*store.Transfer
	people    map[transfer.TransferID][]store.TransferSubject
	salts     map[transfer.SubjectID][32]byte
	macs      map[transfer.SubjectID][]byte // of those who were read
	events    map[transfer.SubjectID][]consent.Event
	rulings   map[transfer.TransferID][]policy.Ruling
	ruled     map[hash]bool // rulings by their ids
	requests  map[string]*store.Request
	byEntry   map[hash]store.Entry
	payloads  map[transfer.TransferID]store.Payload
	openOf    map[transfer.SubjectID][]transfer.TransferID
	past      map[transfer.SubjectID][]store.Transfer // what was released about people

	insert store.Insertions
	// decideRequests are one-off requests that were answered.
	decideRequests []store.Request
	changes        map[transfer.TransferID]*store.Change
	erase          []transfer.TransferID
	done           []transfer.TransferID
	deferAt        []store.Outbox
	work           map[store.WorkKey]*store.Work // what became of work for people; nil when it is done
	leaves         [][]byte
	borne          map[string]int64 // the newest leaf of each request, case and notice that has one in this commit
	about          []store.LeafAbout
	shapes         []*ledger.NewShape // of insert.Shapes

	history                     map[transfer.SubjectID][]Entry
	cases                       map[string]store.Case
	notice                      map[string]store.Notice
	noticesOf                   map[string][]store.Notice
	putCases                    []store.Case
	putNotices                  []store.Notice
	eraseWho                    []transfer.SubjectID
	forget                      []string // consent events
	deleteCases, deleteRequests []string

	publish []bus.Message
	notices []*delivery.Notice // of those, the ones that are announced and not pushed
	// broken is why nothing of this commit may be written: a leaf that no log can hold, a person whose salt is gone.
	broken error
	batch  *ledger.Batch
}

func newCommit(x *Exchange) *commit {
	r := x.register.Load()
	return &commit{
		x: x, at: x.cfg.Now().UTC().Truncate(time.Microsecond), index: r.index, register: r,
		byMessage: map[store.MessageKey][]*store.Transfer{},
		subjectOf: map[hash]transfer.SubjectID{},
		transfers: map[transfer.TransferID]*store.Transfer{},
		people:    map[transfer.TransferID][]store.TransferSubject{},
		salts:     map[transfer.SubjectID][32]byte{},
		macs:      map[transfer.SubjectID][]byte{},
		borne:     map[string]int64{},
		events:    map[transfer.SubjectID][]consent.Event{},
		rulings:   map[transfer.TransferID][]policy.Ruling{},
		ruled:     map[hash]bool{},
		requests:  map[string]*store.Request{},
		byEntry:   map[hash]store.Entry{},
		payloads:  map[transfer.TransferID]store.Payload{},
		work:      map[store.WorkKey]*store.Work{},
		openOf:    map[transfer.SubjectID][]transfer.TransferID{},
		past:      map[transfer.SubjectID][]store.Transfer{},
		changes:   map[transfer.TransferID]*store.Change{},
		history:   map[transfer.SubjectID][]Entry{},
		cases:     map[string]store.Case{},
		notice:    map[string]store.Notice{},
		noticesOf: map[string][]store.Notice{},
	}
}

// read fills the commit, in an order that every copy of the hub keeps: messages, identifiers, transfers, people, consents. It asks twice,
// because the people are known only when the transfers are; and once more for the open transfers of those whose consent changes.
func (c *commit) read(ctx context.Context, tx store.Tx, tickets []*ticket) error {
	var n needs
	for _, t := range tickets {
		t.op.reads(&n)
	}
	err := c.load(ctx, tx, &store.Wanted{
		// A sender that lost patience may be here twice with one message.
		Messages: lo.Uniq(n.messages), Identifiers: slices.Concat(n.known, n.changed),
		Transfers: unique(n.transfers), People: unique(n.decided), Payloads: unique(n.payloads),
		Requests: unique(n.requests), Entries: lo.Uniq(n.entries),
		Cases: unique(n.cases), Notices: unique(n.notices), NoticesOf: unique(n.noticesOf),
	})
	if err != nil {
		return err
	}
	whole := unique(append(c.subjects(n.whole), n.subjects...))
	if err := c.readOpen(ctx, tx, unique(append(c.subjects(n.revisit), whole...))); err != nil {
		return err
	}
	named := lo.Uniq(slices.Concat(n.known, n.changed))
	if err := c.readPeople(ctx, tx, unique(append(c.subjects(n.changed), whole...)), len(named) > len(c.subjectOf)); err != nil {
		return err
	}
	if err := c.readPast(ctx, tx, c.subjects(n.past)); err != nil {
		return err
	}
	if err := c.readWhole(ctx, tx, whole); err != nil {
		return err
	}
	// Under the locks, so that the times of two copies' commits about one person are in the order of the commits.
	c.at = c.x.cfg.Now().UTC().Truncate(time.Microsecond)
	return nil
}

func (c *commit) load(ctx context.Context, tx store.Tx, want *store.Wanted) error {
	want.ActsAfter = c.register.seq
	got, err := tx.Load(ctx, want)
	if err != nil {
		return err
	}
	if err := c.takeActs(got.Acts); err != nil {
		return err
	}
	for i := range got.ByMessage {
		t := &got.ByMessage[i]
		key := store.MessageKey{Sender: t.Sender, MessageID: t.MessageID}
		c.byMessage[key] = append(c.byMessage[key], t)
	}
	for _, r := range got.Identifiers {
		c.subjectOf[r.Hash] = r.Subject
	}
	for i := range got.Transfers {
		t := &got.Transfers[i]
		if c.transfers[t.ID] == nil {
			c.transfers[t.ID] = t
		}
	}
	for _, j := range got.People {
		if !slices.Contains(c.people[j.Transfer], j) {
			c.people[j.Transfer] = append(c.people[j.Transfer], j)
		}
	}
	for _, r := range got.Rulings {
		if c.ruled[r.ID] {
			continue
		}
		c.ruled[r.ID] = true
		var ruling policy.Ruling
		if err := json.Unmarshal(r.Body, &ruling); err != nil {
			return fmt.Errorf("read a ruling about %s: %w", r.Transfer, err)
		}
		if ruling.Act != ledger.Reviewed { // which changes nothing
			c.rulings[r.Transfer] = append(c.rulings[r.Transfer], ruling)
		}
	}
	for i := range got.Requests {
		c.requests[got.Requests[i].Reference] = &got.Requests[i]
	}
	for _, e := range got.Entries {
		c.byEntry[e.ID] = e
	}
	for _, k := range got.Cases {
		c.cases[k.Reference] = k
	}
	for _, n := range got.Notices {
		c.notice[n.ID] = n
		c.noticesOf[n.Case] = append(c.noticesOf[n.Case], n)
	}
	for _, p := range got.Payloads {
		c.payloads[p.Transfer] = p
	}
	return nil
}

// readOpen finds the open transfers of people whose consent changes: they are decided again in this commit.
func (c *commit) readOpen(ctx context.Context, tx store.Tx, changed []transfer.SubjectID) error {
	var open []transfer.TransferID
	for _, subject := range changed {
		ids, err := tx.TransfersOf(ctx, []transfer.SubjectID{subject}, openStates)
		if err != nil {
			return fmt.Errorf("read open transfers: %w", err)
		}
		c.openOf[subject] = ids
		open = append(open, ids...)
	}
	if len(open) == 0 {
		return nil
	}
	open = unique(open)
	return c.load(ctx, tx, &store.Wanted{Transfers: open, People: open, Payloads: open})
}

// readPast finds what was released about people, and by whom. That cannot change any more, and so nothing is locked.
func (c *commit) readPast(ctx context.Context, tx store.Tx, people []transfer.SubjectID) error {
	for _, who := range people {
		ids, err := tx.TransfersOf(ctx, []transfer.SubjectID{who}, nil)
		if err != nil {
			return fmt.Errorf("read past transfers: %w", err)
		}
		if c.past[who], err = c.x.cfg.Store.Transfers(ctx, ids); err != nil {
			return fmt.Errorf("read past transfers: %w", err)
		}
	}
	return nil
}

// readPeople locks everybody whom the operations are about: those who change, and all of them where somebody may become known by one number more.
func (c *commit) readPeople(ctx context.Context, tx store.Tx, changed []transfer.SubjectID, unknown bool) error {
	all := slices.Clone(changed)
	for _, s := range c.subjectOf {
		all = append(all, s)
	}
	for _, joins := range c.people {
		for _, j := range joins {
			all = append(all, j.Subject)
		}
	}
	all = unique(all)
	if len(all) == 0 {
		return nil
	}
	// All in the same way, although only a consent event needs its person for itself: two copies that took some people so and others so
	// could each hold whom the other waits for.
	alone, shared := all, []transfer.SubjectID(nil)
	if len(changed) == 0 && !unknown {
		alone, shared = nil, all
	}
	people, consents, err := tx.LoadPeople(ctx, alone, shared)
	if err != nil {
		return err
	}
	for _, s := range people {
		c.salts[s.ID], c.macs[s.ID] = s.Salt, s.MAC
	}
	return c.addEvents(consents)
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

// write puts down what the operations came to. The leaves are first, because their answer is waited for; the store sends the rest
// together, at the commit.
func (c *commit) write(ctx context.Context, tx store.Tx) error {
	if err := c.appendLog(ctx, tx); err != nil {
		return err
	}
	over := c.settleWork()
	known := c.mark()
	if err := tx.Insert(ctx, &c.insert); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	if len(known) > 0 {
		if err := tx.RemarkPeople(ctx, known); err != nil {
			return fmt.Errorf("mark people: %w", err)
		}
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
	if len(c.decideRequests) > 0 {
		if err := tx.DecideRequests(ctx, c.decideRequests); err != nil {
			return fmt.Errorf("decide requests: %w", err)
		}
	}
	if err := c.writeActs(ctx, tx); err != nil {
		return err
	}
	if len(c.work) > 0 {
		if err := tx.WorkDone(ctx, over, c.at); err != nil {
			return fmt.Errorf("take work off the queues: %w", err)
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
	return nil
}

// writeActs puts down what only acts come to.
func (c *commit) writeActs(ctx context.Context, tx store.Tx) error {
	if len(c.putCases) > 0 {
		if err := tx.UpdateCases(ctx, c.putCases); err != nil {
			return fmt.Errorf("update cases: %w", err)
		}
	}
	if len(c.putNotices) > 0 {
		if err := tx.UpdateNotices(ctx, c.putNotices); err != nil {
			return fmt.Errorf("update notices: %w", err)
		}
	}
	if len(c.eraseWho) > 0 {
		if err := tx.ErasePeople(ctx, c.eraseWho); err != nil {
			return fmt.Errorf("erase people: %w", err)
		}
	}
	if len(c.forget) > 0 {
		if err := tx.DeleteConsents(ctx, c.forget); err != nil {
			return fmt.Errorf("forget what people said: %w", err)
		}
	}
	if len(c.deleteCases) > 0 {
		if err := tx.DeleteCases(ctx, c.deleteCases); err != nil {
			return fmt.Errorf("delete cases: %w", err)
		}
	}
	if len(c.deleteRequests) > 0 {
		if err := tx.DeleteRequests(ctx, c.deleteRequests); err != nil {
			return fmt.Errorf("delete requests: %w", err)
		}
	}
	return nil
}

func (c *commit) appendLog(ctx context.Context, tx store.Tx) error {
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

// leaf adds a leaf and gives its index in the log. It is filed under its transfer, or under key where it is about none. That somebody asked
// about a person is filed under the person: it is part of what became of what is known of them.
func (c *commit) leaf(l *ledger.Leaf) int64 {
	if q := l.Query; q != nil && q.Subject != "" && l.Transfer == "" {
		return c.leafUnder(personKey(q.Subject), l)
	}
	return c.leafUnder(l.Transfer, l)
}

func (c *commit) leafUnder(key transfer.TransferID, l *ledger.Leaf) int64 {
	l.At = c.at
	text := l.AppendTo(make([]byte, 0, 2<<10)) // most fit
	if len(text) > ledger.MaxLeafBytes {
		c.broken = ErrTooLarge
	}
	c.leaves = append(c.leaves, text)
	index := c.x.tree.Size() + int64(len(c.leaves)) - 1
	c.bears(l, index)
	shape, fresh := c.x.shapes.Of(l)
	c.about = append(c.about, store.LeafAbout{Transfer: key, Shape: shape})
	if fresh != nil && !slices.ContainsFunc(c.insert.Shapes, func(s store.Shape) bool { return s.ID == shape }) {
		c.insert.Shapes = append(c.insert.Shapes, store.Shape{ID: shape, Body: fresh.Body, First: store.LeafRef{Origin: c.x.cfg.Origin, Index: index}})
		c.shapes = append(c.shapes, fresh)
	}
	return index
}

// move changes the state of a transfer, if it may become that.
func (c *commit) move(t *store.Transfer, to transfer.State, flow string, releaseLeaf int64) error {
	if !t.State.CanBecome(to) {
		return &StateError{Transfer: t.ID, State: t.State, Asked: string(to)}
	}
	c.moved(t, to, flow, releaseLeaf)
	return nil
}

// moved changes the state of a transfer. A second move in the same commit starts from where the first began.
func (c *commit) moved(t *store.Transfer, to transfer.State, flow string, releaseLeaf int64) {
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

// commitment is what leaves say of a person. Without the salt there is none: the person was erased, and a leaf that anybody could link
// to them must not be written.
func (c *commit) commitment(s transfer.SubjectID) string {
	salt, known := c.salts[s]
	if !known {
		c.broken = fmt.Errorf("a person of this transfer has been erased: %w", store.ErrConflict) // meanwhile, perhaps: when it is done again they are somebody new
	}
	return seal.Commitment(salt, s)
}

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
