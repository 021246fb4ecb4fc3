package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/server"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

const (
	carersInHerts = transfer.PartnerID("carers-in-hertfordshire")
	ageUKHerts    = transfer.PartnerID("age-uk-hertfordshire")
	pohwer        = transfer.PartnerID("pohwer")
	council       = transfer.PartnerID("hertfordshire-county-council")
	kent          = transfer.PartnerID("kent-county-council") // with which Carers in Hertfordshire has no agreement
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// county is a running hub with the partners of two counties. Those of the stories have keys of their own.
type county struct {
	testing.TB
	cfg server.Config

	keys map[transfer.SystemID]auth.Key
	log  *logBook
	stop func() // drains the hub; the county can be started again
}

// engines plays a story on both databases.
func engines(t *testing.T, story func(t *testing.T, c *county)) {
	t.Run("SQLite", func(t *testing.T) { story(t, newCounty(t, "")) })
	t.Run("PostgreSQL", func(t *testing.T) { story(t, newCounty(t, storetest.Postgres(t))) })
}

func newCounty(t testing.TB, database string, change ...func(*server.Config)) *county {
	t.Helper()
	c := &county{TB: t, keys: map[transfer.SystemID]auth.Key{}, log: &logBook{}, stop: func() {}}
	cfg, err := server.ReadConfig("", func(cfg *server.Config) {
		cfg.Data, cfg.Database, cfg.Listen, cfg.TLS.Off, cfg.Grace = t.TempDir(), database, freeAddress(t), true, 5*time.Second
		cfg.Checkpoints.Every = time.Hour // so that nothing is published but where a story wants it
		for _, f := range change {
			f(cfg)
		}
	})
	c.must(err)
	c.cfg = cfg
	for _, id := range []transfer.SystemID{
		"carers-in-hertfordshire/casework", "age-uk-hertfordshire/casework", "pohwer/casework", "hertfordshire-county-council/casework", "kent-county-council/casework",
		"carers-support-east-kent/casework", "hub-operator/dpl", "age-uk-hertfordshire/dpl", "carers-in-hertfordshire/dpl", "hertfordshire-constabulary/casework",
	} {
		key, err := auth.GenerateKey("ES256")
		c.must(err)
		public, err := auth.JWKS(key)
		c.must(err)
		c.must(cfg.Enrol(id, public))
		c.keys[id] = key
	}
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (c *county) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// start runs the hub until stop.
func (c *county) start() {
	c.Helper()
	h, err := server.Open(c.Context(), c.cfg, slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	c.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	response, err := http.Get(c.cfg.URL + "/healthz") // answered once the doors are open
	c.must(err)
	c.must(response.Body.Close())
	c.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			c.Errorf("the hub ended badly: %v", err)
		}
		c.stop = func() {}
	}
}

// as gives the client of a partner's casework system, or of another system that is named whole.
func (c *county) as(who transfer.PartnerID) *client.Client {
	c.Helper()
	id := transfer.SystemID(who)
	if !strings.Contains(string(who), "/") {
		id += "/casework"
	}
	out, err := client.New(client.Config{BaseURL: c.cfg.URL, System: id, Key: c.keys[id], Tries: 1})
	c.must(err)
	return out
}

// token logs a system in and gives its access token, for requests that the client would not make.
func (c *county) token(id transfer.SystemID) string {
	c.Helper()
	cl, err := client.New(client.Config{BaseURL: c.cfg.URL, System: id, Key: c.keys[id]})
	c.must(err)
	token, err := cl.Token(c.Context())
	c.must(err)
	return token
}

// post sends a body as a system would, and gives the answer whatever it is.
func (c *county) post(token, path, body string) (int, map[string]any) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), http.MethodPost, c.cfg.URL+path, strings.NewReader(body))
	c.must(err)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	c.must(err)
	defer response.Body.Close()
	out := map[string]any{}
	c.must(json.NewDecoder(response.Body).Decode(&out))
	if response.StatusCode >= 400 && response.Header.Get("Content-Type") != "application/problem+json" && path != "/oauth/token" {
		c.Errorf("%s answered %d as %s, not as a problem document", path, response.StatusCode, response.Header.Get("Content-Type"))
	}
	return response.StatusCode, out
}

// referral is an example, changed as a story needs it.
type referral map[string]any

func (c *county) example(name string) referral {
	c.Helper()
	text, err := contracts.Example(name)
	c.must(err)
	var m referral
	c.must(json.Unmarshal(text, &m))
	return m
}

func (m referral) with(id string, change ...func(referral)) referral {
	m["message_id"] = id
	for _, f := range change {
		f(m)
	}
	return m
}

func (m referral) bytes() []byte {
	text, err := json.Marshal(map[string]any(m))
	if err != nil {
		panic(err)
	}
	return text
}

// whose gives the carer of a message another NHS number and case number, and leaves everybody else out.
func whose(nhs string) func(referral) {
	return func(m referral) {
		carer := m["carer"].(map[string]any)
		carer["nhs_number"], carer["case_number"] = nhs, "CASE/"+nhs
		delete(m, "cared_for")
		delete(m, "household")
	}
}

func to(recipients ...transfer.PartnerID) func(referral) {
	return func(m referral) { m["recipients"] = recipients }
}

func without(members ...string) func(referral) {
	return func(m referral) {
		for _, name := range members {
			delete(m, name)
		}
	}
}

// send submits and expects one transfer with this outcome.
func (c *county) send(from transfer.PartnerID, m referral, want transfer.Outcome) client.Transfer {
	c.Helper()
	sent, err := c.as(from).Send(c.Context(), m.bytes())
	c.must(err)
	if len(sent.Transfers) != 1 || sent.Transfers[0].Outcome != want {
		c.Fatalf("sent %s: got %+v, want one transfer with outcome %s", m["message_id"], sent.Transfers, want)
	}
	return sent.Transfers[0]
}

// consent is a consent event about a person with an NHS number, for Hertswise with Age UK.
func consent(id, nhs, state string) []byte {
	text, err := json.Marshal(map[string]any{
		"contract": "consent/1", "message_id": id, "state": state, "purpose": "referral.service", "service": "hertswise",
		"subject":    map[string]any{"identifiers": []map[string]string{{"scheme": "nhs-number", "value": nhs}}},
		"recipients": []transfer.PartnerID{ageUKHerts}, "explicit": true, "method": "verbal", "authority": "self",
		"at": time.Now().UTC().Format(time.RFC3339),
	})
	if err != nil {
		panic(err)
	}
	return text
}

// problem expects a problem document with this status.
func (c *county) problem(err error, status int) *client.Problem {
	c.Helper()
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != status {
		c.Fatalf("got %v, want a problem with status %d", err, status)
	}
	return p
}

// opened reads the county's store, beside the hub or after it.
func (c *county) opened() store.Store {
	c.Helper()
	st, err := server.OpenStore(c.Context(), c.cfg)
	c.must(err)
	c.Cleanup(func() { st.Close() })
	return st
}

// load reads what a commit would.
func (c *county) load(st store.Store, want *store.Wanted) (got *store.Loaded) {
	c.Helper()
	c.must(st.InTx(c.Context(), func(tx store.Tx) (err error) {
		got, err = tx.Load(c.Context(), want)
		return err
	}))
	return got
}

// audited expects the whole log, and the tables beside it, to be in order.
func (c *county) audited() *audit.Report {
	c.Helper()
	report, err := server.Verify(c.Context(), c.cfg, c.opened())
	c.must(err)
	for _, p := range report.Problems {
		c.Errorf("audit: %s", p)
	}
	return report
}

// logBook keeps what the hub logs.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// files reads every file under the data folder.
func (c *county) files() map[string][]byte {
	c.Helper()
	out := map[string][]byte{}
	c.must(filepath.WalkDir(c.cfg.Data, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // JetStream has taken it away meanwhile
		}
		out[name] = text
		return err
	}))
	return out
}
