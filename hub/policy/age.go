package policy

import (
	"time"

	"referralhub/hub/transfer"
)

// Whose yes counts (consent.Event.Authority). Anybody's no does.
var (
	ownAuthorities   = []string{"self", "gillick"}
	childAuthorities = []string{"parent", "gillick"}
)

// deciders says whose yes counts for a person at an instant: from 16 on their own (C9), before that a parent's or their own once
// found competent (C7, C8). A consent that a parent gave for a child ends with the sixteenth birthday.
func deciders(s *Subject, at time.Time) []string {
	if underSixteen(s, at) {
		return childAuthorities
	}
	return ownAuthorities
}

// underSixteen reports whether a person is not yet 16, as far as anybody can tell: an incomplete date is read as its last day,
// and one that cannot be read as a child's. A child of the household whose date of birth is unknown is under 16; anybody else is
// presumed an adult (C1).
func underSixteen(s *Subject, at time.Time) bool {
	if s.Born == "" {
		return s.Role == transfer.Child
	}
	born, ok := lastDay(s.Born)
	return !ok || at.Before(born.AddDate(16, 0, 0))
}

// lastDay reads a date of birth, "2011-04-02", "2011-04" or "2011", as the last day that it can mean, in UTC.
func lastDay(born string) (time.Time, bool) {
	switch len(born) {
	case len(time.DateOnly):
		t, err := time.Parse(time.DateOnly, born)
		return t, err == nil
	case len("2006-01"):
		t, err := time.Parse("2006-01", born)
		return t.AddDate(0, 1, -1), err == nil
	case len("2006"):
		t, err := time.Parse("2006", born)
		return t.AddDate(1, 0, -1), err == nil
	}
	return time.Time{}, false
}
