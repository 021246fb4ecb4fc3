package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

type auditCmd struct {
	Why      why                 `required:"" help:"Why you ask: it is logged with the question. Name nobody in it." placeholder:"REASON"`
	Person   bool                `help:"Ask about one person, whose identifier comes from standard input. Meant when nothing else is asked about."`
	Scheme   string              `help:"What kind of identifier is read: ${enum}." enum:"nhs-number,case-number,ni-number" default:"nhs-number" placeholder:"KIND"`
	Of       transfer.PartnerID  `help:"Whose case number it is: partners number people themselves." placeholder:"PARTNER"`
	Transfer transfer.TransferID `help:"Ask about one transfer instead of a person." placeholder:"ID"`

	client.Facets `embed:"" group:"What an entry has to say"`
	From          client.Instant `help:"Not before this day, or time." placeholder:"DAY" group:"What an entry has to say"`
	To            client.Instant `help:"Before this day, or time." placeholder:"DAY" group:"What an entry has to say"`

	Newest bool   `help:"The newest first."`
	Form   string `help:"Write it as ${enum}." enum:"text,csv,json,jsonl,auditevent,html" default:"text" placeholder:"FORM"`
	Out    string `help:"Write it into this file, which is whole or not there." placeholder:"FILE"`
}

// Help is what `hub audit --help` says besides.
func (auditCmd) Help() string {
	return `The identifier comes from standard input, so that it stays out of the shell's history and the process list.

	hub audit --why "subject access request of 3 March"
	hub audit --scheme case-number --of age-uk-hertfordshire --why "complaint" < number
	hub audit --transfer 01a1fff9-37cc-7922-ac67-9c7576e408b8 --why "wrong address"
	hub audit --recipient pohwer --kind release --from 2026-03-01 --why "yearly review"
	hub audit --item carer.addresses --form csv --out addresses.csv --why "breach of 4 March"`
}

// why is a reason that is written down for good.
type why string

// Validate keeps out of the log what could never be taken out again.
func (w why) Validate() error {
	switch {
	case len(strings.TrimSpace(string(w))) < 5:
		return errors.New(`say it in a few words, such as "subject access request of 3 March"`)
	case len(w) > 200:
		return errors.New("keep it below 200 characters")
	case exchange.HoldsNumber(string(w)):
		return errors.New("it holds a long number, and it is kept for good: leave identifiers out of it")
	}
	return nil
}

// Validate finds flags that do not go together.
func (c *auditCmd) Validate() error {
	switch {
	case (c.Scheme == "case-number") != (c.Of != ""):
		return errors.New("--scheme case-number and --of go together: a case number means something to the partner that gave it and to nobody else")
	case c.Person && c.Transfer != "":
		return errors.New("ask about a person or about a transfer: --person and --transfer do not go together")
	}
	return nil
}

// Run asks the hub's own log.
func (c *auditCmd) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	q := exchange.Query{Transfer: c.Transfer, Of: c.Of, Filter: c.filter(), Why: string(c.Why), Everyone: true, Newest: c.Newest}
	if c.Form != "text" {
		q.Form = c.Form
	}
	alone := c.Transfer == "" && c.Facets.Empty() && c.From.IsZero() && c.To.IsZero()
	if c.Person || c.Of != "" || alone {
		if f, ok := e.stdin.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				fmt.Fprintf(e.stderr, "%s: ", c.Scheme)
			}
		}
		if q.Person, err = c.person(e.stdin); err != nil {
			return err
		}
	}
	return server.WithExchange(e.ctx, cfg, e.logger("warn"), func(x *exchange.Exchange) error {
		if _, known := x.Index().Partner(c.Of); c.Of != "" && !known {
			return fmt.Errorf("--of: %s is not in the register: hub partner list shows who is", c.Of)
		}
		by := auth.Principal{Partner: operator, System: transfer.SystemID(operator) + "/command-line"}
		found, err := x.Search(e.ctx, by, q)
		if unknown := (*exchange.WordError)(nil); errors.As(err, &unknown) {
			return fmt.Errorf("--%s: %s", unknown.Field, unknown.Detail)
		}
		if err != nil {
			return err
		}
		write := func(w io.Writer) error { return c.write(e.ctx, w, found) }
		if c.Out == "" {
			return write(e.stdout)
		}
		if err := client.Whole(c.Out, write); err != nil {
			return err
		}
		summary(e.stdout, found.Size, found)
		return nil
	})
}

// filter puts the flags into the words of the exchange.
func (c *auditCmd) filter() exchange.Filter {
	f := c.Facets
	return exchange.Filter{
		Kinds:   lo.Map(f.Kinds, func(k string, _ int) ledger.Kind { return ledger.Kind(k) }),
		Partner: f.Partner, Sender: f.Sender, Recipient: f.Recipient, Agreement: f.Agreement, Version: f.Version, Flow: f.Flow, Purpose: f.Purpose,
		Service: f.Service, Item: f.Item, Category: contracts.Category(f.Category), Outcome: f.Outcome, Exception: f.Exception, State: f.State,
		From: c.From.Time, To: c.To.Time,
	}
}

// write gives the answer in the form that was asked for.
func (c *auditCmd) write(ctx context.Context, w io.Writer, found *exchange.Found) error {
	if c.Form != "text" {
		return found.Write(ctx, w, report.Form(c.Form))
	}
	out := bufio.NewWriter(w) // which keeps the first error for the end
	entries := 0
	for e, err := range together(found.Each(ctx)) {
		if err != nil {
			return err
		}
		tell(out, e)
		entries++
	}
	if entries == 0 && found.Next == nil {
		fmt.Fprintln(out, "The log has nothing under this: nothing was decided, and nobody received anything.")
	}
	summary(out, entries, found)
	return out.Flush()
}

func summary(w io.Writer, entries int, found *exchange.Found) {
	more := ""
	if found.Next != nil {
		more = " There are more: ask again by dates."
	}
	fmt.Fprintf(w, "%s. That you asked is leaf %d.%s\n", client.Count(entries, "entry"), found.Leaf, more)
}

// person reads whom it is asked about.
func (c *auditCmd) person(in io.Reader) (*contracts.Identifier, error) {
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the identifier: %w", err)
	}
	value := strings.TrimSpace(line)
	if c.Scheme == "nhs-number" {
		value = strings.NewReplacer(" ", "", "-", "").Replace(value)
	}
	switch {
	case value == "":
		return nil, errors.New("whom do you ask about? Give the identifier on standard input")
	case c.Scheme == "nhs-number" && !contracts.ValidNHSNumber(value):
		return nil, errors.New("that is not an NHS number: its check digit does not fit; it has ten digits")
	}
	return &contracts.Identifier{Scheme: c.Scheme, Value: value}, nil
}

// recipientOf is to whom a leaf says that something went or was to go.
func recipientOf(l *ledger.Leaf) string {
	if l.Recipient == "" && l.Disclosure != nil {
		return l.Disclosure.Office
	}
	return string(l.Recipient)
}

func exceptionOf(l *ledger.Leaf) string {
	if l.Exception == nil {
		return ""
	}
	return l.Exception.Kind
}

// grounds prints what a decision, a ruling or a disclosure rests on, and what comes with it.
func grounds(l *ledger.Leaf, line func(string, ...any)) {
	if e := l.Exception; e != nil {
		line("claimed as an exception: %s, decided by %s", e.Kind, e.Person)
	}
	if d := l.Demand; d != nil {
		line("demanded by %s: %s, reference %s", cmp.Or(d.By, d.Authority), d.Instrument, d.Reference)
	}
	if r := l.Ruling; r != nil {
		line("%s of %s, as %s: %s; looked at %s", l.Actor.Person, l.Actor.Partner, l.Actor.Role, r.Ground, strings.Join(r.Codes, ", "))
	}
	if d := l.Disclosure; d != nil {
		line("made on %s by %s, entered by %s", d.Made.Format("2006-01-02 15:04"), d.Person, l.Actor.Partner)
	}
	if l.Outcome != "" && !l.Outcome.Permits() && len(l.Reasons) > 0 {
		line("because %s", strings.Join(lo.Uniq(lo.Map(l.Reasons, func(r ledger.Reason, _ int) string { return r.Code })), ", "))
	}
	if client.Secret(exceptionOf(l), lo.Map(l.Obligations, func(o ledger.Obligation, _ int) string { return o.Code })) {
		line("%s", client.KeepFromThePerson)
	}
	for _, o := range l.Obligations {
		by := ""
		if !o.By.IsZero() {
			by = " by " + o.By.Format("2006-01-02")
		}
		line("with it, for the %s: %s%s", o.Who, o.Code, by)
	}
}

// together makes one entry of a release and the decision that was made for it: what left, and on what grounds. They stand side by side, in one
// order or the other.
func together(found iter.Seq2[exchange.Entry, error]) iter.Seq2[exchange.Entry, error] {
	return func(yield func(exchange.Entry, error) bool) {
		var held *exchange.Entry
		for e, err := range found {
			if err != nil {
				yield(e, err)
				return
			}
			if held != nil {
				one, joined := join(*held, e)
				if held = nil; !yield(one, nil) {
					return
				}
				if joined {
					continue
				}
			}
			if e.Leaf.ForRelease() || e.Leaf.Kind == ledger.KindRelease {
				held = &e
			} else if !yield(e, nil) {
				return
			}
		}
		if held != nil {
			yield(*held, nil)
		}
	}
}

// join puts the grounds of the one into the other, where one is the release that the other was decided for; otherwise it gives the first.
func join(a, b exchange.Entry) (exchange.Entry, bool) {
	decision, release := a, b
	if a.Leaf.RestsOn(b.Leaf) {
		decision, release = b, a
	}
	if !release.Leaf.RestsOn(decision.Leaf) {
		return a, false
	}
	both := *decision.Leaf
	both.Kind, both.State = release.Leaf.Kind, release.Leaf.State
	release.Leaf = &both
	return release, true
}

// tell prints an entry of the log. What a recipient received is named item by item; of what was only decided, how much it was.
func tell(w io.Writer, f exchange.Entry) {
	l := f.Leaf
	what := string(l.Kind)
	switch {
	case l.Outcome != "":
		what += ": " + string(l.Outcome)
	case l.Receipt != "":
		what += ": " + l.Receipt
	case l.Consent != nil:
		what += ": " + l.Consent.State
	case l.Ruling != nil:
		what += ": " + l.Ruling.Act
	case l.Disclosure != nil:
		what += " outside the hub, by " + l.Disclosure.How
	case l.Query != nil:
		what += " by " + string(l.Actor.System)
	case l.Case != nil:
		what = l.Case.Type + ": " + l.Case.Step
	case l.Notice != nil:
		what += " to " + l.Notice.Act
		if l.Notice.Status != "" {
			what += ": " + l.Notice.Status
		}
	}
	fmt.Fprintf(w, "leaf %d  %s  %s\n", f.Index, l.At.Format("2006-01-02 15:04:05"), what)
	line := func(format string, args ...any) { fmt.Fprint(w, client.Wrap("  ", fmt.Sprintf(format, args...))) }
	if k := l.Case; k != nil {
		due := ""
		if k.Due != "" {
			due = ", next due " + k.Due
		}
		line("%s of %s%s", k.Reference, l.Sender, due)
		if l.Actor.Person != "" {
			line("by %s, as %s", l.Actor.Person, l.Actor.Role)
		}
	}
	if n := l.Notice; n != nil {
		line("from %s to %s: %s, in %s", l.Sender, l.Recipient, n.ID, n.Case)
	} else if to := recipientOf(l); to != "" {
		under := ""
		if l.Agreement != nil {
			under = ", under " + l.Agreement.Flow
		}
		line("%s to %s, for %s%s", l.Sender, to, l.Purpose, under)
	}
	grounds(l, line)
	if c := l.Consent; c != nil {
		to := ""
		for i, r := range c.Recipients {
			to += []string{", to ", " and "}[min(i, 1)] + string(r)
		}
		line("recorded by %s, for %s%s", l.Actor.Partner, c.Purpose, to)
	}
	if q := l.Query; q != nil {
		asked := cmp.Or(map[string]string{"person": "asked about this person", "transfer": "asked about this transfer"}[q.Kind], "asked for a "+q.Kind)
		line("%s: %s", strings.TrimSpace(asked+" "+q.Filter), q.Why)
		if q.Refused != "" {
			line("refused: %s", q.Refused)
		}
	}
	var items []string
	for _, s := range l.Subjects {
		if f.About == "" || s.Commitment == f.About {
			items = append(items, s.Items...)
		}
	}
	switch {
	case l.Kind == ledger.KindRelease, l.Kind == ledger.KindDisclosure:
		fmt.Fprintf(w, "  %s received:\n", client.Count(len(items), "item"))
		for _, s := range client.Sections(items) {
			fmt.Fprint(w, client.Wrap("    ", s))
		}
	case len(items) > 0 && l.Outcome.Permits():
		fmt.Fprintf(w, "  %s may go\n", client.Count(len(items), "item"))
	}
}
