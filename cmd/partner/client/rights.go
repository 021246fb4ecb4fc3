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

// Case is a right that somebody exercises, a complaint, an incident or a legal hold, as it stands. It names nobody.
type Case struct {
	Reference string             `json:"reference"`
	Type      string             `json:"type"`
	Partner   transfer.PartnerID `json:"partner"`
	State     string             `json:"state"`
	Received  string             `json:"received"` // "2026-11-20"
	Channel   string             `json:"channel,omitempty"`
	Known     bool               `json:"known"` // the log holds something of ours about the person
	Items     []string           `json:"items,omitempty"`
	Grounds   []string           `json:"grounds,omitempty"`
	Stage     string             `json:"stage,omitempty"`
	Steps     []CaseStep         `json:"steps"`
	Deadlines []Deadline         `json:"deadlines,omitempty"`
	Tasks     []CaseTask         `json:"tasks,omitempty"`
	Possible  []string           `json:"possible,omitempty"` // the steps that can be taken now; not in lists
	Notices   []Notice           `json:"notices,omitempty"`  // not in lists
}

// CaseStep is what was done about a case.
type CaseStep struct {
	Step    string             `json:"step"`
	On      string             `json:"on"`
	By      transfer.PartnerID `json:"by"`
	Person  string             `json:"person,omitempty"`
	Role    string             `json:"role,omitempty"`
	Grounds []string           `json:"grounds,omitempty"`
	Items   []string           `json:"items,omitempty"`
	Log     LogRef             `json:"log"`
}

// Deadline is by when something is due, and which rule says so.
type Deadline struct {
	What    string `json:"what"`
	By      string `json:"by,omitempty"`
	Source  string `json:"source"`
	Met     bool   `json:"met"`
	Warning string `json:"warning,omitempty"`
}

// CaseTask is a recipient whom one of our people has to tell.
type CaseTask struct {
	ID     string   `json:"id"`
	Office string   `json:"office"`
	Act    string   `json:"act"`
	Items  []string `json:"items,omitempty"`
	Made   []string `json:"made"`
	Done   bool     `json:"done"`
}

// Notice tells a recipient what became of data that it was given.
type Notice struct {
	ID        string                `json:"id"`
	Case      string                `json:"case"`
	Sender    transfer.PartnerID    `json:"sender"`
	Recipient transfer.PartnerID    `json:"recipient"`
	Act       string                `json:"act"`
	State     string                `json:"state"`
	Reason    string                `json:"reason,omitempty"`
	Transfers []transfer.TransferID `json:"transfers,omitempty"`
	Items     []string              `json:"items,omitempty"`
	Effective time.Time             `json:"effective"`
	Respond   string                `json:"respond"`
	PassOn    bool                  `json:"pass_on"`
	Looked    bool                  `json:"looked"`
	Log       LogRef                `json:"log"`
}

// OpenCase opens a case (contract case/1). The same bytes again open no other.
func (c *Client) OpenCase(ctx context.Context, body []byte) (*Case, error) {
	return c.caseAt(ctx, http.MethodPost, "/v1/cases", body)
}

// Case shows a case.
func (c *Client) Case(ctx context.Context, reference string) (*Case, error) {
	return c.caseAt(ctx, http.MethodGet, "/v1/cases/"+url.PathEscape(reference), nil)
}

// TakeStep takes a step of a case (contract case-step/1). The same bytes again change nothing.
func (c *Client) TakeStep(ctx context.Context, reference string, body []byte) (*Case, error) {
	return c.caseAt(ctx, http.MethodPost, "/v1/cases/"+url.PathEscape(reference)+"/steps", body)
}

func (c *Client) caseAt(ctx context.Context, method, path string, body []byte) (*Case, error) {
	var out Case
	if _, err := c.into(ctx, method, path, body, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// CasePage is a page of cases, oldest first. Next, when there is more, is the after of the next page.
type CasePage struct {
	Cases []Case `json:"cases"`
	Next  string `json:"next,omitempty"`
}

// Cases lists our cases: of a type, in a state, and those that are overdue, where they are given. A limit of zero is the hub's own.
func (c *Client) Cases(ctx context.Context, kind, state string, overdue bool, after string, limit int) (*CasePage, error) {
	var out CasePage
	_, err := c.into(ctx, http.MethodGet, "/v1/cases"+query(map[string]string{
		"type": kind, "state": state, "overdue": flag(overdue), "after": after, "limit": number(limit),
	}), nil, &out)
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// CaseReport answers who received what about the person of a case: for "person" or "dpl", as "json", "html" or "text".
func (c *Client) CaseReport(ctx context.Context, reference, reader, form string) ([]byte, error) {
	a, err := c.call(ctx, http.MethodGet, "/v1/cases/"+url.PathEscape(reference)+"/report"+query(map[string]string{"for": reader, "form": form}), nil)
	return a.body, err
}

// Inventory answers our Data Protection Complaint Inventory, as a CSV.
func (c *Client) Inventory(ctx context.Context) ([]byte, error) {
	a, err := c.call(ctx, http.MethodGet, "/v1/complaints/inventory", nil)
	return a.body, err
}

// NoticePage is a page of notices, oldest first.
type NoticePage struct {
	Notices []Notice `json:"notices"`
	Next    string   `json:"next,omitempty"`
}

// Notices lists what we have been told to act on.
func (c *Client) Notices(ctx context.Context, state string, overdue bool, after string, limit int) (*NoticePage, error) {
	var out NoticePage
	_, err := c.into(ctx, http.MethodGet, "/v1/notices"+query(map[string]string{
		"state": state, "overdue": flag(overdue), "after": after, "limit": number(limit),
	}), nil, &out)
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// Notice shows a notice.
func (c *Client) Notice(ctx context.Context, id string) (*Notice, error) {
	var out Notice
	if _, err := c.into(ctx, http.MethodGet, "/v1/notices/"+url.PathEscape(id), nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// NoticeAnswer is what we did about a notice: "received", "actioned", or "refused" with a reason.
type NoticeAnswer struct {
	MessageID string `json:"message_id"`
	Status    string `json:"status"`
	Reason    string `json:"reason,omitempty"`
	Person    string `json:"person"` // by the id of our register entry
}

// AnswerNotice says what we did about a notice. The same answer again changes nothing.
func (c *Client) AnswerNotice(ctx context.Context, id string, a NoticeAnswer) (*Notice, error) {
	body, err := json.Marshal(struct {
		Contract string `json:"contract"`
		NoticeAnswer
	}{"notice-answer/1", a})
	if err != nil {
		return nil, fmt.Errorf("write an answer: %w", err)
	}
	var out Notice
	if _, err := c.into(ctx, http.MethodPost, "/v1/notices/"+url.PathEscape(id)+"/answers", body, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// query writes parameters, without those that are empty.
func query(values map[string]string) string {
	q := url.Values{}
	for name, v := range values {
		if v != "" {
			q.Set(name, v)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return ""
}

func number(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}
