package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/delivery"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const secondCopy = "hub.example/log/2"

// copies plays a story on one hub over either engine, and on two hubs over one PostgreSQL database, each with a log of its own.
func copies(t *testing.T, story func(t *testing.T, h *house, hubs []*hub)) {
	engines(t, func(t *testing.T, h *house) { story(t, h, []*hub{h.open()}) })
	t.Run("two copies", func(t *testing.T) {
		h := newHouse(t, onPostgreSQL)
		story(t, h, []*hub{h.open(), h.open(as(secondCopy))})
	})
}

// at once starts every act at the same moment and waits until all have ended.
func atOnce(acts ...func()) {
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	ready.Add(len(acts))
	for _, act := range acts {
		all.Go(func() {
			ready.Done()
			<-start
			act()
		})
	}
	ready.Wait()
	close(start)
	all.Wait()
}

// Somebody withdraws at the moment at which the recipient collects. Whichever was first, nothing goes after the withdrawal: not in the log, and
// not to anybody who asks once the withdrawal has been answered.
func TestWithdrawalAndCollectionAtOnce(t *testing.T) {
	copies(t, func(t *testing.T, h *house, hubs []*hub) {
		const rounds = 40
		var went, stayed int
		for round := range rounds {
			nhs := h.somebody()
			here, there := hubs[round%len(hubs)], hubs[(round+1)%len(hubs)]
			id := here.send(h.message(fmt.Sprint("r-", round), nhs), transfer.Queued).ID
			parcels := make([]delivery.Parcel, 3)
			faults := make([]error, 3)
			var done exchange.Consented
			var withdrawn error
			collect := func(u *hub, i int) func() {
				return func() { parcels[i], faults[i] = u.Collect(context.Background(), by(ageUKHerts), id) }
			}
			atOnce(collect(there, 0), func() {
				done, withdrawn = here.RecordConsent(context.Background(), by(carersInHerts), transfer.MessageID(fmt.Sprint("w-", round)), known(nhs), said(consent.Withdrawn, time.Now()))
				if withdrawn == nil {
					collect(there, 2)() // the withdrawal has been answered
				}
			}, collect(here, 1))
			if withdrawn != nil || !slices.Contains(done.Stopped, id) {
				t.Fatalf("round %d: the withdrawal came to %+v, %v", round, done, withdrawn)
			}
			for i, err := range faults {
				if err != nil && !stopped(err) {
					t.Errorf("round %d: collect: %v", round, err)
				}
				if (err == nil) != (parcels[i].Recipient() != "") {
					t.Errorf("round %d: parcel %v came with %v", round, parcels[i], err)
				}
			}
			if faults[2] == nil {
				t.Errorf("round %d: it was collected after the withdrawal had been answered", round)
			}
			if faults[0] == nil || faults[1] == nil {
				went++
			} else {
				stayed++
			}
			h.inOrder(hubs, nhs, id)
			if s := here.state(id); s != transfer.Stopped {
				t.Errorf("round %d: it is %s", round, s)
			}
		}
		t.Logf("%d went before the withdrawal, %d stayed", went, stayed)
		h.wholeLogs(hubs)
	})
}

// inOrder expects every release of a transfer to be earlier than the withdrawal. The leaves of two logs have no common order but their times, which are
// taken under the locks that bring the commits about one person into order.
func (h *house) inOrder(hubs []*hub, nhs string, id transfer.TransferID) {
	h.Helper()
	found := hubs[0].found(by(operator), exchange.Query{Person: &known(nhs)[0], Why: "test", Everyone: true})
	var withdrawn exchange.Entry
	for _, e := range found {
		if e.Leaf.Kind == ledger.KindConsent && e.Leaf.Consent.State == string(consent.Withdrawn) {
			withdrawn = e
		}
	}
	if withdrawn.Leaf == nil {
		h.Fatalf("transfer %s: the log has no withdrawal", id)
	}
	for _, e := range found {
		earlier := e.Leaf.At.Before(withdrawn.Leaf.At) || e.Origin == withdrawn.Origin && e.Index < withdrawn.Index
		if e.Leaf.Kind == ledger.KindRelease && !earlier {
			h.Errorf("transfer %s: leaf %d of %s releases it at %s, the withdrawal is leaf %d of %s at %s", id, e.Index, e.Origin, e.Leaf.At, withdrawn.Index, withdrawn.Origin, withdrawn.Leaf.At)
		}
	}
}

// wholeLogs audits the log of each copy. A transfer whose leaves are in two logs cannot be followed in one of them, so with two copies it is only
// the logs that are audited and not the stories in them.
func (h *house) wholeLogs(hubs []*hub) {
	h.Helper()
	if len(hubs) == 1 {
		h.audited(hubs[0].store)
		return
	}
	for _, origin := range []string{firstCopy, secondCopy} {
		tree, err := ledger.OpenTree(hubs[0].store.Log(context.Background(), origin), h.signer(origin))
		h.must(err)
		if n := int64(len(h.leaves(hubs[0].store, origin))); tree.Size() != n {
			h.Errorf("log %s has %d leaves and is signed over %d", origin, n, tree.Size())
		}
	}
}

// The same message arrives several times at once, as from a sender that lost patience.
func TestTheSameMessageAtOnceBecomesOneTransfer(t *testing.T) {
	copies(t, func(t *testing.T, h *house, hubs []*hub) {
		for round := range 20 {
			const times = 6
			nhs := h.somebody()
			var sent [times]exchange.Submitted
			var faults [times]error
			var acts []func()
			for i := range times {
				doc := h.message(fmt.Sprint("same-", round), nhs, to(ageUKHerts, council))
				acts = append(acts, func() {
					sent[i], faults[i] = hubs[i%len(hubs)].Submit(context.Background(), by(carersInHerts), doc)
				})
			}
			atOnce(acts...)
			first := 0
			for i := range sent {
				if faults[i] != nil {
					t.Fatalf("round %d: %v", round, faults[i])
				}
				if !sent[i].Repeat {
					first++
				}
				for k, j := range sent[i].Transfers {
					if j.Transfer.ID != sent[0].Transfers[k].Transfer.ID || string(j.Decision.AppendTo(nil)) != string(sent[0].Transfers[k].Decision.AppendTo(nil)) {
						t.Errorf("round %d: two answers to one message:\n%+v\n%+v", round, j, sent[0].Transfers[k])
					}
				}
			}
			if first != 1 {
				t.Errorf("round %d: %d of the answers are to a new message", round, first)
			}
		}
		h.oneOfEach(hubs[0].store, 40)
		h.wholeLogs(hubs)
	})
}

// oneOfEach expects this many transfers, one for each message and recipient, and one first decision for each.
func (h *house) oneOfEach(st store.Store, want int) {
	h.Helper()
	seen := map[string]bool{}
	for _, origin := range []string{firstCopy, secondCopy} {
		h.must(st.EachTransfer(context.Background(), origin, func(t store.Transfer, _ bool) error {
			key := fmt.Sprint(t.Sender, t.MessageID, t.Recipient)
			if seen[key] {
				h.Errorf("there are two transfers of message %s to %s", t.MessageID, t.Recipient)
			}
			seen[key] = true
			refs, err := st.LeavesOf(context.Background(), []transfer.TransferID{t.ID})
			if err != nil || len(refs) != 1 || refs[0].Index != t.DecisionLeaf {
				h.Errorf("the leaves of %s are %+v, want the decision at %d alone (%v)", t.ID, refs, t.DecisionLeaf, err)
			}
			return nil
		}))
	}
	if len(seen) != want {
		h.Errorf("there are %d transfers, want %d", len(seen), want)
	}
}

// Somebody whom nobody has spoken of before is in several messages that arrive at once: they are one person.
func TestANewPersonInSeveralMessagesAtOnceIsOnePerson(t *testing.T) {
	copies(t, func(t *testing.T, h *house, hubs []*hub) {
		for round := range 15 {
			nhs := h.somebody()
			var acts []func()
			var faults [5]error
			for i := range 4 {
				doc := h.message(fmt.Sprintf("new-%d-%d", round, i), nhs)
				acts = append(acts, func() {
					_, faults[i] = hubs[i%len(hubs)].Submit(context.Background(), by(carersInHerts), doc)
				})
			}
			acts = append(acts, func() {
				_, faults[4] = hubs[0].RecordConsent(context.Background(), by(carersInHerts), transfer.MessageID(fmt.Sprint("c-", round)), known(nhs), said(consent.Given, time.Now()))
			})
			atOnce(acts...)
			if err := errors.Join(faults[:]...); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			persons := map[string]bool{}
			found := hubs[0].found(by(operator), exchange.Query{Person: &known(nhs)[0], Why: "test", Everyone: true})
			for _, e := range found {
				for _, s := range e.Leaf.Subjects {
					if s.Role == transfer.Carer {
						persons[s.Commitment] = true
					}
				}
			}
			if len(persons) != 1 || len(found) < 9 {
				t.Errorf("round %d: %d people in %d leaves", round, len(persons), len(found))
			}
		}
		h.wholeLogs(hubs)
	})
}

// Two carers look after each other, and messages and consents about both arrive at both copies at once: the copies lock the same people, and must not
// wait for one another for ever.
func TestTwoCarersWhoCareForEachOther(t *testing.T) {
	h := newHouse(t, onPostgreSQL)
	hubs := []*hub{h.open(), h.open(as(secondCopy))}
	one, other := h.somebody(), h.somebody()
	caring := func(nhs string) func(map[string]any) {
		return func(m map[string]any) {
			m["cared_for"] = []any{map[string]any{
				"name": map[string]any{"given": "Ann", "family": "Other"}, "nhs_number": nhs, "relationship_to_carer": "wife", "lives_with_carer": true,
			}}
		}
	}
	var docs []*contracts.Document
	for i := range 40 {
		carer, caredFor := one, other
		if i%4 >= 2 {
			carer, caredFor = other, one
		}
		docs = append(docs, h.message(fmt.Sprint("each-other-", i), carer, caring(caredFor)))
	}
	faults := make([]error, len(docs))
	var acts []func()
	for i, doc := range docs {
		acts = append(acts, func() { _, faults[i] = hubs[i%2].Submit(context.Background(), by(carersInHerts), doc) })
	}
	began := time.Now()
	atOnce(acts...)
	if err := errors.Join(faults...); err != nil {
		t.Error(err)
	}
	t.Logf("%d messages in %s", len(docs), time.Since(began).Round(time.Millisecond))
	h.wholeLogs(hubs)
}
