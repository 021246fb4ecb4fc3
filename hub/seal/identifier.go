package seal

import (
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"

	"referralhub/hub/transfer"
)

// IdentifierHash is the keyed hash under which an identifier is stored. scope is "" for identifiers that are the same
// everywhere (NHS number) and the partner id for a partner's own (case number).
//
// Identifiers are made alike first: an NHS number is its digits, however it was spaced. Any other is what the partner wrote
// less the white space around it, and its case is kept. Some systems number people so that only case tells two apart, and to
// take two people for one would let the consent of one open the data of the other.
func (s *Sealer) IdentifierHash(scheme, scope, value string) [32]byte {
	return [32]byte(s.keyed("identifier", scheme, scope, normalise(scheme, value)))
}

// Pseudonym is the identifier that one recipient, and no other, sees in place of value: 128 bits in hex. It is the same each
// time, so a recipient can tell that two transfers are about one person. Where an identifier is a sender's own, scheme must
// name the sender too ("case-number:age-uk-hertfordshire"): two senders' case 1001 are two people.
func (s *Sealer) Pseudonym(recipient transfer.PartnerID, scheme, value string) string {
	return hex.EncodeToString(s.keyed("pseudonym", string(recipient), scheme, normalise(scheme, value))[:16])
}

// RowMAC says that the hub wrote a row of a table: what of the row it covers is the caller's to say, in one form. It is under the secret of
// identifiers, because rows outlive the keys that rotate.
func (s *Sealer) RowMAC(table string, row []byte) []byte {
	mac := s.hashes.Get().(hash.Hash)
	defer s.hashes.Put(mac)
	mac.Reset()
	head := make([]byte, 0, 64) // keyed("row", table, row), without copies of the row
	for _, p := range [...]string{"row", table} {
		head = append(binary.BigEndian.AppendUint64(head, uint64(len(p))), p...)
	}
	mac.Write(binary.BigEndian.AppendUint64(head, uint64(len(row))))
	mac.Write(row)
	return mac.Sum(nil)
}

// keyed is HMAC-SHA256 over the parts, each with its length before it so that no two lists of parts read the same.
func (s *Sealer) keyed(parts ...string) []byte {
	mac := s.hashes.Get().(hash.Hash)
	defer s.hashes.Put(mac)
	mac.Reset()
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		mac.Write(length[:])
		mac.Write([]byte(p))
	}
	return mac.Sum(nil)
}

func normalise(scheme, value string) string {
	if scheme != "nhs-number" {
		return strings.TrimSpace(value)
	}
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, value)
}
