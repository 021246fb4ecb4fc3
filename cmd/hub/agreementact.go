package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

type agreementAct struct {
	Agreement string `arg:"" help:"One version, such as hertswise@1."`
	Act       string `arg:"" enum:"activate,suspend,resume,retire" help:"activate, suspend, resume or retire."`
	Person    string `required:"" placeholder:"ID" help:"Who answers for it, by the id that the operator's entry in the register gives them."`
	Ground    string `required:"" placeholder:"CODE" help:"Why, as a code; a wrong one is answered with those there are."`
}

// Help is what `hub agreement act --help` says besides.
func (agreementAct) Help() string {
	return `It takes effect at once, on a hub that is running too: what is queued is decided again before it leaves. What the operator resumes is no longer
suspended by anybody. Partners do this for themselves with 'partner agreement act'.

	hub agreement act hertswise@1 suspend --person dpl-1 --ground breach`
}

func (c *agreementAct) Run(e *env) error {
	act := exchange.AgreementAct(c.Act)
	if grounds := act.Grounds(); !slices.Contains(grounds, c.Ground) {
		return fmt.Errorf("--ground: %q is no ground to %s: give one of %s", c.Ground, act, strings.Join(grounds, ", "))
	}
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	return server.WithExchange(e.ctx, cfg, e.logger("error"), func(x *exchange.Exchange) error {
		a, err := version(x.Index(), c.Agreement)
		if err != nil {
			return err
		}
		if c.Agreement != a.Ref() {
			return fmt.Errorf("name the version too, as in %s", a.Ref())
		}
		by := auth.Principal{Partner: operator, System: transfer.SystemID(operator) + "/command-line"}
		done, err := x.Act(e.ctx, by, a.ID, a.Version, exchange.Deed{Do: act, Person: c.Person, Ground: c.Ground, At: time.Now().UTC().Truncate(time.Second)})
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s is %s. That is leaf %d of %s.\n", a.Ref(), done.Status, done.Leaf, done.Origin)
		return nil
	})
}
