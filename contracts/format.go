package contracts

import (
	"bytes"
	"net/url"
	"strings"
)

// format is a rule about strings that a schema asks for by name.
type format struct {
	name   string
	rule   string // of the fault
	detail string
	remedy string
	valid  func(text []byte) bool
	// implies is a pattern that every valid text matches, so that a schema which gives both, for validators that do not know the format, is
	// not slower for it.
	implies string
}

// formatNamed finds a format, and nil for one that is left to the library.
func formatNamed(name string) *format {
	switch name {
	case "date":
		return &format{name, "format", "is not a date that exists", `write it as YYYY-MM-DD, like "1984-03-21"`, validDate, ""}
	case "date-time":
		return &format{name, "format", "is not an instant as RFC 3339 writes it",
			`write it with a time zone, like "2026-03-21T09:30:00Z"`, validDateTime, ""}
	case "partial-date":
		return &format{name, "format", "is not a year, a month or a date that exists",
			`write as much as is known: "1984", "1984-03" or "1984-03-21"`, validPartialDate,
			"^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$"}
	case "email":
		return &format{name, "format", "is not an e-mail address", "write one address, without a name around it", validEmail, ""}
	case "uri":
		return &format{name, "format", "is not an absolute URI", `write it in full, like "https://example.org/notice"`, validURI, ""}
	case "uuid":
		return &format{name, "format", "is not a UUID", "write 32 hexadecimal digits in groups of 8-4-4-4-12", validUUID, ""}
	case "base64":
		return &format{name, "format", "is not base64 (RFC 4648 section 4)", "encode the document with a library, with padding and without line breaks", validBase64, ""}
	case "nhs-number":
		return &format{name, "check-digit", "is not an NHS number: it has not ten digits, or the check digit is wrong",
			"write ten digits without spaces and compare them with the person's letter or card, or leave the item out", validNHSNumber,
			"^[0-9]{10}$"}
	}
	return nil
}

// ValidNHSNumber reports whether text is ten digits of which the last is the modulus-11 check digit of the others, weighted 10
// to 2 (NHS Data Dictionary, NHS NUMBER). Ten times the same digit is refused although 9999999999 passes the sum.
func ValidNHSNumber(text string) bool { return validNHSNumber([]byte(text)) }

func validNHSNumber(text []byte) bool {
	if len(text) != 10 || bytes.Count(text, text[:1]) == 10 {
		return false
	}
	sum := 0
	for i, c := range text {
		if !isDigit(c) {
			return false
		}
		if i < 9 {
			sum += int(c-'0') * (10 - i)
		}
	}
	check := (11 - sum%11) % 11
	return check == int(text[9]-'0') // a check of 10 equals no digit
}

func validDate(text []byte) bool { return len(text) == 10 && validPartialDate(text) }

func validPartialDate(text []byte) bool {
	year, ok := digits(text, 0, 4)
	if !ok || len(text) == 4 {
		return ok
	}
	month, ok := digits(text, 5, 7)
	if !ok || text[4] != '-' || month < 1 || month > 12 || len(text) == 7 {
		return ok && text[4] == '-' && month >= 1 && month <= 12
	}
	day, ok := digits(text, 8, 10)
	return ok && len(text) == 10 && text[7] == '-' && day >= 1 && day <= daysIn(year, month)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func digits(text []byte, from, to int) (n int, ok bool) {
	if len(text) < to {
		return 0, false
	}
	for _, c := range text[from:to] {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// validDateTime accepts what time.Time can hold: RFC 3339 with capital T and Z, no leap second and at most nanoseconds.
func validDateTime(text []byte) bool {
	if len(text) < len("2006-01-02T15:04:05Z") || !validDate(text[:10]) || text[10] != 'T' {
		return false
	}
	second, ok := digits(text, 17, 19)
	if !ok || second > 59 || text[16] != ':' || !validClock(text[11:16]) {
		return false
	}
	zone := text[19:]
	if zone[0] == '.' {
		end := 1
		for end < len(zone) && isDigit(zone[end]) {
			end++
		}
		if end == 1 || end > 10 {
			return false
		}
		zone = zone[end:]
	}
	if len(zone) == 6 && (zone[0] == '+' || zone[0] == '-') {
		return validClock(zone[1:])
	}
	return string(zone) == "Z"
}

// validClock accepts "15:04".
func validClock(text []byte) bool {
	hour, okHour := digits(text, 0, 2)
	minute, okMinute := digits(text, 3, 5)
	return okHour && okMinute && text[2] == ':' && hour < 24 && minute < 60
}

// validEmail accepts an address of RFC 5321 without quoted local parts and address literals, which no partner uses.
func validEmail(text []byte) bool {
	at := bytes.LastIndexByte(text, '@')
	if at < 1 || at > 64 || len(text) > 254 {
		return false
	}
	local, domain := text[:at], text[at+1:]
	if local[0] == '.' || local[at-1] == '.' || bytes.Contains(local, []byte("..")) {
		return false
	}
	for _, c := range local {
		if !isAlphanumeric(c) && strings.IndexByte(".!#$%&'*+-/=?^_`{|}~", c) < 0 {
			return false
		}
	}
	labels := 0
	for label := range bytes.SplitSeq(domain, []byte(".")) {
		if labels++; len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			if !isAlphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return labels > 1
}

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// validURI accepts an absolute URI in the characters of RFC 3986, without address literals.
func validURI(text []byte) bool {
	for _, c := range text {
		if !isAlphanumeric(c) && strings.IndexByte("-._~:/?#@!$&'()*+,;=%", c) < 0 {
			return false
		}
	}
	u, err := url.Parse(string(text))
	return err == nil && u.IsAbs() && strings.Count(u.Host, ":") < 2
}

func validUUID(text []byte) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range text {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
	}
	return true
}

// validBase64 accepts the standard alphabet with its padding. The bits that the padding leaves over are not looked at.
func validBase64(text []byte) bool {
	digits := bytes.TrimRight(text, "=")
	if len(text)%4 != 0 || len(text)-len(digits) > 2 {
		return false
	}
	for _, c := range digits {
		if !isAlphanumeric(c) && c != '+' && c != '/' {
			return false
		}
	}
	return true
}
