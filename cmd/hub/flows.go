package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/renameio/v2/maybe"
	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/dates"
	"referralhub/hub/exchange"
	"referralhub/hub/server"
	"referralhub/hub/traffic"
	"referralhub/hub/transfer"
)

type flowsCmd struct {
	From    dates.Date         `help:"Leave out what was disclosed before this day." placeholder:"DATE"`
	To      dates.Date         `help:"Leave out what was disclosed after this day." placeholder:"DATE"`
	Partner transfer.PartnerID `help:"Only what this partner sent and received, as it sees it." placeholder:"PARTNER"`
	Record  bool               `help:"The partner's record of processing (Art 30), from what was disclosed."`
	JSON    bool               `help:"For other programs." name:"json" xor:"form"`
	CSV     bool               `help:"For spreadsheets." name:"csv" xor:"form"`
	SVG     string             `help:"Draw a picture into this file." name:"svg" xor:"form" placeholder:"FILE"`
}

// Help is what `hub flows --help` says besides.
func (flowsCmd) Help() string {
	return `Who sent what to whom, for which purpose and under which clause, how often, and when first and last: all of it from the log, beside what the
agreements declare now. First comes what went and is not declared; then what is declared and never went.

	hub flows --from 2026-04-01 --to 2026-06-30
	hub flows --svg flows.svg
	hub flows --partner hils --record > record.md`
}

// Validate finds flags that do not go together.
func (c *flowsCmd) Validate() error {
	switch {
	case c.Record && c.Partner == "":
		return errors.New("--record is of one partner: name it with --partner")
	case c.Record && (c.CSV || c.SVG != ""):
		return errors.New("--record is a page, or JSON with --json")
	case !c.To.IsZero() && c.To.Before(c.From):
		return errors.New("--to comes before --from")
	}
	return nil
}

func (c *flowsCmd) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	return server.WithExchange(e.ctx, cfg, e.logger("warn"), func(x *exchange.Exchange) error {
		if _, known := x.Index().Partner(c.Partner); c.Partner != "" && !known {
			return fmt.Errorf("--partner: %s is not in the register: hub partner list shows who is", c.Partner)
		}
		if c.Record {
			return c.record(e, x)
		}
		m, err := x.Flows(e.ctx, c.Partner, c.From.Start(), c.To.End())
		if err != nil {
			return err
		}
		switch {
		case c.JSON:
			return indented(e.stdout, m)
		case c.CSV:
			return m.CSV(e.stdout)
		case c.SVG != "":
			return c.draw(&m, func(id transfer.PartnerID) string {
				if p, known := x.Index().Partner(id); known {
					return p.Name
				}
				return string(id)
			})
		}
		tellFlows(e.stdout, &m)
		return nil
	})
}

func (c *flowsCmd) record(e *env, x *exchange.Exchange) error {
	record, _, err := x.Processing(e.ctx, c.Partner, c.From.Start(), c.To.End())
	switch {
	case err != nil:
		return err
	case c.JSON:
		return indented(e.stdout, record)
	}
	_, err = io.WriteString(e.stdout, record.Markdown())
	return err
}

func indented(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// draw leaves nothing under the name of the file unless the picture is whole.
func (c *flowsCmd) draw(m *traffic.Map, name func(transfer.PartnerID) string) error {
	var picture bytes.Buffer
	if err := m.Picture(&picture, name); err != nil {
		return err
	}
	return maybe.WriteFile(c.SVG, picture.Bytes(), 0o644)
}

func tellFlows(w io.Writer, m *traffic.Map) {
	undeclared, declared := lo.FilterReject(m.Flows, func(f traffic.Flow, _ int) bool { return f.Undeclared != "" })
	tell := func(heading string, flows []traffic.Flow) {
		if len(flows) == 0 {
			return
		}
		fmt.Fprintf(w, "%s\n", heading)
		for i := range flows {
			tellFlow(w, &flows[i])
		}
		fmt.Fprintln(w)
	}
	tell("Used, and not declared now", undeclared)
	tell("Used, and declared", declared)
	if len(m.Unused) > 0 {
		fmt.Fprintln(w, "Declared, and never used")
		clauses := lo.GroupBy(m.Unused, func(p traffic.Pair) string { return p.Clause })
		for _, clause := range slices.Sorted(maps.Keys(clauses)) {
			pairs := lo.Map(clauses[clause], func(p traffic.Pair, _ int) string { return string(p.Sender) + " to " + string(p.Recipient) })
			fmt.Fprint(w, client.Wrap("  ", clause+": "+strings.Join(pairs, ", ")))
		}
		fmt.Fprintln(w)
	}
	if len(m.Idle) > 0 {
		fmt.Fprintln(w, "Items that a clause in use lets go, and that never went under it")
		for _, i := range m.Idle {
			fmt.Fprint(w, client.Wrap("  ", fmt.Sprintf("%s, %s: %s", i.Clause, i.Message, strings.Join(client.Sections(i.Items), "; "))))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s used, %d of them not declared now; %s declared and never used.\n",
		client.Count(len(m.Flows), "flow"), len(undeclared), client.Count(len(m.Unused), "pair"))
}

func tellFlow(w io.Writer, f *traffic.Flow) {
	under := ""
	if f.Clause != "" {
		under = ", under " + f.Clause
	}
	fmt.Fprint(w, client.Wrap("  ", fmt.Sprintf("%s to %s, for %s%s: %s, from %s to %s", f.Sender, cmp.Or(string(f.Recipient), f.Office), f.Purpose, under,
		client.Count(f.Disclosures, "time"), dates.On(f.First), dates.On(f.Last))))
	fmt.Fprint(w, client.Wrap("    ", f.Detail))
	fmt.Fprint(w, client.Wrap("    ", strings.Join(client.Sections(f.Items), "; ")))
}
