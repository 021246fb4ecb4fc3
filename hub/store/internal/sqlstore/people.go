package sqlstore

import (
	"context"
	"slices"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const insertSubjects = `INSERT INTO subjects (id, salt) ROWS`

func subjectRows(in []store.Subject) Columns {
	return Columns{
		column(in, func(s *store.Subject) string { return string(s.ID) }),
		column(in, func(s *store.Subject) []byte { return s.Salt[:] }),
	}
}

func scanSubject(row Row, s *store.Subject) error {
	var salt []byte
	err := row.Scan(&s.ID, &salt)
	if err != nil {
		return err
	}
	s.Salt, err = bytes32(salt)
	return err
}

const subjectsByID = `SELECT id, salt FROM subjects WHERE id IN (ROWS) ORDER BY id`

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

const insertConsents = `INSERT INTO consents (id, subject_id, recorded_by, at, body) ROWS`

func consentRows(in []store.Consent) Columns {
	return Columns{
		column(in, func(c *store.Consent) string { return c.ID }),
		column(in, func(c *store.Consent) string { return string(c.Subject) }),
		column(in, func(c *store.Consent) string { return string(c.RecordedBy) }),
		column(in, func(c *store.Consent) int64 { return micros(c.At) }),
		column(in, func(c *store.Consent) []byte { return blob(c.Body) }),
	}
}

const consentsOf = `SELECT id, subject_id, recorded_by, at, body FROM consents WHERE subject_id IN (ROWS) ORDER BY subject_id, at, id`

// Consents gives the consent events of people, by person and time.
func (r reads) Consents(ctx context.Context, subjects []transfer.SubjectID) ([]store.Consent, error) {
	return query(ctx, r.q, Stmt{SQL: consentsOf, Rows: keys(subjects)}, scanConsent)
}

func scanConsent(row Row, c *store.Consent) error {
	var at int64
	err := row.Scan(&c.ID, &c.Subject, &c.RecordedBy, &at, &c.Body)
	c.At = instant(at)
	return err
}
