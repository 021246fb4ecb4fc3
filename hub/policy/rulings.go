package policy

import (
	"fmt"
	"slices"
	"time"

	"referralhub/hub/consent"
	"referralhub/hub/transfer"
)

// mayLift says whose look is enough for which hold. A code that is missing is lifted by nobody: the law, the agreement or the message has to
// change. Nor does a ruling lift, whatever its code, anything of G1 to G4, what a person said where consent is the basis, or that nothing is
// left to send.
var mayLift = map[Code][]transfer.StaffRole{
	AgreementReviewOverdue: {transfer.DataProtection},

	// What people have said on a basis that does not ask them, and what they were told: compelling grounds, reasonable expectation. Where it is
	// about safeguarding, the safeguarding lead's (E3a).
	ConsentRefused:             {transfer.DataProtection, transfer.CaldicottGuardian, transfer.SafeguardingLead},
	ConsentWithdrawn:           {transfer.DataProtection, transfer.CaldicottGuardian, transfer.SafeguardingLead},
	Objection:                  {transfer.DataProtection, transfer.CaldicottGuardian, transfer.SafeguardingLead},
	Restricted:                 {transfer.DataProtection},
	SubjectNotInformed:         {transfer.DataProtection, transfer.CaldicottGuardian},
	ReferrerUndertakingMissing: {transfer.DataProtection},

	// Who may decide.
	CapacityDoubt:       {transfer.Practitioner, transfer.SafeguardingLead, transfer.CaldicottGuardian, transfer.DataProtection},
	EarlierRefusal:      {transfer.DataProtection, transfer.CaldicottGuardian},
	ChildParentConflict: {transfer.SafeguardingLead},
	PersonDeceased:      {transfer.DataProtection, transfer.CaldicottGuardian},
	PerpetratorNamed:    {transfer.SafeguardingLead},

	// What has to be read, and what the recipient has to do without.
	NotReviewed:          transfer.StaffRoles(),
	ContactInNotes:       {transfer.SafeguardingLead, transfer.DataProtection},
	RequiredItemStripped: {transfer.DataProtection},

	// Exceptions and demands.
	ExceptionNotShown:   {transfer.DataProtection},
	DemandNotCompelling: {transfer.DataProtection, transfer.CaldicottGuardian},
}

// MayLift lists the roles of which one is needed to let a transfer go that is held for a reason; nil when no ruling can. Whether a ruling does
// lift it depends on the case as well: see Decide. The caller must not change the list.
func MayLift(code Code) []transfer.StaffRole { return mayLift[code] }

// grounds are the reasons for a ruling, by act. The log has them as they stand here: it has no free text about a person.
var grounds = map[Act][]string{
	LetGo: {
		"compelling-grounds",  // Art 21(1): they outweigh the objection
		"public-interest",     // an overriding public interest, or that of others at risk
		"crime-necessity",     // necessary to prevent, detect or prosecute a crime: Art 6(1)(ea) Annex 1, Sch 1 para 10
		"legal-claim",         // for a legal claim, or somebody else's rights: Art 18(2)
		"consent-now",         // the person agrees, and the consent has been recorded
		"expected",            // the person was told, or reasonably expects it
		"assessed-capable",    // assessed for this decision, and able to make it
		"best-interests",      // in the interests of somebody who cannot decide, or of a child
		"safe-to-send",        // looked at for safety
		"read",                // the notes have been read
		"enough-without",      // the recipient can do without what is missing
		"evidence-seen",       // what the message does not show was seen elsewhere
		"review-under-way",    // the agreement's review has begun
		"confidentiality-met", // what somebody confided before they died may be told
	},
	TurnDown: {"refusal-respected", "not-necessary", "not-lawful", "not-safe"},
	SendBack: {"incomplete", "incorrect", "wrong-recipient", "ask-the-person"},
}

// Grounds lists the codes that a ruling may give as its ground, by what it does.
func Grounds(act Act) []string { return slices.Clone(grounds[act]) }

// lifting finds the newest ruling that lets a transfer go although this reason holds it; nil when there is none. The person has to be on the
// sender's register in that role today.
func (c *hearing) lifting(code Code) *Ruling {
	for i := range slices.Backward(c.request.Rulings) {
		r := &c.request.Rulings[i]
		if r.Act != LetGo || !slices.Contains(r.Codes, code) || !c.mayLift(r.Role, code) ||
			!slices.Contains(grounds[LetGo], r.Ground) || r.At.After(c.request.At) || isSaid(code) && c.lastNo().After(r.At) {
			continue
		}
		if p := c.staff(r.Person); p != nil && slices.Contains(p.Roles, r.Role) {
			return r
		}
	}
	return nil
}

// mayLift reports whether a role may lift a hold in this case. A no is the safeguarding lead's to weigh where it is about safeguarding, and
// nowhere else (E3a).
func (c *hearing) mayLift(role transfer.StaffRole, code Code) bool {
	switch code {
	case ConsentRefused, ConsentWithdrawn, Objection:
		if (c.ownerOf(code) == OwnerSafeguarding) != (role == transfer.SafeguardingLead) {
			return false
		}
	}
	return slices.Contains(mayLift[code], role)
}

// said puts a ruling into words.
func (r *Ruling) said() string {
	return fmt.Sprintf("Nothing: %s (%s) has looked and let it go (%s).", r.Person, r.Role, r.Ground)
}

// isSaid reports whether a reason is what people have said, so that saying it again is something new to look at.
func isSaid(code Code) bool {
	switch code {
	case ConsentRefused, ConsentWithdrawn, Objection, Restricted, EarlierRefusal, ChildParentConflict:
		return true
	}
	return false
}

// lastNo is when anybody in the message last said no, or had something restricted.
func (c *hearing) lastNo() time.Time {
	var last time.Time
	for i := range c.request.Subjects {
		for j := range c.request.Subjects[i].Events {
			e := &c.request.Subjects[i].Events[j]
			switch e.State {
			case consent.Refused, consent.Withdrawn, consent.Objected, consent.Restricted:
				if e.At.After(last) {
					last = e.At
				}
			}
		}
	}
	return last
}

// turnedDown refuses what a person has decided against, or sent back.
func turnedDown(c *hearing) []finding {
	for i := range c.request.Rulings {
		r := &c.request.Rulings[i]
		reason := Reason{Code: TurnedDown, Gate: "ruling", Source: "004-7, Arts 22A-D"}
		switch r.Act {
		case TurnDown:
			reason.Detail = fmt.Sprintf("%s (%s) decided that it does not go (%s).", r.Person, r.Role, r.Ground)
			reason.Remedy = "If something has changed, send a new message."
		case SendBack:
			reason.Detail = fmt.Sprintf("%s (%s) sent it back (%s).", r.Person, r.Role, r.Ground)
			reason.Remedy = "Put it right, and send it again as a new message."
		default:
			continue
		}
		return []finding{{effect: refuse, Reason: reason}}
	}
	return nil
}
