package agreement

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// The closed vocabularies of an agreement.
var (
	statuses = []string{
		string(Draft), string(Signed), string(Active), string(Suspended), string(UnderReview), string(Expired), string(Terminated),
	}
	partyRoles  = []string{"controller", "joint-controller", "processor"}
	directions  = []string{"discloses", "receives", "both"}
	deliveries  = []string{"collect", "push", "access"}
	frequencies = []string{"event", "daily", "weekly", "monthly", "quarterly", "yearly", "ad-hoc"}
	triggers    = []string{
		"receipt", "last-input", "last-entry", "case-closed", "service-end", "contract-end", "agreement-end", "completion",
		"settlement",
	}
	disposals = []string{"delete", "return", "anonymise"}
)

var (
	sha256Hex    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	supersedes   = regexp.MustCompile(`^[a-z][a-z0-9-]*@[1-9][0-9]*$`)
	period       = regexp.MustCompile(`^[1-9][0-9]*[ymwd]$`)
	window       = regexp.MustCompile(`^[1-9][0-9]{0,2}[dw]$`)
	shortPeriod  = regexp.MustCompile(`^[1-9][0-9]*(h|d|wd)$`)
	noticeNumber = regexp.MustCompile(`^[0-9]{3}$`)
)

// reviewWarning is how long before its review an agreement starts to warn, as the Essex framework does (domain.md 2.1).
const reviewWarning = 3 // months

// compiler turns the files into partners and agreements, one file at a time.
type compiler struct {
	decoder
	partners map[transfer.PartnerID]*transfer.Partner
	at       time.Time

	successors []successor
	languages  map[*contracts.Contract]*language
	clauses    []clauseOf // of every agreement, in the order of the files

	// Of the agreement being compiled.
	source  *agreementFile
	made    *Agreement
	parties map[transfer.PartnerID]*Party
	groups  map[string][]transfer.PartnerID
	used    map[string]bool // "purpose advocacy", "item set carer", "group members"
}

// agreement compiles one file. Its result is of use only when no fault was found.
func (c *compiler) agreement(f *agreementFile, digest string) *Agreement {
	c.source, c.used = f, make(map[string]bool)
	c.parties, c.groups = make(map[transfer.PartnerID]*Party), make(map[string][]transfer.PartnerID)
	c.made = &Agreement{
		ID: transfer.AgreementID(f.Agreement.value), Version: f.Version.value, File: c.file, Digest: digest,
		Title: f.Title.value, County: f.County.value, Status: Status(c.oneOf(f.Status, "status", statuses)),
		Supersedes: f.Supersedes.value,
		Paper:      Paper{Reference: f.Paper.Reference.value, SHA256: f.Paper.SHA256.value, SignedOn: f.Paper.SignedOn.value.Start()},
		Starts:     f.Starts.value.Start(), Ends: f.Ends.value.End(), ReviewBy: f.ReviewBy.value.End(),
	}
	if f.Contract != nil {
		c.made.Contract = Contract{Reference: f.Contract.Reference.value, Ends: f.Contract.Ends.value.End()}
	}
	c.identity()
	c.dates()
	c.compileParties()
	c.compileGroups()
	for i := range f.Purposes {
		c.made.Purposes = append(c.made.Purposes, c.purpose(&f.Purposes[i]))
	}
	c.compileFlows()
	c.compileRetention()
	c.compilePromises()
	c.warnUnused()
	return c.made
}

// identity checks that a file is what its name and folder say, so that two versions cannot hide in one name.
func (c *compiler) identity() {
	f := c.source
	c.wellFormed(f.Agreement, slug, `Write a lower-case name with hyphens, such as "hertswise".`)
	c.wellFormed(f.Supersedes, supersedes, `Write the agreement, an at sign and the version: "hertswise@1".`)
	c.wellFormed(f.Paper.SHA256, sha256Hex, "Write the SHA-256 of the signed document: 64 lower-case hexadecimal digits.")
	if want := fmt.Sprintf("%s.v%d.yaml", f.Agreement, f.Version.value); path.Base(c.file) != want && f.Version.value > 0 {
		c.fault(f.Agreement.place, "file-name", "Rename the file, or correct the agreement and version.",
			"the file of this version is called %s", want)
	}
	if folder := path.Dir(path.Dir(c.file)); folder != f.County.value && !f.County.empty() {
		c.fault(f.County.place, "county", "Move the file, or correct the county.", "the file stands in the folder of %s", folder)
	}
	if f.Supersedes.value == c.made.Ref() {
		c.fault(f.Supersedes.place, "supersedes", "Name the version before this one.", "a version cannot supersede itself")
	}
	for _, s := range f.Source {
		c.wellFormed(s.Notice, noticeNumber, `Write the notice's number, such as "000".`)
		for _, rule := range s.Rules {
			if !strings.HasPrefix(rule.value, s.Notice.value+"-") {
				c.fault(rule.place, "source", `Write the notice's number, a hyphen and the rule's: "000-4".`,
					"%s is not a rule of notice %s", rule, s.Notice)
			}
		}
		c.made.Source = append(c.made.Source, Source{Notice: s.Notice.value, Rules: values(s.Rules)})
	}
}

func (c *compiler) dates() {
	f, a := c.source, c.made
	if a.Starts.IsZero() || a.ReviewBy.IsZero() {
		return // reported when it was read
	}
	if !a.Ends.IsZero() {
		if !a.Starts.Before(a.Ends) {
			c.fault(f.Ends.place, "dates", "Correct one of them.", "the agreement ends before it starts")
		}
		if a.ReviewBy.After(a.Ends) {
			c.fault(f.ReviewBy.place, "review-after-end", "Review it while it still runs.", "the review comes after the end")
		}
	}
	if a.ReviewBy.Before(a.Starts) {
		c.fault(f.ReviewBy.place, "dates", "Correct one of them.", "the review comes before the start")
	}
	if end := a.Contract.Ends; !end.IsZero() && (a.Ends.IsZero() || a.Ends.After(end)) {
		at := f.Contract.Ends.place
		if !a.Ends.IsZero() {
			at = f.Ends.place
		}
		c.fault(at, "end-after-contract", "End it with the contract at the latest.",
			"sharing that a contract calls for ends with the contract (rule 003-2)")
	}
	if a.Paper.SignedOn.After(a.Starts) {
		c.warn(f.Paper.SignedOn.place, "signed-late", "Correct the date, or ask the parties.", "it was signed after it started")
	}
	if a.Status != Active || c.at.IsZero() {
		return
	}
	switch {
	case !a.Ends.IsZero() && !c.at.Before(a.Ends):
		c.warn(f.Ends.place, "ended", "Write a new version, or set its status to expired.", "the agreement is over and still called active")
	case !c.at.Before(a.ReviewBy):
		c.warn(f.ReviewBy.place, "review-overdue", "Review it, and write a new version with a later date.", "the review is overdue")
	case !c.at.AddDate(0, reviewWarning, 0).Before(a.ReviewBy):
		c.warn(f.ReviewBy.place, "review-due", "Plan the review.", "the review is due within %d months", reviewWarning)
	}
}

// partner resolves the name of a partner of the register.
func (c *compiler) partner(t text) (transfer.PartnerID, bool) {
	id := transfer.PartnerID(t.value)
	if _, known := c.partners[id]; known {
		return id, true
	}
	if !t.empty() {
		c.fault(t.place, "unknown-partner", orSuggest(t.value, names(c.partners), "Add it to partners.yaml."),
			"%q is not on the register", t)
	}
	return id, false
}

// party resolves the name of a partner that is a party to the agreement.
func (c *compiler) party(t text) (transfer.PartnerID, bool) {
	id := transfer.PartnerID(t.value)
	if _, ok := c.parties[id]; ok || t.empty() {
		return id, ok
	}
	if _, known := c.partner(t); known {
		c.fault(t.place, "not-a-party", "List it under parties.", "%s is not a party to this agreement", t)
	}
	return id, false
}

func (c *compiler) compileParties() {
	c.made.Parties = make([]Party, 0, len(c.source.Parties)) // c.parties points into it
	for _, e := range c.source.Parties {
		id, known := c.partner(e.Partner)
		if _, twice := c.parties[id]; twice {
			c.fault(e.Partner.place, "duplicate-party", "Keep one of the two.", "%s is a party twice", id)
			continue
		}
		if e.Role.value == "processor" && c.source.Contract == nil {
			c.fault(e.Role.place, "processor-contract", "Write contract: with its reference and end.",
				"%s works for others as a processor, which takes a contract (Art 28(3), rule 001-15)", e.Partner)
		}
		c.made.Parties = append(c.made.Parties, Party{
			Partner: id, Role: c.oneOf(e.Role, "role", partyRoles), Direction: c.oneOf(e.Direction, "direction", directions),
			Signatory: e.Signatory.value, Contact: c.contact(e.Contact),
		})
		if known {
			c.parties[id] = &c.made.Parties[len(c.made.Parties)-1]
		}
	}
	c.made.Lead, _ = c.party(c.source.Lead)
}

func (c *compiler) contact(e contactEntry) Contact {
	c.wellFormed(e.Email, email, "Write the e-mail address of an office.")
	return Contact{Office: e.Office.value, Email: e.Email.value, Phone: e.Phone.value}
}

func (c *compiler) compileGroups() {
	for _, g := range c.source.Groups {
		if _, known := c.partners[transfer.PartnerID(g.Name.value)]; known {
			c.fault(g.Name.place, "ambiguous-name", "Give the group another name.", "%s is also a partner", g.Name)
		}
		c.wellFormed(g.Delivers, slug, `Write a lower-case name with hyphens, such as "hertswise".`)
		group := Group{Name: g.Name.value, Delivers: transfer.Service(g.Delivers.value)}
		for _, t := range g.Partners {
			if id, ok := c.party(t); ok {
				group.Partners = append(group.Partners, id)
			}
		}
		for _, other := range c.made.Groups {
			if group.Delivers != "" && other.Delivers == group.Delivers {
				c.fault(g.Delivers.place, "duplicate-service", "Name everybody who delivers it in one group.",
					"%s is already delivered by %s", g.Delivers, other.Name)
			}
		}
		c.made.Groups = append(c.made.Groups, group)
		c.groups[g.Name.value] = group.Partners
	}
}

func (c *compiler) compileRetention() {
	for _, e := range c.source.Retention {
		c.wellFormed(e.Period, period, `Write a number and y, m, w or d: "4y".`)
		if !e.Items.empty() && !slices.ContainsFunc(c.source.ItemSets, func(s itemSetEntry) bool { return s.Name.value == e.Items.value }) {
			c.fault(e.Items.place, "unknown-item-set", orSuggest(e.Items.value, c.itemSetNames(), "Leave it out to mean everything."),
				"there is no item set %q", e.Items)
		}
		c.made.Retention = append(c.made.Retention, Retention{
			Items: e.Items.value, Period: e.Period.value, Trigger: c.oneOf(e.Trigger, "trigger of a retention period", triggers),
			Disposal: c.oneOf(e.Disposal, "way of disposal", disposals),
		})
	}
	if len(c.source.Retention) == 0 && c.source.place != (place{}) {
		c.emptyList("retention", "how long recipients keep what they receive")
	}
	if len(c.source.Parties) == 0 {
		c.emptyList("parties", "who has signed")
	}
	if len(c.source.Purposes) == 0 {
		c.emptyList("purposes", "what the sharing is for")
	}
	if len(c.source.Flows) == 0 {
		c.emptyList("flows", "who may send what to whom")
	}
}

// compilePromises takes over the blocks that people read and the machine does not judge.
func (c *compiler) compilePromises() {
	f, a := c.source, c.made
	for _, n := range f.Transparency {
		id, _ := c.party(n.Party)
		a.Transparency = append(a.Transparency, Notice{Party: id, URL: n.URL.value, Version: n.Version.value})
	}
	responsible, _ := c.party(f.Accuracy.Responsible)
	a.Accuracy = Accuracy{Responsible: responsible, Corrections: f.Accuracy.Corrections.value}
	a.Security = Security{
		Transfer: f.Security.Transfer.value, Encryption: f.Security.Encryption.value,
		Access: f.Security.Access.value, Storage: f.Security.Storage.value,
	}
	c.wellFormed(f.Rights.PassOn, shortPeriod, `Write a number and h, d or wd (working days): "2wd".`)
	a.Rights = Rights{PassOn: f.Rights.PassOn.value, Contact: c.contact(f.Rights.Contact)}
	a.Complaints = Complaints{Route: f.Complaints.Route.value, Contact: c.contact(f.Complaints.Contact)}
	c.wellFormed(f.Breach.NotifyWithin, shortPeriod, `Write a number and h, d or wd (working days): "24h".`)
	reporter, _ := c.party(f.Breach.ReportsToICO)
	a.Breach = Breach{NotifyWithin: f.Breach.NotifyWithin.value, ReportsToICO: reporter, Contact: c.contact(f.Breach.Contact)}
	c.wellFormed(f.Governance.ReviewEvery, period, `Write a number and y, m, w or d: "1y".`)
	a.Governance = Governance{
		ReviewEvery: f.Governance.ReviewEvery.value, Termination: f.Governance.Termination.value,
		Audit: f.Governance.Audit.value, Training: f.Governance.Training.value,
	}
}

// warnUnused points at what is declared and nowhere used: often a name that was mistyped somewhere else.
func (c *compiler) warnUnused() {
	warn := func(what string, name text) {
		if !c.used[what+" "+name.value] {
			c.warn(name.place, "unused", "Use it, or take it out.", "no flow uses the %s %s", what, name)
		}
	}
	for _, p := range c.source.Purposes {
		warn("purpose", p.Code)
	}
	for _, s := range c.source.ItemSets {
		warn("item set", s.Name)
	}
	for _, g := range c.source.Groups {
		warn("group", g.Name)
	}
}

// emptyList reports a required list that is there and holds nothing.
func (c *compiler) emptyList(key, meaning string) {
	if !slices.ContainsFunc(c.faults, func(f Fault) bool {
		return f.File == c.file && f.Rule == "missing-key" && strings.HasPrefix(f.Detail, key+" ")
	}) {
		c.fault(c.source.place, "empty-list", "Say "+meaning+".", "%s is empty", key)
	}
}

// values gives the words without their places.
func values(ts []text) []string {
	var vs []string
	for _, t := range ts {
		vs = append(vs, t.value)
	}
	return vs
}

// names gives the keys of a map in order, for suggestions that do not change from run to run.
func names[K ~string, V any](m map[K]V) []string {
	ns := make([]string, 0, len(m))
	for k := range m {
		ns = append(ns, string(k))
	}
	slices.Sort(ns)
	return ns
}

// spelt gives a vocabulary as plain words.
func spelt[S ~string](vocabulary []S) []string {
	var ws []string
	for _, w := range vocabulary {
		ws = append(ws, string(w))
	}
	return ws
}
