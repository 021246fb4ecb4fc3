package contracts_test

import (
	"strings"
	"testing"

	"referralhub/contracts"
)

func TestWhatIsNoticedInNotes(t *testing.T) {
	for want, notes := range map[string][]string{
		"telephone": {
			"Please ring 07700 900417 after six.",
			"mob 07700900417",
			"Mob:07700-900-417, not at weekends",
			"daughter (07700) 900 417",
			"+44 7700 900417",
			"her number is +44 (0)1632 960417 ext 4",
			"0044 1632 960417",
			"00353 20 123 4567",
			"44 1632 960417 (she writes it like that)",
			"44 (0)1632 960417",
			"(0)1632 960417",
			"call (01632) 960417",
			"01632 960 417 or leave a note",
			"01632/960417",
			"020 7946 0018",
			"Son in Cork: +353 20 123 4567",
			"7700 900417 — the spreadsheet ate the nought",
			"07 70 09 00 41 7",
			"ffoniwch 07700 900318 ar ôl pedwar o’r gloch",
			"📞07700 900417 🙂",
			"01632\u00a0960417",
			"On 21/11/2026 she changed to 01632 960418",
			"seen 2026-11-21 01632 960417",
			"3 07700 900417",
			"0800 123456 is the helpline", // whose number it is cannot be seen
			"Ref 0123456780",              // nor what it counts
		},
		"e-mail": {
			"write to jo.quill@example.org",
			"Jo.Quill+carers@mail.example.co.uk.",
			"<llŷr@example.cymru>",
			"jo@exa-mple.org, not the old one",
		},
		"postcode": {
			"She is at SG14 1AX now",
			"sg141ax",
			"moved to (WD3 9ZZ)",
			"🏠SG1 1ZZ",
			"byw yn LL57 2DG",
			"EC1A 1BB",
			"W1A 0AX.",
			"wd3  9zz",
			"lives near b1 1aa, somewhere",
		},
		"street": {
			"staying at 12 Elm Road",
			"12 elm road",
			"118 Quill Lane",
			"12a, Elm Close",
			"Flat 3, 12-14 Elm Rd",
			"12/14 Elm Road",
			"back door of 7 Saint Mary’s Terrace",
			"lives at 12 elm close",
			"now in flat 4 poplar court",
			"8 The Avenue",
			"12 High St, Hertford",
			"Address:12 Long Acre Drive",
			"mae hi yn 4 Heol y Bont",
			"Symudodd i 15 Maes y Coed ddoe",
			"3 Lôn Las",
			"yn 7 stryd fawr; to 7 stryd fawr",
			"🔑 under the pot at 66 Almond Terrace",
			"3 Main Road accidents", // a word too much is looked at by somebody
		},
		"identifier": {
			"NHS 9994100009",
			"nhs number 999 410 0009",
			"999-410-0009",
			"NI QQ 12 34 56 C",
			"QQ123456C",
			"qq123456c",
		},
		"": {
			"",
			"Seen on 21/11/2026 at 14.30, again 02/12/2026.",
			"07-11-2026 1030, 07.11.26 10.30, 01-02-2026 0900",
			"Born 01.02.1951, died 03-04-2019",
			"2026-11-21 0900-1700",
			"07/11/2026 10/30 and 07/11/26 1030",
			"01/02/2026 10:30 and 01.02.26 10.30",
			"01 02 2026 10 30",
			"07 11 2026 10 30",
			"0900 1300 1700",
			"Takes 2 x 500mg paracetamol 4 times a day, B12 1mg, vitamin D 25mcg.",
			"B12 5ml twice a week; BP 120/80, then 118 76 on 3 days",
			"Weight 62.5 kg, 1.62 m; HbA1c 48",
			"999 410 0008 is not a number of the NHS",
			"Ward E2 2nd floor, bed 14",
			"Form QX1 2AB",
			"Ring 999 in an emergency, 111 otherwise, Samaritans 116 123.",
			"3 miles down the road, 10 minutes on the way",
			"a 2 lane road, 1 way street",
			"fell 3 times in the street in 2 weeks",
			"2 sisters live close; 4 people in the house",
			"10 minute walk, 20 minutes drive, a 5 year view",
			"court on 19 November, 20 November Court hearing",
			"£12 High Street vouchers",
			"Section 42 enquiry, Care Act 2014 s.67, Year 8",
			"Caution for affray, 2023; 2 children, 3 dogs and 1 cat",
			"Mae ganddi 3 o blant, a 2 gi. Gwelwyd hi ar 21/11/2026.",
			"os yw hi’n cwympo, fi sy’n gorfod bod yno 🙂",
			"Universal Credit £617.60 from 06/04/2026; saved 1,200",
			"UPRN 100080999066, case CIH/20931, order 1234567890123456789012",
			"@ home, 50 @ 3.20, see you @ 10.30",
			"Carewaves, issue 07 of 2026",
		},
	} {
		for _, note := range notes {
			if got := contracts.Notice(note); got != want {
				t.Errorf("%q: noticed %q, want %q", note, got, want)
			}
		}
	}
}

// FuzzNotice: no text of any kind stops the reader or takes it long, and blanks around a text change nothing.
func FuzzNotice(f *testing.F) {
	for _, note := range []string{"", "07700 900417", "jo@example.org", "SG14 1AX", "12 Elm Road", "0", "+", "@", "£1", "1 \xe2\x80\x99", "(0)", "1-1-1-1", "a1 1aa"} {
		f.Add(note)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := contracts.Notice(" "+text+" "), contracts.Notice(text); got != want {
			t.Errorf("%q: %q, and between blanks %q", text, want, got)
		}
	})
}

func BenchmarkNotice(b *testing.B) {
	for name, text := range map[string]string{
		"story":  strings.Repeat("Siân has had multiple sclerosis since 2019 and uses 2 sticks, or a wheelchair on bad days; some weeks she stays in bed. ", 70),
		"worst":  strings.Repeat("1 ", 4000),
		"worst2": strings.Repeat("12 Elm Tree Oak Ash ", 400),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				contracts.Notice(text)
			}
		})
	}
}
