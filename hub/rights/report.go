package rights

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/report"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Reader is for whom a report is made.
type Reader string

// The readers of a report. The person's leaves out what must not be told to them, and does not show that it does; the Data Protection Lead's has
// it, with why.
const (
	ForPerson Reader = "person"
	ForDPL    Reader = "dpl"
)

// Ask says which report is wanted.
type Ask struct {
	For  Reader
	Form string             // "json", "html" or "text"
	Of   transfer.PartnerID // in a case of the operator: of whose disclosures; a letter to the person comes from one controller
	From time.Time
	To   time.Time
}

// Reported is a report.
type Reported struct {
	Form string
	Text []byte
	Log  Place // the leaf that says that it was made
}

// listed is an entry of a report: a release or a disclosure outside the hub.
type listed struct {
	exchange.Entry
	About string          // the person's commitment
	Rests *exchange.Entry // the decision behind it; nil where there is none, or it is not the reader's to see
	Kept  string          // why it is not told to the person, as a code; empty when it is
	// Received says that the partner whose case it is was given it, and did not give it.
	Received bool
}

// entries lists what the partner gave to whom about the person, and what it was given by whom. What others weighed when they gave it is not theirs
// to see, but it is heeded.
func (w *work) entries() []listed {
	var out []listed
	revealed := w.revealed()
	for _, who := range w.all {
		commitment := w.Commitment(who)
		history := w.own(who)
		accused := accusing(w.History(who), commitment)
		for i, e := range history {
			l := e.Leaf
			gave, got := l.Sender == w.k.Partner || w.operator(), l.Recipient == w.k.Partner && l.Kind == ledger.KindRelease
			about := slices.ContainsFunc(l.Subjects, func(s ledger.Subject) bool {
				return s.Commitment == commitment && len(s.Items) > 0 && (w.k.Role == "" || s.Role == w.k.Role)
			})
			if l.Kind != ledger.KindRelease && l.Kind != ledger.KindDisclosure || !about || !gave && !got {
				continue
			}
			rests := weighed(history[:i], e)
			entry := listed{Entry: e, About: commitment, Rests: rests, Kept: w.kept(l, rests), Received: !gave}
			if slices.Contains(accused, l.Sender) {
				entry.Kept = "harms-somebody"
			}
			if entry.Received {
				entry.Rests = nil
			}
			if entry.Received && entry.Kept != "" {
				entry.Kept = "sender-restricted"
			}
			if slices.Contains(revealed, Place{e.Origin, e.Index}) {
				entry.Kept = ""
			}
			out = append(out, entry)
		}
	}
	return out
}

// accusing lists the senders who have said that the person does harm to somebody, or must not be told of a child's referral: whoever lives with
// them may not be known to have asked for help (DPA 2018 Sch 3; domain.md section 4.4, C10).
func accusing(history []exchange.Entry, commitment string) []transfer.PartnerID {
	quiet := (policy.AllegedPerpetrator | policy.ParentConflict).Names()
	var out []transfer.PartnerID
	for _, e := range history {
		for _, s := range e.Leaf.Subjects {
			if s.Commitment == commitment && slices.ContainsFunc(s.Facts, func(f string) bool { return slices.Contains(quiet, f) }) {
				out = append(out, e.Leaf.Sender)
			}
		}
	}
	return out
}

func (w *work) revealed() []Place {
	var out []Place
	for _, s := range w.k.Steps {
		if s.Step == reveal {
			out = append(out, s.Entries...)
		}
	}
	return out
}

// weighed is the decision that a release rests on, directly before it in its log; nil for what rests on none.
func weighed(before []exchange.Entry, e exchange.Entry) *exchange.Entry {
	for i := range slices.Backward(before) {
		if d := &before[i]; d.Origin == e.Origin && d.Index == e.Index-1 && e.Leaf.RestsOn(d.Leaf) {
			return d
		}
	}
	return nil
}

// Purposes and paragraphs of DPA 2018 Schedule 1 under which telling the person may harm somebody or hinder the police (Schedules 2 and 3; domain.md
// section 2.5).
var (
	quietPurposes   = []transfer.Purpose{"crime", "safeguarding", "safeguarding-board"}
	quietConditions = []string{"para 10", "para 11", "para 12", "para 14", "para 15", "para 18"}
)

// kept is why an entry is not told to the person it is about, as a code, or empty (domain.md sections 4.3 and 10.1). It errs on the side of
// silence: what was kept for nothing can be told later, by the step "reveal".
func (w *work) kept(l *ledger.Leaf, rests *exchange.Entry) string {
	weighed := l
	if rests != nil {
		weighed = rests.Leaf
	}
	to, _ := w.Index().Partner(l.Recipient)
	switch x := weighed.Exception; {
	case x != nil && x.Kind == "crime-report":
		return "tipping-off" // E6, rule 001-17
	case x != nil && x.InformingRaisesRisk:
		return "informing-raises-risk" // rule 003-4
	case x != nil && x.Kind == "safeguarding":
		return "safeguarding" // E3
	case weighed.Undertaking != nil && weighed.Undertaking.NotInformed != "":
		return "not-informed-" + weighed.Undertaking.NotInformed // rule 003-4
	case weighed.Demand != nil && weighed.Demand.Instrument != "regulator":
		return "demand" // DPA 2018 Sch 2 paras 2 and 5: nobody has said that the person may know
	case to != nil && to.Kind == transfer.Police:
		return "crime"
	case slices.Contains(quietPurposes, l.Purpose):
		return string(l.Purpose)
	case slices.ContainsFunc(quietConditions, func(para string) bool { return under(w.schedule1(l), para) }):
		return "schedule-1"
	}
	return ""
}

// under reports whether a condition is a paragraph or a part of it: "para 18(1)(a)" is under "para 18".
func under(condition, para string) bool {
	rest, is := strings.CutPrefix(condition, para)
	return is && (rest == "" || rest[0] == '(')
}

func (w *work) schedule1(l *ledger.Leaf) string {
	if l.Disclosure != nil {
		return l.Disclosure.Basis.Schedule1
	}
	if f := w.flow(l.Agreement); f != nil {
		return f.Basis.Schedule1
	}
	return ""
}

// flow is the clause that a leaf names; nil when the register has it no more.
func (w *work) flow(a *ledger.Agreement) *agreement.Flow {
	if a == nil {
		return nil
	}
	version, known := w.Index().Agreement(a.ID, a.Version)
	if !known {
		return nil
	}
	for _, f := range version.Flows {
		if f.ID == a.Flow {
			return f
		}
	}
	return nil
}

// restedOnConsent reports whether what a leaf tells of may have rested on the person's consent.
func (w *work) restedOnConsent(a *ledger.Agreement) bool {
	f := w.flow(a)
	return f == nil || f.Basis.Article6 == "a" || f.Basis.Article9 == "a"
}

// Report answers a person, or the Data Protection Lead, who received what about the person of a case (Art 15(1)(c), Art 19; domain.md section 10.1).
// That it was made is a leaf before it is answered. The errors are ErrNoCase, *contracts.InvalidError and
// *Impossible.
func (r *Rights) Report(ctx context.Context, by exchange.Principal, reference string, ask Ask) (*Reported, error) {
	row, err := r.row(ctx, by, reference)
	if err != nil {
		return nil, err
	}
	switch joint := r.operates(row.Partner); {
	case joint && ask.Of == "" && ask.Form != "json":
		return nil, invalid("?of", "required", "a letter comes from one controller, and this case is about what all of them did", "name the partner, or use json")
	case !joint && ask.Of != "":
		return nil, invalid("?of", "unexpected", "this case is about what one partner did", "leave it out")
	}
	op := &reporting{r: r, by: by, before: row, ask: ask}
	if err := r.cfg.Exchange.Do(ctx, op); err != nil {
		return nil, err
	}
	_, checkpoint, err := r.cfg.Store.Log(ctx, r.cfg.Origin).Head()
	if err != nil {
		return nil, fmt.Errorf("read the head of log %s: %w", r.cfg.Origin, err)
	}
	if err := op.readStates(ctx); err != nil {
		return nil, err
	}
	out := &Reported{Form: ask.Form, Log: op.log}
	var text bytes.Buffer
	if err := op.render(&text, string(checkpoint)); err != nil {
		return nil, fmt.Errorf("write the report of case %s: %w", reference, err)
	}
	out.Text = text.Bytes()
	return out, nil
}

// withheld are the items of which the person is not told that they were given: what is said of danger, of harm and of offences, by whoever saw it.
// A letter lies open at home, and for the person a disclosure without them is one with less in it. The Data Protection Lead's report has them.
var withheld = sync.OnceValue(func() []string {
	quiet := []contracts.Category{"risk", "safeguarding", "offence"}
	facts := []string{"alleged-perpetrator", "do-not-contact-parent", "contact-prohibited", "address-protected"}
	var out []string
	for _, t := range contracts.Types() {
		contract, people := contracts.For(t)
		if !people {
			continue // it is about nobody
		}
		for _, item := range contract.Items {
			if item.Offence || slices.Contains(quiet, item.Category) || slices.Contains(facts, item.Fact) {
				out = append(out, item.Name)
			}
		}
	}
	return out
})

// readStates reads what became of what is reported.
func (o *reporting) readStates(ctx context.Context) error {
	ids := lo.FilterMap(o.found, func(e listed, _ int) (transfer.TransferID, bool) { return e.Leaf.Transfer, e.Leaf.Transfer != "" })
	rows, err := o.r.cfg.Store.Transfers(ctx, lo.Uniq(ids))
	if err != nil {
		return fmt.Errorf("read transfers: %w", err)
	}
	o.states = lo.SliceToMap(rows, func(t store.Transfer) (transfer.TransferID, transfer.State) { return t.ID, t.State })
	return nil
}

// reporting is a report that is being made.
type reporting struct {
	r      *Rights
	by     exchange.Principal
	before *store.Case
	ask    Ask

	k     *Case
	at    time.Time
	actor ledger.Actor
	found []listed
	log   Place

	states map[transfer.TransferID]transfer.State
}

func (o *reporting) Reads(r *exchange.Reads) {
	r.Case(o.before.Reference)
	r.NoticesOf(o.before.Reference)
	r.Subject(o.before.Subject)
}

func (o *reporting) Judge(s *exchange.Session) error {
	w, err := o.r.resume(s, o.before.Reference)
	if err != nil {
		return err
	}
	if !slices.Contains([]Type{Access, Portability, Rectification, Erasure, Restriction, Objection, Withdrawal}, w.k.Type) {
		return exchange.Answered(&Impossible{Why: "a case of type " + string(w.k.Type) + " has no report about a person"})
	}
	if o.ask.For == ForPerson && (w.k.State == Identity || w.k.State == Refused) {
		return exchange.Answered(&Impossible{
			Reference: w.k.Reference, State: w.k.State, Possible: o.r.possible(w.k),
			Why: "the report for the person is made for somebody who has shown who they are, and was not refused",
		})
	}
	o.found = slices.DeleteFunc(w.entries(), func(e listed) bool {
		at := e.Leaf.At
		return !o.ask.From.IsZero() && at.Before(o.ask.From) || !o.ask.To.IsZero() && !at.Before(o.ask.To) ||
			o.ask.Of != "" && e.Leaf.Sender != o.ask.Of && e.Leaf.Recipient != o.ask.Of ||
			o.ask.For == ForPerson && e.Kept != "" || w.k.Type == Portability && !w.portable(e.Leaf)
	})
	o.k, o.at, o.actor = w.k, s.At(), ledger.Actor{Partner: o.by.Partner, System: o.by.System}
	o.log = Place{o.r.cfg.Origin, s.Leaf(&ledger.Leaf{
		Kind: ledger.KindQuery, Actor: o.actor,
		Query: &ledger.Query{
			Kind: "report", Subject: w.commitment, Why: string(w.k.Type) + " " + w.k.Reference, Found: len(o.found), Filter: "for=" + string(o.ask.For),
			Form: o.ask.Form,
		},
	}, w.commitment)}
	return nil
}

// portable reports whether Art 20 covers what a transfer held: the basis is consent or a contract with the person.
func (w *work) portable(l *ledger.Leaf) bool {
	f := w.flow(l.Agreement)
	return f != nil && (f.Basis.Article6 == "a" || f.Basis.Article6 == "b") && l.Sender == w.k.Partner
}

func (o *reporting) render(to io.Writer, checkpoint string) error {
	index := o.r.cfg.Exchange.Index()
	var entries []report.Entry
	for _, e := range o.found {
		if e.Rests != nil {
			entries = append(entries, report.Entry{Origin: e.Rests.Origin, Index: e.Rests.Index, Leaf: e.Rests.Leaf, About: e.About})
		}
		entries = append(entries, report.Entry{Origin: e.Origin, Index: e.Index, Leaf: e.Leaf, About: e.About, State: o.states[e.Leaf.Transfer]})
	}
	if o.ask.Form == "json" {
		return o.json(to, checkpoint)
	}
	if o.ask.For == ForDPL && o.ask.Form == "html" {
		h := report.Head{
			Index: index, Question: o.question(), By: o.actor, Why: string(o.k.Type) + " " + o.k.Reference, At: o.at, Query: report.Place(o.log),
			Checkpoint: checkpoint,
		}
		if !o.r.operates(o.by.Partner) {
			h.For = o.by.Partner
		}
		_, err := report.HTML.Write(to, &h, report.Each(entries))
		return err
	}
	if o.ask.For == ForDPL {
		if err := o.marked(to); err != nil {
			return err
		}
	}
	s := report.Statement{
		Index: index, By: cmp.Or(o.ask.Of, o.k.Partner), Reference: o.k.Reference, At: o.at, From: o.ask.From, To: o.ask.To, Entries: entries,
		Checkpoint: checkpoint,
	}
	if o.ask.For == ForPerson {
		s.Withheld = withheld()
	}
	if o.ask.Form == "html" {
		return s.HTML(to)
	}
	return s.Text(to)
}

// question says for the Data Protection Lead what the report is about, and what of it is not told to the person.
func (o *reporting) question() []report.Line {
	out := []report.Line{{Name: "case", Value: o.k.Reference}, {Name: "for", Value: "Data Protection Lead"}}
	for _, e := range o.found {
		if e.Kept != "" {
			out = append(out, report.Line{Name: "not told to the person", Value: fmt.Sprintf("%s %d: %s", e.Origin, e.Index, e.Kept)})
		}
	}
	return out
}

// marked says before a text for the Data Protection Lead what of it is not told to the person.
func (o *reporting) marked(to io.Writer) error {
	for _, line := range o.question()[2:] {
		if _, err := fmt.Fprintf(to, "NOT TOLD TO THE PERSON: %s\n", line.Value); err != nil {
			return err
		}
	}
	return nil
}

// reportJSON is a report as a program reads it.
type reportJSON struct {
	Case       string             `json:"case"`
	For        Reader             `json:"for"`
	Partner    transfer.PartnerID `json:"partner"`
	MadeAt     time.Time          `json:"made_at"`
	Entries    []reportEntry      `json:"entries"`
	QueryLeaf  Place              `json:"query_leaf"`
	Checkpoint string             `json:"checkpoint"`
}

type reportEntry struct {
	At        time.Time           `json:"at"`
	Sender    transfer.PartnerID  `json:"sender"`
	Recipient transfer.PartnerID  `json:"recipient,omitempty"`
	Office    string              `json:"office,omitempty"`
	How       string              `json:"how,omitempty"`
	Transfer  transfer.TransferID `json:"transfer_id,omitempty"`
	Role      transfer.Role       `json:"role"`
	Items     []string            `json:"items"`
	Purpose   transfer.Purpose    `json:"purpose"`
	Service   transfer.Service    `json:"service,omitempty"`
	Basis     string              `json:"basis,omitempty"`     // "Art 6(1)(a), Art 9(2)(a)"
	Agreement string              `json:"agreement,omitempty"` // "hertswise@1"
	Retention []string            `json:"retention,omitempty"` // in words
	NotTold   string              `json:"not_told,omitempty"`  // why the person is not told of it
	Log       Place               `json:"log"`
}

func (o *reporting) json(to io.Writer, checkpoint string) error {
	out := reportJSON{
		Case: o.k.Reference, For: o.ask.For, Partner: o.k.Partner, MadeAt: o.at, Entries: []reportEntry{}, QueryLeaf: o.log, Checkpoint: checkpoint,
	}
	for _, e := range o.found {
		if entry := o.entry(&e); len(entry.Items) > 0 {
			out.Entries = append(out.Entries, entry)
		}
	}
	return json.NewEncoder(to).Encode(out)
}

func (o *reporting) entry(e *listed) reportEntry {
	l := e.Leaf
	out := reportEntry{
		At: l.At, Sender: l.Sender, Recipient: l.Recipient, Transfer: l.Transfer, Purpose: l.Purpose, Service: l.Service, NotTold: e.Kept,
		Log: Place{e.Origin, e.Index},
	}
	for _, s := range l.Subjects {
		if s.Commitment == e.About {
			out.Role, out.Items = s.Role, union(out.Items, s.Items)
		}
	}
	if o.ask.For == ForPerson {
		out.Items = lo.Without(out.Items, withheld()...)
	}
	if d := l.Disclosure; d != nil {
		out.At, out.Office, out.How, out.Basis = d.Made, d.Office, d.How, basisText(d.Basis.Article6, d.Basis.Article9, d.Basis.Schedule1)
	}
	if a := l.Agreement; a != nil {
		out.Agreement = fmt.Sprintf("%s@%d", a.ID, a.Version)
		if version, known := o.r.cfg.Exchange.Index().Agreement(a.ID, a.Version); known {
			out.Retention = retentionText(version.Retention)
			for _, f := range version.Flows {
				if f.ID == a.Flow {
					out.Basis = basisText(f.Basis.Article6, f.Basis.Article9, f.Basis.Schedule1)
				}
			}
		}
	}
	return out
}

func retentionText(rules []agreement.Retention) []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		if out[i] = r.String(); r.Items != "" {
			out[i] = r.Items + ": " + out[i]
		}
	}
	return out
}

func basisText(article6, article9, schedule1 string) string {
	var parts []string
	if article6 != "" {
		parts = append(parts, "Art 6(1)("+article6+")")
	}
	if article9 != "" {
		parts = append(parts, "Art 9(2)("+article9+")")
	}
	if schedule1 != "" {
		parts = append(parts, "DPA 2018 Sch 1 "+schedule1)
	}
	return strings.Join(parts, ", ")
}
