package policy

import (
	"time"

	"referralhub/hub/dates"
	"referralhub/hub/transfer"
)

// obligations are what comes with every permit (domain.md section 4.8), gate G12 among them: it creates a task and never blocks.
func (c *hearing) obligations(people []person) []Obligation {
	out := make([]Obligation, 0, 8)
	out = append(out,
		Obligation{Code: "log", Who: "hub", Source: "001-7, Art 5(2)", Detail: "Write the disclosure down before anything leaves."},
		Obligation{
			Code: "stamp", Who: "hub", Source: "4.8",
			Detail: "Say on it what it is for, which decision and which version of which agreement let it go, and how long it may be kept.",
		},
		Obligation{
			Code: "no-onward-sharing", Who: "recipient", Source: "001-15, 000-3",
			Detail: "Use it for this purpose alone, and pass nothing on except as the agreement lets you.",
		},
		Obligation{
			Code: "confirm", Who: "recipient", Source: "4.8", Detail: "Confirm that it has come, and what became of it.",
		},
	)
	if aboutSomebody(people) {
		out = append(out, c.inform(people), Obligation{
			Code: "register-recipient", Who: "hub", Source: "Art 19, Art 7(3)",
			Detail: "Tell the recipient when something is put right, erased, restricted or withdrawn.",
		})
	}
	if primaryFact(people, ParentConflict) {
		out = append(out, Obligation{
			Code: "do-not-contact-parent", Who: "recipient", Source: "C10", Detail: "Do not contact the parent about this without the safeguarding lead.",
		})
	}
	if c.guarded() {
		out = append(out, Obligation{
			Code: "protect", Who: "recipient", Source: "section 11",
			Detail: "Somebody in it must not be found or contacted by others. Keep addresses, numbers and places from everybody who does not need them.",
		})
	}
	if c.exactly() || c.flow != nil && c.flow.Basis.Article6 == "c" {
		out = append(out, Obligation{
			Code: "notify-dpl", Who: "sender", Source: "001-7",
			Detail: "Tell the Data Protection Lead, who documents the legal obligation and the decision.",
		})
	}
	if c.exception != nil || c.claims() {
		out = append(out, Obligation{
			Code: "review-exception", Who: "sender", Source: "4.3", By: c.reviewBy(),
			Detail: "The Data Protection Lead reviews whether the exception was right, and records it.",
		})
	}
	if c.exception != nil && c.exception.row == "E6" {
		out = append(out, Obligation{
			Code: "tipping-off", Who: "hub", Source: "001-17", Detail: "Leave this out of everything that the person is shown.",
		})
	}
	return out
}

// inform is the notice of Art 14: within a month, unless telling the person would do harm (rules 003-4, 001-13).
func (c *hearing) inform(people []person) Obligation {
	r := c.request
	u, e := r.Undertaking, r.Exception
	if u != nil && u.NotInformed != "" || e != nil && (e.InformingRaisesRisk || e.Kind == "crime-report") {
		return Obligation{
			Code: "do-not-inform", Who: "recipient", Source: "003-4, 001-13",
			Detail: "Do not tell people of this sharing before the sender says so: it would do harm.",
		}
	}
	if c.exactly() {
		return Obligation{
			Code: "inform", Who: "sender", Source: "4.2 (c)", By: aMonthAfter(r.At),
			Detail: "Tell the person what was disclosed and by which order or law, unless that would prejudice what it was ordered for.",
		}
	}
	if primaryFact(people, ContactProhibited) {
		return Obligation{
			Code: "inform", Who: "sender", Source: "Art 14, 001-13", By: aMonthAfter(r.At),
			Detail: "Tell the person of this sharing in a way that is safe: the recipient must not contact them.",
		}
	}
	return Obligation{
		Code: "inform", Who: "recipient", Source: "Art 14, 001-13", By: aMonthAfter(r.At),
		Detail: "Tell the person that you have their data and why: at the first contact, and within a month.",
	}
}

// aboutSomebody reports whether anything goes about a person, and not only figures.
func aboutSomebody(people []person) bool {
	for i := range people {
		if !isNobody(&people[i]) && people[i].Role != transfer.Professional && !people[i].left.Empty() {
			return true
		}
	}
	return false
}

func primaryFact(people []person, f Facts) bool {
	for i := range people {
		if people[i].primary && people[i].Facts.Has(f) {
			return true
		}
	}
	return false
}

// guarded reports whether somebody in the message has to be kept safe from others.
func (c *hearing) guarded() bool {
	for i := range c.request.Subjects {
		if c.request.Subjects[i].Facts&(AddressProtected|ContactProhibited|AllegedPerpetrator) != 0 {
			return true
		}
	}
	return false
}

// aMonthAfter is the end of the corresponding day of the next month. It is not moved to a working day as the answer to a request is: Arts 13 and
// 14 say "at the latest within one month".
func aMonthAfter(t time.Time) time.Time { return dates.On(t).AddMonths(1).LastSecond().UTC() }
