package exchange

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Disclosed is data that was given away outside the hub, by telephone perhaps (domain.md section 4.3).
type Disclosed struct {
	MessageID transfer.MessageID
	To        transfer.PartnerID // either a partner
	Office    string             // or the kind of body and the office
	People    []DisclosedAbout
	Purpose   transfer.Purpose
	Basis     ledger.Basis
	Exception string // kind of the exception by which it was made, or empty
	Request   string // reference of the request that it meets, or empty
	How       string // "telephone", "post", "in-person", ...
	Made      time.Time
	Person    string // who made it, by the id of the register
}

// DisclosedAbout is what was told of one person.
type DisclosedAbout struct {
	Role        transfer.Role
	Identifiers []contracts.Identifier
	Items       []string // by name
}

// Entered says where the log has what was entered by hand.
type Entered struct {
	Repeat bool // it was entered before, and this is the same answer
	Origin string
	Leaf   int64 // the first, where there is one for each person
}

// ErrNoRequest says that a disclosure names a request that was not granted to the partner, or not for these items.
var ErrNoRequest = errors.New("no request with this reference was granted for these items")

// EnterDisclosure writes down what was disclosed outside the hub: a leaf for each person, filed under them, so that it is found like any other
// disclosure. body is the message as sent: the same under the same message id has no further effect, another is ErrOtherBody. The other errors
// are *RoleError and ErrNoRequest.
func (x *Exchange) EnterDisclosure(ctx context.Context, by Principal, d *Disclosed, body []byte) (Entered, error) {
	op := &enterDisclosure{by: by, d: d, entry: x.entry("disclosure", by.Partner, d.MessageID, body), hashes: make([][]hash, len(d.People))}
	for i, p := range d.People {
		op.hashes[i] = x.identifierHashes(by.Partner, p.Identifiers)
	}
	err := x.do(ctx, op)
	return op.done, err
}

// entry is the row of something that a partner enters under an id of its own.
func (x *Exchange) entry(kind string, by transfer.PartnerID, id transfer.MessageID, body []byte) store.Entry {
	sum := sha256.Sum256(body)
	digest := x.cfg.Sealer.IdentifierHash("message", string(by), hex.EncodeToString(sum[:]))
	return store.Entry{ID: x.cfg.Sealer.IdentifierHash(kind, string(by), string(id)), Digest: digest[:]}
}

// entered finds what was entered before under the same id.
func (c *commit) entered(e *store.Entry) (before store.Entry, repeat bool, err error) {
	before, repeat = c.byEntry[e.ID]
	if repeat && !bytes.Equal(before.Digest, e.Digest) {
		return before, true, ErrOtherBody
	}
	return before, repeat, nil
}

// enter remembers what was entered.
func (c *commit) enter(e store.Entry, answer string, leaf int64) Entered {
	e.Answer, e.Log, e.Leaf = answer, c.x.cfg.Origin, leaf
	c.insert.Entries = append(c.insert.Entries, e)
	c.byEntry[e.ID] = e
	return Entered{Origin: e.Log, Leaf: leaf}
}

type enterDisclosure struct {
	by     Principal
	d      *Disclosed
	entry  store.Entry
	hashes [][]hash // by person

	done Entered
}

func (o *enterDisclosure) reads(n *needs) {
	n.entries = append(n.entries, o.entry.ID)
	for _, h := range o.hashes {
		n.known = append(n.known, h...)
	}
	if o.d.Request != "" {
		n.requests = append(n.requests, o.d.Request)
	}
}

func (o *enterDisclosure) judge(c *commit) error {
	before, repeat, err := c.entered(&o.entry)
	if o.done = (Entered{Repeat: repeat, Origin: before.Log, Leaf: before.Leaf}); repeat {
		return err
	}
	if _, err := c.staffOf(o.by.Partner, o.d.Person); err != nil {
		return err
	}
	demand, err := o.demand(c)
	if err != nil {
		return err
	}
	made := o.d.Made
	if made.After(c.at) { // by a clock that runs ahead
		made = c.at
	}
	first := int64(-1)
	positions := map[transfer.Role]int{}
	for i, p := range o.d.People {
		who, ambiguous := c.person(o.hashes[i])
		all := []transfer.SubjectID{who}
		if ambiguous {
			all = c.subjects(o.hashes[i]) // it may have been any of them: each finds it
		}
		position := positions[p.Role]
		positions[p.Role]++
		for _, id := range all {
			commitment := c.commitment(id)
			l := &ledger.Leaf{
				Kind: ledger.KindDisclosure, Actor: actorOf(o.by), Sender: o.by.Partner, Recipient: o.d.To, Purpose: o.d.Purpose,
				Subjects:   []ledger.Subject{{Role: p.Role, Position: position, Commitment: commitment, Items: slices.Clone(p.Items)}},
				Disclosure: &ledger.Disclosure{Office: o.d.Office, How: o.d.How, Basis: o.d.Basis, Person: o.d.Person, Made: made},
				Demand:     demand,
			}
			if o.d.Exception != "" {
				l.Exception = &ledger.Exception{Kind: o.d.Exception, Person: o.d.Person}
			}
			at := c.leafUnder(personKey(commitment), l)
			if first < 0 {
				first = at
			}
		}
	}
	o.done = c.enter(o.entry, "", first)
	return nil
}

// demand is the request that a disclosure meets, as its leaf has it.
func (o *enterDisclosure) demand(c *commit) (*ledger.Demand, error) {
	if o.d.Request == "" {
		return nil, nil
	}
	r, err := c.request(o.d.Request)
	if err != nil {
		return nil, err
	}
	var items []string
	for _, p := range o.d.People {
		items = append(items, p.Items...)
	}
	if r == nil || !r.grants(o.by.Partner, items) {
		return nil, ErrNoRequest
	}
	return &ledger.Demand{
		Instrument: "request", Reference: r.Reference, By: r.Office, On: r.Received, Law: r.Basis.Law, Items: r.Granted, Person: r.Decision.Person,
	}, nil
}
