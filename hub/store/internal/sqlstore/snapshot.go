package sqlstore

import (
	"context"
	"fmt"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Snapshot is store.Store's.
func (s *Store) Snapshot(ctx context.Context, f func(store.Snapshot) error) error {
	return s.db.Snapshot(ctx, func(q Asker) error { return f(reads{q}) })
}

// borneBy is the condition on rows that name the leaf which bears them out.
const borneBy = ` WHERE leaf >= $1 AND leaf < $2 AND log = $3 ORDER BY leaf`

const leafRowsOf = `SELECT id, transfer_id, shape FROM leaves WHERE id >= ((SELECT id FROM logs WHERE origin = $3) << 40) + $1
	AND id < ((SELECT id FROM logs WHERE origin = $3) << 40) + $2 ORDER BY id`

// Borne is store.Snapshot's.
func (r reads) Borne(ctx context.Context, origin string, from, to int64) (*store.Borne, error) {
	var out store.Borne
	span := func(text string) Stmt { return Stmt{SQL: text, Args: []any{from, to, origin}} }
	err := queryAll(ctx, r.q,
		collect(span(leafRowsOf), func(row Row, l *store.LeafRow) error {
			err := row.Scan(&l.Index, &l.Transfer, &l.Shape)
			l.Index = leafIndex(l.Index)
			return err
		}, &out.Leaves),
		collect(span(`SELECT `+consentColumns+` FROM consents`+borneBy), scanConsent, &out.Consents),
		collect(span(`SELECT `+rulingColumns+` FROM rulings`+borneBy), scanRuling, &out.Rulings),
		collect(span(`SELECT `+requestColumns+` FROM requests`+borneBy), scanRequest, &out.Requests),
		collect(span(`SELECT `+entryColumns+` FROM entries`+borneBy), scanEntry, &out.Entries),
		collect(span(`SELECT `+actColumns+` FROM agreement_acts`+borneBy), scanAct, &out.Acts),
		collect(span(selectCases+borneBy), scanCase, &out.Cases),
		collect(span(selectNotices+borneBy), scanNotice, &out.Notices),
		collect(span(`SELECT `+workColumns+` FROM work`+borneBy), scanWork, &out.Work),
	)
	if err != nil {
		return nil, fmt.Errorf("read the rows of leaves %d to %d: %w", from, to, err)
	}
	return &out, nil
}

// Places is store.Snapshot's.
func (r reads) Places(ctx context.Context, ids []transfer.TransferID) ([]store.TransferSubject, error) {
	return query(ctx, r.q, Stmt{SQL: transferSubjects, Rows: keys(ids)}, scanTransferSubject)
}

const (
	subjectsAfter      = `SELECT id, salt, mac FROM subjects WHERE id > $1 ORDER BY id LIMIT $2`
	identifiersBetween = `SELECT hash, subject_id FROM identifiers WHERE subject_id > $1 AND subject_id <= $2 ORDER BY subject_id`
	identifiersAfter   = `SELECT hash, subject_id FROM identifiers WHERE subject_id > $1 ORDER BY subject_id`
)

// EachPerson is store.Snapshot's.
func (r reads) EachPerson(ctx context.Context, visit func(store.Subject, []store.Identifier) error) error {
	after := ""
	for {
		people, err := query(ctx, r.q, Stmt{SQL: subjectsAfter, Args: []any{after, int64(eachPage)}}, scanSubject)
		if err != nil {
			return fmt.Errorf("read people: %w", err)
		}
		last := len(people) < eachPage
		ask := Stmt{SQL: identifiersAfter, Args: []any{after}}
		if !last {
			after = string(people[eachPage-1].ID)
			ask = Stmt{SQL: identifiersBetween, Args: append(ask.Args, after)}
		}
		known, err := query(ctx, r.q, ask, scanIdentifier)
		if err != nil {
			return fmt.Errorf("read identifiers: %w", err)
		}
		if err := join(people, known, visit); err != nil || last {
			return err
		}
	}
}

// join visits people with their identifiers, both in the order of the people's ids.
func join(people []store.Subject, known []store.Identifier, visit func(store.Subject, []store.Identifier) error) error {
	for len(people) > 0 || len(known) > 0 {
		var who store.Subject
		if len(people) > 0 && (len(known) == 0 || people[0].ID <= known[0].Subject) {
			who, people = people[0], people[1:]
		} else {
			who.ID = known[0].Subject
		}
		n := 0
		for n < len(known) && known[n].Subject == who.ID {
			n++
		}
		if err := visit(who, known[:n]); err != nil {
			return err
		}
		known = known[n:]
	}
	return nil
}

const payloadsAfter = `SELECT transfer_id, ciphertext, wrapped_key, nonce FROM payloads WHERE transfer_id > $1 ORDER BY transfer_id LIMIT $2`

// EachPayload is store.Snapshot's.
func (r reads) EachPayload(ctx context.Context, visit func(store.Payload) error) error {
	const page = 100 // each may be as long as a message
	after := ""
	for {
		found, err := query(ctx, r.q, Stmt{SQL: payloadsAfter, Args: []any{after, int64(page)}}, scanPayload)
		if err != nil {
			return fmt.Errorf("read payloads: %w", err)
		}
		for _, p := range found {
			if err := visit(p); err != nil {
				return err
			}
		}
		if len(found) < page {
			return nil
		}
		after = string(found[page-1].Transfer)
	}
}

const logHeads = `SELECT origin, size, root, checkpoint FROM logs ORDER BY origin`

// Logs is store.Snapshot's.
func (r reads) Logs(ctx context.Context) ([]store.LogHead, error) {
	return query(ctx, r.q, Stmt{SQL: logHeads}, func(row Row, h *store.LogHead) error {
		return row.Scan(&h.Origin, &h.Size, &h.Root, &h.Checkpoint)
	})
}

// strays are the questions for rows that belong to nothing. Each gives keys.
var strays = []struct{ table, detail, sql string }{
	{"transfers", "it says that its leaves are in a log which is not there", ofNoLog("transfers", "id")},
	{"consents", "it names a leaf of a log which is not there", ofNoLog("consents", "id")},
	{"rulings", "it names a leaf of a log which is not there", ofNoLog("rulings", "transfer_id")},
	{"requests", "it names a leaf of a log which is not there", ofNoLog("requests", "reference")},
	{"entries", "it names a leaf of a log which is not there", ofNoLog("entries", "answer")},
	{"agreement_acts", "it names a leaf of a log which is not there", ofNoLog("agreement_acts", "agreement")},
	{"cases", "it names a leaf of a log which is not there", ofNoLog("cases", "reference")},
	{"notices", "it names a leaf of a log which is not there", ofNoLog("notices", "id")},
	{"work", "it names a leaf of a log which is not there", ofNoLog("work", "transfer_id")},
	{"payloads", "there is no such transfer", `SELECT transfer_id FROM payloads AS p
	WHERE NOT EXISTS (SELECT 1 FROM transfers WHERE id = p.transfer_id) LIMIT 20`},
	{"payloads", "it does not go when its transfer expires", `SELECT transfer_id FROM payloads AS p
	WHERE EXISTS (SELECT 1 FROM transfers WHERE id = p.transfer_id AND transfers.expires_at <> p.expires_at) LIMIT 20`},
	{"transfer_subjects", "there is no such transfer", `SELECT transfer_id FROM transfer_subjects AS p
	WHERE NOT EXISTS (SELECT 1 FROM transfers WHERE id = p.transfer_id) LIMIT 20`},
	{"outbox", "no transfer of this id waits to be sent to this recipient", `SELECT transfer_id FROM outbox AS o
	WHERE NOT EXISTS (SELECT 1 FROM transfers AS t WHERE t.id = o.transfer_id AND t.recipient = o.recipient AND t.state IN ('queued', 'released')) LIMIT 20`},
	{"outbox", "the transfer is to be pushed and has no row, so it will not be tried again", `SELECT id FROM transfers AS t
	WHERE t.state IN ('queued', 'released') AND t.push = 1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE transfer_id = t.id) LIMIT 20`},
	{"leaves", "it is in no log", `SELECT CAST(id AS TEXT) FROM leaves WHERE id < coalesce((SELECT min(id) << 40 FROM logs), 0) LIMIT 20`},
	{"leaves", "it is beyond the end of its log, or in no log", `SELECT CAST(l.id AS TEXT) FROM (
		SELECT (g.id << 40) + g.size AS past, coalesce((SELECT min(n.id) FROM logs AS n WHERE n.id > g.id), 8388607) << 40 AS next FROM logs AS g
	) AS gap CROSS JOIN leaves AS l WHERE l.id >= gap.past AND l.id < gap.next LIMIT 20`},
	{"leaves", "there is no log", `SELECT CAST(id AS TEXT) FROM leaves WHERE id >= 0 AND NOT EXISTS (SELECT 1 FROM logs) LIMIT 20`},
	{"tiles", "it is beyond the end of its log, or in no log", `SELECT CAST(t.log AS TEXT) FROM tiles AS t
	WHERE NOT EXISTS (SELECT 1 FROM logs AS g WHERE g.id = t.log AND t.level >= 0 AND t.level < 5 AND t.idx >= 0 AND t.idx < g.size >> CAST(8 * (t.level + 1) AS INT)) LIMIT 20`},
	{"checkpoints", "it is of a log which is not there", `SELECT CAST(c.log AS TEXT) FROM checkpoints AS c
	WHERE NOT EXISTS (SELECT 1 FROM logs WHERE id = c.log) LIMIT 20`},
	{"cosignatures", "no checkpoint of this size was published", `SELECT c.witness FROM cosignatures AS c
	WHERE NOT EXISTS (SELECT 1 FROM checkpoints AS p WHERE p.log = c.log AND p.size = c.size) LIMIT 20`},
	{"shapes", "its first leaf is not there", `SELECT CAST(s.id AS TEXT) FROM shapes AS s
	WHERE NOT EXISTS (SELECT 1 FROM leaves WHERE id = s.first_leaf) LIMIT 20`},
}

func ofNoLog(table, key string) string {
	return fmt.Sprintf(`SELECT %[2]s FROM %[1]s AS r WHERE NOT EXISTS (SELECT 1 FROM logs WHERE origin = r.log) LIMIT 20`, table, key)
}

// Strays is store.Snapshot's.
func (r reads) Strays(ctx context.Context) ([]store.Stray, error) {
	var out []store.Stray
	for _, ask := range strays {
		found, err := query(ctx, r.q, Stmt{SQL: ask.sql}, func(row Row, s *store.Stray) error {
			s.Table, s.Detail = ask.table, ask.detail
			return row.Scan(&s.Key)
		})
		if err != nil {
			return nil, fmt.Errorf("look for strays among %s: %w", ask.table, err)
		}
		out = append(out, found...)
	}
	return out, nil
}
