package main

import (
	"fmt"
	"regexp"
	"time"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/agreement"
	"referralhub/hub/casebook"
)

type agreementTest struct {
	Dir     string `arg:"" optional:"" help:"Folder of counties; the agreements built into the hub when left out." type:"existingdir"`
	Case    string `help:"Only the cases whose name or file matches this regular expression." placeholder:"PATTERN"`
	Verbose bool   `help:"Say of every case what was decided and why."`
}

// Help is what `hub agreement test --help` says besides.
func (agreementTest) Help() string {
	return `Each county keeps cases beside its agreements: what is sent, what people have said, and what should come of it. All of them are decided, and
what comes otherwise than it was expected is said. A clause that no case shows permitting anything is a failure too, unless only some cases are
played.

	hub agreement test
	hub agreement test my-agreements --case hertswise --verbose`
}

func (c *agreementTest) Run(e *env) error {
	chosen, err := regexp.Compile(c.Case)
	if err != nil {
		return fmt.Errorf("--case: %w", err)
	}
	book, faults, err := casebook.Load(folder(c.Dir), time.Now())
	if err != nil {
		return err
	}
	if book == nil {
		faults = lo.Reject(faults, func(f agreement.Fault, _ int) bool { return f.Warning })
		if _, err := agreement.Check(e.stdout, faults); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s to mend before the cases can be played.\n", client.Count(len(faults), "fault"))
		return errFailed
	}
	cases := lo.Filter(book.Cases, func(k *casebook.Case, _ int) bool {
		return chosen.MatchString(k.Name) || chosen.MatchString(k.File)
	})
	if len(cases) == 0 {
		return fmt.Errorf("there is no case to play: cases are in %s beside the agreements", "<county>/cases/<name>.cases.yaml")
	}
	all := book.PlayAll(cases)
	passed := 0
	for i := range all {
		if all[i].Passed() {
			passed++
		}
		if err := all[i].Write(e.stdout, c.Verbose); err != nil {
			return err
		}
	}
	count := client.Count(passed, "case") + " passed"
	if passed < len(all) {
		count = fmt.Sprintf("%d of %s failed, %d passed", len(all)-passed, client.Count(len(all), "case"), passed)
	}
	if c.Case != "" {
		fmt.Fprintln(e.stdout, count)
		return failedUnless(passed == len(all))
	}
	cover := book.Cover(all)
	if _, err := agreement.Check(e.stdout, cover.Faults); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s, %s covered\n", count, client.Count(cover.Clauses, "clause"))
	return failedUnless(passed == len(all) && len(cover.Faults) == 0)
}

func failedUnless(well bool) error {
	if well {
		return nil
	}
	return errFailed
}
