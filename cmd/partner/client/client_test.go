package client_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/cmd/partner/client"
	"referralhub/cmd/partner/client/hubtest"
	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

const (
	send    = "POST /v1/referrals"
	tokens  = "POST /oauth/token"
	created = `{"message_id":"m-1","transfers":[{"transfer_id":"t-1","recipient":"pohwer","outcome":"permit-reduced","state":"queued",` +
		`"reasons":[{"code":"STRIPPED","detail":"The address is not shared","remedy":"nothing to do","role":"carer","items":["carer.address"]}],` +
		`"subjects":[{"role":"carer","position":0,"items":["carer.name.family"],"stripped":["carer.address"]}],` +
		`"log":{"origin":"hub.example/log","index":4},"created_at":"2026-03-02T12:00:00Z"}]}`
	busy = `{"type":"about:blank","title":"Too busy","status":503,"detail":"Send the same message again."}`
)

func newClient(t testing.TB, hub *hubtest.Hub, change func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{BaseURL: hub.URL, System: hubtest.System, Key: hub.Key, Now: hub.Now}
	if change != nil {
		change(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func problem(t *testing.T, err error, status int) *client.Problem {
	t.Helper()
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != status {
		t.Fatalf("expected a problem with status %d, got %v", status, err)
	}
	return p
}

func TestSendingAReferral(t *testing.T) {
	hub := hubtest.New(t)
	hub.Answer(send, hubtest.Answer{Status: http.StatusCreated, Body: created}, hubtest.Answer{Status: http.StatusOK, Body: created})
	c := newClient(t, hub, nil)
	for _, repeat := range []bool{false, true} {
		got, err := c.Send(t.Context(), []byte(`{"contract":"referral/1"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got.Repeat != repeat || got.MessageID != "m-1" || len(got.Transfers) != 1 {
			t.Fatalf("got %+v", got)
		}
		tr := got.Transfers[0]
		if tr.ID != "t-1" || tr.Outcome != transfer.PermitReduced || !slices.Equal(tr.Subjects[0].Stripped, []string{"carer.address"}) || tr.Log.Index != 4 {
			t.Errorf("got %+v", tr)
		}
	}
	want := []hubtest.Request{{Line: send, Body: `{"contract":"referral/1"}`, Auth: true}, {Line: send, Body: `{"contract":"referral/1"}`, Auth: true}}
	if diff := cmp.Diff(want, hub.Seen()[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestATokenIsFetchedOnceAndRenewedInTime(t *testing.T) {
	hub := hubtest.New(t)
	hub.Answer(send, hubtest.Answer{Status: http.StatusOK, Body: created})
	c := newClient(t, hub, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.Send(t.Context(), []byte("{}")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := hub.Count(tokens); n != 1 {
		t.Errorf("%d tokens were fetched for 8 requests", n)
	}
	hub.Pass(9*time.Minute - time.Second)
	if _, err := c.Send(t.Context(), []byte("{}")); err != nil || hub.Count(tokens) != 1 {
		t.Errorf("within its life: %d tokens, %v", hub.Count(tokens), err)
	}
	hub.Pass(time.Second)
	if _, err := c.Send(t.Context(), []byte("{}")); err != nil || hub.Count(tokens) != 2 {
		t.Errorf("shortly before its end: %d tokens, %v", hub.Count(tokens), err)
	}
}

func TestARevokedTokenIsReplacedOnce(t *testing.T) {
	hub := hubtest.New(t)
	hub.Answer(send, hubtest.Answer{Status: http.StatusOK, Body: created})
	c := newClient(t, hub, nil)
	if _, err := c.Send(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	hub.Tokens.Revoke(hubtest.System, hub.Now())
	hub.Pass(time.Second)
	if _, err := c.Send(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if n := hub.Count(tokens); n != 2 {
		t.Errorf("%d tokens", n)
	}
	hub.Tokens.Revoke(hubtest.System, hub.Now().Add(time.Hour))
	_, err := c.Send(t.Context(), []byte("{}"))
	problem(t, err, http.StatusUnauthorized)
	if n := hub.Count(tokens); n != 3 {
		t.Errorf("the client tried with %d tokens in all, expected it to stop at 3", n)
	}
}

func TestWhatTheTokenEndpointRefusesIsSaid(t *testing.T) {
	hub := hubtest.New(t)
	c := newClient(t, hub, func(cfg *client.Config) { cfg.Scopes = []string{"disclosures:search"} })
	_, err := c.Inbox(t.Context(), "", 0, 0)
	if p := problem(t, err, http.StatusBadRequest); p.Title != "invalid_scope" || !strings.Contains(p.Detail, "disclosures:search") {
		t.Errorf("got %v", err)
	}
	other, err := auth.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	c = newClient(t, hub, func(cfg *client.Config) { cfg.Key = other })
	_, err = c.Token(t.Context())
	if p := problem(t, err, http.StatusUnauthorized); p.Title != "invalid_client" || !strings.Contains(p.Detail, "kid") {
		t.Errorf("got %v", err)
	}
}

func TestAProblemIsToldInFull(t *testing.T) {
	hub := hubtest.New(t)
	hub.Answer(send, hubtest.Answer{Status: http.StatusUnprocessableEntity, Body: `{"type":"about:blank","title":"The message breaks its contract",` +
		`"status":422,"detail":"1 thing is wrong.","instance":"urn:uuid:1","faults":[{"pointer":"/carer/nhs_number","rule":"check-digit",` +
		`"detail":"the check digit does not fit","remedy":"look it up again"}],"reasons":[{"code":"NO_AGREEMENT","detail":"none covers this"}]}`})
	_, err := newClient(t, hub, nil).Send(t.Context(), []byte("{}"))
	p := problem(t, err, http.StatusUnprocessableEntity)
	if len(p.Faults) != 1 || p.Faults[0].Pointer != "/carer/nhs_number" {
		t.Errorf("faults %+v", p.Faults)
	}
	want := `422 The message breaks its contract: 1 thing is wrong.
  /carer/nhs_number: the check digit does not fit; look it up again
  NO_AGREEMENT: none covers this
  ask the hub's operator about urn:uuid:1`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	if n := hub.Count(send); n != 1 {
		t.Errorf("it was sent %d times; only busy is worth repeating", n)
	}
}

func TestABusyHubIsTriedAgain(t *testing.T) {
	after := func(seconds string) hubtest.Answer {
		return hubtest.Answer{Status: http.StatusServiceUnavailable, Body: busy, Header: map[string]string{"Retry-After": seconds}}
	}
	fine := hubtest.Answer{Status: http.StatusCreated, Body: created}
	t.Run("until it has time", func(t *testing.T) {
		hub := hubtest.New(t)
		limited := hubtest.Answer{Status: http.StatusTooManyRequests, Body: busy, Header: map[string]string{"Retry-After": "0"}}
		hub.Answer(send, after("0"), limited, fine)
		hub.Answer(tokens, after("0"), hubtest.Answer{})
		if _, err := newClient(t, hub, nil).Send(t.Context(), []byte(`{"message_id":"m-1"}`)); err != nil {
			t.Fatal(err)
		}
		if hub.Count(send) != 3 || hub.Count(tokens) != 2 {
			t.Errorf("sent %d times with %d token requests", hub.Count(send), hub.Count(tokens))
		}
		for _, r := range hub.Seen() {
			if r.Line == send && r.Body != `{"message_id":"m-1"}` {
				t.Errorf("sent again as %q", r.Body)
			}
		}
	})
	t.Run("but not for ever", func(t *testing.T) {
		hub := hubtest.New(t)
		hub.Answer(send, after("0"))
		_, err := newClient(t, hub, nil).Send(t.Context(), []byte("{}"))
		problem(t, err, http.StatusServiceUnavailable)
		if n := hub.Count(send); n != 4 {
			t.Errorf("sent %d times, expected 4", n)
		}
	})
	t.Run("nor after a very long time", func(t *testing.T) {
		hub := hubtest.New(t)
		hub.Answer(send, after("3600"))
		_, err := newClient(t, hub, nil).Send(t.Context(), []byte("{}"))
		if p := problem(t, err, http.StatusServiceUnavailable); p.RetryAfter != time.Hour || hub.Count(send) != 1 {
			t.Errorf("sent %d times, %+v", hub.Count(send), p)
		}
	})
	t.Run("nor when told not to", func(t *testing.T) {
		hub := hubtest.New(t)
		hub.Answer(send, after("0"))
		_, err := newClient(t, hub, func(cfg *client.Config) { cfg.Tries = 1 }).Send(t.Context(), []byte("{}"))
		problem(t, err, http.StatusServiceUnavailable)
		if n := hub.Count(send); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func respond(status int, kind, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {kind}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}
}

func TestItWaitsAsLongAsItIsAskedTo(t *testing.T) {
	key, err := auth.GenerateKey("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		c, err := client.New(client.Config{BaseURL: "https://hub.example", System: "a/b", Key: key, HTTP: &http.Client{Transport: transport(func(r *http.Request) *http.Response {
			if r.URL.Path == "/oauth/token" {
				return respond(http.StatusOK, "application/json", `{"access_token":"t","token_type":"Bearer","expires_in":600}`)
			}
			at = append(at, time.Since(start))
			switch len(at) {
			case 1:
				return respond(http.StatusServiceUnavailable, "text/html", "<h1>busy</h1>", "Retry-After", "7")
			case 2:
				return respond(http.StatusServiceUnavailable, "text/html", "", "Retry-After", time.Now().Add(3*time.Second).UTC().Format(http.TimeFormat))
			}
			return respond(http.StatusOK, "application/json", `{"entries":[]}`)
		})}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Inbox(t.Context(), "", 0, 0); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{0, 7 * time.Second, 10 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("tried at %v, asked to at %v", at, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := client.New(client.Config{BaseURL: "https://hub.example", System: "a/b", Key: key, HTTP: &http.Client{Transport: transport(func(*http.Request) *http.Response {
			return respond(http.StatusServiceUnavailable, "text/html", "", "Retry-After", "7")
		})}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Inbox(ctx, "", 0, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it should not outwait its caller: %v", err)
		}
	})
}

func TestARedirectIsNotFollowed(t *testing.T) {
	hub, elsewhere := hubtest.New(t), hubtest.New(t)
	hub.Answer(send, hubtest.Answer{Status: http.StatusTemporaryRedirect, Header: map[string]string{"Location": elsewhere.URL + "/v1/referrals"}})
	_, err := newClient(t, hub, nil).Send(t.Context(), []byte(`{"carer":{}}`))
	problem(t, err, http.StatusTemporaryRedirect)
	if len(elsewhere.Seen()) != 0 {
		t.Error("the referral went elsewhere")
	}
}

func TestOnlyAPrivateWayIsTaken(t *testing.T) {
	hub := hubtest.New(t)
	for base, fine := range map[string]bool{
		"https://hub.example": true, "http://127.0.0.1:8080": true, "http://localhost": true, "http://[::1]:80": true,
		"http://hub.example": false, "ftp://localhost": false, "hub.example": false, "": false, "http://127.0.0.1.example": false,
	} {
		if _, err := client.New(client.Config{BaseURL: base, System: "a/b", Key: hub.Key}); (err == nil) != fine {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestABatchTellsOfEachReferral(t *testing.T) {
	const batch = "POST /v1/referrals/batch"
	hub := hubtest.New(t)
	hub.Answer(batch, hubtest.Answer{Status: http.StatusOK, Body: `{"results":[{"status":201,"body":` + created + `},{"status":200,"body":` + created + `},{"status":422,"problem":{"title":"broken"}}]}`},
		hubtest.Answer{Status: http.StatusOK, Body: `{"results":[]}`}, hubtest.Answer{Status: http.StatusOK, Body: `{"results":[{"status":201}]}`})
	c := newClient(t, hub, nil)
	got, err := c.Batch(t.Context(), [][]byte{[]byte(`{"a":1}`), []byte(`{"b":2}`), []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Body.Repeat || !got[1].Body.Repeat || got[2].Problem.Status != http.StatusUnprocessableEntity {
		t.Errorf("got %+v", got)
	}
	if last := hub.Seen()[1]; last.Body != `{"referrals":[{"a":1},{"b":2},{}]}` {
		t.Errorf("sent %s", last.Body)
	}
	for range 2 {
		if _, err := c.Batch(t.Context(), [][]byte{[]byte("{}")}); err == nil {
			t.Error("an answer that leaves a referral out was taken")
		}
	}
}

func TestReceivingAReferral(t *testing.T) {
	hub := hubtest.New(t)
	hub.Answer("GET /v1/inbox", hubtest.Answer{Status: http.StatusOK, Body: `{"entries":[{"transfer_id":"t-1","message_type":"referral/1","sender":"carers-in-hertfordshire",` +
		`"purpose":"referral.service","state":"queued","queued_at":"2026-03-02T11:00:00Z","expires_at":"2026-03-09T11:00:00Z"}],"next":"t-1"}`})
	// Escapes and white space: the digest is over these very bytes.
	const dataset = `{ "carer": {"name": {"family": "O\u0027Quillfeather <& co>"}} }`
	hub.Answer("POST /v1/inbox/t-1/collect", hubtest.Answer{Status: http.StatusOK, Body: hub.Release(t, "t-1", dataset)})
	hub.Answer("POST /v1/transfers/t-1/receipts", hubtest.Answer{Status: http.StatusCreated, Body: `{"transfer_id":"t-1","state":"declined"}`})
	c := newClient(t, hub, nil)
	page, err := c.Inbox(t.Context(), "", 10, 5*time.Second)
	if err != nil || len(page.Entries) != 1 || page.Next != "t-1" || page.Entries[0].Sender != "carers-in-hertfordshire" {
		t.Fatalf("inbox %+v, %v", page, err)
	}
	d, err := c.Collect(t.Context(), "t-1")
	if err != nil {
		t.Fatal(err)
	}
	if string(d.Dataset) != dataset || d.Agreement.ID != "hertswise" {
		t.Errorf("collected %s under %+v", d.Dataset, d.Agreement)
	}
	if err := d.CheckDigest(); err != nil {
		t.Error(err)
	}
	d.Dataset[len(d.Dataset)-4] ^= 1
	if err := d.CheckDigest(); err == nil {
		t.Error("an altered dataset passes for the one released")
	}
	state, err := c.Receipt(t.Context(), "t-1", "declined", "no-capacity")
	if err != nil || state != transfer.Declined {
		t.Errorf("state %s, %v", state, err)
	}
	last := hub.Seen()[len(hub.Seen())-1]
	if want := `{"contract":"receipt/1","status":"declined","reason":"no-capacity","at":"2026-03-02T12:00:00Z"}`; last.Body != want {
		t.Errorf("receipt %s", last.Body)
	}
}

func TestReceivingSeveralReferralsAtOnce(t *testing.T) {
	const collect, receipts = "POST /v1/inbox/collect", "POST /v1/receipts"
	hub := hubtest.New(t)
	const dataset = `{ "carer": {"name": {"family": "O\u0027Quillfeather <& co>"}} }`
	given := func(id transfer.TransferID) string {
		return `{"status":200,"body":` + hub.Release(t, id, dataset) + `}`
	}
	results := func(each ...string) hubtest.Answer {
		return hubtest.Answer{Status: http.StatusOK, Body: `{"results":[` + strings.Join(each, ",") + `]}`}
	}
	const stopped = `{"status":409,"problem":{"title":"This transfer may no longer go","state":"stopped"}}`
	c := newClient(t, hub, nil)

	hub.Answer(collect, results(given("t-1"), stopped, given("t-3")))
	got, err := c.CollectAll(t.Context(), []transfer.TransferID{"t-1", "t-2", "t-3"})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range map[int]transfer.TransferID{0: "t-1", 2: "t-3"} {
		d := got[i].Body
		if got[i].Problem != nil || d.TransferID != id || string(d.Dataset) != dataset || d.CheckDigest() != nil {
			t.Errorf("in the place of %s came %s: %s, %v", id, d, d.Dataset, d.CheckDigest())
		}
		if kept, err := client.ParseDisclosure(d.Raw); err != nil || kept.TransferID != id {
			t.Errorf("what is to be kept of %s: %v, %v", id, kept, err)
		}
	}
	if p := got[1].Problem; got[1].Body != nil || p == nil || p.Status != http.StatusConflict || p.State != "stopped" {
		t.Errorf("what was withdrawn: %+v", got[1])
	}

	hub.Answer(receipts, results(`{"status":201,"body":{"transfer_id":"t-1","state":"received"}}`, `{"status":404,"problem":{"title":"No such transfer"}}`))
	said, err := c.AcknowledgeAll(t.Context(), []client.Acknowledgement{
		{TransferID: "t-1", Receipt: client.Receipt{Status: "received"}}, {TransferID: "t-9", Receipt: client.Receipt{Status: "declined", Reason: "duplicate"}},
	})
	if err != nil || said[0].Body.State != transfer.Received || said[1].Problem.Status != http.StatusNotFound {
		t.Errorf("receipts: %+v, %v", said, err)
	}
	if none, err := c.AcknowledgeAll(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("no receipts: %v, %v", none, err)
	}
	seen := hub.Seen()
	if len(seen) != 3 { // and the one for a token
		t.Errorf("%d requests", len(seen))
	}
	for i, want := range map[int]string{
		1: `{"transfer_ids":["t-1","t-2","t-3"]}`,
		2: `{"receipts":[{"transfer_id":"t-1","contract":"receipt/1","status":"received","at":"2026-03-02T12:00:00Z"},` +
			`{"transfer_id":"t-9","contract":"receipt/1","status":"declined","reason":"duplicate","at":"2026-03-02T12:00:00Z"}]}`,
	} {
		if seen[i].Body != want {
			t.Errorf("%s was sent %s", seen[i].Line, seen[i].Body)
		}
	}

	for name, wrong := range map[string]hubtest.Answer{
		"one for two": results(given("t-1")), "neither": results(`{"status":200}`, given("t-2")), "no dataset": results(`{"status":200,"body":{}}`, given("t-2")),
		"the wrong way round": results(given("t-2"), given("t-1")),
	} {
		hub.Answer(collect, wrong)
		if _, err := c.CollectAll(t.Context(), []transfer.TransferID{"t-1", "t-2"}); err == nil {
			t.Errorf("an answer with %s was taken", name)
		}
	}
}

func TestTheOtherOperations(t *testing.T) {
	hub := hubtest.New(t)
	ok := func(body string) hubtest.Answer { return hubtest.Answer{Status: http.StatusOK, Body: body} }
	hub.Answer("POST /v1/decisions", ok(`{"decisions":[{"recipient":"pohwer","outcome":"hold","owner":"dpl"}]}`))
	hub.Answer("GET /v1/transfers/t-1", ok(`{"transfer_id":"t-1","recipient":"pohwer","outcome":"hold","state":"held"}`))
	hub.Answer("GET /v1/transfers", ok(`{"transfers":[{"transfer_id":"t-1","recipient":"pohwer"}],"next":"t-1"}`))
	hub.Answer("POST /v1/consents", ok(`{"consent_id":"c-1","stopped":["t-1"],"resumed":[],"log":{"origin":"o","index":3}}`))
	hub.Answer("POST /v1/disclosures/search", ok(`{"entries":[{"at":"2026-03-02T12:00:00Z","kind":"release","recipient":"pohwer","log":{"origin":"o","index":3}}],"query_leaf":{"origin":"o","index":9}}`))
	hub.Answer("GET /v1/partners", ok(`{"partners":[{"id":"pohwer","name":"POhWER","kind":"advocacy"}]}`))
	c, ctx := newClient(t, hub, nil), t.Context()
	if d, err := c.Decide(ctx, []byte("{}")); err != nil || d[0].Outcome != transfer.Hold || d[0].Summary() != "pohwer: hold; now with dpl" {
		t.Errorf("decide: %+v, %v", d, err)
	}
	if tr, err := c.Transfer(ctx, "t-1"); err != nil || tr.State != transfer.Held {
		t.Errorf("transfer: %+v, %v", tr, err)
	}
	if p, err := c.Transfers(ctx, transfer.Held, "", 1); err != nil || p.Next != "t-1" {
		t.Errorf("transfers: %+v, %v", p, err)
	}
	if r, err := c.Consent(ctx, []byte("{}")); err != nil || r.ConsentID != "c-1" || len(r.Stopped) != 1 {
		t.Errorf("consent: %+v, %v", r, err)
	}
	f, err := c.Search(ctx, client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: "9990000018"}, Why: "subject access request"})
	if err != nil || f.Entries[0].Recipient != "pohwer" || f.QueryLeaf.Index != 9 {
		t.Errorf("search: %+v, %v", f, err)
	}
	if p, err := c.Partners(ctx); err != nil || p[0].Name != "POhWER" {
		t.Errorf("partners: %+v, %v", p, err)
	}
	for _, r := range hub.Seen() {
		if strings.Contains(r.Line, "9990000018") {
			t.Error("an NHS number in a URL")
		}
	}
	if _, err := c.Transfer(ctx, "../../oauth/token?x="); err == nil {
		t.Error("an id leads to another path")
	}
}

// The hub's log, and what an auditor who trusts only its verifier key makes of it.
func TestEvidence(t *testing.T) {
	hub := hubtest.New(t)
	for range 3 {
		hub.Log(t, `{"kind":"decision"}`)
	}
	raw := hub.Release(t, "t-1", `{"carer":{}}`)
	d, err := client.ParseDisclosure([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := newClient(t, hub, nil), t.Context()
	checkpoint := func() client.Checkpoint {
		signed, err := c.Checkpoint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		cp, err := client.VerifyCheckpoint(signed, hub.VerifierKey)
		if err != nil {
			t.Fatal(err)
		}
		return cp
	}
	older := checkpoint()
	proof, err := c.InclusionProof(ctx, d.Log.Index, older.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.VerifyInclusion(older, proof); err != nil {
		t.Error(err)
	}
	if err := d.CheckLeaf(proof.Leaf); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(p *client.InclusionProof){
		"another place":   func(p *client.InclusionProof) { p.Index-- },
		"another size":    func(p *client.InclusionProof) { p.Size++ },
		"another leaf":    func(p *client.InclusionProof) { p.Leaf = []byte(`{"kind":"release"}`) },
		"another hash":    func(p *client.InclusionProof) { p.LeafHash[0] ^= 1; p.Leaf = nil },
		"a proof too few": func(p *client.InclusionProof) { p.Proof = p.Proof[1:] },
	} {
		spoilt := *proof
		spoil(&spoilt)
		if err := client.VerifyInclusion(older, &spoilt); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	other, err := client.ParseDisclosure([]byte(hub.Release(t, "t-2", `{"carer":{}}`)))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.CheckLeaf(proof.Leaf); err == nil {
		t.Error("another transfer's leaf passes for this one's")
	}
	newer := checkpoint()
	consistency, err := c.ConsistencyProof(ctx, older.Size, newer.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.VerifyConsistency(older, newer, consistency); err != nil {
		t.Error(err)
	}
	hub.Rewrite(t, 1, `{"kind":"nothing to see here"}`)
	rewritten := checkpoint()
	if consistency, err = c.ConsistencyProof(ctx, older.Size, rewritten.Size); err != nil {
		t.Fatal(err)
	}
	if err := client.VerifyConsistency(older, rewritten, consistency); err == nil {
		t.Error("a rewritten log passes for the old one")
	}
}

func TestACheckpointNeedsTheLogsOwnSignature(t *testing.T) {
	hub, other := hubtest.New(t), hubtest.New(t)
	hub.Log(t, "leaf")
	signed, err := newClient(t, hub, nil).Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]struct{ signed, key string }{
		"another log's key": {string(signed), other.VerifierKey},
		"no key":            {string(signed), base64.StdEncoding.EncodeToString(make([]byte, 33))},
		"another size":      {strings.Replace(string(signed), "\n1\n", "\n2\n", 1), hub.VerifierKey},
		"unsigned":          {strings.SplitAfter(string(signed), "\n\n")[0], hub.VerifierKey},
	} {
		if _, err := client.VerifyCheckpoint([]byte(try.signed), try.key); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	key, err := auth.GenerateKey("ES256")
	if err != nil {
		b.Fatal(err)
	}
	c, err := client.New(client.Config{BaseURL: "https://hub.example", System: "a/b", Key: key, HTTP: &http.Client{Transport: transport(func(r *http.Request) *http.Response {
		if r.URL.Path == "/oauth/token" {
			return respond(http.StatusOK, "application/json", `{"access_token":"t","token_type":"Bearer","expires_in":600}`)
		}
		return respond(http.StatusCreated, "application/json", created)
	})}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for range b.N {
		if _, err := c.Send(b.Context(), []byte("{}")); err != nil {
			b.Fatal(err)
		}
	}
}
