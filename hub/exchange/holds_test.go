package exchange_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

const constabulary = transfer.PartnerID("hertfordshire-constabulary")

// overdue is a register in which the review of Hertswise was due so long ago that a person has to look at each message.
func overdue(tb testing.TB, now time.Time) *agreement.Index {
	due := now.AddDate(0, 0, -100).Format(time.DateOnly)
	return register(tb, func(file, text string) string {
		if !strings.HasPrefix(file, "hertswise") {
			return text
		}
		lines := strings.Split(text, "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "review_by:") {
				lines[i] = "review_by: " + due
			}
		}
		return strings.Join(lines, "\n")
	})
}

// ruling is what somebody at the sender rules now on these reasons.
func ruling(act policy.Act, person, ground string, when time.Time, codes ...policy.Code) exchange.Ruling {
	r := exchange.Ruling{Act: act, Person: person, Ground: ground, At: when.UTC().Truncate(time.Second)}
	for _, c := range codes {
		r.Codes = append(r.Codes, string(c))
	}
	return r
}

func (u *hub) rule(id transfer.TransferID, r exchange.Ruling) error {
	_, err := u.Rule(context.Background(), by(carersInHerts), id, r)
	return err
}

// holds lists the ids in a partner's queue, with their owners.
func (u *hub) holds(of transfer.PartnerID) map[transfer.TransferID]string {
	u.house.Helper()
	jobs, err := u.Holds(context.Background(), by(of), exchange.Page{Limit: 50}, false)
	u.house.must(err)
	out := map[transfer.TransferID]string{}
	for _, j := range jobs {
		out[j.Transfer.ID] = j.Work.Owner
	}
	return out
}

func (h *house) refusedRole(err error, naming string) {
	h.Helper()
	var role *exchange.RoleError
	if !errors.As(err, &role) || !strings.Contains(role.Detail, naming) {
		h.Errorf("got %v, want a refusal that names %s", err, naming)
	}
}

func (h *house) kinds(st store.Store, id transfer.TransferID) string {
	h.Helper()
	var out []string
	for _, l := range h.leaves(st, firstCopy) {
		if l.Transfer == id {
			out = append(out, string(l.Kind))
		}
	}
	return strings.Join(out, " ")
}

func TestAHoldIsReleasedByTheDataProtectionLead(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		h.index = overdue(t, time.Now())
		u := h.open()
		id := u.send(h.message("held", h.somebody()), transfer.Held).ID
		if got := u.holds(carersInHerts); got[id] != policy.OwnerDPL {
			t.Errorf("the queue of the sender: %v", got)
		}
		if got := u.holds(ageUKHerts); len(got) > 0 {
			t.Errorf("the recipient's queue: %v", got)
		}
		h.refusedRole(u.rule(id, ruling(policy.LetGo, "caseworker-1", "review-under-way", time.Now(), policy.AgreementReviewOverdue)), "dpl")
		h.refusedRole(u.rule(id, ruling(policy.LetGo, "dpl-9", "review-under-way", time.Now(), policy.AgreementReviewOverdue)), "register")
		r := ruling(policy.LetGo, "dpl-1", "review-under-way", time.Now(), policy.AgreementReviewOverdue)
		if _, err := u.Rule(context.Background(), by(ageUKHerts), id, r); !errors.Is(err, exchange.ErrNotYours) {
			t.Errorf("the recipient ruled: %v", err)
		}
		h.must(u.rule(id, r))
		repeat, err := u.Rule(context.Background(), by(carersInHerts), id, r)
		if !repeat || err != nil {
			t.Errorf("the same ruling again: %t, %v", repeat, err)
		}
		if got := u.state(id); got != transfer.Queued {
			t.Fatalf("it is %s", got)
		}
		if got := u.holds(carersInHerts); len(got) > 0 {
			t.Errorf("it is still in the queue: %v", got)
		}
		// The release decides again, and the ruling counts for it.
		parcel, err := u.Collect(context.Background(), by(ageUKHerts), id)
		if err != nil || parcel.Recipient() != ageUKHerts {
			t.Fatalf("collect: %v", err)
		}
		if got := h.kinds(u.store, id); got != "decision ruling decision decision release" {
			t.Errorf("the log has: %s", got)
		}
		h.audited(u.store)
	})
}

func TestWhatAPersonSaidCannotBeRuledAway(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		ctx := context.Background()
		nhs := h.somebody()
		held := u.send(h.message("unasked", nhs, without("consents")), transfer.Held).ID
		for _, person := range []string{"dpl-1", "safeguarding-1"} {
			h.refusedRole(u.rule(held, ruling(policy.LetGo, person, "public-interest", time.Now(), policy.ConsentNone)), "No ruling lifts CONSENT_NONE")
		}
		_, err := u.RecordConsent(ctx, by(carersInHerts), "no", known(nhs), said(consent.Refused, time.Now()))
		h.must(err)
		err = u.rule(held, ruling(policy.LetGo, "dpl-1", "public-interest", time.Now(), policy.ConsentRefused))
		if state := (*exchange.StateError)(nil); !errors.As(err, &state) || state.State != transfer.Refused {
			t.Errorf("a refusal was ruled on: %v", err)
		}
		if got := u.holds(carersInHerts); len(got) != 1 {
			t.Errorf("the refusal waits for nobody: %v", got)
		}
		if got := h.kinds(u.store, held); strings.Contains(got, "ruling") {
			t.Errorf("the log has: %s", got)
		}
		h.audited(u.store)
	})
}

func TestAReasonThatCameUpSince(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		now := time.Now()
		u := h.open(at(func() time.Time { return now }))
		id := u.send(h.message("held", h.somebody(), until(now.Add(time.Hour)), perpetrator), transfer.Held).ID
		codes := codesIn(h, u, id)
		now = now.Add(2 * time.Hour)
		looked := ruling(policy.LetGo, "safeguarding-1", "safe-to-send", now, codes...)
		reasons := h.stale(u.rule(id, looked))
		if !slices.Contains(reasons, policy.ConsentExpired) {
			t.Fatalf("the reasons of now: %v", reasons)
		}
		// Whoever rules on both lifts one: the other waits for a new consent.
		h.must(u.rule(id, ruling(policy.LetGo, "safeguarding-1", "safe-to-send", now, reasons...)))
		if got := u.state(id); got != transfer.Held {
			t.Fatalf("it is %s", got)
		}
		if got := u.holds(carersInHerts); got[id] != policy.OwnerSender {
			t.Errorf("the queue: %v", got)
		}
		h.audited(u.store)
	})
}

// stale expects a ruling to be on other reasons than those of now, and gives these.
func (h *house) stale(err error) []policy.Code {
	h.Helper()
	var stale *exchange.StaleError
	if !errors.As(err, &stale) {
		h.Fatalf("got %v, want that something has come up since", err)
	}
	var codes []policy.Code
	for _, r := range stale.Reasons {
		codes = append(codes, policy.Code(r.Code))
	}
	return codes
}

// What one look lets go may show the next reason, and somebody who says no after the look is heard.
func TestWhatComesUpBehindARuling(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		now := time.Now()
		h.index = overdue(t, now)
		u := h.open(at(func() time.Time { return now }))
		nhs := h.somebody()
		id := u.send(h.message("held", nhs, until(now.Add(time.Hour))), transfer.Held).ID
		looked := now
		now = now.Add(2 * time.Hour)
		objection := said(consent.Objected, now)
		objection.Purpose, objection.Service, objection.Recipients = "advocacy", "", []transfer.PartnerID{pohwer}
		_, err := u.RecordConsent(context.Background(), by(carersInHerts), "no", known(nhs), objection)
		h.must(err)
		h.stale(u.rule(id, ruling(policy.LetGo, "dpl-1", "review-under-way", looked, policy.AgreementReviewOverdue)))
		h.must(u.rule(id, ruling(policy.LetGo, "dpl-1", "review-under-way", now, policy.AgreementReviewOverdue)))
		if codes := codesIn(h, u, id); u.state(id) != transfer.Held || !slices.Contains(codes, policy.ConsentExpired) {
			t.Errorf("it is %s, for %v", u.state(id), codes)
		}
		h.audited(u.store)
	})
}

// perpetrator puts somebody into the household of whom harm is alleged.
func perpetrator(m map[string]any) {
	m["household"] = []any{map[string]any{
		"name": map[string]any{"given": "Rhys", "family": "Farrow"}, "relationship_to_carer": "partner", "alleged_perpetrator": true,
	}}
}

// What held a transfer may pass: when its time to be looked at has come it is decided again, and nobody need do anything.
func TestAHoldEndsByItself(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		now := time.Now()
		u := h.open(at(func() time.Time { return now }))
		ctx := context.Background()
		nhs := h.somebody()
		passed := u.send(h.message("passed", nhs, without("consents")), transfer.Held).ID
		unasked := u.send(h.message("unasked", h.somebody(), without("consents")), transfer.Held).ID
		from := said(consent.Given, now.Add(48*time.Hour)) // from the day after tomorrow on
		_, err := u.RecordConsent(ctx, by(carersInHerts), "from then on", known(nhs), from)
		h.must(err)
		sweep := func() {
			_, err := u.Expire(ctx, 1)
			h.must(err)
		}
		sweep()
		if got := u.state(passed); got != transfer.Held {
			t.Errorf("before its time it is %s", got)
		}
		now = now.Add(policy.HoldPeriod + time.Minute)
		sweep()
		if got := u.state(passed); got != transfer.Queued {
			t.Errorf("its reason has passed, and it is %s", got)
		}
		if got := u.state(unasked); got != transfer.Held {
			t.Errorf("nobody was asked, and it is %s", got)
		}
		_, err = u.Collect(ctx, by(ageUKHerts), passed)
		h.must(err)
		h.audited(u.store)
	})
}

func TestAHoldIsReturnedAndSentAgain(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		nhs := h.somebody()
		id := u.send(h.message("first", nhs, without("consents")), transfer.Held).ID
		h.must(u.rule(id, ruling(policy.SendBack, "caseworker-1", "ask-the-person", time.Now(), policy.ConsentNone)))
		if got := u.state(id); got != transfer.Returned {
			t.Fatalf("it is %s", got)
		}
		h.must(u.store.InTx(t.Context(), func(tx store.Tx) error {
			got, err := tx.Load(t.Context(), &store.Wanted{Payloads: []transfer.TransferID{id}})
			if err == nil && len(got.Payloads) > 0 {
				t.Error("its payload is still there")
			}
			return err
		}))
		if got := u.holds(carersInHerts); len(got) > 0 {
			t.Errorf("it still waits: %v", got)
		}
		u.send(h.message("second", nhs), transfer.Queued)
		h.audited(u.store)
	})
}

func TestARefusalIsTheOwnersToMake(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		h.index = overdue(t, time.Now())
		u := h.open()
		id := u.send(h.message("held", h.somebody()), transfer.Held).ID
		h.refusedRole(u.rule(id, ruling(policy.TurnDown, "caseworker-1", "not-necessary", time.Now(), policy.AgreementReviewOverdue)), "dpl")
		h.must(u.rule(id, ruling(policy.TurnDown, "dpl-1", "not-necessary", time.Now(), policy.AgreementReviewOverdue)))
		if got, work := u.state(id), u.holds(carersInHerts); got != transfer.Refused || len(work) > 0 {
			t.Errorf("it is %s, and %v waits", got, work)
		}
		h.audited(u.store)
	})
}

// Every operation of the store fails in its turn while somebody rules. They rule again, and the ruling has one effect.
func TestARulingWhileAnythingMayFail(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		h.index = overdue(t, time.Now())
		for _, op := range []storetest.Op{storetest.OpLock, storetest.OpAppendLog, storetest.OpInsert, storetest.OpUpdate, storetest.OpCommit} {
			for _, applied := range []bool{false, true} {
				h := h.elsewhere(t)
				u := h.open()
				id := u.send(h.message("held", h.somebody()), transfer.Held).ID
				u.end()
				f := &fault{op: op, nth: 1, applied: applied}
				u = h.open(through(f.strike))
				r := ruling(policy.LetGo, "dpl-1", "review-under-way", time.Now(), policy.AgreementReviewOverdue)
				if err := u.rule(id, r); err == nil {
					t.Errorf("%s: nothing failed", f)
				}
				if applied && op == storetest.OpCommit {
					u.end() // it does not survive
					u = h.open()
				}
				h.must(u.rule(id, r))
				_, err := u.Collect(context.Background(), by(ageUKHerts), id)
				h.must(err)
				if got := h.kinds(u.store, id); got != "decision ruling decision decision release" {
					t.Errorf("%s: the log has: %s", f, got)
				}
				h.audited(u.store)
			}
		}
	})
}

// police makes a message one that the police have asked for, and nothing compels.
func police(m map[string]any) {
	m["purpose"], m["recipients"] = "crime", []transfer.PartnerID{constabulary}
	delete(m, "service")
	delete(m, "consents")
	m["demand"] = map[string]any{
		"instrument": "request", "reference": "CAD-0042", "by": "Detective Sergeant, Hertfordshire Constabulary", "on": "2026-11-19",
		"items": []string{"carer.name.given", "carer.name.family"}, "person": "dpl-1",
	}
}

func TestAPoliceRequestIsMetByExceptionAndReviewed(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		now := time.Now()
		u := h.open(at(func() time.Time { return now }))
		ctx := context.Background()
		id := u.send(h.message("police", h.somebody(), police), transfer.Held).ID
		if got := u.holds(carersInHerts); got[id] != policy.OwnerDPL {
			t.Fatalf("the queue: %v", got)
		}
		h.must(u.rule(id, ruling(policy.LetGo, "dpl-1", "crime-necessity", now, codesIn(h, u, id)...)))
		parcel, err := u.Collect(ctx, by(constabulary), id)
		h.must(err)
		if got := string(parcel.Dataset()); !strings.Contains(got, "family") || strings.Contains(got, "phones") {
			t.Errorf("more or less than was asked for went: %s", got)
		}
		jobs, err := u.Exceptions(ctx, by(carersInHerts), exchange.Page{Limit: 10}, false)
		if err != nil || len(jobs) != 1 || jobs[0].Transfer.ID != id || jobs[0].Work.Owner != policy.OwnerDPL {
			t.Fatalf("to be reviewed: %+v, %v", jobs, err)
		}
		review := exchange.Ruling{Person: "caseworker-1", Ground: "justified", At: now}
		_, err = u.Review(ctx, by(carersInHerts), id, review)
		h.refusedRole(err, "dpl")
		review.Person = "dpl-1"
		for _, again := range []bool{false, true} {
			repeat, err := u.Review(ctx, by(carersInHerts), id, review)
			if h.must(err); repeat != again {
				t.Errorf("reviewed: repeat %t", repeat)
			}
		}
		review.Ground = "not-justified"
		if _, err = u.Review(ctx, by(carersInHerts), id, review); !errors.Is(err, exchange.ErrReviewed) {
			t.Errorf("reviewed a second time: %v", err)
		}
		if jobs, err = u.Exceptions(ctx, by(carersInHerts), exchange.Page{Limit: 10}, false); err != nil || len(jobs) > 0 {
			t.Errorf("still to be reviewed: %+v, %v", jobs, err)
		}
		plain := u.send(h.message("plain", h.somebody()), transfer.Queued).ID
		if _, err = u.Review(ctx, by(carersInHerts), plain, review); !errors.Is(err, exchange.ErrNoException) {
			t.Errorf("a review of nothing: %v", err)
		}

		late := u.send(h.message("late", h.somebody(), police), transfer.Held).ID
		h.must(u.rule(late, ruling(policy.LetGo, "dpl-1", "crime-necessity", now, codesIn(h, u, late)...)))
		now = now.Add(73 * time.Hour)
		_, err = u.Collect(ctx, by(constabulary), late)
		var stop *exchange.StoppedError
		if !errors.As(err, &stop) || !slices.ContainsFunc(stop.Decision.Reasons, func(r ledger.Reason) bool { return r.Code == string(policy.ExceptionExpired) }) {
			t.Errorf("an exception that had run out was collected: %v", err)
		}
		h.audited(u.store)
	})
}

// codesIn gives the reasons for which a transfer waits.
func codesIn(h *house, u *hub, id transfer.TransferID) []policy.Code {
	h.Helper()
	jobs, err := u.Holds(context.Background(), by(carersInHerts), exchange.Page{Limit: 50}, false)
	h.must(err)
	var out []policy.Code
	for _, j := range jobs {
		if j.Transfer.ID == id {
			for _, r := range j.Decision.Reasons {
				out = append(out, policy.Code(r.Code))
			}
		}
	}
	return out
}

// The case of a stored transfer is the case that was decided first, although what it turned on was cut away.
func TestWhatADecisionTurnedOnIsThereAtItsRelease(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		ctx := context.Background()
		nhs := h.somebody()
		id := u.send(h.message("perpetrator", nhs, perpetrator), transfer.Held).ID
		if got := u.holds(carersInHerts); got[id] != policy.OwnerSafeguarding {
			t.Fatalf("the queue: %v", got)
		}
		done, err := u.RecordConsent(ctx, by(carersInHerts), "yes", known(nhs), said(consent.Given, time.Now()))
		if err != nil || len(done.Resumed) > 0 || u.state(id) != transfer.Held {
			t.Fatalf("a consent let it go without the safeguarding lead: %+v, %v", done, err)
		}
		// It covers less than the one before: that is a reason to look once more.
		now := h.stale(u.rule(id, ruling(policy.LetGo, "safeguarding-1", "safe-to-send", time.Now(), codesIn(h, u, id)...)))
		h.must(u.rule(id, ruling(policy.LetGo, "safeguarding-1", "safe-to-send", time.Now(), now...)))
		_, err = u.Collect(ctx, by(ageUKHerts), id)
		h.must(err)
		for _, l := range h.leaves(u.store, firstCopy) {
			known := slices.ContainsFunc(l.Subjects, func(s ledger.Subject) bool { return slices.Contains(s.Facts, "alleged-perpetrator") })
			if l.ForRelease() && !known {
				t.Error("the release was decided without it")
			}
			if l.Kind == ledger.KindRelease && known {
				t.Error("the recipient can read it in the release")
			}
		}
		h.audited(u.store)
	})
}

// A withdrawal is recorded whatever has become of the key that a payload was sealed with, and that payload does not go.
func TestAWithdrawalAboutAPayloadThatCannotBeOpened(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		nhs := h.somebody()
		keys := seal.Config{KeyFile: filepath.Join(t.TempDir(), "seal.json")}
		before, err := seal.Open(keys)
		h.must(err)
		_, err = seal.Rotate(keys)
		h.must(err)
		after, err := seal.Open(keys)
		h.must(err)

		h.sealer = after
		u := h.open()
		unreadable := u.send(h.message("unreadable", nhs), transfer.Queued).ID
		unasked := u.send(h.message("unasked", nhs, navigators, without("consents")), transfer.Held).ID
		u.end()

		h.sealer = before // a copy that has not taken the new key over
		u = h.open()
		readable := u.send(h.message("readable", nhs), transfer.Queued).ID
		done, err := u.RecordConsent(ctx, by(carersInHerts), "no", known(nhs), said(consent.Withdrawn, time.Now()))
		h.must(err)
		if !slices.Contains(done.Stopped, unreadable) || !slices.Contains(done.Stopped, readable) {
			t.Errorf("stopped: %v", done.Stopped)
		}
		if got := u.state(unasked); got != transfer.Held {
			t.Errorf("what the withdrawal is not about is %s", got)
		}
		// What cannot be read can be given back, and not let go.
		if err := u.rule(unasked, ruling(policy.LetGo, "dpl-1", "expected", time.Now(), policy.ConsentNone)); err == nil || u.state(unasked) != transfer.Held {
			t.Errorf("an unreadable transfer was let go: %v", err)
		}
		h.must(u.rule(unasked, ruling(policy.SendBack, "caseworker-1", "ask-the-person", time.Now(), policy.ConsentNone)))
		u.end()
		h.sealer = after
		u = h.open()
		for _, id := range []transfer.TransferID{unreadable, readable} {
			if _, err := u.Collect(ctx, by(ageUKHerts), id); !stopped(err) {
				t.Errorf("collected after the withdrawal: %v", err)
			}
		}
		h.audited(u.store)
	})
}

func TestWhatWasReceivedIsPassedOnOnlyAsItsClauseLets(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		ctx := context.Background()
		nhs := h.somebody()
		first := u.send(h.message("first", nhs), transfer.Queued).ID
		on := func(id string, of transfer.TransferID) *ledger.Leaf {
			sent, err := u.Submit(ctx, by(ageUKHerts), h.message(id, nhs, to(pohwer), func(m map[string]any) { m["onward_of"] = of }))
			h.must(err)
			return sent.Transfers[0].Decision
		}
		if l := on("before", first); l.Onward != ledger.NotReceived {
			t.Errorf("passed on before it was collected: %q", l.Onward)
		}
		_, err := u.Collect(ctx, by(ageUKHerts), first)
		h.must(err)
		l := on("after", first)
		if l.Onward != "hertswise@1#refer" || l.Outcome != transfer.Refuse || !slices.ContainsFunc(l.Reasons, func(r ledger.Reason) bool { return r.Code == string(policy.OnwardNotAllowed) }) {
			t.Errorf("passed on: %q, %s, %+v", l.Onward, l.Outcome, l.Reasons)
		}
		h.audited(u.store)
	})
}

// What is compelled says no instant of its own, and goes within three days or not at all, whether or not anybody has swept.
func TestADemandThatNobodyCollected(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		now := time.Now()
		u := h.open(at(func() time.Time { return now }))
		sent, err := u.Submit(context.Background(), by(carersInHerts), h.message("warrant", h.somebody(), police, func(m map[string]any) {
			m["purpose"] = "benefits" // no clause is made for this
			m["demand"].(map[string]any)["instrument"], m["demand"].(map[string]any)["law"] = "warrant", "Police and Criminal Evidence Act 1984 s.8"
		}))
		h.must(err)
		if got := sent.Transfers[0].Decision.Outcome; got != transfer.PermitException {
			t.Fatalf("it is a %s", got)
		}
		now = now.Add(73 * time.Hour)
		_, err = u.Collect(context.Background(), by(constabulary), sent.Transfers[0].Transfer.ID)
		if state := (*exchange.StateError)(nil); !errors.As(err, &state) || state.State != transfer.Expired {
			t.Errorf("collected after three days: %v", err)
		}
		h.audited(u.store)
	})
}

// Identifiers of two people: what was told may have been about either, and the history of each has it.
func TestADisclosureAboutOneOfTwo(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		ctx := context.Background()
		one, two := h.somebody(), h.somebody()
		u.send(h.message("one", one), transfer.Queued)
		u.send(h.message("two", two), transfer.Queued)
		d := &exchange.Disclosed{
			MessageID: "told", Office: "ambulance crew", Purpose: "emergency", Basis: ledger.Basis{Article6: "d"}, How: "telephone", Made: time.Now(),
			Person: "caseworker-1", People: []exchange.DisclosedAbout{{Role: transfer.Carer, Items: []string{"carer.name.family"}}},
		}
		d.People[0].Identifiers = append(known(one), contracts.Identifier{Scheme: "case-number", Value: "CASE/" + two})
		_, err := u.EnterDisclosure(ctx, by(carersInHerts), d, []byte("told"))
		h.must(err)
		for _, nhs := range []string{one, two} {
			found := u.found(by(carersInHerts), exchange.Query{Person: &known(nhs)[0], Why: "routine check"})
			if !slices.ContainsFunc(found, func(e exchange.Entry) bool { return e.Leaf.Kind == ledger.KindDisclosure }) {
				t.Error("it is not found under one of them")
			}
		}
		h.audited(u.store)
	})
}
