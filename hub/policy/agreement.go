package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

// reviewGrace is how long an agreement may be overdue for review before it carries nothing (WEISF practice).
const reviewGrace = 90 * 24 * time.Hour

// prohibited is gate G2: no agreement and no consent makes marketing or sale a reason to share.
func prohibited(r *Request) []finding {
	if !strings.HasPrefix(string(r.Purpose), "marketing") && !strings.HasPrefix(string(r.Purpose), "sale") {
		return nil
	}
	return []finding{{refuse, Reason{
		Code: PurposeProhibited, Gate: "G2", Source: "000-2, 001-6, 002-6, 004-1",
		Detail: "Personal data is never shared for marketing or sold.",
		Remedy: "Do not send it. If the purpose was named wrongly, send the message again with the right one.",
	}}}
}

// partners is gate G3: both partners are on the register and active, and data stays protected where the recipient takes it.
func partners(x *agreement.Index, r *Request) []finding {
	var found []finding
	for _, id := range [...]transfer.PartnerID{r.Sender, r.Recipient} {
		p, known := x.Partner(id)
		switch {
		case !known:
			found = append(found, finding{refuse, Reason{
				Code: NoAgreement, Gate: "G3", Source: "G3",
				Detail: fmt.Sprintf("%s is not on the partner register.", id),
				Remedy: "Check the partner's id. A new partner has to be added to the register and to an agreement first.",
			}})
		case p.Suspended:
			found = append(found, finding{refuse, Reason{
				Code: PartnerSuspended, Gate: "G3", Source: "G3",
				Detail: fmt.Sprintf("%s is suspended from the hub.", p.Name),
				Remedy: "Ask the hub's operator when the suspension will be lifted, or use another partner.",
			}})
		}
		if known && id == r.Recipient && p.Safeguard == "" && !adequate(p.Location) {
			found = append(found, finding{refuse, Reason{
				Code: TransferAbroadNoSafeguard, Gate: "G3", Source: "000-10, 003-11, UK GDPR chapter V",
				Detail: fmt.Sprintf("%s processes data outside the United Kingdom where no equal protection is on record.", p.Name),
				Remedy: "Record the recipient's transfer safeguard, such as an IDTA, in the partner register.",
			}})
		}
	}
	return found
}

// adequate reports whether data may go to a country without a further safeguard: the United Kingdom and what its adequacy
// regulations cover in full (DPA 2018 Schedule 21 para 5, and the Republic of Korea). Canada, Japan and the United States are
// covered for some recipients only, so there the register has to name the safeguard. location is an ISO 3166 code, with or
// without a subdivision; an empty one is not adequate (rule 003-11: the location must be recorded).
func adequate(location string) bool {
	country, _, _ := strings.Cut(location, "-")
	switch country {
	case "GB", "GI", "GG", "JE", "IM", // with Gibraltar and the Crown dependencies
		"AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU", "MT", "NL",
		"PL", "PT", "RO", "SK", "SI", "ES", "SE", "IS", "LI", "NO", // the EEA
		"AD", "AR", "CH", "FO", "IL", "KR", "NZ", "UY":
		return true
	}
	return false
}

// underAgreement is gate G4: the clause that the transfer would go under, or why there is none.
func underAgreement(x *agreement.Index, r *Request) (*agreement.Flow, []finding) {
	// The furthest that any clause came, and there the first of them, for the reason.
	const (
		nothing = iota
		purpose // a clause between these two
		service // for this purpose
		message // and service
		inForce // and message type
	)
	stage := nothing
	var best *agreement.Flow
	var found []finding
	for _, f := range x.Candidates(r.Sender, r.Recipient) {
		if current, _ := x.Current(f.Agreement.ID, r.At); current != f.Agreement {
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
		stage = inForce
		if standing := f.Agreement.Standing(r.At); standing != agreement.InForce {
			found = append(found, notInForce(f, standing))
		} else if best == nil || choose(f, best, r) < 0 {
			best = f
		}
	}
	switch {
	case best != nil:
		return best, nil
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
	return []finding{{refuse, Reason{Code: code, Gate: "G4", Source: "000-3, 000-6, 000-7", Detail: detail, Remedy: remedy}}}
}

// carries reports whether the clause is about messages of the request's type.
func carries(f *agreement.Flow, r *Request) bool {
	for _, t := range f.Messages {
		if r.Contract != nil && t == r.Contract.Type {
			return true
		}
	}
	return false
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
	return finding{refuse, reason}
}

// choose orders clauses that are all in force and all cover the transfer; the first is the one to decide under. They are never
// joined. The order MUST NOT depend on anybody's consent: choosing the clause that permits most once the answers are known
// would put a basis that needs no consent in the place of one on which the person said no. So the bases come first, in the
// order in which a person's word counts; only among clauses on one basis is it the one that lets most items go.
func choose(f, g *agreement.Flow, r *Request) int {
	return cmp.Or(
		cmp.Compare(basisRank(f.Basis.Article6), basisRank(g.Basis.Article6)),
		cmp.Compare(conditionRank(f.Basis.Article9), conditionRank(g.Basis.Article9)),
		cmp.Compare(reviewOf(f.Agreement, r.At), reviewOf(g.Agreement, r.At)),
		cmp.Compare(lets(g, r), lets(f, r)),
		cmp.Compare(f.ID, g.ID),
	)
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

// lets counts the items that a clause lets go.
func lets(f *agreement.Flow, r *Request) int {
	c, n := hearing{request: r, flow: f}, 0
	for i := range r.Subjects {
		p := person{Subject: &r.Subjects[i], left: r.Subjects[i].Items}
		for _, gate := range itemGates {
			gate(&c, &p)
		}
		n += p.left.Len()
	}
	return n
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
		return []finding{{hold, reason}}
	case inGrace:
		reason.Detail = fmt.Sprintf("The review of the agreement %s is overdue; it stops 90 days after its review date.", a.Ref())
		return []finding{{note, reason}}
	}
	return nil
}

// claimable asks whether the sender can claim the basis that the clause rests on (notes to domain.md section 4.2). The
// agreement's compiler refuses most of this before; the register may have changed since.
func claimable(c *hearing) []finding {
	var found []finding
	basis := c.flow.Basis
	doubt := func(code Code, source, detail, remedy string) {
		found = append(found, finding{hold, Reason{Code: code, Gate: "G10", Source: source, Detail: detail, Remedy: remedy}})
	}
	if _, known := matrix[basis.Article6]; !known {
		doubt(BasisNotAvailable, "Art 6(1)", "The agreement rests on a lawful basis that the hub does not know.",
			"Have the agreement corrected.")
		return found
	}
	if p, known := c.index.Partner(c.request.Sender); known && !basis.ClaimableBy(p.Kind) {
		doubt(BasisNotAvailable, "Art 6(1)("+basis.Article6+")",
			fmt.Sprintf("%s is not a body that can claim the lawful basis of this agreement.", p.Name),
			"Have the agreement declare another basis for this partner.")
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
