package rights_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/rights"
	"referralhub/hub/transfer"
	"referralhub/hub/watch"
)

// flags lists what was raised, as a partner sees it.
func (c *county) flags(p transfer.PartnerID) (cases []rights.Case, said []rights.Flagged) {
	c.Helper()
	list, err := c.rights.Cases(context.Background(), by(p), rights.Which{Type: rights.Flag, Limit: 100})
	c.must(err)
	for _, k := range list {
		var f rights.Flagged
		c.must(json.Unmarshal(k.Scope, &f))
		said = append(said, f)
	}
	return list, said
}

func rulesOf(said []rights.Flagged) []watch.Rule {
	var out []watch.Rule
	for _, f := range said {
		out = append(out, f.Rule)
	}
	return out
}

// A first-seen flow is flagged at the next look, once, whoever looks and however often.
func TestAFirstSeenFlowIsFlaggedOnce(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		w := c.rights.Watcher()
		c.must(w.Look(context.Background()))
		c.refers(c.somebody())
		c.refers(c.somebody())
		c.must(w.Look(context.Background()))
		c.must(w.Look(context.Background()))
		cases, said := c.flags(carersInHerts)
		if len(said) != 1 || said[0].Rule != watch.FirstFlow || said[0].Recipient != ageUKHerts || said[0].Agreement != "hertswise" || w.Open() != 1 {
			t.Fatalf("raised %+v, %d open", said, w.Open())
		}
		if e := said[0].Evidence[0]; c.leaves()[e.Index].Kind != ledger.KindRelease {
			t.Errorf("the evidence is %+v", c.leaves()[e.Index])
		}
		if leaf := c.leaves()[cases[0].Steps[0].Log.Index]; leaf.Case.Type != "flag" || leaf.Sender != carersInHerts || leaf.Actor.Person != "" || !slices.Equal(leaf.Case.Grounds, []string{"first-seen-flow"}) {
			t.Errorf("the leaf is %+v of %s", leaf.Case, leaf.Sender)
		}
		if _, others := c.flags(ageUKHerts); len(others) != 0 {
			t.Errorf("the recipient sees %+v", others)
		}
		c.must(c.rights.Watcher().Look(context.Background())) // a hub that starts again
		if _, said := c.flags(operator); len(said) != 1 {
			t.Errorf("after a start there are %+v", said)
		}
		c.must(c.rights.Watcher().Look(context.Background()))
		c.refers(c.somebody())
		c.must(w.Look(context.Background()))
		if _, said := c.flags(operator); len(said) != 1 {
			t.Errorf("after another referral there are %+v", said)
		}
		c.audited()
	})
}

// What happened while nobody looked is not lost, and what is long past is not brought up.
func TestAHubThatStartsAgainRaisesWhatIsRecent(t *testing.T) {
	c := newCounty(t)
	c.at("2026-11-23", 9)
	c.refers(c.somebody())
	c.at("2026-11-23", 15)
	id := c.sends(carersInHerts, c.message(c.somebody(), navigators), transfer.Queued)
	c.collects(pohwer, id)
	c.must(c.rights.Watcher().Look(context.Background()))
	if _, said := c.flags(operator); len(said) != 1 || said[0].Recipient != pohwer {
		t.Errorf("raised %+v", said)
	}
}

// A flow that nobody has used for long is known from the shapes of the whole log.
func TestAFlowOfLongAgoIsNotNew(t *testing.T) {
	c := newCounty(t)
	c.refers(c.somebody())
	for range 5 {
		c.says(carersInHerts, c.somebody(), consent.Given)
	}
	before := len(c.leaves())
	c.refers(c.somebody())
	c.must(c.rights.Back(int64(len(c.leaves()) - before)).Look(context.Background()))
	if _, said := c.flags(operator); len(said) != 0 {
		t.Errorf("raised %+v", said)
	}
}

// That the hub knows somebody at all is not for whoever looks them up to learn.
func TestOnePersonLookedUpAgainAndAgainIsTheOperators(t *testing.T) {
	c := newCounty(t)
	maya := c.somebody()
	c.refers(maya)
	w := c.rights.Watcher()
	c.must(w.Look(context.Background()))
	for i := range 10 {
		if _, said := c.flags(operator); slices.Contains(rulesOf(said), watch.LookedUp) {
			t.Fatalf("after %d looks there is a flag", i)
		}
		_, err := c.Search(context.Background(), by(pohwer), exchange.Query{Person: &contracts.Identifier{Scheme: "nhs-number", Value: maya}, Why: "curious"})
		c.must(err)
		c.must(w.Look(context.Background()))
	}
	if _, said := c.flags(pohwer); len(said) != 0 {
		t.Errorf("whoever looked sees %+v", said)
	}
	cases, said := c.flags(operator)
	at := slices.Index(rulesOf(said), watch.LookedUp)
	if at < 0 || said[at].Seen != 10 || len(said[at].Evidence) != 10 || cases[at].Partner != "hub-operator" {
		t.Fatalf("raised %+v", said)
	}
	leaf := c.leaves()[cases[at].Steps[0].Log.Index]
	if leaf.Case.Commitment == "" || leaf.Sender == pohwer {
		t.Errorf("the leaf is %+v of %s", leaf.Case, leaf.Sender)
	}
	if k, err := json.Marshal(cases[at]); err != nil || strings.Contains(string(k), leaf.Case.Commitment) {
		t.Errorf("the case says who it is: %s %v", k, err)
	}
}

func TestAFlagIsLookedAtAndMayBeAnIncident(t *testing.T) {
	c := newCounty(t)
	w := c.rights.Watcher()
	c.must(w.Look(context.Background()))
	c.refers(c.somebody())
	c.collects(pohwer, c.sends(carersInHerts, c.message(c.somebody(), navigators), transfer.Queued))
	c.must(w.Look(context.Background()))
	cases, said := c.flags(carersInHerts)
	if len(cases) != 2 || deadline(t, &cases[0], "look at it").By != "2026-11-24" {
		t.Fatalf("raised %+v", said)
	}
	_, err := c.triesTo(carersInHerts, &cases[0], rights.StepIn{Step: "reviewed", Grounds: []string{"expected", "incident"}})
	c.invalid(err, "/grounds")
	if _, err := c.triesTo(carersInHerts, &cases[0], rights.StepIn{Step: "reviewed", Grounds: []string{"expected"}, Person: "caseworker-1"}); err == nil {
		t.Error("a caseworker reviews a flag")
	}
	c.steps(carersInHerts, &cases[0], rights.StepIn{Step: "reviewed", Grounds: []string{"expected"}})
	c.steps(carersInHerts, &cases[1], rights.StepIn{Step: "reviewed", Grounds: []string{"incident"}})
	c.must(w.Look(context.Background()))
	incidents, err := c.rights.Cases(context.Background(), by(carersInHerts), rights.Which{Type: rights.Incident, Limit: 10})
	c.must(err)
	if len(incidents) != 1 || incidents[0].Of != cases[1].Reference || w.Open() != 0 {
		t.Fatalf("incidents %+v, %d flags open", incidents, w.Open())
	}
	sized := c.steps(carersInHerts, &incidents[0], rights.StepIn{Step: "sized"})
	var found rights.Sized
	c.must(json.Unmarshal(sized.Steps[1].Details, &found))
	if found.Size.Disclosures != 1 || found.Scope.Recipient != said[1].Recipient {
		t.Errorf("sized as %+v of %+v", found.Size.Disclosures, found.Scope)
	}
	c.audited()
}

// Two copies of the hub write logs of their own, and one watch reads both in the order of their times.
func TestTheLogsOfSeveralCopiesAreOne(t *testing.T) {
	c := newCounty(t)
	w := c.rights.Watcher()
	c.refers(c.somebody())
	c.must(w.Look(context.Background()))
	c.end()
	skey, _, err := ledger.GenerateKey("hub.example/log/2")
	c.must(err)
	signer, err := ledger.NewSigner("hub.example/log/2", skey)
	c.must(err)
	c.open(func(cfg *exchange.Config) { cfg.Origin, cfg.Signer = "hub.example/log/2", signer })
	c.refers(c.somebody())
	c.collects(pohwer, c.sends(carersInHerts, c.message(c.somebody(), navigators), transfer.Queued))
	c.end()
	c.open()
	again := c.rights.Watcher()
	c.must(again.Look(context.Background()))
	c.must(again.Look(context.Background()))
	if _, said := c.flags(operator); len(said) != 2 {
		t.Errorf("raised %v", fmt.Sprint(rulesOf(said)))
	}
}

// Looking changes nothing where there is nothing to see: it would look at itself for ever.
func TestLookingWritesNothing(t *testing.T) {
	c := newCounty(t)
	w := c.rights.Watcher()
	c.refers(c.somebody())
	c.must(w.Look(context.Background()))
	before := len(c.leaves())
	for range 3 {
		c.must(w.Look(context.Background()))
	}
	if n := len(c.leaves()); n != before {
		t.Errorf("looking wrote %d leaves", n-before)
	}
}
