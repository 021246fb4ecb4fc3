package server_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/server"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
	sharingagreements "referralhub/sharing-agreements"
)

// The laws are those of the architecture: no leaf, no exit; every release is a fresh decision; the log is provable and the person erasable; the hub is
// not a case store; exactly one effect. Laws that are about one package have their tests there.

// sql runs statements in the county's database, beside the hub and behind its back.
func (c *county) sql(sqlite, postgres string) {
	c.Helper()
	if c.cfg.Database != "" {
		conn, err := pgx.Connect(context.Background(), c.cfg.Database)
		c.must(err)
		defer conn.Close(context.Background())
		_, err = conn.Exec(context.Background(), postgres)
		c.must(err)
		return
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.cfg.Data, "hub.db")+"?_pragma=busy_timeout(5000)")
	c.must(err)
	defer db.Close()
	_, err = db.Exec(sqlite)
	c.must(err)
}

// until waits for what another goroutine or process does and nobody can be told of.
func (c *county) until(what string, ok func() bool) {
	c.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			c.Fatalf("it never came to this: %s", what)
		}
	}
}

// Law 1. No leaf, no exit.
func TestNoLeafNoExit(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
		const refuse = `CREATE TRIGGER no_more BEFORE INSERT ON leaves `
		c.sql(refuse+`BEGIN SELECT RAISE(ABORT, 'the log cannot be written'); END`,
			`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the log cannot be written'; END $$;`+
				refuse+`FOR EACH ROW EXECUTE FUNCTION refuse()`)
		token := c.token("age-uk-hertfordshire/casework")
		for range 3 {
			status, body := c.post(token, "/v1/inbox/"+string(sent.ID)+"/collect", "")
			if status != http.StatusServiceUnavailable || body["dataset"] != nil || body["disclosure"] != nil {
				t.Errorf("while the log cannot be written: %d %v", status, body)
			}
		}
		if got, err := c.opened().Transfer(t.Context(), sent.ID); err != nil || got.State != transfer.Queued {
			t.Errorf("it is %s (%v)", got.State, err)
		}
		_, err := c.as(carersInHerts).Send(t.Context(), c.example("adult-carer-hertswise").with("meanwhile", whose(joan)).bytes())
		if p := c.problem(err, http.StatusServiceUnavailable); p.RetryAfter <= 0 || p.Instance == "" {
			t.Errorf("a message meanwhile: %v", p)
		}

		c.sql(`DROP TRIGGER no_more`, `DROP TRIGGER no_more ON leaves`)
		got, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		c.must(got.CheckDigest())
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("meanwhile", whose(joan)), transfer.PermitReduced)
		if report := c.audited(); report.Releases != 1 {
			t.Errorf("%d releases", report.Releases)
		}
	})
}

// Law 3. What was permitted when it was accepted is decided again when it is collected.
func TestEveryReleaseIsAFreshDecision(t *testing.T) {
	t.Parallel() // most of it is waiting
	agreements := t.TempDir()
	copyRegister(t, agreements)
	hertswise := filepath.Join(agreements, "hertfordshire", "agreements", "hertswise.v1.yaml")
	signed, err := os.ReadFile(hertswise)
	if err != nil {
		t.Fatal(err)
	}
	c := newCounty(t, "", func(cfg *server.Config) { cfg.Agreements = agreements })
	sender, recipient := c.as(carersInHerts), c.as(ageUKHerts)

	ends := time.Now().Add(2 * time.Second).Truncate(time.Second).Add(time.Second)
	lapsing := c.example("adult-carer-hertswise").with("lapsing", whose(joan), func(m referral) {
		m["consents"].([]any)[0].(map[string]any)["expires_at"] = ends.UTC().Format(time.RFC3339)
	})
	plain := c.example("adult-carer-hertswise").with("plain", whose(gwen))
	first := c.send(carersInHerts, lapsing, transfer.PermitReduced)
	second := c.send(carersInHerts, plain, transfer.PermitReduced)
	third := c.send(carersInHerts, c.example("adult-carer-hertswise").with("twice", whose(idris)), transfer.PermitReduced)
	if _, err := recipient.Collect(t.Context(), third.ID); err != nil {
		t.Fatal(err)
	}

	// permitted says what would become of a message now, without sending it.
	permitted := func(m referral) bool {
		d, err := sender.Decide(t.Context(), m.bytes())
		c.must(err)
		return d[0].Outcome.Permits()
	}
	stopped := func(id transfer.TransferID, code string) {
		t.Helper()
		got, err := recipient.Collect(t.Context(), id)
		p := c.problem(err, http.StatusConflict)
		if got != nil || len(p.Reasons) == 0 || p.Reasons[0].Code != code {
			t.Errorf("collected %v, %v; want the reason %s", got, p, code)
		}
	}
	c.until("the consent has ended", func() bool { return !permitted(lapsing) })
	stopped(first.ID, "CONSENT_EXPIRED")

	c.must(os.WriteFile(hertswise, bytes.Replace(signed, []byte("status: active"), []byte("status: suspended"), 1), 0o600))
	c.until("the agreement is suspended", func() bool { return !permitted(plain) })
	stopped(second.ID, "AGREEMENT_SUSPENDED")
	stopped(third.ID, "AGREEMENT_SUSPENDED") // it has gone once, and may not go again

	c.must(os.WriteFile(hertswise, signed, 0o600))
	c.until("the agreement is in force again", func() bool { return permitted(plain) })
	if _, err := recipient.Collect(t.Context(), first.ID); err == nil {
		t.Error("what was stopped came to life again")
	}
	if report := c.audited(); report.Releases != 1 {
		t.Errorf("%d releases", report.Releases)
	}
}

func copyRegister(t *testing.T, to string) {
	t.Helper()
	if err := os.CopyFS(to, sharingagreements.Files); err != nil {
		t.Fatal(err)
	}
	// An embedded file is read-only, and so is its copy.
	err := filepath.WalkDir(to, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(name, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Law 8. The log is append-only and provable; the person is erasable. With the salt of a person and the key of a payload gone, not a byte of the log has
// changed, every proof still holds, and nothing in the database tells whom a leaf is about or opens what it was about.
func TestTheLogStaysWhenThePersonIsErased(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		sent := c.send(carersInHerts, c.example("adult-carer-hertswise").with("erased", whose(maureen)), transfer.PermitReduced)
		other := c.send(carersInHerts, c.example("adult-carer-hertswise").with("kept", whose(joan)), transfer.PermitReduced)
		got, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		recipient := c.as(ageUKHerts)
		text, err := recipient.Checkpoint(t.Context())
		c.must(err)
		vkey, err := os.ReadFile(c.cfg.VerifierFile())
		c.must(err)
		seen, err := client.VerifyCheckpoint(text, string(vkey))
		c.must(err)
		before, err := recipient.InclusionProof(t.Context(), got.Log.Index, seen.Size)
		c.must(err)

		st := c.opened()
		commitment := c.commitmentOf(st, sent.ID)
		if !c.linked(st, commitment) {
			t.Fatal("the commitment in the leaf is not that of anybody in the database")
		}
		leaves := func() [][]byte {
			raw, err := st.Log(t.Context(), c.cfg.Origin).Leaves(0, seen.Size)
			c.must(err)
			return raw
		}
		was := leaves()

		c.must(server.WithExchange(t.Context(), c.cfg, slog.New(slog.DiscardHandler), func(x *exchange.Exchange) error {
			return x.Do(t.Context(), erasure{maureen, x.Entry("erasure", carersInHerts, "e.1", nil)})
		}))

		if diff := cmp.Diff(was, leaves()); diff != "" {
			t.Errorf("the log changed:\n%s", diff)
		}
		after, err := recipient.InclusionProof(t.Context(), got.Log.Index, seen.Size)
		c.must(err)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the proof changed:\n%s", diff)
		}
		c.must(client.VerifyInclusion(seen, after))
		c.must(got.CheckLeaf(after.Leaf))
		if c.linked(st, commitment) {
			t.Error("the leaf can still be linked to somebody in the database")
		}
		if !c.linked(st, c.commitmentOf(st, other.ID)) {
			t.Error("somebody else was erased too")
		}
		if status, body := c.post(c.token("age-uk-hertfordshire/casework"), "/v1/inbox/"+string(sent.ID)+"/collect", ""); status < 400 || body["dataset"] != nil {
			t.Errorf("a payload whose key is gone: %d %v", status, body)
		}
		if _, err := c.as(ageUKHerts).Collect(t.Context(), other.ID); err != nil {
			t.Errorf("the other person's: %v", err)
		}
		c.audited()
	})
}

// erasure destroys what links somebody to the log, and ends what is open about them.
type erasure struct {
	nhs   string
	entry store.Entry
}

func (e erasure) person() []contracts.Identifier {
	return []contracts.Identifier{{Scheme: "nhs-number", Value: e.nhs}}
}

func (e erasure) Reads(r *exchange.Reads) { r.Person(carersInHerts, e.person()) }

func (e erasure) Judge(s *exchange.Session) error {
	by := ledger.Actor{Partner: carersInHerts, System: "carers-in-hertfordshire/dpl", Person: "dpl-1", Role: transfer.DataProtection}
	for _, who := range s.Known(carersInHerts, e.person()) {
		for _, t := range s.Open(who) {
			s.Stop(by, t, "erased", "")
		}
		k := store.Case{Reference: "case-" + e.nhs, Type: "erasure", Partner: carersInHerts, State: "done", Opened: s.At(), Body: []byte("{}")}
		commitment := s.Commitment(who)
		leaf := int64(0)
		for _, step := range []string{"opened", "erased"} {
			leaf = s.Leaf(&ledger.Leaf{Kind: ledger.KindCase, Actor: by, Sender: k.Partner, Case: &ledger.Case{
				Reference: k.Reference, Type: k.Type, Step: step, Commitment: commitment, On: s.At().Format(time.DateOnly),
				Kept: []ledger.Kept{{What: "log-leaves", Ground: "art17(3)(b)"}},
			}}, commitment)
		}
		s.PutCase(k)
		s.Enter(e.entry, k.Reference, leaf)
		s.Erase(who)
	}
	return nil
}

// commitmentOf is what the decision about a transfer says of its carer.
func (c *county) commitmentOf(st store.Store, id transfer.TransferID) string {
	c.Helper()
	t, err := st.Transfer(c.Context(), id)
	c.must(err)
	raw, err := st.Log(c.Context(), t.Log).Leaves(t.DecisionLeaf, t.DecisionLeaf+1)
	c.must(err)
	var leaf struct {
		Subjects []struct{ Commitment string }
	}
	c.must(json.Unmarshal(raw[0], &leaf))
	if len(leaf.Subjects) == 0 {
		c.Fatalf("leaf %d is about nobody: %s", t.DecisionLeaf, raw[0])
	}
	return leaf.Subjects[0].Commitment
}

// linked reports whether anybody who has the database can tell whom a commitment is about: every person of every transfer is tried, with every salt
// there is, and with none.
func (c *county) linked(st store.Store, commitment string) bool {
	c.Helper()
	var ids []transfer.TransferID
	c.must(st.EachTransfer(c.Context(), c.cfg.Origin, func(t store.Transfer, _ bool) error {
		ids = append(ids, t.ID)
		return nil
	}))
	var people []transfer.SubjectID
	for _, j := range c.load(st, &store.Wanted{People: ids}).People {
		people = append(people, j.Subject)
	}
	rows, err := st.Subjects(c.Context(), people)
	c.must(err)
	salts := [][32]byte{{}}
	for _, r := range rows {
		salts = append(salts, r.Salt)
	}
	for _, id := range people {
		for _, salt := range salts {
			if seal.Commitment(salt, id) == commitment {
				return true
			}
		}
	}
	return false
}

// Law 9. The hub is not a case store: what is received, what nobody came for and what was refused is gone.
func TestPayloadsGoWhenTheyAreReceivedOrExpire(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		received := c.send(carersInHerts, c.example("adult-carer-hertswise").with("received", whose(joan)), transfer.PermitReduced)
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("refused", whose(joan), to(kent)), transfer.Refuse)
		forgotten := c.send(carersInHerts, c.example("adult-carer-hertswise").with("forgotten", whose(gwen)), transfer.PermitReduced)
		held := c.send(carersInHerts, c.example("adult-carer-hertswise").with("held", whose(idris), without("consents")), transfer.Hold)
		st := c.opened()
		kept := func() (ids []transfer.TransferID) {
			c.must(st.EachTransfer(t.Context(), c.cfg.Origin, func(t store.Transfer, payload bool) error {
				if payload {
					ids = append(ids, t.ID)
				}
				return nil
			}))
			return ids
		}
		want := []transfer.TransferID{received.ID, forgotten.ID, held.ID}
		slices.Sort(want)
		if got := kept(); !slices.Equal(got, want) {
			t.Errorf("payloads of %v are kept, want those of %v", got, want)
		}
		_, err := c.as(ageUKHerts).Collect(t.Context(), received.ID)
		c.must(err)
		_, err = c.as(ageUKHerts).Receipt(t.Context(), received.ID, "received", "")
		c.must(err)
		if slices.Contains(kept(), received.ID) {
			t.Error("after the receipt the payload is still there")
		}

		later := c.cfg
		later.Now = func() time.Time { return time.Now().AddDate(0, 2, 0) }
		c.must(server.WithExchange(t.Context(), later, slog.New(slog.DiscardHandler), func(x *exchange.Exchange) error {
			_, err := x.Expire(t.Context(), 10)
			return err
		}))
		if got := kept(); len(got) > 0 {
			t.Errorf("payloads of %v are kept past their time", got)
		}
		for _, id := range []transfer.TransferID{forgotten.ID, held.ID} {
			got, err := st.Transfer(t.Context(), id)
			c.must(err)
			if got.State != transfer.Expired {
				t.Errorf("what nobody came for is %s", got.State)
			}
		}
		// The hub that runs on the same log goes on where the other one stopped.
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("afterwards", whose(joan)), transfer.PermitReduced)
		c.audited()
	})
}

// Law 10. Exactly one effect: whatever is sent again, several times and at once, is answered as it was the first time and does nothing more.
func TestWhateverIsSentAgainHasOneEffect(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		m := c.example("adult-carer-hertswise").with("again", whose(joan)).bytes()
		withdrawal := consent("again", gwen, "withdrawn")
		waiting := c.send(carersInHerts, c.example("adult-carer-hertswise").with("waiting", whose(gwen)), transfer.PermitReduced)

		var sent [6]*client.SendResult
		var consented [6]*client.ConsentResult
		var faults [12]error
		sender := c.as(carersInHerts)
		_, err := sender.Token(t.Context())
		c.must(err)
		var all sync.WaitGroup
		for i := range sent {
			all.Go(func() { sent[i], faults[i] = sender.Send(t.Context(), m) })
			all.Go(func() { consented[i], faults[6+i] = sender.Consent(t.Context(), withdrawal) })
		}
		all.Wait()
		c.must(errors.Join(faults[:]...))
		first := 0
		for i := range sent {
			if !sent[i].Repeat {
				first++
			}
			sent[i].Repeat = false
			if diff := cmp.Diff(sent[0], sent[i]); diff != "" {
				t.Errorf("two answers to one message:\n%s", diff)
			}
			if diff := cmp.Diff(consented[0], consented[i]); diff != "" {
				t.Errorf("two answers to one withdrawal:\n%s", diff)
			}
		}
		if first != 1 {
			t.Errorf("%d answers say that the message is new", first)
		}
		if !slices.Contains(consented[0].Stopped, waiting.ID) || consented[0].Log.Index == 0 {
			t.Errorf("the withdrawal was answered with %+v", consented[0])
		}

		id := sent[0].Transfers[0].ID
		_, err = c.as(ageUKHerts).Collect(t.Context(), id)
		c.must(err)
		for range 3 {
			state, err := c.as(ageUKHerts).Receipt(t.Context(), id, "accepted", "")
			if err != nil || state != transfer.Accepted {
				t.Errorf("the receipt: %s, %v", state, err)
			}
		}
		before := c.audited()
		for range 2 {
			_, err := sender.Send(t.Context(), m)
			c.must(err)
			_, err = sender.Consent(t.Context(), withdrawal)
			c.must(err)
			_, err = c.as(ageUKHerts).Receipt(t.Context(), id, "accepted", "")
			c.must(err)
		}
		if after := c.audited(); after.Leaves != before.Leaves || after.Releases != 1 || after.Transfers != 2 {
			t.Errorf("repeats added leaves: %d became %d; %d releases of %d transfers", before.Leaves, after.Leaves, after.Releases, after.Transfers)
		}
		// The same id with another body is a conflict, and changes nothing.
		_, err = sender.Send(t.Context(), c.example("adult-carer-hertswise").with("again", whose(idris)).bytes())
		c.problem(err, http.StatusConflict)
		_, err = sender.Consent(t.Context(), consent("again", gwen, "objected"))
		c.problem(err, http.StatusConflict)
	})
}
