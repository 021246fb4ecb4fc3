package rights

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"referralhub/contracts"
	"referralhub/hub/dates"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// procedure is how one type of case goes.
type procedure struct {
	person  need                 // whether it is about a person
	roles   []transfer.StaffRole // who may open it and take its steps; nil: the Data Protection Lead
	grounds []string             // that may be named when it is opened
	hub     bool                 // only the hub opens it, by itself
	// reads names what opening depends on besides the person.
	reads func(o *Opening, r *exchange.Reads)
	// opened checks the opening, sets the state of w.k (Open when it does not), and does what follows at once.
	opened func(w *work) error
	steps  map[string]rule
	itself bool // the hub takes the step closed by itself, as soon as nobody is waited for
	// clock gives the deadlines of a case, those that were met too. Nil: none but those of its notices.
	clock func(k *Case, c *dates.Calendar) []Deadline
}

// need says whether a case is about a person.
type need int

const (
	nobody    need = iota // never
	perhaps               // when identifiers are given
	somebody              // always; the hub need not know them
	whoeverIs             // always; somebody whom the hub does not know is made known to it, so that what they say counts from now on
)

// rule is one step of a procedure.
type rule struct {
	from    []State // in which it may be taken; nil: any that is not over
	to      State   // empty: as it was, or as effect leaves it
	roles   []transfer.StaffRole
	grounds []string // one of them has to be named; nil: none may be
	items   bool     // it names items
	takes   string   // what else may be entered with it: "items", "entries", "notice", "task"
	details bool     // it takes details, which its effect checks: there is no room for free text about anybody
	hub     bool     // only the hub takes it, by itself
	// before does what takes longer than a commit may, ahead of it; it may change what is entered.
	before func(ctx context.Context, r *Rights, by exchange.Principal, k *Case, in *StepIn) error
	// reads names what the step depends on besides the case, its person and its notices.
	reads func(k *Case, in *StepIn, r *exchange.Reads)
	// effect does what the step does; an error of refuse or invalid is an answer to whoever takes it. The case is still in its old state.
	effect func(w *work) error
}

// StepIn is a step as it is entered.
type StepIn struct {
	MessageID transfer.MessageID `json:"message_id"`
	Step      string             `json:"step"`
	Person    string             `json:"person"` // who takes it, by the id of the register
	On        dates.Date         `json:"on,omitzero"`
	Grounds   []string           `json:"grounds,omitempty"`
	Items     []string           `json:"items,omitempty"`
	Notice    string             `json:"notice,omitempty"`
	Task      string             `json:"task,omitempty"`
	Entries   []Place            `json:"entries,omitempty"`
	Details   json.RawMessage    `json:"details,omitempty"`
}

// Impossible says that a step cannot be taken, and which can.
type Impossible struct {
	Reference string
	State     State
	Why       string
	Possible  []string
}

func (e *Impossible) Error() string {
	text := e.Why
	if e.Reference != "" {
		text = fmt.Sprintf("%s: case %s is in state %q", text, e.Reference, e.State)
	}
	if len(e.Possible) > 0 {
		text += "; possible now: " + strings.Join(e.Possible, ", ")
	}
	return text
}

// invalid is an answer about one member of what was entered.
func invalid(pointer, ruleName, detail, remedy string) error {
	return exchange.Answered(&contracts.InvalidError{Faults: []contracts.Fault{{Pointer: pointer, Rule: ruleName, Detail: detail, Remedy: remedy}}})
}

// work is a step on its way through a commit.
type work struct {
	*exchange.Session
	rights *Rights
	by     exchange.Principal
	auto   bool // the hub does it by itself, and nobody of a register answers for it
	actor  ledger.Actor
	who    transfer.SubjectID // the person; empty when it is about nobody, or nobody whom the hub knows
	// all are who and whoever else the identifiers mean, when a case was opened about somebody under several pseudonyms.
	all        []transfer.SubjectID
	commitment string // of who, taken before anything is erased
	row        store.Case
	k          *Case
	in         *StepIn
	on         dates.Date // the day that counts for the step
	leaf       ledger.Case
	told       []*told // the notices of the case, also those sent by this step
}

// refuse is an answer that says why a step cannot be taken, and which can.
func (w *work) refuse(format string, args ...any) error {
	return exchange.Answered(&Impossible{
		Reference: w.k.Reference, State: w.k.State, Why: fmt.Sprintf(format, args...), Possible: w.rights.possible(w.k),
	})
}

// count says in the step's leaf how many of something there were.
func (w *work) count(what string, n int) {
	w.leaf.Counts = append(w.leaf.Counts, ledger.Count{What: what, N: n})
}

// operator reports whether the case is the hub operator's, and so about what every partner did.
func (w *work) operator() bool { return w.rights.operates(w.k.Partner) }

// possible lists the steps that can be taken now.
func (r *Rights) possible(k *Case) []string {
	var out []string
	for name, ru := range r.procedures[k.Type].steps {
		if !ru.hub && ru.fits(k.State) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (ru *rule) fits(s State) bool {
	if ru.from == nil {
		return !s.Over()
	}
	return slices.Contains(ru.from, s)
}

// as finds the member of staff, and as which of the roles they act. Without a person it is the hub that acts.
func (w *work) as(roles []transfer.StaffRole) error {
	w.actor = ledger.Actor{Partner: w.by.Partner, System: w.by.System}
	if w.auto {
		return nil
	}
	person, err := w.Staff(w.by.Partner, w.in.Person)
	if err != nil {
		return err
	}
	if roles == nil {
		roles = []transfer.StaffRole{transfer.DataProtection}
	}
	at := slices.IndexFunc(person.Roles, func(has transfer.StaffRole) bool { return slices.Contains(roles, has) })
	if at < 0 {
		return &exchange.RoleError{Detail: fmt.Sprintf("%s may not do this: it takes one of %s.", person.ID, words(roles))}
	}
	w.actor.Person, w.actor.Role = person.ID, person.Roles[at]
	return nil
}

// take judges a step and does it.
func (w *work) take() error {
	p := w.rights.procedures[w.k.Type]
	ru, known := p.steps[w.in.Step]
	switch {
	case !known || ru.hub && !w.auto:
		return w.refuse("%q is no step of a case of type %s", w.in.Step, w.k.Type)
	case len(w.k.Steps) >= mostSteps && !w.auto && w.in.Step != closed:
		return w.refuse("a case has %d steps at most: close this one, and open another", mostSteps)
	case !ru.fits(w.k.State):
		return w.refuse("the step %q cannot be taken now", w.in.Step)
	}
	if err := w.as(orElse(ru.roles, p.roles)); err != nil {
		return err
	}
	if err := w.check(&ru); err != nil {
		return err
	}
	if ru.effect != nil {
		if err := ru.effect(w); err != nil {
			return err
		}
	}
	if ru.to != "" {
		w.k.State = ru.to
	}
	if err := w.finish(); err != nil {
		return err
	}
	return w.closeItself()
}

// mostSteps is how many steps a case may have: each rewrites it whole.
const mostSteps = 500

// closeItself closes a case of a kind that the hub closes, once it can be.
func (w *work) closeItself() error {
	p := w.rights.procedures[w.k.Type]
	ru := p.steps[closed]
	if !p.itself || !ru.fits(w.k.State) || ru.effect(w) != nil {
		return nil
	}
	w.auto, w.actor, w.in, w.leaf = true, ledger.Hub, &StepIn{Step: closed}, ledger.Case{}
	w.on, w.k.State = dates.On(w.At()), ru.to
	return w.finish()
}

func (w *work) check(ru *rule) error {
	if err := oneOf("/grounds", w.in.Grounds, ru.grounds, ru.grounds != nil && !w.auto); err != nil {
		return err
	}
	if ru.items && len(w.in.Items) == 0 {
		return invalid("/items", "required", "this step names the items that it is about", "name them as in the referral contract")
	}
	if err := w.only(ru); err != nil {
		return err
	}
	if !ru.details && len(w.in.Details) > 0 {
		return invalid("/details", "unexpected", "this step takes no details", "leave them out")
	}
	return w.day()
}

// only refuses what a step does not read: what nobody reads may say anything, and it would be kept.
func (w *work) only(ru *rule) error {
	for _, member := range []struct {
		name    string
		entered bool
	}{{"items", len(w.in.Items) > 0 && !ru.items}, {"entries", len(w.in.Entries) > 0}, {"notice", w.in.Notice != ""}, {"task", w.in.Task != ""}} {
		if member.entered && !slices.Contains(strings.Fields(ru.takes), member.name) {
			return invalid("/"+member.name, "unexpected", "this step takes no "+member.name, "leave it out")
		}
	}
	return knownItems(w.in.Items)
}

// details reads what was entered with a step, and takes nothing that it does not know.
func (w *work) details(into any) error {
	if err := decode(w.in.Details, into); err != nil {
		return invalid("/details", "type", "these are not the details of this step", "look at the step in the description of the API")
	}
	return nil
}

func decode(text json.RawMessage, into any) error {
	if len(text) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// knownItems refuses names that no item of a referral has: nobody could be told of them.
func knownItems(names []string) error {
	if faults := contracts.UnknownItems("/items", names); len(faults) > 0 {
		return exchange.Answered(&contracts.InvalidError{Faults: faults})
	}
	return nil
}

// day checks the day that counts: not before the case came in, and not after today.
func (w *work) day() error {
	today := dates.On(w.At())
	if w.on = w.in.On; w.on.IsZero() {
		w.on = today
	}
	if w.on.Before(w.k.Received) || w.on.After(today) {
		return invalid("/on", "range", "the day is before the case came in, or after today", "give the day on which it was done, or leave it out for today")
	}
	return nil
}

func oneOf(pointer string, given, allowed []string, needed bool) error {
	if needed && len(given) == 0 {
		return invalid(pointer, "required", "this needs a ground", "name one or more of: "+strings.Join(allowed, ", "))
	}
	for _, g := range given {
		if !slices.Contains(allowed, g) {
			remedy := "leave it out"
			if len(allowed) > 0 {
				remedy = "use one or more of: " + strings.Join(allowed, ", ")
			}
			return invalid(pointer, "enum", "this is no ground for it", remedy)
		}
	}
	return nil
}

// finish writes the step: its leaf, the notices that it sends with theirs, and the case.
func (w *work) finish() error {
	k := w.k
	step := Step{
		Step: w.in.Step, On: w.on, At: w.At(), By: w.actor.Partner, Person: w.actor.Person, Role: w.actor.Role, Grounds: w.in.Grounds,
		Items: w.in.Items, Notice: w.in.Notice, Task: w.in.Task, Entries: w.in.Entries, Details: w.in.Details,
	}
	k.Steps = append(k.Steps, step)
	w.wind()
	due, _ := k.due()
	w.leaf.Reference, w.leaf.Type, w.leaf.Step, w.leaf.Commitment = k.Reference, string(k.Type), step.Step, w.commitment
	w.leaf.Grounds, w.leaf.Items, w.leaf.On, w.leaf.Due = step.Grounds, step.Items, step.On.String(), due.By
	leaf := w.leaf
	k.Steps[len(k.Steps)-1].Log = Place{w.rights.cfg.Origin, w.Leaf(&ledger.Leaf{
		Kind: ledger.KindCase, Actor: w.actor, Sender: k.Partner, Case: &leaf,
	}, w.commitment)}
	if err := w.send(); err != nil {
		return err
	}
	return w.keep()
}

// wind sets the deadlines of the case as they are now, and those of its notices.
func (w *work) wind() {
	k := w.k
	k.Deadlines = nil
	if clock := w.rights.procedures[k.Type].clock; clock != nil {
		k.Deadlines = clock(k, w.rights.cfg.Calendar)
	}
	for _, t := range w.told {
		k.Deadlines = append(k.Deadlines, Deadline{
			What: "answer of " + string(t.Recipient), By: t.Respond.String(), Source: t.source(), Met: t.answered(),
		})
	}
	if k.State.Over() {
		for i := range k.Deadlines {
			k.Deadlines[i].Met = true
		}
	}
}

// keep puts the case back into its row.
func (w *work) keep() error {
	row := w.row
	row.Reference, row.Type, row.Partner, row.State, row.Subject = w.k.Reference, string(w.k.Type), w.k.Partner, string(w.k.State), w.who
	_, row.Due = w.k.due()
	if row.Opened.IsZero() {
		row.Opened = w.At()
	}
	row.Closed = closedAt(row.Closed, w.k.State, w.At())
	body, err := json.Marshal(w.k)
	if err != nil {
		return fmt.Errorf("encode case %s: %w", w.k.Reference, err)
	}
	row.Body = body
	w.PutCase(row)
	row.Version++
	w.row = row
	return nil
}

func closedAt(before time.Time, s State, now time.Time) time.Time {
	switch {
	case !s.Over():
		return time.Time{}
	case before.IsZero():
		return now
	}
	return before
}

// open opens another case in the same commit, of which this one is the cause: a flag turns out to be an incident.
func (w *work) open(t Type, grounds []string, scope any) (*Case, error) {
	text, err := json.Marshal(scope)
	if err != nil {
		return nil, fmt.Errorf("encode the scope of a case: %w", err)
	}
	other := &work{
		Session: w.Session, rights: w.rights, by: w.by, auto: w.auto, actor: w.actor, who: w.who, all: w.all, commitment: w.commitment, on: w.on,
		in: &StepIn{Step: opened, Person: w.in.Person, Grounds: grounds},
		k: &Case{
			Reference: newReference(), Type: t, Partner: w.k.Partner, State: Open, Received: w.on, Aware: w.At(), Known: w.k.Known,
			Grounds: grounds, Scope: text, Of: w.k.Reference,
		},
	}
	if w.on.Before(dates.On(w.At())) { // whoever enters it later was aware of it all the same: the earliest instant of that day is the safe one
		other.k.Aware = w.on.Start()
	}
	if f := w.rights.procedures[t].opened; f != nil {
		if err := f(other); err != nil {
			return nil, err
		}
	}
	return other.k, other.finish()
}

// opened is the first step of every case.
const opened = "opened"

func newReference() string { return "case-" + uuid.Must(uuid.NewV7()).String() }

// read is a case out of its row. The columns are what counts.
func read(row *store.Case) (*Case, error) {
	var k Case
	if err := json.Unmarshal(row.Body, &k); err != nil {
		return nil, fmt.Errorf("read case %s: %w", row.Reference, err)
	}
	k.Reference, k.Type, k.Partner, k.State = row.Reference, Type(row.Type), row.Partner, State(row.State)
	if k.Received.IsZero() {
		k.Received = dates.On(row.Opened)
	}
	if k.Steps == nil {
		k.Steps = []Step{} // opened by the exchange, which takes none
	}
	return &k, nil
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}

func orElse[T any](list, def []T) []T {
	if list == nil {
		return def
	}
	return list
}

// with is the steps of a procedure beside those that it shares with others.
func with(shared, own map[string]rule) map[string]rule {
	out := maps.Clone(shared)
	maps.Copy(out, own)
	return out
}
