package audit_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
)

// The vectors of whole logs, each with a problem that an auditor must find. FORMAT.md describes them.
func TestLogVectors(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", "log.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Expect             string
		Index                    int64
		VKey, Checkpoint, Pinned string
		Leaves                   []string
	}
	if err := json.Unmarshal(b, &vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%d vectors: %v", len(vectors), err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			verifier, err := ledger.NewVerifier(v.VKey)
			if err != nil {
				t.Fatal(err)
			}
			m := &ledger.Memory{Checkpoint: []byte(v.Checkpoint)}
			for _, l := range v.Leaves {
				m.Entries = append(m.Entries, []byte(l))
			}
			cp, err := ledger.ReadCheckpoint(m.Checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			m.Size = cp.Size
			var pinned [][]byte
			if v.Pinned != "" {
				pinned = append(pinned, []byte(v.Pinned))
			}
			r, err := audit.Check(context.Background(), m, verifier, nil, pinned...)
			if err != nil {
				t.Fatal(err)
			}
			got, index := audit.Class("none"), int64(-1)
			for _, p := range r.Problems {
				if got == "none" || string(p.Class) == v.Expect && p.Index == v.Index {
					got, index = p.Class, p.Index
				}
			}
			if string(got) != v.Expect || index != v.Index {
				t.Errorf("got %s %d, want %s %d: %v", got, index, v.Expect, v.Index, r.Problems)
			}
		})
	}
}
