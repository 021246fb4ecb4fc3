package agreement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// Record is one partner's record of the processing that its agreements describe, as Art 30 UK GDPR asks for: paragraph 1 where it is a controller,
// paragraph 2 where it works for one. It covers what goes through the hub and nothing else that the partner does.
type Record struct {
	Partner  transfer.PartnerID `json:"partner"`
	Name     string             `json:"name"`
	ICO      string             `json:"ico"`     // registration with the Information Commissioner
	Contact  transfer.Contact   `json:"contact"` // its Data Protection Lead
	Location string             `json:"location"`
	AsAt     time.Time          `json:"as_at"`
	From     time.Time          `json:"from,omitzero"` // of a record of what was disclosed (package traffic), and not of what may be
	To       time.Time          `json:"to,omitzero"`   // excluded
	Entries  []RecordEntry      `json:"entries"`
}

// RecordEntry is one clause under which the partner discloses or receives.
type RecordEntry struct {
	Clause      string           `json:"clause"` // "hertswise@1#refer"
	Agreement   string           `json:"agreement"`
	Digest      string           `json:"digest"`
	Standing    Standing         `json:"standing"`              // whether the agreement carries data as at the day of the record; empty without one
	Role        string           `json:"role"`                  // "controller", "joint-controller" or "processor"
	Side        string           `json:"side"`                  // "discloses" or "receives"
	Controllers []string         `json:"controllers,omitempty"` // of a processor: for whom it works
	Purpose     transfer.Purpose `json:"purpose"`
	Aim         string           `json:"aim"`
	Basis       string           `json:"basis"`            // in words, with its citations
	Policy      string           `json:"policy,omitempty"` // the appropriate policy document (DPA 2018 Schedule 1 para 41)
	Subjects    []string         `json:"subjects"`
	Categories  []string         `json:"categories"`        // of personal data
	Special     []string         `json:"special,omitempty"` // categories of special-category and criminal-offence data
	With        []RecordParty    `json:"with"`              // recipients, or of a recipient the sources
	Retention   []string         `json:"retention"`
	Security    []string         `json:"security,omitempty"`
	Disclosures int64            `json:"disclosures,omitempty"` // in a record of what was disclosed: how often, and when
	First       time.Time        `json:"first,omitzero"`
	Last        time.Time        `json:"last,omitzero"`
}

// RecordParty is who is on the other side.
type RecordParty struct {
	Name      string        `json:"name"`
	Kind      transfer.Kind `json:"kind"`
	Location  string        `json:"location"`            // empty for an office that is no partner: it is not on record
	Safeguard string        `json:"safeguard,omitempty"` // for a location outside the United Kingdom
}

// RecordOf makes a partner's record from the version of each agreement that counts at an instant, unless that version is over or a draft. It is not
// ok when the partner is not on the register.
func RecordOf(x *Index, partner transfer.PartnerID, at time.Time) (Record, bool) {
	p, ok := x.Partner(partner)
	if !ok {
		return Record{}, false
	}
	r := Record{Partner: p.ID, Name: p.Name, ICO: p.ICO, Contact: p.DPL, Location: p.Location, AsAt: at, Entries: []RecordEntry{}}
	for _, a := range x.agreements {
		current, _ := x.Current(a.ID, at)
		standing := a.Standing(at)
		if current != a || a.Status == Draft || standing == Ended || standing == ContractEnded {
			continue
		}
		for _, f := range clauses(a) {
			if slices.Contains(f.From, partner) {
				r.Entries = append(r.Entries, x.Entry(f, p, standing, "discloses", f.To))
			}
			if slices.Contains(f.To, partner) {
				r.Entries = append(r.Entries, x.Entry(f, p, standing, "receives", f.From))
			}
		}
	}
	return r, true
}

// Entry is what a record says of one flow for a partner who discloses or receives under it; others are on the other side.
func (x *Index) Entry(f *Flow, p *transfer.Partner, standing Standing, side string, others []transfer.PartnerID) RecordEntry {
	a := f.Agreement
	e := RecordEntry{
		Clause: f.ID, Agreement: a.Title, Digest: a.Digest, Standing: standing, Side: side, Purpose: f.Purpose,
		Subjects: []string{}, Categories: []string{}, With: []RecordParty{}, Retention: []string{},
	}
	for _, party := range a.Parties {
		switch {
		case party.Partner == p.ID:
			e.Role = party.Role
		case party.Role != "processor":
			e.Controllers = append(e.Controllers, x.nameOf(party.Partner))
		}
	}
	if e.Role != "processor" {
		e.Controllers = nil
	}
	if purpose, ok := a.Purpose(f.Purpose); ok {
		b := purpose.BasisFor(p.ID)
		e.Aim, e.Basis, e.Policy = purpose.Aim, ground(b), b.APD
	}
	e.describe(f)
	for _, id := range others {
		if other, ok := x.Partner(id); ok && id != p.ID {
			e.With = append(e.With, RecordParty{other.Name, other.Kind, other.Location, other.Safeguard})
		}
	}
	for _, r := range a.Retention {
		e.Retention = append(e.Retention, lo.Ternary(r.Items == "", "", words(r.Items)+": ")+r.String())
	}
	for _, measure := range []string{a.Security.Transfer, a.Security.Encryption, a.Security.Access, a.Security.Storage} {
		if measure != "" {
			e.Security = append(e.Security, measure)
		}
	}
	return e
}

// describe says whom the items of a clause are about, and what kinds of data they are.
func (e *RecordEntry) describe(f *Flow) {
	for _, role := range transfer.Roles() {
		if slices.ContainsFunc(f.items(), func(i contracts.Item) bool { return i.Role == role }) {
			e.Subjects = append(e.Subjects, roleWords[role])
		}
	}
	for _, item := range f.items() {
		if category := words(string(item.Category)); item.Special || item.Offence {
			e.Special = append(e.Special, category)
		} else {
			e.Categories = append(e.Categories, category)
		}
	}
	slices.Sort(e.Categories)
	slices.Sort(e.Special)
	e.Categories, e.Special = slices.Compact(e.Categories), slices.Compact(e.Special)
}

// items gives the items that may go.
func (f *Flow) items() []contracts.Item {
	var items []contracts.Item
	for i := range f.Allowed.All() {
		items = append(items, f.Contract.Items[i])
	}
	return items
}

// Markdown writes the record for people: a section for each clause.
func (r Record) Markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# Record of processing: %s\n\n", r.Name)
	what := "What goes through the referral hub"
	if !r.To.IsZero() {
		what = "What was disclosed "
		if !r.From.IsZero() {
			what += "from " + day(r.From) + " "
		}
		what += "to " + day(r.To.Add(-1)) + ", by the disclosure log"
	}
	fmt.Fprintf(&s, "As at %s. %s, as Art 30 UK GDPR asks for it.\n\n", day(r.AsAt), what)
	fmt.Fprintf(&s, "- Registration with the Information Commissioner: %s\n- Data protection: %s\n- Processes data in: %s\n",
		r.ICO, strings.Join(lo.Compact([]string{r.Contact.Name, r.Contact.Email, r.Contact.Phone}), ", "), r.Location)
	if len(r.Entries) == 0 {
		s.WriteString(lo.Ternary(r.To.IsZero(), "\nNo agreement lets anything go to it or from it.\n", "\nNothing went to it or from it.\n"))
	}
	for _, e := range r.Entries {
		fmt.Fprintf(&s, "\n## %s: %s\n\n", e.Clause, e.Agreement)
		verb, other := "Discloses", "Recipients"
		if e.Side == "receives" {
			verb, other = "Receives", "Sources"
		}
		row := func(name, value string) {
			if value != "" {
				fmt.Fprintf(&s, "| %s | %s |\n", name, strings.ReplaceAll(value, "|", `\|`))
			}
		}
		s.WriteString("| | |\n|---|---|\n")
		row(verb, "as a "+words(e.Role)+lo.Ternary(e.Standing == InForce || e.Standing == "", "", " ("+words(string(e.Standing))+")"))
		row("Works for", list(e.Controllers, "and"))
		row("Purpose", strings.TrimSuffix(string(e.Purpose)+": "+e.Aim, ": "))
		row("Ground", e.Basis)
		row("Policy document", e.Policy)
		row("People", strings.Join(e.Subjects, "; "))
		row("Personal data", strings.Join(e.Categories, ", "))
		row("Special-category and offence data", cmp.Or(strings.Join(e.Special, ", "), "none"))
		row(other, strings.Join(lo.Map(e.With, func(p RecordParty, _ int) string { return p.String() }), "; "))
		row("Kept for", strings.Join(e.Retention, "; "))
		row("Security", strings.Join(e.Security, "; "))
		row("Agreement", e.Digest)
		if e.Disclosures > 0 {
			times := lo.Ternary(e.Disclosures == 1, "once, on "+day(e.First), fmt.Sprintf("%d times, from %s to %s", e.Disclosures, day(e.First), day(e.Last)))
			row("Disclosed", times)
		}
	}
	return s.String()
}

// String names the party, and where it processes data when that is abroad.
func (p RecordParty) String() string {
	s := fmt.Sprintf("%s (%s)", p.Name, words(string(p.Kind)))
	if p.Location != "GB" && p.Location != "" {
		s += " in " + p.Location + ", " + cmp.Or(p.Safeguard, "no safeguard on record")
	}
	return s
}
