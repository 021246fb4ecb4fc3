package client

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Whole writes a file that is whole or not there: under another name in the same folder, and under its own once write has come to its end and the
// disk has it. Whatever goes wrong, what stood under the name before stands there still. Nobody else may read it.
func Whole(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = cmp.Or(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it may be gone with its disk
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
