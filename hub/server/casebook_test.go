package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samber/lo"

	sharingagreements "referralhub/sharing-agreements"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/casebook"
	"referralhub/hub/policy"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

// The cases beside the agreements are put to a running hub as partners put them to it: what people have said is recorded by the partners
// who heard it, the message is posted by its sender, and what may go is collected by its recipient. What comes is compared by the same
// words as what the policy decides (hub/casebook).
func TestEveryCaseBesideTheAgreementsThroughTheAPI(t *testing.T) {
	now := time.Now()
	book, faults, err := casebook.Load(sharingagreements.Files, now)
	if err != nil || book == nil {
		t.Fatalf("the cases do not load: %v %v", faults, err)
	}
	s := &stage{book: book, moment: &atomic.Pointer[time.Time]{}}
	s.moment.Store(&now)
	agreements := t.TempDir()
	if err := os.CopyFS(agreements, sharingagreements.Files); err != nil {
		t.Fatal(err)
	}
	s.county = newCounty(t, "", func(cfg *server.Config) { cfg.Agreements, cfg.Now = agreements, s.now })
	s.enrolEverybody()

	// A hub starts anew for each change of the agreements and the register, so cases that change nothing, or the same, come together.
	acts := map[string][]*casebook.Case{}
	for _, c := range book.Cases {
		key, err := json.Marshal(c.Changes)
		if err != nil {
			t.Fatal(err)
		}
		acts[string(key)] = append(acts[string(key)], c)
	}
	for _, key := range slices.Sorted(maps.Keys(acts)) {
		for _, c := range acts[key] {
			t.Run(c.Name, func(t *testing.T) { s.play(t, c) })
		}
	}
	s.standAs(&casebook.Changes{})
	s.audited()
}

// stage is a hub on which one case is played after the other.
type stage struct {
	*county
	book    *casebook.Book
	moment  *atomic.Pointer[time.Time] // the hub's clock, and its partners'
	changed map[string][]byte          // the files of agreements that stand otherwise than declared
	people  int                        // who have been given numbers
	sent    int
}

func (s *stage) now() time.Time { return *s.moment.Load() }

// enrolEverybody gives every system of the register the same key: nobody but the test uses it.
func (s *stage) enrolEverybody() {
	s.Helper()
	key := s.keys["carers-in-hertfordshire/casework"]
	public, err := auth.JWKS(key)
	s.must(err)
	for _, p := range s.book.Index.Partners() {
		for _, system := range p.Systems {
			name := filepath.Join(s.cfg.Data, "partners", filepath.FromSlash(string(system.ID))+".jwks.json")
			s.must(os.MkdirAll(filepath.Dir(name), 0o700))
			s.must(os.WriteFile(name, public, 0o600))
			s.keys[system.ID] = key
		}
	}
	s.stop()
	s.start()
}

// standAs lets the files of agreements stand as changes leave them.
func (s *stage) standAs(changes *casebook.Changes) {
	s.Helper()
	files, err := s.book.Files(changes)
	s.must(err)
	if maps.EqualFunc(files, s.changed, bytes.Equal) {
		return
	}
	s.stop()
	for name := range s.changed {
		declared, err := fs.ReadFile(sharingagreements.Files, name)
		s.must(err)
		s.must(os.WriteFile(filepath.Join(s.cfg.Agreements, filepath.FromSlash(name)), declared, 0o600))
	}
	for name, body := range files {
		s.must(os.WriteFile(filepath.Join(s.cfg.Agreements, filepath.FromSlash(name)), body, 0o600))
	}
	s.changed = files
	s.start()
}

// act is one case on the stage.
type act struct {
	*testing.T
	*stage
	c       *casebook.Case
	changes casebook.Changes
	clients map[transfer.SystemID]*client.Client // new for each case: the clock goes back between cases, and tokens with it
	numbers map[string]string                    // of the people of this case, in place of those of the example
	doc     *contracts.Document
	id      transfer.TransferID

	received transfer.TransferID // what it passes on
}

func (s *stage) play(t *testing.T, c *casebook.Case) {
	decided := s.book.Play(c)
	if len(decided.Answers) != len(c.Then)+1 {
		t.Fatal(decided.Differences)
	}
	a := &act{T: t, stage: s, c: c, numbers: map[string]string{}}
	if c.Received != nil {
		before := &act{T: t, stage: s, c: c.Received, numbers: a.numbers}
		before.open()
		before.collect()
		a.received = before.id
	}
	got := a.open()
	want := c.Expect
	want.Obligations = nil // they are the hub's and the recipient's to keep, and no part of the answer to the sender
	if len(c.Then) == 0 && got.Outcome.Permits() {
		got.Dataset = a.collect().Dataset
	} else {
		want.Dataset = casebook.Dataset{} // it is still to be collected
	}
	a.compare("", &want, &got)
	for i := range c.Then {
		a.step(i, decided.Answers[i+1])
	}
}

// open stands the register as the case has it, records what people have said, and submits the message.
func (a *act) open() casebook.Answer {
	a.changes, a.clients = a.c.Changes, map[transfer.SystemID]*client.Client{}
	a.moment.Store(&a.c.At.Time)
	a.standAs(&a.changes)
	body := a.message()
	for i := range a.c.Consents {
		a.record(&a.c.Consents[i])
	}
	return a.submit(body)
}

func (a *act) compare(when string, want *casebook.Expect, got *casebook.Answer) {
	a.T.Helper()
	differences := want.Differences(got)
	for _, d := range differences {
		a.T.Errorf("%s:%d: %s%s", a.c.File, a.c.Line, when, d)
	}
	if len(differences) > 0 {
		for _, r := range got.Reasons {
			a.T.Logf("%s: %s", r.Code, r.Detail)
		}
	}
}

func (a *act) ok(err error) {
	a.T.Helper()
	if err != nil {
		a.T.Fatalf("%s:%d: %v", a.c.File, a.c.Line, err)
	}
}

// message is the message of the case about people whom nobody else is.
func (a *act) message() []byte {
	body, err := a.c.Body()
	a.ok(err)
	var m map[string]any
	a.ok(json.Unmarshal(body, &m))
	a.renumber(m)
	a.sent++
	m["message_id"] = fmt.Sprintf("case-%d", a.sent)
	if a.received != "" {
		m["onward_of"] = a.received
	}
	body, err = json.Marshal(m)
	a.ok(err)
	contract, _ := contracts.For(transfer.MessageType(m["contract"].(string)))
	a.doc, err = contract.Parse(body)
	a.ok(err)
	return body
}

// renumber gives everybody numbers of their own: what one has said is not to be taken for what another has.
func (a *act) renumber(v any) {
	switch v := v.(type) {
	case []any:
		for _, each := range v {
			a.renumber(each)
		}
	case map[string]any:
		for name, value := range v {
			old, is := value.(string)
			if !is || name != "nhs_number" && name != "case_number" && name != "ni_number" {
				a.renumber(value)
				continue
			}
			if a.numbers[name+old] == "" {
				a.people++
				a.numbers[name+old] = map[string]string{
					"nhs_number": nhsNumber(&a.people), "case_number": fmt.Sprintf("CASE/%d", a.people), "ni_number": fmt.Sprintf("AA%06dA", a.people),
				}[name]
			}
			v[name] = a.numbers[name+old]
		}
	}
}

// nhsNumber is the first synthetic number from *n on that has a check digit.
func nhsNumber(n *int) string {
	for ; ; *n++ {
		for digit := range 10 {
			if number := fmt.Sprintf("999%06d%d", *n, digit); contracts.ValidNHSNumber(number) {
				return number
			}
		}
	}
}

// as is the client of the partner's system that may do all of this.
func (a *act) as(who transfer.PartnerID, scopes ...string) *client.Client {
	a.T.Helper()
	partner, _ := a.book.Index.Partner(who)
	system, has := lo.Find(partner.Systems, func(s transfer.System) bool { return lo.Every(s.Scopes, scopes) })
	if !has {
		a.T.Fatalf("%s:%d: %s has no system on the register with the scopes %v", a.c.File, a.c.Line, who, scopes)
	}
	if a.clients[system.ID] == nil {
		made, err := client.New(client.Config{BaseURL: a.cfg.URL, System: system.ID, Key: a.keys[system.ID], Tries: 1, Now: a.now})
		a.ok(err)
		a.clients[system.ID] = made
	}
	return a.clients[system.ID]
}

// record has a consent recorded by the partner who heard it, who knows the person by all numbers of its own and the nation's.
func (a *act) record(e *casebook.Consent) {
	a.T.Helper()
	for _, s := range a.doc.Subjects {
		if casebook.PersonAt(s.Role, s.Position) != strings.TrimSuffix(e.Of, "[0]") {
			continue
		}
		person := lo.Filter(s.Identifiers, func(i contracts.Identifier, _ int) bool { return e.By == a.c.From || i.Scheme != "case-number" })
		a.sent++
		body, err := a.c.ConsentMessage(e, transfer.MessageID(fmt.Sprintf("consent-%d", a.sent)), person)
		a.ok(err)
		_, err = a.as(e.By, "consents:write").Consent(a.T.Context(), body)
		a.ok(err)
	}
}

func (a *act) submit(body []byte) casebook.Answer {
	a.T.Helper()
	scopes := []string{"referrals:send"}
	if a.doc.Exception != nil || a.doc.Demand != nil {
		scopes = append(scopes, "exceptions:claim")
	}
	sent, err := a.as(a.c.From, scopes...).Send(a.T.Context(), body)
	var problem *client.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusUnauthorized && a.changes.Register[a.c.From]["suspended"] != nil {
		// A partner that is suspended does not even come in.
		return casebook.Answer{Outcome: transfer.Refuse, Owner: policy.OwnerDPL, Reasons: []policy.Reason{{Code: policy.PartnerSuspended}}}
	}
	a.ok(err)
	t := sent.Transfers[0]
	a.id = t.ID
	out := casebook.Answer{Outcome: t.Outcome, Owner: t.Owner, Reasons: reasonsOf(t.Reasons)}
	for _, s := range t.Subjects {
		out.People = append(out.People, casebook.Person{Role: s.Role, Position: s.Position, Items: s.Items, Stripped: s.Stripped})
	}
	return out
}

func reasonsOf(in []client.Reason) []policy.Reason {
	return lo.Map(in, func(r client.Reason, _ int) policy.Reason {
		return policy.Reason{Code: policy.Code(r.Code), Detail: r.Detail}
	})
}

// collect has the recipient collect the transfer, and answers with what came of that as the log has it.
func (a *act) collect() casebook.Answer {
	a.T.Helper()
	var out casebook.Answer
	disclosed, err := a.as(a.c.To, "inbox:read").Collect(a.T.Context(), a.id)
	var problem *client.Problem
	switch {
	case err == nil:
		out.Dataset = disclosed.Dataset
	case errors.As(err, &problem) && problem.Status == http.StatusConflict:
	default:
		a.ok(err)
	}
	found, err := a.as("hub-operator", "disclosures:search").Search(a.T.Context(), client.Query{TransferID: a.id, Why: "a case beside the agreements"})
	a.ok(err)
	for _, e := range found.Entries {
		if e.Kind == "decision" { // the last is that of the release
			out.Outcome, out.Reasons = e.Outcome, reasonsOf(e.Reasons)
		}
	}
	return out
}

// step lets something happen after the message was submitted. The last step ends with the recipient's attempt to collect it; before that,
// whether it still may go is seen from where it stands.
func (a *act) step(i int, decided casebook.Answer) {
	a.T.Helper()
	step := &a.c.Then[i]
	a.moment.Store(&step.At.Time)
	a.changes = a.changes.And(&step.Changes)
	a.standAs(&a.changes)
	if step.Consent != nil {
		a.record(step.Consent)
	}
	if step.Ruling != nil {
		a.rule(step.Ruling, step.At.Time)
	}
	want := step.Expect
	want.Owner, want.Stripped, want.Obligations = "", nil, nil // of the decision before
	when := fmt.Sprintf("then, step %d: ", i+1)
	if i == len(a.c.Then)-1 {
		got := a.collect()
		got.People = a.peopleIn(got.Dataset, decided.People)
		a.compare(when, &want, &got)
		return
	}
	now, err := a.as(a.c.From, "transfers:read").Transfer(a.T.Context(), a.id)
	a.ok(err)
	if collectable := now.State.Collectable(); collectable != want.Outcome.Permits() {
		a.T.Errorf("%s:%d: %sexpected %s, and it is %s", a.c.File, a.c.Line, when, want.Outcome, now.State)
	}
}

// rule has one of the sender's people rule, who has looked at whatever the queue shows beside what the case is about. That nobody with the role
// may lift it, or that it is no longer held, is an answer too: the transfer stays where it is.
func (a *act) rule(r *casebook.Ruling, at time.Time) {
	a.T.Helper()
	looked := lo.Map(r.Codes, func(c policy.Code, _ int) string { return string(c) })
	var queue struct {
		Holds []client.Transfer `json:"holds"`
	}
	a.call(http.MethodGet, "holds:read", "/v1/holds?limit=200", nil, &queue)
	for _, held := range queue.Holds {
		if held.ID == a.id {
			looked = append(looked, lo.Map(held.Reasons, func(r client.Reason, _ int) string { return r.Code })...)
		}
	}
	status := a.call(http.MethodPost, "holds:settle", "/v1/holds/"+string(a.id)+"/ruling", map[string]any{
		"contract": "ruling/1", "act": r.Act, "person": r.By, "codes": lo.Uniq(looked), "ground": r.Ground, "at": at,
	}, &struct{}{})
	if !slices.Contains([]int{http.StatusCreated, http.StatusForbidden, http.StatusConflict}, status) {
		a.T.Errorf("%s:%d: the ruling was answered %d", a.c.File, a.c.Line, status)
	}
}

// call asks the hub for the sender what the client has no words for, and gives the status of the answer.
func (a *act) call(method, scope, path string, in, out any) int {
	a.T.Helper()
	token, err := a.as(a.c.From, scope).Token(a.T.Context())
	a.ok(err)
	body, err := json.Marshal(in)
	a.ok(err)
	r, err := http.NewRequestWithContext(a.T.Context(), method, a.cfg.URL+path, bytes.NewReader(body))
	a.ok(err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	a.ok(err)
	defer response.Body.Close()
	a.ok(json.NewDecoder(response.Body).Decode(out))
	return response.StatusCode
}

// peopleIn reads which items came about whom. Positions close up in a dataset, so they are those of whom something was to come.
func (a *act) peopleIn(dataset []byte, decided []casebook.Person) []casebook.Person {
	if dataset == nil {
		return nil
	}
	doc, err := a.doc.Contract.ParseDataset(dataset)
	a.ok(err)
	came := lo.Filter(decided, func(p casebook.Person, _ int) bool { return len(p.Items) > 0 })
	var out []casebook.Person
	for _, s := range doc.Subjects {
		place := casebook.Person{Role: s.Role, Position: s.Position, Items: doc.Contract.Names(s.Items)}
		if k := slices.IndexFunc(came, func(p casebook.Person) bool { return p.Role == s.Role }); k >= 0 {
			place.Position = came[k].Position
			came = slices.Delete(came, k, k+1)
		}
		out = append(out, place)
	}
	return out
}
