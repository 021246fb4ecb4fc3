package traffic_test

import (
	"strings"
	"testing"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/store/sqlite"
	"referralhub/hub/traffic"
	"referralhub/hub/transfer"
)

const (
	origin  = "hub.example.org/log/1"
	cih     = transfer.PartnerID("carers-in-hertfordshire")
	ageUK   = transfer.PartnerID("age-uk")
	council = transfer.PartnerID("council")
	mailer  = transfer.PartnerID("mailing-house")
	refer   = "hertswise@2#refer"
	old     = "hertswise@1#refer"
	monitor = "returns@1#quarter"
	stopped = "mailing@1#magazine"
)

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// register declares that Carers in Hertfordshire and Age UK refer to one another for Hertswise, in its second version, and that both report to the
// council. A mailing has been suspended.
func register(t *testing.T) *agreement.Index {
	t.Helper()
	referral, _ := contracts.For("referral/1")
	items := func(names ...string) (set contracts.ItemSet) {
		for _, name := range names {
			item, known := referral.Lookup(name)
			if !known {
				t.Fatalf("no contract has %s", name)
			}
			set = set.With(item.Index)
		}
		return set
	}
	version := func(id transfer.AgreementID, n int, status agreement.Status, clause string, purpose transfer.Purpose, from, to []transfer.PartnerID) *agreement.Agreement {
		a := &agreement.Agreement{
			ID: id, Version: n, Status: status, Title: string(id), Digest: "sha256:1", Starts: today.AddDate(-1, n, 0), ReviewBy: today.AddDate(1, 0, 0),
			Purposes: []agreement.Purpose{{Code: purpose, Aim: "To support the carer.", Basis: agreement.Basis{Article6: "a"}}},
			Parties:  []agreement.Party{{Partner: cih, Role: "controller"}, {Partner: ageUK, Role: "controller"}},
		}
		a.Flows = []*agreement.Flow{{
			Agreement: a, ID: clause, From: from, To: to, Messages: []transfer.MessageType{"referral/1"}, Contract: referral, Purpose: purpose,
			Allowed: items("carer.name.family", "carer.phones", "carer.condition"),
		}}
		return a
	}
	both := []transfer.PartnerID{cih, ageUK}
	mailing := version("mailing", 1, agreement.Suspended, stopped, "magazine", []transfer.PartnerID{cih}, []transfer.PartnerID{mailer})
	look := *mailing.Flows[0]
	returns := version("returns", 1, agreement.Active, monitor, "contract-monitoring", both, []transfer.PartnerID{council})
	look.Agreement, look.ID, look.AccessOnly = returns, "returns@1#look", true
	returns.Flows = append(returns.Flows, &look)
	var partners []transfer.Partner
	for id, name := range map[transfer.PartnerID]string{cih: "Carers in Hertfordshire", ageUK: "Age UK", council: "County Council", mailer: "Mailing <House>"} {
		partners = append(partners, transfer.Partner{ID: id, Name: name, Kind: transfer.Charity, Location: "GB"})
	}
	x, err := agreement.NewIndex(partners, []*agreement.Agreement{
		version("hertswise", 1, agreement.Active, old, "referral.service", both, both),
		version("hertswise", 2, agreement.Active, refer, "referral.service", both, both), returns, mailing,
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// book is a log that a test writes.
type book struct {
	*testing.T
	store.Store
	at time.Time // of the next leaf
}

func newBook(t *testing.T) *book {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: t.TempDir() + "/hub.db"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return &book{T: t, Store: st, at: today.AddDate(0, -1, 0)}
}

// write makes a log of leaves a minute apart.
func (b *book) write(log string, leaves ...*ledger.Leaf) {
	b.Helper()
	skey, _, err := ledger.GenerateKey(log)
	b.ok(err)
	signer, err := ledger.NewSigner(log, skey)
	b.ok(err)
	tree, err := ledger.OpenTree(b.Log(b.Context(), log), signer)
	b.ok(err)
	var shapes ledger.Shapes
	var rows store.Insertions
	var bodies [][]byte
	var about []store.LeafAbout
	for _, l := range leaves {
		l.At, l.Actor = b.at, ledger.Actor{Partner: "hub-operator"}
		b.at = b.at.Add(time.Minute)
		id, fresh := shapes.Of(l)
		if fresh != nil {
			rows.Shapes = append(rows.Shapes, store.Shape{ID: id, Body: fresh.Body, First: store.LeafRef{Origin: log, Index: tree.Size() + int64(len(bodies))}})
			shapes.Keep([]*ledger.NewShape{fresh})
		}
		bodies, about = append(bodies, l.AppendTo(nil)), append(about, store.LeafAbout{Shape: id})
	}
	batch, err := tree.Append(bodies)
	b.ok(err)
	b.ok(b.InTx(b.Context(), func(tx store.Tx) error {
		if err := tx.AppendLog(b.Context(), log, batch, about); err != nil {
			return err
		}
		return tx.Insert(b.Context(), &rows)
	}))
}

func (b *book) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// uses reads what was written.
func (b *book) uses() []traffic.Use {
	b.Helper()
	uses, err := traffic.Read(b.Context(), b, time.Time{}, time.Time{})
	b.ok(err)
	return uses
}

// release is one of a carer's items under a clause, or under none.
func release(from, to transfer.PartnerID, purpose transfer.Purpose, clause string, items ...string) *ledger.Leaf {
	l := &ledger.Leaf{
		Kind: ledger.KindRelease, Sender: from, Recipient: to, Purpose: purpose, Type: "referral/1", Outcome: transfer.Permit,
		Subjects: []ledger.Subject{{Role: transfer.Carer, Commitment: "c", Items: items}},
	}
	if clause == "" {
		l.Outcome = transfer.PermitException
	} else {
		id, rest, _ := strings.Cut(clause, "@")
		l.Agreement = &ledger.Agreement{ID: transfer.AgreementID(id), Version: int(rest[0] - '0'), Digest: "sha256:1", Flow: clause}
	}
	return l
}
