package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

type partnerCmd struct {
	List    partnerList    `cmd:"" help:"List the partners of the register and their systems."`
	Enrol   partnerEnrol   `cmd:"" help:"Give a system its public keys. A running hub takes them over within seconds."`
	Suspend partnerSuspend `cmd:"" help:"Stop everything to and from a partner, also what is queued."`
	Restore partnerRestore `cmd:"" help:"Let a suspended partner take part again."`
}

type partnerList struct{}

func (partnerList) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	x, faults, err := cfg.Register(time.Now())
	if err != nil {
		return err
	}
	if x == nil {
		if _, err := agreement.Check(e.stderr, faults); err != nil {
			return err
		}
		return errFailed
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PARTNER\tKIND\tSTANDING\tSYSTEM\tKEYS")
	for _, p := range x.Partners() {
		standing := "active"
		if p.Suspended {
			standing = "suspended: " + p.SuspendedReason
		}
		for _, s := range p.Systems {
			keys := "not enrolled"
			if cfg.Enrolled(s.ID) {
				keys = "enrolled"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.ID, p.Kind, standing, s.ID, keys)
		}
	}
	return w.Flush()
}

type partnerEnrol struct {
	System string `arg:"" help:"Such as age-uk-hertfordshire/casework."`
	JWKS   string `arg:"" help:"File of public keys (JSON Web Key Set): the old and the new one while keys rotate." type:"existingfile"`
}

func (c *partnerEnrol) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.JWKS)
	if err != nil {
		return err
	}
	if err := cfg.Enrol(transfer.SystemID(c.System), text); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is enrolled.\n", c.System)
	return nil
}

type partnerSuspend struct {
	Partner string `arg:""`
	Why     string `required:"" help:"The reason, for the partner and the log. Name nobody in it."`
}

func (c *partnerSuspend) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if err := cfg.Suspend(transfer.PartnerID(c.Partner), c.Why); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is suspended.\n", c.Partner)
	return nil
}

type partnerRestore struct {
	Partner string `arg:""`
}

func (c *partnerRestore) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if err := cfg.Suspend(transfer.PartnerID(c.Partner), ""); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s takes part again.\n", c.Partner)
	return nil
}
