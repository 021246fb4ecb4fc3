package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

type auditCmd struct {
	Scheme   string              `help:"What kind of identifier is read: ${enum}." enum:"nhs-number,case-number,ni-number" default:"nhs-number" placeholder:"KIND"`
	Of       transfer.PartnerID  `help:"Whose case number it is: partners number people themselves." placeholder:"PARTNER"`
	Why      why                 `required:"" help:"Why you ask: it is logged with the question. Name nobody in it." placeholder:"REASON"`
	Transfer transfer.TransferID `help:"Ask about one transfer instead of a person." placeholder:"ID"`
}

// Help is what `hub audit --help` says besides.
func (auditCmd) Help() string {
	return `The identifier comes from standard input, so that it stays out of the shell's history and the process list.

	hub audit --why "subject access request of 3 March"
	hub audit --scheme case-number --of age-uk-hertfordshire --why "complaint" < number
	hub audit --transfer 01a1fff9-37cc-7922-ac67-9c7576e408b8 --why "wrong address"`
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
	if (c.Scheme == "case-number") != (c.Of != "") {
		return errors.New("--scheme case-number and --of go together: a case number means something to the partner that gave it and to nobody else")
	}
	return nil
}

// Run asks the hub's own log.
func (c *auditCmd) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	q := exchange.Query{Transfer: c.Transfer, Of: c.Of, Why: string(c.Why), Everyone: true}
	if c.Transfer == "" {
		if f, ok := e.stdin.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				fmt.Fprintf(e.stderr, "%s: ", c.Scheme)
			}
		}
		if q.Person, err = c.person(e.stdin); err != nil {
			return err
		}
	}
	var found []exchange.Entry
	var leaf int64
	err = server.WithExchange(e.ctx, cfg, e.logger("warn"), func(x *exchange.Exchange) error {
		if _, known := x.Index().Partner(c.Of); c.Of != "" && !known {
			return fmt.Errorf("--of: %s is not in the register: hub partner list shows who is", c.Of)
		}
		by := auth.Principal{Partner: operator, System: transfer.SystemID(operator) + "/command-line"}
		found, leaf, err = x.Search(e.ctx, by, q)
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range found {
		tell(e.stdout, f)
	}
	if len(found) == 0 {
		fmt.Fprintln(e.stdout, "The log has nothing under this: nothing was decided, and nobody received anything.")
	}
	fmt.Fprintf(e.stdout, "%s. That you asked is leaf %d.\n", client.Count(len(found), "entry"), leaf)
	return nil
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
	}
	fmt.Fprintf(w, "leaf %d  %s  %s\n", f.Index, l.At.Format("2006-01-02 15:04:05"), what)
	line := func(format string, args ...any) { fmt.Fprint(w, client.Wrap("  ", fmt.Sprintf(format, args...))) }
	if to := recipientOf(l); to != "" {
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
