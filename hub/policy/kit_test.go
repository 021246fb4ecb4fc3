package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

const (
	cih     = transfer.PartnerID("carers-in-hertfordshire")
	ageUK   = transfer.PartnerID("age-uk-hertfordshire")
	pohwer  = transfer.PartnerID("pohwer")
	council = transfer.PartnerID("hertfordshire-county-council")
	fire    = transfer.PartnerID("hertfordshire-fire-and-rescue")
	abroad  = transfer.PartnerID("mailing-house-abroad")
	police  = transfer.PartnerID("hertfordshire-constabulary")
	cqc     = transfer.PartnerID("care-quality-commission")
	court   = transfer.PartnerID("county-court")
	nhs     = transfer.PartnerID("hospital-trust")
	family  = transfer.PartnerID("families")
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

var referral, _ = contracts.For("referral/1")

// items gives the set of the named items of the referral contract.
func items(names ...string) contracts.ItemSet {
	var s contracts.ItemSet
	for _, name := range names {
		item, ok := referral.Lookup(name)
		if !ok {
			panic("the referral contract has no item " + name)
		}
		s = s.With(item.Index)
	}
	return s
}

var (
	carerItems = items("carer.name.given", "carer.name.family", "carer.phones", "carer.addresses.lines", "referral.reason",
		"carer.condition", "carer.safe_to_contact", "carer.address_protected")
	caredForItems = items("cared_for.name.family", "cared_for.nhs_number", "cared_for.relationship_to_carer", "cared_for.condition",
		"cared_for.mental_health", "cared_for.contact_prohibited")
	referrerItems = items("referrer.name", "referrer.phone")
)

// staff are the people of every partner who may decide something.
var staff = []transfer.Person{
	{ID: "caseworker-1", Office: "Caseworker", Roles: []transfer.StaffRole{transfer.Caseworker}},
	{ID: "dpl-1", Office: "Data Protection Lead", Roles: []transfer.StaffRole{transfer.DataProtection}},
	{ID: "safeguarding-1", Office: "Safeguarding Lead", Roles: []transfer.StaffRole{transfer.SafeguardingLead}},
	{ID: "caldicott-1", Office: "Caldicott Guardian", Roles: []transfer.StaffRole{transfer.CaldicottGuardian}},
	{ID: "practitioner-1", Office: "Social Worker", Roles: []transfer.StaffRole{transfer.Practitioner}},
}

func partners() []transfer.Partner {
	partner := func(id transfer.PartnerID, kind transfer.Kind) transfer.Partner {
		return transfer.Partner{ID: id, Name: string(id), Kind: kind, Location: "GB", People: staff}
	}
	all := []transfer.Partner{
		partner(cih, transfer.Charity), partner(ageUK, transfer.Charity), partner(pohwer, transfer.Advocacy),
		partner(council, transfer.Council), partner(fire, transfer.FireAndRescue), partner(abroad, transfer.Company),
		partner(police, transfer.Police), partner(cqc, transfer.Regulator), partner(court, transfer.Court), partner(nhs, transfer.NHS),
		partner(family, transfer.Individuals),
	}
	all[5].Location = "US"
	return all
}

// hertswise is an agreement like the paper one: Carers in Hertfordshire refers to the members of Hertswise by consent.
func hertswise(change ...func(*agreement.Flow)) *agreement.Agreement {
	a := &agreement.Agreement{
		ID: "hertswise", Version: 1, Digest: "sha256:1", Status: agreement.Active,
		Starts: noon.Add(-100 * day), Ends: noon.Add(100 * day), ReviewBy: noon.Add(day),
	}
	f := &agreement.Flow{
		Agreement: a, ID: "hertswise@1#refer", From: []transfer.PartnerID{cih}, To: []transfer.PartnerID{ageUK},
		Messages: []transfer.MessageType{"referral/1"}, Purpose: "referral.service", Service: "hertswise",
		Members: []transfer.PartnerID{ageUK, cih},
		Basis:   agreement.Basis{Article6: "a", Article9: "a", Offence: "para 29"},
		Allowed: carerItems.Or(caredForItems).Or(referrerItems), Required: items("carer.name.family"), FreeText: agreement.Always,
	}
	a.Flows = []*agreement.Flow{f}
	for _, c := range change {
		c(f)
	}
	return a
}

func index(t testing.TB, agreements ...*agreement.Agreement) *agreement.Index {
	t.Helper()
	x, err := agreement.NewIndex(partners(), agreements)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// refer is a referral of a carer to Age UK for Hertswise, with what the carer has said.
func refer(events ...consent.Event) *policy.Request {
	return &policy.Request{
		Sender: cih, Recipient: ageUK, Contract: referral, Purpose: "referral.service", Service: "hertswise",
		Undertaking: &contracts.Undertaking{Basis: "consent", EvidenceRef: "file 7"},
		Subjects: []policy.Subject{
			{Role: transfer.Carer, Items: carerItems, Events: events, Facts: born(transfer.Carer, "1961-05-01")},
			{Role: transfer.Professional, Items: referrerItems},
		},
		At: noon,
	}
}

// withCaredFor adds a cared-for person to a referral, with what that person has said.
func withCaredFor(r *policy.Request, events ...consent.Event) *policy.Request {
	r.Subjects = append(r.Subjects, policy.Subject{Role: transfer.CaredFor, Items: caredForItems, Events: events})
	return r
}

// born gives the facts of somebody with this date of birth.
func born(role transfer.Role, date string) policy.Facts { return policy.FactsOf(role, nil, date, noon) }

var eventID int

// said is an event of yesterday about Hertswise.
func said(state consent.State, change ...func(*consent.Event)) consent.Event {
	eventID++
	e := consent.Event{
		ID: fmt.Sprint(eventID), RecordedBy: cih, State: state, Purpose: "referral.service", Service: "hertswise",
		Authority: "self", At: noon.Add(-day),
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

// explicitly makes a consent explicit and lists what it covers.
func explicitly(categories ...contracts.Category) func(*consent.Event) {
	return func(e *consent.Event) { e.Explicit, e.Categories = true, categories }
}

func naming(categories ...contracts.Category) func(*consent.Event) {
	return func(e *consent.Event) { e.Categories = categories }
}

func authority(a string) func(*consent.Event) {
	return func(e *consent.Event) { e.Authority = a }
}

func at(t time.Time) func(*consent.Event) { return func(e *consent.Event) { e.At = t } }

// everything is all that the carer of refer could agree to.
var everything = explicitly("identity", "contact", "address", "referral", "health", "safeguarding")

func decide(t testing.TB, r *policy.Request, agreements ...*agreement.Agreement) policy.Decision {
	t.Helper()
	d := policy.Decide(index(t, agreements...), r)
	check(t, r, &d)
	return d
}

// check holds every decision to what is true of all of them.
func check(t testing.TB, r *policy.Request, d *policy.Decision) {
	t.Helper()
	if len(d.Subjects) != len(r.Subjects) {
		t.Fatalf("%d subjects were asked about and %d decided", len(r.Subjects), len(d.Subjects))
	}
	for i, s := range d.Subjects {
		present := r.Subjects[i].Items
		if s.Items.Or(s.Stripped) != present || !s.Items.And(s.Stripped).Empty() {
			t.Errorf("%s: what goes and what is stripped are not what is present", s.Role)
		}
		if !s.Items.Minus(s.Covered).Empty() || !s.Covered.Minus(present).Empty() {
			t.Errorf("%s: more goes than the agreement covers", s.Role)
		}
		if !d.Outcome.Permits() && !s.Items.Empty() {
			t.Errorf("%s: something goes on a %s", s.Role, d.Outcome)
		}
	}
	switch {
	case d.Outcome == transfer.PermitException:
		if d.Flow != nil || d.Agreement != nil || d.Owner != policy.OwnerDPL || d.Deadline.IsZero() || !d.Expires.After(r.At) {
			t.Errorf("an exception under an agreement, or one without review or end: %+v", d)
		}
	case d.Outcome.Permits():
		if d.Flow == nil || d.Agreement == nil || d.Owner != "" || !d.Deadline.IsZero() {
			t.Errorf("a permit without an agreement, or one that somebody has to look at: %+v", d)
		}
	}
	if d.Outcome.Permits() != (len(d.Obligations) > 0) {
		t.Errorf("a %s with %d obligations", d.Outcome, len(d.Obligations))
	}
	if !d.Outcome.Permits() && (len(d.Reasons) == 0 || d.Owner == "" || !d.Deadline.After(r.At)) {
		t.Errorf("a %s without a reason, an owner or a deadline", d.Outcome)
	}
	for _, reason := range d.Reasons {
		if reason.Code == "" || reason.Gate == "" || reason.Detail == "" || reason.Remedy == "" || reason.Source == "" {
			t.Errorf("a reason that says too little: %+v", reason)
		}
		if d.Flow != nil && reason.Clause == "" && reason.Gate != "G2" && reason.Gate != "G3" && reason.Gate != "ruling" { // these are not a clause's
			t.Errorf("a reason without its clause: %+v", reason)
		}
	}
}

func codes(d policy.Decision) []policy.Code {
	var out []policy.Code
	for _, r := range d.Reasons {
		out = append(out, r.Code)
	}
	return out
}

// expect checks the outcome and the codes of all reasons, in order.
func expect(t testing.TB, d policy.Decision, outcome transfer.Outcome, want ...policy.Code) {
	t.Helper()
	if d.Outcome != outcome || !slices.Equal(codes(d), want) {
		t.Errorf("the outcome is %s %v, and should be %s %v", d.Outcome, codes(d), outcome, want)
	}
}

// went checks which items of one subject go.
func went(t testing.TB, d policy.Decision, subject int, want contracts.ItemSet) {
	t.Helper()
	if got := d.Subjects[subject].Items; got != want {
		t.Errorf("about the %s %v goes, and should %v", d.Subjects[subject].Role, referral.Names(got), referral.Names(want))
	}
}
