package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// Export writes the log to a directory in the layout of C2SP tlog-tiles, so that it can be served as static files and checked
// with other people's tools. Every hash is computed from the leaves, and a log whose leaves do not have the signed root is refused
// (ErrCorrupt): run the audit on it instead.
//
// A new export appears whole, by renaming a directory beside dir. A directory that holds an earlier export of the same log is
// brought up to date: what is there stays as it is, and the checkpoint is replaced last. A directory that holds anything else is
// refused.
func Export(src Source, dir string) error {
	size, signed, err := src.Head()
	if err != nil {
		return fmt.Errorf("export to %s: read the head: %w", dir, err)
	}
	cp, err := ReadCheckpoint(signed)
	if err != nil {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	if cp.Size != size {
		return fmt.Errorf("export to %s: %w: it holds %d leaves, %d were signed", dir, ErrCorrupt, size, cp.Size)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("export: %w", err)
	}
	if len(entries) > 0 {
		if err := extends(src, cp, dir); err != nil {
			return err
		}
		return exportTo(src, cp, signed, dir)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	fresh, err := os.MkdirTemp(parent, filepath.Base(dir)+".new-*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer os.RemoveAll(fresh) //nolint:errcheck // after the rename there is nothing; before it, a folder that nobody looks at
	if err := exportTo(src, cp, signed, fresh); err != nil {
		return err
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// extends reports an error unless dir is an export of the beginning of the log.
func extends(src Source, cp Checkpoint, dir string) error {
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return fmt.Errorf("export: %s is neither empty nor an export: choose another directory: %w", dir, err)
	}
	old, err := ReadCheckpoint(signed)
	if err != nil {
		return fmt.Errorf("export: %s is neither empty nor an export: choose another directory: %w", dir, err)
	}
	if old.Origin != cp.Origin || old.Size > cp.Size {
		return fmt.Errorf("export: %s holds log %s at %d leaves, this is log %s at %d: choose another directory", dir, old.Origin, old.Size, cp.Origin, cp.Size)
	}
	root, err := TreeHash(src, old.Size)
	if err != nil {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	if root != old.Root {
		return fmt.Errorf("export: %s holds another log under the same origin: %w: keep it, and run the audit with its checkpoint", dir, ErrConsistency)
	}
	return nil
}

func exportTo(src Source, cp Checkpoint, signed []byte, dir string) error {
	f := &Frontier{}
	var writeErr error
	full := func(t Tile) {
		if writeErr == nil {
			writeErr = writeOnce(dir, tilePath(strconv.Itoa(t.Level), t.Index, tileWidth), t.Hash)
		}
	}
	for first := int64(0); first < cp.Size; first += tileWidth {
		leaves, err := readLeaves(src, first, min(first+tileWidth, cp.Size))
		if err != nil {
			return fmt.Errorf("export to %s: %w", dir, err)
		}
		var bundle []byte
		for i, leaf := range leaves {
			if len(leaf) > MaxLeafBytes {
				return fmt.Errorf("export to %s: leaf %d has %d bytes, the most is %d", dir, first+int64(i), len(leaf), MaxLeafBytes)
			}
			bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
			bundle = append(bundle, leaf...)
			f.Append(tlog.RecordHash(leaf), full)
		}
		if writeErr == nil {
			writeErr = writeOnce(dir, tilePath("entries", first/tileWidth, len(leaves)), bundle)
		}
		if writeErr != nil {
			return fmt.Errorf("export: %w", writeErr)
		}
	}
	for level := range f.Levels() {
		if edge := f.Edge(level); len(edge) > 0 {
			index := f.size >> (tileHeight * (level + 1))
			if err := writeOnce(dir, tilePath(strconv.Itoa(level), index, len(edge)/tlog.HashSize), edge); err != nil {
				return fmt.Errorf("export: %w", err)
			}
		}
	}
	if f.Root() != cp.Root {
		return fmt.Errorf("export to %s: %w: another root than was signed at %d leaves; run the audit", dir, ErrCorrupt, cp.Size)
	}
	if err := replace(filepath.Join(dir, "checkpoint"), signed); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// writeOnce writes a file that never changes once it is there.
func writeOnce(dir, name string, data []byte) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	old, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(old, data):
		return nil
	case err == nil:
		return fmt.Errorf("%s has been changed: keep it for the audit, and export to another directory", path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return replace(path, data)
}

func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".tmp", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// tilePath names a tile or a bundle of entries: index 1234067 of level 0 is "tile/0/x001/x234/067", and with ".p/<width>" behind
// it when it is not full.
func tilePath(level string, index int64, width int) string {
	path := fmt.Sprintf("%03d", index%1000)
	for index >= 1000 {
		index /= 1000
		path = fmt.Sprintf("x%03d/%s", index%1000, path)
	}
	path = "tile/" + level + "/" + path
	if width < tileWidth {
		path += ".p/" + strconv.Itoa(width)
	}
	return path
}

// Directory reads an exported log.
type Directory struct{ dir string }

// OpenDirectory opens a log that Export wrote, or anybody's log of leaves in the layout of tlog-tiles.
func OpenDirectory(dir string) (*Directory, error) {
	d := &Directory{dir: dir}
	if _, _, err := d.Head(); err != nil {
		return nil, fmt.Errorf("open exported log %s: %w", dir, err)
	}
	return d, nil
}

// Head implements Source. The size is the one that the checkpoint states.
func (d *Directory) Head() (int64, []byte, error) {
	signed, err := os.ReadFile(filepath.Join(d.dir, "checkpoint"))
	if err != nil {
		return 0, nil, err
	}
	cp, err := ReadCheckpoint(signed)
	if err != nil {
		return 0, nil, err
	}
	return cp.Size, signed, nil
}

// Leaves implements Source.
func (d *Directory) Leaves(from, to int64) ([][]byte, error) {
	size, _, err := d.Head()
	if err != nil {
		return nil, err
	}
	if from < 0 || from > to || to > size {
		return nil, fmt.Errorf("leaves %d to %d of %d: %w", from, to-1, size, ErrAbsent)
	}
	var out [][]byte
	for from < to {
		index := from / tileWidth
		leaves, err := d.bundle(index, int(min(tileWidth, size-index*tileWidth)))
		if err != nil {
			return nil, err
		}
		end := min(to-index*tileWidth, tileWidth)
		if int64(len(leaves)) < end {
			return nil, fmt.Errorf("leaf %d: %w", index*tileWidth+int64(len(leaves)), ErrAbsent)
		}
		out = append(out, leaves[from-index*tileWidth:end]...)
		from = index*tileWidth + end
	}
	return out, nil
}

func (d *Directory) bundle(index int64, width int) ([][]byte, error) {
	b, err := d.read(tilePath("entries", index, width))
	if err != nil {
		return nil, err
	}
	leaves := make([][]byte, 0, width)
	for len(b) > 0 {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("leaf %d: %w: its bundle is cut short", index*tileWidth+int64(len(leaves)), ErrAbsent)
		}
		n := int(binary.BigEndian.Uint16(b))
		leaves = append(leaves, b[2:2+n:2+n])
		b = b[2+n:]
	}
	return leaves, nil
}

// Tile implements Source.
func (d *Directory) Tile(level int, index int64) ([]byte, error) {
	return d.read(tilePath(strconv.Itoa(level), index, tileWidth))
}

// PartialTile gives the tile at the right edge of a level, of so many hashes, as an export of that size holds it. The error wraps
// ErrAbsent when there is none.
func (d *Directory) PartialTile(level int, index int64, width int) ([]byte, error) {
	return d.read(tilePath(strconv.Itoa(level), index, width))
}

func (d *Directory) read(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(d.dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrAbsent)
	}
	return b, err
}

var _ Source = (*Directory)(nil)
