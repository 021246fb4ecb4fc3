package api

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gorilla/mux"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/rights"
	"referralhub/hub/transfer"
)

// caseJSON is a case with what can be done about it, and the notices that it sent.
type caseJSON struct {
	*rights.Case
	Possible []string        `json:"possible"` // steps
	Notices  []rights.Notice `json:"notices"`
}

// openCase opens a case: a right that somebody exercises, a complaint, an incident, a legal hold.
func (s *server) openCase(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	in, err := s.readCase(body)
	if err != nil {
		return answer{}, err
	}
	k, repeat, err := s.Rights.Open(r.Context(), by, in, body)
	if err != nil {
		return answer{}, err
	}
	return s.showCase(r, by, k, repeat)
}

func (s *server) readCase(body []byte) (*rights.Opening, error) {
	if err := check("case/1", body); err != nil {
		return nil, err
	}
	var in struct {
		rights.Opening
		Contract    string             `json:"contract"`
		IDsOf       transfer.PartnerID `json:"identifiers_of"`
		Identifiers []struct {
			Scheme string `json:"scheme"`
			Value  string `json:"value"`
		} `json:"identifiers"`
		Scope jsontext.Value `json:"scope"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, unreadable(err)
	}
	o := in.Opening
	o.IDsOf, o.Scope = in.IDsOf, []byte(in.Scope)
	var faults []contracts.Fault
	for i, id := range in.Identifiers {
		o.Identifiers = append(o.Identifiers, contracts.Identifier{Scheme: id.Scheme, Value: id.Value})
		faults = append(faults, checkIdentifier("/identifiers/"+strconv.Itoa(i), o.Identifiers[i])...)
	}
	if o.Aware.After(s.Now().Add(clockSkew)) {
		faults = append(faults, future("/aware"))
	}
	faults = append(faults, named(map[string]string{"/message_id": string(o.MessageID)}, o.Identifiers)...)
	if len(faults) > 0 {
		return nil, &contracts.InvalidError{Faults: faults}
	}
	return &o, nil
}

// showCase answers with a case as it stands.
func (s *server) showCase(r *http.Request, by auth.Principal, k *rights.Case, repeat bool) (answer, error) {
	notices, err := s.Rights.NoticesOf(r.Context(), by, k.Reference)
	if err != nil {
		return answer{}, err
	}
	return answer{status: entered(repeat), body: caseJSON{k, listOf(s.Rights.Possible(k)), listOf(notices)}}, nil
}

// listOf is a list that is written as one, also when there is nothing in it.
func listOf[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

var caseReference = regexp.MustCompile(`^case-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func caseOf(r *http.Request) (string, error) {
	if ref := mux.Vars(r)["reference"]; caseReference.MatchString(ref) {
		return ref, nil
	}
	return "", rights.ErrNoCase
}

// getCase shows a case.
func (s *server) getCase(r *http.Request, by auth.Principal) (answer, error) {
	ref, err := caseOf(r)
	if err != nil {
		return answer{}, err
	}
	k, err := s.Rights.Case(r.Context(), by, ref)
	if err != nil {
		return answer{}, err
	}
	return s.showCase(r, by, k, true)
}

// cases lists cases, oldest first; the operator sees everybody's.
func (s *server) cases(r *http.Request, by auth.Principal) (answer, error) {
	q := r.URL.Query()
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	which := rights.Which{Type: rights.Type(q.Get("type")), State: rights.State(q.Get("state")), After: q.Get("after"), Limit: limit}
	switch overdue := q.Get("overdue"); {
	case which.Type != "" && !slices.Contains(rights.Types(), which.Type):
		return answer{}, invalid("?type", "enum", "there is no case of this type", "use a type of a case, such as access, or leave it out for all")
	case which.State != "" && !state.MatchString(string(which.State)):
		return answer{}, invalid("?state", "format", "no case is in this state", "use a state that a case has, such as open, or leave it out for all")
	case overdue != "" && overdue != "1":
		return answer{}, invalid("?overdue", "enum", "this lists what is past its deadline", "write overdue=1, or leave it out for all")
	case which.After != "" && !caseReference.MatchString(which.After):
		return answer{}, invalid("?after", "format", "after is the reference of a case", "take it from next of the page before, or leave it out for the first page")
	default:
		which.Overdue = overdue != ""
	}
	list, err := s.Rights.Cases(r.Context(), by, which)
	if err != nil {
		return answer{}, err
	}
	out := map[string]any{"cases": listOf(list)}
	if len(list) == limit {
		out["next"] = list[limit-1].Reference
	}
	return answer{body: out}, nil
}

var state = regexp.MustCompile(`^[a-z]{1,40}(-[a-z]{1,40}){0,4}$`)

// takeStep takes a step of a case.
func (s *server) takeStep(r *http.Request, by auth.Principal) (answer, error) {
	ref, err := caseOf(r)
	if err != nil {
		return answer{}, err
	}
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	if err := check("case-step/1", body); err != nil {
		return answer{}, err
	}
	var in struct {
		rights.StepIn
		Contract string         `json:"contract"`
		Details  jsontext.Value `json:"details"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return answer{}, unreadable(err)
	}
	step := in.StepIn
	step.Details = []byte(in.Details)
	k, repeat, err := s.Rights.Step(r.Context(), by, ref, &step, body)
	if err != nil {
		return answer{}, err
	}
	return s.showCase(r, by, k, repeat)
}

// caseReport answers who received what about the person of a case: for the person, or for the Data Protection Lead.
func (s *server) caseReport(r *http.Request, by auth.Principal) (answer, error) {
	ref, err := caseOf(r)
	if err != nil {
		return answer{}, err
	}
	q := r.URL.Query()
	ask := rights.Ask{For: rights.Reader(q.Get("for")), Form: q.Get("form"), Of: transfer.PartnerID(q.Get("of"))}
	if ask.Form == "" {
		ask.Form = "json"
	}
	kinds := map[string]string{"json": "application/json", "html": "text/html; charset=utf-8", "text": "text/plain; charset=utf-8"}
	switch {
	case ask.For != rights.ForPerson && ask.For != rights.ForDPL:
		return answer{}, invalid("?for", "enum", "a report is for the person or for the Data Protection Lead", "use person or dpl")
	case kinds[ask.Form] == "":
		return answer{}, invalid("?form", "enum", "a report has no such form", "use json, html or text")
	}
	for name, at := range map[string]*time.Time{"from": &ask.From, "to": &ask.To} {
		if v := q.Get(name); v != "" {
			if *at, err = time.Parse(time.RFC3339, v); err != nil {
				return answer{}, invalid("?"+name, "format", "this is no instant", "write it as 2026-11-20T00:00:00Z")
			}
		}
	}
	found, err := s.Rights.Report(r.Context(), by, ref, ask)
	if err != nil {
		return answer{}, err
	}
	return answer{body: found.Text, kind: kinds[ask.Form]}, nil
}
