package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"referralhub/hub/store"
)

const (
	caseColumns      = `reference, type, partner, subject_id, state, opened, due, closed, version, body, log, leaf, mac`
	insertCases      = `INSERT INTO cases (` + caseColumns + `) ROWS`
	selectCases      = `SELECT ` + caseColumns + ` FROM cases`
	casesByReference = selectCases + ` WHERE reference IN (ROWS) ORDER BY reference`
	updateCases      = `WITH c (` + caseColumns + `) AS (ROWS)
	UPDATE cases SET subject_id = c.subject_id, state = c.state, due = c.due, closed = c.closed, version = c.version, body = c.body,
	log = c.log, leaf = c.leaf, mac = c.mac
	FROM c WHERE cases.reference = c.reference AND cases.version = c.version - 1`
)

func caseRows(in []store.Case) Columns {
	return Columns{
		column(in, func(c *store.Case) string { return c.Reference }),
		column(in, func(c *store.Case) string { return c.Type }),
		column(in, func(c *store.Case) string { return string(c.Partner) }),
		column(in, func(c *store.Case) string { return string(c.Subject) }),
		column(in, func(c *store.Case) string { return c.State }),
		column(in, func(c *store.Case) int64 { return moment(c.Opened) }),
		column(in, func(c *store.Case) int64 { return moment(c.Due) }),
		column(in, func(c *store.Case) int64 { return moment(c.Closed) }),
		column(in, func(c *store.Case) int64 { return c.Version }),
		column(in, func(c *store.Case) []byte { return blob(c.Body) }),
		column(in, func(c *store.Case) string { return c.Log }),
		column(in, func(c *store.Case) int64 { return c.Leaf }),
		column(in, func(c *store.Case) []byte { return blob(c.MAC) }),
	}
}

func scanCase(row Row, c *store.Case) error {
	var opened, due, closed int64
	err := row.Scan(&c.Reference, &c.Type, &c.Partner, &c.Subject, &c.State, &opened, &due, &closed, &c.Version, &c.Body, &c.Log, &c.Leaf, &c.MAC)
	c.Opened, c.Due, c.Closed = whenever(opened), whenever(due), whenever(closed)
	return err
}

// UpdateCases is store.Tx's. Versions of the same case are put in one after the other.
func (t *tx) UpdateCases(_ context.Context, cases []store.Case) error {
	for run := range runsOf(cases, func(c *store.Case) string { return c.Reference }) {
		if err := t.live.keep(Stmt{SQL: updateCases, Exact: true, Rows: caseRows(run)}); err != nil {
			return fmt.Errorf("update %d cases: %w", len(run), err)
		}
	}
	return nil
}

// Cases is store.Store's.
func (r reads) Cases(ctx context.Context, q store.CaseQuery) ([]store.Case, error) {
	l := listing{key: "reference"}
	l.is("reference", q.Reference)
	l.is("partner", string(q.Partner))
	l.is("type", q.Type)
	l.is("state", q.State)
	l.is("subject_id", string(q.Subject))
	if !q.ClosedBefore.IsZero() {
		l.add("closed > 0 AND closed < ?", micros(q.ClosedBefore))
	}
	return query(ctx, r.q, l.stmt(selectCases, q.DueBefore, q.After, q.Limit), scanCase)
}

const (
	deleteNoticesOf = `DELETE FROM notices WHERE case_reference IN (ROWS)`
	deleteCases     = `DELETE FROM cases WHERE reference IN (ROWS)`
	deleteRequests  = `DELETE FROM requests WHERE reference IN (ROWS)`
)

// DeleteCases is store.Tx's.
func (t *tx) DeleteCases(_ context.Context, references []string) error {
	return t.live.keep(Stmt{SQL: deleteNoticesOf, Rows: keys(references)}, Stmt{SQL: deleteCases, Rows: keys(references)})
}

// DeleteRequests is store.Tx's.
func (t *tx) DeleteRequests(_ context.Context, references []string) error {
	return t.live.keep(Stmt{SQL: deleteRequests, Rows: keys(references)})
}

const (
	noticeColumns = `id, case_reference, sender, recipient, state, due, version, body, log, leaf, mac`
	insertNotices = `INSERT INTO notices (` + noticeColumns + `) ROWS`
	selectNotices = `SELECT ` + noticeColumns + ` FROM notices`
	noticesByID   = selectNotices + ` WHERE id IN (ROWS) ORDER BY id`
	noticesOf     = selectNotices + ` WHERE case_reference IN (ROWS) ORDER BY case_reference, id`
	updateNotices = `WITH n (` + noticeColumns + `) AS (ROWS)
	UPDATE notices SET state = n.state, due = n.due, version = n.version, body = n.body, log = n.log, leaf = n.leaf, mac = n.mac
	FROM n WHERE notices.id = n.id AND notices.version = n.version - 1`
)

func noticeRows(in []store.Notice) Columns {
	return Columns{
		column(in, func(n *store.Notice) string { return n.ID }),
		column(in, func(n *store.Notice) string { return n.Case }),
		column(in, func(n *store.Notice) string { return string(n.Sender) }),
		column(in, func(n *store.Notice) string { return string(n.Recipient) }),
		column(in, func(n *store.Notice) string { return n.State }),
		column(in, func(n *store.Notice) int64 { return moment(n.Due) }),
		column(in, func(n *store.Notice) int64 { return n.Version }),
		column(in, func(n *store.Notice) []byte { return blob(n.Body) }),
		column(in, func(n *store.Notice) string { return n.Log }),
		column(in, func(n *store.Notice) int64 { return n.Leaf }),
		column(in, func(n *store.Notice) []byte { return blob(n.MAC) }),
	}
}

func scanNotice(row Row, n *store.Notice) error {
	var due int64
	err := row.Scan(&n.ID, &n.Case, &n.Sender, &n.Recipient, &n.State, &due, &n.Version, &n.Body, &n.Log, &n.Leaf, &n.MAC)
	n.Due = whenever(due)
	return err
}

// UpdateNotices is store.Tx's. Versions of the same notice are put in one after the other.
func (t *tx) UpdateNotices(_ context.Context, notices []store.Notice) error {
	for run := range runsOf(notices, func(n *store.Notice) string { return n.ID }) {
		if err := t.live.keep(Stmt{SQL: updateNotices, Exact: true, Rows: noticeRows(run)}); err != nil {
			return fmt.Errorf("update %d notices: %w", len(run), err)
		}
	}
	return nil
}

// Notices is store.Store's.
func (r reads) Notices(ctx context.Context, q store.NoticeQuery) ([]store.Notice, error) {
	l := listing{key: "id"}
	l.is("id", q.ID)
	l.is("sender", string(q.Sender))
	l.is("recipient", string(q.Recipient))
	l.is("case_reference", q.Case)
	l.is("state", q.State)
	return query(ctx, r.q, l.stmt(selectNotices, q.DueBefore, q.After, q.Limit), scanNotice)
}

// listing is a page of a table in the order of its key. Its text holds the conditions that were asked for and no others, so that each
// finds its index; there are as many texts as ways to ask.
type listing struct {
	key   string
	where []string
	args  []any
}

func (l *listing) add(condition string, arg any) {
	l.args = append(l.args, arg)
	l.where = append(l.where, strings.Replace(condition, "?", fmt.Sprintf("$%d", len(l.args)), 1))
}

// is asks for a value, unless it is empty.
func (l *listing) is(column, value string) {
	if value != "" {
		l.add(column+" = ?", value)
	}
}

func (l *listing) stmt(from string, dueBefore time.Time, after string, limit int) Stmt {
	key := l.key
	if !dueBefore.IsZero() {
		l.add("due > 0 AND due < ?", micros(dueBefore))
		key += " || ''" // which no index knows, so that the few that are due are found first and sorted then
	}
	l.add(key+" > ?", after)
	l.args = append(l.args, int64(limit))
	return Stmt{SQL: fmt.Sprintf("%s WHERE %s ORDER BY %s LIMIT $%d", from, strings.Join(l.where, " AND "), key, len(l.args)), Args: l.args}
}
