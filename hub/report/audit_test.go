package report_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/transfer"
)

const balp = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

// The validator is right about IHE's own examples, and about what is wrong with each when it is broken.
func TestTheValidatorKnowsIHEsExamples(t *testing.T) {
	for name, broken := range map[string][][3]string{
		"AuthZconsent": {
			{`"code": "110113"`, `"code": "110112"`, "AuditEvent.type"},
			{`"code": "AuthZ-Consent"`, `"code": "AuthZ-Whim"`, "AuditEvent.subtype"},
			{`"action": "E"`, `"action": "R"`, "AuditEvent.action"},
			{`"action": "E"`, `"action": "X"`, "audit-event-action"},
			{`"outcome": "0",`, ``, "AuditEvent.outcome"},
			{`"code": "authserver"`, `"code": "client"`, "AuditEvent.agent:authorizer: 0"},
			{`"requestor": true`, `"requestor": false`, "AuditEvent.agent:user.requestor"},
			{`"reference": "Consent/ex-consent"`, `"display": " "`, "display"},
			{`"code": "Consent"`, `"code": "Contract"`, "in none of the slices"},
			{`"reference": "Patient/ex-patient"`, `"reference": "Person/ex-patient"`, "no reference to a Patient"},
			{`"recorded": "2021-12-27T09:49:00.000Z"`, `"recorded": "yesterday"`, "AuditEvent.recorded"},
			{`"site": "server.example.com"`, `"sight": "server.example.com"`, "no such element"},
			{`"type": "2"`, `"type": "7"`, "network-type"},
			{`"network": {`, `"media": {`, "AuditEvent.agent.media"},
		},
		"BasicReadServer": {
			{`"code": "read"`, `"code": "search"`, "AuditEvent.subtype:anyRead"},
			{`"outcome": "0"`, `"outcome": "8"`, "AuditEvent.outcome"},
			{`"code": "110153"`, `"code": "110150"`, "AuditEvent.agent:server"},
			{`"code": "4",`, `"code": "24",`, "RestObjectRoles"},
			{`"value": "76d148b6-586d-11ec-bf63-0242ac130002"`, `"system": "urn:x"`, "AuditEvent.entity:transaction.what.identifier.value"},
		},
		"PrivacyDisclosure-source": {
			{`"code": "disclose"`, `"code": "destroy"`, "AuditEvent.subtype:disclosure"},
			{`"display": "model number ABC, serial number 1234"`, `"display": "somebody else"`, "val-audit-source"},
			{`"address": "myDevice.example.com"`, `"location": "myDevice.example.com"`, "no such element"},
			{`"code": "PATRQT"`, `"code": "WHIM"`, "v3-PurposeOfUse"},
			{`"requestor": true`, `"requestor": "yes"`, "not true or false"},
			{`"reference": "DocumentReference/ex-documentreference"`, ``, "empty"},
		},
	} {
		text, err := os.ReadFile("testdata/fhir/AuditEvent-ex-audit" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if faults := check(t, text); len(faults) > 0 {
			t.Errorf("IHE's %s: %v", name, faults)
		}
		for _, b := range broken {
			if !strings.Contains(string(text), b[0]) {
				t.Fatalf("%s has no %s", name, b[0])
			}
			faults := check(t, []byte(strings.Replace(string(text), b[0], b[1], 1)))
			if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, b[2]) }) {
				t.Errorf("%s with %s: want a fault about %s, got %q", name, b[1], b[2], faults)
			}
		}
	}
	if names, _ := filepath.Glob("testdata/fhir/AuditEvent-*.json"); len(names) != 3 {
		t.Errorf("examples that nobody looks at: %v", names)
	}
}

type event struct {
	ID    string
	Meta  struct{ Profile []string }
	Type  struct{ Code string }
	Agent []struct {
		Type struct{ Coding []struct{ Code string } }
		Who  struct {
			Display    string
			Identifier struct{ Value string }
		}
		Policy []string
	}
	Outcome, OutcomeDesc string
	Entity               []struct {
		What struct {
			Identifier struct{ System, Value string }
		}
		Type   struct{ Code string }
		Query  []byte
		Detail []struct{ Type, ValueString string }
	}
	text []byte
}

// patient is the commitment of the person that an event is about.
func (e *event) patient() string {
	for _, x := range e.Entity {
		if x.Type.Code == "1" {
			return x.What.Identifier.Value
		}
	}
	return ""
}

// says gives the details of a name.
func (e *event) says(name string) []string {
	var values []string
	for _, x := range e.Entity {
		for _, d := range x.Detail {
			if d.Type == name {
				values = append(values, d.ValueString)
			}
		}
	}
	return values
}

// events writes a report as a Bundle, has the whole of it validated and reads it.
func events(t *testing.T, to transfer.PartnerID, entries []report.Entry) []event {
	t.Helper()
	text := written(t, report.AuditEvent, head(to), entries)
	for _, f := range check(t, []byte(text)) {
		t.Error(f)
	}
	var bundle struct {
		Entry []struct {
			FullURL  string `json:"fullUrl"`
			Resource json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(text), &bundle); err != nil {
		t.Fatal(err)
	}
	out, seen := make([]event, len(bundle.Entry)), map[string]bool{}
	for i, e := range bundle.Entry {
		if err := json.Unmarshal(e.Resource, &out[i]); err != nil {
			t.Fatal(err)
		}
		if out[i].text = e.Resource; seen[e.FullURL] || e.FullURL != "urn:uuid:"+out[i].ID {
			t.Errorf("%s is there twice, or is not %s", e.FullURL, out[i].ID)
		}
		seen[e.FullURL] = true
	}
	return out
}

func profileOf(e *event) string {
	return strings.TrimPrefix(strings.Join(e.Meta.Profile, " "), balp)
}

// Every leaf of a log is an AuditEvent, and what has a profile of IHE follows it.
func TestEveryLeafIsAnAuditEvent(t *testing.T) {
	for _, to := range []transfer.PartnerID{"", charity, ageUK, council} {
		for _, e := range history() {
			found := events(t, to, []report.Entry{e})
			want := map[ledger.Kind]string{
				ledger.KindDecision: "AuthZconsent", ledger.KindRelease: "PrivacyDisclosure.Source", ledger.KindDisclosure: "PrivacyDisclosure.Source",
			}[e.Leaf.Kind]
			if e.Leaf.Kind == ledger.KindRelease && e.Leaf.Recipient == to {
				want = "PrivacyDisclosure.Recipient"
			}
			if q := e.Leaf.Query; q != nil && q.Refused == "" {
				want = map[bool]string{true: "PatientQuery", false: "Query"}[q.Subject != ""]
			}
			if e.Leaf.Transfer == figures || e.Leaf.Kind == ledger.KindDecision && to != "" && to != e.Leaf.Sender {
				want = "" // about nobody, or nobody whom its reader learns of, and the profiles are about a patient
			}
			for _, a := range found {
				if profileOf(&a) != want {
					t.Errorf("leaf %d (%s) for %q goes by %q, not %q", e.Index, e.Leaf.Kind, to, profileOf(&a), want)
				}
			}
			if len(found) == 0 {
				t.Errorf("leaf %d (%s) is no event", e.Index, e.Leaf.Kind)
			}
		}
	}
}

// A referral about two people is two disclosures, each with its own items, and says what let it go.
func TestADisclosureOfTwoPeople(t *testing.T) {
	release := history()[3]
	found := events(t, "", []report.Entry{release})
	if len(found) != 2 || found[0].patient() != carer || found[1].patient() != caree {
		t.Fatalf("%d events", len(found))
	}
	if got := found[1].says("item"); !slices.Equal(got, []string{"cared_for.relationship_to_carer", "cared_for.condition"}) {
		t.Errorf("of the person cared for went %v", got)
	}
	one := found[0]
	for name, want := range map[string]string{
		"agreement": "hertswise", "agreement-version": "1", "agreement-digest": digest, "clause": "hertswise@1#refer",
		"payload": release.Leaf.Payload, "log": origin, "leaf": "4703", "state-now": "accepted", "obligation": "recipient do-not-inform",
	} {
		if got := one.says(name); !slices.Contains(got, want) {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
	if from, to := one.Agent[0].Who, one.Agent[1].Who; from.Identifier.Value != string(charity) || to.Display != "Age UK Hertfordshire" {
		t.Errorf("from %+v to %+v", from, to)
	}
	if got := one.Agent[1].Policy; !slices.Equal(got, []string{"urn:referralhub:clause:hertswise:1:refer"}) {
		t.Errorf("policy %v", got)
	}
	mine := release
	mine.About = caree
	if found := events(t, "", []report.Entry{mine}); len(found) != 1 || found[0].patient() != caree {
		t.Errorf("asked about one of them: %d events", len(found))
	}
}

// A decision says whether it let anything go, and on what it rests when nobody was asked.
func TestADecisionIsAnAuthorisation(t *testing.T) {
	permit := events(t, "", history()[1:2])[0]
	held := events(t, "", history()[7:8])
	if permit.Outcome != "0" || held[0].Outcome != "8" || !strings.HasPrefix(held[0].OutcomeDesc, "hold: ITEM_NOT_LISTED") {
		t.Errorf("permit %s, hold %s %q", permit.Outcome, held[0].Outcome, held[0].OutcomeDesc)
	}
	broken := history()[7]
	if broken.Leaf.Exception = (&ledger.Exception{Kind: "break-glass"}); !strings.Contains(string(events(t, "", []report.Entry{broken})[0].text), `"code":"BTG"`) {
		t.Error("the glass was broken, and the event does not say so")
	}
	if c := permit.Entity[1]; c.Type.Code != "Consent" || c.What.Identifier.Value != "0199b3c0-0000-7000-8000-000000000001" {
		t.Errorf("it rests on %+v", c)
	}
	if c := events(t, "", history()[1:2])[1].Entity[1]; c.What.Identifier.Value != "hertswise@1#refer" {
		t.Errorf("of somebody who was not asked it rests on %+v", c)
	}
}

// Somebody looked at the log: what they asked is in the event, and a refusal is no success.
func TestALookAtTheLog(t *testing.T) {
	var found []event
	for _, e := range history() {
		if e.Leaf.Kind == ledger.KindQuery {
			found = append(found, events(t, "", []report.Entry{e})...)
		}
	}
	if q := string(found[0].Entity[0].Query); q != "person purpose=referral.service" || found[0].patient() != carer {
		t.Errorf("asked %q", q)
	}
	if why := found[0].says("why"); !slices.Equal(why, []string{"subject access request of 3 November"}) {
		t.Errorf("why: %v", why)
	}
	if found[1].patient() != "" || found[2].Outcome != "8" || found[2].OutcomeDesc != "not-yours" {
		t.Errorf("%+v", found[1:])
	}
}

// Every purpose that agreements know has words of HL7, or is at least named.
func TestEveryPurposeIsNamed(t *testing.T) {
	for _, a := range index().Agreements() {
		for _, p := range a.Purposes {
			e := history()[3]
			e.Leaf.Purpose = p.Code
			text := string(events(t, "", []report.Entry{e})[0].text)
			if !strings.Contains(text, `v3-ActReason`) || !strings.Contains(text, `"text":"`+string(p.Code)+`"`) {
				t.Errorf("%s of %s has no code of HL7", p.Code, a.ID)
			}
		}
	}
}
