package server_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

// hidden is Maureen's referral with an address that is protected.
func (c *county) hidden(id string, change ...func(referral)) referral {
	c.Helper()
	return c.example("adult-carer-hertswise").with(id, append(change, at("carer.address_protected", true))...)
}

// Where somebody lives who must not be found stands in more places than her address: her husband's, her surgery's, her doctor's, the note on
// how to find the door. She has agreed to all of it, the agreement lists it, and none of it goes.
func TestNothingLeadsToHerWhoseAddressIsProtected(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		m := c.hidden("protected", at("cared_for.0.phones", []any{map[string]any{"number": "01632 960777"}}))
		sent := c.send(carersInHerts, m, transfer.PermitReduced)
		got, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		c.must(got.CheckDigest())
		for _, lead := range []string{
			"Quill Lane", "SG14", "100080999118", "St Swithun", "Church Path", "SG12", "01632 960417", "07700 900417", "mo.obrien", "archway",
			"07700 900418", "Z99001", "960555", "Okonjo", "960777",
		} {
			if !bytes.Contains(m.bytes(), []byte(lead)) {
				t.Fatalf("%s is not in the referral", lead)
			}
			if bytes.Contains(got.Dataset, []byte(lead)) {
				t.Errorf("%s leads to her, and Age UK has it", lead)
			}
		}
		if !slices.Contains(got.Obligations, client.Obligation{Code: "protect"}) {
			t.Errorf("Age UK is not told to keep her safe: %v", got.Obligations)
		}
		// Who she is goes, how to treat her, and whom to ask.
		for _, needed := range []string{"O'Brien", `"address_protected":true`, `"safe_to_contact":true`, "Atrial fibrillation", "01632 960100"} {
			if !bytes.Contains(got.Dataset, []byte(needed)) {
				t.Errorf("the dataset lacks %s", needed)
			}
		}
		if !slices.ContainsFunc(sent.Reasons, func(r client.Reason) bool { return r.Code == "ADDRESS_PROTECTED" && r.Remedy != "" }) {
			t.Errorf("the sender is not told why: %v", sent.Reasons)
		}
		c.audited()
	})
}

// An address that is typed into the notes leaves with nobody: it waits for the sender to take it out, and stands nowhere but in the sealed
// payload meanwhile.
func TestAnAddressTypedIntoTheNotesHolds(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		for name, note := range map[string]string{
			"address": "She stays with her sister at 14 Elmtree Road, sg12 9zx.", "number": "Ring her sister on (07700)900-766.", "mail": "Write to quuxfriend@example.org.",
		} {
			held := c.send(carersInHerts, c.hidden("notes-"+name, at("referral.reason", note)), transfer.Hold)
			if held.State != transfer.Held || held.Owner != "sender" || !slices.ContainsFunc(held.Reasons, func(r client.Reason) bool { return r.Code == "CONTACT_IN_NOTES" && r.Remedy != "" }) {
				t.Errorf("%s: %s, for %s: %v", name, held.State, held.Owner, held.Reasons)
			}
			_, err := c.as(ageUKHerts).Collect(t.Context(), held.ID)
			c.problem(err, http.StatusConflict)
		}
		queue, err := c.as("carers-in-hertfordshire/dpl").Holds(t.Context(), "sender", "", 10)
		c.must(err)
		if len(queue.Holds) != 3 {
			t.Errorf("%d wait for the sender's people", len(queue.Holds))
		}
		places := c.files()
		places["what the hub logs"] = []byte(c.log.String())
		for name, text := range places {
			for _, said := range []string{"Elmtree", "sg12 9zx", "900-766", "quuxfriend"} {
				if bytes.Contains(text, []byte(said)) {
					t.Errorf("%s holds %s", name, said)
				}
			}
		}
		sent := c.send(carersInHerts, c.hidden("notes-put-right", at("referral.reason", "Ask us how to reach her.")), transfer.PermitReduced)
		got, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		if !strings.Contains(string(got.Dataset), "Ask us how to reach her.") {
			t.Error("what was put right did not go")
		}
		if report := c.audited(); report.Releases != 1 {
			t.Errorf("%d releases", report.Releases)
		}
	})
}

// What reports a crime is in the log like everything else, and whoever answers a subject access request from it is told to leave it out.
func TestAReportOfACrimeIsKeptFromThePerson(t *testing.T) {
	c := newCounty(t, "")
	const police = transfer.PartnerID("hertfordshire-constabulary")
	report := func(m referral) {
		m["purpose"] = "crime"
		m["exception"] = map[string]any{
			"kind": "crime-report", "person": "dpl-1", "at": time.Now().UTC().Format(time.RFC3339), "record": "CIH-EX-9", "necessary": true,
			"law": "Proceeds of Crime Act 2002 s.330",
		}
	}
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise").with("report", whose(joan), to(police), report, without("service", "consents", "undertaking")), transfer.PermitException)
	got, err := c.as(police).Collect(t.Context(), sent.ID)
	c.must(err)
	if !slices.Contains(got.Obligations, client.Obligation{Code: "do-not-inform"}) || got.Agreement.ID != "" {
		t.Errorf("the police are told %v, under %+v", got.Obligations, got.Agreement)
	}
	if bytes.Contains(got.Dataset, []byte("Atrial")) || !bytes.Contains(got.Dataset, []byte("O'Brien")) {
		t.Errorf("the report holds %s", got.Dataset)
	}
	found, err := c.as("hub-operator/dpl").Search(t.Context(), client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: joan}, Why: "subject access request"})
	c.must(err)
	secret := 0
	for _, e := range found.Entries {
		claimed := e.Exception == "crime-report" || e.Kind == "release" // which says only what the police may read
		if client.Secret("", lo.Map(e.Duties, func(d client.Task, _ int) string { return d.Code })) && claimed && !e.ExpiresAt.IsZero() {
			secret++
		}
	}
	if secret != 3 || len(found.Entries) != 3 { // decided, decided again, and released
		t.Errorf("%d of %d entries are kept from her", secret, len(found.Entries))
	}
	c.audited()
}
