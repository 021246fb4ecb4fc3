package agreement

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Fault is one thing wrong in a file, at a place. A warning is worth a person's attention and does not stop the file from
// being used.
type Fault struct {
	File         string // relative to the root
	Line, Column int    // from 1; 0 when the fault is in the file as a whole
	Rule         string // "unknown-key", "unknown-item", "schedule1-missing", ...: the package comment lists them
	Detail       string // what is wrong
	Remedy       string // what to do about it
	Warning      bool
}

// String formats a fault on one line, the way compilers do: "file:line:column: rule: detail. remedy".
func (f Fault) String() string {
	rule := f.Rule
	if f.Warning {
		rule = "warning: " + rule
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s. %s", f.File, f.Line, f.Column, rule, f.Detail, f.Remedy)
}

// Check writes the faults to w, one a line in the order of Load, and reports whether the files may be used: warnings may
// stand, anything else may not.
func Check(w io.Writer, faults []Fault) (ok bool, err error) {
	for _, f := range faults {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return false, fmt.Errorf("write faults: %w", err)
		}
	}
	return !slices.ContainsFunc(faults, func(f Fault) bool { return !f.Warning }), nil
}

// sortFaults puts faults into the order in which a person reads the files.
func sortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Detail, b.Detail))
	})
}

// nearest finds the name that somebody most likely meant: the closest by edit distance, when it is close at all.
func nearest(wrong string, names []string) (string, bool) {
	best, within := "", max(2, len(wrong)/3)+1
	for _, name := range names {
		if d := distance(wrong, name, within); d < within {
			best, within = name, d
		}
	}
	return best, best != ""
}

// distance is the Levenshtein distance between a and b in bytes, or limit when it is at least that.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			step := diagonal
			if a[i] != b[j] {
				step++
			}
			diagonal = row[j+1]
			row[j+1] = min(step, diagonal+1, row[j]+1)
		}
	}
	return min(row[len(b)], limit)
}

// orSuggest is a remedy that names what was probably meant, or else says what to do.
func orSuggest(wrong string, names []string, otherwise string) string {
	if name, ok := nearest(wrong, names); ok {
		return fmt.Sprintf("Did you mean %q?", name)
	}
	return otherwise
}
