package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/hub/transfer"
)

// Reason is why a decision came out as it did, in words for a caseworker.
type Reason struct {
	Code   string        `json:"code"`
	Gate   string        `json:"gate,omitempty"`
	Detail string        `json:"detail,omitempty"`
	Remedy string        `json:"remedy,omitempty"`
	Clause string        `json:"clause,omitempty"` // of the agreement
	Source string        `json:"source,omitempty"` // the law or notice behind it
	Role   transfer.Role `json:"role,omitempty"`   // whom of the message it is about
	Items  []string      `json:"items,omitempty"`
}

func (r Reason) String() string {
	s := r.Code
	if r.Role != "" {
		s += " (" + string(r.Role) + ")"
	}
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	switch {
	case r.Remedy == "":
	case strings.HasSuffix(s, "."):
		s += " " + r.Remedy
	default:
		s += "; " + r.Remedy
	}
	return s
}

// Agreement is the clause of the agreement version that was decided under.
type Agreement struct {
	ID      transfer.AgreementID `json:"id"`
	Version int                  `json:"version"`
	Digest  string               `json:"digest"`
	Flow    string               `json:"flow"`
}

// Subject is what was decided for one person of the message: the names of what may go and of what was stripped.
type Subject struct {
	Role     transfer.Role `json:"role"`
	Position int           `json:"position"`
	Items    []string      `json:"items"`
	Stripped []string      `json:"stripped"`
	Consents []string      `json:"consents,omitempty"`
}

// LogRef is a place in the disclosure log.
type LogRef struct {
	Origin string `json:"origin"`
	Index  int64  `json:"index"`
}

// Transfer is a message on its way to one recipient. Decide gives it without the id, the state and the place in the log, which
// only what was sent has.
type Transfer struct {
	ID        transfer.TransferID `json:"transfer_id,omitempty"`
	MessageID transfer.MessageID  `json:"message_id,omitempty"`
	Sender    transfer.PartnerID  `json:"sender,omitempty"`
	Recipient transfer.PartnerID  `json:"recipient"`
	Outcome   transfer.Outcome    `json:"outcome"`
	State     transfer.State      `json:"state,omitempty"`
	Agreement *Agreement          `json:"agreement,omitempty"`
	Reasons   []Reason            `json:"reasons,omitempty"`
	Subjects  []Subject           `json:"subjects,omitempty"`
	Owner     string              `json:"owner,omitempty"` // whose work a hold or a refusal is now
	Deadline  time.Time           `json:"deadline,omitzero"`
	Last      *Last               `json:"last,omitempty"` // of a transfer that is asked for by its id
	Log       *LogRef             `json:"log,omitempty"`
	CreatedAt time.Time           `json:"created_at,omitzero"`
}

// Last is the newest word on a transfer: the recipient's receipt, or a delivery that failed and whose fault that was.
type Last struct {
	At      time.Time `json:"at"`
	Receipt string    `json:"receipt"` // "accepted", "declined:no-capacity", "rejected", ...
	Fault   string    `json:"fault,omitempty"`
	Note    string    `json:"note,omitempty"` // whom to try instead, which items are wanted
}

// SendResult is what became of a message: a transfer to each recipient.
type SendResult struct {
	MessageID transfer.MessageID `json:"message_id"`
	Transfers []Transfer         `json:"transfers"`
	Repeat    bool               `json:"-"` // the hub had it already, and nothing happened anew
}

// Send submits a referral, as JSON of the contract referral/1.
func (c *Client) Send(ctx context.Context, body []byte) (*SendResult, error) {
	var out SendResult
	status, err := c.into(ctx, http.MethodPost, "/v1/referrals", body, &out)
	if err != nil {
		return nil, err
	}
	out.Repeat = status == http.StatusOK
	return &out, nil
}

// Result is what became of one thing of a batch: Body, or Problem.
type Result[T any] struct {
	Status  int      `json:"status"` // what the operation of its own would have answered with
	Body    *T       `json:"body"`
	Problem *Problem `json:"problem"`
}

// batch makes a call about n things, and gives the results in their order. About nothing the hub is not asked.
func batch[T any](ctx context.Context, c *Client, path string, in []byte, n int) ([]Result[T], error) {
	if n == 0 {
		return nil, nil
	}
	var out struct {
		Results []Result[T] `json:"results"`
	}
	if _, err := c.into(ctx, http.MethodPost, path, in, &out); err != nil {
		return nil, err
	}
	if len(out.Results) != n {
		return nil, fmt.Errorf("the hub gave %d results for the %d things of a batch", len(out.Results), n)
	}
	for i, r := range out.Results {
		switch {
		case r.Problem != nil:
			r.Problem.Status, r.Problem.RetryAfter = r.Status, -1
		case r.Body == nil:
			return nil, fmt.Errorf("the hub's answer for number %d of the batch is neither a result nor a problem", i)
		}
	}
	return out.Results, nil
}

// Batch submits several referrals at once, at most 100. Each stands for itself; the results are in their order. A referral whose
// result is 503 may be sent again.
func (c *Client) Batch(ctx context.Context, bodies [][]byte) ([]Result[SendResult], error) {
	in := slices.Concat([]byte(`{"referrals":[`), bytes.Join(bodies, []byte(",")), []byte("]}"))
	results, err := batch[SendResult](ctx, c, "/v1/referrals/batch", in, len(bodies))
	for _, r := range results {
		if r.Problem == nil {
			r.Body.Repeat = r.Status == http.StatusOK
		}
	}
	return results, err
}

// Decide asks what the hub would decide about a referral, and stores and sends nothing.
func (c *Client) Decide(ctx context.Context, body []byte) ([]Transfer, error) {
	var out struct {
		Decisions []Transfer `json:"decisions"`
	}
	_, err := c.into(ctx, http.MethodPost, "/v1/decisions", body, &out)
	return out.Decisions, err
}

// Transfer says where a transfer of ours stands.
func (c *Client) Transfer(ctx context.Context, id transfer.TransferID) (*Transfer, error) {
	var out Transfer
	if _, err := c.into(ctx, http.MethodGet, "/v1/transfers/"+url.PathEscape(string(id)), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// TransferPage is part of a list. Next is what to ask after; it is empty on the last page.
type TransferPage struct {
	Transfers []Transfer `json:"transfers"`
	Next      string     `json:"next"`
}

// Transfers lists our transfers in a state.
func (c *Client) Transfers(ctx context.Context, state transfer.State, after string, limit int) (*TransferPage, error) {
	q := page(after, limit)
	q.Set("state", string(state))
	var out TransferPage
	if _, err := c.into(ctx, http.MethodGet, "/v1/transfers?"+q.Encode(), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

func page(after string, limit int) url.Values {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

// InboxEntry is a transfer that waits to be collected. It holds nothing about a person.
type InboxEntry struct {
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

// InboxPage is part of an inbox, oldest first. Next is what to ask after.
type InboxPage struct {
	Entries []InboxEntry `json:"entries"`
	Next    string       `json:"next"`
}

// Inbox lists what waits for us after an entry, at most limit entries (the hub's choice when 0). When nothing waits the hub holds
// the answer back for up to wait, 30 seconds at most, in whole seconds.
func (c *Client) Inbox(ctx context.Context, after string, limit int, wait time.Duration) (*InboxPage, error) {
	q := page(after, limit)
	if wait > 0 {
		q.Set("wait", strconv.Itoa(int(wait/time.Second)))
	}
	var out InboxPage
	if _, err := c.into(ctx, http.MethodGet, "/v1/inbox?"+q.Encode(), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// LawfulBasis is under what law the data was shared.
type LawfulBasis struct {
	Article6  string `json:"article6"`
	Article9  string `json:"article9,omitempty"`
	Schedule1 string `json:"schedule1,omitempty"`
}

// Disclosure is a dataset that was released to us and under what: keep the two together.
type Disclosure struct {
	TransferID    transfer.TransferID  `json:"transfer_id"`
	MessageType   transfer.MessageType `json:"message_type"`
	Sender        transfer.PartnerID   `json:"sender"`
	Purpose       transfer.Purpose     `json:"purpose"`
	Service       transfer.Service     `json:"service,omitempty"`
	CorrelationID string               `json:"correlation_id,omitempty"`
	Agreement     Agreement            `json:"agreement"`
	LawfulBasis   LawfulBasis          `json:"lawful_basis"`
	Outcome       transfer.Outcome     `json:"outcome"`
	Consents      []string             `json:"consents,omitempty"`
	OnwardSharing string               `json:"onward_sharing,omitempty"`
	Retention     string               `json:"retention,omitempty"`
	Obligations   []Obligation         `json:"obligations,omitempty"` // what we have to heed besides: see Duty
	ReleasedAt    time.Time            `json:"released_at"`
	PayloadDigest string               `json:"payload_digest"`
	DigestKey     string               `json:"digest_key"`
	Log           LogRef               `json:"log"`

	Dataset json.RawMessage `json:"-"` // byte for byte as it was digested
	Raw     []byte          `json:"-"` // the whole answer, for ParseDisclosure: what to keep
}

// Obligation is something that a recipient has to do or not to do.
type Obligation struct {
	Code string    `json:"code"`
	By   time.Time `json:"by,omitzero"`
}

// Collect takes a transfer out of the inbox. From this moment it counts as disclosed to us. When the answer is lost on the way,
// collect again.
func (c *Client) Collect(ctx context.Context, id transfer.TransferID) (*Disclosure, error) {
	a, err := c.call(ctx, http.MethodPost, "/v1/inbox/"+url.PathEscape(string(id))+"/collect", nil)
	if err != nil {
		return nil, err
	}
	return ParseDisclosure(a.body)
}

// CollectAll takes several transfers out of the inbox, at most 100. Each stands for itself; the results are in their order. One whose
// result is 503 may be collected again.
func (c *Client) CollectAll(ctx context.Context, ids []transfer.TransferID) ([]Result[Disclosure], error) {
	in, err := json.Marshal(map[string]any{"transfer_ids": ids})
	if err != nil {
		return nil, fmt.Errorf("write a list of transfers: %w", err)
	}
	results, err := batch[json.RawMessage](ctx, c, "/v1/inbox/collect", in, len(ids))
	if err != nil {
		return nil, err
	}
	out := make([]Result[Disclosure], len(ids))
	for i, r := range results {
		out[i] = Result[Disclosure]{Status: r.Status, Problem: r.Problem}
		if r.Problem != nil {
			continue
		}
		if out[i].Body, err = ParseDisclosure(*r.Body); err != nil {
			return nil, fmt.Errorf("transfer %s: %w", ids[i], err)
		}
		if got := out[i].Body.TransferID; got != ids[i] {
			return nil, fmt.Errorf("the hub gave transfer %s in the place of %s", got, ids[i])
		}
	}
	return out, nil
}

// ParseDisclosure reads what was collected.
func ParseDisclosure(raw []byte) (*Disclosure, error) {
	var out struct {
		Disclosure *Disclosure     `json:"disclosure"`
		Dataset    json.RawMessage `json:"dataset"`
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.Disclosure == nil || len(out.Dataset) == 0 {
		return nil, errors.New("read a disclosure: expected an object of disclosure and dataset")
	}
	out.Disclosure.Dataset, out.Disclosure.Raw = out.Dataset, raw
	return out.Disclosure, nil
}

// Receipt says what became of a transfer that we collected.
type Receipt struct {
	Status      string             // "received", "accepted", "declined", "more-information" or "completed"
	Reason      string             // why declined: "out-of-area", "no-capacity", ... (contract receipt/1)
	RedirectTo  transfer.PartnerID // who might take it instead
	ItemsWanted []string           // more-information: names of items
}

// Receipt tells the sender, through the hub, what became of a transfer, and gives the state that it is in now. See Acknowledge
// for a receipt that says more.
func (c *Client) Receipt(ctx context.Context, id transfer.TransferID, status, reason string) (transfer.State, error) {
	return c.Acknowledge(ctx, id, Receipt{Status: status, Reason: reason})
}

// Acknowledge sends a receipt, and gives the state that the transfer is in now.
func (c *Client) Acknowledge(ctx context.Context, id transfer.TransferID, r Receipt) (transfer.State, error) {
	in, err := json.Marshal(c.receipt("", r))
	if err != nil {
		return "", fmt.Errorf("write a receipt: %w", err)
	}
	var out Acknowledged
	_, err = c.into(ctx, http.MethodPost, "/v1/transfers/"+url.PathEscape(string(id))+"/receipts", in, &out)
	return out.State, err
}

// Acknowledgement is a receipt for one of several transfers.
type Acknowledgement struct {
	TransferID transfer.TransferID
	Receipt    Receipt
}

// Acknowledged is the state that a transfer is in after its receipt.
type Acknowledged struct {
	TransferID transfer.TransferID `json:"transfer_id"`
	State      transfer.State      `json:"state"`
}

// AcknowledgeAll sends several receipts at once, at most 100. Each stands for itself; the results are in their order. A receipt may be
// sent again.
func (c *Client) AcknowledgeAll(ctx context.Context, receipts []Acknowledgement) ([]Result[Acknowledged], error) {
	in, err := json.Marshal(map[string]any{"receipts": lo.Map(receipts, func(a Acknowledgement, _ int) receiptJSON {
		return c.receipt(a.TransferID, a.Receipt)
	})})
	if err != nil {
		return nil, fmt.Errorf("write receipts: %w", err)
	}
	return batch[Acknowledged](ctx, c, "/v1/receipts", in, len(receipts))
}

type receiptJSON struct {
	TransferID  transfer.TransferID  `json:"transfer_id,omitempty"` // in a batch
	Contract    transfer.MessageType `json:"contract"`
	Status      string               `json:"status"`
	Reason      string               `json:"reason,omitempty"`
	RedirectTo  transfer.PartnerID   `json:"redirect_to,omitempty"`
	ItemsWanted []string             `json:"items_wanted,omitempty"`
	At          time.Time            `json:"at"`
}

func (c *Client) receipt(id transfer.TransferID, r Receipt) receiptJSON {
	return receiptJSON{id, "receipt/1", r.Status, r.Reason, r.RedirectTo, r.ItemsWanted, c.cfg.Now().UTC().Truncate(time.Second)}
}

// ConsentResult says what recording a consent event did.
type ConsentResult struct {
	ConsentID string                `json:"consent_id"`
	Stopped   []transfer.TransferID `json:"stopped"` // withdrawn: these will not go
	Resumed   []transfer.TransferID `json:"resumed"` // given: these, which were held, now will
	Log       LogRef                `json:"log"`
}

// Consent records that a person gave, refused or withdrew consent, as JSON of the contract consent/1.
func (c *Client) Consent(ctx context.Context, body []byte) (*ConsentResult, error) {
	var out ConsentResult
	if _, err := c.into(ctx, http.MethodPost, "/v1/consents", body, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Identifier is a number by which somebody knows a person.
type Identifier struct {
	Scheme string `json:"scheme"` // "nhs-number", "case-number"
	Value  string `json:"value"`
}

// Entry is one line of the disclosure log.
type Entry struct {
	At         time.Time           `json:"at"`
	Kind       string              `json:"kind"`
	TransferID transfer.TransferID `json:"transfer_id,omitempty"`
	Sender     transfer.PartnerID  `json:"sender,omitempty"`
	Recipient  transfer.PartnerID  `json:"recipient,omitempty"`
	By         transfer.SystemID   `json:"by,omitempty"`
	Purpose    transfer.Purpose    `json:"purpose,omitempty"`
	Service    transfer.Service    `json:"service,omitempty"`
	Outcome    transfer.Outcome    `json:"outcome,omitempty"`
	State      transfer.State      `json:"state,omitempty"`
	Receipt    string              `json:"receipt,omitempty"`
	Agreement  *Agreement          `json:"agreement,omitempty"`
	Role       transfer.Role       `json:"role,omitempty"`
	Items      []string            `json:"items,omitempty"`
	Stripped   []string            `json:"stripped,omitempty"`
	Reasons    []Reason            `json:"reasons,omitempty"`
	Consent    *ConsentEvent       `json:"consent,omitempty"`
	Ruling     *RulingEntry        `json:"ruling,omitempty"`
	Exception  string              `json:"exception,omitempty"`   // its kind
	Demand     string              `json:"demand,omitempty"`      // its reference
	Duties     []Task              `json:"obligations,omitempty"` // what comes with a permit, beside what comes with every one
	ExpiresAt  time.Time           `json:"expires_at,omitzero"`
	Outside    *Outside            `json:"outside,omitempty"`   // a disclosure that was made outside the hub
	Now        transfer.State      `json:"state_now,omitempty"` // what the transfer is now
	Look       *Look               `json:"query,omitempty"`     // a look at the log
	Why        string              `json:"why,omitempty"`
	Log        LogRef              `json:"log"`
}

// Look is that somebody asked the log.
type Look struct {
	Kind    string `json:"kind"`              // "person", "transfer", "log", ...
	Filter  string `json:"filter,omitempty"`  // what was asked for, in words that name nobody
	Form    string `json:"form,omitempty"`    // of an export
	Refused string `json:"refused,omitempty"` // why it was not answered
	Found   int    `json:"found"`
}

// Task is what comes with a permit, and for whom: "sender", "recipient" or "hub".
type Task struct {
	Obligation
	Who string `json:"who"`
}

// RulingEntry is what the disclosure log has of a person's ruling.
type RulingEntry struct {
	Act    string             `json:"act"`
	Codes  []string           `json:"codes,omitempty"`
	Ground string             `json:"ground,omitempty"`
	Person string             `json:"person"`
	Role   transfer.StaffRole `json:"role"`
}

// Outside says how something was disclosed outside the hub, and by whom.
type Outside struct {
	Office string    `json:"office,omitempty"`
	How    string    `json:"how"`
	Made   time.Time `json:"made"`
	Person string    `json:"person"`
}

// ConsentEvent is what the disclosure log has of somebody's consent.
type ConsentEvent struct {
	State      string               `json:"state"` // "given", "refused", "withdrawn", ...
	Purpose    transfer.Purpose     `json:"purpose"`
	Service    transfer.Service     `json:"service,omitempty"`
	Recipients []transfer.PartnerID `json:"recipients,omitempty"`
}

// Checkpoint is the log's newest signed tree head (C2SP tlog-checkpoint): see VerifyCheckpoint.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	a, err := c.call(ctx, http.MethodGet, "/v1/log/checkpoint", nil)
	return a.body, err
}

// InclusionProof asks for the proof that the leaf at index is in the tree of that size: see VerifyInclusion.
func (c *Client) InclusionProof(ctx context.Context, index, size int64) (*InclusionProof, error) {
	var out InclusionProof
	if _, err := c.into(ctx, http.MethodGet, fmt.Sprintf("/v1/log/proofs/inclusion?index=%d&size=%d", index, size), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// ConsistencyProof asks for the proof that the tree of size to continues the tree of size from: see VerifyConsistency.
func (c *Client) ConsistencyProof(ctx context.Context, from, to int64) (*ConsistencyProof, error) {
	var out ConsistencyProof
	if _, err := c.into(ctx, http.MethodGet, fmt.Sprintf("/v1/log/proofs/consistency?from=%d&to=%d", from, to), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// PartnerName is an organisation on the hub.
type PartnerName struct {
	ID   transfer.PartnerID `json:"id"`
	Name string             `json:"name"`
	Kind transfer.Kind      `json:"kind"`
	ODS  string             `json:"ods,omitempty"`
}

// Partners lists the organisations on the hub: whom a referral can be addressed to.
func (c *Client) Partners(ctx context.Context) ([]PartnerName, error) {
	var out struct {
		Partners []PartnerName `json:"partners"`
	}
	_, err := c.into(ctx, http.MethodGet, "/v1/partners", nil, &out)
	return out.Partners, err
}

// Summary says in a line what became of a transfer.
func (t *Transfer) Summary() string {
	s := fmt.Sprintf("%s: %s", t.Recipient, t.Outcome)
	if t.State != "" {
		s += ", " + string(t.State)
	}
	if t.Owner != "" {
		s += "; now with " + strings.TrimSpace(t.Owner)
	}
	if !t.Deadline.IsZero() {
		s += " until " + t.Deadline.Format(time.RFC3339)
	}
	return s
}
