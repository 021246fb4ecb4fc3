package ledger_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

func TestAShapeIsWhatALeafSaysBesidesWhoAndWhen(t *testing.T) {
	body := string(ledger.ShapeOf(released()).AppendTo(nil))
	want := `{"agreement":"hertswise","flow":"hertswise@1#refer","kind":"release","outcome":"permit-reduced","parts":[` +
		`{"items":["cared_for.name.family","cared_for.name.given"],"role":"cared_for","stripped":["cared_for.condition"]},` +
		`{"items":["carer.address","carer.name.family","carer.name.given","carer.phone","carer.safe_to_contact"],"role":"carer"}],` +
		`"purpose":"referral.service","reasons":["consent-absent"],"recipient":"hertfordshire-council","sender":"carers-in-hertfordshire",` +
		`"service":"hertswise","type":"referral/1","version":1}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	query := ledger.ShapeOf(&ledger.Leaf{Kind: ledger.KindQuery, Actor: ledger.Actor{Partner: "pohwer"}, Query: &ledger.Query{Why: "complaint 12"}})
	if diff := cmp.Diff(&ledger.Shape{Kind: ledger.KindQuery, By: "pohwer"}, query); diff != "" {
		t.Error(diff)
	}
}

func TestOtherPeopleAtAnotherTimeHaveTheSameShape(t *testing.T) {
	first := ledger.ShapeOf(released())
	for what, change := range map[string]func(*ledger.Leaf){
		"another time, transfer and payload": func(l *ledger.Leaf) {
			l.At, l.Transfer, l.Payload = l.At.Add(1), "0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e99", "hmac-sha256:00"
		},
		"another person": func(l *ledger.Leaf) { l.Subjects[0].Commitment = "f0" },
		"two carers with parts of the items, in another order": func(l *ledger.Leaf) {
			other := l.Subjects[0]
			l.Subjects[0].Items, other.Items = []string{"carer.phone", "carer.name.given"}, []string{"carer.safe_to_contact", "carer.phone", "carer.name.family", "carer.address"}
			l.Subjects = append(l.Subjects, other)
		},
		"the same reason twice": func(l *ledger.Leaf) { l.Reasons = append(l.Reasons, l.Reasons[0]) },
	} {
		l := released()
		change(l)
		if got := ledger.ShapeOf(l); got.ID() != first.ID() {
			t.Errorf("%s has a shape of its own: %s", what, got.AppendTo(nil))
		}
	}
	seen := map[int64]string{first.ID(): "as it was"}
	for what, change := range map[string]func(*ledger.Leaf){
		"another kind":       func(l *ledger.Leaf) { l.Kind = ledger.KindDecision },
		"another recipient":  func(l *ledger.Leaf) { l.Recipient = "pohwer" },
		"another sender":     func(l *ledger.Leaf) { l.Sender = "pohwer" },
		"another type":       func(l *ledger.Leaf) { l.Type = "referral/2" },
		"another purpose":    func(l *ledger.Leaf) { l.Purpose = "navigation" },
		"another service":    func(l *ledger.Leaf) { l.Service = "navigators" },
		"another version":    func(l *ledger.Leaf) { l.Agreement.Version = 2 },
		"another agreement":  func(l *ledger.Leaf) { l.Agreement.ID = "other" },
		"another clause":     func(l *ledger.Leaf) { l.Agreement.Flow = "hertswise@1#back" },
		"another outcome":    func(l *ledger.Leaf) { l.Outcome = transfer.Permit },
		"an exception":       func(l *ledger.Leaf) { l.Exception = &ledger.Exception{Kind: "danger-to-life"} },
		"a demand":           func(l *ledger.Leaf) { l.Demand = &ledger.Demand{Instrument: "court-order"} },
		"an office":          func(l *ledger.Leaf) { l.Disclosure = &ledger.Disclosure{Office: "duty desk"} },
		"another reason":     func(l *ledger.Leaf) { l.Reasons[0].Code = "consent-refused" },
		"one item less":      func(l *ledger.Leaf) { l.Subjects[0].Items = l.Subjects[0].Items[1:] },
		"nothing stripped":   func(l *ledger.Leaf) { l.Subjects[1].Stripped = nil },
		"another role":       func(l *ledger.Leaf) { l.Subjects[1].Role = transfer.Child },
		"who asked, nothing": func(l *ledger.Leaf) { l.Sender = "" },
	} {
		l := released()
		change(l)
		id := ledger.ShapeOf(l).ID()
		if other, taken := seen[id]; taken {
			t.Errorf("%s looks like %s", what, other)
		}
		seen[id] = what
	}
}

func TestShapesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLeaf().Draw(t, "leaf")
		parsed, err := ledger.Parse(l.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		s := ledger.ShapeOf(l)
		read, err := ledger.ParseShape(s.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		if id := s.ID(); id < 1 || id != read.ID() || id != ledger.ShapeOf(parsed).ID() {
			t.Fatalf("%s reads as %s", s.AppendTo(nil), read.AppendTo(nil))
		}
		var m ledger.Shapes
		id, fresh := m.Of(l)
		if fresh == nil || id != s.ID() || string(fresh.Body) != string(s.AppendTo(nil)) {
			t.Fatalf("%d for %s", id, s.AppendTo(nil))
		}
		if _, again := m.Of(l); again == nil {
			t.Fatal("a shape is remembered before it was committed")
		}
		m.Keep([]*ledger.NewShape{fresh})
		if id, again := m.Of(parsed); again != nil || id != s.ID() {
			t.Fatalf("%d is not remembered", id)
		}
	})
}

func TestToLookAtAShapeChangesNoLeaf(t *testing.T) {
	l := released()
	l.Subjects = append(l.Subjects, l.Subjects[0])
	before := l.AppendTo(nil)
	var m ledger.Shapes
	m.Of(l)
	if !slices.Equal(before, l.AppendTo(nil)) {
		t.Errorf("the leaf is now %s", l.AppendTo(nil))
	}
	if _, err := ledger.ParseShape([]byte(`{"kind":`)); err == nil {
		t.Error("half a shape was read")
	}
}

func BenchmarkShape(b *testing.B) {
	l := released()
	var m ledger.Shapes
	_, fresh := m.Of(l)
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			m.Of(l)
		}
	})
	m.Keep([]*ledger.NewShape{fresh})
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			m.Of(l)
		}
	})
}
