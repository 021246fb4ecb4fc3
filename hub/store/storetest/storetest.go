// Package storetest says what a store must do, for every engine alike: Run is the conformance suite, Benchmark the cost of the hot path, Faulty a
// store that fails where a test wants it to.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Opener opens the same durable state each time it is called. The caller closes what it opened.
type Opener func() (store.Store, error)

// Run holds an engine to the contract of package store. fresh makes empty durable state that lasts as long as tb.
func Run(t *testing.T, fresh func(tb testing.TB) Opener) {
	for _, story := range []struct {
		name string
		tell func(*testing.T, *desk)
	}{
		{"an empty store answers with nothing", empty},
		{"what is missing is said to be missing", missing},
		{"what was written is read back exactly", written},
		{"groups of any size are written whole", groups},
		{"an inbox is read page by page", inbox},
		{"a partner lists its transfers by state", inState},
		{"every transfer of a log is visited", eachTransfer},
		{"payloads expire and outbox rows fall due, oldest first", dueAndExpired},
		{"people are found by identifier, and their transfers by person", people},
		{"work for people is listed by deadline until it is done", work},
		{"what was ruled about a transfer is read with it, once", rulings},
		{"one-off requests are decided once", requests},
		{"what was entered by hand is entered once", entries},
		{"agreement acts are one after the other", agreementActs},
		{"a case changes only from the version it was read in", cases},
		{"what is past its time is found, and goes", pastItsTime},
		{"cases are listed by whose, whom, what, and when due", casesListed},
		{"a notice changes only from the version it was read in", notices},
		{"notices are listed by who tells, who is told, and when due", noticesListed},
		{"a person who is erased leaves nothing behind", erased},
		{"what was published and cosigned stays", checkpoints},
		{"a snapshot is of one moment", oneMoment},
		{"rows are found by the leaf that bears them out", borne},
		{"everybody is visited with what they are known by", everybody},
		{"rows that belong to nothing are found", strays},
		{"a message id is taken once", messageTwice},
		{"a state changes only from the state it was read in", staleState},
		{"several changes of one transfer are applied in turn", changesInTurn},
		{"a client assertion is spent once", assertions},
		{"a log grows only at its end", logGrows},
		{"leaves are read together, in the order asked for", leafBodies},
		{"a shape is kept as it was first said", shapes},
		{"leaves are found by their shapes, however many", leavesByShape},
		{"the use of shapes is counted over a span of a log", shapeUse},
		{"a failed transaction leaves nothing", nothingLeft},
		{"a withdrawal and a release of one person take turns", withdrawalAndRelease},
		{"two releases of one transfer take turns", twoReleases},
		{"two writers of one log: one of them wins", twoWriters},
		{"people locked in any order do not deadlock", lockOrder},
		{"a caller that gives up leaves the store working", givesUp},
		{"what is deleted twice is gone once", deletedTwice},
		{"what was committed is there after a restart", reopened},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			open := fresh(t)
			d := &desk{TB: t, open: open}
			d.reopen()
			t.Cleanup(func() { d.noErr(errors.Join(d.Store.Close(), d.Store.Close())) }) // closing twice is no error
			story.tell(t, d)
		})
	}
}

// desk is a store on a test's desk.
type desk struct {
	testing.TB
	store.Store
	open Opener
}

// Log is the store's, not the test's.
func (d *desk) Log(ctx context.Context, origin string) ledger.Source { return d.Store.Log(ctx, origin) }

func (d *desk) reopen() {
	d.Helper()
	if d.Store != nil {
		d.noErr(d.Store.Close())
	}
	s, err := d.open()
	d.noErr(err)
	d.Store = s
}

func (d *desk) noErr(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *desk) errIs(err, want error) {
	d.Helper()
	if !errors.Is(err, want) {
		d.Fatalf("got error %v, want %v", err, want)
	}
}

func (d *desk) equal(what string, got, want any) {
	d.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		d.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// commit runs f in a transaction that must succeed.
func (d *desk) commit(f func(store.Tx) error) {
	d.Helper()
	d.noErr(d.InTx(d.Context(), f))
}

// load asks for want in a transaction of its own.
func (d *desk) load(want *store.Wanted) (got *store.Loaded) {
	d.Helper()
	d.commit(func(tx store.Tx) (err error) {
		got, err = tx.Load(d.Context(), want)
		return err
	})
	return got
}

// insert commits rows.
func (d *desk) insert(rows *store.Insertions) {
	d.Helper()
	d.commit(func(tx store.Tx) error { return tx.Insert(d.Context(), rows) })
}

// origin is the log of the tests.
const origin = "hub.example.org/log"

// noon is when everything in the tests begins; to the microsecond.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 123456000, time.UTC)

func transferID(n int) transfer.TransferID {
	return transfer.TransferID(fmt.Sprintf("01959a00-0000-7000-8000-%012d", n))
}

func subjectID(n int) transfer.SubjectID {
	return transfer.SubjectID(fmt.Sprintf("01959a00-0000-7000-9000-%012d", n))
}

func hash(what string, n int) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "%s %d", what, n)) }

// referral is the n-th transfer of a district nurse's system to a carers' charity: a carer and the person cared for, each known by one
// identifier, a payload of size bytes and an outbox row.
func referral(n, size int) store.Insertions {
	id, at := transferID(n), noon.Add(time.Duration(n)*time.Second)
	digest := hash("body", n)
	ciphertext := make([]byte, 0, size)
	for len(ciphertext) < size {
		block := hash("ciphertext", n+len(ciphertext))
		ciphertext = append(ciphertext, block[:]...)
	}
	carer, caredFor := subjectID(2*n), subjectID(2*n+1)
	return store.Insertions{
		Subjects: []store.Subject{{ID: carer, Salt: hash("salt", 2*n)}, {ID: caredFor, Salt: hash("salt", 2*n+1)}},
		Identifiers: []store.Identifier{
			{Hash: hash("identifier", 2*n), Subject: carer},
			{Hash: hash("identifier", 2*n+1), Subject: caredFor},
		},
		Transfers: []store.Transfer{{
			ID: id, Sender: "hertfordshire-community-nhs", SenderSystem: "hertfordshire-community-nhs/systmone",
			MessageID: transfer.MessageID(fmt.Sprintf("msg-%x", digest[:8])), BodyDigest: digest[:], CorrelationID: fmt.Sprintf("%x", digest[8:24]),
			Recipient: "carers-in-hertfordshire", Type: "referral/1", Purpose: "referral.service", Service: "hertswise",
			Flow: "hertswise@1#refer", State: transfer.Queued, CreatedAt: at, UpdatedAt: at, ExpiresAt: at.Add(14 * 24 * time.Hour),
			Log: origin, DecisionLeaf: int64(n), ReleaseLeaf: -1,
		}},
		TransferSubjects: []store.TransferSubject{
			{Transfer: id, Role: transfer.CaredFor, Position: 0, Subject: caredFor},
			{Transfer: id, Role: transfer.Carer, Position: 0, Subject: carer},
		},
		Payloads: []store.Payload{{Transfer: id, Sealed: seal.Sealed{Ciphertext: ciphertext[:size], WrappedKey: digest[:28]}, Nonce: hash("nonce", n)}},
		Outbox:   []store.Outbox{{Transfer: id, Recipient: "carers-in-hertfordshire", Due: at.Add(30 * time.Second)}},
	}
}

// referrals is the n-th to the m-th referral as one commit's rows.
func referrals(n, m, size int) *store.Insertions {
	all := &store.Insertions{}
	for ; n < m; n++ {
		r := referral(n, size)
		all.Subjects = append(all.Subjects, r.Subjects...)
		all.Identifiers = append(all.Identifiers, r.Identifiers...)
		all.Transfers = append(all.Transfers, r.Transfers...)
		all.TransferSubjects = append(all.TransferSubjects, r.TransferSubjects...)
		all.Payloads = append(all.Payloads, r.Payloads...)
		all.Outbox = append(all.Outbox, r.Outbox...)
	}
	return all
}

// leaves is a batch that takes a log from first to first+n, with stand-ins for its hashes and signature, and what the leaves are about: the
// transfer of the same number, and one of the shapes 1 to 50 in turn.
func leaves(first int64, n, size int) (*ledger.Batch, []store.LeafAbout) {
	b := &ledger.Batch{First: first, Size: first + int64(n)}
	about := make([]store.LeafAbout, n)
	for i := range n {
		index := first + int64(i)
		leaf := make([]byte, size)
		copy(leaf, fmt.Sprintf("leaf %d", index))
		b.Leaves = append(b.Leaves, leaf)
		about[i] = store.LeafAbout{Transfer: transferID(int(index)), Shape: 1 + index%50}
		if (index+1)%256 == 0 {
			tile := make([]byte, 256*32)
			copy(tile, fmt.Sprintf("tile %d", index/256))
			b.Tiles = append(b.Tiles, ledger.Tile{Index: index / 256, Hash: tile})
		}
	}
	b.Root = hash("root", int(b.Size))
	b.Checkpoint = fmt.Appendf(nil, "%s\n%d\n%x\n", origin, b.Size, b.Root)
	return b, about
}

func ids(ts []store.Transfer) []transfer.TransferID {
	var out []transfer.TransferID
	for _, t := range ts {
		out = append(out, t.ID)
	}
	return out
}
