package sqlstore

import (
	"context"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const workColumns = `transfer_id, queue, sender, owner, deadline, log, leaf`

const upsertWork = `INSERT INTO work (` + workColumns + `) ROWS
	ON CONFLICT (transfer_id, queue) DO UPDATE SET owner = excluded.owner, deadline = excluded.deadline, log = excluded.log, leaf = excluded.leaf`

func workRows(in []store.Work) Columns {
	return Columns{
		column(in, func(w *store.Work) string { return string(w.Transfer) }),
		column(in, func(w *store.Work) string { return string(w.Queue) }),
		column(in, func(w *store.Work) string { return string(w.Sender) }),
		column(in, func(w *store.Work) string { return w.Owner }),
		column(in, func(w *store.Work) int64 { return micros(w.Deadline) }),
		column(in, func(w *store.Work) string { return w.Log }),
		column(in, func(w *store.Work) int64 { return w.Leaf }),
	}
}

func scanWork(row Row, w *store.Work) error {
	var deadline int64
	err := row.Scan(&w.Transfer, &w.Queue, &w.Sender, &w.Owner, &deadline, &w.Log, &w.Leaf)
	w.Deadline = instant(deadline)
	return err
}

const (
	workOfAll = `SELECT ` + workColumns + ` FROM work
	WHERE queue = $1 AND (deadline, transfer_id) > ($2, $3) AND ($4 = '' OR owner = $4) ORDER BY queue, deadline, transfer_id LIMIT $5`
	workOf = `SELECT ` + workColumns + ` FROM work
	WHERE queue = $1 AND (deadline, transfer_id) > ($2, $3) AND ($4 = '' OR owner = $4) AND sender = $6
	ORDER BY sender, queue, deadline, transfer_id LIMIT $5`
)

// Work is store.Store's.
func (r reads) Work(ctx context.Context, q store.WorkQuery) ([]store.Work, error) {
	from := int64(0)
	if !q.From.IsZero() {
		from = micros(q.From)
	}
	s := Stmt{SQL: workOfAll, Args: []any{string(q.Queue), from, string(q.After), q.Owner, int64(q.Limit)}}
	if q.Sender != "" {
		s = Stmt{SQL: workOf, Args: append(s.Args, string(q.Sender))}
	}
	return query(ctx, r.q, s, scanWork)
}

const (
	workDone     = `DELETE FROM work WHERE (transfer_id, queue) IN (ROWS)`
	refusalsOver = `DELETE FROM work WHERE queue = 'refusals' AND deadline < $1`
)

// WorkDone is store.Tx's.
func (t *tx) WorkDone(_ context.Context, done []store.WorkKey, now time.Time) error {
	return t.live.keep(Stmt{SQL: workDone, Rows: Columns{
		column(done, func(k *store.WorkKey) string { return string(k.Transfer) }),
		column(done, func(k *store.WorkKey) string { return string(k.Queue) }),
	}}, Stmt{SQL: refusalsOver, Args: []any{micros(now)}})
}

const rulingColumns = `id, transfer_id, at, body, log, leaf, mac`

const insertRulings = `INSERT INTO rulings (` + rulingColumns + `) ROWS`

func rulingRows(in []store.Ruling) Columns {
	return Columns{
		column(in, func(r *store.Ruling) []byte { return r.ID[:] }),
		column(in, func(r *store.Ruling) string { return string(r.Transfer) }),
		column(in, func(r *store.Ruling) int64 { return micros(r.At) }),
		column(in, func(r *store.Ruling) []byte { return blob(r.Body) }),
		column(in, func(r *store.Ruling) string { return r.Log }),
		column(in, func(r *store.Ruling) int64 { return r.Leaf }),
		column(in, func(r *store.Ruling) []byte { return blob(r.MAC) }),
	}
}

func scanRuling(row Row, r *store.Ruling) error {
	var id []byte
	var at int64
	err := row.Scan(&id, &r.Transfer, &at, &r.Body, &r.Log, &r.Leaf, &r.MAC)
	if err != nil {
		return err
	}
	r.At = instant(at)
	r.ID, err = bytes32(id)
	return err
}

const rulingsOf = `SELECT ` + rulingColumns + ` FROM rulings WHERE transfer_id IN (ROWS) ORDER BY transfer_id, at, id`

const requestColumns = `reference, partner, state, body, log, leaf, mac`

const insertRequests = `INSERT INTO requests (` + requestColumns + `) ROWS`

func requestRows(in []store.Request) Columns {
	return Columns{
		column(in, func(r *store.Request) string { return r.Reference }),
		column(in, func(r *store.Request) string { return string(r.Partner) }),
		column(in, func(r *store.Request) string { return r.State }),
		column(in, func(r *store.Request) []byte { return blob(r.Body) }),
		column(in, func(r *store.Request) string { return r.Log }),
		column(in, func(r *store.Request) int64 { return r.Leaf }),
		column(in, func(r *store.Request) []byte { return blob(r.MAC) }),
	}
}

func scanRequest(row Row, r *store.Request) error {
	return row.Scan(&r.Reference, &r.Partner, &r.State, &r.Body, &r.Log, &r.Leaf, &r.MAC)
}

const (
	requestsByReference = `SELECT ` + requestColumns + ` FROM requests WHERE reference IN (ROWS) ORDER BY reference`
	requestsAfter       = `SELECT ` + requestColumns + ` FROM requests WHERE reference > $1 AND ($3 = '' OR state = $3) ORDER BY reference LIMIT $2`
	requestsOf          = `SELECT ` + requestColumns + ` FROM requests
	WHERE partner = $4 AND reference > $1 AND ($3 = '' OR state = $3) ORDER BY partner, reference LIMIT $2`
)

// Requests is store.Store's.
func (r reads) Requests(ctx context.Context, partner transfer.PartnerID, state, after string, limit int) ([]store.Request, error) {
	s := Stmt{SQL: requestsAfter, Args: []any{after, int64(limit), state}}
	if partner != "" {
		s = Stmt{SQL: requestsOf, Args: append(s.Args, string(partner))}
	}
	return query(ctx, r.q, s, scanRequest)
}

const decideRequests = `WITH d (reference, state, body, log, leaf, mac) AS (ROWS)
	UPDATE requests SET state = d.state, body = d.body, log = d.log, leaf = d.leaf, mac = d.mac FROM d WHERE requests.reference = d.reference AND requests.state = 'open'`

// DecideRequests is store.Tx's.
func (t *tx) DecideRequests(_ context.Context, requests []store.Request) error {
	return t.live.keep(Stmt{SQL: decideRequests, Exact: true, Rows: Columns{
		column(requests, func(r *store.Request) string { return r.Reference }),
		column(requests, func(r *store.Request) string { return r.State }),
		column(requests, func(r *store.Request) []byte { return blob(r.Body) }),
		column(requests, func(r *store.Request) string { return r.Log }),
		column(requests, func(r *store.Request) int64 { return r.Leaf }),
		column(requests, func(r *store.Request) []byte { return blob(r.MAC) }),
	}})
}

const entryColumns = `id, digest, answer, log, leaf, mac`

const insertEntries = `INSERT INTO entries (` + entryColumns + `) ROWS`

func entryRows(in []store.Entry) Columns {
	return Columns{
		column(in, func(e *store.Entry) []byte { return e.ID[:] }),
		column(in, func(e *store.Entry) []byte { return blob(e.Digest) }),
		column(in, func(e *store.Entry) string { return e.Answer }),
		column(in, func(e *store.Entry) string { return e.Log }),
		column(in, func(e *store.Entry) int64 { return e.Leaf }),
		column(in, func(e *store.Entry) []byte { return blob(e.MAC) }),
	}
}

const entriesByID = `SELECT ` + entryColumns + ` FROM entries WHERE id IN (ROWS)`

func scanEntry(row Row, e *store.Entry) error {
	var id []byte
	err := row.Scan(&id, &e.Digest, &e.Answer, &e.Log, &e.Leaf, &e.MAC)
	if err != nil {
		return err
	}
	e.ID, err = bytes32(id)
	return err
}
