package sqlstore

import (
	"context"
	"fmt"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Insert is store.Tx's. All of a commit's new rows go in one round trip.
func (t *tx) Insert(ctx context.Context, rows *store.Insertions) error {
	err := t.live.keep(Stmt{SQL: insertSubjects, Rows: subjectRows(rows.Subjects)},
		Stmt{SQL: insertIdentifiers, Rows: identifierRows(rows.Identifiers)},
		Stmt{SQL: insertTransfers, Rows: transferRows(rows.Transfers)},
		Stmt{SQL: insertTransferSubjects, Rows: transferSubjectRows(rows.TransferSubjects)},
		Stmt{SQL: insertPayloads, Rows: payloadRows(rows.Payloads), Exact: true},
		Stmt{SQL: insertConsents, Rows: consentRows(rows.Consents)},
		Stmt{SQL: insertOutbox, Rows: outboxRows(rows.Outbox)},
		Stmt{SQL: upsertWork, Rows: workRows(rows.Work)},
		Stmt{SQL: insertRulings, Rows: rulingRows(rows.Rulings)},
		Stmt{SQL: insertRequests, Rows: requestRows(rows.Requests)},
		Stmt{SQL: insertEntries, Rows: entryRows(rows.Entries)},
		Stmt{SQL: insertActs, Rows: actRows(rows.AgreementActs)},
		Stmt{SQL: insertShapes, Rows: shapeRows(rows.Shapes)},
		Stmt{SQL: insertCases, Rows: caseRows(rows.Cases)},
		Stmt{SQL: insertNotices, Rows: noticeRows(rows.Notices)},
	)
	if err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	return nil
}

// A payload takes its expiry from its transfer, which must be there.
const insertPayloads = `WITH p (transfer_id, ciphertext, wrapped_key, nonce) AS (ROWS)
	INSERT INTO payloads (transfer_id, ciphertext, wrapped_key, nonce, expires_at)
	SELECT p.transfer_id, p.ciphertext, p.wrapped_key, p.nonce, t.expires_at FROM p CROSS JOIN transfers AS t WHERE t.id = p.transfer_id`

func payloadRows(in []store.Payload) Columns {
	return Columns{
		column(in, func(p *store.Payload) string { return string(p.Transfer) }),
		column(in, func(p *store.Payload) []byte { return blob(p.Sealed.Ciphertext) }),
		column(in, func(p *store.Payload) []byte { return blob(p.Sealed.WrappedKey) }),
		column(in, func(p *store.Payload) []byte { return p.Nonce[:] }),
	}
}

const payloadsOf = `SELECT transfer_id, ciphertext, wrapped_key, nonce FROM payloads WHERE transfer_id IN (ROWS) ORDER BY transfer_id`

func scanPayload(row Row, p *store.Payload) error {
	var nonce []byte
	err := row.Scan(&p.Transfer, &p.Sealed.Ciphertext, &p.Sealed.WrappedKey, &nonce)
	if err != nil {
		return err
	}
	p.Nonce, err = bytes32(nonce)
	return err
}

const deletePayloads = `DELETE FROM payloads WHERE transfer_id IN (ROWS)`

// DeletePayloads is store.Tx's. Deleting what has gone already is no error.
func (t *tx) DeletePayloads(ctx context.Context, ids []transfer.TransferID) error {
	return t.live.keep(Stmt{SQL: deletePayloads, Rows: keys(ids)})
}

const insertOutbox = `INSERT INTO outbox (transfer_id, recipient, due, attempt) ROWS`

func outboxRows(in []store.Outbox) Columns {
	return Columns{
		column(in, func(o *store.Outbox) string { return string(o.Transfer) }),
		column(in, func(o *store.Outbox) string { return string(o.Recipient) }),
		column(in, func(o *store.Outbox) int64 { return micros(o.Due) }),
		column(in, func(o *store.Outbox) int64 { return int64(o.Attempt) }),
	}
}

const outboxDue = `SELECT transfer_id, recipient, due, attempt FROM outbox WHERE due <= $1 ORDER BY due LIMIT $2`

// Due is store.Store's: the longest overdue first.
func (r reads) Due(ctx context.Context, now time.Time, limit int) ([]store.Outbox, error) {
	return query(ctx, r.q, Stmt{SQL: outboxDue, Args: []any{micros(now), int64(limit)}}, func(row Row, o *store.Outbox) error {
		var due int64
		err := row.Scan(&o.Transfer, &o.Recipient, &due, &o.Attempt)
		o.Due = instant(due)
		return err
	})
}

const outboxDone = `DELETE FROM outbox WHERE transfer_id IN (ROWS)`

// OutboxDone is store.Tx's. Forgetting twice is no error.
func (t *tx) OutboxDone(ctx context.Context, ids []transfer.TransferID) error {
	return t.live.keep(Stmt{SQL: outboxDone, Rows: keys(ids)})
}

const outboxDefer = `WITH o (transfer_id, recipient, due, attempt) AS (ROWS)
	UPDATE outbox SET due = o.due, attempt = CASE WHEN o.attempt > outbox.attempt THEN o.attempt ELSE outbox.attempt END FROM o WHERE outbox.transfer_id = o.transfer_id`

// OutboxDefer is store.Tx's. A row that was forgotten meanwhile stays forgotten, and attempts never become fewer.
func (t *tx) OutboxDefer(ctx context.Context, rows []store.Outbox) error {
	return t.live.keep(Stmt{SQL: outboxDefer, Rows: outboxRows(rows)})
}

const (
	forgetAssertions = `DELETE FROM assertions WHERE until < $1`
	spendAssertion   = `INSERT INTO assertions (digest, until) VALUES ($1, $2) ON CONFLICT DO NOTHING`
)

// SpendAssertion is store.Tx's.
func (t *tx) SpendAssertion(ctx context.Context, digest [32]byte, until, now time.Time) error {
	return t.live.keep(Stmt{SQL: forgetAssertions, Args: []any{micros(now)}},
		Stmt{SQL: spendAssertion, Args: []any{digest[:], micros(until)}, Exact: true})
}
