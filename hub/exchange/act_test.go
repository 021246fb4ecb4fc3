package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// knows is whom the hub means by a number.
func (u *hub) knows(nhs string) []store.Identifier {
	u.house.Helper()
	found, err := u.store.SubjectsByIdentifier(context.Background(), [][32]byte{u.house.sealer.IdentifierHash("nhs-number", "", nhs)})
	u.house.must(err)
	return found
}

// forget erases whoever has a number, once what is open about them is stopped. It is the smallest act that does everything.
type forget struct {
	nhs   string
	entry store.Entry

	history []ledger.Kind
	stopped int
}

func (f *forget) Reads(r *exchange.Reads) {
	r.Entry(&f.entry)
	r.Person(carersInHerts, known(f.nhs))
}

func (f *forget) Judge(s *exchange.Session) error {
	f.history, f.stopped = nil, 0
	if _, repeat, err := s.Before(&f.entry); repeat || err != nil {
		return err
	}
	people := s.Known(carersInHerts, known(f.nhs))
	if len(people) == 0 {
		return exchange.Answered(errors.New("nobody is known by this number"))
	}
	by := ledger.Actor{Partner: carersInHerts, System: "carers-in-hertfordshire/rights", Person: "dpl-1", Role: transfer.DataProtection}
	who := people[0]
	for _, e := range s.History(who) {
		f.history = append(f.history, e.Leaf.Kind)
	}
	for _, t := range s.Open(who) {
		if s.Stop(by, t, "erased", "the person was erased") {
			f.stopped++
		}
	}
	commitment := s.Commitment(who)
	reference := fmt.Sprintf("case-%x", f.entry.ID[:8])
	s.PutCase(store.Case{Reference: reference, Type: "erasure", Partner: carersInHerts, State: "telling", Opened: s.At(), Body: []byte("{}")})
	var leaf int64
	for _, step := range []string{"opened", "erased"} {
		leaf = s.Leaf(&ledger.Leaf{
			Kind: ledger.KindCase, Actor: by, Sender: carersInHerts,
			Case: &ledger.Case{
				Reference: reference, Type: "erasure", Step: step, Commitment: commitment, On: s.At().Format(time.DateOnly),
				Kept: []ledger.Kept{{What: "log", Ground: "art17(3)(b)"}},
			},
		}, commitment)
	}
	s.Erase(who)
	s.Enter(f.entry, "", leaf)
	return nil
}

func TestSomebodyIsForgottenAndTheLogStaysWhole(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.open()
		nhs := h.somebody()
		gone := u.send(h.message("forgotten.gone", nhs), transfer.Queued)
		_, err := u.Collect(ctx, by(ageUKHerts), gone.ID)
		h.must(err)
		_, err = u.Acknowledge(ctx, by(ageUKHerts), gone.ID, exchange.Receipt{Status: "accepted"})
		h.must(err)
		waits := u.send(h.message("forgotten.waits", nhs), transfer.Queued)

		act := &forget{nhs: nhs, entry: u.Entry("erase", carersInHerts, "erase-1", nil)}
		h.must(u.Do(ctx, act))
		if act.stopped != 1 || !slices.Contains(act.history, ledger.KindRelease) || !slices.Contains(act.history, ledger.KindConsent) {
			h.Errorf("it stopped %d transfers, and saw %v", act.stopped, act.history)
		}
		if got := u.state(waits.ID); got != transfer.Stopped {
			h.Errorf("what waited is %s", got)
		}
		found := u.knows(nhs)
		if len(found) > 0 {
			h.Errorf("somebody is still known by the number")
		}
		h.must(u.Do(ctx, act)) // the same again has no further effect

		if back := u.send(h.message("forgotten.back", nhs), transfer.Queued); back.ID == waits.ID {
			h.Errorf("a new referral is the old one")
		}
		h.audited(u.store)
	})
}

func TestAnActOnWhatIsNotThereIsAnAnswer(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		before := len(h.leaves(u.store, firstCopy))
		err := u.Do(context.Background(), &forget{nhs: h.somebody(), entry: u.Entry("erase", carersInHerts, "erase-1", nil)})
		if err == nil || err.Error() != "nobody is known by this number" {
			h.Errorf("got %v", err)
		}
		if after := len(h.leaves(u.store, firstCopy)); after != before {
			h.Errorf("an answer wrote %d leaves", after-before)
		}
	})
}

// keeper opens a case, or goes on with it and tells somebody.
type keeper struct {
	reference string
	state     string
	notice    string
}

func (k *keeper) Reads(r *exchange.Reads) {
	r.Case(k.reference)
	r.NoticesOf(k.reference)
}

func (k *keeper) Judge(s *exchange.Session) error {
	row := store.Case{Reference: k.reference, Type: "access", Partner: carersInHerts, Opened: s.At(), Body: []byte("{}")}
	if at := s.Case(k.reference); at != nil {
		row = *at
	}
	row.State = k.state
	s.PutCase(row)
	if k.notice != "" {
		s.PutNotice(store.Notice{ID: k.notice, Case: k.reference, Sender: carersInHerts, Recipient: ageUKHerts, State: "sent", Body: []byte("{}")})
	}
	for _, n := range s.NoticesOf(k.reference) {
		n.State = "received"
		s.PutNotice(n)
	}
	return nil
}

func TestACaseGoesOnOneStepAtATime(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.open()
		for i, state := range []string{"open", "told", "closed"} {
			act := &keeper{reference: "case-1", state: state}
			if i == 1 {
				act.notice = "notice-1"
			}
			h.must(u.Do(ctx, act))
		}
		cases, err := u.store.Cases(ctx, store.CaseQuery{Partner: carersInHerts, Limit: 10})
		h.must(err)
		notices, err := u.store.Notices(ctx, store.NoticeQuery{Recipient: ageUKHerts, Limit: 10})
		h.must(err)
		got := []string{}
		for _, k := range cases {
			got = append(got, fmt.Sprintf("%s %s %d", k.Reference, k.State, k.Version))
		}
		for _, n := range notices {
			got = append(got, fmt.Sprintf("%s %s %d", n.ID, n.State, n.Version))
		}
		if diff := cmp.Diff([]string{"case-1 closed 3", "notice-1 received 2"}, got); diff != "" {
			h.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// What rested on a consent that is withdrawn has recipients, and somebody has to tell them: that is a case from the moment of the withdrawal.
func TestAWithdrawalOpensACaseForThoseWhoWereGivenSomething(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.open()
		told, untold := h.somebody(), h.somebody()
		gone := u.send(h.message("told.1", told), transfer.Queued)
		_, err := u.Collect(ctx, by(ageUKHerts), gone.ID)
		h.must(err)
		u.send(h.message("untold.1", untold), transfer.Queued)

		for i, nhs := range []string{told, untold} {
			ev := said(consent.Withdrawn, time.Now())
			for range 2 { // the repeat opens no second case
				_, err := u.RecordConsent(ctx, by(carersInHerts), transfer.MessageID(fmt.Sprint("withdrawn-", i)), known(nhs), ev)
				h.must(err)
			}
		}
		cases, err := u.store.Cases(ctx, store.CaseQuery{Type: "withdrawal", Limit: 10})
		h.must(err)
		who := u.knows(told)
		if len(cases) != 1 || cases[0].Partner != carersInHerts || cases[0].Subject != who[0].Subject || cases[0].State != "telling" {
			h.Errorf("got the cases %+v", cases)
		}
		h.audited(u.store)
	})
}

// changing writes that somebody opened a case, and then may think better of it.
type changing struct{ mind error }

func (*changing) Reads(*exchange.Reads) {}

func (c *changing) Judge(s *exchange.Session) error {
	s.Leaf(&ledger.Leaf{
		Kind: ledger.KindCase, Actor: ledger.Hub, Sender: carersInHerts,
		Case: &ledger.Case{Reference: "case-1", Type: "incident", Step: "opened", On: "2026-11-22"},
	}, "")
	return c.mind
}

// What a refused act would have written leaves nothing behind, also not the memory of it: the first leaf of its shape that is written is found.
func TestARefusedActLeavesNothingBehind(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		if err := u.Do(t.Context(), &changing{mind: exchange.Answered(errors.New("no"))}); err == nil || len(h.leaves(u.store, firstCopy)) > 0 {
			t.Fatalf("the answer is %v, in %d leaves", err, len(h.leaves(u.store, firstCopy)))
		}
		h.must(u.Do(t.Context(), &changing{}))
		all := exchange.Query{Why: "routine check", Everyone: true, Filter: exchange.Filter{Kinds: []ledger.Kind{ledger.KindCase}}}
		if got := u.found(by(operator), all); len(got) != 1 {
			t.Errorf("one case is in the log, and %d are found", len(got))
		}
	})
}
