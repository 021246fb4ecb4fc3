package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/samber/lo"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/cmd/partner/client"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

// The second act of the story: what a week brings to the Data Protection Lead of Carers in Hertfordshire. She works over the API, as at any partner,
// and the dates and numbers are the hub's.

// The people of the second act, by NHS number.
var (
	maureen   = "9994100009"
	gwenllian = nhsNumber(420)
)

func (s *story) week(ctx context.Context) error {
	fmt.Fprintf(s.out, "\nSecond act: a week of the Data Protection Lead of Carers in Hertfordshire.\n")
	for _, day := range []func(context.Context) error{s.access, s.rectify, s.prove, s.erase, s.breach, s.flows} {
		if err := day(ctx); err != nil {
			return err
		}
	}
	return nil
}

// byNumber is how somebody is known.
func byNumber(nhs string) []client.Identifier {
	return []client.Identifier{{Scheme: "nhs-number", Value: nhs}}
}

// opens opens a case of the Data Protection Lead's; about somebody, unless nhs is empty.
func (s *story) opens(ctx context.Context, kind, nhs string, of map[string]any) (*client.Case, error) {
	in := map[string]any{"contract": "case/1", "message_id": uuid.NewString(), "type": kind, "person": "dpl-1"}
	if nhs != "" {
		in["identifiers"] = byNumber(nhs)
	}
	maps.Copy(in, of)
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return s.cihLeads.OpenCase(ctx, text)
}

// takes takes a step of a case of hers.
func (s *story) takes(ctx context.Context, k *client.Case, step string, with map[string]any) (*client.Case, error) {
	in := map[string]any{"contract": "case-step/1", "message_id": uuid.NewString(), "step": step, "person": "dpl-1"}
	maps.Copy(in, with)
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return s.cihLeads.TakeStep(ctx, k.Reference, text)
}

// problemOf is what the hub says is wrong, empty when it says nothing.
func problemOf(err error) *client.Problem {
	problem := &client.Problem{}
	errors.As(err, &problem)
	return problem
}

// refusal is what the hub says is wrong, without what could be done in its place.
func refusal(err error) string {
	problem := problemOf(err)
	detail, _, _ := strings.Cut(problem.Detail, ": case ")
	return fmt.Sprintf("%d, %s.", problem.Status, detail)
}

// due is what has to be done next in a case.
func due(k *client.Case) client.Deadline {
	d, _ := lo.Find(k.Deadlines, func(d client.Deadline) bool { return !d.Met })
	return d
}

// clock says by when that is, and by which rule.
func clock(k *client.Case) string {
	d := due(k)
	return fmt.Sprintf("To %s there is time until %s (%s).", d.What, spelt(d.By), d.Source)
}

// spelt writes a day, or an instant, as people do.
func spelt(when string) string {
	if day, err := time.Parse(time.DateOnly, when); err == nil {
		return day.Format("2 January 2006")
	}
	at, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return when
	}
	return at.UTC().Format("2 January 2006, 15:04 UTC")
}

func (s *story) access(ctx context.Context) error {
	s.title("Maureen O'Brien rings, and asks who was told what about her.")
	if err := s.ring(ctx); err != nil {
		return err
	}
	k, err := s.opens(ctx, "access", maureen, map[string]any{"channel": "telephone", "identity": "to-confirm"})
	if err != nil {
		return err
	}
	s.say("Case opened, received by %s on %s. No clock yet: %s.", k.Channel, spelt(k.Received), due(k).Warning)
	if err := s.must(k.State == "identity" && due(k).By == "", "%s, %+v", k.State, k.Deadlines); err != nil {
		return err
	}
	if k, err = s.takes(ctx, k, "identity-confirmed", nil); err != nil {
		return err
	}
	s.say("She is who she says. %s", clock(k))
	if err := s.must(k.State == "open" && due(k).By > k.Received, "%s, %+v", k.State, k.Deadlines); err != nil {
		return err
	}
	if err := s.letter(ctx, k); err != nil {
		return err
	}
	by := due(k).By
	if k, err = s.takes(ctx, k, "answered", nil); err != nil {
		return err
	}
	s.say("Answered in time; the case is %s.", k.State)
	return s.must(k.State == "closed" && due(k) == client.Deadline{} && k.Steps[len(k.Steps)-1].On <= by, "%s, %+v", k.State, k.Deadlines)
}

// ring enters a call that was made about her: she must not be told of it.
func (s *story) ring(ctx context.Context) error {
	call, err := json.Marshal(map[string]any{
		"contract": "disclosure/1", "message_id": "demo-call", "to": hertsCouncil, "purpose": "safeguarding", "exception": "safeguarding",
		"people": []any{map[string]any{"role": "carer", "identifiers": byNumber(maureen), "items": []string{"carer.name.family", "carer.addresses.lines"}}},
		"basis":  map[string]string{"article6": "ea"}, "how": "telephone", "made": time.Now().Add(-time.Hour).UTC(), "person": "safeguarding-1",
	})
	if err != nil {
		return err
	}
	at, err := s.cihLeads.Disclosed(ctx, call)
	if err != nil {
		return err
	}
	s.say("She does not know that the Safeguarding Lead rang the council about her an hour ago. It is leaf %d.", at.Index)
	return nil
}

// letter shows what she is told, and what the Data Protection Lead sees besides.
func (s *story) letter(ctx context.Context, k *client.Case) error {
	hers, err := s.cihLeads.CaseReport(ctx, k.Reference, "person", "text")
	if err != nil {
		return err
	}
	whole, err := s.cihLeads.CaseReport(ctx, k.Reference, "dpl", "text")
	if err != nil {
		return err
	}
	s.say("From the letter to her:")
	for line := range strings.Lines(string(hers)) {
		if strings.HasPrefix(line, "We gave") || strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "  What made it") {
			s.quote(line)
		}
	}
	kept, _, _ := strings.Cut(string(whole), "\n")
	s.say("The Data Protection Lead's own copy has the call too, and begins:")
	s.quote(kept)
	const told, untold = "Age UK Hertfordshire", "Hertfordshire County Council"
	right := strings.Contains(string(hers), told) && !strings.Contains(string(hers), untold) && !strings.Contains(string(hers), "safeguarding")
	return s.must(right && strings.Contains(string(whole), untold) && strings.HasPrefix(kept, "NOT TOLD TO THE PERSON: "), "what she is told is not what she may know")
}

// quote shows a line of something that was written.
func (s *story) quote(line string) { fmt.Fprint(s.out, client.Wrap("      ", strings.TrimSpace(line))) }

func (s *story) rectify(ctx context.Context) error {
	s.title("On the way she noticed that her telephone number is wrong.")
	k, err := s.opens(ctx, "rectification", maureen, map[string]any{"channel": "telephone"})
	if err != nil {
		return err
	}
	items := []string{"carer.phones"}
	if k, err = s.takes(ctx, k, "accepted", map[string]any{"items": items}); err != nil {
		return err
	}
	if err := s.must(len(k.Notices) == 1 && len(k.Tasks) == 0, "%+v, %+v", k.Notices, k.Tasks); err != nil {
		return err
	}
	n := k.Notices[0]
	s.say("Accepted. Of all who were told of her, %s had the number, and is told to put it right by %s.", n.Recipient, spelt(n.Respond))
	if err := s.must(n.Recipient == ageUKHerts && slices.Equal(n.Items, items), "%+v", n); err != nil {
		return err
	}
	m, err := adultCarer()
	if err != nil {
		return err
	}
	m["message_id"], m["carer"].(map[string]any)["phones"] = "demo-corrected", []any{map[string]any{"number": "07700 900471", "kind": "mobile"}}
	sent, err := s.cih.Send(ctx, m.json())
	if err != nil {
		return err
	}
	if k, err = s.takes(ctx, k, "answered", nil); err != nil {
		return err
	}
	_, err = s.takes(ctx, k, "closed", nil)
	s.say("The right number is sent, like any referral, and she is told. Can the case be closed? %s", refusal(err))
	if err := s.must(problemOf(err).Status == http.StatusConflict, "closed before Age UK had done it: %v", err); err != nil {
		return err
	}
	answers, err := s.act(ctx, n.ID, sent.Transfers[0].ID)
	if err != nil {
		return err
	}
	if k, err = s.takes(ctx, k, "closed", nil); err != nil {
		return err
	}
	s.say("Age UK's Data Protection Lead finds the notice, and answers: %s. Now the case is %s.", strings.Join(answers, ", then "), k.State)
	return s.must(slices.Equal(answers, []string{"received", "actioned"}) && k.State == "closed", "%v, %s", answers, k.State)
}

// act is what Age UK does about the notice: it takes what puts the number right, and says so.
func (s *story) act(ctx context.Context, notice string, corrected transfer.TransferID) (answers []string, err error) {
	box, err := s.ageUKLeads.Notices(ctx, "sent", false, "", 0)
	if err != nil {
		return nil, err
	}
	if err := s.must(len(box.Notices) == 1 && box.Notices[0].ID == notice, "Age UK's notices: %+v", box.Notices); err != nil {
		return nil, err
	}
	if _, err := s.ageUK.Collect(ctx, corrected); err != nil {
		return nil, err
	}
	if _, err := s.ageUK.Receipt(ctx, corrected, "received", ""); err != nil {
		return nil, err
	}
	for _, status := range []string{"received", "actioned"} {
		n, err := s.ageUKLeads.AnswerNotice(ctx, notice, client.NoticeAnswer{MessageID: uuid.NewString(), Status: status, Person: "dpl-1"})
		if err != nil {
			return nil, err
		}
		answers = append(answers, n.State)
	}
	return answers, nil
}

// witnessName is what the story's witness signs with.
const witnessName = "pohwer.example/witness"

func (s *story) witnessConfig() (client.WitnessConfig, error) {
	key, err := s.key("pohwer/witness")
	return client.WitnessConfig{Name: witnessName, Key: key.Private, Dir: filepath.Join(s.cfg.Data, "demo-partners", "witness")}, err
}

// appoint makes the key of the story's witness and names its public half to the hub.
func (s *story) appoint() error {
	if _, err := s.makeKey("pohwer/witness", "EdDSA"); err != nil {
		return err
	}
	cfg, err := s.witnessConfig()
	if err != nil {
		return err
	}
	key, err := client.WitnessKey(cfg.Name, cfg.Key)
	if err != nil {
		return err
	}
	s.cfg.Witnesses = append(s.cfg.Witnesses, server.Witness{Key: key})
	return nil
}

// cosign has the witness cosign a published checkpoint that covers a leaf, if it continues what it cosigned before, and gives the two sizes.
func (s *story) cosign(ctx context.Context, leaf int64) (before, now int64, err error) {
	logKey, err := os.ReadFile(s.cfg.VerifierFile())
	if err != nil {
		return 0, 0, err
	}
	cfg, err := s.witnessConfig()
	if err != nil {
		return 0, 0, err
	}
	cfg.Logs = []string{string(logKey)}
	witness, err := client.NewWitness(cfg)
	if err != nil {
		return 0, 0, err
	}
	page, err := s.published(ctx, leaf)
	if err != nil {
		return 0, 0, err
	}
	newest := page.Checkpoints[0]
	if before, err = witness.Size(page.Origin); err != nil {
		return 0, 0, err
	}
	var proof tlog.TreeProof
	if before > 0 {
		p, err := s.pohwer.ConsistencyProof(ctx, before, newest.Size)
		if err != nil {
			return 0, 0, err
		}
		proof = p.Proof
	}
	line, err := witness.Cosign(before, proof, []byte(newest.Checkpoint))
	if err != nil {
		return 0, 0, err
	}
	if err := s.pohwer.BringCosignature(ctx, page.Origin, newest.Size, line); err != nil {
		return 0, 0, err
	}
	// Somebody else asks the hub who has cosigned it.
	if page, err = s.ageUKLeads.Checkpoints(ctx, newest.Size+1, 1); err != nil {
		return 0, 0, err
	}
	shown := page.Checkpoints[0]
	return before, newest.Size, s.must(shown.Size == newest.Size && len(shown.Cosigned) == 1 && shown.Cosigned[0].Witness == witnessName, "the hub shows %+v", shown)
}

// published waits until a checkpoint that covers a leaf is published: the hub does so on schedule.
func (s *story) published(ctx context.Context, leaf int64) (*client.CheckpointPage, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		page, err := s.pohwer.Checkpoints(ctx, 0, 1)
		if err != nil || len(page.Checkpoints) > 0 && page.Checkpoints[0].Size > leaf {
			return page, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no checkpoint that covers leaf %d was published: %w", leaf, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *story) prove(ctx context.Context) error {
	s.title("PoHWER witnesses the log, and Age UK keeps a receipt of what it collected.")
	_, size, err := s.cosign(ctx, s.disclosure.Log.Index)
	if err != nil {
		return err
	}
	s.say("The hub shows the checkpoint of its %s as cosigned by %s.", client.Count(size, "leaf"), witnessName)
	receipt, err := s.ageUK.DisclosureReceipt(ctx, s.disclosure.TransferID)
	if err != nil {
		return err
	}
	logKey, err := os.ReadFile(s.cfg.VerifierFile())
	if err != nil {
		return err
	}
	witnesses := lo.Map(s.cfg.Witnesses, func(w server.Witness, _ int) string { return w.Key })
	shown, err := client.VerifyReceipt(receipt, string(logKey), witnesses)
	if err != nil {
		return err
	}
	if err := cmp.Or(s.disclosure.CheckLeaf(shown.Leaf), s.disclosure.CheckDigest()); err != nil {
		return err
	}
	r := shown.Release
	s.say("The receipt has %d bytes. Without the hub, by the log's public key alone, it shows: leaf %d of %d is the release to %s under %s,"+
		" of the dataset that Age UK has. %s has seen it.", len(receipt), shown.Log.Index, shown.Size, r.Recipient, r.Agreement.Flow, strings.Join(shown.Cosigned, ", "))
	if err := s.must(r.Recipient == ageUKHerts && slices.Equal(shown.Cosigned, []string{witnessName}), "a receipt of %s, cosigned by %v", r.Recipient, shown.Cosigned); err != nil {
		return err
	}
	changed := bytes.Clone(receipt)
	letter := &changed[bytes.Index(changed, []byte("\nextra "))+100] // of the leaf, in base64
	*letter = lo.Ternary[byte](*letter == 'A', 'B', 'A')
	_, err = client.VerifyReceipt(changed, string(logKey), nil)
	if err == nil {
		return s.must(false, "a changed receipt passes for whole")
	}
	s.say("With one byte changed: %v.", err)
	return nil
}

func (s *story) breach(ctx context.Context) error {
	s.title("Age UK rings: somebody has been in its casework system. Whom does that reach?")
	m, err := adultCarer()
	if err != nil {
		return err
	}
	sent, err := s.cih.Send(ctx, m.about("demo-waiting", "Nerys", "Bowen", nhsNumber(450), "CIH/30005").json())
	if err != nil {
		return err
	}
	scope := client.Scope{Recipient: ageUKHerts, From: client.Instant{Time: s.began}}
	k, err := s.opens(ctx, "incident", "", map[string]any{"grounds": []string{"stolen-credentials"}, "channel": "telephone", "scope": scope})
	if err != nil {
		return err
	}
	size, err := s.cihLeads.SizeIncident(ctx, scope, "what the system held that was broken into")
	if err != nil {
		return err
	}
	names := func(counts []client.SizeCount) string {
		return strings.Join(lo.Map(counts, func(c client.SizeCount, _ int) string { return c.What }), ", ")
	}
	special := lo.Filter(size.Categories, func(c client.SizeCount, _ int) bool { return c.Special })
	s.say("Since %s: %s in %s to %s, under %s; %s, of the special categories %s.", s.began.UTC().Format("15:04 UTC"), client.Count(size.People, "person"),
		client.Count(size.Disclosures, "disclosure"), names(size.Recipients), names(size.Agreements), client.Count(len(size.Items), "item"), names(special))
	s.say("%s", clock(k))
	if err := s.must(size.People > 1 && size.Disclosures == 3 && names(size.Recipients) == string(ageUKHerts) && len(special) > 0 && due(k).By != "",
		"%+v, %+v", size, k.Deadlines); err != nil {
		return err
	}
	if k, err = s.takes(ctx, k, "sized", nil); err != nil {
		return err
	}
	return s.recall(ctx, k, scope, size, sent.Transfers[0].ID)
}

// recall stops what nobody has confirmed to have, and has a look at what is left to do.
func (s *story) recall(ctx context.Context, k *client.Case, scope client.Scope, size *client.Size, waiting transfer.TransferID) error {
	k, err := s.takes(ctx, k, "recall", map[string]any{"grounds": []string{"compromised"}})
	if err != nil {
		return err
	}
	left, err := s.cihLeads.SizeIncident(ctx, scope, "what can still be stopped after the recall")
	if err != nil {
		return err
	}
	_, err = s.ageUK.Collect(ctx, waiting)
	problem := problemOf(err)
	s.say("She recalls it. Stopped: %d waiting, %d collected and not confirmed. Age UK tries to collect what was sent about Nerys Bowen: %d %s.",
		size.Waiting.Queued, size.Waiting.Released, problem.Status, problem.Title)
	if err := s.must(size.Waiting.Queued == 1 && size.Waiting.Released == 1 && left.Waiting.Queued+left.Waiting.Released == 0 && problem.Status == http.StatusConflict && len(k.Notices) == 1,
		"%+v, then %+v; %v; %+v", size.Waiting, left.Waiting, problem, k.Notices); err != nil {
		return err
	}
	n := k.Notices[0]
	s.say("Age UK is told to give back %s, and to say by %s what it did.", client.Count(len(n.Transfers), "transfer"), spelt(n.Respond))
	text, err := s.cihLeads.Notification(ctx, k.Reference, "json")
	if err != nil {
		return err
	}
	var draft struct{ Missing []string }
	if err := json.Unmarshal(text, &draft); err != nil {
		return fmt.Errorf("read the draft: %w", err)
	}
	s.say("The hub drafts the notification to the Information Commissioner. For people to add: %s.", strings.Join(draft.Missing, ", "))
	return s.must(n.Recipient == ageUKHerts && len(n.Transfers) == size.Transfers && slices.Contains(draft.Missing, "assessment"), "%+v, %v", n, draft.Missing)
}

func (s *story) erase(ctx context.Context) error {
	s.title("Gwenllian Pugh says that she never agreed to anything, and wants to be forgotten.")
	before, err := s.found(ctx, gwenllian)
	if err != nil {
		return err
	}
	hold, err := s.opens(ctx, "legal-hold", gwenllian, map[string]any{"grounds": []string{"complaint"}})
	if err != nil {
		return err
	}
	k, err := s.opens(ctx, "erasure", gwenllian, map[string]any{"channel": "post", "grounds": []string{"no-longer-needed"}})
	if err != nil {
		return err
	}
	if k, err = s.takes(ctx, k, "accepted", nil); err != nil {
		return err
	}
	s.say("Accepted. Recipients to be told: %d, because nothing has gone. But a complaint of hers is being looked at, and what is known is on legal hold.",
		len(k.Notices)+len(k.Tasks))
	ground := map[string]any{"grounds": []string{"art17(3)(e)"}} // on which the log itself is kept
	_, err = s.takes(ctx, k, "erased", ground)
	s.say("Can she be erased? %s", refusal(err))
	if err := s.must(problemOf(err).Status == http.StatusConflict && strings.Contains(problemOf(err).Detail, hold.Reference), "erased in spite of a legal hold: %v", err); err != nil {
		return err
	}
	if hold, err = s.takes(ctx, hold, "lifted", map[string]any{"grounds": []string{"over"}}); err != nil {
		return err
	}
	for _, step := range []string{"erased", "answered", "closed"} {
		if k, err = s.takes(ctx, k, step, lo.Ternary(step == "erased", ground, nil)); err != nil {
			return err
		}
	}
	after, err := s.found(ctx, gwenllian)
	if err != nil {
		return err
	}
	waited, err := s.cih.Transfer(ctx, s.undecided.ID)
	if err != nil {
		return err
	}
	s.say("The hold is lifted, and she is erased. Her referral, which waited for her consent, is %s. Under her number the operator found %s before, and finds %d now.",
		waited.State, client.Count(before, "entry"), after)
	if err := s.must(k.State == "closed" && hold.State == "closed" && waited.State == transfer.Stopped && before > 0 && after == 0,
		"%s, %s, %s, %d then %d", k.State, hold.State, waited.State, before, after); err != nil {
		return err
	}
	was, is, err := s.cosign(ctx, k.Steps[len(k.Steps)-1].Log.Index)
	if err != nil {
		return err
	}
	s.say("No leaf was touched for it: PoHWER cosigns the log of %d leaves, which continues the %d that it cosigned before.", is, was)
	return s.must(was > 0 && is > was, "%d, then %d", was, is)
}

// found is how many entries the log has about somebody, to the operator, who sees everybody's.
func (s *story) found(ctx context.Context, nhs string) (int, error) {
	found, err := s.dpl.Search(ctx, client.Query{Subject: &byNumber(nhs)[0], Why: "erasure, demonstration"})
	if err != nil {
		return 0, err
	}
	return len(found.Entries), nil
}

func (s *story) flows(ctx context.Context) error {
	s.title("For her record of processing she compares what flows with what is declared.")
	found, err := s.cihLeads.Flows(ctx, "", "")
	if err != nil {
		return err
	}
	undeclared := 0
	s.say("%s used:", client.Count(len(found.Flows), "flow"))
	for _, f := range found.Flows {
		as := f.Clause
		if f.Undeclared != "" {
			undeclared++
			as = "not declared. " + f.Detail
		}
		s.quote(fmt.Sprintf("%s to %s, %s: %s", f.Purpose, cmp.Or(string(f.Recipient), f.Office), client.Count(f.Disclosures, "time"), as))
	}
	clauses := lo.GroupBy(found.Unused, func(p client.FlowPair) string { return p.Clause })
	s.say("Declared and not used, %s of partners under %s:", client.Count(len(found.Unused), "pair"), client.Count(len(clauses), "clause"))
	for _, clause := range slices.Sorted(maps.Keys(clauses)) {
		with := lo.Uniq(lo.Map(clauses[clause], func(p client.FlowPair, _ int) string {
			return string(lo.Ternary(p.Sender == carersInHerts, p.Recipient, p.Sender))
		}))
		if len(with) > 3 {
			with = []string{client.Count(len(with), "partner")}
		}
		s.quote(clause + ": " + strings.Join(with, ", "))
	}
	return s.must(len(found.Flows) == 3 && undeclared == 1 && len(clauses) > 0, "%+v, %d unused", found.Flows, len(found.Unused))
}
