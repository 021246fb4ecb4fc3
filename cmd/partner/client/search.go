package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"referralhub/hub/transfer"
)

// Query asks the disclosure log: about a Subject or a TransferID, and by what leaves have to say, or by that alone. Why is logged with the answer
// and is required.
type Query struct {
	Subject    *Identifier         `json:"subject,omitempty"`
	Of         transfer.PartnerID  `json:"of,omitempty"` // who gave the subject that case number, when it is not the asker
	TransferID transfer.TransferID `json:"transfer_id,omitempty"`
	Facets
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`        // excluded
	Everyone bool      `json:"everyone,omitempty"` // every partner's transfers: the operator's alone
	Why      string    `json:"why"`
	Order    string    `json:"order,omitempty"` // "oldest" or "newest" first
	After    []LogRef  `json:"after,omitempty"`
	Limit    int       `json:"limit,omitempty"`
}

// Facets are what a leaf of the log has to say to be found: all that are set. They are flags of a command line too.
type Facets struct {
	Kinds     []string             `json:"kinds,omitempty" name:"kind" placeholder:"KIND" help:"Kinds of entries: decision, release, outcome, ruling, consent, request, disclosure, agreement, signature, partner, query, case, notice."`
	Partner   transfer.PartnerID   `json:"partner,omitempty" placeholder:"PARTNER" help:"Who sent or received; or recorded a consent, or asked."`
	Sender    transfer.PartnerID   `json:"sender,omitempty" placeholder:"PARTNER" help:"Who sent."`
	Recipient transfer.PartnerID   `json:"recipient,omitempty" placeholder:"PARTNER" help:"Who received, or was to."`
	Agreement transfer.AgreementID `json:"agreement,omitempty" placeholder:"ID" help:"Under which agreement."`
	Version   int                  `json:"version,omitempty" placeholder:"N" help:"Under which version of it."`
	Flow      string               `json:"flow,omitempty" placeholder:"CLAUSE" help:"Under which clause: hertswise@1#refer."`
	Purpose   transfer.Purpose     `json:"purpose,omitempty" placeholder:"CODE" help:"For which purpose."`
	Service   transfer.Service     `json:"service,omitempty" placeholder:"CODE" help:"For which service."`
	Item      string               `json:"item,omitempty" placeholder:"NAME" help:"An item that went or may go, or a section: carer.name."`
	Category  string               `json:"category,omitempty" placeholder:"CODE" help:"A category of items that went or may go."`
	Outcome   transfer.Outcome     `json:"outcome,omitempty" placeholder:"CODE" help:"What was decided: permit, permit-reduced, permit-exception, hold, refuse."`
	Exception string               `json:"exception,omitempty" placeholder:"KIND" help:"A kind of exception, the instrument of a demand, or any."`
	State     transfer.State       `json:"state,omitempty" placeholder:"STATE" help:"Where the transfer stands now: queued, released, received, ..."`
}

// Empty reports whether nothing is set.
func (f Facets) Empty() bool { return reflect.ValueOf(f).IsZero() }

// Instant is a time on a command line: RFC 3339, or a day, which begins at midnight UTC.
type Instant struct{ time.Time }

// UnmarshalText reads one.
func (i *Instant) UnmarshalText(text []byte) error {
	var err error
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if i.Time, err = time.Parse(layout, string(text)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("write a day as 2026-03-02, or a time as 2026-03-02T09:30:00Z")
}

// Findings is what the disclosure log has. Next, when there is more, is the After of the next query.
type Findings struct {
	Entries   []Entry  `json:"entries"`
	Next      []LogRef `json:"next,omitempty"`
	QueryLeaf LogRef   `json:"query_leaf"` // where this question itself was logged
}

// Search asks the disclosure log who received what, when and why. It is the Data Protection Lead's.
func (c *Client) Search(ctx context.Context, q Query) (*Findings, error) {
	in, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("write a query: %w", err)
	}
	var out Findings
	if _, err := c.into(ctx, http.MethodPost, "/v1/disclosures/search", in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Export asks the same question for a file, in one of the forms "csv", "json", "jsonl", "auditevent" (FHIR) and "html", and writes it to w. The answer
// is whole only when there is no error: keep what was written under another name until then.
func (c *Client) Export(ctx context.Context, q Query, form string, w io.Writer) error {
	in, err := json.Marshal(map[string]any{"question": q, "form": form})
	if err != nil {
		return fmt.Errorf("write a query: %w", err)
	}
	return c.copy(ctx, http.MethodPost, "/v1/disclosures/export", in, w)
}
