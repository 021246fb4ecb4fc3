package rights

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"referralhub/hub/dates"
	"referralhub/hub/report"
	"referralhub/hub/transfer"
)

// The stages of a complaint under the procedure of notice 001 (domain.md 10.2).
const (
	Informal       = "informal"        // stage 1: a line manager, with the Data Protection Lead
	Formal         = "formal"          // stage 2: the Data Protection Lead
	ChiefExecutive = "chief-executive" // stage 3
)

// Responded is the state of a complaint of which the complainant knows the outcome, and may still say something about it.
const Responded State = "responded"

// Steps of a complaint.
const (
	acknowledged      = "acknowledged"
	assigned          = "assigned"
	progressTold      = "progress-told"
	delayNotified     = "delay-notified"
	actionTaken       = "action-taken"
	responded         = "responded"
	satisfied         = "satisfied"
	treatedAsResolved = "treated-as-resolved"
	replied           = "replied"
	escalated         = "escalated"
	considerationSet  = "consideration-set"
	considered        = "considered"
	breachFound       = "breach-found"
	reportedToICO     = "reported-to-ico"
	requiredByICO     = "required-by-ico"
	toTrustees        = "referred-to-trustees"
	notPursued        = "not-pursued"
)

// limit is one clock of a complaint.
type limit struct {
	stage  string // in which it runs; empty: in all
	what   string
	after  string // the step of that stage from which it counts; empty: from the day on which the complaint, or the stage, began
	days   int    // calendar days, that of receipt being the first
	work   int    // working days, that of receipt being none
	met    []string
	source string
}

// complaints are the procedures that notices have, beside the statute's clock, which is everybody's.
var complaints = map[string]struct {
	stages []string
	limits []limit
}{
	transfer.ThreeStages: {
		stages: []string{Informal, Formal, ChiefExecutive},
		limits: []limit{
			{what: "acknowledge", work: 3, met: []string{acknowledged, responded}, source: "notice 001 s.3.5"},
			{what: "respond", work: 14, met: []string{responded}, source: "notice 001 s.3.5"},
			{stage: Informal, what: "respond", work: 5, met: []string{responded}, source: "notice 001 stage 1"},
			{stage: Formal, what: "acknowledge", work: 1, met: []string{acknowledged, responded}, source: "notice 001 stage 2"},
			{stage: Formal, what: "respond", work: 10, met: []string{responded}, source: "notice 001 stage 2"},
			{stage: Formal, what: theirReply, after: responded, work: 10, met: []string{replied}, source: "notice 001 stage 2"},
			{stage: Formal, what: "end the stage", work: 21, source: "notice 001 stage 2"},
			{stage: ChiefExecutive, what: "acknowledge", work: 1, met: []string{acknowledged, responded}, source: "notice 001 stage 3"},
			{stage: ChiefExecutive, what: "say when it will be considered", work: 5, met: []string{considerationSet, considered, responded}, source: "notice 001 stage 3"},
			{stage: ChiefExecutive, what: "consider", after: acknowledged, work: 14, met: []string{considered, responded}, source: "notice 001 stage 3"},
			{stage: ChiefExecutive, what: "respond", after: considered, work: 10, met: []string{responded}, source: "notice 001 stage 3"},
			{stage: ChiefExecutive, what: "end the stage", work: 28, source: "notice 001 stage 3"},
		},
	},
}

// theirReply is by when the complainant may say more. After it, the complaint is taken for resolved.
const theirReply = "reply of the complainant"

// statute is everybody's clock.
var statute = limit{what: "acknowledge", days: 30, met: []string{acknowledged, responded}, source: "DPA 2018 s.164A"}

// complaint is what somebody says against how their data was used. A partner whose notice has a procedure of its own has its stages and clocks
// beside the statute's; the earliest counts, and all are shown. An anonymous complaint is about nobody, and recorded all the same.
var complaint = procedure{
	person: perhaps,
	grounds: []string{
		"access", "accuracy", "security", "sharing", "retention", "marketing", "rights-request", "handling", "other", anonymously,
	},
	opened: complained,
	clock:  complaintClock,
	steps: map[string]rule{
		acknowledged:      {from: []State{Open}},
		assigned:          {from: []State{Open}, details: true, effect: assign},
		progressTold:      {from: []State{Open, Responded}},
		delayNotified:     {from: []State{Open}, details: true, effect: estimate},
		actionTaken:       {from: []State{Open, Responded}, grounds: []string{"explained", "apologised", "records-corrected", "recipients-told", "recalled", "trained", "procedure-changed", "discipline", "none-needed"}},
		considerationSet:  {from: []State{Open}, details: true, effect: setConsideration},
		considered:        {from: []State{Open}, effect: inStage(ChiefExecutive)},
		responded:         {from: []State{Open}, to: Responded, grounds: []string{"upheld", "partly-upheld", "not-upheld"}},
		replied:           {from: []State{Responded}, to: Open},
		satisfied:         {from: []State{Responded}, to: Closed},
		treatedAsResolved: {from: []State{Responded}, to: Closed, hub: true, effect: silence},
		closed:            {from: []State{Responded}, to: Closed, effect: closeComplaint},
		escalated:         {from: []State{Open, Responded}, to: Open, grounds: []string{"dissatisfied", "formal-from-the-start", "ico-found-breach"}, effect: escalate},
		breachFound:       {from: []State{Open, Responded}, grounds: natures(), effect: foundBreach},
		reportedToICO:     {from: []State{Open, Responded}, details: true, effect: keepReference},
		requiredByICO:     {from: []State{Open, Responded}, grounds: []string{"rectify", "erase", "stop", "tell-people", "change-procedure", "apologise", "nothing"}},
		toTrustees:        {from: []State{Open, Responded}, grounds: []string{"serious"}},
		notPursued:        {from: []State{Open}, to: Refused, grounds: []string{"not-enough-information"}, effect: giveUpAnonymous},
		refused:           {from: []State{Open, Responded}, to: Refused, grounds: []string{"vexatious", "no-merit", nextStepWeighed}, effect: refuseComplaint},
	},
}

const (
	anonymously = "anonymous"
	// nextStepWeighed says that whoever refuses has taken into account that the complainant's next step is the ICO or a court (notice 001).
	nextStepWeighed = "next-step-weighed"
)

// stagesOf are the stages of a partner's complaints; nil where its notice has none.
func (r *Rights) stagesOf(id transfer.PartnerID) []string {
	return complaints[r.procedureOf(id)].stages
}

func (r *Rights) procedureOf(id transfer.PartnerID) string {
	if p, known := r.cfg.Exchange.Index().Partner(id); known {
		return p.Profile.Complaints
	}
	return ""
}

// complained begins a complaint: formal, unless the Data Protection Lead picks another stage.
func complained(w *work) error {
	if len(w.k.Scope) > 0 {
		return invalid("/scope", "unexpected", "a complaint has no scope", "leave it out")
	}
	stages := w.rights.stagesOf(w.k.Partner)
	switch {
	case len(stages) == 0 && w.k.Stage != "":
		return invalid("/stage", "unexpected", "the procedure of this partner has no stages", "leave the stage out")
	case len(stages) == 0:
	case w.k.Stage == "":
		w.k.Stage = Formal
	case w.k.Stage == ChiefExecutive || !slices.Contains(stages, w.k.Stage):
		return invalid("/stage", "enum", "a complaint does not begin in this stage", "use informal or formal")
	}
	return w.putScope(&complaintScope{Procedure: w.rights.procedureOf(w.k.Partner)})
}

// complaintScope is what a complaint keeps besides: by which procedure it goes, and the incidents that came of it.
type complaintScope struct {
	Procedure string   `json:"procedure,omitempty"`
	Incidents []string `json:"incidents,omitempty"`
}

func (k *Case) complaint() complaintScope {
	var s complaintScope
	_ = json.Unmarshal(k.Scope, &s) // the hub wrote it
	return s
}

func (w *work) putScope(s *complaintScope) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the scope of %s: %w", w.k.Reference, err)
	}
	w.k.Scope = text
	return nil
}

// since are the steps of the stage that the complaint is in, and the day on which it began.
func (k *Case) since() ([]Step, dates.Date) {
	for i := len(k.Steps) - 1; i >= 0; i-- {
		if k.Steps[i].Step == escalated {
			return k.Steps[i:], k.Steps[i].On
		}
	}
	return k.Steps, k.Received
}

// complaintClock gives every deadline, those of the stage and those of the whole.
func complaintClock(k *Case, c *dates.Calendar) []Deadline {
	var out []Deadline
	for _, l := range append([]limit{statute}, complaints[k.complaint().Procedure].limits...) {
		if l.stage == "" || l.stage == k.Stage {
			if d, runs := l.of(k, c); runs {
				out = append(out, d)
			}
		}
	}
	if told, late := k.took(delayNotified); late {
		var in struct{ Until dates.Date }
		_ = json.Unmarshal(told.Details, &in) // it was checked when the step was taken
		_, met := k.took(responded)
		out = append(out, Deadline{What: "respond, as estimated", By: in.Until.String(), Source: "notice 001 s.3.5", Met: met})
	}
	return out
}

// of is a clock as it runs in a case.
func (l *limit) of(k *Case, c *dates.Calendar) (d Deadline, runs bool) {
	steps, from := k.Steps, k.Received
	if l.stage != "" {
		steps, from = k.since()
	}
	if l.stage != "" && l.what == "respond" {
		for i := len(steps) - 1; i >= 0; i-- {
			if steps[i].Step == replied { // whoever replies is to be answered again
				steps, from = steps[i:], steps[i].On
				break
			}
		}
	}
	if l.after != "" {
		at := len(steps) - 1 // the last of them: whoever answers again gives time again
		for at >= 0 && steps[at].Step != l.after {
			at--
		}
		if at < 0 {
			return d, false
		}
		steps, from = steps[at:], steps[at].On
	}
	d = Deadline{What: l.what, Source: l.source, Met: slices.ContainsFunc(steps, func(s Step) bool { return slices.Contains(l.met, s.Step) })}
	if l.days > 0 {
		d.By = from.AddDays(l.days - 1).String()
	} else {
		due := c.WorkingDays(from, l.work)
		d.By, d.Warning = due.Date.String(), due.Warning
	}
	if _, late := k.took(delayNotified); late && l.stage == "" && l.what == "respond" {
		d.Met = true // the complainant was told of the delay, and by when instead
	}
	return d, true
}

// assign names who investigates.
func assign(w *work) error {
	var in struct{ Investigator string }
	if err := w.details(&in); err != nil {
		return err
	}
	if in.Investigator == "" {
		return invalid("/details/investigator", "required", "it is not said who investigates", "name somebody by the id of the register")
	}
	_, err := w.Staff(w.k.Partner, in.Investigator)
	return err
}

func estimate(w *work) error {
	var in struct{ Until dates.Date }
	if err := w.details(&in); err != nil {
		return err
	}
	if !in.Until.After(w.on) {
		return invalid("/details/until", "required", "it is not said when the answer will come", "give an estimate, a day after that of the step")
	}
	return nil
}

func setConsideration(w *work) error {
	if err := inStage(ChiefExecutive)(w); err != nil {
		return err
	}
	var in struct{ Until dates.Date }
	if err := w.details(&in); err != nil {
		return err
	}
	if in.Until.Before(w.on) {
		return invalid("/details/until", "required", "it is not said when the complaint will be considered", "give the day, not before that of the step")
	}
	return nil
}

func inStage(stage string) func(*work) error {
	return func(w *work) error {
		if w.k.Stage != stage {
			return w.refuse("this belongs to the stage %q, and the complaint is in %q", stage, w.k.Stage)
		}
		return nil
	}
}

// escalate takes a complaint to its next stage. The last is open to whoever has been through an earlier one, or where the ICO has found a breach.
func escalate(w *work) error {
	stages := w.rights.stagesOf(w.k.Partner)
	at := slices.Index(stages, w.k.Stage)
	switch {
	case at < 0:
		return w.refuse("the procedure of %s has no stages: the complainant may go to the ICO", w.k.Partner)
	case at == len(stages)-1:
		return w.refuse("this is the last stage: the complainant may go to the ICO")
	case at == len(stages)-2 && w.k.State != Responded && !slices.Contains(w.in.Grounds, "ico-found-breach"):
		return w.refuse("a complaint goes to the chief executive after an answer in an earlier stage, or where the ICO has found a breach")
	}
	w.k.Stage = stages[at+1]
	return nil
}

// theirs is until when the complainant may still say something about the answer.
func (k *Case) theirs(c *dates.Calendar) (until time.Time, waits bool) {
	for _, d := range complaintClock(k, c) {
		if d.What == theirReply && !d.Met {
			return d.Instant(), true
		}
	}
	return until, false
}

// silence closes a complaint of which the complainant said no more in time.
func silence(w *work) error {
	if until, waits := w.k.theirs(w.rights.cfg.Calendar); waits && until.Before(w.At()) {
		return nil
	}
	return w.refuse("the complainant may still reply")
}

// closeComplaint is the lead's word that there is nothing left to do, where nobody has to be waited for.
func closeComplaint(w *work) error {
	if until, waits := w.k.theirs(w.rights.cfg.Calendar); waits && !until.Before(w.At()) {
		return w.refuse("the complainant may reply until %s: take %s when they are content", dates.On(until), satisfied)
	}
	return nil
}

// foundBreach opens an incident of which the controller is aware from now on: it has 72 hours (rule 001-37).
func foundBreach(w *work) error {
	k, err := w.open(Incident, w.in.Grounds, nil)
	if err != nil {
		return err
	}
	mine := w.k.complaint()
	mine.Incidents = append(mine.Incidents, k.Reference)
	return w.putScope(&mine)
}

func giveUpAnonymous(w *work) error {
	if !slices.Contains(w.k.Grounds, anonymously) {
		return w.refuse("only an anonymous complaint may be left for want of information: ask this complainant")
	}
	return nil
}

func refuseComplaint(w *work) error {
	if !slices.Contains(w.in.Grounds, nextStepWeighed) || len(w.in.Grounds) < 2 {
		return invalid("/grounds", "required",
			"whoever refuses a complaint says why, and that the complainant's next step, the ICO or a court, was weighed", "name vexatious or no-merit, and "+nextStepWeighed)
	}
	return nil
}

// caseReference is that of an office such as the ICO: "IC-123456-A1B2". It has no room for somebody's name.
var caseReference = regexp.MustCompile(`^[A-Z]{1,6}[-/]?[0-9][A-Z0-9/-]{2,24}$`)

// keepReference takes the reference that the ICO gave a report.
func keepReference(w *work) error {
	var in struct{ Reference string }
	if err := w.details(&in); err != nil {
		return err
	}
	return checkReference(in.Reference)
}

func checkReference(given string) error {
	if !caseReference.MatchString(given) {
		return invalid("/details/reference", "format", "this is no reference of a report", `write it as the ICO did: "IC-123456-A1B2"`)
	}
	return nil
}

// InventoryColumns are those of the Data Protection Complaint Inventory (rule 001-36).
func InventoryColumns() []string {
	return []string{
		"reference", "partner", "channel", "received", "about", "stage", "acknowledged", "investigator", "actions", "decisions", "ico_reference",
		"ico_required", "outcome", "closed",
	}
}

// WriteInventory writes complaints as a CSV that no spreadsheet takes for formulas.
func WriteInventory(w io.Writer, complaints []Case) error {
	if err := report.Row(w, InventoryColumns()...); err != nil {
		return err
	}
	for i := range complaints {
		if err := report.Row(w, Inventory(&complaints[i])...); err != nil {
			return err
		}
	}
	return nil
}

// Inventory is a complaint as a row of the inventory: codes, days, offices.
func Inventory(k *Case) []string {
	row := struct{ acknowledged, investigator, ico, closed string }{}
	var actions, decisions, required []string
	dated := func(s *Step) []string {
		return []string{fmt.Sprintf("%s %s", s.On, words(s.Grounds))}
	}
	outcome := ""
	for i := range k.Steps {
		s := &k.Steps[i]
		var in struct {
			Investigator, Reference string
		}
		_ = json.Unmarshal(s.Details, &in) // it was checked when the step was taken
		switch s.Step {
		case acknowledged:
			row.acknowledged = cmp.Or(row.acknowledged, s.On.String())
		case assigned:
			row.investigator = in.Investigator
		case actionTaken:
			actions = append(actions, dated(s)...)
		case responded, refused, notPursued:
			decisions = append(decisions, dated(s)...)
			outcome = words(s.Grounds)
		case escalated:
			decisions = append(decisions, fmt.Sprintf("%s escalated: %s", s.On, words(s.Grounds)))
		case breachFound:
			decisions = append(decisions, fmt.Sprintf("%s breach found: %s", s.On, words(s.Grounds)))
		case reportedToICO:
			row.ico = in.Reference
		case requiredByICO:
			required = append(required, dated(s)...)
		}
	}
	if k.State.Over() {
		row.closed = k.Steps[len(k.Steps)-1].On.Format(time.DateOnly)
	}
	list := func(parts []string) string { return strings.Join(parts, "; ") }
	return []string{
		k.Reference, string(k.Partner), k.Channel, k.Received.String(), words(k.Grounds), k.Stage, row.acknowledged, row.investigator,
		list(actions), list(decisions), row.ico, list(required), outcome, row.closed,
	}
}
