package policy

import (
	"fmt"
	"strings"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/dates"
	"referralhub/hub/transfer"
)

// prohibited is gate G2: no agreement and no consent makes marketing or sale a reason to share. A magazine that somebody has asked for is no
// marketing.
func prohibited(c *hearing) []finding {
	purpose := string(c.request.Purpose)
	if !strings.HasPrefix(purpose, "marketing") && !strings.HasPrefix(purpose, "sale") {
		return nil
	}
	return []finding{{effect: refuse, Reason: Reason{
		Code: PurposeProhibited, Gate: "G2", Source: "000-2, 001-6, 002-6, 004-1",
		Detail: "Personal data is never shared for marketing or sold.",
		Remedy: "Do not send it. If the purpose was named wrongly, send the message again with the right one.",
	}}}
}

// partners is gate G3: both partners are on the register and active, and data stays protected where the recipient takes it.
func partners(c *hearing) []finding {
	found := append(c.active(c.request.Sender, c.sender), c.active(c.request.Recipient, c.recipient)...)
	p := c.recipient
	if p == nil {
		return found
	}
	if p.Safeguard == "" && !adequate(p.Location) {
		found = append(found, finding{effect: refuse, Reason: Reason{
			Code: TransferAbroadNoSafeguard, Gate: "G3", Source: "000-10, 003-11, UK GDPR chapter V",
			Detail: fmt.Sprintf("%s processes data outside the United Kingdom where no equal protection is on record.", p.Name),
			Remedy: "Record the recipient's transfer safeguard, such as an IDTA, in the partner register.",
		}})
	}
	return append(found, toolkit(p, c.request.At)...)
}

// active asks whether a partner takes part. Whoever has a successor does not: its work is done elsewhere (domain.md section 12, item 11).
func (c *hearing) active(id transfer.PartnerID, p *transfer.Partner) []finding {
	reason := Reason{Code: PartnerSuspended, Gate: "G3", Source: "G3"}
	switch {
	case p == nil:
		reason.Code = NoAgreement
		reason.Detail = fmt.Sprintf("%s is not on the partner register.", id)
		reason.Remedy = "Check the partner's id. A new partner has to be added to the register and to an agreement first."
	case p.Successor != "":
		reason.Detail = fmt.Sprintf("%s is no longer active: %s does its work.", p.Name, c.nameOf(p.Successor))
		reason.Remedy = fmt.Sprintf("Use %s instead. It has to be a party to an agreement of its own.", p.Successor)
	case p.Suspended:
		reason.Detail = fmt.Sprintf("%s is suspended from the hub.", p.Name)
		reason.Remedy = "Ask the hub's operator when the suspension will be lifted, or use another partner."
	default:
		return nil
	}
	return []finding{{effect: refuse, Reason: reason}}
}

func (c *hearing) nameOf(id transfer.PartnerID) string {
	if p, known := c.index.Partner(id); known {
		return p.Name
	}
	return string(id)
}

// toolkit asks for the recipient's status in the Data Security and Protection Toolkit, where it has to publish one. A status without a day on
// which it ends has lapsed long ago.
func toolkit(p *transfer.Partner, at time.Time) []finding {
	if p.DSPT.Status == "" {
		return nil
	}
	expires, _ := dates.Parse(p.DSPT.Expires)
	if at.Before(expires.End()) {
		return nil
	}
	f := finding{effect: note, Reason: Reason{
		Code: DSPTLapsed, Gate: "G3", Source: "DSPT",
		Detail: fmt.Sprintf("The Data Security and Protection Toolkit status of %s has lapsed; nothing goes to it once that is 30 days ago.", p.Name),
		Remedy: "The recipient has to publish its new status, and the register to record it.",
	}}
	if !at.Before(expires.AddDays(agreement.ToolkitGrace).End()) {
		f.effect = refuse
		f.Detail = fmt.Sprintf("The Data Security and Protection Toolkit status of %s lapsed more than 30 days ago.", p.Name)
	}
	return []finding{f}
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
