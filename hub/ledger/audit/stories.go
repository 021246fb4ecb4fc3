package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// ClockStep is how far the time of a leaf may lie behind an earlier one before it is worth a warning: the leaves of one commit
// have one time, and clocks are corrected in small steps.
const ClockStep = 5 * time.Second

// stories follows every transfer through its leaves.
type stories struct {
	report     *Report
	byTransfer map[key]story
	releases   int64
	latest     time.Time

	ids     map[string]int // names of items and roles, numbered as they come
	states  []transfer.State
	grants  []grant        // from 1: what decisions permit, each distinct set once
	grantOf map[string]int // by its bytes

	rulings  map[key]ruling // few: what people ruled about holds
	excepted map[key]bool   // few: what was once permitted as an exception
	cases    map[key]bool   // that were opened
	notices  map[key]told   // how far each has come

	weighed *weighed // the leaf before this one, where it is a decision for a release
	split   bool     // a release rested on such a decision: all that follow must

	// watch holds the rows that are ahead of the leaves; seen is called after each leaf of one of them.
	watch map[key]Row
}

// key is the start of the SHA-256 of a transfer id: half the size of the id, and no string to keep.
type key [16]byte

func keyOf(id transfer.TransferID) key {
	sum := sha256.Sum256([]byte(id))
	return key(sum[:16])
}

// story is what the leaves so far say of one transfer.
type story struct {
	decision int64 // index of the first decision
	release  int64 // index of the last release
	grant    int32 // what the first decision permitted; 0 when it was a hold or a refusal
	state    uint8
	permits  bool  // the last decision
	row      bool  // the tables have it
	moved    int64 // when it became what it is, in microseconds
}

// grant is the items that may go, by person.
type grant []person

type person struct {
	role, position int
	items          []uint64 // bits by number of item
}

func newStories() *stories {
	return &stories{
		byTransfer: map[key]story{}, ids: map[string]int{}, states: []transfer.State{""}, grants: make([]grant, 1), grantOf: map[string]int{},
		rulings: map[key]ruling{}, excepted: map[key]bool{}, cases: map[key]bool{}, notices: map[key]told{},
	}
}

// weighed is a decision for a release.
type weighed struct {
	index int64
	leaf  *ledger.Leaf
}

// leaf takes the next leaf.
func (s *stories) leaf(index int64, l *ledger.Leaf) {
	rest := s.weighed
	if s.weighed = nil; rest != nil && !l.RestsOn(rest.leaf) {
		s.unreleased(rest)
		rest = nil
	}
	if back := s.latest.Sub(l.At); back > ClockStep {
		s.report.warn(Time, index, l.Transfer, "it is %s older than a leaf before it", back.Round(time.Millisecond))
	}
	if l.At.After(s.latest) {
		s.latest = l.At
	}
	switch l.Kind {
	case ledger.KindDecision, ledger.KindRelease, ledger.KindOutcome, ledger.KindRuling:
	case ledger.KindCase:
		s.stepped(index, l)
		return
	case ledger.KindNotice:
		s.notified(index, l)
		return
	default:
		s.entered(index, l)
		return
	}
	if l.Transfer == "" {
		s.report.problem(Order, index, "", "a %s is about no transfer", l.Kind)
		return
	}
	k := keyOf(l.Transfer)
	st, known := s.byTransfer[k]
	if !known {
		st = story{decision: -1, release: -1}
	}
	was := st.state
	switch l.Kind {
	case ledger.KindDecision:
		s.decision(k, &st, index, l)
	case ledger.KindRelease:
		s.release(k, &st, index, l, rest)
	case ledger.KindOutcome:
		s.outcome(k, &st, index, l)
	case ledger.KindRuling:
		s.ruling(k, &st, index, l)
	}
	if st.state != was || l.Kind == ledger.KindRelease {
		st.moved = l.At.UnixMicro()
	}
	s.byTransfer[k] = st
	if row, ok := s.watch[k]; ok && s.disagreement(row, st) == "" {
		delete(s.watch, k)
	}
}

func (s *stories) decision(k key, st *story, index int64, l *ledger.Leaf) {
	if st.decision >= 0 && l.ForRelease() && l.Outcome.Permits() {
		s.weighed, st.permits = &weighed{index, l}, true
		s.followed(k, index, l)
		s.exception(k, index, l)
		return
	}
	next, was := l.State, s.states[st.state]
	agree := false
	switch {
	case l.Outcome.Permits():
		agree = next == transfer.Queued
	case l.Outcome == transfer.Hold:
		// A hold of what has been released before ends it: there is nothing left to keep back.
		agree = next == transfer.Held || next == transfer.Stopped
	case l.Outcome == transfer.Refuse:
		agree = next == transfer.Refused || next == transfer.Stopped
	}
	if r := s.rulings[k]; r.open && next != "" && next == leadsTo[r.act] {
		agree = !l.Outcome.Permits()
	}
	if !agree {
		s.report.problem(State, index, l.Transfer, "a decision to %s cannot leave a transfer %s", orNothing(l.Outcome), orNothing(next))
	}
	switch {
	case st.decision < 0:
		if st.state == 0 && agree && !was.CanBecome(next) {
			s.report.problem(State, index, l.Transfer, "a transfer cannot begin as %s", next)
		}
		st.decision = index
		if l.Outcome.Permits() {
			st.grant = int32(s.grant(l.Subjects))
		}
	case next == was && was != transfer.Held:
		s.report.problem(Order, index, l.Transfer, "a second decision that changes nothing: the first is leaf %d", st.decision)
	case next != was && !was.CanBecome(next):
		s.report.problem(State, index, l.Transfer, "a transfer that is %s cannot become %s", was, orNothing(next))
	}
	st.permits = l.Outcome.Permits()
	s.followed(k, index, l)
	s.exception(k, index, l)
	s.move(st, next)
}

// unreleased reports a decision for a release that was not made.
func (s *stories) unreleased(w *weighed) {
	s.report.problem(Order, w.index, w.leaf.Transfer, "it was decided for a release, and the leaf behind it is not that release")
}

// release takes a release and the decision that it rests on; nil where it holds what was weighed itself.
func (s *stories) release(k key, st *story, index int64, l *ledger.Leaf, rest *weighed) {
	s.releases++
	was := s.states[st.state]
	switch {
	case rest != nil && !bytes.Equal(l.AppendTo(nil), rest.leaf.Release(l.Payload).AppendTo(nil)):
		s.report.problem(Release, index, l.Transfer, "it does not say what leaf %d permits, or more of it than its recipient may read", rest.index)
	case rest == nil && s.split:
		s.report.problem(Order, index, l.Transfer, "a release without a decision of its own directly before it")
	}
	s.split = s.split || rest != nil
	switch {
	case st.decision < 0:
		s.report.problem(Order, index, l.Transfer, "a release without a decision before it")
	case !st.permits:
		s.report.problem(Release, index, l.Transfer, "the last decision before it does not permit it")
	case !was.Collectable():
		s.report.problem(Release, index, l.Transfer, "a transfer that is %s was released without a new decision", was)
	}
	if !l.Outcome.Permits() {
		s.report.problem(Release, index, l.Transfer, "its own outcome is %s", orNothing(l.Outcome))
	}
	if l.State != transfer.Released {
		s.report.problem(State, index, l.Transfer, "a release cannot leave a transfer %s", orNothing(l.State))
	}
	// A transfer that began as a hold keeps what the agreement covers, and a later decision says only what may go at that
	// moment; the release decides again, and may permit what a consent has since allowed.
	if st.grant > 0 {
		if more := s.beyond(s.grants[st.grant], l.Subjects); len(more) > 0 {
			s.report.problem(Release, index, l.Transfer, "it holds what leaf %d did not permit: %s", st.decision, strings.Join(more, ", "))
		}
	}
	if rest == nil {
		s.exception(k, index, l)
	}
	st.release = index
	s.move(st, transfer.Released)
}

func (s *stories) outcome(k key, st *story, index int64, l *ledger.Leaf) {
	next, was := l.State, s.states[st.state]
	switch {
	case st.decision < 0:
		s.report.problem(Order, index, l.Transfer, "an outcome without a decision before it")
	case collected(next) && st.release < 0:
		s.report.problem(Order, index, l.Transfer, "it is %s without a release before it", next)
	case next != "" && next != was && !was.CanBecome(next):
		s.report.problem(State, index, l.Transfer, "a transfer that is %s cannot become %s", was, next)
	}
	if next != "" {
		if next != was {
			s.followed(k, index, l)
		}
		s.move(st, next)
	}
}

// collected reports whether a transfer in this state has reached its recipient.
func collected(s transfer.State) bool {
	switch s {
	case transfer.Received, transfer.NeedsInformation, transfer.Accepted, transfer.Declined, transfer.Completed:
		return true
	}
	return false
}

func (s *stories) move(st *story, to transfer.State) {
	i := slices.Index(s.states, to)
	if i < 0 && len(s.states) <= 0xff {
		i = len(s.states)
		s.states = append(s.states, transfer.State(strings.Clone(string(to))))
	}
	st.state = uint8(max(i, 0))
}

// grant numbers what a decision permits.
func (s *stories) grant(subjects []ledger.Subject) int {
	var g grant
	for i := range subjects {
		g = append(g, s.person(&subjects[i]))
	}
	var bytes []byte
	for _, p := range g {
		bytes = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(bytes, int64(p.role)), int64(p.position)), int64(len(p.items)))
		for _, w := range p.items {
			bytes = binary.LittleEndian.AppendUint64(bytes, w)
		}
	}
	n, ok := s.grantOf[string(bytes)]
	if !ok {
		n = len(s.grants)
		s.grants = append(s.grants, g)
		s.grantOf[string(bytes)] = n
	}
	return n
}

func (s *stories) person(l *ledger.Subject) person {
	p := person{role: s.id(string(l.Role)), position: l.Position}
	for _, name := range l.Items {
		n := s.id(name)
		for len(p.items) <= n/64 {
			p.items = append(p.items, 0)
		}
		p.items[n/64] |= 1 << (n % 64)
	}
	return p
}

func (s *stories) id(name string) int {
	n, ok := s.ids[name]
	if !ok {
		n = len(s.ids)
		s.ids[strings.Clone(name)] = n
	}
	return n
}

// beyond names the items in a release that were not permitted, each with the role of the person.
func (s *stories) beyond(g grant, subjects []ledger.Subject) []string {
	var more []string
	for i := range subjects {
		l := &subjects[i]
		role := s.id(string(l.Role))
		var items []uint64
		for _, p := range g {
			if p.role == role && p.position == l.Position {
				items = p.items
			}
		}
		for _, name := range l.Items {
			if n := s.id(name); n/64 >= len(items) || items[n/64]&(1<<(n%64)) == 0 {
				more = append(more, name+" of "+string(l.Role))
			}
		}
	}
	return more
}

func orNothing[S ~string](s S) string {
	if s == "" {
		return "nothing"
	}
	return string(s)
}
