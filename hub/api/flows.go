package api

import (
	"net/http"

	"referralhub/hub/auth"
	"referralhub/hub/dates"
	"referralhub/hub/transfer"
)

// flows is what was disclosed beside what is declared: to a partner its own, to the operator everybody's. The days are those of London, and both
// of them count.
func (s *server) flows(r *http.Request, by auth.Principal) (answer, error) {
	var from, to dates.Date
	for name, into := range map[string]*dates.Date{"from": &from, "to": &to} {
		if err := into.UnmarshalText([]byte(r.URL.Query().Get(name))); err != nil {
			return answer{}, invalid("?"+name, "date", name+" is no date", "write year, month and day as in 2026-01-31")
		}
	}
	if !to.IsZero() && to.Before(from) {
		return answer{}, invalid("?to", "range", "to comes before from", "exchange the two")
	}
	of := by.Partner
	if s.operates(by) {
		of = transfer.PartnerID("")
	}
	m, err := s.Exchange.Flows(r.Context(), of, from.Start(), to.End())
	return answer{body: m}, err
}
