package rights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"referralhub/hub/dates"
	"referralhub/hub/exchange"
)

// Steps of an incident.
const (
	sized               = "sized"
	contained           = "contained"
	assessed            = "assessed"
	notifiedICO         = "notified-ico"
	notifiedControllers = "notified-controllers"
	toldPeople          = "told-people"
	recall              = "recall"
)

// The outcomes of assessing what an incident means for people (Arts 33(1) and 34(1)).
const (
	unlikelyRisk = "unlikely-risk"
	risk         = "risk"
	highRisk     = "high-risk"
)

// late are why the ICO was told after the 72 hours (Art 33(1)).
var late = []string{"late-discovery", "late-investigation", "late-volume"}

// natures are what happened to the data (Art 33(3)(a)).
func natures() []string {
	return []string{
		"unauthorised-access", "wrong-recipient", "wrong-data", "too-much-data", "lost", "altered", "unavailable", "stolen-credentials", "suspected",
	}
}

// consequences are what may come of it for people (Art 33(3)(c)).
var consequences = []string{
	"physical-harm", "safe-address-known", "distress", "discrimination", "identity-theft", "financial-loss", "reputation", "confidentiality-lost",
	"control-lost", "care-disrupted", "none-likely",
}

// measures are what was done about it (Art 33(3)(d)).
var measures = []string{
	"partner-suspended", "system-suspended", "keys-changed", "agreement-suspended", "recalled", "deletion-confirmed", "return-confirmed", "data-corrected",
	"people-protected", "police-informed", "procedure-changed", "trained",
}

// incident is a breach, or what may be one: of confidentiality, of what is right, of what is there (Art 4(12)). The controller has 72 hours from
// when it became aware; the operator, a processor, tells the controllers (Art 33(2)). What is unlikely to be a risk for anybody is not notified,
// and recorded all the same (Art 33(5)).
var incident = procedure{
	person:  nobody,
	grounds: natures(),
	opened:  happened,
	clock:   incidentClock,
	steps: map[string]rule{
		sized:               {details: true, before: measureAhead, effect: keepSize},
		contained:           {grounds: measures},
		assessed:            {grounds: []string{unlikelyRisk, risk, highRisk}, details: true, effect: assess},
		notifiedICO:         {grounds: append([]string{"initial", "complete"}, late...), details: true, effect: notifyICO},
		notifiedControllers: {from: []State{Open}, to: Informing, before: scopeAhead, effect: tellControllers},
		toldPeople:          {grounds: []string{"directly", "publicly", "not-needed-unintelligible", "not-needed-measures"}},
		recall:              {from: []State{Open}, to: Recalling, grounds: []string{"wrong-recipient", "wrong-data", "compromised", "precaution"}, before: scopeAhead, effect: beginRecall},
		stopped:             {from: []State{Recalling}, hub: true, details: true, reads: readStopped, effect: stopThem},
		toldRecipients:      {from: []State{Recalling, Informing}, hub: true, details: true, effect: tellThem},
		carriedOut:          {from: []State{Recalling, Informing}, to: Open, hub: true},
		lookedAtRefusal:     {takes: "notice", effect: lookAtRefusal},
		toldOutside:         {takes: "task", effect: tellOutside},
		closed:              {from: []State{Open}, to: Closed, effect: closeIncident},
	},
}

// happened begins an incident. The scope may be given then, or with the step that sizes it.
func happened(w *work) error {
	if len(w.k.Grounds) == 0 {
		return invalid("/grounds", "required", "it is not said what happened", "name one or more of: "+words(natures()))
	}
	if w.k.Aware.IsZero() {
		w.k.Aware = w.At()
	}
	w.k.Aware = w.k.Aware.UTC().Truncate(time.Second)
	if w.k.Aware.After(w.At()) {
		return invalid("/aware", "future", "nobody can have become aware of it yet", "give the instant from which the 72 hours run, or leave it out for now")
	}
	if dates.On(w.k.Aware).Before(w.k.Received) {
		w.k.Received = dates.On(w.k.Aware)
	}
	w.k.Stage = ""
	if w.operator() {
		w.k.Stage = Processor
	}
	_, err := w.k.scope()
	return err
}

// Processor is the stage of an incident of whoever runs the hub: it has controllers to tell, and they tell the ICO and the people.
const Processor = "processor"

// scope is what the incident is about, as it was last said; nil when it was not.
func (k *Case) scope() (*Scope, error) {
	if len(k.Scope) == 0 || string(k.Scope) == "null" {
		return nil, nil
	}
	s := &Scope{}
	if err := decode(k.Scope, s); err != nil {
		return nil, invalid("/scope", "type", "this is not the scope of an incident", "look at the scope in the description of POST /v1/incidents/size")
	}
	return s, s.check()
}

// incidentClock gives the 72 hours, and what else has to be done without undue delay.
func incidentClock(k *Case, _ *dates.Calendar) []Deadline {
	if k.Stage == Processor {
		_, told := k.took(notifiedControllers)
		return []Deadline{{What: "tell the controllers", Source: "Art 33(2) UK GDPR: without undue delay", Met: told}}
	}
	level := k.level()
	_, told := k.took(notifiedICO)
	out := []Deadline{{
		What: "notify the ICO", By: k.Aware.Add(dates.BreachNotice).Format(time.RFC3339), Source: "Art 33(1) UK GDPR", Met: told || level == unlikelyRisk,
	}}
	if level == highRisk {
		_, told := k.took(toldPeople)
		out = append(out, Deadline{What: "tell the people concerned", Source: "Art 34 UK GDPR: without undue delay", Met: told})
	}
	return out
}

// level is what the incident was last assessed to be; empty before.
func (k *Case) level() string {
	s, _ := k.took(assessed)
	for _, g := range []string{highRisk, risk, unlikelyRisk} {
		if slices.Contains(s.Grounds, g) {
			return g
		}
	}
	return ""
}

// Sized is how far an incident reached, as a step keeps it.
type Sized struct {
	Scope *Scope `json:"scope,omitempty"`
	Size  *Size  `json:"size,omitempty"`
}

// measureAhead finds the size before the commit that keeps it: it may read a great part of the log.
func measureAhead(ctx context.Context, r *Rights, by exchange.Principal, k *Case, in *StepIn) error {
	var given Sized
	if err := decode(in.Details, &given); err != nil || given.Size != nil {
		return invalid("/details", "type", "these are not the details of this step", `give {"scope": {...}}, or leave them out for the scope of the case`)
	}
	if given.Scope == nil {
		var err error
		if given.Scope, err = k.scope(); err != nil {
			return err
		}
	}
	if given.Scope == nil {
		return invalid("/details/scope", "required", "nothing is said of what went wrong", "give a scope, as for POST /v1/incidents/size")
	}
	var err error
	if given.Size, err = r.measure(ctx, by, k.Partner, given.Scope, "incident "+k.Reference); err != nil {
		return unknownWord(err)
	}
	in.Details, err = json.Marshal(given)
	return err
}

// scopeAhead checks that the scope of the case is one that the log can be asked about: what is ordered on it is carried out later.
func scopeAhead(ctx context.Context, r *Rights, by exchange.Principal, k *Case, _ *StepIn) error {
	s, err := k.scope()
	if err != nil || s == nil {
		return err // the step says so
	}
	_, err = r.cfg.Exchange.Words(ctx, exchange.Principal{Partner: k.Partner, System: by.System}, s.reach(r.operates(k.Partner)))
	return unknownWord(err)
}

// unknownWord makes an answer of a word that nothing knows.
func unknownWord(err error) error {
	if word := (*exchange.WordError)(nil); errors.As(err, &word) {
		return invalid("/details/scope/"+word.Field, "unknown", word.Detail, "size the incident with a scope in words that the register, the contracts or the log know")
	}
	return err
}

// keepSize keeps the scope and what it came to; the newest counts.
func keepSize(w *work) error {
	var in Sized
	if err := w.details(&in); err != nil {
		return err
	}
	scope, err := json.Marshal(in.Scope)
	if err != nil {
		return fmt.Errorf("encode the scope of %s: %w", w.k.Reference, err)
	}
	w.k.Scope = scope
	w.count("disclosures", in.Size.Disclosures)
	w.count("people", in.Size.People)
	w.count("recipients", len(in.Size.Recipients))
	return nil
}

// sizeOf is what the incident was last found to have reached; nil before it was sized.
func (k *Case) sizeOf() *Sized {
	s, yes := k.took(sized)
	if !yes {
		return nil
	}
	var in Sized
	if err := json.Unmarshal(s.Details, &in); err != nil {
		return nil
	}
	return &in
}

// assess takes what the incident means for people.
func assess(w *work) error {
	if len(w.in.Grounds) != 1 {
		return invalid("/grounds", "enum", "an incident is assessed as one thing", "use one of: unlikely-risk, risk, high-risk")
	}
	var in struct {
		Consequences []string `json:"consequences"`
	}
	if err := w.details(&in); err != nil {
		return err
	}
	return oneOf("/details/consequences", in.Consequences, consequences, w.in.Grounds[0] != unlikelyRisk)
}

// notifyICO keeps when the ICO was told, and where that was late, why.
func notifyICO(w *work) error {
	var in struct {
		Reference string
		At        time.Time // when they were told; now, when it is not said
	}
	if err := w.details(&in); err != nil {
		return err
	}
	if err := checkReference(in.Reference); err != nil {
		return err
	}
	if in.At.IsZero() {
		in.At = w.At()
	}
	if in.At.After(w.At()) || in.At.Before(w.k.Aware) {
		return invalid("/details/at", "range", "that is before anybody was aware of it, or has not happened yet", "give the instant at which the ICO was told, or leave it out for now")
	}
	why := slices.ContainsFunc(w.in.Grounds, func(g string) bool { return slices.Contains(late, g) })
	if _, before := w.k.took(notifiedICO); !before && in.At.After(w.k.Aware.Add(dates.BreachNotice)) && !why {
		return invalid("/grounds", "required", "the 72 hours are over, and it is not said why", "name one or more of: "+words(late))
	}
	return nil
}

// tellControllers begins to tell the senders of what an incident reached: the operator is their processor (Art 33(2)).
func tellControllers(w *work) error {
	if !w.operator() {
		return w.refuse("only whoever runs the hub tells controllers: it works for them (Art 33(2))")
	}
	return needsScope(w)
}

func needsScope(w *work) error {
	switch s, err := w.k.scope(); {
	case err != nil:
		return err
	case s == nil:
		return w.refuse("nothing is said of what the incident is about: take the step %s with a scope", sized)
	}
	return nil
}

// closeIncident refuses to close what is not done.
func closeIncident(w *work) error {
	level := w.k.level()
	_, ico := w.k.took(notifiedICO)
	_, people := w.k.took(toldPeople)
	_, controllers := w.k.took(notifiedControllers)
	processor := w.k.Stage == Processor
	switch {
	case level == "":
		return w.refuse("nobody has assessed what it means for people: take the step %s", assessed)
	case level == unlikelyRisk:
	case processor && !controllers:
		return w.refuse("the controllers have not been told: take the step %s", notifiedControllers)
	case processor:
	case !ico:
		return w.refuse("the ICO has not been told: take the step %s", notifiedICO)
	case level == highRisk && !people:
		return w.refuse("the people concerned have not been told: take the step %s", toldPeople)
	}
	return w.waits()
}
