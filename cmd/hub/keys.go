package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"referralhub/hub/server"
)

type keysCmd struct {
	List   keysList   `cmd:"" help:"List the hub's own keys: what for, id, when made, in use or not. Never a key itself."`
	Rotate keysRotate `cmd:"" help:"Make a new key that takes over from the one in use."`
	Wrap   keysWrap   `cmd:"" help:"Encrypt the sealing keys with the key management service of the configuration."`
}

type keysRotate struct {
	Seal   rotateSeal   `cmd:"" help:"The key that payload keys are wrapped with. What was sealed before still opens."`
	Tokens rotateTokens `cmd:"" help:"The key that signs access tokens. Tokens that it has signed are good until they expire."`
}

type keysList struct{}

func (keysList) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	keys, err := cfg.Keys()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FOR\tID\tMADE\tSTATE")
	for _, k := range keys {
		made := "not known"
		if !k.Made.IsZero() {
			made = k.Made.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.For, k.ID, made, state(k))
	}
	return w.Flush()
}

func state(k server.Key) string {
	switch {
	case k.InUse && k.For == "identifiers":
		return "in use; never rotates"
	case k.InUse && k.For == "log":
		return "in use; never rotates under one origin"
	case k.InUse:
		return "in use"
	case k.For == "payloads":
		return "opens what it sealed"
	case time.Now().Before(k.Until):
		return "verifies until " + k.Until.Format(time.RFC3339)
	default:
		return "no longer verifies"
	}
}

// Help is what `hub keys list --help` says besides.
func (keysList) Help() string {
	return `payloads     wraps the key of each payload                    hub keys rotate seal
tokens       signs the access tokens of partners' systems     hub keys rotate tokens
identifiers  hashes identifiers and makes pseudonyms          never rotates
log          signs the checkpoints of the disclosure log      never under the same origin`
}

type rotateSeal struct{}

// Help is what `hub keys rotate seal --help` says besides.
func (rotateSeal) Help() string {
	return `Payloads that arrive from now on are sealed under the new key. Those that wait stay under the one before, which stays in the file for them. A running hub
takes the key over within seconds; other copies of the hub need the same file at once. Back the file up: a payload cannot be opened without it.

What identifiers are hashed with, and pseudonyms made with, does not change and is not meant to: it is another secret, in a file of its own. With another one the
hub would take every person for a stranger, consent that was withdrawn would stand again, and recipients would see new pseudonyms for people they know.`
}

func (rotateSeal) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	id, err := cfg.RotateSeal()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, `Payloads are sealed with key %s from now on. The keys before it open what they sealed.
A running hub takes it over within seconds. Back up the folder of keys now.
`, id)
	return nil
}

type rotateTokens struct {
	AtOnce bool `help:"The key before verifies nothing any more: every system has to log in again. For a key that others may know."`
}

// Help is what `hub keys rotate tokens --help` says besides.
func (rotateTokens) Help() string {
	return `The new key signs. The one before goes on verifying for 15 minutes, which is longer than any token lives, and both are published at
/.well-known/jwks.json; then it goes. A running hub takes it over within seconds; other copies of the hub need the same file within five minutes.`
}

func (c *rotateTokens) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	id, err := cfg.RotateTokens(time.Now(), c.AtOnce)
	if err != nil {
		return err
	}
	before := "Tokens that were given out before are good until they expire."
	if c.AtOnce {
		before = "Tokens that were given out before are refused: systems log in again."
	}
	fmt.Fprintf(e.stdout, "Tokens are signed with key %s from now on. %s\nA running hub takes it over within seconds.\n", id, before)
	return nil
}

type keysWrap struct {
	Was string `help:"URI of the key that encrypts them now; leave it out where they are in clear." placeholder:"URI"`
}

// Help is what `hub keys wrap --help` says besides.
func (keysWrap) Help() string {
	return `For a hub that has run without a key management service and gets one, or changes it, or gives it up: stop the hub, change seal.kms in the configuration, wrap,
start. The keys stay what they are; copies of the files from before hold them as they were, so destroy those. Repeating it does no harm.

	hub --config hub.yaml keys wrap
	hub --config hub.yaml keys wrap --was hcvault://old.example:8200/transit/keys/hub`
}

func (c *keysWrap) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	if cfg.Seal.KMS == "" && c.Was == "" {
		return errors.New("no key management service is configured, and none was: name one as seal.kms in the configuration, or as --was the one to leave")
	}
	if err := cfg.WrapSeal(c.Was); err != nil {
		return err
	}
	if cfg.Seal.KMS == "" {
		fmt.Fprintln(e.stdout, "The sealing keys are in clear; the permissions of their files protect them.")
		return nil
	}
	fmt.Fprintln(e.stdout, "The sealing keys are encrypted with", cfg.Seal.KMS+". Destroy copies from before.")
	return nil
}
