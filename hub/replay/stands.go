package replay

import (
	"strconv"
	"strings"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// stands is how agreements and partners stood at a place in the log. Their leaves say it; a version that no leaf has spoken of was not there
// yet.
type stands struct {
	all       *agreement.Index
	status    map[version]agreement.Status
	suspended map[transfer.PartnerID]string // why
	then      *agreement.Index              // nil when it must be made again
}

func newStands(all *agreement.Index) stands {
	return stands{all: all, status: map[version]agreement.Status{}, suspended: map[transfer.PartnerID]string{}}
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
		if word == "activated" {
			status = agreement.Active
		}
		s.status[version{transfer.AgreementID(strings.Clone(string(l.Agreement.ID))), l.Agreement.Version}] = status
	}
}

// named takes what a decision bears out of versions of which this log has no leaf, because another copy of the hub wrote it: one that was
// applied was active, and one that only a reason names stood as it does now.
func (s *stands) named(l *ledger.Leaf) {
	if a := l.Agreement; a != nil {
		s.assume(version{a.ID, a.Version}, agreement.Active)
	}
	for i := range l.Reasons {
		v, ok := versionOf(l.Reasons[i].Clause)
		if a, known := s.all.Agreement(v.id, v.number); ok && known {
			s.assume(v, a.Status)
		}
	}
}

func (s *stands) assume(v version, status agreement.Status) {
	if _, known := s.status[v]; !known {
		v.id = transfer.AgreementID(strings.Clone(string(v.id)))
		s.status[v], s.then = status, nil
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
		partners = append(partners, then)
	}
	var agreements []*agreement.Agreement
	for _, a := range s.all.Agreements() {
		status, was := s.status[version{a.ID, a.Version}]
		if was && (proposed == nil || proposed.ID != a.ID) {
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
	then := another(a)
	then.Status = status
	return then
}

// another copies a version, so that it can be changed.
func another(a *agreement.Agreement) *agreement.Agreement {
	b := *a
	b.Flows = make([]*agreement.Flow, len(a.Flows))
	for i, f := range a.Flows {
		clause := *f
		clause.Agreement = &b
		b.Flows[i] = &clause
	}
	return &b
}

// versionOf reads the version that a clause is of: "hertswise@1#refer".
func versionOf(clause string) (version, bool) {
	ref, _, _ := strings.Cut(clause, "#")
	id, number, ok := strings.Cut(ref, "@")
	n, err := strconv.Atoi(number)
	return version{transfer.AgreementID(id), n}, ok && err == nil
}
