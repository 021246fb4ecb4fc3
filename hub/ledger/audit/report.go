package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/transfer"
)

// Class says what kind of thing is wrong.
type Class string

// What can be wrong with the log itself.
const (
	Head      Class = "head"      // the head and the checkpoint do not agree, or the checkpoint is malformed or of another log
	Signature Class = "signature" // the log's key did not sign the checkpoint
	Truncated Class = "truncated" // leaves are missing at the end, or the head was put back
	Missing   Class = "missing"   // a leaf is missing with others behind it
	Edited    Class = "edited"    // a leaf is not the one that was signed
	Reordered Class = "reordered" // leaves have changed places
	Tile      Class = "tile"      // a tile was changed or is missing; the leaves are those that were signed
	Forked    Class = "forked"    // a checkpoint seen earlier is not of the beginning of this log
)

// What can be wrong with what the leaves say, and with the state tables beside them.
const (
	Encoding   Class = "encoding"   // a leaf is not in canonical form
	Order      Class = "order"      // leaves of a transfer are not in the order in which things must happen
	Release    Class = "release"    // a release that no decision permits, or of more than was decided
	State      Class = "state"      // a leaf moves a transfer where it cannot go
	Incomplete Class = "incomplete" // a leaf does not say what a leaf of its kind must
	Time       Class = "time"       // the clock went back; a warning
	Table      Class = "table"      // a row does not agree with the leaves
	Payload    Class = "payload"    // a payload is kept that must be gone, or gone that must be kept
)

// Problem is one finding.
type Problem struct {
	Class    Class
	Index    int64 // of the leaf; -1 when it is about none
	Transfer transfer.TransferID
	Detail   string // in words, without personal data
}

func (p Problem) String() string {
	s := string(p.Class)
	if p.Index >= 0 {
		s += fmt.Sprintf(" at leaf %d", p.Index)
	}
	if p.Transfer != "" {
		s += fmt.Sprintf(" (transfer %s)", p.Transfer)
	}
	return s + ": " + p.Detail
}

// MaxProblems bounds the problems and the warnings of a report; the rest is counted, but for the first of a class or a table. One change to an
// old leaf can make every later finding true and none of them worth reading.
const MaxProblems = 100

// Report is what an audit found.
type Report struct {
	Origin    string
	Leaves    int64     // that were read
	Root      tlog.Hash // of the leaves that were read
	Transfers int64
	Releases  int64
	Problems  []Problem
	Warnings  []Problem
	Omitted   int // problems and warnings beyond MaxProblems of each

	met map[string]bool // classes, and tables, of which there is a problem
}

// OK reports whether nothing is wrong. Warnings are for a person to look at.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Row reports a row of a table that is not as the leaf at index, or -1, has it; key names the row.
func (r *Report) Row(table, key string, index int64, id transfer.TransferID, format string, args ...any) {
	r.add(table, Problem{Table, index, id, fmt.Sprintf("%s %s: %s", table, key, fmt.Sprintf(format, args...))})
}

// Warn notes what a person should know about the audit itself.
func (r *Report) Warn(format string, args ...any) { r.warn(Table, -1, "", format, args...) }

func (r *Report) problem(c Class, index int64, id transfer.TransferID, format string, args ...any) {
	r.add(string(c), Problem{c, index, id, fmt.Sprintf(format, args...)})
}

func (r *Report) add(kind string, p Problem) {
	if len(r.Problems) >= MaxProblems && r.met[kind] {
		r.Omitted++
		return
	}
	if r.met == nil {
		r.met = map[string]bool{}
	}
	r.met[kind] = true
	r.Problems = append(r.Problems, p)
}

func (r *Report) warn(c Class, index int64, id transfer.TransferID, format string, args ...any) {
	if len(r.Warnings) == MaxProblems {
		r.Omitted++
		return
	}
	r.Warnings = append(r.Warnings, Problem{c, index, id, fmt.Sprintf(format, args...)})
}
