package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/auth"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

type demoCmd struct {
	Once bool `help:"End after the story; exit 0 only if every step came out as told."`
}

// Help is what `hub demo --help` says besides.
func (demoCmd) Help() string {
	return `The hub is a real one, on a folder of its own that it leaves behind: a new one in the temporary folder, or an empty one named with --data. Afterwards
it stays up, for you to try the other commands on.`
}

const (
	carersInHerts = transfer.PartnerID("carers-in-hertfordshire")
	ageUKHerts    = transfer.PartnerID("age-uk-hertfordshire")
	hertsCouncil  = transfer.PartnerID("hertfordshire-county-council")
	kentCouncil   = transfer.PartnerID("kent-county-council")
	operator      = transfer.PartnerID("hub-operator")
)

// Run starts a hub on an empty folder, plays the story, and stays up unless it is asked not to.
func (d *demoCmd) Run(e *env) error {
	tune()
	data, err := d.folder(e)
	if err != nil {
		return err
	}
	cfg, h, err := d.open(e, data)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()

	s := &story{env: e, out: e.stdout, cfg: cfg}
	err = s.play(ctx)
	switch {
	case err != nil:
	case d.Once:
		fmt.Fprintf(e.stdout, "\nWhat the hub kept is in %[1]s. To audit it:\n\n  %[2]s verify --data %[1]s\n", cfg.Data, program("hub"))
	default:
		s.stayUp()
		select {
		case <-e.ctx.Done():
		case err = <-ended:
			return err
		}
	}
	stop()
	return errors.Join(err, <-ended)
}

// folder is the data folder: an empty one.
func (d *demoCmd) folder(e *env) (string, error) {
	if e.cli.Data == "" {
		data, err := os.MkdirTemp("", "hub-demo-")
		if err != nil {
			return "", fmt.Errorf("make a data folder: %w", err)
		}
		return data, nil
	}
	if left, err := os.ReadDir(e.cli.Data); err == nil && len(left) > 0 {
		return "", fmt.Errorf("the demo starts on an empty folder and %s is not: name another with --data", e.cli.Data)
	}
	return e.cli.Data, nil
}

// open builds the hub, on its usual port unless somebody else has that, with the partners of the story enrolled.
func (d *demoCmd) open(e *env, data string) (server.Config, *server.Hub, error) {
	address := "127.0.0.1:8443"
	for {
		cfg, err := server.ReadConfig(e.cli.Config, func(c *server.Config) {
			c.Data, c.Listen, c.URL, c.Database = data, address, "", e.cli.Database
			c.Checkpoints.Every = 200 * time.Millisecond // nobody wants to wait for a witness
		})
		if err != nil {
			return cfg, nil, err
		}
		s := &story{cfg: cfg}
		if err := s.enrol(); err != nil {
			return cfg, nil, err
		}
		if err := s.appoint(); err != nil {
			return cfg, nil, err
		}
		h, err := server.Open(e.ctx, s.cfg, e.logger("warn"))
		if !errors.Is(err, syscall.EADDRINUSE) {
			return s.cfg, h, err
		}
		address = freeAddress()
	}
}

// program is how a program beside this one is called.
func program(name string) string {
	dir, _ := filepath.Split(os.Args[0])
	return dir + name
}

// freeAddress is a port of this machine that nobody has at the moment.
func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0" // the hub will say why it cannot listen
	}
	defer l.Close() //nolint:errcheck // nobody has used it
	return l.Addr().String()
}

// story plays partners and the Data Protection Lead against a running hub, and says what happens in their words.
type story struct {
	env  *env
	out  io.Writer
	cfg  server.Config
	step int

	cih, cihLeads, ageUK, ageUKLeads, council, pohwer, dpl *client.Client

	began      time.Time
	disclosure *client.Disclosure // Maureen O'Brien's, to Age UK
	undecided  client.Transfer    // Gwenllian Pugh's
}

// systems are those of the story, each with where its client stands. The leads of some partners have one of their own.
func (s *story) systems() map[transfer.SystemID]**client.Client {
	return map[transfer.SystemID]**client.Client{
		"carers-in-hertfordshire/casework": &s.cih, "carers-in-hertfordshire/dpl": &s.cihLeads, "age-uk-hertfordshire/casework": &s.ageUK,
		"age-uk-hertfordshire/dpl": &s.ageUKLeads, "hertfordshire-county-council/casework": &s.council, "pohwer/dpl": &s.pohwer, "hub-operator/dpl": &s.dpl,
	}
}

func (s *story) keyFile(id transfer.SystemID) string {
	return filepath.Join(s.cfg.Data, "demo-partners", strings.ReplaceAll(string(id), "/", ".")+".pem")
}

// enrol makes a key for each partner system of the story and registers its public half, as partners would.
func (s *story) enrol() error {
	for id := range s.systems() {
		key, err := s.makeKey(id, "ES256")
		if err != nil {
			return err
		}
		public, err := auth.JWKS(key)
		if err != nil {
			return err
		}
		if err := s.cfg.Enrol(id, public); err != nil {
			return err
		}
	}
	return nil
}

// makeKey makes the key of a system and keeps it beside the hub's folders.
func (s *story) makeKey(id transfer.SystemID, kind string) (auth.Key, error) {
	key, err := auth.GenerateKey(kind)
	if err != nil {
		return key, err
	}
	private, err := key.MarshalPEM()
	if err != nil {
		return key, err
	}
	if err := os.MkdirAll(filepath.Dir(s.keyFile(id)), 0o700); err != nil {
		return key, err
	}
	return key, os.WriteFile(s.keyFile(id), private, 0o600)
}

func (s *story) key(id transfer.SystemID) (auth.Key, error) {
	text, err := os.ReadFile(s.keyFile(id))
	if err != nil {
		return auth.Key{}, err
	}
	keys, err := auth.ParseKeys(text)
	if err != nil {
		return auth.Key{}, err
	}
	return keys[0], nil
}

func (s *story) client(id transfer.SystemID) (*client.Client, error) {
	key, err := s.key(id)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(s.cfg.AuthorityFile())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return client.New(client.Config{
		BaseURL: s.cfg.URL, System: id, Key: key,
		HTTP: &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}},
	})
}

// reach waits until the hub answers, and opens the partners' clients.
func (s *story) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.cfg.Listen)
		if err == nil {
			conn.Close() //nolint:errcheck // it only asked whether somebody is there
			if _, err = os.Stat(s.cfg.AuthorityFile()); err == nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the hub does not answer at %s: %w", s.cfg.Listen, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	var err error
	for id, c := range s.systems() {
		if *c, err = s.client(id); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) title(text string) {
	s.step++
	fmt.Fprintf(s.out, "\n%d. %s\n", s.step, text)
}

func (s *story) say(format string, args ...any) {
	fmt.Fprint(s.out, client.Wrap("   ", fmt.Sprintf(format, args...)))
}

// items names items, a section of the message a paragraph.
func (s *story) items(names []string) {
	for _, section := range client.Sections(names) {
		fmt.Fprint(s.out, client.Wrap("      ", section))
	}
}

// must says what a step was expected to come to.
func (s *story) must(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("step %d did not come out as told: "+format, append([]any{s.step}, args...)...)
}

func (s *story) play(ctx context.Context) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	fmt.Fprint(s.out, client.Wrap("", fmt.Sprintf("The hub is up at %s, with SQLite and NATS JetStream inside it and the partners of Hertfordshire and Kent."+
		" Everybody in this story is invented.", s.cfg.URL)))
	s.began = time.Now()
	for _, act := range []func(context.Context) error{
		s.refer, s.collect, s.refused, s.held, s.withdrawn, s.whoReceivedWhat, s.figures, s.letGo, s.week, s.redecide, s.verify,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "\nEvery step came out as told.\n")
	return nil
}

func (s *story) refer(ctx context.Context) error {
	s.title("Carers in Hertfordshire refers Maureen O'Brien to Age UK Hertfordshire for Hertswise.")
	m, err := adultCarer()
	if err != nil {
		return err
	}
	sent, err := s.cih.Send(ctx, m.json())
	if err != nil {
		return err
	}
	t := sent.Transfers[0]
	s.say("Outcome: %s, under %s. It waits in Age UK's inbox.", t.Outcome, t.Agreement.Flow)
	stripped := 0
	for _, p := range t.Subjects {
		if len(p.Stripped) > 0 {
			stripped += len(p.Stripped)
			s.say("Stripped about %s, %s:", client.Person(p.Role, p.Position), client.Count(len(p.Stripped), "item"))
			s.items(p.Stripped)
		}
	}
	s.reasons(t.Reasons)
	return s.must(t.Outcome == transfer.PermitReduced && t.State == transfer.Queued && stripped > 0, "%s, %s, %d items stripped", t.Outcome, t.State, stripped)
}

func (s *story) reasons(rs []client.Reason) {
	for _, r := range client.Together(rs) {
		s.say("Why: %s [%s; %s]", r.Detail, r.Code, r.Source)
		if r.Remedy != "" {
			fmt.Fprint(s.out, client.Wrap("        ", "What to do: "+r.Remedy))
		}
	}
}

func (s *story) collect(ctx context.Context) error {
	s.title("Age UK Hertfordshire looks into its inbox, collects, and says that it takes the referral on.")
	box, err := s.ageUK.Inbox(ctx, "", 10, 10*time.Second)
	if err != nil {
		return err
	}
	if err := s.must(len(box.Entries) == 1, "%d entries in the inbox", len(box.Entries)); err != nil {
		return err
	}
	s.say("The inbox shows who sent it, when and for what: %s, %s. It shows nothing about a person.", box.Entries[0].Sender, box.Entries[0].Purpose)
	if s.disclosure, err = s.ageUK.Collect(ctx, box.Entries[0].TransferID); err != nil {
		return err
	}
	if err := s.disclosure.CheckDigest(); err != nil {
		return err
	}
	s.say("Collected %d bytes. Decided again at this moment (%s) and logged as leaf %d before it left.", len(s.disclosure.Dataset), s.disclosure.Outcome, s.disclosure.Log.Index)
	state, err := s.ageUK.Receipt(ctx, s.disclosure.TransferID, "accepted", "")
	if err != nil {
		return err
	}
	s.say("Receipt: %s. The hub has destroyed its copy.", state)
	for _, item := range []string{"9994100378"} { // the cared-for person's NHS number
		if err := s.must(!bytes.Contains(s.disclosure.Dataset, []byte(item)), "an identifier of the cared-for person was delivered"); err != nil {
			return err
		}
	}
	return s.must(state == transfer.Accepted, "%s", state)
}

func (s *story) refused(ctx context.Context) error {
	s.title("The same charity refers to Kent County Council, with which it has no agreement.")
	m, err := adultCarer()
	if err != nil {
		return err
	}
	sent, err := s.cih.Send(ctx, m.about("demo-council", "Joan", "Adeyemi", nhsNumber(410), "CIH/30001").to(kentCouncil).json())
	if err != nil {
		return err
	}
	t := sent.Transfers[0]
	s.say("Outcome: %s. Nothing was kept and nothing will go.", t.Outcome)
	s.reasons(t.Reasons)
	return s.must(t.Outcome == transfer.Refuse && slices.ContainsFunc(t.Reasons, func(r client.Reason) bool { return r.Code == "NO_AGREEMENT" && r.Remedy != "" }), "%s %v", t.Outcome, t.Reasons)
}

func (s *story) held(ctx context.Context) error {
	s.title("A referral of Gwenllian Pugh arrives without any record of her consent.")
	m, err := adultCarer()
	if err != nil {
		return err
	}
	m.about("demo-no-consent", "Gwenllian", "Pugh", nhsNumber(420), "CIH/30002")
	delete(m, "consents")
	sent, err := s.cih.Send(ctx, m.json())
	if err != nil {
		return err
	}
	t := sent.Transfers[0]
	s.undecided = t
	s.say("Outcome: %s. The %s has to settle it by %s.", t.Outcome, client.Office(t.Owner), t.Deadline.Format("2 January 2006"))
	s.reasons(t.Reasons)
	return s.must(t.Outcome == transfer.Hold && t.State == transfer.Held && t.Owner != "" && !t.Deadline.IsZero(), "%s, %s", t.Outcome, t.State)
}

func (s *story) withdrawn(ctx context.Context) error {
	s.title("Idris Bevan is referred with his consent, and withdraws it while the referral waits.")
	m, err := adultCarer()
	if err != nil {
		return err
	}
	nhs := nhsNumber(430)
	sent, err := s.cih.Send(ctx, m.about("demo-withdrawn", "Idris", "Bevan", nhs, "CIH/30003").json())
	if err != nil {
		return err
	}
	t := sent.Transfers[0]
	s.say("Outcome: %s, %s.", t.Outcome, t.State)
	if err := s.must(t.State == transfer.Queued, "%s", t.State); err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{
		"contract": "consent/1", "message_id": "demo-withdrawal", "state": "withdrawn", "purpose": "referral.service", "service": "hertswise",
		"subject":    map[string]any{"identifiers": []map[string]string{{"scheme": "nhs-number", "value": nhs}}},
		"recipients": []transfer.PartnerID{ageUKHerts}, "explicit": true, "method": "verbal", "authority": "self",
		"at": time.Now().UTC().Format(time.RFC3339),
	})
	if err != nil {
		return err
	}
	done, err := s.cih.Consent(ctx, text)
	if err != nil {
		return err
	}
	s.say("The withdrawal is recorded, and stops %s.", client.Count(len(done.Stopped), "transfer"))
	if err := s.must(slices.Contains(done.Stopped, t.ID), "the withdrawal stopped %v", done.Stopped); err != nil {
		return err
	}
	_, err = s.ageUK.Collect(ctx, t.ID)
	var problem *client.Problem
	if !errors.As(err, &problem) {
		return s.must(false, "Age UK could still collect it (%v)", err)
	}
	s.say("Age UK tries to collect it: %d %s. Nothing was disclosed.", problem.Status, problem.Title)
	return s.must(problem.Status == http.StatusConflict && problem.State == string(transfer.Stopped), "%v", problem)
}

func (s *story) whoReceivedWhat(ctx context.Context) error {
	s.title("The Data Protection Lead asks who received what about Maureen O'Brien.")
	found, err := s.dpl.Search(ctx, client.Query{Subject: &client.Identifier{Scheme: "nhs-number", Value: "9994100009"}, Why: "subject access request, demonstration"})
	if err != nil {
		return err
	}
	released := 0
	for _, en := range found.Entries {
		switch en.Kind {
		case "release":
			released++
			s.say("leaf %d  %s  %s received from %s, for %s, under %s, %s:", en.Log.Index, en.At.Format("15:04:05"), en.Recipient, en.Sender, en.Purpose, en.Agreement.Flow, client.Count(len(en.Items), "item"))
			s.items(en.Items)
		case "outcome":
			s.say("leaf %d  %s  %s says: %s.", en.Log.Index, en.At.Format("15:04:05"), en.Recipient, en.Receipt)
		case "decision":
			s.say("leaf %d  %s  decided for %s: %s.", en.Log.Index, en.At.Format("15:04:05"), en.Recipient, en.Outcome)
		case "consent":
			s.say("leaf %d  %s  consent recorded by %s.", en.Log.Index, en.At.Format("15:04:05"), en.By)
		default:
			s.say("leaf %d  %s  %s.", en.Log.Index, en.At.Format("15:04:05"), en.Kind)
		}
	}
	s.say("That the question was asked is leaf %d.", found.QueryLeaf.Index)
	return s.must(released == 1, "%d releases", released)
}

func (s *story) figures(ctx context.Context) error {
	s.title("Hertfordshire County Council pays for part of the work, and gets the figures of the quarter.")
	m, err := example("aggregate-quarter")
	if err != nil {
		return err
	}
	sent, err := s.cih.Send(ctx, m.to(hertsCouncil).json())
	if err != nil {
		return err
	}
	t := sent.Transfers[0]
	s.say("Outcome: %s, under %s.", t.Outcome, t.Agreement.Flow)
	got, err := s.council.Collect(ctx, t.ID)
	if err != nil {
		return err
	}
	var counts struct {
		Report struct {
			Measures []struct {
				Name  string
				Count any // a number, or "suppressed"
			}
		}
	}
	if err := json.Unmarshal(got.Dataset, &counts); err != nil {
		return fmt.Errorf("read the figures: %w", err)
	}
	suppressed, exact := 0, 0
	for _, c := range counts.Report.Measures {
		n, shown := c.Count.(float64)
		switch {
		case !shown:
			suppressed++
		case n != 0 && (n < 5 || int(n)%5 != 0):
			exact++
		}
	}
	s.say("The council receives %s and nobody's data: %d counts are suppressed, so that nobody is known by being one of few, and the others rounded to five.",
		client.Count(len(counts.Report.Measures), "figure"), suppressed)
	return s.must(t.Outcome == transfer.Permit && suppressed > 0 && exact == 0, "%s, %d suppressed, %d exact", t.Outcome, suppressed, exact)
}

func (s *story) letGo(ctx context.Context) error {
	s.title("Blodwen Rhys's husband is said to have hurt her, so the Safeguarding Lead looks first.")
	m, err := adultCarer()
	if err != nil {
		return err
	}
	const his = "9 Otterspool Row"
	m.about("demo-safety", "Blodwen", "Rhys", nhsNumber(440), "CIH/30004")
	m["cared_for"] = []any{map[string]any{
		"relationship_to_carer": "husband", "condition": []any{"dementia"}, "addresses": []any{map[string]any{"lines": []any{his}}}, "alleged_perpetrator": true,
	}}
	sent, err := s.cih.Send(ctx, m.json())
	if err != nil {
		return err
	}
	t := sent.Transfers[0]
	s.say("Outcome: %s. The %s has to settle it by %s.", t.Outcome, client.Office(t.Owner), t.Deadline.Format("2 January 2006"))
	if err := s.must(t.State == transfer.Held && t.Owner == "safeguarding-lead", "%s, for %s", t.State, t.Owner); err != nil {
		return err
	}
	codes := lo.Uniq(lo.Map(t.Reasons, func(r client.Reason, _ int) string { return r.Code }))
	ruling := client.Ruling{Act: "release", Person: "caseworker-1", Codes: codes, Ground: "safe-to-send", At: time.Now()}
	_, err = s.cihLeads.Rule(ctx, t.ID, ruling)
	var problem *client.Problem
	if !errors.As(err, &problem) {
		return s.must(false, "the caseworker could let it go (%v)", err)
	}
	s.say("A caseworker tries to let it go: %d %s.", problem.Status, problem.Title)
	ruling.Person = "safeguarding-1"
	now, err := s.cihLeads.Rule(ctx, t.ID, ruling)
	if err != nil {
		return err
	}
	got, err := s.ageUK.Collect(ctx, t.ID)
	if err != nil {
		return err
	}
	s.say("The Safeguarding Lead lets it go: %s. Age UK collects it, and where her husband lives is not in it.", now.State)
	return s.must(problem.Status == http.StatusForbidden && now.State == transfer.Queued && !bytes.Contains(got.Dataset, []byte(his)),
		"%d, %s, with his address: %t", problem.Status, now.State, bytes.Contains(got.Dataset, []byte(his)))
}

// redecide is hub verify --redecide on the log of the story.
func (s *story) redecide(ctx context.Context) error {
	s.title("The hub's operator has every decision made again, from the log alone.")
	st, err := server.OpenStore(ctx, s.cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // nothing was written
	var told strings.Builder
	aside := *s.env
	aside.stdout = &told
	err = (&verifyCmd{Redecide: true}).again(&aside, s.cfg, map[string]ledger.Source{s.cfg.Origin: st.Log(ctx, s.cfg.Origin)})
	for line := range strings.Lines(told.String()) {
		s.say("%s", line)
	}
	if errors.Is(err, errFailed) {
		return s.must(false, "some would come out otherwise")
	}
	return err
}

func (s *story) verify(ctx context.Context) error {
	s.title("The operator verifies the log, then changes one byte of a copy of it.")
	st, err := server.OpenStore(ctx, s.cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // nothing was written
	report, err := server.Verify(ctx, s.cfg, st)
	if err != nil {
		return err
	}
	for _, p := range report.Problems {
		s.say("%s", p)
	}
	if err := s.must(report.OK(), "the log is not whole"); err != nil {
		return err
	}
	s.say("The log is whole: %s, %s, %s.", client.Count(report.Leaves, "leaf"), client.Count(report.Transfers, "transfer"), client.Count(report.Releases, "release"))

	dir := filepath.Join(s.cfg.Data, "changed-copy")
	log, release := st.Log(ctx, s.cfg.Origin), s.disclosure.Log.Index
	if err := ledger.Export(log, dir); err != nil {
		return err
	}
	if err := changeOneByte(log, release, filepath.Join(dir, "tile", "entries")); err != nil {
		return err
	}
	exported, err := ledger.OpenDirectory(dir)
	if err != nil {
		return err
	}
	verifier, err := s.cfg.Verifier()
	if err != nil {
		return err
	}
	report, err = audit.Check(ctx, exported, verifier, nil)
	if err != nil {
		return err
	}
	found := slices.IndexFunc(report.Problems, func(p audit.Problem) bool { return p.Class == audit.Edited && p.Index == release })
	if err := s.must(found >= 0, "of a changed copy the audit says %v", report.Problems); err != nil {
		return err
	}
	s.say("The copy is not: %s.", report.Problems[found])
	return nil
}

// changeOneByte changes a letter of one leaf in the exported files of leaves: who received something becomes somebody else.
func changeOneByte(log ledger.Source, leaf int64, dir string) error {
	leaves, err := log.Leaves(leaf, leaf+1)
	if err != nil {
		return err
	}
	was := []byte(`"recipient":"` + ageUKHerts)
	is := bytes.Clone(was)
	is[len(`"recipient":"`)]++
	changed := bytes.Replace(leaves[0], was, is, 1)
	return filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, bytes.Replace(text, leaves[0], changed, 1), 0o600)
	})
}

func (s *story) stayUp() {
	const sender = "carers-in-hertfordshire/casework"
	fmt.Fprintf(s.out, `
The hub stays up at %[1]s until you press Ctrl-C. In another terminal, try:

  export HUB_URL=%[1]s HUB_CA=%[2]s
  export HUB_SYSTEM=%[3]s HUB_KEY=%[4]s
  %[5]s send contracts/examples/advocacy-pohwer.json
  echo 9994100009 | %[6]s audit --data %[7]s --why "trying the demo"
  %[6]s verify --data %[7]s
`, s.cfg.URL, s.cfg.AuthorityFile(), sender, s.keyFile(sender), program("partner"), program("hub"), s.cfg.Data)
}
