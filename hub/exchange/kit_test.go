package exchange_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/bus"
	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/replay"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/store/postgres"
	"referralhub/hub/store/sqlite"
	"referralhub/hub/store/storetest"
	"referralhub/hub/tables"
	"referralhub/hub/transfer"
	sharingagreements "referralhub/sharing-agreements"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	carersInHerts = transfer.PartnerID("carers-in-hertfordshire")
	ageUKHerts    = transfer.PartnerID("age-uk-hertfordshire")
	pohwer        = transfer.PartnerID("pohwer")
	council       = transfer.PartnerID("hertfordshire-county-council")
	operator      = transfer.PartnerID("hub-operator")
)

// by is a partner's casework system.
func by(p transfer.PartnerID) exchange.Principal {
	return exchange.Principal{Partner: p, System: transfer.SystemID(p) + "/casework"}
}

// house is what outlives every process of the hub: the database and the keys.
type house struct {
	testing.TB
	engine  func(testing.TB) func() store.Store
	connect func() store.Store
	sealer  *seal.Sealer
	index   *agreement.Index
	signers map[string]*ledger.Signer // by origin
	people  int
}

// engines plays a story on both databases.
func engines(t *testing.T, story func(t *testing.T, h *house)) {
	t.Run("SQLite", func(t *testing.T) { story(t, newHouse(t, onSQLite)) })
	t.Run("PostgreSQL", func(t *testing.T) { story(t, newHouse(t, onPostgreSQL)) })
}

func onSQLite(tb testing.TB) func() store.Store {
	path := filepath.Join(tb.TempDir(), "hub.db")
	return func() store.Store {
		st, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
		if err != nil {
			tb.Fatal(err)
		}
		return st
	}
}

func onPostgreSQL(tb testing.TB) func() store.Store {
	url := storetest.Postgres(tb)
	return func() store.Store {
		st, err := postgres.Open(context.Background(), postgres.Config{URL: url})
		if err != nil {
			tb.Fatal(err)
		}
		return st
	}
}

func newHouse(tb testing.TB, engine func(testing.TB) func() store.Store) *house {
	tb.Helper()
	h := &house{TB: tb, engine: engine, connect: engine(tb), signers: map[string]*ledger.Signer{}}
	var err error
	h.sealer, err = seal.Open(seal.Config{KeyFile: filepath.Join(tb.TempDir(), "seal.json")})
	h.must(err)
	h.index = register(tb, nil)
	return h
}

// elsewhere is a house with an empty database on the same engine, and the same register and keys.
func (h *house) elsewhere(tb testing.TB) *house {
	tb.Helper()
	return &house{TB: tb, engine: h.engine, connect: h.engine(tb), sealer: h.sealer, index: h.index, signers: h.signers}
}

// register loads the agreements of Hertfordshire, changed by edit where a story needs it.
func register(tb testing.TB, edit func(file, text string) string) *agreement.Index {
	tb.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(sharingagreements.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(sharingagreements.Files, name)
		if edit != nil {
			text = []byte(edit(filepath.Base(name), string(text)))
		}
		files[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	index, faults, err := agreement.Load(files, time.Now())
	if err != nil || index == nil {
		tb.Fatalf("load the agreements: %v %v", err, faults)
	}
	return index
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

const firstCopy = "hub.example/log/1"

func (h *house) signer(origin string) *ledger.Signer {
	h.Helper()
	if h.signers[origin] == nil {
		skey, _, err := ledger.GenerateKey(origin)
		h.must(err)
		h.signers[origin], err = ledger.NewSigner(origin, skey)
		h.must(err)
	}
	return h.signers[origin]
}

// hub is one process of the hub, as far as its use cases go.
type hub struct {
	*exchange.Exchange
	house *house
	store store.Store
	board *board
	end   func() // drains it; calling it again does nothing
}

// open starts a hub on the house's database.
func (h *house) open(change ...func(*exchange.Config)) *hub {
	h.Helper()
	out := h.prepare(change...)
	out.run()
	return out
}

// prepare makes a hub that does not commit yet.
func (h *house) prepare(change ...func(*exchange.Config)) *hub {
	h.Helper()
	out := &hub{house: h, board: &board{}, end: func() {}}
	cfg := exchange.Config{
		Store: h.connect(), Sealer: h.sealer, Origin: firstCopy, Index: h.index, Publisher: out.board,
	}
	for _, f := range change {
		f(&cfg)
	}
	cfg.Signer = h.signer(cfg.Origin)
	out.store = cfg.Store
	var err error
	out.Exchange, err = exchange.New(cfg)
	h.must(err)
	return out
}

// run commits until end.
func (u *hub) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	u.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			u.house.Errorf("the hub ended badly: %v", err)
		}
		if err := u.store.Close(); err != nil {
			u.house.Errorf("close the store: %v", err)
		}
	})
	u.house.Cleanup(u.end)
}

// at sets a hub's clock.
func at(now func() time.Time) func(*exchange.Config) {
	return func(cfg *exchange.Config) { cfg.Now = now }
}

// through lets faults decide about every operation of the store.
func through(faults func(storetest.Op) (bool, error)) func(*exchange.Config) {
	return func(cfg *exchange.Config) { cfg.Store = storetest.Faulty(cfg.Store, faults) }
}

// as gives a hub another log of its own.
func as(origin string) func(*exchange.Config) {
	return func(cfg *exchange.Config) { cfg.Origin = origin }
}

// board is a bus that remembers what was put on it.
type board struct {
	mu    sync.Mutex
	seen  []bus.Message
	fault error
}

func (b *board) Publish(_ context.Context, messages []bus.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, messages...)
	return b.fault
}

func (b *board) published() []bus.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

// somebody is an NHS number of the range 999 that no story of this house has used before.
func (h *house) somebody() string {
	for {
		h.people++
		digits := fmt.Sprintf("999%06d", h.people)
		sum := 0
		for i, d := range digits {
			sum += int(d-'0') * (10 - i)
		}
		if check := (11 - sum%11) % 11; check < 10 {
			return digits + fmt.Sprint(check)
		}
	}
}

// message is the referral of the adult example about somebody else and nobody but them.
func (h *house) message(id, nhs string, change ...func(map[string]any)) *contracts.Document {
	h.Helper()
	text, err := contracts.Example("adult-carer-hertswise")
	h.must(err)
	var m map[string]any
	h.must(json.Unmarshal(text, &m))
	m["message_id"] = id
	delete(m, "cared_for")
	delete(m, "household")
	carer := m["carer"].(map[string]any)
	carer["nhs_number"], carer["case_number"] = nhs, "CASE/"+nhs
	for _, f := range change {
		f(m)
	}
	text, err = json.Marshal(m)
	h.must(err)
	contract, _ := contracts.For("referral/1")
	doc, err := contract.Parse(text)
	h.must(err)
	return doc
}

func to(recipients ...transfer.PartnerID) func(map[string]any) {
	return func(m map[string]any) { m["recipients"] = recipients }
}

func without(members ...string) func(map[string]any) {
	return func(m map[string]any) {
		for _, name := range members {
			delete(m, name)
		}
	}
}

// until lets the consent in a message end.
func until(end time.Time) func(map[string]any) {
	return func(m map[string]any) {
		m["consents"].([]any)[0].(map[string]any)["expires_at"] = end.UTC().Format(time.RFC3339)
	}
}

// navigators makes a message one for the community navigators, which go to PoHWER.
func navigators(m map[string]any) {
	m["purpose"], m["service"], m["recipients"] = "navigation", "community-navigators", []transfer.PartnerID{pohwer}
	given := m["consents"].([]any)[0].(map[string]any)
	given["purpose"], given["service"] = "navigation", "community-navigators"
	delete(given, "recipients")
}

func known(nhs string) []contracts.Identifier {
	return []contracts.Identifier{{Scheme: "nhs-number", Value: nhs}}
}

// said is what somebody says about Hertswise and Age UK.
func said(state consent.State, when time.Time) consent.Event {
	return consent.Event{
		State: state, Purpose: "referral.service", Service: "hertswise", Recipients: []transfer.PartnerID{ageUKHerts},
		Explicit: true, Method: "verbal", Authority: "self", At: when.UTC().Truncate(time.Second),
	}
}

// send submits and expects one transfer in this state.
func (u *hub) send(doc *contracts.Document, want transfer.State) store.Transfer {
	u.house.Helper()
	sent, err := u.Submit(context.Background(), by(carersInHerts), doc)
	u.house.must(err)
	if len(sent.Transfers) != 1 || sent.Transfers[0].Transfer.State != want {
		u.house.Fatalf("%s: got %+v, want one transfer that is %s", doc.Envelope.MessageID, sent.Transfers, want)
	}
	return sent.Transfers[0].Transfer
}

// eventually waits for what happens in another goroutine and cannot be waited for in any other way.
func (h *house) eventually(what string, ok func() bool) {
	h.Helper()
	end := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			h.Fatalf("it never came to this: %s", what)
		}
	}
}

// state reads where a transfer stands.
func (u *hub) state(id transfer.TransferID) transfer.State {
	u.house.Helper()
	t, err := u.store.Transfer(context.Background(), id)
	u.house.must(err)
	return t.State
}

// leaves reads the whole log of a hub.
func (h *house) leaves(st store.Store, origin string) []*ledger.Leaf {
	h.Helper()
	src := st.Log(context.Background(), origin)
	size, _, err := src.Head()
	h.must(err)
	raw, err := src.Leaves(0, size)
	h.must(err)
	out := make([]*ledger.Leaf, len(raw))
	for i := range raw {
		out[i], err = ledger.Parse(raw[i])
		h.must(err)
	}
	return out
}

// audited expects the log, and the tables beside it, to be in order, and every decision to come out as it did when it is made again.
func (h *house) audited(st store.Store) *audit.Report {
	h.Helper()
	var report *audit.Report
	err := st.Snapshot(context.Background(), func(snap store.Snapshot) (err error) {
		book := tables.New(snap, firstCopy, h.sealer)
		report, err = audit.Check(context.Background(), snap.Log(context.Background(), firstCopy), h.signer(firstCopy).Verifier(), book)
		return err
	})
	h.must(err)
	for _, p := range report.Problems {
		h.Errorf("audit: %s", p)
	}
	_, err = replay.Redecide(context.Background(), st.Log(context.Background(), firstCopy), h.index, func(d replay.Drift) error {
		h.Errorf("decided otherwise: %s", d)
		return nil
	})
	h.must(err)
	return report
}

// stopped reports whether err says that a transfer may not, or no longer, be collected.
func stopped(err error) bool {
	var s *exchange.StoppedError
	var state *exchange.StateError
	return errors.As(err, &s) || errors.As(err, &state)
}
