package watch

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"referralhub/hub/consent"
	"referralhub/hub/dates"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// How often one person may be looked up within a day before somebody should ask why.
const (
	lookedWithin = 24 * time.Hour
	bySystems    = 3  // by as many different systems or people
	byOne        = 10 // times by one of them
)

// look is a question about a person.
type look struct {
	at  time.Time
	ref Ref
	by  looker
}

type looker struct {
	partner transfer.PartnerID
	system  transfer.SystemID
	person  string
}

// looked takes a question about the log. Its flags are for whoever runs the hub: there is one only for somebody whom the hub knows, and that is not for
// whoever asks to learn.
func (w *Watch) looked(at Ref, l *ledger.Leaf) []Flag {
	if l.Query == nil || l.Query.Subject == "" {
		return nil
	}
	a, day := l.Actor, dates.On(l.At).String()
	by := looker{transfer.PartnerID(strings.Clone(string(a.Partner))), transfer.SystemID(strings.Clone(string(a.System))), strings.Clone(a.Person)}
	who := strings.Clone(l.Query.Subject)
	looks := slices.DeleteFunc(w.looks[who], func(k look) bool { return !k.at.After(l.At.Add(-lookedWithin)) })
	looks = append(looks, look{l.At, at, by})
	w.looks[who] = looks

	var out []Flag
	lookers, own := map[looker]bool{}, []Ref(nil)
	for _, k := range looks {
		lookers[k.by] = true
		if k.by == by {
			own = append(own, k.ref)
		}
	}
	if len(lookers) >= bySystems {
		out = append(out, Flag{
			Rule: LookedUp, Key: who + " " + day, At: l.At, Commitment: who, Seen: len(lookers), Evidence: refsOf(looks),
		})
	}
	if len(own) >= byOne {
		out = append(out, Flag{
			Rule: LookedUp, Key: who + " " + string(by.system) + " " + by.person + " " + day, At: l.At, Commitment: who,
			Seen: len(own), Evidence: newest(own),
		})
	}
	return out
}

func refsOf(looks []look) []Ref {
	refs := make([]Ref, len(looks))
	for i := range looks {
		refs[i] = looks[i].ref
	}
	return newest(refs)
}

// people is what people have said, as far as a later release could go against it.
type people struct {
	yes map[person]int64 // when they last said yes to anything, in microseconds
	no  map[person][]no
}

// person is the start of the SHA-256 of a commitment: there are many.
type person [16]byte

func personOf(commitment string) person {
	sum := sha256.Sum256([]byte(commitment))
	return person(sum[:16])
}

// no is a consent refused, withdrawn or objected to as a whole.
type no struct {
	ref        Ref
	at         int64 // when the person said it
	by         transfer.PartnerID
	purpose    transfer.Purpose
	service    transfer.Service
	recipients []transfer.PartnerID
}

func newPeople() people { return people{yes: map[person]int64{}, no: map[person][]no{}} }

// said takes a consent event. A yes after a no, to whatever, ends the alarm that the no could give: what it covers is the decision's to say, and
// this is only to catch a decision which did not hear the no.
func (p *people) said(at Ref, l *ledger.Leaf) {
	c := l.Consent
	if c == nil {
		return
	}
	who, when := personOf(c.Commitment), c.At.UnixMicro()
	switch consent.State(c.State) {
	case consent.Given, consent.Renewed:
		p.yes[who] = max(p.yes[who], when)
		if left := slices.DeleteFunc(p.no[who], func(n no) bool { return n.at <= when }); len(left) > 0 {
			p.no[who] = left
		} else {
			delete(p.no, who)
		}
	case consent.Refused, consent.Withdrawn, consent.Objected:
		if len(c.Categories) > 0 || when < p.yes[who] {
			return
		}
		n := no{
			ref: at, at: when, by: transfer.PartnerID(strings.Clone(string(l.Actor.Partner))), purpose: transfer.Purpose(strings.Clone(string(c.Purpose))),
			service: transfer.Service(strings.Clone(string(c.Service))),
		}
		for _, r := range c.Recipients {
			n.recipients = append(n.recipients, transfer.PartnerID(strings.Clone(string(r))))
		}
		p.no[who] = append(p.no[who], n)
	case consent.None, consent.Requested, consent.Deferred, consent.Expired, consent.Invalidated, consent.Restricted, consent.RestrictionLifted:
	}
}

// released takes a release, and looks whether it stands on the consent of somebody who had said no to it.
func (p *people) released(at Ref, l *ledger.Leaf) []Flag {
	var out []Flag
	for i := range l.Subjects {
		s := &l.Subjects[i]
		if len(s.Items) == 0 || len(s.Consents) == 0 || s.Consent != "" && !strings.HasPrefix(s.Consent, string(consent.Given)) {
			continue
		}
		for _, n := range p.no[personOf(s.Commitment)] {
			if !n.means(l) {
				continue
			}
			out = append(out, Flag{
				Rule: AfterConsent, Key: s.Commitment + " " + string(l.Recipient) + " " + dates.On(l.At).String(), At: l.At, Partner: l.Sender,
				Sender: l.Sender, Recipient: l.Recipient, Purpose: l.Purpose, Commitment: s.Commitment, Items: s.Items, Seen: 1, Evidence: []Ref{n.ref, at},
			})
			break
		}
	}
	return out
}

// means reports whether a no is one to a transfer: a part that it leaves out means all of them, and only what its partners were told counts for it.
func (n *no) means(l *ledger.Leaf) bool {
	return (n.by == l.Sender || n.by == l.Recipient) &&
		(n.purpose == "" || n.purpose == l.Purpose) &&
		(n.service == "" || n.service == l.Service) &&
		(len(n.recipients) == 0 || slices.Contains(n.recipients, l.Recipient))
}
