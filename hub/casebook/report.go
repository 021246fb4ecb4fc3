package casebook

import (
	"fmt"
	"io"
	"strings"

	"github.com/samber/lo"

	"referralhub/hub/policy"
)

// Write says what came of a case: nothing when it passed, unless verbose, else every difference with the reasons of the decision.
func (p *Played) Write(w io.Writer, verbose bool) error {
	if p.Passed() && !verbose {
		return nil
	}
	word := "ok  "
	if !p.Passed() {
		word = "FAIL"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s:%d: %s\n", word, p.File, p.Line, p.Name)
	for _, d := range p.Differences {
		fmt.Fprintf(&b, "      %s\n", d)
	}
	for i := range p.Answers {
		a := &p.Answers[i]
		when := a.At.UTC().Format("2006-01-02 15:04")
		fmt.Fprintf(&b, "    %s  %s", when, a.Outcome)
		if a.Clause != "" {
			fmt.Fprintf(&b, " under %s", a.Clause)
		}
		if a.Owner != "" {
			fmt.Fprintf(&b, ", to be looked at by: %s", a.Owner)
		}
		b.WriteString("\n")
		for _, r := range a.Reasons {
			writeReason(&b, &r)
		}
		if !verbose {
			continue
		}
		for _, person := range a.People {
			place := PersonAt(person.Role, person.Position)
			writeNames(&b, place+" goes", person.Items)
			writeNames(&b, place+" stays", person.Stripped)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeReason says a reason in the caseworker's words.
func writeReason(b *strings.Builder, r *policy.Reason) {
	fmt.Fprintf(b, "      %s (%s): %s %s\n", r.Code, strings.Join(lo.Compact([]string{r.Gate, r.Source}), ", "), r.Detail, r.Remedy)
	if len(r.Items) > 0 {
		writeNames(b, "  items", r.Items)
	}
}

func writeNames(b *strings.Builder, what string, names []string) {
	if len(names) > 0 {
		fmt.Fprintf(b, "      %s: %s\n", what, strings.Join(names, ", "))
	}
}
