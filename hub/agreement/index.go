package agreement

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"referralhub/hub/transfer"
)

// Index finds the flows that a transfer could go under, in time independent of how many agreements there are.
// It is immutable; a reload makes another.
//
// It holds every version of every agreement, whatever its status and dates, so that a decision can say that an agreement is
// suspended or over rather than that there is none. Judging time and choosing among versions is left to whoever knows the
// instant of the decision: see Current and Agreement.Standing.
type Index struct {
	partners   map[transfer.PartnerID]*transfer.Partner
	register   []*transfer.Partner // by ID
	flows      map[pair][]*Flow
	agreements []*Agreement                          // by ID, then version
	versions   map[transfer.AgreementID][]*Agreement // lowest first: parts of agreements
	digest     string
}

type pair struct{ sender, recipient transfer.PartnerID }

// NewIndex builds an index from partners and agreements that are already compiled. It refuses what would make look-ups
// ambiguous: two partners with one ID, two files for one version, a flow of another agreement, a flow that names somebody
// who is not on the register. The order of its arguments makes no difference.
func NewIndex(partners []transfer.Partner, agreements []*Agreement) (*Index, error) {
	x := &Index{
		partners: make(map[transfer.PartnerID]*transfer.Partner, len(partners)),
		flows:    make(map[pair][]*Flow),
		versions: make(map[transfer.AgreementID][]*Agreement),
	}
	for i := range partners {
		p := &partners[i]
		if _, twice := x.partners[p.ID]; twice {
			return nil, fmt.Errorf("index partners: %s is on the register twice", p.ID)
		}
		clone := *p
		x.partners[p.ID] = &clone
		x.register = append(x.register, &clone)
	}
	slices.SortFunc(x.register, func(a, b *transfer.Partner) int { return cmp.Compare(a.ID, b.ID) })

	x.agreements = slices.Clone(agreements)
	slices.SortFunc(x.agreements, func(a, b *Agreement) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version))
	})
	first := 0
	for i, a := range x.agreements {
		if i > 0 && x.agreements[i-1].ID != a.ID {
			first = i
		}
		if i > first && x.agreements[i-1].Version == a.Version {
			return nil, fmt.Errorf("index agreements: %s is declared twice", a.Ref())
		}
		x.versions[a.ID] = x.agreements[first : i+1 : i+1]
	}
	if err := x.join(); err != nil {
		return nil, err
	}
	x.digest = x.sum()
	return x, nil
}

// join fills flows: the latest version of an agreement first, its clauses in the order of the file.
func (x *Index) join() error {
	for _, versions := range x.versions {
		for _, a := range versions {
			for _, f := range a.Flows {
				if f.Agreement != a {
					return fmt.Errorf("index agreements: flow %s is not a flow of %s", f.ID, a.Ref())
				}
				for _, id := range slices.Concat(f.From, f.To, f.Members) {
					if _, known := x.partners[id]; !known {
						return fmt.Errorf("index agreements: flow %s names %s, which is not on the register", f.ID, id)
					}
				}
			}
		}
	}
	for i := len(x.agreements) - 1; i >= 0; i-- {
		for _, f := range x.agreements[i].Flows {
			for _, from := range f.From {
				for _, to := range f.To {
					if from == to {
						continue // nobody discloses to itself
					}
					key := pair{from, to}
					if fs := x.flows[key]; len(fs) == 0 || fs[len(fs)-1] != f {
						x.flows[key] = append(fs, f)
					}
				}
			}
		}
	}
	return nil
}

// sum digests what the index was built from: the digest of every agreement file, and every fact on the register.
func (x *Index) sum() string {
	h := sha256.New()
	for _, a := range x.agreements {
		fmt.Fprintf(h, "agreement %s %s\n", a.Ref(), a.Digest)
	}
	for _, p := range x.register {
		facts, _ := json.Marshal(p) // strings, booleans and slices of them: it cannot fail
		fmt.Fprintf(h, "partner %s\n", facts)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Candidates returns every flow from sender to recipient whatever its message type and purpose, so that a refusal can say
// which part did not match. Flows of every version are among them, in no state in particular; those of a later version stand
// before those of an earlier one. The caller must not change the slice.
func (x *Index) Candidates(sender, recipient transfer.PartnerID) []*Flow {
	return x.flows[pair{sender, recipient}]
}

// Current returns the version of an agreement that counts at an instant: the highest that is past its drafting and has
// started. A lower version is superseded from then on, even when the higher one is suspended or has ended, so that stopping
// an agreement never brings back the one before it. Before any version has started it is the lowest that is past its
// drafting; where all are drafts, the lowest draft.
func (x *Index) Current(id transfer.AgreementID, at time.Time) (*Agreement, bool) {
	versions := x.versions[id]
	for _, a := range slices.Backward(versions) {
		if a.Status != Draft && !at.Before(a.Starts) {
			return a, true
		}
	}
	for _, a := range versions {
		if a.Status != Draft {
			return a, true
		}
	}
	if len(versions) == 0 {
		return nil, false
	}
	return versions[0], true
}

// Partner looks a partner up in the register. The caller must not change it.
func (x *Index) Partner(id transfer.PartnerID) (*transfer.Partner, bool) {
	p, ok := x.partners[id]
	return p, ok
}

// Partners lists the register by ID. The caller must not change it.
func (x *Index) Partners() []*transfer.Partner { return x.register }

// Agreements lists every version of every agreement, by ID and then version. The caller must not change it.
func (x *Index) Agreements() []*Agreement { return x.agreements }

// Agreement looks one version up, whether or not it is in force: a decision of last year names the version of last year.
func (x *Index) Agreement(id transfer.AgreementID, version int) (*Agreement, bool) {
	for _, a := range x.versions[id] {
		if a.Version == version {
			return a, true
		}
	}
	return nil, false
}

// Digest identifies everything that the index decides by. Two hubs with one digest give the same answers.
func (x *Index) Digest() string { return x.digest }

// nameOf gives a partner's legal name, or its ID when it is not on the register.
func (x *Index) nameOf(id transfer.PartnerID) string {
	if p, ok := x.partners[id]; ok {
		return p.Name
	}
	return strings.ReplaceAll(string(id), "-", " ")
}
