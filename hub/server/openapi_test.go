package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/api"
	"referralhub/hub/auth"
	"referralhub/hub/bus"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/witness"
	"referralhub/hub/report"
	"referralhub/hub/rights"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

// description is the OpenAPI document as a client takes it: at its word. As an http.RoundTripper it passes requests on and holds every
// answer, and every request that was taken, against the document.
type description struct {
	testing.TB
	document   map[string]any
	schemas    *jsonschema.Compiler
	operations []operation

	mu   sync.Mutex
	seen map[string]bool // "sendReferral 201"
}

type operation struct {
	id, method, path string
	pattern          *regexp.Regexp
	at               string // where it stands in the document, as a JSON Pointer
	open             bool   // without a token
	responses        map[string]any
	body             bool
}

const documentURL = "hub:///openapi.json"

func describe(t testing.TB) *description {
	t.Helper()
	d := &description{TB: t, schemas: jsonschema.NewCompiler(), seen: map[string]bool{}}
	d.schemas.AssertFormat()
	read := func(text []byte) any {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		closeObjects(value)
		return value
	}
	d.document = read(contracts.OpenAPI()).(map[string]any)
	add := func(name string, value any) {
		if err := d.schemas.AddResource("hub:///"+name, value); err != nil {
			t.Fatal(err)
		}
	}
	add("openapi.json", d.document)
	for _, kind := range contracts.Types() {
		text, _ := contracts.Schema(kind)
		add(strings.Replace(string(kind), "/", ".v", 1)+".schema.json", read(text))
	}
	for path, item := range d.document["paths"].(map[string]any) {
		pattern := regexp.MustCompile("^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`) + "$")
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			o := operation{
				id: op["operationId"].(string), method: strings.ToUpper(method), path: path, pattern: pattern,
				at: "#/paths/" + escape(path) + "/" + method, responses: op["responses"].(map[string]any),
			}
			if security, ok := op["security"].([]any); ok {
				o.open = len(security) == 0
			}
			_, o.body = op["requestBody"]
			d.operations = append(d.operations, o)
		}
	}
	slices.SortFunc(d.operations, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return d
}

// closeObjects makes a schema that lists members refuse others: the hub may add members, and then the document says so.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, listed := v["properties"].(map[string]any); listed && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}

func escape(token string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
}

// find gives the operation of a request.
func (d *description) find(method, path string) (operation, bool) {
	for _, o := range d.operations {
		if o.method == method && o.pattern.MatchString(path) {
			return o, true
		}
	}
	return operation{}, false
}

// RoundTrip passes a request on and checks what comes of it.
func (d *description) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(got))
	o, ok := d.find(r.Method, r.URL.Path)
	if !ok {
		d.Errorf("%s %s is not in the document", r.Method, r.URL.Path)
		return response, nil
	}
	if err := d.check(o, r, sent, response, got); err != nil {
		d.Errorf("%s %s answered %d: %v\n%s", r.Method, o.path, response.StatusCode, err, got)
	}
	return response, nil
}

func (d *description) check(o operation, r *http.Request, sent []byte, response *http.Response, got []byte) error {
	status := fmt.Sprint(response.StatusCode)
	d.mu.Lock()
	d.seen[o.id+" "+status] = true
	d.mu.Unlock()
	documented, ok := o.responses[status].(map[string]any)
	if !ok {
		return fmt.Errorf("a status that is not documented")
	}
	at := o.at + "/responses/" + status
	if ref, ok := documented["$ref"].(string); ok {
		at = ref
		documented = d.document["components"].(map[string]any)["responses"].(map[string]any)[strings.TrimPrefix(ref, "#/components/responses/")].(map[string]any)
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	if content, ok := documented["content"].(map[string]any); !ok || content[kind] == nil {
		return fmt.Errorf("content type %s is not documented", kind)
	}
	if err := d.valid(at+"/content/"+escape(kind)+"/schema", kind, got); err != nil {
		return fmt.Errorf("the answer is not as described: %w", err)
	}
	headers, _ := documented["headers"].(map[string]any)
	for name, header := range headers {
		if required, _ := header.(map[string]any)["required"].(bool); required && response.Header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if o.body && response.StatusCode < 300 && !bytes.Contains(got, []byte(`"problem":`)) { // of a batch one may be refused
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil {
			return fmt.Errorf("content type of the request: %w", err)
		}
		if err := d.valid(o.at+"/requestBody/content/"+escape(kind)+"/schema", kind, sent); err != nil {
			return fmt.Errorf("the request was taken although it is not as described: %w", err)
		}
	}
	return nil
}

// valid holds a body against the schema at a place of the document.
func (d *description) valid(at, kind string, body []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	schema, err := d.schemas.Compile(documentURL + at)
	if err != nil {
		return err
	}
	var value any = string(body)
	switch {
	case strings.HasSuffix(kind, "json"):
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			return err
		}
	case kind == formKind:
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return err
		}
		members := map[string]any{}
		for name, values := range form {
			members[name] = values[0]
		}
		value = members
	}
	return schema.Validate(value)
}

// call makes a request with a token, or without one, and gives the status.
func (d *description) call(c *county, method, path, token, kind string, body []byte) int {
	d.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.cfg.URL+path, bytes.NewReader(body))
	c.must(err)
	r.Header.Set("Content-Type", kind)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := d.RoundTrip(r)
	c.must(err)
	return response.StatusCode
}

// through gives the client of a system whose every answer is checked.
func (d *description) through(c *county, id transfer.SystemID) *client.Client {
	d.Helper()
	out, err := client.New(client.Config{BaseURL: c.cfg.URL, System: id, Key: c.keys[id], Tries: 1, HTTP: &http.Client{Transport: d}})
	c.must(err)
	return out
}

func TestTheDocumentListsWhatIsServedAndNothingElse(t *testing.T) {
	d := describe(t)
	var described []string
	for _, o := range d.operations {
		described = append(described, o.method+" "+o.path)
	}
	a, err := api.New(api.Config{
		Exchange: new(exchange.Exchange), Rights: new(rights.Rights), Clients: new(auth.Clients), Tokens: new(auth.Tokens), Watcher: new(bus.Bus), Issuer: "https://hub.example",
		Source: func(context.Context) ledger.Source { return nil }, Board: new(witness.Board),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := a.Operations()
	slices.Sort(described)
	slices.Sort(served)
	if diff := cmp.Diff(described, served); diff != "" {
		t.Errorf("described (-) and served (+):\n%s", diff)
	}
}

func TestEveryAnswerIsAsTheDocumentSays(t *testing.T) {
	d := describe(t)
	kent := aWitness(t, "kent.example/witness", 2)
	c := newCounty(t, "", func(cfg *server.Config) {
		cfg.Checkpoints.Every, cfg.Witnesses = 20*time.Millisecond, []server.Witness{{Key: kent.public}}
	})
	collected := d.tellStories(c)
	d.bearWitness(c, kent, collected)
	d.goWrong(c, collected)
	d.overwhelm(newCounty(t, "", func(cfg *server.Config) { cfg.Limits.InFlight = 1 }))

	never := map[string]string{
		"getCheckpoint 404": "a hub writes its first leaves before it opens its doors",
	}
	var missing []string
	for _, o := range d.operations {
		for status := range o.responses {
			if key := o.id + " " + status; !d.seen[key] && never[key] == "" {
				missing = append(missing, key)
			}
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("in the document and never seen: %s", strings.Join(missing, ", "))
	}
}

// tellStories makes every operation succeed, in every way that shows in an answer, and gives a transfer that has been collected.
func (d *description) tellStories(c *county) transfer.TransferID {
	d.Helper()
	ctx := c.Context()
	sender, recipient, dpl := d.through(c, "carers-in-hertfordshire/casework"), d.through(c, "age-uk-hertfordshire/casework"), d.through(c, "hub-operator/dpl")
	var first transfer.TransferID
	for _, name := range contracts.Examples() {
		m := c.example(name)
		if m["contract"] != "referral/1" {
			continue
		}
		body := m.with(name, without("sent_at")).bytes()
		if slices.Contains(m["recipients"].([]any), any(string(carersInHerts))) {
			continue // another partner's to send
		}
		sent, err := sender.Send(ctx, body)
		c.must(err)
		if name == "adult-carer-hertswise" {
			first = sent.Transfers[0].ID
			_, err := sender.Send(ctx, body)
			c.must(err)
		}
		_, err = sender.Decide(ctx, body)
		c.must(err)
	}
	held := c.example("adult-carer-hertswise").with("d-held", whose(gwen), without("consents"))
	refused := c.example("adult-carer-hertswise").with("d-refused", whose(gwen), to(kent))
	_, err := sender.Batch(ctx, [][]byte{held.bytes(), refused.bytes(), []byte(`{}`)})
	c.must(err)
	_, err = sender.Decide(ctx, held.bytes())
	c.must(err)
	for _, s := range transfer.States() {
		page, err := sender.Transfers(ctx, s, "", 1)
		c.must(err)
		if page.Next != "" {
			_, err = sender.Transfers(ctx, s, page.Next, 200)
			c.must(err)
		}
	}
	for _, state := range []string{"given", "withdrawn"} {
		_, err = sender.Consent(ctx, consent("d-"+state, gwen, state))
		c.must(err)
	}
	same := consent("d-same", joan, "refused")
	for range 2 {
		_, err = sender.Consent(ctx, same)
		c.must(err)
	}
	_, err = recipient.Inbox(ctx, "", 1, time.Second)
	c.must(err)
	_, err = recipient.Transfer(ctx, first)
	c.must(err)
	_, err = recipient.Collect(ctx, first)
	c.must(err)
	for _, s := range []string{"received", "accepted", "completed"} {
		_, err = recipient.Receipt(ctx, first, s, "")
		c.must(err)
	}
	_, err = sender.Transfer(ctx, first)
	c.must(err)
	d.askTheLog(c, dpl, recipient, first)
	d.letPeopleDecide(c)
	d.exerciseRights(c)
	d.exerciseIncidents(c)
	d.agreements(c)
	for _, o := range d.operations {
		if o.method == http.MethodGet && o.open {
			path := strings.Replace(o.path, "{name}", "problem.v1", 1)
			if status := d.call(c, o.method, path, "", "", nil); status != http.StatusOK {
				d.Errorf("GET %s answered %d", path, status)
			}
		}
	}
	again := c.example("adult-carer-hertswise").with("d-again", whose(idris))
	sent, err := sender.Send(ctx, again.bytes())
	c.must(err)
	id := sent.Transfers[0].ID
	for _, also := range [][]transfer.TransferID{nil, {first}} { // the second time one is not to be had any more
		_, err = recipient.CollectAll(ctx, append(also, id))
		c.must(err)
		var receipts []client.Acknowledgement
		for _, id := range append(also, id) {
			receipts = append(receipts, client.Acknowledgement{TransferID: id, Receipt: client.Receipt{Status: "declined", Reason: "other", RedirectTo: pohwer}})
		}
		_, err = recipient.AcknowledgeAll(ctx, receipts)
		c.must(err)
	}
	return id
}

func (d *description) askTheLog(c *county, dpl, recipient *client.Client, id transfer.TransferID) {
	d.Helper()
	ctx := c.Context()
	page, err := dpl.Search(ctx, client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: gwen}, Why: "routine check", Limit: 2})
	c.must(err)
	if page.Next == nil {
		d.Fatal("everything about a person is on the first page of two")
	}
	_, err = dpl.Search(ctx, client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: gwen}, Why: "routine check", After: page.Next})
	c.must(err)
	for range 2 { // the second time the first question is part of the answer
		_, err = dpl.Search(ctx, client.Query{TransferID: id, Why: "complaint 12"})
		c.must(err)
	}
	_, err = dpl.Search(ctx, client.Query{
		Facets: client.Facets{
			Kinds: []string{"release"}, Partner: ageUKHerts, Sender: carersInHerts, Recipient: ageUKHerts, Agreement: "hertswise", Version: 1,
			Flow: "hertswise@1#refer", Purpose: "referral.service", Service: "hertswise", Item: "carer.name", Category: "identity",
			Outcome: transfer.PermitReduced, State: transfer.Released,
		},
		From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour), Order: "newest", Everyone: true, Why: "complaint 12",
	})
	c.must(err)
	for _, form := range report.Forms() {
		c.must(dpl.Export(ctx, client.Query{TransferID: id, Why: "complaint 12"}, string(form), io.Discard))
	}
	for path, id := range map[string]transfer.SystemID{"/v1/flows": "hub-operator/dpl", "/v1/flows?from=2026-01-01&to=2126-01-01": "carers-in-hertfordshire/dpl"} {
		if status := d.call(c, http.MethodGet, path, c.token(id), "application/json", nil); status != http.StatusOK {
			d.Errorf("%s of %s answered %d", path, id, status)
		}
	}
	// Everything that a leaf may say is described.
	_, err = dpl.Search(ctx, client.Query{From: time.Now().Add(-time.Hour), Limit: 1000, Why: "complaint 12"})
	c.must(err)
	_, err = dpl.Partners(ctx)
	c.must(err)
	_, err = recipient.Checkpoint(ctx)
	c.must(err)
	for index := range int64(8) {
		_, err = recipient.InclusionProof(ctx, index, 8)
		c.must(err)
	}
	_, err = recipient.ConsistencyProof(ctx, 3, 8)
	c.must(err)
}

// goWrong makes every operation fail in every way that the document knows and that a client can bring about.
func (d *description) goWrong(c *county, collected transfer.TransferID) {
	d.Helper()
	tokens := map[bool]string{false: c.token("carers-in-hertfordshire/casework"), true: c.token("hub-operator/dpl")}
	recipient, suspended := c.token("age-uk-hertfordshire/casework"), c.token("pohwer/casework")
	lead := c.token("carers-in-hertfordshire/dpl")
	c.must(c.cfg.Suspend(pohwer, "under investigation"))
	within(c, func() bool {
		return c.ask(request{method: http.MethodGet, path: "/v1/partners", token: suspended}).status == http.StatusForbidden
	})
	waiting := c.send(carersInHerts, c.example("adult-carer-hertswise").with("w-waiting", whose(joan), to(kent)), transfer.Refuse)

	for _, o := range d.operations {
		path := strings.NewReplacer("{transfer_id}", uuid.NewString(), "{name}", "nothing.v1").Replace(o.path)
		token, recipient := tokens[strings.HasSuffix(o.id, "Disclosures")], recipient
		if slices.Contains(ofPeople, o.id) {
			token, recipient = lead, lead
		}
		kind := "application/json"
		if o.id == "requestToken" {
			kind = formKind
		}
		reference := "req-" + uuid.NewString()
		if strings.HasPrefix(o.path, "/v1/cases") || strings.HasPrefix(o.path, "/v1/incidents") {
			reference = "case-" + uuid.NewString()
		}
		receipts := strings.NewReplacer("{transfer_id}", string(collected), "{reference}", reference, "{notice_id}", "notice-"+uuid.NewString()).Replace(o.path)
		for status := range o.responses {
			switch status {
			case "400":
				d.call(c, o.method, receipts, recipientOr(o, recipient, token), kind, []byte(`{`))
			case "401":
				d.call(c, o.method, path, "", kind, tokenForm(o, "forged"))
			case "403":
				d.call(c, o.method, path, suspended, kind, nil)
			case "404":
				d.call(c, o.method, path, token, kind, []byte(`{"contract":"receipt/1","at":"2026-01-01T00:00:00Z","status":"accepted"}`))
			case "413":
				d.call(c, o.method, receipts, recipientOr(o, recipient, token), kind, bytes.Repeat([]byte(" "), 9<<20))
			case "415":
				d.call(c, o.method, receipts, recipientOr(o, recipient, token), "text/csv", nil)
			case "422":
				d.call(c, o.method, receipts+"?limit=none&from=none", recipientOr(o, recipient, token), kind, []byte(`{}`))
			case "431":
				d.call(c, o.method, path, strings.Repeat("x", 64<<10), kind, nil)
			}
		}
	}
	// Conflicts have stories of their own.
	other := c.example("adult-carer-hertswise").with("d-again", whose(joan)).bytes()
	d.call(c, http.MethodPost, "/v1/referrals", tokens[false], "application/json", other)
	d.call(c, http.MethodPost, "/v1/consents", tokens[false], "application/json", consent("d-same", idris, "refused"))
	d.call(c, http.MethodPost, "/v1/inbox/"+string(waiting.ID)+"/collect", c.token("kent-county-council/casework"), "application/json", nil)
	d.call(c, http.MethodPost, "/v1/transfers/"+string(waiting.ID)+"/receipts", c.token("kent-county-council/casework"), "application/json",
		[]byte(`{"contract":"receipt/1","at":"2026-01-01T00:00:00Z","status":"accepted"}`))
	within(c, func() bool {
		return d.call(c, http.MethodPost, "/oauth/token", "", formKind, tokenRequestBytes("forged")) == http.StatusTooManyRequests
	})
}

// recipientOr is who may do an operation about a transfer that the recipient has collected.
func recipientOr(o operation, recipient, other string) string {
	if strings.Contains(o.path, "{transfer_id}") {
		return recipient
	}
	return other
}

func tokenForm(o operation, assertion string) []byte {
	if o.id != "requestToken" {
		return nil
	}
	return tokenRequestBytes(assertion)
}

func tokenRequestBytes(assertion string) []byte { return []byte(tokenRequest(assertion).Encode()) }

// overwhelm keeps the one slot of a hub occupied, and asks for everything that needs one.
func (d *description) overwhelm(c *county) {
	d.Helper()
	tokens := map[bool]string{false: c.token("carers-in-hertfordshire/casework"), true: c.token("hub-operator/dpl")}
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.cfg.URL, "http://"))
	c.must(err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /v1/decisions HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", tokens[false])
	c.must(err)
	within(c, func() bool {
		return c.ask(request{method: http.MethodGet, path: "/readyz", token: "-"}).status == http.StatusServiceUnavailable
	})
	for _, o := range d.operations {
		if _, ok := o.responses["503"]; !ok {
			continue
		}
		kind := "application/json"
		if o.id == "requestToken" {
			kind = formKind
		}
		path := strings.NewReplacer("{transfer_id}", uuid.NewString()).Replace(o.path)
		if status := d.call(c, o.method, path, tokens[strings.HasSuffix(o.id, "Disclosures")], kind, tokenForm(o, "forged")); status != http.StatusServiceUnavailable {
			d.Errorf("%s %s of a hub that is busy answered %d", o.method, o.path, status)
		}
	}
}

func TestTheDocumentStandsOnDiskAsItIsServed(t *testing.T) {
	c := newCounty(t, "")
	if a := c.ask(request{method: http.MethodGet, path: "/openapi.json", token: "-"}); !bytes.Equal(a.body, contracts.OpenAPI()) {
		t.Error("the document is served otherwise than it is published")
	}
	// Its references to the contracts resolve where it is served, and lead to the bytes that are published.
	refs := regexp.MustCompile(`"\$ref": "([^#"]+)"`).FindAllSubmatch(contracts.OpenAPI(), -1)
	found := map[string]bool{}
	base, err := url.Parse("/openapi.json")
	c.must(err)
	for _, ref := range refs {
		target, err := base.Parse(string(ref[1]))
		c.must(err)
		kind := strings.Replace(strings.TrimSuffix(string(ref[1]), ".schema.json"), ".v", "/", 1)
		want, ok := contracts.Schema(transfer.MessageType(kind))
		a := c.ask(request{method: http.MethodGet, path: target.Path, token: "-"})
		if !ok || !bytes.Equal(a.body, want) || a.header.Get("Content-Type") != "application/schema+json" {
			t.Errorf("%s leads to %s, and there %d is answered", ref[1], target, a.status)
		}
		found[kind] = true
	}
	if diff := cmp.Diff([]string{"aggregate/1", "agreement-act/1", "case-step/1", "case/1", "consent/1", "disclosure/1", "notice-answer/1", "problem/1", "receipt/1", "referral/1", "request/1", "ruling/1"}, slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("the contracts that the document refers to:\n%s", diff)
	}
	var metadata map[string]any
	c.must(json.Unmarshal(c.ask(request{method: http.MethodGet, path: "/.well-known/oauth-authorization-server", token: "-"}).body, &metadata))
	if metadata["token_endpoint"] != c.cfg.URL+"/oauth/token" {
		t.Errorf("the metadata: %v", metadata)
	}
}
