package rights

import (
	"fmt"
	"slices"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// The states of a restriction after everybody has been told of it.
const (
	Restricted State = "restricted"
	Lifting    State = "lifting" // the person has been told that it will be lifted (Art 18(3))
)

// restriction is Art 18: data is kept and not used. The restriction is an event of the person's consent record, and so the decision (gate G9)
// sees it.
var restriction = procedure{
	person:  whoeverIs,
	grounds: []string{"accuracy-contested", "unlawful", "needed-for-claims", "objection-pending"}, // Art 18(1)
	clock:   month("Art 18"),
	steps: telling([]string{"no-ground"}, with(passing(Restricted, Lifting, Telling), map[string]rule{
		"restricted":      {from: []State{Open}, to: Restricted, takes: "items", effect: restrict},
		answered:          {from: []State{Restricted, Lifting, Telling}},
		"told-of-lifting": {from: []State{Restricted}, to: Lifting},
		"lifted":          {from: []State{Lifting}, to: Telling, grounds: []string{"accurate-now", "lawful", "claims-over", "objection-decided", "person-agrees"}, effect: lift},
	})),
}

func restrict(w *work) error {
	if err := w.record(consent.Restricted, w.items()); err != nil {
		return err
	}
	return tellItems("restrict")(w)
}

func lift(w *work) error {
	done, _ := w.k.took("restricted")
	items := done.Items
	if len(items) == 0 {
		items = w.k.Items
	}
	if err := w.record(consent.RestrictionLifted, items); err != nil {
		return err
	}
	w.tell("lift-restriction", w.disclosures(items), w.month())
	return nil
}

// items are those of the step, or those of the case.
func (w *work) items() []string {
	if len(w.in.Items) > 0 {
		return w.in.Items
	}
	return w.k.Items
}

// record puts what the person said into their consent record, for whoever's decisions it is to change: the partner whose case it is, or where it
// is the operator's, everybody who has sent something about the person. What is open about them is decided again at once.
func (w *work) record(state consent.State, items []string) error {
	senders := w.senders()
	if len(senders) == 0 {
		return w.refuse("nobody has sent anything about this person, so there is nobody whose decisions it could change: open the case for the partner that is meant")
	}
	over, err := w.reach()
	if err != nil {
		return err
	}
	stopped := 0
	for _, p := range senders {
		by := exchange.Principal{Partner: p, System: w.by.System}
		for i, who := range w.all {
			message := transfer.MessageID(fmt.Sprintf("%s/%s/%d", w.k.Reference, w.in.Step, i))
			ev := consent.Event{
				ID: w.rights.cfg.Exchange.EventID(p, message), Subject: who, RecordedBy: p, State: state, Purpose: over.Purpose, Service: over.Service,
				Recipients: over.recipients(), Categories: categories(items), Method: w.method(), Authority: "self", At: w.At(),
			}
			done, err := w.Record(by, ev)
			if err != nil {
				return err
			}
			stopped += len(done.Stopped)
		}
	}
	w.count("stopped", stopped)
	return nil
}

// method is how the person said it, as a consent event has it.
func (w *work) method() string {
	switch w.k.Channel {
	case "telephone", "in-person":
		return "verbal"
	case "email":
		return "email"
	case "online":
		return "online"
	}
	return "paper"
}

// senders are the partners whose decisions the case is about.
func (w *work) senders() []transfer.PartnerID {
	if !w.operator() {
		return []transfer.PartnerID{w.k.Partner}
	}
	var out []transfer.PartnerID
	for _, who := range w.all {
		for _, e := range w.own(who) {
			if k := e.Leaf.Kind; k == ledger.KindDecision || k == ledger.KindDisclosure {
				out = append(out, e.Leaf.Sender)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// categories are those of items, by the contract that names them: a consent event speaks of categories.
func categories(items []string) []contracts.Category {
	contract, _ := contracts.For("referral/1") // it is there: the hub would not have started
	var out []contracts.Category
	for _, name := range items {
		if i, known := contract.Lookup(name); known {
			out = append(out, i.Category)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
