package replay_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/replay"
	"referralhub/hub/transfer"
)

const (
	cih    = transfer.PartnerID("carers-in-hertfordshire")
	ageUK  = transfer.PartnerID("age-uk-hertfordshire")
	pohwer = transfer.PartnerID("pohwer")
)

var (
	noon        = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	referral, _ = contracts.For("referral/1")
)

const day = 24 * time.Hour

func items(names ...string) contracts.ItemSet {
	var s contracts.ItemSet
	for _, name := range names {
		item, ok := referral.Lookup(name)
		if !ok {
			panic("the referral contract has no item " + name)
		}
		s = s.With(item.Index)
	}
	return s
}

var (
	named    = []string{"carer.name.given", "carer.name.family"}
	reached  = []string{"carer.phones", "carer.addresses.lines"}
	carerAll = slices.Concat(named, reached, []string{"carer.condition"})
)

// hertswise is a version of an agreement by which Carers in Hertfordshire refers carers to Age UK with their consent.
func hertswise(version int, change ...func(*agreement.Flow)) *agreement.Agreement {
	a := &agreement.Agreement{
		ID: "hertswise", Version: version, Digest: fmt.Sprintf("sha256:%d", version), Status: agreement.Active,
		Starts: noon.Add(-400 * day), ReviewBy: noon.Add(400 * day),
	}
	f := &agreement.Flow{
		Agreement: a, ID: fmt.Sprintf("hertswise@%d#refer", version), From: []transfer.PartnerID{cih}, To: []transfer.PartnerID{ageUK},
		Messages: []transfer.MessageType{"referral/1"}, Contract: referral, Purpose: "referral.service", Service: "hertswise",
		Members: []transfer.PartnerID{ageUK, cih}, Basis: agreement.Basis{Article6: "a", Article9: "a"},
		Allowed: items(carerAll...), Required: items("carer.name.family"),
	}
	for _, c := range change {
		c(f)
	}
	a.Flows = []*agreement.Flow{f}
	return a
}

func listing(names ...string) func(*agreement.Flow) {
	return func(f *agreement.Flow) { f.Allowed = items(names...) }
}

// register is an index of agreements between three charities, changed where a story needs it.
func register(t testing.TB, agreements []*agreement.Agreement, change ...func(*transfer.Partner)) *agreement.Index {
	t.Helper()
	var partners []transfer.Partner
	for _, id := range []transfer.PartnerID{cih, ageUK, pohwer} {
		p := transfer.Partner{ID: id, Name: string(id), Kind: transfer.Charity, Location: "GB", People: []transfer.Person{dpl}}
		for _, c := range change {
			c(&p)
		}
		partners = append(partners, p)
	}
	x, err := agreement.NewIndex(partners, agreements)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

var dpl = transfer.Person{ID: "dpl-1", Office: "Data Protection Lead", Roles: []transfer.StaffRole{transfer.DataProtection}}

// employing puts other people on the register.
func employing(people ...transfer.Person) func(*transfer.Partner) {
	return func(p *transfer.Partner) { p.People = people }
}

func suspending(id transfer.PartnerID) func(*transfer.Partner) {
	return func(p *transfer.Partner) {
		if p.ID == id {
			p.Suspended, p.SuspendedReason = true, "no answer"
		}
	}
}

// hub decides and writes its log as the exchange does: the leaf holds what the decision was made on.
type hub struct {
	testing.TB
	log    *ledger.Memory
	index  *agreement.Index
	now    time.Time
	events map[string][]consent.Event // by commitment
	ruled  map[transfer.TransferID][]policy.Ruling
	count  int
	old    bool // a release holds itself what it was decided on, as in the first logs
}

func newHub(t testing.TB, agreements ...*agreement.Agreement) *hub {
	t.Helper()
	h := &hub{TB: t, log: &ledger.Memory{}, now: noon, events: map[string][]consent.Event{}, ruled: map[transfer.TransferID][]policy.Ruling{}}
	h.adopt(register(t, agreements), agreements...)
	return h
}

// write adds a leaf. Nobody signs here: a replay reads a log that was audited before.
func (h *hub) write(l *ledger.Leaf) {
	h.now = h.now.Add(time.Minute)
	if l.At.IsZero() {
		l.At = h.now
	}
	h.log.Entries = append(h.log.Entries, l.AppendTo(nil))
	h.log.Size++
}

// adopt puts a register in force and writes down which versions were activated.
func (h *hub) adopt(x *agreement.Index, activated ...*agreement.Agreement) {
	h.index = x
	for _, a := range activated {
		h.stands(a, "activated")
	}
}

func (h *hub) stands(a *agreement.Agreement, note string) {
	h.write(&ledger.Leaf{
		Kind: ledger.KindAgreement, Agreement: &ledger.Agreement{ID: a.ID, Version: a.Version, Digest: a.Digest}, Note: note,
	})
}

// says records something that a person said, as of an hour ago.
func (h *hub) says(who string, state consent.State, change ...func(*consent.Event)) consent.Event {
	h.count++
	e := consent.Event{
		ID: fmt.Sprintf("c-%d", h.count), RecordedBy: cih, State: state, Purpose: "referral.service", Service: "hertswise", Explicit: true,
		Categories: []contracts.Category{"identity", "contact", "address", "health"}, Method: "paper", Evidence: "file 7", Authority: "self",
		Notice: "carers-2026-04", At: h.now.Add(-time.Hour),
	}
	if state != consent.Given {
		e.Categories, e.Explicit = nil, false
	}
	for _, c := range change {
		c(&e)
	}
	h.events[who] = append(h.events[who], e)
	var categories []string
	for _, c := range e.Categories {
		categories = append(categories, string(c))
	}
	h.write(&ledger.Leaf{
		Kind: ledger.KindConsent, Actor: ledger.Actor{Partner: e.RecordedBy},
		Consent: &ledger.Consent{
			ID: e.ID, Commitment: who, State: string(e.State), Purpose: e.Purpose, Service: e.Service, Recipients: e.Recipients,
			Categories: categories, Explicit: e.Explicit, Method: e.Method, Evidence: e.Evidence != "", Authority: e.Authority,
			Notice: e.Notice, At: e.At, Expires: e.ExpiresAt,
		},
	})
	return e
}

func by(id transfer.PartnerID) func(*consent.Event) {
	return func(e *consent.Event) { e.RecordedBy = id }
}

// refers decides about a carer who is referred to Age UK, and gives what it came to.
func (h *hub) refers(id transfer.TransferID, who string, present ...string) policy.Decision {
	return h.decides(ledger.KindDecision, id, who, present...)
}

func (h *hub) releases(id transfer.TransferID, who string, present ...string) policy.Decision {
	return h.decides(ledger.KindRelease, id, who, present...)
}

func (h *hub) decides(kind ledger.Kind, id transfer.TransferID, who string, present ...string) policy.Decision {
	h.Helper()
	return h.judges(kind, id, who, &policy.Request{
		Sender: cih, Recipient: ageUK, Contract: referral, Purpose: "referral.service", Service: "hertswise",
		Undertaking: &contracts.Undertaking{Basis: "consent", EvidenceRef: "file 7"},
		Subjects:    []policy.Subject{{Role: transfer.Carer, Items: items(present...), Facts: policy.Adult}},
	})
}

func (h *hub) judges(kind ledger.Kind, id transfer.TransferID, who string, r *policy.Request) policy.Decision {
	h.Helper()
	r.At, r.Rulings = h.now.Add(time.Minute), h.ruled[id]
	r.Subjects[0].Events = h.events[who] // the others have said nothing
	d := policy.Decide(h.index, r)
	l := &ledger.Leaf{
		Kind: ledger.KindDecision, Transfer: id, Sender: r.Sender, Recipient: r.Recipient, Type: r.Contract.Type, Purpose: r.Purpose, Service: r.Service,
		Outcome: d.Outcome, Expires: d.Expires,
	}
	if a := d.Agreement; a != nil {
		l.Agreement = &ledger.Agreement{ID: a.ID, Version: a.Version, Digest: a.Digest, Flow: a.Flow}
	}
	for _, reason := range d.Reasons {
		l.Reasons = append(l.Reasons, ledger.Reason{Code: string(reason.Code), Clause: reason.Clause})
	}
	for i, s := range d.Subjects {
		line := ledger.Subject{Role: s.Role, Position: s.Position, Commitment: who, Stripped: referral.Names(s.Stripped), Consents: s.Consents}
		if d.Outcome.Permits() {
			line.Items = referral.Names(s.Items)
		}
		if i > 0 {
			line.Commitment = commitment(i)
		}
		l.Subjects = append(l.Subjects, line)
	}
	replay.WriteInputs(l, r, h.index)
	switch {
	case kind == ledger.KindDecision || !d.Outcome.Permits():
		if l.State = transfer.Queued; !d.Outcome.Permits() {
			l.State = transfer.Held
		}
		h.write(l)
	case h.old:
		l.Kind, l.State = ledger.KindRelease, transfer.Released
		h.write(l)
	default:
		h.write(l)
		h.write(l.Release("hmac-sha256:" + strings.Repeat("ab", 32)))
	}
	return d
}

// rules writes down what the Data Protection Lead decided about a hold.
func (h *hub) rules(id transfer.TransferID, act policy.Act, looked ...policy.Code) {
	ruling := policy.Ruling{Act: act, Person: "dpl-1", Role: transfer.DataProtection, Codes: looked, Ground: "review-under-way", At: h.now.Add(time.Minute)}
	h.ruled[id] = append(h.ruled[id], ruling)
	var codes []string
	for _, c := range looked {
		codes = append(codes, string(c))
	}
	h.write(&ledger.Leaf{
		Kind: ledger.KindRuling, Transfer: id, Actor: ledger.Actor{Partner: cih, Person: ruling.Person, Role: ruling.Role},
		Ruling: &ledger.Ruling{Act: string(act), Codes: codes, Ground: ruling.Ground},
	})
}

func (h *hub) expect(d policy.Decision, want transfer.Outcome) {
	h.Helper()
	if d.Outcome != want {
		h.Fatalf("the hub of this story decides %s, and not %s: %+v", d.Outcome, want, d.Reasons)
	}
}

// redecided makes every decision of the log again under a register, and expects these drifts.
func (h *hub) redecided(x *agreement.Index, want ...string) replay.Redecided {
	h.Helper()
	var got []string
	done, err := replay.Redecide(context.Background(), h.log, x, func(d replay.Drift) error {
		got = append(got, d.String())
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.Errorf("drifts (-want +got):\n%s", diff)
	}
	if int(done.Drifts) != len(got) {
		h.Errorf("%d drifts were counted, %d visited", done.Drifts, len(got))
	}
	return done
}

func commitment(n int) string { return strings.Repeat(fmt.Sprintf("%02x", n), 32) }
