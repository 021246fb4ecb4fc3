package rights

import (
	"fmt"
	"slices"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// rectification is Art 16: what is wrong is put right at the source, and everybody who received it is told (Art 19). The right values travel as an
// ordinary message of the sender, never in a case. A refusal is documented (rule 001-11), and the person may add a statement.
var rectification = procedure{
	person: somebody,
	clock:  month("Art 16"),
	steps: telling([]string{"accurate", "opinion", "not-held"}, map[string]rule{
		"accepted":        {from: []State{Open}, to: Telling, items: true, effect: tellItems("rectify")},
		"statement-added": {from: []State{Refused}},
	}),
}

// tellItems tells everybody who received the items of the step, or where it names none, those of the case.
func tellItems(act string) func(w *work) error {
	return func(w *work) error {
		items := w.in.Items
		if len(items) == 0 {
			items = w.k.Items
		}
		var of []func(*ledger.Leaf) bool
		switch act {
		case "rectify":
			w.stopHeld(items)
		case "erase":
			of = append(of, went)
		}
		w.tell(act, w.disclosures(items, of...), w.month())
		w.count("recipients", len(w.told)+len(w.k.Tasks))
		return nil
	}
}

// went leaves out what waits: it is stopped when the person is erased, and its recipient never gets it.
func went(l *ledger.Leaf) bool { return l.Kind != ledger.KindDecision }

// sendAgain is the act of a task: what was stopped has to be sent again, with what is right.
const sendAgain = "send-again"

// stopHeld ends what is held about the person and holds what is wrong: its recipient may not be told that it is there, and it would go with it. Each is
// a task, because somebody has to send it again.
func (w *work) stopHeld(items []string) {
	for _, who := range w.all {
		commitment := w.Commitment(who)
		holds := map[transfer.TransferID][]string{}
		for _, e := range w.own(who) {
			if e.Leaf.Kind != ledger.KindDecision {
				continue
			}
			for _, s := range e.Leaf.Subjects {
				if s.Commitment == commitment {
					holds[e.Leaf.Transfer] = union(holds[e.Leaf.Transfer], meet(slices.Concat(s.Items, s.Stripped), items))
				}
			}
		}
		for _, t := range w.Open(who) {
			wrong := holds[t.ID]
			if t.State != transfer.Held || len(wrong) == 0 || !w.operator() && t.Sender != w.k.Partner || !w.Stop(w.actor, t, "to-be-put-right", "what it holds is to be put right") {
				continue
			}
			w.k.Tasks = append(w.k.Tasks, Task{
				ID: fmt.Sprintf("task-%d", len(w.k.Tasks)+1), Office: string(t.Sender), Act: sendAgain, Items: wrong, Made: []string{},
				Transfers: []transfer.TransferID{t.ID},
			})
		}
	}
}
