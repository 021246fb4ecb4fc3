package main

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/samber/lo"

	sharingagreements "referralhub/sharing-agreements"

	"referralhub/cmd/partner/client"
	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

type agreementCmd struct {
	Check   agreementCheck   `cmd:"" help:"Check every agreement and the register. Exit 0 only if all is well."`
	Explain agreementExplain `cmd:"" help:"Say in plain English what an agreement permits."`
}

type agreementCheck struct {
	Dir string `arg:"" optional:"" help:"Folder of counties; the agreements built into the hub when left out." type:"existingdir"`
}

func folder(dir string) fs.FS {
	if dir == "" {
		return sharingagreements.Files
	}
	return os.DirFS(dir)
}

func (c *agreementCheck) Run(e *env) error {
	x, faults, err := agreement.Load(folder(c.Dir), time.Now())
	if err != nil {
		return err
	}
	ok, err := agreement.Check(e.stdout, faults)
	if err != nil {
		return err
	}
	if !ok {
		wrong := lo.CountBy(faults, func(f agreement.Fault) bool { return !f.Warning })
		fmt.Fprintf(e.stdout, "%s to mend: a hub does not start on these, and one that runs keeps what it has.\n", client.Count(wrong, "fault"))
		return errFailed
	}
	if len(x.Partners()) == 0 {
		return fmt.Errorf("%s declares no partner: name the folder that holds a folder for each county", c.Dir)
	}
	fmt.Fprintf(e.stdout, "%s, %s: in order.\n", client.Count(len(x.Agreements()), "agreement"), client.Count(len(x.Partners()), "partner"))
	return nil
}

type agreementExplain struct {
	Agreement string `arg:"" help:"Such as hertswise, or hertswise@1 for one version."`
	Dir       string `arg:"" optional:"" help:"Folder of counties; the agreements built into the hub when left out." type:"existingdir"`
}

// Help is what `hub agreement explain --help` says besides.
func (agreementExplain) Help() string {
	return `The newest version is explained, unless another is named.

	hub agreement explain hertswise
	hub agreement explain hertswise@1 my-agreements`
}

func (c *agreementExplain) Run(e *env) error {
	x, faults, err := agreement.Load(folder(c.Dir), time.Now())
	if err != nil {
		return err
	}
	if x == nil {
		if _, err := agreement.Check(e.stderr, faults); err != nil {
			return err
		}
		return errFailed
	}
	id, version, given := strings.Cut(c.Agreement, "@")
	var found *agreement.Agreement
	for _, a := range x.Agreements() {
		if a.ID == transfer.AgreementID(id) && (!given || strconv.Itoa(a.Version) == version) {
			found = a
		}
	}
	if found == nil {
		known := lo.Map(x.Agreements(), func(a *agreement.Agreement, _ int) string { return a.Ref() })
		return fmt.Errorf("there is no agreement %s: there are %s", c.Agreement, strings.Join(known, ", "))
	}
	_, err = fmt.Fprint(e.stdout, agreement.Explain(found, x))
	return err
}
