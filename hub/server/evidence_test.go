package server_test

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/receipt"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

// witnessed is a county whose log the advocates witness with a server, and Kent without one.
type witnessed struct {
	*county
	pohwer, kent *client.Witness
	keys         []string // their verifier keys
}

// somebody is who will be a witness once there is a log.
type somebody struct {
	client.WitnessConfig
	public string
}

func aWitness(t *testing.T, name string, seed byte) somebody {
	t.Helper()
	s := somebody{WitnessConfig: client.WitnessConfig{Name: name, Key: ed25519.NewKeyFromSeed(slices.Repeat([]byte{seed}, 32)), Dir: t.TempDir()}}
	var err error
	if s.public, err = client.WitnessKey(name, s.Key); err != nil {
		t.Fatal(err)
	}
	return s
}

// watches makes somebody a witness of the county's log.
func (s somebody) watches(c *county) *client.Witness {
	c.Helper()
	s.Logs = []string{c.logKey()}
	w, err := client.NewWitness(s.WitnessConfig)
	c.must(err)
	return w
}

func newWitnessed(t *testing.T) *witnessed {
	t.Helper()
	pohwer, kent := aWitness(t, "pohwer.example/witness", 1), aWitness(t, "kent.example/witness", 2)
	w := &witnessed{keys: []string{pohwer.public, kent.public}}
	door := httptest.NewUnstartedServer(nil)
	w.county = newCounty(t, "", func(cfg *server.Config) {
		cfg.Checkpoints.Every = 20 * time.Millisecond
		cfg.Witnesses = []server.Witness{{Key: pohwer.public, URL: "http://" + door.Listener.Addr().String()}, {Key: kent.public}}
	})
	w.pohwer, w.kent = pohwer.watches(w.county), kent.watches(w.county)
	door.Config.Handler = w.pohwer
	door.Start()
	t.Cleanup(door.Close)
	return w
}

// logKey is the log's verifier key, as the operator gives it out.
func (c *county) logKey() string {
	c.Helper()
	text, err := os.ReadFile(c.cfg.VerifierFile())
	c.must(err)
	return strings.TrimSpace(string(text))
}

// newest is the newest published checkpoint.
func (c *county) newest() (origin string, newest client.PublishedCheckpoint) {
	c.Helper()
	page, err := c.as("age-uk-hertfordshire/dpl").Checkpoints(c.Context(), 0, 1)
	c.must(err)
	if len(page.Checkpoints) == 0 {
		return page.Origin, client.PublishedCheckpoint{}
	}
	return page.Origin, page.Checkpoints[0]
}

// kentCosigns is what `partner witness once` does.
func (w *witnessed) kentCosigns() {
	w.Helper()
	hub := w.as("kent-county-council/dpl")
	origin, newest := w.newest()
	old, err := w.kent.Size(origin)
	w.must(err)
	var proof tlog.TreeProof
	if 0 < old && old < newest.Size {
		p, err := hub.ConsistencyProof(w.Context(), old, newest.Size)
		w.must(err)
		proof = p.Proof
	}
	line, err := w.kent.Cosign(old, proof, []byte(newest.Checkpoint))
	w.must(err)
	w.must(hub.BringCosignature(w.Context(), origin, newest.Size, line))
}

// bearWitness has the operations about evidence succeed, and those refused that want a reason of their own.
func (d *description) bearWitness(c *county, kent somebody, collected transfer.TransferID) {
	d.Helper()
	recipient, lead := d.through(c, "age-uk-hertfordshire/casework"), d.through(c, "carers-in-hertfordshire/dpl")
	_, err := recipient.DisclosureReceipt(c.Context(), collected)
	c.must(err)
	var page *client.CheckpointPage
	within(c, func() bool {
		page, err = recipient.Checkpoints(c.Context(), 0, 1)
		c.must(err)
		return page.Next > 0
	})
	newest := page.Checkpoints[0]
	line, err := kent.watches(c).Cosign(0, nil, []byte(newest.Checkpoint))
	c.must(err)
	c.must(lead.BringCosignature(c.Context(), page.Origin, newest.Size, line))
	c.problem(lead.BringCosignature(c.Context(), page.Origin, newest.Size+1_000_000, line), 404)
	page, err = recipient.Checkpoints(c.Context(), newest.Size+1, 200)
	c.must(err)
	if got := page.Checkpoints[0]; got.Size != newest.Size || len(got.Cosigned) != 1 || got.Cosigned[0].Witness != "kent.example/witness" {
		d.Errorf("published: %+v", got)
	}
	held := []client.Holding{{TransferID: collected, Log: client.LogRef{Origin: page.Origin}, PayloadDigest: "hmac-sha256:00"}, {TransferID: transfer.TransferID(uuid.NewString())}}
	for _, system := range []transfer.SystemID{"age-uk-hertfordshire/dpl", "carers-in-hertfordshire/dpl"} {
		_, err = d.through(c, system).Reconcile(c.Context(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour), held)
		c.must(err)
	}
}

// A recipient keeps the receipt of what it was given. Sender and recipient can check it without the hub, by two programs, with the witnesses' word;
// nobody else gets it, and there is none of what has not gone.
func TestARecipientKeepsAReceiptOfWhatItWasGiven(t *testing.T) {
	w := newWitnessed(t)
	w.enrol("kent-county-council/dpl")
	sent := w.send(carersInHerts, w.example("adult-carer-hertswise"), transfer.PermitReduced)
	_, err := w.as(ageUKHerts).DisclosureReceipt(t.Context(), sent.ID)
	if p := w.problem(err, 404); p.Title != "No receipt" || p.State != "queued" {
		t.Errorf("before anything has gone: %+v", p)
	}
	got, err := w.as(ageUKHerts).Collect(t.Context(), sent.ID)
	w.must(err)
	at := func(who transfer.PartnerID) *client.VerifiedReceipt {
		t.Helper()
		text, err := w.as(who).DisclosureReceipt(t.Context(), sent.ID)
		w.must(err)
		r, err := client.VerifyReceipt(text, w.logKey(), w.keys)
		w.must(err)
		return r
	}
	w.until("the advocates have cosigned the release", func() bool {
		_, newest := w.newest()
		return newest.Size > got.Log.Index && len(newest.Cosigned) == 1
	})
	if r := at(ageUKHerts); !slices.Equal(r.Cosigned, []string{"pohwer.example/witness"}) {
		t.Errorf("cosigned by %v", r.Cosigned)
	}
	w.kentCosigns()
	r := at(carersInHerts)
	if r.Log != got.Log || r.Release.Payload != got.PayloadDigest || r.Release.Agreement != got.Agreement || len(r.Cosigned) != 2 {
		t.Errorf("the receipt is of %+v, cosigned by %v; collected was %+v", r.Release, r.Cosigned, got)
	}
	w.must(got.CheckLeaf(r.Leaf))

	// The operator's program, which shares nothing with the partner's, comes to the same.
	text, err := w.as(ageUKHerts).DisclosureReceipt(t.Context(), sent.ID)
	w.must(err)
	var witnesses []note.Verifier
	for _, key := range w.keys {
		v, err := ledger.NewWitness(key)
		w.must(err)
		witnesses = append(witnesses, v)
	}
	v, err := w.cfg.Verifier()
	w.must(err)
	checked, err := receipt.Verify(text, []note.Verifier{v}, receipt.Witnesses{Keys: witnesses, Quorum: 2})
	w.must(err)
	w.must(checked.CheckDataset(got.Dataset, got.DigestKey))
	carer := checked.Leaf.Subjects[slices.IndexFunc(checked.Leaf.Subjects, func(s ledger.Subject) bool { return s.Role == "carer" })]
	if !slices.Contains(carer.Items, "carer.name.family") || len(carer.Consents) == 0 || carer.Consent != "given" || checked.Leaf.Recipient != ageUKHerts {
		t.Errorf("the leaf says %+v", checked.Leaf)
	}
	if hex.EncodeToString(checked.Text) != hex.EncodeToString(r.Leaf) {
		t.Error("the two programs read two leaves")
	}

	for _, who := range []transfer.PartnerID{"kent-county-council/dpl", "hub-operator/dpl"} {
		_, err = w.as(who).DisclosureReceipt(t.Context(), sent.ID)
		w.problem(err, 404)
	}
	w.audited()

	// A release of an older hub also says what was weighed about people. Its recipient is not shown it, in a receipt no more than elsewhere; and a leaf
	// that was changed at rest, as this one was, is no evidence for its sender.
	w.sql(fmt.Sprintf(`UPDATE leaves SET body = CAST(replace(CAST(body AS TEXT), ',"items":', ',"facts":["alleged-perpetrator"],"items":') AS BLOB)
		WHERE id & 1099511627775 = %d`, got.Log.Index), "")
	_, err = w.as(ageUKHerts).DisclosureReceipt(t.Context(), sent.ID)
	if p := w.problem(err, 404); !strings.Contains(p.Detail, "what was weighed about people") {
		t.Errorf("shown its recipient: %+v", p)
	}
	_, err = w.as(carersInHerts).DisclosureReceipt(t.Context(), sent.ID)
	w.problem(err, 503)
}

// The operator sets the hub back to an older copy of its database, by mistake or to make a disclosure disappear. The witness has seen more, and
// cosigns nothing of the new history; the hub's own log says so.
func TestALogThatWasSetBackIsNotCosigned(t *testing.T) {
	w := newWitnessed(t)
	cosigned := func() bool {
		size, err := w.pohwer.Size(w.cfg.Origin)
		w.must(err)
		_, newest := w.newest()
		return newest.Size > 0 && size == newest.Size
	}
	w.until("the first leaves are cosigned", cosigned)
	w.stop()
	old := w.files()
	w.start()
	sent := w.send(carersInHerts, w.example("adult-carer-hertswise"), transfer.PermitReduced)
	got, err := w.as(ageUKHerts).Collect(t.Context(), sent.ID)
	w.must(err)
	var seen int64
	w.until("the disclosure is cosigned", func() bool {
		seen, err = w.pohwer.Size(w.cfg.Origin)
		w.must(err)
		return seen > got.Log.Index
	})
	w.stop()
	for name, text := range old {
		if strings.HasPrefix(filepath.Base(name), "hub.db") {
			w.must(os.WriteFile(name, text, 0o600))
		}
	}
	w.start()
	again := func(id string) {
		w.send(carersInHerts, w.example("adult-carer-hertswise").with(id), transfer.PermitReduced)
	}
	again("another-history")
	w.until("the hub complains", func() bool { return strings.Contains(w.log.String(), "the log was set back") })

	// It grows past what was seen, and is no more believed for that.
	for i := range 6 {
		again(fmt.Sprint("goes-on-", i))
	}
	signed, err := w.as(ageUKHerts).Checkpoint(t.Context())
	w.must(err)
	now, err := client.VerifyCheckpoint(signed, w.logKey())
	w.must(err)
	if now.Size <= seen {
		t.Fatalf("the log has %d leaves, and had %d", now.Size, seen)
	}
	proof, err := w.as(ageUKHerts).ConsistencyProof(t.Context(), seen, now.Size)
	w.must(err)
	if _, err := w.pohwer.Cosign(seen, proof.Proof, signed); err == nil || !strings.Contains(err.Error(), "does not show that the log only grew") {
		t.Errorf("the witness: %v", err)
	}
	if _, newest := w.newest(); len(newest.Cosigned) > 0 {
		t.Errorf("cosigned: %+v", newest)
	}
}

// What is no cosignature of a witness, and no list of holdings, is refused with its place and what to do, and nothing is stored.
func TestBadEvidenceIsRefused(t *testing.T) {
	w := newWitnessed(t)
	w.until("something is published", func() bool { _, newest := w.newest(); return len(newest.Cosigned) == 1 })
	origin, newest := w.newest()
	token, casework := w.token("carers-in-hertfordshire/dpl"), w.token("carers-in-hertfordshire/casework")
	stranger := aWitness(t, "stranger.example/witness", 3).watches(w.county)
	strangers, err := stranger.Cosign(0, nil, []byte(newest.Checkpoint))
	w.must(err)
	brought := func(change map[string]any) string {
		in := map[string]any{"origin": origin, "size": newest.Size, "cosignature": string(strangers)}
		maps.Copy(in, change)
		text, err := json.Marshal(in)
		w.must(err)
		return string(text)
	}
	compared := func(holdings string) string {
		return `{"from":"2026-01-01T00:00:00Z","to":"2026-12-01T00:00:00Z","holdings":` + holdings + `}`
	}
	before := w.settled()
	const cosignatures, reconciliations = "/v1/log/cosignatures", "/v1/log/reconciliations"
	for _, q := range []request{
		{name: "a stranger's word", path: cosignatures, body: brought(nil), status: 422, pointer: "/cosignature", rule: "signature"},
		{name: "a witness's word about another size", path: cosignatures, body: brought(map[string]any{"size": newest.Size + 1}), status: 404},
		{name: "no signature line", path: cosignatures, body: brought(map[string]any{"cosignature": "Maureen O'Brien"}), status: 422, pointer: "/cosignature", rule: "format"},
		{name: "another log", path: cosignatures, body: brought(map[string]any{"origin": "Maureen O'Brien"}), status: 422, pointer: "/origin", rule: "unknown"},
		{name: "a member that is not taken", path: cosignatures, body: brought(map[string]any{"witness": "Maureen O'Brien"}), status: 422, rule: "unknown-item"},
		{name: "nothing held, at no time", path: reconciliations, body: `{}`, status: 422, pointer: "/to", rule: "range"},
		{name: "a time that ends before it begins", path: reconciliations, body: strings.Replace(compared(`[]`), "2026-12", "2025-12", 1), status: 422, pointer: "/to", rule: "range"},
		{name: "a person in the place of a transfer", path: reconciliations, body: compared(`[{"transfer_id":"Maureen O'Brien","log":{"origin":"","index":0},"payload_digest":""}]`),
			status: 422, pointer: "/holdings/0/transfer_id", rule: "format"},
		{name: "a dataset beside what is held", path: reconciliations, body: compared(`[{"dataset":"Maureen O'Brien"}]`), status: 422, pointer: "/holdings/0", rule: "unknown-item"},
		{name: "very many", path: reconciliations, body: compared(`[` + strings.TrimSuffix(strings.Repeat(`{},`, 5001), ",") + `]`), status: 422, pointer: "/holdings", rule: "length"},
		{name: "without the scope", path: reconciliations, token: casework, body: compared(`[]`), status: 403},
	} {
		t.Run(q.name, func(t *testing.T) {
			q.method, q.token = http.MethodPost, cmp.Or(q.token, token)
			w.refused(t, q)
		})
	}
	if diff := gocmp.Diff(before, w.settled()); diff != "" {
		t.Errorf("something was stored:\n%s", diff)
	}
}

// A partner compares its files with the hub's log, like a bank's statement: what fits, what it never got, what the hub never gave, and what differs.
func TestAPartnerReconcilesWhatItHolds(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		from := time.Now().Add(-time.Hour)
		var got []*client.Disclosure
		for _, id := range []string{"one", "two", "three"} {
			sent := c.send(carersInHerts, c.example("adult-carer-hertswise").with(id), transfer.PermitReduced)
			d, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
			c.must(err)
			got = append(got, d)
		}
		again, err := c.as(ageUKHerts).Collect(t.Context(), got[0].TransferID) // its first answer was lost
		c.must(err)
		hold := func(d *client.Disclosure) client.Holding {
			return client.Holding{TransferID: d.TransferID, Log: d.Log, PayloadDigest: d.PayloadDigest}
		}
		dpl := c.as("age-uk-hertfordshire/dpl")
		statement := func(held ...client.Holding) *client.Statement {
			t.Helper()
			s, err := dpl.Reconcile(t.Context(), from, time.Now().Add(time.Hour), held)
			c.must(err)
			return s
		}

		whole := statement(hold(got[0]), hold(again), hold(got[1]), hold(got[2]))
		if whole.Matched != 4 || len(whole.Missing)+len(whole.Unknown)+len(whole.Differing) > 0 {
			t.Errorf("all that there is: %+v", whole)
		}

		forged := hold(got[1])
		forged.PayloadDigest = "hmac-sha256:" + strings.Repeat("0", 64)
		invented := client.Holding{TransferID: "01939b0a-7c1e-7d55-9f3a-2b8e6a4c1d01", Log: got[0].Log, PayloadDigest: got[0].PayloadDigest}
		misplaced := hold(got[2])
		misplaced.Log.Index--
		s := statement(hold(again), forged, misplaced, invented)
		if s.Matched != 1 || len(s.Unknown) != 1 || s.Unknown[0] != invented {
			t.Errorf("matched %d, unknown %+v", s.Matched, s.Unknown)
		}
		if len(s.Differing) != 2 || s.Differing[0].Holding != forged || !slices.Equal(s.Differing[0].Logged, []client.Holding{hold(got[1])}) || s.Differing[1].Holding != misplaced {
			t.Errorf("differing: %+v", s.Differing)
		}
		// The first answer, which the partner may know to be lost, and what it holds otherwise.
		var missing []string
		for _, m := range s.Missing {
			if m.By != "age-uk-hertfordshire/casework" || m.At.Before(from) {
				t.Errorf("missing: %+v", m)
			}
			missing = append(missing, string(m.TransferID)+map[bool]string{true: " too"}[m.AnotherHeld])
		}
		want := []string{string(got[0].TransferID) + " too", string(got[1].TransferID) + " too", string(got[2].TransferID) + " too"}
		slices.Sort(missing)
		if slices.Sort(want); !slices.Equal(missing, want) {
			t.Errorf("missing %q, want %q", missing, want)
		}

		if nothing := statement(); len(nothing.Missing) != 4 || nothing.Missing[0].AnotherHeld {
			t.Errorf("who holds nothing misses %+v", nothing.Missing)
		}

		// Of another time there is nothing to miss, and what is held is found all the same. Another partner's releases are none of one's own.
		past, err := dpl.Reconcile(t.Context(), from.Add(-time.Hour), from, []client.Holding{hold(again)})
		c.must(err)
		if past.Matched != 1 || len(past.Missing) > 0 {
			t.Errorf("of the hour before: %+v", past)
		}
		others, err := c.as("carers-in-hertfordshire/dpl").Reconcile(t.Context(), from, time.Now().Add(time.Hour), []client.Holding{hold(again)})
		c.must(err)
		if others.Matched != 0 || len(others.Unknown) != 1 || len(others.Missing) > 0 {
			t.Errorf("the sender's: %+v", others)
		}

		// Each statement is in the log, with its counts and without what was held.
		all := leaves(t, c.opened().Log(t.Context(), c.cfg.Origin))
		l := all[s.QueryLeaf.Index]
		if l.Kind != ledger.KindQuery || l.Query.Kind != "reconciliation" || l.Query.Found != 6 || !strings.HasSuffix(l.Query.Filter, "held=4 matched=1 missing=3 unknown=1 differing=2") {
			t.Errorf("the leaf: %+v", l.Query)
		}
		c.audited()
	})
}
