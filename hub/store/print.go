package store

import "fmt"

// Format prints the transfer alone, whatever the verb: the nonce is a key, and the rest says nothing.
func (p Payload) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "payload of transfer %s", p.Transfer) }

// MarshalText gives what Format prints, to encoders and so to package slog.
func (p Payload) MarshalText() ([]byte, error) { return fmt.Append(nil, p), nil }
