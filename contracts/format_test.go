package contracts_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"referralhub/contracts"
)

func TestNHSNumbers(t *testing.T) {
	for text, want := range map[string]bool{
		"9994100009": true, "9994100378": true, "9434765919": true, "9434765918": false,
		"9999999999": false, "0000000000": false, "1111111111": false, // all-same digits, some of which pass the sum
		"999410000": false, "99941000090": false, "999410000X": false, "": false, "٩٩٩٤١٠٠٠٠٩": false,
	} {
		if got := contracts.ValidNHSNumber(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	// For nine digits there is at most one check digit, and one in eleven has none.
	without := 0
	for n := 999410000; n < 999411100; n++ {
		count := 0
		for digit := range 10 {
			if contracts.ValidNHSNumber(strconv.Itoa(n) + strconv.Itoa(digit)) {
				count++
			}
		}
		if count > 1 {
			t.Fatalf("%d has %d check digits", n, count)
		}
		without += 1 - count
	}
	if without != 100 {
		t.Errorf("%d of 1100 have no check digit, want 100", without)
	}
}

func withFormat(t testing.TB, name string) (*contracts.Contract, []byte) {
	t.Helper()
	schema := fmt.Appendf(nil, `{"type": "string", "format": %q}`, name)
	c, err := contracts.Compile(schema)
	if err != nil {
		t.Fatal(err)
	}
	return c, schema
}

func TestFormats(t *testing.T) {
	tests := []struct{ format, good, bad string }{
		{"date", "2024-02-29 2000-02-29 1999-12-31 0001-01-01", "2023-02-29 1900-02-29 2024-13-01 2024-00-01 2024-04-31 2024-4-1 2024 2024-04 24-04-01 2024/04/01 2024-04-011"},
		{"partial-date", "1984 1984-03 1984-03-21 2024-02-29", "84 198 19845 1984-13 1984-00 1984-3 1984-03-00 1984-02-30 1984/03 1984-03-2 1984-03/21 1984- c1984"},
		{"date-time", "2026-03-21T09:30:00Z 2026-03-21T09:30:00.123456+01:00 2026-12-31T23:59:59-23:59", "2026-03-21 2026-03-21T09:30Z 2026-03-21T09:30:00 2026-02-30T09:30:00Z 2026-03-21T25:00:00Z 2026-03-21t09:30:00z 2026-03-21T9:30:00Z 2026-03-21T09:30:60Z 2026-03-21T09:30:00.Z 2026-03-21T09:30:00+0100 2026-03-21T09:30:00+24:00 2026-03-21T09:30:00,5Z 2026-03-21T09:30:00.0123456789Z 2026-03-21T09-30:00Z"},
		{"email", "mo@example.org m.o+x@a-b.example.org", "mo mo@ @example.org mo@@example.org .mo@example.org mo.@example.org m..o@example.org mo@-a.org mo@a..org mo@localhost Mo<mo@example.org>"},
		{"uri", "https://example.org/a?b=c#d urn:uuid:1 mailto:a@example.org", "example.org /a https://[::1]/ http://a|b"},
		{"uuid", "5f0c1c62-7f0e-4a5f-9b1e-0d4c3a6be101 5F0C1C62-7F0E-4A5F-9B1E-0D4C3A6BE101", "5f0c1c62 5f0c1c627f0e4a5f9b1e0d4c3a6be101 5f0c1c62-7f0e-4a5f-9b1e-0d4c3a6be10g"},
	}
	for _, test := range tests {
		c, _ := withFormat(t, test.format)
		for text := range strings.FieldsSeq(test.good) {
			if _, err := c.Parse([]byte(strconv.Quote(text))); err != nil {
				t.Errorf("%s refuses %s", test.format, text)
			}
		}
		for text := range strings.FieldsSeq(test.bad) {
			if _, err := c.Parse([]byte(strconv.Quote(text))); err == nil {
				t.Errorf("%s accepts %s", test.format, text)
			}
		}
	}
}

// FuzzFormat holds our formats against the general validator's: ours may be stricter where Parse says so, and never laxer.
func FuzzFormat(f *testing.F) {
	for _, text := range []string{"2024-02-29", "2026-03-21T09:30:00Z", "a@b.org", "https://example.org", "5f0c1c62-7f0e-4a5f-9b1e-0d4c3a6be101", "http://::1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, exact := range map[string]bool{"date": true, "uuid": true, "date-time": false, "email": false, "uri": false} {
			c, schema := withFormat(t, name)
			library, err := contracts.CompileLibrary(schema)
			if err != nil {
				t.Fatal(err)
			}
			quoted, ok := quote(text)
			if !ok {
				return
			}
			_, ours := c.Parse(quoted)
			theirs := library.Validate(text)
			if ours == nil && theirs != nil {
				t.Errorf("%s: we accept %q: %v", name, text, theirs)
			}
			if exact && ours != nil && theirs == nil {
				t.Errorf("%s: we refuse %q: %v", name, text, ours)
			}
		}
	})
}
