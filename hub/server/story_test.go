package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/server"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// The people of these stories: numbers of the range 999 that nobody has.
const (
	maureen = "9994100009" // the carer of the adult example
	desmond = "9994100378" // the person she cares for
	joan    = "9990000026"
	gwen    = "9990000034"
	idris   = "9990000042"
)

func TestAReferralIsCarriedFromOneCharityToAnother(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
		if sent.Agreement == nil || sent.Agreement.Flow != "hertswise@1#refer" {
			t.Errorf("decided under %+v", sent.Agreement)
		}

		box, err := c.as(ageUKHerts).Inbox(t.Context(), "", 10, 5*time.Second)
		c.must(err)
		if len(box.Entries) != 1 || box.Entries[0].TransferID != sent.ID || box.Entries[0].Sender != carersInHerts {
			t.Fatalf("inbox: %+v", box.Entries)
		}
		got, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		c.must(got.CheckDigest())
		for _, want := range []string{"O'Brien", "SG14 1ZY", "Atrial fibrillation", "☕", `"husband"`} {
			if !bytes.Contains(got.Dataset, []byte(want)) {
				t.Errorf("the dataset lacks %s, which the agreement lists and she agreed to", want)
			}
		}
		for _, never := range []string{desmond, "Desmond Patrick", "domestic_abuse", "carers-allowance", "magazine", maureenConsent} {
			if bytes.Contains(got.Dataset, []byte(never)) {
				t.Errorf("the dataset holds %s, which must not go", never)
			}
		}

		state, err := c.as(ageUKHerts).Receipt(t.Context(), sent.ID, "accepted", "")
		c.must(err)
		if state != transfer.Accepted {
			t.Errorf("after the receipt: %s", state)
		}
		after, err := c.as(carersInHerts).Transfer(t.Context(), sent.ID)
		c.must(err)
		if after.State != transfer.Accepted {
			t.Errorf("the sender sees %s", after.State)
		}
		// The payload is gone: the hub is not a case store.
		_, err = c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.problem(err, http.StatusConflict)
		if report := c.audited(); report.Releases != 1 {
			t.Errorf("%d releases in the log", report.Releases)
		}
	})
}

const maureenConsent = "cih-consent-form-20931" // consents travel to the hub and no further

func TestTheSameMessageTwiceHasOneEffect(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		m := c.example("adult-carer-hertswise").bytes()
		first, err := c.as(carersInHerts).Send(t.Context(), m)
		c.must(err)
		again, err := c.as(carersInHerts).Send(t.Context(), m)
		c.must(err)
		if !again.Repeat || again.Transfers[0].ID != first.Transfers[0].ID || again.Transfers[0].State != first.Transfers[0].State ||
			!slices.EqualFunc(again.Transfers[0].Reasons, first.Transfers[0].Reasons, func(a, b client.Reason) bool { return a.Code == b.Code && a.Detail == b.Detail }) {
			t.Errorf("the repeat was answered differently:\n%+v\n%+v", first, again)
		}
		_, err = c.as(carersInHerts).Send(t.Context(), bytes.Replace(m, []byte("Maureen"), []byte("Doreen"), 1))
		if p := c.problem(err, http.StatusConflict); len(p.Faults) != 1 || p.Faults[0].Pointer != "/message_id" {
			t.Errorf("another body under the same id: %v", p)
		}
		// Another partner's ids are its own.
		c.send(pohwer, c.example("adult-carer-hertswise").with("cih-2026-004711", to(ageUKHerts)), transfer.PermitReduced)
		box, err := c.as(ageUKHerts).Inbox(t.Context(), "", 10, 0)
		c.must(err)
		if len(box.Entries) != 2 {
			t.Errorf("%d entries wait, want one for each message", len(box.Entries))
		}
		c.audited()
	})
}

func TestWithdrawalStopsWhatIsQueued(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		sent := c.send(carersInHerts, c.example("adult-carer-hertswise").with("w-1", whose(idris)), transfer.PermitReduced)
		withdrawal := consent("w-consent", idris, "withdrawn") // it says when, so that it is the same only once
		done, err := c.as(carersInHerts).Consent(t.Context(), withdrawal)
		c.must(err)
		if !slices.Contains(done.Stopped, sent.ID) {
			t.Errorf("the withdrawal stopped %v", done.Stopped)
		}
		_, err = c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		if p := c.problem(err, http.StatusConflict); p.State != string(transfer.Stopped) {
			t.Errorf("collecting it afterwards: %v", p)
		}
		again, err := c.as(carersInHerts).Consent(t.Context(), withdrawal)
		c.must(err)
		if again.ConsentID != done.ConsentID {
			t.Errorf("the same event twice became %s and %s", done.ConsentID, again.ConsentID)
		}
		_, err = c.as(carersInHerts).Consent(t.Context(), consent("w-consent", joan, "withdrawn"))
		c.problem(err, http.StatusConflict)
		if report := c.audited(); report.Releases != 0 {
			t.Errorf("%d releases", report.Releases)
		}
	})
}

func TestAHeldReferralGoesWhenConsentArrives(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		held := c.send(carersInHerts, c.example("adult-carer-hertswise").with("h-1", whose(gwen), without("consents")), transfer.Hold)
		if held.State != transfer.Held || held.Owner != "sender" || held.Deadline.IsZero() {
			t.Errorf("held: %+v", held)
		}
		page, err := c.as(carersInHerts).Transfers(t.Context(), transfer.Held, "", 10)
		c.must(err)
		if len(page.Transfers) != 1 {
			t.Errorf("%d transfers in the sender's queue of held ones", len(page.Transfers))
		}
		_, err = c.as(ageUKHerts).Collect(t.Context(), held.ID)
		c.problem(err, http.StatusConflict)
		done, err := c.as(carersInHerts).Consent(t.Context(), consent("h-consent", gwen, "given"))
		c.must(err)
		if !slices.Contains(done.Resumed, held.ID) {
			t.Fatalf("the consent resumed %v", done.Resumed)
		}
		got, err := c.as(ageUKHerts).Collect(t.Context(), held.ID)
		c.must(err)
		if bytes.Contains(got.Dataset, []byte("Atrial")) {
			t.Error("health data went although her consent does not name health")
		}
		c.audited()
	})
}

func TestNothingGoesWithoutAnAgreement(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		refused := c.send(carersInHerts, c.example("adult-carer-hertswise").with("n-1", to(kent)), transfer.Refuse)
		if len(refused.Reasons) == 0 || refused.Reasons[0].Code != "NO_AGREEMENT" || refused.Reasons[0].Remedy == "" || refused.Owner == "" {
			t.Errorf("refused: %+v", refused)
		}
		box, err := c.as(kent).Inbox(t.Context(), "", 10, 0)
		c.must(err)
		if len(box.Entries) != 0 {
			t.Errorf("the council sees %d entries", len(box.Entries))
		}
		// One message, two recipients, a decision for each.
		sent, err := c.as(carersInHerts).Send(t.Context(), c.example("adult-carer-hertswise").with("n-2", to(ageUKHerts, kent)).bytes())
		c.must(err)
		if len(sent.Transfers) != 2 || sent.Transfers[0].Outcome != transfer.PermitReduced || sent.Transfers[1].Outcome != transfer.Refuse {
			t.Errorf("two recipients: %+v", sent.Transfers)
		}
		for _, p := range c.load(c.opened(), &store.Wanted{Payloads: []transfer.TransferID{sent.Transfers[1].ID}}).Payloads {
			t.Errorf("the hub kept %d bytes of a refused message", len(p.Sealed.Ciphertext))
		}
		c.audited()
	})
}

func TestAPartnerSeesItsOwnTransfersAndNobodyElses(t *testing.T) {
	c := newCounty(t, "")
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	_, err := c.as(pohwer).Transfer(t.Context(), sent.ID)
	c.problem(err, http.StatusNotFound)
	_, err = c.as(pohwer).Collect(t.Context(), sent.ID)
	stranger := c.problem(err, http.StatusNotFound)
	_, err = c.as(pohwer).Collect(t.Context(), "01900000-0000-7000-8000-000000000000")
	if nothing := c.problem(err, http.StatusNotFound); nothing.Detail != stranger.Detail {
		t.Errorf("another's transfer and none at all are told apart: %q, %q", stranger.Detail, nothing.Detail)
	}
	_, err = c.as(pohwer).Receipt(t.Context(), sent.ID, "accepted", "")
	c.problem(err, http.StatusNotFound)
	// What Carers in Hertfordshire knows of Maureen is not confirmed to PoHWER: without a consent of its own it holds.
	c.send(pohwer, c.example("adult-carer-hertswise").with("p-1", to(ageUKHerts), without("consents", "undertaking")), transfer.Hold)
	// The recipient learns what came and not what was kept from it, or why.
	theirs, err := c.as(ageUKHerts).Transfer(t.Context(), sent.ID)
	c.must(err)
	if len(theirs.Subjects) != 0 || theirs.MessageID != "" {
		t.Errorf("the recipient sees %+v", theirs)
	}
}

func TestTheDataProtectionLeadAsksWhoReceivedWhat(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
		_, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
		c.must(err)
		_, err = c.as(ageUKHerts).Receipt(t.Context(), sent.ID, "received", "")
		c.must(err)
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("d-2", to(kent)), transfer.Refuse)

		ask := client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: maureen}, Why: "subject access request"}
		found, err := c.as("hub-operator/dpl").Search(t.Context(), ask)
		c.must(err)
		var kinds []string
		for _, e := range found.Entries {
			kinds = append(kinds, e.Kind+" "+string(e.Outcome))
			if e.Kind == "release" && (e.Recipient != ageUKHerts || !slices.Contains(e.Items, "carer.nhs_number") || e.Agreement.Version != 1) {
				t.Errorf("the release: %+v", e)
			}
		}
		want := []string{"consent ", "decision permit-reduced", "decision permit", "release permit", "outcome ", "consent ", "decision refuse"}
		if !slices.Equal(kinds, want) {
			t.Errorf("the history is %q, want %q", kinds, want)
		}

		// By case number: it means Maureen to the partner that gave it, and nobody to another.
		mine, err := c.as("age-uk-hertfordshire/dpl").Search(t.Context(), client.Query{Subject: &client.Identifier{Scheme: "case-number", Value: "CIH/20931"}, Why: "complaint 12"})
		c.must(err)
		if len(mine.Entries) != 0 {
			t.Errorf("another partner's case number found %d entries", len(mine.Entries))
		}
		// A recipient's own DPL sees what it sent or received, not the refusal to the council.
		theirs, err := c.as("age-uk-hertfordshire/dpl").Search(t.Context(), ask)
		c.must(err)
		for _, e := range theirs.Entries {
			if e.Sender != ageUKHerts && e.Recipient != ageUKHerts {
				t.Errorf("Age UK's DPL sees %+v", e)
			}
		}
		// An unknown person is an empty answer and a leaf.
		none, err := c.as("hub-operator/dpl").Search(t.Context(), client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: joan}, Why: "routine check"})
		c.must(err)
		if len(none.Entries) != 0 || none.QueryLeaf.Index <= found.QueryLeaf.Index {
			t.Errorf("an unknown person: %+v", none)
		}
		_, err = c.as(ageUKHerts).Search(t.Context(), ask)
		c.problem(err, http.StatusForbidden)
		c.audited()
	})
}

func TestADecisionCanBeAskedForWithoutSending(t *testing.T) {
	c := newCounty(t, "")
	m := c.example("adult-carer-hertswise")
	before := c.audited().Leaves
	decisions, err := c.as(carersInHerts).Decide(t.Context(), m.bytes())
	c.must(err)
	if len(decisions) != 1 || decisions[0].Outcome != transfer.PermitReduced {
		t.Errorf("would it go? %+v", decisions)
	}
	if after := c.audited().Leaves; after != before {
		t.Errorf("asking added %d leaves", after-before)
	}
	sent := c.send(carersInHerts, m, transfer.PermitReduced)
	if !slices.EqualFunc(sent.Subjects, decisions[0].Subjects, func(a, b client.Subject) bool {
		return a.Role == b.Role && slices.Equal(a.Items, b.Items) && slices.Equal(a.Stripped, b.Stripped)
	}) {
		t.Errorf("what was said and what was done differ:\n%+v\n%+v", decisions[0].Subjects, sent.Subjects)
	}
}

// Every example is judged as its sender could expect, when Carers in Hertfordshire sends it; what is for itself comes from PoHWER.
func TestEveryExampleIsJudged(t *testing.T) {
	c := newCounty(t, "")
	judged := map[string]string{}
	for _, name := range contracts.Examples() {
		m := c.example(name)
		if !slices.Contains([]any{"referral/1", "aggregate/1"}, m["contract"]) {
			continue
		}
		from := carersInHerts
		if slices.Contains(m["recipients"].([]any), any(string(carersInHerts))) {
			from = pohwer
		}
		sent, err := c.as(from).Send(t.Context(), m.bytes())
		c.must(err)
		for _, tr := range sent.Transfers {
			line := string(tr.Outcome)
			for _, r := range tr.Reasons { // what holds or refuses it
				if !tr.Outcome.Permits() && r.Items == nil {
					line += " " + r.Code
				}
			}
			judged[name+" to "+string(tr.Recipient)] = line
		}
	}
	want := map[string]string{
		"adult-carer-hertswise to age-uk-hertfordshire":             "permit-reduced",
		"advocacy-pohwer to pohwer":                                 "hold CAPACITY_DOUBT",
		"aggregate-quarter to hertfordshire-county-council":         "permit",
		"aggregate-quarter to herts-and-west-essex-icb":             "permit",
		"bars-111-referral to carers-in-hertfordshire":              "hold CONSENT_NONE",
		"bars-gp-referral to carers-in-hertfordshire":               "hold CONSENT_NONE",
		"care-transfer to stour-care":                               "refuse NO_AGREEMENT",
		"court-order to hertford-county-court":                      "permit-reduced",
		"home-safety to hertfordshire-fire-and-rescue":              "hold CONSENT_NONE",
		"magazine-list to carewaves-mailing-house":                  "permit-reduced",
		"navigators to watford-and-three-rivers-trust":              "permit-reduced",
		"parent-carer to carers-in-hertfordshire":                   "permit-reduced",
		"safeguarding-exception to hertfordshire-constabulary":      "permit-exception",
		"safeguarding-exception to hertfordshire-county-council":    "permit-reduced",
		"self-referral to age-uk-hertfordshire":                     "permit-reduced",
		"self-referral to carers-in-hertfordshire":                  "permit-reduced",
		"urgent-with-risks to age-uk-hertfordshire":                 "permit-reduced",
		"urgent-with-risks to carers-in-hertfordshire":              "permit-reduced",
		"young-carer to hertfordshire-county-council":               "refuse PURPOSE_NOT_COVERED",
		"young-carer-15-no-parent to crossroads-care-hertfordshire": "hold PARENTAL_CONSENT_MISSING",
	}
	if diff := cmp.Diff(want, judged); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.audited()
}

func TestABatchIsJudgedOneByOne(t *testing.T) {
	c := newCounty(t, "")
	good := c.example("adult-carer-hertswise").bytes()
	results, err := c.as(carersInHerts).Batch(t.Context(), [][]byte{
		good, []byte(`{"contract":"referral/1"}`), c.example("adult-carer-hertswise").with("b-2", whose(joan), to(kent)).bytes(), good,
	})
	c.must(err)
	if results[0].Status+results[3].Status != http.StatusCreated+http.StatusOK {
		t.Errorf("the same message twice in a batch: %d, %d", results[0].Status, results[3].Status)
	}
	if results[1].Status != http.StatusUnprocessableEntity || len(results[1].Problem.Faults) == 0 {
		t.Errorf("the broken one: %+v", results[1])
	}
	if results[2].Status != http.StatusCreated || results[2].Body.Transfers[0].Outcome != transfer.Refuse {
		t.Errorf("the refused one: %+v", results[2])
	}
	c.audited()
}

func TestARecipientCollectsEverythingThatWaitsWithOneRequest(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		recipient := c.as(ageUKHerts)
		for id, nhs := range map[string]string{"all-1": joan, "all-2": gwen, "all-3": idris} {
			m := c.example("adult-carer-hertswise").with(id, whose(nhs), at("carer.name.family", "Quuxington")).bytes()
			// What an encoder would write otherwise: every byte must come as it was sent.
			_, err := c.as(carersInHerts).Send(t.Context(), bytes.Replace(m, []byte(`"Quuxington"`), []byte(`"Quux <&> \u0069ngton"`), 1))
			c.must(err)
		}
		others := c.send(carersInHerts, c.example("navigators"), transfer.PermitReduced) // PoHWER's
		box, err := recipient.Inbox(t.Context(), "", 0, 5*time.Second)
		c.must(err)
		if len(box.Entries) != 3 {
			t.Fatalf("%d wait", len(box.Entries))
		}
		withdrawn, err := c.as(carersInHerts).Consent(t.Context(), consent("all-consent", idris, "withdrawn"))
		c.must(err)

		ids := []transfer.TransferID{others.ID}
		for _, e := range box.Entries {
			ids = append(ids, e.TransferID)
		}
		got, err := recipient.CollectAll(t.Context(), ids)
		c.must(err)
		var receipts []client.Acknowledgement
		for i, r := range got {
			receipts = append(receipts, client.Acknowledgement{TransferID: ids[i], Receipt: client.Receipt{Status: "received"}})
			want := http.StatusOK
			switch {
			case i == 0:
				want = http.StatusNotFound
			case slices.Contains(withdrawn.Stopped, ids[i]):
				want = http.StatusConflict
			}
			if r.Status != want {
				t.Errorf("number %d: %d, want %d", i, r.Status, want)
			}
			switch r.Status {
			case http.StatusOK:
				c.must(r.Body.CheckDigest())
				if !bytes.Contains(r.Body.Dataset, []byte(`"Quux <&> \u0069ngton"`)) {
					t.Errorf("the dataset of number %d: %s", i, r.Body.Dataset)
				}
			case http.StatusConflict:
				if r.Problem.State != string(transfer.Stopped) {
					t.Errorf("what was withdrawn: %v", r.Problem)
				}
			}
		}

		said, err := recipient.AcknowledgeAll(t.Context(), receipts)
		c.must(err)
		for i, r := range said {
			switch got[i].Status {
			case http.StatusOK:
				if r.Status != http.StatusCreated || r.Body.TransferID != ids[i] || r.Body.State != transfer.Received {
					t.Errorf("the receipt for number %d: %+v", i, r)
				}
			default:
				if r.Status != got[i].Status {
					t.Errorf("the receipt for number %d, which was not given: %+v", i, r)
				}
			}
		}
		if after := c.settled(); after["transfers received"] != 2 || after["payloads"] != 1 { // PoHWER's still waits
			t.Errorf("what is stored: %v", after)
		}
		if report := c.audited(); report.Releases != 2 {
			t.Errorf("%d releases", report.Releases)
		}
	})
}

func TestABatchToCollectOrAcknowledgeIsReadStrictly(t *testing.T) {
	c := newCounty(t, "")
	sent := string(c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced).ID)
	token, dpl := c.token("age-uk-hertfordshire/casework"), c.token("hub-operator/dpl")
	many := func(each string) string { return strings.Repeat(each+",", 100) + each }
	const receipt = `"contract":"receipt/1","at":"2026-01-01T00:00:00Z","status":"received"`
	before := c.settled()
	for path, bad := range map[string][]request{
		"/v1/inbox/collect": {
			{name: "nothing", status: 400}, {name: "a list", body: `["` + sent + `"]`, status: 422, rule: "type"},
			{name: "no ids", body: `{"transfer_ids":[]}`, status: 422, pointer: "/transfer_ids", rule: "count"},
			{name: "too many", body: `{"transfer_ids":[` + many(`"x"`) + `]}`, status: 422, pointer: "/transfer_ids", rule: "count"},
			{name: "one twice", body: `{"transfer_ids":["` + sent + `","x","` + sent + `"]}`, status: 422, pointer: "/transfer_ids/2", rule: "duplicate"},
			{name: "a number", body: `{"transfer_ids":[9994100009]}`, status: 422, pointer: "/transfer_ids/0", rule: "type"},
			{name: "something else besides", body: `{"transfer_ids":["` + sent + `"],"all":true}`, status: 422, rule: "unknown-item"},
		},
		"/v1/receipts": {
			{name: "nothing", status: 400}, {name: "no receipts", body: `{"receipts":[]}`, status: 422, pointer: "/receipts", rule: "count"},
			{name: "too many", body: `{"receipts":[` + many(`{}`) + `]}`, status: 422, pointer: "/receipts", rule: "count"},
			{name: "another name", body: `{"referrals":[{}]}`, status: 422, rule: "type"},
		},
	} {
		for _, q := range bad {
			t.Run(path+" "+q.name, func(t *testing.T) {
				q.path, q.token = path, token
				c.refused(t, q)
			})
		}
		c.refused(t, request{path: path, token: dpl, status: 403})
	}
	// One that is wrong in itself spoils no other.
	for _, batch := range []struct {
		path, body string
		want       []int
	}{
		{"/v1/receipts", `{"receipts":[{"transfer_id":"` + sent + `",` + receipt + `},{` + receipt + `},{"transfer_id":"` + sent + `"},{"transfer_id":7,` + receipt + `},` +
			`{"transfer_id":"` + sent + `","transfer_id":"` + sent + `",` + receipt + `},{"transfer_id":"` + sent + `",` + receipt + `,"status":"received"},` +
			`{"transfer_id":"` + sent + `",` + receipt + `,"note":"Maureen"},{"transfer_id":"Maureen",` + receipt + `},"` + "\xff" + `",null]}`,
			[]int{409, 422, 422, 422, 400, 400, 422, 404, 400, 422}}, // the first: it has not been collected
		{"/v1/inbox/collect", `{"transfer_ids":["Maureen","` + sent + `",""]}`, []int{404, 200, 404}},
		{"/v1/receipts", `{"receipts":[null,{` + receipt + `,"transfer_id":"` + sent + `"}]}`, []int{422, 201}},
	} {
		a := c.ask(request{path: batch.path, token: token, body: batch.body})
		var out struct{ Results []struct{ Status int } }
		c.must(json.Unmarshal(a.body, &out))
		var statuses []int
		for _, r := range out.Results {
			statuses = append(statuses, r.Status)
		}
		if !slices.Equal(statuses, batch.want) {
			t.Errorf("%s answered %v, want %v: %s", batch.path, statuses, batch.want, a.body)
		}
		if batch.want[0] == 409 && !maps.Equal(before, c.stored()) {
			t.Errorf("something was stored: %v, before %v", c.stored(), before)
		}
	}
}

func TestTheSameIntakeIsServedOverNATS(t *testing.T) {
	c := newCounty(t, "", func(cfg *server.Config) { cfg.NATS.Listen = freeAddress(t) })
	conn, err := nats.Connect("nats://" + c.cfg.NATS.Listen)
	c.must(err)
	defer conn.Close()
	ask := func(token string, body []byte) *nats.Msg {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		m := nats.NewMsg("hub.v1.referrals")
		m.Data = body
		m.Header.Set("Authorization", "Bearer "+token)
		for {
			answer, err := conn.RequestMsgWithContext(ctx, m)
			if errors.Is(err, nats.ErrNoResponders) && ctx.Err() == nil {
				continue // the hub is still opening its doors
			}
			c.must(err)
			return answer
		}
	}
	m := c.example("adult-carer-hertswise").bytes()
	if a := ask("forged", m); a.Header.Get("Status") != "401" {
		t.Errorf("a forged token over NATS: %s %s", a.Header.Get("Status"), a.Data)
	}
	token := c.token("carers-in-hertfordshire/casework")
	if a := ask(token, []byte(`{`)); a.Header.Get("Status") != "400" || !strings.Contains(string(a.Data), "remedy") {
		t.Errorf("half a message over NATS: %s %s", a.Header.Get("Status"), a.Data)
	}
	if a := ask(token, m); a.Header.Get("Status") != "201" {
		t.Errorf("over NATS: %s %s", a.Header.Get("Status"), a.Data)
	}
	sent, err := c.as(carersInHerts).Send(t.Context(), m)
	c.must(err)
	if !sent.Repeat {
		t.Error("the same message over HTTP was taken for another")
	}
}

func TestASuspendedPartnerIsStoppedAtOnce(t *testing.T) {
	c := newCounty(t, "")
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	recipient := c.as(ageUKHerts)
	_, err := recipient.Inbox(t.Context(), "", 10, 0) // it holds a live token
	c.must(err)
	c.must(c.cfg.Suspend(carersInHerts, "under investigation"))
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := c.as(carersInHerts).Partners(t.Context())
		if err != nil {
			c.problem(err, http.StatusUnauthorized)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the suspension is not in force")
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // another process's file is watched
	}
	_, err = recipient.Collect(t.Context(), sent.ID)
	if p := c.problem(err, http.StatusConflict); len(p.Reasons) == 0 || p.Reasons[0].Code != "PARTNER_SUSPENDED" {
		t.Errorf("what a suspended partner had queued: %v", p)
	}
	c.audited()
}

func TestALongPollWakesWhenSomethingArrives(t *testing.T) {
	c := newCounty(t, "")
	recipient := c.as(ageUKHerts)
	_, err := recipient.Token(t.Context())
	c.must(err)
	type look struct {
		page *client.InboxPage
		err  error
	}
	arrived := make(chan look, 1)
	go func() {
		page, err := recipient.Inbox(t.Context(), "", 10, 25*time.Second)
		arrived <- look{page, err}
	}()
	c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	select {
	case l := <-arrived:
		c.must(l.err)
		if len(l.page.Entries) != 1 {
			t.Errorf("the poll ended with %d entries", len(l.page.Entries))
		}
	case <-time.After(20 * time.Second):
		t.Error("the poll did not wake")
	}
}

func TestARecipientProvesWhatItWasGiven(t *testing.T) {
	c := newCounty(t, "")
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	got, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
	c.must(err)
	recipient := c.as(ageUKHerts)
	text, err := recipient.Checkpoint(t.Context())
	c.must(err)
	key, err := os.ReadFile(c.cfg.VerifierFile())
	c.must(err)
	cp, err := client.VerifyCheckpoint(text, string(key))
	c.must(err)
	proof, err := recipient.InclusionProof(t.Context(), got.Log.Index, cp.Size)
	c.must(err)
	c.must(client.VerifyInclusion(cp, proof))
	c.must(got.CheckLeaf(proof.Leaf))

	stranger, err := c.as(pohwer).InclusionProof(t.Context(), got.Log.Index, cp.Size)
	c.must(err)
	if stranger.Leaf != nil {
		t.Error("a leaf is shown to a partner it is not about")
	}
	c.send(carersInHerts, c.example("adult-carer-hertswise").with("later", whose(joan)), transfer.PermitReduced)
	text, err = recipient.Checkpoint(t.Context())
	c.must(err)
	later, err := client.VerifyCheckpoint(text, string(key))
	c.must(err)
	grown, err := recipient.ConsistencyProof(t.Context(), cp.Size, later.Size)
	c.must(err)
	c.must(client.VerifyConsistency(cp, later, grown))
}

func TestTheSenderLearnsWhatTheRecipientSays(t *testing.T) {
	c := newCounty(t, "")
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
	_, err := c.as(ageUKHerts).Collect(t.Context(), sent.ID)
	c.must(err)
	for _, say := range []struct {
		receipt client.Receipt
		code    string
		note    string
	}{
		{client.Receipt{Status: "more-information", ItemsWanted: []string{"carer.phones"}}, "more-information", "wanted: carer.phones"},
		{client.Receipt{Status: "declined", Reason: "no-capacity", RedirectTo: "hils"}, "declined:no-capacity", "try hils"},
	} {
		_, err = c.as(ageUKHerts).Acknowledge(t.Context(), sent.ID, say.receipt)
		c.must(err)
		now, err := c.as(carersInHerts).Transfer(t.Context(), sent.ID)
		c.must(err)
		if now.Last == nil || now.Last.Receipt != say.code || now.Last.Note != say.note {
			t.Errorf("after %+v the sender sees %+v", say.receipt, now.Last)
		}
	}
	// A transfer that was stopped shows the decision that stopped it.
	waits := c.send(carersInHerts, c.example("adult-carer-hertswise").with("s-1", whose(joan)), transfer.PermitReduced)
	_, err = c.as(carersInHerts).Consent(t.Context(), consent("s-consent", joan, "withdrawn"))
	c.must(err)
	now, err := c.as(carersInHerts).Transfer(t.Context(), waits.ID)
	c.must(err)
	if now.State != transfer.Stopped || !slices.ContainsFunc(now.Reasons, func(r client.Reason) bool { return r.Code == "CONSENT_WITHDRAWN" }) {
		t.Errorf("stopped: %s %v", now.State, now.Reasons)
	}
}
