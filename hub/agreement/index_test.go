package agreement_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

func date(day string) time.Time {
	d, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic(err)
	}
	return d
}

// county makes partners and agreements without files: agreement i joins ten partners that lie next to each other.
func county(partners, agreements int) ([]transfer.Partner, []*agreement.Agreement) {
	var ps []transfer.Partner
	for i := range partners {
		ps = append(ps, transfer.Partner{ID: transfer.PartnerID(fmt.Sprintf("partner-%d", i)), Kind: transfer.Charity})
	}
	var as []*agreement.Agreement
	for i := range agreements {
		var ids []transfer.PartnerID
		for j := range min(10, partners) {
			ids = append(ids, ps[(i*7+j)%partners].ID)
		}
		a := &agreement.Agreement{
			ID: transfer.AgreementID(fmt.Sprintf("agreement-%d", i/2)), Version: 1 + i%2, Digest: fmt.Sprintf("sha256:%d", i),
			Status: agreement.Active, Starts: date("2026-01-01"),
		}
		a.Flows = []*agreement.Flow{{Agreement: a, ID: a.Ref() + "#refer", From: ids, To: ids, Purpose: "referral.service"}}
		as = append(as, a)
	}
	return ps, as
}

// Two hubs that read the same files give the same answers, whatever the order in which they read them.
func TestOrderMakesNoDifference(t *testing.T) {
	partners, agreements := county(12, 30)
	want, err := agreement.NewIndex(partners, agreements)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		ps := rapid.Permutation(partners).Draw(t, "partners")
		as := rapid.Permutation(agreements).Draw(t, "agreements")
		got, err := agreement.NewIndex(ps, as)
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest() != want.Digest() {
			t.Fatalf("digest %s, want %s", got.Digest(), want.Digest())
		}
		for _, a := range partners {
			for _, b := range partners {
				if !slices.Equal(got.Candidates(a.ID, b.ID), want.Candidates(a.ID, b.ID)) {
					t.Fatalf("other flows from %s to %s", a.ID, b.ID)
				}
			}
		}
	})
}

// The digest changes with a file, and with anything on the register.
func TestDigestCoversFilesAndRegister(t *testing.T) {
	partners, agreements := county(3, 2)
	digest := func() string {
		x, err := agreement.NewIndex(partners, agreements)
		if err != nil {
			t.Fatal(err)
		}
		return x.Digest()
	}
	first := digest()
	partners[0].Suspended = true
	second := digest()
	agreements[1].Digest = "sha256:another"
	third := digest()
	if first == second || second == third {
		t.Errorf("digests %s %s %s", first, second, third)
	}
}

// Nobody discloses to itself, and a later version stands before an earlier one.
func TestCandidates(t *testing.T) {
	x, err := agreement.NewIndex(county(3, 2))
	if err != nil {
		t.Fatal(err)
	}
	if flows := x.Candidates("partner-0", "partner-0"); len(flows) != 0 {
		t.Errorf("%d flows from a partner to itself", len(flows))
	}
	var got []string
	for _, f := range x.Candidates("partner-0", "partner-2") {
		got = append(got, f.ID)
	}
	if diff := cmp.Diff([]string{"agreement-0@2#refer", "agreement-0@1#refer"}, got); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	if _, ok := x.Agreement("agreement-0", 1); !ok {
		t.Error("an older version cannot be looked up")
	}
	if _, ok := x.Agreement("agreement-0", 3); ok {
		t.Error("a version that does not exist was found")
	}
}

func TestNewIndexRefusesAmbiguity(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func([]transfer.Partner, []*agreement.Agreement) ([]transfer.Partner, []*agreement.Agreement)
		want   string
	}{
		{"a partner twice", func(ps []transfer.Partner, as []*agreement.Agreement) ([]transfer.Partner, []*agreement.Agreement) {
			return append(ps, ps[0]), as
		}, "index partners: partner-0 is on the register twice"},
		{"a version twice", func(ps []transfer.Partner, as []*agreement.Agreement) ([]transfer.Partner, []*agreement.Agreement) {
			return ps, append(as, as[0])
		}, "index agreements: agreement-0@1 is declared twice"},
		{"a stranger", func(ps []transfer.Partner, as []*agreement.Agreement) ([]transfer.Partner, []*agreement.Agreement) {
			return ps[1:], as
		}, "index agreements: flow agreement-0@1#refer names partner-0, which is not on the register"},
		{"a flow of another agreement", func(ps []transfer.Partner, as []*agreement.Agreement) ([]transfer.Partner, []*agreement.Agreement) {
			as[1].Flows = as[0].Flows
			return ps, as
		}, "index agreements: flow agreement-0@1#refer is not a flow of agreement-0@2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := agreement.NewIndex(test.damage(county(3, 2))); err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func TestStanding(t *testing.T) {
	a := agreement.Agreement{
		Status: agreement.Active, Starts: date("2026-01-01"), Ends: date("2029-01-01"),
		Contract: agreement.Contract{Ends: date("2028-07-01")},
	}
	for _, test := range []struct {
		story  string
		status agreement.Status
		at     string
		want   agreement.Standing
	}{
		{"it runs", agreement.Active, "2026-06-01", agreement.InForce},
		{"the day before it starts", agreement.Active, "2025-12-31", agreement.NotStarted},
		{"signed and not activated", agreement.Signed, "2026-06-01", agreement.NotStarted},
		{"a draft", agreement.Draft, "2026-06-01", agreement.NotStarted},
		{"somebody stopped it", agreement.Suspended, "2026-06-01", agreement.Stopped},
		{"stopped for its review", agreement.UnderReview, "2026-06-01", agreement.Stopped},
		{"its contract is over", agreement.Active, "2028-07-01", agreement.ContractEnded},
		{"over, and its contract was over before", agreement.Active, "2029-01-01", agreement.ContractEnded},
		{"it was terminated", agreement.Terminated, "2026-06-01", agreement.Ended},
		{"it was called expired", agreement.Expired, "2026-06-01", agreement.Ended},
		{"a status nobody knows permits nothing", "actve", "2026-06-01", agreement.NotStarted},
	} {
		a.Status = test.status
		if got := a.Standing(date(test.at)); got != test.want {
			t.Errorf("%s: %s, want %s", test.story, got, test.want)
		}
	}
	a.Contract = agreement.Contract{}
	for _, status := range []agreement.Status{agreement.Active, agreement.Suspended} {
		a.Status = status
		if got := a.Standing(date("2029-01-01")); got != agreement.Ended {
			t.Errorf("over without a contract, and %s: %s", status, got)
		}
	}
}

// Version 2 takes over on its first day and never gives way to version 1 again.
func TestCurrentVersion(t *testing.T) {
	version := func(n int, status agreement.Status, starts string) *agreement.Agreement {
		return &agreement.Agreement{ID: "care", Version: n, Status: status, Starts: date(starts)}
	}
	for _, test := range []struct {
		story    string
		versions []*agreement.Agreement
		want     int
	}{
		{"only one", []*agreement.Agreement{version(1, agreement.Active, "2026-01-01")}, 1},
		{"the next has not started", []*agreement.Agreement{
			version(1, agreement.Active, "2026-01-01"), version(2, agreement.Active, "2027-01-01"),
		}, 1},
		{"the next is a draft", []*agreement.Agreement{
			version(1, agreement.Active, "2026-01-01"), version(2, agreement.Draft, "2026-02-01"),
		}, 1},
		{"the next has started", []*agreement.Agreement{
			version(1, agreement.Active, "2026-01-01"), version(2, agreement.Active, "2026-02-01"),
		}, 2},
		{"suspending the next does not revive the first", []*agreement.Agreement{
			version(1, agreement.Active, "2026-01-01"), version(2, agreement.Suspended, "2026-02-01"),
		}, 2},
		{"nothing has started", []*agreement.Agreement{
			version(1, agreement.Draft, "2026-01-01"), version(2, agreement.Signed, "2027-01-01"), version(3, agreement.Signed, "2028-01-01"),
		}, 2},
		{"drafts alone", []*agreement.Agreement{version(1, agreement.Draft, "2026-01-01")}, 1},
	} {
		x, err := agreement.NewIndex(nil, test.versions)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := x.Current("care", today); !ok || got.Version != test.want {
			t.Errorf("%s: version %d, want %d", test.story, got.Version, test.want)
		}
		if _, ok := x.Current("nothing", today); ok {
			t.Error("an agreement that does not exist has a version that counts")
		}
	}
}

func TestCandidatesAllocatesNothing(t *testing.T) {
	x, err := agreement.NewIndex(county(100, 200))
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		for _, f := range x.Candidates("partner-3", "partner-4") {
			x.Current(f.Agreement.ID, today)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The time does not grow with the number of agreements, only with the flows between the two partners.
func BenchmarkCandidates(b *testing.B) {
	for _, size := range []struct{ partners, agreements int }{{100, 1_000}, {1_000, 10_000}} {
		x, err := agreement.NewIndex(county(size.partners, size.agreements))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("agreements=%d", size.agreements), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(x.Candidates("partner-3", "partner-4")) == 0 {
					b.Fatal("no flow")
				}
			}
		})
	}
}

func BenchmarkNewIndex(b *testing.B) {
	partners, agreements := county(1_000, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := agreement.NewIndex(partners, agreements); err != nil {
			b.Fatal(err)
		}
	}
}
