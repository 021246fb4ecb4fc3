package sqlstore

import (
	"context"
	"slices"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const insertSubjects = `INSERT INTO subjects (id, salt, mac) ROWS`

func subjectRows(in []store.Subject) Columns {
	return Columns{
		column(in, func(s *store.Subject) string { return string(s.ID) }),
		column(in, func(s *store.Subject) []byte { return s.Salt[:] }),
		column(in, func(s *store.Subject) []byte { return blob(s.MAC) }),
	}
}

func scanSubject(row Row, s *store.Subject) error {
	var salt []byte
	err := row.Scan(&s.ID, &salt, &s.MAC)
	if err != nil {
		return err
	}
	s.Salt, err = bytes32(salt)
	return err
}

const subjectsByID = `SELECT id, salt, mac FROM subjects WHERE id IN (ROWS) ORDER BY id`

// Subjects reads people in id order; absent ids are left out.
func (r reads) Subjects(ctx context.Context, ids []transfer.SubjectID) ([]store.Subject, error) {
	return query(ctx, r.q, Stmt{SQL: subjectsByID, Rows: keys(ids)}, scanSubject)
}

const insertIdentifiers = `INSERT INTO identifiers (hash, subject_id) ROWS`

func identifierRows(in []store.Identifier) Columns {
	return Columns{
		column(in, func(i *store.Identifier) []byte { return i.Hash[:] }),
		column(in, func(i *store.Identifier) string { return string(i.Subject) }),
	}
}

const identifiersByHash = `SELECT hash, subject_id FROM identifiers WHERE hash IN (ROWS)`

// SubjectsByIdentifier finds the people known by identifiers; unknown hashes are left out.
func (r reads) SubjectsByIdentifier(ctx context.Context, known [][32]byte) ([]store.Identifier, error) {
	return query(ctx, r.q, Stmt{SQL: identifiersByHash, Rows: hashes(known)}, scanIdentifier)
}

func scanIdentifier(row Row, i *store.Identifier) error {
	var hash []byte
	err := row.Scan(&hash, &i.Subject)
	if err != nil {
		return err
	}
	i.Hash, err = bytes32(hash)
	return err
}

const insertTransferSubjects = `INSERT INTO transfer_subjects (transfer_id, role, position, subject_id) ROWS`

func transferSubjectRows(in []store.TransferSubject) Columns {
	return Columns{
		column(in, func(s *store.TransferSubject) string { return string(s.Transfer) }),
		column(in, func(s *store.TransferSubject) string { return string(s.Role) }),
		column(in, func(s *store.TransferSubject) int64 { return int64(s.Position) }),
		column(in, func(s *store.TransferSubject) string { return string(s.Subject) }),
	}
}

const transferSubjects = `SELECT transfer_id, role, position, subject_id FROM transfer_subjects
	WHERE transfer_id IN (ROWS) ORDER BY transfer_id, role, position`

func scanTransferSubject(row Row, s *store.TransferSubject) error {
	return row.Scan(&s.Transfer, &s.Role, &s.Position, &s.Subject)
}

const transfersOf = `SELECT id, state FROM transfers
	WHERE id IN (SELECT transfer_id FROM transfer_subjects WHERE subject_id IN (ROWS)) ORDER BY id`

// TransfersOf is store.Store's: in id order, each once.
func (r reads) TransfersOf(ctx context.Context, subjects []transfer.SubjectID, states []transfer.State) ([]transfer.TransferID, error) {
	type found struct {
		id    transfer.TransferID
		state transfer.State
	}
	rows, err := query(ctx, r.q, Stmt{SQL: transfersOf, Rows: keys(subjects)}, func(row Row, f *found) error {
		return row.Scan(&f.id, &f.state)
	})
	if err != nil {
		return nil, err
	}
	var ids []transfer.TransferID
	for _, f := range rows {
		if len(states) == 0 || slices.Contains(states, f.state) {
			ids = append(ids, f.id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

const consentColumns = `id, subject_id, recorded_by, at, body, log, leaf, mac`

const insertConsents = `INSERT INTO consents (` + consentColumns + `) ROWS`

func consentRows(in []store.Consent) Columns {
	return Columns{
		column(in, func(c *store.Consent) string { return c.ID }),
		column(in, func(c *store.Consent) string { return string(c.Subject) }),
		column(in, func(c *store.Consent) string { return string(c.RecordedBy) }),
		column(in, func(c *store.Consent) int64 { return micros(c.At) }),
		column(in, func(c *store.Consent) []byte { return blob(c.Body) }),
		column(in, func(c *store.Consent) string { return c.Log }),
		column(in, func(c *store.Consent) int64 { return c.Leaf }),
		column(in, func(c *store.Consent) []byte { return blob(c.MAC) }),
	}
}

const consentsOf = `SELECT ` + consentColumns + ` FROM consents WHERE subject_id IN (ROWS) ORDER BY subject_id, at, id`

// Consents gives the consent events of people, by person and time.
func (r reads) Consents(ctx context.Context, subjects []transfer.SubjectID) ([]store.Consent, error) {
	return query(ctx, r.q, Stmt{SQL: consentsOf, Rows: keys(subjects)}, scanConsent)
}

func scanConsent(row Row, c *store.Consent) error {
	var at int64
	err := row.Scan(&c.ID, &c.Subject, &c.RecordedBy, &at, &c.Body, &c.Log, &c.Leaf, &c.MAC)
	c.At = instant(at)
	return err
}

const (
	eraseIdentifiers = `DELETE FROM identifiers WHERE subject_id IN (ROWS)`
	eraseConsents    = `DELETE FROM consents WHERE subject_id IN (ROWS)`
	erasePlaces      = `DELETE FROM transfer_subjects WHERE subject_id IN (ROWS)`
	eraseFromCases   = `UPDATE cases SET subject_id = '' WHERE subject_id IN (ROWS)`
	eraseSubjects    = `DELETE FROM subjects WHERE id IN (ROWS)`
)

// ErasePeople is store.Tx's.
func (t *tx) ErasePeople(_ context.Context, subjects []transfer.SubjectID) error {
	people := keys(subjects)
	return t.live.keep(Stmt{SQL: eraseIdentifiers, Rows: people}, Stmt{SQL: eraseConsents, Rows: people},
		Stmt{SQL: erasePlaces, Rows: people}, Stmt{SQL: eraseFromCases, Rows: people}, Stmt{SQL: eraseSubjects, Rows: people})
}

const deleteConsents = `DELETE FROM consents WHERE id IN (ROWS)`

// DeleteConsents is store.Tx's.
func (t *tx) DeleteConsents(_ context.Context, ids []string) error {
	return t.live.keep(Stmt{SQL: deleteConsents, Rows: keys(ids)})
}

// Each person costs a look at one index and at their newest transfers; it is asked for a page at a time, and once a day.
const idlePeople = `SELECT s.id FROM subjects AS s WHERE s.id > $2
	AND NOT EXISTS (SELECT 1 FROM transfer_subjects AS p JOIN transfers AS t ON t.id = p.transfer_id WHERE p.subject_id = s.id AND t.updated_at >= $1)
	AND NOT EXISTS (SELECT 1 FROM consents AS c WHERE c.subject_id = s.id AND c.at >= $1)
	ORDER BY s.id LIMIT $3`

// IdlePeople is store.Store's.
func (r reads) IdlePeople(ctx context.Context, since time.Time, after transfer.SubjectID, limit int) ([]transfer.SubjectID, error) {
	return query(ctx, r.q, Stmt{SQL: idlePeople, Args: []any{micros(since), string(after), int64(limit)}}, func(row Row, id *transfer.SubjectID) error {
		return row.Scan(id)
	})
}

const remarkPeople = `WITH s (id, mac) AS (ROWS) UPDATE subjects SET mac = s.mac FROM s WHERE subjects.id = s.id`

// RemarkPeople is store.Tx's.
func (t *tx) RemarkPeople(_ context.Context, people []store.Subject) error {
	return t.live.keep(Stmt{SQL: remarkPeople, Exact: true, Rows: Columns{
		column(people, func(s *store.Subject) string { return string(s.ID) }),
		column(people, func(s *store.Subject) []byte { return blob(s.MAC) }),
	}})
}
