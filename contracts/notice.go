package contracts

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What somebody types into notes leaves by every clause that lets notes leave, whatever becomes of the items for addresses and numbers. So
// free text is looked through for what would tell a reader where somebody is, how to reach them or which person it is:
//
//   - an e-mail address;
//   - a postcode of the United Kingdom, whole;
//   - a telephone number of ten or eleven digits, or with a country code, in the ways people write them;
//   - a number and the name of a street, English or Welsh: "12 Elm Road", "4 Heol y Bont";
//   - an NHS number or a National Insurance number, which identify the person although they lead nowhere.
//
// It is a net and no proof. It catches a reference that happens to have the form of a telephone number, for somebody to look at; it misses a
// house that has a name and no number, numbers in words, and what is inside a document. Dates, times, doses, measures and counts pass.
//
// It is not done with a library: the port of libphonenumber cannot search a text, calls the numbers kept for drama invalid, and would add
// seven megabytes to the hub. Nor with regular expressions, which take many times longer over a page of notes than reading the message does:
// nothing here begins without a digit or an at sign, and from there on a few words are read and no more.

// notable is what was noticed.
type notable uint8

const (
	nothing notable = iota
	emailAddress
	postcode
	phoneNumber
	street
	identifier
)

// begins says of each byte whether anything notable can begin there, as far as notice looks for it.
var begins = [256]bool{'@': true, '0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true}

// notice finds the first notable thing in a text.
func notice(text []byte) notable {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !begins[c] {
			continue
		}
		switch {
		case c == '@':
			if isEmail(text, i) {
				return emailAddress
			}
		case isPostcode(text, i):
			return postcode
		case isNINumber(text, i):
			return identifier
		case isStreet(text, i):
			return street
		default:
			found, end := number(text, i)
			if found != nothing {
				return found
			}
			i = end - 1
		}
	}
	return nothing
}

// isEmail reports whether the at sign at i stands in an e-mail address.
func isEmail(text []byte, i int) bool {
	if i == 0 || !wordBefore(text, i) && strings.IndexByte("._%+-", text[i-1]) < 0 {
		return false
	}
	domain := text[i+1:]
	end := bytes.IndexFunc(domain, func(c rune) bool { return c < utf8.RuneSelf && !isAlphanumeric(byte(c)) && c != '-' && c != '.' })
	if end >= 0 {
		domain = domain[:end]
	}
	domain = bytes.TrimRight(domain, ".-")
	dot := bytes.LastIndexByte(domain, '.')
	return dot > 0 && len(domain)-dot > 2 && !isDigit(domain[dot+1])
}

// postAreas are the letters with which postcodes begin (Royal Mail).
var postAreas = words(`ab al b ba bb bd bh bl bn br bs bt ca cb cf ch cm co cr ct cv cw da dd de dg dh dl dn dt dy e ec eh en ex fk fy g gl
	gu gy ha hd hg hp hr hs hu hx ig im ip iv je ka kt kw ky l la ld le ll ln ls lu m me mk ml n ne ng nn np nr nw ol ox pa pe ph pl po pr rg
	rh rm s sa se sg sk sl sm sn so sp sr ss st sw sy ta td tf tn tq tr ts tw ub w wa wc wd wf wn wr ws wv yo ze`)

// isPostcode reports whether the digit at i is the first of a whole postcode, in any spelling: "SG14 1AX", "sg141ax".
func isPostcode(text []byte, i int) bool {
	start := i
	for start > 0 && i-start < 3 && isASCIILetter(text[start-1]) {
		start--
	}
	if start == i || i-start > 2 || wordBefore(text, start) || !postAreas.has(text[start:i]) {
		return false
	}
	return isInward(text, i+1) || i+1 < len(text) && isAlphanumeric(text[i+1]) && isInward(text, i+2)
}

// isInward reports whether the second half of a postcode stands at i, after a blank or two: a digit and two letters, of which some are never
// used. What is left of doses and ordinals ("N3 2nd floor", "E4 6hr") is no postcode either.
func isInward(text []byte, i int) bool {
	i = skipBlanks(text, i, 2)
	if len(text) < i+3 || !isDigit(text[i]) || wordAfter(text, i+3) {
		return false
	}
	for _, c := range text[i+1 : i+3] {
		if !isASCIILetter(c) || strings.IndexByte("cikmov", c|0x20) >= 0 {
			return false
		}
	}
	switch string(text[i+1 : i+3]) {
	case "st", "nd", "rd", "th", "hr", "yr", "ft", "lb", "pt":
		return false
	}
	return true
}

// isNINumber reports whether the digit at i is the first of a National Insurance number: "QQ 12 34 56 C".
func isNINumber(text []byte, i int) bool {
	start := i
	if i > 2 && text[i-1] == ' ' && text[i-2] <= 'Z' && text[i-3] <= 'Z' { // two small letters and a blank are a word
		start--
	}
	if start < 2 || !isASCIILetter(text[start-1]) || !isASCIILetter(text[start-2]) || wordBefore(text, start-2) {
		return false
	}
	for n := range 6 {
		if n > 0 {
			i = skipBlanks(text, i, 1)
		}
		if i >= len(text) || !isDigit(text[i]) {
			return false
		}
		i++
	}
	i = skipBlanks(text, i, 1)
	return i < len(text) && strings.IndexByte("abcd", text[i]|0x20) >= 0 && !wordAfter(text, i+1)
}

const maxDigits = 15 // of a telephone number, ITU-T E.164

// number reads the groups of digits from i on, as far as they may be one number, and says what it is. end is where the search goes on.
func number(text []byte, i int) (found notable, end int) {
	n := phone{plus: i > 0 && text[i-1] == '+', bracket: i > 0 && text[i-1] == '('}
	for {
		for i < len(text) && isDigit(text[i]) {
			if n.count < len(n.digits) {
				n.digits[n.count] = text[i]
			}
			n.count++
			i++
		}
		n.groups++
		switch {
		case n.groups == 1:
			n.first, end = n.count, i
		case n.groups == 2:
			n.second = n.count
		}
		if n.count > maxDigits {
			return nothing, end
		}
		switch {
		case n.isNHSNumber():
			return identifier, end
		case n.isPhone():
			return phoneNumber, end
		}
		if i = nextGroup(text, i); i < 0 {
			return nothing, end
		}
	}
}

// phone is what has been read of a number.
type phone struct {
	digits        [maxDigits]byte
	count         int // of digits
	groups        int
	first, second int  // digits up to the end of the first and of the second group
	plus, bracket bool // what stands before it
}

// isNHSNumber: ten digits, at once or as 3-3-4, of which the last checks the others.
func (n *phone) isNHSNumber() bool {
	return n.count == 10 && (n.groups == 1 || n.groups == 3 && n.first == 3 && n.second == 6) && validNHSNumber(n.digits[:10])
}

// isPhone: the lengths and first digits are those of Ofcom's numbering plan. An area code has three digits or more, so that a number does not
// begin with a day of the month; 07 alone may be all of the first group.
func (n *phone) isPhone() bool {
	d := n.digits[:n.count]
	if n.count < 10 {
		return false
	}
	switch {
	case n.plus:
		return true
	case d[0] == '0' && d[1] == '0':
		return n.count > 11 && d[2] != '0'
	case d[0] == '0':
		code := n.first > 2 || n.first == 1 && n.bracket || n.first == 2 && d[1] == '7' && n.count == 11
		short := d[1] == '1' || d[1] == '8' || d[1] == '5' // some numbers have a digit less
		return code && d[1] != '4' && d[1] != '6' && (n.count == 11 || n.count == 10 && short)
	case d[0] == '4' && d[1] == '4': // the plus was forgotten
		return n.count == 12 && d[2] != '0' || n.count == 13 && d[2] == '0'
	}
	return d[0] == '7' && d[1] != '0' && n.count == 10 && (n.first == 4 || n.first == 10) // a spreadsheet took the 0 away
}

// nextGroup is where the next digits of a number stand, over up to three of the signs that people put between them; -1 when something else
// comes.
func nextGroup(text []byte, i int) int {
	for signs := 0; i < len(text) && signs < 4; signs++ {
		c, size := utf8.DecodeRune(text[i:])
		switch c {
		case ' ', '\t', '-', '.', '/', '(', ')', '\u00a0', '\u2009', '\u2010', '\u2011', '\u2013':
			i += size
		default:
			if isDigit(text[i]) {
				return i
			}
			return -1
		}
	}
	return -1
}

// Words of streets. The first are hardly ever anything else; the others are, so that they count only with capitals, or after a word that
// leads to an address. In Welsh the word comes first.
var (
	streetWords = words(`road rd street avenue ave lane crescent cres terrace gardens gdns mews boulevard grove`)
	maybeStreet = words(`st close drive dr court ct way place pl park parade row walk hill view rise square sq green bank house houses tower
		lodge heights mansions buildings cottages villas yard mount vale chase croft quay wharf field fields meadow meadows orchard path heath
		circus brae wynd loan gate`)
	welshStreet = words(`heol hewl ffordd stryd lôn lon rhodfa maes clos cwrt cilgant teras rhes llys gerddi`)
	leadsTo     = words(`at address flat number no to into opposite`)
	// What stands in small letters between a count and a street that is no address: "3 miles down the road", "a 2 lane road".
	betweenOnly = words(`the our my her his their your its this that these a an in on down up off across over from along of to and or with for at
		is was are by near same other way lane minute minutes min mins hour hours hr hrs day days week weeks month months year years mile miles
		metre metres yards km time times mg ml am pm people children carers visits`)
	months = words(`january february march april june july august september october november december jan feb mar apr jun jul aug sep sept oct
		nov dec`)
)

// isStreet reports whether the digit at i begins the number of a house in a street: "12 Elm Road", "12a, Elm Road", "12-14 elm rd".
func isStreet(text []byte, i int) bool {
	if wordBefore(text, i) || bytes.HasSuffix(text[:i], []byte("£")) || i > 1 && isDigit(text[i-2]) && strings.IndexByte(".,:/", text[i-1]) >= 0 {
		return false
	}
	at := houseNumber(text, i)
	if at < 0 {
		return false
	}
	introduced := leadsTo.has(lastWord(text[:i]))
	capital := false // the word before begins with one
	for count := 1; count <= 4; count++ {
		word := firstWord(text[at:])
		if len(word) == 0 {
			return false
		}
		upper := isCapital(word)
		switch {
		case count == 1:
			if welshStreet.has(word) && (upper || introduced) {
				return true
			}
		case streetWords.has(word), maybeStreet.has(word) && (upper && capital || introduced):
			return true
		}
		theOnly := count == 1 && string(word) == "the" // 8 the avenue
		if months.has(word) || !upper && !theOnly && betweenOnly.has(word) {
			return false
		}
		capital = upper
		end := at + len(word)
		if at = skipBlanks(text, end, 2); at == end {
			return false
		}
	}
	return false
}

// houseNumber is where the name of the street would begin, -1 when what stands at i is no number of a house.
func houseNumber(text []byte, i int) int {
	at := i
	for at < len(text) && isDigit(text[at]) {
		at++
	}
	switch {
	case at-i > 4:
		return -1
	case at+1 < len(text) && (text[at] == '-' || text[at] == '/') && isDigit(text[at+1]): // 12-14
		for at++; at < len(text) && isDigit(text[at]); {
			at++
		}
	case at < len(text) && isASCIILetter(text[at]) && !wordAfter(text, at+1): // 12a
		at++
	}
	sign := at
	if at < len(text) && text[at] == ',' {
		at++
	}
	if at = skipBlanks(text, at, 2); at == sign {
		return -1
	}
	return at
}

// skipBlanks is where the text goes on after i and up to so many blanks.
func skipBlanks(text []byte, i, most int) int {
	for ; most > 0 && i < len(text); most-- {
		c, size := utf8.DecodeRune(text[i:])
		if c != ' ' && c != '\t' && c != '\u00a0' {
			break
		}
		i += size
	}
	return i
}

const longestWord = 24 // bytes; a word that is longer is none of those listed here

// firstWord is the word that the text begins with.
func firstWord(text []byte) []byte {
	end := 0
	for end < min(len(text), longestWord) {
		c, size := utf8.DecodeRune(text[end:])
		if !unicode.IsLetter(c) && c != '\'' && c != '’' && c != '-' {
			break
		}
		end += size
	}
	return text[:end]
}

// lastWord is the word that the text ends with, before a sign and a blank.
func lastWord(text []byte) []byte {
	text = bytes.TrimRight(text[max(0, len(text)-2*longestWord):], " :,.")
	start := len(text)
	for start > 0 && len(text)-start < longestWord {
		c, size := utf8.DecodeLastRune(text[:start])
		if !unicode.IsLetter(c) {
			break
		}
		start -= size
	}
	return text[start:]
}

// wordBefore reports whether a letter or a digit stands before i, wordAfter whether one stands at i.
func wordBefore(text []byte, i int) bool { return isWord(utf8.DecodeLastRune(text[:i])) }
func wordAfter(text []byte, i int) bool  { return isWord(utf8.DecodeRune(text[i:])) }

func isWord(c rune, _ int) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

func isCapital(word []byte) bool {
	c, _ := utf8.DecodeRune(word)
	return unicode.IsUpper(c)
}

// wordSet is a set of words in small letters.
type wordSet map[string]bool

func words(list string) wordSet {
	set := wordSet{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}

// has looks a word up, whatever its case.
func (s wordSet) has(word []byte) bool {
	var small [longestWord]byte
	n := copy(small[:], word)
	for i, c := range small[:n] {
		if c >= 'A' && c <= 'Z' {
			small[i] = c | 0x20
		}
	}
	return n == len(word) && s[string(small[:n])]
}

func isASCIILetter(c byte) bool { return isAlphanumeric(c) && !isDigit(c) }
