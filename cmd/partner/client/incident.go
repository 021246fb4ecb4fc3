package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"referralhub/hub/transfer"
)

// Scope is what went wrong, in the words of the log. All that is set must hold. They are flags of a command line too.
type Scope struct {
	Partner    transfer.PartnerID    `json:"partner,omitempty" placeholder:"PARTNER" help:"What this partner sent or received."`
	Sender     transfer.PartnerID    `json:"sender,omitempty" placeholder:"PARTNER" help:"What this partner sent."`
	Recipient  transfer.PartnerID    `json:"recipient,omitempty" placeholder:"PARTNER" help:"What this partner received."`
	System     transfer.SystemID     `json:"system,omitempty" name:"by-system" placeholder:"SYSTEM" help:"What this system sent, or collected."`
	Agreement  transfer.AgreementID  `json:"agreement,omitempty" placeholder:"ID" help:"Under this agreement."`
	Version    int                   `json:"version,omitempty" placeholder:"N" help:"Under this version of it."`
	Purpose    transfer.Purpose      `json:"purpose,omitempty" placeholder:"CODE" help:"For this purpose."`
	Service    transfer.Service      `json:"service,omitempty" placeholder:"CODE" help:"For this service."`
	Items      []string              `json:"items,omitempty" name:"item" placeholder:"NAME" help:"An item that was wrong, or a section: carer.name."`
	Categories []string              `json:"categories,omitempty" name:"category" placeholder:"CODE" help:"A category of items."`
	Transfers  []transfer.TransferID `json:"transfers,omitempty" name:"transfer" placeholder:"ID" help:"This transfer alone; several may be named."`
	From       Instant               `json:"from,omitzero" placeholder:"DAY" help:"From this day, or time, on."`
	To         Instant               `json:"to,omitzero" placeholder:"DAY" help:"Until before this day, or time."`
	Held       bool                  `json:"held,omitempty" help:"Also what the partner had been given before, and could still read."`
}

// Size is how far an incident reached.
type Size struct {
	Disclosures   int         `json:"disclosures"`
	Transfers     int         `json:"transfers"`
	People        int         `json:"people"`
	Professionals int         `json:"professionals"`
	Records       int         `json:"records"`
	Children      int         `json:"children"`
	Roles         []SizeCount `json:"roles"`
	Items         []SizeCount `json:"items"`
	Categories    []SizeCount `json:"categories"`
	Recipients    []SizeCount `json:"recipients"`
	Senders       []SizeCount `json:"senders"`
	Agreements    []SizeCount `json:"agreements"`
	Exceptions    []SizeCount `json:"exceptions"`
	First         Instant     `json:"first,omitzero"`
	Last          Instant     `json:"last,omitzero"`
	Waiting       struct {
		Queued   int `json:"queued"`
		Held     int `json:"held"`
		Released int `json:"released"` // and nobody has confirmed to have it
	} `json:"waiting"`
	Evidence []struct {
		Origin     string `json:"origin"`
		First      int64  `json:"first"`
		Last       int64  `json:"last"`
		Leaves     int    `json:"leaves"`
		Digest     string `json:"digest"`
		Checkpoint string `json:"checkpoint"`
	} `json:"evidence"`
}

// SizeCount is in how many disclosures something was, and about how many people.
type SizeCount struct {
	What        string `json:"what"`
	Disclosures int    `json:"disclosures"`
	People      int    `json:"people"`
	Category    string `json:"category,omitempty"`
	Special     bool   `json:"special,omitempty"` // Art 9 UK GDPR
	Offence     bool   `json:"offence,omitempty"` // Art 10 UK GDPR
}

// SizeIncident asks how far something reached. Why is logged with the answer and is required.
func (c *Client) SizeIncident(ctx context.Context, s Scope, why string) (*Size, error) {
	in, err := json.Marshal(map[string]any{"scope": s, "why": why})
	if err != nil {
		return nil, fmt.Errorf("write a scope: %w", err)
	}
	var out Size
	if _, err := c.into(ctx, http.MethodPost, "/v1/incidents/size", in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Notification drafts what the Information Commissioner is told about an incident, as "json" or "text".
func (c *Client) Notification(ctx context.Context, reference, form string) ([]byte, error) {
	a, err := c.call(ctx, http.MethodGet, "/v1/incidents/"+url.PathEscape(reference)+"/notification"+query(map[string]string{"form": form}), nil)
	return a.body, err
}

// Tell writes a size for people, a line at a time.
func (s *Size) Tell(say func(format string, args ...any)) {
	say("%s, %s in %s of %s.", Count(s.People, "person"), Count(s.Records, "record"), Count(s.Disclosures, "disclosure"), Count(s.Transfers, "transfer"))
	if s.Children > 0 {
		say("%d of the people are known to be under 18.", s.Children)
	}
	if s.Professionals > 0 {
		say("Besides, up to %s.", Count(s.Professionals, "professional"))
	}
	if s.Disclosures > 0 {
		say("The first %s, the last %s.", s.First.UTC().Format("2006-01-02 15:04"), s.Last.UTC().Format("2006-01-02 15:04 UTC"))
	}
	for _, list := range []struct {
		name   string
		counts []SizeCount
	}{
		{"Received by", s.Recipients}, {"Sent by", s.Senders}, {"Under", s.Agreements}, {"By exception", s.Exceptions}, {"In the role of", s.Roles},
		{"Categories", s.Categories},
	} {
		if len(list.counts) > 0 {
			say("%s:", list.name)
		}
		for _, n := range list.counts {
			mark := ""
			if n.Special {
				mark += "  (special category)"
			}
			if n.Offence {
				mark += "  (criminal offences)"
			}
			say("  %s: %s, %s%s", n.What, Count(n.People, "person"), Count(n.Disclosures, "disclosure"), mark)
		}
	}
	if n := len(s.Items); n > 0 {
		say("%s; --json lists them.", Count(n, "item"))
	}
	if w := s.Waiting; w.Queued+w.Held+w.Released > 0 {
		say("Can still be stopped: %d waiting, %d held, %d released and not confirmed.", w.Queued, w.Held, w.Released)
	}
	for _, e := range s.Evidence {
		say("Evidence: %s in log %s, from %d to %d, %s", Count(e.Leaves, "leaf"), e.Origin, e.First, e.Last, e.Digest)
	}
}
