package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

type agreementCommand struct {
	List agreementList `cmd:"" help:"List the agreements that we are a party to, and how they stand."`
	Show agreementShow `cmd:"" help:"Say in plain English what one permits."`
	Act  agreementAct  `cmd:"" help:"Suspend one, also for what is queued, or resume it; as its lead, activate or retire it."`
}

// version is one version of an agreement: "hertswise@1".
type version struct {
	id     transfer.AgreementID
	number int
}

func (v *version) UnmarshalText(text []byte) error {
	id, number, _ := strings.Cut(string(text), "@")
	n, err := strconv.Atoi(number)
	if err != nil || id == "" {
		return fmt.Errorf("%q: name the version too, as in hertswise@1", text)
	}
	*v = version{transfer.AgreementID(id), n}
	return nil
}

func (v version) String() string { return fmt.Sprintf("%s@%d", v.id, v.number) }

type agreementList struct{}

func (agreementList) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	all, err := hub.Agreements(ctx)
	if err != nil {
		return err
	}
	return s.print(all, func() {
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "AGREEMENT\tSTATUS\tSTANDING\tFROM\tREVIEW\tSIGNED")
		for i := range all {
			a := &all[i]
			signed := 0
			for _, sig := range a.Signatures {
				if !sig.At.IsZero() {
					signed++
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d of %d\n", version{a.ID, a.Version}, a.Status, a.Standing, day(a.EffectiveFrom), day(a.ReviewBy), signed, len(a.Signatures))
		}
		_ = w.Flush() // what it writes to answers for itself
	})
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

type agreementShow struct {
	Agreement version `arg:"" placeholder:"AGREEMENT@VERSION" help:"Such as hertswise@1."`
}

func (c *agreementShow) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	a, err := hub.Agreement(ctx, c.Agreement.id, c.Agreement.number)
	if err != nil {
		return err
	}
	return s.print(a, func() {
		s.say("%s", strings.TrimRight(a.Explained, "\n"))
		s.say("\n%s is %s (%s). Its text has the digest %s.", c.Agreement, a.Status, a.Standing, a.Digest)
		for _, by := range a.SuspendedBy {
			s.say("  suspended by %s", by)
		}
		for _, sig := range a.Signatures {
			if sig.At.IsZero() {
				s.say("  %s has not signed it with a key", sig.Party)
			} else {
				s.say("  %s signed it on %s", sig.Party, day(sig.At))
			}
		}
	})
}

type agreementAct struct {
	Agreement version `arg:"" placeholder:"AGREEMENT@VERSION" help:"Such as hertswise@1."`
	Act       string  `arg:"" enum:"activate,suspend,resume,retire" help:"activate, suspend, resume or retire."`
	Person    string  `required:"" placeholder:"ID" help:"Who answers for it, by the id of our register entry: dpl-1."`
	Ground    string  `required:"" placeholder:"CODE" help:"Why: breach, complaint, precaution, legal-advice, under-review or contract to suspend; resolved, reviewed or entered-in-error to resume; paper-signed to activate; replaced or service-ended, among others, to retire."`
}

func (c *agreementAct) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	done, err := hub.Act(ctx, c.Agreement.id, c.Agreement.number, client.AgreementAct{
		Act: c.Act, Person: c.Person, Ground: c.Ground, At: time.Now().UTC().Truncate(time.Second),
	})
	if err != nil {
		return err
	}
	return s.print(done, func() {
		s.say("%s is %s. That is entry %d of %s.", c.Agreement, done.Status, done.Log.Index, done.Log.Origin)
	})
}

type signCommand struct {
	Agreement version `arg:"" placeholder:"AGREEMENT@VERSION" help:"Such as hertswise@1."`
	File      string  `placeholder:"FILE" xor:"text" required:"" help:"The agreement as we have read it: it is signed only if the hub has the same text."`
	Digest    string  `placeholder:"DIGEST" xor:"text" required:"" help:"Or the digest of the text that we have read, as 'partner agreement show' gives it."`
}

// Help is what `partner sign --help` says besides.
func (signCommand) Help() string {
	return `What is signed is the text of the agreement, by its digest, so say which text you have read.

	partner sign hertswise@2 --file hertswise.v2.yaml`
}

func (c *signCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	digest := c.Digest
	if c.File != "" {
		text, err := s.read(c.File)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		digest = "sha256:" + hex.EncodeToString(sum[:])
	}
	a, err := hub.Agreement(ctx, c.Agreement.id, c.Agreement.number)
	if err != nil {
		return err
	}
	if a.Digest != digest {
		return errors.New("the hub has another text of " + c.Agreement.String() + " than you have read, and nothing was signed.\nYours has the digest " + digest +
			",\nthe hub's " + a.Digest + ".\nAsk " + string(a.Lead) + " for the text that the hub has.")
	}
	done, err := hub.Sign(ctx, c.Agreement.id, c.Agreement.number, digest)
	if err != nil {
		return err
	}
	return s.print(done, func() {
		s.say("Signed. %s is %s; the signature is entry %d of %s.", c.Agreement, done.Status, done.Log.Index, done.Log.Origin)
	})
}
