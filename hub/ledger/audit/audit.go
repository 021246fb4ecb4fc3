// Package audit is the one auditor of the disclosure log: tests, the command line and the running self-check share it.
//
// It reads every leaf once and keeps three books.
//
//   - The tree: every leaf is hashed, every tile and the root are computed again and compared with what is at rest and with what
//     was signed. Tiles say which leaf of a pair of stories was changed: a leaf that differs from its tile, under a root that the
//     tile leads to, was edited; a tile that differs from its leaves, under a root that the leaves lead to, was edited itself.
//     Leaves to the right of the last full tile are covered by the signed root alone, so a change among them is found and placed
//     within those leaves, not always at one. An exported log holds the unfinished tile too, and there the leaf is known.
//   - The story of each transfer, from the leaves: one decision first; no release without a decision that permits it, of no more
//     than was decided; no receipt without a release; no ruling but on a hold; no step that a transfer cannot take. What people
//     enter by hand, and no other leaf bears out, is held to be complete.
//   - The state tables, when there are any: every transfer agrees with its leaves, and payloads are kept exactly as long as they may be. What
//     else there is in tables is for a Book, which sees the leaves go by: package tables has the one of the hub's database, and says which
//     rows leave no trace and cannot be checked.
//
// What only the log's own key could have done is not found from one copy of the log: whoever holds the key can sign another
// history. That is what checkpoints kept elsewhere are for: give them to Check as pinned.
//
// The story needs all leaves of a transfer in one log.
//
// Memory: a read-ahead of a few thousand leaves, and for each transfer about 100 bytes; what decisions permit is kept once for each
// distinct set of people and items. A million transfers take about 100 MB.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/ledger"
)

// Check audits a log. The error is about reading (context, store, a pinned checkpoint that v did not sign); what is wrong with the
// log is in the report.
//
// Facts may be nil: an exported log alone has no tables. Pinned are signed checkpoints of the same log that were seen before, kept
// where whoever writes the log cannot change them.
//
// Check may run beside a hub that goes on writing: a row that is ahead of the leaves read so far is compared again with the
// leaves that were added meanwhile.
func Check(ctx context.Context, src ledger.Source, v note.Verifier, facts Facts, pinned ...[]byte) (*Report, error) {
	a := &auditor{src: src, verifier: v, report: &Report{Origin: v.Name()}, stories: newStories()}
	a.book, _ = facts.(Book)
	a.stories.report = a.report
	for _, signed := range pinned {
		pin, err := ledger.OpenCheckpoint(signed, v)
		if err != nil {
			return nil, fmt.Errorf("audit log %s: pinned checkpoint: %w", v.Name(), err)
		}
		a.pins = append(a.pins, pin)
	}
	slices.SortStableFunc(a.pins, func(x, y ledger.Checkpoint) int { return cmp.Compare(x.Size, y.Size) })
	size, err := a.upToHead(ctx)
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %w", v.Name(), err)
	}
	if facts != nil {
		if err := a.tables(ctx, facts, size); err != nil {
			return nil, fmt.Errorf("audit log %s: %w", v.Name(), err)
		}
	}
	if a.book != nil {
		if err := a.book.Close(ctx, a.tree.Size(), a.report); err != nil {
			return nil, fmt.Errorf("audit log %s: %w", v.Name(), err)
		}
	}
	a.stories.unfollowed()
	a.report.Leaves, a.report.Root = a.tree.Size(), a.tree.Root()
	a.report.Transfers = int64(len(a.stories.byTransfer))
	a.report.Releases = a.stories.releases
	return a.report, nil
}

type auditor struct {
	src      ledger.Source
	verifier note.Verifier
	report   *Report
	pins     []ledger.Checkpoint
	stories  *stories
	book     Book // or nil

	tree ledger.Frontier // from the leaves
	evidence
}

// upToHead checks the head and everything up to it, and gives its size.
func (a *auditor) upToHead(ctx context.Context) (int64, error) {
	size, signed, err := a.src.Head()
	if err != nil {
		return 0, fmt.Errorf("read the head: %w", err)
	}
	if size == 0 && len(signed) == 0 {
		a.beyond(0)
		a.pinsBeyond(0)
		return 0, nil
	}
	cp, err := ledger.OpenCheckpoint(signed, a.verifier)
	trusted := err == nil
	if !trusted {
		class := Head
		if errors.Is(err, ledger.ErrSignature) {
			class = Signature
		}
		a.report.problem(class, -1, "", "%v", err)
		if cp, err = ledger.ReadCheckpoint(signed); err != nil {
			cp = ledger.Checkpoint{Size: -1}
		}
	}
	switch {
	case cp.Size < 0:
	case size < cp.Size:
		a.report.problem(Truncated, size, "", "the head says %d leaves, the checkpoint was made over %d", size, cp.Size)
	case size > cp.Size:
		a.report.problem(Head, cp.Size, "", "the head says %d leaves, the checkpoint was made over %d", size, cp.Size)
	}
	if err := a.walk(ctx, size); err != nil {
		return 0, err
	}
	if a.tree.Size() == size {
		a.beyond(size)
	}
	a.judge(cp, trusted)
	a.pinsBeyond(size)
	return size, nil
}

// beyond looks for leaves past the head of a log that does not grow: an old head was put back.
func (a *auditor) beyond(size int64) {
	more, err := a.src.Leaves(size, size+1)
	if err != nil || len(more) == 0 {
		return
	}
	if now, _, err := a.src.Head(); err == nil && now == size {
		a.report.problem(Truncated, size, "", "the log holds leaves beyond its head: an earlier head was put back")
	}
}

func (a *auditor) pinsBeyond(size int64) {
	for _, pin := range a.pins {
		if pin.Size > size {
			a.report.problem(Truncated, size, "", "the log has %d leaves, a checkpoint over %d was seen before", size, pin.Size)
		}
	}
}

// readAhead is how many leaves are in hand at a time: a whole number of tiles.
const readAhead = 8 * ledger.TileWidth

// record is a leaf and what can be known of it alone.
type record struct {
	hash tlog.Hash
	leaf *ledger.Leaf
	err  error
	gone bool
}

// walk reads on from where the tree is, to size or to the first leaf behind which there is nothing.
func (a *auditor) walk(ctx context.Context, size int64) error {
	records := make([]record, readAhead)
	for a.tree.Size() < size {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := a.tree.Size()
		to := min(size, from-from%ledger.TileWidth+readAhead)
		leaves, err := a.read(from, to, size)
		if err != nil {
			return err
		}
		examine(records[:len(leaves)], leaves)
		for at := 0; at < len(leaves); {
			n := min(len(leaves)-at, int(ledger.TileWidth-(from+int64(at))%ledger.TileWidth))
			if err := a.tile(from+int64(at), records[at:at+n], size); err != nil {
				return err
			}
			at += n
		}
		if err := a.show(ctx, from, records[:len(leaves)]); err != nil {
			return err
		}
		if from+int64(len(leaves)) < to {
			a.report.problem(Truncated, from+int64(len(leaves)), "", "%d leaves are missing at the end", size-from-int64(len(leaves)))
			return nil
		}
	}
	return nil
}

// show lets the book see what was read.
func (a *auditor) show(ctx context.Context, first int64, records []record) error {
	if a.book == nil {
		return nil
	}
	leaves := make([]*ledger.Leaf, len(records))
	for i := range records {
		leaves[i] = records[i].leaf
	}
	return a.book.Leaves(ctx, first, leaves, a.report)
}

// examine hashes and parses leaves on as many processors as there are.
func examine(records []record, leaves [][]byte) {
	var wg sync.WaitGroup
	part := max(1, (len(leaves)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	for from := 0; from < len(leaves); from += part {
		wg.Go(func() {
			for i := from; i < min(from+part, len(leaves)); i++ {
				records[i] = record{gone: leaves[i] == nil}
				if !records[i].gone {
					records[i].hash = tlog.RecordHash(leaves[i])
					records[i].leaf, records[i].err = ledger.Parse(leaves[i])
				}
			}
		})
	}
	wg.Wait()
}

// read gives leaves [from, to), nil for one that is missing with others behind it, and fewer when the rest of the log is missing.
func (a *auditor) read(from, to, size int64) ([][]byte, error) {
	leaves, err := a.src.Leaves(from, to)
	if err == nil && int64(len(leaves)) == to-from {
		return leaves, nil
	}
	if err != nil && !errors.Is(err, ledger.ErrAbsent) {
		return nil, fmt.Errorf("read leaves %d to %d: %w", from, to-1, err)
	}
	leaves = make([][]byte, 0, to-from)
	present := 0
	for i := from; i < to; i++ {
		leaf, err := a.one(i)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, leaf)
		if leaf != nil {
			present = len(leaves)
		}
	}
	if last, err := a.one(size - 1); err != nil {
		return nil, err
	} else if last != nil {
		return leaves, nil
	}
	return leaves[:present], nil
}

func (a *auditor) one(i int64) ([]byte, error) {
	leaf, err := a.src.Leaves(i, i+1)
	if err != nil && !errors.Is(err, ledger.ErrAbsent) {
		return nil, fmt.Errorf("read leaf %d: %w", i, err)
	}
	if err != nil || len(leaf) != 1 {
		return nil, nil
	}
	return leaf[0], nil
}

// tile takes the leaves of one tile, or of the rest of the log, into the tree and into the stories.
func (a *auditor) tile(first int64, records []record, size int64) error {
	stored, err := a.storedTile(first, size)
	if err != nil {
		return err
	}
	offset := int(first % ledger.TileWidth)
	for i := range records {
		r := &records[i]
		index := first + int64(i)
		if r.gone {
			a.report.problem(Missing, index, "", "there are leaves behind it")
			if stored != nil {
				r.hash = hashAt(stored, offset+i)
			} else {
				a.hole = true
			}
		}
		if stored != nil && r.hash != hashAt(stored, offset+i) {
			a.differs(&a.tree, index, r.hash, hashAt(stored, offset+i))
		}
		if err := a.push(r.hash, stored, offset+i); err != nil {
			return err
		}
		switch {
		case r.gone:
		case r.err != nil:
			a.report.problem(Encoding, index, "", "%v", r.err)
		default:
			a.stories.leaf(index, r.leaf)
		}
	}
	return nil
}
