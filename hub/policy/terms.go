package policy

import (
	"fmt"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/dates"
	"referralhub/hub/transfer"
)

// What a clause asks beside its items. All but the last two are of G4, so no ruling lifts them.

// passedOn asks whether what the sender received from somebody may be passed on to this recipient for this purpose. What protects somebody
// from harm may be, whatever was promised.
func passedOn(c *hearing) []finding {
	o := c.request.Onward
	if o == nil || c.request.Exception != nil {
		return nil
	}
	reason := Reason{Code: OnwardNotAllowed, Gate: "G4", Source: "001-15, ICO Data Sharing Code"}
	switch {
	case o.Flow == nil:
		reason.Detail = fmt.Sprintf("Nothing on record shows that %s received what this message passes on.", c.request.Sender)
		reason.Remedy = "Name the transfer by which it came. If the data is your own, leave onward_of out."
	case !passes(o.Flow, c.request):
		reason.Detail = fmt.Sprintf("The clause %s, under which this was received, does not let it be passed on to %s for the purpose %s.",
			o.Flow.ID, c.request.Recipient, c.request.Purpose)
		reason.Remedy = "Ask whoever it came from to send it, or ask the person themselves."
	default:
		return nil
	}
	return []finding{{effect: refuse, Reason: reason}}
}

func passes(f *agreement.Flow, r *Request) bool {
	if !slices.Contains(f.Onward.To, r.Recipient) {
		return false
	}
	if len(f.Onward.Purposes) == 0 {
		return r.Purpose == f.Purpose
	}
	return slices.Contains(f.Onward.Purposes, r.Purpose)
}

// waited asks whether people have had the time to object that the clause gives them, counted in whole days from the one after they were told
// (domain.md section 4.5, P10). The hold ends by itself.
func waited(c *hearing) []finding {
	window := c.flow.Objection
	if window == 0 {
		return nil
	}
	told, ok := c.toldOn()
	if !ok {
		return []finding{{effect: hold, firm: true, Reason: Reason{
			Code: SubjectNotInformed, Gate: "G4", Source: "004-3, P10",
			Detail: "The clause gives people time to object, and nothing shows that they were told.",
			Remedy: "Tell them, and send the message again with the day on which they were told (undertaking.informed_on).",
		}}}
	}
	last := told.AddDays(int(window / (24 * time.Hour)))
	c.until = last.End().UTC()
	if !c.request.At.Before(c.until) {
		return nil
	}
	return []finding{{effect: hold, firm: true, Reason: Reason{
		Code: ObjectionWindow, Gate: "G4", Source: "004-3, P10",
		Detail: fmt.Sprintf("People may object until the end of %s.", last.Format("2 January 2006")),
		Remedy: "Wait. Record every objection; what is not objected to goes when the time is over.",
	}}}
}

// toldOn gives the day on which the person was told of the sharing, where the sender says so and that day has come.
func (c *hearing) toldOn() (dates.Date, bool) {
	u := c.request.Undertaking
	if u == nil || u.InformedOn == "" {
		return dates.Date{}, false
	}
	day, err := dates.Parse(u.InformedOn)
	return day, err == nil && !c.request.At.Before(day.Start())
}

// told asks, where the clause does, that the person themselves was told (rule 000-7). That a notice is published is not enough here, nor a
// reason why they were not.
func told(c *hearing, p *person) []finding {
	if !c.flow.Told || !p.primary || p.word.standing.Notice != "" || isNobody(p) {
		return nil
	}
	if _, ok := c.toldOn(); ok {
		return nil
	}
	return []finding{{effect: hold, firm: true, Reason: Reason{
		Code: SubjectNotInformed, Gate: "G4", Source: "000-7", Role: p.Role,
		Detail: fmt.Sprintf("The clause lets this go only when %s was told of it, and nothing shows that.", who(p)),
		Remedy: "Tell the person, and say when in the undertaking, or record the privacy notice that they were shown.",
	}}}
}

// figures asks that counts of people are blurred before they leave (domain.md section 4.5, P1; gate G11). A clause that suppresses nothing is
// a mistake of the agreement.
func figures(c *hearing) []finding {
	if c.flow.Figures.Below > 1 || !slices.ContainsFunc(c.request.Subjects, func(s Subject) bool { return s.Role == transfer.Nobody }) {
		return nil
	}
	return []finding{{effect: refuse, Reason: Reason{
		Code: SmallNumbers, Gate: "G11", Source: "P1, 000-1, 004-5",
		Detail: "The clause lets counts go that are so small that they tell who somebody is.",
		Remedy: "Have the agreement say below which number a count is suppressed.",
	}}}
}

// read asks that somebody at the sender has read what people wrote freely, and what is attached, where the clause lets it go on that condition:
// whatever a person has said of it, so that a no never makes anything go that had to be read before.
func read(c *hearing, p *person) []finding {
	items := c.which(p.covered, func(i *contracts.Item) bool { return c.leave(i) == agreement.Reviewed })
	if v := c.request.Review; items.Empty() || v != nil && c.staff(v.Person) != nil {
		return nil
	}
	return []finding{{effect: hold, Reason: Reason{
		Code: NotReviewed, Gate: "G6", Source: "001-10, 002-1", Role: p.Role, Items: c.request.Contract.Names(items),
		Detail: fmt.Sprintf("What is written freely or attached about %s goes only after somebody has read it, and nobody on the sender's register is named.", who(p)),
		Remedy: "Read it, take out what the recipient does not need, and say who has read it (review).",
	}}}
}

// leave is what the clause says about notes and attachments. How to treat a person safely goes along whatever it says.
func (c *hearing) leave(i *contracts.Item) agreement.Leave {
	switch {
	case i.Attachment:
		return c.flow.Attachments
	case i.FreeText && !i.Directive:
		return c.flow.FreeText
	}
	return agreement.Always
}

// staff finds somebody who may act for the sender.
func (c *hearing) staff(id string) *transfer.Person {
	if c.sender == nil {
		return nil
	}
	for i := range c.sender.People {
		if p := &c.sender.People[i]; p.ID == id {
			return p
		}
	}
	return nil
}
