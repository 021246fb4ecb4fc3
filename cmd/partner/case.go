package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"referralhub/cmd/partner/client"
)

type caseCommand struct {
	Open   caseOpenCommand   `cmd:"" help:"Open a case: a right that somebody exercises, a complaint, an incident."`
	List   caseListCommand   `cmd:"" help:"List our cases."`
	Show   caseShowCommand   `cmd:"" help:"Show a case: what was done, what is due, which steps are possible."`
	Step   caseStepCommand   `cmd:"" help:"Take a step of a case."`
	Report caseReportCommand `cmd:"" help:"Say who received what about the person of a case."`

	Inventory inventoryCommand `cmd:"" help:"Write our inventory of complaints, for spreadsheets."`
}

type inventoryCommand struct{}

// Run writes the inventory of complaints.
func (inventoryCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	text, err := hub.Inventory(ctx)
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}

type caseOpenCommand struct {
	File string `arg:"" default:"-" help:"The case, by the contract case/1; standard input when left out."`
}

// Run opens a case. The file keeps identifiers out of the shell's history and the process list.
func (c *caseOpenCommand) Run(ctx context.Context, s *session) error {
	body, err := s.read(c.File)
	if err != nil {
		return fmt.Errorf("read the case: %w", err)
	}
	hub, err := s.hub()
	if err != nil {
		return err
	}
	k, err := hub.OpenCase(ctx, body)
	if err != nil {
		return err
	}
	return s.print(k, func() { s.tellCase(k) })
}

type caseListCommand struct {
	Type    string `placeholder:"TYPE" help:"Only those of a type: access, rectification, complaint, ..."`
	State   string `placeholder:"STATE" help:"Only those in a state: open, telling, closed, ..."`
	Overdue bool   `help:"Only those in which something is past its deadline."`
	After   string `placeholder:"REFERENCE" help:"Only what comes after the page that ended with this."`
	Limit   int    `help:"How many at most."`
}

func (c *caseListCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	page, err := hub.Cases(ctx, c.Type, c.State, c.Overdue, c.After, c.Limit)
	if err != nil {
		return err
	}
	return s.print(page, func() {
		if len(page.Cases) == 0 {
			s.say("There are no such cases.")
		}
		for _, k := range page.Cases {
			s.say("%s  %s, %s, received %s", k.Reference, k.Type, k.State, k.Received)
			s.deadlines(k.Deadlines)
		}
		if page.Next != "" {
			s.say("There is more: --after %s", page.Next)
		}
	})
}

type caseShowCommand struct {
	Reference string `arg:"" help:"The case's reference."`
}

func (c *caseShowCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	k, err := hub.Case(ctx, c.Reference)
	if err != nil {
		return err
	}
	return s.print(k, func() { s.tellCase(k) })
}

type caseStepCommand struct {
	Reference string   `arg:"" help:"The case's reference."`
	Step      string   `arg:"" help:"The step: 'partner case show' lists those that are possible."`
	Person    string   `required:"" placeholder:"ID" help:"Who takes it, by the id of our entry in the register."`
	On        string   `placeholder:"DAY" help:"The day that counts, today when left out: 2026-11-20."`
	Ground    []string `placeholder:"CODE" help:"Why, as a code."`
	Item      []string `placeholder:"NAME" help:"The items it is about, by the names of the referral contract."`
	Notice    string   `placeholder:"ID" help:"The notice it is about."`
	Task      string   `placeholder:"ID" help:"The task that was done."`
	Details   string   `placeholder:"FILE" help:"What else it says, as JSON; - for standard input."`
	MessageID string   `placeholder:"ID" help:"Our own id of this step: give the same to send it again."`
}

func (c *caseStepCommand) Run(ctx context.Context, s *session) error {
	in := map[string]any{"contract": "case-step/1", "message_id": c.MessageID, "step": c.Step, "person": c.Person}
	if c.MessageID == "" {
		in["message_id"] = uuid.NewString()
	}
	for name, v := range map[string]string{"on": c.On, "notice": c.Notice, "task": c.Task} {
		if v != "" {
			in[name] = v
		}
	}
	for name, list := range map[string][]string{"grounds": c.Ground, "items": c.Item} {
		if len(list) > 0 {
			in[name] = list
		}
	}
	if c.Details != "" {
		text, err := s.read(c.Details)
		if err != nil {
			return fmt.Errorf("read the details: %w", err)
		}
		in["details"] = json.RawMessage(text)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("read the details: %w", err)
	}
	hub, err := s.hub()
	if err != nil {
		return err
	}
	k, err := hub.TakeStep(ctx, c.Reference, body)
	if err != nil {
		return err
	}
	return s.print(k, func() { s.tellCase(k) })
}

type caseReportCommand struct {
	Reference string `arg:"" help:"The case's reference."`
	For       string `enum:"person,dpl" default:"person" help:"Who will read it: ${enum}. What must not be revealed to the person is in the other alone." placeholder:"READER"`
	Form      string `enum:"text,html,json" default:"text" help:"Write it as ${enum}." placeholder:"FORM"`
	Out       string `placeholder:"FILE" help:"Write it into this file."`
}

func (c *caseReportCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	text, err := hub.CaseReport(ctx, c.Reference, c.For, c.Form)
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err := s.out.Write(text)
		return err
	}
	if err := replace(c.Out, text); err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	s.say("The report is in %s.", c.Out)
	return nil
}

func (s *session) deadlines(all []client.Deadline) {
	for _, d := range all {
		switch {
		case d.Met:
		case d.By == "":
			s.say("  %s: %s (%s)", d.What, d.Warning, d.Source)
		default:
			s.say("  %s: by %s (%s)", d.What, strings.TrimSpace(d.By+" "+d.Warning), d.Source)
		}
	}
}

func (s *session) tellCase(k *client.Case) {
	s.say("Case %s: %s, %s, received %s.", k.Reference, k.Type, k.State, k.Received)
	for _, step := range k.Steps {
		s.say("  %s  %s %s", step.On, step.Step, strings.Join(step.Grounds, ", "))
	}
	s.deadlines(k.Deadlines)
	for _, n := range k.Notices {
		s.tellNotice(&n, false)
	}
	for _, t := range k.Tasks {
		switch {
		case t.Done:
		case t.Act == "send-again":
			s.say("  %s: %s sends again what was stopped, with what is right", t.ID, t.Office)
		default:
			s.say("  %s: tell %s to %s what it was told on %s", t.ID, t.Office, t.Act, strings.Join(t.Made, ", "))
		}
	}
	if len(k.Possible) > 0 {
		s.paragraph("  ", "Possible now: %s", strings.Join(k.Possible, ", "))
	}
}

type noticesCommand struct {
	List   noticesListCommand   `cmd:"" default:"withargs" help:"List what we have been told to act on."`
	Answer noticesAnswerCommand `cmd:"" help:"Say what we have done about a notice."`
}

type noticesListCommand struct {
	State   string `enum:",sent,received,actioned,refused" default:"" placeholder:"STATE" help:"Only those that are sent, received, actioned or refused."`
	Overdue bool   `help:"Only those whose answer is overdue."`
	After   string `placeholder:"ID" help:"Only what comes after the page that ended with this."`
	Limit   int    `help:"How many at most."`
}

func (c *noticesListCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	page, err := hub.Notices(ctx, c.State, c.Overdue, c.After, c.Limit)
	if err != nil {
		return err
	}
	return s.print(page, func() {
		if len(page.Notices) == 0 {
			s.say("Nobody has told us to act on anything.")
		}
		for i := range page.Notices {
			s.tellNotice(&page.Notices[i], true)
		}
		if page.Next != "" {
			s.say("There is more: --after %s", page.Next)
		}
	})
}

// tellNotice says what a notice is about: to whom it went, or when it came to us, from whom.
func (s *session) tellNotice(n *client.Notice, came bool) {
	who := "to " + string(n.Recipient)
	if came {
		who = "from " + string(n.Sender)
	}
	s.say("  %s  %s, %s, %s, answer by %s", n.ID, n.Act, who, strings.TrimSpace(n.State+" "+n.Reason), n.Respond)
	for _, id := range n.Transfers {
		s.say("    transfer %s", id)
	}
	s.items("      ", n.Items)
	if came && n.PassOn {
		s.say("    Whom you have told of it has to be told, too.")
	}
}

type noticesAnswerCommand struct {
	ID        string `arg:"" help:"The notice's id, from 'partner notices'."`
	Status    string `arg:"" enum:"received,actioned,refused" help:"received, actioned or refused."`
	Reason    string `placeholder:"CODE" help:"With refused: impossible, disproportionate, legal-obligation, not-held or legal-claims."`
	Person    string `required:"" placeholder:"ID" help:"Who answers, by the id of our entry in the register."`
	MessageID string `placeholder:"ID" help:"Our own id of this answer: give the same to send it again."`
}

func (c *noticesAnswerCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	if c.MessageID == "" {
		c.MessageID = uuid.NewString()
	}
	n, err := hub.AnswerNotice(ctx, c.ID, client.NoticeAnswer{MessageID: c.MessageID, Status: c.Status, Reason: c.Reason, Person: c.Person})
	if err != nil {
		return err
	}
	return s.print(n, func() { s.say("Notice %s is now %s.", n.ID, n.State) })
}
