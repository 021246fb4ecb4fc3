package rights_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/rights"
	"referralhub/hub/transfer"
)

type reported struct {
	Entries []struct {
		Sender    transfer.PartnerID
		Recipient transfer.PartnerID
		Office    string
		Role      transfer.Role
		Items     []string
		Basis     string
		Agreement string
		Retention []string
		NotTold   string `json:"not_told"`
		Log       rights.Place
	}
}

func (c *county) reports(p transfer.PartnerID, k *rights.Case, ask rights.Ask) (*reported, string) {
	c.Helper()
	ask.Form = orElse(ask.Form, "json")
	r, err := c.rights.Report(context.Background(), by(p), k.Reference, ask)
	c.must(err)
	var out reported
	if ask.Form == "json" {
		c.must(json.Unmarshal(r.Text, &out))
	}
	if l := c.leaves()[r.Log.Index]; l.Kind != ledger.KindQuery || l.Query.Kind != "report" || l.Query.Found < len(out.Entries) || l.Query.Form != ask.Form {
		c.Errorf("the leaf of the report is %+v", l.Query)
	}
	return &out, string(r.Text)
}

// Dina was referred to Age UK; the council's safeguarding team was rung about her, and later the police.
func TestThePersonIsToldWhatMayBeTold(t *testing.T) {
	c := newCounty(t)
	dina := c.somebody()
	went := c.refers(dina)
	c.tells(carersInHerts, dina, exchange.Disclosed{Office: "ambulance crew", Exception: "danger-to-life"}, "carer.name.family")
	c.tells(carersInHerts, dina, exchange.Disclosed{To: council, Exception: "safeguarding"}, "carer.name.family")
	c.tells(carersInHerts, dina, exchange.Disclosed{Office: "fraud desk", Purpose: "crime"}, "carer.name.family")
	c.tells(pohwer, dina, exchange.Disclosed{To: council}, "carer.name.family")
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(dina), Channel: "in-person"})

	person, text := c.reports(carersInHerts, k, rights.Ask{For: rights.ForPerson})
	if len(person.Entries) != 2 || person.Entries[0].Recipient != ageUKHerts || person.Entries[1].Office != "ambulance crew" {
		t.Fatalf("the person is told %+v", person.Entries)
	}
	if e := person.Entries[0]; e.Basis != "Art 6(1)(a), Art 9(2)(a)" || e.Agreement != "hertswise@1" || len(e.Retention) == 0 || e.Role != transfer.Carer || len(e.Items) == 0 {
		t.Errorf("of the referral: %+v", e)
	}
	for _, secret := range []string{"hertfordshire-county-council", "fraud", "safeguarding", "not_told", "pohwer"} {
		if strings.Contains(text, secret) {
			t.Errorf("the person's report says %q:\n%s", secret, text)
		}
	}
	dpl, _ := c.reports(carersInHerts, k, rights.Ask{For: rights.ForDPL})
	var grounds []string
	for _, e := range dpl.Entries {
		grounds = append(grounds, e.NotTold)
	}
	if strings.Join(grounds, ",") != ",,safeguarding,crime" {
		t.Errorf("to the Data Protection Lead: %q", grounds)
	}

	// When the reason is over, it is told.
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "answered"})
	_, err := c.triesTo(carersInHerts, k, rights.StepIn{Step: "reveal", Grounds: []string{"reason-over"}, Entries: []rights.Place{dpl.Entries[0].Log}})
	c.invalid(err, "/entries")
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "reveal", Grounds: []string{"reason-over"}, Entries: []rights.Place{dpl.Entries[2].Log}})
	if person, _ := c.reports(carersInHerts, k, rights.Ask{For: rights.ForPerson}); len(person.Entries) != 3 || person.Entries[2].Recipient != council {
		t.Errorf("later the person is told %+v", person.Entries)
	}
	if k.State != rights.Closed {
		t.Errorf("the case is %s", k.State)
	}

	// Age UK is a controller, too: what it has, it has from Carers in Hertfordshire.
	theirs := c.opens(ageUKHerts, rights.Opening{Type: rights.Access, Identifiers: known(dina)})
	if got, _ := c.reports(ageUKHerts, theirs, rights.Ask{For: rights.ForPerson}); !theirs.Known || len(got.Entries) != 1 || got.Entries[0].Sender != carersInHerts {
		t.Errorf("Age UK reports %+v", got.Entries)
	}
	for _, ask := range []rights.Ask{
		{For: rights.ForPerson, Form: "text"}, {For: rights.ForPerson, Form: "html"}, {For: rights.ForDPL, Form: "text"}, {For: rights.ForDPL, Form: "html"},
	} {
		_, text := c.reports(carersInHerts, k, ask)
		if !strings.Contains(text, "Age UK Hertfordshire") || strings.Contains(text, dina) {
			t.Errorf("for the %s as %s:\n%s", ask.For, ask.Form, text)
		}
		if told := strings.Contains(text, "crime"); told != (ask.For == rights.ForDPL) {
			t.Errorf("for the %s as %s the fraud desk shows: %v", ask.For, ask.Form, told)
		}
	}
	_ = went
	c.audited()
}

// The reason not to tell stands in the decision, which the recipient never sees. It is heeded all the same.
func TestARecipientDoesNotTellWhatItsSenderDidNot(t *testing.T) {
	c := newCounty(t)
	eve := c.somebody()
	id := c.sends(carersInHerts, c.message(eve, func(m map[string]any) {
		u := m["undertaking"].(map[string]any)
		delete(u, "informed_on")
		delete(u, "informed")
		u["not_informed_because"] = "safety"
	}), transfer.Queued)
	c.collects(ageUKHerts, id)
	for _, p := range []transfer.PartnerID{carersInHerts, ageUKHerts} {
		k := c.opens(p, rights.Opening{Type: rights.Access, Identifiers: known(eve)})
		if got, _ := c.reports(p, k, rights.Ask{For: rights.ForPerson}); len(got.Entries) != 0 {
			t.Errorf("%s tells the person %+v", p, got.Entries)
		}
		got, _ := c.reports(p, k, rights.Ask{For: rights.ForDPL})
		want := map[transfer.PartnerID]string{carersInHerts: "not-informed-safety", ageUKHerts: "sender-restricted"}[p]
		if len(got.Entries) != 1 || got.Entries[0].NotTold != want {
			t.Fatalf("%s shows its Data Protection Lead %+v", p, got.Entries)
		}
		_, err := c.triesTo(p, k, rights.StepIn{Step: "reveal", Grounds: []string{"person-knows"}, Entries: []rights.Place{got.Entries[0].Log}})
		if p == carersInHerts {
			c.must(err) // it knows why, and whether the reason is over
			continue
		}
		c.invalid(err, "/entries")
		if got, _ := c.reports(p, k, rights.Ask{For: rights.ForPerson}); len(got.Entries) != 0 {
			t.Errorf("%s tells the person what its sender keeps from them: %+v", p, got.Entries)
		}
	}
}

// Rhys is cared for, and learnt of nothing when his wife was referred; later it turned out that he hurts her. He asks who was told of him.
func TestWhoIsSaidToDoHarmIsToldOfNothing(t *testing.T) {
	c := newCounty(t)
	rhys, wife := c.somebody(), c.somebody()
	about := func(does bool) func(map[string]any) {
		return func(m map[string]any) {
			he := map[string]any{"name": map[string]any{"given": "Rhys", "family": "Farrow"}, "nhs_number": rhys, "relationship_to_carer": "husband"}
			if does {
				he["alleged_perpetrator"] = true
			}
			m["cared_for"] = []any{he}
			yes := map[string]any{}
			for k, v := range m["consents"].([]any)[0].(map[string]any) {
				yes[k] = v
			}
			yes["subject"] = map[string]any{"role": "cared_for", "position": 0}
			m["consents"] = append(m["consents"].([]any), yes)
		}
	}
	id := c.sends(carersInHerts, c.message(wife, about(false)), transfer.Queued)
	c.collects(ageUKHerts, id)
	before := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(rhys)})
	if got, _ := c.reports(carersInHerts, before, rights.Ask{For: rights.ForPerson}); len(got.Entries) != 1 || got.Entries[0].Role != transfer.CaredFor {
		t.Fatalf("before anybody says so he is told %+v", got.Entries)
	}
	c.sends(carersInHerts, c.message(wife, about(true)), transfer.Held)
	for _, p := range []transfer.PartnerID{carersInHerts, ageUKHerts} {
		k := c.opens(p, rights.Opening{Type: rights.Access, Identifiers: known(rhys)})
		if got, _ := c.reports(p, k, rights.Ask{For: rights.ForPerson}); len(got.Entries) != 0 {
			t.Errorf("%s tells him %+v", p, got.Entries)
		}
		if got, _ := c.reports(p, k, rights.Ask{For: rights.ForDPL}); len(got.Entries) != 1 || got.Entries[0].NotTold == "" {
			t.Errorf("%s shows its Data Protection Lead %+v", p, got.Entries)
		}
	}
	// She may know all of it.
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(wife)})
	if got, _ := c.reports(carersInHerts, k, rights.Ask{For: rights.ForPerson}); len(got.Entries) != 1 {
		t.Errorf("she is told %+v", got.Entries)
	}
}

// What a person supplied under consent may be taken along (Art 20); what a statute lets flow may not.
func TestPortabilityListsWhatConsentCarried(t *testing.T) {
	c := newCounty(t)
	finn := c.somebody()
	c.refers(finn)
	c.tells(carersInHerts, finn, exchange.Disclosed{To: council}, "carer.name.family")
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Portability, Identifiers: known(finn)})
	if got, _ := c.reports(carersInHerts, k, rights.Ask{For: rights.ForPerson}); len(got.Entries) != 1 || got.Entries[0].Recipient != ageUKHerts {
		t.Errorf("it lists %+v", got.Entries)
	}
}

func TestALetterComesFromOneController(t *testing.T) {
	c := newCounty(t)
	gus := c.somebody()
	c.refers(gus)
	c.tells(pohwer, gus, exchange.Disclosed{To: council}, "carer.name.family")
	k := c.opens(operator, rights.Opening{Type: rights.Access, Identifiers: known(gus)})
	if got, _ := c.reports(operator, k, rights.Ask{For: rights.ForPerson}); len(got.Entries) != 2 {
		t.Errorf("all controllers together: %+v", got.Entries)
	}
	ctx := context.Background()
	_, err := c.rights.Report(ctx, by(operator), k.Reference, rights.Ask{For: rights.ForPerson, Form: "text"})
	c.invalid(err, "?of")
	if _, text := c.reports(operator, k, rights.Ask{For: rights.ForPerson, Form: "text", Of: carersInHerts}); !strings.Contains(text, "Age UK") || strings.Contains(text, "County Council") {
		t.Errorf("the letter of Carers in Hertfordshire:\n%s", text)
	}
	theirs := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(gus)})
	_, err = c.rights.Report(ctx, by(carersInHerts), theirs.Reference, rights.Ask{For: rights.ForPerson, Form: "json", Of: pohwer})
	c.invalid(err, "?of")
}

// Nothing is known of somebody of whom only an objection is on record.
func TestAReportOfNothing(t *testing.T) {
	c := newCounty(t)
	hal := c.somebody()
	c.says(carersInHerts, hal, consent.Objected)
	for _, nhs := range []string{hal, c.somebody()} {
		k := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(nhs)})
		if got, _ := c.reports(carersInHerts, k, rights.Ask{For: rights.ForPerson}); len(got.Entries) != 0 {
			t.Errorf("it lists %+v", got.Entries)
		}
	}
}

// Before somebody has shown who they are, and when they could not, there is nothing for them to read.
func TestNoReportIsMadeForSomebodyWhoMayBeAnybody(t *testing.T) {
	c := newCounty(t)
	dina := c.somebody()
	c.refers(dina)
	ask := rights.Ask{For: rights.ForPerson, Form: "text"}
	open := func() *rights.Case {
		return c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(dina), Identity: "to-confirm"})
	}
	unknown, refused := open(), c.steps(carersInHerts, open(), rights.StepIn{Step: "refused", Grounds: []string{"identity-not-confirmed"}})
	for _, k := range []*rights.Case{unknown, refused} {
		var not *rights.Impossible
		if _, err := c.rights.Report(context.Background(), by(carersInHerts), k.Reference, ask); !errors.As(err, &not) {
			t.Errorf("in state %s the report gives %v", k.State, err)
		}
		if got, _ := c.reports(carersInHerts, k, rights.Ask{For: rights.ForDPL}); len(got.Entries) != 1 {
			t.Errorf("in state %s the Data Protection Lead sees %+v", k.State, got.Entries)
		}
	}
	c.steps(carersInHerts, unknown, rights.StepIn{Step: "identity-confirmed"})
	if _, text := c.reports(carersInHerts, unknown, ask); !strings.Contains(text, "Age UK Hertfordshire") {
		t.Errorf("the letter is\n%s", text)
	}
}

// A letter lies open at home. It does not say what others think of the danger there, and it does say whether the referral arrived.
func TestALetterSaysNothingOfDanger(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.settles(maya)
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(maya)})
	contract, _ := contracts.For("referral/1")
	danger := func(r *reported) (out []string) {
		for _, name := range r.Entries[0].Items {
			if i, _ := contract.Lookup(name); slices.Contains([]contracts.Category{"risk", "safeguarding", "offence"}, i.Category) || i.Offence {
				out = append(out, i.Title)
			}
		}
		return out
	}
	lead, _ := c.reports(carersInHerts, k, rights.Ask{For: rights.ForDPL})
	titles := danger(lead)
	if !slices.Contains(titles, "Safe to contact") || !slices.Contains(titles, "May leave a message") {
		t.Fatalf("the Data Protection Lead sees of danger %q", titles)
	}
	person, _ := c.reports(carersInHerts, k, rights.Ask{For: rights.ForPerson})
	if got := danger(person); len(got) > 0 || len(person.Entries[0].Items) == 0 {
		t.Errorf("the person's program is told of %q", got)
	}
	for _, form := range []string{"text", "html"} {
		_, letter := c.reports(carersInHerts, k, rights.Ask{For: rights.ForPerson, Form: form})
		for _, title := range titles {
			if strings.Contains(strings.ToLower(letter), strings.ToLower(title)) {
				t.Errorf("the letter as %s says %q", form, title)
			}
		}
		if !strings.Contains(letter, "It arrived, and they took it on.") {
			t.Errorf("the letter as %s does not say that it arrived:\n%s", form, letter)
		}
	}
}
