package exchange

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Query asks the disclosure log who received what: about a person, about a transfer, or in the words of a Filter alone.
type Query struct {
	Person   *contracts.Identifier
	Of       transfer.PartnerID // who gave the person that number, when it is a case number: the asker when empty
	Transfer transfer.TransferID
	Filter

	Why      string
	Everyone bool    // the asker sees every partner's transfers, not only its own
	Newest   bool    // first; otherwise the oldest is
	After    []Place // where the page before ended: its Next
	Limit    int     // entries of the answer at most; 0: MostFound
	Form     string  // in which the answer will be written, for the log: "csv"; empty for an answer of the API
}

// numbers matches what may be somebody's number or date of birth, however it is spaced.
var numbers = regexp.MustCompile(`(\p{Nd}[\s\p{Z}\p{Pd}./_]?){8,}`)

// HoldsNumber reports whether a reason holds what may identify somebody. Whoever takes a reason from a person refuses such a one before
// it is logged: leaves cannot be taken back.
func HoldsNumber(reason string) bool { return numbers.MatchString(reason) }

// RefusedError says that a question is outside its asker's role. It is in the log that it was asked, and nobody has looked for an answer.
type RefusedError struct {
	Code   string // as the leaf has it
	Detail string
}

func (e *RefusedError) Error() string { return e.Detail }

// Search finds what the log holds, and writes down that it was asked before it answers. Somebody the hub does not know gives an empty answer and
// a leaf all the same. The errors are *WordError, ErrNoPlace, and *RefusedError for what the asker may not ask.
func (x *Exchange) Search(ctx context.Context, by Principal, q Query) (*Found, error) {
	search := &search{x: x, by: by, q: &q, terms: q.terms(x.Index())}
	if err := search.learn(ctx, q.kind() == "log"); err != nil {
		return nil, err
	}
	asked := &ledger.Query{Kind: q.kind(), Why: q.Why, Filter: text(search.terms), Form: q.Form}
	if err := q.outside(by); err != nil {
		return nil, cmp.Or(x.Refuse(ctx, by, asked, err.Code), error(err))
	}
	var strands []*strand
	var err error
	switch {
	case q.Person != nil:
		var keys []transfer.TransferID
		if keys, search.about, err = x.keysOf(ctx, cmp.Or(q.Of, by.Partner), *q.Person); err == nil {
			strands, err = search.under(ctx, keys)
		}
		if err == nil && !q.Everyone {
			search.since, err = x.erasedBy(ctx, search.about, by.Partner)
		}
	case q.Transfer != "":
		strands, err = search.under(ctx, []transfer.TransferID{q.Transfer})
	default:
		strands, err = search.like(ctx)
	}
	if err != nil {
		return nil, err
	}
	found, err := search.collect(ctx, strands)
	if err != nil {
		return nil, err
	}
	asked.Found, asked.Subject = found.Size, search.about
	leaf := &ledger.Leaf{Kind: ledger.KindQuery, Actor: actorOf(by), Transfer: q.Transfer, Query: asked}
	if found.Leaf, err = x.Log(ctx, leaf); err != nil {
		return nil, err
	}
	_, checkpoint, err := x.cfg.Store.Log(ctx, x.cfg.Origin).Head()
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint: %w", err)
	}
	found.head = report.Head{
		Index: x.Index(), Question: search.question(), By: leaf.Actor, Why: q.Why, At: leaf.At, Query: Place{Origin: x.cfg.Origin, Index: found.Leaf},
		Checkpoint: string(checkpoint), More: found.Next != nil,
	}
	if !q.Everyone {
		found.head.For = by.Partner
	}
	return found, nil
}

// question says what was asked, in words that name nobody.
func (s *search) question() []report.Line {
	var out []report.Line
	switch {
	case s.q.Person != nil:
		out = append(out, report.Line{Name: "about", Value: "one person"})
	case s.q.Transfer != "":
		out = append(out, report.Line{Name: "transfer", Value: string(s.q.Transfer)})
	}
	for _, t := range s.terms {
		out = append(out, report.Line{Name: t.name, Value: t.value})
	}
	return out
}

func (q *Query) kind() string {
	switch {
	case q.Person != nil:
		return "person"
	case q.Transfer != "":
		return "transfer"
	}
	return "log"
}

// Refuse writes down that something was asked which is not answered, and why, as a code.
func (x *Exchange) Refuse(ctx context.Context, by Principal, asked *ledger.Query, code string) error {
	asked.Refused = code
	_, err := x.Log(ctx, &ledger.Leaf{Kind: ledger.KindQuery, Actor: actorOf(by), Query: asked})
	return err
}

// outside says what of a question is none of the asker's business.
func (q *Query) outside(by Principal) *RefusedError {
	switch {
	case q.Everyone:
	case q.Of != "" && q.Of != by.Partner:
		return &RefusedError{"number-of-another", "A number that another partner gave somebody is that partner's. Ask by a number of your own, or by the NHS number."}
	case q.Sender != "" && q.Sender != by.Partner && q.Recipient != "" && q.Recipient != by.Partner:
		return &RefusedError{"others-transfers", "What other partners send one another is theirs. Ask about what you sent or received."}
	}
	return nil
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
	if err != nil {
		return nil, "", fmt.Errorf("read person: %w", err)
	}
	if len(rows) == 0 {
		return nil, "", nil // erased a moment ago
	}
	ids, err := x.cfg.Store.TransfersOf(ctx, []transfer.SubjectID{who}, nil)
	if err != nil {
		return nil, "", fmt.Errorf("read the transfers of a person: %w", err)
	}
	commitment := seal.Commitment(rows[0].Salt, who)
	return append(ids, personKey(commitment)), commitment, nil
}

// erasedBy is when a partner erased a person the last time; zero when it never did. What it has of them from before it finds no more, although
// others may, who need them still: that somebody else does is not its to know.
func (x *Exchange) erasedBy(ctx context.Context, commitment string, p transfer.PartnerID) (at time.Time, err error) {
	if commitment == "" {
		return at, nil
	}
	own, err := x.entries(ctx, []transfer.TransferID{personKey(commitment)})
	for _, e := range own {
		if l := e.Leaf; l.Sender == p && l.Erased() {
			at = l.At
		}
	}
	return at, err
}

// personKey files the leaves that are about a person and not about a transfer.
func personKey(commitment string) transfer.TransferID {
	return transfer.TransferID("person/" + commitment)
}

// entries gives all leaves that are filed under keys, by their time.
func (x *Exchange) entries(ctx context.Context, keys []transfer.TransferID) ([]Entry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	refs, err := x.cfg.Store.LeavesOf(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("find leaves: %w", err)
	}
	out, err := x.leavesAt(ctx, refs)
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(a.Leaf.At.Compare(b.Leaf.At), cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Index, b.Index))
	})
	return out, err
}

// leavesAt reads leaves, in the order of refs.
func (x *Exchange) leavesAt(ctx context.Context, refs []store.LeafRef) ([]Entry, error) {
	bodies, err := x.cfg.Store.LeafBodies(ctx, refs)
	if err != nil {
		return nil, fmt.Errorf("read leaves: %w", err)
	}
	out := make([]Entry, len(refs))
	for i, r := range refs {
		out[i] = Entry{Origin: r.Origin, Index: r.Index}
		if out[i].Leaf, err = ledger.Parse(bodies[i]); err != nil {
			return nil, fmt.Errorf("read leaf %d of log %s: %w", r.Index, r.Origin, err)
		}
	}
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
