package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// someCase is the n-th access request to a charity, due n days after noon.
func someCase(n int) store.Case {
	return store.Case{
		Reference: fmt.Sprintf("case-%03d", n), Type: "access", Partner: "carers-in-hertfordshire", Subject: subjectID(n), State: "open",
		Opened: noon, Due: noon.AddDate(0, 0, n), Version: 1, Body: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

func cases(_ *testing.T, d *desk) {
	ctx := d.Context()
	a, b := someCase(1), someCase(2)
	d.insert(&store.Insertions{Cases: []store.Case{b, a}})
	d.errIs(d.InTx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, &store.Insertions{Cases: []store.Case{a}}) }), store.ErrConflict)
	d.equal("by reference, of which one is not there", d.load(&store.Wanted{Cases: []string{"case-002", "case-009", "case-001"}}).Cases, []store.Case{a, b})

	asked := a
	asked.Version, asked.Subject, asked.Body = 2, subjectID(9), []byte(`{"step":"identity-asked"}`)
	closed := asked
	closed.Version, closed.State, closed.Due, closed.Closed = 3, "closed", time.Time{}, noon.AddDate(0, 0, 3)
	other := b
	other.Version, other.Due = 2, noon.AddDate(0, 2, 0)
	update := func(cases ...store.Case) error {
		return d.InTx(ctx, func(tx store.Tx) error { return tx.UpdateCases(ctx, cases) })
	}
	d.errIs(update(other, closed), store.ErrConflict) // the version between is missing
	d.noErr(update(asked, other, closed))             // two steps of one case in one commit
	d.errIs(update(closed), store.ErrConflict)
	d.errIs(update(store.Case{Reference: "case-009", Version: 1}), store.ErrConflict)
	d.equal("after their steps", d.load(&store.Wanted{Cases: []string{"case-001", "case-002"}}).Cases, []store.Case{closed, other})
}

func casesListed(_ *testing.T, d *desk) {
	ctx := d.Context()
	var all []store.Case
	for n := range 6 {
		all = append(all, someCase(n))
	}
	all[1].Partner, all[1].Due = "pohwer", time.Time{}
	all[2].Type = "incident"
	all[3].State = "closed"
	all[4].Subject = ""
	d.insert(&store.Insertions{Cases: all})
	list := func(what string, q store.CaseQuery, want ...store.Case) {
		d.Helper()
		if q.Limit == 0 {
			q.Limit = 10
		}
		got, err := d.Cases(ctx, q)
		d.noErr(err)
		d.equal(what, got, want)
	}
	list("the first page", store.CaseQuery{Limit: 2}, all[0], all[1])
	list("the page after", store.CaseQuery{After: all[1].Reference, Limit: 2}, all[2], all[3])
	list("a partner's", store.CaseQuery{Partner: "pohwer"}, all[1])
	list("of a type", store.CaseQuery{Type: "incident"}, all[2])
	list("in a state", store.CaseQuery{State: "closed"}, all[3])
	list("about a person", store.CaseQuery{Subject: subjectID(5)}, all[5])
	list("of a partner, a type and a state", store.CaseQuery{Partner: "carers-in-hertfordshire", Type: "access", State: "open", After: all[0].Reference}, all[4], all[5])
	list("due, by reference; what has nothing due is not", store.CaseQuery{DueBefore: noon.AddDate(0, 0, 4)}, all[0], all[2], all[3])
	list("due of those open, the page after", store.CaseQuery{State: "open", DueBefore: noon.AddDate(0, 0, 9), After: all[2].Reference}, all[4], all[5])
}

// pastItsTime is what retention asks of a store.
func pastItsTime(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 2, 10)
	idle, spoke := store.Subject{ID: "a-nobody"}, store.Subject{ID: "b-spoke"}
	rows.Subjects = append(rows.Subjects, idle, spoke)
	said := []store.Consent{
		{ID: "1", Subject: spoke.ID, RecordedBy: "pohwer", At: noon}, {ID: "2", Subject: spoke.ID, RecordedBy: "age-uk-hertfordshire", At: noon},
		{ID: "3", Subject: rows.Subjects[0].ID, RecordedBy: "pohwer", At: noon},
	}
	rows.Consents = said
	rows.Requests = []store.Request{{Reference: "req-1", Partner: "pohwer", State: "open", Body: []byte("{}")}, {Reference: "req-2", Partner: "pohwer", State: "open", Body: []byte("{}")}}
	over, later := someCase(1), someCase(2)
	over.Due, over.Closed, later.Due, later.Closed = time.Time{}, noon, time.Time{}, noon.AddDate(0, 0, 1)
	rows.Cases = []store.Case{over, later, someCase(3)}
	of := someNotice(1)
	of.Case = over.Reference
	rows.Notices = []store.Notice{of, someNotice(2)}
	rows.Notices[1].Case = later.Reference
	d.insert(rows)

	idlers := func(what string, since time.Time, after transfer.SubjectID, limit int, want ...transfer.SubjectID) {
		d.Helper()
		got, err := d.IdlePeople(ctx, since, after, limit)
		d.noErr(err)
		d.equal(what, got, want)
	}
	idlers("nobody has done anything since next year", noon.AddDate(1, 0, 0), "9", 2, idle.ID, spoke.ID)
	idlers("and the page after", noon.AddDate(1, 0, 0), idle.ID, 1, spoke.ID)
	idlers("one was never heard of", noon, "9", 9, idle.ID)
	idlers("and those of a referral of today were", noon.AddDate(1, 0, 0), "", 1, rows.Subjects[0].ID)

	d.commit(func(tx store.Tx) error {
		return tx.DeleteConsents(ctx, []string{"1", "none"})
	})
	left, err := d.Consents(ctx, []transfer.SubjectID{spoke.ID, rows.Subjects[0].ID})
	d.noErr(err)
	d.equal("the others stay", len(left), 2)

	old, err := d.Cases(ctx, store.CaseQuery{ClosedBefore: noon.Add(time.Hour), Limit: 9})
	d.noErr(err)
	d.equal("closed by then", old, []store.Case{over})
	d.commit(func(tx store.Tx) error {
		return errors.Join(tx.DeleteCases(ctx, []string{over.Reference}), tx.DeleteRequests(ctx, []string{"req-1"}))
	})
	got := d.load(&store.Wanted{Cases: []string{over.Reference, later.Reference}, NoticesOf: []string{over.Reference, later.Reference}, Requests: []string{"req-1", "req-2"}})
	d.equal("cases", got.Cases, []store.Case{later})
	d.equal("notices", got.Notices, rows.Notices[1:])
	d.equal("requests", got.Requests, rows.Requests[1:])
}

// someNotice is the n-th notice of a charity to a council, due n days after noon.
func someNotice(n int) store.Notice {
	return store.Notice{
		ID: fmt.Sprintf("notice-%03d", n), Case: "case-001", Sender: "carers-in-hertfordshire", Recipient: "hertfordshire-county-council", State: "sent",
		Due: noon.AddDate(0, 0, n), Version: 1, Body: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

func notices(_ *testing.T, d *desk) {
	ctx := d.Context()
	a, b, c := someNotice(1), someNotice(2), someNotice(3)
	c.Case = "case-002"
	d.insert(&store.Insertions{Notices: []store.Notice{c, b, a}})
	d.errIs(d.InTx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, &store.Insertions{Notices: []store.Notice{a}}) }), store.ErrConflict)
	got := d.load(&store.Wanted{Notices: []string{"notice-003", "notice-002", "notice-009"}, NoticesOf: []string{"case-001"}}).Notices
	d.equal("some by id and those of a case, each once", got, []store.Notice{a, b, c})

	done := a
	done.Version, done.State, done.Due, done.Body = 2, "actioned", time.Time{}, []byte(`{}`)
	answer := func() error {
		return d.InTx(ctx, func(tx store.Tx) error {
			_, err := tx.Load(ctx, &store.Wanted{Notices: []string{a.ID}})
			return errors.Join(err, tx.UpdateNotices(ctx, []store.Notice{done}))
		})
	}
	d.noErr(answer())
	d.errIs(answer(), store.ErrConflict)
	d.equal("after the answer", d.load(&store.Wanted{NoticesOf: []string{"case-001"}}).Notices, []store.Notice{done, b})
}

func noticesListed(_ *testing.T, d *desk) {
	ctx := d.Context()
	var all []store.Notice
	for n := range 5 {
		all = append(all, someNotice(n))
	}
	all[1].Sender, all[2].Recipient, all[3].State, all[4].Case = "pohwer", "pohwer", "refused", "case-002"
	d.insert(&store.Insertions{Notices: all})
	list := func(what string, q store.NoticeQuery, want ...store.Notice) {
		d.Helper()
		q.Limit = 3
		got, err := d.Notices(ctx, q)
		d.noErr(err)
		d.equal(what, got, want)
	}
	list("the first page", store.NoticeQuery{}, all[0], all[1], all[2])
	list("the page after", store.NoticeQuery{After: all[2].ID}, all[3], all[4])
	list("a sender's", store.NoticeQuery{Sender: "pohwer"}, all[1])
	list("a recipient's", store.NoticeQuery{Recipient: "pohwer"}, all[2])
	list("in a state", store.NoticeQuery{State: "refused"}, all[3])
	list("of a case", store.NoticeQuery{Case: "case-002"}, all[4])
	list("due", store.NoticeQuery{Recipient: "hertfordshire-county-council", DueBefore: noon.AddDate(0, 0, 2)}, all[0], all[1])
}
