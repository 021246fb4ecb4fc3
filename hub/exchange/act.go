package exchange

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Act is a use case of another package, carried through a commit as the exchange's own are, and alone in it.
type Act interface {
	// Reads names what the act depends on, before the transaction.
	Reads(r *Reads)
	// Judge decides in memory, under the locks of the transaction, and says to the session what is to be written. It may run more than
	// once, when a commit has to be repeated; it starts from nothing each time. An error writes nothing; one from Answered is an answer to
	// whoever asked, any other a fault of the hub.
	Judge(s *Session) error
}

// Do carries an act through a commit.
func (x *Exchange) Do(ctx context.Context, a Act) error { return x.do(ctx, &acting{x: x, of: a}) }

// Answered marks an error as an answer to whoever asked: what they asked for cannot be done, and the error says why.
func Answered(err error) error { return &answeredError{err} }

type answeredError struct{ error }

func (e *answeredError) Unwrap() error { return e.error }

// acting is an Act as an operation.
type acting struct {
	x  *Exchange
	of Act
}

func (a *acting) reads(n *needs) { a.of.Reads(&Reads{a.x, n}) }

func (a *acting) judge(c *commit) error { return a.of.Judge(&Session{c}) }

// alone is a group of one act, and none is the group of everything else.
func alone(t *ticket) bool {
	_, is := t.op.(*acting)
	return is
}

// Reads collects what an act depends on.
type Reads struct {
	x *Exchange
	n *needs
}

// Person asks for whoever is known by these identifiers, which a partner gives, with all that the log has of them and the transfers that are
// open. They are kept from everybody else until the commit.
func (r *Reads) Person(by transfer.PartnerID, ids []contracts.Identifier) {
	hashes := r.x.identifierHashes(by, ids)
	r.n.changed = append(r.n.changed, hashes...)
	r.n.whole = append(r.n.whole, hashes...)
}

// Subject asks for a person whom a case names, in the same way.
func (r *Reads) Subject(id transfer.SubjectID) {
	if id != "" {
		r.n.subjects = append(r.n.subjects, id)
	}
}

// Case, Notice and NoticesOf ask for a case, a notice, the notices of a case; Transfer for a transfer; Entry for what was entered under an
// id before.
func (r *Reads) Case(reference string)           { r.n.cases = append(r.n.cases, reference) }
func (r *Reads) Notice(id string)                { r.n.notices = append(r.n.notices, id) }
func (r *Reads) NoticesOf(reference string)      { r.n.noticesOf = append(r.n.noticesOf, reference) }
func (r *Reads) Transfer(id transfer.TransferID) { r.n.transfers = append(r.n.transfers, id) }
func (r *Reads) Entry(e *store.Entry)            { r.n.entries = append(r.n.entries, e.ID) }

// Session is a commit, as an act sees it.
type Session struct{ c *commit }

// At is the time of the commit: that of every leaf in it.
func (s *Session) At() time.Time { return s.c.at }

// Index is the register in force.
func (s *Session) Index() *agreement.Index { return s.c.index }

// Staff finds somebody on a partner's register; the error is a *RoleError.
func (s *Session) Staff(of transfer.PartnerID, id string) (*transfer.Person, error) {
	return s.c.staffOf(of, id)
}

// Known gives the people whom identifiers mean: none, one, or several when they disagree.
func (s *Session) Known(by transfer.PartnerID, ids []contracts.Identifier) []transfer.SubjectID {
	return s.c.subjects(s.c.x.identifierHashes(by, ids))
}

// Person finds or makes the person with these identifiers.
func (s *Session) Person(by transfer.PartnerID, ids []contracts.Identifier) (who transfer.SubjectID, ambiguous bool) {
	return s.c.person(s.c.x.identifierHashes(by, ids))
}

// Exists reports whether a person has not been erased.
func (s *Session) Exists(who transfer.SubjectID) bool {
	_, known := s.c.salts[who]
	return known
}

// Commitment is what leaves say of a person. Asking for that of somebody who has been erased gives up the commit.
func (s *Session) Commitment(who transfer.SubjectID) string { return s.c.commitment(who) }

// History is every leaf about a person, oldest first.
func (s *Session) History(who transfer.SubjectID) []Entry { return s.c.history[who] }

// Open gives the transfers about a person that may still go, or go again.
func (s *Session) Open(who transfer.SubjectID) []*store.Transfer {
	var out []*store.Transfer
	for _, id := range s.c.openOf[who] {
		if t := s.c.transfers[id]; t != nil && isOpen(t.State) {
			out = append(out, t)
		}
	}
	return out
}

// openStates are those in which a transfer may still go, or go again.
var openStates = []transfer.State{transfer.Queued, transfer.Held, transfer.Released}

func isOpen(s transfer.State) bool { return slices.Contains(openStates, s) }

// Transfer gives one that the act asked for; nil when there is none.
func (s *Session) Transfer(id transfer.TransferID) *store.Transfer { return s.c.transfers[id] }

// Stop ends an open transfer and destroys its payload. receipt is a code and note says why, in words without personal data. It reports
// whether there was anything to stop.
func (s *Session) Stop(by ledger.Actor, t *store.Transfer, receipt, note string) bool {
	if t == nil || !isOpen(t.State) {
		return false
	}
	if t.State == transfer.Held {
		s.c.workDone(t.ID, store.Holds)
	}
	s.c.moved(t, transfer.Stopped, "", -1)
	l := outcomeLeaf(by, t)
	l.Receipt, l.Note = receipt, note
	s.c.leaf(l)
	s.c.erase, s.c.done = append(s.c.erase, t.ID), append(s.c.done, t.ID)
	return true
}

// Case gives one that the act asked for; nil when there is none. PutCase writes a new one, or a change of one whose Version is that which was
// read; it counts the version on.
func (s *Session) Case(reference string) *store.Case {
	if k, known := s.c.cases[reference]; known {
		return &k
	}
	return nil
}

// PutCase is described with Case.
func (s *Session) PutCase(k store.Case) {
	k.Version++
	s.c.cases[k.Reference] = k
	if k.Version == 1 {
		s.c.insert.Cases = append(s.c.insert.Cases, k)
	} else {
		s.c.putCases = append(s.c.putCases, k)
	}
}

// Notice gives one that the act asked for; nil when there is none.
func (s *Session) Notice(id string) *store.Notice {
	if n, known := s.c.notice[id]; known {
		return &n
	}
	return nil
}

// NoticesOf gives the notices of a case that the act asked for, by their ids.
func (s *Session) NoticesOf(reference string) []store.Notice { return s.c.noticesOf[reference] }

// PutNotice writes a new notice, or a change of one, as PutCase does.
func (s *Session) PutNotice(n store.Notice) {
	n.Version++
	s.c.notice[n.ID] = n
	if n.Version == 1 {
		s.c.insert.Notices = append(s.c.insert.Notices, n)
	} else {
		s.c.putNotices = append(s.c.putNotices, n)
	}
}

// Record records what a person said, an objection or a restriction perhaps, and decides again what is open about them, as
// Exchange.RecordConsent does. The person must be one that the act asked for.
func (s *Session) Record(by Principal, ev consent.Event) (Consented, error) {
	op := &recordConsent{x: s.c.x, by: by, event: ev}
	op.done = Consented{ID: ev.ID, Origin: s.c.x.cfg.Origin}
	var err error
	if op.done.Leaf, err = s.c.recordConsent(by, ev); err != nil {
		return Consented{}, err
	}
	for _, id := range s.c.openOf[ev.Subject] {
		op.revisit(s.c, id)
	}
	return op.done, nil
}

// Erase destroys what links a person to the log: salt, identifiers, what they said, their places in transfers. Their open transfers must have
// been stopped, and every leaf that names them written.
func (s *Session) Erase(who transfer.SubjectID) {
	if len(s.Open(who)) > 0 {
		s.c.broken = fmt.Errorf("a person with open transfers was to be erased")
	}
	delete(s.c.salts, who)
	s.c.eraseWho = append(s.c.eraseWho, who)
}

// Forget deletes what a partner recorded that a person agreed to. A no stays as long as the person is known: without it, what they stopped would
// go again.
func (s *Session) Forget(who transfer.SubjectID, recordedBy transfer.PartnerID) {
	no := []consent.State{consent.Refused, consent.Withdrawn, consent.Objected, consent.Restricted, consent.RestrictionLifted}
	for _, ev := range s.c.events[who] {
		if ev.RecordedBy == recordedBy && !slices.Contains(no, ev.State) {
			s.c.forget = append(s.c.forget, ev.ID)
		}
	}
}

// Delete deletes cases with their notices, and one-off requests, because their time is over.
func (s *Session) Delete(cases, requests []string) {
	s.c.deleteCases, s.c.deleteRequests = append(s.c.deleteCases, cases...), append(s.c.deleteRequests, requests...)
}

// Leaf writes a leaf about a transfer, or about the person of a commitment, or about neither, and gives its index.
func (s *Session) Leaf(l *ledger.Leaf, commitment string) int64 {
	if commitment != "" {
		return s.c.leafUnder(personKey(commitment), l)
	}
	return s.c.leaf(l)
}

// Before finds what was entered before under the id of an entry; the error is ErrOtherBody when it was something else.
func (s *Session) Before(e *store.Entry) (before store.Entry, repeat bool, err error) {
	before, repeat, err = s.c.entered(e)
	if err != nil {
		err = Answered(err)
	}
	return before, repeat, err
}

// Enter remembers what was entered, with the answer and the leaf that came of it.
func (s *Session) Enter(e store.Entry, answer string, leaf int64) { s.c.enter(e, answer, leaf) }

// Entry is the row of something that a partner enters under an id of its own.
func (x *Exchange) Entry(kind string, by transfer.PartnerID, id transfer.MessageID, body []byte) store.Entry {
	return x.entry(kind, by, id, body)
}

// EventID is the id of a consent event that comes of something entered under a message id.
func (x *Exchange) EventID(by transfer.PartnerID, message transfer.MessageID) string {
	id := x.cfg.Sealer.IdentifierHash("consent", string(by), string(message))
	return "c-" + hex.EncodeToString(id[:16])
}

// Log writes a leaf that changes nothing else, such as that somebody looked, and gives its index.
func (x *Exchange) Log(ctx context.Context, l *ledger.Leaf) (int64, error) {
	op := &record{leaf: l}
	err := x.do(ctx, op)
	return op.index, err
}

// readWhole reads all that the log has of people, under their locks.
func (c *commit) readWhole(ctx context.Context, tx store.Tx, people []transfer.SubjectID) error {
	for _, who := range people {
		if _, exists := c.salts[who]; !exists {
			continue
		}
		open, err := tx.TransfersOf(ctx, []transfer.SubjectID{who}, openStates)
		if err != nil {
			return fmt.Errorf("read the open transfers of a person: %w", err)
		}
		if slices.ContainsFunc(open, func(id transfer.TransferID) bool { return !slices.Contains(c.openOf[who], id) }) {
			// Another copy of the hub accepted something about them before they were locked: it is seen when this is done again.
			return fmt.Errorf("a transfer came in meanwhile: %w", store.ErrConflict)
		}
		ids, err := tx.TransfersOf(ctx, []transfer.SubjectID{who}, nil)
		if err != nil {
			return fmt.Errorf("read the transfers of a person: %w", err)
		}
		if c.history[who], err = c.x.entries(ctx, append(ids, personKey(c.commitment(who)))); err != nil {
			return err
		}
	}
	return nil
}
