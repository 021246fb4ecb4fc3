package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What a proof fails to show.
var (
	ErrInclusion   = errors.New("proof does not show that the leaf is in the log")
	ErrConsistency = errors.New("proof does not show that one log is the beginning of the other")
	ErrProof       = errors.New("not a proof (c2sp.org/tlog-proof@v1)")
)

// reader reads node hashes of a tree of a given size. It keeps what it read, so it is made for one question and dropped.
type reader struct {
	src   Source
	size  int64
	tiles map[tileKey][]byte
	known *Prover // may be nil
}

type tileKey struct {
	level int
	index int64
}

// ReadHashes implements tlog.HashReader.
func (r *reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		height, n := tlog.SplitStoredHashIndex(x)
		level, rest := height/tileHeight, height%tileHeight
		first := n << rest
		hashes, err := r.entries(level, first/tileWidth, int(first%tileWidth), 1<<rest)
		if err != nil {
			return nil, err
		}
		out[i] = subtree(hashes)
	}
	return out, nil
}

// entries gives n hashes of a tile, from the from-th on: cut from the tile when it is full, and otherwise computed from the leaves
// or from the full tiles below.
func (r *reader) entries(level int, index int64, from, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if index < r.size>>(tileHeight*(level+1)) {
		tile, err := r.tile(level, index)
		if err != nil {
			return nil, err
		}
		return tile[from*tlog.HashSize : (from+n)*tlog.HashSize], nil
	}
	first := index*tileWidth + int64(from)
	out := make([]byte, 0, tileBytes)
	if level == 0 {
		leaves, err := readLeaves(r.src, first, first+int64(n))
		if err != nil {
			return nil, err
		}
		for _, leaf := range leaves {
			h := tlog.RecordHash(leaf)
			out = append(out, h[:]...)
		}
		return out, nil
	}
	for i := range int64(n) {
		h, err := r.root(level-1, first+i)
		if err != nil {
			return nil, err
		}
		out = append(out, h[:]...)
	}
	return out, nil
}

// root is the hash over a full tile.
func (r *reader) root(level int, index int64) (tlog.Hash, error) {
	key := tileKey{level, index}
	if h, ok := r.known.root(key); ok {
		return h, nil
	}
	tile, err := r.tile(level, index)
	if err != nil {
		return tlog.Hash{}, err
	}
	h := subtree(tile)
	r.known.learn(key, h)
	return h, nil
}

func (r *reader) tile(level int, index int64) ([]byte, error) {
	key := tileKey{level, index}
	if tile, ok := r.tiles[key]; ok {
		return tile, nil
	}
	tile, err := r.src.Tile(level, index)
	if err != nil {
		return nil, fmt.Errorf("read tile %d/%d: %w", level, index, err)
	}
	if len(tile) != tileBytes {
		return nil, fmt.Errorf("read tile %d/%d: %w: it has %d bytes, a full one has %d", level, index, ErrCorrupt, len(tile), tileBytes)
	}
	if r.tiles == nil {
		r.tiles = map[tileKey][]byte{}
	}
	r.tiles[key] = tile
	return tile, nil
}

// readLeaves reads [from, to) and takes a short answer for an absent leaf.
func readLeaves(src Source, from, to int64) ([][]byte, error) {
	leaves, err := src.Leaves(from, to)
	if err != nil {
		return nil, fmt.Errorf("read leaves %d to %d: %w", from, to-1, err)
	}
	if int64(len(leaves)) != to-from {
		return nil, fmt.Errorf("read leaf %d: %w", from+int64(len(leaves)), ErrAbsent)
	}
	return leaves, nil
}

// TreeHash is the root that the log had when it held size leaves, computed from its tiles.
func TreeHash(src Source, size int64) (tlog.Hash, error) {
	root, err := tlog.TreeHash(size, &reader{src: src, size: size})
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("root at %d leaves: %w", size, err)
	}
	return root, nil
}

// InclusionProof shows that the leaf at index is in the log of size leaves. Whoever makes many uses a Prover.
func InclusionProof(src Source, index, size int64) (tlog.RecordProof, error) {
	return new(Prover).InclusionProof(src, index, size)
}

// ConsistencyProof shows that the log of from leaves is the beginning of the log of to leaves. From nothing to anything, and from
// a size to itself, needs no hashes.
func ConsistencyProof(src Source, from, to int64) (tlog.TreeProof, error) {
	return new(Prover).ConsistencyProof(src, from, to)
}

// VerifyInclusion checks that leaf, as encoded, is at index in the log of cp. The error wraps ErrInclusion.
func VerifyInclusion(cp Checkpoint, index int64, leaf []byte, p tlog.RecordProof) error {
	if err := tlog.CheckRecord(p, cp.Size, cp.Root, index, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("leaf %d of %d: %w", index, cp.Size, ErrInclusion)
	}
	return nil
}

// VerifyConsistency checks that the log of old is the beginning of the log of cp. The error wraps ErrConsistency.
func VerifyConsistency(old, cp Checkpoint, p tlog.TreeProof) error {
	bad := fmt.Errorf("from %d to %d leaves: %w", old.Size, cp.Size, ErrConsistency)
	if old.Size == 0 {
		if empty, _ := tlog.TreeHash(0, nil); old.Root != empty || len(p) != 0 {
			return bad
		}
		return nil
	}
	if err := tlog.CheckTree(p, cp.Size, cp.Root, old.Size, old.Root); err != nil {
		return bad
	}
	return nil
}

// Proof is what somebody needs, besides the leaf and the log's verifier key, to check off-line that the leaf is in the log: a
// disclosure receipt. A Prover makes it. MarshalText and ParseProof give it the form of c2sp.org/tlog-proof@v1.
type Proof struct {
	Index      int64
	Hashes     tlog.RecordProof
	Checkpoint []byte // signed
}

// Prover proves leaves of one log. It remembers the hashes over full tiles that lie right of the last full tile above them: at most
// 255 for a level, and without them a proof would read and hash as many tiles. The zero value is ready. It is safe for concurrent
// use.
type Prover struct {
	mu    sync.Mutex
	roots map[tileKey]tlog.Hash
}

// maxRoots is more than a log of 2^48 leaves needs at a time. Beyond it, those of full tiles above are forgotten with the rest.
const maxRoots = 8 * tileWidth

func (p *Prover) root(key tileKey) (tlog.Hash, bool) {
	if p == nil {
		return tlog.Hash{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.roots[key]
	return h, ok
}

func (p *Prover) learn(key tileKey, h tlog.Hash) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.roots == nil || len(p.roots) == maxRoots {
		p.roots = map[tileKey]tlog.Hash{}
	}
	p.roots[key] = h
}

// InclusionProof shows that the leaf at index is in the log of size leaves.
func (p *Prover) InclusionProof(src Source, index, size int64) (tlog.RecordProof, error) {
	if index < 0 || index >= size {
		return nil, fmt.Errorf("prove leaf %d of %d: %w", index, size, ErrAbsent)
	}
	hashes, err := tlog.ProveRecord(size, index, &reader{src: src, size: size, known: p})
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d of %d: %w", index, size, err)
	}
	return hashes, nil
}

// ConsistencyProof shows that the log of from leaves is the beginning of the log of to leaves.
func (p *Prover) ConsistencyProof(src Source, from, to int64) (tlog.TreeProof, error) {
	if from < 0 || from > to {
		return nil, fmt.Errorf("prove that %d leaves are the beginning of %d: %w", from, to, ErrConsistency)
	}
	if from == 0 || from == to {
		return tlog.TreeProof{}, nil
	}
	hashes, err := tlog.ProveTree(to, from, &reader{src: src, size: to, known: p})
	if err != nil {
		return nil, fmt.Errorf("prove that %d leaves are the beginning of %d: %w", from, to, err)
	}
	return hashes, nil
}

// Prove proves the leaf at index against the newest checkpoint. It checks its own work: a log that is damaged gives an error that
// wraps ErrCorrupt, never a proof that does not hold.
func (p *Prover) Prove(src Source, index int64) (*Proof, error) {
	size, signed, err := src.Head()
	if err != nil {
		return nil, fmt.Errorf("read the head: %w", err)
	}
	if len(signed) == 0 {
		return nil, fmt.Errorf("prove leaf %d of %d: %w", index, size, ErrAbsent)
	}
	cp, err := ReadCheckpoint(signed)
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d: %w", index, err)
	}
	if cp.Size != size {
		return nil, fmt.Errorf("prove leaf %d: %w: it holds %d leaves, %d were signed", index, ErrCorrupt, size, cp.Size)
	}
	hashes, err := p.InclusionProof(src, index, size)
	if err != nil {
		return nil, err
	}
	leaf, err := readLeaves(src, index, index+1)
	if err != nil {
		return nil, err
	}
	if err := VerifyInclusion(cp, index, leaf[0], hashes); err != nil {
		return nil, fmt.Errorf("prove leaf %d: %w; run the audit", index, ErrCorrupt)
	}
	return &Proof{Index: index, Hashes: hashes, Checkpoint: signed}, nil
}

// Verify checks that leaf, as encoded, is in the log that v speaks for, and returns the checkpoint that says so.
func (p *Proof) Verify(leaf []byte, v note.Verifier) (Checkpoint, error) {
	cp, err := OpenCheckpoint(p.Checkpoint, v)
	if err != nil {
		return Checkpoint{}, err
	}
	return cp, VerifyInclusion(cp, p.Index, leaf, p.Hashes)
}

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// MarshalText writes the proof as c2sp.org/tlog-proof@v1.
func (p *Proof) MarshalText() ([]byte, error) {
	b := []byte(proofHeader)
	b = fmt.Appendf(b, "index %d\n", p.Index)
	for _, h := range p.Hashes {
		b = base64.StdEncoding.AppendEncode(b, h[:])
		b = append(b, '\n')
	}
	b = append(b, '\n')
	return append(b, p.Checkpoint...), nil
}

// ParseProof reads a proof. It refuses the optional "extra" line, which nothing authenticates and the hub never writes. The
// error wraps ErrProof.
func ParseProof(text []byte) (*Proof, error) {
	rest, ok := strings.CutPrefix(string(text), proofHeader)
	if !ok {
		return nil, fmt.Errorf("%w: no header", ErrProof)
	}
	head, signed, ok := strings.Cut(rest, "\n\n")
	if !ok {
		return nil, fmt.Errorf("%w: no checkpoint", ErrProof)
	}
	lines := strings.Split(head, "\n")
	digits, ok := strings.CutPrefix(lines[0], "index ")
	index, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || index < 0 || strconv.FormatInt(index, 10) != digits {
		return nil, fmt.Errorf("%w: no index", ErrProof)
	}
	if len(lines) > 64 {
		return nil, fmt.Errorf("%w: %d hashes", ErrProof, len(lines)-1)
	}
	p := &Proof{Index: index, Hashes: tlog.RecordProof{}, Checkpoint: []byte(signed)}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil || h.String() != line {
			return nil, fmt.Errorf("%w: a line is not a hash", ErrProof)
		}
		p.Hashes = append(p.Hashes, h)
	}
	return p, nil
}
