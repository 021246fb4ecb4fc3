package bus

import "github.com/nats-io/nats.go/jetstream"

// JetStream lets tests look at the stream, and break it.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }
