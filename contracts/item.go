package contracts

import (
	"math/bits"

	"referralhub/hub/transfer"
)

// MaxItems bounds the items of one contract, so that a set of them is a value: no allocation, comparable, cheap to intersect.
const MaxItems = 256

// Category is what kind of data an item is. Consent may be given for some categories and not for others.
type Category string

// Item is a named field of a contract, as its schema marks it.
type Item struct {
	Index      int           // its bit in an ItemSet
	Name       string        // dotted path without array positions: "carer.name.family", "cared_for.condition"
	Title      string        // what people call it: "Family name"
	Role       transfer.Role // whom it is about
	Category   Category
	Special    bool   // special-category data, Art 9(1) UK GDPR
	Offence    bool   // criminal-offence data, Art 10 UK GDPR
	FreeText   bool   // people write what they like here
	Identifier string // the scheme, when the item is a number by which somebody knows the person: "nhs-number"
	Fact       string // the name under which its value is a fact that decisions turn on: "capacity"; empty for other items
	Attachment bool   // documents as somebody wrote them: nobody knows what they say without reading them
	Directive  bool   // tells the recipient how to treat the rest ("safe to contact?"); carried whenever its subject is
}

// ItemSet is a set of the items of one contract.
type ItemSet [MaxItems / 64]uint64

// With returns s and item i.
func (s ItemSet) With(i int) ItemSet { s[i/64] |= 1 << (i % 64); return s }

// Has reports whether item i is in s.
func (s ItemSet) Has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// And returns what is in both.
func (s ItemSet) And(t ItemSet) ItemSet {
	for i := range s {
		s[i] &= t[i]
	}
	return s
}

// Or returns what is in either.
func (s ItemSet) Or(t ItemSet) ItemSet {
	for i := range s {
		s[i] |= t[i]
	}
	return s
}

// Minus returns what is in s and not in t.
func (s ItemSet) Minus(t ItemSet) ItemSet {
	for i := range s {
		s[i] &^= t[i]
	}
	return s
}

// Empty reports whether s holds nothing.
func (s ItemSet) Empty() bool { return s == ItemSet{} }

// Len counts the items in s.
func (s ItemSet) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// All yields the indexes in s, ascending.
func (s ItemSet) All() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for w, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(w*64 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}
