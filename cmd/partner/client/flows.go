package client

import (
	"context"
	"net/http"
	"time"

	"referralhub/hub/transfer"
)

// FlowMap is what was disclosed beside what the agreements declare now.
type FlowMap struct {
	Flows  []Flow     `json:"flows"`  // that were used
	Unused []FlowPair `json:"unused"` // that are declared, and were not used
}

// Flow is what one partner gave another for a purpose.
type Flow struct {
	Sender      transfer.PartnerID `json:"sender"`
	Recipient   transfer.PartnerID `json:"recipient"`
	Office      string             `json:"office"` // of a recipient that is no partner
	Purpose     transfer.Purpose   `json:"purpose"`
	Clause      string             `json:"clause"` // "hertswise@1#refer"; empty where there was no agreement
	Items       []string           `json:"items"`
	Disclosures int64              `json:"disclosures"`
	First       time.Time          `json:"first"`
	Last        time.Time          `json:"last"`
	Undeclared  string             `json:"undeclared"` // why it is not declared, as a code; empty when it is
	Detail      string             `json:"detail"`     // the same in words
}

// FlowPair is what a clause would let go.
type FlowPair struct {
	Clause    string             `json:"clause"`
	Purpose   transfer.Purpose   `json:"purpose"`
	Sender    transfer.PartnerID `json:"sender"`
	Recipient transfer.PartnerID `json:"recipient"`
}

// Flows compares what we sent and received, from a day in London to another ("2026-11-20", both included, any when empty), with what is declared. The
// operator sees everybody's. It is for the Data Protection Lead.
func (c *Client) Flows(ctx context.Context, from, to string) (*FlowMap, error) {
	var out FlowMap
	if _, err := c.into(ctx, http.MethodGet, "/v1/flows"+query(map[string]string{"from": from, "to": to}), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}
