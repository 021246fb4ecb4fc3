package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"referralhub/hub/transfer"
)

// Job is a transfer that waits for one of the sender's people to look at it.
type Job struct {
	TransferID transfer.TransferID `json:"transfer_id"`
	MessageID  transfer.MessageID  `json:"message_id,omitempty"`
	Sender     transfer.PartnerID  `json:"sender"`
	Recipient  transfer.PartnerID  `json:"recipient"`
	Purpose    transfer.Purpose    `json:"purpose"`
	Service    transfer.Service    `json:"service,omitempty"`
	State      transfer.State      `json:"state"`
	Outcome    transfer.Outcome    `json:"outcome"`
	Owner      string              `json:"owner"` // "sender", "dpl" or "safeguarding-lead"
	Deadline   time.Time           `json:"deadline"`
	Overdue    bool                `json:"overdue"`
	Reasons    []Reason            `json:"reasons"`
	CreatedAt  time.Time           `json:"created_at"`
	Log        LogRef              `json:"log"`
}

// Jobs is a page of a queue, what is due first at its head. Next, when there is more, is the after of the next page.
type Jobs struct {
	Holds      []Job  `json:"holds,omitempty"`
	Exceptions []Job  `json:"exceptions,omitempty"`
	Next       string `json:"next,omitempty"`
}

// Holds lists what waits for the sender's people; for one owner's, unless owner is empty. A limit of zero is the hub's own.
func (c *Client) Holds(ctx context.Context, owner, after string, limit int) (*Jobs, error) {
	return c.jobs(ctx, "/v1/holds", url.Values{"owner": {owner}, "after": {after}}, limit)
}

// Exceptions lists what went by exception and has not been reviewed.
func (c *Client) Exceptions(ctx context.Context, after string, limit int) (*Jobs, error) {
	return c.jobs(ctx, "/v1/exceptions", url.Values{"unreviewed": {"1"}, "after": {after}}, limit)
}

func (c *Client) jobs(ctx context.Context, path string, q url.Values, limit int) (*Jobs, error) {
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	for name, values := range q {
		if values[0] == "" {
			q.Del(name)
		}
	}
	var out Jobs
	if _, err := c.into(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Ruling is what a person decided: "release", "refuse" or "return" a hold, or "reviewed" for an exception.
type Ruling struct {
	Act    string    `json:"act"`
	Person string    `json:"person"`          // by the id of our register entry
	Codes  []string  `json:"codes,omitempty"` // the reasons that the person looked at
	Ground string    `json:"ground"`
	At     time.Time `json:"at"`
}

// Rule sends a ruling on a hold, and gives the transfer as it stands then. The same ruling again changes nothing.
func (c *Client) Rule(ctx context.Context, id transfer.TransferID, r Ruling) (*Transfer, error) {
	return c.rule(ctx, "/v1/holds/"+url.PathEscape(string(id))+"/ruling", r)
}

// Review records that a person has looked at an exception.
func (c *Client) Review(ctx context.Context, id transfer.TransferID, r Ruling) (*Transfer, error) {
	return c.rule(ctx, "/v1/exceptions/"+url.PathEscape(string(id))+"/review", r)
}

func (c *Client) rule(ctx context.Context, path string, r Ruling) (*Transfer, error) {
	in, err := json.Marshal(struct {
		Contract string `json:"contract"`
		Ruling
	}{"ruling/1", r})
	if err != nil {
		return nil, fmt.Errorf("write a ruling: %w", err)
	}
	var out Transfer
	if _, err := c.into(ctx, http.MethodPost, path, in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Disclosed enters a disclosure that was made outside the hub (contract disclosure/1), and says where the log has it. The same bytes again
// change nothing.
func (c *Client) Disclosed(ctx context.Context, disclosure []byte) (LogRef, error) {
	var out struct {
		Log LogRef `json:"log"`
	}
	_, err := c.into(ctx, http.MethodPost, "/v1/disclosures", disclosure, &out)
	return out.Log, err
}

// AskedFor enters a one-off request (contract request/1), and gives its reference. The same bytes again change nothing.
func (c *Client) AskedFor(ctx context.Context, request []byte) (reference string, err error) {
	var out struct {
		Reference string `json:"reference"`
	}
	_, err = c.into(ctx, http.MethodPost, "/v1/requests", request, &out)
	return out.Reference, err
}

// Request is a one-off request and what became of it.
type Request struct {
	Reference    string           `json:"reference"`
	Organisation string           `json:"organisation"`
	Office       string           `json:"office"`
	Received     string           `json:"received"`
	Items        []string         `json:"items"`
	Purpose      transfer.Purpose `json:"purpose"`
	State        string           `json:"state"` // "open", "granted", "part" or "refused"
	Granted      []string         `json:"granted,omitempty"`
}

// Requests lists the one-off requests made of us, those in one state unless it is empty.
func (c *Client) Requests(ctx context.Context, state, after string, limit int) ([]Request, error) {
	q := url.Values{}
	for name, value := range map[string]string{"state": state, "after": after} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var out struct {
		Requests []Request `json:"requests"`
	}
	_, err := c.into(ctx, http.MethodGet, "/v1/requests?"+q.Encode(), nil, &out)
	return out.Requests, err
}

// Answer is how somebody decided a one-off request.
type Answer struct {
	Decision string   `json:"decision"` // "granted", "part" or "refused"
	Reasons  []string `json:"reasons"`
	Items    []string `json:"items,omitempty"` // of a part
	Person   string   `json:"person"`
	Decided  string   `json:"decided"` // "2026-11-20"
}

// DecideRequest records the answer to a one-off request.
func (c *Client) DecideRequest(ctx context.Context, reference string, a Answer) (*Request, error) {
	in, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("write an answer: %w", err)
	}
	var out Request
	if _, err := c.into(ctx, http.MethodPost, "/v1/requests/"+url.PathEscape(reference)+"/decision", in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}
