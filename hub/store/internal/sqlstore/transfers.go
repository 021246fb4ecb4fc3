package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const transferColumns = `id, sender, sender_system, message_id, body_digest, correlation_id, recipient, type, purpose, service,
	undertaking, flow, push, state, created_at, updated_at, expires_at, log, decision_leaf, release_leaf, mac`

func scanTransfer(row Row, t *store.Transfer) error {
	var push, created, updated, expires int64
	err := row.Scan(&t.ID, &t.Sender, &t.SenderSystem, &t.MessageID, &t.BodyDigest, &t.CorrelationID, &t.Recipient, &t.Type, &t.Purpose, &t.Service,
		&t.Undertaking, &t.Flow, &push, &t.State, &created, &updated, &expires, &t.Log, &t.DecisionLeaf, &t.ReleaseLeaf, &t.MAC)
	if err != nil {
		return err
	}
	t.Push = push == 1
	t.CreatedAt, t.UpdatedAt, t.ExpiresAt = instant(created), instant(updated), instant(expires)
	return nil
}

const insertTransfers = `INSERT INTO transfers (` + transferColumns + `) ROWS`

func transferRows(ts []store.Transfer) Columns {
	type row = store.Transfer
	return Columns{
		column(ts, func(t *row) string { return string(t.ID) }),
		column(ts, func(t *row) string { return string(t.Sender) }),
		column(ts, func(t *row) string { return string(t.SenderSystem) }),
		column(ts, func(t *row) string { return string(t.MessageID) }),
		column(ts, func(t *row) []byte { return blob(t.BodyDigest) }),
		column(ts, func(t *row) string { return t.CorrelationID }),
		column(ts, func(t *row) string { return string(t.Recipient) }),
		column(ts, func(t *row) string { return string(t.Type) }),
		column(ts, func(t *row) string { return string(t.Purpose) }),
		column(ts, func(t *row) string { return string(t.Service) }),
		column(ts, func(t *row) string { return t.Undertaking }),
		column(ts, func(t *row) string { return t.Flow }),
		column(ts, func(t *row) int64 { return bit(t.Push) }),
		column(ts, func(t *row) string { return string(t.State) }),
		column(ts, func(t *row) int64 { return micros(t.CreatedAt) }),
		column(ts, func(t *row) int64 { return micros(t.UpdatedAt) }),
		column(ts, func(t *row) int64 { return micros(t.ExpiresAt) }),
		column(ts, func(t *row) string { return t.Log }),
		column(ts, func(t *row) int64 { return t.DecisionLeaf }),
		column(ts, func(t *row) int64 { return t.ReleaseLeaf }),
		column(ts, func(t *row) []byte { return blob(t.MAC) }),
	}
}

const transfersByID = `SELECT ` + transferColumns + ` FROM transfers WHERE id IN (ROWS) ORDER BY id`

// Transfer reads one transfer; ErrNotFound when there is none.
func (r reads) Transfer(ctx context.Context, id transfer.TransferID) (store.Transfer, error) {
	t, err := one(ctx, r.q, Stmt{SQL: transfersByID, Rows: keys([]transfer.TransferID{id})}, scanTransfer)
	if err != nil {
		return store.Transfer{}, fmt.Errorf("read transfer %s: %w", id, err)
	}
	return t, nil
}

// Transfers reads transfers in id order; absent ids are left out.
func (r reads) Transfers(ctx context.Context, ids []transfer.TransferID) ([]store.Transfer, error) {
	return query(ctx, r.q, Stmt{SQL: transfersByID, Rows: keys(ids)}, scanTransfer)
}

const transfersByMessage = `SELECT ` + transferColumns + ` FROM transfers WHERE (sender, message_id) IN (ROWS)`

func messageRows(in []store.MessageKey) Columns {
	return Columns{
		column(in, func(k *store.MessageKey) string { return string(k.Sender) }),
		column(in, func(k *store.MessageKey) string { return string(k.MessageID) }),
	}
}

// The list of states is written out because an index over some of the rows is used only for a condition that spells it the same way.
const inbox = `SELECT ` + transferColumns + ` FROM transfers
	WHERE recipient = $1 AND id > $2 AND state IN ('queued', 'released') ORDER BY recipient, id LIMIT $3`

// Inbox is store.Store's.
func (r reads) Inbox(ctx context.Context, recipient transfer.PartnerID, after transfer.TransferID, limit int) ([]store.Transfer, error) {
	return query(ctx, r.q, Stmt{SQL: inbox, Args: []any{string(recipient), string(after), int64(limit)}}, scanTransfer)
}

const inState = `SELECT ` + transferColumns + ` FROM transfers
	WHERE state = $1 AND id > $2 AND (recipient = $3 OR sender = $3) ORDER BY state, id LIMIT $4`

// InState is store.Store's.
func (r reads) InState(ctx context.Context, partner transfer.PartnerID, state transfer.State, after transfer.TransferID, limit int) ([]store.Transfer, error) {
	return query(ctx, r.q, Stmt{SQL: inState, Args: []any{string(state), string(after), string(partner), int64(limit)}}, scanTransfer)
}

const expired = `SELECT ` + transferColumns + ` FROM transfers
	WHERE id IN (SELECT transfer_id FROM payloads WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) ORDER BY expires_at, id`

// Expired is store.Store's: the longest overdue first.
func (r reads) Expired(ctx context.Context, now time.Time, limit int) ([]store.Transfer, error) {
	return query(ctx, r.q, Stmt{SQL: expired, Args: []any{micros(now), int64(limit)}}, scanTransfer)
}

const updateTransfers = `WITH change (id, was, becomes, flow, release_leaf, at) AS (ROWS)
	UPDATE transfers AS t SET
		state = change.becomes,
		flow = CASE WHEN change.flow = '' THEN t.flow ELSE change.flow END,
		release_leaf = CASE WHEN change.release_leaf < 0 THEN t.release_leaf ELSE change.release_leaf END,
		updated_at = change.at
	FROM change WHERE t.id = change.id AND t.state = change.was`

// Update is store.Tx's. Changes of the same transfer are applied one after the other.
func (t *tx) Update(ctx context.Context, changes []store.Change) error {
	for batch := range runsOf(changes, func(c *store.Change) string { return string(c.ID) }) {
		err := t.live.keep(Stmt{SQL: updateTransfers, Exact: true, Rows: Columns{
			column(batch, func(c *store.Change) string { return string(c.ID) }),
			column(batch, func(c *store.Change) string { return string(c.From) }),
			column(batch, func(c *store.Change) string { return string(c.To) }),
			column(batch, func(c *store.Change) string { return c.Flow }),
			column(batch, func(c *store.Change) int64 { return c.ReleaseLeaf }),
			column(batch, func(c *store.Change) int64 { return micros(c.At) }),
		}})
		if err != nil {
			return fmt.Errorf("update %d transfers: %w", len(batch), err)
		}
	}
	return nil
}

// runsOf cuts changes into runs that change no row twice, because one statement changes a row once; each in the order of keys, in which
// everybody locks.
func runsOf[T any](changes []T, key func(*T) string) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(changes) > 0 {
			seen := make(map[string]bool, len(changes))
			n := 0
			for ; n < len(changes) && !seen[key(&changes[n])]; n++ {
				seen[key(&changes[n])] = true
			}
			run := slices.Clone(changes[:n])
			changes = changes[n:]
			slices.SortFunc(run, func(a, b T) int { return cmp.Compare(key(&a), key(&b)) })
			if !yield(run) {
				return
			}
		}
	}
}
