// Package witness is the hub's side of C2SP tlog-witness: it publishes the log's checkpoints, has them cosigned by witnesses, and says who has
// cosigned what. A witness is somebody else, a partner perhaps, who cosigns a checkpoint only when it continues every one that they cosigned before.
// So whoever holds the log's key cannot show two histories, or take leaves back, without the witnesses' knowing.
//
// A witness with a server is called after each checkpoint (C2SP tlog-witness, add-checkpoint); one without brings its cosignatures, when it likes. What
// decides whether a checkpoint continues another is not here: it is the witness's own, and runs at the witness's (cmd/partner/client).
//
// MUST lines:
//   - Only a checkpoint that was published is cosigned, and a published one stays as it is.
//   - A cosignature counts when it verifies under the key of a witness that the configuration names, whatever the store holds.
//   - No witness can keep another from being asked, or anything else from being done: each has a bounded time, and one that fails is left alone for a
//     while.
package witness

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/samber/lo"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
)

// What is wrong with a cosignature that is brought.
var (
	ErrUnpublished = errors.New("no checkpoint of this size was published")
	ErrNotCosigned = errors.New("not the cosignature of a known witness under this checkpoint")
)

// Witness is one that the hub's configuration names.
type Witness struct {
	Key note.Verifier // made by ledger.NewWitness; its name is the witness's
	URL string        // submission prefix of C2SP tlog-witness; empty for one that brings its cosignatures
}

// Config is what a board is made of.
type Config struct {
	Store     store.Store
	Origin    string // of the log
	Witnesses []Witness
	HTTP      *http.Client // one that waits for 10 seconds, and goes nowhere but where it was sent, when nil
	Now       func() time.Time
	Log       *slog.Logger
}

// Board is where a log's checkpoints are published and cosigned. It is safe for concurrent use.
type Board struct {
	cfg    Config
	prover ledger.Prover

	mu      sync.Mutex // one round at a time
	callers []*caller
}

// caller asks one witness.
type caller struct {
	Witness
	size    int64 // that it cosigned last, as far as is known
	pause   *backoff.ExponentialBackOff
	waiting time.Time // until then it is left alone
}

// New makes a board.
func New(cfg Config) *Board {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.HTTP = cmp.Or(cfg.HTTP, &http.Client{
		Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b := &Board{cfg: cfg}
	for _, w := range cfg.Witnesses {
		if w.URL == "" {
			continue
		}
		pause := backoff.NewExponentialBackOff()
		pause.InitialInterval, pause.MaxInterval = time.Minute, time.Hour
		b.callers = append(b.callers, &caller{Witness: w, pause: pause})
	}
	return b
}

// Witnesses names those that the configuration has.
func (b *Board) Witnesses() []string {
	var names []string
	for _, w := range b.cfg.Witnesses {
		names = append(names, w.Key.Name())
	}
	return names
}

// Publish publishes the log's newest checkpoint when the log has grown since the last one, and asks the witnesses that can be called and have
// not cosigned it. The error names each witness that did not.
func (b *Board) Publish(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	size, signed, err := b.cfg.Store.Log(ctx, b.cfg.Origin).Head()
	if err != nil || size == 0 {
		return err
	}
	last, err := b.cfg.Store.Checkpoints(ctx, b.cfg.Origin, 0, 1)
	if err != nil {
		return fmt.Errorf("read the last published checkpoint: %w", err)
	}
	if len(last) == 0 || last[0].Size < size {
		last = []store.Checkpoint{{Log: b.cfg.Origin, Size: size, At: b.cfg.Now().UTC().Truncate(time.Microsecond), Note: signed}}
		err := b.cfg.Store.InTx(ctx, func(tx store.Tx) error { return tx.PublishCheckpoint(ctx, last[0]) })
		if err != nil {
			return fmt.Errorf("publish the checkpoint of %d leaves: %w", size, err)
		}
	}
	return b.ask(ctx, last[0])
}

// ask asks whoever has not cosigned cp and is not left alone.
func (b *Board) ask(ctx context.Context, cp store.Checkpoint) error {
	published, err := b.signed(ctx, cp)
	if err != nil {
		return err
	}
	now := b.cfg.Now()
	failed := make([]error, len(b.callers))
	var all errgroup.Group
	for i, w := range b.callers {
		has := slices.ContainsFunc(published.By, func(c ledger.Cosignature) bool { return c.Witness == w.Key.Name() })
		if has || now.Before(w.waiting) {
			continue
		}
		all.Go(func() error {
			line, err := b.call(ctx, w, cp)
			if err == nil {
				_, err = b.Take(ctx, cp.Size, line)
			}
			if err != nil {
				w.waiting = now.Add(w.pause.NextBackOff())
				failed[i] = fmt.Errorf("witness %s: %w", w.Key.Name(), err)
				return nil
			}
			w.pause.Reset()
			return nil
		})
	}
	return errors.Join(all.Wait(), errors.Join(failed...))
}

// maxAnswer is more than a witness's lines need.
const maxAnswer = 16 << 10

// call asks a witness, and once more when it says that it has cosigned another size than was thought.
func (b *Board) call(ctx context.Context, w *caller, cp store.Checkpoint) ([]byte, error) {
	for again := false; ; again = true {
		status, answer, err := b.post(ctx, w, cp)
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			w.size = cp.Size
			return answer, nil
		case status == http.StatusConflict && !again:
			has, err := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
			if err != nil || has < 0 {
				return nil, errors.New("it answered 409 without the size that it has")
			}
			if has > cp.Size {
				return nil, fmt.Errorf("it has cosigned %d leaves and the log has %d: the log was set back; run hub verify, and find out who restored what", has, cp.Size)
			}
			w.size = has
		case status == http.StatusUnprocessableEntity:
			return nil, fmt.Errorf("it says that the %d leaves of now do not continue the %d that it has cosigned: run hub verify, and ask the witness for its checkpoint", cp.Size, w.size)
		default:
			return nil, fmt.Errorf("it answered %d to the checkpoint of %d leaves", status, cp.Size)
		}
	}
}

// post sends add-checkpoint: the old size, the proof from it, and the checkpoint.
func (b *Board) post(ctx context.Context, w *caller, cp store.Checkpoint) (status int, answer []byte, err error) {
	proof, err := b.prover.ConsistencyProof(b.cfg.Store.Log(ctx, b.cfg.Origin), w.size, cp.Size)
	if err != nil {
		return 0, nil, err
	}
	body := fmt.Appendf(nil, "old %d\n", w.size)
	for _, h := range proof {
		body = append(base64.StdEncoding.AppendEncode(body, h[:]), '\n')
	}
	body = append(append(body, '\n'), cp.Note...)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("make a request: %w", err)
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	response, err := b.cfg.HTTP.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, answer, err
}

// Take keeps the cosignatures that a witness brings under the published checkpoint of a size: signature lines, of which those of others are passed
// over. Bringing one again changes nothing. The error wraps ErrUnpublished or ErrNotCosigned.
func (b *Board) Take(ctx context.Context, size int64, lines []byte) (ledger.Cosignature, error) {
	found, err := b.cfg.Store.Checkpoints(ctx, b.cfg.Origin, size+1, 1)
	if err != nil {
		return ledger.Cosignature{}, fmt.Errorf("read a published checkpoint: %w", err)
	}
	if len(found) == 0 || found[0].Size != size {
		return ledger.Cosignature{}, fmt.Errorf("%d leaves: %w", size, ErrUnpublished)
	}
	by := ledger.Cosignatures(slices.Concat(found[0].Note, lines), b.keys()...)
	if len(by) == 0 {
		return ledger.Cosignature{}, fmt.Errorf("%d leaves: %w", size, ErrNotCosigned)
	}
	err = b.cfg.Store.InTx(ctx, func(tx store.Tx) error {
		rows := make([]store.Cosignature, len(by))
		for i, c := range by {
			rows[i] = store.Cosignature{Log: b.cfg.Origin, Size: size, Witness: c.Witness, At: c.At, Line: c.Line}
		}
		return tx.Cosign(ctx, rows)
	})
	if err != nil {
		return ledger.Cosignature{}, fmt.Errorf("keep a cosignature: %w", err)
	}
	b.cfg.Log.InfoContext(ctx, "checkpoint cosigned", "witness", by[0].Witness, "tree_size", size)
	return by[0], nil
}

func (b *Board) keys() []note.Verifier {
	keys := make([]note.Verifier, len(b.cfg.Witnesses))
	for i, w := range b.cfg.Witnesses {
		keys[i] = w.Key
	}
	return keys
}

// Published is a checkpoint that was published, and who has cosigned it.
type Published struct {
	Size   int64
	At     time.Time
	Signed []byte // with the cosignatures behind the log's signature
	By     []ledger.Cosignature
}

// List gives published checkpoints smaller than below (any when 0), newest first.
func (b *Board) List(ctx context.Context, below int64, limit int) ([]Published, error) {
	rows, err := b.cfg.Store.Checkpoints(ctx, b.cfg.Origin, below, limit)
	if err != nil {
		return nil, fmt.Errorf("list published checkpoints: %w", err)
	}
	out := make([]Published, len(rows))
	for i, row := range rows {
		if out[i], err = b.signed(ctx, row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *Board) signed(ctx context.Context, cp store.Checkpoint) (Published, error) {
	rows, err := b.cfg.Store.Cosignatures(ctx, b.cfg.Origin, cp.Size)
	if err != nil {
		return Published{}, fmt.Errorf("read the cosignatures under %d leaves: %w", cp.Size, err)
	}
	out := Published{Size: cp.Size, At: cp.At}
	for _, row := range rows { // each by itself: a line that somebody has spoilt spoils no other
		out.By = append(out.By, ledger.Cosignatures(slices.Concat(cp.Note, row.Line), b.keys()...)...)
	}
	out.Signed = ledger.Cosigned(cp.Note, out.By)
	return out, nil
}

// window is how many cosignatures Covering looks at.
const window = 64

// Covering gives the best checkpoint for a proof of the leaf at index: among the newest that cover it, the one that most witnesses have cosigned, and
// of several the newest; the log's newest, when none has been cosigned.
func (b *Board) Covering(ctx context.Context, index int64) ([]byte, error) {
	rows, err := b.cfg.Store.CosignaturesFrom(ctx, b.cfg.Origin, index+1, window)
	if err != nil {
		return nil, fmt.Errorf("look for cosigned checkpoints: %w", err)
	}
	var best Published
	for _, same := range lo.PartitionBy(rows, func(c store.Cosignature) int64 { return c.Size }) {
		if len(same) <= len(best.By) {
			continue
		}
		found, err := b.List(ctx, same[0].Size+1, 1)
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && found[0].Size == same[0].Size && len(found[0].By) > len(best.By) {
			best = found[0]
		}
	}
	if len(best.By) > 0 {
		return best.Signed, nil
	}
	_, signed, err := b.cfg.Store.Log(ctx, b.cfg.Origin).Head()
	return signed, err
}
