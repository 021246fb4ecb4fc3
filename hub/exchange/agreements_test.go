package exchange_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
	sharingagreements "referralhub/sharing-agreements"
)

const hertswise = transfer.AgreementID("hertswise")

// deed is one of a partner's Data Protection Lead.
func deed(do exchange.AgreementAct, ground string) exchange.Deed {
	return exchange.Deed{Do: do, Person: "dpl-1", Ground: ground, At: winter}
}

// act does something about Hertswise, and expects what it comes to.
func (u *hub) act(who transfer.PartnerID, d exchange.Deed, want agreement.Status) exchange.Acted {
	u.house.Helper()
	done, err := u.Act(context.Background(), by(who), hertswise, 1, d)
	u.house.must(err)
	if done.Status != want {
		u.house.Fatalf("%s by %s: hertswise@1 is %s, want %s", d.Do, who, done.Status, want)
	}
	return done
}

// refused expects an act to be refused, in words that name what is wrong.
func (u *hub) refused(who transfer.PartnerID, d exchange.Deed, words string, as any) {
	u.house.Helper()
	done, err := u.Act(context.Background(), by(who), hertswise, 1, d)
	if err == nil || !errors.As(err, as) || !strings.Contains(err.Error(), words) {
		u.house.Errorf("%s by %s of %s: got %v, %v; want an error that says %q", d.Do, d.Person, who, done, err, words)
	}
}

// notes lists what a log says of Hertswise.
func (h *house) notes(u *hub, origin string) []string {
	var out []string
	for _, l := range h.leaves(u.store, origin) {
		if l.Kind == ledger.KindAgreement && l.Agreement.ID == hertswise {
			out = append(out, strings.TrimSuffix(string(l.Actor.Partner)+"/"+l.Actor.Person, "/")+" "+l.Note)
		}
	}
	return out
}

func TestAPartySuspendsAnAgreementWhileAReferralIsQueued(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		u := h.open()
		h.must(u.Adopt(t.Context(), h.index))
		queued := u.send(h.message("queued", h.somebody()), transfer.Queued)
		u.act(pohwer, deed(exchange.Suspend, "breach"), agreement.Suspended)
		u.send(h.message("meanwhile", h.somebody()), transfer.Refused)
		_, err := u.Collect(t.Context(), by(ageUKHerts), queued.ID)
		var stop *exchange.StoppedError
		if !errors.As(err, &stop) || stop.Decision.Reasons[0].Code != "AGREEMENT_SUSPENDED" {
			t.Fatalf("collected what was suspended: %v", err)
		}
		u.end()

		u = h.open() // a suspension outlives the process
		h.must(u.Adopt(t.Context(), h.index))
		u.send(h.message("still", h.somebody()), transfer.Refused)
		u.act(pohwer, deed(exchange.Resume, "resolved"), agreement.Active)
		next := u.send(h.message("next", h.somebody()), transfer.Queued)
		if _, err := u.Collect(t.Context(), by(ageUKHerts), next.ID); err != nil {
			t.Error(err)
		}
		want := []string{"hub-operator activated", "pohwer/dpl-1 suspended: suspend, breach", "pohwer/dpl-1 activated: resume, resolved"}
		if diff := cmp.Diff(want, h.notes(u, firstCopy)); diff != "" {
			t.Errorf("the log (-want +got):\n%s", diff)
		}
		h.audited(u.store) // every decision is made again, with the agreement as it stood at each
	})
}

func TestWhoMayActOnAnAgreement(t *testing.T) {
	h := newHouse(t, onSQLite)
	u := h.open()
	var role *exchange.RoleError
	var state *exchange.ActError
	caseworker := deed(exchange.Suspend, "breach")
	caseworker.Person = "caseworker-1"
	u.refused(carersInHerts, caseworker, "role dpl", &role)
	nobody := deed(exchange.Suspend, "breach")
	nobody.Person = "dpl-9"
	u.refused(carersInHerts, nobody, "Nobody on the register", &role)
	u.refused(carersInHerts, deed(exchange.Retire, "replaced"), "Only age-uk-hertfordshire, which leads", &role)
	u.refused(carersInHerts, deed(exchange.Activate, "paper-signed"), "Only age-uk-hertfordshire, which leads", &role)
	u.refused(ageUKHerts, deed(exchange.Activate, "paper-signed"), "is active", &state)
	u.refused(ageUKHerts, deed(exchange.Resume, "resolved"), "is not suspended", &state)
	for _, stranger := range []transfer.PartnerID{council, "nobody"} {
		for _, version := range []int{1, 7} {
			if _, err := u.Act(t.Context(), by(stranger), hertswise, version, caseworker); !errors.Is(err, exchange.ErrNoAgreement) {
				t.Errorf("%s learnt of version %d: %v", stranger, version, err)
			}
		}
	}

	u.act(carersInHerts, deed(exchange.Suspend, "breach"), agreement.Suspended)
	later := deed(exchange.Suspend, "breach")
	later.At = winter.Add(time.Hour)
	u.refused(carersInHerts, later, "already", &state)
	u.refused(ageUKHerts, deed(exchange.Resume, "resolved"), "suspended by carers-in-hertfordshire, which alone", &state)
	u.act(operator, deed(exchange.Resume, "resolved"), agreement.Active)

	u.act(ageUKHerts, deed(exchange.Retire, "service-ended"), agreement.Terminated)
	u.refused(ageUKHerts, deed(exchange.Resume, "resolved"), "for good", &state)
	u.send(h.message("after", h.somebody()), transfer.Refused)
	if n := len(h.notes(u, firstCopy)); n != 3 {
		t.Errorf("%d leaves, want one for each act that was done", n)
	}
}

// Two parties suspend at once, each on another copy of the hub, and one of them twice over. Each suspension stands until its own party lifts it,
// and each copy goes by what was done on the other.
func TestTwoActsAtOnce(t *testing.T) {
	copies(t, func(t *testing.T, h *house, hubs []*hub) {
		here, there := hubs[0], hubs[len(hubs)-1]
		for _, u := range hubs {
			h.must(u.Adopt(t.Context(), h.index))
		}
		queued := here.send(h.message("queued", h.somebody()), transfer.Queued)
		var repeats atomic.Int32
		suspend := func(u *hub, who transfer.PartnerID) func() {
			return func() {
				done, err := u.Act(context.Background(), by(who), hertswise, 1, deed(exchange.Suspend, "precaution"))
				if err != nil || done.Status != agreement.Suspended {
					t.Errorf("%s: %+v, %v", who, done, err)
				}
				if done.Repeat {
					repeats.Add(1)
				}
			}
		}
		atOnce(suspend(here, pohwer), suspend(there, carersInHerts), suspend(here, carersInHerts))
		if repeats.Load() != 1 {
			t.Errorf("%d were told that it was done before, want one", repeats.Load())
		}
		if _, err := here.Collect(t.Context(), by(ageUKHerts), queued.ID); !stopped(err) {
			t.Errorf("collected: %v", err)
		}
		there.act(pohwer, deed(exchange.Resume, "resolved"), agreement.Suspended)
		here.send(h.message("one-left", h.somebody()), transfer.Refused)
		there.act(carersInHerts, deed(exchange.Resume, "resolved"), agreement.Active)
		again := here.send(h.message("again", h.somebody()), transfer.Queued)
		if _, err := here.Collect(t.Context(), by(ageUKHerts), again.ID); err != nil {
			t.Error(err)
		}
		h.audited(here.store)
	})
}

// The answer of the commit is lost. Whatever became of it, the hub goes by what is stored, and doing it again does it once.
func TestASuspensionWhoseAnswerIsLost(t *testing.T) {
	for _, applied := range []bool{true, false} {
		h := newHouse(t, onSQLite)
		var armed atomic.Bool
		u := h.open(through(func(op storetest.Op) (bool, error) {
			if op == storetest.OpCommit && armed.CompareAndSwap(true, false) {
				return applied, errBroken
			}
			return true, nil
		}))
		queued := u.send(h.message("queued", h.somebody()), transfer.Queued)
		armed.Store(true)
		if _, err := u.Act(t.Context(), by(pohwer), hertswise, 1, deed(exchange.Suspend, "breach")); err == nil {
			t.Fatal("the fault did not strike")
		}
		if _, err := u.Collect(t.Context(), by(ageUKHerts), queued.ID); stopped(err) != applied {
			t.Errorf("the suspension was stored: %t; collected: %v", applied, err)
		}
		if done := u.act(pohwer, deed(exchange.Suspend, "breach"), agreement.Suspended); done.Repeat != applied {
			t.Errorf("the suspension was stored: %t; again: %+v", applied, done)
		}
		if n := len(h.notes(u, firstCopy)); n != 1 {
			t.Errorf("the suspension has %d leaves", n)
		}
	}
}

// keyring holds a key for each partner.
type keyring map[transfer.PartnerID]auth.Key

// sign hands in a party's signature under a text.
func (k keyring) sign(tb testing.TB, u *hub, who transfer.PartnerID, version int, terms agreement.Terms) (exchange.Acted, error) {
	tb.Helper()
	key, made := k[who]
	if !made {
		var err error
		if key, err = auth.GenerateKey("ES256"); err != nil {
			tb.Fatal(err)
		}
		k[who] = key
	}
	jws, err := key.Sign("", terms.Claims())
	if err != nil {
		tb.Fatal(err)
	}
	return u.Sign(context.Background(), by(who), terms.Agreement, version, jws, func(kid string) (exchange.SigningKey, bool) {
		return exchange.SigningKey{Partner: who, Algorithms: []string{"ES256"}, Public: key.Private.Public()}, kid == key.ID
	})
}

// second is the register with another version of Hertswise beside the first, changed by edit.
func second(tb testing.TB, edit func(text string) string) *agreement.Index {
	tb.Helper()
	files := fstest.MapFS{}
	add := func(name string, text []byte) { files[name] = &fstest.MapFile{Data: text} }
	err := fs.WalkDir(sharingagreements.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(sharingagreements.Files, name)
		add(name, text)
		if first, is := strings.CutSuffix(name, "hertswise.v1.yaml"); is {
			r := strings.NewReplacer("version: 1\n", "version: 2\nsupersedes: hertswise@1\n", "status: active", "status: signed")
			add(first+"hertswise.v2.yaml", []byte(edit(r.Replace(string(text)))))
		}
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

func same(text string) string { return text }

func TestAVersionBecomesActiveWhenTheLastPartySigns(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		h.index = second(t, same)
		u := h.open()
		h.must(u.Adopt(t.Context(), h.index))
		v2, _ := h.index.Agreement(hertswise, 2)
		keys := keyring{}
		clause := func(id string, want string) {
			t.Helper()
			if got := u.send(h.message(id, h.somebody()), transfer.Queued); got.Flow != want {
				t.Errorf("%s went under %s, want %s", id, got.Flow, want)
			}
		}
		for i, p := range v2.Parties {
			clause("before-"+string(p.Partner), "hertswise@1#refer") // the version before it is in force until the last has signed
			done, err := keys.sign(t, u, p.Partner, 2, v2.Terms())
			h.must(err)
			want := agreement.Signed
			if i == len(v2.Parties)-1 {
				want = agreement.Active
			}
			if done.Status != want || done.Repeat {
				t.Errorf("after %d of %d: %+v", i+1, len(v2.Parties), done)
			}
			again, err := keys.sign(t, u, p.Partner, 2, v2.Terms())
			if err != nil || !again.Repeat || again.Leaf != done.Leaf {
				t.Errorf("%s signs again: %+v, %v; want the answer of leaf %d", p.Partner, again, err, done.Leaf)
			}
		}
		clause("after", "hertswise@2#refer")
		if notes := h.notes(u, firstCopy); !strings.HasSuffix(notes[len(notes)-1], " activated: signed by every party") {
			t.Errorf("the log says %q", notes)
		}
		u.end()
		u = h.open()
		h.must(u.Adopt(t.Context(), h.index))
		clause("after-a-restart", "hertswise@2#refer")
		signatures := 0
		for _, l := range h.leaves(u.store, firstCopy) {
			if l.Kind == ledger.KindSignature {
				signatures++
			}
		}
		if signatures != len(v2.Parties) {
			t.Errorf("%d signatures in the log of %d parties", signatures, len(v2.Parties))
		}
		h.audited(u.store)
		// What they signed is these bytes.
		other := second(t, func(text string) string { return strings.Replace(text, "title: Hertswise", "title: Another", 1) })
		if err := u.Adopt(t.Context(), other); err == nil || !strings.Contains(err.Error(), "version 3") {
			t.Errorf("another text under a version that is active: %v", err)
		}
	})
}

func TestASignatureThatDoesNotCount(t *testing.T) {
	h := newHouse(t, onSQLite)
	h.index = second(t, same)
	u := h.open()
	v2, _ := h.index.Agreement(hertswise, 2)
	keys := keyring{}
	wrong := func(what string, who transfer.PartnerID, terms agreement.Terms, words ...string) {
		t.Helper()
		_, err := keys.sign(t, u, who, 2, terms)
		var sig *exchange.SignatureError
		if !errors.As(err, &sig) {
			t.Errorf("%s: %v", what, err)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", what, err, w)
			}
		}
	}
	text := v2.Terms()
	text.Digest = "sha256:" + strings.Repeat("0", 64)
	wrong("another text", pohwer, text, text.Digest, v2.Digest)
	wrong("no party", operator, v2.Terms(), "not a party")
	v1, _ := h.index.Agreement(hertswise, 1)
	wrong("another version", pohwer, v1.Terms(), "version 1")
	if _, err := keys.sign(t, u, council, 2, v2.Terms()); !errors.Is(err, exchange.ErrNoAgreement) {
		t.Errorf("a stranger: %v", err)
	}
	// The lead cannot do without the keys of those who have one.
	_, err := u.Act(t.Context(), by(ageUKHerts), hertswise, 2, deed(exchange.Activate, "paper-signed"))
	var state *exchange.ActError
	if !errors.As(err, &state) || !strings.Contains(err.Error(), "pohwer") {
		t.Errorf("activated without signatures: %v", err)
	}
	// Nor is there anything to stop yet: the version before it is in force, and stays so.
	for do, ground := range map[exchange.AgreementAct]string{exchange.Suspend: "breach", exchange.Resume: "resolved", exchange.Retire: "replaced"} {
		if _, err := u.Act(t.Context(), by(ageUKHerts), hertswise, 2, deed(do, ground)); !errors.As(err, &state) {
			t.Errorf("%s of what is not active: %v", do, err)
		}
	}
	// A signature was under one text, and counts for no other.
	for _, p := range v2.Parties {
		if p.Partner != pohwer {
			_, err := keys.sign(t, u, p.Partner, 2, v2.Terms())
			h.must(err)
		}
	}
	other := second(t, func(text string) string { return strings.Replace(text, "title: Hertswise", "title: Another", 1) })
	h.must(u.Adopt(t.Context(), other))
	now, _ := other.Agreement(hertswise, 2)
	done, err := keys.sign(t, u, pohwer, 2, now.Terms())
	if err != nil || done.Status != agreement.Signed {
		t.Errorf("one has signed the new text, the others the old: %+v, %v", done, err)
	}
}

// Every ground of the contract is one for some act, and every act has its own.
func TestTheContractOfActsHasTheirGrounds(t *testing.T) {
	text, _ := contracts.Schema("agreement-act/1")
	var schema struct {
		Properties map[string]struct{ Enum []string }
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, act := range schema.Properties["act"].Enum {
		codes := exchange.AgreementAct(act).Grounds()
		if len(codes) == 0 {
			t.Errorf("there is no ground to %s", act)
		}
		all = append(all, codes...)
	}
	published := schema.Properties["ground"].Enum
	slices.Sort(all)
	slices.Sort(published)
	if diff := cmp.Diff(published, slices.Compact(all)); diff != "" {
		t.Errorf("the contract (-) and the acts (+):\n%s", diff)
	}
}

// A small charity that has no system on the hub has signed on paper. The lead says so once everybody else's key has signed.
func TestTheLeadVouchesForWhoeverHasSignedOnPaper(t *testing.T) {
	const small = transfer.PartnerID("howard-cottage")
	h := newHouse(t, onSQLite)
	declared := second(t, same)
	var partners []transfer.Partner
	for _, p := range declared.Partners() {
		q := *p
		if q.ID == small {
			q.Systems = nil
		}
		partners = append(partners, q)
	}
	var err error
	h.index, err = agreement.NewIndex(partners, declared.Agreements())
	h.must(err)
	u := h.open()
	h.must(u.Adopt(t.Context(), h.index))
	v2, _ := h.index.Agreement(hertswise, 2)
	keys := keyring{}
	vouch := func() (exchange.Acted, error) {
		return u.Act(context.Background(), by(ageUKHerts), hertswise, 2, deed(exchange.Activate, "paper-signed"))
	}
	for _, p := range v2.Parties {
		if p.Partner == small {
			continue
		}
		var state *exchange.ActError
		if done, err := vouch(); !errors.As(err, &state) || strings.Contains(err.Error(), string(small)) {
			t.Errorf("before %s has signed: %+v, %v", p.Partner, done, err)
		}
		_, err := keys.sign(t, u, p.Partner, 2, v2.Terms())
		h.must(err)
	}
	if got := u.send(h.message("before", h.somebody()), transfer.Queued); got.Flow != "hertswise@1#refer" {
		t.Errorf("before the lead has said so it went under %s", got.Flow)
	}
	if done, err := vouch(); err != nil || done.Status != agreement.Active {
		t.Errorf("activated: %+v, %v", done, err)
	}
	if got := u.send(h.message("after", h.somebody()), transfer.Queued); got.Flow != "hertswise@2#refer" {
		t.Errorf("it went under %s", got.Flow)
	}
	h.audited(u.store)
	if done, err := u.Agreement(t.Context(), by(pohwer), hertswise, 2); err != nil || done.Standing != agreement.InForce || len(done.SignedAt) != len(v2.Parties)-1 {
		t.Errorf("it stands as %+v, %v", done, err)
	}
}

// Somebody suspends on another copy of the hub while this one compares its register with the log. The suspension stands.
func TestAnActWhileTheRegisterIsTakenOver(t *testing.T) {
	h := newHouse(t, onSQLite)
	other := h.open(as(secondCopy))
	var armed atomic.Bool
	u := h.open(through(func(op storetest.Op) (bool, error) {
		if op == storetest.OpReadLog && armed.CompareAndSwap(true, false) {
			other.act(pohwer, deed(exchange.Suspend, "breach"), agreement.Suspended)
		}
		return true, nil
	}))
	h.must(u.Adopt(t.Context(), h.index))
	armed.Store(true)
	h.must(u.Adopt(t.Context(), h.index))
	u.send(h.message("after", h.somebody()), transfer.Refused)
	want := []string{"hub-operator activated", "hub-operator suspended: leaf 0 of " + secondCopy}
	if diff := cmp.Diff(want, h.notes(u, firstCopy)); diff != "" {
		t.Errorf("its own log (-want +got):\n%s", diff)
	}
	h.audited(u.store)
}
