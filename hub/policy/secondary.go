package policy

import (
	"fmt"
	"strings"
	"time"

	"referralhub/contracts"
	"referralhub/hub/dates"
	"referralhub/hub/transfer"
)

// beyondCare is gate G11: for planning and research, and for telling a funder what was done, data goes that tells nobody who it is about (P1,
// P9). What does tell goes
//
//   - to a funder, when agreement and contract name it and people were told (P1): the clause asks for that, and gate G4 sees to it;
//   - for the rest, where a law requires it; with the person's explicit consent to this use; or when the National Data Opt-Out was looked up and
//     nobody has opted out, and there is approval under s.251 NHS Act 2006 or a consent.
func beyondCare(c *hearing, p *person) []finding {
	toFunder := c.request.Purpose == "contract-monitoring"
	if !c.flow.Secondary && !toFunder || p.Role == transfer.Professional {
		return nil
	}
	telling := c.which(p.left, func(i *contracts.Item) bool { return c.tells(i) })
	if telling.Empty() {
		return nil
	}
	reason := Reason{
		Code: NotDeidentified, Gate: "G11", Source: "P9, National Data Opt-Out",
		Detail: fmt.Sprintf("This is for more than the care of %s, and some items tell who they are.", who(p)),
		Remedy: "Leave them out or have the agreement transform them, or name the approval under s.251 NHS Act 2006.",
	}
	s, said := c.request.Secondary, p.word.said
	switch {
	case toFunder && c.flow.Told && c.flow.Agreement.Contract.Reference != "":
		return nil
	case toFunder:
		reason.Source = "P1, 000-1, 004-5"
		reason.Remedy = "Send figures. Items about one person go only where agreement and contract name them and people were told."
	case c.flow.Basis.Article6 == "c", said == yesExplicit:
		return nil
	case s == nil || !past(s.CheckedOn, c.request.At):
		reason.Code = NDOONotChecked
		reason.Remedy = "Look the opt-out up, and say when (secondary.checked_on)."
	case s.OptedOut:
		reason.Code = NDOOOptedOut
		reason.Remedy = "Respect the opt-out: leave out what tells who the person is."
	case s.Support != "" || said == yes:
		return nil
	}
	return []finding{c.strip(p, telling, reason)}
}

// tells reports whether an item as it would go tells who somebody is.
func (c *hearing) tells(i *contracts.Item) bool {
	if _, transformed := c.flow.Transform[i.Index]; transformed || i.Directive || i.Role == transfer.Nobody {
		return false
	}
	switch _, name, _ := strings.Cut(i.Name, "."); name {
	case "gender", "pronouns", "date_of_birth_unknown":
		return false
	}
	return i.Category == "identity" || i.Identifier != "" || i.FreeText || i.Attachment || reaches(i)
}

// past reports whether a civil date has come.
func past(date string, at time.Time) bool {
	day, err := dates.Parse(date)
	return err == nil && !at.Before(day.Start())
}
