package main

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	sharingagreements "referralhub/sharing-agreements"

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
		return errFailed
	}
	fmt.Fprintf(e.stdout, "%d agreements, %d partners: in order\n", len(x.Agreements()), len(x.Partners()))
	return nil
}

type agreementExplain struct {
	Agreement string `arg:"" help:"Such as hertswise, or hertswise@1 for one version."`
	Dir       string `arg:"" optional:"" help:"Folder of counties; the agreements built into the hub when left out." type:"existingdir"`
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
		return fmt.Errorf("no agreement %s: hub agreement check lists the files that were read", c.Agreement)
	}
	_, err = fmt.Fprint(e.stdout, agreement.Explain(found, x))
	return err
}
