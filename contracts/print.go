package contracts

import "fmt"

// Whatever prints, logs or encodes what a message says of people gets this instead: a line of a log must not be a disclosure. Format is
// for package fmt, whatever the verb; MarshalText for encoders, those of package slog among them.

// Format prints the contract and the sizes.
func (d *Document) Format(f fmt.State, _ rune) {
	kind := "no contract"
	if d.Contract != nil {
		kind = string(d.Contract.Type)
	}
	fmt.Fprintf(f, "message of %s, %d bytes about %d people", kind, len(d.Body), len(d.Subjects))
}

// MarshalText gives what Format prints.
func (d *Document) MarshalText() ([]byte, error) { return fmt.Append(nil, d), nil }

// Format prints which person of the message it is.
func (s Subject) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s[%d]", s.Role, s.Position) }

// MarshalText gives what Format prints.
func (s Subject) MarshalText() ([]byte, error) { return fmt.Append(nil, s), nil }

// Format prints the scheme.
func (id Identifier) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "some %s", id.Scheme) }

// MarshalText gives what Format prints.
func (id Identifier) MarshalText() ([]byte, error) { return fmt.Append(nil, id), nil }

// Format prints whose consent it is.
func (c Consent) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "consent of %s[%d]", c.Role, c.Position) }

// MarshalText gives what Format prints.
func (c Consent) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }
