package replay_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/replay"
	"referralhub/hub/transfer"
)

func (h *hub) used(x *agreement.Index, since time.Time, want ...replay.Used) {
	h.Helper()
	got, err := replay.Usage(context.Background(), h.log, x, since, h.now)
	if err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.Errorf("usage (-want +got):\n%s", diff)
	}
}

func TestWhatAClauseLetsGoAndWhatPeopleSend(t *testing.T) {
	first := hertswise(1, listing("carer.name.given", "carer.name.family", "carer.phones", "carer.email", "carer.gp"))
	never := hertswise(1)
	never.ID = "navigators"
	never.Flows[0].ID, never.Flows[0].To, never.Flows[0].Members = "navigators@1#refer", []transfer.PartnerID{pohwer}, nil
	looked := hertswise(1, func(f *agreement.Flow) { f.ID, f.AccessOnly = "support@1#look", true })
	looked.ID = "support"
	over := hertswise(1)
	over.ID, over.Status, over.Flows[0].ID = "over", agreement.Expired, "over@1#refer"

	h := newHub(t, first)
	h.says(ann, consent.Given)
	h.says(ben, consent.Given, func(e *consent.Event) { e.Categories = []contracts.Category{"identity"} })
	h.expect(h.refers("t1", ann, carerAll...), transfer.PermitReduced) // the address and the condition are cut out
	h.releases("t1", ann, "carer.name.given", "carer.name.family", "carer.phones")
	h.releases("t1", ann, "carer.name.given", "carer.name.family", "carer.phones")
	h.expect(h.refers("t2", ben, "carer.name.family", "carer.phones", "carer.addresses.lines"), transfer.PermitReduced)
	h.refers("t2", ben, "carer.name.family", "carer.phones", "carer.addresses.lines")              // decided again
	h.expect(h.refers("t4", ben, "carer.name.family", "carer.email"), transfer.PermitReduced)      // agreed to less
	h.expect(h.refers("t3", commitment(0xc3), "carer.name.family", "carer.gender"), transfer.Hold) // whether it might have gone is not known

	x := register(t, []*agreement.Agreement{first, never, looked, over})
	unused := replay.Used{Clause: "navigators@1#refer", Message: "referral/1"}
	h.used(x, time.Time{}, replay.Used{
		Clause: "hertswise@1#refer", Message: "referral/1", Transfers: 4, Released: 1, NeverSent: []string{"carer.gp"},
		Stripped: []replay.Items{{Name: "carer.addresses.lines", Transfers: 2}, {Name: "carer.condition", Transfers: 1}},
		Withheld: []replay.Items{{Name: "carer.email", Transfers: 1}},
	}, unused)
	h.used(x, h.now, replay.Used{
		Clause: "hertswise@1#refer", Message: "referral/1", Transfers: 1, NeverSent: []string{"carer.name.given", "carer.phones", "carer.email", "carer.gp"},
	}, unused)
	h.used(x, h.now.Add(time.Second), replay.Used{Clause: "hertswise@1#refer", Message: "referral/1"}, unused)

	// The second version is another clause, and what went under the first is no use of it.
	h.used(register(t, []*agreement.Agreement{first, hertswise(2)}), time.Time{}, replay.Used{Clause: "hertswise@2#refer", Message: "referral/1"})
}
