package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

// anIncident is one that nobody in particular is concerned in, by the contract case/1.
func anIncident(id string, change ...func(map[string]any)) []byte {
	m := map[string]any{"contract": "case/1", "message_id": id, "type": "incident", "person": "dpl-1", "grounds": []string{"wrong-recipient"}}
	for _, f := range change {
		f(m)
	}
	return mustJSON(m)
}

// A laptop is stolen at Age UK, on a Friday afternoon. From the call to the notification.
func TestALaptopIsStolen(t *testing.T) {
	c := newCounty(t, "")
	ctx := c.Context()
	lead, ageUK, casework, operator := c.as("carers-in-hertfordshire/dpl"), c.as("age-uk-hertfordshire/dpl"), c.as(ageUKHerts), c.as("hub-operator/dpl")
	given := c.send(carersInHerts, c.example("adult-carer-hertswise").with("i.1", whose(idris)), transfer.PermitReduced)
	_, err := casework.Collect(ctx, given.ID)
	c.must(err)
	waits := c.send(carersInHerts, c.example("adult-carer-hertswise").with("i.2", whose(joan)), transfer.PermitReduced)

	scope := client.Scope{Recipient: ageUKHerts, From: client.Instant{Time: time.Now().Add(-time.Hour)}}
	for name, who := range map[string]*client.Client{"the sender": lead, "the recipient": ageUK, "the operator": operator} {
		size, err := who.SizeIncident(ctx, scope, "laptop stolen")
		c.must(err)
		if size.Disclosures != 1 || size.People != 1 || size.Waiting.Queued != 1 || len(size.Evidence) != 1 || len(size.Items) == 0 {
			t.Errorf("%s finds %d disclosures about %d people, waiting %+v", name, size.Disclosures, size.People, size.Waiting)
		}
	}

	k, err := operator.OpenCase(ctx, anIncident("i.case", has("grounds", []string{"unauthorised-access"}), has("scope", map[string]any{"recipient": ageUKHerts})))
	c.must(err)
	for _, step := range [][]byte{
		does("i.sized", "sized"),
		does("i.recall", "recall", has("grounds", []string{"compromised"})),
		does("i.risk", "assessed", has("grounds", []string{"risk"}), has("details", map[string]any{"consequences": []string{"distress"}})),
	} {
		if k, err = operator.TakeStep(ctx, k.Reference, step); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	_, err = casework.Collect(ctx, waits.ID)
	c.problem(err, http.StatusConflict)
	if k, err = operator.TakeStep(ctx, k.Reference, does("i.told", "notified-controllers")); err != nil {
		t.Fatal(err)
	}
	page, err := lead.Notices(ctx, "sent", false, "", 0)
	c.must(err)
	var acts []string // of what was stopped and did not arrive, and of the incident
	for _, n := range page.Notices {
		acts = append(acts, n.Act)
	}
	if !slices.Equal(acts, []string{"recall", "incident"}) {
		t.Errorf("the controller is told of %v", acts)
	}
	text, err := operator.Notification(ctx, k.Reference, "text")
	c.must(err)
	for _, want := range []string{"1 person, 1 record", "unauthorised-access", "distress", "recalled", "age-uk-hertfordshire: 1 person in 1 disclosure\n", "special category", "sha256:"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the draft does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), idris) {
		t.Error("the draft has an NHS number")
	}
	c.stop()
	c.audited()
}

// exerciseIncidents tells the story of an incident in every way that the document knows.
func (d *description) exerciseIncidents(c *county) {
	d.Helper()
	ctx := c.Context()
	lead := d.through(c, "carers-in-hertfordshire/dpl")
	_, err := lead.SizeIncident(ctx, client.Scope{Recipient: ageUKHerts, Held: true}, "laptop stolen")
	c.must(err)
	k, err := lead.OpenCase(ctx, anIncident("d-incident", has("scope", map[string]any{"recipient": ageUKHerts})))
	c.must(err)
	_, err = lead.TakeStep(ctx, k.Reference, does("d-sized", "sized"))
	c.must(err)
	_, err = lead.TakeStep(ctx, k.Reference, does("d-again-sized", "sized", has("details", map[string]any{"scope": map[string]any{"recipient": pohwer}})))
	c.must(err)
	for _, form := range []string{"json", "text"} {
		_, err = lead.Notification(ctx, k.Reference, form)
		c.must(err)
	}
	_, err = lead.Inventory(ctx)
	c.must(err)
	_, err = lead.Notification(ctx, k.Reference, "pdf")
	c.problem(err, http.StatusUnprocessableEntity)
	_, err = lead.Notification(ctx, "case-"+uuid.NewString(), "json")
	c.problem(err, http.StatusNotFound)
}

func TestBadInputAboutIncidents(t *testing.T) {
	c := newCounty(t, "")
	token := c.token("carers-in-hertfordshire/dpl")
	size := func(scope, why string) string { return `{"scope":` + scope + `,"why":"` + why + `"}` }
	for name, q := range map[string]struct {
		body, pointer string
		status        int
	}{
		"nothing":               {size(`{}`, "laptop stolen"), "/scope", 422},
		"no reason":             {size(`{"recipient":"pohwer"}`, "x"), "/why", 422},
		"a number":              {size(`{"recipient":"pohwer"}`, "about 999 000 0042"), "/why", 422},
		"somebody's name":       {size(`{"recipient":"mrs-example"}`, "laptop stolen"), "/scope/recipient", 422},
		"an unknown item":       {size(`{"items":["carer.shoe_size"]}`, "laptop stolen"), "/scope/items/0", 422},
		"a time that is none":   {size(`{"from":"yesterday"}`, "laptop stolen"), "/scope/from", 422},
		"a member that is none": {size(`{"person":"9990000042"}`, "laptop stolen"), "/scope", 422},
		"others' transfers":     {size(`{"sender":"pohwer","recipient":"hils"}`, "laptop stolen"), "", 403},
	} {
		status, p := c.post(token, "/v1/incidents/size", q.body)
		faults, _ := p["faults"].([]any)
		found := q.pointer == ""
		for _, f := range faults {
			found = found || f.(map[string]any)["pointer"] == q.pointer
		}
		if status != q.status || !found {
			t.Errorf("%s: %d, %v", name, status, p)
		}
	}
	if a := c.ask(request{method: http.MethodPost, path: "/v1/incidents/size", token: c.token("carers-in-hertfordshire/casework")}); a.status != http.StatusForbidden {
		t.Errorf("a system without the scope: %d", a.status)
	}
}
