package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"referralhub/contracts"
	"referralhub/hub/exchange"
	"referralhub/hub/rights"
	"referralhub/hub/store"
)

// Problem is a problem document (RFC 9457). Its text is for the person who has to act on it, and holds nothing about a data subject.
type Problem struct {
	Type     string            `json:"type"`
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail,omitempty"`
	Instance string            `json:"instance,omitempty"` // the id under which the hub logged it
	Faults   []contracts.Fault `json:"faults,omitempty"`
	Reasons  []reason          `json:"reasons,omitempty"`
	State    string            `json:"state,omitempty"`

	header map[string]string
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail) }

var errBusy = &Problem{
	Status: http.StatusServiceUnavailable, Title: "Too busy",
	Detail: "The hub is working on as many requests as it can. Nothing was stored; send the same message again after the time in Retry-After.",
	header: map[string]string{"Retry-After": "1"},
}

// problemFor is the one table from errors to problem documents. What is not in it is the hub's own fault: its text may hold anything,
// so the client gets none of it.
func problemFor(err error) *Problem {
	var (
		problem *Problem
		invalid *contracts.InvalidError
		syntax  *contracts.SyntaxError
		state   *exchange.StateError
		stopped *exchange.StoppedError
		role    *exchange.RoleError
		refused *exchange.RefusedError
		stale   *exchange.StaleError
		not     *rights.Impossible
		tooBig  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &problem):
		p := *problem
		return &p
	case errors.As(err, &invalid):
		return &Problem{
			Status: http.StatusUnprocessableEntity, Title: "The request breaks its contract",
			Detail: "Each thing that is wrong is listed with its place and what to do. Nothing was stored.",
			Faults: invalid.Faults,
		}
	case errors.As(err, &syntax):
		return &Problem{
			Status: http.StatusBadRequest, Title: "Not readable as JSON", Detail: "The body could not be read. Nothing was stored.",
			Faults: []contracts.Fault{{Pointer: syntax.Pointer, Rule: syntax.Rule, Detail: syntax.Error(), Remedy: syntax.Remedy}},
		}
	case errors.As(err, &tooBig):
		return &Problem{
			Status: http.StatusRequestEntityTooLarge, Title: "The body is too large",
			Detail: fmt.Sprintf("A request may hold %d bytes. Send fewer referrals in one batch, or leave documents out: the hub carries data items, not files.", tooBig.Limit),
		}
	case errors.Is(err, exchange.ErrOtherBody):
		return &Problem{
			Status: http.StatusConflict, Title: "This message id was used before",
			Detail: "Another message was sent under this message_id. Send this one under an id of its own; to repeat the first, send exactly the same bytes.",
			Faults: []contracts.Fault{{Pointer: "/message_id", Rule: "duplicate", Detail: "used before for another message", Remedy: "give this message a new message_id"}},
		}
	case errors.As(err, &stopped):
		return &Problem{
			Status: http.StatusConflict, Title: "This transfer may no longer go",
			Detail: "It was decided again at the moment of release and is now " + string(stopped.State) + ". Nothing was disclosed.",
			State:  string(stopped.State), Reasons: codesOnly(reasonsOf(stopped.Decision.Reasons)),
		}
	case errors.As(err, &role):
		return &Problem{Status: http.StatusForbidden, Title: "Not this person's to decide", Detail: role.Detail + " Nothing was changed."}
	case errors.As(err, &refused):
		return &Problem{Status: http.StatusForbidden, Title: "Not yours to ask", Detail: refused.Detail + " That it was asked is in the log."}
	case errors.As(err, &stale):
		return &Problem{
			Status: http.StatusConflict, Title: "Something has come up since",
			Detail: "What holds this transfer is no longer what the ruling was made on. Look at the reasons of now, and rule again. Nothing was changed.",
			State:  "held", Reasons: reasonsOf(stale.Reasons),
		}
	case errors.Is(err, exchange.ErrNoException):
		return &Problem{Status: http.StatusConflict, Title: "Nothing to review", Detail: "This transfer did not go by exception."}
	case errors.Is(err, exchange.ErrReviewed):
		return &Problem{Status: http.StatusConflict, Title: "Reviewed already", Detail: "The review of this exception is in the log, and it came to something else."}
	case errors.Is(err, exchange.ErrDecided):
		return &Problem{Status: http.StatusConflict, Title: "Decided already", Detail: "This request has another decision. Enter a new request if it is asked again."}
	case errors.Is(err, exchange.ErrNotYourRequest):
		return &Problem{Status: http.StatusNotFound, Title: "No such request", Detail: "There is no request to you with this reference."}
	case errors.Is(err, exchange.ErrNoRequest):
		return &Problem{Status: http.StatusConflict, Title: "Not granted", Detail: "No request with this reference was granted for these items. See GET /v1/requests."}
	case errors.As(err, &not):
		return &Problem{Status: http.StatusConflict, Title: "Not possible now", Detail: not.Error() + ". Nothing was changed.", State: string(not.State)}
	case errors.Is(err, rights.ErrNoCase):
		return &Problem{Status: http.StatusNotFound, Title: "No such case", Detail: "There is no case of yours with this reference."}
	case errors.Is(err, rights.ErrNoNotice):
		return &Problem{Status: http.StatusNotFound, Title: "No such notice", Detail: "There is no notice to you with this id."}
	case errors.As(err, &state):
		return &Problem{Status: http.StatusConflict, Title: "Not in this state", Detail: state.Error() + ".", State: string(state.State)}
	case errors.Is(err, exchange.ErrTooLarge):
		return &Problem{
			Status: http.StatusUnprocessableEntity, Title: "The message is about too many people at once",
			Detail: "What was decided about each of them does not fit into one entry of the log. Nothing was stored; send a message for each carer or household.",
		}
	case errors.Is(err, exchange.ErrNotYours):
		return &Problem{Status: http.StatusNotFound, Title: "No such transfer", Detail: "There is no transfer of yours with this id."}
	case errors.Is(err, exchange.ErrNoRoom):
		return &Problem{
			Status: http.StatusServiceUnavailable, Title: "The answer is full",
			Detail: "Those before it are so large that this one did not fit. Nothing of it was disclosed; collect it in another request.",
		}
	case errors.Is(err, store.ErrBusy):
		p := *errBusy
		return &p
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Problem{
			Status: http.StatusServiceUnavailable, Title: "Too slow",
			Detail: "This took longer than the hub waits for it, and may have been done all the same. Send the same message again, under the same message_id, after the time in Retry-After: the answer will be the one it has.",
			header: map[string]string{"Retry-After": "5"},
		}
	}
	return nil
}

// problem turns an error into an answer, and logs it once when it is the hub's own.
func (s *server) problem(r *http.Request, err error) answer {
	p := problemFor(err)
	if p == nil {
		p = &Problem{
			Status: http.StatusServiceUnavailable, Title: "The hub could not do this now", Instance: "urn:uuid:" + uuid.NewString(),
			Detail: "Nothing was disclosed. Send the same message again, under the same message_id, after the time in Retry-After; if it goes on, give the hub's operator the id in instance.",
			header: map[string]string{"Retry-After": "5"},
		}
		s.Log.ErrorContext(r.Context(), "request failed", "instance", p.Instance, "err", err)
	}
	if p.Type == "" {
		p.Type = "about:blank"
	}
	return answer{status: p.Status, body: p, kind: "application/problem+json", header: p.header}
}

func orJSON(kind string) string { return cmp.Or(kind, "application/json") }

// write sends the answer and gives its status. The error is that of a stream, of which a part has been sent.
func (s *server) write(w http.ResponseWriter, r *http.Request, a answer) (int, error) {
	body, raw := a.body.([]byte)
	long, streamed := a.body.(stream)
	if !raw && !streamed {
		var err error
		if body, err = json.Marshal(a.body); err != nil {
			s.Log.ErrorContext(r.Context(), "encode answer", "err", err)
			a.status, body = http.StatusInternalServerError, []byte(`{"type":"about:blank","title":"Internal error","status":500}`)
		}
	}
	h := w.Header()
	h.Set("Content-Type", orJSON(a.kind))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	for k, v := range a.header {
		h.Set(k, v)
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	w.WriteHeader(a.status)
	if streamed {
		err := long(w)
		if err != nil {
			s.Log.WarnContext(r.Context(), "an answer was broken off", "err", err)
		}
		return a.status, err
	}
	if _, err := w.Write(body); err != nil {
		s.Log.DebugContext(r.Context(), "client gone before the answer was written", "err", err)
	}
	return a.status, nil
}
