package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

const (
	constabulary = transfer.PartnerID("hertfordshire-constabulary")
	leadSystem   = transfer.PartnerID("carers-in-hertfordshire/dpl") // of the Data Protection Lead
)

// ofPeople are the operations by which people decide, and enter things by hand.
var ofPeople = []string{
	"listHolds", "ruleOnHold", "listExceptions", "reviewException", "enterRequest", "listRequests", "decideRequest", "enterDisclosure",
	"openCase", "listCases", "getCase", "takeStep", "reportCase", "sizeIncident", "draftNotification", "complaintInventory", "listNotices", "getNotice", "answerNotice",
	"bringCosignature", "reconcile",
}

// perpetrator puts somebody into the household of whom harm is alleged: the safeguarding lead has to look.
func perpetrator(m referral) {
	m["household"] = []any{map[string]any{
		"name": map[string]any{"given": "Rhys", "family": "Farrow"}, "relationship_to_carer": "partner", "alleged_perpetrator": true,
	}}
}

// asksFor makes a message the answer to a request of the police.
func asksFor(reference string) func(referral) {
	return func(m referral) {
		m["purpose"], m["recipients"] = "crime", []transfer.PartnerID{constabulary}
		delete(m, "service")
		delete(m, "consents")
		m["demand"] = map[string]any{
			"instrument": "request", "reference": reference, "by": "Detective Sergeant, Hertfordshire Constabulary", "on": "2026-11-19",
			"items": []string{"carer.name.given", "carer.name.family"}, "person": "dpl-1",
		}
	}
}

// waiting gives what waits about a transfer.
func (c *county) waiting(id transfer.TransferID) *client.Job {
	c.Helper()
	page, err := c.as(leadSystem).Holds(c.Context(), "", "", 200)
	c.must(err)
	for i := range page.Holds {
		if page.Holds[i].TransferID == id {
			return &page.Holds[i]
		}
	}
	return nil
}

func codesOf(reasons []client.Reason) []string {
	return lo.Uniq(lo.Map(reasons, func(r client.Reason, _ int) string { return r.Code }))
}

func rules(act, person, ground string, reasons ...string) client.Ruling {
	return client.Ruling{Act: act, Person: person, Codes: reasons, Ground: ground, At: time.Now().UTC().Truncate(time.Second)}
}

func TestAHoldIsReleasedByWhoeverMay(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		held := c.send(carersInHerts, c.example("adult-carer-hertswise").with("held", whose(gwen), perpetrator), transfer.Hold)
		job := c.waiting(held.ID)
		if job == nil || job.Owner != "safeguarding-lead" || job.Overdue || job.Reasons[0].Detail == "" {
			t.Fatalf("it waits as %+v", job)
		}
		lead := c.as(leadSystem)
		for _, person := range []string{"caseworker-1", "dpl-1", "somebody-else"} {
			_, err := lead.Rule(t.Context(), held.ID, rules("release", person, "safe-to-send", codesOf(job.Reasons)...))
			if p := c.problem(err, http.StatusForbidden); person != "somebody-else" && !strings.Contains(p.Detail, "safeguarding-lead") {
				t.Errorf("%s is told: %s", person, p.Detail)
			}
		}
		_, err := c.as(carersInHerts).Rule(t.Context(), held.ID, rules("release", "safeguarding-1", "safe-to-send", codesOf(job.Reasons)...))
		c.problem(err, http.StatusForbidden) // the caseworkers' system rules on nothing, whoever it says that it was
		_, err = c.as("age-uk-hertfordshire/dpl").Rule(t.Context(), held.ID, rules("release", "safeguarding-1", "safe-to-send", codesOf(job.Reasons)...))
		c.problem(err, http.StatusNotFound)
		if page, err := c.as("age-uk-hertfordshire/dpl").Holds(t.Context(), "", "", 0); err != nil || len(page.Holds) > 0 {
			t.Errorf("the recipient sees %+v, %v", page, err)
		}
		operator, err := c.as("hub-operator/dpl").Holds(t.Context(), "", "", 0)
		c.must(err)
		if len(operator.Holds) != 1 || operator.Holds[0].MessageID != "" || operator.Holds[0].Reasons[0].Detail != "" {
			t.Errorf("the operator sees %+v", operator.Holds)
		}

		r := rules("release", "safeguarding-1", "safe-to-send", codesOf(job.Reasons)...)
		for range 2 {
			now, err := lead.Rule(t.Context(), held.ID, r)
			c.must(err)
			if now.State != transfer.Queued {
				t.Fatalf("it is %s", now.State)
			}
		}
		c.stop() // what was ruled outlives the hub
		c.start()
		d, err := c.as(ageUKHerts).Collect(t.Context(), held.ID)
		c.must(err)
		if strings.Contains(string(d.Dataset), "Rhys") {
			t.Error("what the safeguarding lead did not let go went as well")
		}
		if c.waiting(held.ID) != nil {
			t.Error("it still waits")
		}
		found, err := c.as("age-uk-hertfordshire/dpl").Search(t.Context(), client.Query{TransferID: held.ID, Why: "routine check"})
		c.must(err)
		if slices.ContainsFunc(found.Entries, func(e client.Entry) bool { return e.Ruling != nil }) {
			t.Error("the recipient reads what the sender's people weighed")
		}
		// They are shown the leaf that proves what they got. In no leaf that they are shown does anything stand about anybody else, or why it went:
		// they would be told of whom harm is alleged.
		for index := range d.Log.Index + 1 {
			proof, err := c.as(ageUKHerts).InclusionProof(t.Context(), index, d.Log.Index+1)
			c.must(err)
			for _, member := range []string{"facts", "stripped", "noticed", "reasons", "staff", "undertaking", "conditions"} {
				if strings.Contains(string(proof.Leaf), `"`+member+`"`) {
					t.Errorf("the recipient is shown %s", proof.Leaf)
				}
			}
			if index == d.Log.Index {
				c.must(d.CheckLeaf(proof.Leaf))
				if strings.Contains(string(proof.Leaf), "household") || !strings.Contains(string(proof.Leaf), `"consent":"given"`) {
					t.Errorf("the release is %s", proof.Leaf)
				}
			}
		}
		found, err = c.as("hub-operator/dpl").Search(t.Context(), client.Query{TransferID: held.ID, Why: "routine check"})
		c.must(err)
		if !slices.ContainsFunc(found.Entries, func(e client.Entry) bool {
			return e.Ruling != nil && e.Ruling.Person == "safeguarding-1" && e.Ruling.Role == transfer.SafeguardingLead && e.Ruling.Ground == "safe-to-send"
		}) {
			t.Errorf("the log has %+v", found.Entries)
		}
		c.audited()
	})
}

func TestWhatSomebodySaidIsNotRuledAway(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		lead := c.as(leadSystem)
		held := c.send(carersInHerts, c.example("adult-carer-hertswise").with("held", whose(gwen), without("consents")), transfer.Hold)
		_, err := lead.Rule(t.Context(), held.ID, rules("release", "dpl-1", "public-interest", codesOf(c.waiting(held.ID).Reasons)...))
		if p := c.problem(err, http.StatusForbidden); !strings.Contains(p.Detail, "No ruling lifts CONSENT_NONE") {
			t.Errorf("the answer: %s", p.Detail)
		}
		_, err = c.as(carersInHerts).Consent(t.Context(), consent("no", gwen, "refused"))
		c.must(err)
		_, err = lead.Rule(t.Context(), held.ID, rules("release", "dpl-1", "public-interest", "CONSENT_REFUSED"))
		if p := c.problem(err, http.StatusConflict); p.State != string(transfer.Refused) {
			t.Errorf("it is %s", p.State)
		}
		if job := c.waiting(held.ID); job == nil || job.State != transfer.Refused || job.Owner != "dpl" {
			t.Errorf("the refusal waits as %+v", job)
		}
		c.audited()
	})
}

func TestSomethingHasComeUpSinceTheRuling(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		lead := c.as(leadSystem)
		held := c.send(carersInHerts, c.example("adult-carer-hertswise").with("held", whose(gwen), perpetrator), transfer.Hold)
		codes := codesOf(c.waiting(held.ID).Reasons)
		_, err := c.as(carersInHerts).Consent(t.Context(), consent("less", gwen, "given")) // it covers less than the one in the message
		c.must(err)
		_, err = lead.Rule(t.Context(), held.ID, rules("release", "safeguarding-1", "safe-to-send", codes...))
		p := c.problem(err, http.StatusConflict)
		now := codesOf(p.Reasons)
		if len(lo.Without(now, codes...)) == 0 {
			t.Fatalf("the reasons of now: %v; they were %v", now, codes)
		}
		_, err = lead.Rule(t.Context(), held.ID, rules("release", "safeguarding-1", "safe-to-send", now...))
		c.must(err)
		c.audited()
	})
}

func TestItIsReturnedAndSentAgain(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		held := c.send(carersInHerts, c.example("adult-carer-hertswise").with("first", whose(gwen), without("consents")), transfer.Hold)
		now, err := c.as(leadSystem).Rule(t.Context(), held.ID, rules("return", "caseworker-1", "ask-the-person", "CONSENT_NONE"))
		c.must(err)
		if now.State != transfer.Returned || c.waiting(held.ID) != nil {
			t.Errorf("it is %s, and waits as %+v", now.State, c.waiting(held.ID))
		}
		again := c.send(carersInHerts, c.example("adult-carer-hertswise").with("second", whose(gwen)), transfer.PermitReduced)
		_, err = c.as(ageUKHerts).Collect(t.Context(), again.ID)
		c.must(err)
		c.audited()
	})
}

// asked is a request of the police, as it is entered.
func asked(id string, change ...func(map[string]any)) []byte {
	m := map[string]any{
		"contract": "request/1", "message_id": id, "organisation": constabulary, "office": "Detective Sergeant", "received": "2026-11-19",
		"items": []string{"carer.name.given", "carer.name.family"}, "purpose": "crime", "necessity": "prevent-or-detect-crime",
		"basis": map[string]string{"article6": "ea", "law": "Data Protection Act 2018 Sch 2 para 2"}, "dpia": "not-needed", "view": "agrees",
		"relationship": "separate-controllers", "agreement_in_place": false,
	}
	for _, f := range change {
		f(m)
	}
	return mustJSON(m)
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

var grantedBy = client.Answer{Decision: "granted", Reasons: []string{"necessary-and-proportionate"}, Person: "dpl-1", Decided: "2026-11-20"}

func TestAPoliceRequestIsEnteredGrantedAndMet(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		lead := c.as(leadSystem)
		reference, err := lead.AskedFor(t.Context(), asked("police-1"))
		c.must(err)
		again, err := lead.AskedFor(t.Context(), asked("police-1"))
		if c.must(err); again != reference {
			t.Errorf("the same request is %s and %s", reference, again)
		}
		m := func(id string) referral {
			return c.example("adult-carer-hertswise").with(id, whose(joan), asksFor(reference))
		}
		_, err = c.as(carersInHerts).Send(t.Context(), m("too-early").bytes())
		if p := c.problem(err, http.StatusUnprocessableEntity); p.Faults[0].Rule != "not-granted" {
			t.Errorf("before it was granted: %+v", p.Faults)
		}
		answer := grantedBy
		answer.Person = "caseworker-1"
		_, err = lead.DecideRequest(t.Context(), reference, answer)
		c.problem(err, http.StatusForbidden)
		for range 2 {
			r, err := lead.DecideRequest(t.Context(), reference, grantedBy)
			c.must(err)
			if r.State != "granted" || len(r.Granted) != 2 {
				t.Errorf("decided: %+v", r)
			}
		}
		_, err = lead.DecideRequest(t.Context(), reference, client.Answer{Decision: "refused", Reasons: []string{"not-necessary"}, Person: "dpl-1", Decided: "2026-11-20"})
		c.problem(err, http.StatusConflict)

		held := c.send(carersInHerts, m("met"), transfer.Hold)
		if job := c.waiting(held.ID); job == nil || job.Owner != "dpl" {
			t.Fatalf("it waits as %+v", job)
		}
		_, err = lead.Rule(t.Context(), held.ID, rules("release", "dpl-1", "crime-necessity", codesOf(c.waiting(held.ID).Reasons)...))
		c.must(err)
		d, err := c.as(constabulary).Collect(t.Context(), held.ID)
		c.must(err)
		if d.Outcome != transfer.PermitException || !strings.Contains(string(d.Dataset), `"family"`) || strings.Contains(string(d.Dataset), "phones") {
			t.Errorf("as %s went: %s", d.Outcome, d.Dataset)
		}
		page, err := lead.Exceptions(t.Context(), "", 0)
		c.must(err)
		if len(page.Exceptions) != 1 || page.Exceptions[0].TransferID != held.ID || page.Exceptions[0].Owner != "dpl" {
			t.Fatalf("to be reviewed: %+v", page.Exceptions)
		}
		_, err = lead.Review(t.Context(), held.ID, rules("reviewed", "dpl-1", "justified"))
		c.must(err)
		if page, err = lead.Exceptions(t.Context(), "", 0); err != nil || len(page.Exceptions) > 0 {
			t.Errorf("still to be reviewed: %+v, %v", page, err)
		}
		open, err := lead.Requests(t.Context(), "open", "", 0)
		if c.must(err); len(open) > 0 {
			t.Errorf("still open: %+v", open)
		}
		c.audited()
	})
}

// told is what somebody told an ambulance crew on the telephone.
func told(id, nhs string, change ...func(map[string]any)) []byte {
	m := map[string]any{
		"contract": "disclosure/1", "message_id": id, "office": "ambulance crew, East of England Ambulance Service",
		"people": []any{map[string]any{
			"role": "carer", "identifiers": []any{map[string]string{"scheme": "nhs-number", "value": nhs}}, "items": []string{"carer.name.family", "carer.condition"},
		}},
		"purpose": "emergency", "basis": map[string]string{"article6": "d", "article9": "c"}, "exception": "danger-to-life", "how": "telephone",
		"made": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "person": "caseworker-1",
	}
	for _, f := range change {
		f(m)
	}
	return mustJSON(m)
}

func TestToldByTelephoneAndFoundInThePersonsHistory(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		ctx := t.Context()
		sender := c.as(carersInHerts)
		body := told("told-1", gwen)
		first, err := sender.Disclosed(ctx, body)
		c.must(err)
		again, err := sender.Disclosed(ctx, body)
		if c.must(err); again != first {
			t.Errorf("entered at %v and at %v", first, again)
		}
		_, err = sender.Disclosed(ctx, told("told-1", joan))
		c.problem(err, http.StatusConflict)
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("later", whose(gwen)), transfer.PermitReduced)

		found, err := c.as(leadSystem).Search(ctx, client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: gwen}, Why: "subject access request"})
		c.must(err)
		entries := lo.Filter(found.Entries, func(e client.Entry, _ int) bool { return e.Kind == "disclosure" })
		if len(entries) != 1 {
			t.Fatalf("the history has %+v", found.Entries)
		}
		if e := entries[0]; e.Outside == nil || e.Outside.How != "telephone" || e.Outside.Person != "caseworker-1" || e.Role != transfer.Carer ||
			!slices.Equal(e.Items, []string{"carer.name.family", "carer.condition"}) {
			t.Errorf("it says %+v", e)
		}
		if strings.Contains(c.log.String(), gwen) {
			t.Error("the number is in the log of the process")
		}
		for _, wrong := range []struct {
			name   string
			status int
			change func(map[string]any)
		}{
			{"to nobody", 422, func(m map[string]any) { delete(m, "office") }},
			{"to a name", 422, func(m map[string]any) { m["office"] = "Mrs Example, ambulance" }},
			{"to a number", 422, func(m map[string]any) { m["office"] = "crew 07700 900123" }},
			{"to a partner nobody knows", 422, func(m map[string]any) { delete(m, "office"); m["to"] = "nobody" }},
			{"an unknown item", 422, func(m map[string]any) { m["people"].([]any)[0].(map[string]any)["items"] = []string{"carer.shoe_size"} }},
			{"tomorrow", 422, func(m map[string]any) { m["made"] = time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339) }},
			{"by somebody else's caseworker", 403, func(m map[string]any) { m["person"] = "somebody-9" }},
			{"for a request nobody made", 409, func(m map[string]any) { m["request"] = "req-" + uuid.NewString() }},
		} {
			_, err := sender.Disclosed(ctx, told("wrong", gwen, wrong.change))
			if p := c.problem(err, wrong.status); t.Failed() {
				t.Fatalf("%s: %v", wrong.name, p)
			}
		}
		c.audited()
	})
}

// A message that claims an exception needs a scope of its own.
func TestAnExceptionIsClaimedByThoseWhoMay(t *testing.T) {
	c := newCounty(t, "")
	body := c.example("court-order").with("order").bytes()
	token := c.narrow("carers-in-hertfordshire/casework", "referrals:send")
	if status, p := c.post(token, "/v1/referrals", string(body)); status != http.StatusForbidden || !strings.Contains(fmt.Sprint(p["detail"]), "exceptions:claim") {
		t.Errorf("without the scope: %d %v", status, p)
	}
	if status, _ := c.post(c.token("carers-in-hertfordshire/casework"), "/v1/referrals", string(body)); status != http.StatusCreated {
		t.Errorf("with it: %d", status)
	}
}

// narrow logs a system in for some of its scopes alone.
func (c *county) narrow(id transfer.SystemID, scopes ...string) string {
	c.Helper()
	cl, err := client.New(client.Config{BaseURL: c.cfg.URL, System: id, Key: c.keys[id], Scopes: scopes})
	c.must(err)
	token, err := cl.Token(c.Context())
	c.must(err)
	return token
}

// letPeopleDecide tells the stories of people in every way that the document knows.
func (d *description) letPeopleDecide(c *county) {
	d.Helper()
	ctx := c.Context()
	lead, sender, police := d.through(c, "carers-in-hertfordshire/dpl"), d.through(c, "carers-in-hertfordshire/casework"), d.through(c, "hertfordshire-constabulary/casework")
	must := func(_ any, err error) {
		d.Helper()
		c.must(err)
	}
	reference, err := lead.AskedFor(ctx, asked("d-request"))
	c.must(err)
	must(lead.AskedFor(ctx, asked("d-request")))
	must(lead.AskedFor(ctx, asked("d-request-2")))
	for range 2 {
		must(lead.DecideRequest(ctx, reference, grantedBy))
	}
	for _, after := range []string{"", reference} {
		must(lead.Requests(ctx, "", after, 1))
	}
	send := func(id string) transfer.TransferID {
		d.Helper()
		sent, err := sender.Send(ctx, c.example("adult-carer-hertswise").with(id, whose(desmond), asksFor(reference)).bytes())
		c.must(err)
		return sent.Transfers[0].ID
	}
	id, second := send("d-met"), send("d-again-met")
	page, err := lead.Holds(ctx, "dpl", "", 1)
	c.must(err)
	must(lead.Holds(ctx, "", page.Next, 200))
	r := rules("release", "dpl-1", "crime-necessity", string(policy.DemandNotCompelling))
	_, err = lead.Rule(ctx, second, rules("release", "dpl-1", "crime-necessity", "NO_AGREEMENT"))
	c.problem(err, http.StatusConflict) // not what holds it
	for range 2 {
		must(lead.Rule(ctx, id, r))
	}
	must(police.Collect(ctx, id))
	must(lead.Exceptions(ctx, "", 1))
	review := rules("reviewed", "dpl-1", "justified")
	for range 2 {
		must(lead.Review(ctx, id, review))
	}
	_, err = lead.Review(ctx, id, rules("reviewed", "dpl-1", "not-justified"))
	c.problem(err, http.StatusConflict)
	telephoned := told("d-told", desmond)
	for range 2 {
		must(lead.Disclosed(ctx, telephoned))
	}
	_, err = lead.Disclosed(ctx, told("d-told", gwen))
	c.problem(err, http.StatusConflict)
	_, err = lead.AskedFor(ctx, asked("d-request", func(m map[string]any) { m["office"] = "Inspector" }))
	c.problem(err, http.StatusConflict)
	_, err = lead.DecideRequest(ctx, reference, client.Answer{Decision: "refused", Reasons: []string{"not-necessary"}, Person: "dpl-1", Decided: "2026-11-20"})
	c.problem(err, http.StatusConflict)

	nobody := transfer.TransferID(uuid.NewString())
	_, err = lead.Rule(ctx, nobody, r)
	c.problem(err, http.StatusNotFound)
	_, err = lead.Review(ctx, nobody, review)
	c.problem(err, http.StatusNotFound)
	_, err = lead.DecideRequest(ctx, "req-"+uuid.NewString(), grantedBy)
	c.problem(err, http.StatusNotFound)
	for _, told := range []client.Query{{Subject: &client.Identifier{Scheme: "nhs-number", Value: desmond}, Why: "routine check"}, {TransferID: id, Why: "routine check"}} {
		must(lead.Search(ctx, told))
	}
}
