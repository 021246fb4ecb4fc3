package traffic

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Why a flow that was used is not declared.
const (
	ByException = "exception" // no agreement: a named person answered for it, or somebody demanded it
	Outside     = "outside"   // given away outside the hub, and entered afterwards
	Over        = "over"      // under a version that does not count now: replaced, ended, stopped
	Unknown     = "unknown"   // under a clause that the register does not have
)

// Flow is one arrow of the map: what somebody sent somebody for a purpose, under one clause.
type Flow struct {
	Sender      transfer.PartnerID     `json:"sender"`
	Recipient   transfer.PartnerID     `json:"recipient,omitempty"` // empty: Office
	Office      string                 `json:"office,omitempty"`    // that is no partner
	Purpose     transfer.Purpose       `json:"purpose"`
	Clause      string                 `json:"clause,omitempty"` // "hertswise@1#refer"; empty where there was no agreement
	Claims      []string               `json:"claims,omitempty"` // of an exception: what was claimed or demanded, "safeguarding", "court-order"
	Messages    []transfer.MessageType `json:"messages,omitempty"`
	Items       []string               `json:"items"` // names of all that went
	Disclosures int64                  `json:"disclosures"`
	First       time.Time              `json:"first"`
	Last        time.Time              `json:"last"`
	Undeclared  string                 `json:"undeclared,omitempty"` // why it is not declared, as a code; empty when it is
	Detail      string                 `json:"detail,omitempty"`     // the same in words
}

// Pair is who may send what to whom for which purpose under a clause, and never did.
type Pair struct {
	Clause    string             `json:"clause"`
	Purpose   transfer.Purpose   `json:"purpose"`
	Sender    transfer.PartnerID `json:"sender"`
	Recipient transfer.PartnerID `json:"recipient"`
}

// Idle are the items of one message type that a clause in use lets go, and that never went under it.
type Idle struct {
	Clause  string               `json:"clause"`
	Message transfer.MessageType `json:"message"`
	Items   []string             `json:"items"`
}

// Map is what was used in a span of time against what is declared at an instant.
type Map struct {
	At     time.Time `json:"at"`     // of the register
	Flows  []Flow    `json:"flows"`  // used: by sender, recipient, purpose and clause
	Unused []Pair    `json:"unused"` // declared and not used, by clause
	Idle   []Idle    `json:"idle"`
}

// Of compares. For a partner it takes only what that partner sent and received; for the empty one, everything. What a sender claimed is not
// shown to its recipient, who has no more than the release.
func Of(x *agreement.Index, uses []Use, of transfer.PartnerID, at time.Time) Map {
	uses = seen(uses, of)
	m := Map{At: at.UTC(), Flows: flows(x, uses, at), Unused: []Pair{}, Idle: []Idle{}}
	used := map[Pair]bool{}
	for _, f := range m.Flows {
		used[Pair{f.Clause, f.Purpose, f.Sender, f.Recipient}] = true
	}
	went := wentUnder(uses)
	allowed := map[line]contracts.ItemSet{}
	for _, a := range x.Agreements() {
		if why, _ := over(x, a, at); why != "" {
			continue
		}
		for _, f := range a.Flows {
			if f.AccessOnly {
				continue // the recipient looks, and nothing is ever sent
			}
			for _, p := range pairs(f, of) {
				if !used[p] {
					used[p] = true // a clause for several messages is several flows
					m.Unused = append(m.Unused, p)
				}
			}
			for _, t := range f.Messages {
				allowed[line{f.ID, t}] = allowed[line{f.ID, t}].Or(f.Allowed)
			}
		}
	}
	for l, items := range allowed {
		contract, _ := contracts.For(l.message)
		if never := items.Minus(went[l]); !went[l].Empty() && !never.Empty() {
			m.Idle = append(m.Idle, Idle{l.clause, l.message, contract.Names(never)})
		}
	}
	slices.SortFunc(m.Idle, func(a, b Idle) int {
		return cmp.Or(strings.Compare(a.Clause, b.Clause), cmp.Compare(a.Message, b.Message))
	})
	slices.SortStableFunc(m.Unused, func(a, b Pair) int {
		return cmp.Or(strings.Compare(a.Clause, b.Clause), cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Recipient, b.Recipient))
	})
	return m
}

// line is a clause for one message type: of these, items are listed.
type line struct {
	clause  string
	message transfer.MessageType
}

// seen gives what a partner may see. A decision, with what was claimed for it, is between the sender and the hub.
func seen(uses []Use, of transfer.PartnerID) []Use {
	return lo.Filter(uses, func(u Use, _ int) bool {
		return of == "" || u.Shape.Sender == of || u.Shape.Recipient == of && u.Shape.Kind != ledger.KindDecision
	})
}

// pairs gives who may send to whom under a flow; of a partner, the pairs of which it is one.
func pairs(f *agreement.Flow, of transfer.PartnerID) []Pair {
	var out []Pair
	for _, from := range f.From {
		for _, to := range f.To {
			if from != to && (of == "" || from == of || to == of) {
				out = append(out, Pair{f.ID, f.Purpose, from, to})
			}
		}
	}
	return out
}

// wentUnder gives what went under each clause.
func wentUnder(uses []Use) map[line]contracts.ItemSet {
	went := map[line]contracts.ItemSet{}
	for _, u := range uses {
		contract, ok := contracts.For(u.Shape.Type)
		if !ok || u.Shape.Kind != ledger.KindRelease || u.Shape.Flow == "" {
			continue
		}
		l := line{u.Shape.Flow, u.Shape.Type}
		for _, name := range items(u.Shape) {
			if item, known := contract.Lookup(name); known {
				went[l] = went[l].With(item.Index)
			}
		}
	}
	return went
}

// items names what a shape lets go, or gave away.
func items(s *ledger.Shape) []string {
	return lo.FlatMap(s.Parts, func(p ledger.Part, _ int) []string { return p.Items })
}

// over says why a version carries nothing now: as a code, and in words.
func over(x *agreement.Index, a *agreement.Agreement, at time.Time) (string, string) {
	switch current, _ := x.Current(a.ID, at); {
	case current != a:
		return Over, fmt.Sprintf("%s counts in place of %s.", current.Ref(), a.Ref())
	case a.Standing(at) != agreement.InForce:
		return Over, fmt.Sprintf("%s is %s.", a.Ref(), strings.ReplaceAll(string(a.Standing(at)), "-", " "))
	}
	return "", ""
}

// flows puts what was disclosed together by who, to whom, for what and under what.
func flows(x *agreement.Index, uses []Use, at time.Time) []Flow {
	type key struct {
		sender, recipient transfer.PartnerID
		office            string
		purpose           transfer.Purpose
		clause, why       string
	}
	found := map[key]*Flow{}
	claims := map[key][]string{} // of decisions that permit by exception
	for _, u := range uses {
		s := u.Shape
		k := key{s.Sender, s.Recipient, s.Office, s.Purpose, s.Flow, lo.Ternary(s.Flow == "", ByException, "")}
		switch s.Kind {
		case ledger.KindDisclosure:
			k.why = Outside
		case ledger.KindDecision:
			if s.Outcome == transfer.PermitException {
				claims[k] = append(claims[k], s.Exception, s.Demand)
			}
			continue
		}
		f := found[k]
		if f == nil {
			f = &Flow{Sender: s.Sender, Recipient: s.Recipient, Office: s.Office, Purpose: s.Purpose, Clause: s.Flow, First: u.First, Undeclared: k.why}
			if k.why == "" {
				f.Undeclared, f.Detail = declared(x, s, at)
			}
			found[k] = f
		}
		f.Items = append(f.Items, items(s)...)
		f.Claims = append(f.Claims, s.Exception, s.Demand)
		f.Messages = append(f.Messages, s.Type)
		f.Disclosures += u.N
		if u.First.Before(f.First) {
			f.First = u.First
		}
		if u.Last.After(f.Last) {
			f.Last = u.Last
		}
	}
	out := make([]Flow, 0, len(found))
	for k, f := range found {
		if k.why == ByException {
			f.Claims = append(f.Claims, claims[k]...)
		}
		f.Items, f.Claims, f.Messages = tidy(f.Items), tidy(f.Claims), tidy(f.Messages)
		switch of := lo.Ternary(len(f.Claims) == 0, "", ": "+strings.Join(f.Claims, ", ")); f.Undeclared {
		case ByException:
			f.Detail = "It went without an agreement, by exception" + of + "."
		case Outside:
			f.Detail = "It was given away outside the hub" + of + "."
		}
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.Office, b.Office),
			cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Clause, b.Clause), cmp.Compare(a.Undeclared, b.Undeclared))
	})
	return out
}

// declared says why what went under a clause is not declared as the register stands.
func declared(x *agreement.Index, s *ledger.Shape, at time.Time) (string, string) {
	for _, a := range x.Agreements() {
		if a.ID != s.Agreement || a.Version != s.Version {
			continue
		}
		if why, detail := over(x, a, at); why != "" {
			return why, detail
		}
		if slices.ContainsFunc(a.Flows, func(f *agreement.Flow) bool {
			return f.ID == s.Flow && slices.Contains(pairs(f, ""), Pair{s.Flow, s.Purpose, s.Sender, s.Recipient})
		}) {
			return "", ""
		}
		return Unknown, fmt.Sprintf("%s has no clause %s for these two and this purpose.", a.Ref(), s.Flow)
	}
	return Unknown, fmt.Sprintf("The register does not have %s@%d.", s.Agreement, s.Version)
}

// tidy gives a list sorted, without repetition and without what is empty.
func tidy[T ~string](list []T) []T {
	out := slices.DeleteFunc(slices.Clone(list), func(v T) bool { return v == "" })
	slices.Sort(out)
	return slices.Compact(out)
}
