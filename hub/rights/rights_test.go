package rights_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/dates"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/rights"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

func date(t testing.TB, s string) dates.Date {
	t.Helper()
	d, err := dates.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// deadline is by when something of this name is due in a case, and whether it is met.
func deadline(t testing.TB, k *rights.Case, what string) rights.Deadline {
	t.Helper()
	at := slices.IndexFunc(k.Deadlines, func(d rights.Deadline) bool { return d.What == what })
	if at < 0 {
		t.Fatalf("nothing is due for %q: %+v", what, k.Deadlines)
	}
	return k.Deadlines[at]
}

const answer = "answer the person"

// The worked example of domain.md 10.0: received on 3 March, asked on the 10th what is meant, told on the 20th.
func TestASubjectAccessRequestAndItsClock(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		c.on("2026-03-03")
		maya := c.somebody()
		k := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(maya), Channel: "telephone"})
		if k.State != rights.Open || deadline(t, k, answer).By != "2026-04-07" { // 3 April is Good Friday
			t.Fatalf("opened as %s, due %s", k.State, deadline(t, k, answer).By)
		}
		c.on("2026-03-10")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "clarification-asked"})
		if d := deadline(t, k, answer); d.By != "" || !strings.Contains(d.Warning, "stands since 2026-03-10") {
			t.Errorf("while the person is asked it is due: %+v", d)
		}
		c.impossible(carersInHerts, k, rights.StepIn{Step: "answered"}, "possible now: clarification-answered, dropped, extended, refused")
		c.on("2026-03-20")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "clarification-answered"})
		if got := deadline(t, k, answer).By; got != "2026-04-14" {
			t.Errorf("due on %s, want 14 April: eleven days do not count", got)
		}
		c.on("2026-04-14")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "extended", Grounds: []string{"complex"}})
		if got := deadline(t, k, answer).By; got != "2026-06-15" { // 3 June and eleven days is a Sunday
			t.Errorf("extended to %s", got)
		}
		c.impossible(carersInHerts, k, rights.StepIn{Step: "extended", Grounds: []string{"complex"}}, "possible once")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "answered"})
		if k.State != rights.Closed || !deadline(t, k, answer).Met {
			t.Errorf("answered, and the case is %s with %+v", k.State, k.Deadlines)
		}
		c.impossible(carersInHerts, k, rights.StepIn{Step: "clarification-asked"}, `in state "closed"`)
		for _, s := range k.Steps {
			l := c.leaves()[s.Log.Index]
			if l.Case == nil || l.Case.Reference != k.Reference || l.Case.Step != s.Step || l.Actor.Person != "dpl-1" || l.Actor.Role != transfer.DataProtection {
				t.Errorf("the leaf of %s is %+v by %+v", s.Step, l.Case, l.Actor)
			}
		}
		c.audited()
	})
}

func TestTheMonthBeginsWhenIdentityIsConfirmed(t *testing.T) {
	c := newCounty(t)
	c.on("2026-01-12")
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(c.somebody()), Identity: "to-confirm"})
	if d := deadline(t, k, answer); k.State != rights.Identity || d.By != "" || !strings.Contains(d.Warning, "identity") {
		t.Fatalf("before anybody knows who asks: %s, %+v", k.State, d)
	}
	c.on("2026-02-02")
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "identity-confirmed", On: date(t, "2026-01-31")}) // on Saturday
	if got := deadline(t, k, answer).By; got != "2026-03-02" {
		t.Errorf("due on %s, want 2 March: 28 February is a Saturday", got)
	}
	c.on("2026-03-03")
	c.impossible(carersInHerts, k, rights.StepIn{Step: "extended", Grounds: []string{"numerous"}}, "could be extended until 2026-03-02")
	late, err := c.rights.Cases(context.Background(), by(carersInHerts), rights.Which{Overdue: true, Limit: 10})
	if c.must(err); len(late) != 1 || late[0].Reference != k.Reference {
		t.Errorf("overdue are %+v", late)
	}
}

// A wrong telephone number went to Age UK and to PoHWER, and to an ambulance crew by telephone; the council was told something else.
func TestARectificationIsNotDoneBeforeEverybodyHasDoneIt(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		tom := c.somebody()
		toAgeUK := c.refers(tom)
		toPohwer := c.sends(carersInHerts, c.message(tom, navigators), transfer.Queued)
		c.collects(pohwer, toPohwer)
		waits := c.sends(carersInHerts, c.message(tom), transfer.Queued)
		c.tells(carersInHerts, tom, exchange.Disclosed{To: council}, "carer.name.family")
		c.tells(carersInHerts, tom, exchange.Disclosed{Office: "ambulance crew"}, "carer.phones")

		k := c.opens(carersInHerts, rights.Opening{Type: rights.Rectification, Identifiers: known(tom)})
		_, err := c.triesTo(carersInHerts, k, rights.StepIn{Step: "accepted"})
		c.invalid(err, "/items")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "accepted", Items: []string{"carer.phones"}})
		if k.State != rights.Telling || len(k.Told) != 2 || len(k.Tasks) != 1 || k.Tasks[0].Office != "ambulance crew" {
			t.Fatalf("told %v, tasks %+v, in %s", k.Told, k.Tasks, k.State)
		}
		atAgeUK, atPohwer := c.noticesTo(ageUKHerts), c.noticesTo(pohwer)
		if len(atAgeUK) != 1 || len(atPohwer) != 1 || len(c.noticesTo(council)) != 0 {
			t.Fatalf("Age UK has %d notices, PoHWER %d, the council %d", len(atAgeUK), len(atPohwer), len(c.noticesTo(council)))
		}
		if n := atAgeUK[0]; !slices.Equal(n.Transfers, []transfer.TransferID{toAgeUK, waits}) || !slices.Equal(n.Items, []string{"carer.phones"}) || n.Act != "rectify" {
			t.Errorf("Age UK is told of %v, %v of %v", n.Act, n.Items, n.Transfers)
		}
		leaf := c.leaves()[atAgeUK[0].Log.Index]
		if leaf.Notice == nil || leaf.Notice.ID != atAgeUK[0].ID || leaf.Sender != carersInHerts || leaf.Recipient != ageUKHerts || leaf.Notice.Commitment == "" {
			t.Errorf("the leaf of the notice is %+v", leaf)
		}

		c.on("2026-12-28") // the answers were due on 23 December
		late, err := c.rights.Cases(context.Background(), by(carersInHerts), rights.Which{Overdue: true, Limit: 10})
		if c.must(err); len(late) != 1 || deadline(t, &late[0], "answer of pohwer").Met {
			t.Errorf("overdue are %+v", late)
		}
		missed, err := c.rights.Notices(context.Background(), by(pohwer), rights.WhichNotices{Overdue: true, Limit: 10})
		if c.must(err); len(missed) != 1 {
			t.Errorf("PoHWER has overdue %+v", missed)
		}
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "the person has not been told")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "answered"})
		c.must(c.answers(ageUKHerts, atAgeUK[0].ID, rights.Received, ""))
		c.must(c.answers(ageUKHerts, atAgeUK[0].ID, rights.Actioned, ""))
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "pohwer has not answered")
		c.must(c.answers(pohwer, atPohwer[0].ID, rights.NotActioned, "not-held"))
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "nobody has looked at it")
		c.steps(carersInHerts, k, rights.StepIn{Step: "refusal-looked-at", Notice: atPohwer[0].ID})
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "ambulance crew has not been told")
		c.steps(carersInHerts, k, rights.StepIn{Step: "told-outside", Task: "task-1"})
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "closed"})
		if k.State != rights.Closed {
			t.Errorf("the case is %s", k.State)
		}
		var not *rights.Impossible
		if err := c.answers(ageUKHerts, atAgeUK[0].ID, rights.NotActioned, "impossible"); !errors.As(err, &not) {
			t.Errorf("what was actioned is refused: %v", err)
		}
		c.audited()
	})
}

// A partner that is suspended cannot answer, and a case does not wait for it for ever. One that can answer is waited for.
func TestWhoCannotAnswerIsNotWaitedFor(t *testing.T) {
	c := newCounty(t)
	sam := c.somebody()
	c.refers(sam)
	c.collects(pohwer, c.sends(carersInHerts, c.message(sam, navigators), transfer.Queued))
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Rectification, Identifiers: known(sam)})
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "accepted", Items: []string{"carer.phones"}})
	c.steps(carersInHerts, k, rights.StepIn{Step: "answered"})
	c.must(c.answers(ageUKHerts, c.noticesTo(ageUKHerts)[0].ID, rights.Actioned, ""))
	leave := rights.StepIn{Step: "not-told", Notice: c.noticesTo(pohwer)[0].ID, Grounds: []string{"impossible"}}
	c.impossible(carersInHerts, k, leave, "pohwer can answer")
	c.end()
	c.index = register(t, func(text string) string {
		return strings.Replace(text, "  - id: pohwer\n", "  - id: pohwer\n    suspended: DSPT lapsed\n", 1)
	})
	c.open()
	_, err := c.triesTo(carersInHerts, k, rights.StepIn{Step: "not-told", Notice: leave.Notice})
	c.invalid(err, "/grounds")
	k = c.steps(carersInHerts, k, leave)
	if d := deadline(t, k, "answer of pohwer"); !d.Met {
		t.Errorf("still waited for: %+v", d)
	}
	c.steps(carersInHerts, k, rights.StepIn{Step: "closed"})

	// Once it is suspended, whoever has to tell it does so by other means.
	k = c.opens(carersInHerts, rights.Opening{Type: rights.Rectification, Identifiers: known(sam)})
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "accepted", Items: []string{"carer.phones"}})
	if len(k.Tasks) != 1 || k.Tasks[0].Office != string(pohwer) || len(k.Told) != 1 {
		t.Errorf("tasks %+v, told %v", k.Tasks, k.Told)
	}
	c.audited()
}

func TestAnObjectionStopsWhatWaits(t *testing.T) {
	c := newCounty(t)
	una := c.somebody()
	went := c.refers(una)
	waits := c.sends(carersInHerts, c.message(una), transfer.Queued)
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Objection, Identifiers: known(una), Channel: "telephone", Grounds: []string{"legitimate-interests"}})
	if got := c.state(waits); got == transfer.Queued || got == transfer.Released {
		t.Errorf("what waited is %s", got)
	}
	if _, err := c.Collect(context.Background(), by(ageUKHerts), waits); err == nil {
		t.Error("it was collected after the objection")
	}
	c.steps(carersInHerts, k, rights.StepIn{Step: "upheld"})
	if told := c.noticesTo(ageUKHerts); len(told) != 1 || !slices.Contains(told[0].Transfers, went) || slices.Contains(told[0].Transfers, waits) || told[0].Act != "objection" {
		t.Errorf("Age UK is told %+v, and had %s alone", told, went)
	}
	c.audited()
}

// Who does not want the magazine wants to be helped all the same.
func TestAnObjectionToMarketingStopsNothingElse(t *testing.T) {
	c := newCounty(t)
	una := c.somebody()
	waits := c.sends(carersInHerts, c.message(una), transfer.Queued)
	o := rights.Opening{Type: rights.Objection, Identifiers: known(una), Grounds: []string{"marketing"}}
	_, err := c.tries(carersInHerts, o)
	c.invalid(err, "/scope/purpose")
	o.Scope = []byte(`{"purpose": "magazine"}`)
	k := c.opens(carersInHerts, o)
	c.impossible(carersInHerts, k, rights.StepIn{Step: "overridden", Grounds: []string{"compelling-grounds"}}, "absolute")
	c.steps(carersInHerts, k, rights.StepIn{Step: "upheld"})
	c.collects(ageUKHerts, waits)
	if told := c.noticesTo(ageUKHerts); len(told) != 0 {
		t.Errorf("Age UK is told %+v", told)
	}
}

// Somebody whom the hub does not know may object all the same: what they say counts from then on.
func TestAnObjectionComesBeforeTheFirstReferral(t *testing.T) {
	c := newCounty(t)
	vic := c.somebody()
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Objection, Identifiers: known(vic), Channel: "post"})
	if k.Known {
		t.Error("nobody had anything about them")
	}
	sent, err := c.Submit(context.Background(), by(carersInHerts), c.message(vic))
	if c.must(err); sent.Transfers[0].Transfer.State == transfer.Queued {
		t.Errorf("the referral is %s", sent.Transfers[0].Transfer.State)
	}
}

func TestARestrictionHoldsUntilItIsLifted(t *testing.T) {
	c := newCounty(t)
	wendy := c.somebody()
	c.refers(wendy)
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Restriction, Identifiers: known(wendy), Grounds: []string{"accuracy-contested"}})
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "restricted"})
	c.sends(carersInHerts, c.message(wendy, without("consents")), transfer.Held)
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "answered"})
	c.impossible(carersInHerts, k, rights.StepIn{Step: "lifted", Grounds: []string{"lawful"}}, "possible now: answered, not-told, refusal-looked-at, told-of-lifting, told-outside")
	c.on("2026-11-30")
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "told-of-lifting"}) // Art 18(3)
	_, err := c.triesTo(carersInHerts, k, rights.StepIn{Step: "lifted", Grounds: []string{"no-reason"}})
	c.invalid(err, "/grounds")
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "lifted", Grounds: []string{"accurate-now"}})
	c.sends(carersInHerts, c.message(wendy), transfer.Queued)
	told := c.noticesTo(ageUKHerts)
	if len(told) != 2 || told[0].Act != "restrict" || told[1].Act != "lift-restriction" {
		t.Fatalf("Age UK is told %+v", told)
	}
	c.must(c.answers(ageUKHerts, told[0].ID, rights.Actioned, ""))
	c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "has not answered "+told[1].ID)
	c.must(c.answers(ageUKHerts, told[1].ID, rights.Actioned, ""))
	c.steps(carersInHerts, k, rights.StepIn{Step: "closed"})
	c.audited()
}

func without(members ...string) func(map[string]any) {
	return func(m map[string]any) {
		for _, name := range members {
			delete(m, name)
		}
	}
}

// The hub stops after a withdrawal and before anybody has been told of it. What was begun is gone on with.
func TestAWithdrawalTellsThoseWhoHaveReceived(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		xena := c.somebody()
		went := c.refers(xena)
		c.says(carersInHerts, xena, consent.Withdrawn)
		c.end()
		if told := c.noticesTo(ageUKHerts); len(told) != 0 {
			t.Fatalf("told before the hub came to it: %+v", told)
		}
		c.open()
		for range 2 {
			c.must(c.rights.Sweep(context.Background()))
		}
		told := c.noticesTo(ageUKHerts)
		if len(told) != 1 || told[0].Act != "withdrawn" || !slices.Equal(told[0].Transfers, []transfer.TransferID{went}) {
			t.Fatalf("Age UK is told %+v", told)
		}
		if got := told[0].Respond.String(); got != "2026-12-02" {
			t.Errorf("an answer is due on %s, want seven working days after 23 November", got)
		}
		c.must(c.answers(ageUKHerts, told[0].ID, rights.NotActioned, "legal-obligation"))
		k := c.shows(carersInHerts, told[0].Case)
		if k.State.Over() {
			t.Errorf("closed before anybody looked at the refusal")
		}
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "refusal-looked-at", Notice: told[0].ID})
		if k.State != rights.Closed || k.Steps[len(k.Steps)-1].Person != "" {
			t.Errorf("when nobody is waited for the hub closes it: %s, %+v", k.State, k.Steps)
		}
		c.audited()
	})
}

// PoHWER knows somebody whom Age UK knows, too. Neither learns that from a case.
func TestAPartnersCaseSaysNothingAboutOthers(t *testing.T) {
	c := newCounty(t)
	yusuf, stranger := c.somebody(), c.somebody()
	c.refers(yusuf) // from Carers in Hertfordshire to Age UK
	of := func(nhs string) *rights.Case {
		return c.opens(pohwer, rights.Opening{Type: rights.Rectification, Identifiers: known(nhs)})
	}
	somebody, nobody := of(yusuf), of(stranger)
	for _, k := range []*rights.Case{somebody, nobody} {
		k = c.steps(pohwer, k, rights.StepIn{Step: "accepted", Items: []string{"carer.name.family"}})
		if k.Known || len(k.Told)+len(k.Tasks) > 0 {
			t.Errorf("PoHWER's case about somebody it has nothing to do with: %+v", k)
		}
	}
	if told := c.noticesTo(ageUKHerts); len(told) != 0 {
		t.Errorf("Age UK is told %+v", told)
	}
	ctx := context.Background()
	if _, err := c.rights.Case(ctx, by(ageUKHerts), somebody.Reference); !errors.Is(err, rights.ErrNoCase) {
		t.Errorf("Age UK sees PoHWER's case: %v", err)
	}
	if _, err := c.triesTo(ageUKHerts, somebody, rights.StepIn{Step: "closed"}); !errors.Is(err, rights.ErrNoCase) {
		t.Errorf("Age UK takes a step in it: %v", err)
	}
	list, err := c.rights.Cases(ctx, by(ageUKHerts), rights.Which{Limit: 10})
	if c.must(err); len(list) != 0 {
		t.Errorf("Age UK lists %+v", list)
	}
	list, err = c.rights.Cases(ctx, by(operator), rights.Which{Type: rights.Rectification, Limit: 10})
	if c.must(err); len(list) != 2 {
		t.Errorf("the operator lists %d of 2", len(list))
	}
	for _, l := range c.leaves() {
		if l.Kind == ledger.KindCase && l.Case.Commitment != "" {
			t.Errorf("a case of PoHWER's is filed under a person that it has nothing to do with: %+v", l.Case)
		}
	}
}

// The person asks the hub itself: every controller's recipients are told.
func TestTheOperatorActsForAll(t *testing.T) {
	c := newCounty(t)
	zoe := c.somebody()
	c.refers(zoe)
	c.tells(pohwer, zoe, exchange.Disclosed{To: council}, "carer.name.family")
	waits := c.sends(carersInHerts, c.message(zoe), transfer.Queued)
	k := c.opens(operator, rights.Opening{Type: rights.Objection, Identifiers: known(zoe), Channel: "online"})
	if got := c.state(waits); got == transfer.Queued {
		t.Errorf("an objection made to the hub leaves a transfer %s", got)
	}
	c.steps(operator, k, rights.StepIn{Step: "upheld"})
	if len(c.noticesTo(ageUKHerts)) != 1 || len(c.noticesTo(council)) != 1 {
		t.Errorf("Age UK has %d notices, the council %d", len(c.noticesTo(ageUKHerts)), len(c.noticesTo(council)))
	}
	c.audited()
}

func TestTheSameAgainIsTheSame(t *testing.T) {
	c := newCounty(t)
	ada := c.somebody()
	c.refers(ada)
	ctx := context.Background()
	o := rights.Opening{MessageID: "cih-case-1", Type: rights.Rectification, Identifiers: known(ada), Person: "dpl-1"}
	k, repeat, err := c.rights.Open(ctx, by(carersInHerts), &o, []byte("a"))
	if c.must(err); repeat {
		t.Error("the first is a repeat")
	}
	again, repeat, err := c.rights.Open(ctx, by(carersInHerts), &o, []byte("a"))
	if c.must(err); !repeat || again.Reference != k.Reference {
		t.Errorf("again: %s, %v", again.Reference, repeat)
	}
	if _, _, err := c.rights.Open(ctx, by(carersInHerts), &o, []byte("b")); !errors.Is(err, exchange.ErrOtherBody) {
		t.Errorf("another body: %v", err)
	}
	in := rights.StepIn{MessageID: "cih-step-1", Step: "accepted", Person: "dpl-1", Items: []string{"carer.name.family"}}
	for i := range 2 {
		_, repeat, err := c.rights.Step(ctx, by(carersInHerts), k.Reference, &in, []byte("c"))
		if c.must(err); repeat != (i == 1) {
			t.Errorf("step %d: repeat is %v", i, repeat)
		}
	}
	told := c.noticesTo(ageUKHerts)
	if len(told) != 1 {
		t.Fatalf("Age UK has %d notices", len(told))
	}
	yes := rights.AnswerIn{MessageID: "age-1", Status: rights.Actioned, Person: "dpl-1"}
	for i := range 2 {
		_, repeat, err := c.rights.Answer(ctx, by(ageUKHerts), told[0].ID, &yes, []byte("d"))
		if c.must(err); repeat != (i == 1) {
			t.Errorf("answer %d: repeat is %v", i, repeat)
		}
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	c := newCounty(t)
	bob := known(c.somebody())
	for name, o := range map[string]rights.Opening{
		"/type":        {Type: rights.Withdrawal, Identifiers: bob},
		"/identifiers": {Type: rights.Access},
		"/received":    {Type: rights.Access, Identifiers: bob, Received: date(t, "2026-11-24")},
		"/grounds":     {Type: rights.Objection, Identifiers: bob, Grounds: []string{"just-so"}},
		"/items/0":     {Type: rights.Restriction, Identifiers: bob, Items: []string{"carer.shoe_size"}},
		"/scope":       {Type: rights.Access, Identifiers: bob, Scope: []byte(`{"purpose": "advocacy"}`)},
	} {
		_, err := c.tries(carersInHerts, o)
		c.invalid(err, name)
	}
	_, err := c.tries(carersInHerts, rights.Opening{Type: rights.Objection, Identifiers: bob, Scope: []byte(`{"held": true}`)})
	c.invalid(err, "/scope")
	var not *rights.Impossible
	if _, err := c.tries(operator, rights.Opening{Type: rights.Objection, Identifiers: bob}); !errors.As(err, &not) {
		t.Errorf("an objection to what nobody does: %v", err)
	}
	var role *exchange.RoleError
	for _, person := range []string{"caseworker-1", "nobody-9"} {
		if _, err := c.tries(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: bob, Person: person}); !errors.As(err, &role) {
			t.Errorf("opened by %s: %v", person, err)
		}
	}
	if rows, err := c.store.Cases(context.Background(), store.CaseQuery{Limit: 10}); err != nil || len(rows) > 0 {
		t.Errorf("stored all the same: %+v, %v", rows, err)
	}
}

func TestWhatNoNoticeTakesForAnAnswer(t *testing.T) {
	c := newCounty(t)
	cleo := c.somebody()
	c.refers(cleo)
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Rectification, Identifiers: known(cleo)})
	c.steps(carersInHerts, k, rights.StepIn{Step: "accepted", Items: []string{"carer.name.family"}})
	id := c.noticesTo(ageUKHerts)[0].ID
	c.invalid(c.answers(ageUKHerts, id, rights.NotActioned, ""), "/reason")
	c.invalid(c.answers(ageUKHerts, id, rights.NotActioned, "busy"), "/reason")
	c.invalid(c.answers(ageUKHerts, id, rights.Actioned, "impossible"), "/reason")
	for _, other := range []transfer.PartnerID{pohwer, carersInHerts, operator} {
		if err := c.answers(other, id, rights.Actioned, ""); !errors.Is(err, rights.ErrNoNotice) {
			t.Errorf("%s answers for Age UK: %v", other, err)
		}
	}
	var not *rights.Impossible
	if err := c.answers(ageUKHerts, id, rights.Sent, ""); !errors.As(err, &not) {
		t.Errorf("an answer that nothing was done: %v", err)
	}
	if n := c.noticesTo(ageUKHerts)[0]; n.State != rights.Sent || len(n.Answers) > 0 {
		t.Errorf("the notice is %+v", n)
	}
}

// The disk fails while a rectification is accepted. Either all of it is there, or nothing; and sent again it is there once.
func TestAStepIsWholeOrNotThere(t *testing.T) {
	for _, op := range []storetest.Op{storetest.OpInsert, storetest.OpUpdate, storetest.OpAppendLog, storetest.OpCommit} {
		for _, lost := range []bool{false, true} {
			if lost && op != storetest.OpCommit {
				continue // a commit may be carried out although its answer is lost
			}
			c := newCounty(t)
			iris := c.somebody()
			c.refers(iris)
			k := c.opens(carersInHerts, rights.Opening{Type: rights.Rectification, Identifiers: known(iris)})
			c.end()
			var fails atomic.Bool
			c.open(func(cfg *exchange.Config) {
				cfg.Store = storetest.Faulty(cfg.Store, func(is storetest.Op) (bool, error) {
					if is == op && fails.CompareAndSwap(true, false) {
						return lost, errors.New("the disk has gone")
					}
					return true, nil
				})
			})
			fails.Store(true)
			in := rights.StepIn{MessageID: "once", Step: "accepted", Items: []string{"carer.phones"}}
			if _, err := c.triesTo(carersInHerts, k, in); err == nil {
				t.Fatalf("%s failed, and nobody was told", op)
			}
			if told := c.noticesTo(ageUKHerts); (len(told) > 0) != lost || c.shows(carersInHerts, k.Reference).State == rights.Open == lost {
				t.Errorf("%s failed: %d notices, and the case is %s", op, len(told), c.shows(carersInHerts, k.Reference).State)
			}
			if k = c.steps(carersInHerts, k, in); k.State != rights.Telling || len(c.noticesTo(ageUKHerts)) != 1 {
				t.Errorf("%s failed, and it was sent again: %s, %d notices", op, k.State, len(c.noticesTo(ageUKHerts)))
			}
			c.audited()
		}
	}
}

// Nothing is kept that no step reads, and no names but those of the contract: the log is for ever, and a misspelt name tells nobody.
func TestNothingIsKeptThatNobodyReads(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.refers(maya)
	_, err := c.tries(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(maya), Stage: "john-smith-" + maya})
	c.invalid(err, "/stage")
	wrong := c.opens(carersInHerts, rights.Opening{Type: rights.Rectification, Identifiers: known(maya)})
	asks := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(maya)})
	before := len(c.leaves())
	for _, step := range []struct {
		k       *rights.Case
		in      rights.StepIn
		pointer string
	}{
		{wrong, rights.StepIn{Step: "accepted", Items: []string{"john_smith.n" + maya}}, "/items/0"},
		{wrong, rights.StepIn{Step: "accepted", Items: []string{"carer.name.family", "carer.adress"}}, "/items/1"},
		{asks, rights.StepIn{Step: "answered", Items: []string{"carer.name.family"}}, "/items"},
		{asks, rights.StepIn{Step: "answered", Entries: []rights.Place{{Origin: "John Smith, 1 High Street"}}}, "/entries"},
		{asks, rights.StepIn{Step: "answered", Notice: "John Smith"}, "/notice"},
		{asks, rights.StepIn{Step: "answered", Task: "John Smith"}, "/task"},
	} {
		_, err := c.triesTo(carersInHerts, step.k, step.in)
		c.invalid(err, step.pointer)
	}
	if after := len(c.leaves()); after != before {
		t.Errorf("what was refused wrote %d leaves", after-before)
	}
}

// A withdrawal counts, however it comes in.
func TestAWithdrawalInAMessageIsOne(t *testing.T) {
	c := newCounty(t)
	xena := c.somebody()
	went := c.refers(xena)
	waits := c.sends(carersInHerts, c.message(xena), transfer.Queued)
	c.sends(carersInHerts, c.message(xena, func(m map[string]any) { m["consents"].([]any)[0].(map[string]any)["state"] = "withdrawn" }), transfer.Refused)
	c.must(c.rights.Sweep(context.Background()))
	if told := c.noticesTo(ageUKHerts); len(told) != 1 || told[0].Act != "withdrawn" || !slices.Equal(told[0].Transfers, []transfer.TransferID{went}) {
		t.Errorf("Age UK is told %+v", told)
	}
	if got := c.state(waits); got != transfer.Stopped {
		t.Errorf("what waited is %s", got)
	}
}

// Who takes back the consent to give their telephone numbers leaves the rest as it was, in the hub and beside it.
func TestAWithdrawalOfOneCategoryTellsOfThatAlone(t *testing.T) {
	c := newCounty(t)
	xena := c.somebody()
	c.refers(xena)
	c.tells(carersInHerts, xena, exchange.Disclosed{To: council, Basis: ledger.Basis{Article6: "a"}}, "carer.phones", "carer.name.family")
	c.tells(carersInHerts, xena, exchange.Disclosed{To: pohwer}, "carer.phones") // a life was in danger
	_, err := c.RecordConsent(context.Background(), by(carersInHerts), c.messageID(), known(xena), consent.Event{
		State: consent.Withdrawn, Purpose: "referral.service", Categories: []contracts.Category{"contact"}, Explicit: true, Method: "verbal",
		Authority: "self", At: c.clock(),
	})
	c.must(err)
	c.must(c.rights.Sweep(context.Background()))
	for who, want := range map[transfer.PartnerID][]string{ageUKHerts: {"carer.email", "carer.phones"}, council: {"carer.phones"}, pohwer: nil} {
		var items []string
		for _, n := range c.noticesTo(who) {
			items = append(items, n.Items...)
		}
		if !slices.Equal(items, want) {
			t.Errorf("%s is told that %v is withdrawn, want %v", who, items, want)
		}
	}
}

func TestARefusedOpeningMakesNobodyKnown(t *testing.T) {
	c := newCounty(t)
	una := c.somebody()
	_, err := c.tries(carersInHerts, rights.Opening{Type: rights.Objection, Identifiers: known(una), Grounds: []string{"marketing"}})
	c.invalid(err, "/scope/purpose")
	if len(c.knows(una)) > 0 || len(c.leaves()) > 0 {
		t.Errorf("the hub knows them %d times, in %d leaves", len(c.knows(una)), len(c.leaves()))
	}
}

// Whoever calls in somebody's name does not stop their help.
func TestAnObjectionCountsOnceItsPersonHasShownWhoTheyAre(t *testing.T) {
	c := newCounty(t)
	una, vic := c.somebody(), c.somebody()
	object := func(nhs string) *rights.Case {
		return c.opens(carersInHerts, rights.Opening{Type: rights.Objection, Identifiers: known(nhs), Identity: "to-confirm", Grounds: []string{"public-task"}})
	}
	stays := c.sends(carersInHerts, c.message(una), transfer.Queued)
	c.steps(carersInHerts, object(una), rights.StepIn{Step: "refused", Grounds: []string{"identity-not-confirmed"}})
	c.collects(ageUKHerts, stays)
	c.sends(carersInHerts, c.message(una), transfer.Queued)

	goes := c.sends(carersInHerts, c.message(vic), transfer.Queued)
	c.steps(carersInHerts, object(vic), rights.StepIn{Step: "identity-confirmed"})
	if got := c.state(goes); got == transfer.Queued {
		t.Errorf("the objection was confirmed, and what waits is %s", got)
	}
}

// PoHWER holds two messages about Sam, one with a wrong number. That one is stopped, and sending it again is somebody's work; the other waits on.
func TestWhatIsHeldWithSomethingWrongIsSentAgain(t *testing.T) {
	c := newCounty(t)
	sam := c.somebody()
	wrong := c.sends(pohwer, c.message(sam, without("consents")), transfer.Held)
	right := c.sends(pohwer, c.message(sam, without("consents"), func(m map[string]any) { delete(m["carer"].(map[string]any), "phones") }), transfer.Held)
	others := c.sends(carersInHerts, c.message(sam, without("consents")), transfer.Held)
	k := c.opens(pohwer, rights.Opening{Type: rights.Rectification, Identifiers: known(sam)})
	k = c.steps(pohwer, k, rights.StepIn{Step: "accepted", Items: []string{"carer.phones"}})
	if a, b, o := c.state(wrong), c.state(right), c.state(others); a != transfer.Stopped || b != transfer.Held || o != transfer.Held {
		t.Errorf("what holds the wrong number is %s, what holds none %s, what another sent %s", a, b, o)
	}
	if len(k.Tasks) != 1 || k.Tasks[0].Act != "send-again" || !slices.Equal(k.Tasks[0].Transfers, []transfer.TransferID{wrong}) || !slices.Equal(k.Tasks[0].Items, []string{"carer.phones"}) {
		t.Fatalf("tasks are %+v", k.Tasks)
	}
	if told := c.noticesTo(ageUKHerts); len(told) != 0 {
		t.Errorf("Age UK, which was given nothing, is told %+v", told)
	}
	k = c.steps(pohwer, k, rights.StepIn{Step: "answered"})
	c.impossible(pohwer, k, rights.StepIn{Step: "closed"}, string(wrong)+" was stopped with what is wrong in it")
	c.steps(pohwer, k, rights.StepIn{Step: "told-outside", Task: k.Tasks[0].ID})
	c.steps(pohwer, k, rights.StepIn{Step: "closed"})
	c.audited()
}
