package audit

import (
	"slices"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// told is how far a notice has come: what its last leaf said.
type told struct {
	to     key // its recipient
	status string
}

// answers says which answers may follow which: what was refused may be done after all, and what was done is done.
var answers = map[string][]string{"": {"received", "actioned", "refused"}, "received": {"actioned", "refused"}, "refused": {"actioned"}}

// stepped checks a step of a case: somebody answers for it, and it belongs to a case that was opened.
func (s *stories) stepped(index int64, l *ledger.Leaf) {
	c := l.Case
	if c == nil {
		c = &ledger.Case{}
	}
	missing := func(what string, absent bool) {
		if absent {
			s.report.problem(Incomplete, index, "", "a step of a case says %s", what)
		}
	}
	missing("of which case it is, of what type, whose, and which step", c.Reference == "" || c.Type == "" || c.Step == "" || l.Sender == "")
	missing("on which day it counts", c.On == "")
	// What the hub does by itself nobody on a register answers for; and a withdrawal opens its case.
	itself := l.Actor == ledger.Hub || c.Type == "withdrawal" && c.Step == "opened"
	missing("who took it, and as what", !itself && (l.Actor.Person == "" || l.Actor.Role == ""))
	if c.Step == "erased" {
		missing("on which ground what was not erased is kept", len(c.Kept) == 0 || slices.ContainsFunc(c.Kept, func(k ledger.Kept) bool { return k.What == "" || k.Ground == "" }))
	}
	k := keyOf(transfer.TransferID(c.Reference))
	switch known := s.cases[k]; {
	case c.Step == "opened" && known:
		s.report.problem(Order, index, "", "case %s is opened a second time", c.Reference)
	case c.Step != "opened" && !known:
		s.report.problem(Order, index, "", "a step of case %s, which nobody opened", c.Reference)
	}
	s.cases[k] = true
}

// notified checks a notice, or an answer to one.
func (s *stories) notified(index int64, l *ledger.Leaf) {
	n := l.Notice
	if n == nil {
		n = &ledger.Notice{}
	}
	missing := func(what string, absent bool) {
		if absent {
			s.report.problem(Incomplete, index, "", "a notice says %s", what)
		}
	}
	missing("which it is, of which case, and what is to be done", n.ID == "" || n.Case == "" || n.Act == "")
	missing("who tells whom", l.Sender == "" || l.Recipient == "")
	k, to := keyOf(transfer.TransferID(n.ID)), keyOf(transfer.TransferID(l.Recipient))
	before, sent := s.notices[k]
	if n.Status == "" {
		missing("by when an answer is due", n.Respond == "")
		if sent {
			s.report.problem(Order, index, "", "notice %s is sent a second time", n.ID)
		}
		if !s.cases[keyOf(transfer.TransferID(n.Case))] {
			s.report.problem(Order, index, "", "notice %s is of a case that nobody opened", n.ID)
		}
		s.notices[k] = told{to: to}
		return
	}
	missing("who answers it, and as what", l.Actor.Person == "" || l.Actor.Role == "")
	missing("why it is refused", n.Status == "refused" && n.Reason == "")
	switch {
	case !sent:
		s.report.problem(Order, index, "", "an answer to notice %s, which nobody sent", n.ID)
	case !slices.Contains(answers[before.status], n.Status):
		s.report.problem(State, index, "", "notice %s was %s, and cannot be %s", n.ID, orNothing(transfer.State(before.status)), n.Status)
	case before.to != to || l.Actor.Partner != l.Recipient:
		s.report.problem(State, index, "", "notice %s is answered by somebody whom it did not go to", n.ID)
	}
	s.notices[k] = told{before.to, n.Status}
}
