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

// PublishedCheckpoint is a checkpoint that the hub published for witnesses.
type PublishedCheckpoint struct {
	Size       int64     `json:"size"`
	At         time.Time `json:"at"`
	Checkpoint string    `json:"checkpoint"` // with the cosignatures behind the log's signature: see VerifyCheckpoint
	Cosigned   []struct {
		Witness string    `json:"witness"`
		At      time.Time `json:"at"`
	} `json:"cosigned"`
}

// CheckpointPage is part of what was published, newest first. Next is the Below of the next page; it is 0 on the last.
type CheckpointPage struct {
	Origin      string                `json:"origin"`
	Witnesses   []string              `json:"witnesses"` // whose cosignatures the hub takes
	Checkpoints []PublishedCheckpoint `json:"checkpoints"`
	Next        int64                 `json:"next"`
}

// Checkpoints lists published checkpoints of fewer leaves than below (any when 0), and who has cosigned them.
func (c *Client) Checkpoints(ctx context.Context, below int64, limit int) (*CheckpointPage, error) {
	q := page("", limit)
	if below > 0 {
		q.Set("below", strconv.FormatInt(below, 10))
	}
	var out CheckpointPage
	if _, err := c.into(ctx, http.MethodGet, "/v1/log/checkpoints?"+q.Encode(), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// BringCosignature brings the hub what a witness of ours has put under a published checkpoint: see Witness.
func (c *Client) BringCosignature(ctx context.Context, origin string, size int64, line []byte) error {
	in, err := json.Marshal(map[string]any{"origin": origin, "size": size, "cosignature": string(line)})
	if err != nil {
		return fmt.Errorf("write a cosignature: %w", err)
	}
	_, err = c.call(ctx, http.MethodPost, "/v1/log/cosignatures", in)
	return err
}

// DisclosureReceipt gives the receipt of the newest release of a transfer that we sent or received: see VerifyReceipt.
func (c *Client) DisclosureReceipt(ctx context.Context, id transfer.TransferID) ([]byte, error) {
	a, err := c.call(ctx, http.MethodGet, "/v1/log/receipts/"+url.PathEscape(string(id)), nil)
	return a.body, err
}

// Holding is what we keep of something that was released to us.
type Holding struct {
	TransferID    transfer.TransferID `json:"transfer_id"`
	Log           LogRef              `json:"log"`
	PayloadDigest string              `json:"payload_digest"`
}

// Logged is a release to us that is in the log.
type Logged struct {
	Holding

	At          time.Time         `json:"at"`
	By          transfer.SystemID `json:"by"`           // the system of ours that took it
	AnotherHeld bool              `json:"another_held"` // we do hold another release of this transfer
}

// Statement is how what we hold compares with the hub's log.
type Statement struct {
	Matched   int       `json:"matched"`
	Missing   []Logged  `json:"missing"` // released to us, and not among what we hold
	Unknown   []Holding `json:"unknown"` // held by us, and never released
	Differing []struct {
		Holding

		Logged []Holding `json:"logged"`
	} `json:"differing"` // released to us at another place, or with another dataset
	QueryLeaf LogRef `json:"query_leaf"`
}

// Reconcile compares what we hold with what the hub's log says was released to us from a time to another (excluded). It is for the Data Protection
// Lead.
func (c *Client) Reconcile(ctx context.Context, from, to time.Time, held []Holding) (*Statement, error) {
	in, err := json.Marshal(map[string]any{"from": from.UTC(), "to": to.UTC(), "holdings": append([]Holding{}, held...)})
	if err != nil {
		return nil, fmt.Errorf("write what we hold: %w", err)
	}
	var out Statement
	if _, err := c.into(ctx, http.MethodPost, "/v1/log/reconciliations", in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}
