package rights_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"referralhub/contracts"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/rights"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const why = "laptop stolen"

func (c *county) measures(p transfer.PartnerID, s rights.Scope) *rights.Size {
	c.Helper()
	size, err := c.rights.Measure(context.Background(), by(p), &s, why)
	c.must(err)
	return size
}

// at sets the clock to an hour of a day.
func (c *county) at(day string, hour int) time.Time {
	c.on(day)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Duration(hour-10) * time.Hour)
	return c.now
}

func counted(list []rights.Counted) string {
	var out []string
	for _, n := range list {
		out = append(out, fmt.Sprintf("%s %d/%d", n.What, n.Disclosures, n.People))
	}
	return strings.Join(out, ", ")
}

// "Age UK was compromised from Tuesday nine o'clock to Wednesday nine o'clock."
func TestAPartnerWasCompromisedBetweenTheseInstants(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		maya, tom, child := c.somebody(), c.somebody(), c.somebody()
		c.on("2026-11-23")
		c.refers(maya)
		from := c.at("2026-11-24", 9)
		c.at("2026-11-24", 11)
		c.refers(tom)
		c.refers(tom)
		elsewhere := c.sends(carersInHerts, c.message(child, navigators), transfer.Queued)
		c.collects(pohwer, elsewhere)
		waits := c.sends(carersInHerts, c.message(child), transfer.Queued)
		to := c.at("2026-11-25", 9)
		c.at("2026-11-25", 11)
		c.refers(maya)

		size := c.measures(operator, rights.Scope{Recipient: ageUKHerts, From: from, To: to})
		if size.Disclosures != 2 || size.Transfers != 2 || size.People != 1 || size.Records != 2 || size.Professionals != 6 ||
			size.Waiting != (rights.Waiting{Queued: 1, Released: 3}) { // one of them from before: it may be collected again
			t.Errorf("it reached %+v", size)
		}
		if got := counted(size.Recipients) + "; " + counted(size.Senders) + "; " + counted(size.Agreements) + "; " + counted(size.Roles); got !=
			"age-uk-hertfordshire 2/1; carers-in-hertfordshire 2/1; hertswise@1 2/1; professional 2/6, carer 2/1" {
			t.Errorf("among %s", got)
		}
		i := slices.IndexFunc(size.Items, func(i rights.CountedItem) bool { return i.What == "carer.name.family" })
		if i < 0 || size.Items[i].People != 1 || size.Items[i].Disclosures != 2 || size.Items[i].Special {
			t.Errorf("items are %+v", size.Items)
		}
		if !slices.ContainsFunc(size.Categories, func(c rights.CountedItem) bool { return c.Special }) {
			t.Errorf("no special category is marked: %+v", size.Categories)
		}
		e := size.Evidence[0]
		if len(size.Evidence) != 1 || e.Origin != origin || e.Leaves != 2 || e.Last <= e.First || !strings.HasPrefix(e.Digest, "sha256:") || !strings.HasPrefix(e.Checkpoint, origin+"\n") {
			t.Errorf("the evidence is %+v", size.Evidence)
		}

		held := c.measures(operator, rights.Scope{Partner: ageUKHerts, From: from, To: to, Held: true})
		if held.People != 2 || held.Disclosures != 3 || !held.First.Before(from) {
			t.Errorf("with what it had been given before, it reached %+v", held)
		}
		both := c.measures(operator, rights.Scope{Sender: carersInHerts, From: from, To: to})
		if both.Disclosures != 3 || both.People != 2 || counted(both.Recipients) != "age-uk-hertfordshire 2/1, pohwer 1/1" {
			t.Errorf("what the sender sent reached %+v", both)
		}
		one := c.measures(carersInHerts, rights.Scope{Transfers: []transfer.TransferID{elsewhere, waits}})
		if one.Disclosures != 1 || one.Waiting.Queued != 1 || one.Transfers != 1 {
			t.Errorf("two transfers reached %+v", one)
		}
		last := c.leaves()[len(c.leaves())-1]
		if q := last.Query; q == nil || q.Kind != "incident" || q.Why != why || q.Found != 1 || q.Filter != "transfer="+string(elsewhere)+" transfer="+string(waits) {
			t.Errorf("the log says %+v", q)
		}
		c.audited()
	})
}

// "The telephone number was wrong in these messages."
func TestAnItemWasWrongInTheseMessages(t *testing.T) {
	c := newCounty(t)
	without := func(m map[string]any) { delete(m["carer"].(map[string]any), "phones") }
	c.refers(c.somebody())
	id := c.sends(carersInHerts, c.message(c.somebody(), without), transfer.Queued)
	c.collects(ageUKHerts, id)
	c.tells(carersInHerts, c.somebody(), exchange.Disclosed{Office: "ambulance crew"}, "carer.phones")

	size := c.measures(operator, rights.Scope{Items: []string{"carer.phones"}})
	if size.People != 2 || size.Disclosures != 2 || size.Transfers != 1 || counted(size.Recipients) != "age-uk-hertfordshire 1/1, ambulance crew 1/1" {
		t.Errorf("the number reached %+v", size)
	}
	for _, i := range size.Items {
		if i.What != "carer.phones" {
			t.Errorf("%s was not wrong and is counted", i.What)
		}
	}
	section := c.measures(operator, rights.Scope{Items: []string{"carer.addresses", "carer.name"}, Purpose: "referral.service"})
	if section.People != 2 || len(section.Items) < 3 {
		t.Errorf("two sections reached %+v", section)
	}
	category := c.measures(operator, rights.Scope{Items: []string{"carer.name.family"}, Recipient: pohwer})
	if category.People != 0 || len(category.Items)+len(category.Evidence) != 0 {
		t.Errorf("what nobody received reached %+v", category)
	}
}

// What was told by telephone counts too, and what is held for a person to look at can be stopped.
func TestChildrenExceptionsAndWhatIsHeldAreCounted(t *testing.T) {
	c := newCounty(t)
	c.refers(c.somebody())
	young := func(m map[string]any) { m["carer"].(map[string]any)["date_of_birth"] = "2012-01-31" }
	c.sends(carersInHerts, c.message(c.somebody(), young), transfer.Held)
	d := exchange.Disclosed{
		MessageID: c.messageID(), To: council, Purpose: "safeguarding", Basis: ledger.Basis{Article6: "d"}, Exception: "danger-to-life", How: "telephone",
		Made: c.clock(), Person: "dpl-1", People: []exchange.DisclosedAbout{
			{Role: transfer.Child, Identifiers: known(c.somebody()), Items: []string{"household.name.given"}},
		},
	}
	_, err := c.EnterDisclosure(context.Background(), by(carersInHerts), &d, []byte(d.MessageID))
	c.must(err)
	size := c.measures(operator, rights.Scope{Sender: carersInHerts})
	if size.Children != 1 || size.People != 2 || counted(size.Exceptions) != "danger-to-life 1/1" || size.Waiting != (rights.Waiting{Held: 1, Released: 1}) {
		t.Errorf("%d children among %d, exceptions %+v, waiting %+v", size.Children, size.People, size.Exceptions, size.Waiting)
	}
	// Of a child whose referral went, the decision behind the release says how old it is.
	text, err := contracts.Example("young-carer")
	c.must(err)
	var m map[string]any
	c.must(json.Unmarshal(text, &m))
	m["purpose"], m["service"] = "contract-case", "young-carers-in-contract"
	undertaking := m["undertaking"].(map[string]any)
	undertaking["basis"], undertaking["informed_on"] = "legitimate-interests", "2026-11-02"
	for _, others := range []string{"cared_for", "children", "absent_parents", "consents"} {
		delete(m, others)
	}
	text, err = json.Marshal(m)
	c.must(err)
	contract, _ := contracts.For("referral/1")
	doc, err := contract.Parse(text)
	c.must(err)
	c.collects(council, c.sends(carersInHerts, doc, transfer.Queued))
	if size := c.measures(carersInHerts, rights.Scope{Sender: carersInHerts}); size.Children != 2 {
		t.Errorf("%d children, want one whom somebody was told of and one whose referral went", size.Children)
	}
	if size := c.measures(council, rights.Scope{Sender: carersInHerts, Purpose: "contract-case"}); size.Children != 0 || size.People == 0 {
		t.Errorf("%d children: what the sender knows of somebody's age is not the recipient's to know", size.Children)
	}
	if held := c.measures(operator, rights.Scope{Items: []string{"carer.phones"}, Purpose: "referral.service"}); held.Waiting.Held != 1 {
		t.Errorf("what is held has a telephone number, and waiting is %+v", held.Waiting)
	}
}

func TestWhatAPartnerMayNotMeasure(t *testing.T) {
	c := newCounty(t)
	c.refers(c.somebody())
	before := len(c.leaves())
	_, err := c.rights.Measure(context.Background(), by(pohwer), &rights.Scope{Sender: carersInHerts, Recipient: ageUKHerts}, why)
	var not *exchange.RefusedError
	if !errors.As(err, &not) {
		t.Fatalf("another's transfers give %v", err)
	}
	if l := c.leaves(); len(l) != before+1 || l[before].Query.Refused != not.Code {
		t.Errorf("the refusal is not in the log")
	}
	c.sends(carersInHerts, c.message(c.somebody()), transfer.Queued)
	if size := c.measures(pohwer, rights.Scope{Partner: ageUKHerts}); size.Disclosures != 0 || size.Waiting != (rights.Waiting{}) {
		t.Errorf("PoHWER finds %+v of what waits for Age UK", size.Waiting)
	}
	if size := c.measures(pohwer, rights.Scope{Sender: carersInHerts}); size.Disclosures != 0 || size.People != 0 {
		t.Errorf("PoHWER finds %+v of what was sent to Age UK", size)
	}
	if size := c.measures(ageUKHerts, rights.Scope{Sender: carersInHerts}); size.Disclosures != 1 {
		t.Errorf("Age UK finds %+v of what was sent to it", size)
	}
}

func TestAScopeThatSaysNothing(t *testing.T) {
	c := newCounty(t)
	now := c.clock()
	for pointer, s := range map[string]rights.Scope{
		"/scope":              {},
		"/scope/to":           {From: now, To: now},
		"/scope/held":         {Held: true, From: now},
		"/scope/items/0":      {Items: []string{"Mrs Example"}},
		"/scope/categories/0": {Categories: []contracts.Category{"gossip"}},
		"/scope/transfers/0":  {Transfers: []transfer.TransferID{"Mrs Example"}},
		"/scope/system":       {System: "nobody/nothing"},
	} {
		_, err := c.rights.Measure(context.Background(), by(operator), &s, why)
		c.invalid(err, pointer)
	}
	_, err := c.rights.Measure(context.Background(), by(operator), &rights.Scope{Recipient: "mrs-example"}, why)
	var word *exchange.WordError
	if !errors.As(err, &word) {
		t.Errorf("a partner whom nobody knows gives %v", err)
	}
}

// A referral went to the wrong partner: from awareness to the closing of the case.
func TestAMisdeliveryFromAwarenessToTheEnd(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		aware := c.at("2026-11-20", 17) // a Friday
		id := c.refers(c.somebody())
		c.at("2026-11-20", 18)
		k := c.opens(carersInHerts, rights.Opening{
			Type: rights.Incident, Grounds: []string{"wrong-recipient"}, Aware: aware, Scope: details(t, rights.Scope{Transfers: []transfer.TransferID{id}}),
		})
		wants(t, k, "notify the ICO 2026-11-23T17:00:00Z (Art 33(1) UK GDPR)")
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "nobody has assessed")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "sized"})
		if leaf := c.leaves()[k.Steps[1].Log.Index]; !slices.Contains(leaf.Case.Counts, ledger.Count{What: "people", N: 1}) {
			t.Errorf("the leaf says %+v", leaf.Case.Counts)
		}
		_, err := c.triesTo(carersInHerts, k, rights.StepIn{Step: "assessed", Grounds: []string{"high-risk"}})
		c.invalid(err, "/details/consequences")
		k = c.steps(carersInHerts, k, rights.StepIn{
			Step: "assessed", Grounds: []string{"high-risk"}, Details: details(t, map[string][]string{"consequences": {"safe-address-known", "distress"}}),
		})
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "the ICO has not been told")
		if got := dues(k); !slices.Contains(got, "tell the people concerned  (Art 34 UK GDPR: without undue delay)") {
			t.Errorf("due is %q", got)
		}
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "recall", Grounds: []string{"wrong-recipient"}})
		if k.State != rights.Open || len(k.Told) != 1 {
			t.Fatalf("recalled: %s, told %v", k.State, k.Told)
		}
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "contained", Grounds: []string{"recalled", "procedure-changed"}})

		n, err := c.rights.Notification(context.Background(), by(carersInHerts), k.Reference)
		c.must(err)
		if n.Risk != "high-risk" || n.Size.People != 1 || n.Contact.Email == "" || len(n.Missing) != 0 || !n.Due.Equal(aware.Add(72*time.Hour)) ||
			!slices.Equal(n.Measures, []string{"procedure-changed", "recalled"}) {
			t.Errorf("the draft is %+v", n)
		}
		c.at("2026-11-23", 18) // an hour late
		report := rights.StepIn{Step: "notified-ico", Grounds: []string{"complete"}, Details: details(t, map[string]string{"reference": "IC-123456-A1B2"})}
		_, err = c.triesTo(carersInHerts, k, report)
		c.invalid(err, "/grounds")
		report.Details = details(t, map[string]any{"reference": "IC-123456-A1B2", "at": aware.Add(74 * time.Hour)})
		_, err = c.triesTo(carersInHerts, k, report)
		c.invalid(err, "/details/at")
		report.Details = details(t, map[string]any{"reference": "IC-123456-A1B2", "at": aware.Add(72*time.Hour + time.Second)})
		_, err = c.triesTo(carersInHerts, k, report)
		c.invalid(err, "/grounds")
		report.Grounds = append(report.Grounds, "late-investigation")
		k = c.steps(carersInHerts, k, report)
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "the people concerned have not been told")
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "told-people", Grounds: []string{"directly"}})
		c.impossible(carersInHerts, k, rights.StepIn{Step: "closed"}, "age-uk-hertfordshire has not answered")
		c.must(c.answers(ageUKHerts, k.Told[0], rights.Actioned, ""))
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "closed"})
		if k.State != rights.Closed {
			t.Errorf("it is %s", k.State)
		}
		c.audited()
	})
}

func TestWhatIsUnlikelyToBeARiskIsRecordedAndNotNotified(t *testing.T) {
	c := newCounty(t)
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Incident, Grounds: []string{"unavailable"}})
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "assessed", Grounds: []string{"unlikely-risk"}})
	wants(t, k)
	if k = c.steps(carersInHerts, k, rights.StepIn{Step: "closed"}); k.State != rights.Closed {
		t.Errorf("it is %s", k.State)
	}
}

// The hub's operator finds that Age UK's system was taken over: what waits for it is stopped, what it has is recalled, and every sender is told.
func TestTheOperatorRecallsAndTellsTheControllers(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		const many = 103
		var waiting []transfer.TransferID
		for range many {
			waiting = append(waiting, c.sends(carersInHerts, c.message(c.somebody()), transfer.Queued))
		}
		maya := c.somebody()
		given := c.refers(maya)
		received := c.refers(maya)
		_, err := c.Acknowledge(context.Background(), by(ageUKHerts), received, exchange.Receipt{Status: "received"})
		c.must(err)
		other := c.sends(carersInHerts, c.message(maya, navigators), transfer.Queued)

		k := c.opens(operator, rights.Opening{Type: rights.Incident, Grounds: []string{"stolen-credentials"}, Scope: details(t, rights.Scope{Recipient: ageUKHerts})})
		wants(t, k, "tell the controllers  (Art 33(2) UK GDPR: without undue delay)")
		k = c.steps(operator, k, rights.StepIn{Step: "recall", Grounds: []string{"compromised"}})
		for _, id := range append(waiting, given) {
			if s := c.state(id); s != transfer.Stopped {
				t.Fatalf("%s is %s", id, s)
			}
		}
		if a, b := c.state(received), c.state(other); a != transfer.Received || b != transfer.Queued {
			t.Errorf("what was received is %s, what goes elsewhere %s", a, b)
		}
		told := c.noticesTo(ageUKHerts)
		if len(told) != 1 || told[0].Act != "recall" || !slices.Equal(told[0].Transfers, []transfer.TransferID{given, received}) || told[0].Sender != operator {
			t.Errorf("Age UK is told %+v", told)
		}
		if k.State != rights.Open {
			t.Errorf("it is %s", k.State)
		}
		k = c.steps(operator, k, rights.StepIn{Step: "notified-controllers"})
		sender := "answer of carers-in-hertfordshire 2026-11-24 (Art 33 UK GDPR)" // of what was stopped, a hundred to a commit, and of the incident
		wants(t, k, "answer of age-uk-hertfordshire 2026-11-24 (Art 33 UK GDPR)", sender, sender, sender)
		acts := map[string]int{}
		for _, n := range c.noticesTo(carersInHerts) {
			acts[n.Act] += len(n.Transfers)
		}
		if acts["recall"] != many+1 || acts["incident"] != 2 {
			t.Errorf("the controller is told of %v", acts)
		}
		if n := c.noticesTo(pohwer); len(n) != 0 {
			t.Errorf("PoHWER, which has nothing to do with it, is told %+v", n)
		}
		c.audited()
	})
}

// A hub that is stopped in the midst of a recall goes on where it was, and tells nobody twice.
func TestARecallGoesOnAfterACrash(t *testing.T) {
	for _, at := range []int{2, 3, 4, 5} {
		c := newCounty(t)
		for range 101 {
			c.sends(carersInHerts, c.message(c.somebody()), transfer.Queued)
		}
		c.refers(c.somebody())
		k := c.opens(carersInHerts, rights.Opening{Type: rights.Incident, Grounds: []string{"wrong-data"}, Scope: details(t, rights.Scope{Recipient: ageUKHerts})})
		power := &failing{Store: c.store, at: at}
		c.end()
		c.open(func(cfg *exchange.Config) { cfg.Store = power })
		_, _ = c.triesTo(carersInHerts, k, rights.StepIn{Step: "recall", Grounds: []string{"wrong-data"}})
		c.end()
		c.open()
		c.must(c.rights.Sweep(context.Background()))
		c.must(c.rights.Sweep(context.Background()))
		k = c.shows(carersInHerts, k.Reference)
		if k.State == rights.Recalling {
			t.Fatalf("power lost at commit %d: the recall is not done", at)
		}
		if _, begun := stepOf(k, "recall"); !begun {
			continue // it was lost before it was ordered, and whoever ordered it was told so
		}
		open, err := c.store.InState(context.Background(), ageUKHerts, transfer.Queued, "", 10)
		c.must(err)
		if n := c.noticesTo(ageUKHerts); len(open) != 0 || len(n) != 1 || len(n[0].Transfers) != 1 {
			t.Errorf("power lost at commit %d: %d wait, told %+v", at, len(open), n)
		}
		c.audited()
	}
}

func stepOf(k *rights.Case, name string) (rights.Step, bool) {
	i := slices.IndexFunc(k.Steps, func(s rights.Step) bool { return s.Step == name })
	if i < 0 {
		return rights.Step{}, false
	}
	return k.Steps[i], true
}

// failing is a store whose power goes at a commit, and stays away.
type failing struct {
	store.Store
	at, commits int
}

func (f *failing) InTx(ctx context.Context, do func(store.Tx) error) error {
	if f.commits++; f.commits >= f.at {
		return errors.New("no power")
	}
	return f.Store.InTx(ctx, do)
}

// A partner's recall reaches what it sent, and nothing that others did.
func TestAPartnerRecallsItsOwn(t *testing.T) {
	c := newCounty(t)
	id := c.refers(c.somebody())
	k := c.opens(pohwer, rights.Opening{Type: rights.Incident, Grounds: []string{"suspected"}, Scope: details(t, rights.Scope{Recipient: ageUKHerts})})
	c.steps(pohwer, k, rights.StepIn{Step: "recall", Grounds: []string{"precaution"}})
	if s, n := c.state(id), c.noticesTo(ageUKHerts); s != transfer.Released || len(n) != 0 {
		t.Errorf("another partner's recall made it %s, and told %+v", s, n)
	}
	c.impossible(pohwer, k, rights.StepIn{Step: "notified-controllers"}, "only whoever runs the hub")
}

func TestAnIncidentThatIsNoneIsNotTaken(t *testing.T) {
	c := newCounty(t)
	_, err := c.tries(carersInHerts, rights.Opening{Type: rights.Incident})
	c.invalid(err, "/grounds")
	_, err = c.tries(carersInHerts, rights.Opening{Type: rights.Incident, Grounds: []string{"lost"}, Aware: c.clock().Add(time.Hour)})
	c.invalid(err, "/aware")
	_, err = c.tries(carersInHerts, rights.Opening{Type: rights.Incident, Grounds: []string{"lost"}, Scope: details(t, map[string]string{"who": "Mrs Example"})})
	c.invalid(err, "/scope")
	_, err = c.tries(carersInHerts, rights.Opening{Type: rights.Incident, Grounds: []string{"lost"}, Identifiers: known(c.somebody())})
	c.invalid(err, "/identifiers")
	_, err = c.tries(carersInHerts, rights.Opening{Type: rights.Flag, Scope: details(t, map[string]string{})})
	c.invalid(err, "/type")
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Incident, Grounds: []string{"lost"}})
	_, err = c.triesTo(carersInHerts, k, rights.StepIn{Step: "sized"})
	c.invalid(err, "/details/scope")
	c.impossible(carersInHerts, k, rights.StepIn{Step: "recall", Grounds: []string{"precaution"}}, "nothing is said of what")
	c.impossible(carersInHerts, k, rights.StepIn{Step: "stopped", Details: details(t, map[string]any{"stop": []string{"x"}})}, "no step")
}

// The hub stopped in the midst of two recalls, and of one the register knows the words no more. The other is carried out.
func TestAnIncidentThatCannotGoOnKeepsNoOther(t *testing.T) {
	c := newCounty(t)
	ctx := context.Background()
	id := c.refers(c.somebody())
	scope := details(t, rights.Scope{Recipient: ageUKHerts})
	var both [2]*rights.Case
	for i := range both {
		both[i] = c.opens(carersInHerts, rights.Opening{Type: rights.Incident, Grounds: []string{"suspected"}, Scope: scope})
		rows, err := c.store.Cases(ctx, store.CaseQuery{Reference: both[i].Reference, Limit: 1})
		c.must(err)
		rows[0].State, rows[0].Version = string(rights.Recalling), rows[0].Version+1
		if i == 0 {
			rows[0].Body = []byte(strings.Replace(string(rows[0].Body), `"scope":{`, `"scope":{"purpose":"was-declared-once",`, 1))
		}
		c.must(c.store.InTx(ctx, func(tx store.Tx) error { return tx.UpdateCases(ctx, rows) }))
	}
	if err := c.rights.Sweep(ctx); err == nil || !strings.Contains(err.Error(), both[0].Reference) {
		t.Errorf("of the one that cannot go on the hub says %v", err)
	}
	if good := c.shows(carersInHerts, both[1].Reference); good.State != rights.Open || c.state(id) != transfer.Stopped {
		t.Errorf("the other is %s, and what it recalls %s", good.State, c.state(id))
	}
}

// What is in something before it goes is between its sender and the hub. Nobody finds it out by measuring item by item.
func TestARecipientDoesNotMeasureWhatItHasNotReceived(t *testing.T) {
	c := newCounty(t)
	held := c.sends(pohwer, c.message(c.somebody(), without("consents")), transfer.Held)
	waits := c.sends(carersInHerts, c.message(c.somebody()), transfer.Queued)
	ask := func(p transfer.PartnerID, id transfer.TransferID, items ...string) rights.Waiting {
		return c.measures(p, rights.Scope{Transfers: []transfer.TransferID{id}, Items: items}).Waiting
	}
	if got := ask(pohwer, held, "carer.name.family"); got.Held != 1 {
		t.Fatalf("its sender measures %+v", got)
	}
	if got := ask(ageUKHerts, held); got != (rights.Waiting{}) {
		t.Errorf("its recipient measures %+v of what is held", got)
	}
	for _, id := range []transfer.TransferID{held, waits} {
		if there, absent := ask(ageUKHerts, id, "carer.name.family"), ask(ageUKHerts, id, "cared_for.alleged_perpetrator"); there != absent {
			t.Errorf("of what is in it its recipient measures %+v, of what is not %+v", there, absent)
		}
	}
	if got := ask(ageUKHerts, waits); got.Queued != 1 {
		t.Errorf("of what waits for it Age UK measures %+v", got)
	}
}

// A recipient stops what was sent to it. It was to help somebody, and its sender has to know that it did not arrive.
func TestASenderIsToldWhatItsRecipientHasStopped(t *testing.T) {
	c := newCounty(t)
	id := c.sends(carersInHerts, c.message(c.somebody()), transfer.Queued)
	held := c.sends(pohwer, c.message(c.somebody(), without("consents")), transfer.Held)
	k := c.opens(ageUKHerts, rights.Opening{Type: rights.Incident, Grounds: []string{"suspected"}, Scope: details(t, rights.Scope{Recipient: ageUKHerts})})
	c.steps(ageUKHerts, k, rights.StepIn{Step: "recall", Grounds: []string{"precaution"}})
	told := c.noticesTo(carersInHerts)
	if c.state(id) != transfer.Stopped || len(told) != 1 || told[0].Act != "recall" || !slices.Equal(told[0].Transfers, []transfer.TransferID{id}) {
		t.Errorf("it is %s, and its sender is told %+v", c.state(id), told)
	}
	if got, told := c.state(held), c.noticesTo(pohwer); got != transfer.Held || len(told) != 0 {
		t.Errorf("what is held, of which the recipient knows nothing, is %s, and its sender is told %+v", got, told)
	}
}
