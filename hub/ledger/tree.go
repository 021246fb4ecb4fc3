package ledger

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrCorrupt says that the log at rest does not agree with its own checkpoint: nothing may be appended to it before somebody has
// found out why.
var ErrCorrupt = errors.New("log does not agree with its checkpoint")

// Tree is the sequencer's state: the size and the right edge. It is owned by one goroutine.
type Tree struct {
	signer *Signer
	// now is the tree at rest; next is the prepared one, if out is set. They change places on Commit.
	now, next *Frontier
	out       *Batch
}

// OpenTree reads the right edge: at most 255 leaves, and for each level above at most 255 tiles. It checks the checkpoint's
// signature and that the edge has the root that was signed; the error then wraps ErrSignature, ErrCheckpoint or ErrCorrupt. A log
// that was never written opens empty.
func OpenTree(src Source, s *Signer) (*Tree, error) {
	size, signed, err := src.Head()
	if err != nil {
		return nil, fmt.Errorf("read the head of log %s: %w", s.origin, err)
	}
	t := &Tree{signer: s, now: &Frontier{}, next: &Frontier{}}
	if size == 0 && len(signed) == 0 {
		return t, nil
	}
	cp, err := OpenCheckpoint(signed, s.verifier)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", s.origin, err)
	}
	if cp.Size != size {
		return nil, fmt.Errorf("open log %s: %w: it holds %d leaves, %d were signed", s.origin, ErrCorrupt, size, cp.Size)
	}
	if t.now, err = readFrontier(&reader{src: src, size: size}); err != nil {
		return nil, fmt.Errorf("open log %s: %w", s.origin, err)
	}
	if t.now.Root() != cp.Root {
		return nil, fmt.Errorf("open log %s: %w: another root than was signed at %d leaves; run the audit", s.origin, ErrCorrupt, size)
	}
	return t, nil
}

// readFrontier builds the right edge of a tree of r.size leaves from what is at rest.
func readFrontier(r *reader) (*Frontier, error) {
	f := &Frontier{size: r.size}
	for level := 0; r.size>>(tileHeight*level) > 0; level++ {
		n := r.size >> (tileHeight * level)
		hashes, err := r.entries(level, n/tileWidth, 0, int(n%tileWidth))
		if err != nil {
			return nil, err
		}
		f.edge = append(f.edge, append(make([]byte, 0, tileBytes), hashes...))
	}
	for level := len(f.edge) - 1; level >= 0; level-- {
		rest := f.edge[level]
		for width := tileWidth / 2; width > 0; width /= 2 {
			if n := width * tlog.HashSize; len(rest) >= n {
				f.peaks = append(f.peaks, subtree(rest[:n]))
				rest = rest[n:]
			}
		}
	}
	return f, nil
}

// Size is the number of leaves that are committed.
func (t *Tree) Size() int64 { return t.now.size }

// Append prepares a batch and leaves the tree as it was; Commit takes the batch over once the store has it.
// At most one prepared batch may be outstanding; preparing another drops it.
func (t *Tree) Append(leaves [][]byte) (*Batch, error) {
	t.out = nil
	t.next.copyFrom(t.now)
	b := &Batch{First: t.now.size, Leaves: leaves}
	full := func(tile Tile) { b.Tiles = append(b.Tiles, tile) }
	for i, leaf := range leaves {
		if len(leaf) == 0 || len(leaf) > MaxLeafBytes {
			return nil, fmt.Errorf("append to log %s: leaf %d of the batch has %d bytes, 1 to %d are allowed", t.signer.origin, i, len(leaf), MaxLeafBytes)
		}
		t.next.Append(tlog.RecordHash(leaf), full)
	}
	b.Size, b.Root = t.next.size, t.next.Root()
	var err error
	if b.Checkpoint, err = t.signer.Sign(b.Size, b.Root); err != nil {
		return nil, err
	}
	t.out = b
	return b, nil
}

// Commit takes over the outstanding batch, once it is at rest. It panics when b is any other: the tree in memory would no longer
// be the log at rest, and going on would sign a fork.
func (t *Tree) Commit(b *Batch) {
	if b == nil || b != t.out {
		panic("ledger: commit of a batch that is not the outstanding one")
	}
	t.now, t.next, t.out = t.next, t.now, nil
}
