package replay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/replay"
	"referralhub/hub/transfer"
)

func (h *hub) simulated(x *agreement.Index, proposed *agreement.Agreement, since time.Time, want ...string) replay.Simulated {
	h.Helper()
	var got []string
	done, err := replay.Simulate(context.Background(), h.log, x, proposed, since, func(c replay.Change) error {
		got = append(got, fmt.Sprintf("%d %s %s to %s, +%v -%v %v", c.Index, c.Transfer, c.Was, c.Would, c.Newly, c.Gone, c.Codes))
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.Errorf("changes (-want +got):\n%s", diff)
	}
	return done
}

// three carers were referred; two of them consented, one to less.
func threeCarers(t *testing.T) (h *hub, x *agreement.Index) {
	first := hertswise(1, listing("carer.name.given", "carer.name.family", "carer.phones"))
	h = newHub(t, first)
	h.says(ann, consent.Given)
	h.says(ben, consent.Given, func(e *consent.Event) { e.Categories = []contracts.Category{"identity"} })
	h.expect(h.refers("t1", ann, carerAll...), transfer.PermitReduced)
	h.expect(h.releases("t1", ann, "carer.name.given", "carer.name.family", "carer.phones"), transfer.Permit)
	h.expect(h.refers("t2", ann, named...), transfer.Permit)
	h.expect(h.refers("t3", ben, carerAll...), transfer.PermitReduced)
	h.expect(h.refers("t4", commitment(0xc3), carerAll...), transfer.Hold)
	return h, register(t, []*agreement.Agreement{first})
}

func TestAProposalIsPlayedOverTheLog(t *testing.T) {
	h, x := threeCarers(t)
	proposed := hertswise(2, listing("carer.name.family", "carer.phones", "carer.addresses.lines"))
	proposed.Status, proposed.Starts = agreement.Draft, noon.Add(90*day) // it starts next year
	done := h.simulated(x, proposed, time.Time{},
		"3 t1 permit-reduced to permit-reduced, +[carer.addresses.lines] -[carer.name.given] [ITEM_NOT_LISTED]",
		"6 t2 permit to permit-reduced, +[] -[carer.name.given] [ITEM_NOT_LISTED]",
		"7 t3 permit-reduced to permit-reduced, +[] -[carer.name.given] [ITEM_NOT_LISTED CONSENT_SCOPE]")
	want := replay.Simulated{
		Transfers: 4, Otherwise: 3, People: 2,
		Moves: []replay.Move{
			{Was: transfer.PermitReduced, Would: transfer.PermitReduced, Transfers: 2},
			{Was: transfer.Permit, Would: transfer.PermitReduced, Transfers: 1},
		},
		Newly: []replay.Items{{Name: "carer.addresses.lines", Transfers: 1}},
		Gone:  []replay.Items{{Name: "carer.name.given", Transfers: 3}},
	}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Error(diff)
	}
}

func TestAProposalOnAnotherBasisLetsHoldsGo(t *testing.T) {
	h, x := threeCarers(t)
	proposed := hertswise(2, listing("carer.name.given", "carer.name.family", "carer.phones"), func(f *agreement.Flow) {
		f.Basis = agreement.Basis{Article6: "f", LIA: "LIA-1"}
	})
	h.expect(h.refers("t4", commitment(0xc3), carerAll...), transfer.Hold) // looked at again, and it counts once
	done := h.simulated(x, proposed, time.Time{},
		"7 t3 permit-reduced to permit-reduced, +[carer.phones] -[] [ITEM_NOT_LISTED]",
		"8 t4 hold to permit-reduced, +[carer.name.given carer.name.family carer.phones] -[] [ITEM_NOT_LISTED]")
	newly := []replay.Items{{Name: "carer.phones", Transfers: 2}, {Name: "carer.name.family", Transfers: 1}, {Name: "carer.name.given", Transfers: 1}}
	if diff := cmp.Diff(newly, done.Newly); diff != "" || done.People != 2 || done.Otherwise != 2 {
		t.Error(diff, done)
	}
	// What lies before is history: people's consents count, decisions are not listed.
	h.simulated(x, proposed, h.now.Add(-150*time.Second), "7 t3 permit-reduced to permit-reduced, +[carer.phones] -[] [ITEM_NOT_LISTED]",
		"8 t4 hold to permit-reduced, +[carer.name.given carer.name.family carer.phones] -[] [ITEM_NOT_LISTED]")
	h.simulated(x, proposed, h.now, "9 t4 hold to permit-reduced, +[carer.name.given carer.name.family carer.phones] -[] [ITEM_NOT_LISTED]")
}

// A proposal concerns those about whom more or less would go. Where that is nobody, and a hold would be a refusal, it concerns everybody.
func TestWhomAProposalConcerns(t *testing.T) {
	h, x := threeCarers(t)
	since := h.now.Add(time.Second)
	withReferrer := func(id transfer.TransferID, who string) {
		h.judges(ledger.KindDecision, id, who, &policy.Request{
			Sender: cih, Recipient: ageUK, Contract: referral, Purpose: "referral.service", Service: "hertswise",
			Undertaking: &contracts.Undertaking{Basis: "consent", EvidenceRef: "file 7"},
			Subjects: []policy.Subject{
				{Role: transfer.Carer, Items: items("carer.name.family", "carer.phones"), Facts: policy.Adult},
				{Role: transfer.Professional, Items: items("referrer.name")},
			},
		})
	}
	withReferrer("t5", ann)
	if done := h.simulated(x, hertswise(2, listing("carer.name.family")), since,
		"9 t5 permit-reduced to permit-reduced, +[] -[carer.phones] [ITEM_NOT_LISTED SUBJECT_GROUP_NOT_COVERED]"); done.People != 1 {
		t.Errorf("got %+v", done)
	}
	if done := h.simulated(x, hertswise(2, listing("carer.name.family", "carer.phones", "referrer.name")), since,
		"9 t5 permit-reduced to permit, +[referrer.name] -[] []"); done.People != 1 {
		t.Errorf("got %+v", done)
	}
	withReferrer("t6", commitment(0xc3))
	gone := hertswise(2, func(f *agreement.Flow) { f.Service = "navigators" })
	if done := h.simulated(x, gone, h.now, "10 t6 hold to refuse, +[] -[] [PURPOSE_NOT_COVERED]"); done.People != 2 {
		t.Errorf("got %+v", done)
	}
}

func TestTheVersionInForceSimulatesToNothing(t *testing.T) {
	h, versions := aYear(t, false)
	x := register(t, versions)
	if done := h.simulated(x, hertswise(3, listing("carer.name.family")), h.now.Add(day)); done.Transfers != 0 {
		t.Errorf("got %+v", done)
	}
	h.simulated(x, hertswise(2, listing(named...)), h.now) // what the last transfer went under

	// A day on which the agreement was suspended stays one: the text of a clause is simulated, and not when somebody stopped it.
	done := h.simulated(x, hertswise(3), time.Time{})
	if done.Otherwise != 0 || done.Transfers != 9 {
		t.Errorf("got %+v", done)
	}
}

func TestANewAgreementIsSimulatedAsIfItHadBeenThere(t *testing.T) {
	h := newHub(t)
	h.adopt(register(t, nil))
	h.says(ann, consent.Given)
	h.expect(h.refers("t1", ann, named...), transfer.Refuse)
	proposed := hertswise(1)
	done := h.simulated(register(t, nil), proposed, time.Time{}, "1 t1 refuse to permit, +[carer.name.given carer.name.family] -[] []")
	if done.Otherwise != 1 {
		t.Errorf("got %+v", done)
	}
	elsewhere := hertswise(1, func(f *agreement.Flow) { f.To, f.Members = []transfer.PartnerID{pohwer}, nil })
	if done := h.simulated(register(t, nil), elsewhere, time.Time{}); done.Transfers != 0 {
		t.Errorf("got %+v", done)
	}
}

// Nobody asked the messages of last year a question that the proposal asks.
func TestAConditionThatWasNotAskedIsNotAnswered(t *testing.T) {
	h, x := threeCarers(t)
	asks := func(f *agreement.Flow) { f.When = &agreement.Condition{Source: "has(carer.gp)"} }
	if done := h.simulated(x, hertswise(2, asks), time.Time{}); done.Unknown != 4 || done.Otherwise != 0 {
		t.Errorf("got %+v", done)
	}

	h.judges(ledger.KindDecision, "t5", ann, &policy.Request{
		Sender: cih, Recipient: ageUK, Contract: referral, Purpose: "referral.service", Service: "hertswise",
		Undertaking: &contracts.Undertaking{Basis: "consent"}, Conditions: map[string]bool{"has(carer.gp)": true},
		Subjects: []policy.Subject{{Role: transfer.Carer, Items: items(carerAll...), Facts: policy.Adult}},
	})
	done := h.simulated(x, hertswise(2, asks, listing("carer.name.family")), h.now.Add(-time.Second),
		"9 t5 permit-reduced to permit-reduced, +[] -[carer.name.given carer.phones] [ITEM_NOT_LISTED]")
	if done.Unknown != 0 {
		t.Errorf("got %+v", done)
	}
}
