package delivery_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"referralhub/hub/delivery"
)

var (
	ok        = delivery.Outcome{Kind: delivery.Delivered}
	down      = delivery.Outcome{Kind: delivery.Retry, Fault: delivery.FaultNetwork}
	refused   = delivery.Outcome{Kind: delivery.Rejected, Fault: delivery.FaultReceiver}
	ourselves = delivery.Outcome{Kind: delivery.Retry, Fault: delivery.FaultHub}
)

func TestEndpointThatIsAwayIsLeftAlone(t *testing.T) {
	var c delivery.Circuit
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	attempt := func(o delivery.Outcome) {
		t.Helper()
		if allowed, wait := c.Allow(at); !allowed {
			t.Fatalf("not allowed for %v", wait)
		}
		c.Record(at, o)
	}
	notFor := func(want time.Duration) {
		t.Helper()
		if allowed, wait := c.Allow(at); allowed || wait != want {
			t.Fatalf("allowed %t, wait %v; want to wait %v", allowed, wait, want)
		}
	}
	for range 4 {
		attempt(down)
	}
	attempt(refused) // it answers: it is there
	for range 5 {
		attempt(down)
	}
	notFor(30 * time.Second)

	at = at.Add(30 * time.Second)
	if allowed, _ := c.Allow(at); !allowed {
		t.Fatal("nobody may look whether it is back")
	}
	notFor(15 * time.Second) // one at a time
	c.Cancel()               // there was nothing to try with
	attempt(ourselves)       // the hub's own fault says nothing of the endpoint
	attempt(down)
	notFor(time.Minute)
	for _, open := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute} {
		at = at.Add(open)
		attempt(down)
	}
	notFor(5 * time.Minute)
	at = at.Add(5 * time.Minute)
	attempt(ok)
	if !c.Closed() {
		t.Error("it is back, and still left alone")
	}
	attempt(down)
	attempt(ok)
}

func TestEndpointThatAsksForTimeGetsIt(t *testing.T) {
	var c delivery.Circuit
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	c.Record(at, delivery.Outcome{Kind: delivery.Retry, Fault: delivery.FaultReceiver, After: 90 * time.Second})
	if allowed, wait := c.Allow(at.Add(80 * time.Second)); allowed || wait != 10*time.Second {
		t.Errorf("allowed %t, wait %v", allowed, wait)
	}
	if allowed, _ := c.Allow(at.Add(90 * time.Second)); !allowed {
		t.Error("not allowed after the time it asked for")
	}
	// One transfer's day must not be every transfer's.
	c = delivery.Circuit{}
	c.Record(at, delivery.Outcome{Kind: delivery.Retry, Fault: delivery.FaultReceiver, After: 24 * time.Hour})
	if allowed, _ := c.Allow(at.Add(5 * time.Minute)); !allowed {
		t.Error("not allowed after five minutes")
	}
}

// Whatever happens, a circuit asks nobody to wait longer than five minutes, and once that has passed somebody may try.
func TestCircuitNeverSticks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c delivery.Circuit
		at := time.Unix(0, 0)
		outcomes := []delivery.Outcome{ok, down, refused, ourselves, {Kind: delivery.Retry, Fault: delivery.FaultReceiver, After: time.Hour}}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			allowed, wait := c.Allow(at)
			if !allowed {
				if wait <= 0 || wait > 5*time.Minute {
					t.Fatalf("wait %v", wait)
				}
				continue
			}
			if rapid.Bool().Draw(t, "cancel") {
				c.Cancel()
				continue
			}
			c.Record(at, rapid.SampledFrom(outcomes).Draw(t, "outcome"))
		}
		if allowed, _ := c.Allow(at.Add(5 * time.Minute)); !allowed {
			t.Fatal("stuck")
		}
	})
}
