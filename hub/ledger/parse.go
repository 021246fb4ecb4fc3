package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"referralhub/hub/transfer"
)

// ErrEncoding says that bytes are not a leaf in its one canonical form.
var ErrEncoding = errors.New("not a leaf in canonical form")

// Parse reads a leaf and refuses any bytes that AppendTo would not have written: a leaf has one encoding, so nobody can change
// its bytes and keep its meaning. It also refuses a leaf of another format version, of an unknown kind or without a time. The
// error wraps ErrEncoding, says where, and never quotes the bytes.
func Parse(b []byte) (*Leaf, error) {
	if len(b) > MaxLeafBytes {
		return nil, fmt.Errorf("%w: %d bytes, the most is %d", ErrEncoding, len(b), MaxLeafBytes)
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrEncoding)
	}
	d := decoder{s: string(b)}
	l := &Leaf{}
	v := 0
	d.object(func(key string) { d.leaf(l, key, &v) })
	if d.failed || d.i != len(d.s) {
		return nil, fmt.Errorf("%w: at byte %d", ErrEncoding, d.i)
	}
	switch {
	case v != version:
		return nil, fmt.Errorf("%w: format version %d", ErrEncoding, v)
	case !l.Kind.known():
		return nil, fmt.Errorf("%w: unknown kind", ErrEncoding)
	case l.At.IsZero():
		return nil, fmt.Errorf("%w: no time", ErrEncoding)
	}
	if again := l.AppendTo(make([]byte, 0, len(b)+64)); !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: another encoding of the same leaf", ErrEncoding)
	}
	return l, nil
}

func (k Kind) known() bool {
	switch k {
	case KindDecision, KindRelease, KindOutcome, KindConsent, KindAgreement, KindPartner, KindQuery:
		return true
	}
	return false
}

// decoder walks the bytes of a leaf once. It is lenient where that is simpler (order and repetition of members, say), because
// Parse encodes again and compares. Strings are parts of s: one allocation holds all of them.
type decoder struct {
	s      string
	i      int
	failed bool
	names  []string // what the lists of strings are cut from
}

func (d *decoder) leaf(l *Leaf, key string, v *int) {
	switch key {
	case "actor":
		d.object(func(key string) {
			switch key {
			case "partner":
				l.Actor.Partner = transfer.PartnerID(d.str())
			case "system":
				l.Actor.System = transfer.SystemID(d.str())
			default:
				d.failed = true
			}
		})
	case "agreement":
		l.Agreement = d.agreement()
	case "at":
		l.At = d.time()
	case "attempt":
		l.Attempt = d.num()
	case "consent":
		l.Consent = d.consent()
	case "deadline":
		l.Deadline = d.time()
	case "fault":
		l.Fault = d.str()
	case "kind":
		l.Kind = Kind(d.str())
	case "note":
		l.Note = d.str()
	case "outcome":
		l.Outcome = transfer.Outcome(d.str())
	case "owner":
		l.Owner = d.str()
	case "payload":
		l.Payload = d.str()
	case "purpose":
		l.Purpose = transfer.Purpose(d.str())
	case "query":
		l.Query = d.query()
	case "reasons":
		d.array(func() { l.Reasons = append(l.Reasons, d.reason()) })
	case "receipt":
		l.Receipt = d.str()
	case "recipient":
		l.Recipient = transfer.PartnerID(d.str())
	case "sender":
		l.Sender = transfer.PartnerID(d.str())
	case "service":
		l.Service = transfer.Service(d.str())
	case "state":
		l.State = transfer.State(d.str())
	case "subjects":
		d.array(func() { l.Subjects = append(l.Subjects, d.subject()) })
	case "transfer":
		l.Transfer = transfer.TransferID(d.str())
	case "type":
		l.Type = transfer.MessageType(d.str())
	case "v":
		*v = d.num()
	default:
		d.failed = true
	}
}

func (d *decoder) agreement() *Agreement {
	a := &Agreement{}
	d.object(func(key string) {
		switch key {
		case "digest":
			a.Digest = d.str()
		case "flow":
			a.Flow = d.str()
		case "id":
			a.ID = transfer.AgreementID(d.str())
		case "version":
			a.Version = d.num()
		default:
			d.failed = true
		}
	})
	return a
}

func (d *decoder) consent() *Consent {
	c := &Consent{}
	d.object(func(key string) {
		switch key {
		case "authority":
			c.Authority = d.str()
		case "categories":
			c.Categories = d.strs()
		case "commitment":
			c.Commitment = d.str()
		case "explicit":
			c.Explicit = true
			d.literal("true")
		case "id":
			c.ID = d.str()
		case "method":
			c.Method = d.str()
		case "purpose":
			c.Purpose = transfer.Purpose(d.str())
		case "recipients":
			d.array(func() { c.Recipients = append(c.Recipients, transfer.PartnerID(d.str())) })
		case "service":
			c.Service = transfer.Service(d.str())
		case "state":
			c.State = d.str()
		default:
			d.failed = true
		}
	})
	return c
}

func (d *decoder) query() *Query {
	q := &Query{}
	d.object(func(key string) {
		switch key {
		case "found":
			q.Found = d.num()
		case "kind":
			q.Kind = d.str()
		case "subject":
			q.Subject = d.str()
		case "why":
			q.Why = d.str()
		default:
			d.failed = true
		}
	})
	return q
}

func (d *decoder) reason() (r Reason) {
	d.object(func(key string) {
		switch key {
		case "clause":
			r.Clause = d.str()
		case "code":
			r.Code = d.str()
		case "detail":
			r.Detail = d.str()
		case "gate":
			r.Gate = d.str()
		case "items":
			r.Items = d.strs()
		case "remedy":
			r.Remedy = d.str()
		case "role":
			r.Role = transfer.Role(d.str())
		case "source":
			r.Source = d.str()
		default:
			d.failed = true
		}
	})
	return r
}

func (d *decoder) subject() (s Subject) {
	d.object(func(key string) {
		switch key {
		case "commitment":
			s.Commitment = d.str()
		case "consents":
			s.Consents = d.strs()
		case "items":
			s.Items = d.strs()
		case "position":
			s.Position = d.num()
		case "role":
			s.Role = transfer.Role(d.str())
		case "stripped":
			s.Stripped = d.strs()
		default:
			d.failed = true
		}
	})
	return s
}

// take steps over c if it is next.
func (d *decoder) take(c byte) bool {
	if d.failed || d.i >= len(d.s) || d.s[d.i] != c {
		return false
	}
	d.i++
	return true
}

func (d *decoder) expect(c byte) {
	if !d.take(c) {
		d.failed = true
	}
}

func (d *decoder) literal(want string) {
	if d.failed || len(d.s)-d.i < len(want) || d.s[d.i:d.i+len(want)] != want {
		d.failed = true
		return
	}
	d.i += len(want)
}

func (d *decoder) object(member func(key string)) {
	d.expect('{')
	if d.take('}') {
		return
	}
	for !d.failed {
		key := d.str()
		d.expect(':')
		member(key)
		if !d.take(',') {
			d.expect('}')
			return
		}
	}
}

func (d *decoder) array(element func()) {
	d.expect('[')
	if d.take(']') {
		return
	}
	for !d.failed {
		element()
		if !d.take(',') {
			d.expect(']')
			return
		}
	}
}

func (d *decoder) strs() []string {
	if d.names == nil {
		d.names = make([]string, 0, 64)
	}
	first := len(d.names)
	d.array(func() { d.names = append(d.names, d.str()) })
	return d.names[first:len(d.names):len(d.names)]
}

func (d *decoder) str() string {
	d.expect('"')
	if d.failed {
		return ""
	}
	rest := d.s[d.i:]
	n := plain(rest)
	if n < len(rest) && rest[n] == '"' {
		d.i += n + 1
		return rest[:n]
	}
	return d.escaped(n)
}

// escaped reads a string on which str stopped after n bytes.
func (d *decoder) escaped(n int) string {
	out := []byte(d.s[d.i : d.i+n])
	d.i += n
	for d.i < len(d.s) {
		c := d.s[d.i]
		d.i++
		switch {
		case c == '"':
			return string(out)
		case c < 0x20:
			d.failed = true
			return ""
		case c != '\\':
			out = append(out, c)
		default:
			out = append(out, d.escape())
		}
	}
	d.failed = true
	return ""
}

// escape reads what follows a backslash. Only control characters are ever written as \u, so that is all it knows of them.
func (d *decoder) escape() byte {
	if d.i >= len(d.s) {
		d.failed = true
		return 0
	}
	c := d.s[d.i]
	d.i++
	switch c {
	case '"', '\\':
		return c
	case 'b':
		return '\b'
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'f':
		return '\f'
	case 'r':
		return '\r'
	case 'u':
		if len(d.s)-d.i >= 4 {
			n, err := strconv.ParseUint(d.s[d.i:d.i+4], 16, 16)
			if err == nil && n < 0x20 {
				d.i += 4
				return byte(n)
			}
		}
	}
	d.failed = true
	return 0
}

// maxInteger is the largest integer that every reader of JSON keeps exactly (RFC 7493 section 2.2).
const maxInteger = 1<<53 - 1

func (d *decoder) num() int {
	start := d.i
	d.take('-')
	for d.i < len(d.s) && '0' <= d.s[d.i] && d.s[d.i] <= '9' {
		d.i++
	}
	n, err := strconv.ParseInt(d.s[start:d.i], 10, 64)
	if err != nil || n > maxInteger || n < -maxInteger {
		d.failed = true
	}
	return int(n)
}

func (d *decoder) time() time.Time {
	s := d.str()
	if d.failed || len(s) != len(timeLayout) {
		d.failed = true
		return time.Time{}
	}
	part := func(from, to int) int {
		n := 0
		for _, c := range []byte(s[from:to]) {
			if c < '0' || c > '9' {
				d.failed = true
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	// The characters between the numbers, and numbers out of range, fall to the comparison in Parse.
	return time.Date(part(0, 4), time.Month(part(5, 7)), part(8, 10), part(11, 13), part(14, 16), part(17, 19), part(20, 26)*1000, time.UTC)
}
