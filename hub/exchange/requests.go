package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Request is a one-off request for data without an agreement, on the form of the ICO's data sharing code (Annex B, domain.md section 2.1):
// codes, offices and names of items.
type Request struct {
	Reference    string             `json:"reference"` // given by the hub
	Partner      transfer.PartnerID `json:"partner"`   // of whom it is made
	Organisation string             `json:"organisation"`
	Office       string             `json:"office"`
	Received     string             `json:"received"` // "2026-11-20"
	Items        []string           `json:"items"`
	Purpose      transfer.Purpose   `json:"purpose"`
	Necessity    string             `json:"necessity"`
	Basis        RequestBasis       `json:"basis"`
	Part3        bool               `json:"part3"`
	DPIA         string             `json:"dpia"`
	View         string             `json:"view"`
	Relationship string             `json:"relationship"`
	Agreement    bool               `json:"agreement_in_place"`
	Retention    string             `json:"retention,omitempty"`
	Security     string             `json:"security,omitempty"`
	Rights       string             `json:"rights,omitempty"`
	Often        string             `json:"often,omitempty"`

	State    string           `json:"state"`             // "open", "granted", "part", "refused"
	Granted  []string         `json:"granted,omitempty"` // of the items
	Decision *RequestDecision `json:"decision,omitempty"`
}

// RequestBasis is ledger.Basis in JSON.
type RequestBasis struct {
	Article6  string `json:"article6"`
	Article9  string `json:"article9,omitempty"`
	Schedule1 string `json:"schedule1,omitempty"`
	Offence   string `json:"offence,omitempty"`
	Law       string `json:"law,omitempty"`
}

// RequestDecision is how somebody answered a request.
type RequestDecision struct {
	Decision string             `json:"decision"` // "granted", "part" or "refused"
	Reasons  []string           `json:"reasons"`  // of RequestReasons
	Items    []string           `json:"items,omitempty"`
	Person   string             `json:"person"`
	Role     transfer.StaffRole `json:"role"` // as which the person decided
	Decided  string             `json:"decided"`
}

// RequestReasons are why a request is granted or refused.
func RequestReasons() []string {
	return []string{
		"necessary-and-proportionate", "lawful-power", "protects-somebody", "person-agrees", "public-interest",
		"not-necessary", "no-lawful-basis", "too-wide", "not-held", "harms-somebody", "ask-the-person",
	}
}

// openRequest is the state of a request that nobody has decided.
const openRequest = "open"

// grants reports whether a partner may disclose items on the strength of the request.
func (r *Request) grants(partner transfer.PartnerID, items []string) bool {
	return r.Partner == partner && !slices.ContainsFunc(items, func(i string) bool { return !slices.Contains(r.Granted, i) })
}

// leaf is the request as the log has it.
func (r *Request) leaf(by Principal, recipient transfer.PartnerID) *ledger.Leaf {
	l := &ledger.Leaf{
		Kind: ledger.KindRequest, Actor: actorOf(by), Sender: r.Partner, Recipient: recipient, Purpose: r.Purpose,
		Request: &ledger.Request{
			Reference: r.Reference, Organisation: r.Organisation, Office: r.Office, Received: r.Received, Items: r.Items,
			Basis: ledger.Basis(r.Basis), DPIA: r.DPIA, View: r.View,
		},
	}
	if d := r.Decision; d != nil {
		l.Request.Decision, l.Request.Reasons, l.Request.Decided, l.Request.Person, l.Request.Role = d.Decision, d.Reasons, d.Decided, d.Person, d.Role
		if d.Decision != "refused" {
			l.Request.Items = r.Granted
		}
	}
	return l
}

func requestKey(reference string) transfer.TransferID {
	return transfer.TransferID("request/" + reference)
}

// EnterRequest writes down that somebody asks a partner for data, and gives the request its reference. The same body under the same message id
// gives the same answer, another is ErrOtherBody.
func (x *Exchange) EnterRequest(ctx context.Context, by Principal, id transfer.MessageID, r Request, body []byte) (Request, Entered, error) {
	r.Partner, r.State, r.Reference = by.Partner, openRequest, "req-"+newID()
	op := &enterRequest{by: by, r: r, entry: x.entry("request", by.Partner, id, body)}
	err := x.do(ctx, op)
	return op.r, op.done, err
}

type enterRequest struct {
	by    Principal
	r     Request
	entry store.Entry

	done Entered
}

func (o *enterRequest) reads(n *needs) { n.entries = append(n.entries, o.entry.ID) }

func (o *enterRequest) judge(c *commit) error {
	before, repeat, err := c.entered(&o.entry)
	if o.done = (Entered{Repeat: repeat, Origin: before.Log, Leaf: before.Leaf}); repeat {
		o.r.Reference = before.Answer
		return err
	}
	row, err := rowOf(&o.r)
	if err != nil {
		return err
	}
	c.insert.Requests = append(c.insert.Requests, row)
	c.requests[o.r.Reference] = &row
	leaf := c.leafUnder(requestKey(o.r.Reference), o.r.leaf(o.by, c.partnerNamed(o.r.Organisation)))
	o.done = c.enter(o.entry, o.r.Reference, leaf)
	return nil
}

// partnerNamed is the partner that has this id, if one has.
func (c *commit) partnerNamed(id string) transfer.PartnerID {
	if p, known := c.index.Partner(transfer.PartnerID(id)); known {
		return p.ID
	}
	return ""
}

func rowOf(r *Request) (store.Request, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return store.Request{}, fmt.Errorf("encode request %s: %w", r.Reference, err)
	}
	return store.Request{Reference: r.Reference, Partner: r.Partner, State: r.State, Body: body}, nil
}

func requestIn(row *store.Request) (*Request, error) {
	var r Request
	if err := json.Unmarshal(row.Body, &r); err != nil {
		return nil, fmt.Errorf("read request %s: %w", row.Reference, err)
	}
	return &r, nil
}

// request reads one of those that the commit depends on; nil when there is none.
func (c *commit) request(reference string) (*Request, error) {
	row := c.requests[reference]
	if row == nil {
		return nil, nil
	}
	return requestIn(row)
}

// ErrNotYourRequest is what a partner gets for a request that does not exist or is made of somebody else.
var ErrNotYourRequest = fmt.Errorf("no such request of yours: %w", store.ErrNotFound)

// ErrDecided says that a request has been decided before, otherwise.
var ErrDecided = errors.New("this request has been decided already")

// DecideRequest writes down how somebody with the role answered a request. The same decision again changes nothing. The errors are
// ErrNotYourRequest, ErrDecided, ErrNoRequest when items are granted that nobody asked for, and *RoleError.
func (x *Exchange) DecideRequest(ctx context.Context, by Principal, reference string, d RequestDecision) (r Request, repeat bool, err error) {
	op := &decideRequest{by: by, reference: reference, d: d}
	if err := x.do(ctx, op); err != nil {
		return Request{}, false, err
	}
	return *op.r, op.repeat, nil
}

type decideRequest struct {
	by        Principal
	reference string
	d         RequestDecision

	r      *Request
	repeat bool
}

func (o *decideRequest) reads(n *needs) { n.requests = append(n.requests, o.reference) }

func (o *decideRequest) judge(c *commit) error {
	r, err := c.request(o.reference)
	if err != nil {
		return err
	}
	if r == nil || r.Partner != o.by.Partner {
		return ErrNotYourRequest
	}
	o.r, o.repeat = r, false
	if r.Decision != nil {
		before := r.Decision
		o.repeat = before.Decision == o.d.Decision && before.Person == o.d.Person && before.Decided == o.d.Decided &&
			slices.Equal(before.Reasons, o.d.Reasons) && slices.Equal(before.Items, o.d.Items)
		if !o.repeat {
			return ErrDecided
		}
		return nil
	}
	person, err := c.staffOf(o.by.Partner, o.d.Person)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(person.Roles, func(role transfer.StaffRole) bool {
		return role == transfer.DataProtection || role == transfer.CaldicottGuardian
	})
	if at < 0 {
		return &RoleError{person.ID + " may not decide this: a request is decided by somebody with the role dpl or caldicott-guardian."}
	}
	d := o.d
	d.Role = person.Roles[at]
	switch d.Decision {
	case "granted":
		r.Granted = r.Items
	case "part":
		if slices.ContainsFunc(d.Items, func(i string) bool { return !slices.Contains(r.Items, i) }) {
			return ErrNoRequest
		}
		r.Granted = d.Items
	}
	r.State, r.Decision = d.Decision, &d
	row, err := rowOf(r)
	if err != nil {
		return err
	}
	c.decideRequests = append(c.decideRequests, row)
	c.requests[r.Reference] = &row
	l := r.leaf(o.by, c.partnerNamed(r.Organisation))
	l.Actor.Person, l.Actor.Role = person.ID, d.Role
	c.leafUnder(requestKey(r.Reference), l)
	return nil
}

// Requests lists the requests made of a partner, oldest first, after a reference; of all partners with everyone. An empty state means any.
func (x *Exchange) Requests(ctx context.Context, by Principal, state, after string, limit int, everyone bool) ([]Request, error) {
	partner := by.Partner
	if everyone {
		partner = ""
	}
	rows, err := x.cfg.Store.Requests(ctx, partner, state, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	out := make([]Request, len(rows))
	for i := range rows {
		r, err := requestIn(&rows[i])
		if err != nil {
			return nil, err
		}
		out[i] = *r
	}
	return out, nil
}

// Grants reports whether a request with this reference was granted to a partner for these items and this recipient.
func (x *Exchange) Grants(ctx context.Context, reference string, partner, recipient transfer.PartnerID, items []string) (bool, error) {
	var got *store.Loaded
	err := x.cfg.Store.InTx(ctx, func(tx store.Tx) (err error) {
		got, err = tx.Load(ctx, &store.Wanted{Requests: []string{reference}})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read request: %w", err)
	}
	if len(got.Requests) == 0 {
		return false, nil
	}
	r, err := requestIn(&got.Requests[0])
	if err != nil {
		return false, err
	}
	// A body that is no partner is reached through one: whether it is that one is for people to compare.
	_, named := x.Index().Partner(transfer.PartnerID(r.Organisation))
	return r.grants(partner, items) && (!named || r.Organisation == string(recipient)), nil
}
