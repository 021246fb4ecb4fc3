package exchange_test

import (
	"fmt"
	"slices"
	"testing"

	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// A release is decided anew. What was weighed for it is between the sender and the hub; what the sender is told of its transfer stays what was
// decided about the whole message, of which the release saw what is left.
func TestWhatWasWeighedForARelease(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		id := u.send(h.message("m", h.somebody()), transfer.Queued).ID
		before, err := u.Transfer(t.Context(), by(carersInHerts), id)
		h.must(err)
		for range 2 { // the answer to the first may have been lost
			parcel, err := u.Collect(t.Context(), by(ageUKHerts), id)
			h.must(err)
			all := h.leaves(u.store, firstCopy)
			weighed, release := all[len(all)-2], all[len(all)-1]
			if !release.RestsOn(weighed) || parcel.Disclosure().Log.Index != int64(len(all)-1) {
				t.Errorf("entry %d of %d is the release, behind %+v", parcel.Disclosure().Log.Index, len(all), weighed)
			}
			if weighed.Undertaking == nil || weighed.Subjects[0].Consent != "given" || release.Undertaking != nil || release.Subjects[0].Consent != "given" {
				t.Errorf("weighed: %+v\nreleased: %+v", weighed, release)
			}
		}
		after, err := u.Transfer(t.Context(), by(carersInHerts), id)
		h.must(err)
		if before.Decision.Outcome != transfer.PermitReduced || after.Decision.Outcome != before.Decision.Outcome || after.Transfer.DecisionLeaf != before.Transfer.DecisionLeaf {
			t.Errorf("the sender is shown %s, and was shown %s", after.Decision.Outcome, before.Decision.Outcome)
		}

		pair := []ledger.Kind{ledger.KindDecision, ledger.KindRelease}
		whole := slices.Concat([]ledger.Kind{ledger.KindDecision}, pair, pair)
		for who, want := range map[transfer.PartnerID][]ledger.Kind{
			carersInHerts: whole, operator: whole, ageUKHerts: {ledger.KindDecision, ledger.KindRelease, ledger.KindRelease},
		} {
			var got []ledger.Kind
			for _, e := range u.found(by(who), exchange.Query{Transfer: id, Why: "routine check", Everyone: who == operator}) {
				if e.Leaf.Kind != ledger.KindQuery {
					got = append(got, e.Leaf.Kind)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s finds %v, want %v", who, got, want)
			}
		}
		if report := h.audited(u.store); report.Releases != 2 {
			t.Errorf("%d releases", report.Releases)
		}
	})
}

// One copy of the hub decides, another releases. The receipt is about the leaf of the release, in the log that has it.
func TestAReleaseIsInTheLogOfWhoReleased(t *testing.T) {
	h := newHouse(t, onSQLite)
	one, two := h.open(), h.open(as(secondCopy))
	id := one.send(h.message("m", h.somebody()), transfer.Queued).ID
	for i := range 4 { // others' business
		one.send(h.message(fmt.Sprint("other-", i), h.somebody()), transfer.Queued)
	}
	_, err := two.Collect(t.Context(), by(ageUKHerts), id)
	h.must(err)
	for _, who := range []transfer.PartnerID{carersInHerts, ageUKHerts} {
		j, err := one.Transfer(t.Context(), by(who), id)
		h.must(err)
		if j.Transfer.Log != firstCopy || j.Release.Origin != secondCopy {
			t.Fatalf("to %s it was decided in %s, and released in %+v", who, j.Transfer.Log, j.Release)
		}
		if l := h.leaves(one.store, j.Release.Origin)[j.Release.Index]; l.Kind != ledger.KindRelease || l.Transfer != id {
			t.Errorf("to %s the release is a %s of %s", who, l.Kind, l.Transfer)
		}
	}
}
