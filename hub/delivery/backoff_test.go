package delivery_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"referralhub/hub/delivery"
)

func TestScheduleOfAttempts(t *testing.T) {
	retry := delivery.Outcome{Kind: delivery.Retry}
	var waits []time.Duration
	var all time.Duration
	for attempt := 0; ; attempt++ {
		after, giveUp := delivery.Next(attempt, retry, 0)
		if giveUp {
			break
		}
		waits = append(waits, after)
		all += after
	}
	if len(waits) != 10 || waits[0] != 5*time.Second || waits[9] != 24*time.Hour {
		t.Errorf("waits %v", waits)
	}
	if all < 75*time.Hour || all > 76*time.Hour {
		t.Errorf("given up after %v; want about three days", all)
	}
}

func TestOutcomesThatEndIt(t *testing.T) {
	if after, giveUp := delivery.Next(0, delivery.Outcome{Kind: delivery.Delivered}, 0.5); giveUp || after != 0 {
		t.Error("a delivery is given up")
	}
	if _, giveUp := delivery.Next(0, delivery.Outcome{Kind: delivery.Rejected}, 0.5); !giveUp {
		t.Error("a rejection is tried again")
	}
}

// The receiver's wish lengthens a wait up to the cap and never shortens it; jitter adds at most a tenth; every transfer ends.
func TestWaitsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		attempt := rapid.IntRange(-1, 20).Draw(t, "attempt")
		asked := time.Duration(rapid.Int64Range(-1e18, 9e18).Draw(t, "asked"))
		rnd := rapid.Float64Range(0, 0.999).Draw(t, "rnd")
		own, end := delivery.Next(attempt, delivery.Outcome{Kind: delivery.Retry}, 0)
		after, giveUp := delivery.Next(attempt, delivery.Outcome{Kind: delivery.Retry, After: asked}, rnd)
		if giveUp != end || giveUp != (attempt >= 10) {
			t.Fatalf("given up: %t", giveUp)
		}
		if giveUp {
			return
		}
		least := max(own, min(asked, delivery.MaxRetryAfter))
		if after < least || after > least+least/10 {
			t.Fatalf("waits %v; want %v and a tenth at most", after, least)
		}
	})
}
