package traffic_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/samber/lo"

	"referralhub/hub/ledger"
	"referralhub/hub/traffic"
	"referralhub/hub/transfer"
)

// outside is what somebody told an ambulance crew by telephone.
func outside() *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindDisclosure, Sender: cih, Purpose: "emergency", Subjects: []ledger.Subject{{Role: transfer.Carer, Commitment: "c", Items: []string{"carer.condition"}}},
		Disclosure: &ledger.Disclosure{Office: "=duty desk, ambulance", How: "telephone", Made: today}, Exception: &ledger.Exception{Kind: "danger-to-life"},
	}
}

// concern is a safeguarding concern that goes to the council by exception: a claim that was refused, one that was not, and what went.
func concern() []*ledger.Leaf {
	refused := release(cih, council, "safeguarding", "", "carer.name.family")
	refused.Kind, refused.Outcome, refused.Exception = ledger.KindDecision, transfer.Refuse, &ledger.Exception{Kind: "crime-report", Person: "dpl-1"}
	d := release(cih, council, "safeguarding", "", "carer.name.family")
	d.Kind, d.Exception = ledger.KindDecision, &ledger.Exception{Kind: "safeguarding", Person: "safeguarding-1"}
	return []*ledger.Leaf{refused, d, release(cih, council, "safeguarding", "", "carer.name.family")}
}

// month is what Carers in Hertfordshire did in a month.
func month() []*ledger.Leaf {
	held := release(cih, ageUK, "referral.service", refer, "carer.condition")
	held.Kind, held.Outcome = ledger.KindDecision, transfer.Hold
	return slices.Concat([]*ledger.Leaf{
		release(cih, ageUK, "referral.service", old, "carer.name.family"), held,
		release(cih, ageUK, "referral.service", refer, "carer.name.family"), release(cih, ageUK, "referral.service", refer, "carer.name.family"),
		release(cih, ageUK, "referral.service", refer, "carer.name.family", "carer.phones"),
		release(cih, mailer, "magazine", stopped, "carer.name.family"), release(cih, mailer, "fireworks", "fireworks@1#all", "carer.name.family"), outside(),
	}, concern())
}

// TestFlowsBothWays is the question of a Data Protection Lead: what do we send that no agreement has, and which agreements do we not need?
func TestFlowsBothWays(t *testing.T) {
	b := newBook(t)
	b.write(origin, month()...)
	m := traffic.Of(register(t), b.uses(), "", today)

	minute := func(n int) time.Time { return today.AddDate(0, -1, 0).Add(time.Duration(n) * time.Minute) }
	name := []string{"carer.name.family"}
	want := []traffic.Flow{
		{Sender: cih, Office: "=duty desk, ambulance", Purpose: "emergency", Items: []string{"carer.condition"}, Claims: []string{"danger-to-life"},
			Disclosures: 1, First: minute(7), Last: minute(7), Undeclared: traffic.Outside, Detail: "It was given away outside the hub: danger-to-life."},
		{Sender: cih, Recipient: ageUK, Purpose: "referral.service", Clause: old, Items: name, Disclosures: 1, First: minute(0), Last: minute(0),
			Undeclared: traffic.Over, Detail: "hertswise@2 counts in place of hertswise@1."},
		{Sender: cih, Recipient: ageUK, Purpose: "referral.service", Clause: refer, Items: []string{"carer.name.family", "carer.phones"},
			Disclosures: 3, First: minute(2), Last: minute(4)},
		{Sender: cih, Recipient: council, Purpose: "safeguarding", Items: name, Claims: []string{"safeguarding"}, Disclosures: 1, First: minute(10), Last: minute(10),
			Undeclared: traffic.ByException, Detail: "It went without an agreement, by exception: safeguarding."},
		{Sender: cih, Recipient: mailer, Purpose: "fireworks", Clause: "fireworks@1#all", Items: name, Disclosures: 1, First: minute(6), Last: minute(6),
			Undeclared: traffic.Unknown, Detail: "The register does not have fireworks@1."},
		{Sender: cih, Recipient: mailer, Purpose: "magazine", Clause: stopped, Items: name, Disclosures: 1, First: minute(5), Last: minute(5),
			Undeclared: traffic.Over, Detail: "mailing@1 is stopped."},
	}
	if diff := cmp.Diff(want, m.Flows, cmpopts.IgnoreFields(traffic.Flow{}, "Messages"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what was used (-want +got):\n%s", diff)
	}
	unused := []traffic.Pair{{refer, "referral.service", ageUK, cih}, {monitor, "contract-monitoring", ageUK, council}, {monitor, "contract-monitoring", cih, council}}
	if diff := cmp.Diff(unused, m.Unused); diff != "" { // what may only be looked at, and what is suspended, is not missed
		t.Errorf("what was never used (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]traffic.Idle{{refer, "referral/1", []string{"carer.condition"}}}, m.Idle); diff != "" {
		t.Errorf("items that never went (-want +got):\n%s", diff)
	}
}

func TestPartnerSeesItsOwnFlows(t *testing.T) {
	b := newBook(t)
	b.write(origin, slices.Concat(month(), []*ledger.Leaf{release(ageUK, cih, "referral.service", refer, "carer.condition")})...)
	x, uses := register(t), b.uses()

	theirs := traffic.Of(x, uses, council, today)
	if len(theirs.Flows) != 1 || theirs.Flows[0].Undeclared != traffic.ByException || len(theirs.Flows[0].Claims) > 0 {
		t.Errorf("the council sees %+v, and not what the sender claimed", theirs.Flows)
	}
	own := traffic.Of(x, uses, ageUK, today)
	if senders := lo.Uniq(lo.Map(own.Flows, func(f traffic.Flow, _ int) transfer.PartnerID { return f.Recipient })); !slices.Equal(senders, []transfer.PartnerID{cih, ageUK}) {
		t.Errorf("Age UK sees what went to %v", senders)
	}
	if slices.ContainsFunc(own.Unused, func(p traffic.Pair) bool { return p.Sender != ageUK && p.Recipient != ageUK }) {
		t.Errorf("Age UK sees what others do not send: %v", own.Unused)
	}
}

func TestSpanIsCountedInEveryLog(t *testing.T) {
	b := newBook(t)
	var leaves []*ledger.Leaf
	for range 10 {
		leaves = append(leaves, release(cih, ageUK, "referral.service", refer, "carer.phones"))
	}
	start := b.at
	b.write(origin, leaves[:6]...)
	b.write("hub.example.org/log/2", leaves[6:]...)
	for _, c := range []struct {
		from, to time.Duration
		want     int64
	}{
		{0, time.Hour, 10},
		{2 * time.Minute, 8 * time.Minute, 6}, // the eighth minute is excluded
		{time.Minute + time.Second, 3 * time.Minute, 1},
		{time.Hour, 2 * time.Hour, 0},
	} {
		uses, err := traffic.Read(t.Context(), b, start.Add(c.from), start.Add(c.to))
		if err != nil {
			t.Fatal(err)
		}
		if got := lo.SumBy(uses, func(u traffic.Use) int64 { return u.N }); got != c.want {
			t.Errorf("from %s to %s there are %d, want %d", c.from, c.to, got, c.want)
		}
		for _, u := range uses {
			if u.First.Before(start.Add(c.from)) || !u.Last.Before(start.Add(c.to)) {
				t.Errorf("from %s to %s: first %s, last %s", c.from, c.to, u.First, u.Last)
			}
		}
	}
	if m := traffic.Of(register(t), b.uses(), "", today); len(m.Flows) != 1 || !m.Flows[0].First.Equal(start) || !m.Flows[0].Last.Equal(start.Add(9*time.Minute)) {
		t.Errorf("two logs make %+v", m.Flows)
	}
	if uses, err := traffic.Read(t.Context(), newBook(t), time.Time{}, today); err != nil || uses != nil {
		t.Errorf("an empty hub has used %v, %v", uses, err)
	}
}

// The record of processing says what was done, in the form of the one that says what may be.
func TestRecordOfWhatWasDisclosed(t *testing.T) {
	b := newBook(t)
	b.write(origin, month()...)
	x := register(t)
	record, ok := traffic.RecordOf(x, b.uses(), cih, today.AddDate(0, -2, 0), time.Time{}, today)
	if !ok || record.To != today {
		t.Fatalf("%+v", record)
	}
	var got []string
	for _, e := range record.Entries {
		got = append(got, strings.Join([]string{e.Clause, e.Side, e.Role, strings.Join(e.Categories, "+"), strings.Join(e.Special, "+"), e.With[0].Name}, " "))
	}
	want := []string{
		"exception discloses controller identity  County Council", "fireworks@1#all discloses  identity  Mailing <House>",
		"hertswise@1#refer discloses controller identity  Age UK", "hertswise@2#refer discloses controller contact+identity  Age UK",
		"mailing@1#magazine discloses controller identity  Mailing <House>", "outside discloses controller  health =duty desk, ambulance",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	page := record.Markdown()
	for _, words := range []string{
		"What was disclosed from 22 September 2026 to 22 November 2026", "| Disclosed | 3 times, from 22 October 2026 to 22 October 2026 |",
		"| Ground | the person's consent (Art 6(1)(a) UK GDPR) |", "| Recipients | =duty desk, ambulance (office) |",
	} {
		if !strings.Contains(page, words) {
			t.Errorf("the page does not say %q:\n%s", words, page)
		}
	}
	if received, _ := traffic.RecordOf(x, b.uses(), ageUK, time.Time{}, today, today); len(received.Entries) != 2 || received.Entries[0].Side != "receives" {
		t.Errorf("Age UK received %+v", received.Entries)
	}
	if _, ok := traffic.RecordOf(x, nil, "nobody", time.Time{}, today, today); ok {
		t.Error("a stranger has a record")
	}
	if idle, _ := traffic.RecordOf(x, nil, cih, time.Time{}, today, today); !strings.Contains(idle.Markdown(), "Nothing went to it or from it.") {
		t.Errorf("a partner that sent nothing:\n%s", idle.Markdown())
	}
}

func TestTableAndPictureOfTheMap(t *testing.T) {
	b := newBook(t)
	b.write(origin, month()...)
	x := register(t)
	m := traffic.Of(x, b.uses(), "", today)

	var table bytes.Buffer
	if err := m.CSV(&table); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	states := lo.CountValues(lo.Map(rows[1:], func(r []string, _ int) string { return r[0] }))
	if diff := cmp.Diff(map[string]int{"declared": 1, "over": 2, "outside": 1, "exception": 1, "unknown": 1, "never-used": 3, "items-never-used": 1}, states); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if rows[1][3] != "'=duty desk, ambulance" {
		t.Errorf("an office is read as a formula: %s", rows[1][3])
	}
	if err := m.CSV(broken{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a disk that is full: %v", err)
	}

	var drawn bytes.Buffer
	err = m.Picture(&drawn, func(id transfer.PartnerID) string {
		p, _ := x.Partner(id)
		return p.Name
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"<title>Carers in Hertfordshire to Age UK: 4 disclosures, for referral.service</title>", `text-anchor="end">Carers in Hertfordshire</text>`,
		"Mailing &lt;House&gt;</text>", "url(#tip-exception)", "url(#tip-outside)",
	} {
		if !strings.Contains(drawn.String(), part) {
			t.Errorf("the picture has no %s", part)
		}
	}
	for d := xml.NewDecoder(&drawn); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is not well-formed: %v", err)
		}
	}
	if err := (&traffic.Map{At: today}).Picture(io.Discard, func(transfer.PartnerID) string { return "" }); err != nil {
		t.Errorf("nothing to draw: %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
