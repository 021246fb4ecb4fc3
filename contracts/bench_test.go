package contracts_test

import (
	"testing"

	"referralhub/contracts"
)

func BenchmarkParse(b *testing.B) {
	contract, _ := contracts.For("referral/1")
	body, err := contracts.Example("adult-carer-hertswise")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := contract.Parse(body); err != nil {
			b.Fatal(err)
		}
	}
}
