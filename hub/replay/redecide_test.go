package replay_test

import (
	"context"
	"errors"
	"strings"
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

var ann, ben = commitment(0xa1), commitment(0xb2)

// A year of the hub: consents, a withdrawal, a hold that was let go, a suspended partner, a suspended and a superseded agreement. Whatever
// became of all of them since, each decision comes out as it did.
func aYear(t *testing.T, old bool) (*hub, []*agreement.Agreement) {
	first, second := hertswise(1), hertswise(2, listing(named...))
	h := newHub(t, first)
	h.old = old
	h.expect(h.refers("t1", ann, carerAll...), transfer.Hold)
	h.says(ann, consent.Given)
	h.expect(h.refers("t1", ann, carerAll...), transfer.Permit)
	h.expect(h.releases("t1", ann, carerAll...), transfer.Permit)
	h.says(ann, consent.Refused, func(e *consent.Event) { e.Categories = []contracts.Category{"health"} })
	h.expect(h.refers("t2", ann, carerAll...), transfer.PermitReduced)
	h.says(ann, consent.Withdrawn)
	h.expect(h.releases("t2", ann, named...), transfer.Refuse)

	h.says(ben, consent.Given, by(pohwer)) // told to somebody else
	h.expect(h.refers("t3", ben, carerAll...), transfer.Hold)
	h.says(ben, consent.Given, by(ageUK), func(e *consent.Event) { e.ExpiresAt = h.now.Add(time.Hour) })
	h.expect(h.refers("t4", ben, carerAll...), transfer.Permit)
	h.now = h.now.Add(day)
	h.expect(h.releases("t4", ben, carerAll...), transfer.Hold)
	h.says(ben, consent.Renewed, func(e *consent.Event) { e.Categories, e.Explicit = []contracts.Category{"identity"}, true })

	h.adopt(register(t, []*agreement.Agreement{first}, suspending(ageUK)))
	h.write(&ledger.Leaf{Kind: ledger.KindPartner, Recipient: ageUK, Note: "suspended: no answer"})
	h.expect(h.refers("t5", ben, named...), transfer.Refuse)
	h.adopt(register(t, []*agreement.Agreement{first}))
	h.write(&ledger.Leaf{Kind: ledger.KindPartner, Recipient: ageUK, Note: "restored"})
	h.expect(h.refers("t6", ben, named...), transfer.Permit)

	stopped := *first
	stopped.Status = agreement.Suspended
	clause := *first.Flows[0]
	clause.Agreement = &stopped
	stopped.Flows = []*agreement.Flow{&clause}
	h.adopt(register(t, []*agreement.Agreement{&stopped}))
	h.stands(first, "suspended")
	h.expect(h.refers("t7", ben, named...), transfer.Refuse)
	h.adopt(register(t, []*agreement.Agreement{first}), first)
	h.expect(h.refers("t8", ben, carerAll...), transfer.PermitReduced)

	h.adopt(register(t, []*agreement.Agreement{first, second}), second)
	d := h.refers("t9", ben, named...)
	h.expect(d, transfer.Permit)
	if d.Agreement.Version != 2 {
		t.Fatalf("decided under version %d", d.Agreement.Version)
	}
	return h, []*agreement.Agreement{first, second}
}

func TestEveryDecisionComesOutAsItDid(t *testing.T) {
	for _, old := range []bool{false, true} {
		h, versions := aYear(t, old)
		done := h.redecided(register(t, versions))
		if done.Decisions != 13 || len(done.Rewritten) > 0 { // a release and the decision for it are one
			t.Errorf("in the form of the first logs, %t: %+v", old, done)
		}

		// What stands now makes no difference to what stood then.
		ended := hertswise(1)
		ended.Status = agreement.Terminated
		h.redecided(register(t, []*agreement.Agreement{ended, versions[1]}, suspending(ageUK)))

		// A version that came later was not there then.
		h.redecided(register(t, append(versions, hertswise(3, listing("carer.name.family")))))
	}
}

// A ruling is an input like a consent: it stands in the log before the decision. It counts as long as whoever made it is on the register, and who
// was on it then is an input too.
func TestWhatWasLetGoByARulingIsLetGoAgain(t *testing.T) {
	overdue := hertswise(1)
	overdue.ReviewBy = noon.Add(-100 * day)
	h := newHub(t, overdue)
	h.says(ann, consent.Given)
	h.expect(h.refers("t1", ann, named...), transfer.Hold)
	h.rules("t1", policy.LetGo, policy.AgreementReviewOverdue)
	h.expect(h.refers("t1", ann, named...), transfer.Permit)
	h.expect(h.refers("t2", ann, named...), transfer.Hold) // another transfer, on which nobody has ruled
	all := []*agreement.Agreement{overdue}
	h.redecided(register(t, all))

	someoneElse, promoted := dpl, dpl
	someoneElse.ID, promoted.Roles = "dpl-2", []transfer.StaffRole{transfer.Caseworker}
	h.redecided(register(t, all, employing(someoneElse)))
	h.redecided(register(t, all, employing(promoted)))
	h.redecided(register(t, all, employing()))

	h.adopt(register(t, all, employing(someoneElse)))
	h.expect(h.releases("t1", ann, named...), transfer.Hold) // they have left meanwhile
	h.adopt(register(t, all))
	h.expect(h.releases("t1", ann, named...), transfer.Permit)
	h.redecided(register(t, all))
	h.redecided(register(t, all, employing()))
}

func TestDriftSaysWhatWouldBeDecidedNowAndWhy(t *testing.T) {
	story := func(t *testing.T) (*hub, *agreement.Agreement) {
		first := hertswise(1)
		h := newHub(t, first)
		given := h.says(ann, consent.Given)
		h.expect(h.refers("t1", ann, carerAll...), transfer.Permit)
		h.expect(h.refers("t2", ben, carerAll...), transfer.Hold)
		if given.ID != "c-1" {
			t.Fatal(given.ID)
		}
		return h, first
	}

	t.Run("a text that was changed under its number", func(t *testing.T) {
		h, _ := story(t)
		changed := hertswise(1, listing("carer.name.family", "carer.phones"))
		changed.Digest = "sha256:another"
		done := h.redecided(register(t, []*agreement.Agreement{changed}),
			"leaf 2 (decision, transfer t1) was permit and would now be permit-reduced: for reasons ITEM_NOT_LISTED instead of none; "+
				"carer no longer gets carer.name.given, carer.addresses.lines, carer.condition",
			"leaf 3 (decision, transfer t2) was hold and would now be hold: for reasons CONSENT_NONE, ITEM_NOT_LISTED instead of CONSENT_NONE")
		if diff := cmp.Diff([]string{"hertswise@1"}, done.Rewritten); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("another status line is no drift", func(t *testing.T) {
		h, _ := story(t)
		expired := hertswise(1)
		expired.Status, expired.Digest = agreement.Expired, "sha256:another"
		if done := h.redecided(register(t, []*agreement.Agreement{expired})); len(done.Rewritten) != 1 {
			t.Errorf("got %+v", done)
		}
	})
	t.Run("a version that is gone", func(t *testing.T) {
		h, _ := story(t)
		h.redecided(register(t, nil),
			"leaf 2 (decision, transfer t1) was permit and would now be refuse: there is no hertswise@1 here; under clause none instead of hertswise@1#refer; "+
				"for reasons NO_AGREEMENT instead of none; carer no longer gets carer.name.given, carer.name.family, carer.addresses.lines, carer.phones, carer.condition; "+
				"on consents of carer none instead of c-1",
			"leaf 3 (decision, transfer t2) was hold and would now be refuse: there is no hertswise@1 here; under clause none instead of hertswise@1#refer; "+
				"for reasons NO_AGREEMENT instead of CONSENT_NONE")
	})
	t.Run("a permit that nothing bears out", func(t *testing.T) {
		h, first := story(t)
		forged, err := ledger.Parse(h.log.Entries[3])
		if err != nil {
			t.Fatal(err)
		}
		forged.Outcome, forged.Subjects[0].Items, forged.Subjects[0].Stripped = transfer.Permit, named, reached
		h.write(forged)
		h.redecided(register(t, []*agreement.Agreement{first}),
			"leaf 4 (decision, transfer t2) was permit and would now be hold: carer no longer gets carer.name.given, carer.name.family")
	})
	t.Run("what cannot be read any more", func(t *testing.T) {
		h, first := story(t)
		for _, change := range []func(l *ledger.Leaf){
			func(l *ledger.Leaf) { l.Type = "referral/0" },
			func(l *ledger.Leaf) { l.Subjects[0].Items = append(l.Subjects[0].Items, "carer.shoe_size") },
			func(l *ledger.Leaf) { l.Subjects[0].Facts = []string{"tall"} },
			func(l *ledger.Leaf) { l.Onward = "hertswise@1#nowhere" },
		} {
			l, err := ledger.Parse(h.log.Entries[2])
			if err != nil {
				t.Fatal(err)
			}
			change(l)
			h.write(l)
		}
		h.redecided(register(t, []*agreement.Agreement{first}),
			"leaf 4 (decision, transfer t1) was permit and cannot be decided again: it is of type referral/0, which is not known here",
			"leaf 5 (decision, transfer t1) was permit and cannot be decided again: referral/1 has no item carer.shoe_size",
			`leaf 6 (decision, transfer t1) was permit and cannot be decided again: "tall" is not a fact that decisions know`,
			"leaf 7 (decision, transfer t1) was permit and cannot be decided again: it passes on what was received under hertswise@1#nowhere, which is not known here")
	})
}

// Another copy of the hub may have written down that a version was activated. That a decision was made under it says as much.
func TestAVersionOfWhichTheLogHasNoLeaf(t *testing.T) {
	first := hertswise(1)
	h := newHub(t)
	h.adopt(register(t, []*agreement.Agreement{first}))
	h.says(ann, consent.Given)
	h.expect(h.refers("t1", ann, named...), transfer.Permit)
	now := hertswise(1)
	now.Status = agreement.Suspended
	h.redecided(register(t, []*agreement.Agreement{now}))
}

// Drafts lie beside what is in force, and agreements come later. A refusal for want of any is the same refusal.
func TestRefusalsForWantOfAnAgreement(t *testing.T) {
	draft := hertswise(1)
	draft.Status = agreement.Draft
	h := newHub(t)
	h.adopt(register(t, []*agreement.Agreement{draft}))
	advocacy := func(id transfer.TransferID) policy.Decision {
		return h.judges(ledger.KindDecision, id, ann, &policy.Request{
			Sender: cih, Recipient: ageUK, Contract: referral, Purpose: "advocacy",
			Subjects: []policy.Subject{{Role: transfer.Carer, Items: items(named...), Facts: policy.Adult}},
		})
	}
	h.expect(advocacy("t1"), transfer.Refuse)
	h.expect(h.refers("t2", ann, named...), transfer.Refuse)
	h.adopt(register(t, nil))
	h.expect(advocacy("t3"), transfer.Refuse)
	active := hertswise(1)
	h.adopt(register(t, []*agreement.Agreement{active}), active)
	h.expect(advocacy("t4"), transfer.Refuse)

	// A second version that is signed, and has started, stands in the way of the first until it is activated.
	signed := hertswise(2)
	signed.Status = agreement.Signed
	h.adopt(register(t, []*agreement.Agreement{active, signed}))
	h.says(ann, consent.Given)
	h.expect(h.refers("t5", ann, named...), transfer.Refuse)
	second := hertswise(2)
	h.adopt(register(t, []*agreement.Agreement{active, second}), second)
	h.expect(h.refers("t6", ann, named...), transfer.Permit)
	h.redecided(register(t, []*agreement.Agreement{active, second}))
}

// The log says when an agreement was stopped. What went under it after that is found.
func TestAReleaseUnderWhatWasStopped(t *testing.T) {
	first := hertswise(1)
	h := newHub(t, first)
	h.says(ann, consent.Given)
	h.expect(h.refers("t1", ann, named...), transfer.Permit)
	h.stands(first, "suspended")
	h.expect(h.releases("t1", ann, named...), transfer.Permit) // the hub of this story goes on all the same
	h.redecided(register(t, []*agreement.Agreement{first}),
		"leaf 4 (decision for a release, transfer t1) was permit and would now be refuse: under clause none instead of hertswise@1#refer; "+
			"for reasons AGREEMENT_SUSPENDED instead of none; carer no longer gets carer.name.given, carer.name.family; on consents of carer none instead of c-1")
}

func TestALogThatCannotBeReadIsAnError(t *testing.T) {
	h, versions := aYear(t, false)
	x := register(t, versions)
	visit := func(replay.Drift) error { return nil }

	stop := errors.New("enough")
	_, err := replay.Redecide(context.Background(), h.log, register(t, nil), func(replay.Drift) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := replay.Redecide(ctx, h.log, x, visit); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	h.log.Entries[3] = []byte("{}")
	if _, err := replay.Redecide(context.Background(), h.log, x, visit); !errors.Is(err, ledger.ErrEncoding) || !strings.Contains(err.Error(), "leaf 3") {
		t.Errorf("got %v", err)
	}
	h.log.Size++
	h.log.Entries[3] = h.log.Entries[4]
	if _, err := replay.Redecide(context.Background(), h.log, x, visit); !errors.Is(err, ledger.ErrAbsent) {
		t.Errorf("got %v", err)
	}
}
