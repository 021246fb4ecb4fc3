package witness_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/witness"
	"referralhub/hub/store"
	"referralhub/hub/store/sqlite"
)

const origin = "hub.example/log/1"

// hub is a log in a store, and its clock.
type hub struct {
	*testing.T
	store.Store
	signer *ledger.Signer
	tree   *ledger.Tree
	now    time.Time
}

func newHub(t *testing.T) *hub {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{T: t, Store: st, now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	t.Cleanup(func() { h.must(st.Close()) })
	skey, _, err := ledger.GenerateKey(origin)
	h.must(err)
	h.signer, err = ledger.NewSigner(origin, skey)
	h.must(err)
	h.tree, err = ledger.OpenTree(st.Log(t.Context(), origin), h.signer)
	h.must(err)
	return h
}

func (h *hub) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *hub) in(f func(store.Tx) error) { h.Helper(); h.must(h.InTx(h.Context(), f)) }

// grow appends leaves.
func (h *hub) grow(n int) {
	h.Helper()
	var leaves [][]byte
	for range n {
		leaves = append(leaves, (&ledger.Leaf{Kind: ledger.KindQuery, At: h.now}).AppendTo(nil))
	}
	b, err := h.tree.Append(leaves)
	h.must(err)
	h.in(func(tx store.Tx) error { return tx.AppendLog(h.Context(), origin, b, make([]store.LeafAbout, n)) })
	h.tree.Commit(b)
}

func (h *hub) board(witnesses ...witness.Witness) *witness.Board {
	return witness.New(witness.Config{Store: h.Store, Origin: origin, Witnesses: witnesses, Now: func() time.Time { return h.now }})
}

// other is a witness made of other people's libraries: it checks consistency with transparency-dev's merkle and signs with its formats. It can be
// told to answer otherwise.
type other struct {
	h      *hub
	signer *fnote.Signer
	as     witness.Witness // as the hub's configuration has it

	mu    sync.Mutex
	size  uint64
	root  []byte
	asked int
	say   func(http.ResponseWriter)
}

func newOther(h *hub, name string) *other {
	h.Helper()
	skey, vkey, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte(name), 32)), name)
	h.must(err)
	w := &other{h: h}
	w.signer, err = fnote.NewSignerForCosignatureV1(skey)
	h.must(err)
	vkey, err = fnote.VKeyToCosignatureV1(vkey)
	h.must(err)
	w.as.Key, err = ledger.NewWitness(vkey)
	h.must(err)
	server := httptest.NewServer(w)
	h.Cleanup(server.Close)
	w.as.URL = server.URL + "/"
	return w
}

func (w *other) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/add-checkpoint" || r.Method != http.MethodPost {
		w.h.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	if w.say != nil {
		w.say(out)
		return
	}
	head, signed, _ := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	old, err := strconv.ParseUint(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if err != nil || old != w.size {
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(http.StatusConflict)
		fmt.Fprintf(out, "%d\n", w.size)
		return
	}
	n, err := note.Open([]byte(signed), note.VerifierList(w.h.signer.Verifier()))
	if err != nil {
		out.WriteHeader(http.StatusForbidden)
		return
	}
	text := strings.Split(n.Text, "\n")
	size, _ := strconv.ParseUint(text[1], 10, 64)
	root, _ := base64.StdEncoding.DecodeString(text[2])
	var hashes [][]byte
	for _, line := range lines[1:] {
		hash, _ := base64.StdEncoding.DecodeString(line)
		hashes = append(hashes, hash)
	}
	if old > 0 {
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old, size, hashes, w.root, root); err != nil {
			out.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
	}
	w.size, w.root = size, root
	out.Write(w.cosigns([]byte(signed)))
}

// cosigns gives the witness's line under a checkpoint.
func (w *other) cosigns(signed []byte) []byte {
	n, err := note.Open(signed, note.VerifierList(w.h.signer.Verifier()))
	w.h.must(err)
	n.Sigs = nil
	text, err := note.Sign(n, w.signer)
	w.h.must(err)
	_, line, _ := strings.Cut(string(text), "\n\n")
	return []byte(line)
}

// who says who has cosigned the newest published checkpoints, by their sizes.
func (h *hub) who(b *witness.Board) string {
	h.Helper()
	list, err := b.List(h.Context(), 0, 10)
	h.must(err)
	var out []string
	for _, p := range list {
		line := fmt.Sprint(p.Size)
		for _, c := range p.By {
			line += " " + c.Witness
		}
		out = append(out, line)
		if _, err := ledger.OpenCheckpoint(p.Signed, h.signer.Verifier()); err != nil {
			h.Errorf("what was published at %d leaves: %v", p.Size, err)
		}
	}
	return strings.Join(out, "; ")
}

// The hub publishes when the log has grown, has it cosigned, and goes on from where the witness stands, also after a restart.
func TestCheckpointsArePublishedAndCosigned(t *testing.T) {
	h := newHub(t)
	pohwer, kent := newOther(h, "pohwer.example"), newOther(h, "kent.example")
	b := h.board(pohwer.as, kent.as)
	h.must(b.Publish(t.Context()))
	if got := h.who(b); got != "" {
		t.Fatalf("of a log that was never written: %s", got)
	}
	for _, step := range []struct {
		leaves  int
		restart bool
		want    string
	}{
		{3, false, "3 kent.example pohwer.example"},
		{0, false, "3 kent.example pohwer.example"}, // nothing new
		{300, false, "303 kent.example pohwer.example; 3 kent.example pohwer.example"},
		{1, true, "304 kent.example pohwer.example; 303 kent.example pohwer.example; 3 kent.example pohwer.example"},
	} {
		if step.restart {
			b = h.board(pohwer.as, kent.as)
		}
		if step.leaves > 0 {
			h.grow(step.leaves)
		}
		h.must(b.Publish(t.Context()))
		if got := h.who(b); got != step.want {
			t.Errorf("after %d leaves more: %q, want %q", step.leaves, got, step.want)
		}
	}
	if pohwer.asked != 4 { // once a checkpoint, and once more after the restart, to hear where it stands
		t.Errorf("asked %d times", pohwer.asked)
	}
}

// A witness that fails is told of, left alone for a while, and holds up nobody; then it is asked again, and goes on from where it stood.
func TestAWitnessThatFailsIsLeftAlone(t *testing.T) {
	h := newHub(t)
	well, ill := newOther(h, "kent.example"), newOther(h, "pohwer.example")
	stranger := newOther(h, "stranger.example")
	b := h.board(ill.as, well.as)
	status := func(code int, body string) func(http.ResponseWriter) {
		return func(out http.ResponseWriter) { out.WriteHeader(code); io.WriteString(out, body) }
	}
	h.grow(3)
	for _, c := range []struct {
		name, want string
		say        func(http.ResponseWriter)
	}{
		{"down", "it answered 503", status(503, "")},
		{"not one that knows this log", "it answered 404", status(404, "")},
		{"at odds", "do not continue", status(422, "")},
		{"ahead", "the log was set back", status(409, "5000\n")},
		{"without a size", "409 without the size", status(409, "many\n")},
		{"never content", "it answered 409", status(409, "2\n")},
		{"silent", "not the cosignature of a known witness", status(200, "")},
		{"another", "not the cosignature of a known witness", func(out http.ResponseWriter) {
			_, signed, err := h.Log(t.Context(), origin).Head()
			h.must(err)
			out.Write(stranger.cosigns(signed))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ill.say = c.say
			h.grow(1)
			err := b.Publish(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "pohwer.example") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			before := ill.asked
			h.grow(1)
			h.must(b.Publish(t.Context())) // within its pause
			if ill.asked != before || well.size != uint64(h.tree.Size()) {
				t.Errorf("asked %d times more; the other has %d leaves of %d", ill.asked-before, well.size, h.tree.Size())
			}
			h.now = h.now.Add(2 * time.Hour) // longer than any pause
		})
	}
	ill.say = nil
	h.must(b.Publish(t.Context()))
	if list, err := b.List(t.Context(), 0, 1); err != nil || len(list[0].By) != 2 {
		t.Errorf("in the end: %+v %v", list, err)
	}
}

// A witness without a server brings its cosignature. It is kept once; what is not a known witness's word about what was published is not.
func TestCosignaturesThatAreBrought(t *testing.T) {
	h := newHub(t)
	pohwer, stranger := newOther(h, "pohwer.example"), newOther(h, "stranger.example")
	pohwer.as.URL = ""
	b := h.board(pohwer.as)
	h.grow(2)
	_, unpublished, err := h.Log(t.Context(), origin).Head()
	h.must(err)
	h.grow(3)
	h.must(b.Publish(t.Context()))
	_, signed, err := h.Log(t.Context(), origin).Head()
	h.must(err)
	line := pohwer.cosigns(signed)
	for _, c := range []struct {
		name string
		size int64
		line []byte
		want error
	}{
		{"of a size that was not published", 2, pohwer.cosigns(unpublished), witness.ErrUnpublished},
		{"of a size to come", 6, line, witness.ErrUnpublished},
		{"under another checkpoint", 5, pohwer.cosigns(unpublished), witness.ErrNotCosigned},
		{"a stranger's", 5, stranger.cosigns(signed), witness.ErrNotCosigned},
		{"not a line", 5, []byte("yes"), witness.ErrNotCosigned},
		{"nothing", 5, nil, witness.ErrNotCosigned},
	} {
		if _, err := b.Take(t.Context(), c.size, c.line); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for range 2 {
		if got, err := b.Take(t.Context(), 5, line); err != nil || got.Witness != "pohwer.example" || got.At.IsZero() {
			t.Errorf("%+v %v", got, err)
		}
	}
	if got := h.who(b); got != "5 pohwer.example" || pohwer.asked != 0 {
		t.Errorf("%s; asked %d times", got, pohwer.asked)
	}
}

// A proof rests on the checkpoint that covers the leaf and that most witnesses have cosigned, and on the newest of those.
func TestTheBestCheckpointForALeaf(t *testing.T) {
	h := newHub(t)
	pohwer, kent := newOther(h, "pohwer.example"), newOther(h, "kent.example")
	pohwer.as.URL, kent.as.URL = "", ""
	b := h.board(pohwer.as, kent.as)
	for _, by := range [][]*other{{pohwer, kent}, {pohwer, kent}, {kent}, {}} { // at 10, 20, 30 and 40 leaves
		h.grow(10)
		h.must(b.Publish(t.Context()))
		_, signed, err := h.Log(t.Context(), origin).Head()
		h.must(err)
		for _, w := range by {
			if _, err := b.Take(t.Context(), h.tree.Size(), w.cosigns(signed)); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.grow(1)
	for index, want := range map[int64]int64{0: 20, 10: 20, 19: 20, 20: 30, 29: 30, 30: 41, 40: 41} {
		signed, err := b.Covering(t.Context(), index)
		h.must(err)
		cp, err := ledger.OpenCheckpoint(signed, h.signer.Verifier())
		h.must(err)
		if cp.Size != want {
			t.Errorf("for leaf %d: %d leaves, want %d", index, cp.Size, want)
		}
	}
}

// What the store holds is not believed: a line that somebody put there counts only if it verifies, and spoils no other.
func TestAForgedCosignatureIsNotShown(t *testing.T) {
	h := newHub(t)
	pohwer, kent := newOther(h, "pohwer.example"), newOther(h, "kent.example")
	b := h.board(pohwer.as, kent.as)
	pohwer.say = func(out http.ResponseWriter) { out.WriteHeader(http.StatusServiceUnavailable) }
	kent.say = pohwer.say
	for _, size := range []int64{3, 5} {
		h.grow(int(size - h.tree.Size()))
		if err := b.Publish(t.Context()); err == nil && size == 3 {
			t.Fatal("cosigned by nobody, and content")
		}
		_, signed, err := h.Log(t.Context(), origin).Head()
		h.must(err)
		forged := slices.Concat([]byte("— pohwer.example "), bytes.TrimPrefix(kent.cosigns(signed), []byte("— kent.example ")))
		h.in(func(tx store.Tx) error {
			return tx.Cosign(t.Context(), []store.Cosignature{
				{Log: origin, Size: size, Witness: "pohwer.example", At: h.now, Line: forged}, {Log: origin, Size: size, Witness: "a", At: h.now, Line: []byte("rubbish")},
			})
		})
		if size == 5 {
			_, err := b.Take(t.Context(), 5, kent.cosigns(signed))
			h.must(err)
		}
	}
	if got := h.who(b); got != "5 kent.example; 3" {
		t.Errorf("shown: %s", got)
	}
	if got, err := b.Covering(t.Context(), 0); err != nil || bytes.Contains(got, []byte("pohwer")) || !bytes.Contains(got, []byte("kent")) {
		t.Errorf("%s %v", got, err)
	}
}
