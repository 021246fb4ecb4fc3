package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"referralhub/hub/dates"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// When a flow is known well enough to be judged by its habits.
const (
	settledAfter = 50 // releases: until then, an item that most messages leave out is no surprise
	knownHours   = 12 // hours in which it ran, before one can be unusually full
	fewInAnHour  = 20 // releases within an hour that are never too many
	knownDays    = 10 // days on which it ran, before its running at night can be unusual
	beside       = 1  // hours of the night next to one at which it ran are as usual
	nightfall    = 20 // the hour in London from which it is night, until daybreak
	daybreak     = 7
	fewRefusals  = 10 // holds and refusals of a sender within an hour that are never too many
)

type flowKey struct {
	sender, recipient transfer.PartnerID
	office            string // of a disclosure to somebody who is no partner
	purpose           transfer.Purpose
	agreement         transfer.AgreementID // empty: by exception or on a demand
}

func (k flowKey) String() string {
	return strings.Join([]string{string(k.sender), string(k.recipient), k.office, string(k.purpose), string(k.agreement)}, " ")
}

// flow is what is known of what goes from one partner to another for a purpose.
type flow struct {
	seen   int64
	items  map[string]bool
	rhythm rhythm
	days   int
	last   dates.Date // on which it ran
	hours  [24]bool   // of the day, in which it ran
	known  [24]bool   // the same, before the last day on which it ran
}

func (w *Watch) flow(k flowKey) *flow {
	f := w.flows[k]
	if f == nil {
		k = flowKey{
			transfer.PartnerID(strings.Clone(string(k.sender))), transfer.PartnerID(strings.Clone(string(k.recipient))), strings.Clone(k.office),
			transfer.Purpose(strings.Clone(string(k.purpose))), transfer.AgreementID(strings.Clone(string(k.agreement))),
		}
		f = &flow{items: map[string]bool{}}
		w.flows[k] = f
	}
	return f
}

// learn gives those of the items that never went before.
func (f *flow) learn(items []string) (fresh []string) {
	for _, item := range items {
		if !f.items[item] {
			item = strings.Clone(item)
			f.items[item] = true
			fresh = append(fresh, item)
		}
	}
	return fresh
}

// carried takes a release, or a disclosure outside the hub.
func (w *Watch) carried(at Ref, l *ledger.Leaf) []Flag {
	k := keyOf(l)
	f := w.flow(k)
	flag := func(rule Rule, key string) Flag {
		return Flag{
			Rule: rule, Key: k.String() + " " + key, At: l.At, Partner: l.Sender, Sender: k.sender, Recipient: k.recipient, Purpose: k.purpose,
			Agreement: k.agreement, Seen: 1, Evidence: []Ref{at},
		}
	}
	var out []Flag
	if f.seen == 0 {
		out = append(out, flag(FirstFlow, ""))
	}
	var fresh []string
	for i := range l.Subjects {
		fresh = append(fresh, f.learn(l.Subjects[i].Items)...)
	}
	if f.seen >= settledAfter {
		for _, item := range fresh {
			one := flag(FirstItem, item)
			one.Items = []string{item}
			out = append(out, one)
		}
	}
	f.seen++
	if l.Kind == ledger.KindDisclosure {
		return out // it was entered when somebody found the time
	}
	if n, usual := f.rhythm.add(at, l.At); f.rhythm.hours() >= knownHours && n > f.rhythm.most(fewInAnHour) {
		one := flag(Volume, dates.On(l.At).String())
		one.Seen, one.Usual, one.Evidence = n, usual, newest(f.rhythm.refs)
		out = append(out, one)
	}
	if hour, unusual := f.ran(l.At); unusual {
		out = append(out, flag(Hour, fmt.Sprintf("%s %02d", dates.On(l.At), hour)))
	}
	return out
}

func keyOf(l *ledger.Leaf) flowKey {
	k := flowKey{sender: l.Sender, recipient: l.Recipient, purpose: l.Purpose}
	if l.Agreement != nil {
		k.agreement = l.Agreement.ID
	}
	if l.Disclosure != nil {
		k.office = l.Disclosure.Office
	}
	return k
}

// ran notes when a flow runs, and reports whether it is night and the flow never ran at that time on any day before.
func (f *flow) ran(at time.Time) (hour int, unusual bool) {
	day := dates.On(at)
	hour = min(23, int(at.Sub(day.Start())/time.Hour)) // on the two days a year that have another length, an hour off
	if day.After(f.last) {
		f.last, f.known = day, f.hours
		f.days++
	}
	f.hours[hour] = true
	if f.days <= knownDays || daybreak <= hour && hour < nightfall {
		return hour, false
	}
	for d := -beside; d <= beside; d++ {
		if f.known[(hour+d+24)%24] {
			return hour, false
		}
	}
	return hour, true
}

// decided takes a decision, and looks at how many of its sender's may not go.
func (w *Watch) decided(at Ref, l *ledger.Leaf) []Flag {
	if l.Outcome.Permits() {
		return nil
	}
	r := w.refused[l.Sender]
	if r == nil {
		r = &rhythm{}
		w.refused[transfer.PartnerID(strings.Clone(string(l.Sender)))] = r
	}
	n, usual := r.add(at, l.At)
	if n <= r.most(fewRefusals) {
		return nil
	}
	return []Flag{{
		Rule: Burst, Key: string(l.Sender) + " " + dates.On(l.At).String(), At: l.At, Partner: l.Sender, Sender: l.Sender, Seen: n, Usual: usual,
		Evidence: newest(r.refs),
	}}
}

// rhythm is how much there is of something in an hour. Hours without any are left out: most flows sleep at night.
type rhythm struct {
	hour int64 // since 1970
	n    int
	refs []Ref // of this hour, the newest
	past []int // the hours before in which there was some, the newest last

	usual, far int // what past comes to: its median, and how far hours commonly lie from it
}

// keptHours is how many hours a rhythm remembers: five weeks of office hours.
const keptHours = 200

// add counts one, and gives how many there are in its hour and how many there commonly are. What comes late counts in the hour in hand.
func (r *rhythm) add(at Ref, t time.Time) (n, usual int) {
	if hour := t.Unix() / 3600; hour > r.hour {
		if r.n > 0 {
			r.past = append(r.past[max(0, len(r.past)-keptHours+1):], r.n)
		}
		r.hour, r.n, r.refs = hour, 0, r.refs[:0]
		r.usual = median(r.past)
		distances := make([]int, len(r.past))
		for i, n := range r.past {
			distances[i] = max(n-r.usual, r.usual-n)
		}
		r.far = median(distances)
	}
	r.n++
	if len(r.refs) == 2*mostEvidence {
		r.refs = append(r.refs[:0], r.refs[mostEvidence:]...)
	}
	r.refs = append(r.refs, at)
	return r.n, r.usual
}

func (r *rhythm) hours() int { return len(r.past) }

// most is how many there may be in an hour before it is unusual: twice what is common, and six times as far from it as hours commonly lie, where
// 1.4826 makes the median of distances comparable to a standard deviation.
func (r *rhythm) most(few int) int { return max(few, 2*r.usual, r.usual+int(6*1.4826*float64(r.far))) }

func median(of []int) int {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
