package exchange

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Filter is what a leaf has to say to be found, in the words of the log. An empty field takes anything; all that are set must fit one leaf.
// What a kind of leaf does not say it is not found by: a receipt names no agreement, and only what went, or may go, is an item.
type Filter struct {
	Kinds     []ledger.Kind
	Partner   transfer.PartnerID // as sender or recipient, or who did what has no sender: recorded a consent, asked the log
	Sender    transfer.PartnerID
	Recipient transfer.PartnerID
	Agreement transfer.AgreementID
	Version   int    // of Agreement
	Flow      string // "hertswise@1#refer"
	Purpose   transfer.Purpose
	Service   transfer.Service
	Item      string // "carer.name.family", or a section: "carer.name"
	Category  contracts.Category
	Outcome   transfer.Outcome
	Exception string         // its kind, or the instrument of a demand ("court-order"), or AnyException
	State     transfer.State // of the leaf's transfer now
	From, To  time.Time      // of the leaf; To is excluded
}

// AnyException asks for whatever stood on an exception or a demand and not on an agreement.
const AnyException = "any"

// exceptions are the kinds that may be claimed (contracts.Exception) and the instruments of demands (contracts.Demand).
var exceptions = []string{
	AnyException, "danger-to-life", "danger-to-another", "safeguarding", "crime-report", "break-glass",
	"court-order", "statute", "regulator", "warrant", "request",
}

var outcomes = []transfer.Outcome{transfer.Permit, transfer.PermitReduced, transfer.PermitException, transfer.Hold, transfer.Refuse}

// WordError says that a filter holds a word which no register, contract or leaf knows. Questions are logged for good, so that nothing gets into
// them that might be somebody's name.
type WordError struct {
	Field  string // "recipient"
	Detail string
}

func (e *WordError) Error() string { return e.Field + ": " + e.Detail }

// term is a field of a filter that is set, and what is wrong with it.
type term struct {
	name, value string
	is          func(*ledger.Shape) bool // whether a leaf of this shape has it
	declared    bool                     // the register or the contracts know it
	unknown     string
}

// terms gives the fields that are set, in a fixed order.
func (f *Filter) terms(x *agreement.Index) []term {
	var out []term
	add := func(name, value string, declared bool, is func(*ledger.Shape) bool, unknown string) {
		if value != "" {
			out = append(out, term{name, value, is, declared, unknown})
		}
	}
	partner := func(name string, id transfer.PartnerID, is func(*ledger.Shape) bool) {
		_, known := x.Partner(id)
		add(name, string(id), known, is, "no partner of the register has this id")
	}
	clauses := func(is func(*agreement.Flow) bool) bool {
		return slices.ContainsFunc(x.Agreements(), func(a *agreement.Agreement) bool { return slices.ContainsFunc(a.Flows, is) })
	}
	for _, k := range f.Kinds {
		add("kind", string(k), k.Known(), nil, "there is no such kind of leaf")
	}
	partner("partner", f.Partner, func(s *ledger.Shape) bool {
		return s.Sender == f.Partner || s.Recipient == f.Partner || s.By == f.Partner
	})
	partner("sender", f.Sender, func(s *ledger.Shape) bool { return s.Sender == f.Sender })
	partner("recipient", f.Recipient, func(s *ledger.Shape) bool { return s.Recipient == f.Recipient })
	add("agreement", string(f.Agreement), slices.ContainsFunc(x.Agreements(), func(a *agreement.Agreement) bool { return a.ID == f.Agreement }),
		func(s *ledger.Shape) bool { return s.Agreement == f.Agreement }, "no agreement has this id")
	if f.Version != 0 {
		add("version", strconv.Itoa(f.Version), f.Agreement != "" && f.Version > 0,
			func(s *ledger.Shape) bool { return f.Agreement != "" && s.Version == f.Version }, "a version is a number from 1 of an agreement that is named")
	}
	add("flow", f.Flow, clauses(func(c *agreement.Flow) bool { return c.ID == f.Flow }),
		func(s *ledger.Shape) bool { return s.Flow == f.Flow }, "no agreement has this clause; one is written as hertswise@1#refer")
	add("purpose", string(f.Purpose), clauses(func(c *agreement.Flow) bool { return c.Purpose == f.Purpose }),
		func(s *ledger.Shape) bool { return s.Purpose == f.Purpose }, "no agreement has this purpose")
	add("service", string(f.Service), clauses(func(c *agreement.Flow) bool { return c.Service == f.Service }),
		func(s *ledger.Shape) bool { return s.Service == f.Service }, "no agreement has this service")
	add("item", f.Item, contracts.AnyItem(func(i contracts.Item) bool { return contracts.Within(i.Name, f.Item) }),
		func(s *ledger.Shape) bool {
			return anyOf(s, func(name string) bool { return contracts.Within(name, f.Item) })
		}, "no contract has this item")
	named := f.named()
	add("category", string(f.Category), len(named) > 0, func(s *ledger.Shape) bool { return anyOf(s, func(name string) bool { return named[name] }) },
		"no item of a contract has this category")
	add("outcome", string(f.Outcome), slices.Contains(outcomes, f.Outcome), func(s *ledger.Shape) bool { return s.Outcome == f.Outcome },
		"no decision comes to this")
	add("exception", f.Exception, slices.Contains(exceptions, f.Exception), func(s *ledger.Shape) bool {
		some := s.Exception != "" || s.Demand != "" || s.Outcome == transfer.PermitException
		return f.Exception == AnyException && some || s.Exception == f.Exception || s.Demand == f.Exception
	}, "there is no such exception or demand; any stands for all of them")
	add("state", string(f.State), slices.Contains(transfer.States(), f.State), nil, "no transfer is in such a state")
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"from", f.From}, {"to", f.To}} {
		if !t.at.IsZero() {
			add(t.name, t.at.UTC().Format(time.RFC3339), true, nil, "")
		}
	}
	return out
}

// text is the filter as the log has it: "recipient=hertfordshire-county-council purpose=referral.service".
func text(terms []term) string {
	out := make([]string, len(terms))
	for i, w := range terms {
		out[i] = w.name + "=" + w.value
	}
	return strings.Join(out, " ")
}

// fits reports whether a leaf of this shape is asked for.
func fits(terms []term, kinds []ledger.Kind, s *ledger.Shape) bool {
	for _, w := range terms {
		if w.is != nil && !w.is(s) {
			return false
		}
	}
	return len(kinds) == 0 || slices.Contains(kinds, s.Kind)
}

// during reports whether a time is asked for.
func (f *Filter) during(at time.Time) bool {
	return (f.From.IsZero() || !at.Before(f.From)) && (f.To.IsZero() || at.Before(f.To))
}

// named gives the items of the category.
func (f *Filter) named() map[string]bool {
	out := map[string]bool{}
	if f.Category != "" {
		contracts.AnyItem(func(i contracts.Item) bool {
			if i.Category == f.Category {
				out[i.Name] = true
			}
			return false
		})
	}
	return out
}

// anyOf reports whether is holds for an item that went, or may go.
func anyOf(s *ledger.Shape, is func(string) bool) bool {
	return slices.ContainsFunc(s.Parts, func(p ledger.Part) bool { return slices.ContainsFunc(p.Items, is) })
}
