package rights

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/samber/lo"

	"referralhub/hub/dates"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Class is how long a kind of record is kept.
type Class struct {
	Class  string `yaml:"class" json:"class"`
	Years  int    `yaml:"years" json:"years"` // financial years
	From   string `yaml:"from" json:"from"`   // what begins them, in words
	Source string `yaml:"source" json:"source"`
}

// The classes that the hub has records of.
const (
	personClass    = "person"
	complaintClass = "complaint"
	caseClass      = "case"
	requestClass   = "request"
)

//go:embed retention.yaml
var retentionFile []byte

// Classes are the classes of retention.yaml, in its order.
var Classes = sync.OnceValue(func() []Class {
	var out []Class
	if err := yaml.UnmarshalWithOptions(retentionFile, &out, yaml.Strict()); err != nil {
		panic(err) // a test reads it
	}
	return out
})

func classOf(name string) Class {
	all := Classes()
	return all[slices.IndexFunc(all, func(c Class) bool { return c.Class == name })]
}

// window is how long something of the class is kept whose time began on a day.
func (c Class) window(trigger dates.Date) dates.Window {
	return dates.Keep(dates.Rule{Years: c.Years, Trigger: trigger})
}

// over is the first day that is not past its time on today: what began before it may be destroyed.
func (c Class) over(today dates.Date) dates.Date {
	begins := dates.YearEnd(today).AddMonths(-12).AddDays(1) // of the financial year that today is in
	return begins.AddMonths(-12 * c.Years)
}

// retention is the record of what was destroyed because its time was over. The hub opens one on a day on which there is something, and closes it.
var retention = procedure{
	person: nobody,
	steps: map[string]rule{
		closed: {from: []State{Open}, to: Closed, hub: true},
	},
}

// Retained is what a run of retention came to.
type Retained struct {
	Reference string         // of its case; empty when there was nothing
	Destroyed map[string]int // by class
	Kept      map[string]int // past their time, and kept for a legal hold or an open case, by class
}

// Retain destroys what is past its time, and leaves evidence of it: a leaf for each person who is forgotten, and for the rest one for each kind. What
// a legal hold or an open case keeps stays. It may be run again at any time, and goes on where it was interrupted.
func (r *Rights) Retain(ctx context.Context) (Retained, error) {
	run := &retaining{r: r, today: dates.On(r.cfg.Now()), out: Retained{Destroyed: map[string]int{}, Kept: map[string]int{}}}
	err := errors.Join(run.people(ctx), run.cases(ctx), run.requests(ctx))
	if run.out.Reference == "" {
		return run.out, err
	}
	in := &StepIn{MessageID: transfer.MessageID(run.out.Reference + "/" + closed), Step: closed}
	_, _, closing := r.step(ctx, hub, run.out.Reference, in, nil, true)
	return run.out, errors.Join(err, closing)
}

type retaining struct {
	r     *Rights
	today dates.Date
	out   Retained
}

// begin opens the case of this run, once there is something to destroy.
func (n *retaining) begin(ctx context.Context) error {
	if n.out.Reference != "" {
		return nil
	}
	reference := newReference()
	k, _, err := n.r.open(ctx, hub, &Opening{MessageID: transfer.MessageID("retention/" + reference), Type: Retention}, nil, true)
	if err == nil {
		n.out.Reference = k.Reference
	}
	return err
}

const retainPage = 200

func (n *retaining) people(ctx context.Context) error {
	since := classOf(personClass).over(n.today).Start()
	var after transfer.SubjectID
	var failed error // somebody who cannot be forgotten keeps nobody else
	for {
		idle, err := n.r.cfg.Store.IdlePeople(ctx, since, after, retainPage)
		if err != nil {
			return fmt.Errorf("list people past their time: %w", err)
		}
		for _, who := range idle {
			if err := n.forget(ctx, who); err != nil {
				failed = errors.Join(failed, fmt.Errorf("forget somebody whose time is over: %w", err))
			}
		}
		if len(idle) < retainPage || ctx.Err() != nil {
			return failed
		}
		after = idle[len(idle)-1]
	}
}

// forget looks first, so that a day on which there is nothing to do leaves no case.
func (n *retaining) forget(ctx context.Context, who transfer.SubjectID) error {
	look := &forgetting{r: n.r, who: who, today: n.today, only: true}
	if err := n.r.cfg.Exchange.Do(ctx, look); err != nil || !look.done {
		n.add(personClass, false, look.held)
		return err
	}
	if err := n.begin(ctx); err != nil {
		return err
	}
	act := &forgetting{r: n.r, who: who, reference: n.out.Reference, today: n.today}
	err := n.r.cfg.Exchange.Do(ctx, act)
	n.add(personClass, err == nil && act.done, act.held)
	return err
}

func (n *retaining) add(class string, done, held bool) {
	switch {
	case done:
		n.out.Destroyed[class]++
	case held:
		n.out.Kept[class]++
	}
}

// forgetting erases a person whose time is over.
type forgetting struct {
	r         *Rights
	who       transfer.SubjectID
	reference string
	today     dates.Date
	only      bool // look whether it is to be done, and do nothing

	done, held bool
}

func (f *forgetting) Reads(r *exchange.Reads) { r.Subject(f.who) }

func (f *forgetting) Judge(s *exchange.Session) error {
	f.done, f.held = false, false
	history := s.History(f.who)
	if !s.Exists(f.who) || len(history) == 0 || len(s.Open(f.who)) > 0 {
		return nil
	}
	class := classOf(personClass)
	if last := dates.On(lastDealing(history)); f.today.Before(class.window(last).DestroyFrom) {
		return nil
	}
	holds, err := f.r.holdsOn(context.Background(), f.who, history)
	if err != nil {
		return err
	}
	open, err := f.r.openCases(context.Background(), f.who)
	if err != nil {
		return err
	}
	if f.held = len(holds)+len(open) > 0; f.held {
		return nil
	}
	if f.done = true; f.only {
		return nil
	}
	transfers := map[transfer.TransferID]bool{}
	for _, e := range history {
		if e.Leaf.Transfer != "" {
			transfers[e.Leaf.Transfer] = true
		}
	}
	commitment := s.Commitment(f.who)
	s.Leaf(&ledger.Leaf{
		Kind: ledger.KindCase, Actor: ledger.Hub, Sender: hub.Partner,
		Case: &ledger.Case{
			Reference: f.reference, Type: string(Retention), Step: erased, Commitment: commitment, Grounds: []string{class.Class},
			On: f.today.String(), Counts: []ledger.Count{{What: "transfers", N: len(transfers)}},
			Kept: []ledger.Kept{{What: "log", Ground: "art17(3)(b)"}},
		},
	}, commitment)
	s.Erase(f.who)
	return nil
}

// lastDealing is when the last thing happened about a person. That somebody looked at what the log says, and what the hub noticed by itself, begins
// no new time.
func lastDealing(history []exchange.Entry) time.Time {
	for i := len(history) - 1; i >= 0; i-- {
		if l := history[i].Leaf; l.Kind != ledger.KindQuery && l.Actor != ledger.Hub {
			return l.At
		}
	}
	return history[0].Leaf.At
}

// cases destroys cases that were closed long ago, with their notices.
func (n *retaining) cases(ctx context.Context) error {
	oldest := min(classOf(complaintClass).Years, classOf(caseClass).Years)
	before := Class{Years: oldest}.over(n.today).Start()
	var after string
	for {
		rows, err := n.r.cfg.Store.Cases(ctx, store.CaseQuery{ClosedBefore: before, After: after, Limit: retainPage})
		if err != nil {
			return fmt.Errorf("list cases past their time: %w", err)
		}
		due := map[string][]string{}
		for i := range rows {
			class := caseClass
			if rows[i].Type == string(Complaint) {
				class = complaintClass
			}
			if n.today.Before(classOf(class).window(dates.On(rows[i].Closed)).DestroyFrom) {
				continue
			}
			held, err := n.keepsCase(ctx, &rows[i])
			if err != nil {
				return err
			}
			if n.add(class, !held, held); !held {
				due[class] = append(due[class], rows[i].Reference)
			}
		}
		for _, class := range sorted(due) {
			if err := n.destroy(ctx, class, due[class], nil); err != nil {
				return err
			}
		}
		if len(rows) < retainPage {
			return nil
		}
		after = rows[len(rows)-1].Reference
	}
}

// keepsCase reports whether a legal hold keeps a closed case: one on its person, on its partner, or on everything.
func (n *retaining) keepsCase(ctx context.Context, row *store.Case) (bool, error) {
	about := []exchange.Entry{{Leaf: &ledger.Leaf{Sender: row.Partner}}}
	holds, err := n.r.holdsOn(ctx, row.Subject, about)
	return len(holds) > 0, err
}

// requests destroys one-off requests that were decided long ago.
func (n *retaining) requests(ctx context.Context) error {
	class := classOf(requestClass)
	var after string
	for {
		list, err := n.r.cfg.Exchange.Requests(ctx, hub, "", after, retainPage, true)
		if err != nil {
			return fmt.Errorf("list one-off requests: %w", err)
		}
		var due []string
		for _, q := range list {
			if q.Decision == nil {
				continue
			}
			decided, err := dates.Parse(q.Decision.Decided)
			if err != nil || n.today.Before(class.window(decided).DestroyFrom) {
				continue // a date that nobody can read is kept, and not guessed
			}
			held, err := n.keepsCase(ctx, &store.Case{Partner: q.Partner})
			if err != nil {
				return err
			}
			if n.add(class.Class, !held, held); !held {
				due = append(due, q.Reference)
			}
		}
		if err := n.destroy(ctx, class.Class, nil, due); err != nil {
			return err
		}
		if len(list) < retainPage {
			return nil
		}
		after = list[len(list)-1].Reference
	}
}

// destroy deletes rows of a class, in one commit with the leaf that says so.
func (n *retaining) destroy(ctx context.Context, class string, cases, requests []string) error {
	if len(cases)+len(requests) == 0 {
		return nil
	}
	if err := n.begin(ctx); err != nil {
		return err
	}
	return n.r.cfg.Exchange.Do(ctx, &destroying{n.out.Reference, class, n.today, cases, requests})
}

type destroying struct {
	reference, class string
	today            dates.Date
	cases, requests  []string
}

func (d *destroying) Reads(r *exchange.Reads) {
	for _, reference := range d.cases {
		r.Case(reference)
	}
}

func (d *destroying) Judge(s *exchange.Session) error {
	cases := lo.Filter(d.cases, func(reference string, _ int) bool { return s.Case(reference) != nil }) // another copy may have been faster
	if len(cases)+len(d.requests) == 0 {
		return nil
	}
	s.Leaf(&ledger.Leaf{
		Kind: ledger.KindCase, Actor: ledger.Hub, Sender: hub.Partner,
		Case: &ledger.Case{
			Reference: d.reference, Type: string(Retention), Step: "destroyed", Grounds: []string{d.class}, On: d.today.String(),
			Counts: []ledger.Count{{What: d.class, N: len(cases) + len(d.requests)}}, Items: slices.Concat(cases, d.requests),
		},
	}, "")
	s.Delete(cases, d.requests)
	return nil
}

// Due is what retention would come to on a day.
type Due struct {
	Class
	Before dates.Date // what began before this day is past its time
	Past   int        // how many are
	Next   dates.Date // on which day more may be
}

// RetentionDue lists the classes, and how many of each are past their time on a day, whether something keeps them or not.
func (r *Rights) RetentionDue(ctx context.Context, today dates.Date) ([]Due, error) {
	var out []Due
	for _, class := range Classes() {
		d := Due{Class: class, Before: class.over(today), Next: dates.YearEnd(today).AddDays(1)}
		var err error
		if d.Past, err = r.past(ctx, class, d.Before.Start()); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func (r *Rights) past(ctx context.Context, class Class, before time.Time) (n int, err error) {
	switch class.Class {
	case personClass:
		var after transfer.SubjectID
		for {
			idle, err := r.cfg.Store.IdlePeople(ctx, before, after, 10*retainPage)
			if n += len(idle); err != nil || len(idle) < 10*retainPage {
				return n, err
			}
			after = idle[len(idle)-1]
		}
	case requestClass:
		for after := ""; ; {
			list, err := r.cfg.Exchange.Requests(ctx, hub, "", after, 10*retainPage, true)
			for _, q := range list {
				if q.Decision != nil && q.Decision.Decided < dates.On(before).String() {
					n++
				}
			}
			if err != nil || len(list) < 10*retainPage {
				return n, err
			}
			after = list[len(list)-1].Reference
		}
	}
	rows, err := r.allCases(ctx, store.CaseQuery{ClosedBefore: before})
	for i := range rows {
		if (rows[i].Type == string(Complaint)) == (class.Class == complaintClass) {
			n++
		}
	}
	return n, err
}
