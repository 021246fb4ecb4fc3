package tables

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/store"
)

// Published reads the log's published checkpoints and what witnesses put under them. Those that the log's key signed are for the auditor to hold
// against the tree; what is wrong with the others, and with what stands under them, the book says when it is closed.
func (b *Book) Published(ctx context.Context, v note.Verifier, witnesses []note.Verifier) (signed [][]byte, err error) {
	const page = 1000
	for below := int64(0); ; {
		rows, err := b.snap.Checkpoints(ctx, b.origin, below, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			key := fmt.Sprintf("%s %d", b.origin, row.Size)
			cp, err := ledger.OpenCheckpoint(row.Note, v)
			switch {
			case err != nil:
				b.say("checkpoints", key, "%v", err)
				continue
			case cp.Size != row.Size:
				b.say("checkpoints", key, "it was signed over %d leaves", cp.Size)
				continue
			}
			signed = append(signed, row.Note)
			if err := b.cosigned(ctx, key, row, witnesses); err != nil {
				return nil, err
			}
		}
		if len(rows) < page {
			return signed, nil
		}
		below = rows[page-1].Size
	}
}

// cosigned holds what stands under a checkpoint against the witnesses' keys.
func (b *Book) cosigned(ctx context.Context, key string, cp store.Checkpoint, witnesses []note.Verifier) error {
	rows, err := b.snap.Cosignatures(ctx, b.origin, cp.Size)
	if err != nil {
		return err
	}
	for _, row := range rows {
		at := slices.IndexFunc(witnesses, func(w note.Verifier) bool { return w.Name() == row.Witness })
		if at < 0 {
			b.strangers++
			continue
		}
		line := ledger.Cosignature{Witness: row.Witness, At: row.At, Line: row.Line}
		good := ledger.Cosignatures(ledger.Cosigned(cp.Note, []ledger.Cosignature{line}), witnesses[at])
		if len(good) != 1 || !good[0].At.Equal(row.At) || !bytes.Equal(good[0].Line, row.Line) {
			b.say("cosignatures", key+" "+row.Witness, "it is not what the witness put under this checkpoint, then")
		}
	}
	return nil
}

// finding is what was found before there was a report.
type finding struct{ table, key, detail string }

func (b *Book) say(table, key, format string, args ...any) {
	b.found = append(b.found, finding{table, key, fmt.Sprintf(format, args...)})
}

func (b *Book) sayAll(_ context.Context, r *audit.Report) error {
	for _, f := range b.found {
		r.Row(f.table, f.key, -1, "", "%s", f.detail)
	}
	if b.strangers > 0 {
		r.Warn("%d cosignatures are by witnesses whose keys are not configured, and were not checked", b.strangers)
	}
	return nil
}
