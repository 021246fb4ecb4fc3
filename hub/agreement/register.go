package agreement

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"referralhub/hub/transfer"
)

// The closed vocabularies of a register.
var (
	kinds = []string{
		string(transfer.Council), string(transfer.NHS), string(transfer.FireAndRescue), string(transfer.Charity),
		string(transfer.Advocacy), string(transfer.Housing), string(transfer.Company), string(transfer.Regulator),
		string(transfer.Government), string(transfer.Police), string(transfer.Court), string(transfer.School),
		string(transfer.Board), string(transfer.Individuals), string(transfer.Operator),
	}
	dsptStatuses = []string{"approaching-standards", "standards-met", "standards-exceeded"}
	// algorithms are asymmetric: with "none" or an HMAC anybody who can verify an assertion could make one.
	algorithms = []string{"EdDSA", "ES256", "ES384", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}
	scopes     = []string{
		"referrals:send", "decisions:ask", "inbox:read", "receipts:write", "consents:write", "transfers:read",
		"disclosures:search", "disclosures:enter", "holds:read", "holds:settle", "exceptions:claim", "requests:handle", "log:read", "agreements:act",
		"cases:handle", "notices:answer",
	}
	adapters = []string{"mailbox", "webhook"}
)

var (
	slug    = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	country = regexp.MustCompile(`^[A-Z]{2}$`)
	email   = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	digits8 = regexp.MustCompile(`^([0-9]{8}|[A-Z]{2}[0-9]{6})$`)
	charity = regexp.MustCompile(`^[0-9]{6,8}(-[0-9]+)?$`)
	ico     = regexp.MustCompile(`^Z[A-Z]?[0-9]{6,7}$`)
	ods     = regexp.MustCompile(`^[A-Z0-9]{3,6}$`)
)

// register compiles a register file. A partner with faults is still known to the agreements, so that one mistake is
// reported once.
func (c *compiler) register(f *registerFile) {
	for i := range f.Partners {
		e := &f.Partners[i]
		c.wellFormed(e.ID, slug, `Write a lower-case name with hyphens, such as "age-uk-hertfordshire".`)
		id := transfer.PartnerID(e.ID.value)
		if _, twice := c.partners[id]; twice && !e.ID.empty() {
			c.fault(e.ID.place, "duplicate-partner", "Keep one of the two.", "%s is on the register twice", id)
			continue
		}
		p := &transfer.Partner{
			ID: id, Name: e.Name.value, Kind: transfer.Kind(c.oneOf(e.Kind, "kind of partner", kinds)),
			ODS: e.ODS.value, Charity: e.Charity.value, Company: e.Company.value, ICO: e.ICO.value,
			DPL:       transfer.Contact{Name: e.DPL.Name.value, Email: e.DPL.Email.value, Phone: e.DPL.Phone.value},
			Location:  e.Location.value,
			Safeguard: e.Safeguard.value,
			Suspended: !e.Suspended.empty(), SuspendedReason: e.Suspended.value,
			Delivery:  c.delivery(&e.Delivery),
			Successor: transfer.PartnerID(e.Successor.value),
			Profile: transfer.Profile{
				SpecialOnLegalGrounds: e.Profile.SpecialOnLegalGrounds.value, ParentBelow: e.Profile.ParentBelow.value,
				Complaints: c.oneOf(e.Profile.Complaints, "procedure for complaints", []string{transfer.ThreeStages}),
			},
			People: c.people(e), Functions: values(e.Functions),
		}
		if e.DSPT != nil {
			p.DSPT = transfer.DSPT{Status: c.oneOf(e.DSPT.Status, "status of the toolkit", dsptStatuses)}
			p.DSPT.Expires = e.DSPT.Expires.value.String()
		}
		if e.Profile.ParentBelow.value > 18 {
			c.fault(e.Profile.ParentBelow.place, "format", "Write an age up to 18: from then on nobody needs a parent.",
				"%d is no age of a child", e.Profile.ParentBelow.value)
		}
		c.wellFormed(e.ODS, ods, "An ODS code has three to six capitals and digits.")
		c.wellFormed(e.Charity, charity, "A charity number has six to eight digits.")
		c.wellFormed(e.Company, digits8, "A company number has eight digits, or two capitals and six digits.")
		c.wellFormed(e.ICO, ico, `An ICO registration looks like "Z1234567" or "ZA123456".`)
		c.wellFormed(e.DPL.Email, email, "Write the e-mail address of an office.")
		c.wellFormed(e.Location, country, `Write an ISO 3166 country code, such as "GB".`)
		p.Systems = c.systems(e, id)
		c.partners[id] = p
		if !e.Successor.empty() {
			c.successors = append(c.successors, successor{c.file, id, e.Successor})
		}
	}
}

// successor is a claim of the register that waits until all of it has been read.
type successor struct {
	file string
	of   transfer.PartnerID
	name text
}

// checkSuccessors follows the successors of every partner: each is on the register, and none comes round to where it began.
func (c *compiler) checkSuccessors() {
	for _, s := range c.successors {
		c.file = s.file
		if _, known := c.partner(s.name); !known {
			continue
		}
		seen := map[transfer.PartnerID]bool{s.of: true}
		for id := transfer.PartnerID(s.name.value); id != ""; {
			if seen[id] {
				c.fault(s.name.place, "successor", "Name the body that does the work today, or leave it out.",
					"whoever follows the successors of %s comes round to %s again", s.of, id)
				break
			}
			seen[id] = true
			p, known := c.partners[id]
			if !known {
				break // reported where it is named
			}
			id = p.Successor
		}
	}
}

// people reads who may act for a partner. The log names them by id, so an id is a word of the partner's own and no address.
func (c *compiler) people(e *partnerEntry) []transfer.Person {
	var people []transfer.Person
	for _, p := range e.People {
		c.wellFormed(p.ID, slug, `Write a word of your own, such as "dpl-1": the log names the person by it.`)
		if slices.ContainsFunc(people, func(q transfer.Person) bool { return q.ID == p.ID.value }) && !p.ID.empty() {
			c.fault(p.ID.place, "duplicate-person", "Give each an id of their own.", "%s is given twice", p.ID)
			continue
		}
		person := transfer.Person{ID: p.ID.value, Office: p.Office.value}
		for _, role := range c.eachOf(p.Roles, "role of staff", spelt(transfer.StaffRoles())) {
			person.Roles = append(person.Roles, transfer.StaffRole(role))
		}
		people = append(people, person)
	}
	return people
}

// wellFormed checks the form of a value that is given.
func (c *compiler) wellFormed(t text, form *regexp.Regexp, remedy string) {
	if !t.empty() && !form.MatchString(t.value) {
		c.fault(t.place, "format", remedy, "%q is not well formed", t.value)
	}
}

func (c *compiler) systems(e *partnerEntry, partner transfer.PartnerID) []transfer.System {
	var systems []transfer.System
	for _, s := range e.Systems {
		prefix, name, _ := strings.Cut(s.ID.value, "/")
		if !s.ID.empty() && (prefix != string(partner) || !slug.MatchString(name)) {
			c.fault(s.ID.place, "system-id", `Write the partner, a slash and a name: "`+string(partner)+`/casework".`,
				"%q is not the name of a system of %s", s.ID, partner)
		}
		if slices.ContainsFunc(systems, func(t transfer.System) bool { return string(t.ID) == s.ID.value }) {
			c.fault(s.ID.place, "duplicate-system", "Keep one of the two.", "%s is given twice", s.ID)
			continue
		}
		systems = append(systems, transfer.System{
			ID:         transfer.SystemID(s.ID.value),
			Algorithms: c.eachOf(s.Algorithms, "signature algorithm", algorithms),
			Scopes:     c.eachOf(s.Scopes, "scope", scopes),
		})
	}
	return systems
}

// delivery defaults to the mailbox: the recipient comes and collects.
func (c *compiler) delivery(e *deliveryEntry) transfer.Delivery {
	if e.place == (place{}) {
		return transfer.Delivery{Adapter: "mailbox"}
	}
	d := transfer.Delivery{Adapter: c.oneOf(e.Adapter, "delivery adapter", adapters), URL: e.URL.value}
	switch u, err := url.Parse(e.URL.value); {
	case d.Adapter == "webhook" && e.URL.empty():
		c.fault(e.place, "webhook-url", "Say where notices go.", "a webhook needs a url")
	case d.Adapter == "mailbox" && !e.URL.empty():
		c.fault(e.URL.place, "webhook-url", "Leave the url out, or make it a webhook.", "a mailbox has no url")
	case d.Adapter == "webhook" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil):
		c.fault(e.URL.place, "webhook-url", "Write an https address without a password in it.", "notices cannot go to this url")
	}
	return d
}

// oneOf checks that a word is of a closed vocabulary. An empty word was reported when it was read, or is optional.
func (c *compiler) oneOf(t text, what string, words []string) string {
	if !t.empty() && !slices.Contains(words, t.value) {
		c.fault(t.place, "vocabulary", orSuggest(t.value, words, "It is one of "+strings.Join(words, ", ")+"."),
			"%q is not a %s", t.value, what)
	}
	return t.value
}

func (c *compiler) eachOf(ts []text, what string, words []string) []string {
	var values []string
	for _, t := range ts {
		values = append(values, c.oneOf(t, what, words))
	}
	return values
}
