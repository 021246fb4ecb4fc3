package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/delivery"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/server"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
	sharingagreements "referralhub/sharing-agreements"
)

// secrets are the texts that the examples hold about people: every value of an item but those that everybody may know, which are the
// words of the contract, the names of partners, what their senders put into an envelope as well, and what is too short to tell from chance.
func secrets(t testing.TB, examples ...string) []string {
	t.Helper()
	var public bytes.Buffer
	if err := fs.WalkDir(sharingagreements.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".cases.yaml") { // cases name people, invented as they are
			return err
		}
		text, err := sharingagreements.Files.ReadFile(name)
		public.Write(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	schema, _ := contracts.Schema("referral/1")
	for _, list := range regexp.MustCompile(`"(?:enum|required)": \[[^\]]*\]|"[a-z_-]+": [{"]`).FindAll(schema, -1) {
		public.Write(list)
	}
	contract, _ := contracts.For("referral/1")
	found := map[string]bool{}
	for _, name := range examples {
		text, err := contracts.Example(name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := contract.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&public, doc.Envelope, lo.FromPtr(doc.Undertaking), lo.FromPtr(doc.Demand), lo.FromPtr(doc.Exception))
		for _, k := range doc.Consents {
			public.Write(k.Body)
		}
		for i := range doc.Subjects {
			for item := range doc.Subjects[i].Items.All() {
				var value any
				if err := json.Unmarshal(doc.Value(i, item), &value); err != nil {
					t.Fatal(err)
				}
				texts(value, func(s string) {
					if len(s) >= 4 && !regexp.MustCompile(`^[12][0-9]{3}(-[0-9]{2})?$`).MatchString(s) {
						found[s] = true
					}
				})
			}
		}
	}
	maps.DeleteFunc(found, func(s string, _ bool) bool { return bytes.Contains(public.Bytes(), []byte(s)) })
	return slices.Sorted(maps.Keys(found))
}

func texts(value any, visit func(string)) {
	switch v := value.(type) {
	case string:
		visit(v)
	case []any:
		for _, inner := range v {
			texts(inner, visit)
		}
	case map[string]any:
		for _, inner := range v {
			texts(inner, visit)
		}
	}
}

// betrayed names the secrets that stand in a text, as they are or as JSON writes them.
func betrayed(text []byte, secrets []string) []string {
	return lo.Filter(secrets, func(s string, _ int) bool {
		quoted, err := json.Marshal(s)
		return bytes.Contains(text, []byte(s)) || err == nil && bytes.Contains(text, quoted[1:len(quoted)-1])
	})
}

func referrals() []string {
	return lo.Filter(contracts.Examples(), func(name string, _ int) bool {
		text, err := contracts.Example(name)
		return err == nil && bytes.Contains(text, []byte(`"referral/1"`))
	})
}

func TestNobodyIsNamedWhereItIsNotTheirData(t *testing.T) {
	words := secrets(t, referrals()...)
	if len(words) < 200 {
		t.Fatalf("only %d values to look for", len(words))
	}
	for _, must := range []string{"Maureen Bríd", "O'Brien", desmond, "118 Quill Lane", "SG14 1ZY", "07700 900417", "1951-03-17", "CIH/20931"} {
		if !slices.Contains(words, must) {
			t.Fatalf("%s is not looked for", must)
		}
	}
	c, r := hooked(t, false, nil)
	answers := c.liveThrough(t)
	r.wait(t, 3)
	c.settled()

	places := map[string][]byte{"the log of the hub": []byte(c.log.String())}
	for name, text := range c.files() {
		places[name] = text
	}
	c.stop() // and what is written at the end
	for name, text := range c.files() {
		places[name+", afterwards"] = text
	}
	for i, p := range r.got() {
		header, err := json.Marshal(p.header)
		c.must(err)
		places[fmt.Sprintf("notice %d", i)] = slices.Concat(header, p.body)
	}
	for i, l := range leaves(t, r.log) {
		places[fmt.Sprintf("leaf %d", i)] = l.AppendTo(nil)
	}
	maps.Copy(places, answers)
	for _, kind := range []string{"hub.db", "hub.db-wal", "jetstream", "notice", "leaf", "/metrics", "collect refused", "/v1/inbox"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(places)), func(name string) bool { return strings.Contains(name, kind) }) {
			t.Errorf("no %s was looked at", kind)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(places)) {
		for _, word := range betrayed(places[name], words) {
			i := bytes.Index(places[name], []byte(word))
			t.Errorf("%s holds %q: ...%q", name, word, places[name][max(i-80, 0):max(i, 0)])
		}
	}
	if !strings.Contains(c.log.String(), "level=DEBUG") {
		t.Error("nothing was logged for debugging, so it was not seen either")
	}
}

// liveThrough sends every example, whole and broken, lets things be collected, refused, withdrawn and asked about, and gives every answer
// but the datasets.
func (c *county) liveThrough(t *testing.T) map[string][]byte {
	t.Helper()
	answers := map[string][]byte{}
	ask := func(name string, q request) answered {
		a := c.ask(q)
		header, err := json.Marshal(a.header)
		c.must(err)
		answers[fmt.Sprintf("%s (answer %d)", name, len(answers))] = slices.Concat(header, a.body)
		return a
	}
	sender, recipient, stranger, dpl := c.token("carers-in-hertfordshire/casework"), c.token("age-uk-hertfordshire/casework"), c.token("pohwer/casework"), c.token("hub-operator/dpl")
	var ids []string
	to := map[string]string{}
	for _, name := range referrals() {
		text, err := contracts.Example(name)
		c.must(err)
		whole := string(text)
		for _, path := range []string{"/v1/decisions", "/v1/referrals"} {
			for kind, body := range map[string]string{
				"broken off":        whole[:len(whole)*2/3],
				"in Latin-1":        strings.Replace(whole, `"family": "`, "\"family\": \"\xe9", 1),
				"a key twice":       strings.Replace(whole, `"carer": {`, `"carer": {"name": {"family": "Twice"}, `, 1),
				"an unknown item":   strings.Replace(whole, `"carer": {`, `"carer": {"shoe_size": "Maureen Bríd", `, 1),
				"all of wrong type": regexp.MustCompile(`: ("[^"\\]*")([,\n }])`).ReplaceAllString(whole, `: [$1]$2`),
				"all too long":      regexp.MustCompile(`: "([^"\\]*)"([,\n }])`).ReplaceAllString(whole, `: "$1`+strings.Repeat("x", 9000)+`"$2`),
				"all not matching":  regexp.MustCompile(`: "([^"\\]*)"([,\n }])`).ReplaceAllString(whole, `: "$1 \u0001 $1"$2`),
			} {
				if a := ask(name+" "+kind, request{path: path, token: sender, body: body}); a.status < 400 {
					t.Errorf("%s %s was taken", name, kind)
				}
			}
			ask(name, request{path: path, token: stranger, body: whole})
			var out struct {
				Transfers []struct {
					ID        string `json:"transfer_id"`
					Recipient string
				}
			}
			c.must(json.Unmarshal(ask(name, request{path: path, token: sender, body: whole}).body, &out))
			for _, t := range out.Transfers {
				if t.ID != "" {
					ids, to[t.ID] = append(ids, t.ID), t.Recipient
				}
			}
		}
		ask(name+" in another body", request{path: "/v1/referrals", token: sender, body: whole + " "})
	}
	for _, id := range ids {
		collect := "/v1/inbox/" + id + "/collect"
		if to[id] == string(pohwer) {
			c.ask(request{path: collect, token: stranger}) // no stranger to this one
		}
		for partner, token := range map[string]string{string(pohwer): stranger, string(carersInHerts): sender} {
			if to[id] != partner {
				ask("collect refused", request{path: collect, token: token})
			}
		}
		c.ask(request{path: collect, token: recipient}) // the dataset itself
		ask("transfer", request{method: http.MethodGet, path: "/v1/transfers/" + id, token: sender})
		ask("transfer", request{method: http.MethodGet, path: "/v1/transfers/" + id, token: recipient})
		ask("question", request{path: "/v1/disclosures/search", token: dpl, body: `{"why":"routine check","transfer_id":"` + id + `"}`})
	}
	ask("/v1/inbox", request{method: http.MethodGet, path: "/v1/inbox", token: recipient})
	for _, s := range transfer.States() {
		ask("transfers", request{method: http.MethodGet, path: "/v1/transfers?state=" + string(s), token: sender})
	}
	ask("question about her", request{path: "/v1/disclosures/search", token: dpl, body: `{"why":"routine check","subject":{"scheme":"nhs-number","value":"` + maureen + `"}}`})
	for _, state := range []string{"given", "withdrawn"} {
		ask("consent", request{path: "/v1/consents", token: sender, body: string(consent("p-"+state, maureen, state))})
		ask("consent of another", request{path: "/v1/consents", token: sender, body: string(consent("p-"+state, desmond, state))})
	}
	for _, id := range ids {
		ask("collect refused", request{path: "/v1/inbox/" + id + "/collect", token: recipient})
		ask("receipt", request{path: "/v1/transfers/" + id + "/receipts", token: recipient, body: `{"contract":"receipt/1","at":"2026-01-01T00:00:00Z","status":"received"}`})
	}
	ask("/metrics", request{method: http.MethodGet, path: "/metrics", token: "-"})
	return answers
}

func TestSendingOverNATSNamesNobodyEither(t *testing.T) {
	words := secrets(t, "adult-carer-hertswise")
	address := freeAddress(t)
	c := newCounty(t, "", func(cfg *server.Config) { cfg.NATS.Listen = address })
	conn, err := nats.Connect("nats://" + address)
	c.must(err)
	defer conn.Close()
	token := c.token("carers-in-hertfordshire/casework")
	for _, body := range [][]byte{c.example("adult-carer-hertswise").bytes(), bytes.Replace(c.example("adult-carer-hertswise").bytes(), []byte(`"nhs_number":"`), []byte(`"nhs_number":"X`), 1)} {
		m := nats.NewMsg("hub.v1.referrals")
		m.Data = body
		m.Header.Set("Authorization", "Bearer "+token)
		var answer *nats.Msg
		within(t, func() bool {
			answer, err = conn.RequestMsg(m, 5*time.Second)
			return err == nil
		})
		if found := betrayed(slices.Concat(answer.Data, fmt.Append(nil, answer.Header, answer.Subject)), words); len(found) > 0 {
			t.Errorf("the answer holds %q", found)
		}
	}
	if found := betrayed([]byte(c.log.String()), words); len(found) > 0 {
		t.Errorf("the log holds %q", found)
	}
}

// shows reports whether a secret can be read in what was printed: in letters, as the numbers of its bytes, in hex or in base64.
func shows(printed, secret string) bool {
	forms := []string{secret, strings.Trim(fmt.Sprint([]byte(secret)), "[]"), hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret)))}
	forms = append(forms, strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintf("%#v", []byte(secret)), "[]byte{", ""), "}"))
	for shift := range 3 { // wherever in a longer text it stands
		padded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret + "xx"))
		forms = append(forms, padded[4:len(padded)-4])
	}
	return slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(printed, form) })
}

func TestPrintingIsNotDisclosing(t *testing.T) {
	const secret = "Maureen O'Brien-Quuxington"
	text, err := contracts.Example("adult-carer-hertswise")
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`"family": "O'Brien"`), []byte(`"family": "`+secret+`"`))
	contract, _ := contracts.For("referral/1")
	doc, err := contract.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	dataset := []byte(`{"carer":{"name":{"family":"` + secret + `"}}}`)
	nonce := [32]byte([]byte(secret + "-and-a-key-of-it")[:32])
	leaf := &ledger.Leaf{
		Kind: ledger.KindRelease, Transfer: "01900000-0000-7000-8000-000000000000", Recipient: ageUKHerts, Outcome: transfer.Permit, Payload: seal.Digest(nonce, dataset),
	}
	parcel, err := delivery.NewParcel(leaf, 1, dataset, nonce, delivery.Disclosure{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := parcel.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	disclosure, err := client.ParseDisclosure(raw)
	if err != nil {
		t.Fatal(err)
	}
	id := contracts.Identifier{Scheme: "case-number", Value: secret}
	for _, v := range []any{
		doc, doc.Subjects, doc.Consents, id, contracts.Subject{Role: "carer", Identifiers: []contracts.Identifier{id}, Born: secret}, contracts.Consent{Role: "carer", Body: []byte(secret)},
		parcel, &parcel, delivery.Job{Parcel: &parcel}, store.Payload{Transfer: leaf.Transfer, Nonce: nonce}, []store.Payload{{Nonce: nonce}}, disclosure, *disclosure,
	} {
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("it", "it", v)
		if _, carries := v.(delivery.Job); !carries { // a parcel inside something else is encoded as JSON: that is how it is delivered
			slog.New(slog.NewJSONHandler(&logged, nil)).Info("it", "it", v)
		}
		for _, printed := range []string{fmt.Sprint(v), fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%s", v), fmt.Sprintf("%q", v), fmt.Sprintf("%x", v), fmt.Sprintf("%d", v), logged.String()} {
			if shows(printed, secret) {
				t.Errorf("printing a %T shows it: %.300s", v, printed)
			}
		}
	}
	if !shows(fmt.Sprint(struct{ Body []byte }{text}), secret) || !shows(fmt.Sprintf("%x", text), secret) {
		t.Error("this test would not see it")
	}
}
