package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Load is store.Tx's.
func (t *tx) Load(ctx context.Context, want *store.Wanted) (*store.Loaded, error) {
	var out store.Loaded
	err := queryAll(ctx, t.q,
		collect(Stmt{SQL: transfersByMessage, Rows: messageRows(want.Messages)}, scanTransfer, &out.ByMessage),
		collect(Stmt{SQL: identifiersByHash, Rows: hashes(want.Identifiers)}, scanIdentifier, &out.Identifiers),
		collect(Stmt{SQL: transfersByID + ` FOR UPDATE`, Rows: keys(want.Transfers)}, scanTransfer, &out.Transfers),
		collect(Stmt{SQL: transferSubjects, Rows: keys(want.People)}, scanTransferSubject, &out.People),
		collect(Stmt{SQL: rulingsOf, Rows: keys(want.People)}, scanRuling, &out.Rulings),
		collect(Stmt{SQL: payloadsOf, Rows: keys(want.Payloads)}, scanPayload, &out.Payloads),
		collect(Stmt{SQL: requestsByReference + ` FOR UPDATE`, Rows: keys(want.Requests)}, scanRequest, &out.Requests),
		collect(Stmt{SQL: entriesByID, Rows: hashes(want.Entries)}, scanEntry, &out.Entries),
		collect(Stmt{SQL: actsAfter, Args: []any{want.ActsAfter}}, scanAct, &out.Acts),
		collect(Stmt{SQL: casesByReference + ` FOR UPDATE`, Rows: keys(want.Cases)}, scanCase, &out.Cases),
		collect(Stmt{SQL: noticesByID + ` FOR UPDATE`, Rows: keys(want.Notices)}, scanNotice, &out.Notices),
		collect(Stmt{SQL: noticesOf, Rows: keys(want.NoticesOf)}, scanNotice, &out.Notices),
	)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	slices.SortFunc(out.Notices, func(a, b store.Notice) int { return cmp.Compare(a.ID, b.ID) })
	out.Notices = slices.CompactFunc(out.Notices, func(a, b store.Notice) bool { return a.ID == b.ID })
	return &out, nil
}

// LoadPeople is store.Tx's.
func (t *tx) LoadPeople(ctx context.Context, exclusive, shared []transfer.SubjectID) (people []store.Subject, consents []store.Consent, err error) {
	all := append(append([]transfer.SubjectID(nil), exclusive...), shared...)
	err = queryAll(ctx, t.q,
		collect(Stmt{SQL: subjectsByID + ` FOR UPDATE`, Rows: keys(exclusive)}, scanSubject, &people),
		collect(Stmt{SQL: subjectsByID + ` FOR SHARE`, Rows: keys(shared)}, scanSubject, &people),
		collect(Stmt{SQL: consentsOf, Rows: keys(all)}, scanConsent, &consents),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("load people: %w", err)
	}
	return people, consents, nil
}
