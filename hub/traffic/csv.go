package traffic

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/hub/report"
)

// CSV writes the map as a table (RFC 4180). The column state says what a row is: "declared", or why it is not (Flow.Undeclared); "never-used" of a pair,
// and "items-never-used" of a clause.
func (m *Map) CSV(w io.Writer) error {
	out := bufio.NewWriter(w) // the first error stays in it, and Flush gives it
	_ = report.Row(out, "state", "sender", "recipient", "office", "purpose", "clause", "claims", "messages", "items", "disclosures", "first", "last", "detail")
	for _, f := range m.Flows {
		_ = report.Row(out, lo.CoalesceOrEmpty(f.Undeclared, "declared"), string(f.Sender), string(f.Recipient), f.Office, string(f.Purpose), f.Clause,
			list(f.Claims), list(f.Messages), list(f.Items), strconv.FormatInt(f.Disclosures, 10), f.First.Format(time.RFC3339), f.Last.Format(time.RFC3339), f.Detail)
	}
	for _, p := range m.Unused {
		_ = report.Row(out, "never-used", string(p.Sender), string(p.Recipient), "", string(p.Purpose), p.Clause, "", "", "", "0", "", "", "")
	}
	for _, i := range m.Idle {
		_ = report.Row(out, "items-never-used", "", "", "", "", i.Clause, "", string(i.Message), list(i.Items), "0", "", "", "")
	}
	return out.Flush()
}

func list[T ~string](all []T) string {
	return strings.Join(lo.Map(all, func(v T, _ int) string { return string(v) }), "; ")
}
