package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
	id, err := transferID(r)
	if err != nil {
		return answer{}, err
	}
	parcel, err := s.Exchange.Collect(r.Context(), by, id)
	if err != nil {
		return answer{}, err
	}
	var out bytes.Buffer
	if _, err := parcel.WriteTo(&out); err != nil {
		return answer{}, err
	}
	return answer{body: out.Bytes()}, nil
}

// collectBatch releases several transfers. Each is decided again and logged by itself. The answer is put together by hand, so that every
// dataset stays byte for byte as it was digested.
func (s *server) collectBatch(r *http.Request, by auth.Principal) (answer, error) {
	ids, err := s.batchOfIDs(r)
	if err != nil {
		return answer{}, err
	}
	known := lo.Filter(ids, func(id transfer.TransferID, _ int) bool { return isID(string(id)) })
	collected := make(map[transfer.TransferID]exchange.Collected, len(known))
	for i, c := range s.Exchange.CollectAll(r.Context(), by, known, int(s.batchBytes())) {
		collected[known[i]] = c
	}
	out := []byte(`{"results":[`)
	for i, id := range ids {
		c, asked := collected[id]
		if !asked {
			c.Err = exchange.ErrNotYours
		}
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = s.appendCollected(out, r, c); err != nil {
			return answer{}, err
		}
	}
	return answer{body: append(out, "]}"...)}, nil
}

func (s *server) appendCollected(out []byte, r *http.Request, c exchange.Collected) ([]byte, error) {
	if c.Err == nil {
		whole, err := c.Parcel.AppendJSON(append(out, `{"status":200,"body":`...))
		if err == nil {
			return append(whole, '}'), nil
		}
		c.Err = err
	}
	return s.result(r, answer{}, c.Err).appendTo(out)
}

// batchOfIDs reads which transfers are meant, each once.
func (s *server) batchOfIDs(r *http.Request) ([]transfer.TransferID, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return nil, err
	}
	var in struct {
		IDs []transfer.TransferID `json:"transfer_ids"`
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	if err := countBatch("transfer_ids", len(in.IDs)); err != nil {
		return nil, err
	}
	var faults []contracts.Fault
	for i, id := range in.IDs {
		if first := slices.Index(in.IDs, id); first < i {
			faults = append(faults, contracts.Fault{
				Pointer: fmt.Sprint("/transfer_ids/", i), Rule: "duplicate", Detail: fmt.Sprintf("this is the transfer of /transfer_ids/%d again", first), Remedy: "name each transfer once",
			})
		}
	}
	if len(faults) > 0 {
		return nil, &contracts.InvalidError{Faults: faults}
	}
	return in.IDs, nil
}

type receiptJSON struct {
	Contract   string             `json:"contract"`
	Status     string             `json:"status"`
	Reason     string             `json:"reason"`
	RedirectTo transfer.PartnerID `json:"redirect_to"`
	Items      []string           `json:"items_wanted"`
	At         time.Time          `json:"at"`
}

func (s *server) receipt(r *http.Request, by auth.Principal) (answer, error) {
	id, err := transferID(r)
	if err != nil {
		return answer{}, err
	}
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	receipt, err := s.readReceipt(body)
	if err != nil {
		return answer{}, err
	}
	state, err := s.Exchange.Acknowledge(r.Context(), by, id, receipt)
	if err != nil {
		return answer{}, err
	}
	return acknowledged(id, state), nil
}

func acknowledged(id transfer.TransferID, state transfer.State) answer {
	return answer{status: http.StatusCreated, body: struct {
		TransferID transfer.TransferID `json:"transfer_id"`
		State      transfer.State      `json:"state"`
	}{id, state}}
}

// receipts takes several receipts. Each stands for itself.
func (s *server) receipts(r *http.Request, by auth.Principal) (answer, error) {
	batch, err := s.batch(r, "receipts")
	if err != nil {
		return answer{}, err
	}
	results := make([]batchResult, len(batch))
	var good []exchange.Acknowledgement
	var place []int // of each among the results
	for i, raw := range batch {
		one, err := s.readAcknowledgement(raw)
		if err != nil {
			results[i] = s.result(r, answer{}, err)
			continue
		}
		good, place = append(good, one), append(place, i)
	}
	for i, done := range s.Exchange.AcknowledgeAll(r.Context(), by, good) {
		results[place[i]] = s.result(r, acknowledged(good[i].Transfer, done.State), done.Err)
	}
	return answer{body: map[string]any{"results": results}}, nil
}

// readAcknowledgement reads a receipt that says itself for which transfer it is.
func (s *server) readAcknowledgement(raw []byte) (exchange.Acknowledgement, error) {
	var in struct {
		TransferID transfer.TransferID `json:"transfer_id"`
		Receipt    jsontext.Value      `json:",embed"` // everything else
	}
	if err := decode(raw, &in); err != nil {
		return exchange.Acknowledgement{}, err
	}
	if in.TransferID == "" {
		return exchange.Acknowledgement{}, invalid("/transfer_id", "required", "this receipt is for no transfer", "name the transfer as the inbox names it")
	}
	if in.Receipt == nil {
		in.Receipt = jsontext.Value("{}")
	}
	receipt, err := s.readReceipt(in.Receipt)
	if err == nil && !isID(string(in.TransferID)) {
		err = exchange.ErrNotYours
	}
	return exchange.Acknowledgement{Transfer: in.TransferID, Receipt: receipt}, err
}

// readReceipt reads a receipt and checks what its contract cannot.
func (s *server) readReceipt(body []byte) (exchange.Receipt, error) {
	if err := check("receipt/1", body); err != nil {
		return exchange.Receipt{}, err
	}
	var in receiptJSON
	if err := decode(body, &in); err != nil {
		return exchange.Receipt{}, err
	}
	if faults := s.carelessReceipt(&in); len(faults) > 0 {
		return exchange.Receipt{}, &contracts.InvalidError{Faults: faults}
	}
	return exchange.Receipt{Status: in.Status, Reason: in.Reason, RedirectTo: in.RedirectTo, Items: in.Items}, nil
}

// carelessReceipt finds what the contract of receipts cannot say: which members go together, and that what they name exists.
func (s *server) carelessReceipt(in *receiptJSON) []contracts.Fault {
	var faults []contracts.Fault
	fault := func(pointer, rule, detail, remedy string) {
		faults = append(faults, contracts.Fault{Pointer: pointer, Rule: rule, Detail: detail, Remedy: remedy})
	}
	if in.At.After(s.Now().Add(clockSkew)) {
		faults = append(faults, future("/at"))
	}
	switch declined := in.Status == "declined"; {
	case declined && in.Reason == "":
		fault("/reason", "required", "a receipt that declines says why", "give one of the reason codes of the receipt contract")
	case !declined && in.Reason != "":
		fault("/reason", "contradiction", "only a receipt that declines has a reason", "leave it out, or set status to declined")
	}
	if len(in.Items) > 0 && in.Status != "more-information" {
		fault("/items_wanted", "contradiction", "only a receipt that asks for more information names items", "leave it out, or set status to more-information")
	}
	if _, known := s.Exchange.Index().Partner(in.RedirectTo); !known && in.RedirectTo != "" {
		fault("/redirect_to", "unknown-partner", "no partner of this hub has this id", "take an id from GET /v1/partners")
	}
	return faults
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
	message, person, ev, err := s.consentOf(body)
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
		"consent_id": done.ID, "stopped": orNone(done.Stopped), "resumed": orNone(done.Resumed), "log": logRef{Origin: done.Origin, Index: done.Leaf},
	}}, nil
}

func orNone(ids []transfer.TransferID) []transfer.TransferID {
	if ids == nil {
		return []transfer.TransferID{}
	}
	return ids
}

// consentOf takes apart a consent that its contract has accepted: whose it is, and the event. It checks what the contract cannot.
func (s *server) consentOf(body []byte) (string, []contracts.Identifier, consent.Event, error) {
	var in struct {
		MessageID string `json:"message_id"`
		Subject   struct {
			Identifiers []struct {
				Scheme string `json:"scheme"`
				Value  string `json:"value"`
			} `json:"identifiers"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", nil, consent.Event{}, unreadable(err)
	}
	ev, err := consent.Parse(body)
	if err != nil {
		return "", nil, consent.Event{}, &contracts.InvalidError{Faults: []contracts.Fault{noEvent("")}}
	}
	faults := carelessConsent("", &ev, s.Now())
	person := make([]contracts.Identifier, len(in.Subject.Identifiers))
	for i, id := range in.Subject.Identifiers {
		person[i] = contracts.Identifier{Scheme: id.Scheme, Value: id.Value}
		faults = append(faults, checkIdentifier("/subject/identifiers/"+strconv.Itoa(i), person[i])...)
	}
	faults = append(faults, named(map[string]string{"/message_id": in.MessageID, "/evidence": ev.Evidence}, person)...)
	if len(faults) > 0 {
		return "", nil, consent.Event{}, &contracts.InvalidError{Faults: faults}
	}
	return in.MessageID, person, ev, nil
}
