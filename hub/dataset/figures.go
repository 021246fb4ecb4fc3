package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"referralhub/contracts"
)

// Figures says how counts of people are blurred before they leave. One that blurs nothing is no instruction, and no count goes by it.
type Figures struct {
	Below int // a count under this is suppressed
	Round int // others are rounded to the nearest multiple of this; 0 and 1: they are not
}

// suppressed stands in place of a count.
const suppressed = `"suppressed"`

// cell is what a table says of one group of people. One that stands in the table twice is one cell.
type cell struct {
	measure    string
	dimensions map[string]string
	count      int
	gone       bool // is or will be suppressed
}

// place is where a count stands in a table, [start, end), and of which cell it is.
type place struct{ start, end, cell int }

// appendBlurred appends a table, the measures of an aggregate message, with its counts blurred. The defaults of domain.md section 4.5, P1, are
// to suppress under 5 and to round to 5.
//
//   - A count of 1 up to Below-1 is suppressed: whoever knows one of so few people learns the rest about them.
//   - Zero is shown where counts are rounded, and suppressed where they are not. A zero says something of everybody in its group; among exact
//     counts it also helps to work out the suppressed ones, among rounded ones it does not.
//   - Other counts are rounded to the nearest multiple of Round, a half upwards, and never to under Below: there, rounding down would tell
//     exactly what the count was.
//   - Where one suppressed cell could be worked out, because it is the only one of a total and its parts, the next smallest part goes too.
//     See complement.
//
// That is what NHS Digital did with the figures of Hospital Episode Statistics before September 2018 (small counts suppressed, then others with
// which they could be worked out) and since (small ones suppressed, zero shown, the rest rounded to 5) together, because those who read these
// tables know the people of one district and not of a country. What is suppressed already, by the sender or by an earlier cut, stays so.
//
// Not guarded against: exact counts of several tables, of which only all together can be solved for a suppressed cell. Rounding does that.
func appendBlurred(dst []byte, f Figures, table []byte) ([]byte, error) {
	if f.Below <= 1 && f.Round <= 1 {
		return nil, fmt.Errorf("%s: the clause gives no figures to go by: %w", contracts.SmallNumbers, ErrTransform)
	}
	cells, places, err := read(table)
	if err != nil {
		return nil, fmt.Errorf("%s: not a table of counts: %w", contracts.SmallNumbers, ErrTransform)
	}
	for i := range cells {
		c := &cells[i]
		c.gone = c.gone || c.count < f.Below && (c.count > 0 || f.Round <= 1)
	}
	complement(cells)
	at := 0
	for _, p := range places {
		dst = append(dst, table[at:p.start]...)
		if c := &cells[p.cell]; c.gone {
			dst = append(dst, suppressed...)
		} else {
			dst = strconv.AppendInt(dst, int64(f.rounded(c.count)), 10)
		}
		at = p.end
	}
	return append(dst, table[at:]...), nil
}

// rounded is a count that is not suppressed, as it leaves.
func (f Figures) rounded(count int) int {
	if f.Round <= 1 || count == 0 {
		return count
	}
	least := (f.Below + f.Round - 1) / f.Round
	return max(least, (count+f.Round/2)/f.Round) * f.Round
}

// complement suppresses further cells until no total and its parts have exactly one suppressed cell among them: the difference would give
// that one away (complementary, or secondary, suppression). The smallest part that is not zero goes: it costs least, and that a group is
// empty is often known anyway. Nothing goes where the suppressed part has no other beside it.
func complement(cells []cell) {
	sums := breakdowns(cells)
	for again := true; again; {
		again = false
		for _, sum := range sums {
			gone, next := 0, -1
			for _, i := range sum {
				switch c := &cells[i]; {
				case c.gone:
					gone++
				case i != sum[0] && c.count > 0 && (next < 0 || c.count < cells[next].count):
					next = i
				}
			}
			if gone == 1 && next >= 0 {
				cells[next].gone, again = true, true
			}
		}
	}
}

// breakdowns finds what adds up to what: each begins with a total, and its parts follow. The parts of a cell are those of the same measure
// that have its dimensions and certain others besides. Whether they really add up to it, nobody can tell from a table with gaps.
func breakdowns(cells []cell) [][]int {
	totals := make(map[string]int, len(cells))
	for i := range cells {
		totals[cells[i].key(cells[i].names())] = i
	}
	var sums [][]int
	known := make(map[string]int) // total and the names of the dimensions of its parts
	for i := range cells {
		names := cells[i].names()
		for without := 1; without < 1<<len(names); without++ {
			left := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return without&(1<<slices.Index(names, name)) != 0 })
			total, ok := totals[cells[i].key(left)]
			if !ok {
				continue
			}
			key := fmt.Sprint(total, names)
			at, ok := known[key]
			if !ok {
				at = len(sums)
				known[key] = at
				sums = append(sums, []int{total})
			}
			sums[at] = append(sums[at], i)
		}
	}
	return sums
}

func (c *cell) names() []string { return slices.Sorted(maps.Keys(c.dimensions)) }

// key names a cell, or the one with only some of its dimensions.
func (c *cell) key(names []string) string {
	var b strings.Builder
	b.WriteString(c.measure)
	for _, name := range names {
		fmt.Fprintf(&b, "\x00%s\x00%s", name, c.dimensions[name])
	}
	return b.String()
}

// maxDimensions bounds the work on one cell; the contract permits four.
const maxDimensions = 8

var errTable = errors.New("not a table of counts")

// read finds the cells of a table and the places of their counts.
func read(table []byte) (cells []cell, places []place, err error) {
	dec := jsontext.NewDecoder(bytes.NewReader(table))
	if _, err := dec.ReadToken(); err != nil {
		return nil, nil, err
	}
	known := make(map[string]int)
	for dec.PeekKind() == '{' {
		c, p, err := readCell(dec)
		if err != nil {
			return nil, nil, err
		}
		key := c.key(c.names())
		at, ok := known[key]
		if !ok {
			at = len(cells)
			known[key] = at
			cells = append(cells, c)
		}
		// Where a table says two things of one group, neither leaves.
		cells[at].gone = cells[at].gone || c.gone || c.count != cells[at].count
		p.cell = at
		places = append(places, p)
	}
	if dec.PeekKind() != ']' {
		return nil, nil, errTable
	}
	return cells, places, nil
}

// readCell reads one object: {"name": code, "dimensions": {name: code}, "count": how many}.
func readCell(dec *jsontext.Decoder) (c cell, p place, err error) {
	if _, err := dec.ReadToken(); err != nil {
		return c, p, err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return c, p, err
		}
		member := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return c, p, err
		}
		switch member {
		case "name":
			err = json.Unmarshal(value, &c.measure)
		case "dimensions":
			err = json.Unmarshal(value, &c.dimensions)
		case "count":
			p.end = int(dec.InputOffset())
			p.start = p.end - len(value)
			if c.gone = string(value) == suppressed; !c.gone {
				c.count, err = whole(value)
			}
		}
		if err != nil {
			return c, p, err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return c, p, err
	}
	if p.end == 0 || len(c.dimensions) > maxDimensions {
		return c, p, errTable
	}
	return c, p, nil
}

// whole reads a count, which the contract lets be written as 12.0 too.
func whole(value []byte) (int, error) {
	integer, fraction, _ := strings.Cut(string(value), ".")
	n, err := strconv.Atoi(integer)
	if err != nil || n < 0 || strings.Trim(fraction, "0") != "" {
		return 0, errTable
	}
	return n, nil
}
