// Package replay makes past decisions again from the disclosure log alone: no payload is kept for it, and none is needed. It writes what a
// decision depended on into its leaf and reads it back; walks a log and decides each transfer again, to find drift (Redecide); puts a proposed
// version of an agreement in the place of the one in force and says what would have been decided otherwise (Simulate); and counts what each
// clause carried (Usage).
//
// What a decision depended on is in three places: in its own leaf; in the leaves before it (what people had said and ruled, and how agreements
// and partners stood); and, as far as the log cannot hold it, in the agreements and the register that the caller brings. A difference that
// comes from the last is drift: somebody changed what was signed, the register, or the rules.
//
// It is pure but for reading the log it is given. A log is walked once, in steps; what is kept is, for each consent event, about 150 bytes.
// Only what stands in the same log is seen: of several logs that copies of a hub write, each is replayed by itself.
package replay

import (
	"fmt"
	"maps"
	"slices"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// WriteInputs puts into a leaf what the decision that it records depended on, beside what every leaf about a transfer says. The leaf's
// subjects must be those of the request, in its order; the index is the one that it was decided by. Request is its reverse.
func WriteInputs(l *ledger.Leaf, r *policy.Request, x *agreement.Index) {
	for i := range r.Subjects {
		s := &r.Subjects[i]
		l.Subjects[i].Facts = s.Facts.Names()
		if !s.Noticed.Empty() {
			l.Subjects[i].Noticed = r.Contract.Names(s.Noticed)
		}
	}
	if u := r.Undertaking; u != nil {
		l.Undertaking = &ledger.Undertaking{
			Basis: u.Basis, Evidence: u.EvidenceRef != "", InformedOn: u.InformedOn, NotInformed: u.NotInformed,
		}
	}
	l.Exception, l.Secondary, l.Review = (*ledger.Exception)(r.Exception), (*ledger.Secondary)(r.Secondary), (*ledger.Review)(r.Review)
	if d := r.Demand; d != nil {
		l.Demand = &ledger.Demand{
			Instrument: d.Instrument, Reference: d.Reference, By: d.By, Authority: d.Authority, Law: d.Law, On: d.On,
			Items: r.Contract.Names(d.Items), Person: d.Person,
		}
	}
	for _, source := range slices.Sorted(maps.Keys(r.Conditions)) {
		l.Conditions = append(l.Conditions, ledger.Condition{If: source, Holds: r.Conditions[source]})
	}
	l.Onward = Onward(r.Onward)
	if names := named(l, r.Rulings); len(names) > 0 {
		l.Staff = staff(x, r.Sender, names)
	}
}

// Onward is how a leaf says what is passed on: the clause under which the sender received it, ledger.NotReceived, or nothing for its own data.
func Onward(o *policy.Onward) string {
	switch {
	case o == nil:
		return ""
	case o.Flow == nil:
		return ledger.NotReceived
	}
	return o.Flow.ID
}

// named lists the members of staff on whom a decision may turn: those whom its leaf names, and those who have ruled about the transfer.
func named(l *ledger.Leaf, rulings []policy.Ruling) []string {
	var names []string
	if l.Exception != nil {
		names = append(names, l.Exception.Person)
	}
	if l.Demand != nil {
		names = append(names, l.Demand.Person)
	}
	if l.Review != nil {
		names = append(names, l.Review.Person)
	}
	for i := range rulings {
		names = append(names, rulings[i].Person)
	}
	return names
}

// staff gives those of the names that are on a partner's register.
func staff(x *agreement.Index, partner transfer.PartnerID, names []string) []ledger.Person {
	var out []ledger.Person
	if p, known := x.Partner(partner); known {
		for i := range p.People {
			if who := &p.People[i]; slices.Contains(names, who.ID) {
				out = append(out, ledger.Person{ID: who.ID, Roles: who.Roles})
			}
		}
	}
	return out
}

// onRecord stands for a reference that the log does not keep.
const onRecord = "on record"

// Request gives what a decision or release was made on: from its leaf, and from the leaves before it, which history has seen. The error says
// what of it nobody can tell any more: a message type, an item, a fact or a clause that is not known here.
func Request(l *ledger.Leaf, history *History) (policy.Request, error) {
	r := policy.Request{
		Sender: l.Sender, Recipient: l.Recipient, Purpose: l.Purpose, Service: l.Service, At: l.At,
		Exception: (*contracts.Exception)(l.Exception), Secondary: (*contracts.Secondary)(l.Secondary), Review: (*contracts.Review)(l.Review),
		Rulings: history.rulings[l.Transfer], Subjects: make([]policy.Subject, len(l.Subjects)),
	}
	var known bool
	if r.Contract, known = contracts.For(l.Type); !known {
		return r, fmt.Errorf("it is of type %s, which is not known here", l.Type)
	}
	var err error
	for i := range l.Subjects {
		if r.Subjects[i], err = subject(r.Contract, &l.Subjects[i]); err != nil {
			return r, err
		}
		r.Subjects[i].Events = history.events(l.Subjects[i].Commitment, l.Sender, l.Recipient)
	}
	if u := l.Undertaking; u != nil {
		r.Undertaking = &contracts.Undertaking{Basis: u.Basis, InformedOn: u.InformedOn, NotInformed: u.NotInformed}
		if u.Evidence {
			r.Undertaking.EvidenceRef = onRecord
		}
	}
	if d := l.Demand; d != nil {
		r.Demand = &contracts.Demand{
			Instrument: d.Instrument, Reference: d.Reference, By: d.By, Authority: d.Authority, Law: d.Law, On: d.On, Person: d.Person,
		}
		if r.Demand.Items, err = set(r.Contract, d.Items); err != nil {
			return r, err
		}
	}
	if len(l.Conditions) > 0 {
		r.Conditions = make(map[string]bool, len(l.Conditions))
		for _, c := range l.Conditions {
			r.Conditions[c.If] = c.Holds
		}
	}
	if l.Onward != "" {
		r.Onward = &policy.Onward{}
		if l.Onward != ledger.NotReceived {
			if r.Onward.Flow = clause(history.index, l.Onward); r.Onward.Flow == nil {
				return r, fmt.Errorf("it passes on what was received under %s, which is not known here", l.Onward)
			}
		}
	}
	return r, nil
}

// subject reads a person of a leaf. What may go and what was stripped are together what was there.
func subject(c *contracts.Contract, l *ledger.Subject) (policy.Subject, error) {
	s := policy.Subject{Role: l.Role, Position: l.Position}
	items, err := set(c, l.Items)
	if err != nil {
		return s, err
	}
	stripped, err := set(c, l.Stripped)
	if err != nil {
		return s, err
	}
	s.Items = items.Or(stripped)
	if s.Noticed, err = set(c, l.Noticed); err != nil {
		return s, err
	}
	s.Facts, err = policy.ParseFacts(l.Facts)
	return s, err
}

func set(c *contracts.Contract, names []string) (contracts.ItemSet, error) {
	var s contracts.ItemSet
	for _, name := range names {
		item, known := c.Lookup(name)
		if !known {
			return s, fmt.Errorf("%s has no item %s", c.Type, name)
		}
		s = s.With(item.Index)
	}
	return s, nil
}

// clause finds a flow by its id, "hertswise@1#refer". Those of one clause for several message types say the same of what may be passed on.
func clause(x *agreement.Index, id string) *agreement.Flow {
	v, ok := versionOf(id)
	if !ok {
		return nil
	}
	a, known := x.Agreement(v.id, v.number)
	if !known {
		return nil
	}
	for _, f := range a.Flows {
		if f.ID == id {
			return f
		}
	}
	return nil
}

// version names one version of an agreement.
type version struct {
	id     transfer.AgreementID
	number int
}

func (v version) String() string { return fmt.Sprintf("%s@%d", v.id, v.number) }
