package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	case !l.Kind.Known():
		return nil, fmt.Errorf("%w: unknown kind", ErrEncoding)
	case l.At.IsZero():
		return nil, fmt.Errorf("%w: no time", ErrEncoding)
	}
	if again := l.AppendTo(make([]byte, 0, len(b)+64)); !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: another encoding of the same leaf", ErrEncoding)
	}
	return l, nil
}

// Known reports whether there is such a kind.
func (k Kind) Known() bool {
	switch k {
	case KindDecision, KindRelease, KindOutcome, KindRuling, KindConsent, KindRequest, KindDisclosure, KindAgreement, KindSignature,
		KindPartner, KindQuery, KindCase, KindNotice:
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
			case "person":
				l.Actor.Person = d.str()
			case "role":
				l.Actor.Role = transfer.StaffRole(d.str())
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
	case "case":
		l.Case = d.caseStep()
	case "conditions":
		d.array(func() { l.Conditions = append(l.Conditions, d.condition()) })
	case "consent":
		l.Consent = d.consent()
	case "deadline":
		l.Deadline = d.time()
	case "demand":
		l.Demand = d.demand()
	case "disclosure":
		l.Disclosure = d.disclosure()
	case "exception":
		l.Exception = d.exception()
	case "expires":
		l.Expires = d.time()
	case "fault":
		l.Fault = d.str()
	case "kind":
		l.Kind = Kind(d.str())
	case "note":
		l.Note = d.str()
	case "notice":
		l.Notice = d.notice()
	case "obligations":
		d.array(func() { l.Obligations = append(l.Obligations, d.obligation()) })
	case "onward":
		l.Onward = d.str()
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
	case "request":
		l.Request = d.request()
	case "review":
		l.Review = d.review()
	case "ruling":
		l.Ruling = d.ruling()
	case "secondary":
		l.Secondary = d.secondary()
	case "sender":
		l.Sender = transfer.PartnerID(d.str())
	case "service":
		l.Service = transfer.Service(d.str())
	case "signature":
		l.Signature = d.signature()
	case "staff":
		d.array(func() { l.Staff = append(l.Staff, d.person()) })
	case "state":
		l.State = transfer.State(d.str())
	case "subjects":
		d.array(func() { l.Subjects = append(l.Subjects, d.subject()) })
	case "transfer":
		l.Transfer = transfer.TransferID(d.str())
	case "type":
		l.Type = transfer.MessageType(d.str())
	case "undertaking":
		l.Undertaking = d.undertaking()
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

func (d *decoder) caseStep() *Case {
	c := &Case{}
	d.object(func(key string) {
		switch key {
		case "channel":
			c.Channel = d.str()
		case "commitment":
			c.Commitment = d.str()
		case "counts":
			d.array(func() { c.Counts = append(c.Counts, d.count()) })
		case "due":
			c.Due = d.str()
		case "grounds":
			c.Grounds = d.strs()
		case "items":
			c.Items = d.strs()
		case "kept":
			d.array(func() { c.Kept = append(c.Kept, d.kept()) })
		case "on":
			c.On = d.str()
		case "reference":
			c.Reference = d.str()
		case "step":
			c.Step = d.str()
		case "type":
			c.Type = d.str()
		default:
			d.failed = true
		}
	})
	return c
}

func (d *decoder) count() (c Count) {
	d.object(func(key string) {
		switch key {
		case "n":
			c.N = d.num()
		case "what":
			c.What = d.str()
		default:
			d.failed = true
		}
	})
	return c
}

func (d *decoder) kept() (k Kept) {
	d.object(func(key string) {
		switch key {
		case "ground":
			k.Ground = d.str()
		case "what":
			k.What = d.str()
		default:
			d.failed = true
		}
	})
	return k
}

func (d *decoder) notice() *Notice {
	n := &Notice{}
	d.object(func(key string) {
		switch key {
		case "act":
			n.Act = d.str()
		case "case":
			n.Case = d.str()
		case "commitment":
			n.Commitment = d.str()
		case "effective":
			n.Effective = d.time()
		case "id":
			n.ID = d.str()
		case "items":
			n.Items = d.strs()
		case "reason":
			n.Reason = d.str()
		case "respond":
			n.Respond = d.str()
		case "status":
			n.Status = d.str()
		case "transfers":
			for _, id := range d.strs() {
				n.Transfers = append(n.Transfers, transfer.TransferID(id))
			}
		default:
			d.failed = true
		}
	})
	return n
}

func (d *decoder) condition() (c Condition) {
	d.object(func(key string) {
		switch key {
		case "holds":
			c.Holds = d.flag()
		case "if":
			c.If = d.str()
		default:
			d.failed = true
		}
	})
	return c
}

func (d *decoder) consent() *Consent {
	c := &Consent{}
	d.object(func(key string) {
		switch key {
		case "at":
			c.At = d.time()
		case "authority":
			c.Authority = d.str()
		case "categories":
			c.Categories = d.strs()
		case "commitment":
			c.Commitment = d.str()
		case "evidence":
			c.Evidence = d.flag()
		case "expires":
			c.Expires = d.time()
		case "explicit":
			c.Explicit = d.flag()
		case "id":
			c.ID = d.str()
		case "method":
			c.Method = d.str()
		case "notice":
			c.Notice = d.str()
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

func (d *decoder) demand() *Demand {
	m := &Demand{}
	d.object(func(key string) {
		switch key {
		case "authority":
			m.Authority = d.str()
		case "by":
			m.By = d.str()
		case "instrument":
			m.Instrument = d.str()
		case "items":
			m.Items = d.strs()
		case "law":
			m.Law = d.str()
		case "on":
			m.On = d.str()
		case "person":
			m.Person = d.str()
		case "reference":
			m.Reference = d.str()
		default:
			d.failed = true
		}
	})
	return m
}

func (d *decoder) disclosure() *Disclosure {
	o := &Disclosure{}
	d.object(func(key string) {
		switch key {
		case "basis":
			o.Basis = d.basis()
		case "how":
			o.How = d.str()
		case "made":
			o.Made = d.time()
		case "office":
			o.Office = d.str()
		case "person":
			o.Person = d.str()
		default:
			d.failed = true
		}
	})
	return o
}

func (d *decoder) exception() *Exception {
	x := &Exception{}
	d.object(func(key string) {
		switch key {
		case "at":
			x.At = d.str()
		case "coercion":
			x.Coercion = d.flag()
		case "incapable":
			x.Incapable = d.flag()
		case "informing_raises_risk":
			x.InformingRaisesRisk = d.flag()
		case "kind":
			x.Kind = d.str()
		case "law":
			x.Law = d.str()
		case "limb":
			x.Limb = d.str()
		case "necessary":
			x.Necessary = d.flag()
		case "no_less_intrusive_way":
			x.NoLessIntrusiveWay = d.flag()
		case "no_other_basis":
			x.NoOtherBasis = d.flag()
		case "others_at_risk":
			x.OthersAtRisk = d.flag()
		case "person":
			x.Person = d.str()
		case "record":
			x.Record = d.str()
		case "refused":
			x.Refused = d.flag()
		case "serious_crime":
			x.SeriousCrime = d.flag()
		default:
			d.failed = true
		}
	})
	return x
}

func (d *decoder) basis() (b Basis) {
	d.object(func(key string) {
		switch key {
		case "article6":
			b.Article6 = d.str()
		case "article9":
			b.Article9 = d.str()
		case "law":
			b.Law = d.str()
		case "offence":
			b.Offence = d.str()
		case "schedule1":
			b.Schedule1 = d.str()
		default:
			d.failed = true
		}
	})
	return b
}

func (d *decoder) obligation() (o Obligation) {
	d.object(func(key string) {
		switch key {
		case "by":
			o.By = d.time()
		case "code":
			o.Code = d.str()
		case "who":
			o.Who = d.str()
		default:
			d.failed = true
		}
	})
	return o
}

func (d *decoder) query() *Query {
	q := &Query{}
	d.object(func(key string) {
		switch key {
		case "filter":
			q.Filter = d.str()
		case "form":
			q.Form = d.str()
		case "found":
			q.Found = d.num()
		case "kind":
			q.Kind = d.str()
		case "refused":
			q.Refused = d.str()
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

func (d *decoder) request() *Request {
	r := &Request{}
	d.object(func(key string) {
		switch key {
		case "basis":
			r.Basis = d.basis()
		case "decided":
			r.Decided = d.str()
		case "decision":
			r.Decision = d.str()
		case "dpia":
			r.DPIA = d.str()
		case "items":
			r.Items = d.strs()
		case "office":
			r.Office = d.str()
		case "organisation":
			r.Organisation = d.str()
		case "person":
			r.Person = d.str()
		case "reasons":
			r.Reasons = d.strs()
		case "received":
			r.Received = d.str()
		case "reference":
			r.Reference = d.str()
		case "role":
			r.Role = transfer.StaffRole(d.str())
		case "view":
			r.View = d.str()
		default:
			d.failed = true
		}
	})
	return r
}

func (d *decoder) review() *Review {
	r := &Review{}
	d.object(func(key string) {
		switch key {
		case "at":
			r.At = d.str()
		case "person":
			r.Person = d.str()
		default:
			d.failed = true
		}
	})
	return r
}

func (d *decoder) ruling() *Ruling {
	r := &Ruling{}
	d.object(func(key string) {
		switch key {
		case "act":
			r.Act = d.str()
		case "codes":
			r.Codes = d.strs()
		case "ground":
			r.Ground = d.str()
		default:
			d.failed = true
		}
	})
	return r
}

func (d *decoder) secondary() *Secondary {
	s := &Secondary{}
	d.object(func(key string) {
		switch key {
		case "checked_on":
			s.CheckedOn = d.str()
		case "opted_out":
			s.OptedOut = d.flag()
		case "support":
			s.Support = d.str()
		default:
			d.failed = true
		}
	})
	return s
}

func (d *decoder) signature() *Signature {
	s := &Signature{}
	d.object(func(key string) {
		switch key {
		case "jws":
			s.JWS = d.str()
		case "party":
			s.Party = transfer.PartnerID(d.str())
		default:
			d.failed = true
		}
	})
	return s
}

func (d *decoder) person() (p Person) {
	d.object(func(key string) {
		switch key {
		case "id":
			p.ID = d.str()
		case "roles":
			d.array(func() { p.Roles = append(p.Roles, transfer.StaffRole(d.str())) })
		default:
			d.failed = true
		}
	})
	return p
}

func (d *decoder) subject() (s Subject) {
	d.object(func(key string) {
		switch key {
		case "commitment":
			s.Commitment = d.str()
		case "consent":
			s.Consent = d.str()
		case "consents":
			s.Consents = d.strs()
		case "facts":
			s.Facts = d.strs()
		case "items":
			s.Items = d.strs()
		case "noticed":
			s.Noticed = d.strs()
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

func (d *decoder) undertaking() *Undertaking {
	u := &Undertaking{}
	d.object(func(key string) {
		switch key {
		case "basis":
			u.Basis = d.str()
		case "evidence":
			u.Evidence = d.flag()
		case "informed_on":
			u.InformedOn = d.str()
		case "not_informed":
			u.NotInformed = d.str()
		default:
			d.failed = true
		}
	})
	return u
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

// flag reads the only value that a flag has: one that is not set is left out.
func (d *decoder) flag() bool {
	if !d.failed && strings.HasPrefix(d.s[d.i:], "true") {
		d.i += len("true")
		return true
	}
	d.failed = true
	return false
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
