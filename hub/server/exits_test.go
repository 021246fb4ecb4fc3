package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"go/ast"
	"go/types"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/samber/lo"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/tools/go/packages"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/server"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
	sharingagreements "referralhub/sharing-agreements"
)

const module = "referralhub/"

// exits are what releases, opens, reads or carries a payload, and the packages that may name it besides its own. Another package that
// does adds a way out for data about people, and has to say here that it is one. (adaptertest and storetest are suites for tests.)
var exits = map[string]string{
	// A parcel is made from a committed release leaf, and only the use cases commit.
	"hub/delivery.NewParcel": "hub/exchange adapters/adaptertest",

	// What is sealed is opened, and cut, by the use cases alone. Opens gives nothing of it: the audit asks it whether what is at rest is whole.
	"(*hub/seal.Sealer).Open":      "hub/exchange",
	"(*hub/seal.Sealer).Opens":     "",
	"what holds hub/store.Payload": "hub/exchange hub/store/internal/sqlstore hub/store/sqlite hub/store/postgres hub/store/storetest hub/tables",
	"hub/dataset.Cut":              "hub/exchange hub/casebook", // a casebook cuts the made-up messages of its cases

	// A release is asked for by a recipient who collects, and by the worker for a flow that says push.
	"(*hub/exchange.Exchange).Collect":    "hub/api cmd/hub",
	"(*hub/exchange.Exchange).CollectAll": "hub/api",
	"(*hub/exchange.Exchange).Next":       "",
	"(hub/delivery.Exchange).Next":        "",

	// A parcel is taken by adapters, and its bytes leave in two packages. `hub bench log` collects what it made up itself, and looks at none of it.
	"what holds hub/delivery.Parcel":    "hub/api hub/exchange adapters/adaptertest adapters/mailbox adapters/webhook cmd/hub",
	"(hub/delivery.Parcel).Dataset":     "adapters/adaptertest",
	"(hub/delivery.Parcel).WriteTo":     "hub/api",
	"(hub/delivery.Parcel).AppendJSON":  "hub/api adapters/webhook",
	"(hub/delivery.Parcel).MarshalJSON": "",
	"(hub/delivery.Adapter).Deliver":    "adapters/adaptertest",

	// What the log says leaves as reports. They hold names of items and never a value, because leaves do.
	"(*hub/exchange.Found).Write": "hub/api cmd/hub",

	// What the log says of a person leaves in a report about a case: names of items, and no value.
	"(*hub/exchange.Session).History": "hub/rights",
	"(*hub/rights.Rights).Report":     "hub/api cmd/hub",

	// What a sender sent is read item by item for two reasons: to cut it, and to see whether it contradicts itself.
	"(*contracts.Document).AppendOnly": "hub/dataset",
	"(*contracts.Document).Value":      "hub/api",
}

// adapters are all ways in which something leaves by itself.
var adapters = []string{"adapters/mailbox.Adapter", "adapters/webhook.Adapter"}

func TestTheCodeHasNoExitButThoseListed(t *testing.T) {
	loaded, err := packages.Load(&packages.Config{
		Dir:  "../..",
		Mode: packages.NeedName | packages.NeedImports | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo,
	}, module+"...")
	if err != nil {
		t.Fatal(err)
	}
	users := map[string]map[string]bool{}
	var adapter *types.Interface
	for _, p := range loaded {
		for _, err := range p.Errors {
			t.Fatal(err)
		}
		here := strings.TrimPrefix(p.PkgPath, module)
		for _, uses := range []map[*ast.Ident]types.Object{p.TypesInfo.Defs, p.TypesInfo.Uses} {
			for _, object := range uses {
				for _, name := range names(object) {
					if users[name] == nil {
						users[name] = map[string]bool{}
					}
					users[name][here] = users[name][here] || object.Pkg().Path() != p.PkgPath
				}
			}
		}
		for _, f := range p.Syntax {
			ast.Inspect(f, func(n ast.Node) bool {
				if text, ok := n.(*ast.BasicLit); ok && strings.Contains(strings.ToLower(text.Value), "from payloads") && here != "hub/store/internal/sqlstore" {
					t.Errorf("%s reads payloads out of the database by itself", here)
				}
				return true
			})
		}
		if here == "hub/delivery" {
			adapter = p.Types.Scope().Lookup("Adapter").Type().Underlying().(*types.Interface)
		}
	}
	for name, may := range exits {
		if users[name] == nil {
			t.Errorf("there is no %s any more: what has taken its place?", name)
		}
		for _, by := range slices.Sorted(maps.Keys(users[name])) {
			if users[name][by] && !slices.Contains(strings.Fields(may), by) {
				t.Errorf("%s uses %s and is not listed: is it a new exit?", by, name)
			}
		}
	}
	var found []string
	for _, p := range loaded {
		here := strings.TrimPrefix(p.PkgPath, module)
		for _, name := range p.Types.Scope().Names() {
			object, ok := p.Types.Scope().Lookup(name).(*types.TypeName)
			if ok && !types.IsInterface(object.Type()) && types.Implements(types.NewPointer(object.Type()), adapter) {
				found = append(found, here+"."+name)
			}
		}
		if strings.HasPrefix(here, "adapters/") {
			for _, never := range []string{"hub/store", "hub/seal", "hub/exchange"} {
				if p.Imports[module+never] != nil && here != "adapters/adaptertest" {
					t.Errorf("%s imports %s: an adapter is given parcels and reaches for nothing", here, never)
				}
			}
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, adapters) {
		t.Errorf("adapters: %v, want %v", found, adapters)
	}
}

// names says what a thing of this module is called in exits: by its own name, and by what it holds.
func names(object types.Object) []string {
	if object == nil || object.Pkg() == nil || !strings.HasPrefix(object.Pkg().Path(), module) {
		return nil
	}
	var out []string
	switch object := object.(type) {
	case *types.Func:
		out = append(out, strings.Replace(object.FullName(), module, "", 1))
	case *types.TypeName:
		out = append(out, strings.TrimPrefix(object.Pkg().Path(), module)+"."+object.Name())
	case *types.Var:
		if !object.IsField() {
			return nil
		}
	}
	for _, held := range []string{"hub/store.Payload", "hub/delivery.Parcel"} {
		if mentions(object.Type(), module+held) {
			out = append(out, "what holds "+held)
		}
	}
	return out
}

// mentions reports whether a type is written with the name of another.
func mentions(t types.Type, name string) bool {
	text := types.TypeString(t, nil)
	i := strings.Index(text, name)
	return i >= 0 && (len(text) == i+len(name) || strings.ContainsRune("],)} ;", rune(text[i+len(name)])))
}

// receiver is a partner's webhook endpoint. It answers 204 until told otherwise.
type receiver struct {
	*httptest.Server
	secret string
	log    ledger.Source // of the hub

	mu     sync.Mutex
	answer func(attempt int) int
	posts  []post
}

// post is what arrived, with the size that the log had by then.
type post struct {
	header http.Header
	body   []byte
	size   int64
}

func (p post) kind(t *testing.T) string {
	t.Helper()
	var out struct{ Type string }
	if err := json.Unmarshal(p.body, &out); err != nil {
		t.Fatal(err)
	}
	return out.Type
}

func (r *receiver) got() []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.posts)
}

// wait gives the first n posts.
func (r *receiver) wait(t *testing.T, n int) []post {
	t.Helper()
	within(t, func() bool { return len(r.got()) >= n })
	return r.got()
}

// trust makes this process believe the certificate of every httptest server, as an operator would who has a partner with an authority of
// its own. The system's authorities are read once, so it comes before the first look at them.
var trust = sync.OnceValue(func() error {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	dir, err := os.MkdirTemp("", "authority")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		return err
	}
	if err := os.Setenv("SSL_CERT_FILE", name); err != nil {
		return err
	}
	_, err = x509.SystemCertPool()
	return err
})

// hooked is a county in which Age UK has a webhook, and, for push, the agreement sends the dataset there.
func hooked(t *testing.T, push bool, answer func(attempt int) int) (*county, *receiver) {
	t.Helper()
	if err := trust(); err != nil {
		t.Fatal(err)
	}
	r := &receiver{secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text())), answer: answer}
	ready := make(chan struct{})
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		<-ready
		body, err := io.ReadAll(in.Body)
		if err != nil {
			t.Error(err)
		}
		size := r.size()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.posts = append(r.posts, post{in.Header.Clone(), body, size})
		status := http.StatusNoContent
		if r.answer != nil {
			status = r.answer(len(r.posts))
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	declared := t.TempDir()
	if err := os.CopyFS(declared, sharingagreements.Files); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(declared, "hertfordshire", "partners.yaml"), func(text string) string {
		before, entry, _ := strings.Cut(text, "  - id: age-uk-hertfordshire\n")
		return before + "  - id: age-uk-hertfordshire\n" + strings.Replace(entry, "{adapter: mailbox}", `{adapter: webhook, url: "`+r.URL+`/hub"}`, 1)
	})
	if push {
		rewrite(t, filepath.Join(declared, "hertfordshire", "agreements", "hertswise.v1.yaml"), func(text string) string {
			return strings.Replace(text, "delivery: collect", "delivery: push", 1)
		})
	}
	c := newCounty(t, "", func(cfg *server.Config) {
		cfg.Agreements, cfg.Webhooks.AllowHosts = declared, []string{"127.0.0.1"}
		dir := filepath.Join(cfg.Data, "partners", string(ageUKHerts))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "webhook.secret"), []byte(r.secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	r.log = c.opened().Log(context.Background(), c.cfg.Origin)
	close(ready)
	return c, r
}

func rewrite(t *testing.T, name string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		t.Fatalf("%s is as it was", name)
	}
	if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// size is how many leaves are committed.
func (r *receiver) size() int64 {
	size, _, err := r.log.Head()
	if err != nil {
		panic(err)
	}
	return size
}

// leaves reads the whole log.
func leaves(t *testing.T, log ledger.Source) []*ledger.Leaf {
	t.Helper()
	size, _, err := log.Head()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := log.Leaves(0, size)
	if err != nil {
		t.Fatal(err)
	}
	return lo.Map(raw, func(text []byte, _ int) *ledger.Leaf {
		l, err := ledger.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return l
	})
}

// failed waits until an attempt to deliver has failed and is in the log.
func (r *receiver) failed(t *testing.T) {
	t.Helper()
	within(t, func() bool {
		return slices.ContainsFunc(leaves(t, r.log), func(l *ledger.Leaf) bool { return l.Receipt == "not-delivered" })
	})
}

// signed expects a webhook to verify with its receiver's own library.
func (r *receiver) signed(t *testing.T, p post) {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(r.secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify(p.body, p.header); err != nil {
		t.Errorf("the signature does not verify: %v", err)
	}
	if wh.Verify(append(slices.Clone(p.body), ' '), p.header) == nil {
		t.Error("the signature verifies over another body")
	}
}

// state waits until a transfer is in a state.
func (c *county) awaits(id transfer.TransferID, want transfer.State) {
	c.Helper()
	within(c, func() bool {
		t, err := c.as(carersInHerts).Transfer(c.Context(), id)
		c.must(err)
		return t.State == want
	})
}

func TestAThinNoticeArrivesSignedAndTheRecipientCollects(t *testing.T) {
	c, r := hooked(t, false, nil)
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	notice := r.wait(t, 1)[0]
	r.signed(t, notice)
	var got struct {
		Type string
		Data map[string]any
	}
	c.must(json.Unmarshal(notice.body, &got))
	if got.Type != "transfer.waiting" || got.Data["transfer_id"] != string(sent.ID) {
		t.Errorf("the notice: %s", notice.body)
	}
	for member := range got.Data {
		if !slices.Contains([]string{"transfer_id", "message_type", "sender", "correlation_id", "at"}, member) {
			t.Errorf("a notice holds ids alone, and this one %q", member)
		}
	}
	collected, err := c.as(ageUKHerts).Collect(t.Context(), transfer.TransferID(got.Data["transfer_id"].(string)))
	c.must(err)
	c.must(collected.CheckDigest())
	if report := c.audited(); report.Releases != 1 {
		t.Errorf("%d releases", report.Releases)
	}
}

func TestWhatIsCollectedIsNotAnnouncedAgain(t *testing.T) {
	c, r := hooked(t, false, func(int) int { return http.StatusServiceUnavailable })
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	r.wait(t, 1)
	st := c.opened()
	waits := func() []store.Outbox {
		rows, err := st.Due(t.Context(), time.Now().AddDate(1, 0, 0), 10)
		c.must(err)
		return rows
	}
	within(t, func() bool { return waits()[0].Attempt > 0 })
	_, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
	c.must(err)
	if rows := waits(); len(rows) != 0 {
		t.Errorf("it would be announced again: %+v", rows)
	}
}

func TestAPushFlowDeliversTheDatasetAfterItsLeaf(t *testing.T) {
	c, r := hooked(t, true, nil)
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	pushed := r.wait(t, 1)[0]
	r.signed(t, pushed)
	var got struct {
		Type string
		Data json.RawMessage
	}
	c.must(json.Unmarshal(pushed.body, &got))
	d, err := client.ParseDisclosure(got.Data)
	c.must(err)
	c.must(d.CheckDigest())
	if got.Type != "transfer.released" || d.TransferID != sent.ID || !bytes.Contains(d.Dataset, []byte("O'Brien")) || bytes.Contains(d.Dataset, []byte(desmond)) {
		t.Errorf("pushed: %s", pushed.body)
	}
	if leaf := leaves(t, r.log)[d.Log.Index]; d.Log.Index >= pushed.size || leaf.Kind != ledger.KindRelease || leaf.Payload != d.PayloadDigest {
		t.Errorf("the leaf at %d of %d when the dataset arrived: %+v", d.Log.Index, pushed.size, leaf)
	}
	c.awaits(sent.ID, transfer.Received)
	if n := c.settled()["payloads"]; n != 0 {
		t.Errorf("%d payloads are kept of what was delivered", n)
	}
	if n := len(r.got()); n != 1 {
		t.Errorf("it was delivered %d times", n)
	}
	c.audited()
}

// dueNow makes what waits for another attempt due now: the back-off is tested where it is made.
func (c *county) dueNow() {
	c.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.cfg.Data, "hub.db")+"?_pragma=busy_timeout(5000)")
	c.must(err)
	defer db.Close()
	_, err = db.ExecContext(c.Context(), "UPDATE outbox SET due = 0 WHERE attempt > 0")
	c.must(err)
}

func TestAReceiverThatIsDownIsTriedAgainAndEachTimeIsADecision(t *testing.T) {
	c, r := hooked(t, true, func(attempt int) int {
		if attempt == 1 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	r.wait(t, 1)
	r.failed(t)
	c.dueNow()
	posts := r.wait(t, 2)
	c.awaits(sent.ID, transfer.Received)
	var indexes []int64
	for _, p := range posts {
		var got struct {
			Data struct {
				Disclosure struct{ Log client.LogRef }
			}
		}
		c.must(json.Unmarshal(p.body, &got))
		index := got.Data.Disclosure.Log.Index
		if index >= p.size || leaves(t, r.log)[index].Kind != ledger.KindRelease {
			t.Errorf("an attempt without its leaf: %d of %d", index, p.size)
		}
		indexes = append(indexes, index)
	}
	if len(posts) != 2 || indexes[0] == indexes[1] || posts[0].header.Get("webhook-id") != posts[1].header.Get("webhook-id") {
		t.Errorf("%d attempts under the leaves %v, as %s and %s", len(posts), indexes, posts[0].header.Get("webhook-id"), posts[1].header.Get("webhook-id"))
	}
	c.audited()
}

func TestAReceiverThatIsGoneIsItsOwnFault(t *testing.T) {
	c, r := hooked(t, true, func(int) int { return http.StatusGone })
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	r.wait(t, 1)
	c.awaits(sent.ID, transfer.Undeliverable)
	last := leaves(t, r.log)[r.size()-1]
	if last.Kind != ledger.KindOutcome || last.State != transfer.Undeliverable || last.Fault != "receiver" || last.Transfer != sent.ID {
		t.Errorf("the last leaf: %+v", last)
	}
	if after := c.settled(); after["payloads"] != 0 || len(r.got()) != 1 {
		t.Errorf("%d payloads are left, after %d attempts", after["payloads"], len(r.got()))
	}
	c.audited()
}

func TestWhatIsWithdrawnWhileTheReceiverIsDownNeverArrives(t *testing.T) {
	c, r := hooked(t, true, func(attempt int) int {
		if attempt == 1 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise").with("down-1", whose(idris)), transfer.PermitReduced)
	r.wait(t, 1)
	r.failed(t)
	done, err := c.as(carersInHerts).Consent(t.Context(), consent("down-consent", idris, "withdrawn"))
	c.must(err)
	if !slices.Contains(done.Stopped, sent.ID) {
		t.Errorf("the withdrawal stopped %v", done.Stopped)
	}
	c.dueNow()
	// What is sent after it and arrives shows that the first had its turn.
	other := c.send(carersInHerts, c.example("adult-carer-hertswise").with("down-2", whose(joan)), transfer.PermitReduced)
	c.awaits(other.ID, transfer.Received)
	if after := c.settled(); after["payloads"] != 0 || after["transfers stopped"] != 1 {
		t.Errorf("what is stored: %v", after)
	}
	for _, p := range r.got()[1:] {
		if bytes.Contains(p.body, []byte(idris)) || bytes.Contains(p.body, []byte(sent.ID)) {
			t.Errorf("it arrived after she had withdrawn: %s", p.body)
		}
	}
	c.audited()
}

// marker is what a carer is called of whom nobody but the recipient may hear.
const marker = "Quuxington"

func TestNothingLeavesButThroughARelease(t *testing.T) {
	for _, push := range []bool{false, true} {
		t.Run(fmt.Sprintf("push %t", push), func(t *testing.T) {
			c, r := hooked(t, push, func(int) int {
				if push {
					return http.StatusServiceUnavailable // it stays released, with its payload
				}
				return http.StatusNoContent
			})
			m := c.example("adult-carer-hertswise").with("marked", at("carer.name.family", marker))
			sent := c.send(carersInHerts, m, transfer.PermitReduced)
			r.wait(t, 1)
			if push {
				r.failed(t)
			}
			tokens := map[transfer.SystemID]string{"nobody": "-"}
			for id := range c.keys {
				tokens[id] = c.token(id)
			}
			d, released := describe(t), 0
			for round := range 2 { // before and after it was acknowledged
				for id, token := range tokens {
					released += c.tryEveryExit(t, d, r, id, token, sent.ID, m.bytes(), round == 0)
				}
				if round == 0 {
					_, err := c.as(ageUKHerts).Receipt(t.Context(), sent.ID, "received", "")
					c.must(err)
				}
			}
			if released != 2 {
				t.Errorf("it was given out %d times over HTTP, and there are two ways to collect", released)
			}
			for _, p := range r.got() {
				carried := bytes.Contains(p.body, []byte(marker))
				if carried != (p.kind(t) == "transfer.released") || carried && !push {
					t.Errorf("a webhook: %s", p.body)
				}
			}
			c.audited()
		})
	}
}

// tryEveryExit asks for everything there is, as one system, and gives how often the marked dataset came. It may come to the recipient who
// collects while the transfer is open, and its leaf must be in the log before it does.
func (c *county) tryEveryExit(t *testing.T, d *description, r *receiver, id transfer.SystemID, token string, sent transfer.TransferID, message []byte, open bool) (released int) {
	t.Helper()
	const receipt = `"contract":"receipt/1","at":"2026-01-01T00:00:00Z","status":"more-information","items_wanted":["carer.name.family"]`
	bodies := map[string][]string{
		"sendReferral": {string(message)}, "askDecision": {string(message)}, "sendReferrals": {`{"referrals":[` + string(message) + `]}`},
		"searchDisclosures": {
			`{"why":"routine check","transfer_id":"` + string(sent) + `"}`,
			`{"why":"routine check","subject":{"scheme":"nhs-number","value":"` + maureen + `"}}`,
			`{"why":"routine check","subject":{"scheme":"case-number","value":"CIH/20931"}}`,
			`{"why":"routine check","item":"carer.name.family"}`,
		},
		"exportDisclosures": lo.Map(report.Forms(), func(f report.Form, _ int) string {
			return `{"form":"` + string(f) + `","question":{"why":"routine check","sender":"carers-in-hertfordshire"}}`
		}),
		"recordConsent": {string(consent("exit-"+strings.ReplaceAll(string(id), "/", "-"), joan, "given"))},
		"giveReceipt":   {`{` + receipt + `}`}, "giveReceipts": {`{"receipts":[{"transfer_id":"` + string(sent) + `",` + receipt + `}]}`},
		"collectTransfers": {`{"transfer_ids":["` + string(sent) + `"]}`},
	}
	queries := map[string][]string{
		"listTransfers": lo.Map(transfer.States(), func(s transfer.State, _ int) string { return "?state=" + string(s) }),
		"proveInclusion": lo.Map(lo.Range(int(r.size())), func(i, _ int) string {
			return fmt.Sprintf("?index=%d&size=%d", i, i+1)
		}),
		"proveConsistency": {"?from=1&to=2"},
	}
	for _, o := range d.operations {
		if strings.HasPrefix(o.id, "giveReceipt") && open && id == "age-uk-hertfordshire/casework" {
			continue // it would end the story
		}
		path := strings.NewReplacer("{transfer_id}", string(sent), "{name}", "referral.v1").Replace(o.path)
		for _, body := range append(bodies[o.id], "") {
			for _, query := range append(queries[o.id], "") {
				before := r.size()
				a := c.ask(request{method: o.method, path: path + query, token: token, body: body})
				switch carried := bytes.Contains(a.body, []byte(marker)); {
				case !carried:
				case !strings.HasPrefix(o.id, "collect") || id != "age-uk-hertfordshire/casework" || !open:
					t.Errorf("%s gave it to %s: %s", o.id, id, a.body)
				default:
					parcel := a.body
					if o.id == "collectTransfers" {
						var out struct {
							Results []struct{ Body json.RawMessage }
						}
						c.must(json.Unmarshal(a.body, &out))
						parcel = out.Results[0].Body
					}
					got, err := client.ParseDisclosure(parcel)
					c.must(err)
					if leaf := leaves(t, r.log)[got.Log.Index]; got.Log.Index < before || leaf.Kind != ledger.KindRelease || leaf.Transfer != sent || leaf.Actor.System != id {
						t.Errorf("collected under the leaf %d, where the log had %d: %+v", got.Log.Index, before, leaf)
					}
					released++
				}
			}
		}
	}
	return released
}

func TestNobodyElseOnThisMachineHearsWhatPartnersSend(t *testing.T) {
	c := newCounty(t, "", func(cfg *server.Config) { cfg.NATS.Listen = freeAddress(t) })
	neighbour, err := nats.Connect("nats://" + c.cfg.NATS.Listen)
	c.must(err)
	defer neighbour.Close()
	heard := make(chan *nats.Msg, 100)
	for _, subject := range []string{">", "hub.v1.referrals", "hub.deliver.>"} {
		_, err = neighbour.ChanSubscribe(subject, heard) // it may be refused now or later
		_ = err
	}
	c.must(neighbour.Flush())
	conn, err := nats.Connect("nats://" + c.cfg.NATS.Listen)
	c.must(err)
	defer conn.Close()
	m := nats.NewMsg("hub.v1.referrals")
	m.Data = c.example("adult-carer-hertswise").bytes()
	m.Header.Set("Authorization", "Bearer "+c.token("carers-in-hertfordshire/casework"))
	var answer *nats.Msg
	within(t, func() bool {
		answer, err = conn.RequestMsg(m, 5*time.Second)
		return err == nil
	})
	if answer.Header.Get("Status") != "201" {
		t.Fatalf("sending over NATS: %s", answer.Data)
	}
	c.must(neighbour.Flush())
	for len(heard) > 0 {
		if msg := <-heard; len(msg.Data) > 0 {
			t.Errorf("a neighbour heard %d bytes on %s", len(msg.Data), msg.Subject)
		}
	}
}
