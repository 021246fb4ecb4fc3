package report_test

import (
	"slices"
	"strings"
	"testing"

	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/transfer"
)

// letter is what a person reads.
func letter(t *testing.T, s *report.Statement) string {
	t.Helper()
	var page, text strings.Builder
	if err := s.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := s.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, pseudonym := range []string{carer, caree, "hmac-sha256", "caseworker-1", "dpl-1", "safeguarding-1"} {
		if strings.Contains(page.String()+text.String(), pseudonym) {
			t.Errorf("the letter says %s", pseudonym)
		}
	}
	return text.String()
}

// What each of two people of one referral is told is about them alone.
func TestAStatementIsAboutOnePerson(t *testing.T) {
	s := statement()
	s.Entries = of(caree)
	text := letter(t, s)
	for _, want := range []string{"You were in it as the person cared for.", "Family and relationships: Relationship to the carer", "Health: Main conditions, broadly"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	for _, other := range []string{"Telephone numbers", "as the carer", "Hours a week", "Ambulance"} {
		if strings.Contains(text, other) {
			t.Errorf("it says %q, which is about the carer", other)
		}
	}
}

// Nobody is told that they received something when nothing went: not of decisions, holds, or what was stripped.
func TestAStatementIsOfDisclosuresAlone(t *testing.T) {
	s := statement()
	s.Entries = slices.DeleteFunc(s.Entries, func(e report.Entry) bool {
		return e.Leaf.Kind == ledger.KindRelease || e.Leaf.Kind == ledger.KindDisclosure
	})
	if text := letter(t, s); !strings.Contains(text, "We have no record that we gave information about you") || strings.Contains(text, "Age UK") {
		t.Error(text)
	}
	if text := letter(t, statement()); strings.Contains(text, "Ethnic") || strings.Contains(text, "Domestic abuse") {
		t.Error("it lists what was stripped and never went")
	}
}

// The statement is its controller's: what others gave one another is theirs to tell.
func TestAStatementIsOfOneController(t *testing.T) {
	s := statement()
	s.By = council
	text := letter(t, s)
	if !strings.Contains(text, "We gave information about you to 1 organisation, 1 time in all: Carers in Hertfordshire.") || strings.Contains(text, "Age UK") {
		t.Error(text)
	}
	if !strings.Contains(text, "Ask us, and we look it up.") {
		t.Error("the agreement is one that nobody knows any more, and the letter has a ground all the same")
	}
	_, got, _ := strings.Cut(text, "WHERE WE GOT INFORMATION ABOUT YOU FROM")
	if got, _, _ = strings.Cut(got, "WHAT THIS STATEMENT"); !strings.Contains(got, "* Carers in Hertfordshire, 7 November 2026, for keeping a child or an adult safe.") {
		t.Errorf("where it got them from: %s", got)
	}
}

// What is withheld leaves no trace: the letter reads as if it had never been there.
func TestWhatIsWithheldLeavesNoTrace(t *testing.T) {
	s := statement()
	ambulance := func(e report.Entry) bool { return e.Leaf.Disclosure != nil }
	s.Withheld = []string{"carer.name.family", "carer.addresses.postcode", "carer.medication", "carer.condition"}
	some := letter(t, s)
	s.Entries = slices.DeleteFunc(s.Entries, ambulance)
	if none := letter(t, s); some != none || strings.Contains(none, "Ambulance") || strings.Contains(none, "Own conditions") || !strings.Contains(none, "Given names") {
		t.Errorf("with the entry:\n%s\nwithout it:\n%s", some, none)
	}
	if !strings.Contains(some, "WHAT THIS STATEMENT MAY LEAVE OUT") || !strings.Contains(letter(t, statement()), "WHAT THIS STATEMENT MAY LEAVE OUT") {
		t.Error("the wording tells whether something was left out")
	}
}

// Why something was lawful is said for each way in which it can be.
func TestTheGroundOfEachDisclosure(t *testing.T) {
	for _, test := range []struct {
		story string
		leaf  ledger.Leaf
		want  string
	}{
		{
			"by consent", ledger.Leaf{Agreement: hertswise(), Purpose: "referral.service"},
			"You agreed to it (Article 6(1)(a)). For health and other sensitive information: you agreed to it explicitly (Article 9(2)(a)).",
		},
		{
			"to an ambulance", ledger.Leaf{Exception: &ledger.Exception{Kind: "danger-to-life"}, Disclosure: &ledger.Disclosure{Basis: ledger.Basis{Article6: "d"}}},
			"It went as an exception, because a life was in danger. It was needed to protect somebody's life (Article 6(1)(d)).",
		},
		{
			"to a court", ledger.Leaf{Demand: &ledger.Demand{Instrument: "court-order", Law: "Family Procedure Rules 2010 r.21.2"}},
			"A court ordered it. The law: Family Procedure Rules 2010 r.21.2.",
		},
		{"by exception, the decision out of sight", ledger.Leaf{Outcome: transfer.PermitException}, "It went as an exception, because it could not wait."},
		{
			"by telephone, by law", ledger.Leaf{Disclosure: &ledger.Disclosure{Basis: ledger.Basis{Article6: "c", Law: "Children Act 1989 s.47"}}},
			"The law required it (Article 6(1)(c)). The law: Children Act 1989 s.47.",
		},
	} {
		l := test.leaf
		l.Kind, l.At, l.Sender, l.Recipient, l.Transfer = ledger.KindRelease, start, charity, ageUK, referred
		l.Subjects = []ledger.Subject{{Role: transfer.Carer, Commitment: carer, Items: []string{"carer.name.family"}}}
		s := statement()
		s.Entries = []report.Entry{{Origin: origin, Leaf: &l, About: carer}}
		if text := letter(t, s); !strings.Contains(text, "What made it lawful: "+test.want+"\n") {
			t.Errorf("%s: want %q in\n%s", test.story, test.want, text)
		}
	}
}

// What became of a disclosure is said, and nothing is made up when nobody knows.
func TestWhatBecameOfIt(t *testing.T) {
	for state, want := range map[transfer.State]string{
		transfer.Received: "It arrived.", transfer.Accepted: "It arrived, and they took it on.", transfer.Declined: "It arrived, and they did not take it on.",
		transfer.Completed: "It arrived, and they have dealt with it.", transfer.Released: "They have not told us that it arrived.",
		transfer.Expired: "They have not told us that it arrived.",
	} {
		s := statement()
		e := history()[3]
		e.State, e.About = state, carer
		if s.Entries = []report.Entry{e}; !strings.Contains(letter(t, s), want) {
			t.Errorf("%s: it does not say %q", state, want)
		}
		if s.Entries[0].State = ""; strings.Contains(letter(t, s), "arrived") {
			t.Errorf("nobody looked, and it says what became of it")
		}
	}
}
