package watch_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
	"referralhub/hub/watch"
)

// book is a log that is written and watched, a leaf at a time.
type book struct {
	*watch.Watch
	next  int64
	flags []watch.Flag
}

func open() *book { return &book{Watch: watch.New()} }

func (b *book) write(l *ledger.Leaf) []watch.Flag {
	found := b.See(watch.Ref{Origin: "hub.example/log", Index: b.next}, l)
	b.next++
	b.flags = append(b.flags, found...)
	return found
}

// monday is nine in the morning of a working day, in winter.
var monday = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

const age, hcc, powher = transfer.PartnerID("age-uk-hertfordshire"), transfer.PartnerID("hertfordshire-council"), transfer.PartnerID("powher")

func release(at time.Time, from, to transfer.PartnerID, items ...string) *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindRelease, At: at, Sender: from, Recipient: to, Purpose: "referral.service", Agreement: &ledger.Agreement{ID: "hertswise", Version: 1},
		Subjects: []ledger.Subject{{Role: transfer.Carer, Commitment: "c0ffee", Items: items}},
	}
}

func (b *book) rules() []watch.Rule {
	var out []watch.Rule
	for _, f := range b.flags {
		out = append(out, f.Rule)
	}
	return out
}

func (b *book) wants(t *testing.T, want ...watch.Rule) {
	t.Helper()
	if diff := gocmp.Diff(want, b.rules()); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

// office runs a flow through working days: so many releases in each hour from nine to five, from the day of at.
func (b *book) office(from, to transfer.PartnerID, days, anHour int, at time.Time) time.Time {
	for range days {
		for hour := range 8 {
			for i := range anHour {
				b.write(release(at.Add(time.Duration(hour)*time.Hour+time.Duration(i)*time.Second), from, to, "carer.name.family"))
			}
		}
		at = at.AddDate(0, 0, 1)
	}
	return at
}

func TestAFlowThatWasNeverThereIsFlaggedOnce(t *testing.T) {
	b := open()
	b.write(release(monday, age, hcc, "carer.name.family"))
	b.write(release(monday.Add(time.Minute), age, hcc, "carer.name.family"))
	b.wants(t, watch.FirstFlow)
	f := b.flags[0]
	if f.Sender != age || f.Recipient != hcc || f.Agreement != "hertswise" || f.Partner != age || f.Evidence[0].Index != 0 {
		t.Errorf("the flag says %+v", f)
	}
	other := release(monday.Add(time.Hour), age, hcc, "carer.name.family")
	other.Purpose = "reporting.commissioner"
	b.write(other)
	b.wants(t, watch.FirstFlow, watch.FirstFlow)
}

func TestADisclosureByTelephoneToAnOfficeIsAFlowOfItsOwn(t *testing.T) {
	b := open()
	for range 2 {
		b.write(&ledger.Leaf{Kind: ledger.KindDisclosure, At: monday, Sender: age, Purpose: "emergency", Disclosure: &ledger.Disclosure{Office: "ambulance duty desk"}})
	}
	b.write(&ledger.Leaf{Kind: ledger.KindDisclosure, At: monday, Sender: age, Purpose: "emergency", Disclosure: &ledger.Disclosure{Office: "a newspaper"}})
	b.wants(t, watch.FirstFlow, watch.FirstFlow)
}

func TestWhatTheWholeLogKnowsIsNotNew(t *testing.T) {
	b := open()
	l := release(monday, age, hcc, "carer.name.family", "carer.phone")
	b.Known(ledger.ShapeOf(l), 1000)
	b.write(l)
	b.wants(t)
	b.write(release(monday.Add(time.Minute), age, hcc, "carer.bank_account"))
	b.wants(t, watch.FirstItem)
	if f := b.flags[0]; !slices.Equal(f.Items, []string{"carer.bank_account"}) {
		t.Errorf("the item is %q", f.Items)
	}
}

// Most messages leave most items out: in the first days nearly every item is new.
func TestItemsOfAYoungFlowAreNoSurprise(t *testing.T) {
	b := open()
	for i := range 50 {
		b.write(release(monday.Add(time.Duration(i)*time.Minute), age, hcc, fmt.Sprintf("carer.item_%d", i)))
	}
	b.wants(t, watch.FirstFlow)
	b.write(release(monday.Add(time.Hour), age, hcc, "carer.item_50"))
	b.wants(t, watch.FirstFlow, watch.FirstItem)
}

func TestMoreThanEverInAnHourIsFlaggedWhileItHappens(t *testing.T) {
	b := open()
	next := b.office(age, hcc, 3, 15, monday)
	b.wants(t, watch.FirstFlow)
	var raised []watch.Flag
	for i := range 500 {
		raised = append(raised, b.write(release(next.Add(time.Duration(i)*time.Second), age, hcc, "carer.name.family"))...)
	}
	if len(raised) != 1 || raised[0].Rule != watch.Volume || raised[0].Seen != 31 || raised[0].Usual != 15 {
		t.Fatalf("500 where 15 are usual raised %+v, want one flag at the 31st", raised)
	}
	if n := len(raised[0].Evidence); n != 31 || raised[0].Evidence[0].Index != 360 {
		t.Errorf("the evidence has %d leaves from %+v", n, raised[0].Evidence[0])
	}
}

func TestABusyDayDoesNotHideTheNext(t *testing.T) {
	b := open()
	next := b.office(age, hcc, 4, 10, monday)
	next = b.office(age, hcc, 1, 400, next)
	next = next.Add(2 * time.Hour)
	b.office(age, hcc, 1, 400, next)
	b.wants(t, watch.FirstFlow, watch.Volume, watch.Volume)
}

func TestAFlowThatNeverRanAtNight(t *testing.T) {
	b := open()
	next := b.office(age, hcc, 11, 1, monday)
	b.write(release(next.Add(18*time.Hour), age, hcc, "carer.name.family")) // three in the morning
	b.wants(t, watch.FirstFlow, watch.Hour)
}

func TestAFlowThatRanOnFewDaysHasNoHoursYet(t *testing.T) {
	b := open()
	next := b.office(age, hcc, 5, 1, monday)
	b.write(release(next.Add(18*time.Hour), age, hcc, "carer.name.family"))
	b.wants(t, watch.FirstFlow)
}

func TestAnUnusualHourOfTheDayIsNothing(t *testing.T) {
	b := open()
	for d := range 12 {
		b.write(release(monday.AddDate(0, 0, d), age, hcc, "carer.name.family"))
	}
	b.write(release(monday.AddDate(0, 0, 12).Add(8*time.Hour), age, hcc, "carer.name.family")) // five in the afternoon
	b.wants(t, watch.FirstFlow)
}

func TestAFlowThatRunsEveryNightMay(t *testing.T) {
	b := open()
	night := monday.Add(-7 * time.Hour)
	for d := range 14 {
		b.write(release(night.AddDate(0, 0, d).Add(time.Duration(d%2)*time.Hour), age, hcc, "carer.name.family"))
	}
	b.wants(t, watch.FirstFlow)
}

// Night is when it is night in London: half past seven in UTC is half past eight there, in summer.
func TestNightIsInLondon(t *testing.T) {
	b := open()
	june := time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)
	next := b.office(age, hcc, 11, 1, june)
	b.write(release(next.Add(10*time.Hour+30*time.Minute), age, hcc, "carer.name.family"))
	b.wants(t, watch.FirstFlow, watch.Hour)
}

func look(at time.Time, by transfer.SystemID, partner transfer.PartnerID, who string) *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindQuery, At: at, Actor: ledger.Actor{Partner: partner, System: by}, Query: &ledger.Query{Kind: "person", Subject: who, Why: "a check"},
	}
}

func TestOnePersonLookedUpAgainAndAgain(t *testing.T) {
	b := open()
	for i := range 12 {
		b.write(look(monday.Add(time.Duration(i)*time.Hour), "hertfordshire-council/adults", hcc, "c0ffee"))
		b.write(look(monday.Add(time.Duration(i)*time.Hour), "hertfordshire-council/adults", hcc, fmt.Sprint("somebody else ", i)))
	}
	b.wants(t, watch.LookedUp)
	if f := b.flags[0]; f.Seen != 10 || f.Partner != "" || f.Commitment != "c0ffee" || len(f.Evidence) != 10 {
		t.Errorf("the flag says %+v", f)
	}
}

func TestOnePersonLookedUpFromManySides(t *testing.T) {
	b := open()
	b.write(look(monday, "hertfordshire-council/adults", hcc, "c0ffee"))
	b.write(look(monday.Add(time.Hour), "powher/cases", powher, "c0ffee"))
	b.wants(t)
	b.write(look(monday.Add(2*time.Hour), "age-uk-hertfordshire/crm", age, "c0ffee"))
	b.wants(t, watch.LookedUp)
	if f := b.flags[0]; f.Partner != "" || f.Seen != 3 {
		t.Errorf("that the hub knows somebody is not for a partner to learn, and the flag goes to %q: %+v", f.Partner, f)
	}
}

func TestLooksOfDifferentDaysAreNoPattern(t *testing.T) {
	b := open()
	for i := range 30 {
		b.write(look(monday.Add(time.Duration(i)*5*time.Hour), "hertfordshire-council/adults", hcc, "c0ffee"))
	}
	b.wants(t)
}

func TestASenderWhoseTransfersAreSuddenlyRefused(t *testing.T) {
	b := open()
	for i := range 40 {
		b.write(&ledger.Leaf{Kind: ledger.KindDecision, At: monday.Add(time.Duration(i) * time.Minute), Sender: powher, Outcome: transfer.Permit})
	}
	for i := range 11 {
		b.write(&ledger.Leaf{Kind: ledger.KindDecision, At: monday.Add(time.Duration(i) * time.Second), Sender: age, Outcome: transfer.Hold})
	}
	b.wants(t, watch.Burst)
	if f := b.flags[0]; f.Sender != age || f.Seen != 11 {
		t.Errorf("the flag says %+v", f)
	}
}

func said(at time.Time, by transfer.PartnerID, state string) *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindConsent, At: at, Actor: ledger.Actor{Partner: by}, Consent: &ledger.Consent{ID: state, Commitment: "c0ffee", State: state, At: at},
	}
}

func onConsent(at time.Time) *ledger.Leaf {
	l := release(at, age, hcc, "carer.name.family")
	l.Subjects[0].Consents, l.Subjects[0].Consent = []string{"given"}, "given"
	return l
}

func TestAReleaseOnAConsentThatWasWithdrawn(t *testing.T) {
	hour := func(n int) time.Time { return monday.Add(time.Duration(n) * time.Hour) }
	backdated := said(hour(3), age, "withdrawn")
	backdated.Consent.At = hour(-1)
	elsewhere, otherwise := said(hour(1), age, "withdrawn"), onConsent(hour(2))
	elsewhere.Consent.Recipients = []transfer.PartnerID{powher}
	otherwise.Subjects[0].Consents, otherwise.Subjects[0].Consent = nil, "withdrawn"
	for name, test := range map[string]struct {
		leaves []*ledger.Leaf
		alarm  bool
	}{
		"withdrawn at the sender":         {[]*ledger.Leaf{said(hour(0), age, "given"), said(hour(1), age, "withdrawn"), onConsent(hour(2))}, true},
		"objected at the recipient":       {[]*ledger.Leaf{said(hour(0), age, "given"), said(hour(1), hcc, "objected"), onConsent(hour(2))}, true},
		"withdrawn at somebody else":      {[]*ledger.Leaf{said(hour(0), age, "given"), said(hour(1), powher, "withdrawn"), onConsent(hour(2))}, false},
		"withdrawn and given again":       {[]*ledger.Leaf{said(hour(0), age, "withdrawn"), said(hour(1), age, "given"), onConsent(hour(2))}, false},
		"withdrawn before, recorded late": {[]*ledger.Leaf{said(hour(0), age, "given"), backdated, onConsent(hour(4))}, false},
		"withdrawn for another":           {[]*ledger.Leaf{said(hour(0), age, "given"), elsewhere, onConsent(hour(2))}, false},
		"goes on another basis":           {[]*ledger.Leaf{said(hour(1), age, "withdrawn"), otherwise}, false},
	} {
		b := open()
		b.Known(ledger.ShapeOf(onConsent(hour(0))), 1)
		for _, l := range test.leaves {
			b.write(l)
		}
		if got := slices.Contains(b.rules(), watch.AfterConsent); got != test.alarm {
			t.Errorf("%s: alarm %v, want %v", name, got, test.alarm)
		}
		if test.alarm && len(b.flags[0].Evidence) != 2 {
			t.Errorf("%s: the evidence is %+v, want the no and the release", name, b.flags[0].Evidence)
		}
	}
}

// story is a random week of one sender, one recipient and one person whom nobody else meets.
func story(t *rapid.T, n int) []*ledger.Leaf {
	from, to := transfer.PartnerID(fmt.Sprintf("sender-%d", n)), transfer.PartnerID(fmt.Sprintf("recipient-%d", n))
	at, out := monday, []*ledger.Leaf(nil)
	for range rapid.IntRange(0, 60).Draw(t, "steps") {
		at = at.Add(time.Duration(rapid.IntRange(0, 3*60*60).Draw(t, "seconds")) * time.Second)
		for range rapid.SampledFrom([]int{1, 1, 1, 30}).Draw(t, "times") {
			l := release(at, from, to, rapid.SampledFrom([]string{"carer.a", "carer.b", "carer.c"}).Draw(t, "item"))
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				l = &ledger.Leaf{Kind: ledger.KindDecision, At: at, Sender: from, Outcome: transfer.Refuse}
			case 1:
				l = look(at, transfer.SystemID(from+"/crm"), from, "person of "+string(from))
			case 2:
				l = said(at, from, rapid.SampledFrom([]string{"given", "withdrawn"}).Draw(t, "said"))
				l.Consent.Commitment = "person of " + string(from)
			case 3:
				l.Subjects[0].Commitment, l.Subjects[0].Consents = "person of "+string(from), []string{"given"}
			}
			out = append(out, l)
		}
	}
	return out
}

func found(stories []*ledger.Leaf) []string {
	w, out := watch.New(), []string(nil)
	for i, l := range stories {
		for _, f := range w.See(watch.Ref{Index: int64(i)}, l) {
			out = append(out, fmt.Sprint(f.ID(), " ", f.Rule, " ", f.Key, " ", f.Seen, " ", f.Usual, " ", len(f.Evidence)))
		}
	}
	slices.Sort(out)
	return out
}

func TestFlowsThatHaveNothingInCommonDoNotTouchOneAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := story(t, 1), story(t, 2)
		apart := append(found(a), found(b)...)
		slices.Sort(apart)
		mixed := slices.Concat(b, a)
		slices.SortStableFunc(mixed, func(x, y *ledger.Leaf) int { return cmp.Or(x.At.Compare(y.At)) })
		if diff := gocmp.Diff(apart, found(mixed)); diff != "" {
			t.Fatalf("flags apart and mixed (-apart +mixed):\n%s", diff)
		}
	})
}

func TestNoFlagComesTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, seen := watch.New(), map[string]bool{}
		for i, l := range story(t, 1) {
			for _, f := range w.See(watch.Ref{Index: int64(i)}, l) {
				if id := f.ID().String(); seen[id] {
					t.Fatalf("%s %s is flagged again at leaf %d", f.Rule, f.Key, i)
				} else {
					seen[id] = true
				}
				if len(f.Evidence) == 0 || len(f.Evidence) > 100 || f.Evidence[len(f.Evidence)-1].Index != int64(i) {
					t.Fatalf("%s at leaf %d shows %+v", f.Rule, i, f.Evidence)
				}
			}
		}
	})
}

// Whoever begins further back finds the same flags of today: a hub that starts again raises none twice under another name.
func TestHowFarBackOneBeginsNamesNoFlagAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := story(t, 1)
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		whole := map[string]bool{}
		w := watch.New()
		for i, l := range all {
			for _, f := range w.See(watch.Ref{Index: int64(i)}, l) {
				whole[f.ID().String()] = true
			}
		}
		late := watch.New()
		for _, l := range all[:cut] {
			late.Known(ledger.ShapeOf(l), 1)
		}
		for i, l := range all[cut:] {
			for _, f := range late.See(watch.Ref{Index: int64(cut + i)}, l) {
				if (f.Rule == watch.FirstFlow || f.Rule == watch.FirstItem) && !whole[f.ID().String()] {
					t.Fatalf("%s %s is new to a hub that starts again, and was not", f.Rule, f.Key)
				}
			}
		}
	})
}
