package client_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"referralhub/cmd/partner/client"
)

func TestAFileIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "answer.csv")
	full := errors.New("no space left on device")
	half := func(w io.Writer) error {
		_, err := io.WriteString(w, "kind,recipient\nrelea")
		return errors.Join(err, full)
	}
	if err := client.Whole(name, half); !errors.Is(err, full) {
		t.Errorf("half a file: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
	if err := client.Whole(name, func(w io.Writer) error { _, err := io.WriteString(w, "all of it"); return err }); err != nil {
		t.Error(err)
	}
	if err := client.Whole(name, half); !errors.Is(err, full) {
		t.Errorf("half a file over a whole one: %v", err)
	}
	text, err := os.ReadFile(name)
	if left, _ := os.ReadDir(dir); err != nil || string(text) != "all of it" || len(left) != 1 {
		t.Errorf("the file of before is now %q (%v)", text, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v (%v)", info.Mode(), err)
	}
	if err := client.Whole(filepath.Join(dir, "nowhere", "x"), half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("into a folder that is not there: %v", err)
	}
}
