package rights

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/samber/lo"

	"referralhub/hub/exchange"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// The states of an incident in which the hub carries out what a person has ordered.
const (
	Recalling State = "recalling" // what nobody has confirmed to have is stopped, and whoever was given something is told to give it back
	Informing State = "informing" // the controllers are told
)

// Steps that the hub takes by itself, as often as it has to.
const (
	stopped    = "stopped"
	carriedOut = "carried-out"
)

const (
	stoppedAtOnce = 100 // transfers in a commit
	recalledEnd   = "recalled"
)

// beginRecall orders a recall; the hub goes on with it a hundred transfers at a time, and after a crash where it was.
func beginRecall(w *work) error { return needsScope(w) }

// order is what one of the hub's steps is to do. Its case does not keep it: there may be very many of them.
type order struct {
	Stop []transfer.TransferID `json:"stop,omitempty"`
	Act  string                `json:"act,omitempty"`
	Tell []target              `json:"tell,omitempty"`
}

// target is something that somebody was given, and who is told of it.
type target struct {
	To       transfer.PartnerID  `json:"to,omitempty"`
	Office   string              `json:"office,omitempty"`
	Transfer transfer.TransferID `json:"transfer,omitempty"`
	Outside  *Outside            `json:"outside,omitempty"`
	Items    []string            `json:"items"`
}

// orders takes the order of a step, which nobody but the hub itself can have given.
func (w *work) orders() (order, error) {
	var o order
	if err := w.details(&o); err != nil {
		return o, err
	}
	in := *w.in
	in.Details, w.in = nil, &in
	return o, nil
}

func readStopped(_ *Case, in *StepIn, r *exchange.Reads) {
	var o order
	if decode(in.Details, &o) == nil {
		for _, id := range o.Stop {
			r.Transfer(id)
		}
	}
}

// stopThem stops what has not been stopped or collected since.
func stopThem(w *work) error {
	o, err := w.orders()
	if err != nil {
		return err
	}
	n := 0
	var theirs []disclosure // what others sent: it was to help somebody, and its sender has to know that it did not arrive
	for _, id := range o.Stop {
		t := w.Transfer(id)
		if t != nil && (w.operator() || t.Sender == w.k.Partner || t.Recipient == w.k.Partner) && w.Stop(w.actor, t, recalledEnd, "recalled: "+w.k.Reference) {
			n++
			if t.Sender != w.k.Partner {
				theirs = append(theirs, disclosure{to: t.Sender, transfer: t.ID})
			}
		}
	}
	w.count("transfers", n)
	w.tell("recall", theirs, w.rights.cfg.Calendar.WorkingDays(w.on, 1).Date)
	return nil
}

// tellThem sends the notices that have not been sent before.
func tellThem(w *work) error {
	o, err := w.orders()
	if err != nil {
		return err
	}
	before := alreadyTold(o.Act, lo.Map(w.told, func(t *told, _ int) Notice { return t.Notice }), w.k.Tasks)
	var of []disclosure
	for _, t := range o.Tell {
		if !before.has(&t) {
			of = append(of, disclosure{to: t.To, office: t.Office, transfer: t.Transfer, outside: t.Outside, items: t.Items})
		}
	}
	n := len(w.told)
	w.tell(o.Act, of, w.rights.cfg.Calendar.WorkingDays(w.on, 1).Date)
	w.count("disclosures", len(of))
	w.count("notices", len(w.told)-n)
	return nil
}

// source is the rule by which a notice has to be answered.
func (n *Notice) source() string {
	if n.Act == "recall" || n.Act == "incident" {
		return "Art 33 UK GDPR"
	}
	return "Art 19 UK GDPR"
}

// informed is who was told of what, by an act.
type informed map[string]bool

func (i informed) has(t *target) bool {
	return i[t.key()]
}

func (t *target) key() string {
	if t.Outside != nil {
		return fmt.Sprintf("%s %s %d", t.To, t.Outside.Log.Origin, t.Outside.Log.Index)
	}
	return fmt.Sprintf("%s %s", t.To, t.Transfer)
}

func alreadyTold(act string, notices []Notice, tasks []Task) informed {
	out := informed{}
	add := func(to transfer.PartnerID, transfers []transfer.TransferID, outside []Outside) {
		for _, id := range transfers {
			out[(&target{To: to, Transfer: id}).key()] = true
		}
		for i := range outside {
			out[(&target{To: to, Outside: &outside[i]}).key()] = true
		}
	}
	for _, n := range notices {
		if n.Act == act {
			add(n.Recipient, n.Transfers, n.Outside)
		}
	}
	for _, t := range tasks {
		if t.Act == act {
			add(transfer.PartnerID(t.Office), t.Transfers, t.Outside) // a partner that takes no notices
			add("", nil, t.Outside)                                   // somebody outside the hub
		}
	}
	return out
}

// recall carries out what was ordered in an incident, from where it stands.
func (r *Rights) recall(ctx context.Context, reference string) (*Case, error) {
	k, err := r.Case(ctx, hub, reference)
	if err != nil {
		return nil, err
	}
	scope, err := k.scope()
	if err != nil || scope == nil {
		return nil, fmt.Errorf("scope of %s: %w", reference, cmp.Or(err, errors.New("there is none")))
	}
	c := &carrying{r: r, k: k, scope: scope, reach: scope.reach(r.operates(k.Partner)), as: exchange.Principal{Partner: k.Partner}}
	switch k.State {
	case Recalling:
		if err := cmp.Or(c.stop(ctx), c.tell(ctx, "recall")); err != nil {
			return nil, err
		}
	case Informing:
		if err := c.tell(ctx, "incident"); err != nil {
			return nil, err
		}
	default:
		return k, nil
	}
	return r.itself(ctx, reference, carriedOut, nil)
}

// itself takes a step of the hub's own.
func (r *Rights) itself(ctx context.Context, reference, step string, o *order) (*Case, error) {
	in := &StepIn{MessageID: transfer.MessageID(uuid.NewString()), Step: step}
	if o != nil {
		text, err := json.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("encode an order: %w", err)
		}
		in.Details = text
	}
	k, _, err := r.step(ctx, hub, reference, in, nil, true)
	return k, err
}

// carrying is the work on an order.
type carrying struct {
	r     *Rights
	k     *Case
	scope *Scope
	reach *exchange.Reach
	as    exchange.Principal // the partner whose incident it is: it reaches what that partner may know
}

// stop stops what nobody has confirmed to have, a batch at a time.
func (c *carrying) stop(ctx context.Context) error {
	var batch []transfer.TransferID
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := c.r.itself(ctx, c.k.Reference, stopped, &order{Stop: batch})
		batch = nil
		return err
	}
	// What is stopped leaves the lists that are being read: they are read by id, so that nothing is passed over.
	err := c.r.cfg.Exchange.Recallable(ctx, c.as, c.reach, func(t *exchange.Recallable) error {
		if !c.scope.waits(t) {
			return nil
		}
		if batch = append(batch, t.ID); len(batch) < stoppedAtOnce {
			return nil
		}
		return flush()
	})
	return errors.Join(err, flush())
}

// tell sends a notice of each disclosure to whoever received it, or where an incident is announced, to whoever sent it.
func (c *carrying) tell(ctx context.Context, act string) error {
	notices, err := c.r.notices(ctx, store.NoticeQuery{Case: c.k.Reference, Limit: mostNotices})
	if err != nil {
		return err
	}
	k, err := c.r.Case(ctx, hub, c.k.Reference)
	if err != nil {
		return err
	}
	before := alreadyTold(act, notices, k.Tasks)
	m := c.r.newMeasure(ctx, c.scope)
	told := map[string][]target{} // by whom
	seen := informed{}
	err = c.r.cfg.Exchange.Each(ctx, c.as, c.reach, func(w *exchange.Went) error {
		t, concerned, err := c.target(m, w, act)
		if err != nil || !concerned || before.has(&t) || seen[t.key()] {
			return err
		}
		seen[t.key()] = true
		who := string(t.To) + " " + t.Office
		told[who] = append(told[who], t)
		return nil
	})
	if err != nil {
		return err
	}
	for _, who := range sorted(told) {
		most := transfersInNotice
		if first := told[who][0]; first.Office != "" || !c.r.takesNotices(first.To) {
			most = len(told[who]) // a task is one, however much it is about
		}
		for part := range slices.Chunk(told[who], most) {
			if _, err := c.r.itself(ctx, k.Reference, toldRecipients, &order{Act: act, Tell: part}); err != nil {
				return err
			}
		}
	}
	return nil
}

const mostNotices = 100_000

// target is who is told of a disclosure, and what of it the incident is about.
func (c *carrying) target(m *measure, w *exchange.Went, act string) (t target, concerned bool, err error) {
	l := w.Leaf
	if ours, err := m.bySystem(l); err != nil || !ours {
		return t, false, err
	}
	t = target{To: l.Recipient, Transfer: l.Transfer}
	if d := l.Disclosure; d != nil {
		t.Office, t.Outside = d.Office, &Outside{Made: d.Made.Format("2006-01-02"), How: d.How, Log: Place{w.Origin, w.Index}}
	}
	if act == "incident" {
		t.To, t.Office = l.Sender, ""
	}
	if t.To == c.k.Partner {
		return t, false, nil // it knows
	}
	for i := range l.Subjects {
		for _, item := range l.Subjects[i].Items {
			if c.scope.wants(itemOf(item)) {
				t.Items = append(t.Items, item)
			}
		}
	}
	t.Items = union(t.Items, nil)
	return t, len(t.Items) > 0, nil
}

// carryOn goes on with what was ordered in incidents, where the hub was stopped in the midst of it.
func (r *Rights) carryOn(ctx context.Context) error {
	const page = 100
	var failed error // one that cannot go on keeps no other
	for _, state := range []State{Recalling, Informing} {
		for after := ""; ; {
			rows, err := r.cfg.Store.Cases(ctx, store.CaseQuery{Type: string(Incident), State: string(state), After: after, Limit: page})
			if err != nil {
				return errors.Join(failed, fmt.Errorf("list incidents: %w", err))
			}
			for _, row := range rows {
				if _, err := r.recall(ctx, row.Reference); err != nil {
					failed = errors.Join(failed, fmt.Errorf("carry out what was ordered in %s: %w", row.Reference, err))
				}
				after = row.Reference
			}
			if len(rows) < page || ctx.Err() != nil {
				break
			}
		}
	}
	return failed
}

// settleComplaints takes for resolved what nobody has replied to in time.
func (r *Rights) settleComplaints(ctx context.Context) error {
	const page = 100
	var failed error
	for after := ""; ; {
		rows, err := r.cfg.Store.Cases(ctx, store.CaseQuery{Type: string(Complaint), State: string(Responded), After: after, Limit: page})
		if err != nil {
			return fmt.Errorf("list complaints: %w", err)
		}
		for i := range rows {
			k, err := read(&rows[i])
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			if by, waits := k.theirs(r.cfg.Calendar); !waits || !by.Before(r.cfg.Now()) {
				continue
			}
			if _, err := r.itself(ctx, k.Reference, treatedAsResolved, nil); err != nil {
				failed = errors.Join(failed, fmt.Errorf("settle %s: %w", k.Reference, err))
			}
		}
		if len(rows) < page || ctx.Err() != nil {
			return failed
		}
		after = rows[len(rows)-1].Reference
	}
}
