package agreement_test

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/agreement"
)

// today is the day on which the stories happen.
var today = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const careFile = "herts/agreements/care.v1.yaml"

// files gives the agreement and register of the stories, for a test to change.
func files(t testing.TB) fstest.MapFS {
	t.Helper()
	root, m := os.DirFS("testdata/care"), fstest.MapFS{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(root, name)
		m[name] = &fstest.MapFile{Data: body}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// edit replaces text that stands in a file exactly once.
func edit(t testing.TB, m fstest.MapFS, name, old, new string) {
	t.Helper()
	body := string(m[name].Data)
	if n := strings.Count(body, old); n != 1 {
		t.Fatalf("%s holds %q %d times", name, old, n)
	}
	m[name] = &fstest.MapFile{Data: []byte(strings.Replace(body, old, new, 1))}
}

// loaded loads files in which no fault is expected.
func loaded(t testing.TB, m fs.FS) *agreement.Index {
	t.Helper()
	x, faults, err := agreement.Load(m, today)
	if err != nil || x == nil {
		t.Fatalf("load: %v %v", err, faults)
	}
	return x
}

// lines formats faults as the command line prints them, each without its folder.
func lines(faults []agreement.Fault) []string {
	var ls []string
	for _, f := range faults {
		f.File = path.Base(f.File)
		ls = append(ls, f.String())
	}
	return ls
}

func itemNames(f *agreement.Flow, set contracts.ItemSet) []string {
	var ns []string
	for i := range set.All() {
		ns = append(ns, f.Contract.Items[i].Name)
	}
	slices.Sort(ns)
	return ns
}

// compare compares what was printed with a golden file.
func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}
