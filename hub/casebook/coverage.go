package casebook

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/samber/lo"

	"referralhub/hub/agreement"
	"referralhub/hub/policy"
)

// Coverage says which clauses have a case, and what has none.
type Coverage struct {
	Clauses int // that have one
	Faults  []agreement.Fault
}

// Cover asks of every clause of every version that counts, or is still to come, whether a case shows it permitting something, and of every
// such version whether a case shows it keeping something back. A clause under which nothing is ever sent (delivery: access) has to have a
// case that says so.
func (b *Book) Cover(all []Played) Coverage {
	var cover Coverage
	for _, a := range b.Index.Agreements() {
		if current, _ := b.Index.Current(a.ID, b.at); a.Version < current.Version {
			continue
		}
		missing := func(line int, rule, remedy, detail string, args ...any) {
			cover.Faults = append(cover.Faults, agreement.Fault{
				File: a.File, Line: line, Column: 1, Rule: rule, Detail: fmt.Sprintf(detail, args...), Remedy: remedy,
			})
		}
		keeps := false
		for _, clause := range lo.UniqBy(a.Flows, func(f *agreement.Flow) string { return f.ID }) {
			shown := shownOf(clause.ID, all)
			keeps = keeps || shown.no
			switch {
			case clause.AccessOnly && !shown.noCopy:
				missing(b.lineOf(clause), "clause-without-case", "Write a case in which somebody asks for a copy all the same and is refused.",
					"no case shows that %s sends nothing", clause.ID)
			case !clause.AccessOnly && !shown.yes:
				missing(b.lineOf(clause), "clause-without-case", "Write a case that covers it and in which something goes.",
					"no case shows %s permitting anything", clause.ID)
			default:
				cover.Clauses++
			}
		}
		if !keeps && len(a.Flows) > 0 {
			missing(1, "agreement-without-no", "Write a case that covers a clause of it and is held or refused.", "no case shows %s keeping anything back", a.Ref())
		}
	}
	return cover
}

// lineOf is where a clause starts in its file.
func (b *Book) lineOf(clause *agreement.Flow) int {
	body, err := fs.ReadFile(b.root, clause.Agreement.File)
	if err != nil {
		return 1
	}
	id := strings.TrimPrefix(clause.ID, clause.Agreement.Ref()+"#")
	found := regexp.MustCompile(`(?m)^\s*- *\{? *id: *` + regexp.QuoteMeta(id) + `\b`).FindIndex(body)
	if found == nil {
		return 1
	}
	return 1 + strings.Count(string(body[:found[1]]), "\n")
}

// shown is what cases show of a clause.
type shown struct {
	yes    bool // something goes under it
	no     bool // something is held or refused
	noCopy bool // a copy is refused
}

// shownOf says what the cases of a clause show. A permit counts only for the clause that it was made under, and a case that fails for nothing.
func shownOf(clause string, all []Played) (s shown) {
	for i := range all {
		p := &all[i]
		if !slices.Contains(p.Covers, clause) || !p.Passed() {
			continue
		}
		for _, a := range p.Answers {
			s.yes = s.yes || a.Outcome.Permits() && a.Clause == clause
			s.no = s.no || !a.Outcome.Permits()
			s.noCopy = s.noCopy || slices.Contains(codesOf(a.Reasons), policy.AccessOnly)
		}
	}
	return s
}
