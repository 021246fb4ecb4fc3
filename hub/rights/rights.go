package rights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/dates"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Config is what Rights is made of. Exchange, Store and Origin are required.
type Config struct {
	Exchange *exchange.Exchange
	Store    store.Store
	Origin   string          // of the exchange's log
	Calendar *dates.Calendar // England and Wales
	Now      func() time.Time
	Log      *slog.Logger
}

// Rights carries out what people do about cases. It is safe for concurrent use.
type Rights struct {
	cfg        Config
	procedures map[Type]*procedure
}

// New checks the configuration and fills its defaults.
func New(cfg Config) (*Rights, error) {
	if cfg.Exchange == nil || cfg.Store == nil || cfg.Origin == "" {
		return nil, errors.New("rights: exchange, store and origin are required")
	}
	if cfg.Calendar == nil {
		cfg.Calendar = dates.EnglandAndWales()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Rights{cfg: cfg, procedures: procedures()}, nil
}

// procedures is how each type of case goes.
func procedures() map[Type]*procedure {
	return map[Type]*procedure{
		Access:        &access,
		Portability:   &portability,
		Rectification: &rectification,
		Erasure:       &erasure,
		Restriction:   &restriction,
		Objection:     &objection,
		Withdrawal:    &withdrawal,
		LegalHold:     &legalHold,
		Retention:     &retention,
		Complaint:     &complaint,
		Incident:      &incident,
		Flag:          &flagged,
	}
}

// hub is the hub itself, where it acts without anybody.
var hub = exchange.Principal{Partner: ledger.Hub.Partner, System: ledger.Hub.System}

// ErrNoCase is what a partner gets for a case that does not exist or is another partner's: the two are not told apart.
var ErrNoCase = fmt.Errorf("no such case of yours: %w", store.ErrNotFound)

// Opening is a case as it is entered.
type Opening struct {
	MessageID   transfer.MessageID     `json:"message_id"`
	Type        Type                   `json:"type"`
	Identifiers []contracts.Identifier `json:"-"`              // of the person
	IDsOf       transfer.PartnerID     `json:"-"`              // who gave them their case number; whoever opens the case, when empty
	Person      string                 `json:"person"`         // who opens it, by the id of the register
	Received    dates.Date             `json:"received"`       // the day on which it came in; today, when it is none
	Channel     string                 `json:"channel"`        // how: "telephone", "post", "email", "in-person", "online" (rule 000-12: by any)
	Identity    string                 `json:"identity"`       // whether the person is who they say: "known", or "to-confirm"
	Role        transfer.Role          `json:"role"`           // of the person in the transfers; any, when empty
	Items       []string               `json:"items"`          // that it is about; all, when empty
	Grounds     []string               `json:"grounds"`        // codes of the procedure
	Aware       time.Time              `json:"aware,omitzero"` // from when hours count; for incidents
	Stage       string                 `json:"stage"`
	Scope       json.RawMessage        `json:"scope"`
}

// Open opens a case. body is what was sent: the same under the same message id gives the same case, and repeat says so; another is
// exchange.ErrOtherBody. The other errors are *contracts.InvalidError, *exchange.RoleError and *Impossible.
func (r *Rights) Open(ctx context.Context, by exchange.Principal, o *Opening, body []byte) (k *Case, repeat bool, err error) {
	return r.open(ctx, by, o, body, false)
}

func (r *Rights) open(ctx context.Context, by exchange.Principal, o *Opening, body []byte, auto bool) (*Case, bool, error) {
	p := r.procedures[o.Type]
	if p == nil || p.hub && !auto {
		return nil, false, invalid("/type", "enum", "nobody opens a case of this type", "use one of: "+words(r.entered()))
	}
	op := &opening{r: r, p: p, by: by, auto: auto, in: o, entry: r.cfg.Exchange.Entry("case", by.Partner, o.MessageID, body), reference: newReference()}
	if err := r.cfg.Exchange.Do(ctx, op); err != nil {
		return nil, false, err
	}
	if op.repeat {
		k, err := r.Case(ctx, by, op.reference)
		return k, true, err
	}
	return op.k, false, nil
}

// entered lists the types of case that people open.
func (r *Rights) entered() []Type {
	return slices.DeleteFunc(Types(), func(t Type) bool { return r.procedures[t] == nil || r.procedures[t].hub })
}

// opening is a case that is being opened.
type opening struct {
	r         *Rights
	p         *procedure
	by        exchange.Principal
	auto      bool
	in        *Opening
	entry     store.Entry
	reference string

	repeat bool
	k      *Case
}

func (o *opening) Reads(r *exchange.Reads) {
	r.Entry(&o.entry)
	if len(o.in.Identifiers) > 0 {
		r.Person(o.of(), o.in.Identifiers)
	}
	if o.p.reads != nil {
		o.p.reads(o.in, r)
	}
}

func (o *opening) of() transfer.PartnerID {
	if o.in.IDsOf != "" && o.r.operates(o.by.Partner) {
		return o.in.IDsOf
	}
	return o.by.Partner
}

func (o *opening) Judge(s *exchange.Session) error {
	before, repeat, err := s.Before(&o.entry)
	if o.repeat = repeat; err != nil || repeat {
		o.reference = before.Answer
		return err
	}
	in := o.in
	w := &work{
		Session: s, rights: o.r, by: o.by, auto: o.auto,
		in: &StepIn{Step: opened, Person: in.Person, On: in.Received, Grounds: in.Grounds, Items: in.Items},
		k: &Case{
			Reference: o.reference, Type: in.Type, Partner: o.by.Partner, State: Open, Received: in.Received, Aware: in.Aware, Channel: in.Channel,
			Role: in.Role, Items: in.Items, Grounds: in.Grounds, Stage: in.Stage, Scope: in.Scope,
		},
		leaf: ledger.Case{Channel: in.Channel},
	}
	if in.Identity == "to-confirm" {
		w.k.State = Identity
	}
	if err := w.as(o.p.roles); err != nil {
		return err
	}
	if err := oneOf("/grounds", in.Grounds, o.p.grounds, false); err != nil {
		return err
	}
	if err := knownItems(in.Items); err != nil {
		return err
	}
	if in.Stage != "" && in.Type != Complaint && in.Type != Incident {
		return invalid("/stage", "unexpected", "a case of this type has no stages", "leave it out")
	}
	if err := w.day(); err != nil {
		return invalid("/received", "range", "the day is after today", "give the day on which it came in, or leave it out for today")
	}
	w.k.Received = w.on
	if o.p.person >= somebody && in.Type != Objection && len(in.Scope) > 0 {
		return invalid("/scope", "unexpected", "a request of this type has no scope", "leave it out, and name the items that it is about")
	}
	if err := o.find(w); err != nil {
		return err
	}
	if o.p.opened != nil {
		if err := o.p.opened(w); err != nil {
			return err
		}
	}
	if err := w.finish(); err != nil {
		return err
	}
	o.k = w.k
	s.Enter(o.entry, o.reference, w.k.Steps[0].Log.Index)
	return nil
}

// find finds the person. For a partner somebody is known whom it has dealt with on the hub: what others know of them makes no difference to
// the case, and shows nowhere.
func (o *opening) find(w *work) error {
	switch given := len(o.in.Identifiers) > 0; {
	case o.p.person == nobody && given:
		return invalid("/identifiers", "unexpected", "a case of this type is about nobody in particular", "leave the identifiers out")
	case o.p.person >= somebody && !given:
		return invalid("/identifiers", "required", "a case of this type is about a person", "give one or more of their identifiers")
	case !given:
		return nil
	}
	known := w.Known(o.of(), o.in.Identifiers)
	dealt := known
	if !w.operator() {
		dealt = slices.DeleteFunc(slices.Clone(known), func(s transfer.SubjectID) bool { return !dealtWith(w.History(s), o.by.Partner) })
	}
	switch {
	case len(dealt) > 1:
		return exchange.Answered(&Impossible{Why: "these identifiers belong to different people: open a case for each of them"})
	case len(dealt) == 1:
		w.k.Known, w.all = true, dealt
	case o.in.Type == LegalHold:
		return invalid("/identifiers", "unknown", "nobody whom you have dealt with is known by these identifiers, so that there is nothing to hold",
			"check them, or name an agreement, a transfer or a partner in the scope")
	case o.p.person != whoeverIs:
		return nil
	case len(known) > 0:
		w.all = known
	default:
		who, _ := w.Person(o.of(), o.in.Identifiers)
		w.all = []transfer.SubjectID{who}
	}
	w.who = w.all[0]
	w.commitment = w.Commitment(w.who)
	return nil
}

// dealtWith reports whether a partner has had to do with a person: it sent something about them, was given something, recorded what they said
// or worked on a case of theirs.
func dealtWith(history []exchange.Entry, p transfer.PartnerID) bool {
	dealt := false
	for _, e := range history {
		switch l := e.Leaf; l.Kind {
		case ledger.KindConsent:
			dealt = dealt || l.Actor.Partner == p
		case ledger.KindRelease, ledger.KindDisclosure:
			dealt = dealt || l.Sender == p || l.Recipient == p
		case ledger.KindDecision, ledger.KindCase:
			if l.Sender == p {
				dealt = !l.Erased() // whom it has erased it knows no more, until it deals with them again
			}
		default:
		}
	}
	return dealt
}

// Step takes a step. The errors are those of Open, and ErrNoCase.
func (r *Rights) Step(ctx context.Context, by exchange.Principal, reference string, in *StepIn, body []byte) (k *Case, repeat bool, err error) {
	k, repeat, err = r.step(ctx, by, reference, in, body, false)
	if err == nil && (k.State == Recalling || k.State == Informing) {
		if on, err := r.recall(ctx, k.Reference); err == nil {
			k = on
		} else {
			r.cfg.Log.ErrorContext(ctx, "recall goes on later", "case", k.Reference, "err", err)
		}
	}
	return k, repeat, err
}

func (r *Rights) step(ctx context.Context, by exchange.Principal, reference string, in *StepIn, body []byte, auto bool) (*Case, bool, error) {
	row, err := r.row(ctx, by, reference)
	if err != nil {
		return nil, false, err
	}
	if ru := r.procedures[Type(row.Type)].steps[in.Step]; ru.before != nil {
		k, err := read(row)
		if err == nil && ru.fits(k.State) {
			err = ru.before(ctx, r, by, k, in)
		}
		if err != nil {
			return nil, false, err
		}
	}
	// A step names its case, so that the same body under the same id for another case is another message.
	entry := r.cfg.Exchange.Entry("case-step", by.Partner, in.MessageID, append([]byte(reference), body...))
	op := &stepping{r: r, by: by, auto: auto, before: row, in: in, entry: entry}
	if err := r.cfg.Exchange.Do(ctx, op); err != nil {
		return nil, false, err
	}
	if op.repeat {
		k, err := r.Case(ctx, by, reference)
		return k, true, err
	}
	return op.k, false, nil
}

// stepping is a step that is being taken.
type stepping struct {
	r      *Rights
	by     exchange.Principal
	auto   bool
	before *store.Case // as it was read before the commit: whose it is and whom it is about
	in     *StepIn
	entry  store.Entry

	repeat bool
	k      *Case
}

func (o *stepping) Reads(r *exchange.Reads) {
	r.Entry(&o.entry)
	r.Case(o.before.Reference)
	r.NoticesOf(o.before.Reference)
	r.Subject(o.before.Subject)
	k, err := read(o.before)
	if ru, known := o.r.procedures[Type(o.before.Type)].steps[o.in.Step]; err == nil && known && ru.reads != nil {
		ru.reads(k, o.in, r)
	}
}

func (o *stepping) Judge(s *exchange.Session) error {
	_, repeat, err := s.Before(&o.entry)
	if o.repeat = repeat; err != nil || repeat {
		return err
	}
	w, err := o.r.resume(s, o.before.Reference)
	if err != nil {
		return err
	}
	w.by, w.auto, w.in = o.by, o.auto, o.in
	if err := w.take(); err != nil {
		return err
	}
	o.k = w.k
	s.Enter(o.entry, o.before.Reference, w.k.Steps[len(w.k.Steps)-1].Log.Index)
	return nil
}

// resume takes up the work on a case that the session has read.
func (r *Rights) resume(s *exchange.Session, reference string) (*work, error) {
	row := s.Case(reference)
	if row == nil {
		return nil, exchange.Answered(ErrNoCase)
	}
	k, err := read(row)
	if err != nil {
		return nil, err
	}
	w := &work{Session: s, rights: r, row: *row, k: k}
	if row.Subject != "" && s.Exists(row.Subject) {
		w.who, w.all = row.Subject, []transfer.SubjectID{row.Subject}
		w.commitment = s.Commitment(row.Subject)
	}
	for _, n := range s.NoticesOf(reference) {
		t, err := readNotice(&n)
		if err != nil {
			return nil, err
		}
		w.told = append(w.told, t)
	}
	return w, nil
}

// row reads a case that a partner may see: its own, or for the operator anybody's.
func (r *Rights) row(ctx context.Context, by exchange.Principal, reference string) (*store.Case, error) {
	rows, err := r.cfg.Store.Cases(ctx, store.CaseQuery{Reference: reference, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("read case %s: %w", reference, err)
	}
	if len(rows) == 0 || rows[0].Partner != by.Partner && !r.operates(by.Partner) {
		return nil, ErrNoCase
	}
	return &rows[0], nil
}

// operates reports whether a partner is the hub's operator.
func (r *Rights) operates(id transfer.PartnerID) bool {
	if id == hub.Partner {
		return true
	}
	p, known := r.cfg.Exchange.Index().Partner(id)
	return known && p.Kind == transfer.Operator
}

// Case shows a case. The error is ErrNoCase for anybody else's.
func (r *Rights) Case(ctx context.Context, by exchange.Principal, reference string) (*Case, error) {
	row, err := r.row(ctx, by, reference)
	if err != nil {
		return nil, err
	}
	return read(row)
}

// Sweep goes on with what the hub does by itself: it tells the recipients of withdrawals, carries out what was ordered in incidents, and settles
// complaints of which the complainant says no more. What it did not come to, after a crash perhaps, it does the next time.
func (r *Rights) Sweep(ctx context.Context) error {
	return errors.Join(r.tellWithdrawals(ctx), r.carryOn(ctx), r.settleComplaints(ctx))
}

// Possible lists the steps that can be taken in a case as it stands.
func (r *Rights) Possible(k *Case) []string { return r.possible(k) }

// Which cases are asked for. Empty fields mean any.
type Which struct {
	Type    Type
	State   State
	Overdue bool   // something in it is past its deadline, the answer to a notice perhaps
	After   string // reference of the last case of the page before
	Limit   int
}

// Cases lists a partner's cases by reference, which is the order in which they were opened; the operator sees everybody's.
func (r *Rights) Cases(ctx context.Context, by exchange.Principal, which Which) ([]Case, error) {
	q := store.CaseQuery{Partner: by.Partner, Type: string(which.Type), State: string(which.State), After: which.After, Limit: which.Limit}
	if r.operates(by.Partner) {
		q.Partner = ""
	}
	if which.Overdue {
		q.DueBefore = r.cfg.Now()
	}
	rows, err := r.cfg.Store.Cases(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	out := make([]Case, len(rows))
	for i := range rows {
		k, err := read(&rows[i])
		if err != nil {
			return nil, err
		}
		out[i] = *k
	}
	return out, nil
}
