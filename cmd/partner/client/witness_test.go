package client_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"k8s.io/klog/v2"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
)

// operator holds a log's key, and writes what history it likes.
type operator struct {
	testing.TB
	skey   string
	signer *ledger.Signer
	log    *ledger.Memory
}

// newOperator has a key of its own, or another operator's.
func newOperator(t testing.TB, skey string) *operator {
	t.Helper()
	var err error
	if skey == "" {
		if skey, _, err = ledger.GenerateKey("hub.example/log/1"); err != nil {
			t.Fatal(err)
		}
	}
	signer, err := ledger.NewSigner("hub.example/log/1", skey)
	if err != nil {
		t.Fatal(err)
	}
	return &operator{t, skey, signer, &ledger.Memory{}}
}

// writes appends so many leaves and gives the new checkpoint.
func (o *operator) writes(n int, what string) []byte {
	o.Helper()
	tree, err := ledger.OpenTree(o.log, o.signer)
	o.must(err)
	var leaves [][]byte
	for i := range n {
		leaves = append(leaves, fmt.Appendf(nil, "%s %d", what, i))
	}
	b, err := tree.Append(leaves)
	o.must(err)
	o.must(o.log.Write(b))
	return b.Checkpoint
}

func (o *operator) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

func (o *operator) proof(from, to int64) tlog.TreeProof {
	o.Helper()
	p, err := ledger.ConsistencyProof(o.log, from, to)
	o.must(err)
	return p
}

// request is the body of add-checkpoint.
func request(old int64, proof tlog.TreeProof, checkpoint []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", old)
	for _, h := range proof {
		fmt.Fprintf(&b, "%s\n", h)
	}
	return b.String() + "\n" + string(checkpoint)
}

const pohwerWitness = "pohwer.example/witness"

// newWitness is a witness of the operator's log on a folder that may have been another's before.
func newWitness(t testing.TB, o *operator, dir string) (*client.Witness, note.Verifier) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	w, err := client.NewWitness(client.WitnessConfig{Name: pohwerWitness, Key: key, Logs: []string{o.signer.VerifierKey()}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	public, err := client.WitnessKey(pohwerWitness, key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := fnote.NewVerifierForCosignatureV1(public) // another library than the witness's
	if err != nil {
		t.Fatal(err)
	}
	return w, v
}

func post(t testing.TB, w http.Handler, body string) *httptest.ResponseRecorder {
	t.Helper()
	out := httptest.NewRecorder()
	w.ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
	return out
}

// A witness goes along with a log that only grows, and remembers it when it is started again.
func TestAWitnessCosignsALogThatOnlyGrows(t *testing.T) {
	o, dir := newOperator(t, ""), t.TempDir()
	size := int64(0)
	for _, n := range []int{3, 0, 1, 300, 5} { // none: the same checkpoint again
		checkpoint := o.log.Checkpoint
		if n > 0 {
			checkpoint = o.writes(n, "leaf")
		}
		w, key := newWitness(t, o, dir)
		if got, err := w.Size("hub.example/log/1"); err != nil || got != size {
			t.Fatalf("it remembers %d leaves, cosigned were %d: %v", got, size, err)
		}
		answer := post(t, w, request(size, o.proof(size, o.log.Size), checkpoint))
		if answer.Code != http.StatusOK {
			t.Fatalf("at %d leaves: %d %s", o.log.Size, answer.Code, answer.Body)
		}
		cosigned := slices.Concat(checkpoint, answer.Body.Bytes())
		n, err := note.Open(cosigned, note.VerifierList(key, o.signer.Verifier()))
		if err != nil || len(n.Sigs) != 2 {
			t.Fatalf("log and witness have not both signed: %v\n%s", err, cosigned)
		}
		if at, err := fnote.CoSigV1Timestamp(n.Sigs[1]); err != nil || at.Unix() <= 0 {
			t.Errorf("the cosignature says no time: %v %v", at, err)
		}
		size = o.log.Size
	}
	// Whoever watches logs finds what was cosigned under the hash of the log's name.
	w, key := newWitness(t, o, dir)
	for name, status := range map[string]int{"hub2.example/log/1": 404, "hub.example/log/1": 200} {
		hash := sha256.Sum256([]byte(name))
		path := "/" + hex.EncodeToString(hash[:]) + "/checkpoint"
		out := httptest.NewRecorder()
		w.ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if out.Code != status {
			t.Errorf("GET %s: %d", path, out.Code)
		}
		if status == http.StatusOK {
			if _, err := note.Open(out.Body.Bytes(), note.VerifierList(key)); err != nil {
				t.Error(err)
			}
		}
	}
}

// What C2SP tlog-witness has a witness refuse, with the status it asks for. Nothing of it changes what the witness remembers.
func TestAWitnessRefuses(t *testing.T) {
	o := newOperator(t, "")
	early := o.writes(10, "leaf")
	forked := newOperator(t, o.skey)
	other := forked.writes(10, "another history's leaf")
	otherLater := forked.writes(10, "leaf")
	later := o.writes(10, "leaf")
	stranger := newOperator(t, "")
	w, _ := newWitness(t, o, t.TempDir())
	if got := post(t, w, request(0, nil, early)); got.Code != http.StatusOK {
		t.Fatal(got.Code, got.Body)
	}
	notEmpty, err := o.signer.Sign(0, tlog.Hash{1})
	o.must(err)
	key, err := note.NewSigner(o.skey)
	o.must(err)
	noCheckpoint, err := note.Sign(&note.Note{Text: "hub.example/log/1\nten\nx\n"}, key)
	o.must(err)
	good := o.proof(10, 20)
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"a log that it does not know", request(0, nil, bytes.ReplaceAll(early, []byte("hub.example"), []byte("hub2.example"))), 404},
		{"a checkpoint that somebody else signed", request(0, nil, stranger.writes(10, "leaf")), 403},
		{"a checkpoint that was changed", request(10, good, bytes.Replace(later, []byte("\n20\n"), []byte("\n21\n"), 1)), 403},
		{"a checkpoint that nobody signed", request(10, good, later[:bytes.Index(later, []byte("\n\n"))+2]), 400},
		{"an old size above the new one", request(21, nil, later), 400},
		{"no old size", strings.TrimPrefix(request(10, good, later), "old 10\n"), 400},
		{"an old size with a zero before it", strings.Replace(request(10, good, later), "old 10", "old 010", 1), 400},
		{"an old size below zero", strings.Replace(request(10, good, later), "old 10", "old -10", 1), 400},
		{"a proof that is no hashes", strings.Replace(request(10, good, later), good[0].String(), "hash", 1), 400},
		{"a proof of 64 hashes", request(10, slices.Repeat(good[:1], 64), later), 400},
		{"no empty line", "old 10\n", 400},
		{"signed text that is no checkpoint", request(0, nil, noCheckpoint), 400},
		{"more than a request holds", request(10, good, later) + strings.Repeat("x", 1<<16), 400},
		{"an old size that is not the last", request(0, nil, later), 409},
		{"a smaller log than before", request(5, nil, o.checkpoint(5)), 409},
		{"a log without leaves that has some", request(0, nil, notEmpty), 409},
		{"another history of the same size", request(10, nil, other), 422},
		{"another history that goes on", request(10, forked.proof(10, 20), otherLater), 422},
		{"a proof with a hash left out", request(10, good[1:], later), 422},
		{"a proof from another size", request(10, o.proof(9, 20), later), 422},
		{"no proof", request(10, nil, later), 422},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := post(t, w, c.body)
			if got.Code != c.status {
				t.Errorf("got %d %s, want %d", got.Code, got.Body, c.status)
			}
			if c.status == http.StatusConflict && (got.Header().Get("Content-Type") != "text/x.tlog.size" || got.Body.String() != "10\n") {
				t.Errorf("got %s %q", got.Header().Get("Content-Type"), got.Body)
			}
			if size, err := w.Size("hub.example/log/1"); err != nil || size != 10 {
				t.Errorf("it remembers %d leaves: %v", size, err)
			}
		})
	}
	if got := post(t, w, request(10, good, later)); got.Code != http.StatusOK {
		t.Errorf("and what does go on from there: %d %s", got.Code, got.Body)
	}

	fresh, _ := newWitness(t, o, t.TempDir())
	for name, body := range map[string]string{"a proof from nothing": request(0, good, later), "a root of nothing": request(0, nil, notEmpty)} {
		if got := post(t, fresh, body); got.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
}

// checkpoint signs the log as it was at a size, as a log that was set back would.
func (o *operator) checkpoint(size int64) []byte {
	o.Helper()
	root, err := ledger.TreeHash(o.log, size)
	o.must(err)
	signed, err := o.signer.Sign(size, root)
	o.must(err)
	return signed
}

// The checkpoint of a fork is evidence: the log's own signature under two histories.
func TestAWitnessKeepsTheEvidenceOfAFork(t *testing.T) {
	o, dir := newOperator(t, ""), t.TempDir()
	w, _ := newWitness(t, o, dir)
	if _, err := w.Cosign(0, nil, o.writes(10, "leaf")); err != nil {
		t.Fatal(err)
	}
	fork := newOperator(t, o.skey).writes(10, "another history's leaf")
	var refused *client.RefusedError
	if _, err := w.Cosign(10, nil, fork); !errors.As(err, &refused) || !strings.Contains(refused.Detail, "forked") {
		t.Fatalf("got %v", err)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*.forked"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v: %v", kept, err)
	}
	if text, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(text, fork) {
		t.Errorf("%s: %v", text, err)
	}
}

// A witness whose memory was changed does not go on as if nothing were, and one on a full or foreign disk cosigns nothing.
func TestAWitnessDoesNotTrustAMemoryThatIsNotItsOwn(t *testing.T) {
	o, dir := newOperator(t, ""), t.TempDir()
	w, _ := newWitness(t, o, dir)
	first := o.writes(10, "leaf")
	if _, err := w.Cosign(0, nil, first); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.checkpoint"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	o.must(os.WriteFile(files[0], first, 0o600)) // the log's checkpoint, without the witness's word
	if got := post(t, w, request(10, o.proof(10, 10), first)); got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), dir) {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	o.must(os.Remove(files[0]))
	o.must(os.Mkdir(files[0], 0o700))
	if _, err := w.Cosign(0, nil, first); err == nil {
		t.Error("it cosigned what it could not remember")
	}
}

// Requests that come together are judged one after the other, also by two programs on one folder: of several that go on from the same size one is
// cosigned, and the memory never goes back (tlog-witness describes the race).
func TestAWitnessIsNotRaced(t *testing.T) {
	o, dir := newOperator(t, ""), t.TempDir()
	one, _ := newWitness(t, o, dir)
	two, _ := newWitness(t, o, dir)
	if _, err := one.Cosign(0, nil, o.writes(10, "leaf")); err != nil {
		t.Fatal(err)
	}
	o.writes(20, "leaf")
	var wait sync.WaitGroup
	won := make(chan int64, 20)
	for size := int64(11); size <= 30; size++ {
		body, w := request(10, o.proof(10, size), o.checkpoint(size)), []*client.Witness{one, two}[size%2]
		wait.Go(func() {
			switch got := post(t, w, body); got.Code {
			case http.StatusOK:
				won <- size
			case http.StatusConflict:
			default:
				t.Errorf("%d %s", got.Code, got.Body)
			}
		})
	}
	wait.Wait()
	close(won)
	var sizes []int64
	for s := range won {
		sizes = append(sizes, s)
	}
	if size, err := one.Size("hub.example/log/1"); err != nil || len(sizes) != 1 || sizes[0] != size {
		t.Errorf("cosigned %v, remembered %d: %v", sizes, size, err)
	}
}

// A log written by others (transparency-dev's tessera), with its own client of the witness protocol, gets its checkpoints cosigned.
func TestALogByOthersIsCosigned(t *testing.T) {
	klog.SetLogger(klog.Logger{})
	skey, vkey, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{3}, 64)), "tessera.example/log")
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	w, err := client.NewWitness(client.WitnessConfig{Name: pohwerWitness, Key: key, Logs: []string{vkey}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	public, err := client.WitnessKey(pohwerWitness, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	root, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := tessera.NewWitness(public, root)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	driver, err := posix.New(ctx, posix.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithCheckpointInterval(100*time.Millisecond).
		WithBatching(8, 10*time.Millisecond).WithWitnesses(tessera.NewWitnessGroup(1, theirs), nil)
	appender, shutdown, log, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		t.Fatal(err)
	}
	waiter := tessera.NewPublicationAwaiter(ctx, log.ReadCheckpoint, 10*time.Millisecond)
	for i := range 3 { // each goes on from the one before
		_, checkpoint, err := waiter.Await(ctx, appender.Add(ctx, tessera.NewEntry(fmt.Appendf(nil, "leaf %d", i))))
		if err != nil {
			t.Fatal(err)
		}
		v, err := fnote.NewVerifierForCosignatureV1(public)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := note.Open(checkpoint, note.VerifierList(v)); err != nil {
			t.Errorf("published without the witness: %v\n%s", err, checkpoint)
		}
	}
	if err := shutdown(ctx); err != nil {
		t.Error(err)
	}
	if size, err := w.Size("tessera.example/log"); err != nil || size < 1 {
		t.Errorf("the witness remembers %d leaves: %v", size, err)
	}
}
