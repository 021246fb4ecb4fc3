package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/ledger"
)

// evidence is what the tiles at rest say against the leaves.
type evidence struct {
	// other is the tree that the tiles at rest lead to, from the first leaf on which they and the leaves disagree; nil before.
	other *ledger.Frontier
	// leaves and blocks are where leaves and tiles disagree, the first few thousand of each.
	leaves []leafDiffers
	blocks []blockDiffers
	// bad are the tiles that were not as computed: what lies above them follows from them.
	bad map[tileKey]bool
	// hole says that a leaf was missing whose hash no tile remembers: the root cannot be computed.
	hole bool
	// pinned is how many of the pinned checkpoints, the smallest first, have been compared.
	pinned int
	// unlike are the pinned checkpoints that neither tree had as its root when it had their size.
	unlike []ledger.Checkpoint
}

type leafDiffers struct {
	index        int64
	hash, stored tlog.Hash
}

// blockDiffers is an entry of a tile above level 0 that does not follow from the tile below it.
type blockDiffers struct {
	level int
	index int64 // of the tile
	entry int
}

type tileKey struct {
	level int
	index int64
}

const maxDiffers = 4096

func hashAt(tile []byte, i int) tlog.Hash {
	return tlog.Hash(tile[i*tlog.HashSize : (i+1)*tlog.HashSize])
}

// edged is a source that holds the unfinished tile at the right edge too: an exported log.
type edged interface {
	PartialTile(level int, index int64, width int) ([]byte, error)
}

// storedTile reads the level 0 tile over a leaf: the full one if the log is long enough to have it, or else the unfinished one of a
// source that holds it.
func (a *auditor) storedTile(leaf, size int64) ([]byte, error) {
	index := leaf / ledger.TileWidth
	if size >= (index+1)*ledger.TileWidth {
		return a.readTile(0, index)
	}
	src, ok := a.src.(edged)
	if !ok {
		return nil, nil
	}
	width := int(size - index*ledger.TileWidth)
	tile, err := src.PartialTile(0, index, width)
	switch {
	case errors.Is(err, ledger.ErrAbsent):
		return nil, nil // the leaves and the root are enough
	case err != nil:
		return nil, fmt.Errorf("read tile 0/%d of %d: %w", index, width, err)
	case len(tile) != width*tlog.HashSize:
		a.report.problem(Tile, index*ledger.TileWidth, "", "tile 0/%d of %d is cut short", index, width)
		return nil, nil
	}
	return tile, nil
}

// readTile gives nil for a tile that is absent or of the wrong length, which is a problem of its own.
func (a *auditor) readTile(level int, index int64) ([]byte, error) {
	tile, err := a.src.Tile(level, index)
	if err != nil && !errors.Is(err, ledger.ErrAbsent) {
		return nil, fmt.Errorf("read tile %d/%d: %w", level, index, err)
	}
	if err != nil || len(tile) != ledger.TileWidth*tlog.HashSize {
		a.report.problem(Tile, index<<(8*(level+1)), "", "tile %d/%d is missing or cut short", level, index)
		return nil, nil
	}
	return tile, nil
}

// differs notes that a leaf is not the one its tile speaks of.
func (a *auditor) differs(tree *ledger.Frontier, index int64, hash, stored tlog.Hash) {
	if a.other == nil {
		a.other = tree.Clone()
	}
	if len(a.leaves) < maxDiffers {
		a.leaves = append(a.leaves, leafDiffers{index, hash, stored})
	}
	a.mark(0, index/ledger.TileWidth)
}

func (a *auditor) mark(level int, index int64) {
	if a.bad == nil {
		a.bad = map[tileKey]bool{}
	}
	a.bad[tileKey{level, index}] = true
}

// push takes the next hash into the tree, compares the tiles above level 0 that this completes, and looks at pinned checkpoints.
func (a *auditor) push(hash tlog.Hash, stored []byte, entry int) error {
	var err error
	a.tree.Append(hash, func(t ledger.Tile) {
		switch {
		case t.Level > 0 && err == nil:
			err = a.above(t)
		case t.Level == 0 && stored != nil && !a.bad[tileKey{0, t.Index}] && !bytes.Equal(stored, t.Hash):
			// Its first leaves were read while the tile was not full yet, so they were not compared one by one.
			a.report.problem(Tile, t.Index*ledger.TileWidth, "", "tile 0/%d is not the tile of its leaves", t.Index)
			a.mark(0, t.Index)
		}
	})
	if err != nil {
		return err
	}
	if a.other != nil {
		if stored != nil {
			hash = hashAt(stored, entry)
		}
		a.other.Append(hash, func(ledger.Tile) {})
	}
	for ; a.pinned < len(a.pins) && a.pins[a.pinned].Size <= a.tree.Size(); a.pinned++ {
		pin := a.pins[a.pinned]
		if pin.Size == a.tree.Size() && pin.Root != a.tree.Root() && (a.other == nil || pin.Root != a.other.Root()) {
			a.unlike = append(a.unlike, pin)
		}
	}
	return nil
}

// above compares a computed tile above level 0 with the one at rest.
func (a *auditor) above(t ledger.Tile) error {
	stored, err := a.readTile(t.Level, t.Index)
	if err != nil || stored == nil || bytes.Equal(stored, t.Hash) {
		return err
	}
	for i := range ledger.TileWidth {
		if hashAt(stored, i) == hashAt(t.Hash, i) {
			continue
		}
		explained := a.bad[tileKey{t.Level - 1, t.Index*ledger.TileWidth + int64(i)}]
		if !explained && len(a.blocks) < maxDiffers {
			a.blocks = append(a.blocks, blockDiffers{t.Level, t.Index, i})
		}
	}
	a.mark(t.Level, t.Index)
	return nil
}

// judge says what the disagreements mean, now that the root of the leaves can be compared with the root that was signed.
func (a *auditor) judge(cp ledger.Checkpoint, trusted bool) {
	root := a.tree.Root()
	whole := a.tree.Size() == cp.Size && !a.hole
	leavesSigned := trusted && whole && root == cp.Root
	tilesSigned := trusted && whole && a.other != nil && a.other.Root() == cp.Root
	switch {
	case leavesSigned:
		a.blameTiles()
	case trusted && whole:
		a.blameLeaves(tilesSigned, cp)
	default:
		// Nothing that was signed says which side is right: leaves and tiles only contradict each other.
		a.blameEither()
		if whole && root != cp.Root {
			a.report.problem(Head, -1, "", "the checkpoint's root is not that of the %d leaves", cp.Size)
		}
	}
	if leavesSigned || tilesSigned || !trusted {
		for _, pin := range a.unlike {
			a.report.problem(Forked, pin.Size-1, "", "a checkpoint over %d leaves was seen before, and it is not of the beginning of this log", pin.Size)
		}
	}
	// What was judged is not judged again when the audit goes on to a later head.
	a.leaves, a.blocks, a.unlike = nil, nil, nil
}

func (a *auditor) blameTiles() {
	for _, d := range a.leaves {
		a.report.problem(Tile, d.index, "", "tile 0/%d is not the tile of its leaves: hash %d was changed", d.index/ledger.TileWidth, d.index%ledger.TileWidth)
	}
	for _, d := range a.blocks {
		first, _ := d.covers()
		a.report.problem(Tile, first, "", "tile %d/%d does not follow from the tiles below: hash %d was changed", d.level, d.index, d.entry)
	}
	a.other = nil
}

// blameLeaves is for leaves that do not lead to the signed root.
func (a *auditor) blameLeaves(tilesSigned bool, cp ledger.Checkpoint) {
	a.namePlaces()
	for _, d := range a.blocks {
		first, last := d.covers()
		a.report.problem(Edited, first, "", "among leaves %d to %d some were changed together with their tiles: tile %d/%d remembers other ones", first, last, d.level, d.index)
	}
	if tilesSigned || len(a.blocks) > 0 {
		return
	}
	// The tiles do not lead to the signed root either: something is wrong where no tile speaks.
	tree := &a.tree
	if a.other != nil {
		tree = a.other
	}
	edge := tree.Edge(0)
	first := tree.Size() - int64(len(edge)/tlog.HashSize)
	if i, j, ok := swapped(tree, cp.Root); ok {
		a.report.problem(Reordered, first+int64(i), "", "it has changed places with leaf %d", first+int64(j))
		a.report.problem(Reordered, first+int64(j), "", "it has changed places with leaf %d", first+int64(i))
		return
	}
	if len(edge) > 0 {
		a.report.problem(Edited, first, "", "some of leaves %d to %d are not those that were signed; no full tile covers them, so none can be singled out", first, tree.Size()-1)
		return
	}
	a.report.problem(Forked, -1, "", "leaves and tiles agree with each other and not with the signed root: the log was written anew")
}

// blameEither reports contradictions of which nobody knows the guilty side.
func (a *auditor) blameEither() {
	a.namePlaces()
	for _, d := range a.blocks {
		first, last := d.covers()
		a.report.problem(Edited, first, "", "tile %d/%d does not follow from leaves %d to %d, and nothing says which was changed", d.level, d.index, first, last)
	}
}

// namePlaces tells leaves that changed places from leaves that were changed.
func (a *auditor) namePlaces() {
	home := map[tlog.Hash]int64{}
	for _, d := range a.leaves {
		home[d.stored] = d.index
	}
	for _, d := range a.leaves {
		if from, ok := home[d.hash]; ok {
			a.report.problem(Reordered, d.index, "", "it was leaf %d", from)
		} else {
			a.report.problem(Edited, d.index, "", "it is not the leaf that tile 0/%d speaks of", d.index/ledger.TileWidth)
		}
	}
}

func (d blockDiffers) covers() (first, last int64) {
	width := int64(1) << (8 * d.level)
	first = (d.index*ledger.TileWidth + int64(d.entry)) * width
	return first, first + width - 1
}

// swapped looks for two leaves right of the last full tile that lead to the signed root when they change places. It tries every
// pair: at most 32,385 trees of at most 255 leaves, and only for a log that is broken.
func swapped(tree *ledger.Frontier, root tlog.Hash) (i, j int, ok bool) {
	edge := make([]tlog.Hash, len(tree.Edge(0))/tlog.HashSize)
	for i := range edge {
		edge[i] = hashAt(tree.Edge(0), i)
	}
	before := tree.Peaks()[:bits.OnesCount64(uint64(tree.Size()/ledger.TileWidth))]
	for gap := 1; gap < len(edge); gap++ {
		for i := range len(edge) - gap {
			edge[i], edge[i+gap] = edge[i+gap], edge[i]
			h := treeHash(edge)
			for _, peak := range slices.Backward(before) {
				h = tlog.NodeHash(peak, h)
			}
			if h == root {
				return i, i + gap, true
			}
			edge[i], edge[i+gap] = edge[i+gap], edge[i]
		}
	}
	return 0, 0, false
}

// treeHash is the Merkle tree hash of RFC 6962 section 2.1 over hashes of leaves.
func treeHash(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	left := 1 << (bits.Len(uint(len(hashes)-1)) - 1)
	return tlog.NodeHash(treeHash(hashes[:left]), treeHash(hashes[left:]))
}
