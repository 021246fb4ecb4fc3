package delivery

import "time"

// MaxRetryAfter is the longest time a receiver can ask for: past it, it would decide for the hub when a referral is given up.
const MaxRetryAfter = 6 * time.Hour

// gaps returns the times between attempts: eleven attempts over rather more than three days, after the example of Standard
// Webhooks with one step more at the beginning, for a referral is often awaited.
func gaps() []time.Duration {
	return []time.Duration{
		5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
		5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// Next says what follows an attempt that ended with o: after how long the next one is due, or that there is none. attempt is how
// many were made before it. rnd, in [0,1), spreads attempts over a tenth of the time, so that what failed together does not come
// back together. A receiver's own Retry-After lengthens the wait and never shortens it.
func Next(attempt int, o Outcome, rnd float64) (after time.Duration, giveUp bool) {
	switch {
	case o.Kind == Delivered:
		return 0, false
	case o.Kind == Rejected || attempt >= len(gaps()):
		return 0, true
	}
	after = max(gaps()[max(attempt, 0)], min(o.After, MaxRetryAfter))
	return after + time.Duration(rnd*float64(after)/10), false
}
