package contracts_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

func parsed(t testing.TB, messageType transfer.MessageType, body []byte) *contracts.Document {
	t.Helper()
	c, ok := contracts.For(messageType)
	if !ok {
		t.Fatalf("there is no contract %s", messageType)
	}
	doc, err := c.Parse(body)
	if err != nil {
		t.Fatalf("%+v", faultsOf(t, err))
	}
	return doc
}

func TestWhatTheSenderSaysOfAnException(t *testing.T) {
	doc := parsed(t, "referral/1", example(t, "safeguarding-exception"))
	exception := &contracts.Exception{
		Kind: "safeguarding", Limb: "c", Person: "safeguarding-1", At: "2026-11-20T18:32:00Z", Record: "cih-safe-0017",
		Necessary: true, OthersAtRisk: true, InformingRaisesRisk: true,
	}
	if diff := cmp.Diff(exception, doc.Exception); diff != "" {
		t.Errorf("exception (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&contracts.Review{Person: "safeguarding-1", At: "2026-11-20T18:34:00Z"}, doc.Review); diff != "" {
		t.Errorf("review (-want +got):\n%s", diff)
	}
	if u := doc.Undertaking; u.NotInformed != "safety" || u.InformedOn != "" {
		t.Errorf("undertaking: %+v", u)
	}

	doc = parsed(t, "referral/1", edited(t, `"sent_at": "2026-11-19T10:42:07Z",`, `
		"onward_of": "019370d2-5b1e-7cc3-98c4-dc0c0c07398f",
		"secondary": {"checked_on": "2026-11-01", "opted_out": true, "support": "26/CAG/0042"},
		"exception": {"kind": "danger-to-another", "person": "dpl-1", "at": "2026-11-19T10:00:00Z", "record": "r-1", "law": "Terrorism Act 2000 s.19",
			"no_less_intrusive_way": true, "no_other_basis": true, "incapable": true, "refused": true, "serious_crime": true, "coercion": true,
			"necessary": false},`))
	exception = &contracts.Exception{
		Kind: "danger-to-another", Person: "dpl-1", At: "2026-11-19T10:00:00Z", Record: "r-1", Law: "Terrorism Act 2000 s.19",
		NoLessIntrusiveWay: true, NoOtherBasis: true, Incapable: true, Refused: true, SeriousCrime: true, Coercion: true,
	}
	if diff := cmp.Diff(exception, doc.Exception); diff != "" {
		t.Errorf("exception (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&contracts.Secondary{CheckedOn: "2026-11-01", OptedOut: true, Support: "26/CAG/0042"}, doc.Secondary); diff != "" {
		t.Errorf("secondary (-want +got):\n%s", diff)
	}
	if doc.Envelope.OnwardOf != "019370d2-5b1e-7cc3-98c4-dc0c0c07398f" {
		t.Errorf("onward of %q", doc.Envelope.OnwardOf)
	}
	if doc := parsed(t, "referral/1", example(t, "adult-carer-hertswise")); doc.Exception != nil || doc.Demand != nil || doc.Secondary != nil || doc.Review != nil {
		t.Error("a message that says nothing of exceptions, demands or the like is read as if it did")
	}
}

func TestACourtAsksForItemsByName(t *testing.T) {
	body := string(example(t, "court-order"))
	doc := parsed(t, "referral/1", []byte(body))
	names := doc.Contract.Names(doc.Demand.Items)
	doc.Demand.Items = contracts.ItemSet{}
	want := &contracts.Demand{
		Instrument: "court-order", Reference: "HF26P00417", By: "District Judge, County Court at Hertford", Authority: "County Court at Hertford",
		Law: "Family Procedure Rules 2010 r.21.2", On: "2026-11-13", Person: "dpl-1",
	}
	if diff := cmp.Diff(want, doc.Demand); diff != "" {
		t.Errorf("demand (-want +got):\n%s", diff)
	}
	if want := "carer.name.given carer.name.family carer.date_of_birth cared_for.name.given cared_for.name.family " +
		"cared_for.relationship_to_carer caring_role.tasks caring_role.hours_per_week caring_role.caring_since"; strings.Join(names, " ") != want {
		t.Errorf("asked for %v", names)
	}
	if doc.Undertaking.InformedOn != "2026-11-18" {
		t.Errorf("informed on %q", doc.Undertaking.InformedOn)
	}
	for wrong, meant := range map[string]string{
		"carer.date_of_brith": "carer.date_of_birth", "date_of_birth": "carer.date_of_birth", "carer.phones.number": "carer.phones", "Zebedee Quill": "",
	} {
		_, err := doc.Contract.Parse([]byte(strings.Replace(body, `"carer.date_of_birth"`, `"`+wrong+`"`, 1)))
		got := faultsOf(t, err)
		if len(got) != 1 || got[0].Pointer != "/demand/items/2" || got[0].Rule != "unknown-item" || !strings.Contains(got[0].Remedy, meant) {
			t.Errorf("%s: %+v", wrong, got)
		}
		if strings.Contains(got[0].Detail+got[0].Remedy, "Zebedee") {
			t.Errorf("the fault quotes the message: %+v", got)
		}
	}
}

func TestFactsAreReadOfWhomTheyAre(t *testing.T) {
	doc := parsed(t, "referral/1", edited(t, `"carer": {`, `"advocacy": {"capacity": "fluctuates", "instruction": "non-instructed"},
		"young_carer": {"competence": "assessed-competent", "do_not_contact_parent": true},
		"absent_parents": [{"contact_prohibited": true}, {"alleged_perpetrator": true}, {"phones": [{"number": "01632 960001"}]}],
		"children": [{"address_protected": true, "alleged_perpetrator": false}],
		"carer": {"representative": {"authority": "parent"}, "address_protected": true, "contact_prohibited": false,`))
	got := map[string]map[string]string{}
	for _, s := range doc.Subjects {
		if s.Facts != nil {
			got[string(s.Role)+string(rune('0'+s.Position))] = s.Facts
		}
	}
	want := map[string]map[string]string{
		"carer0": {
			"capacity": "fluctuates", "instruction": "non-instructed", "competence": "assessed-competent", "do-not-contact-parent": "true",
			"representative": "parent", "address-protected": "true", "contact-prohibited": "false",
		},
		"cared_for0":     {"capacity": "in-doubt", "representative": "attorney-health-welfare", "representative-verified": "2024-02-09"},
		"absent_parent0": {"contact-prohibited": "true"},
		"absent_parent1": {"alleged-perpetrator": "true"},
		"child0":         {"address-protected": "true", "alleged-perpetrator": "false"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	item, _ := doc.Contract.Lookup("cared_for.date_of_death")
	if item.Fact != "deceased" {
		t.Errorf("a date of death is the fact %q", item.Fact)
	}
	if item, _ := doc.Contract.Lookup("cared_for.representative"); item.Fact != "" {
		t.Errorf("the whole representative is the fact %q", item.Fact)
	}
}

// So that a message without facts costs nothing for those that there could be.
func TestAMessageWithoutFactsMakesNoRoomForThem(t *testing.T) {
	doc, err := referral(t).ParseDataset([]byte(`{"carer":{"gender":"female","safe_to_contact":true}}`))
	if err != nil || doc.Subjects[0].Facts != nil {
		t.Errorf("facts of somebody of whom nothing of the kind is said: %v, %v", doc.Subjects[0].Facts, err)
	}
}

func TestWhatIsTypedIntoNotesIsNoticedOfWhomItIs(t *testing.T) {
	const content = `"media_type": "application/pdf", "content": "MDc3MDA5MDA0MTc=", "sha256": "` + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" + `"`
	for body, want := range map[string]string{
		`{"risks": {"notes": "Her sister is at 12 Elm Road"}}`:                                                                      "carer[0] [risks.notes]",
		`{"risks": {"notes": "12 Elm R\u006fad", "pets": "One cat"}, "referral": {"reason": "Ring 01632 960001"}}`:                  "carer[0] [referral.reason risks.notes]",
		`{"cared_for": [{"health_notes": "Well."}, {"health_notes": "NHS no 999 410 0009"}]}`:                                       "cared_for[1] [cared_for.health_notes]",
		`{"referral": {"attachments": [{"title": "Plan", ` + content + `}]}}`:                                                       "",
		`{"referral": {"attachments": [{"title": "Plan", ` + content + `}, {"title": "Letter to SG14 1AX", ` + content + `}]}}`:     "carer[0] [referral.attachments]",
		`{"carer": {"email": "jo@example.org", "phones": [{"number": "01632 960001"}], "addresses": [{"lines": ["12 Elm Road"]}]}}`: "", // where they belong
		`{"carer": {"nhs_number": "9994100009", "case_number": "01632 960001"}, "young_carer": {"school": "12 Elm Road School"}}`:   "",
	} {
		doc, err := referral(t).ParseDataset([]byte(body))
		if err != nil {
			t.Fatalf("%s: %+v", body, faultsOf(t, err))
		}
		got := ""
		for _, s := range doc.Subjects {
			if !s.Noticed.Empty() {
				got += fmt.Sprint(s, " ", doc.Contract.Names(s.Noticed))
			}
		}
		if got != want {
			t.Errorf("%s: noticed %q, want %q", body, got, want)
		}
	}
	doc := parsed(t, "referral/1", []byte(strings.Replace(string(example(t, "young-carer")), "Asthma, mild", "Text 07700 900318. Asthma, mild", 1)))
	if got := doc.Contract.Names(doc.Subjects[0].Noticed); len(got) != 1 || got[0] != "carer.health_notes" {
		t.Errorf("noticed %v", got)
	}
}

func TestAnAttachmentIsADocumentOfAKnownKind(t *testing.T) {
	const good = `"attachments": [{"title": "Plan", "media_type": "text/plain", "content": "SGVsbG8=", "sha256": "185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969"}],`
	doc := parsed(t, "referral/1", edited(t, `"urgency": "soon",`, good+`"urgency": "soon",`))
	item, _ := doc.Contract.Lookup("referral.attachments")
	if !item.Attachment || !item.FreeText || !item.Special || item.Category != "document" || !doc.Subjects[0].Items.Has(item.Index) {
		t.Errorf("attachments are %+v", item)
	}
	for old, new := range map[string]string{
		`SGVsbG8=`: `SGVsbG8`, `"SGVsbG8="`: `"SGVs\nbG8="`, `bG8=`: `b===`, `SGVs`: `SG-s`, `text/plain`: `text/html`, `185f`: `185F`, `"title": "Plan", `: ``, `"Plan"`: `""`,
	} {
		body := edited(t, `"urgency": "soon",`, strings.Replace(good, old, new, 1)+`"urgency": "soon",`)
		if _, err := doc.Contract.Parse(body); err == nil {
			t.Errorf("accepted with %s in place of %s", new, old)
		}
	}
}

func TestASectionIsThereAsSent(t *testing.T) {
	doc := parsed(t, "referral/1", []byte(strings.Replace(string(example(t, "magazine-list")), `"carer": {`, `"c\u0061rer": {`, 1)))
	section, ok := doc.Section("carer")
	var carer struct{ Magazine struct{ Post bool } }
	if err := json.Unmarshal(section, &carer); !ok || err != nil || !carer.Magazine.Post {
		t.Errorf("the carer is %s, %v", section, err)
	}
	for _, none := range []string{"cared_for", "consents", "purpose", "magazine", ""} {
		if section, ok := doc.Section(none); ok {
			t.Errorf("a section %q: %s", none, section)
		}
	}
	dataset, err := doc.Contract.ParseDataset([]byte(`{"cared_for": [{"gender": "male"}, {}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if section, ok := dataset.Section("cared_for"); !ok || string(section) != `[{"gender": "male"}, {}]` {
		t.Errorf("of a dataset: %s", section)
	}
	empty, err := doc.Contract.ParseDataset([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := empty.Section("carer"); ok {
		t.Error("nothing has a carer")
	}
}

func TestFiguresAreAboutNobody(t *testing.T) {
	doc := parsed(t, "aggregate/1", example(t, "aggregate-quarter"))
	if len(doc.Subjects) != 1 || doc.Subjects[0].Role != transfer.Nobody || doc.Subjects[0].Identifiers != nil || doc.Subjects[0].Items.Len() != 3 {
		t.Errorf("the figures are about %d people, first %s with %d items", len(doc.Subjects), doc.Subjects[0].Role, doc.Subjects[0].Items.Len())
	}
	if contracts.NeedsLibrary(doc.Contract) {
		t.Error("figures are read twice")
	}
	for story, change := range map[string][2]string{
		"a name in place of a count":    {`"count": 1284`, `"count": "Mo Quill"`},
		"half a person":                 {`"count": 1284`, `"count": 1284.5`},
		"fewer than nobody":             {`"count": 1284`, `"count": -1`},
		"a story":                       {`"name": "carers-supported", "count": 1284`, `"name": "Mo is doing well", "count": 1284`},
		"a dimension nobody described":  {`{"carer_type": "adult"}`, `{"surname": "quill"}`},
		"five dimensions, to be unique": {`{"carer_type": "adult"}`, `{"carer_type": "adult", "gender": "male", "district": "watford", "month": "2026-07", "outcome": "x"}`},
		"notes":                         {`"title": "quarterly-return"`, `"title": "quarterly-return", "notes": "Mo is doing well"`},
	} {
		body := strings.Replace(string(example(t, "aggregate-quarter")), change[0], change[1], 1)
		if _, err := doc.Contract.Parse([]byte(body)); err == nil {
			t.Errorf("accepted: %s", story)
		}
	}
}
