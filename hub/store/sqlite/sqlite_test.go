package sqlite_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/store/sqlite"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

func fresh(tb testing.TB) storetest.Opener {
	path := filepath.Join(tb.TempDir(), "the hub's #1 file?.db")
	return func() (store.Store, error) { return sqlite.Open(tb.Context(), sqlite.Config{Path: path}) }
}

func TestConformance(t *testing.T) { storetest.Run(t, fresh) }

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, fresh) }

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// commitPayload stores one transfer whose sealed payload is easy to find in a file.
func commitPayload(t *testing.T, s *sqlite.Store) (transfer.TransferID, []byte) {
	t.Helper()
	id := transfer.TransferID("01959a00-0000-7000-8000-000000000001")
	ciphertext := bytes.Repeat([]byte("sealed payload "), 200)
	err := s.InTx(t.Context(), func(tx store.Tx) error {
		return tx.Insert(t.Context(), &store.Insertions{
			Transfers: []store.Transfer{{ID: id, State: transfer.Queued, ExpiresAt: time.Unix(1, 0)}},
			Payloads:  []store.Payload{{Transfer: id, Sealed: seal.Sealed{Ciphertext: ciphertext, WrappedKey: []byte("wrapped key of the payload")}}},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return id, ciphertext
}

func TestCommittedIsThereAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := open(t, path)
	defer s.Close()
	id, ciphertext := commitPayload(t, s)

	// What is on disk while the store is open is what a crash leaves behind.
	crashed := filepath.Join(t.TempDir(), "hub.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(crashed+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, crashed)
	defer again.Close()
	if err := again.InTx(t.Context(), func(tx store.Tx) error {
		got, err := tx.Load(t.Context(), &store.Wanted{Payloads: []transfer.TransferID{id}})
		if err == nil && (len(got.Payloads) != 1 || !bytes.Equal(got.Payloads[0].Sealed.Ciphertext, ciphertext)) {
			t.Errorf("payload after a crash: %v", got.Payloads)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestDeletedIsOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := open(t, path)
	id, _ := commitPayload(t, s)
	if err := s.InTx(t.Context(), func(tx store.Tx) error {
		return tx.DeletePayloads(t.Context(), []transfer.TransferID{id})
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"sealed payload", "wrapped key"} {
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("the file still holds a deleted %s", secret)
		}
	}
	if left, err := filepath.Glob(path + "-*"); err != nil || len(left) > 0 {
		t.Errorf("closing left %v behind (%v)", left, err)
	}
}

func TestFileIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := open(t, path)
	defer s.Close()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v", filepath.Base(path+suffix), info.Mode())
		}
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(path, "no such folder", "hub.db")}); err == nil {
		t.Error("opened a file in a folder that is not there")
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Config{}); err == nil {
		t.Error("opened no file")
	}
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, bytes.Repeat([]byte("not a database "), 1000), fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: text}); err == nil {
		t.Error("opened a text file")
	}
}
