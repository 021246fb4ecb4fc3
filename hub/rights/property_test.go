package rights_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"referralhub/hub/exchange"
	"referralhub/hub/rights"
	"referralhub/hub/transfer"
)

// Whatever people do, in whatever order: a case that told recipients is closed when each of them has done it, or has refused and somebody has
// looked at why, and everybody outside has been told; and what a recipient has done stays done.
func TestNoCaseIsClosedBeforeEverybodyHasDoneIt(t *testing.T) {
	c := newCounty(t)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		who := c.somebody()
		c.refers(who)
		c.collects(pohwer, c.sends(carersInHerts, c.message(who, navigators), transfer.Queued))
		c.tells(carersInHerts, who, exchange.Disclosed{Office: "ambulance crew"}, "carer.phones")
		k := c.opens(carersInHerts, rights.Opening{Type: rights.Rectification, Identifiers: known(who)})
		k = c.steps(carersInHerts, k, rights.StepIn{Step: "accepted", Items: []string{"carer.phones"}})
		done := map[string]bool{}
		for range rapid.IntRange(1, 14).Draw(t, "acts") {
			notices, err := c.rights.NoticesOf(ctx, by(carersInHerts), k.Reference)
			c.must(err)
			n := rapid.SampledFrom(notices).Draw(t, "notice")
			switch rapid.IntRange(0, 5).Draw(t, "act") {
			case 0:
				status := rapid.SampledFrom([]rights.NoticeState{rights.Received, rights.Actioned, rights.NotActioned}).Draw(t, "status")
				reason := ""
				if status == rights.NotActioned {
					reason = "not-held"
				}
				_ = c.answers(n.Recipient, n.ID, status, reason) // some cannot be
			case 1:
				_, _ = c.triesTo(carersInHerts, k, rights.StepIn{Step: "refusal-looked-at", Notice: n.ID})
			case 2:
				_, _ = c.triesTo(carersInHerts, k, rights.StepIn{Step: "told-outside", Task: "task-1"})
			case 3:
				_, _ = c.triesTo(carersInHerts, k, rights.StepIn{Step: "answered"})
			default:
				_, _ = c.triesTo(carersInHerts, k, rights.StepIn{Step: "closed"})
			}
			k = c.shows(carersInHerts, k.Reference)
			notices, err = c.rights.NoticesOf(ctx, by(carersInHerts), k.Reference)
			c.must(err)
			settled := k.Tasks[0].Done && deadline(c.TB, k, answer).Met
			for _, n := range notices {
				if done[n.ID] && n.State != rights.Actioned {
					t.Fatalf("what was done is %s again", n.State)
				}
				done[n.ID] = n.State == rights.Actioned
				settled = settled && (done[n.ID] || n.State == rights.NotActioned && n.Looked)
			}
			if k.State == rights.Closed && !settled {
				t.Fatalf("closed with %+v and %+v", notices, k.Tasks)
			}
			if k.State != rights.Closed {
				continue
			}
			if _, err := c.triesTo(carersInHerts, k, rights.StepIn{Step: "answered"}); err == nil {
				t.Fatal("a closed case goes on")
			}
		}
	})
	c.audited()
}
