package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"
	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const maxWait = 30 * time.Second

type inboxEntry struct {
	TransferID    transfer.TransferID  `json:"transfer_id"`
	MessageType   transfer.MessageType `json:"message_type"`
	Sender        transfer.PartnerID   `json:"sender"`
	Purpose       transfer.Purpose     `json:"purpose"`
	Service       transfer.Service     `json:"service,omitempty"`
	CorrelationID string               `json:"correlation_id,omitempty"`
	State         transfer.State       `json:"state"`
	QueuedAt      time.Time            `json:"queued_at"`
	ExpiresAt     time.Time            `json:"expires_at"`
}

// inbox lists what waits, and with wait=N holds an empty answer back for up to N seconds until something does.
func (s *server) inbox(r *http.Request, by auth.Principal) (answer, error) {
	after, limit, err := page(r)
	if err != nil {
		return answer{}, err
	}
	var wait time.Duration
	if v := r.URL.Query().Get("wait"); v != "" {
		seconds, err := strconv.Atoi(v)
		if err != nil || seconds < 0 || time.Duration(seconds)*time.Second > maxWait {
			return answer{}, invalid("?wait", "range", "wait is a number of seconds from 0 to 30", "leave it out to be answered at once")
		}
		wait = time.Duration(seconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	var woken <-chan struct{}
	if wait > 0 {
		// Before the first look, so that nothing slips between look and wait.
		if woken, err = s.Watcher.Watch(ctx, by.Partner); err != nil {
			s.Log.WarnContext(ctx, "long poll will not be woken", "partner", by.Partner, "err", err)
		}
	}
	for {
		rows, err := s.lookInto(r.Context(), by, after, limit)
		if err != nil {
			return answer{}, err
		}
		if len(rows) > 0 || ctx.Err() != nil || wait == 0 {
			out := map[string]any{"entries": lo.Map(rows, func(t store.Transfer, _ int) inboxEntry {
				return inboxEntry{t.ID, t.Type, t.Sender, t.Purpose, t.Service, t.CorrelationID, t.State, t.CreatedAt, t.ExpiresAt}
			})}
			if len(rows) > 0 {
				out["next"] = rows[len(rows)-1].ID
			}
			return answer{body: out}, nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
		case <-s.closing:
			cancel()
		}
	}
}

func (s *server) lookInto(ctx context.Context, by auth.Principal, after transfer.TransferID, limit int) ([]store.Transfer, error) {
	release, err := s.slot()
	if err != nil {
		return nil, err
	}
	defer release()
	return s.Exchange.Inbox(ctx, by, after, limit)
}

// collect is the release: what it answers with has been decided again and logged.
func (s *server) collect(r *http.Request, by auth.Principal) (answer, error) {
	parcel, err := s.Exchange.Collect(r.Context(), by, transfer.TransferID(mux.Vars(r)["id"]))
	if err != nil {
		return answer{}, err
	}
	var out bytes.Buffer
	if _, err := parcel.WriteTo(&out); err != nil {
		return answer{}, err
	}
	return answer{body: out.Bytes()}, nil
}

func (s *server) receipt(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	if err := check("receipt/1", body); err != nil {
		return answer{}, err
	}
	var in struct {
		Contract   string             `json:"contract"`
		MessageID  string             `json:"message_id"`
		Status     string             `json:"status"`
		Reason     string             `json:"reason"`
		RedirectTo transfer.PartnerID `json:"redirect_to"`
		Items      []string           `json:"items_wanted"`
		At         string             `json:"at"`
	}
	if err := decode(body, &in); err != nil {
		return answer{}, err
	}
	if in.Status == "declined" && in.Reason == "" {
		return answer{}, invalid("/reason", "required", "a receipt that declines says why", "give one of the reason codes of the receipt contract")
	}
	if in.RedirectTo != "" {
		if _, known := s.Exchange.Index().Partner(in.RedirectTo); !known {
			return answer{}, invalid("/redirect_to", "unknown-partner", "no partner of this hub has this id", "take an id from GET /v1/partners")
		}
	}
	id := transfer.TransferID(mux.Vars(r)["id"])
	state, err := s.Exchange.Acknowledge(r.Context(), by, id, exchange.Receipt{Status: in.Status, Reason: in.Reason, RedirectTo: in.RedirectTo, Items: in.Items})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: map[string]any{"transfer_id": id, "state": state}}, nil
}

// check holds a body against a contract that has no items.
func check(kind transfer.MessageType, body []byte) error {
	contract, ok := contracts.For(kind)
	if !ok {
		return &Problem{Status: http.StatusNotFound, Title: "No such contract", Detail: string(kind)}
	}
	_, err := contract.Parse(body)
	return err
}

func (s *server) consent(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	if err := check("consent/1", body); err != nil {
		return answer{}, err
	}
	message, person, ev, err := consentOf(body)
	if err != nil {
		return answer{}, err
	}
	done, err := s.Exchange.RecordConsent(r.Context(), by, transfer.MessageID(message), person, ev)
	if err != nil {
		return answer{}, err
	}
	status := http.StatusCreated
	if done.Repeat {
		status = http.StatusOK
	}
	return answer{status: status, body: map[string]any{
		"consent_id": done.ID, "stopped": orNone(done.Stopped), "resumed": orNone(done.Resumed), "log": logRef{Origin: s.Origin, Index: done.Leaf},
	}}, nil
}

func orNone(ids []transfer.TransferID) []transfer.TransferID {
	if ids == nil {
		return []transfer.TransferID{}
	}
	return ids
}

// consentOf takes apart a consent that its contract has accepted: whose it is, and the event.
func consentOf(body []byte) (string, []contracts.Identifier, consent.Event, error) {
	var in struct {
		MessageID string `json:"message_id"`
		Subject   struct {
			Identifiers []struct{ Scheme, Value string } `json:"identifiers"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", nil, consent.Event{}, &Problem{Status: http.StatusBadRequest, Title: "Not readable", Detail: "The body is not a consent event."}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return "", nil, consent.Event{}, &Problem{Status: http.StatusBadRequest, Title: "Not readable", Detail: "The body is not a consent event."}
	}
	delete(members, "contract")
	delete(members, "message_id")
	rest, err := json.Marshal(members)
	if err != nil {
		return "", nil, consent.Event{}, fmt.Errorf("encode consent event: %w", err)
	}
	ev, err := consent.Parse(rest)
	if err != nil {
		return "", nil, consent.Event{}, err
	}
	person := make([]contracts.Identifier, len(in.Subject.Identifiers))
	for i, id := range in.Subject.Identifiers {
		if id.Scheme == "nhs-number" && !contracts.ValidNHSNumber(id.Value) {
			return "", nil, consent.Event{}, invalid("/subject/identifiers/"+strconv.Itoa(i)+"/value", "check-digit",
				"this is not an NHS number: its check digit does not fit", "look it up again; it has ten digits")
		}
		person[i] = contracts.Identifier{Scheme: id.Scheme, Value: id.Value}
	}
	return in.MessageID, person, ev, nil
}
