package consent

import (
	"cmp"
	"slices"
	"time"

	"referralhub/contracts"
)

// clockSkew is how far the clock of whoever recorded a yes may run ahead of the hub's. A no counts however it is dated.
const clockSkew = 5 * time.Minute

// At folds events into a standing. The order of events makes no difference: the newest decides, and of two recorded for the
// same instant the more restrictive one. A yes replaces the yes before it, also when it covers less. A no to some categories
// leaves the rest as it was.
func At(events []Event, scope Scope, at time.Time) Standing {
	var buf [16]int
	order, elsewhere, restrictions := buf[:0], false, false
	for i := range events {
		e := &events[i]
		switch {
		case e.RecordedBy != scope.Sender && e.RecordedBy != scope.Recipient:
		case e.restricts():
			restrictions = true
		case !scope.includes(e):
			// Only the sender's own: whether the recipient knows this person is not the sender's to learn.
			elsewhere = elsewhere || e.permits() && e.RecordedBy == scope.Sender
		case e.At.After(at.Add(clockSkew)) && !e.denies() && e.State != Invalidated:
		case e.permits() && scope.Authorities != nil && !slices.Contains(scope.Authorities, e.Authority):
		default:
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int { return compare(&events[i], &events[j]) })

	var s Standing
	var last *Event // the yes in force
	for _, i := range order {
		if s.apply(&events[i]) {
			last = &events[i]
		}
	}
	if s.State == Given {
		if !last.ExpiresAt.IsZero() && !at.Before(last.ExpiresAt) {
			s.State = Expired
		}
		s.settle()
	}
	s.OutOfScope = elsewhere && s.State == None
	if restrictions {
		s.restrict(events, &scope, at, last)
	}
	return s
}

// restrict finds the restrictions in force. A restriction counts however it is dated and whenever it says that it runs out; its lifting only
// once it has happened. A lifting that names categories lifts what was restricted by those names and never a restriction of everything:
// what would be left of that is for a person to say.
func (s *Standing) restrict(events []Event, scope *Scope, at time.Time, yes *Event) {
	var begun, lifted []*Event
	for i := range events {
		switch e := &events[i]; {
		case !scope.concerns(e):
		case e.State == Restricted:
			begun = append(begun, e)
		case e.State == RestrictionLifted && !e.At.After(at.Add(clockSkew)):
			lifted = append(lifted, e)
		}
	}
	slices.SortFunc(begun, compare)
	for _, e := range begun {
		left, all := e.Categories, len(e.Categories) == 0
		for _, l := range lifted {
			mayLift := l.RecordedBy == e.RecordedBy || l.RecordedBy == scope.Sender
			switch {
			case !mayLift || !l.At.After(e.At):
			case len(l.Categories) == 0:
				left, all = nil, false
			default:
				left = slices.DeleteFunc(slices.Clone(left), func(c contracts.Category) bool { return slices.Contains(l.Categories, c) })
			}
		}
		if all || len(left) > 0 {
			agreed := s.State == Given && yes.At.After(e.At)
			s.Restricted = append(s.Restricted, Restriction{Ref: e.ID, By: e.RecordedBy, Categories: left, Agreed: agreed})
		}
	}
}

// concerns reports whether an event that begins or ends a restriction is about the transfer.
func (scope *Scope) concerns(e *Event) bool {
	return (e.RecordedBy == scope.Sender || e.RecordedBy == scope.Recipient) &&
		(len(e.Recipients) == 0 || slices.Contains(e.Recipients, scope.Recipient))
}

// apply lets one event follow what went before it, and reports whether it is a yes.
func (s *Standing) apply(e *Event) bool {
	if e.Notice != "" {
		s.Notice = e.Notice
	}
	switch {
	case e.permits():
		s.State, s.Explicit, s.Categories, s.Except = Given, e.Explicit, e.Categories, nil
		s.Refs = append(s.Refs[:0], e.ID)
		return true
	case e.denies() && len(e.Categories) > 0:
		if s.Except == nil {
			s.Except = make(map[contracts.Category]State)
		}
		for _, c := range e.Categories {
			s.Except[c] = e.State
		}
		s.Refs = append(s.Refs, e.ID)
	case e.denies():
		s.end(e)
	case s.State.denies():
		// Neither a question nor the end of a yes undoes a no.
	case e.asks():
		if severity(s.State) == severity(None) {
			s.State = e.State
			s.Refs = append(s.Refs, e.ID)
		}
	default:
		// Expired or Invalidated. It ends the whole of a consent even when it names categories: what is left of a consent that
		// was partly unsound is for a person to say.
		s.end(e)
	}
	return false
}

func (s *Standing) end(e *Event) {
	s.State, s.Explicit, s.Categories = e.State, false, nil
	s.Refs = append(s.Refs[:0], e.ID)
}

// settle turns a yes of which every category has gone into the no that took the last of them.
func (s *Standing) settle() {
	if len(s.Categories) == 0 {
		return
	}
	var no State
	for _, c := range s.Categories {
		state, out := s.Except[c]
		if !out {
			return
		}
		if severity(state) > severity(no) {
			no = state
		}
	}
	s.State, s.Explicit, s.Categories = no, false, nil
}

// includes reports whether an event is about the transfer. The package comment says how a yes and a no differ in this.
func (scope *Scope) includes(e *Event) bool {
	if !e.permits() && !e.asks() {
		return (e.Purpose == "" || e.Purpose == scope.Purpose) &&
			(e.Service == "" || e.Service == scope.Service) &&
			(len(e.Recipients) == 0 || slices.Contains(e.Recipients, scope.Recipient))
	}
	if e.Purpose != scope.Purpose || e.Service != "" && e.Service != scope.Service {
		return false
	}
	if len(e.Recipients) > 0 {
		return slices.Contains(e.Recipients, scope.Recipient)
	}
	return e.Service != "" && slices.Contains(scope.Members, scope.Recipient)
}

// severity orders states from the most permissive.
func severity(s State) int {
	switch s {
	case None, Requested, Deferred:
		return 0
	case Given, Renewed:
		return 1
	case Expired:
		return 2
	case Refused:
		return 4
	case Withdrawn:
		return 5
	case Objected:
		return 6
	}
	return 3 // Invalidated
}

// compare puts events into the order in which they apply. It is total: two events that compare equal differ in nothing that a
// standing depends on.
func compare(a, b *Event) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c
	}
	if c := cmp.Compare(severity(a.State), severity(b.State)); c != 0 {
		return c
	}
	if a.Explicit != b.Explicit { // the explicit one first, so that the other decides
		if a.Explicit {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(breadth(b), breadth(a)),
		-compareEnd(a.ExpiresAt, b.ExpiresAt),
		cmp.Compare(a.ID, b.ID),
		slices.Compare(a.Categories, b.Categories),
		cmp.Compare(a.State, b.State),
		cmp.Compare(a.Notice, b.Notice),
	)
}

// breadth says how much a yes covers: one without categories covers most.
func breadth(e *Event) int {
	if len(e.Categories) == 0 {
		return int(^uint(0) >> 1)
	}
	return len(e.Categories)
}

// compareEnd orders ends of validity; the zero time is no end, hence the latest.
func compareEnd(a, b time.Time) int {
	if a.IsZero() || b.IsZero() {
		return cmp.Compare(unbounded(a), unbounded(b))
	}
	return a.Compare(b)
}

func unbounded(t time.Time) int {
	if t.IsZero() {
		return 1
	}
	return 0
}
