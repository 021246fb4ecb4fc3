package agreement_test

import (
	"testing"

	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

// DPA 2018 s.10: (b), (h), (i) and (j) go with Part 1, (g) with Part 2, the others with nothing. Most conditions of Part 2, and
// the first of Part 1, stand on a policy document.
func TestConditionsAndTheirParagraphs(t *testing.T) {
	for _, test := range []struct {
		article9, schedule1, offence string
		paired, needsAPD             bool
	}{
		{"", "", "", true, false},
		{"a", "", "", true, false},
		{"a", "para 18", "", true, false}, // idle: nothing rests on it
		{"h", "", "", false, false},
		{"h", "para 2", "", true, false},
		{"b", "para 1(1)(a)", "", true, true},
		{"j", "para 4", "", true, false},
		{"j", "para 6", "", false, true},
		{"i", "para 5", "", false, false},
		{"g", "para 4", "", false, false},
		{"g", "para 5", "", false, false},
		{"g", "para 6(2)(a)", "", true, true},
		{"g", "para 10", "", true, false},
		{"g", "para 13", "", true, false},
		{"g", "para 18(1)(a)", "", true, true},
		{"g", "para 28", "", true, true},
		{"g", "para 29", "", false, false},
		{"g", "paragraph 18", "", false, false},
		{"", "", "para 18", true, true},
		{"", "", "para 29", true, false},
		{"", "", "para 36", true, true},
		{"", "", "para 38", true, false},
	} {
		b := agreement.Basis{Article6: "a", Article9: test.article9, Schedule1: test.schedule1, Offence: test.offence}
		if got := b.Paired(); got != test.paired {
			t.Errorf("%v: paired %v", b, got)
		}
		if got := b.NeedsAPD(); got != test.needsAPD {
			t.Errorf("%v, offence %q: needs a policy document %v", b, test.offence, got)
		}
	}
}

func TestWhoCanClaimWhat(t *testing.T) {
	council, charity := &transfer.Partner{Kind: transfer.Council}, &transfer.Partner{Kind: transfer.Charity}
	for article6, want := range map[string]struct{ council, charity bool }{
		"a": {true, true}, "b": {true, true}, "c": {true, true}, "d": {true, true},
		"e": {true, false}, "ea": {false, true}, "f": {false, true},
	} {
		b := agreement.Basis{Article6: article6}
		if b.ClaimableBy(council) != want.council || b.ClaimableBy(charity) != want.charity {
			t.Errorf("(%s): want council %v, charity %v", article6, want.council, want.charity)
		}
	}
}
