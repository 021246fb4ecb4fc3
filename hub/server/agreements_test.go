package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/auth"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

const hertswise = transfer.AgreementID("hertswise")

// doing is what a Data Protection Lead does about an agreement.
func doing(do, ground string) client.AgreementAct {
	return client.AgreementAct{Act: do, Person: "dpl-1", Ground: ground, At: time.Now().UTC().Truncate(time.Second)}
}

// enrol gives systems keys, and starts the hub again with them.
func (c *county) enrol(systems ...transfer.SystemID) {
	c.Helper()
	c.stop()
	for _, id := range systems {
		if _, has := c.keys[id]; has {
			continue
		}
		key, err := auth.GenerateKey("ES256")
		c.must(err)
		public, err := auth.JWKS(key)
		c.must(err)
		c.must(c.cfg.Enrol(id, public))
		c.keys[id] = key
	}
	c.start()
}

// stands expects an agreement to have a status.
func (c *county) stands(version int, status, standing string) client.DeclaredAgreement {
	c.Helper()
	a, err := c.as("pohwer/dpl").Agreement(c.Context(), hertswise, version)
	c.must(err)
	if a.Status != status || a.Standing != standing {
		c.Errorf("hertswise@%d is %s (%s), want %s (%s)", version, a.Status, a.Standing, status, standing)
	}
	return a
}

func TestAPartySuspendsAnAgreement(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		c.enrol("pohwer/dpl")
		party, recipient := c.as("pohwer/dpl"), c.as(ageUKHerts)
		queued := c.send(carersInHerts, c.example("adult-carer-hertswise").with("queued", whose(joan)), transfer.PermitReduced)
		done, err := party.Act(t.Context(), hertswise, 1, doing("suspend", "breach"))
		c.must(err)
		if done.Status != "suspended" || done.Log.Origin == "" {
			t.Errorf("suspended: %+v", done)
		}
		_, err = recipient.Collect(t.Context(), queued.ID)
		if p := c.problem(err, http.StatusConflict); len(p.Reasons) == 0 || p.Reasons[0].Code != "AGREEMENT_SUSPENDED" {
			t.Errorf("collected: %+v", p)
		}
		c.stop()
		c.start()
		if a := c.stands(1, "suspended", "stopped"); len(a.SuspendedBy) != 1 || a.SuspendedBy[0] != pohwer || !strings.Contains(a.Explained, "Hertswise") {
			t.Errorf("after a restart: %+v", a)
		}
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("meanwhile", whose(gwen)), transfer.Refuse)
		_, err = party.Act(t.Context(), hertswise, 1, doing("resume", "resolved"))
		c.must(err)
		next := c.send(carersInHerts, c.example("adult-carer-hertswise").with("next", whose(idris)), transfer.PermitReduced)
		if _, err := recipient.Collect(t.Context(), next.ID); err != nil {
			t.Error(err)
		}
		c.audited()
	})
}

func TestACaseworkerMayNotSuspendAnAgreement(t *testing.T) {
	c := newCounty(t, "")
	c.enrol("pohwer/dpl")
	// Neither by the casework system, which has no such scope, nor by the other one.
	_, err := c.as(pohwer).Act(t.Context(), hertswise, 1, doing("suspend", "breach"))
	if p := c.problem(err, http.StatusForbidden); !strings.Contains(p.Detail, "agreements:act") {
		t.Errorf("by the casework system: %v", p)
	}
	caseworker := doing("suspend", "breach")
	caseworker.Person = "caseworker-1"
	_, err = c.as("pohwer/dpl").Act(t.Context(), hertswise, 1, caseworker)
	if p := c.problem(err, http.StatusForbidden); !strings.Contains(p.Detail, "caseworker-1") || !strings.Contains(p.Detail, "role dpl") {
		t.Errorf("by a caseworker: %v", p)
	}
	// Nor may a party's Data Protection Lead end it for everybody.
	_, err = c.as("pohwer/dpl").Act(t.Context(), hertswise, 1, doing("retire", "service-ended"))
	c.problem(err, http.StatusForbidden)
	c.stands(1, "active", "in-force")
	c.send(carersInHerts, c.example("adult-carer-hertswise").with("goes", whose(joan)), transfer.PermitReduced)
}

// Two programs of a party suspend at the same moment with the same act: it is done once.
func TestTheSameActTwiceAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		c.enrol("pohwer/dpl")
		token, body := c.token("pohwer/dpl"), fmt.Sprintf(`{"contract":"agreement-act/1","act":"suspend","person":"dpl-1","ground":"breach","at":%q}`, time.Now().UTC().Format(time.RFC3339))
		var mu sync.Mutex
		statuses, leaves := map[int]int{}, map[float64]bool{}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				status, out := c.post(token, "/v1/agreements/hertswise/versions/1/acts", body)
				mu.Lock()
				defer mu.Unlock()
				statuses[status]++
				leaves[out["log"].(map[string]any)["index"].(float64)] = true
			})
		}
		all.Wait()
		if statuses[http.StatusCreated] != 1 || statuses[http.StatusOK] != 3 || len(leaves) != 1 {
			t.Errorf("answers %v naming %d leaves", statuses, len(leaves))
		}
		c.audited()
	})
}

// withSecond adds another version of Hertswise, signed on paper, to a copy of the register, and gives where it stands.
func withSecond(t *testing.T) (folder, file string) {
	t.Helper()
	folder = t.TempDir()
	copyRegister(t, folder)
	first := filepath.Join(folder, "hertfordshire", "agreements", "hertswise.v1.yaml")
	text, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	file = strings.Replace(first, "v1", "v2", 1)
	r := strings.NewReplacer("version: 1\n", "version: 2\nsupersedes: hertswise@1\n", "status: active", "status: signed")
	if err := os.WriteFile(file, []byte(r.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, file
}

func TestAVersionBecomesActiveWhenTheLastPartySigns(t *testing.T) {
	folder, _ := withSecond(t)
	engines(t, func(t *testing.T, c *county) {
		c.cfg.Agreements = folder
		c.enrol("pohwer/dpl")
		a := c.stands(2, "signed", "not-started")
		var systems []transfer.SystemID
		for _, s := range a.Signatures {
			systems = append(systems, transfer.SystemID(s.Party)+"/dpl")
		}
		c.enrol(systems...)

		_, err := c.as("pohwer/dpl").Sign(t.Context(), hertswise, 2, "sha256:"+strings.Repeat("0", 64))
		p := c.problem(err, http.StatusUnprocessableEntity)
		if detail := p.Faults[0].Detail; !strings.Contains(detail, a.Digest) || !strings.Contains(detail, strings.Repeat("0", 64)) {
			t.Errorf("a signature under another text: %s", detail)
		}
		_, err = c.as("pohwer/dpl").Sign(t.Context(), hertswise, 1, a.Digest)
		c.problem(err, http.StatusUnprocessableEntity)

		clause := func(id, nhs string, version int) {
			t.Helper()
			sent := c.send(carersInHerts, c.example("adult-carer-hertswise").with(id, whose(nhs)), transfer.PermitReduced)
			if sent.Agreement == nil || sent.Agreement.Version != version {
				t.Errorf("%s went under %+v, want version %d", id, sent.Agreement, version)
			}
		}
		for i, id := range systems {
			if i == len(systems)-1 {
				c.stands(2, "signed", "not-started")
				clause("before", joan, 1)
			}
			_, err := c.as(transfer.PartnerID(id)).Sign(t.Context(), hertswise, 2, a.Digest)
			c.must(err)
		}
		if a := c.stands(2, "active", "in-force"); a.Signatures[0].At.IsZero() {
			t.Error("there is no time at which it was signed")
		}
		clause("after", gwen, 2)
		c.stop()
		c.start()
		clause("after-a-restart", idris, 2)
		c.audited()
	})
}

// A register with a fault anywhere leaves the one before it in force, all of it, and the operator can see that.
func TestABadRegisterChangesNothing(t *testing.T) {
	t.Parallel() // most of it is waiting
	folder, v2 := withSecond(t)
	c := newCounty(t, "", func(cfg *server.Config) { cfg.Agreements = folder })
	metric := func(value string) func() bool {
		return func() bool {
			a := c.ask(request{method: http.MethodGet, path: "/metrics", token: "-"})
			return bytes.Contains(a.body, []byte("hub_register_behind "+value+"\n"))
		}
	}
	register := filepath.Join(folder, "hertfordshire", "partners.yaml")
	before, err := os.ReadFile(register)
	c.must(err)

	// A partner is stopped, and in the same change an agreement has a key that nobody knows.
	rewrite(t, register, func(text string) string {
		return strings.Replace(text, "  - id: age-uk-hertfordshire\n", "  - id: age-uk-hertfordshire\n    suspended: looked into\n", 1)
	})
	rewrite(t, v2, func(text string) string { return strings.Replace(text, "title:", "titel:", 1) })
	c.until("the metric says so", metric("1"))
	if !strings.Contains(c.log.String(), "hertswise.v2.yaml") {
		t.Error("the log does not name the file at fault")
	}
	c.send(carersInHerts, c.example("adult-carer-hertswise").with("as-before", whose(joan)), transfer.PermitReduced)

	// The same with keys that are none.
	c.must(os.WriteFile(register, before, 0o600))
	rewrite(t, v2, func(text string) string { return strings.Replace(text, "titel:", "title:", 1) })
	c.until("the metric says that it is mended", metric("0"))
	keys := filepath.Join(c.cfg.Data, "partners", "pohwer", "casework.jwks.json")
	good, err := os.ReadFile(keys)
	c.must(err)
	rewrite(t, register, func(text string) string {
		return strings.Replace(text, "  - id: age-uk-hertfordshire\n", "  - id: age-uk-hertfordshire\n    suspended: looked into\n", 1)
	})
	c.must(os.WriteFile(keys, []byte("{"), 0o600))
	c.until("the metric says so", metric("1"))
	c.send(carersInHerts, c.example("adult-carer-hertswise").with("as-before-still", whose(gwen)), transfer.PermitReduced)

	// Mended, all of it is taken over: who may act for a partner among the rest.
	c.must(os.WriteFile(register, bytes.Replace(before, []byte("      - {id: caseworker-1, office: advocate, roles: [caseworker]}\n"), []byte("      - {id: caseworker-1, office: advocate, roles: [caseworker, dpl]}\n"), 1), 0o600))
	c.must(os.WriteFile(keys, good, 0o600))
	c.until("the metric says that it is mended", metric("0"))
	c.enrol("pohwer/dpl")
	promoted := doing("suspend", "breach")
	promoted.Person = "caseworker-1"
	_, err = c.as("pohwer/dpl").Act(t.Context(), hertswise, 1, promoted)
	c.must(err)
}

// agreements makes the operations about agreements answer in every way that the document knows.
func (d *description) agreements(c *county) {
	d.Helper()
	const path, missing = "/v1/agreements/hertswise/versions/1", "/v1/agreements/hertswise/versions/9"
	lead := d.through(c, "age-uk-hertfordshire/dpl")
	all, err := lead.Agreements(c.Context())
	c.must(err)
	a, err := lead.Agreement(c.Context(), hertswise, 1)
	c.must(err)
	if len(all) == 0 || a.Explained == "" || len(a.Signatures) == 0 {
		d.Errorf("%d agreements; %+v", len(all), a)
	}
	suspend := doing("suspend", "precaution")
	for range 2 {
		_, err = lead.Act(c.Context(), hertswise, 1, suspend)
		c.must(err)
		_, err = lead.Sign(c.Context(), hertswise, 1, a.Digest)
		c.must(err)
	}
	_, err = lead.Act(c.Context(), hertswise, 1, doing("activate", "paper-signed"))
	c.problem(err, http.StatusConflict)
	_, err = lead.Act(c.Context(), hertswise, 1, doing("resume", "resolved"))
	c.must(err)
	_, err = lead.Act(c.Context(), "admiral-nursing", 9, suspend)
	c.problem(err, http.StatusNotFound)
	_, err = lead.Sign(c.Context(), hertswise, 9, a.Digest)
	c.problem(err, http.StatusNotFound)
	// What has ended is not signed any more.
	over, err := d.through(c, "hub-operator/dpl").Act(c.Context(), "carewaves-mailing", 1, doing("retire", "service-ended"))
	c.must(err)
	_, err = d.through(c, "carers-in-hertfordshire/dpl").Sign(c.Context(), over.ID, over.Version, over.Digest)
	c.problem(err, http.StatusConflict)

	token := c.token("age-uk-hertfordshire/dpl")
	for _, at := range []string{path + "/acts", path + "/signatures"} {
		d.call(c, http.MethodPost, at, token, "application/json", []byte(`{`))
		d.call(c, http.MethodPost, at, token, "application/json", []byte(`{}`))
		d.call(c, http.MethodPost, at, token, "text/csv", nil)
		d.call(c, http.MethodPost, at, token, "application/json", bytes.Repeat([]byte(" "), 9<<20))
	}
	d.call(c, http.MethodGet, missing, token, "application/json", nil)
	wrong := suspend
	wrong.Contract, wrong.Ground = "agreement-act/1", "resolved"
	body, err := json.Marshal(wrong)
	c.must(err)
	if status := d.call(c, http.MethodPost, path+"/acts", token, "application/json", body); status != http.StatusUnprocessableEntity {
		d.Errorf("a ground of another act: %d", status)
	}
}
