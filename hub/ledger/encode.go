package ledger

import (
	"math/bits"
	"strconv"
	"time"
	"unicode/utf8"
)

// timeLayout is RFC 3339 in UTC with exactly six digits of a second.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendTo appends the leaf's canonical encoding to b: JSON in the form of RFC 8785, without absent members, as FORMAT.md says.
// It never fails: a byte that is not UTF-8 becomes U+FFFD, a time loses what is below a microsecond.
func (l *Leaf) AppendTo(b []byte) []byte {
	e := encoder{append(b, '{')}
	if a := &l.Actor; *a != (Actor{}) {
		e.open("actor")
		e.str("partner", string(a.Partner))
		e.str("person", a.Person)
		e.str("role", string(a.Role))
		e.str("system", string(a.System))
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
	e.caseStep(l.Case)
	e.conditions(l.Conditions)
	e.consent(l.Consent)
	e.time("deadline", l.Deadline)
	e.demand(l.Demand)
	e.disclosure(l.Disclosure)
	e.exception(l.Exception)
	e.time("expires", l.Expires)
	e.str("fault", l.Fault)
	e.str("kind", string(l.Kind))
	e.str("note", l.Note)
	e.notice(l.Notice)
	e.obligations(l.Obligations)
	e.str("onward", l.Onward)
	e.str("outcome", string(l.Outcome))
	e.str("owner", l.Owner)
	e.str("payload", l.Payload)
	e.str("purpose", string(l.Purpose))
	if q := l.Query; q != nil && *q != (Query{}) {
		e.open("query")
		e.str("filter", q.Filter)
		e.str("form", q.Form)
		e.num("found", q.Found)
		e.str("kind", q.Kind)
		e.str("refused", q.Refused)
		e.str("subject", q.Subject)
		e.str("why", q.Why)
		e.close()
	}
	e.reasons(l.Reasons)
	e.str("receipt", l.Receipt)
	e.str("recipient", string(l.Recipient))
	e.request(l.Request)
	if r := l.Review; r != nil && *r != (Review{}) {
		e.open("review")
		e.str("at", r.At)
		e.str("person", r.Person)
		e.close()
	}
	if r := l.Ruling; r != nil && !r.empty() {
		e.open("ruling")
		e.str("act", r.Act)
		strs(&e, "codes", r.Codes)
		e.str("ground", r.Ground)
		e.close()
	}
	if s := l.Secondary; s != nil && *s != (Secondary{}) {
		e.open("secondary")
		e.str("checked_on", s.CheckedOn)
		e.flag("opted_out", s.OptedOut)
		e.str("support", s.Support)
		e.close()
	}
	e.str("sender", string(l.Sender))
	e.str("service", string(l.Service))
	if s := l.Signature; s != nil && *s != (Signature{}) {
		e.open("signature")
		e.str("jws", s.JWS)
		e.str("party", string(s.Party))
		e.close()
	}
	e.staff(l.Staff)
	e.str("state", string(l.State))
	e.subjects(l.Subjects)
	e.str("transfer", string(l.Transfer))
	e.str("type", string(l.Type))
	if u := l.Undertaking; u != nil && *u != (Undertaking{}) {
		e.open("undertaking")
		e.str("basis", u.Basis)
		e.flag("evidence", u.Evidence)
		e.str("informed_on", u.InformedOn)
		e.str("not_informed", u.NotInformed)
		e.close()
	}
	e.num("v", version)
	return append(e.b, '}')
}

func (c *Consent) empty() bool {
	return c.ID == "" && c.Commitment == "" && c.State == "" && c.Purpose == "" && c.Service == "" && len(c.Recipients) == 0 &&
		len(c.Categories) == 0 && !c.Explicit && c.Method == "" && !c.Evidence && c.Authority == "" && c.Notice == "" && c.At.IsZero() &&
		c.Expires.IsZero()
}

func (d *Demand) empty() bool {
	return d.Instrument == "" && d.Reference == "" && d.By == "" && d.Authority == "" && d.Law == "" && d.On == "" && len(d.Items) == 0 &&
		d.Person == ""
}

func (r *Request) empty() bool {
	return r.Reference == "" && r.Organisation == "" && r.Office == "" && r.Received == "" && len(r.Items) == 0 && r.Basis == (Basis{}) &&
		r.DPIA == "" && r.View == "" && r.Decision == "" && len(r.Reasons) == 0 && r.Decided == "" && r.Person == "" && r.Role == ""
}

func (r *Ruling) empty() bool { return r.Act == "" && len(r.Codes) == 0 && r.Ground == "" }

func (c *Case) empty() bool {
	return c.Reference == "" && c.Type == "" && c.Step == "" && c.Commitment == "" && len(c.Grounds) == 0 && len(c.Items) == 0 && c.On == "" &&
		c.Due == "" && c.Channel == "" && len(c.Counts) == 0 && len(c.Kept) == 0
}

func (n *Notice) empty() bool {
	return n.ID == "" && n.Case == "" && n.Act == "" && n.Commitment == "" && len(n.Transfers) == 0 && len(n.Items) == 0 && n.Effective.IsZero() &&
		n.Respond == "" && n.Status == "" && n.Reason == ""
}

func (d *Disclosure) empty() bool {
	return d.Office == "" && d.How == "" && d.Basis == (Basis{}) && d.Person == "" && d.Made.IsZero()
}

// encoder appends members in the order in which it is called; the callers call in the order of the keys.
type encoder struct{ b []byte }

func (e *encoder) conditions(cs []Condition) {
	if len(cs) == 0 {
		return
	}
	e.array("conditions")
	for i := range cs {
		e.element()
		e.flag("holds", cs[i].Holds)
		e.str("if", cs[i].If)
		e.close()
	}
	e.end()
}

func (e *encoder) caseStep(c *Case) {
	if c == nil || c.empty() {
		return
	}
	e.open("case")
	e.str("channel", c.Channel)
	e.str("commitment", c.Commitment)
	if len(c.Counts) > 0 {
		e.array("counts")
		for i := range c.Counts {
			e.element()
			e.num("n", c.Counts[i].N)
			e.str("what", c.Counts[i].What)
			e.close()
		}
		e.end()
	}
	e.str("due", c.Due)
	strs(e, "grounds", c.Grounds)
	strs(e, "items", c.Items)
	if len(c.Kept) > 0 {
		e.array("kept")
		for i := range c.Kept {
			e.element()
			e.str("ground", c.Kept[i].Ground)
			e.str("what", c.Kept[i].What)
			e.close()
		}
		e.end()
	}
	e.str("on", c.On)
	e.str("reference", c.Reference)
	e.str("step", c.Step)
	e.str("type", c.Type)
	e.close()
}

func (e *encoder) notice(n *Notice) {
	if n == nil || n.empty() {
		return
	}
	e.open("notice")
	e.str("act", n.Act)
	e.str("case", n.Case)
	e.str("commitment", n.Commitment)
	e.time("effective", n.Effective)
	e.str("id", n.ID)
	strs(e, "items", n.Items)
	e.str("reason", n.Reason)
	e.str("respond", n.Respond)
	e.str("status", n.Status)
	strs(e, "transfers", n.Transfers)
	e.close()
}

func (e *encoder) consent(c *Consent) {
	if c == nil || c.empty() {
		return
	}
	e.open("consent")
	e.time("at", c.At)
	e.str("authority", c.Authority)
	strs(e, "categories", c.Categories)
	e.str("commitment", c.Commitment)
	e.flag("evidence", c.Evidence)
	e.time("expires", c.Expires)
	e.flag("explicit", c.Explicit)
	e.str("id", c.ID)
	e.str("method", c.Method)
	e.str("notice", c.Notice)
	e.str("purpose", string(c.Purpose))
	strs(e, "recipients", c.Recipients)
	e.str("service", string(c.Service))
	e.str("state", c.State)
	e.close()
}

func (e *encoder) demand(d *Demand) {
	if d == nil || d.empty() {
		return
	}
	e.open("demand")
	e.str("authority", d.Authority)
	e.str("by", d.By)
	e.str("instrument", d.Instrument)
	strs(e, "items", d.Items)
	e.str("law", d.Law)
	e.str("on", d.On)
	e.str("person", d.Person)
	e.str("reference", d.Reference)
	e.close()
}

func (e *encoder) disclosure(d *Disclosure) {
	if d == nil || d.empty() {
		return
	}
	e.open("disclosure")
	e.basis(&d.Basis)
	e.str("how", d.How)
	e.time("made", d.Made)
	e.str("office", d.Office)
	e.str("person", d.Person)
	e.close()
}

func (e *encoder) exception(x *Exception) {
	if x == nil || *x == (Exception{}) {
		return
	}
	e.open("exception")
	e.str("at", x.At)
	e.flag("coercion", x.Coercion)
	e.flag("incapable", x.Incapable)
	e.flag("informing_raises_risk", x.InformingRaisesRisk)
	e.str("kind", x.Kind)
	e.str("law", x.Law)
	e.str("limb", x.Limb)
	e.flag("necessary", x.Necessary)
	e.flag("no_less_intrusive_way", x.NoLessIntrusiveWay)
	e.flag("no_other_basis", x.NoOtherBasis)
	e.flag("others_at_risk", x.OthersAtRisk)
	e.str("person", x.Person)
	e.str("record", x.Record)
	e.flag("refused", x.Refused)
	e.flag("serious_crime", x.SeriousCrime)
	e.close()
}

func (e *encoder) basis(b *Basis) {
	if *b == (Basis{}) {
		return
	}
	e.open("basis")
	e.str("article6", b.Article6)
	e.str("article9", b.Article9)
	e.str("law", b.Law)
	e.str("offence", b.Offence)
	e.str("schedule1", b.Schedule1)
	e.close()
}

func (e *encoder) obligations(os []Obligation) {
	if len(os) == 0 {
		return
	}
	e.array("obligations")
	for i := range os {
		e.element()
		e.time("by", os[i].By)
		e.str("code", os[i].Code)
		e.str("who", os[i].Who)
		e.close()
	}
	e.end()
}

func (e *encoder) request(r *Request) {
	if r == nil || r.empty() {
		return
	}
	e.open("request")
	e.basis(&r.Basis)
	e.str("decided", r.Decided)
	e.str("decision", r.Decision)
	e.str("dpia", r.DPIA)
	strs(e, "items", r.Items)
	e.str("office", r.Office)
	e.str("organisation", r.Organisation)
	e.str("person", r.Person)
	strs(e, "reasons", r.Reasons)
	e.str("received", r.Received)
	e.str("reference", r.Reference)
	e.str("role", string(r.Role))
	e.str("view", r.View)
	e.close()
}

func (e *encoder) reasons(rs []Reason) {
	if len(rs) == 0 {
		return
	}
	e.array("reasons")
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
	e.end()
}

func (e *encoder) staff(ps []Person) {
	if len(ps) == 0 {
		return
	}
	e.array("staff")
	for i := range ps {
		e.element()
		e.str("id", ps[i].ID)
		strs(e, "roles", ps[i].Roles)
		e.close()
	}
	e.end()
}

func (e *encoder) subjects(ss []Subject) {
	if len(ss) == 0 {
		return
	}
	e.array("subjects")
	for i := range ss {
		s := &ss[i]
		e.element()
		e.str("commitment", s.Commitment)
		e.str("consent", s.Consent)
		strs(e, "consents", s.Consents)
		strs(e, "facts", s.Facts)
		strs(e, "items", s.Items)
		strs(e, "noticed", s.Noticed)
		e.num("position", s.Position)
		e.str("role", string(s.Role))
		strs(e, "stripped", s.Stripped)
		e.close()
	}
	e.end()
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

func (e *encoder) array(k string) {
	e.key(k)
	e.b = append(e.b, '[')
}

func (e *encoder) end() { e.b = append(e.b, ']') }

// element opens an object of an array.
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

func (e *encoder) flag(k string, v bool) {
	if v {
		e.key(k)
		e.b = append(e.b, "true"...)
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

func strs[S ~string](e *encoder, k string, vs []S) {
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
