package policy_test

import (
	"fmt"
	"testing"

	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// BenchmarkDecide permits a referral of four people, with three consents on record, among ever more agreements of a thousand
// partners. The number of agreements should make no difference.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("agreements=%d", n), func(b *testing.B) {
			x, r := manyAgreements(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if d := policy.Decide(x, r); d.Outcome != transfer.Permit {
					b.Fatalf("the outcome is %s %v", d.Outcome, d.Reasons)
				}
			}
		})
	}
}

func TestDecidingAllocatesLittle(t *testing.T) {
	x, r := manyAgreements(t, 100)
	if n := testing.AllocsPerRun(100, func() { policy.Decide(x, r) }); n >= 20 {
		t.Errorf("a permit takes %.0f allocations", n)
	}
}

func manyAgreements(t testing.TB, n int) (*agreement.Index, *policy.Request) {
	t.Helper()
	register := partners()
	for i := range 1000 {
		register = append(register, transfer.Partner{ID: transfer.PartnerID(fmt.Sprint("partner-", i)), Kind: transfer.Charity, Location: "GB"})
	}
	agreements := []*agreement.Agreement{hertswise(func(f *agreement.Flow) { f.Allowed = f.Allowed.Or(childItems) })}
	for i := len(agreements); i < n; i++ {
		agreements = append(agreements, hertswise(func(f *agreement.Flow) {
			f.Agreement.ID = transfer.AgreementID(fmt.Sprint("agreement-", i))
			f.ID = fmt.Sprintf("agreement-%d@1#refer", i)
			f.From, f.To = nil, nil
			for k := range 5 {
				f.From = append(f.From, register[6+(i+k)%1000].ID)
				f.To = append(f.To, register[6+(7*i+k)%1000].ID)
			}
			if i%1000 == 1 { // some are about the same two partners
				f.From, f.To, f.Purpose = append(f.From, cih), append(f.To, ageUK), "advocacy"
			}
		}))
	}
	x, err := agreement.NewIndex(register, agreements)
	if err != nil {
		t.Fatal(err)
	}
	r := withCaredFor(refer(said(consent.Given, everything)),
		said(consent.Requested), said(consent.Given, explicitly("identity", "relationship", "health", "mental-health")))
	r.Subjects = append(r.Subjects, policy.Subject{
		Role: transfer.Child, Items: childItems, Facts: born(transfer.Child, "2016-02-29"), Events: []consent.Event{said(consent.Given, authority("parent"))},
	})
	return x, r
}
