package ledger_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Whatever a decision holds, the release behind it holds what FORMAT.md lists: a field that leaves get later is not in it by itself.
func TestAReleaseHoldsWhatItsRecipientMayReadAndNothingElse(t *testing.T) {
	weighed := &ledger.Leaf{Kind: ledger.KindDecision, At: at, State: transfer.Queued}
	fill(reflect.ValueOf(weighed).Elem())
	weighed.Subjects = append(weighed.Subjects, ledger.Subject{Role: transfer.Child, Commitment: "c2", Facts: []string{"under-16"}, Stripped: []string{"child.name.given"}})
	weighed.Obligations = []ledger.Obligation{{Code: "review-exception", Who: "sender"}, {Code: "protect", Who: "recipient"}, {Code: "tipping-off", Who: "hub"}}

	var got map[string]any
	if err := json.Unmarshal(weighed.Release("hmac-sha256:ab").AppendTo(nil), &got); err != nil {
		t.Fatal(err)
	}
	members := []string{
		"actor", "agreement", "at", "expires", "kind", "obligations", "outcome", "payload", "purpose", "recipient", "sender", "service", "state", "subjects",
		"transfer", "type", "v",
	}
	if diff := cmp.Diff(members, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Error(diff)
	}
	if got["kind"] != "release" || got["state"] != "released" || got["payload"] != "hmac-sha256:ab" || got["outcome"] != "word" {
		t.Errorf("got %v", got)
	}
	people := []any{map[string]any{
		"commitment": "word", "consent": "word", "consents": []any{"word"}, "items": []any{"word"}, "position": 7., "role": "word",
	}}
	if diff := cmp.Diff(people, got["subjects"]); diff != "" {
		t.Errorf("of the child nothing goes, and of the other no circumstances:\n%s", diff)
	}
	if diff := cmp.Diff([]any{map[string]any{"code": "protect", "who": "recipient"}, map[string]any{"code": "tipping-off", "who": "hub"}}, got["obligations"]); diff != "" {
		t.Error(diff)
	}
}

func TestWhichReleaseRestsOnWhichDecision(t *testing.T) {
	leaf := func(kind ledger.Kind, change ...func(*ledger.Leaf)) *ledger.Leaf {
		l := &ledger.Leaf{Kind: kind, At: at, Transfer: "t1"}
		for _, c := range change {
			c(l)
		}
		return l
	}
	release := leaf(ledger.KindRelease)
	for what, c := range map[string]struct {
		before *ledger.Leaf
		want   bool
	}{
		"the decision for it":                {leaf(ledger.KindDecision), true},
		"no leaf":                            {nil, false},
		"another release":                    {release, false},
		"a decision that moved the transfer": {leaf(ledger.KindDecision, func(l *ledger.Leaf) { l.State = transfer.Queued }), false},
		"a decision about another transfer":  {leaf(ledger.KindDecision, func(l *ledger.Leaf) { l.Transfer = "t2" }), false},
		"a decision of another moment":       {leaf(ledger.KindDecision, func(l *ledger.Leaf) { l.At = at.Add(time.Microsecond) }), false},
	} {
		if release.RestsOn(c.before) != c.want {
			t.Errorf("a release behind %s rests on it: %t", what, !c.want)
		}
	}
	if outcome := leaf(ledger.KindOutcome); outcome.RestsOn(leaf(ledger.KindDecision)) {
		t.Error("an outcome rests on a decision")
	}
}
