package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// AgreementAct is what somebody does about a version of an agreement.
type AgreementAct string

// The acts. A party may suspend, and lift its own suspension; only the lead activates and retires. The operator may do each.
const (
	// Activate puts a signed version in force for those parties that sign on paper, because they have no system on the hub. With every
	// party's key under it a version needs no such act.
	Activate AgreementAct = "activate"
	Suspend  AgreementAct = "suspend" // stops it, also what is queued, until whoever suspended it resumes it
	Resume   AgreementAct = "resume"
	Retire   AgreementAct = "retire" // for good

	sign AgreementAct = "sign" // a party's signature
)

// Grounds are the codes for why an act may be done.
func (a AgreementAct) Grounds() []string {
	switch a {
	case Activate:
		return []string{"paper-signed"}
	case Suspend:
		return []string{"breach", "complaint", "precaution", "legal-advice", "under-review", "contract"}
	case Resume:
		return []string{"resolved", "reviewed", "entered-in-error"}
	case Retire:
		return []string{"replaced", "service-ended", "contract", "breach", "legal-advice"}
	case sign:
	}
	return nil
}

// SigningKey is a key that a signature is verified with.
type SigningKey = agreement.SigningKey

// ErrNoAgreement is what a partner gets for a version that is not declared, and for one that it is no party to.
var ErrNoAgreement = fmt.Errorf("no such agreement of yours: %w", store.ErrNotFound)

// ActError says that a version is not in a state for what was asked of it.
type ActError struct {
	Status agreement.Status
	Detail string
}

func (e *ActError) Error() string { return e.Detail }

// SignatureError says what is wrong with a signature.
type SignatureError struct{ Detail string }

func (e *SignatureError) Error() string { return e.Detail }

// act is an AgreementAct or a signature, as it is stored.
type act struct {
	Seq       int64                `json:"-"`
	Agreement transfer.AgreementID `json:"-"`
	Version   int                  `json:"-"`
	Log       string               `json:"-"`
	Leaf      int64                `json:"-"`

	Do       AgreementAct       `json:"do"`
	Digest   string             `json:"digest"` // of the text that it was done about
	Partner  transfer.PartnerID `json:"partner"`
	Operator bool               `json:"operator,omitempty"` // Partner runs the hub
	Person   string             `json:"person,omitempty"`
	Ground   string             `json:"ground,omitempty"`
	Decided  time.Time          `json:"decided,omitzero"` // by the person
	At       time.Time          `json:"at"`               // when it took effect
}

func actIn(row *store.AgreementAct) (act, error) {
	a := act{Seq: row.Seq, Agreement: row.Agreement, Version: row.Version, Log: row.Log, Leaf: row.Leaf}
	if err := json.Unmarshal(row.Body, &a); err != nil {
		return a, fmt.Errorf("read agreement act %d: %w", row.Seq, err)
	}
	return a, nil
}

func (a *act) ref() string { return fmt.Sprintf("%s@%d", a.Agreement, a.Version) }

// status is what a version has come to: what its file says, and what people have done since. Acts can only make it stricter, except that
// a signed version becomes active. What stops a version stops it whatever its text has become meanwhile; what lets it run was said about one
// text and counts for no other.
func (r *register) status(a *agreement.Agreement) agreement.Status {
	activated := false
	for _, act := range r.acts[a.Ref()] {
		switch act.Do {
		case Retire:
			return agreement.Terminated
		case Activate:
			activated = activated || act.Digest == a.Digest
		case Suspend, Resume, sign:
		}
	}
	switch a.Status {
	case agreement.Draft, agreement.Expired, agreement.Terminated:
		return a.Status
	case agreement.Signed, agreement.Active, agreement.Suspended, agreement.UnderReview:
	}
	switch {
	case len(r.suspendedBy(a)) > 0:
		return agreement.Suspended
	case a.Status == agreement.Signed && (activated || len(r.unsigned(a)) == 0):
		return agreement.Active
	}
	return a.Status
}

// suspendedBy lists who has suspended a version and not resumed it.
func (r *register) suspendedBy(a *agreement.Agreement) []transfer.PartnerID {
	by := map[transfer.PartnerID]bool{}
	for _, act := range r.acts[a.Ref()] {
		switch act.Do {
		case Suspend:
			by[act.Partner] = true
		case Resume:
			if act.Operator {
				clear(by)
			}
			delete(by, act.Partner)
		case Activate, Retire, sign:
		}
	}
	return slices.Sorted(maps.Keys(by))
}

// signedAt says when each party signed a version as it stands.
func (r *register) signedAt(a *agreement.Agreement) map[transfer.PartnerID]time.Time {
	signed := map[transfer.PartnerID]time.Time{}
	for _, act := range r.acts[a.Ref()] {
		if act.Do == sign && act.Digest == a.Digest {
			signed[act.Partner] = act.At
		}
	}
	return signed
}

// unsigned lists the parties whose key has not signed.
func (r *register) unsigned(a *agreement.Agreement) []transfer.PartnerID {
	signed := r.signedAt(a)
	var out []transfer.PartnerID
	for _, p := range a.Parties {
		if _, has := signed[p.Partner]; !has {
			out = append(out, p.Partner)
		}
	}
	return out
}

// theirs finds a version that concerns a partner: one of its parties, its lead, or whoever runs the hub.
func (r *register) theirs(by transfer.PartnerID, id transfer.AgreementID, version int) (a *agreement.Agreement, operator bool, err error) {
	a, known := r.declared.Agreement(id, version)
	if !known {
		return nil, false, ErrNoAgreement
	}
	operator = r.operates(by)
	if !operator && !concerns(a, by) {
		return nil, false, ErrNoAgreement
	}
	return a, operator, nil
}

func (r *register) operates(by transfer.PartnerID) bool {
	p, known := r.declared.Partner(by)
	return known && p.Kind == transfer.Operator
}

func concerns(a *agreement.Agreement, by transfer.PartnerID) bool {
	return a.Lead == by || slices.ContainsFunc(a.Parties, func(p agreement.Party) bool { return p.Partner == by })
}

// Acted is what an act or a signature did.
type Acted struct {
	Repeat bool // it was done before, and this is the same answer
	Status agreement.Status
	Digest string
	Origin string // of the log that holds Leaf
	Leaf   int64
}

// Deed is an act with who answers for it.
type Deed struct {
	Do     AgreementAct
	Person string // by the id of the partner's register entry
	Ground string // a code of the contract
	At     time.Time
}

// Act does something about a version of an agreement. It takes effect with its commit: no release after it goes by what was before. The same
// deed again changes nothing. The errors are ErrNoAgreement, *RoleError and *ActError.
func (x *Exchange) Act(ctx context.Context, by Principal, id transfer.AgreementID, version int, d Deed) (Acted, error) {
	op := &actOn{by: by, id: id, version: version, deed: d}
	err := x.do(ctx, op)
	return op.done, err
}

type actOn struct {
	by      Principal
	id      transfer.AgreementID
	version int
	deed    Deed

	done Acted
}

func (*actOn) reads(*needs) {}

func (o *actOn) judge(c *commit) error {
	a, operator, err := c.register.theirs(o.by.Partner, o.id, o.version)
	if err != nil {
		return err
	}
	d := o.deed
	for _, before := range c.register.acts[a.Ref()] {
		if before.Do == d.Do && before.Partner == o.by.Partner && before.Person == d.Person && before.Ground == d.Ground && before.Decided.Equal(d.At) {
			o.done = Acted{Repeat: true, Status: c.register.status(a), Digest: before.Digest, Origin: before.Log, Leaf: before.Leaf}
			return nil
		}
	}
	if err := c.mayAct(a, o.by.Partner, operator, d); err != nil {
		return err
	}
	if err := c.register.allows(a, o.by.Partner, operator, d.Do); err != nil {
		return err
	}
	leaf, err := c.happened(o.by, a, act{Do: d.Do, Operator: operator, Person: d.Person, Ground: d.Ground, Decided: d.At}, func(status agreement.Status) *ledger.Leaf {
		actor := actorOf(o.by)
		actor.Person, actor.Role = d.Person, transfer.DataProtection
		return &ledger.Leaf{Kind: ledger.KindAgreement, Actor: actor, Agreement: inLeaf(a), Note: word(status) + ": " + string(d.Do) + ", " + d.Ground}
	})
	if err != nil {
		return err
	}
	o.done = Acted{Status: c.register.status(a), Digest: a.Digest, Origin: c.x.cfg.Origin, Leaf: leaf}
	return nil
}

// mayAct asks whether a person may do this for their partner.
func (c *commit) mayAct(a *agreement.Agreement, by transfer.PartnerID, operator bool, d Deed) error {
	person, err := c.staffOf(by, d.Person)
	if err != nil {
		return err
	}
	if !slices.Contains(person.Roles, transfer.DataProtection) {
		return &RoleError{fmt.Sprintf("%s may not %s an agreement: that takes somebody with the role %s on the register of %s.",
			person.ID, d.Do, transfer.DataProtection, by)}
	}
	if leads := d.Do == Activate || d.Do == Retire; leads && a.Lead != by && !operator {
		return &RoleError{fmt.Sprintf("Only %s, which leads %s, may %s it. A party may suspend it.", a.Lead, a.Ref(), d.Do)}
	}
	return nil
}

// allows asks whether a version is in a state for an act.
func (r *register) allows(a *agreement.Agreement, by transfer.PartnerID, operator bool, do AgreementAct) error {
	status := r.status(a)
	no := func(format string, args ...any) error { return &ActError{status, fmt.Sprintf(format, args...)} }
	switch status {
	case agreement.Terminated, agreement.Expired:
		return no("%s is %s, for good. What is to be shared again needs another version.", a.Ref(), status)
	case agreement.Draft:
		return no("%s is a draft and carries nothing. Declare it as signed first.", a.Ref())
	case agreement.Signed:
		// One that never ran supersedes nothing, and must not stop the version before it by being stopped.
		if do != Activate && do != sign {
			return no("%s carries nothing yet: it has still to be signed by %s. To take it back, declare it as a draft.", a.Ref(), spoken(r.unsigned(a)))
		}
	case agreement.Active, agreement.Suspended, agreement.UnderReview:
	}
	suspended := r.suspendedBy(a)
	switch do {
	case Activate:
		if status != agreement.Signed {
			return no("%s is %s. Only a version that is declared as signed can be activated.", a.Ref(), status)
		}
		var wanting []string
		for _, id := range r.unsigned(a) {
			if p, known := r.declared.Partner(id); known && len(p.Systems) > 0 {
				wanting = append(wanting, string(id))
			}
		}
		if len(wanting) > 0 {
			return no("%s still has to be signed with a key of %s.", a.Ref(), strings.Join(wanting, ", "))
		}
	case Suspend:
		if slices.Contains(suspended, by) {
			return no("%s has suspended %s already.", by, a.Ref())
		}
	case Resume:
		switch {
		case len(suspended) == 0 && status == agreement.Active:
			return no("%s is not suspended.", a.Ref())
		case len(suspended) == 0:
			return no("%s is %s by its own file. Have the file say that it is active again.", a.Ref(), status)
		case !operator && !slices.Contains(suspended, by):
			return no("%s was suspended by %s, which alone may resume it.", a.Ref(), spoken(suspended))
		}
	case Retire, sign:
	}
	return nil
}

func spoken(ids []transfer.PartnerID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = string(id)
	}
	return strings.Join(words, ", ")
}

// happened adds an act to the commit, and the leaf of it; the rest of the commit goes by what it changed.
func (c *commit) happened(by Principal, a *agreement.Agreement, done act, leaf func(agreement.Status) *ledger.Leaf) (int64, error) {
	done.Seq, done.Agreement, done.Version = c.register.seq+1, a.ID, a.Version
	done.Partner, done.Digest, done.At, done.Log = by.Partner, a.Digest, c.at, c.x.cfg.Origin
	done.Leaf = c.x.tree.Size() + int64(len(c.leaves)) // the next: the register that it makes says where it stands
	body, err := json.Marshal(done)
	if err != nil {
		return 0, fmt.Errorf("encode an agreement act: %w", err)
	}
	next, err := c.register.with(done)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", done.Do, a.Ref(), err)
	}
	c.follow(next)
	c.insert.AgreementActs = append(c.insert.AgreementActs, store.AgreementAct{
		Seq: done.Seq, Agreement: a.ID, Version: a.Version, Body: body, Log: done.Log, Leaf: done.Leaf,
	})
	return c.leafUnder(agreementKey(a), leaf(next.status(a))), nil
}

// Sign takes a party's signature under a version: a compact JWS over agreement.Terms, by one of the party's keys, which lookup finds by its id.
// With the last party's the version becomes active. The same signature again changes nothing. The errors are ErrNoAgreement, *ActError and
// *SignatureError.
func (x *Exchange) Sign(ctx context.Context, by Principal, id transfer.AgreementID, version int, jws string, lookup func(kid string) (SigningKey, bool)) (Acted, error) {
	op := &signing{by: by, id: id, version: version, jws: jws, lookup: lookup}
	err := x.do(ctx, op)
	return op.done, err
}

type signing struct {
	by      Principal
	id      transfer.AgreementID
	version int
	jws     string
	lookup  func(string) (SigningKey, bool)

	done Acted
}

func (*signing) reads(*needs) {}

func (s *signing) judge(c *commit) error {
	a, _, err := c.register.theirs(s.by.Partner, s.id, s.version)
	if err != nil {
		return err
	}
	party, err := a.VerifySignature(s.jws, s.lookup)
	if err == nil && party != s.by.Partner {
		err = errors.New("it is another party's: each hands in its own")
	}
	if err != nil {
		return &SignatureError{err.Error()}
	}
	for _, before := range c.register.acts[a.Ref()] {
		if before.Do == sign && before.Partner == party && before.Digest == a.Digest {
			s.done = Acted{Repeat: true, Status: c.register.status(a), Digest: a.Digest, Origin: before.Log, Leaf: before.Leaf}
			return nil
		}
	}
	was := c.register.status(a)
	if err := c.register.allows(a, party, false, sign); err != nil {
		return err
	}
	leaf, err := c.happened(s.by, a, act{Do: sign}, func(agreement.Status) *ledger.Leaf {
		return &ledger.Leaf{
			Kind: ledger.KindSignature, Actor: actorOf(s.by), Agreement: inLeaf(a), Signature: &ledger.Signature{Party: party, JWS: s.jws},
		}
	})
	if err != nil {
		return err
	}
	is := c.register.status(a)
	if is != was {
		c.leafUnder(agreementKey(a), &ledger.Leaf{
			Kind: ledger.KindAgreement, Actor: actorOf(s.by), Agreement: inLeaf(a), Note: word(is) + ": signed by every party",
		})
	}
	s.done = Acted{Status: is, Digest: a.Digest, Origin: c.x.cfg.Origin, Leaf: leaf}
	return nil
}

// Declared is a version of an agreement, as it stands.
type Declared struct {
	*agreement.Agreement                                  // as its file has it
	Status               agreement.Status                 // what it has come to since
	Standing             agreement.Standing               // whether it may carry data now
	SignedAt             map[transfer.PartnerID]time.Time // of the parties whose key has signed this text
	SuspendedBy          []transfer.PartnerID
	Explained            string // in plain English
}

// Agreements lists the versions that concern a partner, by agreement and version; all of them for whoever runs the hub.
func (x *Exchange) Agreements(ctx context.Context, by Principal) ([]Declared, error) {
	r, at, err := x.asItStands(ctx)
	if err != nil {
		return nil, err
	}
	all := r.operates(by.Partner)
	var out []Declared
	for _, a := range r.declared.Agreements() {
		if all || concerns(a, by.Partner) {
			out = append(out, r.describe(a, at))
		}
	}
	return out, nil
}

// Agreement gives one version that concerns a partner, and explains it; ErrNoAgreement.
func (x *Exchange) Agreement(ctx context.Context, by Principal, id transfer.AgreementID, version int) (Declared, error) {
	r, at, err := x.asItStands(ctx)
	if err != nil {
		return Declared{}, err
	}
	a, _, err := r.theirs(by.Partner, id, version)
	if err != nil {
		return Declared{}, err
	}
	out := r.describe(a, at)
	then := a.Clone()
	then.Status = out.Status
	out.Explained = agreement.Explain(then, r.declared)
	return out, nil
}

func (x *Exchange) asItStands(ctx context.Context) (*register, time.Time, error) {
	if err := x.Refresh(ctx); err != nil {
		return nil, time.Time{}, err
	}
	return x.register.Load(), x.cfg.Now(), nil
}

func (r *register) describe(a *agreement.Agreement, at time.Time) Declared {
	then := *a
	then.Status = r.status(a)
	return Declared{
		Agreement: a, Status: then.Status, Standing: then.Standing(at), SignedAt: r.signedAt(a), SuspendedBy: r.suspendedBy(a),
	}
}
