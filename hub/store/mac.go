package store

import (
	"crypto/subtle"
	"encoding/binary"
	"time"

	"referralhub/hub/transfer"
)

// MAC makes the hub's mark over a row of a table (seal.Sealer.RowMAC). Whoever has the database and not the hub's keys can take rows away and
// put old ones back, and cannot make one or change one.
type MAC func(table string, row []byte) []byte

// Mark sets the MACs of rows that are about to be written. Identifiers of people who are not among them are left to RemarkPeople.
func (in *Insertions) Mark(mac MAC) {
	people := make(map[transfer.SubjectID]*Subject, len(in.Subjects))
	for i := range in.Subjects {
		s := &in.Subjects[i]
		s.MAC = s.Sum(mac)
		people[s.ID] = s
	}
	for i := range in.Identifiers {
		if s := people[in.Identifiers[i].Subject]; s != nil {
			s.MAC = in.Identifiers[i].Join(mac, s.MAC)
		}
	}
	for i := range in.Transfers {
		in.Transfers[i].MAC = in.Transfers[i].Sum(mac)
	}
	for i := range in.Consents {
		in.Consents[i].MAC = in.Consents[i].Sum(mac)
	}
	for i := range in.Rulings {
		in.Rulings[i].MAC = in.Rulings[i].Sum(mac)
	}
	for i := range in.Entries {
		in.Entries[i].MAC = in.Entries[i].Sum(mac)
	}
	for i := range in.AgreementActs {
		in.AgreementActs[i].MAC = in.AgreementActs[i].Sum(mac)
	}
	for i := range in.Requests {
		in.Requests[i].MAC = in.Requests[i].Sum(mac)
	}
	for i := range in.Cases {
		in.Cases[i].MAC = in.Cases[i].Sum(mac)
	}
	for i := range in.Notices {
		in.Notices[i].MAC = in.Notices[i].Sum(mac)
	}
}

// Sum is the MAC that a transfer must have: over what stays as it was written and no leaf says.
func (t *Transfer) Sum(mac MAC) []byte {
	return mac("transfers", row(256).str(string(t.ID)).str(string(t.Sender)).str(string(t.MessageID)).bytes(t.BodyDigest).
		str(t.CorrelationID).flag(t.Push).time(t.ExpiresAt))
}

// Sum is the MAC of a person without identifiers. Each identifier is joined to it.
func (s *Subject) Sum(mac MAC) []byte {
	return mac("subjects", row(96).str(string(s.ID)).bytes(s.Salt[:]))
}

// Join gives the MAC of a person who is known by one identifier more. The order does not matter.
func (i *Identifier) Join(mac MAC, person []byte) []byte {
	sum := mac("identifiers", row(96).bytes(i.Hash[:]).str(string(i.Subject)))
	subtle.XORBytes(sum, sum, person)
	return sum
}

// Sum is the MAC that a consent event must have.
func (c *Consent) Sum(mac MAC) []byte {
	return mac("consents", row(1024).str(c.ID).str(string(c.Subject)).str(string(c.RecordedBy)).time(c.At).bytes(c.Body).leaf(c.Log, c.Leaf))
}

// Sum is the MAC that a ruling must have.
func (r *Ruling) Sum(mac MAC) []byte {
	return mac("rulings", row(512).bytes(r.ID[:]).str(string(r.Transfer)).time(r.At).bytes(r.Body).leaf(r.Log, r.Leaf))
}

// Sum is the MAC that a request must have.
func (r *Request) Sum(mac MAC) []byte {
	return mac("requests", row(2048).str(r.Reference).str(string(r.Partner)).str(r.State).bytes(r.Body).leaf(r.Log, r.Leaf))
}

// Sum is the MAC that an entry must have.
func (e *Entry) Sum(mac MAC) []byte {
	return mac("entries", row(256).bytes(e.ID[:]).bytes(e.Digest).str(e.Answer).leaf(e.Log, e.Leaf))
}

// Sum is the MAC that an agreement act must have.
func (a *AgreementAct) Sum(mac MAC) []byte {
	return mac("agreement_acts", row(512).num(a.Seq).str(string(a.Agreement)).num(int64(a.Version)).bytes(a.Body).leaf(a.Log, a.Leaf))
}

// Sum is the MAC that a case must have. The person is not in it: they are taken out of it when they are erased.
func (c *Case) Sum(mac MAC) []byte {
	return mac("cases", row(2048).str(c.Reference).str(c.Type).str(string(c.Partner)).str(c.State).time(c.Opened).time(c.Due).time(c.Closed).
		num(c.Version).bytes(c.Body).leaf(c.Log, c.Leaf))
}

// Sum is the MAC that a notice must have.
func (n *Notice) Sum(mac MAC) []byte {
	return mac("notices", row(2048).str(n.ID).str(n.Case).str(string(n.Sender)).str(string(n.Recipient)).str(n.State).time(n.Due).
		num(n.Version).bytes(n.Body).leaf(n.Log, n.Leaf))
}

// fields are columns one behind the other, those of no fixed length behind theirs, so that no two rows read the same.
type fields []byte

func row(size int) fields { return make(fields, 0, size) }

func (f fields) num(n int64) fields                  { return binary.BigEndian.AppendUint64(f, uint64(n)) }
func (f fields) str(s string) fields                 { return append(f.num(int64(len(s))), s...) }
func (f fields) bytes(b []byte) fields               { return append(f.num(int64(len(b))), b...) }
func (f fields) leaf(log string, index int64) fields { return f.str(log).num(index) }

func (f fields) flag(b bool) fields {
	if b {
		return f.num(1)
	}
	return f.num(0)
}

func (f fields) time(t time.Time) fields {
	if t.IsZero() {
		return f.num(0)
	}
	return f.num(t.UnixMicro())
}
