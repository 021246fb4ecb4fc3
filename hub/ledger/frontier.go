package ledger

import (
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// TileWidth is how many hashes a full tile has, and how many leaves it covers at level 0.
const TileWidth = tileWidth

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileBytes  = tileWidth * tlog.HashSize
)

// Frontier is the right edge of a Merkle tree: all that is needed to append to it and to know its root. The zero value is the
// empty tree. It costs one hash for the leaf and, on average, one for the nodes above it.
type Frontier struct {
	size  int64
	peaks []tlog.Hash // perfect subtrees, the largest first: one for each bit of size
	edge  [][]byte    // by tile level: the hashes of the tile that is not full yet
}

// Size is the number of leaves.
func (f *Frontier) Size() int64 { return f.size }

// Append adds the record hash of a leaf. It calls full with each tile that this completes, the lower level first; the tile's
// bytes are full's to keep.
func (f *Frontier) Append(leaf tlog.Hash, full func(Tile)) {
	f.push(0, leaf, full)
	h, n := leaf, f.size
	for level := 1; n&1 == 1; level++ {
		last := len(f.peaks) - 1
		h = tlog.NodeHash(f.peaks[last], h)
		f.peaks = f.peaks[:last]
		n >>= 1
		if level%tileHeight == 0 {
			f.push(level/tileHeight, h, full)
		}
	}
	f.peaks = append(f.peaks, h)
	f.size++
}

// push puts a hash into the unfinished tile of a level.
func (f *Frontier) push(level int, h tlog.Hash, full func(Tile)) {
	if level == len(f.edge) {
		f.edge = append(f.edge, make([]byte, 0, tileBytes))
	}
	f.edge[level] = append(f.edge[level], h[:]...)
	if len(f.edge[level]) == tileBytes {
		full(Tile{Level: level, Index: f.size >> (tileHeight * (level + 1)), Hash: slices.Clone(f.edge[level])})
		// A new array, because an older state of the same edge may still use this one.
		f.edge[level] = make([]byte, 0, tileBytes)
	}
}

// Root is the Merkle tree hash of RFC 6962 section 2.1.
func (f *Frontier) Root() tlog.Hash {
	if f.size == 0 {
		empty, _ := tlog.TreeHash(0, nil)
		return empty
	}
	h := f.peaks[len(f.peaks)-1]
	for i := len(f.peaks) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.peaks[i], h)
	}
	return h
}

// Edge gives the hashes of the unfinished tile of a level, to be read and not kept; nothing when it would be empty.
func (f *Frontier) Edge(level int) []byte {
	if level >= len(f.edge) {
		return nil
	}
	return f.edge[level]
}

// Peaks gives the hashes of the perfect subtrees that make up the tree, the largest first, to be read and not kept.
func (f *Frontier) Peaks() []tlog.Hash { return f.peaks }

// Levels is how many levels of tiles the tree has, finished or not.
func (f *Frontier) Levels() int { return len(f.edge) }

// Clone is a tree of its own that is the same so far.
func (f *Frontier) Clone() *Frontier {
	g := &Frontier{size: f.size, peaks: slices.Clone(f.peaks)}
	for _, e := range f.edge {
		g.edge = append(g.edge, append(make([]byte, 0, tileBytes), e...))
	}
	return g
}

// copyFrom makes f the same tree as g. The two share the arrays of their unfinished tiles: g must not be appended to while f is
// in use, and f may be dropped.
func (f *Frontier) copyFrom(g *Frontier) {
	f.size = g.size
	f.peaks = append(f.peaks[:0], g.peaks...)
	f.edge = append(f.edge[:0], g.edge...)
}

// subtree is the hash over a power of two of hashes.
func subtree(hashes []byte) tlog.Hash {
	var stack [tileWidth]tlog.Hash
	n := len(hashes) / tlog.HashSize
	for i := range n {
		copy(stack[i][:], hashes[i*tlog.HashSize:])
	}
	for ; n > 1; n /= 2 {
		for i := range n / 2 {
			stack[i] = tlog.NodeHash(stack[2*i], stack[2*i+1])
		}
	}
	return stack[0]
}
