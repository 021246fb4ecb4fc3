package rights

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"referralhub/hub/dates"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// NoticeState is what has become of a notice.
type NoticeState string

// The states of a notice. Sent becomes received, then actioned or refused; what was refused may still be actioned, and nothing comes after that.
const (
	Sent        NoticeState = "sent"
	Received    NoticeState = "received"
	Actioned    NoticeState = "actioned"
	NotActioned NoticeState = "refused"
)

// NoticeReasons are why a recipient does not do what a notice asks (Art 19: impossible, or disproportionate; Arts 17(3) and 18(2)).
func NoticeReasons() []string {
	return []string{"impossible", "disproportionate", "legal-obligation", "not-held", "legal-claims"}
}

// Notice tells a recipient what became of data that it was given (Art 19). Nothing in it says who it is about but the transfers, which the
// recipient had before. A recipient that has told others passes it on to them: that is its own to do.
type Notice struct {
	ID        string                `json:"id"` // "notice-<uuid>"
	Case      string                `json:"case"`
	Sender    transfer.PartnerID    `json:"sender"`
	Recipient transfer.PartnerID    `json:"recipient"`
	Act       string                `json:"act"` // "rectify", "erase", "restrict", "lift-restriction", "objection", "withdrawn", "recall", "incident"
	State     NoticeState           `json:"state"`
	Reason    string                `json:"reason,omitempty"` // with refused
	Transfers []transfer.TransferID `json:"transfers,omitempty"`
	Outside   []Outside             `json:"outside,omitempty"` // what was told outside the hub
	Items     []string              `json:"items,omitempty"`   // empty: all of them
	Effective time.Time             `json:"effective"`
	Respond   dates.Date            `json:"respond"` // by when an answer is due
	PassOn    bool                  `json:"pass_on"` // whom the recipient has told of it in its turn has to be told too
	Looked    bool                  `json:"looked"`  // somebody has looked at the refusal
	Waived    bool                  `json:"waived"`  // nobody is there to answer, and somebody has said why it is left at that
	Log       Place                 `json:"log"`     // its leaf: the proof that it is in the log is the signature under the notice
	Answers   []Answer              `json:"answers,omitempty"`
}

// Outside is a disclosure that was made outside the hub.
type Outside struct {
	Made string `json:"made"` // "2026-11-02"
	How  string `json:"how"`
	Log  Place  `json:"log"`
}

// Answer is what a recipient said to a notice.
type Answer struct {
	Status NoticeState        `json:"status"`
	Reason string             `json:"reason,omitempty"`
	At     time.Time          `json:"at"`
	Person string             `json:"person"`
	Role   transfer.StaffRole `json:"role,omitempty"`
	Log    Place              `json:"log"`
}

// settled reports whether nothing is left to wait for.
func (n *Notice) settled() bool {
	return n.State == Actioned || n.State == NotActioned && n.Looked || n.Waived
}

// answered reports whether its recipient has said what it did, or nobody expects that any more.
func (n *Notice) answered() bool { return n.State == Actioned || n.State == NotActioned || n.Waived }

// told is a notice in a commit.
type told struct {
	Notice
	row     store.Notice
	changed bool
}

func readNotice(row *store.Notice) (*told, error) {
	t := &told{row: *row}
	if err := json.Unmarshal(row.Body, &t.Notice); err != nil {
		return nil, fmt.Errorf("read notice %s: %w", row.ID, err)
	}
	return t, nil
}

// disclosure is something that a recipient was given about the person of a case.
type disclosure struct {
	to       transfer.PartnerID
	office   string // instead, where it is no partner
	transfer transfer.TransferID
	outside  *Outside
	items    []string
}

// disclosures lists what the partner whose case it is has given away about the person, of these items; all of them when there are none. Of tells
// which disclosures are meant, by their leaves. What waits for its recipient counts, because it goes with what it holds.
func (w *work) disclosures(items []string, of ...func(*ledger.Leaf) bool) []disclosure {
	var out []disclosure
	seen := map[transfer.TransferID]int{}
	waiting := map[transfer.TransferID]bool{}
	for _, who := range w.all {
		for _, t := range w.Open(who) {
			waiting[t.ID] = t.State == transfer.Queued
		}
	}
	for _, who := range w.all {
		commitment := w.Commitment(who)
		for _, e := range w.own(who) {
			l := e.Leaf
			if l.Sender != w.k.Partner && !w.operator() || slices.ContainsFunc(of, func(meant func(*ledger.Leaf) bool) bool { return !meant(l) }) {
				continue
			}
			d := disclosure{to: l.Recipient, transfer: l.Transfer}
			switch {
			case l.Kind == ledger.KindDisclosure:
				d.office, d.outside = l.Disclosure.Office, &Outside{l.Disclosure.Made.Format(time.DateOnly), l.Disclosure.How, Place{e.Origin, e.Index}}
			case l.Kind == ledger.KindRelease, l.Kind == ledger.KindDecision && waiting[l.Transfer]:
			default:
				continue
			}
			for _, s := range l.Subjects {
				if s.Commitment == commitment && (w.k.Role == "" || s.Role == w.k.Role) {
					d.items = append(d.items, s.Items...)
				}
			}
			d.items = meet(d.items, items)
			if len(d.items) == 0 {
				continue
			}
			if at, again := seen[d.transfer]; again && d.transfer != "" {
				out[at].items = union(out[at].items, d.items)
				continue
			}
			seen[d.transfer] = len(out)
			out = append(out, d)
		}
	}
	return out
}

func meet(have, asked []string) []string {
	if len(asked) == 0 {
		return union(have, nil)
	}
	return union(slices.DeleteFunc(slices.Clone(have), func(i string) bool { return !slices.Contains(asked, i) }), nil)
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// transfersInNotice is how many transfers one notice names at most: its leaf has to hold them.
const transfersInNotice = 500

// tell sends a notice to each recipient of some disclosures, and makes a task of each recipient whom only a person can tell.
func (w *work) tell(act string, of []disclosure, respond dates.Date) {
	byPartner := map[transfer.PartnerID][]disclosure{}
	byOffice := map[string][]disclosure{}
	for _, d := range of {
		switch {
		case d.to == "":
			byOffice[d.office] = append(byOffice[d.office], d)
		case !w.rights.takesNotices(d.to):
			byOffice[string(d.to)] = append(byOffice[string(d.to)], d)
		default:
			byPartner[d.to] = append(byPartner[d.to], d)
		}
	}
	for _, to := range sorted(byPartner) {
		for part := range slices.Chunk(byPartner[to], transfersInNotice) {
			w.notify(act, to, part, respond)
		}
	}
	for _, office := range sorted(byOffice) {
		t := Task{ID: fmt.Sprintf("task-%d", len(w.k.Tasks)+1), Office: office, Act: act, Made: []string{}}
		for _, d := range byOffice[office] {
			t.Items = union(t.Items, d.items)
			if d.outside != nil {
				t.Made, t.Outside = union(t.Made, []string{d.outside.Made}), append(t.Outside, *d.outside)
			} else {
				t.Transfers = append(t.Transfers, d.transfer)
			}
		}
		w.k.Tasks = append(w.k.Tasks, t)
	}
}

func (w *work) notify(act string, to transfer.PartnerID, of []disclosure, respond dates.Date) {
	n := Notice{
		ID: "notice-" + uuid.Must(uuid.NewV7()).String(), Case: w.k.Reference, Sender: w.k.Partner, Recipient: to, Act: act, State: Sent,
		Effective: w.At(), Respond: respond, PassOn: true,
	}
	for _, d := range of {
		n.Items = union(n.Items, d.items)
		if d.outside != nil {
			n.Outside = append(n.Outside, *d.outside)
		} else {
			n.Transfers = append(n.Transfers, d.transfer)
		}
	}
	w.told = append(w.told, &told{Notice: n, changed: true})
	w.k.Told = append(w.k.Told, n.ID)
}

// takesNotices reports whether a partner has a system that may answer a notice.
func (r *Rights) takesNotices(id transfer.PartnerID) bool {
	p, known := r.cfg.Exchange.Index().Partner(id)
	return known && !p.Suspended && slices.ContainsFunc(p.Systems, func(s transfer.System) bool { return slices.Contains(s.Scopes, "notices:answer") })
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// send writes what has changed about the notices of the case.
func (w *work) send() error {
	for _, t := range w.told {
		if !t.changed {
			continue
		}
		if t.Log == (Place{}) {
			t.Log = Place{w.rights.cfg.Origin, w.Leaf(w.noticeLeaf(&t.Notice, "", ""), w.commitment)}
		}
		if err := w.keepNotice(t); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) noticeLeaf(n *Notice, status, reason string) *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindNotice, Actor: w.actor, Sender: n.Sender, Recipient: n.Recipient,
		Notice: &ledger.Notice{
			ID: n.ID, Case: n.Case, Act: n.Act, Commitment: w.commitment, Transfers: n.Transfers, Items: n.Items, Effective: n.Effective,
			Respond: n.Respond.String(), Status: status, Reason: reason,
		},
	}
}

func (w *work) keepNotice(t *told) error {
	body, err := json.Marshal(t.Notice)
	if err != nil {
		return fmt.Errorf("encode notice %s: %w", t.ID, err)
	}
	row := t.row
	row.ID, row.Case, row.Sender, row.Recipient, row.State, row.Body = t.ID, t.Case, t.Sender, t.Recipient, string(t.State), body
	if row.Due = t.Respond.LastSecond(); t.answered() {
		row.Due = time.Time{}
	}
	w.PutNotice(row)
	t.changed = false
	return nil
}

// waits is why a case that has told recipients cannot be closed yet; nil when it can.
func (w *work) waits() error {
	for _, t := range w.told {
		switch {
		case t.State == NotActioned && !t.Looked:
			return w.refuse("%s refused %s, and nobody has looked at it: take the step %s", t.Recipient, t.ID, lookedAtRefusal)
		case !t.settled():
			return w.refuse("%s has not answered %s", t.Recipient, t.ID)
		}
	}
	for _, t := range w.k.Tasks {
		if !t.Done && t.Act == sendAgain {
			return w.refuse("transfer %s was stopped with what is wrong in it, and has to be sent again: take the step %s for %s once that is done", words(t.Transfers), toldOutside, t.ID)
		}
		if !t.Done {
			return w.refuse("%s has not been told: take the step %s for %s", t.Office, toldOutside, t.ID)
		}
	}
	return nil
}

// The steps of a case that tells recipients.
const (
	lookedAtRefusal = "refusal-looked-at"
	toldOutside     = "told-outside"
	notTold         = "not-told"
)

// passing is the steps by which people look after what recipients were told, in some states.
func passing(in ...State) map[string]rule {
	return map[string]rule{
		lookedAtRefusal: {from: in, takes: "notice", effect: lookAtRefusal},
		toldOutside:     {from: in, takes: "task", effect: tellOutside},
		notTold:         {from: in, takes: "notice task", grounds: []string{"impossible", "disproportionate"}, effect: leaveUntold}, // Art 19
	}
}

// lookAtRefusal is the effect of the step by which somebody has looked at why a recipient refused.
func lookAtRefusal(w *work) error {
	at := slices.IndexFunc(w.told, func(t *told) bool { return t.ID == w.in.Notice && t.State == NotActioned })
	if at < 0 {
		return invalid("/notice", "unknown", "no notice of this case with this id was refused", "take the id from the notices of the case")
	}
	w.told[at].Looked, w.told[at].changed = true, true
	return nil
}

// tellOutside is the effect of the step by which somebody has told a recipient whom the hub cannot tell.
func tellOutside(w *work) error {
	at := slices.IndexFunc(w.k.Tasks, func(t Task) bool { return t.ID == w.in.Task && !t.Done })
	if at < 0 {
		return invalid("/task", "unknown", "no task of this case with this id is open", "take the id from the tasks of the case")
	}
	w.k.Tasks[at].Done = true
	return nil
}

// leaveUntold is the effect of the step by which somebody says why a recipient is not told, or why nobody waits for its answer any more: only where
// it has left the hub, or is suspended, so that it cannot answer.
func leaveUntold(w *work) error {
	if w.in.Notice == "" {
		return tellOutside(w)
	}
	at := slices.IndexFunc(w.told, func(t *told) bool { return t.ID == w.in.Notice && !t.answered() })
	if at < 0 {
		return invalid("/notice", "unknown", "no notice of this case with this id waits for an answer", "take the id from the notices of the case")
	}
	if to := w.told[at].Recipient; w.rights.takesNotices(to) {
		return w.refuse("%s can answer %s, and is waited for", to, w.in.Notice)
	}
	w.told[at].Waived, w.told[at].changed = true, true
	return nil
}

// AnswerIn is an answer as it is entered.
type AnswerIn struct {
	MessageID transfer.MessageID `json:"message_id"`
	Status    NoticeState        `json:"status"`
	Reason    string             `json:"reason"`
	Person    string             `json:"person"` // by the id of the recipient's register entry
}

// ErrNoNotice is what a partner gets for a notice that does not exist or went to somebody else: the two are not told apart.
var ErrNoNotice = fmt.Errorf("no such notice to you: %w", store.ErrNotFound)

// Answer writes down what a recipient has done about a notice. The same body under the same message id is the same answer. The errors are
// ErrNoNotice, *Impossible, *contracts.InvalidError, *exchange.RoleError and exchange.ErrOtherBody.
func (r *Rights) Answer(ctx context.Context, by exchange.Principal, id string, in *AnswerIn, body []byte) (n *Notice, repeat bool, err error) {
	row, err := r.noticeRow(ctx, by, id)
	if err != nil {
		return nil, false, err
	}
	if row.Recipient != by.Partner {
		return nil, false, ErrNoNotice // the operator sees it, and does not answer for others
	}
	of, err := r.cfg.Store.Cases(ctx, store.CaseQuery{Reference: row.Case, Limit: 1})
	if err != nil || len(of) == 0 {
		return nil, false, fmt.Errorf("read case %s: %w", row.Case, cmp.Or(err, store.ErrNotFound))
	}
	op := &answering{
		r: r, by: by, before: row, subject: of[0].Subject, in: in,
		entry: r.cfg.Exchange.Entry("notice-answer", by.Partner, in.MessageID, append([]byte(id), body...)),
	}
	if err := r.cfg.Exchange.Do(ctx, op); err != nil {
		return nil, false, err
	}
	if op.repeat {
		n, err := r.Notice(ctx, by, id)
		return n, true, err
	}
	return op.n, false, nil
}

type answering struct {
	r       *Rights
	by      exchange.Principal
	before  *store.Notice
	subject transfer.SubjectID
	in      *AnswerIn
	entry   store.Entry

	repeat bool
	n      *Notice
}

func (o *answering) Reads(r *exchange.Reads) {
	r.Entry(&o.entry)
	r.Case(o.before.Case)
	r.NoticesOf(o.before.Case)
	r.Notice(o.before.ID)
	r.Subject(o.subject)
}

func (o *answering) Judge(s *exchange.Session) error {
	_, repeat, err := s.Before(&o.entry)
	if o.repeat = repeat; err != nil || repeat {
		return err
	}
	w, err := o.r.resume(s, o.before.Case)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(w.told, func(t *told) bool { return t.ID == o.before.ID })
	if at < 0 {
		return exchange.Answered(ErrNoNotice)
	}
	t := w.told[at]
	if err := t.mayBecome(o.in); err != nil {
		return err
	}
	w.by, w.in = o.by, &StepIn{Person: o.in.Person}
	if err := w.as(transfer.StaffRoles()); err != nil {
		return err
	}
	t.State, t.Reason = o.in.Status, o.in.Reason
	leaf := Place{o.r.cfg.Origin, w.Leaf(w.noticeLeaf(&t.Notice, string(t.State), t.Reason), w.commitment)}
	t.Answers = append(t.Answers, Answer{Status: t.State, Reason: t.Reason, At: s.At(), Person: w.actor.Person, Role: w.actor.Role, Log: leaf})
	if err := w.keepNotice(t); err != nil {
		return err
	}
	w.wind()
	if err := w.keep(); err != nil {
		return err
	}
	if err := w.closeItself(); err != nil {
		return err
	}
	o.n = &t.Notice
	s.Enter(o.entry, t.ID, leaf.Index)
	return nil
}

func (t *told) mayBecome(in *AnswerIn) error {
	if (in.Status == NotActioned) != (in.Reason != "") {
		return invalid("/reason", "required", "only a refusal has a reason, and each has one", "give one of: "+words(NoticeReasons()))
	}
	if in.Reason != "" && !slices.Contains(NoticeReasons(), in.Reason) {
		return invalid("/reason", "enum", "this is no reason for refusing a notice", "use one of: "+words(NoticeReasons()))
	}
	next := map[NoticeState][]NoticeState{Sent: {Received, Actioned, NotActioned}, Received: {Actioned, NotActioned}, NotActioned: {Actioned}}[t.State]
	if slices.Contains(next, in.Status) {
		return nil
	}
	return exchange.Answered(&Impossible{
		Why: fmt.Sprintf("notice %s is %s: it cannot become %q", t.ID, t.State, in.Status), Possible: toStrings(next),
	})
}

func toStrings[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

func (r *Rights) noticeRow(ctx context.Context, by exchange.Principal, id string) (*store.Notice, error) {
	rows, err := r.cfg.Store.Notices(ctx, store.NoticeQuery{ID: id, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("read notice %s: %w", id, err)
	}
	if len(rows) == 0 || rows[0].Recipient != by.Partner && !r.operates(by.Partner) {
		return nil, ErrNoNotice
	}
	return &rows[0], nil
}

// Notice shows a notice to its recipient, and to the operator.
func (r *Rights) Notice(ctx context.Context, by exchange.Principal, id string) (*Notice, error) {
	row, err := r.noticeRow(ctx, by, id)
	if err != nil {
		return nil, err
	}
	t, err := readNotice(row)
	if err != nil {
		return nil, err
	}
	return &t.Notice, nil
}

// WhichNotices are asked for. Empty fields mean any.
type WhichNotices struct {
	State   NoticeState
	Overdue bool   // the answer is past its day
	After   string // id of the last notice of the page before
	Limit   int
}

// Notices lists the notices to a partner by id, which is the order in which they were sent. The operator sees everybody's.
func (r *Rights) Notices(ctx context.Context, by exchange.Principal, which WhichNotices) ([]Notice, error) {
	q := store.NoticeQuery{Recipient: by.Partner, State: string(which.State), After: which.After, Limit: which.Limit}
	if r.operates(by.Partner) {
		q.Recipient = ""
	}
	if which.Overdue {
		q.DueBefore = r.cfg.Now()
	}
	return r.notices(ctx, q)
}

// NoticesOf lists the notices of a case to whoever may see the case.
func (r *Rights) NoticesOf(ctx context.Context, by exchange.Principal, reference string) ([]Notice, error) {
	if _, err := r.row(ctx, by, reference); err != nil {
		return nil, err
	}
	const all = 10_000
	return r.notices(ctx, store.NoticeQuery{Case: reference, Limit: all})
}

func (r *Rights) notices(ctx context.Context, q store.NoticeQuery) ([]Notice, error) {
	rows, err := r.cfg.Store.Notices(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list notices: %w", err)
	}
	out := make([]Notice, len(rows))
	for i := range rows {
		t, err := readNotice(&rows[i])
		if err != nil {
			return nil, err
		}
		out[i] = t.Notice
	}
	return out, nil
}
