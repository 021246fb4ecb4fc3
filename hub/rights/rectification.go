package rights

import "referralhub/hub/transfer"

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
		if act == "rectify" || act == "erase" {
			w.count("stopped", w.stopHeld())
		}
		w.tell(act, w.disclosures(items), w.month())
		w.count("recipients", len(w.told)+len(w.k.Tasks))
		return nil
	}
}

// stopHeld ends what is held about the person. Its recipient may not be told that it is, and it would go with what is wrong: its sender sends it
// again.
func (w *work) stopHeld() int {
	stopped := 0
	for _, who := range w.all {
		for _, t := range w.Open(who) {
			if t.State == transfer.Held && (w.operator() || t.Sender == w.k.Partner) && w.Stop(w.actor, t, "to-be-put-right", "what it holds is to be put right or erased") {
				stopped++
			}
		}
	}
	return stopped
}
