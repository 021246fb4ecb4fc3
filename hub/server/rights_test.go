package server_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// asks is a right that somebody exercises, by the contract case/1.
func asks(id, kind, nhs string, change ...func(map[string]any)) []byte {
	m := map[string]any{
		"contract": "case/1", "message_id": id, "type": kind, "person": "dpl-1", "channel": "telephone", "identity": "known",
		"identifiers": []any{map[string]string{"scheme": "nhs-number", "value": nhs}},
	}
	for _, f := range change {
		f(m)
	}
	return mustJSON(m)
}

// does is a step of a case, by the contract case-step/1.
func does(id, step string, change ...func(map[string]any)) []byte {
	m := map[string]any{"contract": "case-step/1", "message_id": id, "step": step, "person": "dpl-1"}
	for _, f := range change {
		f(m)
	}
	return mustJSON(m)
}

func has(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

// Idris rings Carers in Hertfordshire: the telephone number that they passed on is wrong. The Data Protection Lead's week with it.
func TestADataProtectionLeadsWeek(t *testing.T) {
	c := newCounty(t, "")
	ctx := c.Context()
	lead, ageUK, casework := c.as("carers-in-hertfordshire/dpl"), c.as("age-uk-hertfordshire/dpl"), c.as(ageUKHerts)
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise").with("w.1", whose(idris)), transfer.PermitReduced)
	_, err := casework.Collect(ctx, sent.ID)
	c.must(err)

	k, err := lead.OpenCase(ctx, asks("w.case", "access", idris))
	if c.must(err); !k.Known || k.State != "open" || len(k.Deadlines) != 1 {
		t.Fatalf("opened: %+v", k)
	}
	letter, err := lead.CaseReport(ctx, k.Reference, "person", "text")
	if c.must(err); !bytes.Contains(letter, []byte("Age UK Hertfordshire")) || bytes.Contains(letter, []byte(idris)) {
		t.Errorf("the letter to Idris:\n%s", letter)
	}
	k, err = lead.TakeStep(ctx, k.Reference, does("w.answered", "answered"))
	if c.must(err); k.State != "closed" {
		t.Errorf("answered, and it is %s", k.State)
	}

	k, err = lead.OpenCase(ctx, asks("w.wrong", "rectification", idris))
	c.must(err)
	k, err = lead.TakeStep(ctx, k.Reference, does("w.accepted", "accepted", has("items", []string{"carer.phones"})))
	if c.must(err); len(k.Notices) != 1 || k.Notices[0].Recipient != ageUKHerts {
		t.Fatalf("told: %+v", k.Notices)
	}
	page, err := ageUK.Notices(ctx, "sent", false, "", 0)
	if c.must(err); len(page.Notices) != 1 || !slices.Equal(page.Notices[0].Transfers, []transfer.TransferID{sent.ID}) {
		t.Fatalf("Age UK is told %+v", page.Notices)
	}
	notice := page.Notices[0]
	_, err = ageUK.AnswerNotice(ctx, notice.ID, client.NoticeAnswer{MessageID: "w.done", Status: "actioned", Person: "dpl-1"})
	c.must(err)
	_, err = lead.TakeStep(ctx, k.Reference, does("w.told", "answered"))
	c.must(err)
	k, err = lead.TakeStep(ctx, k.Reference, does("w.closed", "closed"))
	if c.must(err); k.State != "closed" || k.Notices[0].State != "actioned" {
		t.Errorf("the case is %s, and the notice %s", k.State, k.Notices[0].State)
	}

	// Somebody of whom the hub has never heard: the same answer, and nothing in it.
	stranger, err := lead.OpenCase(ctx, asks("w.stranger", "access", joan))
	if c.must(err); stranger.Known || stranger.State != "open" {
		t.Errorf("about a stranger: %+v", stranger)
	}
	c.stop()
	for _, secret := range []string{idris, joan, "Maureen", "07700"} {
		if strings.Contains(c.log.String(), secret) {
			t.Errorf("the hub's own log has %q", secret)
		}
	}
	c.audited()
}

// exerciseRights tells the stories of rights in every way that the document knows.
func (d *description) exerciseRights(c *county) {
	d.Helper()
	ctx := c.Context()
	lead, ageUK, operator := d.through(c, "carers-in-hertfordshire/dpl"), d.through(c, "age-uk-hertfordshire/dpl"), d.through(c, "hub-operator/dpl")
	must := func(_ any, err error) {
		d.Helper()
		c.must(err)
	}
	sent, err := d.through(c, "carers-in-hertfordshire/casework").Send(ctx, c.example("adult-carer-hertswise").with("d-rights", whose(idris)).bytes())
	c.must(err)
	must(d.through(c, "age-uk-hertfordshire/casework").Collect(ctx, sent.Transfers[0].ID))
	must(lead.Disclosed(ctx, told("d-rights-told", idris)))

	wrong := asks("d-wrong", "rectification", idris, has("items", []string{"carer.name.family"}))
	var k *client.Case
	for range 2 {
		k, err = lead.OpenCase(ctx, wrong)
		c.must(err)
	}
	_, err = lead.OpenCase(ctx, asks("d-wrong", "access", idris))
	c.problem(err, http.StatusConflict)
	_, err = lead.TakeStep(ctx, k.Reference, does("d-closed", "closed"))
	c.problem(err, http.StatusConflict)
	for range 2 {
		must(lead.TakeStep(ctx, k.Reference, does("d-accepted", "accepted", has("items", []string{"carer.name.family"}))))
	}
	must(lead.TakeStep(ctx, k.Reference, does("d-told-outside", "told-outside", has("task", "task-1"))))
	must(lead.Case(ctx, k.Reference))
	for _, reader := range []string{"person", "dpl"} {
		for _, form := range []string{"json", "html", "text"} {
			must(lead.CaseReport(ctx, k.Reference, reader, form))
		}
	}
	complaint, err := lead.OpenCase(ctx, mustJSON(map[string]any{"contract": "case/1", "message_id": "d-complaint", "type": "complaint", "person": "dpl-1", "channel": "post"}))
	c.must(err)
	_, err = lead.CaseReport(ctx, complaint.Reference, "person", "json")
	c.problem(err, http.StatusConflict)
	page, err := lead.Cases(ctx, "", "", false, "", 1)
	c.must(err)
	must(lead.Cases(ctx, "rectification", "telling", false, page.Next, 200))
	must(operator.Cases(ctx, "", "", true, "", 0))

	notices, err := ageUK.Notices(ctx, "", false, "", 1)
	if c.must(err); len(notices.Notices) != 1 {
		d.Fatalf("Age UK has %d notices", len(notices.Notices))
	}
	must(ageUK.Notices(ctx, "actioned", true, notices.Next, 0))
	id := notices.Notices[0].ID
	must(ageUK.Notice(ctx, id))
	must(operator.Notices(ctx, "sent", false, "", 0))
	received := client.NoticeAnswer{MessageID: "d-received", Status: "received", Person: "dpl-1"}
	for range 2 {
		must(ageUK.AnswerNotice(ctx, id, received))
	}
	must(ageUK.AnswerNotice(ctx, id, client.NoticeAnswer{MessageID: "d-refused", Status: "refused", Reason: "not-held", Person: "dpl-1"}))
	_, err = ageUK.AnswerNotice(ctx, id, received2())
	c.problem(err, http.StatusConflict)
	_, err = ageUK.AnswerNotice(ctx, "notice-"+uuid.NewString(), received)
	c.problem(err, http.StatusNotFound)
	_, err = ageUK.Case(ctx, k.Reference) // another partner's
	c.problem(err, http.StatusNotFound)
	for _, subject := range []string{idris} { // entries of all kinds are shown to the Data Protection Lead
		must(operator.Search(ctx, client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: subject}, Why: "routine check"}))
	}
}

// received2 is an answer that takes back what was said.
func received2() client.NoticeAnswer {
	return client.NoticeAnswer{MessageID: "d-received-2", Status: "received", Person: "dpl-1"}
}

// What is sent to the operations about rights and is wrong is answered by what is wrong, and nothing is stored.
func TestBadInputAboutRights(t *testing.T) {
	c := newCounty(t, "")
	token := c.token("carers-in-hertfordshire/dpl")
	before := leaves(t, c.opened().Log(c.Context(), c.cfg.Origin))
	long := strings.Repeat("x", 65)
	for name, q := range map[string]struct {
		path, body, pointer string
		status              int
	}{
		"no type":                          {"/v1/cases", string(asks("b", "", idris)), "/type", 422},
		"a type of the hub's":              {"/v1/cases", string(asks("b", "flag", idris)), "/type", 422},
		"an NHS number":                    {"/v1/cases", string(asks("b", "access", "9990000043")), "/identifiers/0/value", 422},
		"a message id that names somebody": {"/v1/cases", string(asks(idris, "access", idris)), "/message_id", 422},
		"a message id that is long":        {"/v1/cases", string(asks(long, "access", idris)), "/message_id", 422},
		"the future":                       {"/v1/cases", string(asks("b", "access", idris, has("received", "2126-01-01"))), "/received", 422},
		"no day":                           {"/v1/cases", string(asks("b", "access", idris, has("received", "2026-02-30"))), "/received", 422},
		"no item":                          {"/v1/cases", string(asks("b", "access", idris, has("items", []string{"carer.shoe_size"}))), "/items/0", 422},
		"a free text":                      {"/v1/cases", string(asks("b", "access", idris, has("note", "she lives at 4 Example Road"))), "/note", 422},
		"nobody's":                         {"/v1/cases", string(asks("b", "access", idris, has("identifiers", []any{}))), "/identifiers", 422},
		"a stranger's step":                {"/v1/cases/case-" + uuid.NewString() + "/steps", string(does("b", "closed")), "", 404},
		"no case":                          {"/v1/cases/1%27%20OR%201=1/steps", string(does("b", "closed")), "", 404},
		"a step of no name":                {"/v1/cases/case-" + uuid.NewString() + "/steps", string(does("b", "'; DROP TABLE cases")), "/step", 422},
		"no notice":                        {"/v1/notices/notice-" + uuid.NewString() + "/answers", `{"contract":"notice-answer/1","message_id":"b","status":"actioned","person":"dpl-1"}`, "", 404},
		"no status":                        {"/v1/notices/notice-" + uuid.NewString() + "/answers", `{"contract":"notice-answer/1","message_id":"b","status":"done","person":"dpl-1"}`, "/status", 422},
		"a caseworker":                     {"/v1/cases", string(asks("b", "access", idris, has("person", "caseworker-1"))), "", 403},
	} {
		status, p := c.post(token, q.path, q.body)
		faults, _ := p["faults"].([]any)
		found := q.pointer == "" || slices.ContainsFunc(faults, func(f any) bool { return f.(map[string]any)["pointer"] == q.pointer })
		if status != q.status || !found {
			t.Errorf("%s: %d, %v", name, status, p)
		}
	}
	for path, status := range map[string]int{
		"/v1/cases?type=wishes": 422, "/v1/cases?state=%00": 422, "/v1/cases?overdue=yes": 422, "/v1/cases?after=1": 422, "/v1/cases/case-1": 404,
		"/v1/notices?state=lost": 422, "/v1/notices?after=x": 422, "/v1/notices/notice-1": 404, "/v1/cases/case-" + uuid.NewString() + "/report?for=dpl": 404,
		"/v1/cases/case-" + uuid.NewString() + "/report?for=me": 422, "/v1/cases/case-" + uuid.NewString() + "/report?for=dpl&form=pdf": 422,
		"/v1/cases/case-" + uuid.NewString() + "/report?for=dpl&from=monday": 422,
	} {
		if a := c.ask(request{method: http.MethodGet, path: path, token: token}); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := c.ask(request{method: http.MethodGet, path: "/v1/cases", token: c.token("carers-in-hertfordshire/casework")}); a.status != http.StatusForbidden {
		t.Errorf("a system without the scope: %d", a.status)
	}
	if after := leaves(t, c.opened().Log(c.Context(), c.cfg.Origin)); len(after) != len(before) {
		t.Errorf("%d leaves were written: %+v", len(after)-len(before), kinds(after[len(before):]))
	}
}

func kinds(all []*ledger.Leaf) (out []ledger.Kind) {
	for _, l := range all {
		out = append(out, l.Kind)
	}
	return out
}
