package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

// found is what a question finds, whole.
func (u *hub) found(by exchange.Principal, q exchange.Query) []exchange.Entry {
	u.house.Helper()
	answer, err := u.Search(context.Background(), by, q)
	u.house.must(err)
	return u.all(answer)
}

func (u *hub) all(answer *exchange.Found) []exchange.Entry {
	u.house.Helper()
	var out []exchange.Entry
	for e, err := range answer.Each(context.Background()) {
		u.house.must(err)
		out = append(out, e)
	}
	if len(out) != answer.Size {
		u.house.Errorf("an answer of %d entries gives %d", answer.Size, len(out))
	}
	return out
}

// told puts entries as "release age-uk-hertfordshire", and what has no recipient as "consent".
func told(found []exchange.Entry) []string {
	out := make([]string, len(found))
	for i, e := range found {
		to := string(e.Leaf.Recipient)
		if e.Leaf.Disclosure != nil && to == "" {
			to = e.Leaf.Disclosure.Office
		}
		out[i] = strings.TrimSpace(string(e.Leaf.Kind) + " " + to)
	}
	return out
}

// asked is the last leaf of the first copy's log.
func (h *house) asked(st store.Store) *ledger.Leaf {
	h.Helper()
	all := h.leaves(st, firstCopy)
	return all[len(all)-1]
}

// fortnight is what two weeks bring: a referral that is collected, one to PoHWER that waits, one that somebody stops by withdrawing, one that
// nothing covers, and something told to an ambulance crew.
func (h *house) fortnight(u *hub, now *time.Time) (one, two string) {
	h.Helper()
	ctx := context.Background()
	one, two = h.somebody(), h.somebody()
	collected := u.send(h.message("collected", one), transfer.Queued)
	_, err := u.Collect(ctx, by(ageUKHerts), collected.ID)
	h.must(err)
	u.send(h.message("waits", one, navigators), transfer.Queued)
	*now = now.Add(7 * 24 * time.Hour)
	u.send(h.message("stopped", two), transfer.Queued)
	_, err = u.RecordConsent(ctx, by(carersInHerts), "no", known(two), said(consent.Withdrawn, *now))
	h.must(err)
	u.send(h.message("refused", two, to(council)), transfer.Refused)
	_, err = u.EnterDisclosure(ctx, by(carersInHerts), &exchange.Disclosed{
		MessageID: "told", Office: "ambulance crew", Purpose: "emergency", Basis: ledger.Basis{Article6: "d"}, How: "telephone", Made: *now,
		Exception: "danger-to-life", Person: "caseworker-1",
		People: []exchange.DisclosedAbout{{Role: transfer.Carer, Identifiers: known(two), Items: []string{"carer.name.family"}}},
	}, []byte("told"))
	h.must(err)
	return one, two
}

func TestTheDataProtectionLeadAsksByEachFacet(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		start := time.Now().UTC().Truncate(time.Second)
		now := start
		u := h.open(at(func() time.Time { return now }))
		one, two := h.fortnight(u, &now)
		pair := []string{"decision age-uk-hertfordshire", "release age-uk-hertfordshire"}
		for _, ask := range []struct {
			name   string
			query  exchange.Query
			want   []string
			logged string
		}{
			{"by recipient", exchange.Query{Filter: exchange.Filter{Recipient: pohwer}}, []string{"decision pohwer"}, "recipient=pohwer"},
			{
				"releases to a recipient", exchange.Query{Filter: exchange.Filter{Recipient: ageUKHerts, Kinds: []ledger.Kind{ledger.KindRelease}}},
				[]string{"release age-uk-hertfordshire"}, "kind=release recipient=age-uk-hertfordshire",
			},
			{"by partner, on either side", exchange.Query{Filter: exchange.Filter{Partner: ageUKHerts}}, slices.Concat(
				[]string{"decision age-uk-hertfordshire"}, pair, []string{"decision age-uk-hertfordshire", "decision age-uk-hertfordshire"}), "partner=age-uk-hertfordshire"},
			{"by sender and kind", exchange.Query{Filter: exchange.Filter{Sender: carersInHerts, Kinds: []ledger.Kind{ledger.KindDisclosure}}}, []string{"disclosure ambulance crew"}, "kind=disclosure sender=carers-in-hertfordshire"},
			{"who recorded consent", exchange.Query{Filter: exchange.Filter{Partner: carersInHerts, Kinds: []ledger.Kind{ledger.KindConsent}}}, []string{"consent", "consent", "consent", "consent", "consent"}, ""},
			{"by agreement and version", exchange.Query{Filter: exchange.Filter{Agreement: "community-navigators", Version: 1}}, []string{"decision pohwer"}, "agreement=community-navigators version=1"},
			{"by another version", exchange.Query{Filter: exchange.Filter{Agreement: "community-navigators", Version: 2}}, nil, ""},
			{"by clause and kind", exchange.Query{Filter: exchange.Filter{Flow: "hertswise@1#refer", Kinds: []ledger.Kind{ledger.KindRelease}}}, []string{"release age-uk-hertfordshire"}, ""},
			{"by purpose", exchange.Query{Filter: exchange.Filter{Purpose: "navigation", Kinds: []ledger.Kind{ledger.KindDecision}}}, []string{"decision pohwer"}, "kind=decision purpose=navigation"},
			{"by service", exchange.Query{Filter: exchange.Filter{Service: "community-navigators"}}, []string{"decision pohwer"}, "service=community-navigators"},
			{"by item", exchange.Query{Filter: exchange.Filter{Item: "carer.name.family", Kinds: []ledger.Kind{ledger.KindRelease, ledger.KindDisclosure}}}, []string{"release age-uk-hertfordshire", "disclosure ambulance crew"}, ""},
			{"by section", exchange.Query{Filter: exchange.Filter{Item: "carer.name", Kinds: []ledger.Kind{ledger.KindDisclosure}}}, []string{"disclosure ambulance crew"}, ""},
			{"by what begins like an item", exchange.Query{Filter: exchange.Filter{Item: "carer.nhs_number", Kinds: []ledger.Kind{ledger.KindDisclosure}}}, nil, ""},
			{"by category", exchange.Query{Filter: exchange.Filter{Category: "identity", Kinds: []ledger.Kind{ledger.KindDisclosure}}}, []string{"disclosure ambulance crew"}, ""},
			{"by outcome", exchange.Query{Filter: exchange.Filter{Outcome: transfer.Refuse}}, []string{"decision age-uk-hertfordshire", "decision hertfordshire-county-council"}, "outcome=refuse"},
			{"by exception", exchange.Query{Filter: exchange.Filter{Exception: "danger-to-life"}}, []string{"disclosure ambulance crew"}, "exception=danger-to-life"},
			{"by any exception", exchange.Query{Filter: exchange.Filter{Exception: exchange.AnyException}}, []string{"disclosure ambulance crew"}, "exception=any"},
			{"by another exception", exchange.Query{Filter: exchange.Filter{Exception: "break-glass"}}, nil, ""},
			{"by what became of it", exchange.Query{Filter: exchange.Filter{State: transfer.Released}}, slices.Concat([]string{"decision age-uk-hertfordshire"}, pair), "state=released"},
			{"by date", exchange.Query{Filter: exchange.Filter{To: start.Add(time.Second), Kinds: []ledger.Kind{ledger.KindDecision}}}, []string{"decision age-uk-hertfordshire", "decision age-uk-hertfordshire", "decision pohwer"}, ""},
			{
				"by another date", exchange.Query{Filter: exchange.Filter{From: start.Add(time.Second), To: now, Kinds: []ledger.Kind{ledger.KindDecision}}}, nil,
				"kind=decision from=" + start.Add(time.Second).Format(time.RFC3339) + " to=" + now.Format(time.RFC3339),
			},
			{"about a person and a recipient", exchange.Query{Person: &known(one)[0], Filter: exchange.Filter{Recipient: ageUKHerts}}, slices.Concat([]string{"decision age-uk-hertfordshire"}, pair), "recipient=age-uk-hertfordshire"},
			{"about a person and a category", exchange.Query{Person: &known(two)[0], Filter: exchange.Filter{Category: "identity", Kinds: []ledger.Kind{ledger.KindDisclosure, ledger.KindRelease}}}, []string{"disclosure ambulance crew"}, ""},
			{"the newest first", exchange.Query{Filter: exchange.Filter{Outcome: transfer.Refuse}, Newest: true}, []string{"decision hertfordshire-county-council", "decision age-uk-hertfordshire"}, ""},
		} {
			ask.query.Why, ask.query.Everyone, ask.query.Form = ask.name, true, "csv"
			found := u.found(by(operator), ask.query)
			if diff := cmp.Diff(ask.want, told(found)); diff != "" && len(ask.want)+len(found) > 0 {
				t.Errorf("%s:\n%s", ask.name, diff)
			}
			for _, e := range found {
				if about := ask.query.Person != nil; about != (e.About != "") || e.Leaf.Transfer != "" && u.state(e.Leaf.Transfer) != e.State {
					t.Errorf("%s: %q, a transfer that is %s", ask.name, e.About, e.State)
				}
			}
			l := h.asked(u.store)
			if l.Kind != ledger.KindQuery || l.Actor.Partner != operator || l.Query.Why != ask.name || l.Query.Found != len(found) || l.Query.Form != "csv" ||
				ask.logged != "" && l.Query.Filter != ask.logged || (l.Query.Subject != "") != (ask.query.Person != nil) {
				t.Errorf("%s is logged as %+v by %s", ask.name, l.Query, l.Actor.Partner)
			}
		}
		// Who looked at somebody is part of their history.
		looks := u.found(by(operator), exchange.Query{Person: &known(one)[0], Everyone: true, Why: "who looked", Filter: exchange.Filter{Kinds: []ledger.Kind{ledger.KindQuery}}})
		if len(looks) != 1 || looks[0].Leaf.Query.Why != "about a person and a recipient" {
			t.Errorf("those who looked: %v", told(looks))
		}
		h.audited(u.store)
	})
}

// A partner asks about its own, and learns nothing of others: not what there is, and not that there is something.
func TestAPartnerAsksAboutItsOwn(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		now := time.Now()
		u := h.open(at(func() time.Time { return now }))
		one, _ := h.fortnight(u, &now)
		ask := func(who transfer.PartnerID, q exchange.Query) []string {
			q.Why = "routine check"
			return told(u.found(by(who), q))
		}
		if got := ask(pohwer, exchange.Query{Filter: exchange.Filter{Kinds: []ledger.Kind{ledger.KindDecision}}}); len(got) != 0 {
			t.Errorf("PoHWER finds %v, and was given nothing", got)
		}
		for range 2 { // that it asked is not its own to see
			if got := ask(ageUKHerts, exchange.Query{Person: &known(one)[0], Filter: exchange.Filter{Kinds: []ledger.Kind{ledger.KindRelease, ledger.KindQuery}}}); !slices.Equal(got, []string{"release age-uk-hertfordshire"}) {
				t.Errorf("Age UK finds %v", got)
			}
		}
		// What was decided again for the release is between the sender and the hub.
		for who, want := range map[transfer.PartnerID]int{ageUKHerts: 1, carersInHerts: 2} {
			got := ask(who, exchange.Query{Filter: exchange.Filter{State: transfer.Released, Kinds: []ledger.Kind{ledger.KindDecision}}})
			if len(got) != want {
				t.Errorf("%s finds %v", who, got)
			}
		}
		for _, q := range []exchange.Query{
			{Filter: exchange.Filter{Recipient: pohwer}}, {Filter: exchange.Filter{Partner: pohwer}}, {Filter: exchange.Filter{Agreement: "community-navigators"}},
			{Filter: exchange.Filter{Outcome: transfer.Refuse, Recipient: council}}, {Person: &known(h.somebody())[0]}, {Transfer: "01a1fff9-37cc-7922-ac67-9c7576e408b8"},
		} {
			if got := ask(ageUKHerts, q); len(got) != 0 {
				t.Errorf("%+v finds %v", q, got)
			}
		}
		for code, q := range map[string]exchange.Query{
			"others-transfers":  {Filter: exchange.Filter{Sender: carersInHerts, Recipient: pohwer}},
			"number-of-another": {Person: &known(one)[0], Of: carersInHerts},
		} {
			q.Why = "none of ours"
			_, err := u.Search(context.Background(), by(ageUKHerts), q)
			var refused *exchange.RefusedError
			if !errors.As(err, &refused) || refused.Code != code {
				t.Errorf("%s: %v", code, err)
			}
			l := h.asked(u.store)
			if l.Query == nil || l.Query.Refused != code || l.Query.Why != "none of ours" || l.Query.Subject != "" || l.Query.Found != 0 || l.Actor.Partner != ageUKHerts {
				t.Errorf("%s is logged as %+v", code, l.Query)
			}
		}
		h.audited(u.store)
	})
}

func TestNobodyWritesANameIntoTheLogByAskingForIt(t *testing.T) {
	h := newHouse(t, onSQLite)
	u := h.open()
	old := exchange.Query{Why: "what went to them", Everyone: true, Filter: exchange.Filter{Agreement: "hertswise"}}
	u.send(h.message("before", h.somebody()), transfer.Queued)
	before := len(h.leaves(u.store, firstCopy))
	for field, f := range map[string]exchange.Filter{
		"kind": {Kinds: []ledger.Kind{"joan-smith"}}, "partner": {Partner: "joan-smith"}, "sender": {Sender: "joan-smith"}, "recipient": {Recipient: "joan-smith"},
		"agreement": {Agreement: "joan-smith"}, "flow": {Flow: "joan-smith"}, "purpose": {Purpose: "joan-smith"}, "service": {Service: "joan-smith"},
		"item": {Item: "carer.nam"}, "category": {Category: "joan-smith"}, "outcome": {Outcome: "joan-smith"}, "exception": {Exception: "joan-smith"},
		"state": {State: "joan-smith"}, "version": {Version: 3},
	} {
		for _, person := range []bool{true, false} {
			q := exchange.Query{Why: "what is there", Filter: f, Everyone: true}
			if person {
				q.Person = &known(h.somebody())[0]
			}
			_, err := u.Search(t.Context(), by(operator), q)
			var unknown *exchange.WordError
			if !errors.As(err, &unknown) || unknown.Field != field || strings.Contains(err.Error(), "joan") {
				t.Errorf("%s: %v", field, err)
			}
		}
	}
	if after := len(h.leaves(u.store, firstCopy)); after != before {
		t.Errorf("%d leaves were written", after-before)
	}
	// What the register has forgotten is found where a leaf still says it, by whoever sees all leaves.
	u.end()
	var partners []transfer.Partner
	for _, p := range h.index.Partners() {
		partners = append(partners, *p)
	}
	bare, err := agreement.NewIndex(partners, slices.DeleteFunc(slices.Clone(h.index.Agreements()), func(a *agreement.Agreement) bool { return a.ID == "hertswise" }))
	h.must(err)
	u = h.open(func(cfg *exchange.Config) { cfg.Index = bare })
	if got := told(u.found(by(operator), old)); !slices.Equal(got, []string{"decision age-uk-hertfordshire"}) {
		t.Errorf("found %v", got)
	}
	old.Everyone = false
	if _, err := u.Search(t.Context(), by(carersInHerts), old); !errors.As(err, new(*exchange.WordError)) {
		t.Errorf("a partner asks by a word that only the log has: %v", err)
	}
}

// However an answer is cut into pages, and from whichever end, it is the same; also where several copies of the hub wrote it, and while more
// is being written.
func TestPagesMakeTheWhole(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		now := time.Now()
		hubs := []*hub{h.open(at(func() time.Time { return now })), h.open(at(func() time.Time { return now }), as(secondCopy))}
		nhs := h.somebody()
		for i := range 9 {
			now = now.Add(time.Minute)
			hubs[i%2].send(h.message(fmt.Sprint("m-", i), nhs), transfer.Queued)
		}
		kinds := []ledger.Kind{ledger.KindDecision, ledger.KindConsent}
		for name, q := range map[string]exchange.Query{
			"about a person": {Person: &known(nhs)[0], Filter: exchange.Filter{Kinds: kinds}},
			"in words":       {Filter: exchange.Filter{Sender: carersInHerts, Kinds: kinds}},
			"between dates":  {Filter: exchange.Filter{From: now.Add(-5 * time.Minute), To: now, Kinds: kinds}},
		} {
			q.Why, q.Everyone = "pages", true
			whole := (hubs[0].found(by(operator), q))
			if !slices.IsSortedFunc(whole, func(a, b exchange.Entry) int { return a.Leaf.At.Compare(b.Leaf.At) }) || len(whole) < 5 {
				t.Fatalf("%s: %d entries, out of order", name, len(whole))
			}
			for _, newest := range []bool{false, true} {
				want := places(whole)
				if newest {
					slices.Reverse(want)
				}
				for limit := 1; limit <= len(whole)+1; limit++ {
					q.Newest, q.Limit, q.After = newest, limit, nil
					var got []exchange.Place
					for {
						page, err := hubs[1].Search(t.Context(), by(operator), q)
						h.must(err)
						got = append(got, places(hubs[1].all(page))...)
						if page.Next == nil {
							break
						}
						if page.Size != limit {
							t.Fatalf("%s: a page of %d has a next", name, page.Size)
						}
						q.After = page.Next
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%s, by %d, newest first %t:\n%s", name, limit, newest, diff)
					}
				}
			}
			for _, nowhere := range []exchange.Place{{Origin: "elsewhere", Index: 0}, {Origin: firstCopy, Index: 1 << 30}, {Origin: firstCopy, Index: -1}} {
				q.After = []exchange.Place{nowhere}
				if _, err := hubs[0].Search(t.Context(), by(operator), q); !errors.Is(err, exchange.ErrNoPlace) {
					t.Errorf("%s, on from %+v: %v", name, nowhere, err)
				}
			}
		}
	})
}

func places(found []exchange.Entry) []exchange.Place {
	out := make([]exchange.Place, len(found))
	for i, e := range found {
		out[i] = exchange.Place{Origin: e.Origin, Index: e.Index}
	}
	return out
}

// Somebody set the clock back for some hours. What was released then is found by the time that it says.
func TestAQuestionByDateMissesNothingWhileTheClockWasWrong(t *testing.T) {
	h := newHouse(t, onSQLite)
	clock := newClock(winter)
	u := h.open(at(clock.read))
	for i, step := range []time.Duration{0, time.Hour, time.Hour, -10 * time.Hour, time.Minute, 9 * time.Hour, time.Hour, time.Hour} {
		clock.step(step)
		u.send(h.message(fmt.Sprint("m-", i), h.somebody(), without("consents", "undertaking")), transfer.Held)
	}
	all := h.leaves(u.store, firstCopy)
	for from := winter.Add(-9 * time.Hour); from.Before(winter.Add(5 * time.Hour)); from = from.Add(30 * time.Minute) {
		to := from.Add(90 * time.Minute)
		want := 0
		for _, l := range all {
			if l.Kind == ledger.KindDecision && !l.At.Before(from) && l.At.Before(to) {
				want++
			}
		}
		got := u.found(by(operator), exchange.Query{Why: "when", Everyone: true, Filter: exchange.Filter{Kinds: []ledger.Kind{ledger.KindDecision}, From: from, To: to}})
		if len(got) != want {
			t.Errorf("from %s: %d of %d", from.Format(time.TimeOnly), len(got), want)
		}
	}
}

// What is rare is looked for a piece at a time: each page says how far it has looked, also one on which there is nothing.
func TestAPageThatHasLookedAtEnoughGoesOn(t *testing.T) {
	h := newHouse(t, onSQLite)
	u := h.open()
	for i := range 9 {
		u.send(h.message(fmt.Sprint("waits-", i), h.somebody()), transfer.Queued)
	}
	rare := u.send(h.message("collected", h.somebody()), transfer.Queued)
	_, err := u.Collect(t.Context(), by(ageUKHerts), rare.ID)
	h.must(err)
	u.ReadAtMost(4)
	for _, newest := range []bool{false, true} {
		q := exchange.Query{Why: "what was released", Everyone: true, Newest: newest, Limit: 2, Filter: exchange.Filter{Recipient: ageUKHerts, State: transfer.Released}}
		var got []string
		pages, empty := 0, 0
		for ; pages < 20; pages++ {
			page, err := u.Search(t.Context(), by(operator), q)
			h.must(err)
			if got = append(got, told(u.all(page))...); page.Size == 0 {
				empty++
			}
			if q.After = page.Next; page.Next == nil {
				break
			}
		}
		if len(got) != 3 || empty == 0 || pages == 20 {
			t.Errorf("newest first %t: %v on %d pages, %d of them empty", newest, got, pages, empty)
		}
	}
}

// An answer that does not fit into memory is read again when it is shown, and is the same.
func TestALargeAnswerIsWhole(t *testing.T) {
	h := newHouse(t, onSQLite)
	u := h.open()
	nhs := h.somebody()
	u.send(h.message("one", nhs), transfer.Queued)
	before := h.leaves(u.store, firstCopy)
	who := before[len(before)-1].Subjects[0].Commitment
	for range 2 {
		var wait sync.WaitGroup
		for range 600 {
			wait.Go(func() {
				if _, err := u.Log(context.Background(), &ledger.Leaf{Kind: ledger.KindQuery, Query: &ledger.Query{Kind: "person", Subject: who, Why: "asked often"}}); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	q := exchange.Query{Person: &known(nhs)[0], Why: "who asked", Everyone: true, Filter: exchange.Filter{Kinds: []ledger.Kind{ledger.KindQuery}}}
	for i, e := range u.found(by(operator), q) {
		if e.Index != int64(len(before)+i) || e.Leaf == nil || e.Leaf.Query.Why != "asked often" || e.About != who {
			t.Fatalf("entry %d is leaf %d: %+v", i, e.Index, e.Leaf)
		}
	}
	if l := h.asked(u.store); l.Query.Found != 1200 {
		t.Errorf("the log says %d were found", l.Query.Found)
	}
}

// Whatever goes wrong with a commit, no leaf is without its shape.
func TestEveryLeafIsFoundByItsShape(t *testing.T) {
	h := newHouse(t, onSQLite)
	var mu sync.Mutex
	commits := 0
	u := h.open(through(func(op storetest.Op) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if op != storetest.OpCommit {
			return true, nil
		}
		if commits++; commits%3 == 0 {
			return commits%2 == 0, errors.New("the disk is away")
		}
		return true, nil
	}))
	nhs := h.somebody()
	for i := range 6 {
		for range 3 { // until it is through
			if _, err := u.Submit(t.Context(), by(carersInHerts), h.message(fmt.Sprint("m-", i), nhs, to([]transfer.PartnerID{ageUKHerts, council}[i%2]))); err == nil {
				break
			}
		}
	}
	rows, err := u.store.Shapes(t.Context())
	h.must(err)
	var ids []int64
	for _, s := range rows {
		ids = append(ids, s.ID)
	}
	all := h.leaves(u.store, firstCopy)
	refs, err := u.store.LeavesByShape(t.Context(), store.ShapeQuery{Log: firstCopy, Shapes: ids, To: int64(len(all)), Limit: len(all)})
	h.must(err)
	if len(refs) != len(all) {
		t.Errorf("%d of %d leaves are found by a shape", len(refs), len(all))
	}
	for _, l := range all {
		i := slices.IndexFunc(rows, func(s store.Shape) bool { return s.ID == ledger.ShapeOf(l).ID() })
		if i < 0 || string(rows[i].Body) != string(ledger.ShapeOf(l).AppendTo(nil)) {
			t.Errorf("a %s has a shape that is not kept", l.Kind)
		}
	}
}

// What was refused, is held or waits has not gone: that somebody was to be referred, and may not be, is not its recipient's to know.
func TestWhatHasNotGoneIsNotToldToItsRecipient(t *testing.T) {
	h := newHouse(t, onSQLite)
	u := h.open()
	refused, held, waits := h.somebody(), h.somebody(), h.somebody()
	_, err := u.Submit(t.Context(), by(pohwer), h.message("refused", refused, to(council)))
	h.must(err)
	_, err = u.Submit(t.Context(), by(pohwer), h.message("held", held, without("consents")))
	h.must(err)
	id := u.send(h.message("waits", waits), transfer.Queued).ID
	ask := func(who transfer.PartnerID, nhs string) []string {
		return told(u.found(by(who), exchange.Query{Person: &known(nhs)[0], Why: "who knows them"}))
	}
	for _, nhs := range []string{refused, held} {
		if len(ask(pohwer, nhs)) == 0 {
			t.Errorf("its sender does not find it")
		}
	}
	for _, nhs := range []string{refused, held, waits} {
		for _, who := range []transfer.PartnerID{ageUKHerts, council} {
			if got := ask(who, nhs); len(got) > 0 {
				t.Errorf("%s finds %v", who, got)
			}
		}
	}
	_, err = u.Collect(t.Context(), by(ageUKHerts), id)
	h.must(err)
	if got := ask(ageUKHerts, waits); !slices.Contains(got, "release age-uk-hertfordshire") {
		t.Errorf("what Age UK has collected it finds as %v", got)
	}
}

// Age UK turns the pages of what it knows of somebody. That PoHWER and the council know them too shows in none, and not between them.
func TestAPageSaysNothingOfOthers(t *testing.T) {
	h := newHouse(t, onSQLite)
	u := h.open()
	nhs := h.somebody()
	for i := range 3 {
		id := u.send(h.message(fmt.Sprint("ours-", i), nhs), transfer.Queued).ID
		_, err := u.Collect(t.Context(), by(ageUKHerts), id)
		h.must(err)
		for j := range 4 {
			_, err := u.Submit(t.Context(), by(pohwer), h.message(fmt.Sprintf("theirs-%d-%d", i, j), nhs, without("consents"), to(council)))
			h.must(err)
		}
	}
	for _, newest := range []bool{false, true} {
		q := exchange.Query{Person: &known(nhs)[0], Why: "who knows them", Newest: newest}
		want := places(u.found(by(ageUKHerts), q))
		var got []exchange.Place
		for q.Limit = 1; ; {
			page, err := u.Search(t.Context(), by(ageUKHerts), q)
			h.must(err)
			entries := places(u.all(page))
			got = append(got, entries...)
			if page.Next == nil {
				break
			}
			if !slices.Equal(page.Next, entries) {
				t.Fatalf("the page has %+v, and goes on from %+v", entries, page.Next)
			}
			q.After = page.Next
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) < 6 {
			t.Errorf("newest first %t: the pages make %d entries\n%s", newest, len(got), diff)
		}
	}
}
