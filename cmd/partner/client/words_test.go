package client_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

func TestItemsAreNamedBySection(t *testing.T) {
	for _, c := range []struct {
		items string
		want  []string
	}{
		{"", []string{}},
		{"carer.name.given carer.name.family carer.phones", []string{"carer: name (given, family), phones"}},
		// What belongs together is in one place, wherever it stood.
		{"referral.type carer.name.given referral.reason carer.phones carer.name.family",
			[]string{"referral: type, reason", "carer: name (given, family), phones"}},
		{"carer.gp.practice.name purpose", []string{"carer: gp (practice.name)", "purpose"}},
	} {
		if diff := cmp.Diff(c.want, client.Sections(strings.Fields(c.items))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.items, diff)
		}
	}
}

func TestThingsAreCountedAndPeopleNamed(t *testing.T) {
	got := []string{
		client.Count(0, "leaf"), client.Count(1, "leaf"), client.Count(2, "leaf"), client.Count(int64(2), "entry"), client.Count(2, "item"),
		client.Person(transfer.CaredFor, 0), client.Person(transfer.Child, 1), client.Person("great_aunt", 0), client.Person(transfer.Nobody, 0),
		client.Office("sender"), client.Office("dpl"), client.Office("safeguarding-lead"),
	}
	want := []string{"0 leaves", "1 leaf", "2 leaves", "2 entries", "2 items", "the cared-for person", "the child (number 2)", "the great aunt",
		"people as a whole", "sender", "Data Protection Lead", "Safeguarding Lead"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTextIsWrapped(t *testing.T) {
	text := strings.Repeat("what was stripped ", 20)
	got := client.Wrap("   ", text)
	for line := range strings.Lines(got) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > 100 || !strings.HasPrefix(line, "   ") {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	if strings.Join(strings.Fields(got), " ") != strings.TrimSpace(text) || strings.Count(got, "\n") < 4 {
		t.Errorf("got %q", got)
	}
	// What looks like markup is text.
	if got := client.Wrap("", "# [X]: `a` - ''b''"); got != "# [X]: `a` - ''b''\n" {
		t.Errorf("got %q", got)
	}
	if got := client.Wrap("   ", ""); got != "" {
		t.Errorf("got %q", got)
	}
}

// A caseworker reads once what is true of several people, and still of whom.
func TestReasonsThatSayTheSameAreToldTogether(t *testing.T) {
	for _, c := range []struct {
		name    string
		details []string
		want    []string
	}{
		{"one", []string{"No consent of the carer is on record."}, []string{"No consent of the carer is on record."}},
		{"at the end",
			[]string{"The agreement lets nothing go about the carer.", "The agreement lets nothing go about the cared-for person.", "The agreement lets nothing go about the child."},
			[]string{"The agreement lets nothing go about the carer, the cared-for person and the child."}},
		{"in the middle",
			[]string{"Nothing lets data about the carer go.", "Nothing lets data about the household member go."},
			[]string{"Nothing lets data about the carer and the household member go."}},
		{"two of one role",
			[]string{"Nothing lets data about the child go.", "Nothing lets data about the child (number 2) go."},
			[]string{"Nothing lets data about the child and the child (number 2) go."}},
		{"both the second",
			[]string{"Nothing is on record about the child (number 2).", "Nothing is on record about the professional (number 2)."},
			[]string{"Nothing is on record about the child (number 2) and the professional (number 2)."}},
		{"the same twice",
			[]string{"Nothing lets data about the child go.", "Nothing lets data about the child go."},
			[]string{"Nothing lets data about the child go."}},
		{"about other things", []string{"It ended on Monday.", "Nobody was asked."}, []string{"It ended on Monday.", "Nobody was asked."}},
		{"nothing in words", []string{"", "Nobody was asked."}, []string{"", "Nobody was asked."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reasons []client.Reason
			for i, d := range c.details {
				reasons = append(reasons, client.Reason{Code: "C", Detail: d, Items: []string{"item." + string(rune('a'+i))}})
			}
			var got []string
			items := 0
			for _, r := range client.Together(reasons) {
				got = append(got, r.Detail)
				items += len(r.Items)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if items != len(c.details) {
				t.Errorf("%d items are left of %d", items, len(c.details))
			}
		})
	}
	// What to do is another thing for each, so these stay two.
	two := []client.Reason{
		{Code: "C", Role: "carer", Detail: "Nothing about the carer.", Remedy: "Ask."},
		{Code: "C", Role: "child", Detail: "Nothing about the child.", Remedy: "Leave it out."},
	}
	if diff := cmp.Diff(two, client.Together(two)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatReportsACrimeIsSecret(t *testing.T) {
	if !client.Secret("crime-report", nil) || !client.Secret("", []string{"protect", "tipping-off"}) || client.Secret("safeguarding", []string{"protect"}) {
		t.Error("what is to be kept from the person is not told from the rest")
	}
}

func TestEveryDutyIsASentence(t *testing.T) {
	for _, c := range []struct {
		duty client.Obligation
		want string
	}{
		{client.Obligation{Code: "do-not-contact-parent"}, "Do not contact the parent about this without the safeguarding lead."},
		{client.Obligation{Code: "return", By: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}, "Heed what comes with it: return. By 1 December 2026."},
	} {
		if got := client.Duty(c.duty); got != c.want {
			t.Errorf("got %q", got)
		}
	}
}
