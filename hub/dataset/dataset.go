// Package dataset cuts a message down to what a decision permits. What it makes is what a recipient gets, so that
//
//   - a dataset MUST hold no byte of a value that was not permitted;
//   - a value that is to be reduced and cannot be MUST NOT go unreduced: the whole cut fails;
//   - a dataset is a document of its contract, less what is required, and Contract.ParseDataset reads it again.
package dataset

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"referralhub/contracts"
)

// Part says what may go about one subject of a document, in the order of Document.Subjects.
type Part struct {
	Items     contracts.ItemSet
	Transform map[int]contracts.Transform
	Pseudonym func(scheme, value string) string // for contracts.Pseudonymise; nil when the flow asks for none
	Figures   Figures                           // for contracts.SmallNumbers
}

// ErrTransform is why a value could not be reduced as the agreement says, and therefore was not sent.
var ErrTransform = errors.New("value cannot be reduced as the agreement says")

// Cut returns the document with only the permitted items, as JSON in the sender's order and spelling. The consents,
// undertaking and routing of the envelope are not part of a dataset, and a subject of whom nothing is permitted leaves no
// trace, so that positions close up. An error wraps ErrTransform, or says that parts are not those of the document.
//
// Cutting a dataset again with the same parts changes nothing, except that Pseudonymise makes a pseudonym of the pseudonym.
func Cut(doc *contracts.Document, parts []Part) ([]byte, error) {
	if len(parts) != len(doc.Subjects) {
		return nil, fmt.Errorf("cut message: %d parts for %d subjects", len(parts), len(doc.Subjects))
	}
	var scratch []byte
	keep := func(subject, item int, value []byte) ([]byte, error) {
		part := &parts[subject]
		if !part.Items.Has(item) {
			return nil, nil
		}
		transform, reduced := part.Transform[item]
		if !reduced {
			return value, nil
		}
		var err error
		scratch, err = appendTransformed(scratch[:0], transform, doc.Contract.Items[item], part, value)
		return scratch, err
	}
	return doc.AppendOnly(make([]byte, 0, len(doc.Body)), keep)
}

// appendTransformed appends, as JSON, what shall stand in place of value.
func appendTransformed(dst []byte, t contracts.Transform, item contracts.Item, part *Part, value []byte) ([]byte, error) {
	if t == contracts.SmallNumbers {
		return appendBlurred(dst, part.Figures, value)
	}
	if jsontext.Value(value).Kind() != '"' {
		return nil, fmt.Errorf("%s: not a string: %w", t, ErrTransform)
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, ErrTransform)
	}
	var less string
	switch t {
	case contracts.YearOnly:
		less = year(text)
	case contracts.OutwardPostcode:
		less = outward(text)
	case contracts.Pseudonymise:
		if part.Pseudonym != nil && item.Identifier != "" {
			less = part.Pseudonym(item.Identifier, string(text))
		}
	}
	if less == "" {
		return nil, fmt.Errorf("%s: %w", t, ErrTransform)
	}
	return jsontext.AppendQuote(dst, less)
}

// year is the year of "2011", "2011-04" or "2011-04-02".
func year(date []byte) string {
	if len(date) < 4 || len(date) > 4 && date[4] != '-' {
		return ""
	}
	for _, c := range date[:4] {
		if !isDigit(c) {
			return ""
		}
	}
	return string(date[:4])
}

// outward is the first half of a postcode, which names a town or a part of one. The second half is always a digit and two
// letters; a first half alone stays as it is.
func outward(postcode []byte) string {
	code := bytes.ReplaceAll(bytes.ToUpper(postcode), []byte(" "), nil)
	if n := len(code); n >= 5 && n <= 7 && isDigit(code[n-3]) && isLetter(code[n-2]) && isLetter(code[n-1]) {
		code = code[:n-3]
	}
	if len(code) < 2 || len(code) > 4 || !isLetter(code[0]) {
		return ""
	}
	hasDigit := false
	for _, c := range code {
		if !isDigit(c) && !isLetter(c) {
			return ""
		}
		hasDigit = hasDigit || isDigit(c)
	}
	if !hasDigit {
		return ""
	}
	return string(code)
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'A' <= c && c <= 'Z' }
