package exchange

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Job is a transfer that waits for a person, with the decision that made it wait.
type Job struct {
	Work     store.Work
	Transfer store.Transfer
	Decision *ledger.Leaf
}

// Page is a piece of a queue: what is due first comes first, so that what is overdue comes before all else.
type Page struct {
	Owner string    // of the jobs; anybody's when empty
	From  time.Time // where the page before ended: the deadline and the id of its last job
	After transfer.TransferID
	Limit int
}

// Holds lists what waits for a partner's people: transfers that are held, and those that were refused or stopped and that somebody may still
// look at. Everyone lists those of all partners, for the operator.
func (x *Exchange) Holds(ctx context.Context, by Principal, p Page, everyone bool) ([]Job, error) {
	held, err := x.queue(ctx, store.Holds, by, p, everyone)
	if err != nil {
		return nil, err
	}
	if now := x.cfg.Now(); p.From.Before(now) { // whose time is over stands
		p.From, p.After = now, ""
	}
	refused, err := x.queue(ctx, store.Refusals, by, p, everyone)
	if err != nil {
		return nil, err
	}
	all := append(held, refused...)
	slices.SortFunc(all, func(a, b store.Work) int {
		return cmp.Or(a.Deadline.Compare(b.Deadline), cmp.Compare(a.Transfer, b.Transfer))
	})
	return x.jobs(ctx, all[:min(len(all), p.Limit)])
}

// Exceptions lists what went by exception and has not been reviewed.
func (x *Exchange) Exceptions(ctx context.Context, by Principal, p Page, everyone bool) ([]Job, error) {
	rows, err := x.queue(ctx, store.Exceptions, by, p, everyone)
	if err != nil {
		return nil, err
	}
	return x.jobs(ctx, rows)
}

func (x *Exchange) queue(ctx context.Context, q store.Queue, by Principal, p Page, everyone bool) ([]store.Work, error) {
	ask := store.WorkQuery{Queue: q, Sender: by.Partner, Owner: p.Owner, From: p.From, After: p.After, Limit: p.Limit}
	if everyone {
		ask.Sender = ""
	}
	rows, err := x.cfg.Store.Work(ctx, ask)
	if err != nil {
		return nil, fmt.Errorf("read the queue of %s: %w", q, err)
	}
	return rows, nil
}

func (x *Exchange) jobs(ctx context.Context, work []store.Work) ([]Job, error) {
	ids := make([]transfer.TransferID, len(work))
	for i, w := range work {
		ids[i] = w.Transfer
	}
	rows, err := x.cfg.Store.Transfers(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read transfers: %w", err)
	}
	byID := map[transfer.TransferID]store.Transfer{}
	for _, t := range rows {
		byID[t.ID] = t
	}
	out := make([]Job, len(work))
	for i, w := range work {
		l, err := x.leafAt(ctx, w.Log, w.Leaf)
		if err != nil {
			return nil, fmt.Errorf("decision of %s: %w", w.Transfer, err)
		}
		out[i] = Job{Work: w, Transfer: byID[w.Transfer], Decision: l}
	}
	return out, nil
}

// Ruling is what a person decides about a transfer that is held, or about an exception that went.
type Ruling struct {
	Act    policy.Act // or ledger.Reviewed
	Person string     // by the id that the sender's register entry gives them
	Codes  []string   // the reasons that they looked at
	Ground string     // a code of policy.Grounds, or of ReviewGrounds
	At     time.Time  // when they decided it
}

// ReviewGrounds are what the review of an exception can come to.
func ReviewGrounds() []string { return []string{"justified", "not-justified"} }

// RoleError says that a person may not rule as they did, and who could.
type RoleError struct{ Detail string }

func (e *RoleError) Error() string { return e.Detail }

// StaleError says that a ruling was made on other reasons than those of now.
type StaleError struct {
	Transfer transfer.TransferID
	Reasons  []ledger.Reason // those of now
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("what holds transfer %s is no longer what the ruling was made on", e.Transfer)
}

// Rule carries out what a person ruled about a transfer that is held. One that releases it has it decided again: it goes if nothing holds it
// any more, and otherwise waits on, with one reason less. The same ruling again changes nothing, and repeat says so. The errors are ErrNotYours,
// *StateError, *RoleError and *StaleError.
func (x *Exchange) Rule(ctx context.Context, by Principal, id transfer.TransferID, r Ruling) (repeat bool, err error) {
	op := &rule{by: by, id: id, ruling: r, key: keyOf(id, r)}
	err = x.do(ctx, op)
	return op.repeat, err
}

// keyOf is the same for the same ruling, in whatever order its codes stand.
func keyOf(id transfer.TransferID, r Ruling) hash {
	slices.Sort(r.Codes)
	text, _ := json.Marshal(r) // strings and a time
	return sha256.Sum256(append([]byte(id), text...))
}

type rule struct {
	by     Principal
	id     transfer.TransferID
	ruling Ruling
	key    hash

	repeat bool
}

func (r *rule) reads(n *needs) {
	n.transfers = append(n.transfers, r.id)
	n.decided = append(n.decided, r.id)
	n.payloads = append(n.payloads, r.id)
}

func (r *rule) judge(c *commit) error {
	t := c.transfers[r.id]
	if t == nil || t.Sender != r.by.Partner {
		return ErrNotYours
	}
	if r.repeat = c.ruled[r.key]; r.repeat {
		return nil
	}
	if t.State != transfer.Held {
		return &StateError{Transfer: t.ID, State: t.State, Asked: "ruled on"}
	}
	if _, sealed := c.payloads[t.ID]; !sealed {
		return &StateError{Transfer: t.ID, State: transfer.Expired, Asked: "ruled on"}
	}
	person, err := c.staffOf(t.Sender, r.ruling.Person)
	if err != nil {
		return err
	}
	k, err := c.reopen(t)
	if err != nil {
		return err
	}
	now := c.decide(k.request, k.people)
	if r.ruling.Act != policy.LetGo {
		return r.end(c, t, &k, &now, person)
	}
	if !k.readable {
		return fmt.Errorf("the payload of %s cannot be opened, so it cannot be let go", t.ID)
	}
	return r.letGo(c, t, &k, &now, person)
}

// letGo decides again with what the person ruled, as whichever of their roles lifts most.
func (r *rule) letGo(c *commit, t *store.Transfer, k *reopened, now *decided, person *transfer.Person) error {
	if now.Outcome.Permits() {
		c.resume(actorOf(r.by), t, now, k.people) // what held it has passed
		return nil
	}
	codes := codesOf(now)
	if slices.ContainsFunc(codes, func(code policy.Code) bool { return !slices.Contains(r.ruling.Codes, string(code)) }) || r.saidSince(k) {
		return &StaleError{t.ID, reasonsOf(now)}
	}
	before := k.request.Rulings
	var lifts *policy.Ruling
	var then decided
	for _, role := range person.Roles {
		try := policy.Ruling{Act: policy.LetGo, Person: person.ID, Role: role, Codes: codes, Ground: r.ruling.Ground, At: c.at}
		k.request.Rulings = append(slices.Clone(before), try)
		d := c.decide(k.request, k.people)
		if d.Outcome.Permits() || lifts == nil && !reflect.DeepEqual(d.Reasons, now.Reasons) {
			lifts, then = &try, d
		}
		if d.Outcome.Permits() {
			break
		}
	}
	if lifts == nil {
		return &RoleError{needed(person.ID, codes)}
	}
	if err := r.record(c, t, lifts); err != nil {
		return err
	}
	if then.Outcome.Permits() {
		c.resume(actorOf(r.by), t, &then, k.people)
		return nil
	}
	c.workOf(t, &then, c.leaf(c.leafOf(actorOf(r.by), t, &then, k.people)))
	return nil
}

// end refuses a transfer for good, or gives it back to its sender. Nothing of it is kept.
func (r *rule) end(c *commit, t *store.Transfer, k *reopened, now *decided, person *transfer.Person) error {
	at := slices.IndexFunc(person.Roles, func(role transfer.StaffRole) bool { return mayEnd(r.ruling.Act, now.Owner, role) })
	if at < 0 {
		return &RoleError{fmt.Sprintf("%s may not refuse this: it is the %s's to decide. Anybody on the sender's register may return it instead.", person.ID, now.Owner)}
	}
	ruling := policy.Ruling{Act: r.ruling.Act, Person: person.ID, Role: person.Roles[at], Codes: codesOf(now), Ground: r.ruling.Ground, At: c.at}
	if err := r.record(c, t, &ruling); err != nil {
		return err
	}
	k.request.Rulings = append(slices.Clone(k.request.Rulings), ruling)
	d := c.decide(k.request, k.people)
	if d.Outcome != transfer.Refuse {
		return fmt.Errorf("transfer %s was ruled to %s, and the decision is %s", t.ID, ruling.Act, d.Outcome)
	}
	d.Owner, d.Deadline = "", time.Time{} // a person has looked
	c.moved(t, map[policy.Act]transfer.State{policy.TurnDown: transfer.Refused, policy.SendBack: transfer.Returned}[ruling.Act], "", -1)
	l := c.leafOf(actorOf(r.by), t, &d, k.people)
	shorten(l)
	c.leaf(l)
	c.workDone(t.ID, store.Holds)
	c.erase = append(c.erase, t.ID)
	return nil
}

// mayEnd reports whether somebody with a role may refuse what is the owner's to decide. To give it back to whoever sent it, anybody may.
func mayEnd(act policy.Act, owner string, role transfer.StaffRole) bool {
	switch {
	case act == policy.SendBack, owner == policy.OwnerSender:
		return true
	case owner == policy.OwnerSafeguarding:
		return role == transfer.SafeguardingLead
	}
	return role == transfer.DataProtection || role == transfer.CaldicottGuardian
}

// saidSince reports whether somebody in the message has said no after the person ruled.
func (r *rule) saidSince(k *reopened) bool {
	for i := range k.request.Subjects {
		for _, ev := range k.request.Subjects[i].Events {
			switch ev.State {
			case consent.Refused, consent.Withdrawn, consent.Objected, consent.Restricted:
				if ev.At.After(r.ruling.At) {
					return true
				}
			}
		}
	}
	return false
}

// record writes a ruling down, in its leaf and with the transfer.
func (r *rule) record(c *commit, t *store.Transfer, ruling *policy.Ruling) error {
	codes := make([]string, len(ruling.Codes))
	for i, code := range ruling.Codes {
		codes[i] = string(code)
	}
	return c.recordRuling(r.by, t, r.key, ruling, codes)
}

func (c *commit) recordRuling(by Principal, t *store.Transfer, key hash, ruling *policy.Ruling, codes []string) error {
	body, err := json.Marshal(ruling)
	if err != nil {
		return fmt.Errorf("encode a ruling: %w", err)
	}
	c.ruled[key] = true
	if ruling.Act != ledger.Reviewed {
		c.rulings[t.ID] = append(c.rulings[t.ID], *ruling)
	}
	actor := actorOf(by)
	actor.Person, actor.Role = ruling.Person, ruling.Role
	leaf := c.leaf(&ledger.Leaf{
		Kind: ledger.KindRuling, Actor: actor, Transfer: t.ID, Sender: t.Sender, Recipient: t.Recipient, State: t.State,
		Ruling: &ledger.Ruling{Act: string(ruling.Act), Codes: codes, Ground: ruling.Ground},
	})
	c.insert.Rulings = append(c.insert.Rulings, store.Ruling{ID: key, Transfer: t.ID, At: c.at, Body: body, Log: c.x.cfg.Origin, Leaf: leaf})
	return nil
}

// staffOf finds a member of a partner's staff.
func (c *commit) staffOf(of transfer.PartnerID, id string) (*transfer.Person, error) {
	if p, known := c.index.Partner(of); known {
		for i := range p.People {
			if p.People[i].ID == id {
				return &p.People[i], nil
			}
		}
	}
	return nil, &RoleError{fmt.Sprintf("Nobody on the register of %s has this id. The register says who may decide what: ask the hub's operator to add them.", of)}
}

// codesOf lists the codes of a decision's reasons, each once.
func codesOf(d *decided) []policy.Code {
	var out []policy.Code
	for _, r := range d.Reasons {
		out = append(out, r.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// needed says who could let a transfer go that is held for these reasons.
func needed(person string, codes []policy.Code) string {
	var may, never []string
	for _, code := range codes {
		roles := policy.MayLift(code)
		if len(roles) == 0 {
			never = append(never, string(code))
			continue
		}
		names := make([]string, len(roles))
		for i, r := range roles {
			names[i] = string(r)
		}
		may = append(may, string(code)+" needs one of "+strings.Join(names, ", "))
	}
	text := "A ruling by " + person + " does not let this go."
	if len(may) > 0 {
		text += " " + strings.Join(may, "; ") + "; and the ground has to be one for letting go."
	}
	if len(never) > 0 {
		text += " No ruling lifts " + strings.Join(never, ", ") + ": see the remedy of each."
	}
	return text
}

// reconsider decides holds again whose deadline has come since it last looked: the time to object may be over, an agreement reviewed. What
// still does not go waits on.
func (x *Exchange) reconsider(ctx context.Context, limit int) error {
	x.lookedMu.Lock()
	defer x.lookedMu.Unlock()
	ask := store.WorkQuery{Queue: store.Holds, From: x.looked, Limit: limit}
	var failed error
	for now := x.cfg.Now(); ; {
		rows, err := x.cfg.Store.Work(ctx, ask)
		if err != nil {
			return fmt.Errorf("read the holds that are due: %w", err)
		}
		for _, w := range rows {
			if w.Deadline.After(now) {
				return failed
			}
			if err := x.do(ctx, &lookAgain{id: w.Transfer}); err != nil { // which keeps no other
				failed = errors.Join(failed, fmt.Errorf("decide %s again: %w", w.Transfer, err))
			}
			x.looked, ask.From, ask.After = w.Deadline, w.Deadline, w.Transfer
		}
		if len(rows) < limit || ctx.Err() != nil {
			return failed
		}
	}
}

type lookAgain struct{ id transfer.TransferID }

func (l *lookAgain) reads(n *needs) {
	n.transfers = append(n.transfers, l.id)
	n.decided = append(n.decided, l.id)
	n.payloads = append(n.payloads, l.id)
}

func (l *lookAgain) judge(c *commit) error {
	t := c.transfers[l.id]
	if t == nil || t.State != transfer.Held {
		return nil
	}
	if _, sealed := c.payloads[l.id]; !sealed || !c.knowsAll(l.id) {
		return nil
	}
	k, err := c.reopen(t)
	if err != nil {
		c.x.cfg.Log.Error("a hold could not be decided again", "transfer_id", l.id, "err", err)
		return nil
	}
	if k.lost() {
		return nil
	}
	if d := c.decide(k.request, k.people); d.Outcome.Permits() && k.readable {
		c.resume(ledger.Hub, t, &d, k.people)
	}
	return nil
}

// Review records that a person has looked at an exception after it went. The errors are those of Rule.
func (x *Exchange) Review(ctx context.Context, by Principal, id transfer.TransferID, r Ruling) (repeat bool, err error) {
	found, err := x.entries(ctx, []transfer.TransferID{id})
	if err != nil {
		return false, err
	}
	r.Act = ledger.Reviewed
	op := &review{rule: rule{by: by, id: id, ruling: r, key: keyOf(id, r)}}
	for _, e := range found {
		op.excepted = op.excepted || e.Leaf.Outcome == transfer.PermitException
		op.reviewed = op.reviewed || e.Leaf.Kind == ledger.KindRuling && e.Leaf.Ruling.Act == ledger.Reviewed
	}
	err = x.do(ctx, op)
	return op.repeat, err
}

type review struct {
	rule
	excepted, reviewed bool
}

// ErrNoException says that there is nothing to review: the transfer did not go by exception.
var ErrNoException = errors.New("this transfer did not go by exception")

// ErrReviewed says that an exception has been reviewed before, otherwise.
var ErrReviewed = errors.New("this exception has been reviewed already")

func (r *review) judge(c *commit) error {
	t := c.transfers[r.id]
	if t == nil || t.Sender != r.by.Partner {
		return ErrNotYours
	}
	if r.repeat = c.ruled[r.key]; r.repeat {
		return nil
	}
	switch {
	case !r.excepted:
		return ErrNoException
	case r.reviewed:
		return ErrReviewed
	}
	person, err := c.staffOf(t.Sender, r.ruling.Person)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(person.Roles, func(role transfer.StaffRole) bool {
		return role == transfer.DataProtection || role == transfer.CaldicottGuardian
	})
	if at < 0 {
		return &RoleError{person.ID + " may not review this: an exception is reviewed by somebody with the role dpl or caldicott-guardian."}
	}
	ruling := policy.Ruling{Act: ledger.Reviewed, Person: person.ID, Role: person.Roles[at], Ground: r.ruling.Ground, At: c.at}
	c.workDone(t.ID, store.Exceptions)
	return c.recordRuling(r.by, t, r.key, &ruling, nil)
}
