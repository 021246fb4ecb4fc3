package policy

import (
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
)

// answer is what a person's standing comes to, as a column of domain.md section 4.2.
type answer int

const (
	yesExplicit answer = iota
	yes                // given, not explicit
	silent             // nothing on record, asked and not answered, or found invalid
	lapsedYes          // expired
	refusal
	withdrawal
	objection
	answers // how many there are
)

var answerNames = [answers]string{"given", "given-not-explicit", "none", "expired", "refused", "withdrawn", "objected"}

func answerOf(s *consent.Standing) answer {
	switch s.State {
	case consent.Given, consent.Renewed:
		if s.Explicit {
			return yesExplicit
		}
		return yes
	case consent.Expired:
		return lapsedYes
	case consent.Refused:
		return refusal
	case consent.Withdrawn:
		return withdrawal
	case consent.Objected:
		return objection
	}
	return silent
}

// isNo reports whether the person wants it not to happen.
func (a answer) isNo() bool { return a >= refusal }

// cell is what an answer means on a basis. Some cells have a way out, which hearing.wayOut knows: SubjectNotInformed, when the person
// was told; ReferrerUndertakingMissing, when the sender refers to its evidence; LimbMissing, when it is recorded.
type cell struct {
	effect
	code Code
}

type row [answers]cell

var ok = cell{}

// matrix is domain.md section 4.2 for the transfer as a whole, by the letter of Art 6(1). A basis that has no row does not
// permit.
//
// Under (a) an objection counts as a withdrawal. Under (d) the machine never permits: danger to life is for a named person to
// find (section 4.3).
var matrix = map[string]row{
	"a": {ok, ok, {hold, ConsentNone}, {hold, ConsentExpired}, {refuse, ConsentRefused}, {refuse, ConsentWithdrawn}, {refuse, Objection}},
	"b": {ok, ok, ok, ok, {hold, ConsentRefused}, {hold, ConsentWithdrawn}, {hold, Objection}},
	"c": {ok, ok, ok, ok, ok, ok, ok},
	"d": {
		{hold, LessIntrusiveAvailable}, {hold, LessIntrusiveAvailable}, {hold, LessIntrusiveAvailable}, {hold, LessIntrusiveAvailable},
		{hold, LessIntrusiveAvailable}, {hold, LessIntrusiveAvailable}, {hold, LessIntrusiveAvailable},
	},
	"e": {ok, ok, {hold, SubjectNotInformed}, ok, {hold, ConsentRefused}, {hold, ConsentWithdrawn}, {hold, Objection}},
	"ea": {
		ok, ok, {hold, ReferrerUndertakingMissing}, ok, {hold, ConsentRefused}, {hold, ConsentWithdrawn}, {hold, Objection},
	},
	"f": {ok, ok, ok, ok, {hold, ConsentRefused}, {hold, ConsentWithdrawn}, {hold, Objection}},
}

// Rows of caution: what an answer means for special-category data on conditions other than consent (notes to section 4.2).
// Where the Art 6 basis lets the rest go, such as under a legal obligation, the special-category items stay behind, and a
// recipient that cannot do without them gets nothing until a person has looked. Where the basis holds the transfer anyway, the
// graver of the two cells counts.
var (
	// Care is confidential and the person may object to sharing for it (HSCA 2012 s.251B; Sch 1 para 2 with s.11).
	// Counselling (para 17) presupposes that consent cannot be had.
	humanLooks = row{ok, ok, ok, ok, {hold, ConsentRefused}, {hold, ConsentWithdrawn}, {hold, Objection}}
	// So do safeguarding (para 18) and economic well-being (19), and there somebody has to have recorded why (the limb of sub-paragraph 2).
	whyWithout = row{
		ok, ok, {hold, LimbMissing}, {hold, LimbMissing}, {hold, ConsentRefused}, {hold, ConsentWithdrawn}, {hold, Objection},
	}
	// Elected representatives (paras 23, 24) are told what somebody asked them to take up (P8), and the request is the evidence.
	onRequest = row{
		ok, ok, {hold, ReferrerUndertakingMissing}, {hold, ReferrerUndertakingMissing},
		{hold, ConsentRefused}, {hold, ConsentWithdrawn}, {hold, Objection},
	}
	// Para 16 cannot be used against a known refusal.
	neverAgainst = row{ok, ok, ok, ok, {refuse, ConsentRefused}, {refuse, ConsentWithdrawn}, {refuse, Objection}}
	// Vital interests are no condition for somebody who can consent, even if they refuse (rule 001-20). Capacity is presumed: for whoever
	// cannot consent somebody claims the exception (section 4.3, E1).
	capableAdult = row{
		{hold, VitalInterestsCapable}, {hold, VitalInterestsCapable}, {hold, VitalInterestsCapable}, {hold, VitalInterestsCapable},
		{refuse, VitalInterestsCapable}, {refuse, VitalInterestsCapable}, {refuse, VitalInterestsCapable},
	}
)

// caution gives the row of an Art 9 condition and its Schedule 1 paragraph; nil when the Art 6 basis says all there is to say.
func caution(b agreement.Basis) *row {
	switch b.Article9 {
	case "c":
		return &capableAdult
	case "h":
		return &humanLooks
	case "g":
		switch paragraphOf(b.Schedule1) {
		case 16:
			return &neverAgainst
		case 17:
			return &humanLooks
		case 18, 19:
			return &whyWithout
		case 23, 24:
			return &onRequest
		}
	}
	return nil
}

// restsOnSafeguarding reports whether a clause is for protecting children and people at risk (Sch 1 para 18).
func restsOnSafeguarding(f *agreement.Flow) bool {
	return f != nil && f.Basis.Article9 == "g" && paragraphOf(f.Basis.Schedule1) == 18
}

// needsLimb reports whether a clause rests on a condition that has to say why it goes without consent.
func needsLimb(f *agreement.Flow) bool {
	return f != nil && caution(f.Basis) == &whyWithout
}

// paragraphOf reads the number of a Schedule 1 paragraph, "para 18(1)(a)"; 0 when there is none.
func paragraphOf(schedule1 string) int {
	const prefix = "para "
	n := 0
	for i := len(prefix); i < len(schedule1) && '0' <= schedule1[i] && schedule1[i] <= '9'; i++ {
		n = 10*n + int(schedule1[i]-'0')
	}
	return n
}
