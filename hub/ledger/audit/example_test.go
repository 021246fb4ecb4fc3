package audit_test

import (
	"context"
	"fmt"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/transfer"
)

func ExampleCheck() {
	skey, vkey, _ := ledger.GenerateKey("hub.example/log/1")
	signer, _ := ledger.NewSigner("hub.example/log/1", skey)
	log := &ledger.Memory{}
	tree, _ := ledger.OpenTree(log, signer)
	release := ledger.Leaf{
		Kind: ledger.KindRelease, At: time.Date(2026, 11, 21, 20, 18, 58, 0, time.UTC), Transfer: "0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e01",
		Outcome: transfer.Permit, State: transfer.Released,
	}
	batch, _ := tree.Append([][]byte{release.AppendTo(nil)})
	_ = log.Write(batch)
	tree.Commit(batch)

	verifier, _ := ledger.NewVerifier(vkey)
	report, err := audit.Check(context.Background(), log, verifier, nil)
	fmt.Println(report.OK(), err)
	for _, p := range report.Problems {
		fmt.Println(p)
	}
	// Output:
	// false <nil>
	// order at leaf 0 (transfer 0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e01): a release without a decision before it
}
