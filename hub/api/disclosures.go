package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/transfer"
)

type searchJSON struct {
	Subject *struct {
		Scheme string `json:"scheme"`
		Value  string `json:"value"`
	} `json:"subject"`
	Of        transfer.PartnerID   `json:"of"` // who gave the subject that number
	Transfer  transfer.TransferID  `json:"transfer_id"`
	Kinds     []ledger.Kind        `json:"kinds"`
	Partner   transfer.PartnerID   `json:"partner"`
	Sender    transfer.PartnerID   `json:"sender"`
	Recipient transfer.PartnerID   `json:"recipient"`
	Agreement transfer.AgreementID `json:"agreement"`
	Version   int                  `json:"version"`
	Flow      string               `json:"flow"`
	Purpose   transfer.Purpose     `json:"purpose"`
	Service   transfer.Service     `json:"service"`
	Item      string               `json:"item"`
	Category  contracts.Category   `json:"category"`
	Outcome   transfer.Outcome     `json:"outcome"`
	Exception string               `json:"exception"`
	State     transfer.State       `json:"state"`
	From      time.Time            `json:"from"`
	To        time.Time            `json:"to"`
	Everyone  bool                 `json:"everyone"` // partners' transfers and not only the asker's own: the operator's alone, who sees no less
	Why       string               `json:"why"`
	Order     string               `json:"order"` // "oldest" or "newest" first
	After     []report.Place       `json:"after"` // next of the page before
	Limit     int                  `json:"limit"`
}

type exportJSON struct {
	Question searchJSON  `json:"question"`
	Form     report.Form `json:"form"`
}

// search answers the Data Protection Lead: who received what about whom, when and why. The person is named in the body, never in a URL.
func (s *server) search(r *http.Request, by auth.Principal) (answer, error) {
	in := searchJSON{Limit: 200}
	if err := s.read(r, &in); err != nil {
		return answer{}, err
	}
	if in.Limit < 1 || in.Limit > 1000 {
		return answer{}, invalid("/limit", "range", "limit is a number from 1 to 1000", "leave it out for 200")
	}
	found, err := s.ask(r.Context(), by, "", &in, "")
	if err != nil {
		return answer{}, err
	}
	reader := by.Partner
	if s.operates(by) {
		reader = ""
	}
	entries := make([]report.Shown, 0, found.Size)
	for e, err := range found.Each(r.Context()) {
		if err != nil {
			return answer{}, err
		}
		entries = append(entries, report.Show(e, reader))
	}
	out := map[string]any{"entries": entries, "query_leaf": logRef{Origin: s.Origin, Index: found.Leaf}}
	if found.Next != nil {
		out["next"] = found.Next
	}
	return answer{body: out}, nil
}

// export answers the same questions whole, as a document. It is written while it is read: one that cannot be finished ends in a connection that
// breaks off, so that nobody takes it for all there is.
func (s *server) export(r *http.Request, by auth.Principal) (answer, error) {
	slot, err := s.slot()
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), exportTimeout)
	end := func() { cancel(); slot() }
	writing := false
	defer func() {
		if !writing {
			end()
		}
	}()
	found, form, err := s.toExport(ctx, r, by)
	if err != nil {
		return answer{}, err
	}
	writing = true
	return answer{
		body: stream(func(w io.Writer) error {
			defer end()
			return found.Write(ctx, w, form)
		}),
		kind: form.MediaType(), header: map[string]string{"Content-Disposition": "attachment; filename=disclosures." + extension(form)},
	}, nil
}

func (s *server) toExport(ctx context.Context, r *http.Request, by auth.Principal) (*exchange.Found, report.Form, error) {
	var in exportJSON
	if err := s.read(r, &in); err != nil {
		return nil, "", err
	}
	switch {
	case !slices.Contains(report.Forms(), in.Form):
		return nil, "", invalid("/form", "enum", "an export has no such form", fmt.Sprintf("write one of %v", report.Forms()))
	case in.Question.Limit != 0 || len(in.Question.After) > 0:
		return nil, "", invalid("/question", "unknown-item", "an export is no page: it has no limit and no after", "leave both out; what is too much for one export is asked for by dates")
	}
	found, err := s.ask(ctx, by, "/question", &in.Question, in.Form)
	return found, in.Form, err
}

// extension is how a file of a form is named.
func extension(f report.Form) string {
	if f == report.AuditEvent {
		return "fhir.json"
	}
	return string(f)
}

// exportTimeout is a little less than the server gives an answer, so that the log says why one was broken off.
const exportTimeout = 70 * time.Second

// read decodes the body of a question.
func (s *server) read(r *http.Request, into any) error {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return err
	}
	return decode(body, into)
}

// ask puts a question to the log. at is where it stands in the body.
func (s *server) ask(ctx context.Context, by auth.Principal, at string, in *searchJSON, form report.Form) (*exchange.Found, error) {
	if err := in.check(at); err != nil {
		return nil, err
	}
	q := exchange.Query{
		Of: in.Of, Transfer: in.Transfer, Why: in.Why, Everyone: s.operates(by), Newest: in.Order == "newest", After: in.After, Limit: in.Limit,
		Form: string(form),
		Filter: exchange.Filter{
			Kinds: in.Kinds, Partner: in.Partner, Sender: in.Sender, Recipient: in.Recipient, Agreement: in.Agreement, Version: in.Version,
			Flow: in.Flow, Purpose: in.Purpose, Service: in.Service, Item: in.Item, Category: in.Category, Outcome: in.Outcome,
			Exception: in.Exception, State: in.State, From: in.From, To: in.To,
		},
	}
	if in.Subject != nil {
		q.Person = &contracts.Identifier{Scheme: in.Subject.Scheme, Value: in.Subject.Value}
	}
	if in.Everyone && !q.Everyone {
		return nil, s.refuse(ctx, by, in.Why, "everyone", &exchange.RefusedError{Detail: "What other partners send and receive is theirs, and the operator's to see. Ask without everyone about your own."})
	}
	found, err := s.Exchange.Search(ctx, by, q)
	var unknown *exchange.WordError
	switch {
	case errors.As(err, &unknown):
		return nil, invalid(at+"/"+cmp.Or(map[string]string{"kind": "kinds"}[unknown.Field], unknown.Field), "unknown", unknown.Detail, "questions are logged for good: they take words that the register, the contracts or the log know")
	case errors.Is(err, exchange.ErrNoPlace):
		return nil, invalid(at+"/after", "unknown", "the log has no leaf at this place", "take it from next of the page before, and ask the same question again")
	}
	return found, err
}

// asks admits whoever may ask the log. That somebody else tried is part of the log: what they asked is not even read.
func (s *server) asks(h func(*http.Request, auth.Principal) (answer, error)) handler {
	const scope = "disclosures:search"
	return s.as("", func(r *http.Request, by auth.Principal) (answer, error) {
		if !by.May(scope) {
			return answer{}, s.refuse(r.Context(), by, "", "scope", notAllowed(scope))
		}
		return h(r, by)
	})
}

// refuse logs that a question was not answered, and gives the answer.
func (s *server) refuse(ctx context.Context, by auth.Principal, why, code string, no error) error {
	if err := s.Exchange.Refuse(ctx, by, &ledger.Query{Kind: "log", Why: why}, code); err != nil {
		return err
	}
	return no
}

// checkWhy finds what is wrong with why somebody asks.
func checkWhy(at, why string) error {
	switch {
	case len(strings.TrimSpace(why)) < 5:
		return invalid(at+"/why", "required", "whoever asks the log says why; the answer is logged with it", `say it in a few words, such as "subject access request of 3 March"`)
	case len(plain(map[string]string{"/why": why})) > 0 && !exchange.HoldsNumber(why):
		return invalid(at+"/why", "personal-data", "the reason seems to hold somebody's name or address, and it is logged for good", "say what it is for, and name nobody")
	case exchange.HoldsNumber(why):
		return invalid(at+"/why", "personal-data", "the reason holds a long number, and it is logged", "leave identifiers out of the reason")
	case len(why) > 200:
		return invalid(at+"/why", "length", "the reason is longer than 200 characters", "keep it short, and name nobody in it")
	}
	return nil
}

// check finds what is wrong with a question, at its place in the body.
func (q *searchJSON) check(at string) error {
	if err := checkWhy(at, q.Why); err != nil {
		return err
	}
	switch {
	case q.Subject != nil && q.Transfer != "":
		return invalid(at+"/subject", "required", "this asks about one person and about one transfer", "give either subject or transfer_id")
	case q.empty():
		return invalid(at+"/subject", "required", "this asks about nothing in particular", "give a subject, a transfer_id, or what a leaf has to say: a recipient, a purpose, dates")
	case q.Of != "" && q.Subject == nil:
		return invalid(at+"/of", "required", "of says who gave the subject its number, and there is no subject", "give a subject too, or leave of out")
	case len(q.Kinds) > 20:
		return invalid(at+"/kinds", "length", "there are fewer kinds than that", "name each once")
	case len(q.After) > 32:
		return invalid(at+"/after", "length", "a page ends at one place in each log, and there are not so many logs", "take it from next of the page before")
	case q.Transfer != "" && !isID(string(q.Transfer)):
		return invalid(at+"/transfer_id", "format", "this is no id of a transfer", "take it from an answer of the hub")
	case !q.To.IsZero() && !q.From.Before(q.To):
		return invalid(at+"/to", "range", "the time asked about ends before it begins", "correct from or to")
	case q.Order != "" && q.Order != "oldest" && q.Order != "newest":
		return invalid(at+"/order", "enum", "the order says which entries come first", "write oldest or newest")
	case q.Subject != nil:
		if faults := checkIdentifier(at+"/subject", contracts.Identifier{Scheme: q.Subject.Scheme, Value: q.Subject.Value}); len(faults) > 0 {
			return &contracts.InvalidError{Faults: faults}
		}
	}
	return nil
}

// empty reports whether a question says nothing of what it is about.
func (q *searchJSON) empty() bool {
	return q.Subject == nil && q.Transfer == "" && len(q.Kinds) == 0 && q.Partner == "" && q.Sender == "" && q.Recipient == "" && q.Agreement == "" &&
		q.Version == 0 && q.Flow == "" && q.Purpose == "" && q.Service == "" && q.Item == "" && q.Category == "" && q.Outcome == "" &&
		q.Exception == "" && q.State == "" && q.From.IsZero() && q.To.IsZero()
}

func (s *server) partners(*http.Request, auth.Principal) (answer, error) {
	type partnerJSON struct {
		ID   transfer.PartnerID `json:"id"`
		Name string             `json:"name"`
		Kind transfer.Kind      `json:"kind"`
		ODS  string             `json:"ods,omitempty"`
	}
	return answer{body: map[string]any{"partners": lo.Map(s.Exchange.Index().Partners(), func(p *transfer.Partner, _ int) partnerJSON {
		return partnerJSON{p.ID, p.Name, p.Kind, p.ODS}
	})}}, nil
}

func (s *server) openAPI(*http.Request) (answer, error) {
	return answer{body: contracts.OpenAPI()}, nil
}

func (s *server) ready(r *http.Request) (answer, error) {
	if s.Ready != nil {
		if err := s.Ready(r.Context()); err != nil {
			s.Log.WarnContext(r.Context(), "not ready", "err", err)
			return answer{}, &Problem{Status: http.StatusServiceUnavailable, Title: "Not ready", Detail: "A part that the hub needs is away; its log says which.", header: map[string]string{"Retry-After": "5"}}
		}
	}
	return answer{body: map[string]string{"status": "ready"}}, nil
}
