package replay

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// stands is how agreements and partners stood at a place in the log. Their leaves say it; a version that nothing has spoken of was not there
// yet, or a draft.
type stands struct {
	all       *agreement.Index
	status    map[version]agreement.Status             // that leaves tell
	assumed   map[version]agreement.Status             // that decisions bear out
	suspended map[transfer.PartnerID]string            // why
	people    map[transfer.PartnerID][]transfer.Person // of partners whose register entry named others then than now
	then      *agreement.Index                         // nil when it must be made again
}

func newStands(all *agreement.Index) stands {
	return stands{
		all: all, status: map[version]agreement.Status{}, assumed: map[version]agreement.Status{}, suspended: map[transfer.PartnerID]string{},
		people: map[transfer.PartnerID][]transfer.Person{},
	}
}

// changed takes a leaf about an agreement or a partner.
func (s *stands) changed(l *ledger.Leaf) {
	word, why, _ := strings.Cut(l.Note, ":")
	s.then = nil
	switch {
	case l.Kind == ledger.KindPartner && word == "suspended":
		s.suspended[transfer.PartnerID(strings.Clone(string(l.Recipient)))] = strings.Clone(strings.TrimSpace(why))
	case l.Kind == ledger.KindPartner && word == "restored":
		delete(s.suspended, l.Recipient)
	case l.Agreement != nil:
		status := agreement.Status(strings.Clone(word))
		switch status {
		case "activated":
			status = agreement.Active
		case agreement.Signed:
			status = agreement.Draft // as the hub has it until the last party has signed
		}
		s.status[version{transfer.AgreementID(strings.Clone(string(l.Agreement.ID))), l.Agreement.Version}] = status
	}
}

// named takes what a decision bears out of a version of which this log has no leaf: another copy of the hub wrote it, or the version was never in
// force. One that was applied was active; how one stood that could not be, the reason says.
func (s *stands) named(l *ledger.Leaf) {
	if a := l.Agreement; a != nil {
		s.assume(version{a.ID, a.Version}, agreement.Active)
		return
	}
	for i := range l.Reasons {
		stood, known := stoodAs[policy.Code(l.Reasons[i].Code)]
		if v, ok := versionOf(l.Reasons[i].Clause); ok && known {
			s.assume(v, stood)
		}
	}
}

// stoodAs gives a status with which a version is refused for a reason.
var stoodAs = map[policy.Code]agreement.Status{
	policy.AgreementNotStarted: agreement.Signed, policy.AgreementSuspended: agreement.Suspended, policy.AgreementExpired: agreement.Expired,
	policy.ContractEnded: agreement.Active,
}

func (s *stands) assume(v version, status agreement.Status) {
	if s.assumed[v] == status {
		return
	}
	v.id = transfer.AgreementID(strings.Clone(string(v.id)))
	s.assumed[v], s.then = status, nil
}

// employed takes what a decision says of the people whom it names: those of them on its sender's register, and nobody else of the names.
func (s *stands) employed(sender transfer.PartnerID, names []string, on []ledger.Person) {
	p, known := s.all.Partner(sender)
	if !known {
		return
	}
	people, told := s.people[sender]
	if !told {
		people = p.People
	}
	same := true
	then := slices.DeleteFunc(slices.Clone(people), func(q transfer.Person) bool { return slices.Contains(names, q.ID) })
	for i := range on {
		was := slices.IndexFunc(people, func(q transfer.Person) bool { return q.ID == on[i].ID })
		same = same && was >= 0 && slices.Equal(people[was].Roles, on[i].Roles)
		then = append(then, transfer.Person{ID: strings.Clone(on[i].ID), Roles: on[i].Roles})
	}
	if !same || len(then) != len(people) {
		s.people[p.ID], s.then = then, nil
	}
}

// Index is the agreements and partners as they stood. A version that the caller does not have any more is not in it.
func (s *stands) Index() (*agreement.Index, error) {
	if s.then != nil {
		return s.then, nil
	}
	x, err := s.with(nil)
	s.then = x
	return x, err
}

// with is the index with proposed in the place of every other version of its agreement; nil for none.
func (s *stands) with(proposed *agreement.Agreement) (*agreement.Index, error) {
	partners := make([]transfer.Partner, 0, len(s.all.Partners()))
	for _, p := range s.all.Partners() {
		then := *p
		then.SuspendedReason, then.Suspended = s.suspended[p.ID]
		if people, told := s.people[p.ID]; told {
			then.People = people
		}
		partners = append(partners, then)
	}
	var agreements []*agreement.Agreement
	for _, a := range s.all.Agreements() {
		status := cmp.Or(s.status[version{a.ID, a.Version}], s.assumed[version{a.ID, a.Version}])
		if status != "" && (proposed == nil || proposed.ID != a.ID) {
			agreements = append(agreements, standing(a, status))
		}
	}
	if proposed != nil {
		agreements = append(agreements, proposed)
	}
	return agreement.NewIndex(partners, agreements)
}

// standing gives a version another status.
func standing(a *agreement.Agreement, status agreement.Status) *agreement.Agreement {
	if a.Status == status {
		return a
	}
	then := a.Clone()
	then.Status = status
	return then
}

// versionOf reads the version that a clause is of: "hertswise@1#refer".
func versionOf(clause string) (version, bool) {
	ref, _, _ := strings.Cut(clause, "#")
	id, number, ok := strings.Cut(ref, "@")
	n, err := strconv.Atoi(number)
	return version{transfer.AgreementID(id), n}, ok && err == nil
}
