package server_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// forms of an export, and how many entries one has.
var forms = map[string]func(t *testing.T, text []byte) int{
	"csv": func(t *testing.T, text []byte) int {
		rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		if err != nil {
			t.Error(err)
		}
		return len(rows) - 1
	},
	"json": func(t *testing.T, text []byte) int {
		var out struct {
			Entries []client.Entry
			End     struct {
				Entries int
				More    bool
			}
		}
		if err := json.Unmarshal(text, &out); err != nil || out.End.Entries != len(out.Entries) || out.End.More {
			t.Errorf("%v: %+v", err, out.End)
		}
		return len(out.Entries)
	},
	"jsonl": func(_ *testing.T, text []byte) int { return bytes.Count(text, []byte("\n")) },
	"auditevent": func(t *testing.T, text []byte) int {
		var out struct{ ResourceType string }
		if err := json.Unmarshal(text, &out); err != nil || out.ResourceType != "Bundle" {
			t.Errorf("%v: a %s", err, out.ResourceType)
		}
		return -1 // an entry may be several events
	},
	"html": func(t *testing.T, text []byte) int {
		if !bytes.Contains(text, []byte("</html>")) {
			t.Error("the page does not end")
		}
		return -1
	},
}

// lastQuery is what the log says of the newest question.
func (c *county) lastQuery() *ledger.Leaf {
	c.Helper()
	src := c.opened().Log(c.Context(), c.cfg.Origin)
	size, _, err := src.Head()
	c.must(err)
	raw, err := src.Leaves(size-1, size)
	c.must(err)
	l, err := ledger.Parse(raw[0])
	c.must(err)
	if l.Kind != ledger.KindQuery {
		c.Fatalf("the newest leaf is a %s", l.Kind)
	}
	return l
}

func TestTheDataProtectionLeadAsksInManyWaysAndKeepsTheAnswer(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
		_, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		_, err = c.as(ageUKHerts).Receipt(t.Context(), sent.ID, "accepted", "")
		c.must(err)
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("d-2", to(kent)), transfer.Refuse)
		lead := c.as("hub-operator/dpl")
		start := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
		for _, ask := range []struct {
			name   string
			query  client.Query
			want   string // kinds
			logged string
		}{
			{"who received telephone numbers", client.Query{Facets: client.Facets{Item: "carer.phones", Kinds: []string{"release"}}}, "release", "kind=release item=carer.phones"},
			{"which kinds of data went", client.Query{Facets: client.Facets{Category: "identity", Kinds: []string{"release"}, Recipient: ageUKHerts}}, "release", "kind=release recipient=age-uk-hertfordshire category=identity"},
			{"under this version", client.Query{Facets: client.Facets{Agreement: "hertswise", Version: 1, Flow: "hertswise@1#refer"}}, "decision decision release", "agreement=hertswise version=1 flow=hertswise@1#refer"},
			{"what was refused", client.Query{Facets: client.Facets{Outcome: transfer.Refuse}}, "decision", "outcome=refuse"},
			{"for this purpose and service", client.Query{Facets: client.Facets{Purpose: "referral.service", Service: "hertswise", Kinds: []string{"release"}}}, "release", "kind=release purpose=referral.service service=hertswise"},
			{"what they accepted", client.Query{Facets: client.Facets{State: transfer.Accepted}}, "decision decision release outcome", "state=accepted"},
			{"what went by exception", client.Query{Facets: client.Facets{Exception: "any"}}, "", "exception=any"},
			{"what the council got", client.Query{Facets: client.Facets{Partner: kent}}, "decision", "partner=kent-county-council"},
			{"what we sent, newest first", client.Query{Facets: client.Facets{Sender: carersInHerts}, From: start, Order: "newest"}, "decision outcome release decision decision", "sender=carers-in-hertfordshire from=" + start.Format(time.RFC3339)},
			{"what she knows went", client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: maureen}, Facets: client.Facets{Kinds: []string{"release", "disclosure"}}}, "release", "kind=release kind=disclosure"},
			{"what went of her is not what went of him", client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: maureen}, Facets: client.Facets{Item: "cared_for.condition"}}, "", "item=cared_for.condition"},
			{"what went of him", client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: desmond}, Facets: client.Facets{Item: "cared_for.condition", Kinds: []string{"release"}}}, "release", "kind=release item=cared_for.condition"},
			{"by the number of the carers' charity", client.Query{Subject: &client.Identifier{Scheme: "case-number", Value: "CIH/20931"}, Of: carersInHerts, Facets: client.Facets{Kinds: []string{"release"}}}, "release", "kind=release"},
		} {
			ask.query.Why = ask.name
			var kinds []string
			for limit := range 2 { // at once, and a page for each entry
				q, got := ask.query, []string(nil)
				for q.Limit = 1000 * (1 - limit); ; {
					q.Limit = max(1, q.Limit)
					page, err := lead.Search(t.Context(), q)
					c.must(err)
					for _, e := range page.Entries {
						got = append(got, e.Kind)
						if e.TransferID == sent.ID && e.Now != transfer.Accepted {
							t.Errorf("%s: a transfer that is %s", ask.name, e.Now)
						}
					}
					if page.Next == nil {
						break
					}
					q.After = page.Next
				}
				if limit == 1 && !slices.Equal(kinds, got) {
					t.Errorf("%s: %v by pages, %v at once", ask.name, got, kinds)
				}
				kinds = got
			}
			if got := strings.Join(kinds, " "); got != ask.want {
				t.Errorf("%s: %s", ask.name, cmp.Diff(ask.want, got))
			}
			for form, count := range forms {
				var text bytes.Buffer
				c.must(lead.Export(t.Context(), ask.query, form, &text))
				if n := count(t, text.Bytes()); n >= 0 && n != len(kinds) {
					t.Errorf("%s as %s: %d entries, want %d\n%s", ask.name, form, n, len(kinds), text.Bytes())
				}
				if bytes.Contains(text.Bytes(), []byte(maureen)) || bytes.Contains(text.Bytes(), []byte("O'Brien")) {
					t.Errorf("%s as %s says whom it is about", ask.name, form)
				}
				if l := c.lastQuery(); l.Query.Why != ask.name || l.Query.Filter != ask.logged || l.Query.Form != form || l.Query.Found != len(kinds) {
					t.Errorf("%s as %s is logged as %+v", ask.name, form, l.Query)
				}
			}
		}
		c.audited()
	})
}

// A question outside one's role is refused the same whether or not there is something, and it stays in the log that it was asked.
func TestAQuestionOutsideOnesRoleIsRefusedAndLogged(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
		about := func(nhs string) *client.Identifier { return &client.Identifier{Scheme: "nhs-number", Value: nhs} }
		for _, who := range []string{maureen, joan} { // whom the hub knows, and whom it does not
			for code, ask := range map[string]struct {
				system transfer.PartnerID
				query  client.Query
			}{
				"scope":             {ageUKHerts, client.Query{Subject: about(who)}},
				"everyone":          {"age-uk-hertfordshire/dpl", client.Query{Subject: about(who), Everyone: true}},
				"number-of-another": {"age-uk-hertfordshire/dpl", client.Query{Subject: &client.Identifier{Scheme: "case-number", Value: "CIH/20931"}, Of: carersInHerts}},
				"others-transfers":  {"age-uk-hertfordshire/dpl", client.Query{Facets: client.Facets{Sender: carersInHerts, Recipient: kent}}},
			} {
				ask.query.Why = "curious about this one"
				_, err := c.as(ask.system).Search(t.Context(), ask.query)
				no := c.problem(err, http.StatusForbidden)
				if strings.Contains(no.Error(), who) {
					t.Errorf("%s: %v", code, no)
				}
				l := c.lastQuery()
				if l.Query.Refused != code || l.Query.Subject != "" || l.Query.Found != 0 || l.Actor.Partner != ageUKHerts || (code != "scope") != (l.Query.Why == ask.query.Why) {
					t.Errorf("%s is logged as %+v by %s", code, l.Query, l.Actor.Partner)
				}
				var nothing bytes.Buffer
				c.problem(c.as(ask.system).Export(t.Context(), ask.query, "csv", &nothing), http.StatusForbidden)
				if c.lastQuery().Query.Refused != code || nothing.Len() > 0 {
					t.Errorf("%s, to be exported, is logged as %+v and gave %q", code, c.lastQuery().Query, nothing.String())
				}
			}
		}
		c.audited()
	})
}

func TestWhatTheLogCannotBeAsked(t *testing.T) {
	c := newCounty(t, "")
	token := c.token("hub-operator/dpl")
	before := c.settled()["leaves"]
	for _, q := range []struct{ body, pointer, rule string }{
		{`"recipient":"maureen-obrien"`, "/recipient", "unknown"},
		{`"kinds":["gossip"]`, "/kinds", "unknown"},
		{`"item":"carer.nam"`, "/item", "unknown"},
		{`"version":1`, "/version", "unknown"},
		{`"partner":7`, "/partner", "type"},
		{`"order":"random","partner":"pohwer"`, "/order", "enum"},
		{`"of":"pohwer","partner":"pohwer"`, "/of", "required"},
		{`"from":"2026-03-02T00:00:00Z","to":"2026-03-01T00:00:00Z"`, "/to", "range"},
		{`"partner":"pohwer","after":[{"origin":"elsewhere","index":7}]`, "/after", "unknown"},
		{`"everyone":true`, "/subject", "required"},
		{`"name":"Maureen"`, "", "unknown-item"},
	} {
		for path, body := range map[string]string{"search": `{"why":"routine check",` + q.body + `}`, "export": `{"form":"csv","question":{"why":"routine check",` + q.body + `}}`} {
			pointer, rule := q.pointer, q.rule
			if path == "export" {
				pointer = "/question" + pointer
				if strings.Contains(q.body, "after") {
					pointer, rule = "/question", "unknown-item"
				}
			}
			c.refused(t, request{name: path + q.body, path: "/v1/disclosures/" + path, token: token, body: body, status: 422, pointer: pointer, rule: rule})
		}
	}
	for _, body := range []string{`{"form":"xlsx","question":{"why":"routine check","partner":"pohwer"}}`, `{"question":{"why":"routine check","partner":"pohwer"}}`} {
		c.refused(t, request{path: "/v1/disclosures/export", token: token, body: body, status: 422, pointer: "/form", rule: "enum"})
	}
	if after := c.settled()["leaves"]; after != before {
		t.Errorf("%d leaves were written", after-before)
	}
}
