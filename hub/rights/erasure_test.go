package rights_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/rights"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// bytesOf is the log as it lies in the store.
func (c *county) bytesOf() [][]byte {
	c.Helper()
	src := c.store.Log(context.Background(), origin)
	size, _, err := src.Head()
	c.must(err)
	raw, err := src.Leaves(0, size)
	c.must(err)
	return raw
}

// knows is whom the hub means by a number.
func (c *county) knows(nhs string) []store.Identifier {
	c.Helper()
	found, err := c.store.SubjectsByIdentifier(context.Background(), [][32]byte{c.sealer.IdentifierHash("nhs-number", "", nhs)})
	c.must(err)
	return found
}

// finds is how many entries a partner is shown about somebody.
func (c *county) finds(p transfer.PartnerID, nhs string) int {
	c.Helper()
	found, err := c.Search(context.Background(), by(p), exchange.Query{Person: &known(nhs)[0], Why: "a test of erasure", Everyone: p == operator})
	c.must(err)
	return found.Size
}

// settles refers somebody to Age UK, who collect it and take it on.
func (c *county) settles(nhs string) {
	c.Helper()
	_, err := c.Acknowledge(context.Background(), by(ageUKHerts), c.refers(nhs), exchange.Receipt{Status: "accepted"})
	c.must(err)
}

var erase = rights.StepIn{Step: "erased", Grounds: []string{"art17(3)(b)"}}

// accepted is an erasure whose recipients have been told.
func (c *county) accepted(p transfer.PartnerID, nhs string) *rights.Case {
	c.Helper()
	k := c.opens(p, rights.Opening{Type: rights.Erasure, Identifiers: known(nhs), Grounds: []string{"no-longer-needed"}})
	return c.steps(p, k, rights.StepIn{Step: "accepted"})
}

func TestSomebodyIsErasedAndEveryProofStillHolds(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		ctx := context.Background()
		maya, beside := c.somebody(), c.somebody()
		c.settles(maya)
		waits := c.sends(carersInHerts, c.message(maya), transfer.Queued)
		other := c.sends(carersInHerts, c.message(beside), transfer.Queued)
		c.tells(carersInHerts, maya, exchange.Disclosed{Office: "duty desk, ambulance service"}, "carer.phone")
		before := c.bytesOf()
		_, checkpoint, err := c.store.Log(ctx, origin).Head()
		c.must(err)

		k := c.accepted(carersInHerts, maya)
		k = c.steps(carersInHerts, k, erase)
		if got := c.state(waits); got != transfer.Stopped {
			t.Errorf("what waited is %s", got)
		}
		if c.state(other) != transfer.Queued || len(c.knows(beside)) != 1 {
			t.Errorf("somebody else was touched")
		}
		if len(c.knows(maya)) > 0 || c.finds(operator, maya) > 0 || c.finds(carersInHerts, maya) > 0 {
			t.Errorf("somebody who was erased is found")
		}
		rows, err := c.store.Cases(ctx, store.CaseQuery{Reference: k.Reference, Limit: 1})
		c.must(err)
		if rows[0].Subject != "" {
			t.Errorf("the case still says whom it was about")
		}
		leaf := c.leaves()[k.Steps[len(k.Steps)-1].Log.Index].Case
		if len(leaf.Kept) != 1 || leaf.Kept[0] != (ledger.Kept{What: "log", Ground: "art17(3)(b)"}) || leaf.Commitment == "" ||
			!slices.Contains(leaf.Counts, ledger.Count{What: "stopped", N: 1}) || !slices.Contains(leaf.Counts, ledger.Count{What: "transfers", N: 2}) {
			t.Errorf("the leaf of the erasure is %+v", leaf)
		}

		// Those who were told answer, although nobody knows any more whom it was about.
		for _, n := range c.noticesTo(ageUKHerts) {
			c.must(c.answers(ageUKHerts, n.ID, rights.Actioned, ""))
		}
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "the person has not been told")
		c.steps(carersInHerts, k, rights.StepIn{Step: "answered"})
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "has not been told")
		c.steps(carersInHerts, k, rights.StepIn{Step: "told-outside", Task: "task-1"})
		if k = c.steps(carersInHerts, k, rights.StepIn{Step: "closed"}); k.State != rights.Closed {
			t.Errorf("it is %s", k.State)
		}

		for i, was := range before {
			if !bytes.Equal(was, c.bytesOf()[i]) {
				t.Fatalf("leaf %d was changed", i)
			}
		}
		report, err := audit.Check(ctx, c.store.Log(ctx, origin), c.signer.Verifier(), nil, checkpoint)
		c.must(err)
		if !report.OK() {
			t.Errorf("afterwards the log is not whole: %v", report.Problems)
		}

		// A new referral is of somebody new.
		c.sends(carersInHerts, c.message(maya), transfer.Queued)
		if got := c.finds(carersInHerts, maya); got != 2 { // what she said, and the decision
			t.Errorf("after a new referral %d entries are found", got)
		}
	})
}

// Two controllers know the same person. The first that erases learns nothing of the second, and the second keeps what is its own.
func TestAControllersErasureIsItsOwn(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		shared, alone := c.somebody(), c.somebody()
		for _, nhs := range []string{shared, alone} {
			c.refers(nhs)
		}
		c.sends(pohwer, c.message(shared, func(m map[string]any) { delete(m, "consents") }), transfer.Held)
		answers := map[string]*ledger.Case{}
		for _, nhs := range []string{shared, alone} {
			k := c.steps(carersInHerts, c.accepted(carersInHerts, nhs), erase)
			l := *c.leaves()[k.Steps[len(k.Steps)-1].Log.Index].Case
			l.Reference, l.Commitment = "", ""
			answers[nhs] = &l
			if got := c.finds(carersInHerts, nhs); got != 0 {
				t.Errorf("it still finds %d entries about somebody whom it has erased", got)
			}
			again := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(nhs)})
			if again.Known {
				t.Errorf("it still knows somebody whom it has erased")
			}
		}
		if a, b := answers[shared], answers[alone]; a.Step != b.Step || !slices.Equal(a.Counts, b.Counts) || !slices.Equal(a.Kept, b.Kept) {
			t.Errorf("the answer tells whether others know the person: %+v and %+v", a, b)
		}
		if len(c.knows(shared)) != 1 || len(c.knows(alone)) != 0 {
			t.Errorf("known are %d and %d", len(c.knows(shared)), len(c.knows(alone)))
		}
		if c.finds(pohwer, shared) == 0 {
			t.Errorf("the other controller cannot find its own any more")
		}
		c.says(carersInHerts, shared, consent.Given)

		// The last one takes the pseudonym with it.
		k := c.accepted(pohwer, shared)
		c.steps(pohwer, k, erase)
		if len(c.knows(shared)) != 1 {
			t.Errorf("the first controller dealt with the person again, and the person is gone")
		}
		c.steps(carersInHerts, c.accepted(carersInHerts, shared), erase)
		if len(c.knows(shared)) != 0 {
			t.Errorf("nobody needs the person any more, and the hub still knows them")
		}
		c.audited()
	})
}

func TestWhatHasToBeKeptIsNotErased(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		maya := c.somebody()
		c.refers(maya)
		hold := c.opens(carersInHerts, rights.Opening{Type: rights.LegalHold, Identifiers: known(maya), Grounds: []string{"litigation"}})
		if hold.State != rights.Placed || deadline(t, hold, "look whether it is still needed").By != "2027-05-23" {
			t.Errorf("the hold is %+v", hold)
		}
		k := c.accepted(carersInHerts, maya)
		c.impossible(carersInHerts, k, erase, hold.Reference+" (legal-hold)")

		complaint := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(maya)})
		c.steps(carersInHerts, hold, rights.StepIn{Step: "lifted", Grounds: []string{"over"}})
		c.impossible(carersInHerts, k, erase, complaint.Reference+" (access)")
		c.steps(carersInHerts, complaint, rights.StepIn{Step: "answered"})
		if _, err := c.triesTo(carersInHerts, k, rights.StepIn{Step: "erased"}); err == nil {
			t.Errorf("it was erased without the ground on which the log is kept")
		}
		c.steps(carersInHerts, k, erase)
		c.impossible(carersInHerts, k, erase, "it has been erased")

		// A refusal leaves everything as it is, and says on which ground.
		joan := c.somebody()
		c.refers(joan)
		kept := c.opens(carersInHerts, rights.Opening{Type: rights.Erasure, Identifiers: known(joan)})
		kept = c.steps(carersInHerts, kept, rights.StepIn{Step: "refused", Grounds: []string{"art17(3)(e)"}})
		if kept.State != rights.Refused || len(c.knows(joan)) != 1 {
			t.Errorf("the refused erasure is %s", kept.State)
		}
	})
}

func TestAHoldIsOnWhatItsPartnerMayHold(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	id := c.refers(maya)
	try := func(p transfer.PartnerID, scope string) error {
		_, err := c.tries(p, rights.Opening{Type: rights.LegalHold, Grounds: []string{"inquiry"}, Scope: []byte(scope)})
		return err
	}
	for _, wrong := range []struct{ scope, pointer string }{
		{``, "/scope"}, {`{"partner":"age-uk-hertfordshire"}`, "/scope/partner"}, {`{"agreement":"kent-carers"}`, "/scope/agreement"},
		{`{"transfer":"01a1fff9-37cc-7922-ac67-9c7576e408b8"}`, "/scope/transfer"},
	} {
		c.invalid(try(carersInHerts, wrong.scope), wrong.pointer)
	}
	c.invalid(try(council, `{"transfer":"`+string(id)+`"}`), "/scope/transfer")
	_, err := c.tries(carersInHerts, rights.Opening{Type: rights.LegalHold, Scope: []byte(`{"partner":"carers-in-hertfordshire"}`)})
	c.invalid(err, "/grounds")

	for _, scope := range []string{`{"transfer":"` + string(id) + `"}`, `{"agreement":"hertswise"}`, `{"partner":"carers-in-hertfordshire"}`} {
		c.must(try(carersInHerts, scope))
	}
	c.must(try(operator, ``))
	c.impossible(operator, c.accepted(operator, maya), erase, "(legal-hold), case-")
}

// A financial year after a financial year: what was last heard of in December 2026 goes from April 2034 on, if nothing keeps it.
func TestRetentionForgetsPeopleWhenTheirTimeIsOver(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		ctx := context.Background()
		retain := func() rights.Retained {
			t.Helper()
			got, err := c.rights.Retain(ctx)
			c.must(err)
			return got
		}
		c.on("2026-12-15")
		idle, held, later := c.somebody(), c.somebody(), c.somebody()
		for _, nhs := range []string{idle, held, later} {
			c.settles(nhs)
		}
		complaint := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(idle)})
		c.steps(carersInHerts, complaint, rights.StepIn{Step: "answered"})
		hold := c.opens(carersInHerts, rights.Opening{Type: rights.LegalHold, Identifiers: known(held), Grounds: []string{"litigation"}})
		request, _, err := c.EnterRequest(ctx, by(carersInHerts), "asked", exchange.Request{Purpose: "crime.prevention", Organisation: "police", Office: "Sergeant", Received: "2026-12-15", Items: []string{"carer.phone"}}, nil)
		c.must(err)
		_, _, err = c.DecideRequest(ctx, by(carersInHerts), request.Reference, exchange.RequestDecision{Decision: "refused", Reasons: []string{"too-wide"}, Person: "dpl-1", Decided: "2026-12-15"})
		c.must(err)

		c.on("2027-06-15")
		c.says(carersInHerts, later, consent.Given)
		c.on("2034-03-31")
		if got := retain(); got.Reference != "" || len(c.knows(idle)) != 1 {
			t.Fatalf("on the last day of its time something was destroyed: %+v", got)
		}
		c.on("2034-04-01")
		got := retain()
		if got.Destroyed["person"] == 0 || got.Kept["person"] != 1 || got.Destroyed["case"] != 1 || got.Destroyed["request"] != 1 {
			t.Errorf("retention came to %+v", got)
		}
		if len(c.knows(idle)) != 0 || len(c.knows(held)) != 1 || len(c.knows(later)) != 1 {
			t.Errorf("known are %d, %d and %d", len(c.knows(idle)), len(c.knows(held)), len(c.knows(later)))
		}
		if rows, err := c.store.Cases(ctx, store.CaseQuery{Reference: complaint.Reference, Limit: 1}); err != nil || len(rows) > 0 {
			t.Errorf("the closed case is still there (%v)", err)
		}
		if run := c.shows(operator, got.Reference); run.State != rights.Closed {
			t.Errorf("the case of the run is %s", run.State)
		}
		if again := retain(); len(again.Destroyed) > 0 {
			t.Errorf("the second run destroyed %v", again.Destroyed)
		}

		c.steps(carersInHerts, hold, rights.StepIn{Step: "lifted", Grounds: []string{"over"}})
		if got := retain(); got.Destroyed["person"] != 0 { // that it was lifted is the last about them
			t.Errorf("the day on which the hold was lifted begins no new time: %+v", got)
		}
		due, err := c.rights.RetentionDue(ctx, date(t, "2041-05-01"))
		c.must(err)
		for _, d := range due {
			if d.Class.Class == "person" && (d.Past < 2 || d.Before.String() != "2034-04-01" || d.Next.String() != "2042-04-01") {
				t.Errorf("in May 2041 due are %+v", d)
			}
		}
		c.audited()
	})
}

func TestEveryClassOfRetentionHasItsSource(t *testing.T) {
	for _, c := range rights.Classes() {
		if c.Class == "" || c.Years < 1 || c.From == "" || !strings.ContainsAny(c.Source, "0123456789") {
			t.Errorf("class %+v", c)
		}
	}
}

// twin is another copy of the hub on the same database, with a log of its own.
func (c *county) twin() *exchange.Exchange {
	c.Helper()
	const other = "hub.example/log/2"
	skey, _, err := ledger.GenerateKey(other)
	c.must(err)
	signer, err := ledger.NewSigner(other, skey)
	c.must(err)
	x, err := exchange.New(exchange.Config{Store: c.store, Sealer: c.sealer, Signer: signer, Origin: other, Index: c.index, Publisher: silent{}, Now: c.clock})
	c.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	c.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			c.Errorf("the second copy ended badly: %v", err)
		}
	})
	return x
}

// One copy of the hub erases somebody while another takes a referral of them. Whichever is first, nothing is left that waits and is of nobody.
func TestAReferralComesInWhileItsPersonIsErased(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		const rounds = 12
		twin := c.twin()
		for round := range rounds {
			maya := c.somebody()
			c.settles(maya)
			k := c.accepted(carersInHerts, maya)
			doc := c.message(maya, without("consents"))
			in := erase
			in.MessageID, in.Person = c.messageID(), "dpl-1"
			var sent exchange.Submitted
			var unsent, unerased error
			var both sync.WaitGroup
			both.Go(func() { sent, unsent = twin.Submit(context.Background(), by(carersInHerts), doc) })
			both.Go(func() {
				_, _, unerased = c.rights.Step(context.Background(), by(carersInHerts), k.Reference, &in, []byte(in.MessageID))
			})
			both.Wait()
			if unsent != nil || unerased != nil {
				t.Fatalf("round %d: the referral: %v; the erasure: %v", round, unsent, unerased)
			}
			// Whoever was referred after the erasure is somebody new; before it, they are gone with what waited.
			if is := c.state(sent.Transfers[0].Transfer.ID); (is == transfer.Stopped) != (len(c.knows(maya)) == 0) {
				t.Fatalf("round %d: of somebody of whom the hub knows %v a transfer is %s", round, c.knows(maya), is)
			}
		}
	})
}

// What a controller has erased does not come back to it because another needs the person still.
func TestAnErasureIsFinalAlsoWhereOthersKnowThePerson(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.refers(maya)
	c.sends(pohwer, c.message(maya, without("consents")), transfer.Held)
	c.steps(carersInHerts, c.accepted(carersInHerts, maya), erase)
	c.on("2026-11-24")
	again := c.refers(maya)
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Access, Identifiers: known(maya)})
	if got, text := c.reports(carersInHerts, k, rights.Ask{For: rights.ForDPL}); len(got.Entries) != 1 || !strings.Contains(text, string(again)) {
		t.Errorf("it reports %s", text)
	}
	k = c.opens(carersInHerts, rights.Opening{Type: rights.Rectification, Identifiers: known(maya)})
	c.steps(carersInHerts, k, rights.StepIn{Step: "accepted", Items: []string{"carer.name.family"}})
	told := c.noticesTo(ageUKHerts)
	if last := told[len(told)-1]; last.Act != "rectify" || !slices.Equal(last.Transfers, []transfer.TransferID{again}) {
		t.Errorf("Age UK is told to %s %v, and has %s alone", last.Act, last.Transfers, again)
	}
}

// Between the acceptance of an erasure and the erasure something else goes: whoever got it is told, because afterwards nobody finds them. Who was told
// before is not told twice.
func TestTheLastToReceiveIsToldOfTheErasure(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.refers(maya)
	k := c.accepted(carersInHerts, maya)
	later := c.refers(maya)
	k = c.steps(carersInHerts, k, erase)
	told := c.noticesTo(ageUKHerts)
	if len(told) != 2 || told[1].Act != "erase" || !slices.Equal(told[1].Transfers, []transfer.TransferID{later}) {
		t.Fatalf("Age UK was given %s at last, and has %d notices, %s of %v", later, len(told), told[len(told)-1].Act, told[len(told)-1].Transfers)
	}
	c.steps(carersInHerts, k, rights.StepIn{Step: "answered"})
	c.must(c.answers(ageUKHerts, told[0].ID, rights.Actioned, ""))
	c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "has not answered "+told[1].ID)
}

// What waits is stopped by the erasure. Its recipient never gets it, and is not told that it was there: not of whom, and not to erase it.
func TestWhatNeverWentIsNotErasedByItsRecipient(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	went := c.refers(maya)
	waits := c.sends(carersInHerts, c.message(maya), transfer.Queued)
	c.steps(carersInHerts, c.accepted(carersInHerts, maya), erase)
	if got := c.state(waits); got != transfer.Stopped {
		t.Errorf("what waited is %s", got)
	}
	for _, n := range c.noticesTo(ageUKHerts) {
		if !slices.Equal(n.Transfers, []transfer.TransferID{went}) {
			t.Errorf("Age UK, which was given %s alone, is told to erase %v", went, n.Transfers)
		}
	}
}

func TestAnErasureOfOneItemErasesNobody(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.settles(maya)
	waits := c.sends(carersInHerts, c.message(maya), transfer.Queued)
	for _, o := range []rights.Opening{{Items: []string{"carer.email"}}, {Role: transfer.Carer}, {}} {
		o.Type, o.Identifiers = rights.Erasure, known(maya)
		in := rights.StepIn{Step: "accepted"}
		if o.Items == nil && o.Role == "" { // what is to go is named when it is accepted
			in.Items = []string{"carer.email"}
		}
		k := c.steps(carersInHerts, c.opens(carersInHerts, o), in)
		c.impossible(carersInHerts, k, erase, "cannot be erased in part")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "answered"})
		for _, id := range k.Told {
			c.must(c.answers(ageUKHerts, id, rights.Actioned, ""))
		}
		c.steps(carersInHerts, k, rights.StepIn{Step: "closed"})
	}
	if len(c.knows(maya)) != 1 || c.state(waits) != transfer.Queued {
		t.Errorf("the person is known %d times, and what waits is %s", len(c.knows(maya)), c.state(waits))
	}
}

// Maya said no at Age UK, and has it erase what it knows. Her no still stops what others send.
func TestANoOutlivesWhoWroteItDown(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.refers(maya)
	early := c.message(maya)
	c.says(ageUKHerts, maya, consent.Withdrawn)
	c.sends(carersInHerts, early, transfer.Refused)
	c.steps(ageUKHerts, c.accepted(ageUKHerts, maya), erase)
	c.sends(carersInHerts, c.message(maya), transfer.Refused)
}

func TestAHoldOnSomebodyUnknownIsNoHoldOnEverything(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.refers(maya)
	for _, p := range []transfer.PartnerID{operator, carersInHerts} {
		_, err := c.tries(p, rights.Opening{Type: rights.LegalHold, Grounds: []string{"police"}, Identifiers: known(c.somebody())})
		c.invalid(err, "/identifiers")
	}
	c.steps(carersInHerts, c.accepted(carersInHerts, maya), erase)
	if len(c.knows(maya)) != 0 {
		t.Errorf("something keeps somebody whom nobody holds")
	}
}

// That somebody looked is no dealing with the person: their time runs on.
func TestALookKeepsNobody(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.settles(maya)
	c.on("2033-06-01")
	c.finds(operator, maya)
	c.on("2034-04-02")
	got, err := c.rights.Retain(context.Background())
	c.must(err)
	if len(c.knows(maya)) != 0 || got.Destroyed["person"] == 0 {
		t.Errorf("retention came to %+v", got)
	}
}
