package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// Drift is a decision that would not be made as it was.
type Drift struct {
	Index    int64
	What     string // "decision", "decision for a release" where a dataset left on it, "release" where that holds its own
	Transfer transfer.TransferID
	Was, Now transfer.Outcome // Now is empty when the decision cannot be made any more
	Why      []string         // each difference, in words without personal data
}

func (d Drift) String() string {
	now := "cannot be decided again"
	if d.Now != "" {
		now = "would now be " + string(d.Now)
	}
	return fmt.Sprintf("leaf %d (%s, transfer %s) was %s and %s: %s", d.Index, d.What, d.Transfer, d.Was, now, strings.Join(d.Why, "; "))
}

// Redecided is what a log came to when its decisions were made again.
type Redecided struct {
	Decisions int64 // that were made again, those for a release among them
	Drifts    int64 // that were, or would be, made otherwise
	// Rewritten are the versions, "hertswise@1", of which the caller has another text than the one that decisions were made under. Nothing is
	// wrong with a new status line; anything else should have been a new version.
	Rewritten []string
}

// Redecide makes every decision of a log again, those for releases among them, under the agreements as they stood then, and visits those that
// come out otherwise: in outcome, clause, items, consents or reasons. Words and deadlines may change. The error is about reading the log, or
// visit's own.
func Redecide(ctx context.Context, src ledger.Source, index *agreement.Index, visit func(Drift) error) (Redecided, error) {
	var done Redecided
	h := NewHistory(index)
	rewritten := map[string]bool{}
	err := decisions(ctx, src, h, func(at int64, l *ledger.Leaf) error {
		done.Decisions++
		drift := Drift{Index: at, What: string(l.Kind), Transfer: l.Transfer, Was: l.Outcome}
		if l.ForRelease() {
			drift.What = "decision for a release"
		}
		if a := l.Agreement; a != nil {
			v := version{a.ID, a.Version}
			now, known := index.Agreement(a.ID, a.Version)
			if !known {
				drift.Why = append(drift.Why, "there is no "+v.String()+" here")
			} else if now.Digest != a.Digest {
				rewritten[v.String()] = true
			}
		}
		r, d, err := h.again(l)
		if err != nil {
			drift.Why = append(drift.Why, err.Error())
		} else {
			drift.Now = d.Outcome
			drift.Why = append(drift.Why, differences(l, &r, &d)...)
		}
		if len(drift.Why) == 0 && drift.Now == drift.Was {
			return nil
		}
		done.Drifts++
		return visit(drift)
	})
	for ref := range rewritten {
		done.Rewritten = append(done.Rewritten, ref)
	}
	slices.Sort(done.Rewritten)
	return done, err
}

// differences says how a decision is not the one that its leaf records.
func differences(l *ledger.Leaf, r *policy.Request, d *policy.Decision) []string {
	var why []string
	differ := func(what, was, now string) {
		if was != now {
			why = append(why, fmt.Sprintf("%s %s instead of %s", what, orNone(now), orNone(was)))
		}
	}
	var was, now string
	if l.Agreement != nil {
		was = l.Agreement.Flow
	}
	if d.Agreement != nil {
		now = d.Agreement.Flow
	}
	differ("under clause", was, now)
	differ("for reasons", reasons(l), reasonsNow(d))
	for i := range l.Subjects {
		s := &l.Subjects[i]
		who := string(s.Role)
		if s.Position > 0 {
			who = fmt.Sprintf("%s (number %d)", s.Role, s.Position+1)
		}
		had, _ := set(r.Contract, s.Items) // Request has read them
		has := d.Subjects[i].Items
		why = append(why, changed(r.Contract, who+" also gets", has.Minus(had))...)
		why = append(why, changed(r.Contract, who+" no longer gets", had.Minus(has))...)
		differ("on consents of "+who, sorted(s.Consents), sorted(d.Subjects[i].Consents))
	}
	return why
}

func changed(c *contracts.Contract, what string, items contracts.ItemSet) []string {
	if items.Empty() {
		return nil
	}
	return []string{what + " " + strings.Join(c.Names(items), ", ")}
}

func reasons(l *ledger.Leaf) string {
	all := make([]string, len(l.Reasons))
	for i := range l.Reasons {
		all[i] = word(policy.Code(l.Reasons[i].Code), l.Agreement == nil)
	}
	return sorted(all)
}

func reasonsNow(d *policy.Decision) string {
	all := make([]string, len(d.Reasons))
	for i := range d.Reasons {
		all[i] = word(d.Reasons[i].Code, d.Agreement == nil)
	}
	return sorted(all)
}

// word gives a reason's code. Where no clause was in force one word stands for three, because the log does not say which drafts lay beside.
func word(code policy.Code, ungoverned bool) string {
	if ungoverned && (code == policy.AgreementNotStarted || code == policy.PurposeNotCovered) {
		code = policy.NoAgreement
	}
	return string(code)
}

func sorted(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
