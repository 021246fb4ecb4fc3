package exchange

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/bus"
	"referralhub/hub/consent"
	"referralhub/hub/dataset"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Principal is who asks.
type Principal = auth.Principal

// Judged is a transfer with the leaf of its first decision.
type Judged struct {
	Transfer store.Transfer
	Decision *ledger.Leaf
	Release  Place        // of the newest release, when one is asked for that was released
	Last     *ledger.Leaf // the newest receipt or delivery outcome; nil when there is none, and in listings
}

// Submitted is what became of a message: one transfer for each recipient, in the order in which it named them.
type Submitted struct {
	Repeat    bool // the same message was submitted before, and this is the same answer
	Transfers []Judged
}

// Submit judges a message for each of its recipients and keeps what may go. The sender's message id is the idempotency key: the same
// message again gives the same answer, another message under its id is ErrOtherBody.
func (x *Exchange) Submit(ctx context.Context, by Principal, doc *contracts.Document) (Submitted, error) {
	op := &submit{x: x, by: by, doc: doc, key: store.MessageKey{Sender: by.Partner, MessageID: doc.Envelope.MessageID}}
	sum := sha256.Sum256(doc.Body)
	digest := x.cfg.Sealer.IdentifierHash("message", string(by.Partner), hex.EncodeToString(sum[:]))
	op.digest = digest[:]
	op.hashes = make([][]hash, len(doc.Subjects))
	for i, s := range doc.Subjects {
		op.hashes[i] = x.identifierHashes(by.Partner, s.Identifiers)
	}
	for _, k := range doc.Consents {
		ev, err := consent.Parse(k.Body)
		if err != nil {
			return Submitted{}, fmt.Errorf("read consent of the message: %w", err)
		}
		op.events = append(op.events, ev)
	}
	var err error
	if op.onward, err = x.onward(ctx, by.Partner, doc.Envelope.OnwardOf); err != nil {
		return Submitted{}, err
	}
	if err := x.do(ctx, op); err != nil {
		return Submitted{}, err
	}
	if op.repeat == nil {
		return Submitted{Transfers: op.judged}, nil
	}
	judged, err := x.judged(ctx, op.repeat)
	if err != nil {
		return Submitted{}, err
	}
	return Submitted{Repeat: true, Transfers: inOrderOf(doc.Envelope.Recipients, judged)}, nil
}

// judged reads the first decisions of transfers back from the log.
func (x *Exchange) judged(ctx context.Context, rows []store.Transfer) ([]Judged, error) {
	out := make([]Judged, 0, len(rows))
	for _, t := range rows {
		l, err := x.leafAt(ctx, t.Log, t.DecisionLeaf)
		if err != nil {
			return nil, fmt.Errorf("decision of %s: %w", t.ID, err)
		}
		out = append(out, Judged{Transfer: t, Decision: l})
	}
	return out, nil
}

func (x *Exchange) leafAt(ctx context.Context, origin string, index int64) (*ledger.Leaf, error) {
	raw, err := x.cfg.Store.Log(ctx, origin).Leaves(index, index+1)
	if err != nil {
		return nil, fmt.Errorf("read leaf %d of log %s: %w", index, origin, err)
	}
	if len(raw) != 1 {
		return nil, fmt.Errorf("leaf %d of log %s: %w", index, origin, store.ErrNotFound)
	}
	return ledger.Parse(raw[0])
}

func inOrderOf(recipients []transfer.PartnerID, judged []Judged) []Judged {
	out := make([]Judged, 0, len(judged))
	for _, r := range recipients {
		for _, j := range judged {
			if j.Transfer.Recipient == r {
				out = append(out, j)
			}
		}
	}
	return out
}

type submit struct {
	x      *Exchange
	by     Principal
	doc    *contracts.Document
	key    store.MessageKey
	digest []byte
	hashes [][]hash        // by subject of the document
	onward *policy.Onward  // nil for the sender's own data
	events []consent.Event // by consent of the document

	judged []Judged
	repeat []store.Transfer
}

func (s *submit) reads(n *needs) {
	n.messages = append(n.messages, s.key)
	consenting := map[int]bool{}
	for i, k := range s.doc.Consents {
		at := s.indexOf(k)
		consenting[at] = true
		if s.events[i].State == consent.Withdrawn {
			n.revisit, n.past = append(n.revisit, s.hashes[at]...), append(n.past, s.hashes[at]...)
		}
	}
	for i, h := range s.hashes {
		if consenting[i] {
			n.changed = append(n.changed, h...)
		} else {
			n.known = append(n.known, h...)
		}
	}
}

func (s *submit) indexOf(k contracts.Consent) int {
	for i, ds := range s.doc.Subjects {
		if ds.Role == k.Role && ds.Position == k.Position {
			return i
		}
	}
	return -1
}

func (s *submit) judge(c *commit) error {
	s.judged, s.repeat = nil, nil
	if before := c.byMessage[s.key]; len(before) > 0 {
		for _, t := range before {
			if !bytes.Equal(t.BodyDigest, s.digest) {
				return ErrOtherBody
			}
			s.repeat = append(s.repeat, *t)
		}
		return nil
	}
	people := c.peopleOf(s.doc, s.hashes)
	for i, k := range s.doc.Consents {
		ev := s.events[i]
		ev.ID, ev.Subject, ev.RecordedBy = newID(), people[s.indexOf(k)].id, s.by.Partner
		if err := s.record(c, ev); err != nil {
			return err
		}
	}
	for _, r := range s.doc.Envelope.Recipients {
		if err := s.judgeFor(c, r, people); err != nil {
			return err
		}
	}
	return nil
}

// record writes down what somebody said, as the message has it. A withdrawal does all that one does which comes by itself.
func (s *submit) record(c *commit, ev consent.Event) error {
	if _, err := c.recordConsent(s.by, ev); err != nil || ev.State != consent.Withdrawn {
		return err
	}
	op := &recordConsent{x: s.x, by: s.by, event: ev}
	for _, id := range c.openOf[ev.Subject] {
		op.revisit(c, id)
	}
	return op.tell(c, ev.Subject)
}

// judgeFor decides for one recipient and keeps what may go to it.
func (s *submit) judgeFor(c *commit, recipient transfer.PartnerID, people []subject) error {
	env := s.doc.Envelope
	t := store.Transfer{
		ID: transfer.TransferID(newID()), Sender: s.by.Partner, SenderSystem: s.by.System, MessageID: env.MessageID, BodyDigest: s.digest,
		CorrelationID: env.CorrelationID, Recipient: recipient, Type: s.doc.Contract.Type, Purpose: env.Purpose, Service: env.Service,
		CreatedAt: c.at, UpdatedAt: c.at, Log: s.x.cfg.Origin, ReleaseLeaf: -1,
	}
	if s.doc.Undertaking != nil {
		t.Undertaking = s.doc.Undertaking.Basis
	}
	r := policy.NewRequest(c.index, t.Sender, t.Recipient, s.doc, c.at)
	r.Onward = s.onward
	d := c.decide(r, people)
	t.Flow, t.Push = d.clause(), d.Push
	switch {
	case d.Outcome.Permits():
		t.State, t.ExpiresAt = transfer.Queued, c.at.Add(s.x.cfg.QueuedFor)
		if !d.Expires.IsZero() && d.Expires.Before(t.ExpiresAt) {
			t.ExpiresAt = d.Expires
		}
		if err := c.keep(&t, s.doc, &d, people, permitted); err != nil {
			return err
		}
		c.enqueue(&t)
	case d.Outcome == transfer.Hold:
		t.State, t.ExpiresAt = transfer.Held, c.at.Add(s.x.cfg.HeldFor)
		if err := c.keep(&t, s.doc, &d, people, covered); err != nil {
			return err
		}
	default:
		t.State = transfer.Refused
	}
	l := c.leafOf(actorOf(s.by), &t, &d, people)
	t.DecisionLeaf = c.leaf(l)
	c.workOf(&t, &d, t.DecisionLeaf)
	for _, p := range people {
		c.insert.TransferSubjects = append(c.insert.TransferSubjects, store.TransferSubject{
			Transfer: t.ID, Role: p.Role, Position: p.Position, Subject: p.id,
		})
	}
	c.insert.Transfers = append(c.insert.Transfers, t)
	c.byMessage[s.key] = append(c.byMessage[s.key], &t)
	s.judged = append(s.judged, Judged{Transfer: t, Decision: l})
	return nil
}

// keep seals what may go, and nothing else: the hub is not a case store.
func (c *commit) keep(t *store.Transfer, doc *contracts.Document, d *decided, people []subject,
	pick func(*policy.SubjectDecision) contracts.ItemSet,
) error {
	parts := c.parts(t, d, pick)
	data, err := dataset.Cut(doc, parts)
	if err != nil {
		return fmt.Errorf("cut the message for %s: %w", t.Recipient, err)
	}
	f := factsOf(&d.request, d.Flow, people)
	for i := range f.People {
		f.People[i].Kept = !parts[i].Items.And(doc.Subjects[i].Items).Empty()
	}
	plain, err := pack(f, data)
	if err != nil {
		return err
	}
	nonce := newNonce()
	sealed, err := c.x.cfg.Sealer.Seal(t.ID, nonce, plain)
	if err != nil {
		return fmt.Errorf("seal the dataset of %s: %w", t.ID, err)
	}
	c.insert.Payloads = append(c.insert.Payloads, store.Payload{Transfer: t.ID, Sealed: sealed, Nonce: nonce})
	return nil
}

// enqueue puts a transfer where the bus and, should that forget it, the sweeper find it.
func (c *commit) enqueue(t *store.Transfer) {
	c.insert.Outbox = append(c.insert.Outbox, store.Outbox{Transfer: t.ID, Recipient: t.Recipient, Due: c.at.Add(c.x.cfg.RetryAfter)})
	c.publish = append(c.publish, bus.Message{Recipient: t.Recipient, Transfer: t.ID})
	if !t.Push {
		c.notices = append(c.notices, noticeOf(t))
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
