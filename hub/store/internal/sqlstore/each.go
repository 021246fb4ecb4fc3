package sqlstore

import (
	"context"
	"fmt"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const (
	eachTransfer = `SELECT ` + transferColumns + `, CASE WHEN EXISTS (SELECT 1 FROM payloads WHERE transfer_id = id) THEN 1 ELSE 0 END
	FROM transfers WHERE log = $1 AND id > $2 ORDER BY id LIMIT $3`
	eachPage = 1000
)

// EachTransfer is store.Store's.
func (r reads) EachTransfer(ctx context.Context, origin string, visit func(t store.Transfer, payload bool) error) error {
	type row struct {
		t       store.Transfer
		payload int64
	}
	after := transfer.TransferID("")
	for {
		page, err := query(ctx, r.q, Stmt{SQL: eachTransfer, Args: []any{origin, string(after), int64(eachPage)}}, func(in Row, out *row) error {
			return scanTransfer(plus{in, &out.payload}, &out.t)
		})
		if err != nil {
			return fmt.Errorf("read transfers: %w", err)
		}
		for _, p := range page {
			if err := visit(p.t, p.payload == 1); err != nil {
				return err
			}
		}
		if len(page) < eachPage {
			return nil
		}
		after = page[len(page)-1].t.ID
	}
}

// plus is a row with one more column than a scan knows of.
type plus struct {
	Row
	last *int64
}

func (p plus) Scan(dest ...any) error { return p.Row.Scan(append(dest, p.last)...) }
