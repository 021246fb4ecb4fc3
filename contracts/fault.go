package contracts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxFaults bounds the faults of one InvalidError: reading stops there.
const MaxFaults = 50

// InvalidError says everything that is wrong with a message that is JSON and not what its contract describes.
type InvalidError struct {
	Faults []Fault // in document order; at most MaxFaults
}

func (e *InvalidError) Error() string {
	if len(e.Faults) == 1 {
		return fmt.Sprintf("message is not valid: %s: %s", e.Faults[0].Pointer, e.Faults[0].Detail)
	}
	return fmt.Sprintf("message is not valid: %d faults, first %s: %s", len(e.Faults), e.Faults[0].Pointer, e.Faults[0].Detail)
}

// SyntaxError says why bytes are not one JSON value that the hub reads (RFC 8259, with the stricter RFC 7493: no name twice in
// an object, valid UTF-8 and no lone surrogate).
type SyntaxError struct {
	Offset       int    // in bytes, from 0
	Line, Column int    // from 1; the column counts code points
	Pointer      string // RFC 6901: the value that was being read
	Rule         string // "malformed", "duplicate-key", "encoding", "too-deep", "too-large"
	Detail       string
	Remedy       string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("message is not readable: line %d, column %d: %s", e.Line, e.Column, e.Detail)
}

// syntaxError describes what the decoder or the pass found at offset, without quoting what stands there.
func syntaxError(body []byte, offset int, way []step, cause error) *SyntaxError {
	e := &SyntaxError{Offset: offset, Pointer: pointer(way), Rule: "malformed"}
	before := body[:offset]
	e.Line = 1 + bytes.Count(before, []byte("\n"))
	e.Column = 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	switch {
	case errors.Is(cause, errEncoding):
		e.Rule, e.Detail = "encoding", "a byte that is not UTF-8"
		e.Remedy = "send UTF-8; an export in Windows-1252 or Latin-1 has to be converted first"
	case errors.Is(cause, errDuplicate), errors.Is(cause, jsontext.ErrDuplicateName):
		e.Rule, e.Detail = "duplicate-key", "a name stands twice in one object"
		e.Remedy = "send each item once; two systems could read two different values"
	case errors.Is(cause, errDeep):
		e.Rule, e.Detail = "too-deep", fmt.Sprintf("objects and arrays are nested deeper than %d", MaxDepth)
		e.Remedy = "no contract needs that: look for a loop in what writes the message"
	case errors.Is(cause, errTrailing):
		e.Detail, e.Remedy = "something follows the message", "send one JSON object"
	case errors.Is(cause, io.ErrUnexpectedEOF), errors.Is(cause, io.EOF):
		e.Detail, e.Remedy = "the message ends too early", "send the whole message; check the Content-Length"
	case bytes.HasPrefix(body[offset:], []byte(`\u`)):
		e.Rule, e.Detail = "encoding", `a \u escape that is no character`
		e.Remedy = `write the character itself in UTF-8, or both halves of its \u pair`
	default:
		e.Detail, e.Remedy = "this is not JSON from here on", "write the message with a JSON library rather than by hand"
	}
	return e
}

// firstInvalid is the offset of the first byte that is not UTF-8.
func firstInvalid(body []byte) int {
	for i := 0; i < len(body); {
		c, size := utf8.DecodeRune(body[i:])
		if c == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(body)
}

// step is one step of the way from the root to the value being read: a member's name, or a position when the name is empty.
type step struct {
	name     string
	position int
}

// pointer writes a way as RFC 6901 does.
func pointer(way []step) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, s := range way {
		b.WriteByte('/')
		if s.name == "" {
			b.WriteString(strconv.Itoa(s.position))
		} else {
			b.WriteString(escape.Replace(s.name))
		}
	}
	return b.String()
}

// dotted writes a way for people: "carer.phones[1]".
func dotted(way []step) string {
	if len(way) == 0 {
		return "the message"
	}
	var b strings.Builder
	for i, s := range way {
		switch {
		case s.name == "":
			fmt.Fprintf(&b, "[%d]", s.position)
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// presentable makes a name that a sender invented fit to be shown: people put all sorts of things into names, so it is cut
// short, and digits in a row, which may be a number of a person, are masked.
func presentable(name string) string {
	const longest = 40
	var b strings.Builder
	count, run := 0, 0
	for _, c := range name {
		if count++; count > longest {
			b.WriteString("...")
			break
		}
		if run++; !unicode.IsDigit(c) {
			run = 0
		}
		switch {
		case run > 2:
			b.WriteByte('#')
		case unicode.IsLetter(c) || unicode.IsDigit(c) || c == '_' || c == '-' || c == '.':
			b.WriteRune(c)
		default:
			b.WriteByte('?')
		}
	}
	if b.Len() == 0 {
		return "?"
	}
	return b.String()
}

// nearest finds the known name that an unknown one was probably meant to be.
func nearest(unknown string, known []*member) string {
	best, bestDistance := "", 3
	for _, m := range known {
		if folded(m.name) == folded(unknown) {
			return m.name
		}
		if d := distance(unknown, m.name); d < bestDistance && d < len(m.name)/2 {
			best, bestDistance = m.name, d
		}
	}
	return best
}

// folded forgets case and separators: "dateOfBirth" and "date_of_birth" are the same.
func folded(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// distance is Levenshtein's. Names of absurd length are far from everything.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (k kinds) String() string {
	names := []string{}
	for _, name := range []string{"object", "array", "string", "integer", "number", "boolean", "null"} {
		if bits := kindNames[name]; k&bits == bits && !(name == "integer" && k&kindNumber != 0) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, " or ")
}

// oneOf lists choices, and not all of a very long list.
func oneOf(choices []string) string {
	const most = 20
	if len(choices) > most {
		choices = append(slices.Clone(choices[:most]), "... (see the schema)")
	}
	return strings.Join(choices, ", ")
}
