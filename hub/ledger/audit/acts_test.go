package audit_test

import (
	"context"
	"testing"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/transfer"
)

var lead = ledger.Actor{Partner: "carers-in-hertfordshire", System: "carers-in-hertfordshire/casework", Person: "dpl-1", Role: transfer.DataProtection}

func (h *hub) rule(n int, act string, s transfer.State) *hub {
	return h.add(&ledger.Leaf{
		Kind: ledger.KindRuling, Transfer: id(n), State: s, Actor: lead,
		Ruling: &ledger.Ruling{Act: act, Codes: []string{"AGREEMENT_REVIEW_OVERDUE"}, Ground: "review-agreed"},
	})
}

// last changes the leaf added last.
func (h *hub) last(change func(l *ledger.Leaf)) *hub {
	change(h.leaves[len(h.leaves)-1])
	return h
}

func (h *hub) exception(n int, change func(l *ledger.Leaf)) *hub {
	return h.decide(n, transfer.PermitException, transfer.Queued, "carer.phone").last(func(l *ledger.Leaf) {
		l.Exception, l.Expires = &ledger.Exception{Kind: "danger-to-life", Person: "practitioner-1"}, start.Add(72*time.Hour)
		change(l)
	})
}

func asIs(*ledger.Leaf) {}

func told() *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindDisclosure, Actor: lead, Sender: "carers-in-hertfordshire", Purpose: "emergency", At: start.Add(time.Hour),
		Subjects:   []ledger.Subject{{Role: transfer.Carer, Commitment: "c1", Items: []string{"carer.address"}}},
		Disclosure: &ledger.Disclosure{Office: "ambulance crew", How: "telephone", Basis: ledger.Basis{Article6: "d", Article9: "c"}, Person: "caseworker-1", Made: start},
	}
}

func asked() *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindRequest, Actor: lead, Sender: "carers-in-hertfordshire", Purpose: "crime",
		Request: &ledger.Request{
			Reference: "req-1", Organisation: "Hertfordshire Constabulary", Office: "Detective Sergeant", Received: "2026-11-20",
			Items: []string{"carer.address"}, Decision: "refused", Reasons: []string{"not-necessary"}, Decided: "2026-11-21", Person: "dpl-1",
			Role: transfer.DataProtection,
		},
	}
}

func signed() *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindSignature, Actor: lead, Agreement: &ledger.Agreement{ID: "hertswise", Version: 2, Digest: "sha256:5a"},
		Signature: &ledger.Signature{Party: "hils", JWS: "e30.e30.c2ln"},
	}
}

// step is one of an erasure.
func step(what string) *ledger.Leaf {
	l := &ledger.Leaf{
		Kind: ledger.KindCase, Actor: lead, Sender: "carers-in-hertfordshire",
		Case: &ledger.Case{Reference: "case-1", Type: "erasure", Step: what, Commitment: "c1", On: "2026-11-20"},
	}
	if what == "erased" {
		l.Case.Kept = []ledger.Kept{{What: "log", Ground: "art17(3)(b)"}}
	}
	return l
}

// notice tells the council, or is its answer.
func notice(status string) *ledger.Leaf {
	l := &ledger.Leaf{
		Kind: ledger.KindNotice, Actor: lead, Sender: "carers-in-hertfordshire", Recipient: "hertfordshire-county-council",
		Notice: &ledger.Notice{ID: "notice-1", Case: "case-1", Act: "erase", Commitment: "c1", Respond: "2026-12-21", Status: status},
	}
	if status != "" {
		l.Actor.Partner = l.Recipient
	}
	if status == "refused" {
		l.Notice.Reason = "legal-obligation"
	}
	return l
}

func TestWhatPeopleDecideIsInOrder(t *testing.T) {
	h := newHub(t)
	h.decide(1, transfer.Hold, transfer.Held).rule(1, "release", transfer.Held).decide(1, transfer.Permit, transfer.Queued, carerItems...).
		release(1, carerItems...).outcome(1, transfer.Received)
	h.decide(2, transfer.Hold, transfer.Held).rule(2, "release", "").decide(2, transfer.Hold, transfer.Held). // another reason came up
															rule(2, "refuse", "").decide(2, transfer.Refuse, transfer.Refused)
	h.decide(3, transfer.Hold, transfer.Held).rule(3, "return", transfer.Returned)
	h.decide(4, transfer.Hold, transfer.Held).rule(4, "return", "").decide(4, transfer.Hold, transfer.Returned)
	h.decide(5, transfer.Hold, transfer.Held).rule(5, "refuse", "").outcome(5, transfer.Refused)
	h.decide(9, transfer.Hold, transfer.Held).rule(9, "refuse", "").outcome(9, transfer.Held).decide(9, transfer.Refuse, transfer.Refused)
	h.exception(6, asIs).rule(6, ledger.Reviewed, "")
	h.decide(7, transfer.Hold, transfer.Held).rule(7, "release", "").exception(7, func(l *ledger.Leaf) { l.Exception = nil }) // on the ruling
	h.exception(8, func(l *ledger.Leaf) { l.Exception, l.Demand = nil, &ledger.Demand{Instrument: "court-order"} })
	h.add(told()).add(asked()).add(signed())
	h.add(step("opened")).add(notice("")).add(notice("received")).add(notice("actioned")).add(step("erased"))
	h.exception(10, asIs).exception(10, func(l *ledger.Leaf) { l.State = "" })
	h.add(h.leaves[len(h.leaves)-1].Release("")) // its claim stands in the decision for it
	r, err := audit.Check(context.Background(), h.commit().log, h.signer.Verifier(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, r)
}

func TestWhatPeopleDecideAndEnterCannotBeAnything(t *testing.T) {
	held := func(h *hub) *hub { return h.decide(1, transfer.Hold, transfer.Held) }
	for _, c := range []struct {
		name string
		tell func(h *hub)
		want []string
	}{
		{"ruled on what nobody decided", func(h *hub) { h.rule(1, "refuse", "") }, []string{"order 0"}},
		{"ruled on what is queued", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, carerItems...).rule(1, "refuse", transfer.Refused)
		}, []string{"order 1"}},
		{"ruled on what was released", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, carerItems...).release(1, carerItems...).rule(1, "return", transfer.Returned)
		}, []string{"order 2"}},
		{"let go and not decided again", func(h *hub) { held(h).rule(1, "release", "") }, []string{"order 1"}},
		{"let go by the ruling alone", func(h *hub) {
			held(h).rule(1, "release", transfer.Queued).release(1, carerItems...)
		}, []string{"state 1", "release 2"}},
		{"let go against a ruling to refuse", func(h *hub) {
			held(h).rule(1, "refuse", "").decide(1, transfer.Permit, transfer.Queued, carerItems...)
		}, []string{"order 2"}},
		{"refused by a hold after a ruling that nobody followed", func(h *hub) {
			held(h).rule(1, "refuse", "").decide(1, transfer.Hold, transfer.Held).decide(1, transfer.Hold, transfer.Refused)
		}, []string{"order 2", "state 3"}},
		{"returned and nothing came of it", func(h *hub) { held(h).rule(1, "return", "").outcome(1, "") }, []string{"order 1"}},
		{"ruled twice", func(h *hub) { held(h).rule(1, "release", "").rule(1, "refuse", transfer.Refused) }, []string{"order 2"}},
		{"returned without a ruling", func(h *hub) { held(h).decide(1, transfer.Hold, transfer.Returned) }, []string{"state 1"}},
		{"refused a second time by a hold", func(h *hub) { held(h).decide(1, transfer.Hold, transfer.Refused) }, []string{"state 1"}},
		{"a ruling to return that refuses", func(h *hub) { held(h).rule(1, "return", transfer.Refused) }, []string{"state 1"}},
		{"back after it was returned", func(h *hub) {
			held(h).rule(1, "return", transfer.Returned).decide(1, transfer.Permit, transfer.Queued, carerItems...)
		}, []string{"state 2"}},
		{"ruled by nobody", func(h *hub) {
			held(h).rule(1, "refuse", transfer.Refused).last(func(l *ledger.Leaf) { l.Actor.Person = "" })
		}, []string{"incomplete 1"}},
		{"ruled without a role", func(h *hub) {
			held(h).rule(1, "refuse", transfer.Refused).last(func(l *ledger.Leaf) { l.Actor.Role = "" })
		}, []string{"incomplete 1"}},
		{"ruled without a ground", func(h *hub) {
			held(h).rule(1, "refuse", transfer.Refused).last(func(l *ledger.Leaf) { l.Ruling.Ground = "" })
		}, []string{"incomplete 1"}},
		{"ruled nothing", func(h *hub) {
			held(h).rule(1, "", "").last(func(l *ledger.Leaf) { l.Ruling = nil }).decide(1, transfer.Hold, transfer.Held)
		}, []string{"incomplete 1"}},
		{"reviewed what was no exception", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, carerItems...).rule(1, ledger.Reviewed, "")
		}, []string{"order 1"}},
		{"a review that moves", func(h *hub) { h.exception(1, asIs).rule(1, ledger.Reviewed, transfer.Stopped) }, []string{"state 1"}},
		{"an exception that nobody claims", func(h *hub) { h.exception(1, func(l *ledger.Leaf) { l.Exception = nil }) }, []string{"incomplete 0"}},
		{"an exception without an end", func(h *hub) { h.exception(1, func(l *ledger.Leaf) { l.Expires = time.Time{} }) }, []string{"incomplete 0"}},
		{"an exception after its end", func(h *hub) { h.exception(1, func(l *ledger.Leaf) { l.Expires = l.At }) }, []string{"release 0"}},
		{"released after its end", func(h *hub) {
			h.exception(1, asIs).release(1, "carer.phone").last(func(l *ledger.Leaf) {
				l.Outcome, l.Exception, l.At = transfer.PermitException, &ledger.Exception{Kind: "danger-to-life"}, start.Add(73*time.Hour)
				l.Expires = start.Add(72 * time.Hour)
			})
		}, []string{"release 1"}},

		{"told by nobody", func(h *hub) { h.add(told()).last(func(l *ledger.Leaf) { l.Disclosure.Person = "" }) }, []string{"incomplete 0"}},
		{"told to nobody", func(h *hub) { h.add(told()).last(func(l *ledger.Leaf) { l.Disclosure.Office = "" }) }, []string{"incomplete 0"}},
		{"told to a partner", func(h *hub) {
			h.add(told()).last(func(l *ledger.Leaf) { l.Disclosure.Office, l.Recipient = "", "east-of-england-ambulance" })
		}, nil},
		{"told for no purpose", func(h *hub) { h.add(told()).last(func(l *ledger.Leaf) { l.Purpose = "" }) }, []string{"incomplete 0"}},
		{"told on no basis", func(h *hub) { h.add(told()).last(func(l *ledger.Leaf) { l.Disclosure.Basis = ledger.Basis{} }) }, []string{"incomplete 0"}},
		{"told about nobody", func(h *hub) { h.add(told()).last(func(l *ledger.Leaf) { l.Subjects[0].Commitment = "" }) }, []string{"incomplete 0"}},
		{"told nothing", func(h *hub) { h.add(told()).last(func(l *ledger.Leaf) { l.Subjects[0].Items = nil }) }, []string{"incomplete 0"}},
		{"told at no time", func(h *hub) { h.add(told()).last(func(l *ledger.Leaf) { l.Disclosure.Made = time.Time{} }) }, []string{"incomplete 0"}},
		{"told tomorrow", func(h *hub) { h.add(told()).last(func(l *ledger.Leaf) { l.Disclosure.Made = l.At.Add(time.Hour) }) }, []string{"order 0"}},

		{"a request that waits for its decision", func(h *hub) {
			h.add(asked()).last(func(l *ledger.Leaf) {
				l.Request.Decision, l.Request.Reasons, l.Request.Decided, l.Request.Person = "", nil, "", ""
			})
		}, nil},
		{"asked under no reference", func(h *hub) { h.add(asked()).last(func(l *ledger.Leaf) { l.Request.Reference = "" }) }, []string{"incomplete 0"}},
		{"asked by nobody", func(h *hub) { h.add(asked()).last(func(l *ledger.Leaf) { l.Request.Office = "" }) }, []string{"incomplete 0"}},
		{"asked at no time", func(h *hub) { h.add(asked()).last(func(l *ledger.Leaf) { l.Request.Received = "" }) }, []string{"incomplete 0"}},
		{"asked for nothing", func(h *hub) { h.add(asked()).last(func(l *ledger.Leaf) { l.Request.Items = nil }) }, []string{"incomplete 0"}},
		{"answered perhaps", func(h *hub) { h.add(asked()).last(func(l *ledger.Leaf) { l.Request.Decision = "maybe" }) }, []string{"incomplete 0"}},
		{"answered without reasons", func(h *hub) { h.add(asked()).last(func(l *ledger.Leaf) { l.Request.Reasons = nil }) }, []string{"incomplete 0"}},
		{"answered by nobody", func(h *hub) { h.add(asked()).last(func(l *ledger.Leaf) { l.Request.Person = "" }) }, []string{"incomplete 0"}},
		{"a step of what nobody opened", func(h *hub) { h.add(step("accepted")) }, []string{"order 0"}},
		{"opened twice", func(h *hub) { h.add(step("opened")).add(step("opened")) }, []string{"order 1"}},
		{"a step of nobody's case", func(h *hub) { h.add(step("opened")).last(func(l *ledger.Leaf) { l.Sender = "" }) }, []string{"incomplete 0"}},
		{"a step on no day", func(h *hub) { h.add(step("opened")).last(func(l *ledger.Leaf) { l.Case.On = "" }) }, []string{"incomplete 0"}},
		{"a step by nobody", func(h *hub) {
			h.add(step("opened")).add(step("accepted")).last(func(l *ledger.Leaf) { l.Actor.Person = "" })
		}, []string{"incomplete 1"}},
		{"erased without a ground for what is kept", func(h *hub) {
			h.add(step("opened")).add(step("erased")).last(func(l *ledger.Leaf) { l.Case.Kept = nil })
		}, []string{"incomplete 1"}},
		{"told of no case", func(h *hub) { h.add(notice("")) }, []string{"order 0"}},
		{"told twice", func(h *hub) { h.add(step("opened")).add(notice("")).add(notice("")) }, []string{"order 2"}},
		{"told without a day", func(h *hub) {
			h.add(step("opened")).add(notice("")).last(func(l *ledger.Leaf) { l.Notice.Respond = "" })
		}, []string{"incomplete 1"}},
		{"answered what nobody told", func(h *hub) { h.add(step("opened")).add(notice("received")) }, []string{"order 1"}},
		{"answered after the end", func(h *hub) {
			h.add(step("opened")).add(notice("")).add(notice("actioned")).add(notice("received"))
		}, []string{"state 3"}},
		{"refused for no reason", func(h *hub) {
			h.add(step("opened")).add(notice("")).add(notice("refused")).last(func(l *ledger.Leaf) { l.Notice.Reason = "" })
		}, []string{"incomplete 2"}},
		{"answered by somebody else", func(h *hub) {
			h.add(step("opened")).add(notice("")).add(notice("actioned")).last(func(l *ledger.Leaf) { l.Actor.Partner = "pohwer" })
		}, []string{"state 2"}},
		{"answered by nobody", func(h *hub) {
			h.add(step("opened")).add(notice("")).add(notice("actioned")).last(func(l *ledger.Leaf) { l.Actor.Person = "" })
		}, []string{"incomplete 2"}},

		{"signed nothing", func(h *hub) { h.add(signed()).last(func(l *ledger.Leaf) { l.Agreement.Digest = "" }) }, []string{"incomplete 0"}},
		{"signed by nobody", func(h *hub) { h.add(signed()).last(func(l *ledger.Leaf) { l.Signature = nil }) }, []string{"incomplete 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t)
			c.tell(h)
			h.commit()
			r, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), nil)
			if err != nil {
				t.Fatal(err)
			}
			want(t, r, c.want...)
		})
	}
}
