package main

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/server"
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
	fmt.Fprintln(w, "PARTNER\tKIND\tSYSTEM\tKEYS\tSTANDING")
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
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.ID, p.Kind, s.ID, keys, standing)
		}
	}
	return w.Flush()
}

type partnerEnrol struct {
	System string `arg:"" help:"Such as age-uk-hertfordshire/casework."`
	JWKS   string `arg:"" help:"File of public keys (JSON Web Key Set): the old and the new one while keys rotate." type:"existingfile"`
}

// Help is what `hub partner enrol --help` says besides.
func (partnerEnrol) Help() string {
	return `The partner makes the pair with 'partner key' and sends the public half. What a system had before is replaced: to change keys without a gap, enrol a
set that holds both.

	hub partner enrol age-uk-hertfordshire/casework hub-key.jwks.json`
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
		return orList(err)
	}
	fmt.Fprintf(e.stdout, "%s is enrolled.\n", c.System)
	return nil
}

type partnerSuspend struct {
	Partner string `arg:"" help:"Such as age-uk-hertfordshire."`
	Why     why    `required:"" help:"The reason, for whoever lists the partners. Name nobody in it." placeholder:"REASON"`
}

func (c *partnerSuspend) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if err := cfg.Suspend(transfer.PartnerID(c.Partner), string(c.Why)); err != nil {
		return orList(err)
	}
	fmt.Fprintf(e.stdout, "%s is suspended.\n", c.Partner)
	return nil
}

type partnerRestore struct {
	Partner string `arg:"" help:"Such as age-uk-hertfordshire."`
}

func (c *partnerRestore) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if err := cfg.Suspend(transfer.PartnerID(c.Partner), ""); err != nil {
		return orList(err)
	}
	fmt.Fprintf(e.stdout, "%s takes part again.\n", c.Partner)
	return nil
}

// orList says where to look up a name that nobody has.
func orList(err error) error {
	if errors.Is(err, server.ErrUnknown) {
		return fmt.Errorf("%w: hub partner list shows what is", err)
	}
	return err
}
