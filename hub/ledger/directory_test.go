package ledger_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"k8s.io/klog/v2"

	"referralhub/hub/ledger"
)

// quiet keeps tessera's auditor from reporting its progress on standard error. Once is enough, and more would race with what an earlier
// check has left running.
var quiet = sync.OnceFunc(func() { klog.SetLogger(klog.Logger{}) })

// checkWithTessera reads an exported log with somebody else's auditor.
func checkWithTessera(t *testing.T, dir string, s *ledger.Signer) {
	t.Helper()
	quiet()
	hashes := func(bundle []byte) ([][]byte, error) {
		var out [][]byte
		for len(bundle) > 0 {
			n := int(binary.BigEndian.Uint16(bundle))
			out = append(out, rfc6962.DefaultHasher.HashLeaf(bundle[2:2+n]))
			bundle = bundle[2+n:]
		}
		return out, nil
	}
	f := fsck.New(s.Origin(), s.Verifier(), client.FileFetcher{Root: dir}, hashes, fsck.Opts{N: 1})
	if err := f.Check(context.Background()); err != nil {
		t.Fatalf("tessera fsck: %v", err)
	}
}

func TestExportIsALogThatOthersCanCheck(t *testing.T) {
	s := newSigner(t, origin)
	for _, n := range []int{1, 255, 256, 257, 600, 256*256 + 256 + 3} {
		dir := filepath.Join(t.TempDir(), "log")
		m := logOf(t, s, n)
		if err := ledger.Export(m, dir); err != nil {
			t.Fatal(err)
		}
		checkWithTessera(t, dir, s)
		d, err := ledger.OpenDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := d.Leaves(0, int64(n))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(m.Entries, leaves, bytes.Equal) {
			t.Fatalf("%d leaves come back otherwise", n)
		}
		p, err := new(ledger.Prover).Prove(d, int64(n)/2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(leaves[n/2], s.Verifier()); err != nil {
			t.Fatal(err)
		}
	}
}

// The paths are those that tlog-tiles gives as its example: 70,000 entries, 273 full tiles and so on.
func TestExportLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s := newSigner(t, origin)
	m := &ledger.Memory{}
	appendTo(t, open(t, m, s), m, leavesFrom(0, 70_000))
	if err := ledger.Export(m, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"checkpoint", "tile/0/000", "tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1",
		"tile/entries/000", "tile/entries/273.p/112",
	} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	files := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	})
	if err != nil || files != 1+273+1+1+1+1+273+1 {
		t.Errorf("%d files (%v)", files, err)
	}
}

func TestExportIsBroughtUpToDate(t *testing.T) {
	s := newSigner(t, origin)
	dir := filepath.Join(t.TempDir(), "log")
	m := logOf(t, s, 300)
	if err := ledger.Export(m, dir); err != nil {
		t.Fatal(err)
	}
	tree := open(t, m, s)
	for range 3 {
		appendTo(t, tree, m, leavesFrom(tree.Size(), 130))
		if err := ledger.Export(m, dir); err != nil {
			t.Fatal(err)
		}
		checkWithTessera(t, dir, s)
	}
}

func TestExportWritesOverNothingElse(t *testing.T) {
	s := newSigner(t, origin)
	m := logOf(t, s, 300)
	exported := func(t *testing.T, m *ledger.Memory) string {
		dir := filepath.Join(t.TempDir(), "log")
		if err := ledger.Export(m, dir); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	fork := &ledger.Memory{}
	appendTo(t, open(t, fork, s), fork, leavesFrom(9000, 300))
	for _, c := range []struct {
		name string
		dir  func(t *testing.T) string
		want string
	}{
		{"somebody's files", func(t *testing.T) string {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "neither empty nor an export"},
		{"another log", func(t *testing.T) string { return exported(t, logOf(t, newSigner(t, "hub.example/log/2"), 10)) }, "holds log hub.example/log/2"},
		{"a longer log", func(t *testing.T) string { return exported(t, logOf(t, s, 400)) }, "at 400 leaves"},
		{"a fork of this log", func(t *testing.T) string { return exported(t, fork) }, "another log under the same origin"},
		{"an export that was changed", func(t *testing.T) string {
			dir := exported(t, m)
			if err := os.WriteFile(filepath.Join(dir, "tile/0/000"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "has been changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := c.dir(t)
			before := contents(t, dir)
			err := ledger.Export(m, dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// A log that is not what was signed is evidence: it is not dressed up as an export, and nothing is left behind.
func TestExportRefusesABrokenLog(t *testing.T) {
	s := newSigner(t, origin)
	for name, damage := range map[string]func(m *ledger.Memory){
		"edited":    func(m *ledger.Memory) { m.Entries[10] = m.Entries[11] },
		"truncated": func(m *ledger.Memory) { m.Entries = m.Entries[:290] },
		"head":      func(m *ledger.Memory) { m.Size = 290 },
	} {
		t.Run(name, func(t *testing.T) {
			m := logOf(t, s, 300)
			damage(m)
			parent := t.TempDir()
			err := ledger.Export(m, filepath.Join(parent, "log"))
			if !errors.Is(err, ledger.ErrCorrupt) && !errors.Is(err, ledger.ErrAbsent) {
				t.Fatalf("got %v", err)
			}
			if left := contents(t, parent); len(left) > 0 {
				t.Fatalf("left behind: %d files", len(left))
			}
		})
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
