package server_test

import (
	"bytes"
	"context"
	"crypto"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	_ "github.com/jackc/pgx/v5/stdlib" // a second way into the database, beside the hub's

	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

// stored counts the rows of every table and the transfers in every state: what a request that is refused must leave alone.
func (c *county) stored() map[string]int64 {
	c.Helper()
	driver, name, tables := "sqlite", "file:"+filepath.Join(c.cfg.Data, "hub.db")+"?mode=ro", "SELECT name, 0 FROM sqlite_master WHERE type = 'table'"
	if c.cfg.Database != "" {
		driver, name, tables = "pgx", c.cfg.Database, "SELECT table_name, 0 FROM information_schema.tables WHERE table_schema = current_schema()"
	}
	db, err := sql.Open(driver, name)
	c.must(err)
	defer db.Close()
	count := func(query string) map[string]int64 {
		rows, err := db.QueryContext(c.Context(), query)
		c.must(err)
		defer rows.Close()
		out := map[string]int64{}
		for rows.Next() {
			var key string
			var n int64
			c.must(rows.Scan(&key, &n))
			out[key] = n
		}
		c.must(rows.Err())
		return out
	}
	out := count("SELECT 'transfers ' || state, COUNT(*) FROM transfers GROUP BY state")
	for table := range count(tables) {
		maps.Copy(out, count(fmt.Sprintf("SELECT '%[1]s', COUNT(*) FROM %[1]s", table)))
	}
	return out
}

// settled waits until the hub has nothing in hand, so that what is stored stays as it is.
func (c *county) settled() map[string]int64 {
	c.Helper()
	within(c, func() bool { return c.stored()["outbox"] == 0 })
	return c.stored()
}

// within waits for something that another goroutine does.
func within(tb testing.TB, done func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatal("it did not happen in time")
		}
	}
}

// request is what somebody careless or hostile sends. The zero value of each field is what a good client would send.
type request struct {
	name   string
	method string // POST
	path   string
	token  string // of Carers in Hertfordshire; "-" for none
	kind   string // of the body: application/json; "-" for none
	body   string
	stream io.Reader // sent without a Content-Length instead of body

	status  int
	pointer string // of a fault that the answer must name, with the rule
	rule    string
}

// answered is an answer read to its end.
type answered struct {
	status int
	header http.Header
	body   []byte
}

func (c *county) ask(q request) answered {
	c.Helper()
	method := q.method
	if method == "" {
		method = http.MethodPost
	}
	var body io.Reader = strings.NewReader(q.body)
	if q.stream != nil {
		body = q.stream
	}
	r, err := http.NewRequestWithContext(c.Context(), method, c.cfg.URL+q.path, body)
	c.must(err)
	if q.kind != "-" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.kind != "" && q.kind != "-" {
		r.Header.Set("Content-Type", q.kind)
	}
	if q.token != "-" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	c.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	c.must(err)
	return answered{response.StatusCode, response.Header, text}
}

// Whatever is wrong in a request, these of its values may be in no answer.
var unquotable = []string{
	maureen, "9994100008", "999 410 0009", "Maureen", "O'Brien", "Brien", "QQ123456Z", "QQ 12 34 56 C", "SG14 1ZY", "07700 900417", "1951", "2099", "made-up-word", "nobody-at-all",
}

// refused sends a request and expects a problem document that says what is wrong, where and what to do, and quotes nothing.
func (c *county) refused(t *testing.T, q request) {
	t.Helper()
	a := c.ask(q)
	var p struct {
		Type, Title, Detail string
		Status              int
		Faults              []struct{ Pointer, Rule, Detail, Remedy string }
	}
	if err := json.Unmarshal(a.body, &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %s: not a problem document: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	if a.status != q.status || p.Status != a.status {
		t.Errorf("status %d, and %d in the document, want %d: %s", a.status, p.Status, q.status, a.body)
	}
	if p.Type == "" || p.Title == "" || p.Detail == "" {
		t.Errorf("the problem lacks its type, title or detail: %s", a.body)
	}
	if (a.status == http.StatusUnprocessableEntity || a.status == http.StatusBadRequest) && len(p.Faults) == 0 {
		t.Errorf("no fault is named: %s", a.body)
	}
	found := q.rule == ""
	for _, f := range p.Faults {
		if f.Rule == "" || f.Detail == "" || f.Remedy == "" {
			t.Errorf("a fault lacks its rule, detail or remedy: %+v", f)
		}
		found = found || f.Rule == q.rule && f.Pointer == q.pointer
	}
	if !found {
		t.Errorf("no fault at %q for %q: %s", q.pointer, q.rule, a.body)
	}
	for _, value := range unquotable {
		if bytes.Contains(a.body, []byte(value)) {
			t.Errorf("the answer quotes %q: %s", value, a.body)
		}
		for name, values := range a.header {
			if strings.Contains(strings.Join(values, " "), value) {
				t.Errorf("the header %s quotes %q", name, value)
			}
		}
	}
}

// at changes one member of a message, named by its path.
func at(path string, value any) func(referral) {
	return func(m referral) {
		var here any = map[string]any(m)
		names := strings.Split(path, ".")
		for i, name := range names {
			last := i == len(names)-1
			switch h := here.(type) {
			case map[string]any:
				if last {
					h[name] = value
				}
				here = h[name]
			case []any:
				var n int
				if _, err := fmt.Sscan(name, &n); err != nil {
					panic(err)
				}
				if last {
					h[n] = value
				}
				here = h[n]
			}
		}
	}
}

func TestBadReferralsAreRefusedAndLeaveNoTrace(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		token := c.token("carers-in-hertfordshire/casework")
		example := func(change ...func(referral)) string {
			return string(c.example("adult-carer-hertswise").with("bad-1", change...).bytes())
		}
		soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		cases := []request{
			{name: "nothing", body: "", status: 400, rule: "malformed"},
			{name: "half a message", body: `{"contract":"referral/1","carer":{"name":{"family":"O'Brien`, status: 400, pointer: "/carer/name/family", rule: "malformed"},
			{name: "two messages", body: example() + example(), status: 400, rule: "malformed"},
			{name: "not JSON", body: "Maureen O'Brien, 9994100009", status: 400, rule: "malformed"},
			{name: "JSON, but said to be something else", kind: "text/csv", body: example(), status: 415},
			{name: "JSON, and not said to be", kind: "-", body: example(), status: 415},
			{name: "a list", body: "[]", status: 422, rule: "type"},
			{name: "null", body: "null", status: 422, rule: "type"},
			{name: "a text where an object belongs", body: example(at("carer.name", "Maureen O'Brien")), status: 422, pointer: "/carer/name", rule: "type"},
			{name: "a number where a text belongs", body: example(at("carer.nhs_number", 9994100009)), status: 422, pointer: "/carer/nhs_number", rule: "type"},
			{name: "a key twice", body: strings.Replace(example(), `"contract":`, `"contract":"referral/1","contract":`, 1), status: 400, pointer: "/contract", rule: "duplicate-key"},
			{name: "a key twice, once in disguise", body: strings.Replace(example(), `"family":`, `"fam\u0069ly":"Smith","family":`, 1), status: 400, rule: ""},
			{name: "an unknown item", body: example(at("carer.shoe_size", "Maureen")), status: 422, pointer: "/carer/shoe_size", rule: "unknown-item"},
			{name: "a person's number as an item", body: example(at("carer."+maureen, "Maureen")), status: 422, pointer: "/carer/99########", rule: "unknown-item"},
			{name: "an item of another section", body: example(at("carer.lone_worker", "none-known")), status: 422, pointer: "/carer/lone_worker", rule: "unknown-item"},
			{name: "Latin-1", body: strings.Replace(example(), "Maureen", "Maur\xe9n", 1), status: 400, rule: "encoding"},
			{name: "half a character", body: strings.Replace(example(), "Maureen", `\ud83d`, 1), status: 400, rule: "encoding", pointer: "/carer/name/given"},
			{name: "a very deep message", body: `{"carer":` + strings.Repeat(`[`, 200_000), status: 400},
			{name: "a very deep unknown item", body: `{"made-up":` + strings.Repeat(`{"a":`, 100_000), status: 400, pointer: "/made-up", rule: "too-deep"},
			{name: "ten megabytes", body: strings.Repeat(" ", 10<<20), status: 413},
			{name: "an unknown partner", body: example(to("nobody-at-all")), status: 422, pointer: "/recipients/0", rule: "unknown-partner"},
			{name: "to itself", body: example(to(ageUKHerts, carersInHerts)), status: 422, pointer: "/recipients/1", rule: "own-id"},
			{name: "to one recipient twice", body: example(to(ageUKHerts, ageUKHerts)), status: 422, pointer: "/recipients/1", rule: "repeated"},
			{name: "to nobody", body: example(to()), status: 422, pointer: "/recipients", rule: ""},
			{name: "another contract", body: example(at("contract", "referral/2")), status: 422, pointer: "/contract", rule: "const"},
			{name: "an NHS number with a wrong check digit", body: example(at("carer.nhs_number", "9994100008")), status: 422, pointer: "/carer/nhs_number", rule: "check-digit"},
			{name: "an NHS number with blanks", body: example(at("carer.nhs_number", "999 410 0009")), status: 422, pointer: "/carer/nhs_number", rule: "check-digit"},
			{name: "born next century", body: example(at("carer.date_of_birth", "2099")), status: 422, pointer: "/carer/date_of_birth", rule: "future"},
			{name: "a cared-for person not yet born", body: example(at("cared_for.0.date_of_birth", "2099-01-31")), status: 422, pointer: "/cared_for/0/date_of_birth", rule: "future"},
			{name: "born and not known when", body: example(at("carer.date_of_birth_unknown", true)), status: 422, pointer: "/carer/date_of_birth_unknown", rule: "contradiction"},
			{name: "a consent about nobody", body: example(at("consents.0.subject.position", 7)), status: 422, pointer: "/consents/0/subject", rule: "unknown-subject"},
			{name: "a consent of tomorrow", body: example(at("consents.0.at", soon)), status: 422, pointer: "/consents/0/at", rule: "future"},
			{name: "a consent that ends before it begins", body: example(at("consents.0.expires_at", "2026-01-01T00:00:00Z")), status: 422, pointer: "/consents/0/expires_at", rule: "range"},
			{name: "a consent of the year 1", body: example(at("consents.0.at", "0001-01-01T00:00:00Z")), status: 422, pointer: "/consents/0/at", rule: "range"},
			{name: "an undertaking of tomorrow", body: example(at("undertaking.asserted_at", soon)), status: 422, pointer: "/undertaking/asserted_at", rule: "future"},
			{name: "an NHS number for a message id", body: example(at("message_id", "ref-"+maureen)), status: 422, pointer: "/message_id", rule: "personal-data"},
			{name: "an NHS number in the evidence", body: example(at("undertaking.evidence_ref", "form of "+maureen)), status: 422, pointer: "/undertaking/evidence_ref", rule: "personal-data"},
			{name: "an NHS number in the evidence of a consent", body: example(at("consents.0.evidence", maureen)), status: 422, pointer: "/consents/0/evidence", rule: "personal-data"},
			{name: "a message id that breaks lines", body: example(at("message_id", "a\nb")), status: 422, pointer: "/message_id", rule: "pattern"},
			{name: "a correlation id that is words", body: example(at("correlation_id", "Maureen O'Brien")), status: 422, pointer: "/correlation_id", rule: "format"},
		}
		before := c.settled()
		for _, q := range cases {
			t.Run(q.name, func(t *testing.T) {
				q.token, q.path = token, "/v1/referrals"
				c.refused(t, q)
				q.path = "/v1/decisions"
				c.refused(t, q)
			})
		}
		if diff := cmp.Diff(before, c.stored()); diff != "" {
			t.Errorf("something was stored:\n%s", diff)
		}
	})
}

// endless is a body without an end and without a length, which counts how much of it was taken.
type endless struct{ taken atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.taken.Add(int64(len(p)))
	return copy(p, bytes.Repeat([]byte(" "), len(p))), nil
}

func TestABodyWithoutALengthIsReadNoFurtherThanItMayGo(t *testing.T) {
	c := newCounty(t, "")
	for _, path := range []string{"/v1/referrals", "/v1/consents", "/v1/disclosures/search"} {
		token := c.token("carers-in-hertfordshire/casework")
		if path == "/v1/disclosures/search" {
			token = c.token("hub-operator/dpl")
		}
		body := &endless{}
		c.refused(t, request{path: path, token: token, stream: body, status: 413})
		if taken := body.taken.Load(); taken > 16<<20 { // 1 MiB, and what the sockets hold
			t.Errorf("%s took %d bytes before it refused", path, taken)
		}
	}
}

func TestBadBatchesAreRefused(t *testing.T) {
	c := newCounty(t, "")
	token := c.token("carers-in-hertfordshire/casework")
	good := string(c.example("adult-carer-hertswise").bytes())
	before := c.settled()
	for _, q := range []request{
		{name: "nothing", body: ``, status: 400},
		{name: "a list", body: `[` + good + `]`, status: 422, rule: "type"},
		{name: "no referrals", body: `{"referrals":[]}`, status: 422, pointer: "/referrals", rule: "count"},
		{name: "too many", body: `{"referrals":[` + strings.Repeat(`{},`, 100) + `{}]}`, status: 422, pointer: "/referrals", rule: "count"},
		{name: "something else besides", body: `{"referrals":[` + good + `],"dry_run":true}`, status: 422, rule: "type"},
		{name: "two lists", body: `{"referrals":[` + good + `],"referrals":[]}`, status: 422, rule: "type"},
		{name: "another name", body: `{"Referrals":[` + good + `]}`, status: 422, rule: "type"},
		{name: "broken off", body: `{"referrals":[` + good, status: 400},
		{name: "two batches", body: `{"referrals":[` + good + `]}{}`, status: 400},
	} {
		t.Run(q.name, func(t *testing.T) {
			q.path, q.token = "/v1/referrals/batch", token
			c.refused(t, q)
		})
	}
	if diff := cmp.Diff(before, c.stored()); diff != "" {
		t.Errorf("something was stored:\n%s", diff)
	}
	// One that is broken in itself, or too large for itself, spoils no other.
	large := `{"contract":"` + strings.Repeat("x", 1<<20) + `"}`
	twice := `{"contract":"referral/1","contract":"referral/1"}`
	a := c.ask(request{path: "/v1/referrals/batch", token: token, body: `{"referrals":[` + large + `,` + good + `,` + twice + `,"` + "\xff" + `",null]}`})
	var out struct{ Results []struct{ Status int } }
	c.must(json.Unmarshal(a.body, &out))
	var statuses []int
	for _, r := range out.Results {
		statuses = append(statuses, r.Status)
	}
	if diff := cmp.Diff([]int{413, 201, 400, 400, 422}, statuses); diff != "" {
		t.Errorf("the statuses:\n%s", diff)
	}
}

func TestBadReceiptsConsentsAndQuestionsAreRefused(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		waiting := c.send(carersInHerts, c.example("adult-carer-hertswise").with("r-1", whose(joan)), transfer.PermitReduced)
		collected := c.send(carersInHerts, c.example("adult-carer-hertswise").with("r-2", whose(gwen)), transfer.PermitReduced)
		_, err := c.as(ageUKHerts).Collect(t.Context(), collected.ID)
		c.must(err)
		recipient, sender, stranger := c.token("age-uk-hertfordshire/casework"), c.token("carers-in-hertfordshire/casework"), c.token("pohwer/casework")
		dpl := c.token("hub-operator/dpl")
		soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		receipts, early := "/v1/transfers/"+string(collected.ID)+"/receipts", "/v1/transfers/"+string(waiting.ID)+"/receipts"
		receipt := func(rest string) string {
			return `{"contract":"receipt/1","at":"2026-01-01T00:00:00Z","status":` + rest + `}`
		}
		consentWith := func(change ...func(referral)) string {
			var m referral
			c.must(json.Unmarshal(consent("bad-consent", maureen, "given"), &m))
			return string(m.with("bad-consent", change...).bytes())
		}
		identifiers := func(pairs ...string) func(referral) {
			var list []any
			for i := 0; i < len(pairs); i += 2 {
				list = append(list, map[string]any{"scheme": pairs[i], "value": pairs[i+1]})
			}
			return at("subject.identifiers", list)
		}
		ask := func(rest string) string { return `{"why":"routine check",` + rest + `}` }
		const person = `"subject":{"scheme":"nhs-number","value":"` + maureen + `"}`
		cases := []request{
			{name: "declined without a reason", path: receipts, token: recipient, body: receipt(`"declined"`), status: 422, pointer: "/reason", rule: "required"},
			{name: "a reason without declining", path: receipts, token: recipient, body: receipt(`"accepted","reason":"duplicate"`), status: 422, pointer: "/reason", rule: "contradiction"},
			{name: "items wanted without asking", path: receipts, token: recipient, body: receipt(`"accepted","items_wanted":["carer.phones"]`), status: 422, pointer: "/items_wanted", rule: "contradiction"},
			{name: "a status that is none", path: receipts, token: recipient, body: receipt(`"made-up-word"`), status: 422, pointer: "/status", rule: "enum"},
			{name: "a reason in words", path: receipts, token: recipient, body: receipt(`"declined","reason":"Maureen O'Brien has moved"`), status: 422, pointer: "/reason", rule: "enum"},
			{name: "redirected to nobody", path: receipts, token: recipient, body: receipt(`"declined","reason":"other","redirect_to":"nobody-at-all"`), status: 422, pointer: "/redirect_to", rule: "unknown-partner"},
			{name: "a receipt of tomorrow", path: receipts, token: recipient, body: strings.Replace(receipt(`"accepted"`), "2026-01-01T00:00:00Z", soon, 1), status: 422, pointer: "/at", rule: "future"},
			{name: "half a receipt", path: receipts, token: recipient, body: `{"contract":`, status: 400, pointer: "/contract", rule: "malformed"},
			{name: "a receipt before collecting", path: early, token: recipient, body: receipt(`"accepted"`), status: 409},
			{name: "the sender's receipt", path: receipts, token: sender, body: receipt(`"accepted"`), status: 404},
			{name: "a stranger's receipt", path: receipts, token: stranger, body: receipt(`"accepted"`), status: 404},

			{name: "a consent of nobody", body: consentWith(at("subject", map[string]any{})), status: 422, pointer: "/subject/identifiers", rule: "required"},
			{name: "a consent without a number", body: consentWith(identifiers()), status: 422, pointer: "/subject/identifiers", rule: "type"},
			{name: "a wrong check digit", body: consentWith(identifiers("case-number", "CIH/1", "nhs-number", "9994100008")), status: 422, pointer: "/subject/identifiers/1/value", rule: "check-digit"},
			{name: "an NHS number with blanks", body: consentWith(identifiers("nhs-number", "999 410 0009")), status: 422, pointer: "/subject/identifiers/0/value", rule: "format"},
			{name: "a National Insurance number in another spelling", body: consentWith(identifiers("ni-number", "QQ 12 34 56 C")), status: 422, pointer: "/subject/identifiers/0/value", rule: "format"},
			{name: "a case number that is none", body: consentWith(identifiers("case-number", " CIH")), status: 422, pointer: "/subject/identifiers/0/value", rule: "format"},
			{name: "a scheme that is none", body: consentWith(identifiers("made-up-word", "1")), status: 422, pointer: "/subject/identifiers/0/scheme", rule: "enum"},
			{name: "a yes of tomorrow", body: consentWith(at("at", soon)), status: 422, pointer: "/at", rule: "future"},
			{name: "a yes that ends before it begins", body: consentWith(at("expires_at", "2026-01-01T00:00:00Z")), status: 422, pointer: "/expires_at", rule: "range"},
			{name: "a yes of the year 1", body: consentWith(at("at", "0001-01-01T00:00:00Z")), status: 422, pointer: "/at", rule: "range"},
			{name: "an NHS number in the evidence", body: consentWith(at("evidence", "letter of "+maureen)), status: 422, pointer: "/evidence", rule: "personal-data"},
			{name: "a person instead of a purpose", body: consentWith(at("purpose", "Maureen O'Brien")), status: 422, pointer: "/purpose", rule: "pattern"},
			{name: "a consent with a key twice", body: strings.Replace(consentWith(), `"state"`, `"state":"withdrawn","state"`, 1), status: 400, pointer: "/state", rule: "duplicate-key"},

			{name: "a question without a reason", body: `{` + person + `}`, status: 422, pointer: "/why", rule: "required"},
			{name: "a blank reason", body: `{"why":"          ",` + person + `}`, status: 422, pointer: "/why", rule: "required"},
			{name: "a number in the reason", body: `{"why":"about 999 410 0009",` + person + `}`, status: 422, pointer: "/why", rule: "personal-data"},
			{name: "a number in the reason, in disguise", body: `{"why":"about ９９９.410/0009",` + person + `}`, status: 422, pointer: "/why", rule: "personal-data"},
			{name: "a date of birth in the reason", body: `{"why":"she was born 17/03/1951",` + person + `}`, status: 422, pointer: "/why", rule: "personal-data"},
			{name: "a long reason", body: `{"why":"` + strings.Repeat("why ", 60) + `",` + person + `}`, status: 422, pointer: "/why", rule: "length"},
			{name: "about nobody", body: `{"why":"routine check"}`, status: 422, pointer: "/subject", rule: "required"},
			{name: "about two things", body: ask(person + `,"transfer_id":"` + string(waiting.ID) + `"`), status: 422, pointer: "/subject", rule: "required"},
			{name: "about another wrong check digit", body: ask(`"subject":{"scheme":"nhs-number","value":"9994100008"}`), status: 422, pointer: "/subject/value", rule: "check-digit"},
			{name: "about a scheme that is none", body: ask(`"subject":{"scheme":"made-up-word","value":"Maureen"}`), status: 422, pointer: "/subject/scheme", rule: "enum"},
			{name: "about something that is no transfer", body: ask(`"transfer_id":"Maureen O'Brien"`), status: 422, pointer: "/transfer_id", rule: "format"},
			{name: "about what the hub files under another key", body: ask(`"transfer_id":"agreement/hertswise@1"`), status: 422, pointer: "/transfer_id", rule: "format"},
			{name: "for very many entries", body: ask(person + `,"limit":100000`), status: 422, pointer: "/limit", rule: "range"},
			{name: "for no entries", body: ask(person + `,"limit":0`), status: 422, pointer: "/limit", rule: "range"},
			{name: "for half an entry", body: ask(person + `,"limit":0.5`), status: 422, pointer: "/limit", rule: "type"},
			{name: "of a time that ends before it begins", body: ask(person + `,"from":"2026-03-01T00:00:00Z","to":"2026-01-01T00:00:00Z"`), status: 422, pointer: "/to", rule: "range"},
			{name: "of a time that is none", body: ask(person + `,"from":"yesterday"`), status: 422, pointer: "/from", rule: "type"},
			{name: "with the person as a member", body: ask(`"Maureen O'Brien":true`), status: 422, rule: "unknown-item"},
			{name: "with a reason twice", body: `{"why":"routine check","why":"another check",` + person + `}`, status: 400, rule: "duplicate-key"},
			{name: "with a reason in capitals", body: `{"WHY":"routine check",` + person + `}`, status: 422, rule: "unknown-item"},
			{name: "half a question", body: `{"why":`, status: 400, rule: "malformed"},
			{name: "a question in Latin-1", body: "{\"why\":\"routin\xe9 check\"}", status: 400, rule: "malformed"},
		}
		before := c.settled()
		for _, q := range cases {
			t.Run(q.name, func(t *testing.T) {
				switch {
				case q.path != "":
				case strings.Contains(q.body, "consent/1"):
					q.path, q.token = "/v1/consents", sender
				default:
					q.path, q.token = "/v1/disclosures/search", dpl
				}
				c.refused(t, q)
			})
		}
		if diff := cmp.Diff(before, c.stored()); diff != "" {
			t.Errorf("something was stored:\n%s", diff)
		}
		// A cursor that leads nowhere is refused.
		c.refused(t, request{path: "/v1/disclosures/search", token: dpl, body: ask(person + `,"after":[{"origin":"elsewhere","index":7}]`), status: 422, pointer: "/after", rule: "unknown"})
		// A no is recorded however it is dated: to refuse it would let go what it should stop.
		if a := c.ask(request{path: "/v1/consents", token: sender, body: strings.Replace(consentWith(at("at", soon), identifiers("nhs-number", joan)), `"given"`, `"withdrawn"`, 1)}); a.status != http.StatusCreated || !bytes.Contains(a.body, []byte(waiting.ID)) {
			t.Errorf("a withdrawal by a clock that is ahead: %d %s", a.status, a.body)
		}
		c.audited()
	})
}

func TestBadAddressesAreRefused(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
		token, lead := c.token("carers-in-hertfordshire/casework"), c.token("hub-operator/dpl")
		receipt := `{"contract":"receipt/1","at":"2026-01-01T00:00:00Z","status":"accepted"}`
		before := c.settled()
		for _, id := range []string{
			"1", "Maureen%20O'Brien", maureen, "%00", "%ff%fe", "a%2Fb", "..%2F..%2Fetc%2Fpasswd", strings.Repeat("9", 4000), "'%20OR%201=1--", "*", "%2e",
			"{01900000-0000-7000-8000-000000000000}", "urn:uuid:01900000-0000-7000-8000-000000000000", "01900000000070008000000000000000", uuid.NewString(),
		} {
			for _, q := range []request{
				{method: http.MethodGet, path: "/v1/transfers/" + id},
				{path: "/v1/transfers/" + id + "/receipts", body: receipt},
				{path: "/v1/inbox/" + id + "/collect"},
			} {
				q.token, q.status = token, 404
				t.Run("id", func(t *testing.T) { c.refused(t, q) })
			}
		}
		get := func(path string, status int, pointer, rule string) request {
			return request{method: http.MethodGet, path: path, token: token, status: status, pointer: pointer, rule: rule}
		}
		for _, q := range []request{
			get("/v1/transfers", 422, "?state", "enum"), get("/v1/transfers?state=made-up-word", 422, "?state", "enum"), get("/v1/transfers?state=held;", 422, "?state", "enum"),
			get("/v1/transfers?state=held&limit=100000", 422, "?limit", "range"), get("/v1/transfers?state=held&limit=-1", 422, "?limit", "range"),
			get("/v1/transfers?state=held&limit=99999999999999999999", 422, "?limit", "range"), get("/v1/transfers?state=held&limit=ten", 422, "?limit", "range"),
			get("/v1/transfers?state=held&after=Maureen", 422, "?after", "format"), get("/v1/transfers?state=held&after=%00", 422, "?after", "format"),
			get("/v1/inbox?after=%ff", 422, "?after", "format"), get("/v1/inbox?limit=0", 422, "?limit", "range"),
			get("/v1/inbox?wait=31", 422, "?wait", "range"), get("/v1/inbox?wait=-1", 422, "?wait", "range"), get("/v1/inbox?wait=1h", 422, "?wait", "range"),
			{method: http.MethodGet, path: "/v1/flows?from=1+May", token: lead, status: 422, pointer: "?from", rule: "date"},
			{method: http.MethodGet, path: "/v1/flows?from=2026-05-02&to=2026-05-01", token: lead, status: 422, pointer: "?to", rule: "range"},
			get("/v1/log/proofs/inclusion", 422, "?size", "number"), get("/v1/log/proofs/inclusion?index=-1&size=1", 422, "?index", "number"),
			get("/v1/log/proofs/inclusion?index=1&size=1", 422, "?index", "range"), get("/v1/log/proofs/inclusion?index=0&size=100000", 422, "?size", "range"),
			get("/v1/log/proofs/consistency?from=0&to=1", 422, "?from", "range"), get("/v1/log/proofs/consistency?from=2&to=1", 422, "?from", "range"),
			get("/v1/log/proofs/consistency?from=1&to=9223372036854775807", 422, "?to", "range"),
			get("/v1/log/checkpoints?below=none", 422, "?below", "number"), get("/v1/log/checkpoints?below=0", 422, "?below", "number"),
			get("/v1/log/checkpoints?limit=0", 422, "?limit", "range"),

			get("/", 404, "", ""), get("/v1", 404, "", ""), get("/v2/referrals", 404, "", ""), get("//v1//partners", 404, "", ""), get("/v1/../v1/partners", 404, "", ""),
			get("/v1/partners/", 404, "", ""), get("/V1/PARTNERS", 404, "", ""), get("/debug/pprof/", 404, "", ""), get("/nobody-at-all?nhs_number="+maureen, 404, "", ""),
			get("/referral.v2.schema.json", 404, "", ""), get("/..%2f..%2fetc%2fpasswd.schema.json", 404, "", ""),
		} {
			t.Run(q.path, func(t *testing.T) { c.refused(t, q) })
		}
		for path, allow := range map[string]string{
			"/v1/referrals": "POST", "/v1/inbox": "GET", "/v1/transfers/" + maureen: "GET", "/oauth/token": "POST", "/metrics": "GET",
		} {
			for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, "MADE-UP"} {
				t.Run(method+" "+path, func(t *testing.T) {
					q := request{method: method, path: path, token: token, status: 405}
					c.refused(t, q)
					if got := c.ask(q).header.Get("Allow"); got != allow {
						t.Errorf("Allow is %q, want %q", got, allow)
					}
				})
			}
		}
		if diff := cmp.Diff(before, c.stored()); diff != "" {
			t.Errorf("something was stored:\n%s", diff)
		}
	})
}

// forged signs claims in ways that no good hub would accept.
func forged(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func publicBytes(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestForgedAndWrongAccessTokensAreRefused(t *testing.T) {
	c := newCounty(t, "")
	text, err := os.ReadFile(filepath.Join(c.cfg.Data, "keys", "token.pem"))
	c.must(err)
	keys, err := auth.ParseKeys(text)
	c.must(err)
	stranger, err := auth.GenerateKey("EdDSA")
	c.must(err)
	claims := func(change ...func(jwt.MapClaims)) jwt.MapClaims {
		now := time.Now()
		m := jwt.MapClaims{
			"iss": c.cfg.URL, "aud": c.cfg.URL, "sub": "carers-in-hertfordshire/casework", "client_id": "carers-in-hertfordshire/casework",
			"partner": "carers-in-hertfordshire", "scope": "referrals:send", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": uuid.NewString(),
		}
		for _, f := range change {
			f(m)
		}
		return m
	}
	head := map[string]any{"typ": "at+jwt", "kid": keys[0].ID}
	good := forged(t, jwt.SigningMethodEdDSA, keys[0].Private, head, claims())
	body := string(c.example("adult-carer-hertswise").bytes())
	if a := c.ask(request{path: "/v1/decisions", token: good, body: body}); a.status != http.StatusForbidden {
		t.Fatalf("the token that the others are made from: %d %s", a.status, a.body) // it is good, and lacks a scope
	}
	expired := func(m jwt.MapClaims) {
		m["iat"], m["exp"] = time.Now().Add(-time.Hour).Unix(), time.Now().Add(-55*time.Minute).Unix()
	}
	for name, token := range map[string]string{
		"none":                     "-",
		"empty":                    "",
		"not a token":              "Maureen O'Brien",
		"another key":              forged(t, jwt.SigningMethodEdDSA, stranger.Private, head, claims()),
		"another key, as its own":  forged(t, jwt.SigningMethodEdDSA, stranger.Private, map[string]any{"typ": "at+jwt", "kid": stranger.ID}, claims()),
		"no signature":             forged(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, head, claims()),
		"the public key as secret": forged(t, jwt.SigningMethodHS256, publicBytes(t, keys[0].Private.Public()), head, claims()),
		"expired":                  forged(t, jwt.SigningMethodEdDSA, keys[0].Private, head, claims(expired)),
		"for another audience":     forged(t, jwt.SigningMethodEdDSA, keys[0].Private, head, claims(func(m jwt.MapClaims) { m["aud"] = "https://elsewhere.example" })),
		"of another issuer":        forged(t, jwt.SigningMethodEdDSA, keys[0].Private, head, claims(func(m jwt.MapClaims) { m["iss"] = "https://elsewhere.example" })),
		"an assertion":             forged(t, jwt.SigningMethodEdDSA, keys[0].Private, map[string]any{"typ": "JWT", "kid": keys[0].ID}, claims()),
		"for ever":                 forged(t, jwt.SigningMethodEdDSA, keys[0].Private, head, claims(func(m jwt.MapClaims) { m["exp"] = time.Now().AddDate(9, 0, 0).Unix() })),
		"very long":                good + strings.Repeat("A", 9<<10),
		"one character changed":    good[:len(good)-9] + "AAAA" + good[len(good)-5:],
	} {
		t.Run(name, func(t *testing.T) {
			for path, method := range map[string]string{"/v1/referrals": http.MethodPost, "/v1/inbox": http.MethodGet, "/v1/log/checkpoint": http.MethodGet} {
				q := request{method: method, path: path, token: token, body: body, status: 401}
				c.refused(t, q)
				if got := c.ask(q).header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
					t.Errorf("WWW-Authenticate is %q", got)
				}
			}
		})
	}
	// Each act needs its scope, whoever asks.
	dpl, casework := c.token("hub-operator/dpl"), c.token("carers-in-hertfordshire/casework")
	before := c.settled()
	for _, q := range []request{
		{path: "/v1/referrals", token: dpl, body: body}, {path: "/v1/referrals/batch", token: dpl}, {path: "/v1/decisions", token: dpl},
		{path: "/v1/consents", token: dpl, body: string(consent("x", maureen, "given"))}, {method: http.MethodGet, path: "/v1/inbox", token: dpl},
		{path: "/v1/inbox/" + uuid.NewString() + "/collect", token: dpl}, {path: "/v1/transfers/" + uuid.NewString() + "/receipts", token: dpl},
		{method: http.MethodGet, path: "/v1/transfers", token: good},
	} {
		q.status = 403
		c.refused(t, q)
	}
	if diff := cmp.Diff(before, c.stored()); diff != "" {
		t.Errorf("something was stored:\n%s", diff)
	}
	// That somebody asked the log who may not is in the log.
	c.refused(t, request{path: "/v1/disclosures/search", token: casework, status: 403})
	if after := c.stored(); after["leaves"] != before["leaves"]+1 {
		t.Errorf("there were %d leaves, and are %d", before["leaves"], after["leaves"])
	}
}

// logIn posts a form to the token endpoint from an address of this machine.
func (c *county) logIn(from, kind string, form url.Values) answered {
	c.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(c.Context(), http.MethodPost, c.cfg.URL+"/oauth/token", strings.NewReader(form.Encode()))
	c.must(err)
	r.Header.Set("Content-Type", kind)
	response, err := transport.RoundTrip(r)
	c.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	c.must(err)
	return answered{response.StatusCode, response.Header, text}
}

const formKind = "application/x-www-form-urlencoded"

// assertion signs what a system says of itself, changed as a story needs it.
func (c *county) assertion(t *testing.T, id transfer.SystemID, key auth.Key, change ...func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": string(id), "sub": string(id), "aud": c.cfg.URL + "/oauth/token", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": uuid.NewString(),
	}
	for _, f := range change {
		f(claims)
	}
	token, err := key.Sign("JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func tokenRequest(assertion string, more ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {auth.AssertionType}, "client_assertion": {assertion}}
	for i := 0; i < len(more); i += 2 {
		form[more[i]] = append(form[more[i]], more[i+1])
	}
	return form
}

func TestBadLogInsAreAnsweredAsOAuthSays(t *testing.T) {
	c := newCounty(t, "")
	const who = transfer.SystemID("carers-in-hertfordshire/casework")
	key := c.keys[who]
	other, err := auth.GenerateKey("ES256")
	c.must(err)
	c.must(c.cfg.Suspend(pohwer, "under investigation"))
	within(t, func() bool {
		a := c.logIn("127.0.0.9", formKind, tokenRequest(c.assertion(t, "pohwer/casework", c.keys["pohwer/casework"])))
		return a.status == http.StatusUnauthorized
	})
	good := c.assertion(t, who, key)
	if a := c.logIn("127.0.0.1", formKind, tokenRequest(good)); a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("a good log-in: %d %s", a.status, a.body)
	}
	fresh := func(change ...func(jwt.MapClaims)) url.Values {
		return tokenRequest(c.assertion(t, who, key, change...))
	}
	claim := func(name string, value any) func(jwt.MapClaims) { return func(m jwt.MapClaims) { m[name] = value } }
	before := c.settled()
	spent := 0
	for i, q := range []struct {
		name   string
		kind   string
		form   url.Values
		status int
		code   string
		spends bool // the assertion is good, and used up
	}{
		{"replayed", formKind, tokenRequest(good), 401, "invalid_client", false},
		{"of an unknown system", formKind, tokenRequest(c.assertion(t, "nobody-at-all/casework", key)), 401, "invalid_client", false},
		{"of a system that is not enrolled", formKind, tokenRequest(c.assertion(t, "hils/casework", key)), 401, "invalid_client", false},
		{"of a suspended partner", formKind, tokenRequest(c.assertion(t, "pohwer/casework", c.keys["pohwer/casework"])), 401, "invalid_client", true},
		{"signed with another key", formKind, tokenRequest(c.assertion(t, who, other)), 401, "invalid_client", false},
		{"signed by another partner", formKind, tokenRequest(c.assertion(t, who, c.keys["hub-operator/dpl"])), 401, "invalid_client", false},
		{"without a signature", formKind, tokenRequest(forged(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, jwt.MapClaims{"iss": who, "sub": who})), 401, "invalid_client", false},
		{"with a secret that is public", formKind, tokenRequest(forged(t, jwt.SigningMethodHS256, publicBytes(t, key.Private.Public()), map[string]any{"kid": key.ID}, jwt.MapClaims{"iss": who, "sub": who})), 401, "invalid_client", false},
		{"expired", formKind, fresh(claim("exp", time.Now().Add(-time.Hour).Unix())), 401, "invalid_client", false},
		{"for another hub", formKind, fresh(claim("aud", "https://elsewhere.example/oauth/token")), 401, "invalid_client", false},
		{"for a year", formKind, fresh(claim("exp", time.Now().AddDate(1, 0, 0).Unix())), 401, "invalid_client", false},
		{"on behalf of somebody", formKind, fresh(claim("sub", "Maureen O'Brien")), 401, "invalid_client", false},
		{"without an id", formKind, fresh(claim("jti", "")), 401, "invalid_client", false},
		{"with a very long id", formKind, fresh(claim("jti", strings.Repeat("j", 5000))), 401, "invalid_client", false},
		{"as an access token", formKind, tokenRequest(forged(t, jwt.SigningMethodES256, key.Private, map[string]any{"typ": "at+jwt", "kid": key.ID}, jwt.MapClaims{"iss": who})), 401, "invalid_client", false},
		{"not a token", formKind, tokenRequest("Maureen O'Brien"), 401, "invalid_client", false},
		{"for a scope that it may not have", formKind, tokenRequest(c.assertion(t, who, key), "scope", "disclosures:search"), 400, "invalid_scope", true},
		{"for a scope that is a person", formKind, tokenRequest(c.assertion(t, who, key), "scope", maureen), 400, "invalid_scope", true},
		{"with an assertion twice", formKind, tokenRequest(c.assertion(t, who, key), "client_assertion", good), 400, "invalid_request", false},
		{"with a scope twice", formKind, tokenRequest(c.assertion(t, who, key), "scope", "inbox:read", "scope", "inbox:read"), 400, "invalid_request", false},
		{"without an assertion", formKind, url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {auth.AssertionType}}, 400, "invalid_request", false},
		{"with a secret instead", formKind, url.Values{"grant_type": {"client_credentials"}, "client_secret": {"made-up-word"}}, 400, "invalid_request", false},
		{"for a code", formKind, url.Values{"grant_type": {"authorization_code"}}, 400, "unsupported_grant_type", false},
		{"for nothing", formKind, nil, 400, "invalid_request", false},
		{"as JSON", "application/json", fresh(), 400, "invalid_request", false},
		{"as nothing", "", fresh(), 400, "invalid_request", false},
		{"very large", formKind, tokenRequest(strings.Repeat("A", 64<<10)), 400, "invalid_request", false},
	} {
		t.Run(q.name, func(t *testing.T) {
			a := c.logIn(fmt.Sprintf("127.0.1.%d", i+1), q.kind, q.form) // each from its own address: failures are counted by address
			var e struct {
				Error       string `json:"error"`
				Description string `json:"error_description"`
			}
			if err := json.Unmarshal(a.body, &e); err != nil || a.header.Get("Content-Type") != "application/json" {
				t.Fatalf("not an OAuth error: %d %s %s", a.status, a.header.Get("Content-Type"), a.body)
			}
			if a.status != q.status || e.Error != q.code || e.Description == "" {
				t.Errorf("%d %s, want %d %s", a.status, a.body, q.status, q.code)
			}
			if strings.ContainsFunc(e.Description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
				t.Errorf("RFC 6749 section 5.2 does not allow all of the characters of %q", e.Description)
			}
			for _, value := range unquotable {
				if bytes.Contains(a.body, []byte(value)) {
					t.Errorf("the answer quotes %q: %s", value, a.body)
				}
			}
		})
		if q.spends {
			spent++
		}
	}
	after := c.stored()
	after["assertions"] -= int64(spent)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("something was stored:\n%s", diff)
	}
}

func TestWhoFailsToLogInIsSlowedAndNobodyElse(t *testing.T) {
	c := newCounty(t, "")
	const who = transfer.SystemID("carers-in-hertfordshire/casework")
	bad := tokenRequest("not a token")
	var last answered
	for range 200 {
		if last = c.logIn("127.0.0.7", formKind, bad); last.status != http.StatusUnauthorized {
			break
		}
	}
	if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" || last.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("after many failures: %d %s", last.status, last.body)
	}
	for range 30 {
		if a := c.logIn("127.0.0.8", formKind, tokenRequest(c.assertion(t, who, c.keys[who]))); a.status != http.StatusOK {
			t.Fatalf("a good client elsewhere: %d %s", a.status, a.body)
		}
	}
}

func TestSlowStrangersDoNotShutOutPartners(t *testing.T) {
	c := newCounty(t, "")
	address := strings.TrimPrefix(c.cfg.URL, "http://")
	for range 150 { // more than the hub works on at once
		conn, err := net.Dial("tcp", address)
		c.must(err)
		t.Cleanup(func() { conn.Close() })
		_, err = fmt.Fprintf(conn, "POST /oauth/token HTTP/1.1\r\nHost: hub\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\ngrant", formKind)
		c.must(err)
	}
	c.send(carersInHerts, c.example("adult-carer-hertswise"), transfer.PermitReduced)
}

func TestAQuestionCannotUnsettleTheRegister(t *testing.T) {
	c := newCounty(t, "")
	dpl := c.token("age-uk-hertfordshire/dpl")
	for _, key := range []string{"agreement/hertswise@1", "partner/age-uk-hertfordshire", "person/x"} {
		c.refused(t, request{path: "/v1/disclosures/search", token: dpl, status: 422, pointer: "/transfer_id", rule: "format",
			body: `{"why":"routine check","transfer_id":"` + key + `"}`})
	}
	before := c.audited().Leaves
	c.stop()
	c.start()
	if after := c.audited().Leaves; after != before {
		t.Errorf("the register was taken over anew, with %d leaves more", after-before)
	}
}
