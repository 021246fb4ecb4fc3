package traffic

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/samber/lo"

	"referralhub/hub/transfer"
)

// Measures of the picture, in pixels.
const (
	rowHeight = 26
	firstRow  = 140 // the title and the legend are above
	fromX     = 400 // where arrows begin: senders stand left of it
	toX       = 800 // and where they end
)

//go:embed picture.svg
var pictureText string

var picture = template.Must(template.New("picture").Parse(pictureText))

// Picture draws the map as SVG: senders on the left, recipients on the right, an arrow for each two with traffic between them, the wider the more
// of it there was. Two of them that may send and never did are joined by a thin line. name gives the name of a partner.
func (m *Map) Picture(w io.Writer, name func(transfer.PartnerID) string) error {
	arrows := m.arrows(name)
	left, right := ends(arrows, func(a *arrow) string { return a.From }), ends(arrows, func(a *arrow) string { return a.To })
	for range 8 { // each side goes to the middle of those across, until few arrows cross
		settle(right, left, arrows, func(a *arrow) (string, string) { return a.To, a.From })
		settle(left, right, arrows, func(a *arrow) (string, string) { return a.From, a.To })
	}
	height := rowHeight * max(len(left), len(right))
	drawing := struct {
		Height      int
		On          string
		Styles      []*style
		Left, Right []label
		Arrows      []*arrow
		Unused      []string
	}{
		Height: firstRow + height, On: m.At.Format("2 January 2006"), Styles: styles,
		Left: labels(left, fromX-10, height), Right: labels(right, toX+16, height), Arrows: arrows,
	}
	curve := func(from, to string) string {
		y, z, bend := row(left, from, height), row(right, to, height), (toX-fromX)/2
		return fmt.Sprintf("M%d %d C%d %d %d %d %d %d", fromX, y, fromX+bend, y, toX-bend, z, toX, z)
	}
	for _, a := range arrows {
		a.Path = curve(a.From, a.To)
	}
	for _, p := range m.Unused {
		from, to := name(p.Sender), name(p.Recipient)
		used := slices.ContainsFunc(arrows, func(a *arrow) bool { return a.From == from && a.To == to })
		if !used && slices.Contains(left, from) && slices.Contains(right, to) {
			drawing.Unused = append(drawing.Unused, curve(from, to))
		}
	}
	drawing.Unused = lo.Uniq(drawing.Unused)
	return picture.Execute(w, drawing)
}

// style is how an arrow is drawn: whoever sees no colours sees the dashes.
type style struct {
	Code, Name, Colour, Dashes string
	X, Y                       int // in the legend
}

// Anything that is not declared stands out.
var styles = []*style{
	{"declared", "declared", "#1d4f91", "none", 30, 66},
	{ByException, "by exception, without an agreement", "#b3261e", "8 4", 330, 66},
	{Outside, "outside the hub, entered afterwards", "#8e24aa", "2 3", 760, 66},
	{Over, "under a version that does not count now", "#a85d00", "14 3 3 3", 330, 92},
	{Unknown, "under a clause that the register does not have", "#111111", "4 8", 760, 92},
}

// arrow is all that one sent another.
type arrow struct {
	From, To string // names
	Style    *style
	Title    string
	Path     string
	Width    string
	n        int64
	purposes []string
}

// arrows puts the flows between two together. One that is not declared colours all of it: that is what is looked for.
func (m *Map) arrows(name func(transfer.PartnerID) string) []*arrow {
	var out []*arrow
	for i := range m.Flows {
		f := &m.Flows[i]
		from, to := name(f.Sender), f.Office
		if f.Recipient != "" {
			to = name(f.Recipient)
		}
		a, found := lo.Find(out, func(a *arrow) bool { return a.From == from && a.To == to })
		if !found {
			a = &arrow{From: from, To: to, Style: styles[0]}
			out = append(out, a)
		}
		a.n += f.Disclosures
		a.purposes = append(a.purposes, string(f.Purpose))
		if f.Undeclared != "" {
			a.Style, _ = lo.Find(styles, func(s *style) bool { return s.Code == f.Undeclared })
		}
		a.Width = fmt.Sprintf("%.1f", 1.5+1.2*math.Log10(float64(a.n)))
		a.Title = fmt.Sprintf("%s to %s: %d disclosures, for %s", from, to, a.n, strings.Join(lo.Uniq(a.purposes), ", "))
	}
	return out
}

// ends gives one side of the picture, from top to bottom.
func ends(arrows []*arrow, of func(*arrow) string) []string {
	return lo.Uniq(lo.Map(arrows, func(a *arrow, _ int) string { return of(a) }))
}

// settle puts those of one side in the order of the middle of those across.
func settle(side, across []string, arrows []*arrow, ends func(*arrow) (here, there string)) {
	middle := map[string]float64{}
	for _, s := range side {
		sum, n := 0, 0
		for _, a := range arrows {
			if here, there := ends(a); here == s {
				sum, n = sum+slices.Index(across, there), n+1
			}
		}
		middle[s] = float64(sum) / float64(n)
	}
	slices.SortStableFunc(side, func(a, b string) int { return cmp.Compare(middle[a], middle[b]) })
}

// row is how far down somebody stands, where the side is spread over the height.
func row(side []string, who string, height int) int {
	return firstRow + height*(2*slices.Index(side, who)+1)/(2*len(side))
}

type label struct {
	X, Y int
	Name string
}

func labels(side []string, x, height int) []label {
	return lo.Map(side, func(s string, _ int) label { return label{x, row(side, s, height) + 5, s} })
}
