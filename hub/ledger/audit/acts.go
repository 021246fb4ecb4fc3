package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// ruling is the last that a person ruled about a hold.
type ruling struct {
	index int64
	act   string
	id    transfer.TransferID
	open  bool // what it leads to is not in the log yet
}

// leadsTo is what a ruling on a hold makes of the transfer. One that lets go makes nothing of it by itself: the transfer is decided again.
var leadsTo = map[string]transfer.State{"release": "", "refuse": transfer.Refused, "return": transfer.Returned}

func (s *stories) ruling(k key, st *story, index int64, l *ledger.Leaf) {
	r, was, next := l.Ruling, s.states[st.state], l.State
	if r == nil {
		r = &ledger.Ruling{}
	}
	if l.Actor.Person == "" || l.Actor.Role == "" {
		s.report.problem(Incomplete, index, l.Transfer, "a ruling names the person who made it and their role")
	}
	if r.Act == ledger.Reviewed {
		if !s.excepted[k] {
			s.report.problem(Order, index, l.Transfer, "the review of an exception that there has not been")
		}
		if next != "" && next != was {
			s.report.problem(State, index, l.Transfer, "a review changes nothing, and this one leaves it %s", next)
		}
		return
	}
	end, known := leadsTo[r.Act]
	switch {
	case !known:
		s.report.problem(Incomplete, index, l.Transfer, "a ruling releases, refuses or returns, and this one does not say which")
	case r.Ground == "":
		s.report.problem(Incomplete, index, l.Transfer, "a ruling names its ground")
	}
	switch {
	case was != transfer.Held:
		s.report.problem(Order, index, l.Transfer, "a ruling on a transfer that is %s: only a hold can be ruled on", orNothing(was))
		return
	case s.rulings[k].open:
		s.report.problem(Order, index, l.Transfer, "a second ruling before anything came of leaf %d", s.rulings[k].index)
	case known && next != "" && next != transfer.Held && next != end:
		s.report.problem(State, index, l.Transfer, "a ruling to %s cannot leave a transfer %s", r.Act, next)
	}
	moved := next != "" && next != was
	s.rulings[k] = ruling{index, strings.Clone(r.Act), transfer.TransferID(strings.Clone(string(l.Transfer))), !moved}
	if moved {
		s.move(st, next)
	}
}

// followed closes a ruling that waits for what comes of it, with the state that the next decision or outcome leaves.
func (s *stories) followed(k key, index int64, l *ledger.Leaf) {
	r, ruled := s.rulings[k]
	if !ruled || !r.open {
		return
	}
	end := leadsTo[r.act]
	if end != "" && l.State != end {
		s.report.problem(Order, index, l.Transfer, "leaf %d ruled to %s, and this leaves it %s", r.index, r.act, orNothing(l.State))
	}
	r.open = false
	s.rulings[k] = r
}

// unfollowed reports the rulings and the decisions for a release of which nothing came.
func (s *stories) unfollowed() {
	if s.weighed != nil {
		s.unreleased(s.weighed)
	}
	open := slices.SortedFunc(maps.Values(s.rulings), func(a, b ruling) int { return cmp.Compare(a.index, b.index) })
	for _, r := range open {
		if r.open {
			s.report.problem(Order, r.index, r.id, "a ruling to %s, and no decision after it", orNothing(r.act))
		}
	}
}

// exception holds a permit-exception to what makes it one: somebody's claim, and an end.
func (s *stories) exception(k key, index int64, l *ledger.Leaf) {
	if l.Outcome != transfer.PermitException {
		return
	}
	s.excepted[k] = true
	_, ruled := s.rulings[k]
	if l.Exception == nil && l.Demand == nil && l.Ruling == nil && !ruled {
		s.report.problem(Incomplete, index, l.Transfer, "an exception without a claim, a demand or a ruling")
	}
	switch {
	case l.Expires.IsZero():
		s.report.problem(Incomplete, index, l.Transfer, "an exception without an end")
	case !l.Expires.After(l.At):
		s.report.problem(Release, index, l.Transfer, "an exception that had run out")
	}
}

// entered checks what people enter by hand, which no other leaf bears out.
func (s *stories) entered(index int64, l *ledger.Leaf) {
	missing := func(what string, absent bool) {
		if absent {
			s.report.problem(Incomplete, index, l.Transfer, "a %s says %s", l.Kind, what)
		}
	}
	switch l.Kind {
	case ledger.KindDisclosure:
		d := l.Disclosure
		if d == nil {
			d = &ledger.Disclosure{}
		}
		about := slices.ContainsFunc(l.Subjects, func(p ledger.Subject) bool { return p.Commitment != "" && len(p.Items) > 0 })
		missing("who made it, and for whom", d.Person == "" || l.Sender == "")
		missing("to whom it was made", l.Recipient == "" && d.Office == "")
		missing("for what purpose", l.Purpose == "")
		missing("on what basis", d.Basis.Article6 == "")
		missing("which items, about whom", !about)
		missing("when it was made", d.Made.IsZero())
		if d.Made.After(l.At) {
			s.report.problem(Order, index, l.Transfer, "a disclosure that was entered before it was made")
		}
	case ledger.KindRequest:
		r := l.Request
		if r == nil {
			r = &ledger.Request{}
		}
		missing("its reference", r.Reference == "")
		missing("which body asks, and who there, by office", r.Organisation == "" || r.Office == "")
		missing("when it came in", r.Received == "")
		missing("what is asked for, and for what purpose", len(r.Items) == 0 || l.Purpose == "")
		if r.Decision != "" {
			missing("whether it is granted, granted in part or refused", !slices.Contains([]string{"granted", "part", "refused"}, r.Decision))
			missing("why it is so decided", len(r.Reasons) == 0)
			missing("who decided it, as what, and when", r.Person == "" || r.Role == "" || r.Decided == "")
		}
	case ledger.KindSignature:
		a, by := l.Agreement, l.Signature
		missing("which text is signed", a == nil || a.ID == "" || a.Version == 0 || a.Digest == "")
		missing("which party signed it, and how", by == nil || by.Party == "" || by.JWS == "")
	}
}
