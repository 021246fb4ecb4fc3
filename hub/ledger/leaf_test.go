package ledger_test

import (
	"errors"
	"fmt"
	"reflect"
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
			Kind: rapid.SampledFrom([]ledger.Kind{ledger.KindDecision, ledger.KindRelease, ledger.KindOutcome, ledger.KindRuling,
				ledger.KindConsent, ledger.KindRequest, ledger.KindDisclosure, ledger.KindAgreement, ledger.KindSignature, ledger.KindPartner,
				ledger.KindQuery, ledger.KindCase, ledger.KindNotice}).Draw(t, "kind"),
			At: when.Draw(t, "at"), Actor: ledger.Actor{Partner: transfer.PartnerID(s("partner")), System: transfer.SystemID(s("system")),
				Person: s("person"), Role: transfer.StaffRole(s("role"))},
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
				Commitment: s("commitment"), Facts: names.Draw(t, "facts"), Noticed: names.Draw(t, "noticed"), Items: names.Draw(t, "items"),
				Stripped: names.Draw(t, "stripped"), Consents: names.Draw(t, "consents"), Consent: s("consent")})
		}
		if rapid.Bool().Draw(t, "consent?") {
			l.Consent = &ledger.Consent{ID: "k" + s("id"), Commitment: s("commitment"), State: s("state"), Purpose: transfer.Purpose(s("purpose")),
				Service: transfer.Service(s("service")), Categories: names.Draw(t, "categories"), Explicit: rapid.Bool().Draw(t, "explicit"),
				Method: s("method"), Evidence: rapid.Bool().Draw(t, "evidence"), Authority: s("authority"), Notice: s("notice"),
				At: when.Draw(t, "happened")}
			if rapid.Bool().Draw(t, "ends?") {
				l.Consent.Expires = when.Draw(t, "ends")
			}
			for _, r := range names.Draw(t, "recipients") {
				l.Consent.Recipients = append(l.Consent.Recipients, transfer.PartnerID(r))
			}
		}
		if rapid.Bool().Draw(t, "query?") {
			l.Query = &ledger.Query{Kind: "k" + s("kind"), Subject: s("subject"), Why: s("why"), Found: rapid.IntRange(0, 99).Draw(t, "found"),
				Filter: s("filter"), Form: s("form"), Refused: s("refused")}
		}
		if rapid.Bool().Draw(t, "case?") {
			l.Case = &ledger.Case{Reference: "c" + s("reference"), Type: s("type"), Step: s("step"), Commitment: s("commitment"), Grounds: names.Draw(t, "grounds"),
				Items: names.Draw(t, "items"), On: s("on"), Due: s("due"), Channel: s("channel")}
			for range rapid.IntRange(0, 2).Draw(t, "lists") {
				l.Case.Counts = append(l.Case.Counts, ledger.Count{What: s("what"), N: rapid.IntRange(0, 99).Draw(t, "n")})
				l.Case.Kept = append(l.Case.Kept, ledger.Kept{What: s("what"), Ground: s("ground")})
			}
		}
		if rapid.Bool().Draw(t, "notice?") {
			l.Notice = &ledger.Notice{ID: "n" + s("id"), Case: s("case"), Act: s("act"), Commitment: s("commitment"), Items: names.Draw(t, "items"),
				Effective: when.Draw(t, "effective"), Respond: s("respond"), Status: s("status"), Reason: s("reason")}
			for _, id := range names.Draw(t, "transfers") {
				l.Notice.Transfers = append(l.Notice.Transfers, transfer.TransferID(id))
			}
		}
		inputs(t, l, s)
		acts(t, l, s, when)
		return l
	})
}

// inputs adds what else a decision may depend on.
func inputs(t *rapid.T, l *ledger.Leaf, s func(string) string) {
	flag := func(label string) bool { return rapid.Bool().Draw(t, label) }
	if flag("undertaking?") {
		l.Undertaking = &ledger.Undertaking{Basis: "b" + s("basis"), Evidence: flag("evidence"), InformedOn: s("informed"), NotInformed: s("not informed")}
	}
	if flag("exception?") {
		l.Exception = &ledger.Exception{Kind: "k" + s("kind"), Limb: s("limb"), Person: s("person"), At: s("at"), Record: s("record"),
			Necessary: flag("necessary"), NoLessIntrusiveWay: flag("way"), NoOtherBasis: flag("basis"), Incapable: flag("incapable"),
			Refused: flag("refused"), OthersAtRisk: flag("others"), SeriousCrime: flag("crime"), Coercion: flag("coercion"),
			InformingRaisesRisk: flag("informing"), Law: s("law")}
	}
	if flag("demand?") {
		l.Demand = &ledger.Demand{Instrument: "i" + s("instrument"), Reference: s("reference"), By: s("by"), Authority: s("authority"),
			Law: s("law"), On: s("on"), Items: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "demanded"), Person: s("person")}
	}
	if flag("secondary?") {
		l.Secondary = &ledger.Secondary{CheckedOn: s("checked"), OptedOut: true, Support: s("support")}
	}
	if flag("review?") {
		l.Review = &ledger.Review{Person: "p" + s("person"), At: s("at")}
	}
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		l.Conditions = append(l.Conditions, ledger.Condition{If: s("if"), Holds: flag("holds")})
	}
	l.Onward = s("onward")
	for range rapid.IntRange(0, 2).Draw(t, "staff") {
		l.Staff = append(l.Staff, ledger.Person{ID: s("id"), Roles: []transfer.StaffRole{transfer.StaffRole(s("may")), "dpl"}})
	}
}

// acts adds what people decided, asked and did by hand.
func acts(t *rapid.T, l *ledger.Leaf, s func(string) string, when *rapid.Generator[time.Time]) {
	flag := func(label string) bool { return rapid.Bool().Draw(t, label) }
	names := rapid.SliceOfN(rapid.String(), 0, 3)
	basis := ledger.Basis{Article6: s("article6"), Article9: s("article9"), Schedule1: s("schedule1"), Offence: s("offence"), Law: s("law")}
	for range rapid.IntRange(0, 2).Draw(t, "obligations") {
		l.Obligations = append(l.Obligations, ledger.Obligation{Code: s("code"), Who: s("who"), By: when.Draw(t, "by")})
	}
	if flag("expires?") {
		l.Expires = when.Draw(t, "expires")
	}
	if flag("ruling?") {
		l.Ruling = &ledger.Ruling{Act: "a" + s("act"), Codes: names.Draw(t, "codes"), Ground: s("ground")}
	}
	if flag("request?") {
		l.Request = &ledger.Request{Reference: "r" + s("reference"), Organisation: s("organisation"), Office: s("office"), Received: s("received"),
			Items: names.Draw(t, "asked"), Basis: basis, DPIA: s("dpia"), View: s("view"), Decision: s("decision"), Reasons: names.Draw(t, "why"),
			Decided: s("decided"), Person: s("person"), Role: transfer.StaffRole(s("role"))}
	}
	if flag("disclosure?") {
		l.Disclosure = &ledger.Disclosure{Office: "o" + s("office"), How: s("how"), Basis: basis, Person: s("person"), Made: when.Draw(t, "made")}
	}
	if flag("signature?") {
		l.Signature = &ledger.Signature{Party: transfer.PartnerID("p" + s("party")), JWS: s("jws")}
	}
}

// Each field of a leaf is in its encoding: one that is forgotten would be lost without a word.
func TestEveryFieldOfALeafComesBack(t *testing.T) {
	full := &ledger.Leaf{Kind: ledger.KindDecision, At: at}
	fill(reflect.ValueOf(full).Elem())
	got, err := ledger.Parse(full.AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, got); diff != "" {
		t.Error(diff)
	}
}

// fill gives every field that has no value one that is not the zero value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			if v.IsZero() {
				v.Set(reflect.ValueOf(at.Add(time.Hour)))
			}
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.String:
		if v.String() == "" {
			v.SetString("word")
		}
	}
}

// A leaf that says nothing new is not a byte longer than before there was anything new to say.
func TestALeafThatSaysNothingNewHoldsNothingNew(t *testing.T) {
	l := released()
	before := l.AppendTo(nil)
	l.Undertaking, l.Exception, l.Demand, l.Secondary, l.Review = &ledger.Undertaking{}, &ledger.Exception{}, &ledger.Demand{}, &ledger.Secondary{}, &ledger.Review{}
	l.Ruling, l.Request, l.Disclosure, l.Signature = &ledger.Ruling{}, &ledger.Request{}, &ledger.Disclosure{}, &ledger.Signature{}
	l.Conditions, l.Obligations, l.Subjects[0].Facts = []ledger.Condition{}, []ledger.Obligation{}, []string{}
	if diff := cmp.Diff(string(before), string(l.AppendTo(nil))); diff != "" {
		t.Error(diff)
	}
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
	for _, v := range leafVectors(t) {
		if v.Expect != "none" {
			continue
		}
		b := v.bytes(t)
		was, err := ledger.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
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
						t.Fatalf("%s, byte %d: error of another kind: %v", v.Name, i, err)
					}
					continue
				}
				if reflect.DeepEqual(l, was) {
					t.Fatalf("%s, byte %d as %q: still the same leaf", v.Name, i, c)
				}
			}
			if _, err := ledger.Parse(b[:i]); err == nil {
				t.Fatalf("%s: the first %d bytes are a leaf", v.Name, i)
			}
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
