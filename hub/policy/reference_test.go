package policy_test

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// reference decides once more, straight from the tables of domain.md section 4, one rule after the other and as slowly as they read. It shares
// nothing with Decide but what a request is made of. It gives no reasons: only what goes.
type reference struct {
	partners   map[transfer.PartnerID]*transfer.Partner
	agreements []*agreement.Agreement
	r          *policy.Request

	sender, recipient *transfer.Partner
	flow              *agreement.Flow
	row               string // of section 4.3; empty under an agreement
	held, refused     bool
}

func decideByTheBook(partners []transfer.Partner, agreements []*agreement.Agreement, r *policy.Request) (transfer.Outcome, []contracts.ItemSet) {
	b := &reference{partners: map[transfer.PartnerID]*transfer.Partner{}, agreements: agreements, r: r}
	for i := range partners {
		b.partners[partners[i].ID] = &partners[i]
	}
	goes := make([]contracts.ItemSet, len(r.Subjects))
	b.decide(goes)
	all := true
	for i := range goes {
		all = all && goes[i] == r.Subjects[i].Items
	}
	switch {
	case b.refused:
		return transfer.Refuse, make([]contracts.ItemSet, len(goes))
	case b.held:
		return transfer.Hold, make([]contracts.ItemSet, len(goes))
	case b.row != "":
		return transfer.PermitException, goes
	case !all:
		return transfer.PermitReduced, goes
	}
	return transfer.Permit, goes
}

func (b *reference) stopped() bool { return b.held || b.refused }

func (b *reference) decide(goes []contracts.ItemSet) {
	b.sender, b.recipient = b.partners[b.r.Sender], b.partners[b.r.Recipient]
	b.firstGates()
	unclear := b.clause()
	b.row = b.exceptionRow()
	switch {
	case b.row != "":
		b.exceptionTerms()
	case b.flow == nil:
		b.refused = true
		return
	default:
		b.held = b.held || unclear
		b.clauseTerms()
	}
	if b.stopped() {
		return
	}
	for i := range b.r.Subjects {
		if b.row != "" {
			goes[i] = b.byException(i)
		} else {
			goes[i] = b.byClause(i)
		}
	}
	exact := b.row == "E4" || b.row == "E5" || b.flow != nil && b.flow.Compelled
	if (b.row != "" || exact) && !slices.ContainsFunc(goes, func(s contracts.ItemSet) bool { return !s.Empty() }) {
		b.held = true
	}
}

// firstGates are G2, G3 and what a person turned down.
func (b *reference) firstGates() {
	if strings.HasPrefix(string(b.r.Purpose), "marketing") || strings.HasPrefix(string(b.r.Purpose), "sale") {
		b.refused = true
	}
	for _, p := range []*transfer.Partner{b.sender, b.recipient} {
		if p == nil || p.Suspended || p.Successor != "" {
			b.refused = true
		}
	}
	if p := b.recipient; p != nil {
		if p.Location != "GB" && p.Safeguard == "" {
			b.refused = true
		}
		if p.DSPT.Status != "" && civil(b.r.At) > plus(p.DSPT.Expires, 30) {
			b.refused = true
		}
	}
	for _, v := range b.r.Rulings {
		if v.Act != policy.LetGo {
			b.refused = true
		}
	}
}

// civil is the date in London.
func civil(t time.Time) string { return t.In(london).Format(time.DateOnly) }

var london, _ = time.LoadLocation("Europe/London")

// plus adds days to a civil date.
func plus(date string, days int) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return ""
	}
	return t.AddDate(0, 0, days).Format(time.DateOnly)
}

// clause is G4: it finds the one to decide under. When there is none, it says whether one might have applied.
func (b *reference) clause() (unclear bool) {
	var apply, doubtful []*agreement.Flow
	for _, a := range b.agreements {
		for _, f := range a.Flows {
			holds, known := true, true
			if f.When != nil {
				holds, known = b.r.Conditions[f.When.Source]
			}
			switch {
			case !slices.Contains(f.From, b.r.Sender) || !slices.Contains(f.To, b.r.Recipient) || f.Purpose != b.r.Purpose:
			case f.Service != "" && f.Service != b.r.Service || !slices.Contains(f.Messages, b.r.Contract.Type):
			case a.Status != agreement.Active || b.r.At.Before(a.Starts) || !b.r.At.Before(a.Ends) || f.AccessOnly:
			case !a.Contract.Ends.IsZero() && !b.r.At.Before(a.Contract.Ends):
			case known && holds:
				apply = append(apply, f)
			case !known:
				doubtful = append(doubtful, f)
			}
		}
	}
	// The bases on which a person's word counts come first, whatever the person said; before them, the clause made for a demand that compels or
	// for a claim of safeguarding.
	const order = " abfEedc" // the blank is a basis that nobody declared
	rank := func(f *agreement.Flow) string {
		six, nine := strings.Replace(f.Basis.Article6, "ea", "E", 1), f.Basis.Article9
		demanded := "2"
		limb := f.Basis.Article9 == "g" && (paragraph(f) == "18" || paragraph(f) == "19")
		claim := b.r.Exception != nil && b.r.Exception.Kind == "safeguarding" && !b.compelled() && b.r.At.Before(f.Agreement.ReviewBy.Add(90*24*time.Hour))
		if f.Compelled && b.compelled() || limb && claim {
			demanded = "1"
		}
		if nine == "" {
			nine = "z"
		}
		if six == "" {
			six = " "
		}
		return demanded + string(rune('0'+strings.Index(order, six))) + nine
	}
	byRank := func(f, g *agreement.Flow) int { return cmp.Compare(rank(f), rank(g)) }
	switch {
	case len(apply) > 0:
		b.flow = slices.MinFunc(apply, byRank)
	case len(doubtful) > 0:
		b.flow = slices.MinFunc(doubtful, byRank)
		return true
	}
	return false
}

func (b *reference) compelled() bool {
	return b.r.Demand != nil && slices.Contains([]string{"court-order", "statute", "regulator", "warrant"}, b.r.Demand.Instrument)
}

// exceptionRow says on which row of section 4.3 a message stands.
func (b *reference) exceptionRow() string {
	f := b.flow
	if b.compelled() {
		if f != nil && f.Compelled {
			return ""
		}
		return "E4"
	}
	if e := b.r.Exception; e != nil {
		if e.Kind == "safeguarding" && b.wantsLimb() && b.r.At.Before(f.Agreement.ReviewBy.Add(90*24*time.Hour)) {
			return ""
		}
		return map[string]string{
			"danger-to-life": "E1", "danger-to-another": "E2", "safeguarding": "E3", "crime-report": "E6", "break-glass": "E7",
		}[e.Kind]
	}
	if b.r.Demand != nil {
		return "E5"
	}
	return ""
}

func (b *reference) wantsLimb() bool {
	return b.flow != nil && b.flow.Basis.Article9 == "g" && (paragraph(b.flow) == "18" || paragraph(b.flow) == "19")
}

func paragraph(f *agreement.Flow) string {
	n, _, _ := strings.Cut(strings.TrimPrefix(f.Basis.Schedule1, "para "), "(")
	return n
}

// kinds are the bodies that each row names, and roles those who may decide it.
var (
	bookKinds = map[string][]transfer.Kind{
		"E1": {transfer.NHS, transfer.Council, transfer.Police, transfer.FireAndRescue},
		"E2": {transfer.NHS, transfer.Council, transfer.Police, transfer.FireAndRescue},
		"E3": {transfer.Council, transfer.Police},
		"E6": {transfer.Police, transfer.Government, transfer.Regulator},
		"E7": {transfer.NHS, transfer.Council},

		"court-order": {transfer.Court, transfer.Council, transfer.Police, transfer.Regulator, transfer.Government, transfer.Board},
		"statute":     {transfer.Court, transfer.Council, transfer.Police, transfer.Regulator, transfer.Government, transfer.Board},
		"regulator":   {transfer.Regulator},
		"warrant":     {transfer.Police, transfer.Government, transfer.Court},
		"request": {
			transfer.Council, transfer.NHS, transfer.FireAndRescue, transfer.Regulator, transfer.Government, transfer.Police, transfer.Court, transfer.Board,
		},
	}
	bookRoles = map[string]string{
		"E1": "caseworker practitioner dpl safeguarding-lead caldicott-guardian", "E2": "practitioner dpl safeguarding-lead caldicott-guardian",
		"E3": "practitioner dpl safeguarding-lead caldicott-guardian", "E4": "dpl caldicott-guardian", "E5": "dpl caldicott-guardian",
		"E6": "dpl safeguarding-lead caldicott-guardian", "E7": "practitioner",
	}
	bookCarries = map[string]string{
		"E1": "identity address contact relationship communication representation safeguarding risk health mental-health",
		"E2": "identity address contact relationship communication representation safeguarding risk health mental-health",
		"E3": "identity address contact relationship safeguarding risk health mental-health narrative offence",
		"E6": "identity address contact relationship safeguarding risk offence finance",
		"E7": "identity address contact relationship communication representation safeguarding risk health mental-health",
	}
)

func (b *reference) mayDecide(row, person string) bool {
	if b.sender == nil {
		return false
	}
	for _, p := range b.sender.People {
		for _, role := range p.Roles {
			if p.ID == person && slices.Contains(strings.Fields(bookRoles[row]), string(role)) {
				return true
			}
		}
	}
	return false
}

func (b *reference) exceptionTerms() {
	kind := b.row
	if b.row == "E4" || b.row == "E5" {
		kind = b.r.Demand.Instrument
	}
	if b.recipient == nil || !slices.Contains(bookKinds[kind], b.recipient.Kind) {
		b.refused = true
	}
	if b.row == "E4" || b.row == "E5" {
		b.demandTerms()
		return
	}
	b.claimTerms(b.row)
}

func (b *reference) claimTerms(row string) {
	e := b.r.Exception
	at, err := time.Parse(time.RFC3339, e.At)
	switch {
	case err != nil || at.After(b.r.At.Add(5*time.Minute)):
		b.held = true
	case b.r.At.Sub(at) >= 72*time.Hour:
		b.refused = true
	}
	if !b.mayDecide(row, e.Person) || e.Record == "" || !e.Necessary || row == "E2" && !e.NoOtherBasis || row == "E6" && e.Law == "" {
		b.hold(policy.ExceptionNotShown)
	}
	if (row == "E1" || row == "E2") && !e.NoLessIntrusiveWay {
		b.held = true
	}
}

func (b *reference) demandTerms() {
	d := b.r.Demand
	row := "E4"
	if !b.compelled() {
		row = "E5"
	}
	if d.Reference == "" || d.By == "" || row == "E4" && d.Authority == "" && d.Law == "" || !b.mayDecide(row, d.Person) {
		b.hold(policy.ExceptionNotShown)
	}
	if row == "E5" {
		b.hold(policy.DemandNotCompelling)
	}
}

// clauseTerms are G5 and what the clause and the law ask of the transfer as a whole.
func (b *reference) clauseTerms() {
	f, r := b.flow, b.r
	if !r.At.Before(f.Agreement.ReviewBy.Add(90 * 24 * time.Hour)) {
		b.hold(policy.AgreementReviewOverdue)
	}
	public := b.sender != nil && b.sender.Kind.PublicBody()
	switch six := f.Basis.Article6; {
	case six == "", six == "e" && !public, (six == "f" || six == "ea") && public:
		b.held = true
	case six == "f" && f.Basis.LIA == "", six == "b" && strings.HasPrefix(string(r.Purpose), "contract-"):
		b.held = true
	}
	if o := r.Onward; o != nil && r.Exception == nil {
		if o.Flow == nil || !slices.Contains(o.Flow.Onward.To, r.Recipient) || r.Purpose != o.Flow.Purpose {
			b.refused = true
		}
	}
	if f.Objection > 0 {
		days := int(f.Objection / (24 * time.Hour))
		b.held = b.held || !b.toldByTheSender() || civil(r.At) <= plus(r.Undertaking.InformedOn, days)
	}
	if f.Compelled {
		switch {
		case !b.compelled():
			b.held = true
		case b.recipient != nil && !slices.Contains(bookKinds[r.Demand.Instrument], b.recipient.Kind):
			b.refused = true
		default:
			b.demandTerms()
		}
	}
	if b.claims() {
		b.claimTerms("E3")
	}
}

func (b *reference) claims() bool {
	return b.row == "" && b.r.Exception != nil && b.r.Exception.Kind == "safeguarding" && b.wantsLimb()
}

func (b *reference) toldByTheSender() bool {
	u := b.r.Undertaking
	return u != nil && u.InformedOn != "" && u.InformedOn <= civil(b.r.At)
}

// hold stops the transfer unless somebody who may has looked at just this reason.
func (b *reference) hold(code policy.Code) { b.held = b.held || !b.lifted(code) }

// bookLifts says whose look is enough.
var bookLifts = map[policy.Code]string{
	policy.AgreementReviewOverdue: "dpl", policy.Restricted: "dpl", policy.ReferrerUndertakingMissing: "dpl", policy.RequiredItemStripped: "dpl",
	policy.ExceptionNotShown: "dpl", policy.SubjectNotInformed: "dpl caldicott-guardian", policy.EarlierRefusal: "dpl caldicott-guardian",
	policy.PersonDeceased: "dpl caldicott-guardian", policy.DemandNotCompelling: "dpl caldicott-guardian",
	policy.CapacityDoubt:       "practitioner safeguarding-lead caldicott-guardian dpl",
	policy.ChildParentConflict: "safeguarding-lead", policy.PerpetratorNamed: "safeguarding-lead", policy.ContactInNotes: "safeguarding-lead dpl",
	policy.NotReviewed: "caseworker practitioner dpl safeguarding-lead caldicott-guardian",
}

func (b *reference) lifted(code policy.Code) bool {
	may, heardSince := bookLifts[code], false
	if b.sender == nil {
		return false
	}
	switch code {
	case policy.ConsentRefused, policy.ConsentWithdrawn, policy.Objection:
		may = "dpl caldicott-guardian"
		if b.row != "" || b.flow.Basis.Article9 == "g" && paragraph(b.flow) == "18" {
			may = "safeguarding-lead"
		}
		heardSince = true
	case policy.Restricted, policy.EarlierRefusal, policy.ChildParentConflict:
		heardSince = true
	}
	for _, v := range b.r.Rulings {
		known := slices.ContainsFunc(b.sender.People, func(p transfer.Person) bool { return p.ID == v.Person && slices.Contains(p.Roles, v.Role) })
		stale := false
		for _, s := range b.r.Subjects {
			for _, e := range s.Events {
				no := e.State == consent.Refused || e.State == consent.Withdrawn || e.State == consent.Objected || e.State == consent.Restricted
				stale = stale || heardSince && no && e.At.After(v.At)
			}
		}
		if known && !stale && slices.Contains(strings.Fields(may), string(v.Role)) && slices.Contains(v.Codes, code) && !v.At.After(b.r.At) {
			return true
		}
	}
	return false
}

// pick keeps the items for which keep holds.
func (b *reference) pick(s contracts.ItemSet, keep func(contracts.Item) bool) contracts.ItemSet {
	var out contracts.ItemSet
	for _, item := range b.r.Contract.Items {
		if s.Has(item.Index) && keep(item) {
			out = out.With(item.Index)
		}
	}
	return out
}

func findsSomebody(i contracts.Item) bool {
	place := strings.HasSuffix(i.Name, ".school") || strings.HasSuffix(i.Name, ".school_contact") || strings.HasSuffix(i.Name, ".gp")
	return place || waysToReach(i)
}

func waysToReach(i contracts.Item) bool {
	return !i.Directive && (i.Category == "address" || i.Category == "contact")
}

func (b *reference) first() transfer.Role {
	for _, role := range transfer.Roles() {
		if role != transfer.Professional && slices.ContainsFunc(b.r.Subjects, func(s policy.Subject) bool { return s.Role == role }) {
			return role
		}
	}
	return ""
}

// keptBack says of an item whether it leads to somebody whose address is protected. Whoever is involved with one leads there too.
func (b *reference) keptBack(i int, item contracts.Item) bool {
	of, is := strings.CutPrefix(item.Name, "professionals.")
	return b.hidden(i) && (findsSomebody(item) || is && !slices.Contains([]string{"job_title", "involved_as", "involved_with"}, of))
}

// hidden says whose address is protected: everybody who may live with somebody whose is.
func (b *reference) hidden(i int) bool {
	if b.mayFind() {
		return false
	}
	home := []transfer.Role{transfer.Carer, transfer.CaredFor, transfer.Child, transfer.Household}
	for k, s := range b.r.Subjects {
		if s.Facts.Has(policy.AddressProtected) && (k == i || slices.Contains(home, s.Role) && slices.Contains(home, b.r.Subjects[i].Role) ||
			b.r.Subjects[i].Role == transfer.Professional) {
			return true
		}
	}
	return false
}

// mayFind is for those who protect somebody, and those who are obeyed.
func (b *reference) mayFind() bool {
	if b.row != "" {
		return b.row != "E5"
	}
	return b.flow.Compelled || b.safeguarding() && slices.Contains(bookKinds["E3"], b.recipient.Kind)
}

func (b *reference) safeguarding() bool { return b.claims() && paragraph(b.flow) == "18" }

func (b *reference) byException(i int) contracts.ItemSet {
	s, e := b.r.Subjects[i], b.r.Exception
	primary := s.Role == b.first()
	demanded := b.row == "E4" || b.row == "E5"
	goes := b.pick(s.Items, func(item contracts.Item) bool {
		ordinary := !item.Special && !item.Offence
		switch {
		case demanded:
			return b.r.Demand.Items.Has(item.Index)
		case s.Role == transfer.Professional:
			return true
		case !slices.Contains(strings.Fields(bookCarries[b.row]), string(item.Category)):
			return false
		case ordinary:
			return true
		}
		switch b.row {
		case "E1", "E7":
			return item.Special && (primary || s.Facts.Has(policy.LacksCapacity))
		case "E2":
			return item.Special && (primary && e.Incapable || s.Facts.Has(policy.LacksCapacity))
		case "E3":
			return e.Limb != ""
		}
		return item.Offence // E6
	})
	if !demanded && !goes.Empty() {
		goes = goes.Or(b.pick(s.Items, func(item contracts.Item) bool { return item.Directive && !item.Special && !item.Offence }))
	}
	goes = b.pick(goes, func(item contracts.Item) bool { return !b.keptBack(i, item) })
	if !demanded && !b.pick(s.Items.Minus(goes), func(item contracts.Item) bool { return item.Directive }).Empty() {
		goes = b.pick(goes, func(item contracts.Item) bool { return !findsSomebody(item) })
	}
	noticed := s.Noticed.And(goes)
	if !demanded {
		goes = b.heed(i, goes)
	}
	anyHidden := slices.ContainsFunc(b.r.Subjects, func(s policy.Subject) bool { return s.Facts.Has(policy.AddressProtected) })
	switch {
	case noticed.Empty() || !anyHidden || b.mayFind():
	case primary:
		b.hold(policy.ContactInNotes)
	default:
		goes = goes.Minus(noticed)
	}
	return goes
}

// heed is E1 for somebody who can consent, E3a and E3b.
func (b *reference) heed(i int, goes contracts.ItemSet) contracts.ItemSet {
	s, e := b.r.Subjects[i], b.r.Exception
	primary := s.Role == b.first()
	if s.Role == transfer.Professional {
		return goes
	}
	said := b.heard(i, whose(b.sender, s.Facts)).answer
	no := map[string]policy.Code{"refused": policy.ConsentRefused, "withdrawn": policy.ConsentWithdrawn, "objected": policy.Objection}[said]
	if no == "" && e.Refused && primary {
		no = policy.ConsentRefused
	}
	special := !b.pick(goes, func(item contracts.Item) bool { return item.Special }).Empty()
	switch {
	case b.row == "E1" && primary && !e.Incapable && !s.Facts.Has(policy.LacksCapacity) && special && no != "":
		b.refused = true
	case b.row == "E1" && primary && !e.Incapable && !s.Facts.Has(policy.LacksCapacity) && special:
		b.held = true
	case (b.row == "E3" || b.row == "E7") && no != "" && !b.overridden(s) && primary:
		b.hold(no)
	case (b.row == "E3" || b.row == "E7") && no != "" && !b.overridden(s):
		return contracts.ItemSet{}
	}
	return goes
}

// overridden is E3 for children and those who cannot decide, and E3b.
func (b *reference) overridden(s policy.Subject) bool {
	e := b.r.Exception
	child := s.Facts.Has(policy.UnderSixteen) || s.Facts.Has(policy.SixteenOrSeventeen)
	return child || s.Facts.Has(policy.LacksCapacity) || e.Incapable || e.OthersAtRisk || e.SeriousCrime || e.Coercion
}

// heardWord is what somebody has said.
type heardWord struct {
	answer     string // yes, none, expired, refused, withdrawn, objected
	explicit   bool
	categories []contracts.Category
	except     map[contracts.Category]string
	notice     bool
	restricted []consent.Event
	yesAt      time.Time
}

// whose lists the authorities whose yes counts (section 4.4).
func whose(sender *transfer.Partner, f policy.Facts) string {
	parentToo := sender != nil && sender.Profile.ParentBelow > 0
	switch {
	case f.Has(policy.UnderSixteen) && (f.Has(policy.NotCompetent) || f.Has(policy.LacksCapacity)):
		return "parent"
	case f.Has(policy.UnderSixteen) && f.Has(policy.GillickCompetent):
		return "self gillick"
	case f.Has(policy.UnderSixteen) && (f.Has(policy.CapacityInDoubt) || parentToo):
		return "parent"
	case f.Has(policy.UnderSixteen):
		return "parent gillick"
	case f.Has(policy.LacksCapacity) && f.Has(policy.WelfareAttorney):
		return "attorney-health-welfare deputy"
	case f.Has(policy.LacksCapacity):
		return "best-interests"
	}
	return "self gillick"
}

// heard reads what was recorded about a person, where only these can say yes. No two events are of one instant.
func (b *reference) heard(i int, whose string) heardWord {
	events := slices.SortedFunc(slices.Values(b.r.Subjects[i].Events), func(x, y consent.Event) int { return x.At.Compare(y.At) })
	w := heardWord{answer: "none", except: map[contracts.Category]string{}}
	var until time.Time
	given := false
	for _, e := range events {
		if e.RecordedBy != b.r.Sender && e.RecordedBy != b.r.Recipient {
			continue
		}
		yes := e.State == consent.Given || e.State == consent.Renewed
		asks := e.State == consent.Requested || e.State == consent.Deferred
		no := e.State == consent.Refused || e.State == consent.Withdrawn || e.State == consent.Objected
		wide := (e.Purpose == "" || e.Purpose == b.r.Purpose) && (e.Service == "" || e.Service == b.r.Service) &&
			(len(e.Recipients) == 0 || slices.Contains(e.Recipients, b.r.Recipient))
		exact := e.Purpose == b.r.Purpose && (e.Service == "" || e.Service == b.r.Service) &&
			(slices.Contains(e.Recipients, b.r.Recipient) ||
				len(e.Recipients) == 0 && e.Service != "" && b.flow != nil && b.row == "" && slices.Contains(b.flow.Members, b.r.Recipient))
		wasNo := w.answer == "refused" || w.answer == "withdrawn" || w.answer == "objected"
		switch {
		case e.State == consent.Restricted && (len(e.Recipients) == 0 || slices.Contains(e.Recipients, b.r.Recipient)):
			w.restricted = append(w.restricted, e)
			continue
		case (yes || asks) && !exact, !yes && !asks && !wide, yes && !slices.Contains(strings.Fields(whose), e.Authority):
			continue
		case (yes || asks || e.State == consent.Expired) && e.At.After(b.r.At.Add(5*time.Minute)):
			continue
		}
		w.notice = w.notice || e.Notice != ""
		switch {
		case yes:
			w.answer, w.explicit, w.categories, w.except, until, given, w.yesAt = "yes", e.Explicit, e.Categories, map[contracts.Category]string{}, e.ExpiresAt, true, e.At
		case no && len(e.Categories) > 0:
			for _, c := range e.Categories {
				w.except[c] = string(e.State)
			}
		case no:
			w.answer, given = string(e.State), false
		case wasNo, asks:
		case e.State == consent.Expired:
			w.answer, given = "expired", false
		default:
			w.answer, given = "none", false
		}
	}
	w.explicit = w.explicit && given
	if given {
		if !until.IsZero() && !b.r.At.Before(until) {
			w.answer = "expired"
		}
		worst := ""
		for _, c := range w.categories {
			state, out := w.except[c]
			if !out {
				worst = ""
				break
			}
			if slices.Index([]string{"", "refused", "withdrawn", "objected"}, state) > slices.Index([]string{"", "refused", "withdrawn", "objected"}, worst) {
				worst = state
			}
		}
		if worst != "" {
			w.answer = worst
		}
	}
	return w
}

// lets reports whether a word is a consent to an item.
func (w heardWord) lets(item contracts.Item) bool {
	_, out := w.except[item.Category]
	switch {
	case w.answer != "yes" || out:
		return false
	case len(w.categories) == 0:
		return !item.Special && !item.Offence
	}
	return slices.Contains(w.categories, item.Category) && (w.explicit || !item.Special)
}

// bookMatrix is section 4.2: p permit, h hold, r refuse, and where there is a way out: i told, u evidence, l limb.
var bookMatrix = map[string]map[string]string{
	//            yes       none       expired       refused       withdrawn       objected
	"a":  {"yes": "p", "none": "h", "expired": "h", "refused": "r", "withdrawn": "r", "objected": "r"},
	"b":  {"yes": "p", "none": "p", "expired": "p", "refused": "h", "withdrawn": "h", "objected": "h"},
	"c":  {"yes": "p", "none": "p", "expired": "p", "refused": "p", "withdrawn": "p", "objected": "p"},
	"d":  {"yes": "h", "none": "h", "expired": "h", "refused": "h", "withdrawn": "h", "objected": "h"},
	"e":  {"yes": "p", "none": "i", "expired": "p", "refused": "h", "withdrawn": "h", "objected": "h"},
	"ea": {"yes": "p", "none": "u", "expired": "p", "refused": "h", "withdrawn": "h", "objected": "h"},
	"f":  {"yes": "p", "none": "p", "expired": "p", "refused": "h", "withdrawn": "h", "objected": "h"},
	// Special-category data on conditions other than consent.
	"9c":   {"yes": "h", "none": "h", "expired": "h", "refused": "r", "withdrawn": "r", "objected": "r"},
	"9h":   {"yes": "p", "none": "p", "expired": "p", "refused": "h", "withdrawn": "h", "objected": "h"},
	"9g16": {"yes": "p", "none": "p", "expired": "p", "refused": "r", "withdrawn": "r", "objected": "r"},
	"9g17": {"yes": "p", "none": "p", "expired": "p", "refused": "h", "withdrawn": "h", "objected": "h"},
	"9g18": {"yes": "p", "none": "l", "expired": "l", "refused": "h", "withdrawn": "h", "objected": "h"},
	"9g19": {"yes": "p", "none": "l", "expired": "l", "refused": "h", "withdrawn": "h", "objected": "h"},
	"9g24": {"yes": "p", "none": "u", "expired": "u", "refused": "h", "withdrawn": "h", "objected": "h"},
}

// cell reads bookMatrix: it gives p, h or r, and the reason behind a hold.
func (b *reference) cell(key, said string, w heardWord) (string, policy.Code) {
	if bookMatrix[key] == nil {
		return "p", ""
	}
	u := b.r.Undertaking
	no := map[string]policy.Code{"refused": policy.ConsentRefused, "withdrawn": policy.ConsentWithdrawn, "objected": policy.Objection}[said]
	switch c := bookMatrix[key][said]; {
	case c == "h" && (key == "d" || key == "9c"):
		return "h", "of vital interests"
	case c == "h" && no != "":
		return "h", no
	case c == "h":
		return "h", "of consent"
	case c == "i":
		published := slices.ContainsFunc(b.flow.Agreement.Transparency, func(n agreement.Notice) bool { return n.Party == b.r.Sender })
		why := u != nil && (u.NotInformed == "safety" || u.NotInformed == "crime") || b.r.Exception != nil && b.r.Exception.InformingRaisesRisk
		if w.notice || published || why || b.toldByTheSender() {
			return "p", ""
		}
		return "h", policy.SubjectNotInformed
	case c == "u":
		if u != nil && u.EvidenceRef != "" || b.safeguarding() {
			return "p", ""
		}
		return "h", policy.ReferrerUndertakingMissing
	case c == "l":
		if b.claims() && b.r.Exception.Limb != "" {
			return "p", ""
		}
		return "h", policy.LimbMissing
	default:
		return c, no
	}
}

func (b *reference) byClause(i int) contracts.ItemSet {
	s, f := b.r.Subjects[i], b.flow
	primary := s.Role == b.first()
	goes := b.listed(i)
	if primary && !f.Compelled && goes != s.Items && b.pick(f.Allowed, func(item contracts.Item) bool { return item.Role == s.Role }).Empty() {
		b.refused = true
	}
	covered := goes
	goes = b.judged(i, goes, covered)

	// What somebody typed where it does not belong, what the recipient needs, and what has to be read.
	if noticed := s.Noticed.And(covered); !noticed.Empty() && !b.mayFind() {
		anyHidden := slices.ContainsFunc(b.r.Subjects, func(s policy.Subject) bool { return s.Facts.Has(policy.AddressProtected) })
		none := b.pick(f.Allowed, func(item contracts.Item) bool { return item.Role == s.Role && waysToReach(item) }).Empty()
		switch may := !anyHidden && !none && b.pick(s.Items.Minus(goes), waysToReach).Empty(); {
		case !may && primary:
			b.hold(policy.ContactInNotes)
		case !may:
			goes = goes.Minus(noticed)
		}
	}
	if !f.Compelled {
		lacks := !b.pick(f.Required.Minus(goes), func(item contracts.Item) bool { return item.Role == s.Role }).Empty()
		switch {
		case primary && goes.Empty() && (lacks || !s.Items.Empty()):
			b.held = true
		case lacks:
			b.hold(policy.RequiredItemStripped)
		}
	}
	reviewed := b.r.Review != nil && slices.ContainsFunc(b.sender.People, func(p transfer.Person) bool { return p.ID == b.r.Review.Person })
	text := b.pick(covered, func(item contracts.Item) bool { return item.FreeText && !item.Directive && !item.Attachment })
	if f.FreeText == agreement.Reviewed && !text.Empty() && !reviewed {
		b.hold(policy.NotReviewed)
	}
	return goes
}

// listed is G6 to G8 and the safety flags.
func (b *reference) listed(i int) contracts.ItemSet {
	s, f := b.r.Subjects[i], b.flow
	perpetrator := s.Facts.Has(policy.AllegedPerpetrator)
	leaks := slices.ContainsFunc(b.r.Subjects, func(s policy.Subject) bool {
		return s.Facts.Has(policy.AllegedPerpetrator) && (b.recipient.Kind == transfer.Individuals || s.Role == b.first())
	})
	apart := (perpetrator || leaks) && s.Role != transfer.Professional && !b.mayFind()
	goes := b.pick(s.Items.And(f.Allowed), func(item contracts.Item) bool {
		switch {
		case item.FreeText && !item.Directive && f.FreeText == agreement.Never:
			return false
		case f.Compelled && (b.r.Demand == nil || !b.r.Demand.Items.Has(item.Index)):
			return false
		case item.Special && !b.specialAllowed():
			return false
		case item.Offence && (f.Basis.Offence == "" || f.Basis.APD == "" && f.Basis.NeedsAPD()):
			return false
		}
		return !b.keptBack(i, item) && !(apart && findsSomebody(item))
	})
	if !f.Compelled && !b.pick(s.Items.Minus(goes), func(item contracts.Item) bool { return item.Directive }).Empty() {
		goes = b.pick(goes, func(item contracts.Item) bool { return !findsSomebody(item) })
	}
	return goes
}

func (b *reference) specialAllowed() bool {
	basis := b.flow.Basis
	legal := strings.Contains("b c f g", basis.Article9) || basis.Article6 == "c"
	switch {
	case basis.Article9 == "" || !basis.Paired() || basis.APD == "" && basis.NeedsAPD():
		return false
	case basis.Article9 == "h" && b.recipient.Kind == transfer.Individuals:
		return false
	}
	return legal || !b.sender.Profile.SpecialOnLegalGrounds
}

// judged is G9, G10 and G11.
func (b *reference) judged(i int, goes, covered contracts.ItemSet) contracts.ItemSet {
	s, f := b.r.Subjects[i], b.flow
	primary := s.Role == b.first()
	if s.Facts.Has(policy.IdentifiersDisagree) {
		b.held = true
	}
	perpetrator := s.Facts.Has(policy.AllegedPerpetrator) && !b.mayFind()
	if perpetrator && (s.Role != transfer.AbsentParent || b.recipient.Kind == transfer.Individuals) {
		b.hold(policy.PerpetratorNamed)
	}
	if s.Role == transfer.Professional {
		return goes
	}
	w := b.heard(i, whose(b.sender, s.Facts))
	keep := func(some contracts.ItemSet) contracts.ItemSet { // and how to treat it
		if some.Empty() {
			return some
		}
		return goes.And(some.Or(b.pick(covered, func(item contracts.Item) bool { return item.Directive })))
	}
	context := func() contracts.ItemSet {
		return b.pick(goes, func(item contracts.Item) bool {
			_, out := w.except[item.Category]
			return !out && (item.Role == transfer.CaredFor || item.Role == transfer.Child) && (item.Category == "relationship" || item.Name == "cared_for.condition")
		})
	}
	if s.Facts.Has(policy.Deceased) && !f.Compelled { // C13
		if primary {
			b.hold(policy.PersonDeceased)
		} else {
			goes = keep(context())
		}
	}
	if !f.Compelled && !b.safeguarding() && !s.Facts.Has(policy.Adult) && b.conflict(i) { // C10
		if primary {
			b.hold(policy.ChildParentConflict)
		} else {
			goes = contracts.ItemSet{}
		}
	}
	if f.Told && primary && !w.notice && !b.toldByTheSender() {
		b.held = true
	}
	goes = b.consented(i, goes, keep, context, w)
	if !f.Compelled && !b.safeguarding() && f.Basis.Article9 != "f" { // G9
		var out contracts.ItemSet
		for _, e := range w.restricted {
			agreed := w.answer == "yes" && w.yesAt.After(e.At)
			hit := b.pick(goes, func(item contracts.Item) bool {
				return (len(e.Categories) == 0 || slices.Contains(e.Categories, item.Category)) && !(agreed && w.lets(item))
			})
			if primary && len(e.Categories) == 0 && !agreed {
				if !hit.Empty() {
					b.hold(policy.Restricted)
				}
			} else {
				out = out.Or(hit)
			}
		}
		goes = keep(goes.Minus(out))
	}
	return goes
}

// conflict is C10: the flag, or a child and a parent of whom one says yes and the other no.
func (b *reference) conflict(i int) bool {
	s := b.r.Subjects[i]
	besides := s.Facts.Has(policy.SixteenOrSeventeen) && b.sender.Profile.ParentBelow > 16
	child := s.Facts.Has(policy.UnderSixteen) || s.Facts.Has(policy.SixteenOrSeventeen)
	accused := slices.ContainsFunc(b.r.Subjects, func(s policy.Subject) bool {
		return s.Role == transfer.AbsentParent && s.Facts.Has(policy.AllegedPerpetrator)
	})
	if s.Facts.Has(policy.ParentConflict) || s.Role == b.first() && child && accused {
		return true
	}
	if !s.Facts.Has(policy.UnderSixteen) && !besides {
		return false
	}
	only := func(whose string) string {
		c := *b
		r := *b.r
		c.r, r.Subjects = &r, slices.Clone(b.r.Subjects)
		r.Subjects[i].Events = slices.DeleteFunc(slices.Clone(s.Events), func(e consent.Event) bool { return !slices.Contains(strings.Fields(whose), e.Authority) })
		return c.heard(i, whose).answer
	}
	no := func(answer string) bool { return answer == "refused" || answer == "withdrawn" || answer == "objected" }
	theirs, parents := only("self gillick"), only("parent")
	return no(theirs) && parents == "yes" || no(parents) && theirs == "yes"
}

// consented is G10 proper: the matrix, and section 4.4.
func (b *reference) consented(
	i int, goes contracts.ItemSet, keep func(contracts.ItemSet) contracts.ItemSet, context func() contracts.ItemSet, w heardWord,
) contracts.ItemSet {
	s, basis := b.r.Subjects[i], b.flow.Basis
	primary := s.Role == b.first()
	said := w.answer
	lackingAdult := s.Facts.Has(policy.LacksCapacity) && !s.Facts.Has(policy.UnderSixteen)
	var money *heardWord
	if lackingAdult && s.Facts.Has(policy.FinanceAttorney) && !s.Facts.Has(policy.WelfareAttorney) {
		if m := b.heard(i, "attorney-property-finance deputy"); m.answer == "yes" {
			money = &m
		}
	}
	moneyAlone, instructed := false, false
	switch {
	case b.r.Exception != nil && b.r.Exception.Refused && primary && said != "refused" && said != "withdrawn" && said != "objected":
		said = "refused"
	case said == "none" && money != nil:
		said, moneyAlone = "yes", true
	case said == "none" && lackingAdult && s.Facts.Has(policy.NonInstructed) && b.r.Purpose == "advocacy":
		said, instructed = "yes", true
	}
	var parent *heardWord
	below := b.sender.Profile.ParentBelow
	besides := s.Facts.Has(policy.SixteenOrSeventeen) && below > 16 && !lackingAdult ||
		s.Facts.Has(policy.UnderSixteen) && s.Facts.Has(policy.GillickCompetent) && !s.Facts.Has(policy.NotCompetent) && !s.Facts.Has(policy.LacksCapacity) && below > 0
	if besides {
		p := b.heard(i, "parent")
		parent = &p
	}
	onWord := basis.Article6 != "c" &&
		(basis.Article6 == "a" || basis.Article9 == "a" || basis.Confidentiality != "statute" && basis.Confidentiality != "public-interest")
	doubted := s.Facts.Has(policy.CapacityInDoubt) && (!s.Facts.Has(policy.UnderSixteen) || s.Facts.Has(policy.GillickCompetent)) &&
		!(primary && b.lifted(policy.CapacityDoubt))

	// Whether it goes at all.
	overridden := b.safeguarding() && b.r.Exception.Limb != "" && b.overridden(s)
	mayLift := primary && basis.Article6 != "a"
	stopped := ""
	stop := func(how string, code policy.Code) {
		if how == "p" || how == "h" && mayLift && b.lifted(code) {
			return
		}
		stopped = max(stopped, how) // h < r
	}
	isNo := map[string]bool{"refused": true, "withdrawn": true, "objected": true}
	if isNo[said] {
		how, code := b.cell(basis.Article6, said, w)
		if how != "h" || !overridden {
			stop(how, code)
		}
		if how == "h" && stopped == "" {
			said = "none" // behind what somebody has lifted, or what does not count here
		}
	}
	if stopped == "" && !isNo[said] {
		if onWord && doubted {
			stopped = "h"
		} else {
			how, code := b.cell(basis.Article6, said, w)
			stop(how, code)
			if lackingAdult && onWord && stopped == "" {
				decided := said == "yes"
				before := b.heardFrom(i, "self gillick")
				switch {
				case !decided:
					stopped = "h"
				case isNo[before]:
					stop("h", policy.EarlierRefusal)
				}
			}
			if besides && basis.Article6 == "a" && said == "yes" && parent.answer != "yes" {
				stopped = max(stopped, "h")
			}
		}
	}

	// The special-category items, on conditions other than consent.
	special := b.pick(goes, func(item contracts.Item) bool { return item.Special })
	key := "9" + basis.Article9
	if basis.Article9 == "g" {
		key += paragraph(b.flow)
	}
	careful := "p"
	if !special.Empty() {
		how, code := b.cell(key, said, w)
		if how == "h" && isNo[said] && (overridden || mayLift && b.lifted(code)) {
			how, code = b.cell(key, "none", w)
		}
		if how == "h" && mayLift && b.lifted(code) {
			how = "p"
		}
		careful = how
	}

	switch {
	case stopped != "" && !primary && isNo[said]:
		return contracts.ItemSet{}
	case stopped != "" && !primary && careful != "p":
		return keep(context().Minus(special))
	case stopped != "" && !primary:
		return keep(context())
	case stopped != "":
		b.held = b.held || stopped == "h" || careful == "h"
		b.refused = b.refused || stopped == "r" || careful == "r"
		return goes
	case careful != "p":
		goes = goes.Minus(special)
	}

	// Item by item.
	covered := b.pick(goes, func(item contracts.Item) bool {
		gated := basis.Article6 == "a" || item.Special && (basis.Article9 == "a" || basis.Article9 == "d") || item.Offence && basis.Offence == "para 29"
		cautious := item.Special && bookMatrix[key] != nil
		if _, out := w.except[item.Category]; out && (basis.Article6 != "c" || gated || cautious) && !overridden {
			return false
		}
		contextual := (item.Role == transfer.CaredFor || item.Role == transfer.Child) && (item.Category == "relationship" || item.Name == "cared_for.condition")
		switch {
		case !primary && !isNo[said] && contextual:
			return true
		case moneyAlone && onWord && item.Category != "finance":
			return false
		case !gated:
			return true
		case doubted, isNo[said]:
			return false
		case money != nil && item.Category == "finance" && money.lets(item):
			return true
		case instructed:
			return !item.Special && !item.Offence
		}
		return w.lets(item) && (!besides || parent.lets(item))
	})
	goes = keep(covered)
	return b.beyondCare(i, goes, said, w)
}

func (b *reference) heardFrom(i int, whose string) string {
	c := *b
	r := *b.r
	c.r, r.Subjects = &r, slices.Clone(b.r.Subjects)
	r.Subjects[i].Events = slices.DeleteFunc(slices.Clone(r.Subjects[i].Events), func(e consent.Event) bool {
		return !slices.Contains(strings.Fields(whose), e.Authority)
	})
	return c.heard(i, whose).answer
}

// beyondCare is G11.
func (b *reference) beyondCare(_ int, goes contracts.ItemSet, said string, w heardWord) contracts.ItemSet {
	if !b.flow.Secondary {
		return goes
	}
	x := b.r.Secondary
	optOut := x != nil && x.CheckedOn != "" && x.CheckedOn <= civil(b.r.At) && !x.OptedOut
	if b.flow.Basis.Article6 == "c" || said == "yes" && w.explicit || optOut && (x.Support != "" || said == "yes") {
		return goes
	}
	return b.pick(goes, func(item contracts.Item) bool {
		who := item.Category == "identity" && !strings.HasSuffix(item.Name, ".gender") || item.Identifier != "" || item.FreeText || findsSomebody(item)
		return item.Directive || !who
	})
}
