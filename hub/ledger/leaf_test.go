package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

var at = time.Date(2026, 11, 21, 20, 18, 58, 123_000, time.UTC)

// released is a leaf of the usual size.
func released() *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindRelease, At: at,
		Actor:    ledger.Actor{Partner: "hertfordshire-council", System: "hertfordshire-council/casework"},
		Transfer: "0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e01", Sender: "carers-in-hertfordshire", Recipient: "hertfordshire-council",
		Type: "referral/1", Purpose: "referral.service", Service: "hertswise",
		Outcome: transfer.PermitReduced, State: transfer.Released,
		Agreement: &ledger.Agreement{ID: "hertswise", Version: 1, Digest: "sha256:" + strings.Repeat("5a", 32), Flow: "hertswise@1#refer"},
		Reasons: []ledger.Reason{{
			Code: "consent-absent", Gate: "G5", Detail: "There is no consent for health data of the cared-for person.",
			Remedy: "Ask the carer, and record the answer.", Clause: "hertswise@1#refer", Source: "Art 9(2)(a)", Role: transfer.CaredFor,
			Items: []string{"cared_for.condition"},
		}},
		Subjects: []ledger.Subject{
			{
				Role: transfer.Carer, Commitment: strings.Repeat("c1", 32),
				Items:    []string{"carer.name.given", "carer.name.family", "carer.address", "carer.phone", "carer.safe_to_contact"},
				Consents: []string{"0199b3c0-0000-7c1e-b1b4-2f4f8d1c6e02"},
			},
			{
				Role: transfer.CaredFor, Commitment: strings.Repeat("d2", 32),
				Items: []string{"cared_for.name.given", "cared_for.name.family"}, Stripped: []string{"cared_for.condition"},
			},
		},
		Payload: "hmac-sha256:" + strings.Repeat("ab", 32),
	}
}

func anyLeaf() *rapid.Generator[*ledger.Leaf] {
	str := rapid.String()
	names := rapid.SliceOfN(str, 0, 3)
	when := rapid.Custom(func(t *rapid.T) time.Time {
		us := rapid.Int64Range(0, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro()).Draw(t, "us")
		return time.UnixMicro(us).UTC()
	})
	return rapid.Custom(func(t *rapid.T) *ledger.Leaf {
		s := func(label string) string { return str.Draw(t, label) }
		l := &ledger.Leaf{
			Kind: rapid.SampledFrom([]ledger.Kind{ledger.KindDecision, ledger.KindRelease, ledger.KindOutcome, ledger.KindConsent,
				ledger.KindAgreement, ledger.KindPartner, ledger.KindQuery}).Draw(t, "kind"),
			At: when.Draw(t, "at"), Actor: ledger.Actor{Partner: transfer.PartnerID(s("partner")), System: transfer.SystemID(s("system"))},
			Transfer: transfer.TransferID(s("transfer")), Sender: transfer.PartnerID(s("sender")), Recipient: transfer.PartnerID(s("recipient")),
			Type: transfer.MessageType(s("type")), Purpose: transfer.Purpose(s("purpose")), Service: transfer.Service(s("service")),
			Outcome: transfer.Outcome(s("outcome")), State: transfer.State(s("state")), Payload: s("payload"), Receipt: s("receipt"),
			Fault: s("fault"), Attempt: rapid.IntRange(-9, 1<<53-1).Draw(t, "attempt"), Owner: s("owner"), Note: s("note"),
		}
		if rapid.Bool().Draw(t, "deadline?") {
			l.Deadline = when.Draw(t, "deadline")
		}
		if rapid.Bool().Draw(t, "agreement?") {
			l.Agreement = &ledger.Agreement{ID: transfer.AgreementID(s("id")), Version: 1, Digest: s("digest"), Flow: s("flow")}
		}
		for range rapid.IntRange(0, 2).Draw(t, "reasons") {
			l.Reasons = append(l.Reasons, ledger.Reason{Code: s("code"), Gate: s("gate"), Detail: s("detail"), Remedy: s("remedy"),
				Clause: s("clause"), Source: s("source"), Role: transfer.Role(s("role")), Items: names.Draw(t, "items")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "subjects") {
			l.Subjects = append(l.Subjects, ledger.Subject{Role: transfer.Role(s("role")), Position: rapid.IntRange(0, 9).Draw(t, "position"),
				Commitment: s("commitment"), Items: names.Draw(t, "items"), Stripped: names.Draw(t, "stripped"), Consents: names.Draw(t, "consents")})
		}
		if rapid.Bool().Draw(t, "consent?") {
			l.Consent = &ledger.Consent{ID: "k" + s("id"), Commitment: s("commitment"), State: s("state"), Purpose: transfer.Purpose(s("purpose")),
				Service: transfer.Service(s("service")), Categories: names.Draw(t, "categories"), Explicit: rapid.Bool().Draw(t, "explicit"),
				Method: s("method"), Authority: s("authority")}
			for _, r := range names.Draw(t, "recipients") {
				l.Consent.Recipients = append(l.Consent.Recipients, transfer.PartnerID(r))
			}
		}
		if rapid.Bool().Draw(t, "query?") {
			l.Query = &ledger.Query{Kind: "k" + s("kind"), Subject: s("subject"), Why: s("why"), Found: rapid.IntRange(0, 99).Draw(t, "found")}
		}
		return l
	})
}

// Whatever a leaf holds, its encoding is the one that RFC 8785 gives, and reading it gives the leaf back.
func TestLeafEncodingIsCanonicalAndReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLeaf().Draw(t, "leaf")
		b := l.AppendTo(nil)
		canonical := jsontext.Value(b).Clone()
		if err := canonical.Canonicalize(); err != nil {
			t.Fatalf("not JSON: %v\n%s", err, b)
		}
		if string(canonical) != string(b) {
			t.Fatalf("not canonical:\n got %s\nwant %s", b, canonical)
		}
		got, err := ledger.Parse(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if diff := cmp.Diff(l, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Strings are searched eight bytes at a time: every character must be found at every place.
func TestEveryCharacterIsWrittenCanonicallyEverywhere(t *testing.T) {
	for r := range rune(0x120) {
		for before := range 18 {
			l := ledger.Leaf{Kind: ledger.KindPartner, At: at, Note: strings.Repeat("a", before) + string(r) + "bcdefghij" + string(r)}
			b := l.AppendTo(nil)
			canonical := jsontext.Value(b).Clone()
			if err := canonical.Canonicalize(); err != nil || string(canonical) != string(b) {
				t.Fatalf("%U after %d bytes: %q, canonical is %q (%v)", r, before, b, canonical, err)
			}
			if got, err := ledger.Parse(b); err != nil || got.Note != l.Note {
				t.Fatalf("%U after %d bytes does not come back: %v", r, before, err)
			}
		}
	}
}

func TestLeafAppendsToWhatIsThere(t *testing.T) {
	b := released().AppendTo([]byte("before"))
	if !strings.HasPrefix(string(b), `before{"actor":{`) {
		t.Fatalf("got %s", b[:30])
	}
}

// What AppendTo cannot write as it is, it writes as something that can be read back.
func TestLeafEncodingMendsWhatJSONCannotHold(t *testing.T) {
	l := &ledger.Leaf{Kind: ledger.KindPartner, At: at.Add(999 * time.Nanosecond).In(time.FixedZone("CET", 3600)), Note: "key\xff rotated"}
	got, err := ledger.Parse(l.AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got.Note != "key\uFFFD rotated" || !got.At.Equal(at) || got.At.Location() != time.UTC {
		t.Fatalf("got note %q at %s", got.Note, got.At)
	}
}

// Nobody can change the bytes of a leaf and keep its meaning: a change to any one byte gives another leaf or none.
func TestNoByteOfALeafIsIdle(t *testing.T) {
	b := released().AppendTo(nil)
	for i := range b {
		for _, c := range []byte{' ', '"', '0', b[i] ^ 1, b[i] ^ 0x20, b[i] ^ 0x80} {
			if c == b[i] {
				continue
			}
			changed := append([]byte(nil), b...)
			changed[i] = c
			l, err := ledger.Parse(changed)
			if err != nil {
				if !errors.Is(err, ledger.ErrEncoding) {
					t.Fatalf("byte %d: error of another kind: %v", i, err)
				}
				continue
			}
			if cmp.Equal(l, released(), cmpopts.EquateEmpty()) {
				t.Fatalf("byte %d as %q: still the same leaf", i, c)
			}
		}
		if _, err := ledger.Parse(b[:i]); err == nil {
			t.Fatalf("the first %d bytes are a leaf", i)
		}
	}
}

// Errors go into logs, and leaves are about people.
func TestParseErrorDoesNotQuoteTheLeaf(t *testing.T) {
	b := []byte(strings.Replace(string(released().AppendTo(nil)), `"v":1`, `"w":"Ann Example","v":1`, 1))
	if _, err := ledger.Parse(b); err == nil || strings.Contains(err.Error(), "Ann") {
		t.Fatalf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range leafVectors(f) {
		f.Add(v.bytes(f))
	}
	f.Add(released().AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ledger.Parse(b)
		if err != nil {
			return
		}
		if again := l.AppendTo(nil); string(again) != string(b) {
			t.Fatalf("accepted %q, writes %q", b, again)
		}
		canonical := jsontext.Value(b).Clone()
		if err := canonical.Canonicalize(); err != nil || string(canonical) != string(b) {
			t.Fatalf("accepted %q, canonical is %q (%v)", b, canonical, err)
		}
	})
}

func ExampleLeaf_AppendTo() {
	l := ledger.Leaf{
		Kind: ledger.KindOutcome, At: time.Date(2026, 11, 21, 20, 18, 58, 123_000, time.UTC),
		Transfer: "0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e01", State: transfer.Received, Receipt: "received",
	}
	fmt.Printf("%s\n", l.AppendTo(nil))
	// Output: {"at":"2026-11-21T20:18:58.000123Z","kind":"outcome","receipt":"received","state":"received","transfer":"0199b3c0-7f9a-7c1e-b1b4-2f4f8d1c6e01","v":1}
}

func BenchmarkAppendTo(b *testing.B) {
	l := released()
	buf := l.AppendTo(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = l.AppendTo(buf[:0])
	}
}

func BenchmarkParse(b *testing.B) {
	buf := released().AppendTo(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ledger.Parse(buf); err != nil {
			b.Fatal(err)
		}
	}
}
