package consent_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/transfer"
)

var (
	states = []consent.State{
		consent.Requested, consent.Deferred, consent.Given, consent.Renewed, consent.Refused, consent.Withdrawn, consent.Expired,
		consent.Invalidated, consent.Objected, consent.Restricted, consent.RestrictionLifted,
	}
	items = []contracts.Item{
		{Category: "identity"}, {Category: "contact"}, {Category: "health", Special: true}, {Category: "offence", Offence: true},
	}
)

// anyEvent draws from few values, so that events meet: at one instant, about one service, by one partner.
func anyEvent(id string, states ...consent.State) *rapid.Generator[consent.Event] {
	return rapid.Custom(func(t *rapid.T) consent.Event {
		e := consent.Event{
			ID:         id,
			RecordedBy: rapid.SampledFrom([]transfer.PartnerID{cih, cih, ageUK, council}).Draw(t, "recorded by"),
			State:      rapid.SampledFrom(states).Draw(t, "state"),
			Purpose:    rapid.SampledFrom([]transfer.Purpose{"referral.service", "referral.service", "advocacy", ""}).Draw(t, "purpose"),
			Service:    rapid.SampledFrom([]transfer.Service{"hertswise", "hertswise", "community-navigators", ""}).Draw(t, "service"),
			Recipients: rapid.SampledFrom([][]transfer.PartnerID{nil, {ageUK}, {"hils"}, {"hils", ageUK}}).Draw(t, "recipients"),
			Explicit:   rapid.Bool().Draw(t, "explicit"),
			Authority:  rapid.SampledFrom([]string{"self", "parent", "gillick"}).Draw(t, "authority"),
			At:         noon.Add(time.Duration(rapid.IntRange(-5, 2).Draw(t, "at")) * 3 * time.Minute),
		}
		e.Categories = rapid.SampledFrom([][]contracts.Category{nil, {"identity"}, {"health"}, {"identity", "health", "offence"}}).Draw(t, "categories")
		if rapid.Bool().Draw(t, "expires") {
			e.ExpiresAt = e.At.Add(time.Duration(rapid.IntRange(1, 4).Draw(t, "for")) * 3 * time.Minute)
		}
		return e
	})
}

func anyEvents(t *rapid.T) []consent.Event {
	events := make([]consent.Event, rapid.IntRange(0, 7).Draw(t, "events"))
	for i := range events {
		events[i] = anyEvent(fmt.Sprint(i), states...).Draw(t, "event")
	}
	return events
}

func TestTheOrderOfEventsMakesNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := anyEvents(t)
		want := consent.At(events, scope, noon)
		if diff := cmp.Diff(want, consent.At(rapid.Permutation(events).Draw(t, "order"), scope, noon)); diff != "" {
			t.Errorf("in another order (-first +second):\n%s", diff)
		}
	})
}

func TestANoNeverWidens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := anyEvents(t)
		no := anyEvent("no", consent.Refused, consent.Withdrawn, consent.Objected).Draw(t, "no")
		before, after := consent.At(events, scope, noon), consent.At(append(events, no), scope, noon)
		for _, item := range items {
			if after.Covers(&item) && !before.Covers(&item) {
				t.Errorf("after the no, %s is covered", item.Category)
			}
		}
		for c := range before.Except {
			if _, out := after.Except[c]; !out {
				t.Errorf("after the no, %s is no longer out", c)
			}
		}
	})
}

func TestARestrictionNeverAddsAnItem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := anyEvents(t)
		restriction := anyEvent("restriction", consent.Restricted).Draw(t, "restriction")
		before, after := consent.At(events, scope, noon), consent.At(append(events, restriction), scope, noon)
		for _, item := range items {
			if after.Covers(&item) != before.Covers(&item) {
				t.Errorf("the restriction changes whether %s is consented to", item.Category)
			}
			if before.Restricts(&item) && !after.Restricts(&item) {
				t.Errorf("after the restriction, %s is restricted no longer", item.Category)
			}
		}
	})
}

// Whatever is said after it, a restriction holds for what no yes has covered, unless the sender or whoever recorded it lifts it.
func TestOnlyALiftingOrAYesEndsARestriction(t *testing.T) {
	others := slices.DeleteFunc(slices.Clone(states), func(s consent.State) bool { return s == consent.RestrictionLifted })
	rapid.Check(t, func(t *rapid.T) {
		events := []consent.Event{event("restriction", consent.Restricted, 24*time.Hour, by(rapid.SampledFrom([]transfer.PartnerID{cih, ageUK}).Draw(t, "by")))}
		for i := range rapid.IntRange(0, 6).Draw(t, "events") {
			events = append(events, anyEvent(fmt.Sprint(i), others...).Draw(t, "event"))
		}
		lifting := anyEvent("lifting", consent.RestrictionLifted).Draw(t, "lifting")
		lifting.RecordedBy = council
		s := consent.At(append(events, lifting), scope, noon)
		for _, item := range items {
			if !s.Restricts(&item) && !s.Covers(&item) {
				t.Errorf("%s is not restricted and nobody has agreed to it", item.Category)
			}
		}
	})
}

func TestANoToEverythingIsTheLastWordUntilAYes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := anyEvents(t)
		events = append(events, event("no", consent.Withdrawn, -time.Hour))
		if s := consent.At(events, scope, noon); s.State != consent.Withdrawn {
			t.Errorf("after a withdrawal dated last the standing is %q", s.State)
		}
	})
}

func TestWhatOthersRecordedMakesNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := anyEvents(t)
		other := anyEvent("other", states...).Draw(t, "other")
		other.RecordedBy = council
		if diff := cmp.Diff(consent.At(events, scope, noon), consent.At(append(events, other), scope, noon)); diff != "" {
			t.Errorf("another partner's event shows (-without +with):\n%s", diff)
		}
	})
}
