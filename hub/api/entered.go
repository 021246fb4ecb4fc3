package api

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gorilla/mux"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// What people enter by hand: disclosures made outside the hub, one-off requests and their answers.

type ruler = func(context.Context, auth.Principal, transfer.TransferID, exchange.Ruling) (bool, error)

type basisJSON = exchange.RequestBasis

// disclosed records that somebody was told something outside the hub.
func (s *server) disclosed(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	d, err := s.readDisclosure(body)
	if err != nil {
		return answer{}, err
	}
	done, err := s.Exchange.EnterDisclosure(r.Context(), by, d, body)
	if err != nil {
		return answer{}, err
	}
	return answer{status: entered(done.Repeat), body: map[string]any{"log": logRef{Origin: done.Origin, Index: done.Leaf}}}, nil
}

func entered(repeat bool) int {
	if repeat {
		return http.StatusOK
	}
	return http.StatusCreated
}

func (s *server) readDisclosure(body []byte) (*exchange.Disclosed, error) {
	if err := check("disclosure/1", body); err != nil {
		return nil, err
	}
	var in struct {
		MessageID transfer.MessageID `json:"message_id"`
		To        transfer.PartnerID `json:"to"`
		Office    string             `json:"office"`
		People    []struct {
			Role        transfer.Role `json:"role"`
			Identifiers []struct {
				Scheme string `json:"scheme"`
				Value  string `json:"value"`
			} `json:"identifiers"`
			Items []string `json:"items"`
		} `json:"people"`
		Purpose   transfer.Purpose `json:"purpose"`
		Basis     basisJSON        `json:"basis"`
		Exception string           `json:"exception"`
		Request   string           `json:"request"`
		How       string           `json:"how"`
		Made      time.Time        `json:"made"`
		Person    string           `json:"person"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, unreadable(err)
	}
	out := &exchange.Disclosed{
		MessageID: in.MessageID, To: in.To, Office: in.Office, Purpose: in.Purpose, Basis: ledger.Basis(in.Basis),
		Exception: in.Exception, Request: in.Request, How: in.How, Made: in.Made.UTC(), Person: in.Person,
	}
	faults := plain(map[string]string{"/office": in.Office, "/basis/law": in.Basis.Law, "/message_id": string(in.MessageID)})
	switch _, known := s.Exchange.Index().Partner(in.To); {
	case (in.To == "") == (in.Office == ""):
		faults = append(faults, contracts.Fault{Pointer: "/to", Rule: "required", Detail: "it was given to a partner or to somebody else", Remedy: "give either to or office"})
	case in.To != "" && !known:
		faults = append(faults, contracts.Fault{Pointer: "/to", Rule: "unknown-partner", Detail: "no partner of this hub has this id", Remedy: "take an id from GET /v1/partners, or name the office"})
	}
	if in.Made.After(s.Now().Add(clockSkew)) {
		faults = append(faults, future("/made"))
	}
	for i, p := range in.People {
		at := "/people/" + strconv.Itoa(i)
		about := exchange.DisclosedAbout{Role: p.Role, Items: p.Items}
		for j, id := range p.Identifiers {
			about.Identifiers = append(about.Identifiers, contracts.Identifier{Scheme: id.Scheme, Value: id.Value})
			faults = append(faults, checkIdentifier(at+"/identifiers/"+strconv.Itoa(j), about.Identifiers[j])...)
		}
		faults = append(faults, named(map[string]string{"/message_id": string(in.MessageID), "/office": in.Office, "/basis/law": in.Basis.Law}, about.Identifiers)...)
		faults = append(faults, contracts.UnknownItems(at+"/items", p.Items)...)
		out.People = append(out.People, about)
	}
	if len(faults) > 0 {
		return nil, &contracts.InvalidError{Faults: faults}
	}
	return out, nil
}

// title is how people's names begin where only an office belongs.
var title = regexp.MustCompile(`(?i)\b(mr|mrs|ms|miss|mx)\b`)

// plain finds what looks like a person in texts that are logged.
func plain(texts map[string]string) []contracts.Fault {
	var faults []contracts.Fault
	for pointer, text := range texts {
		if exchange.HoldsNumber(text) || strings.Contains(text, "@") || title.MatchString(text) && pointer != "/message_id" {
			faults = append(faults, contracts.Fault{
				Pointer: pointer, Rule: "personal-data", Detail: "this seems to hold a name, a number or an address of a person, and it is logged", Remedy: "write the office or the law, and name nobody",
			})
		}
	}
	slices.SortFunc(faults, func(a, b contracts.Fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	return faults
}

// enterRequest records that somebody asks for data without an agreement.
func (s *server) enterRequest(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	if err := check("request/1", body); err != nil {
		return answer{}, err
	}
	in := struct {
		Contract  string             `json:"contract"`
		MessageID transfer.MessageID `json:"message_id"`
		exchange.Request
	}{}
	if err := json.Unmarshal(body, &in); err != nil {
		return answer{}, unreadable(err)
	}
	faults := plain(map[string]string{
		"/organisation": in.Organisation, "/office": in.Office, "/basis/law": in.Basis.Law, "/message_id": string(in.MessageID),
	})
	faults = append(faults, contracts.UnknownItems("/items", in.Items)...)
	if in.Received > s.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly) {
		faults = append(faults, future("/received"))
	}
	if len(faults) > 0 {
		return answer{}, &contracts.InvalidError{Faults: faults}
	}
	request, done, err := s.Exchange.EnterRequest(r.Context(), by, in.MessageID, in.Request, body)
	if err != nil {
		return answer{}, err
	}
	return answer{status: entered(done.Repeat), body: map[string]any{
		"reference": request.Reference, "log": logRef{Origin: done.Origin, Index: done.Leaf},
	}}, nil
}

var reference = regexp.MustCompile(`^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// listRequests lists one-off requests; the operator sees every partner's.
func (s *server) listRequests(r *http.Request, by auth.Principal) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	state, after := r.URL.Query().Get("state"), r.URL.Query().Get("after")
	if !slices.Contains([]string{"", "open", "granted", "part", "refused"}, state) {
		return answer{}, invalid("?state", "enum", "no request is in this state", "use open, granted, part or refused, or leave it out for all")
	}
	if after != "" && !reference.MatchString(after) {
		return answer{}, invalid("?after", "format", "after is the reference of a request", "take it from next of the page before, or leave it out for the first page")
	}
	list, err := s.Exchange.Requests(r.Context(), by, state, after, limit, s.operates(by))
	if err != nil {
		return answer{}, err
	}
	if list == nil {
		list = []exchange.Request{}
	}
	out := map[string]any{"requests": list}
	if len(list) == limit {
		out["next"] = list[limit-1].Reference
	}
	return answer{body: out}, nil
}

// decideRequest records how a person answered a request.
func (s *server) decideRequest(r *http.Request, by auth.Principal) (answer, error) {
	ref := mux.Vars(r)["reference"]
	if !reference.MatchString(ref) {
		return answer{}, exchange.ErrNotYourRequest
	}
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		Decision string   `json:"decision"`
		Reasons  []string `json:"reasons"`
		Items    []string `json:"items"`
		Person   string   `json:"person"`
		Decided  string   `json:"decided"`
	}
	if err := decode(body, &in); err != nil {
		return answer{}, err
	}
	_, notDate := time.Parse(time.DateOnly, in.Decided)
	switch {
	case !slices.Contains([]string{"granted", "part", "refused"}, in.Decision):
		return answer{}, invalid("/decision", "enum", "a request is granted, granted in part or refused", "use granted, part or refused")
	case len(in.Reasons) == 0 || slices.ContainsFunc(in.Reasons, func(c string) bool { return !slices.Contains(exchange.RequestReasons(), c) }):
		return answer{}, invalid("/reasons", "enum", "a decision has reasons, by their codes", "use one or more of: "+strings.Join(exchange.RequestReasons(), ", "))
	case (in.Decision == "part") != (len(in.Items) > 0):
		return answer{}, invalid("/items", "required", "only what is granted in part names its items", "name them with part, and leave them out otherwise")
	case in.Person == "":
		return answer{}, invalid("/person", "required", "somebody answers for it", "give the id that the register has for them")
	case notDate != nil:
		return answer{}, invalid("/decided", "format", "this is no date", "write it as 2026-11-20")
	case in.Decided > s.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly):
		return answer{}, &contracts.InvalidError{Faults: []contracts.Fault{future("/decided")}}
	}
	request, repeat, err := s.Exchange.DecideRequest(r.Context(), by, ref, exchange.RequestDecision{
		Decision: in.Decision, Reasons: in.Reasons, Items: in.Items, Person: in.Person, Decided: in.Decided,
	})
	if err != nil {
		return answer{}, err
	}
	return answer{status: entered(repeat), body: request}, nil
}

// claimable checks what a message that claims an exception or answers a demand needs besides: the scope, and where the demand names a request
// that was entered here, that it was granted for these items and this recipient.
func (s *server) claimable(ctx context.Context, by auth.Principal, doc *contracts.Document) error {
	if doc.Exception == nil && doc.Demand == nil {
		return nil
	}
	if !by.May("exceptions:claim") {
		return &Problem{
			Status: http.StatusForbidden, Title: "Not allowed",
			Detail: "A message that claims an exception or answers a demand needs the scope exceptions:claim, which the token does not have. Nothing was stored. Ask the hub's operator to add it to the system that your Data Protection Lead uses.",
			header: map[string]string{"WWW-Authenticate": `Bearer error="insufficient_scope", scope="exceptions:claim"`},
		}
	}
	if doc.Demand == nil || !reference.MatchString(doc.Demand.Reference) {
		return nil
	}
	for _, to := range doc.Envelope.Recipients {
		granted, err := s.Exchange.Grants(ctx, doc.Demand.Reference, by.Partner, to, doc.Contract.Names(doc.Demand.Items))
		if err != nil {
			return err
		}
		if !granted {
			return invalid("/demand/reference", "not-granted", "no request of this reference was granted for these items to this recipient", "see GET /v1/requests for what was granted")
		}
	}
	return nil
}
