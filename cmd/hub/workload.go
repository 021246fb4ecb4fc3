package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/casebook"
	"referralhub/hub/exchange"
	"referralhub/hub/transfer"
)

// workload is referrals without an end: households that turn to the partners of the cases beside the agreements, each from one to mostVisits
// times, in turns with some thousand others. The same household always comes with the same referral.
type workload struct {
	permitted, others []*letter
	leaves, transfers atomic.Int64 // so far; of the leaves, the last commit or two may be missing

	// Owned by whoever calls next.
	turn    int
	waiting []errand
	numbers []int // of the households that have come, the last seven digits of the NHS number
	digits  int   // the next to be tried
}

const (
	mostVisits = 6
	inTurns    = 2000 // households between one visit and the next
	ofOthers   = 12   // of a hundred households have a case that is held, refused or goes by exception
	uncalled   = 4    // of a hundred transfers nobody calls for
	ofShort    = 67   // of a hundred households have a short message
)

// letter is the message of a case, with marks where its id and the numbers of its people go.
type letter struct {
	contract     *contracts.Contract
	from         auth.Principal
	whole, short string // the message of the case, and the same without what most leave out
	consents     string // a member of the message on the first visit; may be empty
	nhs          string // that of the case
	people       int    // with case numbers
}

func newWorkload(agreements string) (*workload, error) {
	book, _, err := casebook.Load(folder(agreements), time.Now())
	if err != nil {
		return nil, err
	}
	if book == nil {
		return nil, errors.New("the agreements have faults: hub agreement check tells them")
	}
	w := &workload{}
	for _, c := range book.Cases {
		if len(c.Changes.Register)+len(c.Changes.Agreements) > 0 || c.PassesOn != "" {
			continue // about another register than the one in force, or about a message before it
		}
		l, err := newLetter(c)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s:%d: %w", c.File, c.Line, err)
		case l == nil:
		case c.Expect.Outcome.Permits() && c.Expect.Outcome != transfer.PermitException:
			w.permitted = append(w.permitted, l)
		default:
			w.others = append(w.others, l)
		}
	}
	return w, nil
}

// newLetter gives nil for a message about nobody with an NHS number.
func newLetter(c *casebook.Case) (*letter, error) {
	text, err := c.Body()
	if err != nil {
		return nil, err
	}
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	l := &letter{from: auth.Principal{Partner: c.From, System: transfer.SystemID(c.From) + "/bench"}}
	l.contract, _ = contracts.For(transfer.MessageType(m["contract"].(string)))
	m["message_id"] = "@id@"
	l.mark(map[string]any(m), map[string]string{})
	l.whole = string(m.json())
	for _, section := range atLength {
		delete(m, section)
	}
	l.short = string(m.json())
	if l.nhs == "" {
		return nil, nil
	}
	var said []any
	for _, e := range c.Consents {
		if e.By != c.From {
			continue
		}
		role, rest, _ := strings.Cut(e.Of, "[")
		position, _ := strconv.Atoi(strings.TrimSuffix(rest, "]")) // the first has none
		said = append(said, struct {
			Subject map[string]any `json:"subject"`
			casebook.Consent
		}{map[string]any{"role": role, "position": position}, e})
	}
	if len(said) > 0 && m["consents"] == nil {
		text, err := json.Marshal(said)
		if err != nil {
			return nil, err
		}
		l.consents = `,"consents":` + string(text)
	}
	if _, err := l.fill(l.short, 0, 0, l.nhs); err != nil {
		l.short = l.whole // what is left out would be missed
	}
	_, err = l.fill(l.whole, 0, 0, l.nhs)
	return l, err
}

// mark puts marks for the numbers of people. One of them, the carer where there is one, keeps an NHS number: too few are kept for tests for
// everybody. The others are known by case numbers.
func (l *letter) mark(v any, marks map[string]string) {
	switch v := v.(type) {
	case []any:
		for _, each := range v {
			l.mark(each, marks)
		}
	case map[string]any:
		if carer, is := v["carer"]; is {
			l.mark(carer, marks)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			old, is := v[name].(string)
			switch {
			case !is:
				if name != "carer" {
					l.mark(v[name], marks)
				}
			case name == "ni_number":
				delete(v, name)
			case name == "nhs_number" && (l.nhs == "" || l.nhs == old):
				l.nhs, v[name] = old, "@nhs@"
			case name == "nhs_number":
				delete(v, name)
			case name == "case_number":
				if marks[old] == "" {
					marks[old] = fmt.Sprintf("@case%d@", len(marks))
					l.people++
				}
				v[name] = marks[old]
			}
		}
	}
}

// about is the message for a household's visit.
func (l *letter) about(household, visit int, nhs string) (*contracts.Document, error) {
	body := l.whole
	if dice(household, -1).IntN(100) < ofShort {
		body = l.short
	}
	return l.fill(body, household, visit, nhs)
}

// fill puts numbers where the marks are.
func (l *letter) fill(body string, household, visit int, nhs string) (*contracts.Document, error) {
	if visit == 0 {
		body = strings.TrimSuffix(body, "}") + l.consents + "}"
	}
	with := []string{"@id@", fmt.Sprintf("bench-%d-%d", household, visit), "@nhs@", nhs}
	for i := range l.people {
		with = append(with, fmt.Sprintf("@case%d@", i), fmt.Sprintf("CASE/%d", household*16+i))
	}
	return l.contract.Parse([]byte(strings.NewReplacer(with...).Replace(body)))
}

// errand is a household's visit.
type errand struct {
	w                *workload
	household, visit int
	nhs              string
}

// next gives the next errand. There is none when the NHS numbers that are kept for tests are used up.
func (w *workload) next() (errand, bool) {
	for len(w.waiting) == 0 {
		number := nhsNumber(w.digits)
		n, _ := strconv.Atoi(number[3:])
		if n/10 < w.digits {
			return errand{}, false // it has begun again from the front
		}
		w.digits = n/10 + 1
		w.numbers = append(w.numbers, n)
		for visit := range mostVisits {
			if h := w.turn - visit*inTurns; h >= 0 && visit <= dice(h, 0).IntN(mostVisits) {
				w.waiting = append(w.waiting, errand{w, h, visit, w.number(h)})
			}
		}
		w.turn++
	}
	e := w.waiting[0]
	w.waiting = w.waiting[1:]
	return e, true
}

// dice fall alike for the same household and throw.
func dice(household, throw int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(household), uint64(throw))) //nolint:gosec // the same each time
}

func (w *workload) number(household int) string { return fmt.Sprintf("999%07d", w.numbers[household]) }

// run submits the household's referral, and has its recipients collect and acknowledge what waits for them.
func (e errand) run(ctx context.Context, x *exchange.Exchange) error {
	kind := dice(e.household, -2)
	of := lo.Ternary(kind.IntN(100) < ofOthers, e.w.others, e.w.permitted)
	l := of[kind.IntN(len(of))]
	doc, err := l.about(e.household, e.visit, e.nhs)
	if err != nil {
		return err
	}
	done, err := x.Submit(ctx, l.from, doc)
	if err != nil {
		return err
	}
	for _, t := range done.Transfers {
		e.w.transfers.Add(1)
		e.w.leaves.Store(t.Transfer.DecisionLeaf)
		if t.Transfer.State != transfer.Queued || dice(e.household, e.visit+1).IntN(100) < uncalled {
			continue
		}
		to := auth.Principal{Partner: t.Transfer.Recipient, System: transfer.SystemID(t.Transfer.Recipient) + "/bench"}
		if _, err := x.Collect(ctx, to, t.Transfer.ID); errors.As(err, new(*exchange.StoppedError)) {
			continue
		} else if err != nil {
			return err
		}
		if _, err := x.Acknowledge(ctx, to, t.Transfer.ID, exchange.Receipt{Status: "received"}); err != nil {
			return err
		}
	}
	return nil
}
