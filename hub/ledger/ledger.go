// Package ledger is the disclosure log: who received what, about whom, when, why, under which version of which agreement. It
// holds the encoding of a leaf, the Merkle tree over the leaves, signed checkpoints, proofs, and the export for other people's
// tools. The bytes are in FORMAT.md; how a log is checked is in the package audit.
//
// The log is append-only and provable; the person is erasable. Leaves carry commitments and names of items, so that destroying a
// person's salt and a transfer's key makes old leaves unlinkable without changing one byte of them.
//
// MUST lines:
//   - What a leaf records MUST be committed before it happens outside: no leaf, no exit.
//   - A batch MUST be written whole, in one transaction, and only if the log at rest ends where the batch begins.
//   - A Tree MUST be opened again, from the log at rest, after a commit whose fate is unknown. Going on from memory could sign
//     two trees of which neither is the beginning of the other.
//   - Each copy of the hub MUST write a log of its own, under its own origin.
//
// Full tiles of 256 hashes are kept at rest; everything to the right of them is computed again from at most 255 leaves, and for
// each level above from at most 255 tiles.
package ledger

import (
	"errors"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrAbsent says that the log at rest does not hold a leaf or a tile that was asked for.
var ErrAbsent = errors.New("absent from the log")

// Batch is what one append adds to the log: everything the store must write in one commit.
type Batch struct {
	First      int64    // index of Leaves[0]
	Leaves     [][]byte // encoded
	Tiles      []Tile   // the tiles that became full
	Size       int64    // of the tree afterwards
	Root       tlog.Hash
	Checkpoint []byte // signed note over Size and Root
}

// Tile is a full tile of 256 hashes (tlog-tiles: height 8).
type Tile struct {
	Level int
	Index int64
	Hash  []byte // 256*32 bytes
}

// Source is the log at rest. Implementations return exactly what was committed; an absent tile or leaf is an error that wraps
// ErrAbsent. Head is one moment's: the checkpoint is the one that was written with the size. A log that was never written has
// size 0 and no checkpoint. What the log holds below Head's size never changes, so readers need no lock.
type Source interface {
	Head() (size int64, checkpoint []byte, err error)
	Leaves(from, to int64) ([][]byte, error) // [from, to)
	Tile(level int, index int64) ([]byte, error)
}
