package rights_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	"referralhub/hub/rights"
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

const origin = "hub.example/log/1"

// by is the system of a partner's Data Protection Lead.
func by(p transfer.PartnerID) exchange.Principal {
	return exchange.Principal{Partner: p, System: transfer.SystemID(p) + "/dpl"}
}

// county is a hub, as far as its use cases go, with a clock that a story sets.
type county struct {
	testing.TB
	*exchange.Exchange
	rights *rights.Rights
	store  store.Store
	index  *agreement.Index
	sealer *seal.Sealer
	signer *ledger.Signer
	end    func() // drains the hub; calling it again does nothing

	mu       sync.Mutex
	now      time.Time
	people   int
	messages int
}

// engines plays a story on both databases.
func engines(t *testing.T, story func(t *testing.T, c *county)) {
	t.Run("SQLite", func(t *testing.T) { story(t, newCounty(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		st, err := postgres.Open(t.Context(), postgres.Config{URL: storetest.Postgres(t)})
		if err != nil {
			t.Fatal(err)
		}
		story(t, countyOn(t, st))
	})
}

func newCounty(tb testing.TB) *county {
	tb.Helper()
	st, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(tb.TempDir(), "hub.db")})
	if err != nil {
		tb.Fatal(err)
	}
	return countyOn(tb, st)
}

func countyOn(tb testing.TB, st store.Store) *county {
	tb.Helper()
	c := &county{TB: tb, store: st, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)} // a Monday
	var err error
	c.sealer, err = seal.Open(seal.Config{KeyFile: filepath.Join(tb.TempDir(), "seal.json")})
	c.must(err)
	skey, _, err := ledger.GenerateKey(origin)
	c.must(err)
	c.signer, err = ledger.NewSigner(origin, skey)
	c.must(err)
	c.index = register(tb)
	c.open()
	return c
}

// register loads the agreements, changed where a story needs it.
func register(tb testing.TB, edit ...func(text string) string) *agreement.Index {
	tb.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(sharingagreements.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(sharingagreements.Files, name)
		for _, f := range edit {
			text = []byte(f(string(text)))
		}
		files[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	index, faults, err := agreement.Load(files, time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
	if err != nil || index == nil {
		tb.Fatalf("load the agreements: %v %v", err, faults)
	}
	return index
}

// open starts a hub on the database.
func (c *county) open(change ...func(*exchange.Config)) {
	c.Helper()
	cfg := exchange.Config{
		Store: c.store, Sealer: c.sealer, Signer: c.signer, Origin: origin, Index: c.index, Publisher: silent{}, Now: c.clock,
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	c.Exchange, err = exchange.New(cfg)
	c.must(err)
	c.rights, err = rights.New(rights.Config{Exchange: c.Exchange, Store: c.store, Origin: origin, Now: c.clock})
	c.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func(x *exchange.Exchange) { ended <- x.Run(ctx) }(c.Exchange)
	c.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			c.Errorf("the hub ended badly: %v", err)
		}
	})
	c.Cleanup(func() {
		c.end()
		c.store.Close()
	})
}

type silent struct{}

func (silent) Publish(context.Context, []bus.Message) error { return nil }

func (c *county) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *county) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// on sets the clock to ten o'clock of a day.
func (c *county) on(day string) {
	c.Helper()
	at, err := time.Parse(time.DateOnly, day)
	c.must(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = at.Add(10 * time.Hour)
}

// messageID is one that has not been used before.
func (c *county) messageID() transfer.MessageID {
	c.messages++
	return transfer.MessageID(fmt.Sprintf("message-%d", c.messages))
}

// somebody is an NHS number of the range 999 that no story of this county has used before.
func (c *county) somebody() string {
	for {
		c.people++
		digits := fmt.Sprintf("999%06d", c.people)
		sum := 0
		for i, d := range digits {
			sum += int(d-'0') * (10 - i)
		}
		if check := (11 - sum%11) % 11; check < 10 {
			return digits + fmt.Sprint(check)
		}
	}
}

func known(nhs string) []contracts.Identifier {
	return []contracts.Identifier{{Scheme: "nhs-number", Value: nhs}}
}

// message is the referral of the adult example about somebody else and nobody but them.
func (c *county) message(nhs string, change ...func(map[string]any)) *contracts.Document {
	c.Helper()
	text, err := contracts.Example("adult-carer-hertswise")
	c.must(err)
	var m map[string]any
	c.must(json.Unmarshal(text, &m))
	m["message_id"] = c.messageID()
	delete(m, "cared_for")
	delete(m, "household")
	carer := m["carer"].(map[string]any)
	carer["nhs_number"], carer["case_number"] = nhs, "CASE/"+nhs
	for _, f := range change {
		f(m)
	}
	text, err = json.Marshal(m)
	c.must(err)
	contract, _ := contracts.For("referral/1")
	doc, err := contract.Parse(text)
	c.must(err)
	return doc
}

// navigators makes a message one for the community navigators, which go to PoHWER.
func navigators(m map[string]any) {
	m["purpose"], m["service"], m["recipients"] = "navigation", "community-navigators", []transfer.PartnerID{pohwer}
	given := m["consents"].([]any)[0].(map[string]any)
	given["purpose"], given["service"] = "navigation", "community-navigators"
	delete(given, "recipients")
}

// sends submits a message and expects one transfer in this state.
func (c *county) sends(p transfer.PartnerID, doc *contracts.Document, want transfer.State) transfer.TransferID {
	c.Helper()
	sent, err := c.Submit(context.Background(), by(p), doc)
	c.must(err)
	if len(sent.Transfers) != 1 || sent.Transfers[0].Transfer.State != want {
		c.Fatalf("%s: got %+v, want one transfer that is %s", doc.Envelope.MessageID, sent.Transfers, want)
	}
	return sent.Transfers[0].Transfer.ID
}

// refers sends somebody to Hertswise at Age UK, who collect it.
func (c *county) refers(nhs string) transfer.TransferID {
	c.Helper()
	id := c.sends(carersInHerts, c.message(nhs), transfer.Queued)
	c.collects(ageUKHerts, id)
	return id
}

func (c *county) collects(p transfer.PartnerID, id transfer.TransferID) {
	c.Helper()
	_, err := c.Collect(context.Background(), by(p), id)
	c.must(err)
}

// state is where a transfer stands.
func (c *county) state(id transfer.TransferID) transfer.State {
	c.Helper()
	t, err := c.store.Transfer(context.Background(), id)
	c.must(err)
	return t.State
}

// tells enters what a partner told somebody outside the hub about a person.
func (c *county) tells(p transfer.PartnerID, nhs string, d exchange.Disclosed, items ...string) {
	c.Helper()
	d.MessageID, d.Person, d.How, d.Made = c.messageID(), "dpl-1", "telephone", c.clock()
	d.Purpose = orElse(d.Purpose, "referral.service")
	d.Basis = orElse(d.Basis, ledger.Basis{Article6: "d"})
	d.People = []exchange.DisclosedAbout{{Role: transfer.Carer, Identifiers: known(nhs), Items: items}}
	_, err := c.EnterDisclosure(context.Background(), by(p), &d, []byte(d.MessageID))
	c.must(err)
}

func orElse[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// says records a consent event of somebody.
func (c *county) says(p transfer.PartnerID, nhs string, state consent.State) exchange.Consented {
	c.Helper()
	done, err := c.RecordConsent(context.Background(), by(p), c.messageID(), known(nhs), consent.Event{
		State: state, Purpose: "referral.service", Service: "hertswise", Explicit: true, Method: "verbal", Authority: "self",
		At: c.clock().UTC().Truncate(time.Second),
	})
	c.must(err)
	return done
}

// opens opens a case, by dpl-1.
func (c *county) opens(p transfer.PartnerID, o rights.Opening) *rights.Case {
	c.Helper()
	k, err := c.tries(p, o)
	c.must(err)
	return k
}

func (c *county) tries(p transfer.PartnerID, o rights.Opening) (*rights.Case, error) {
	o.MessageID, o.Person = orElse(o.MessageID, c.messageID()), orElse(o.Person, "dpl-1")
	k, _, err := c.rights.Open(context.Background(), by(p), &o, []byte(o.MessageID))
	return k, err
}

// steps takes a step of a case, by dpl-1.
func (c *county) steps(p transfer.PartnerID, k *rights.Case, in rights.StepIn) *rights.Case {
	c.Helper()
	k, err := c.triesTo(p, k, in)
	c.must(err)
	return k
}

func (c *county) triesTo(p transfer.PartnerID, k *rights.Case, in rights.StepIn) (*rights.Case, error) {
	in.MessageID, in.Person = orElse(in.MessageID, c.messageID()), orElse(in.Person, "dpl-1")
	k, _, err := c.rights.Step(context.Background(), by(p), k.Reference, &in, []byte(in.MessageID))
	return k, err
}

// impossible expects a step to be refused in these words.
func (c *county) impossible(p transfer.PartnerID, k *rights.Case, in rights.StepIn, says string) {
	c.Helper()
	_, err := c.triesTo(p, k, in)
	var not *rights.Impossible
	if !errors.As(err, &not) || !strings.Contains(err.Error(), says) {
		c.Errorf("step %s: %v, want a refusal that says %q", in.Step, err, says)
	}
}

// invalid expects an answer about this member.
func (c *county) invalid(err error, pointer string) {
	c.Helper()
	var wrong *contracts.InvalidError
	if !errors.As(err, &wrong) || !slices.ContainsFunc(wrong.Faults, func(f contracts.Fault) bool { return f.Pointer == pointer && f.Remedy != "" }) {
		c.Errorf("got %v, want a fault at %s", err, pointer)
	}
}

// shows reads a case again.
func (c *county) shows(p transfer.PartnerID, reference string) *rights.Case {
	c.Helper()
	k, err := c.rights.Case(context.Background(), by(p), reference)
	c.must(err)
	return k
}

// noticesTo lists what a partner has been told.
func (c *county) noticesTo(p transfer.PartnerID) []rights.Notice {
	c.Helper()
	list, err := c.rights.Notices(context.Background(), by(p), rights.WhichNotices{Limit: 100})
	c.must(err)
	return list
}

// answers answers a notice, by dpl-1.
func (c *county) answers(p transfer.PartnerID, id string, status rights.NoticeState, reason string) error {
	in := rights.AnswerIn{MessageID: c.messageID(), Status: status, Reason: reason, Person: "dpl-1"}
	_, _, err := c.rights.Answer(context.Background(), by(p), id, &in, []byte(in.MessageID))
	return err
}

// leaves reads the whole log.
func (c *county) leaves() []*ledger.Leaf {
	c.Helper()
	src := c.store.Log(context.Background(), origin)
	size, _, err := src.Head()
	c.must(err)
	raw, err := src.Leaves(0, size)
	c.must(err)
	out := make([]*ledger.Leaf, len(raw))
	for i := range raw {
		out[i], err = ledger.Parse(raw[i])
		c.must(err)
	}
	return out
}

// audited expects the log, and the tables beside it, to be in order.
func (c *county) audited() {
	c.Helper()
	var report *audit.Report
	err := c.store.Snapshot(context.Background(), func(snap store.Snapshot) (err error) {
		report, err = audit.Check(context.Background(), snap.Log(context.Background(), origin), c.signer.Verifier(), tables.New(snap, origin, c.sealer))
		return err
	})
	c.must(err)
	for _, p := range report.Problems {
		c.Errorf("audit: %s", p)
	}
}
