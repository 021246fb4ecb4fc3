package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"referralhub/contracts"
	consents "referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/server"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

// unseen are the columns that can be changed without anybody knowing afterwards, and why that is so. The package comment of hub/tables says more.
var unseen = map[string]string{
	"assertions.digest": "it lives for minutes", "assertions.until": "it lives for minutes",
	"outbox.due": "when something is tried next leaves no trace", "outbox.attempt": "how often something was tried leaves none",
	"checkpoints.at": "when a checkpoint was published is the hub's word",

	"assertions row": "it lives for minutes", "outbox row": "it goes when the recipient has been told, and who is not told still finds the transfer in the inbox",
	"checkpoints row": "one that no witness has seen can be taken back", "cosignatures row": "what a witness did not put there is not missed",
}

// A hub in which everything has happened is changed behind its back, each column of each table, and each row deleted: `hub verify` says that
// something is wrong, and in which table. The tables are those of the schema, so that a new one cannot be forgotten.
func TestEveryKindOfRowIsHeldAgainstTheLog(t *testing.T) {
	b := busy(t)
	db := b.edit()
	columns := columnsOf(t, db)
	db.Close()
	for table, names := range columns {
		if table == "migrations" {
			continue // the hub refuses a schema that is not its own: store tests
		}
		for _, column := range names {
			if unseen[table+"."+column.name] != "" {
				continue
			}
			b.tampered(table, table+"."+column.name+" was changed", fmt.Sprintf(`UPDATE %s SET %s = %s WHERE %s`, table, column.name, column.other(), oneOf(table)))
		}
		if unseen[table+" row"] == "" {
			b.tampered(table, "a row of "+table+" was deleted", `DELETE FROM `+table+` WHERE `+oneOf(table))
		}
	}
	for _, c := range []struct{ table, what, sql string }{
		{"transfers", "somebody's message was put in", `INSERT INTO transfers SELECT 'another', sender, sender_system, 'another', body_digest, correlation_id, recipient, type,
			purpose, service, undertaking, flow, push, state, created_at, updated_at, expires_at, log, decision_leaf, release_leaf, mac FROM transfers LIMIT 1`},
		{"transfer_subjects", "somebody has another place in a transfer", `UPDATE transfer_subjects SET position = position + 100 WHERE ` + oneOf("transfer_subjects")},
		{"transfer_subjects", "somebody else is in a transfer", `UPDATE transfer_subjects SET subject_id =
			(SELECT o.subject_id FROM transfer_subjects AS o WHERE o.subject_id <> transfer_subjects.subject_id LIMIT 1) WHERE ` + oneOf("transfer_subjects")},
		{"transfer_subjects", "a person was put into a transfer", `INSERT INTO transfer_subjects SELECT transfer_id, 'household', 7, subject_id FROM transfer_subjects LIMIT 1`},
		{"transfer_subjects", "a person was put into no transfer", `INSERT INTO transfer_subjects SELECT 'another', 'carer', 0, subject_id FROM transfer_subjects LIMIT 1`},
		{"subjects", "somebody is known by one number more", `INSERT INTO identifiers SELECT x'` + strings.Repeat("33", 32) + `', subject_id FROM identifiers LIMIT 1`},
		{"identifiers", "a number is of nobody", `INSERT INTO identifiers VALUES (x'` + strings.Repeat("11", 32) + `', 'nobody')`},
		{"subjects", "two people have each other's numbers", `UPDATE identifiers SET subject_id = (SELECT max(id) FROM subjects) WHERE subject_id = (SELECT min(subject_id) FROM identifiers)`},
		{"subjects", "a person was made up", `INSERT INTO subjects SELECT 'another', salt, mac FROM subjects LIMIT 1`},
		{"subjects", "a person who was told of by telephone is gone", `DELETE FROM subjects WHERE id IN (SELECT id FROM subjects)`},
		{"consents", "a withdrawal became a consent", `UPDATE consents SET body = CAST(replace(body, 'withdrawn', 'given') AS BLOB) WHERE instr(body, CAST('withdrawn' AS BLOB))`},
		{"consents", "a consent was made up", `INSERT INTO consents SELECT 'another', subject_id, recorded_by, at, body, log, leaf, mac FROM consents LIMIT 1`},
		{"consents", "a consent names a leaf that is not there", `INSERT INTO consents SELECT 'another', subject_id, recorded_by, at, body, log, 1000000, mac FROM consents LIMIT 1`},
		{"rulings", "a ruling was made up", `INSERT INTO rulings SELECT x'` + strings.Repeat("22", 32) + `', transfer_id, at, body, log, leaf, mac FROM rulings LIMIT 1`},
		{"requests", "a request was made up", `INSERT INTO requests SELECT 'another', partner, state, body, log, leaf, mac FROM requests LIMIT 1`},
		{"entries", "an entry was made up", `INSERT INTO entries SELECT x'` + strings.Repeat("22", 32) + `', digest, answer, log, leaf, mac FROM entries LIMIT 1`},
		{"agreement_acts", "an act was made up", `INSERT INTO agreement_acts SELECT 99, agreement, version, body, log, leaf, mac FROM agreement_acts LIMIT 1`},
		{"cases", "a case was made up", `INSERT INTO cases SELECT 'another', type, partner, subject_id, state, opened, due, closed, version, body, log, leaf, mac FROM cases LIMIT 1`},
		{"notices", "a notice was made up", `INSERT INTO notices SELECT 'another', case_reference, sender, recipient, state, due, version, body, log, leaf, mac FROM notices LIMIT 1`},
		{"notices", "a notice names a leaf that is not there", `UPDATE notices SET leaf = 1000000`},
		{"work", "something done was queued again", `INSERT INTO work SELECT id, 'holds', sender, 'dpl', 0, log, decision_leaf FROM transfers WHERE state NOT IN ('queued', 'held', 'released') LIMIT 1`},
		{"outbox", "something to be pushed will not be tried again", `UPDATE transfers SET push = 1 WHERE state = 'queued' AND id NOT IN (SELECT transfer_id FROM outbox)`},
		{"outbox", "something received is to be sent again", `INSERT INTO outbox SELECT id, recipient, 0, 0 FROM transfers WHERE state NOT IN ('queued', 'held', 'released') LIMIT 1`},
		{"outbox", "something is to be sent to somebody else", `INSERT INTO outbox SELECT id, 'pohwer', 0, 0 FROM transfers WHERE state = 'queued' AND id NOT IN (SELECT transfer_id FROM outbox) LIMIT 1`},
		{"payloads", "two payloads changed places", `UPDATE payloads SET ciphertext = (SELECT ciphertext FROM payloads AS o WHERE o.transfer_id <> payloads.transfer_id LIMIT 1) WHERE ` + oneOf("payloads")},
		{"payloads", "a payload is of nothing", `INSERT INTO payloads SELECT 'another', ciphertext, wrapped_key, nonce, expires_at FROM payloads LIMIT 1`},
		{"leaves", "a leaf is beyond the end", `INSERT INTO leaves SELECT id + 1000, transfer_id, shape, body FROM leaves LIMIT 1`},
		{"leaves", "a leaf is of no log", `INSERT INTO leaves SELECT 9 << 40, transfer_id, shape, body FROM leaves LIMIT 1`},
		{"tiles", "a tile is beyond the end", `INSERT INTO tiles SELECT log, level, idx + 7, hashes FROM tiles LIMIT 1`},
		{"shapes", "a shape says what another says", `UPDATE shapes SET body = (SELECT body FROM shapes AS o WHERE o.id <> shapes.id LIMIT 1) WHERE ` + oneOf("shapes")},
		{"shapes", "a shape was made up", `INSERT INTO shapes SELECT 1, body, first_leaf FROM shapes LIMIT 1`},
		{"logs", "a log was made up", `INSERT INTO logs SELECT 7, 'another.example/log', 0, root, checkpoint FROM logs LIMIT 1`},
		{"checkpoints", "a checkpoint was made up", `INSERT INTO checkpoints SELECT log, size + 1, at, note FROM checkpoints LIMIT 1`},
		{"cosignatures", "a checkpoint with a cosignature was taken back", `DELETE FROM checkpoints WHERE size IN (SELECT size FROM cosignatures)`},
		{"cosignatures", "a cosignature was moved", `UPDATE cosignatures SET size = (SELECT min(size) FROM checkpoints WHERE size <> cosignatures.size)`},
	} {
		b.tampered(c.table, c.what, c.sql)
	}
	// With the hub's own mark on it, because the hub wrote it so once.
	b.tampered("requests", "a request that was refused is open again", `UPDATE requests SET state = ?, body = ?, log = ?, leaf = ?, mac = ? WHERE reference = ?`, b.open...)
}

// What is wrong with the log itself is told apart, and where.
func TestFaultsOfTheLogAreToldApart(t *testing.T) {
	b := busy(t)
	for _, c := range []struct {
		class audit.Class
		where int64
		sql   string
	}{
		{audit.Truncated, b.size - 1, `DELETE FROM leaves WHERE id = (SELECT max(id) FROM leaves)`},
		{audit.Missing, 9, `DELETE FROM leaves WHERE id & 1099511627775 = 9`},
		{audit.Edited, 9, `UPDATE leaves SET body = CAST(replace(body, 'e', 'f') AS BLOB) WHERE id & 1099511627775 = 9`},
		{audit.Reordered, 9, `CREATE TEMP TABLE two AS SELECT id, body FROM leaves WHERE id & 1099511627775 IN (9, 10);
			UPDATE leaves SET body = (SELECT two.body FROM two WHERE two.id <> leaves.id) WHERE id IN (SELECT id FROM two)`},
		{audit.Tile, 0, `UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND idx = 0`},
		{audit.Signature, -1, `UPDATE logs SET checkpoint = CAST(replace(checkpoint, '— ', '— x') AS BLOB)`},
	} {
		found := b.after(c.sql)
		if !slices.ContainsFunc(found, func(p audit.Problem) bool {
			return p.Class == c.class && (p.Index == c.where || c.class == audit.Signature)
		}) {
			t.Errorf("%s: it says %v, want %s at leaf %d", c.sql, found, c.class, c.where)
		}
	}
}

// Where the hub's keys are not, what the leaves say is still held against the rows, and it is said what was left out.
func TestRowsAreHeldAgainstTheirLeavesWithoutTheKeys(t *testing.T) {
	b := busy(t)
	for _, name := range []string{"payload.json", "payload-identifiers.json"} {
		b.must(os.Remove(filepath.Join(b.cfg.Data, "keys", name)))
	}
	st := b.opened()
	report, err := server.Verify(t.Context(), b.cfg, st)
	b.must(err)
	if len(report.Problems) > 0 || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0].Detail, "without the hub's keys") {
		t.Errorf("it says %v, and notes %v", report.Problems, report.Warnings)
	}
	b.must(st.Close())
	b.tampered("consents", "somebody else recorded it", `UPDATE consents SET recorded_by = 'pohwer' WHERE recorded_by <> 'pohwer'`)
	b.tampered("consents", "a withdrawal became a consent", `UPDATE consents SET body = CAST(replace(body, 'withdrawn', 'given') AS BLOB) WHERE instr(body, CAST('withdrawn' AS BLOB))`)
	b.tampered("rulings", "another person ruled", `UPDATE rulings SET body = CAST(replace(body, 'dpl-1', 'dpl-2') AS BLOB)`)
	b.tampered("agreement_acts", "another party acted", `UPDATE agreement_acts SET body = CAST(replace(body, 'age-uk', 'age-us') AS BLOB)`)
	b.tampered("requests", "more was granted", `UPDATE requests SET state = 'granted' WHERE state = 'refused'`)
	if _, err := os.Stat(filepath.Join(b.cfg.Data, "keys", "payload.json")); !os.IsNotExist(err) {
		t.Errorf("the audit made keys: %v", err)
	}
}

// The same is found on PostgreSQL: all of these were done at once.
func TestRowsOnPostgreSQLAreHeldAgainstTheLog(t *testing.T) {
	c := newCounty(t, storetest.Postgres(t))
	describe(t).tellStories(c)
	c.stop()
	c.audited()
	conn, err := pgx.Connect(t.Context(), c.cfg.Database)
	c.must(err)
	defer conn.Close(context.Background())
	changes := map[string]string{
		"consents":          `DELETE FROM consents WHERE id = (SELECT max(id) FROM consents)`,
		"transfers":         `UPDATE transfers SET recipient = 'pohwer' WHERE id = (SELECT max(id) FROM transfers)`,
		"transfer_subjects": `DELETE FROM transfer_subjects WHERE transfer_id = (SELECT min(transfer_id) FROM transfer_subjects) AND role = 'carer'`,
		"subjects":          `DELETE FROM identifiers WHERE hash = (SELECT hash FROM identifiers ORDER BY hash LIMIT 1)`,
		"cases":             `UPDATE cases SET state = 'closed', version = version + 1 WHERE reference = (SELECT max(reference) FROM cases)`,
		"payloads":          `UPDATE payloads SET nonce = wrapped_key::bytea WHERE false OR transfer_id = (SELECT max(transfer_id) FROM payloads)`,
		"leaves":            `UPDATE leaves SET shape = 1 WHERE id = (SELECT max(id) FROM leaves)`,
	}
	for table, change := range changes {
		if table == "payloads" {
			change = strings.Replace(change, "wrapped_key::bytea", "substring(ciphertext FROM 1 FOR 32)", 1)
		}
		tag, err := conn.Exec(t.Context(), change)
		if c.must(err); tag.RowsAffected() == 0 {
			t.Errorf("nothing was changed: %s", change)
		}
	}
	report, err := server.Verify(t.Context(), c.cfg, c.opened())
	c.must(err)
	for table := range changes {
		if !slices.ContainsFunc(report.Problems, func(p audit.Problem) bool { return strings.Contains(p.String(), table) }) {
			t.Errorf("nothing is said of %s: %v", table, report.Problems)
		}
	}
}

// busyHub is a county in which everything has happened, at rest in a file that is put back after each change.
type busyHub struct {
	*county
	file string
	was  []byte
	size int64 // of the log
	open []any // the row of a request as it was before it was refused: state, body, log, leaf, mac, reference
}

func busy(t *testing.T) *busyHub {
	t.Helper()
	d := describe(t)
	kent := aWitness(t, "kent.example/witness", 2)
	c := newCounty(t, "", func(cfg *server.Config) {
		cfg.Checkpoints.Every, cfg.Witnesses = 20*time.Millisecond, []server.Witness{{Key: kent.public}}
	})
	d.bearWitness(c, kent, d.tellStories(c))
	c.send(carersInHerts, c.example("adult-carer-hertswise").with("waits", whose("9990000050")), transfer.PermitReduced)
	c.send(carersInHerts, c.example("adult-carer-hertswise").with("waits.too", whose("9990000069")), transfer.PermitReduced)
	c.send(carersInHerts, c.example("adult-carer-hertswise").with("held", whose("9990000077"), perpetrator), transfer.Hold)
	c.send(carersInHerts, c.example("adult-carer-hertswise").with("asked", whose("9990000085"), without("consents")), transfer.Hold)
	c.stop()
	b := &busyHub{county: c, file: filepath.Join(c.cfg.Data, "hub.db")}
	within := func(act func(x *exchange.Exchange) error) {
		t.Helper()
		c.must(server.WithExchange(t.Context(), c.cfg, slog.New(slog.DiscardHandler), act))
	}
	lead := exchange.Principal{Partner: carersInHerts, System: "carers-in-hertfordshire/dpl"}
	var request exchange.Request
	within(func(x *exchange.Exchange) (err error) {
		request, _, err = x.EnterRequest(t.Context(), lead, "refused.later", exchange.Request{
			Organisation: string(constabulary), Office: "Detective Sergeant", Received: "2026-11-02", Items: []string{"carer.name.family"}, Purpose: "crime",
			Basis: exchange.RequestBasis{Article6: "e"}, DPIA: "done", View: "agrees",
		}, nil)
		return err
	})
	b.remember(request.Reference)
	within(func(x *exchange.Exchange) error {
		_, _, err := x.DecideRequest(t.Context(), lead, request.Reference, exchange.RequestDecision{
			Decision: "refused", Reasons: []string{"not-necessary"}, Person: "dpl-1", Decided: "2026-11-03",
		})
		return err
	})
	within(func(x *exchange.Exchange) error {
		// Nothing is delivered here: what this lets go stays in the outbox.
		_, err := x.RecordConsent(t.Context(), exchange.Principal{Partner: carersInHerts, System: "carers-in-hertfordshire/casework"}, "yes",
			[]contracts.Identifier{{Scheme: "nhs-number", Value: "9990000085"}}, consents.Event{
				State: consents.Given, Purpose: "referral.service", Service: "hertswise", Recipients: []transfer.PartnerID{ageUKHerts}, Explicit: true,
				Method: "verbal", Authority: "self", At: time.Now().UTC(),
			})
		if err != nil {
			return err
		}
		for range ledger.TileWidth { // so that there is a full tile
			if _, err := x.Log(t.Context(), &ledger.Leaf{Kind: ledger.KindQuery, Actor: ledger.Actor{Partner: "hub-operator"}, Query: &ledger.Query{Kind: "log", Why: "routine check"}}); err != nil {
				return err
			}
		}
		return nil
	})
	whole := c.audited()
	if len(whole.Warnings) > 0 {
		t.Errorf("warnings: %v", whole.Warnings)
	}
	b.size = whole.Leaves
	db := b.edit()
	if _, err := db.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	c.must(db.Close())
	var err error
	b.was, err = os.ReadFile(b.file)
	c.must(err)
	return b
}

// remember keeps the row of a request as it is.
func (b *busyHub) remember(reference string) {
	b.Helper()
	db := b.edit()
	defer db.Close()
	var state, log string
	var body, mac []byte
	var leaf int64
	b.must(db.QueryRowContext(b.Context(), `SELECT state, body, log, leaf, mac FROM requests WHERE reference = ?`, reference).Scan(&state, &body, &log, &leaf, &mac))
	b.open = []any{state, body, log, leaf, mac, reference}
}

func (b *busyHub) edit() *sql.DB {
	b.Helper()
	db, err := sql.Open("sqlite", b.file)
	b.must(err)
	return db
}

// after gives what is found after a change, and puts the file back.
func (b *busyHub) after(change string, args ...any) []audit.Problem {
	b.Helper()
	db := b.edit()
	result, err := db.ExecContext(b.Context(), change, args...)
	if err != nil {
		b.Fatalf("%s: %v", change, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		b.Errorf("nothing was changed: %s (%v)", change, err)
	}
	b.must(db.Close())
	st, err := server.OpenStore(b.Context(), b.cfg)
	b.must(err)
	report, err := server.Verify(b.Context(), b.cfg, st)
	b.must(err)
	b.must(st.Close())
	for _, left := range []string{b.file, b.file + "-wal", b.file + "-shm"} {
		if err := os.Remove(left); err != nil && !os.IsNotExist(err) {
			b.Fatal(err)
		}
	}
	b.must(os.WriteFile(b.file, b.was, 0o600))
	for _, w := range report.Warnings {
		if strings.Contains(w.Detail, "cosignatures are by witnesses") {
			report.Problems = append(report.Problems, w) // for a person to look at: witnesses come and go
		}
	}
	return report.Problems
}

// tampered expects a problem that names the table.
func (b *busyHub) tampered(table, what, change string, args ...any) {
	b.Helper()
	words := map[string][]string{"leaves": {"leaf"}, "tiles": {"tile"}, "logs": {"truncated", "signature"}}
	found := b.after(change, args...)
	if !slices.ContainsFunc(found, func(p audit.Problem) bool {
		return slices.ContainsFunc(append(words[table], table), func(word string) bool { return strings.Contains(p.String(), word) })
	}) {
		b.Errorf("%s, and it says %v", what, found)
	}
}

// column is one of a table, and what its values are made of.
type column struct{ name, kind string }

// other is another value than it has, of the same kind.
func (c column) other() string {
	switch {
	case c.name == "push":
		return "1 - push"
	case c.kind == "INTEGER":
		return c.name + " + 1000"
	case c.kind == "BLOB":
		return "CAST(substr(" + c.name + ", 1, length(" + c.name + ") - 1) || x'7e' AS BLOB)"
	}
	return c.name + " || 'x'"
}

// oneOf is a condition that one row of a table meets, of those that are there a row in the middle.
func oneOf(table string) string {
	key := map[string]string{
		"transfers": "id", "subjects": "id", "identifiers": "hash", "transfer_subjects": "(transfer_id, role, position)", "outbox": "transfer_id",
		"work": "(transfer_id, queue)", "entries": "id", "assertions": "digest",
	}[table]
	if key == "" {
		key = "rowid"
	}
	return fmt.Sprintf(`%[1]s IN (SELECT %[2]s FROM %[3]s ORDER BY %[2]s LIMIT 1 OFFSET (SELECT count(*) / 2 FROM %[3]s))`, key, strings.Trim(key, "()"), table)
}

func columnsOf(t *testing.T, db *sql.DB) map[string][]column {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT t.name, c.name, c.type FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY 1, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string][]column{}
	for rows.Next() {
		var table string
		var c column
		if err := rows.Scan(&table, &c.name, &c.kind); err != nil {
			t.Fatal(err)
		}
		out[table] = append(out[table], c)
	}
	if err := rows.Err(); err != nil || len(out) < 20 {
		t.Fatalf("%d tables: %v", len(out), err)
	}
	return out
}
