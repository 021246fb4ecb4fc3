package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// The shapes of the answers are those of the OpenAPI document.

type transferJSON struct {
	TransferID transfer.TransferID `json:"transfer_id"`
	MessageID  transfer.MessageID  `json:"message_id,omitempty"`
	Sender     transfer.PartnerID  `json:"sender,omitempty"`
	Recipient  transfer.PartnerID  `json:"recipient"`
	Outcome    transfer.Outcome    `json:"outcome"`
	State      transfer.State      `json:"state"`
	Agreement  *agreementJSON      `json:"agreement,omitempty"`
	Reasons    []reason            `json:"reasons,omitempty"`
	Subjects   []subjectJSON       `json:"subjects,omitempty"`
	Owner      string              `json:"owner,omitempty"`
	Deadline   time.Time           `json:"deadline,omitzero"`
	Last       *lastJSON           `json:"last,omitempty"`
	Log        logRef              `json:"log"`
	CreatedAt  time.Time           `json:"created_at"`
}

// lastJSON is the newest word on a transfer: a receipt, or a delivery that failed.
type lastJSON struct {
	At      time.Time `json:"at"`
	Receipt string    `json:"receipt"`
	Fault   string    `json:"fault,omitempty"`
	Note    string    `json:"note,omitempty"`
}

type agreementJSON struct {
	ID      transfer.AgreementID `json:"id"`
	Version int                  `json:"version"`
	Digest  string               `json:"digest"`
	Flow    string               `json:"flow"`
}

type reason struct {
	Code   string        `json:"code"`
	Gate   string        `json:"gate,omitempty"`
	Detail string        `json:"detail,omitempty"`
	Remedy string        `json:"remedy,omitempty"`
	Clause string        `json:"clause,omitempty"`
	Source string        `json:"source,omitempty"`
	Role   transfer.Role `json:"role,omitempty"`
	Items  []string      `json:"items,omitempty"`
}

type subjectJSON struct {
	Role     transfer.Role `json:"role"`
	Position int           `json:"position"`
	Items    []string      `json:"items"`
	Stripped []string      `json:"stripped"`
	Consents []string      `json:"consents,omitempty"`
}

type logRef struct {
	Origin string `json:"origin"`
	Index  int64  `json:"index"`
}

type submittedJSON struct {
	MessageID transfer.MessageID `json:"message_id"`
	Transfers []transferJSON     `json:"transfers"`
}

// render shows a transfer by its first decision. state is its state then or now, as the operation says.
func render(j exchange.Judged, state transfer.State) transferJSON {
	l := j.Decision
	out := transferJSON{
		TransferID: j.Transfer.ID, Recipient: j.Transfer.Recipient, Outcome: l.Outcome, State: state, Reasons: reasonsOf(l.Reasons),
		Agreement: agreementOf(l.Agreement), Subjects: subjectsOf(l.Subjects), Owner: l.Owner, Deadline: l.Deadline,
		Log: logRef{Origin: j.Transfer.Log, Index: j.Transfer.DecisionLeaf}, CreatedAt: j.Transfer.CreatedAt,
	}
	return out
}

func agreementOf(a *ledger.Agreement) *agreementJSON {
	if a == nil {
		return nil
	}
	return &agreementJSON{ID: a.ID, Version: a.Version, Digest: a.Digest, Flow: a.Flow}
}

func subjectsOf(in []ledger.Subject) []subjectJSON {
	return lo.Map(in, func(s ledger.Subject, _ int) subjectJSON {
		return subjectJSON{Role: s.Role, Position: s.Position, Items: orEmpty(s.Items), Stripped: orEmpty(s.Stripped), Consents: s.Consents}
	})
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func reasonsOf(in []ledger.Reason) []reason {
	return lo.Map(in, func(r ledger.Reason, _ int) reason {
		return reason{r.Code, r.Gate, r.Detail, r.Remedy, r.Clause, r.Source, r.Role, r.Items}
	})
}

// codesOnly is what a recipient is told of why something will not come: it is the sender's and the person's affair.
func codesOnly(in []reason) []reason {
	return lo.Map(in, func(r reason, _ int) reason { return reason{Code: r.Code, Gate: r.Gate} })
}

// body reads a request's JSON, bounded.
func (s *server) body(r *http.Request, limit int64) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &Problem{Status: http.StatusUnsupportedMediaType, Title: "Not JSON", Detail: "Send the body as Content-Type: application/json."}
	}
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(r.Body, limit+1)); err != nil {
		return nil, &Problem{Status: http.StatusBadRequest, Title: "The body broke off", Detail: "It could not be read to its end. Nothing was stored; send it again."}
	}
	if int64(buf.Len()) > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	return buf.Bytes(), nil
}

func (s *server) submit(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	return s.submitBody(r.Context(), by, body)
}

func (s *server) submitBody(ctx context.Context, by auth.Principal, body []byte) (answer, error) {
	if int64(len(body)) > s.MaxBodyBytes { // of a batch, or over NATS
		return answer{}, &http.MaxBytesError{Limit: s.MaxBodyBytes}
	}
	doc, err := s.referral(by, body)
	if err != nil {
		return answer{}, err
	}
	if err := s.claimable(ctx, by, doc); err != nil {
		return answer{}, err
	}
	done, err := s.Exchange.Submit(ctx, by, doc)
	if err != nil {
		return answer{}, err
	}
	out := submittedJSON{MessageID: doc.Envelope.MessageID, Transfers: make([]transferJSON, len(done.Transfers))}
	for i, j := range done.Transfers {
		out.Transfers[i] = render(j, j.Decision.State)
	}
	if done.Repeat {
		return answer{body: out}, nil
	}
	return answer{status: http.StatusCreated, body: out}, nil
}

// referral reads a message and checks what its contract cannot: that its recipients are partners of this hub other than the sender,
// and what careless.go lists. (That each is named once, the contract says.)
func (s *server) referral(by auth.Principal, body []byte) (*contracts.Document, error) {
	contract, err := contractOf(body)
	if err != nil {
		return nil, err
	}
	doc, err := contract.Parse(body)
	if err != nil {
		return nil, err
	}
	var faults []contracts.Fault
	index := s.Exchange.Index()
	for i, id := range doc.Envelope.Recipients {
		at := "/recipients/" + strconv.Itoa(i)
		switch _, known := index.Partner(id); {
		case !known:
			faults = append(faults, contracts.Fault{Pointer: at, Rule: "unknown-partner", Detail: "no partner of this hub has this id", Remedy: "take an id from GET /v1/partners"})
		case id == by.Partner:
			faults = append(faults, contracts.Fault{Pointer: at, Rule: "own-id", Detail: "this is the sender itself", Remedy: "name the organisation that is to receive the referral"})
		}
	}
	faults = append(faults, s.careless(doc)...)
	if len(faults) > 0 {
		return nil, &contracts.InvalidError{Faults: faults}
	}
	return doc, nil
}

// contractOf gives the contract that a message names, of those that partners send one another. A message that names none, or another, is read
// as a referral, so that its fault is found there.
func contractOf(body []byte) (*contracts.Contract, error) {
	kind := contracts.Named(body)
	if kind != "aggregate/1" {
		kind = "referral/1"
	}
	contract, ok := contracts.For(kind)
	if !ok {
		return nil, fmt.Errorf("the contract %s is missing", kind)
	}
	return contract, nil
}

// submitBatch carries several referrals. Each stands for itself: one that is refused does not hold up the rest.
func (s *server) submitBatch(r *http.Request, by auth.Principal) (answer, error) {
	referrals, err := s.batch(r, "referrals")
	if err != nil {
		return answer{}, err
	}
	results := make([]batchResult, len(referrals))
	lo.ForEach(lo.Range(len(results)), func(i, _ int) { results[i].Status = http.StatusServiceUnavailable })
	done := make(chan struct{}, len(results))
	for i, raw := range referrals {
		go func() {
			defer func() { done <- struct{}{} }()
			a, err := guarded(func() (answer, error) { return s.submitBody(r.Context(), by, raw) })
			results[i] = s.result(r, a, err)
		}()
	}
	for range results {
		<-done
	}
	return answer{body: map[string]any{"results": results}}, nil
}

func (s *server) consider(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	doc, err := s.referral(by, body)
	if err != nil {
		return answer{}, err
	}
	considered, err := s.Exchange.Consider(r.Context(), by, doc)
	if err != nil {
		return answer{}, err
	}
	type decisionJSON struct {
		Recipient transfer.PartnerID   `json:"recipient"`
		Outcome   transfer.Outcome     `json:"outcome"`
		Agreement *policy.AgreementRef `json:"agreement,omitempty"`
		Reasons   []policy.Reason      `json:"reasons,omitempty"`
		Subjects  []subjectJSON        `json:"subjects,omitempty"`
		Owner     string               `json:"owner,omitempty"`
	}
	out := make([]decisionJSON, len(considered))
	for i, c := range considered {
		d := c.Decision
		out[i] = decisionJSON{Recipient: c.Recipient, Outcome: d.Outcome, Agreement: d.Agreement, Reasons: d.Reasons, Owner: d.Owner}
		for _, p := range d.Subjects {
			line := subjectJSON{Role: p.Role, Position: p.Position, Items: []string{}, Stripped: orEmpty(doc.Contract.Names(p.Stripped))}
			if d.Outcome.Permits() {
				line.Items = orEmpty(doc.Contract.Names(p.Items))
			}
			out[i].Subjects = append(out[i].Subjects, line)
		}
	}
	return answer{body: map[string]any{"decisions": out}}, nil
}

// transferID is the transfer that the path names. What is no id of this hub is answered as a transfer that does not exist.
func transferID(r *http.Request) (transfer.TransferID, error) {
	id := mux.Vars(r)["transfer_id"]
	if !isID(id) {
		return "", exchange.ErrNotYours
	}
	return transfer.TransferID(id), nil
}

// isID reports whether text has the form of the ids that the hub gives. Nothing else reaches a query, and nothing else is logged.
func isID(text string) bool { return len(text) == 36 && uuid.Validate(text) == nil }

func (s *server) transfer(r *http.Request, by auth.Principal) (answer, error) {
	id, err := transferID(r)
	if err != nil {
		return answer{}, err
	}
	j, err := s.Exchange.Transfer(r.Context(), by, id)
	if err != nil {
		return answer{}, err
	}
	return answer{body: s.shown(by, j)}, nil
}

// shown is a transfer as it stands, for one of its two partners. What was stripped, and why, is between the sender and the hub.
func (s *server) shown(by auth.Principal, j exchange.Judged) transferJSON {
	out := render(j, j.Transfer.State)
	out.Sender = j.Transfer.Sender
	if l := j.Last; l != nil {
		out.Last = &lastJSON{l.At, l.Receipt, l.Fault, l.Note}
	}
	if by.Partner == j.Transfer.Sender {
		out.MessageID = j.Transfer.MessageID
		return out
	}
	out.Reasons, out.Subjects, out.Owner = codesOnly(out.Reasons), nil, ""
	return out
}

func (s *server) transfers(r *http.Request, by auth.Principal) (answer, error) {
	after, limit, err := page(r)
	if err != nil {
		return answer{}, err
	}
	state := transfer.State(r.URL.Query().Get("state"))
	if !lo.Contains(transfer.States(), state) {
		return answer{}, invalid("?state", "enum", "name one state of a transfer", "use one of those the OpenAPI document lists, such as held")
	}
	rows, err := s.Exchange.InState(r.Context(), by, state, after, limit)
	if err != nil {
		return answer{}, err
	}
	out := map[string]any{"transfers": lo.Map(rows, func(j exchange.Judged, _ int) transferJSON { return s.shown(by, j) })}
	if len(rows) == limit {
		out["next"] = rows[len(rows)-1].Transfer.ID
	}
	return answer{body: out}, nil
}

// page reads the cursor and size of a listing.
func page(r *http.Request) (after transfer.TransferID, limit int, err error) {
	if limit, err = limitOf(r); err != nil {
		return "", 0, err
	}
	if after = transfer.TransferID(r.URL.Query().Get("after")); after != "" && !isID(string(after)) {
		return "", 0, invalid("?after", "format", "after is the id of a transfer", "take it from next of the page before, or leave it out for the first page")
	}
	return after, limit, nil
}

func limitOf(r *http.Request) (int, error) {
	v := r.URL.Query().Get("limit")
	if v == "" {
		return 50, nil
	}
	limit, err := strconv.Atoi(v)
	if err != nil || limit < 1 || limit > 200 {
		return 0, invalid("?limit", "range", "limit is a number from 1 to 200", "leave it out for 50")
	}
	return limit, nil
}

func invalid(pointer, rule, detail, remedy string) error {
	return &contracts.InvalidError{Faults: []contracts.Fault{{Pointer: pointer, Rule: rule, Detail: detail, Remedy: remedy}}}
}

// decode reads a body that has no contract as strictly as if it had: no unknown member, none twice, each in its own spelling.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into, json.RejectUnknownMembers(true))
	var wrong *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &wrong):
		// The name itself is not shown: people put all sorts of things into names.
		return invalid(string(wrong.JSONPointer.Parent()), "unknown-item", "there is a member here that this operation does not take", "leave it out; the OpenAPI document shows what there is")
	case errors.As(err, &wrong):
		return invalid(string(wrong.JSONPointer), "type", "this is not of the type or the form that the operation takes", "write it as the OpenAPI document shows")
	}
	return unreadable(err)
}

// unreadable is the answer to a body that is not one JSON value.
func unreadable(err error) error {
	fault := contracts.Fault{Rule: "malformed", Detail: "the body is not one JSON value", Remedy: "write it with a JSON library rather than by hand"}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		fault.Detail = fmt.Sprintf("the body is not JSON from byte %d on", syntax.ByteOffset)
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		fault = contracts.Fault{Rule: "duplicate-key", Detail: "a name stands twice in one object", Remedy: "send each member once; two systems could read two different values"}
	}
	return &Problem{
		Status: http.StatusBadRequest, Title: "Not readable as JSON", Detail: "The body could not be read. Nothing was stored.",
		Faults: []contracts.Fault{fault},
	}
}
