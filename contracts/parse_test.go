package contracts_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

func referral(t testing.TB) *contracts.Contract {
	t.Helper()
	c, ok := contracts.For("referral/1")
	if !ok {
		t.Fatal("there is no contract referral/1")
	}
	return c
}

func example(t testing.TB, name string) []byte {
	t.Helper()
	body, err := contracts.Example(name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// edited is the adult carer's referral with one piece of its text replaced.
func edited(t testing.TB, old, new string) []byte {
	t.Helper()
	body := string(example(t, "adult-carer-hertswise"))
	if strings.Count(body, old) == 0 {
		t.Fatalf("the example does not say %s", old)
	}
	return []byte(strings.Replace(body, old, new, 1))
}

func faultsOf(t testing.TB, err error) []contracts.Fault {
	t.Helper()
	var invalid *contracts.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want an InvalidError", err)
	}
	return invalid.Faults
}

func subject(t testing.TB, doc *contracts.Document, role transfer.Role, position int) int {
	t.Helper()
	for i, s := range doc.Subjects {
		if s.Role == role && s.Position == position {
			return i
		}
	}
	t.Fatalf("no %s %d in the document", role, position)
	return -1
}

func itemIndex(t testing.TB, c *contracts.Contract, name string) int {
	t.Helper()
	item, ok := c.Lookup(name)
	if !ok {
		t.Fatalf("%s is no item", name)
	}
	return item.Index
}

func TestAReferralIsReadAsItsSenderMeantIt(t *testing.T) {
	c := referral(t)
	doc, err := c.Parse(example(t, "adult-carer-hertswise"))
	if err != nil {
		t.Fatal(err)
	}
	want := contracts.Envelope{
		MessageID: "cih-2026-004711", CorrelationID: "5f0c1c62-7f0e-4a5f-9b1e-0d4c3a6be101",
		Purpose: "referral.service", Service: "hertswise", Recipients: []transfer.PartnerID{"age-uk-hertfordshire"},
	}
	if diff := cmp.Diff(want, doc.Envelope); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
	undertaking := &contracts.Undertaking{
		Basis: "consent", EvidenceRef: "cih-consent-form-20931", AssertedAt: "2026-11-19T10:15:00Z", TextVersion: "undertaking-2026-01",
	}
	if diff := cmp.Diff(undertaking, doc.Undertaking); diff != "" {
		t.Errorf("undertaking (-want +got):\n%s", diff)
	}

	carer := doc.Subjects[subject(t, doc, transfer.Carer, 0)]
	if carer.Born != "1951-03-17" {
		t.Errorf("the carer was born %q", carer.Born)
	}
	identifiers := []contracts.Identifier{{Scheme: "nhs-number", Value: "9994100009"}, {Scheme: "case-number", Value: "CIH/20931"}}
	if diff := cmp.Diff(identifiers, carer.Identifiers); diff != "" {
		t.Errorf("identifiers of the carer (-want +got):\n%s", diff)
	}
	caredFor := subject(t, doc, transfer.CaredFor, 0)
	for name, about := range map[string]int{
		"carer.condition": subject(t, doc, transfer.Carer, 0), "referral.background": subject(t, doc, transfer.Carer, 0),
		"cared_for.condition": caredFor, "caring_role.coping": subject(t, doc, transfer.Carer, 0),
		"household.phones": subject(t, doc, transfer.Household, 0),
	} {
		for i, s := range doc.Subjects {
			if got := s.Items.Has(itemIndex(t, c, name)); got != (i == about) {
				t.Errorf("%s is about %s: %v", name, s.Role, got)
			}
		}
	}
	if got := string(doc.Value(caredFor, itemIndex(t, c, "cared_for.condition"))); got != `["dementia", "frailty"]` {
		t.Errorf("condition of the cared-for person: %s", got)
	}
	if doc.Value(caredFor, itemIndex(t, c, "carer.condition")) != nil {
		t.Error("the carer's condition is said to be about the cared-for person")
	}

	if len(doc.Consents) != 1 || doc.Consents[0].Role != transfer.Carer {
		t.Fatalf("consents: %d", len(doc.Consents))
	}
	if body := string(doc.Consents[0].Body); !strings.HasPrefix(body, "{\n      \"subject\"") || !strings.HasSuffix(body, "}") {
		t.Errorf("the consent event is not as it stands in the message: %s", body)
	}
}

func TestEveryExampleIsValid(t *testing.T) {
	for _, name := range contracts.Examples() {
		body := example(t, name)
		for _, messageType := range contracts.Types() {
			c, ok := contracts.For(messageType)
			if !ok || !strings.Contains(string(body), fmt.Sprintf("%q", messageType)) {
				continue
			}
			if _, err := c.Parse(body); err != nil {
				t.Errorf("%s: %+v", name, faultsOf(t, err))
			}
		}
	}
}

// A small charity's export writes the sections in alphabetical order: the caring role comes before anybody has been named.
func TestASectionMayComeBeforeItsPerson(t *testing.T) {
	c := referral(t)
	doc, err := c.ParseDataset([]byte(`{"caring_role":{"coping":2},"cared_for":[{"gender":"male"},{"gender":"female"}],"carer":{"gender":"female"}}`))
	if err != nil {
		t.Fatal(err)
	}
	type who struct {
		Role     transfer.Role
		Position int
		Items    []string
	}
	var got []who
	for _, s := range doc.Subjects {
		got = append(got, who{s.Role, s.Position, c.Names(s.Items)})
	}
	want := []who{
		{transfer.Carer, 0, []string{"carer.gender", "caring_role.coping"}},
		{transfer.CaredFor, 0, []string{"cared_for.gender"}},
		{transfer.CaredFor, 1, []string{"cared_for.gender"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
}

// A dataset may have lost the carer's own object and kept a section about the carer: it is still about a person.
func TestASectionWithoutItsPersonIsStillAboutSomebody(t *testing.T) {
	doc, err := referral(t).ParseDataset([]byte(`{"risks":{"pets":"One cat"},"needs":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Subjects) != 1 || doc.Subjects[0].Role != transfer.Carer || doc.Subjects[0].Items.Len() != 1 {
		t.Errorf("subjects: %+v", doc.Subjects)
	}
}

func TestWhatIsWrongIsSaidWithWhereAndRemedy(t *testing.T) {
	tests := []struct {
		name, old, new              string
		pointer, rule, says, remedy string
	}{
		{"a check digit is wrong", `"9994100009"`, `"9994100008"`, "/carer/nhs_number", "check-digit", "not an NHS number", "ten digits"},
		{"blanks in an NHS number", `"9994100009"`, `"999 410 0009"`, "/carer/nhs_number", "check-digit", "carer.nhs_number", "without spaces"},
		{"an NHS number as a number", `"9994100009"`, `9994100009`, "/carer/nhs_number", "type", "is not of type string", "string"},
		{"a day that does not exist", `"1951-03-17"`, `"1951-02-29"`, "/carer/date_of_birth", "format", "date that exists", `"1984-03"`},
		{"a British date", `"1951-03-17"`, `"17/03/1951"`, "/carer/date_of_birth", "format", "date", "as much as is known"},
		{"a word that is not listed", `"gender": "female"`, `"gender": "F"`, "/carer/gender", "enum", "none of the values", "female, male"},
		{"another contract", `"referral/1"`, `"referral/9"`, "/contract", "const", "none of the values", "use one of: referral/1"},
		{"nobody's surname", `"family": "O'Brien", "known_as": "Mo"`, `"known_as": "Mo"`, "/carer/name/family", "required", "is missing", "add it"},
		{"a title of 41 letters", `"Mrs"`, `"` + strings.Repeat("é", 41) + `"`, "/carer/name/title", "too-long", "41 characters, and 40", "shorten"},
		{"an empty name", `"Maureen Bríd"`, `""`, "/carer/name/given", "too-short", "0 characters", "leave the item out"},
		{"a postcode of another country", `"SG14 1ZY"`, `"75008 Paris"`, "/carer/addresses/0/postcode", "pattern", "form", `like "SG14 1AX"`},
		{"an item of nobody's", `"gender": "female",`, `"gender": "female", "star_sign": "Leo",`, "/carer/star_sign", "unknown-item", "no item of this contract", "leave it out"},
		{"an item in another spelling", `"date_of_birth"`, `"dateOfBirth"`, "/carer/dateOfBirth", "unknown-item", "carer.dateOfBirth", `"date_of_birth"`},
		{"an item misspelt", `"ethnicity": "B"`, `"etnicity": "B"`, "/carer/etnicity", "unknown-item", "carer.etnicity", `"ethnicity"`},
		{"coping beyond the scale", `"coping": 2`, `"coping": 6`, "/caring_role/coping", "maximum", "more than 5", "correct"},
		{"half a person", `"coping": 2`, `"coping": 2.5`, "/caring_role/coping", "type", "not of type integer", "integer"},
		{"a number nobody writes", `"coping": 2`, `"coping": 2e0`, "/caring_role/coping", "number", "exponent", "plain digits"},
		{"nobody to send it to", `"recipients": ["age-uk-hertfordshire"],`, `"recipients": [],`, "/recipients", "too-few", "0 entries", "add"},
		{"the same task twice", `"emotional", "medication"`, `"emotional", "\u0065motional"`, "/caring_role/tasks/4", "repeated", "repeats", "once"},
		{"a list where one was asked for", `"urgency": "soon"`, `"urgency": ["soon"]`, "/referral/urgency", "type", "string", "string"},
		{"a value where a list was asked for", `["heart-or-lung"]`, `"heart-or-lung"`, "/carer/condition", "type", "array", "array"},
		{"nothing", `"gender": "female"`, `"gender": null`, "/carer/gender", "type", "string", "string"},
		{"a consent of somebody else", `"role": "carer", "position": 0`, `"role": "carer", "position": 1`, "/consents/0/subject", "unknown-subject", "nobody in this message", "position, from 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := referral(t).Parse(edited(t, test.old, test.new))
			var fault contracts.Fault
			for _, f := range faultsOf(t, err) {
				if f.Pointer == test.pointer {
					fault = f
				}
			}
			if fault.Rule != test.rule || !strings.Contains(fault.Detail, test.says) || !strings.Contains(fault.Remedy, test.remedy) {
				t.Errorf("want %s at %s saying %q with remedy %q, got %+v", test.rule, test.pointer, test.says, test.remedy, faultsOf(t, err))
			}
		})
	}
}

func TestBytesThatAreNotOneMessage(t *testing.T) {
	deep := `{"carer":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`
	tests := []struct {
		name, body, rule, pointer string
		line, column              int
	}{
		{"nothing", "", "malformed", "", 1, 1},
		{"half a message", "{\"carer\": {\n\"gender\": \"fem", "malformed", "/carer/gender", 2, 15},
		{"not JSON", "<referral/>", "malformed", "", 1, 1},
		{"a comma too many", "{\"carer\": {\"gender\": \"female\",}}", "malformed", "/carer", 1, 30},
		{"two messages", "{} {}", "malformed", "", 0, 0},
		{"an item twice", "{\n  \"carer\": {\"gender\": \"female\", \"gender\": \"male\"}}", "duplicate-key", "/carer/gender", 2, 33},
		{"an item twice, once in disguise", "{\"carer\": {\"gender\": \"female\", \"gend\\u0065r\": \"male\"}}", "duplicate-key", "/carer/gender", 0, 0},
		{"an unknown item twice", `{"a": 1, "a": 2}`, "duplicate-key", "", 0, 0},
		{"twice inside what is unknown", `{"a": {"b": 1, "b": 2}}`, "duplicate-key", "/a", 0, 0},
		{"forty levels", deep, "too-deep", "/carer", 0, 0},
		{"forty levels of objects", strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40), "too-deep", "/a", 0, 0},
		{"Latin-1", "{\"carer\": \"Mait\xe9\"}", "encoding", "", 1, 16},
		{"half a character", `{"contract": "\ud83d"}`, "encoding", "/contract", 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := referral(t).Parse([]byte(test.body))
			var syntax *contracts.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a SyntaxError", err)
			}
			if syntax.Rule != test.rule || syntax.Pointer != test.pointer || syntax.Detail == "" || syntax.Remedy == "" {
				t.Errorf("want %s at %q, got %+v", test.rule, test.pointer, syntax)
			}
			if test.line > 0 && (syntax.Line != test.line || syntax.Column != test.column) {
				t.Errorf("want line %d, column %d, got line %d, column %d", test.line, test.column, syntax.Line, syntax.Column)
			}
		})
	}
}

func TestAllFaultsAtOnceAndNotWithoutEnd(t *testing.T) {
	_, err := referral(t).Parse([]byte(`{"contract": "referral/1", "carer": {"gender": 1, "name": {}}, "x": 1}`))
	var got []string
	for _, f := range faultsOf(t, err) {
		got = append(got, f.Rule+" "+f.Pointer)
	}
	want := []string{
		"type /carer/gender", "required /carer/name/family", "unknown-item /x", "required /message_id", "required /purpose",
		"required /recipients", "required /referral", "required /referrer",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	var flood strings.Builder
	for i := range 26 * 26 {
		fmt.Fprintf(&flood, `"x%c%c": 1, `, 'a'+i/26, 'a'+i%26)
	}
	_, err = referral(t).Parse([]byte(`{` + flood.String() + `"z": 1}`))
	if n := len(faultsOf(t, err)); n != contracts.MaxFaults {
		t.Errorf("%d faults of an endless list, want %d", n, contracts.MaxFaults)
	}
}

// Whatever a sender writes, and wherever, an error must not carry it into a log.
func TestAnErrorNeverQuotesAValue(t *testing.T) {
	const secret = "Zebedee"
	for _, body := range []string{
		`{"contract": "Zebedee", "correlation_id": "Zebedee", "purpose": "Zebedee!", "sent_at": "Zebedee", "carer": "Zebedee"}`,
		`{"carer": {"email": "Zebedee", "nhs_number": "Zebedee", "date_of_birth": "Zebedee", "gender": "Zebedee", "ni_number": "Zebedee"}}`,
		`{"carer": {"name": {"title": "Zebedee Zebedee Zebedee Zebedee Zebedee Zebedee Zebedee"}, "addresses": ["Zebedee"]}}`,
		`{"carer": {"reason_codes": {"a": "Zebedee"}, "gender": "Zebedee`,
		`{"carer": {"name": {"x": {"Zebedee": 1, "Zebedee": 2}}}}`,
		`{"carer": "Zebedee" "Zebedee"}`,
		`{"carer": "\ud800 Zebedee"}`,
		"{\"carer\": \"Zebedee \xff\"}",
	} {
		_, err := referral(t).Parse([]byte(body))
		if err == nil {
			t.Fatalf("accepted %s", body)
		}
		if all := fmt.Sprintf("%v %+v", err, err); strings.Contains(all, secret) {
			t.Errorf("%s: the error quotes the value: %s", body, all)
		}
	}
	_, err := referral(t).Parse([]byte(`{"carer": {"NHS 999 410 0009, 07700900417 <b>": 1}}`))
	if got := faultsOf(t, err)[0].Pointer; got != "/carer/NHS?99#?41#?00##??07#########??b?" {
		t.Errorf("an unknown name is shown as %s", got)
	}
}

func TestADatasetNeedsNothingAndHasNoEnvelope(t *testing.T) {
	c := referral(t)
	doc, err := c.ParseDataset([]byte(`{"carer": {"date_of_birth": "1951", "addresses": [{"postcode": "SG14"}], "nhs_number": "p-Qm9"}}`))
	if err != nil {
		t.Fatalf("%+v", faultsOf(t, err))
	}
	if got := doc.Subjects[0]; got.Born != "1951" || len(got.Identifiers) != 1 {
		t.Errorf("the carer: %+v", got)
	}
	for _, body := range []string{
		`{"consents": []}`, `{"recipients": ["age-uk-hertfordshire"]}`, `{"carer": {"gender": "F"}}`, `{"carer": {"star_sign": "Leo"}}`,
		`{"carer": {"gender": 1}}`, `{"carer": {"nhs_number": 1}}`,
	} {
		if _, err := c.ParseDataset([]byte(body)); err == nil {
			t.Errorf("a dataset may say %s", body)
		}
	}
}

func TestOneContractServesManyAtOnce(t *testing.T) {
	c := referral(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				id := fmt.Sprintf("m-%d-%d", i, n)
				doc, err := c.Parse(edited(t, "cih-2026-004711", id))
				if err != nil || string(doc.Envelope.MessageID) != id || len(doc.Subjects) == 0 {
					t.Errorf("message %s: %v", id, err)
				}
				if _, err := c.Parse([]byte(`{"carer": {"gender": 1`)); err == nil {
					t.Error("half a message was accepted")
				}
			}
		})
	}
	wg.Wait()
}

func TestConsentAndReceiptAreContractsToo(t *testing.T) {
	consent, _ := contracts.For("consent/1")
	_, err := consent.Parse([]byte(`{"contract": "consent/1", "message_id": "c-1", "subject": {"identifiers": [{"scheme": "case-number", "value": "CIH/1"}]},
		"state": "withdrawn", "purpose": "referral.service", "explicit": true, "method": "verbal", "authority": "self", "at": "2026-11-20T09:00:00Z"}`))
	if err != nil {
		t.Errorf("a withdrawal: %v", err)
	}
	receipt, _ := contracts.For("receipt/1")
	if _, err := receipt.Parse([]byte(`{"contract": "receipt/1", "status": "accepted", "at": "2026-11-20T09:00:00Z"}`)); err != nil {
		t.Errorf("a receipt: %v", err)
	}
	if _, err := receipt.Parse([]byte(`{"contract": "receipt/1", "status": "maybe", "at": "yesterday"}`)); len(faultsOf(t, err)) != 2 {
		t.Errorf("a bad receipt: %v", err)
	}
	if _, ok := contracts.For("problem/1"); ok {
		t.Error("a problem document is an answer, not a message")
	}
	if _, ok := contracts.Schema("problem/1"); !ok {
		t.Error("the problem document has no schema")
	}
}
