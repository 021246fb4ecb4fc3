package api

import (
	"bytes"
	"errors"
	"net/http"

	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/rights"
)

// sizeIncident answers how far something reached: people, items, recipients, agreements. Nothing is changed but the log of who looked.
func (s *server) sizeIncident(r *http.Request, by auth.Principal) (answer, error) {
	var in struct {
		Scope rights.Scope `json:"scope"`
		Why   string       `json:"why"`
	}
	if err := s.read(r, &in); err != nil {
		return answer{}, err
	}
	if err := checkWhy("", in.Why); err != nil {
		return answer{}, err
	}
	size, err := s.Rights.Measure(r.Context(), by, &in.Scope, in.Why)
	if unknown := (*exchange.WordError)(nil); errors.As(err, &unknown) {
		return answer{}, invalid("/scope/"+unknown.Field, "unknown", unknown.Detail, "questions are logged for good: they take words that the register, the contracts or the log know")
	}
	if err != nil {
		return answer{}, err
	}
	return answer{body: size}, nil
}

// notification drafts what the Information Commissioner is told about an incident (Art 33(3)).
func (s *server) notification(r *http.Request, by auth.Principal) (answer, error) {
	ref, err := caseOf(r)
	if err != nil {
		return answer{}, err
	}
	form := r.URL.Query().Get("form")
	if form != "" && form != "json" && form != "text" {
		return answer{}, invalid("?form", "enum", "a notification has no such form", "use json or text")
	}
	n, err := s.Rights.Notification(r.Context(), by, ref)
	if err != nil || form != "text" {
		return answer{body: n}, err
	}
	var text bytes.Buffer
	if err := n.WriteText(&text); err != nil {
		return answer{}, err
	}
	return answer{body: text.Bytes(), kind: "text/plain; charset=utf-8"}, nil
}

// inventory answers the Data Protection Complaint Inventory (rule 001-36), as a CSV.
func (s *server) inventory(r *http.Request, by auth.Principal) (answer, error) {
	const page = 500
	var all []rights.Case
	for which := (rights.Which{Type: rights.Complaint, Limit: page}); ; which.After = all[len(all)-1].Reference {
		list, err := s.Rights.Cases(r.Context(), by, which)
		if err != nil {
			return answer{}, err
		}
		if all = append(all, list...); len(list) < page {
			break
		}
	}
	var text bytes.Buffer
	if err := rights.WriteInventory(&text, all); err != nil {
		return answer{}, err
	}
	return answer{
		body: text.Bytes(), kind: "text/csv; charset=utf-8", header: map[string]string{"Content-Disposition": "attachment; filename=complaints.csv"},
	}, nil
}
