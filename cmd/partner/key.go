package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"referralhub/hub/auth"
)

type keyCommand struct {
	Out  string `default:"hub-key" placeholder:"NAME" help:"Write NAME.pem, the private key, and NAME.jwks.json, its public half."`
	Type string `default:"ES256" enum:"ES256,EdDSA,RS512" help:"ES256, EdDSA or RS512 (RSA of 4096 bits)."`
}

func (c *keyCommand) Run(s *session) error {
	key, err := auth.GenerateKey(c.Type)
	if err != nil {
		return err
	}
	private, err := key.MarshalPEM()
	if err != nil {
		return err
	}
	public, err := auth.JWKS(key)
	if err != nil {
		return err
	}
	if err := create(c.Out+".pem", private, 0o600); err != nil {
		return err
	}
	if err := create(c.Out+".jwks.json", append(public, '\n'), 0o644); err != nil {
		return err
	}
	s.say("%s.pem is the private key: keep it on this machine, readable by this system alone.", c.Out)
	s.say("%s.jwks.json is its public half, key id %s: send it to the hub's operator.", c.Out, key.ID)
	return nil
}

// create writes a file that is not there yet: a key that is in use must not be lost to a second 'partner key'.
func create(name string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: choose another name with --out, or move it away", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

type tokenCommand struct{}

func (c *tokenCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	token, err := hub.Token(ctx)
	if err != nil {
		return err
	}
	s.say("%s", token)
	return nil
}
