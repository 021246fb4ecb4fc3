package dataset_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"referralhub/contracts"
	"referralhub/hub/dataset"
)

// blurred cuts a report with these measures as a funder may have it.
func blurred(t testing.TB, f dataset.Figures, measures string) (string, error) {
	t.Helper()
	c, ok := contracts.For("aggregate/1")
	if !ok {
		t.Fatal("there is no contract aggregate/1")
	}
	doc, err := c.ParseDataset(fmt.Appendf(nil, `{"report":{"measures":%s}}`, measures))
	if err != nil {
		t.Fatal(err)
	}
	item, _ := c.Lookup("report.measures")
	var set contracts.ItemSet
	part := dataset.Part{Items: set.With(item.Index), Transform: map[int]contracts.Transform{item.Index: contracts.SmallNumbers}, Figures: f}
	body, err := dataset.Cut(doc, []dataset.Part{part})
	if err != nil {
		return "", err
	}
	if doc, err = c.ParseDataset(body); err != nil {
		t.Fatalf("the funder cannot read %s: %v", body, err)
	}
	again, err := dataset.Cut(doc, []dataset.Part{part})
	if err != nil || !bytes.Equal(again, body) {
		t.Errorf("cut again, %s became %s, %v", body, again, err)
	}
	return string(body), nil
}

// Four carers of Three Rivers, three former carers, two concerns: the return shows none of them, and they cannot be worked out.
func TestTheQuarterlyReturnOfCarersInHertfordshire(t *testing.T) {
	body, err := contracts.Example("aggregate-quarter")
	if err != nil {
		t.Fatal(err)
	}
	c, _ := contracts.For("aggregate/1")
	doc, err := c.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	item, _ := c.Lookup("report.measures")
	part := dataset.Part{
		Items: doc.Subjects[0].Items, Transform: map[int]contracts.Transform{item.Index: contracts.SmallNumbers}, Figures: dataset.Figures{Below: 5, Round: 5},
	}
	got, err := dataset.Cut(doc, []dataset.Part{part})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[1285 1040 185 suppressed suppressed 210 20 30 25 suppressed 25 20 25 suppressed 30 15 95 70 25 40 15 0 25 suppressed]`
	if got := fmt.Sprint(counts(t, string(got))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatTheFunderSeesOfACount(t *testing.T) {
	for _, test := range []struct {
		figures dataset.Figures
		count   string
		want    string
	}{
		{dataset.Figures{Below: 5, Round: 5}, `0`, `0`}, // among rounded counts it gives nothing away
		{dataset.Figures{Below: 5, Round: 5}, `1`, `"suppressed"`},
		{dataset.Figures{Below: 5, Round: 5}, `4`, `"suppressed"`},
		{dataset.Figures{Below: 5, Round: 5}, `5`, `5`},
		{dataset.Figures{Below: 5, Round: 5}, `7`, `5`},
		{dataset.Figures{Below: 5, Round: 5}, `8`, `10`},
		{dataset.Figures{Below: 5, Round: 5}, `12.0`, `10`},
		{dataset.Figures{Below: 5, Round: 5}, `100000000`, `100000000`},
		{dataset.Figures{Below: 5, Round: 5}, `"suppressed"`, `"suppressed"`},
		{dataset.Figures{Below: 5}, `0`, `"suppressed"`},
		{dataset.Figures{Below: 5}, `5`, `5`},
		{dataset.Figures{Below: 5, Round: 1}, `0`, `"suppressed"`},
		{dataset.Figures{Below: 8, Round: 5}, `7`, `"suppressed"`},
		{dataset.Figures{Below: 7, Round: 5}, `7`, `10`}, // 5 would have said that it was 7
		{dataset.Figures{Below: 10, Round: 25}, `12`, `25`},
		{dataset.Figures{Round: 10}, `4`, `0`},
		{dataset.Figures{Round: 10}, `5`, `10`},
	} {
		got, err := blurred(t, test.figures, fmt.Sprintf(`[{"name": "carers", "count": %s}]`, test.count))
		if want := fmt.Sprintf(`{"report":{"measures":[{"name": "carers", "count": %s}]}}`, test.want); err != nil || got != want {
			t.Errorf("%+v: %s became %s, %v; want %s", test.figures, test.count, got, err, test.want)
		}
	}
}

// Twenty carers, four of them young: whoever knows the others of the breakdown must not be able to subtract.
func TestASmallCellCannotBeWorkedOutFromTheRest(t *testing.T) {
	five := dataset.Figures{Below: 5, Round: 5}
	for _, test := range []struct{ story, measures, want string }{
		{
			"the next smallest part goes too",
			`[{"name":"carers","count":20},{"name":"carers","dimensions":{"carer_type":"young"},"count":3},
			  {"name":"carers","dimensions":{"carer_type":"parent"},"count":8},{"name":"carers","dimensions":{"carer_type":"adult"},"count":9}]`,
			`[20 suppressed suppressed 10]`,
		},
		{
			"two that are small protect one another",
			`[{"name":"carers","count":20},{"name":"carers","dimensions":{"carer_type":"young"},"count":3},
			  {"name":"carers","dimensions":{"carer_type":"parent"},"count":4},{"name":"carers","dimensions":{"carer_type":"adult"},"count":13}]`,
			`[20 suppressed suppressed 15]`,
		},
		{
			"an empty part protects nothing",
			`[{"name":"carers","count":20},{"name":"carers","dimensions":{"carer_type":"young"},"count":3},
			  {"name":"carers","dimensions":{"carer_type":"former"},"count":0},{"name":"carers","dimensions":{"carer_type":"adult"},"count":17}]`,
			`[20 suppressed 0 suppressed]`,
		},
		{
			"people may have several conditions, and the total stays",
			`[{"name":"cared-for","count":20},{"name":"cared-for","dimensions":{"condition":"cancer"},"count":3},
			  {"name":"cared-for","dimensions":{"condition":"frailty"},"count":22},{"name":"cared-for","dimensions":{"condition":"dementia"},"count":25}]`,
			`[20 suppressed suppressed 25]`,
		},
		{
			"without a total there is nothing to subtract from",
			`[{"name":"carers","dimensions":{"carer_type":"young"},"count":3},{"name":"carers","dimensions":{"carer_type":"adult"},"count":17}]`,
			`[suppressed 15]`,
		},
		{
			"the total of something else is no total of it",
			`[{"name":"breaks","count":20},{"name":"carers","dimensions":{"carer_type":"young"},"count":3},{"name":"carers","dimensions":{"carer_type":"adult"},"count":17}]`,
			`[20 suppressed 15]`,
		},
		{
			"each breakdown by itself",
			`[{"name":"carers","count":40},{"name":"carers","dimensions":{"gender":"female"},"count":30},{"name":"carers","dimensions":{"gender":"male"},"count":10},
			  {"name":"carers","dimensions":{"carer_type":"young"},"count":2},{"name":"carers","dimensions":{"carer_type":"adult"},"count":38}]`,
			`[40 30 10 suppressed suppressed]`,
		},
		{
			"a part that went is a total whose parts must not give it back",
			`[{"name":"carers","count":40},{"name":"carers","dimensions":{"gender":"female"},"count":36},{"name":"carers","dimensions":{"gender":"male"},"count":4},
			  {"name":"carers","dimensions":{"gender":"female","carer_type":"adult"},"count":20},{"name":"carers","dimensions":{"gender":"female","carer_type":"young"},"count":16}]`,
			`[40 suppressed suppressed suppressed suppressed]`,
		},
		{
			"rows and columns",
			`[{"name":"carers","dimensions":{"gender":"female"},"count":30},{"name":"carers","dimensions":{"gender":"male"},"count":30},
			  {"name":"carers","dimensions":{"district":"dacorum"},"count":30},{"name":"carers","dimensions":{"district":"watford"},"count":30},
			  {"name":"carers","dimensions":{"gender":"female","district":"dacorum"},"count":2},{"name":"carers","dimensions":{"gender":"female","district":"watford"},"count":28},
			  {"name":"carers","dimensions":{"district":"dacorum","gender":"male"},"count":28},{"name":"carers","dimensions":{"gender":"male","district":"watford"},"count":12}]`,
			`[30 30 30 30 suppressed suppressed suppressed suppressed]`,
		},
		{
			"a total of parts with two dimensions and nothing between",
			`[{"name":"carers","count":40},{"name":"carers","dimensions":{"gender":"female","district":"dacorum"},"count":2},
			  {"name":"carers","dimensions":{"gender":"female","district":"watford"},"count":18},{"name":"carers","dimensions":{"gender":"male","district":"watford"},"count":20}]`,
			`[40 suppressed suppressed 20]`,
		},
		{
			"what the sender suppressed counts as gone",
			`[{"name":"carers","count":20},{"name":"carers","dimensions":{"carer_type":"young"},"count":"suppressed"},
			  {"name":"carers","dimensions":{"carer_type":"parent"},"count":8},{"name":"carers","dimensions":{"carer_type":"adult"},"count":12}]`,
			`[20 suppressed suppressed 10]`,
		},
		{
			"a cell that stands there twice goes twice",
			`[{"name":"carers","count":20},{"name":"carers","dimensions":{"carer_type":"young"},"count":3},{"name":"carers","dimensions":{"carer_type":"parent"},"count":8},
			  {"name":"carers","dimensions":{"carer_type":"p\u0061rent"},"count":8},{"name":"carers","dimensions":{"carer_type":"adult"},"count":9}]`,
			`[20 suppressed suppressed suppressed 10]`,
		},
		{
			"and one that is given two counts goes altogether",
			`[{"name":"carers","count":20},{"name":"carers","dimensions":{},"count":21}]`,
			`[suppressed suppressed]`,
		},
	} {
		t.Run(test.story, func(t *testing.T) {
			body, err := blurred(t, five, test.measures)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(counts(t, body)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func counts(t testing.TB, body string) []any {
	t.Helper()
	var out struct {
		Report struct {
			Measures []struct {
				Count any `json:"count"`
			} `json:"measures"`
		} `json:"report"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatal(err)
	}
	var all []any
	for _, m := range out.Report.Measures {
		all = append(all, m.Count)
	}
	return all
}

func TestFiguresThatCannotBeBlurredDoNotGo(t *testing.T) {
	five := dataset.Figures{Below: 5, Round: 5}
	for story, test := range map[string]struct {
		figures  dataset.Figures
		measures string
	}{
		"the clause gives no figures":  {dataset.Figures{}, `[{"name": "carers", "count": 20}]`},
		"its figures blur nothing":     {dataset.Figures{Below: 1, Round: 1}, `[{"name": "carers", "count": 20}]`},
		"a word in place of a count":   {five, `[{"name": "carers", "count": "Zebedee"}]`},
		"a cell without a count":       {five, `[{"name": "carers"}]`},
		"a count in a spelling unread": {five, `[{"name": "carers", "count": "s\u0075ppressed"}]`},
	} {
		if got, err := blurred(t, test.figures, test.measures); !errors.Is(err, dataset.ErrTransform) {
			t.Errorf("%s: got %s, %v", story, got, err)
		}
	}
	doc, err := referral(t).ParseDataset([]byte(`{"carer":{"date_of_birth":"1951"}}`))
	if err != nil {
		t.Fatal(err)
	}
	item, _ := referral(t).Lookup("carer.date_of_birth")
	part := dataset.Part{Items: items(t, "carer.date_of_birth"), Transform: map[int]contracts.Transform{item.Index: contracts.SmallNumbers}, Figures: five}
	if got, err := dataset.Cut(doc, []dataset.Part{part}); !errors.Is(err, dataset.ErrTransform) {
		t.Errorf("a date of birth went as a table: %s", got)
	}
}

// Whatever table, whatever figures: no small count leaves, no total and its parts lack exactly one, and cutting again changes nothing.
func TestNoTableGivesASmallCountAway(t *testing.T) {
	genders, districts := []string{"female", "male"}, []string{"dacorum", "watford", "hertsmere"}
	rapid.Check(t, func(rt *rapid.T) {
		f := dataset.Figures{Below: rapid.IntRange(0, 12).Draw(rt, "below"), Round: rapid.SampledFrom([]int{0, 1, 3, 5, 10}).Draw(rt, "round")}
		if f.Below <= 1 && f.Round <= 1 {
			f.Below = 5
		}
		anyCount := rapid.IntRange(0, 15)
		inner := map[string]int{}
		type row struct {
			Name       string            `json:"name"`
			Dimensions map[string]string `json:"dimensions,omitempty"`
			Count      any               `json:"count"`
		}
		var rows []row
		total, byGender, byDistrict := 0, map[string]int{}, map[string]int{}
		for _, g := range genders {
			for _, d := range districts {
				n := anyCount.Draw(rt, g+d)
				inner[g+d] = n
				total, byGender[g], byDistrict[d] = total+n, byGender[g]+n, byDistrict[d]+n
				rows = append(rows, row{"carers", map[string]string{"gender": g, "district": d}, n})
			}
		}
		for _, g := range genders {
			rows = append(rows, row{"carers", map[string]string{"gender": g}, byGender[g]})
		}
		for _, d := range districts {
			rows = append(rows, row{"carers", map[string]string{"district": d}, byDistrict[d]})
		}
		rows = append(rows, row{"carers", nil, total})
		table, err := json.Marshal(rows)
		if err != nil {
			rt.Fatal(err)
		}
		body, err := blurred(t, f, string(table)) // fails t when cutting twice changes something
		if err != nil {
			rt.Fatal(err)
		}
		got := counts(t, body)
		gone, was := map[string]bool{}, map[string]int{}
		for i, c := range got {
			n, isNumber := c.(float64)
			count, name := rows[i].Count.(int), rows[i].Dimensions["gender"]+"/"+rows[i].Dimensions["district"]
			gone[name], was[name] = !isNumber, count
			if isNumber && (count > 0 && count < f.Below || n > 0 && int(n) < f.Below || count == 0 && f.Round <= 1) {
				rt.Errorf("%d left as %v with %+v", count, c, f)
			}
		}
		sums := [][]string{{"/", "female/", "male/"}, {"/", "/dacorum", "/watford", "/hertsmere"}}
		for _, g := range genders {
			sums = append(sums, []string{g + "/", g + "/dacorum", g + "/watford", g + "/hertsmere"})
		}
		for _, d := range districts {
			sums = append(sums, []string{"/" + d, "female/" + d, "male/" + d})
		}
		for _, sum := range sums {
			lacks := slices.DeleteFunc(slices.Clone(sum), func(name string) bool { return !gone[name] })
			couldGo := slices.ContainsFunc(sum[1:], func(name string) bool { return !gone[name] && was[name] > 0 })
			if len(lacks) == 1 && couldGo {
				rt.Errorf("of %v only %s is suppressed, in %s with %+v", sum, lacks[0], body, f)
			}
		}
	})
}
