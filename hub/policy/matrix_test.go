package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// answers are the columns of domain.md section 4.2, in the order of the table; the third has four forms, which are one.
var answers = [][]consent.State{
	{consent.Given, consent.Renewed}, {consent.Given, consent.Renewed},
	{consent.None, consent.Requested, consent.Deferred, consent.Invalidated},
	{consent.Expired}, {consent.Refused}, {consent.Withdrawn}, {consent.Objected},
}

// answerWords are what the log says of the columns.
var answerWords = []string{"given", "given-not-explicit", "none", "expired", "refused", "withdrawn", "objected"}

const (
	permit = transfer.Permit
	strip  = transfer.PermitReduced
	hold   = transfer.Hold
	refuse = transfer.Refuse
)

// TestMatrix holds the whole table of domain.md section 4.2, cell by cell: what becomes of a carer's referral on each basis,
// without and with special-category data, for everything that the carer can have said.
func TestMatrix(t *testing.T) {
	informed := func(a *agreement.Agreement) { a.Transparency = []agreement.Notice{{Party: council, Version: "4"}} }
	careless := func(*agreement.Agreement) {}
	safeguarding := agreement.Basis{Article6: "e", Article9: "g", Schedule1: "para 18(1)(a)", APD: "apd"}
	for _, tt := range []struct {
		name     string
		sender   transfer.PartnerID
		basis    agreement.Basis
		special  bool
		declares func(*agreement.Agreement)
		want     string // a cell each: outcome, and the code where there is a reason
	}{
		{"(a), ordinary", cih, agreement.Basis{Article6: "a"}, false, careless,
			"permit, permit, hold CONSENT_NONE, hold CONSENT_EXPIRED, refuse CONSENT_REFUSED, refuse CONSENT_WITHDRAWN, refuse OBJECTION"},
		{"(a) and 9(a), special", cih, agreement.Basis{Article6: "a", Article9: "a"}, true, careless,
			"permit, strip CONSENT_NOT_EXPLICIT, hold CONSENT_NONE, hold CONSENT_EXPIRED, refuse CONSENT_REFUSED, refuse CONSENT_WITHDRAWN, refuse OBJECTION"},
		{"(b), ordinary", cih, agreement.Basis{Article6: "b"}, false, careless,
			"permit, permit, permit, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(b) and 9(a), special", cih, agreement.Basis{Article6: "b", Article9: "a"}, true, careless,
			"permit, strip CONSENT_NOT_EXPLICIT, strip CONSENT_NONE, strip CONSENT_EXPIRED, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(c), ordinary", council, agreement.Basis{Article6: "c"}, false, careless,
			"permit, permit, permit, permit, permit, permit, permit"},
		{"(c) and 9(g) para 6, special", council, agreement.Basis{Article6: "c", Article9: "g", Schedule1: "para 6", APD: "apd"}, true, careless,
			"permit, permit, permit, permit, permit, permit, permit"},
		{"(c) and 9(a), special", council, agreement.Basis{Article6: "c", Article9: "a"}, true, careless,
			"permit, strip CONSENT_NOT_EXPLICIT, strip CONSENT_NONE, strip CONSENT_EXPIRED, strip CONSENT_REFUSED, strip CONSENT_WITHDRAWN, strip OBJECTION"},
		{"(c) and 9(h), special", council, agreement.Basis{Article6: "c", Article9: "h", Schedule1: "para 2"}, true, careless,
			"permit, permit, permit, permit, strip CONSENT_REFUSED, strip CONSENT_WITHDRAWN, strip OBJECTION"},
		{"(c) and 9(h), ordinary", council, agreement.Basis{Article6: "c", Article9: "h", Schedule1: "para 2"}, false, careless,
			"permit, permit, permit, permit, permit, permit, permit"},
		{"(e), ordinary, told", council, agreement.Basis{Article6: "e"}, false, informed,
			"permit, permit, permit, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(e), ordinary, not told", council, agreement.Basis{Article6: "e"}, false, careless,
			"permit, permit, hold SUBJECT_NOT_INFORMED, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(e) and 9(h), special", council, agreement.Basis{Article6: "e", Article9: "h", Schedule1: "para 2"}, true, informed,
			"permit, permit, permit, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(e) and 9(g) para 16, special", council, agreement.Basis{Article6: "e", Article9: "g", Schedule1: "para 16", APD: "apd"}, true, informed,
			"permit, permit, permit, permit, refuse CONSENT_REFUSED, refuse CONSENT_WITHDRAWN, refuse OBJECTION"},
		{"(e) and 9(g) para 16, ordinary", council, agreement.Basis{Article6: "e", Article9: "g", Schedule1: "para 16", APD: "apd"}, false, informed,
			"permit, permit, permit, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(e) and 9(g) para 17, special", council, agreement.Basis{Article6: "e", Article9: "g", Schedule1: "para 17", APD: "apd"}, true, informed,
			"permit, permit, permit, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(e) and 9(g) para 18, special", council, safeguarding, true, informed,
			"permit, permit, strip CONSENT_LIMB_MISSING, strip CONSENT_LIMB_MISSING, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(e) and 9(g) para 18, ordinary", council, safeguarding, false, informed,
			"permit, permit, permit, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(c) and 9(g) para 19, special", council, agreement.Basis{Article6: "c", Article9: "g", Schedule1: "para 19", APD: "apd"}, true, careless,
			"permit, permit, strip CONSENT_LIMB_MISSING, strip CONSENT_LIMB_MISSING, strip CONSENT_REFUSED, strip CONSENT_WITHDRAWN, strip OBJECTION"},
		{"(c) and 9(g) para 24, special", council, agreement.Basis{Article6: "c", Article9: "g", Schedule1: "para 24", APD: "apd"}, true, careless,
			"permit, permit, strip REFERRER_UNDERTAKING_MISSING, strip REFERRER_UNDERTAKING_MISSING, strip CONSENT_REFUSED, strip CONSENT_WITHDRAWN, strip OBJECTION"},
		{"(f) and 9(d), special", cih, agreement.Basis{Article6: "f", LIA: "lia", Article9: "d"}, true, careless,
			"permit, strip CONSENT_NOT_EXPLICIT, strip CONSENT_NONE, strip CONSENT_EXPIRED, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(ea), ordinary", cih, agreement.Basis{Article6: "ea"}, false, careless,
			"permit, permit, hold REFERRER_UNDERTAKING_MISSING, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(f), ordinary", cih, agreement.Basis{Article6: "f", LIA: "lia"}, false, careless,
			"permit, permit, permit, permit, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(f) and 9(a), special", cih, agreement.Basis{Article6: "f", LIA: "lia", Article9: "a"}, true, careless,
			"permit, strip CONSENT_NOT_EXPLICIT, strip CONSENT_NONE, strip CONSENT_EXPIRED, hold CONSENT_REFUSED, hold CONSENT_WITHDRAWN, hold OBJECTION"},
		{"(d), ordinary", cih, agreement.Basis{Article6: "d"}, false, careless,
			"hold LESS_INTRUSIVE_AVAILABLE, hold LESS_INTRUSIVE_AVAILABLE, hold LESS_INTRUSIVE_AVAILABLE, hold LESS_INTRUSIVE_AVAILABLE, " +
				"hold LESS_INTRUSIVE_AVAILABLE, hold LESS_INTRUSIVE_AVAILABLE, hold LESS_INTRUSIVE_AVAILABLE"},
	} {
		cells := strings.Split(tt.want, ", ")
		if len(cells) != len(answers) {
			t.Fatalf("%s has %d cells", tt.name, len(cells))
		}
		present := items("carer.name.family", "referral.reason")
		if tt.special {
			present = present.Or(items("carer.condition"))
		}
		for column, states := range answers {
			for _, state := range states {
				t.Run(fmt.Sprintf("%s/%d %s", tt.name, column, state), func(t *testing.T) {
					r := refer()
					r.Sender, r.Subjects = tt.sender, r.Subjects[:1]
					r.Undertaking = &contracts.Undertaking{Basis: "consent"} // and no evidence
					r.Subjects[0].Items = present
					if state != consent.None {
						e := said(state, naming("identity", "referral", "health"), func(e *consent.Event) { e.RecordedBy = tt.sender })
						e.Explicit = column == 0
						if e.State == consent.Refused || e.State == consent.Withdrawn || e.State == consent.Objected {
							e.Categories = nil // a no to everything
						}
						r.Subjects[0].Events = []consent.Event{e}
					}
					a := hertswise(func(f *agreement.Flow) { f.From, f.Basis = []transfer.PartnerID{tt.sender}, tt.basis })
					tt.declares(a)
					d := decide(t, r, a)

					word, code, _ := strings.Cut(cells[column], " ")
					want := map[string]transfer.Outcome{"permit": permit, "strip": strip, "hold": hold, "refuse": refuse}[word]
					wantCodes := []policy.Code{}
					if code != "" {
						wantCodes = append(wantCodes, policy.Code(code))
					}
					expect(t, d, want, wantCodes...)
					if d.Subjects[0].Consent != answerWords[column] {
						t.Errorf("the log says that consent is %q", d.Subjects[0].Consent)
					}
					if want == strip {
						went(t, d, 0, present.Minus(items("carer.condition")))
					}
				})
			}
		}
	}
}

// publicTask is an agreement under which the council refers as its task, without the health of anybody.
func publicTask() *agreement.Agreement {
	return hertswise(func(f *agreement.Flow) {
		f.From, f.Basis = []transfer.PartnerID{council}, agreement.Basis{Article6: "e"}
		f.Allowed = f.Allowed.Minus(items("carer.condition"))
	})
}

// byCouncil is a referral that the council makes, without the health of anybody.
func byCouncil(events ...consent.Event) *policy.Request {
	r := refer(events...)
	r.Sender = council
	r.Subjects[0].Items = r.Subjects[0].Items.Minus(items("carer.condition"))
	return r
}

func recordedBy(p transfer.PartnerID) func(*consent.Event) {
	return func(e *consent.Event) { e.RecordedBy = p }
}

func TestWhoWasToldMayBeReferredAsAPublicTask(t *testing.T) {
	for story, change := range map[string]func(*policy.Request){
		"shown the privacy notice": func(r *policy.Request) {
			r.Subjects[0].Events = []consent.Event{said(consent.Requested, func(e *consent.Event) { e.RecordedBy, e.Notice = council, "carers-2026-04" })}
		},
		"told today":           func(r *policy.Request) { r.Undertaking.InformedOn = "2026-11-21" },
		"not told, for safety": func(r *policy.Request) { r.Undertaking.NotInformed = "safety" },
		"not told, for crime":  func(r *policy.Request) { r.Undertaking.NotInformed = "crime" },
	} {
		t.Run(story, func(t *testing.T) {
			r := byCouncil()
			change(r)
			expect(t, decide(t, r, publicTask()), permit)
		})
	}
	for story, change := range map[string]func(*policy.Request){
		"nothing said":                        func(*policy.Request) {},
		"will be told tomorrow":               func(r *policy.Request) { r.Undertaking.InformedOn = "2026-11-22" },
		"told on a day that nobody can read":  func(r *policy.Request) { r.Undertaking.InformedOn = "yesterday" },
		"not told, for a reason of their own": func(r *policy.Request) { r.Undertaking.NotInformed = "bother" },
		"no undertaking":                      func(r *policy.Request) { r.Undertaking = nil },
	} {
		t.Run(story, func(t *testing.T) {
			r := byCouncil()
			change(r)
			expect(t, decide(t, r, publicTask()), hold, policy.SubjectNotInformed)
		})
	}
}

func TestARecognisedInterestNeedsItsEvidence(t *testing.T) {
	recognised := hertswise(func(f *agreement.Flow) { f.Basis = agreement.Basis{Article6: "ea", Article9: "a"} })
	r := refer()
	r.Subjects[0].Items = items("carer.name.family")
	expect(t, decide(t, r, recognised), permit)
	r.Undertaking = nil
	expect(t, decide(t, r, recognised), hold, policy.ReferrerUndertakingMissing)
}

// What an elected representative takes up, somebody asked them to (domain.md section 4.5, P8).
func TestAnElectedRepresentativeIsToldWhatSomebodyAskedThemToTakeUp(t *testing.T) {
	toMember := hertswise(func(f *agreement.Flow) {
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia", Article9: "g", Schedule1: "para 24(1)", APD: "apd"}
	})
	expect(t, decide(t, refer(), toMember), permit)
	r := refer()
	r.Undertaking.EvidenceRef = ""
	d := decide(t, r, toMember)
	expect(t, d, strip, policy.ReferrerUndertakingMissing)
	went(t, d, 0, carerItems.Minus(items("carer.condition")))
}

func TestANoToOneKindOfDataOnABasisThatDoesNotAsk(t *testing.T) {
	r := refer(said(consent.Objected, naming("contact", "health")))
	phones, condition := items("carer.phones"), items("carer.condition")
	for _, tt := range []struct {
		story string
		basis agreement.Basis
		codes []policy.Code
		stays contracts.ItemSet
	}{
		{"legitimate interests", agreement.Basis{Article6: "f", LIA: "lia", Article9: "h", Schedule1: "para 2"},
			[]policy.Code{policy.Objection}, phones.Or(condition)},
		{"a law, and care", agreement.Basis{Article6: "c", Article9: "h", Schedule1: "para 2"}, []policy.Code{policy.Objection}, condition},
		{"a law, and explicit consent", agreement.Basis{Article6: "c", Article9: "a"}, []policy.Code{policy.Objection}, condition},
		{"a law for both", agreement.Basis{Article6: "c", Article9: "g", Schedule1: "para 6", APD: "apd"}, nil, contracts.ItemSet{}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			d := decide(t, r, hertswise(func(f *agreement.Flow) { f.Basis = tt.basis }))
			outcome := permit
			if tt.codes != nil {
				outcome = strip
			}
			expect(t, d, outcome, tt.codes...)
			went(t, d, 0, carerItems.Minus(tt.stays))
		})
	}
}

func TestARefusalOnTheGroundOfSafeguardingIsForTheSafeguardingLead(t *testing.T) {
	a := hertswise(func(f *agreement.Flow) {
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia", Article9: "g", Schedule1: "para 18(1)(a)", APD: "apd"}
	})
	if d := decide(t, refer(said(consent.Refused)), a); d.Outcome != hold || d.Owner != policy.OwnerSafeguarding {
		t.Errorf("it is a %s for %s", d.Outcome, d.Owner)
	}
}
