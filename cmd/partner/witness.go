package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"referralhub/cmd/partner/client"
	"referralhub/hub/auth"
)

type witnessCommand struct {
	Key   witnessKey   `cmd:"" help:"Print the witness's verifier key: the hub's operator and those who check receipts need it."`
	Serve witnessServe `cmd:"" help:"Cosign for hubs that call: C2SP tlog-witness, over HTTP. Put it behind your web server."`
	Once  witnessOnce  `cmd:"" help:"Fetch the hub's newest published checkpoint, cosign it and bring it back: for a timer, without a server."`
}

// Help is what `partner witness --help` says besides.
func (witnessCommand) Help() string {
	return `A witness cosigns a log's checkpoint only if it continues all that it cosigned before, so that nobody can show two histories. Its folder is its
memory: keep it, and one copy of it.

	partner key --type EdDSA --out witness
	partner witness key   --name pohwer.example/witness --witness-key witness.pem
	partner witness once  --name pohwer.example/witness --witness-key witness.pem --log-key hub-log.vkey --state witness
	partner witness serve --name pohwer.example/witness --witness-key witness.pem --log-key hub-log.vkey --state witness --listen 127.0.0.1:8080`
}

// witnessFlags say who the witness is.
type witnessFlags struct {
	Name       string `required:"" placeholder:"NAME" help:"Its name, a URL without https://: pohwer.example/witness."`
	WitnessKey string `required:"" placeholder:"FILE" help:"Its private key, from 'partner key --type EdDSA', and used for nothing else."`
}

// watched says which logs it watches, and where its memory is.
type watched struct {
	LogKey []string `required:"" env:"HUB_LOG_KEY" placeholder:"KEY" help:"A log's verifier key, or a file that holds it. Have it from the hub's operator by another way than from the hub."`
	State  string   `required:"" placeholder:"DIR" help:"The folder in which it keeps what it has cosigned."`
}

func (f *witnessFlags) config() (client.WitnessConfig, error) {
	text, err := os.ReadFile(f.WitnessKey)
	if err != nil {
		return client.WitnessConfig{}, fmt.Errorf("read the witness's key: %w", err)
	}
	keys, err := auth.ParseKeys(text)
	if err != nil {
		return client.WitnessConfig{}, fmt.Errorf("read the witness's key %s: %w", f.WitnessKey, err)
	}
	return client.WitnessConfig{Name: f.Name, Key: keys[0].Private}, nil
}

func (f *witnessFlags) witness(w *watched, log *slog.Logger) (*client.Witness, error) {
	cfg, err := f.config()
	if err != nil {
		return nil, err
	}
	cfg.Dir, cfg.Log = w.State, log
	for _, key := range w.LogKey {
		cfg.Logs = append(cfg.Logs, keyIn(key))
	}
	return client.NewWitness(cfg)
}

type witnessKey struct{ witnessFlags }

func (c *witnessKey) Run(s *session) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	key, err := client.WitnessKey(cfg.Name, cfg.Key)
	if err != nil {
		return err
	}
	s.say("%s", key)
	return nil
}

type witnessServe struct {
	witnessFlags
	watched

	Listen string `required:"" placeholder:"HOST:PORT" help:"Where to listen: 127.0.0.1:8080."`
}

// Run serves until it is told to stop, and then finishes what it is answering.
func (c *witnessServe) Run(ctx context.Context, s *session) error {
	w, err := c.witness(&c.watched, slog.New(slog.NewTextHandler(s.out, nil)))
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second}
	drained := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		drained <- server.Shutdown(bounded)
	})
	s.say("Witness %s listens on %s.", c.Name, l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-drained
}

type witnessOnce struct {
	witnessFlags
	watched
}

// Run cosigns one checkpoint. The proof that it continues the last one comes from the hub and is checked here.
func (c *witnessOnce) Run(ctx context.Context, s *session) error {
	w, err := c.witness(&c.watched, nil)
	if err != nil {
		return err
	}
	hub, err := s.hub()
	if err != nil {
		return err
	}
	page, err := hub.Checkpoints(ctx, 0, 1)
	if err != nil {
		return err
	}
	if len(page.Checkpoints) == 0 {
		s.say("The hub has published no checkpoint yet.")
		return nil
	}
	newest := page.Checkpoints[0]
	old, err := w.Size(page.Origin)
	if err != nil {
		return err
	}
	if newest.Size < old {
		return fmt.Errorf("the hub's newest published checkpoint has %s, and this witness has cosigned %d: the log was set back; ask the hub's operator, and keep %s", client.Count(newest.Size, "entry"), old, c.State)
	}
	var proof tlog.TreeProof
	if 0 < old && old < newest.Size {
		p, err := hub.ConsistencyProof(ctx, old, newest.Size)
		if err != nil {
			return err
		}
		proof = p.Proof
	}
	line, err := w.Cosign(old, proof, []byte(newest.Checkpoint))
	if err != nil {
		return err
	}
	if err := hub.BringCosignature(ctx, page.Origin, newest.Size, line); err != nil {
		return err
	}
	s.say("Cosigned log %s at %s; it was %d before, and it has only grown.", page.Origin, client.Count(newest.Size, "entry"), old)
	return nil
}
