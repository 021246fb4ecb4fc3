package client_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"

	"filippo.io/torchwood"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
)

const releaseLeaf = `{"agreement":{"digest":"sha256:3f1c","flow":"hertswise@1#refer","id":"hertswise","version":1},"at":"2026-11-02T09:00:00.000000Z","kind":"release",` +
	`"outcome":"permit","payload":"hmac-sha256:5c","purpose":"referral.service","recipient":"age-uk-hertfordshire","sender":"carers-in-hertfordshire",` +
	`"subjects":[{"commitment":"aa","consent":"given","consents":["c-1"],"items":["carer.name.family"],"role":"carer"}],"transfer":"t-41","v":1}`

// receiptOf is a receipt of a leaf at the end of the operator's log, which the advocates' witness has cosigned.
func (o *operator) receiptOf(leaf string) string {
	o.Helper()
	o.writes(7, "leaf")
	tree, err := ledger.OpenTree(o.log, o.signer)
	o.must(err)
	b, err := tree.Append([][]byte{[]byte(leaf)})
	o.must(err)
	o.must(o.log.Write(b))
	w, _ := newWitness(o, o, o.TempDir())
	line, err := w.Cosign(0, nil, b.Checkpoint)
	o.must(err)
	path, err := ledger.InclusionProof(o.log, b.First, b.Size)
	o.must(err)
	return string(torchwood.FormatProofWithExtraData(b.First, []byte(leaf), path, slices.Concat(b.Checkpoint, line)))
}

func TestAPartnerChecksAReceiptItself(t *testing.T) {
	o := newOperator(t, "")
	good := o.receiptOf(releaseLeaf)
	pohwer, err := client.WitnessKey(pohwerWitness, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	o.must(err)
	kent, err := client.WitnessKey("kent.example/witness", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32)))
	o.must(err)
	r, err := client.VerifyReceipt([]byte(good), o.signer.VerifierKey()+"\n", []string{kent, pohwer})
	o.must(err)
	if l := r.Release; l.Transfer != "t-41" || l.Recipient != "age-uk-hertfordshire" || l.Agreement.Digest != "sha256:3f1c" || l.Payload != "hmac-sha256:5c" ||
		l.Subjects[0].Consent != "given" || l.Subjects[0].Items[0] != "carer.name.family" {
		t.Errorf("it says %+v", l)
	}
	if r.Log != (client.LogRef{Origin: "hub.example/log/1", Index: 7}) || r.Size != 8 || !slices.Equal(r.Cosigned, []string{pohwerWitness}) || string(r.Leaf) != releaseLeaf {
		t.Errorf("it is %+v", r)
	}

	lines := strings.Split(good, "\n")
	other := newOperator(t, "").receiptOf(strings.Replace(releaseLeaf, "age-uk-hertfordshire", "kent-county-council", 1))
	for _, c := range []struct{ name, text, key, want string }{
		{"another's leaf", strings.Replace(good, lines[1], strings.Split(other, "\n")[1], 1), "", "does not lead to this leaf"},
		{"another place", strings.Replace(good, "index 7", "index 6", 1), "", "does not lead to this leaf"},
		{"a hash left out", strings.Replace(good, lines[3]+"\n", "", 1), "", "does not lead to this leaf"},
		{"a checkpoint that was changed", strings.Replace(good, "\n8\n", "\n9\n", 1), "", "not signed by hub.example/log/1"},
		{"another hub's key", good, newOperator(t, "").signer.VerifierKey(), "not signed by hub.example/log/1"},
		{"another log's name", good, "hub.example/log/1+2e24349b+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c", "not signed by hub.example/log/1"},
		{"a key that is none", good, "hub.example", "read the log's verifier key"},
		{"no leaf", strings.Replace(good, lines[1]+"\n", "", 1), "", "it has no leaf"},
		{"no proof", lines[0] + "\n" + lines[1] + "\n", "", "this is not a disclosure receipt"},
		{"a decision", newOperator(t, o.skey).receiptOf(`{"kind":"decision"}`), "", "not a release"},
		{"no leaf of the hub's", newOperator(t, o.skey).receiptOf(`release`), "", "not a release"},
	} {
		if c.key == "" {
			c.key = o.signer.VerifierKey()
		}
		if _, err := client.VerifyReceipt([]byte(c.text), c.key, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := client.VerifyReceipt([]byte(good), o.signer.VerifierKey(), []string{o.signer.VerifierKey()}); err == nil || !strings.Contains(err.Error(), "witness's verifier key") {
		t.Errorf("a log's key as a witness's: %v", err)
	}
}
