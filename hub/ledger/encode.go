package ledger

import (
	"math/bits"
	"strconv"
	"time"
	"unicode/utf8"

	"referralhub/hub/transfer"
)

// timeLayout is RFC 3339 in UTC with exactly six digits of a second.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendTo appends the leaf's canonical encoding to b: JSON in the form of RFC 8785, without absent members, as FORMAT.md says.
// It never fails: a byte that is not UTF-8 becomes U+FFFD, a time loses what is below a microsecond.
func (l *Leaf) AppendTo(b []byte) []byte {
	e := encoder{append(b, '{')}
	if l.Actor != (Actor{}) {
		e.open("actor")
		e.str("partner", string(l.Actor.Partner))
		e.str("system", string(l.Actor.System))
		e.close()
	}
	if a := l.Agreement; a != nil && *a != (Agreement{}) {
		e.open("agreement")
		e.str("digest", a.Digest)
		e.str("flow", a.Flow)
		e.str("id", string(a.ID))
		e.num("version", a.Version)
		e.close()
	}
	e.time("at", l.At)
	e.num("attempt", l.Attempt)
	if l.Consent != nil {
		l.Consent.appendTo(&e)
	}
	e.time("deadline", l.Deadline)
	e.str("fault", l.Fault)
	e.str("kind", string(l.Kind))
	e.str("note", l.Note)
	e.str("outcome", string(l.Outcome))
	e.str("owner", l.Owner)
	e.str("payload", l.Payload)
	e.str("purpose", string(l.Purpose))
	if q := l.Query; q != nil && *q != (Query{}) {
		e.open("query")
		e.num("found", q.Found)
		e.str("kind", q.Kind)
		e.str("subject", q.Subject)
		e.str("why", q.Why)
		e.close()
	}
	e.reasons(l.Reasons)
	e.str("receipt", l.Receipt)
	e.str("recipient", string(l.Recipient))
	e.str("sender", string(l.Sender))
	e.str("service", string(l.Service))
	e.str("state", string(l.State))
	e.subjects(l.Subjects)
	e.str("transfer", string(l.Transfer))
	e.str("type", string(l.Type))
	e.num("v", version)
	return append(e.b, '}')
}

func (c *Consent) appendTo(e *encoder) {
	if c.empty() {
		return
	}
	e.open("consent")
	e.str("authority", c.Authority)
	strs(e, "categories", c.Categories)
	e.str("commitment", c.Commitment)
	if c.Explicit {
		e.key("explicit")
		e.b = append(e.b, "true"...)
	}
	e.str("id", c.ID)
	e.str("method", c.Method)
	e.str("purpose", string(c.Purpose))
	strs(e, "recipients", c.Recipients)
	e.str("service", string(c.Service))
	e.str("state", c.State)
	e.close()
}

func (c *Consent) empty() bool {
	return c.ID == "" && c.Commitment == "" && c.State == "" && c.Purpose == "" && c.Service == "" && len(c.Recipients) == 0 &&
		len(c.Categories) == 0 && !c.Explicit && c.Method == "" && c.Authority == ""
}

// encoder appends members in the order in which it is called; the callers call in the order of the keys.
type encoder struct{ b []byte }

func (e *encoder) reasons(rs []Reason) {
	if len(rs) == 0 {
		return
	}
	e.key("reasons")
	e.b = append(e.b, '[')
	for i := range rs {
		r := &rs[i]
		e.element()
		e.str("clause", r.Clause)
		e.str("code", r.Code)
		e.str("detail", r.Detail)
		e.str("gate", r.Gate)
		strs(e, "items", r.Items)
		e.str("remedy", r.Remedy)
		e.str("role", string(r.Role))
		e.str("source", r.Source)
		e.close()
	}
	e.b = append(e.b, ']')
}

func (e *encoder) subjects(ss []Subject) {
	if len(ss) == 0 {
		return
	}
	e.key("subjects")
	e.b = append(e.b, '[')
	for i := range ss {
		s := &ss[i]
		e.element()
		e.str("commitment", s.Commitment)
		strs(e, "consents", s.Consents)
		strs(e, "items", s.Items)
		e.num("position", s.Position)
		e.str("role", string(s.Role))
		strs(e, "stripped", s.Stripped)
		e.close()
	}
	e.b = append(e.b, ']')
}

func (e *encoder) key(k string) {
	if e.b[len(e.b)-1] != '{' {
		e.b = append(e.b, ',')
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, k...)
	e.b = append(e.b, '"', ':')
}

func (e *encoder) open(k string) {
	e.key(k)
	e.b = append(e.b, '{')
}

func (e *encoder) close() { e.b = append(e.b, '}') }

func (e *encoder) element() {
	if e.b[len(e.b)-1] != '[' {
		e.b = append(e.b, ',')
	}
	e.b = append(e.b, '{')
}

func (e *encoder) str(k, v string) {
	if v != "" {
		e.key(k)
		e.b = appendString(e.b, v)
	}
}

func (e *encoder) num(k string, v int) {
	if v != 0 {
		e.key(k)
		e.b = strconv.AppendInt(e.b, int64(v), 10)
	}
}

func (e *encoder) time(k string, t time.Time) {
	if !t.IsZero() {
		e.key(k)
		e.b = append(e.b, '"')
		e.b = t.UTC().AppendFormat(e.b, timeLayout)
		e.b = append(e.b, '"')
	}
}

func strs[S string | transfer.PartnerID](e *encoder, k string, vs []S) {
	if len(vs) == 0 {
		return
	}
	e.key(k)
	e.b = append(e.b, '[')
	for i, v := range vs {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = appendString(e.b, string(v))
	}
	e.b = append(e.b, ']')
}

// appendString writes a string as RFC 8785 section 3.2.2.2 does: the two-character escapes where there are any, \u00xx in lower
// case for the other control characters, everything else as it is.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if !utf8.ValidString(s) {
		s = mend(s)
	}
	b = append(b, '"')
	for {
		n := plain(s)
		b = append(b, s[:n]...)
		if n == len(s) {
			return append(b, '"')
		}
		c := s[n]
		s = s[n:]
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\f':
			b = append(b, '\\', 'f')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		s = s[1:]
	}
}

// mend puts U+FFFD for each byte that is not part of UTF-8.
func mend(s string) string { return string([]rune(s)) }

// plain is how many bytes of s come before the first that a JSON string cannot hold as it is: a quotation mark, a reverse solidus
// or a control character. It looks at eight bytes at a time (the test for a byte below n: Hacker's Delight, section 6-1).
func plain(s string) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, solidus := w^(ones*'"'), w^(ones*'\\')
		found := ((w - ones*0x20) &^ w) | ((quote - ones) &^ quote) | ((solidus - ones) &^ solidus)
		if found &= highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			return i
		}
	}
	return i
}
