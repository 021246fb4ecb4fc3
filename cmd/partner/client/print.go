package client

import (
	"fmt"
	"log/slog"
)

// Format prints ids, whatever the verb: what was disclosed to us must not be disclosed again by a line of a log.
func (d Disclosure) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "disclosure of transfer %s from %s", d.TransferID, d.Sender)
}

// LogValue logs ids alone.
func (d Disclosure) LogValue() slog.Value {
	return slog.GroupValue(slog.String("transfer_id", string(d.TransferID)), slog.String("sender", string(d.Sender)))
}
