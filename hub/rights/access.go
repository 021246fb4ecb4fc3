package rights

import "slices"

// access is Art 15: the person is told who received what about them. See Report.
var access = procedure{
	person: somebody,
	clock:  month("Art 15"),
	steps: request([]string{"exempt", "crime", "harms-somebody", "legal-privilege"}, map[string]rule{
		asked:            {from: []State{Open}, to: Clarification},
		answeredQuestion: {from: []State{Clarification}, to: Open},
		// What was kept from the person may be told once the reason is over.
		reveal:   {from: []State{Open, Clarification, Closed}, grounds: []string{"reason-over", "person-knows", "court-order"}, takes: "entries", effect: mayReveal},
		answered: {from: []State{Open}, to: Closed},
	}),
}

// reveal is the step by which entries are told to the person that were kept from them.
const reveal = "reveal"

func mayReveal(w *work) error {
	if len(w.in.Entries) == 0 {
		return invalid("/entries", "required", "this step names the entries that may be told", "take their places in the log from the report for the Data Protection Lead")
	}
	for _, p := range w.in.Entries {
		kept := w.entries()
		at := slices.IndexFunc(kept, func(e listed) bool { return e.Origin == p.Origin && e.Index == p.Index && e.Kept != "" })
		if at >= 0 && kept[at].Received {
			return invalid("/entries", "not-yours", "what a sender keeps from the person is the sender's to tell: it alone knows why", "ask "+string(kept[at].Leaf.Sender))
		}
		if at < 0 {
			return invalid("/entries", "unknown", "one of these entries is none that was kept from the person", "take their places in the log from the report for the Data Protection Lead")
		}
	}
	return nil
}

// portability is Art 20: which transfers hold what the person supplied and consent or a contract let the partner use. The data itself is with the
// partner, because the hub keeps none.
var portability = procedure{
	person: somebody,
	clock:  month("Art 20"),
	steps: request([]string{"basis-not-consent-or-contract", "not-supplied-by-the-person", "not-automated"}, map[string]rule{
		answered: {from: []State{Open}, to: Closed},
	}),
}
