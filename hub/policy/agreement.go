package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"referralhub/hub/agreement"
)

// reviewGrace is how long an agreement may be overdue for review before it carries nothing (WEISF practice).
const reviewGrace = 90 * 24 * time.Hour

// underAgreement is gate G4: the clause that the transfer would go under, or why there is none. A clause of which nobody can tell whether it
// applies is given together with the hold that says so, when no other applies.
func underAgreement(c *hearing) (*agreement.Flow, []finding) {
	// The furthest that any clause came, and there the first of them, for the reason.
	const (
		nothing = iota
		purpose // a clause between these two
		service // for this purpose
		message // and service
		covered // and message type
	)
	stage, r := nothing, c.request
	var best, unclear *agreement.Flow
	var found []finding
	for _, f := range c.index.Candidates(r.Sender, r.Recipient) {
		if current, _ := c.index.Current(f.Agreement.ID, r.At); current != f.Agreement {
			continue // another version of the agreement counts
		}
		stage = max(stage, purpose)
		if f.Purpose != r.Purpose {
			continue
		}
		stage = max(stage, service)
		if f.Service != "" && f.Service != r.Service {
			continue
		}
		stage = max(stage, message)
		if !carries(f, r) {
			continue
		}
		stage = covered
		holds, known := conditionOf(f, r)
		switch standing := f.Agreement.Standing(r.At); {
		case known && !holds:
			found = append(found, unmet(f))
		case standing != agreement.InForce:
			found = append(found, notInForce(f, standing))
		case f.AccessOnly:
			found = append(found, accessOnly(f))
		case !known:
			unclear = c.better(unclear, f)
		default:
			best = c.better(best, f)
		}
	}
	switch {
	case best != nil:
		return best, nil
	case unclear != nil:
		return unclear, []finding{unknown(unclear)}
	case stage == nothing:
		return nil, uncovered(NoAgreement, fmt.Sprintf("No agreement lets %s send to %s.", r.Sender, r.Recipient),
			"Ask your Data Protection Lead whether an agreement should be made.")
	case stage == purpose:
		return nil, uncovered(PurposeNotCovered,
			fmt.Sprintf("No agreement lets %s send to %s for the purpose %s.", r.Sender, r.Recipient, r.Purpose),
			"Check the purpose of the message; an agreement has to name it.")
	case stage == service:
		what := "without naming a service"
		if r.Service != "" {
			what = "for the service " + string(r.Service)
		}
		return nil, uncovered(PurposeNotCovered,
			fmt.Sprintf("No agreement lets %s send to %s for the purpose %s %s.", r.Sender, r.Recipient, r.Purpose, what),
			"Check the service of the message; what is shared for one service is not shared for another.")
	case stage == message:
		return nil, uncovered(NoAgreement,
			fmt.Sprintf("No agreement lets %s send messages of this type to %s for the purpose %s.", r.Sender, r.Recipient, r.Purpose),
			"Check the type of the message; an agreement has to name it.")
	}
	return nil, found
}

func uncovered(code Code, detail, remedy string) []finding {
	return []finding{{effect: refuse, Reason: Reason{Code: code, Gate: "G4", Source: "000-3, 000-6, 000-7", Detail: detail, Remedy: remedy}}}
}

// carries reports whether the clause is about messages of the request's type.
func carries(f *agreement.Flow, r *Request) bool {
	return r.Contract != nil && slices.Contains(f.Messages, r.Contract.Type)
}

// conditionOf says what the when: of a clause came to.
func conditionOf(f *agreement.Flow, r *Request) (holds, known bool) {
	if f.When == nil {
		return true, true
	}
	holds, known = r.Conditions[f.When.Source]
	return holds, known
}

func unmet(f *agreement.Flow) finding {
	detail := f.When.Otherwise
	if detail == "" {
		detail = fmt.Sprintf("The clause applies only where %s, and here it is otherwise.", f.When.Source)
	}
	return finding{effect: refuse, Reason: Reason{
		Code: ConditionNotMet, Gate: "G4", Clause: f.ID, Source: "G4", Detail: detail,
		Remedy: "Check what the message says about this. If it is right, do not send it.",
	}}
}

func unknown(f *agreement.Flow) finding {
	return finding{effect: hold, firm: true, Reason: Reason{
		Code: ConditionUnknown, Gate: "G4", Clause: f.ID, Source: "G4",
		Detail: fmt.Sprintf("The clause applies only where %s, and the message does not say.", f.When.Source),
		Remedy: "Find out, and send the message again with the answer in it.",
	}}
}

func accessOnly(f *agreement.Flow) finding {
	return finding{effect: refuse, Reason: Reason{
		Code: AccessOnly, Gate: "G4", Clause: f.ID, Source: "000-1, 001-15",
		Detail: "The recipient may look at this where it is kept, under its contract, and gets no copy.",
		Remedy: "Do not send it. Give access as the contract says.",
	}}
}

// notInForce says why a clause that would cover the transfer does not count at this instant.
func notInForce(f *agreement.Flow, standing agreement.Standing) finding {
	reason := Reason{Gate: "G4", Clause: f.ID, Source: "G4"}
	switch standing {
	case agreement.NotStarted:
		reason.Code = AgreementNotStarted
		reason.Detail = fmt.Sprintf("The agreement %s has not started.", f.Agreement.Ref())
		reason.Remedy = "Send again once the agreement is active and its first day has come."
	case agreement.Ended:
		reason.Code = AgreementExpired
		reason.Detail = fmt.Sprintf("The agreement %s has ended.", f.Agreement.Ref())
		reason.Remedy = "Ask your Data Protection Lead whether the agreement will be renewed."
	case agreement.ContractEnded:
		reason.Code, reason.Source = ContractEnded, "003-2"
		reason.Detail = fmt.Sprintf("The contract that the agreement %s is bound to has ended.", f.Agreement.Ref())
		reason.Remedy = "Ask your Data Protection Lead who delivers the service now."
	default:
		reason.Code = AgreementSuspended
		reason.Detail = fmt.Sprintf("The agreement %s is suspended.", f.Agreement.Ref())
		reason.Remedy = "Ask the agreement's lead organisation when it will be in force again."
	}
	return finding{effect: refuse, Reason: reason}
}

// better gives the clause to decide under, of two that apply.
func (c *hearing) better(f, g *agreement.Flow) *agreement.Flow {
	if f == nil || c.choose(g, f) < 0 {
		return g
	}
	return f
}

// choose orders clauses that are all in force and all cover the transfer; the first is the one to decide under. They are never
// joined. The order MUST NOT depend on anybody's consent: choosing the clause that permits most once the answers are known
// would put a basis that needs no consent in the place of one on which the person said no. So what a demand compels or somebody claims as
// safeguarding goes under the clause made for it; then come the bases, in the order in which a person's word counts; only among clauses on
// one basis is it the one that lets most items go.
func (c *hearing) choose(f, g *agreement.Flow) int {
	r := c.request
	return cmp.Or(
		cmp.Compare(madeFor(g, r), madeFor(f, r)),
		cmp.Compare(basisRank(f.Basis.Article6), basisRank(g.Basis.Article6)),
		cmp.Compare(conditionRank(f.Basis.Article9), conditionRank(g.Basis.Article9)),
		cmp.Compare(reviewOf(f.Agreement, r.At), reviewOf(g.Agreement, r.At)),
		cmp.Compare(c.lets(g), c.lets(f)),
		cmp.Compare(f.ID, g.ID),
	)
}

// madeFor is 1 for a clause that was made for the ground on which the sender sends, when that is a demand or a claim.
func madeFor(f *agreement.Flow, r *Request) int {
	switch {
	case compels(r.Demand):
		if f.Compelled {
			return 1
		}
	case carriesClaim(f, r):
		return 1
	}
	return 0
}

// basisOrder lists the bases of Art 6(1) from the one that a person's word decides alone to the one that it does not touch.
var basisOrder = []string{"a", "b", "f", "ea", "e", "d", "c"}

func basisRank(article6 string) int { return slices.Index(basisOrder, article6) }

// conditionRank puts explicit consent first among the conditions of Art 9(2), and clauses without special-category items last.
func conditionRank(article9 string) int {
	if article9 == "" {
		return 'z'
	}
	return int(article9[0])
}

// lets counts the items that a clause lets go.
func (c *hearing) lets(f *agreement.Flow) int {
	under, n := *c, 0
	under.flow = f
	for i := range c.request.Subjects {
		p := person{Subject: &c.request.Subjects[i], left: c.request.Subjects[i].Items}
		for _, gate := range agreementRows.items {
			gate(&under, &p)
		}
		n += p.left.Len()
	}
	return n
}

// review is how an agreement stands to its review date.
type review int

const (
	upToDate review = iota
	inGrace
	lapsed
)

func reviewOf(a *agreement.Agreement, at time.Time) review {
	switch {
	case a.ReviewBy.IsZero() || at.Before(a.ReviewBy):
		return upToDate
	case at.Before(a.ReviewBy.Add(reviewGrace)):
		return inGrace
	}
	return lapsed
}

// reviewed is gate G5: an agreement past its review date is a warning, and stops once the grace is over.
func reviewed(c *hearing) []finding {
	a := c.flow.Agreement
	reason := Reason{
		Code: AgreementReviewOverdue, Gate: "G5", Source: "G5",
		Remedy: "The agreement's lead organisation has to review it and record the new review date.",
	}
	switch reviewOf(a, c.request.At) {
	case lapsed:
		reason.Detail = fmt.Sprintf("The review of the agreement %s is more than 90 days overdue.", a.Ref())
		return []finding{{effect: hold, Reason: reason}}
	case inGrace:
		reason.Detail = fmt.Sprintf("The review of the agreement %s is overdue; it stops 90 days after its review date.", a.Ref())
		return []finding{{effect: note, Reason: reason}}
	}
	return nil
}

// claimable asks whether the sender can claim the basis that the clause rests on (notes to domain.md section 4.2). The
// agreement's compiler refuses most of this before; the register may have changed since. A ruling gives nobody a basis.
func claimable(c *hearing) []finding {
	var found []finding
	basis := c.flow.Basis
	doubt := func(code Code, source, detail, remedy string) {
		found = append(found, finding{effect: hold, firm: true, Reason: Reason{Code: code, Gate: "G10", Source: source, Detail: detail, Remedy: remedy}})
	}
	if _, known := matrix[basis.Article6]; !known {
		doubt(BasisNotAvailable, "Art 6(1)", "The agreement rests on a lawful basis that the hub does not know.",
			"Have the agreement corrected.")
		return found
	}
	if c.sender != nil && !basis.ClaimableBy(c.sender) {
		doubt(BasisNotAvailable, "Art 6(1)("+basis.Article6+")",
			fmt.Sprintf("%s is not a body that can claim the lawful basis of this agreement.", c.sender.Name),
			"Have the agreement declare another basis for this partner, or the register name the function that was conferred on it.")
	}
	switch {
	case basis.Article6 == "f" && basis.LIA == "":
		doubt(LIAMissing, "Art 6(1)(f)", "The agreement relies on legitimate interests and names no assessment of them.",
			"Record the legitimate interests assessment in the agreement.")
	case basis.Article6 == "b" && strings.HasPrefix(string(c.request.Purpose), "contract-"):
		doubt(BasisBNotSubjectContract, "Art 6(1)(b)", "A contract with a funder is no contract with the person.",
			"Have the agreement declare another basis for reports to a funder.")
	}
	return found
}
