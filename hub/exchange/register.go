package exchange

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// register is what the hub goes by: agreements and partners as they are declared, and what people have done about agreements since. It does
// not change. A commit that adds an act makes another, which operations after it in the same commit see already.
type register struct {
	declared *agreement.Index
	acts     map[string][]act // by version, "hertswise@1", in their order
	seq      int64            // of the last act
	loaded   bool             // the acts that there were before this copy started are among them; Adopt says in the log what they came to
	index    *agreement.Index // declared, each version with the status that its acts have given it
}

// newRegister lays acts over what is declared.
func newRegister(declared *agreement.Index, acts map[string][]act, seq int64) (*register, error) {
	r := &register{declared: declared, acts: acts, seq: seq, index: declared}
	var partners []transfer.Partner
	versions := slices.Clone(declared.Agreements())
	same := true
	for i, a := range versions {
		status := r.status(a)
		if status == agreement.Signed {
			// Some party has still to sign. Until then the version before it is in force, as it is beside a draft.
			status = agreement.Draft
		}
		if status != a.Status {
			same = false
			versions[i] = a.Clone()
			versions[i].Status = status
		}
	}
	if same {
		return r, nil
	}
	for _, p := range declared.Partners() {
		partners = append(partners, *p)
	}
	var err error
	r.index, err = agreement.NewIndex(partners, versions)
	return r, err
}

// with is the register after one more act.
func (r *register) with(a act) (*register, error) {
	acts := make(map[string][]act, len(r.acts)+1)
	for ref, of := range r.acts {
		acts[ref] = of
	}
	acts[a.ref()] = append(slices.Clip(acts[a.ref()]), a)
	next, err := newRegister(r.declared, acts, a.Seq)
	if err == nil {
		next.loaded = r.loaded
	}
	return next, err
}

// takeActs brings a commit up to date with acts that were committed since its register was made, by this copy of the hub or another. What
// another copy's log has of them is written into this one's too, so that each log says by what its own decisions were made.
func (c *commit) takeActs(rows []store.AgreementAct) error {
	began := c.register.loaded
	for i := range rows {
		if rows[i].Seq <= c.register.seq {
			continue
		}
		a, err := actIn(&rows[i])
		if err != nil {
			return err
		}
		next, err := c.register.with(a)
		if err != nil {
			return fmt.Errorf("agreement act %d: %w", a.Seq, err)
		}
		v, known := next.declared.Agreement(a.Agreement, a.Version)
		if began && known && a.Log != c.x.cfg.Origin && next.status(v) != c.register.status(v) {
			c.leafUnder(agreementKey(v), &ledger.Leaf{
				Kind: ledger.KindAgreement, Actor: ledger.Hub, Agreement: inLeaf(v), Note: fmt.Sprintf("%s: leaf %d of %s", word(next.status(v)), a.Leaf, a.Log),
			})
		}
		c.follow(next)
	}
	if !began {
		all := *c.register
		all.loaded = true
		c.follow(&all)
	}
	return nil
}

// follow has the rest of the commit go by another register.
func (c *commit) follow(r *register) { c.register, c.index = r, r.index }

// Adopt puts agreements and partners in force and writes down what changed: versions activated, suspended or ended, partners suspended or restored.
// A version whose file differs from the one that was activated under its number is refused, and nothing changes: a message was, or may
// have been, decided under it.
func (x *Exchange) Adopt(ctx context.Context, index *agreement.Index) error {
	if err := x.Refresh(ctx); err != nil {
		return err
	}
	for {
		op, err := x.adoption(ctx, index)
		if err != nil {
			return err
		}
		if err := x.do(ctx, op); err != nil {
			return fmt.Errorf("record what changed in the register: %w", err)
		}
		if !op.late {
			return nil
		}
	}
}

// Declared is the agreements and partners as their files have them, whatever people have done since. It is what Adopt takes.
func (x *Exchange) Declared() *agreement.Index { return x.register.Load().declared }

// Refresh takes over what other copies of the hub, and the command line, have done about agreements. Every commit does so too.
func (x *Exchange) Refresh(ctx context.Context) error { return x.do(ctx, refresh{}) }

type refresh struct{}

func (refresh) reads(*needs)        {}
func (refresh) judge(*commit) error { return nil }

// adoption compares an index with what the log has of the register.
func (x *Exchange) adoption(ctx context.Context, index *agreement.Index) (*adopt, error) {
	now := x.register.Load()
	next, err := newRegister(index, now.acts, now.seq)
	if err != nil {
		return nil, err
	}
	next.loaded = true // Adopt has refreshed
	op := &adopt{register: next}
	for _, a := range index.Agreements() {
		l, err := x.standing(ctx, a, next.status(a))
		if err != nil {
			return nil, err
		}
		if l != nil {
			op.leaves = append(op.leaves, keyed{agreementKey(a), l})
		}
	}
	for _, p := range index.Partners() {
		key := transfer.TransferID("partner/" + string(p.ID))
		before, err := x.filedUnder(ctx, key, ledger.KindPartner)
		if err != nil {
			return nil, err
		}
		before = slices.DeleteFunc(before, x.elsewhere)
		was, is := "restored", "restored"
		if len(before) > 0 {
			was = before[len(before)-1].Leaf.Note
		}
		if p.Suspended {
			is = "suspended: " + p.SuspendedReason
		}
		if was != is {
			op.leaves = append(op.leaves, keyed{key, &ledger.Leaf{Kind: ledger.KindPartner, Actor: ledger.Hub, Recipient: p.ID, Note: is}})
		}
	}
	return op, nil
}

// adopt puts a register in force, unless somebody has acted on an agreement since it was made: then it is late, and has to be made again.
type adopt struct {
	register *register
	leaves   []keyed
	late     bool
}

type keyed struct {
	key  transfer.TransferID
	leaf *ledger.Leaf
}

func (*adopt) reads(*needs) {}

func (a *adopt) judge(c *commit) error {
	if a.late = c.register.seq != a.register.seq; a.late {
		return nil
	}
	for _, k := range a.leaves {
		c.leafUnder(k.key, k.leaf)
	}
	c.follow(a.register)
	return nil
}

// activated is what a leaf says of an agreement that carries data. Of any other it names the status. Whatever stands behind a colon is why.
const activated = "activated"

func word(s agreement.Status) string {
	if s == agreement.Active {
		return activated
	}
	return string(s)
}

func agreementKey(a *agreement.Agreement) transfer.TransferID {
	return transfer.TransferID("agreement/" + a.Ref())
}

// standing is the leaf that says what has become of a version since it was last looked at; nil when nothing has.
func (x *Exchange) standing(ctx context.Context, a *agreement.Agreement, status agreement.Status) (*ledger.Leaf, error) {
	before, err := x.filedUnder(ctx, agreementKey(a), ledger.KindAgreement)
	if err != nil {
		return nil, err
	}
	was, is := "", word(status)
	for _, e := range before {
		said, _, _ := strings.Cut(e.Leaf.Note, ":")
		runs := a.Status == agreement.Active || a.Status == agreement.Signed
		if said == activated && runs && e.Leaf.Agreement.Digest != a.Digest {
			return nil, fmt.Errorf("agreement %s: %s is not the file that was activated as this version (%s then, %s now): put the old text back and declare the change as version %d",
				a.Ref(), a.File, e.Leaf.Agreement.Digest, a.Digest, a.Version+1)
		}
		if !x.elsewhere(e) {
			was = said
		}
	}
	if was == is || was == "" && is != activated {
		return nil, nil
	}
	return &ledger.Leaf{Kind: ledger.KindAgreement, Actor: ledger.Hub, Agreement: inLeaf(a), Note: is}, nil
}

func inLeaf(a *agreement.Agreement) *ledger.Agreement {
	return &ledger.Agreement{ID: a.ID, Version: a.Version, Digest: a.Digest}
}

// elsewhere reports whether an entry is of another copy's log.
func (x *Exchange) elsewhere(e Entry) bool { return e.Origin != x.cfg.Origin }

// filedUnder reads the leaves of a kind filed under key, those of each log with the newest last. Other kinds are passed over: whatever a question or an answer
// may be filed under, the register starts from what was recorded of the register.
func (x *Exchange) filedUnder(ctx context.Context, key transfer.TransferID, kind ledger.Kind) ([]Entry, error) {
	found, err := x.entries(ctx, []transfer.TransferID{key})
	if err != nil {
		return nil, err
	}
	// Within a log the order is that of the leaves, whatever the clock did meanwhile.
	slices.SortFunc(found, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Index, b.Index)) })
	return slices.DeleteFunc(found, func(e Entry) bool { return e.Leaf.Kind != kind }), nil
}
