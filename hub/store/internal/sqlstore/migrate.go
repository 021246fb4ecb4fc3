package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

const (
	createMigrations = `CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)`
	listMigrations   = `SELECT version, name, checksum FROM migrations ORDER BY version`
	recordMigration  = `INSERT INTO migrations (version, name, checksum) VALUES ($1, $2, $3)`
)

type migration struct {
	version  int64
	name     string
	checksum string
	text     string
}

// Migrate brings the schema up to the newest of files, which are named 0001_what.sql, 0002_… and only ever added to. It runs inside one
// transaction that keeps out every other copy of the hub. script runs a text of several statements in that transaction.
func Migrate(ctx context.Context, q Querier, script func(ctx context.Context, text string) error, files fs.FS) error {
	known, err := readMigrations(files)
	if err != nil {
		return err
	}
	if err := script(ctx, createMigrations); err != nil {
		return fmt.Errorf("create table of migrations: %w", err)
	}
	applied, err := query(ctx, q, Stmt{SQL: listMigrations}, func(row Row, m *migration) error {
		return row.Scan(&m.version, &m.name, &m.checksum)
	})
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	if len(applied) > len(known) {
		return fmt.Errorf("the database has %d migrations and this hub knows %d: run the hub that wrote it, or a newer one", len(applied), len(known))
	}
	for i, m := range applied {
		if m.version != known[i].version || m.checksum != known[i].checksum {
			return fmt.Errorf("migration %d (%s) is not the one that was applied to the database: migrations are added, never changed", m.version, m.name)
		}
	}
	for _, m := range known[len(applied):] {
		if err := script(ctx, m.text); err != nil {
			return fmt.Errorf("migration %d (%s): %w", m.version, m.name, err)
		}
		if err := q.Exec(ctx, Stmt{SQL: recordMigration, Args: []any{m.version, m.name, m.checksum}}); err != nil {
			return fmt.Errorf("record migration %d: %w", m.version, err)
		}
	}
	return nil
}

// readMigrations gives the migrations in order and insists that they are numbered from 1 without a gap.
func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var out []migration
	for i, file := range names {
		number, name, _ := strings.Cut(strings.TrimSuffix(file, ".sql"), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version != int64(i+1) {
			return nil, fmt.Errorf("migration file %s: want number %04d", file, i+1)
		}
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		sum := sha256.Sum256(text)
		out = append(out, migration{version: version, name: name, checksum: hex.EncodeToString(sum[:]), text: string(text)})
	}
	return out, nil
}
