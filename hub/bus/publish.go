package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"referralhub/hub/transfer"
)

// stallWait is how long one wait for room in the window lasts before ctx is looked at again.
const stallWait = 250 * time.Millisecond

// Publish hands messages to JetStream without waiting for its answers. When the window is full it waits for room: that is
// back-pressure and not an error. It returns an error for ids that cannot be a subject, when ctx ends, and when the bus is
// closed; messages before the one that failed are on their way. What JetStream does not take is reported to Config.Lost.
func (b *Bus) Publish(ctx context.Context, messages []Message) error {
	for _, m := range messages {
		msg, err := m.encode()
		if err != nil {
			return err
		}
		for {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("publish transfer %s: %w", m.Transfer, err)
			}
			_, err := b.js.PublishMsgAsync(msg, jetstream.WithStallWait(stallWait))
			if errors.Is(err, jetstream.ErrTooManyStalledMsgs) {
				continue
			}
			if err != nil {
				return fmt.Errorf("publish transfer %s: %w", m.Transfer, err)
			}
			break
		}
	}
	return nil
}

func (b *Bus) onAck(_ jetstream.JetStream, _ *nats.Msg, ack *jetstream.PubAck) {
	if ack.Duplicate {
		b.known.Add(1)
		return
	}
	b.published.Add(1)
}

func (b *Bus) onLost(_ jetstream.JetStream, msg *nats.Msg, err error) {
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		b.known.Add(1) // the queue has a message about this transfer
		return
	}
	b.lost.Add(1)
	if b.embedded != nil && errors.Is(err, jetstream.ErrAsyncPublishTimeout) && b.mending.CompareAndSwap(false, true) {
		go b.mend()
	}
	m, _ := decode(msg.Subject, msg.Data) // for the report only
	b.cfg.Lost(m, err)
}

// mend throws away a stream that answers nobody. A NATS server that met a full disk goes on refusing to write to the stream when there is
// room again (nats-server 2.15: "critical write error"), and says nothing to those who publish. Consumers find the stream gone and make
// it again, now or when there is room, and the outbox fills it.
func (b *Bus) mend() {
	defer b.mending.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := b.js.DeleteStream(ctx, Stream)
	if err == nil {
		err = b.remakeStream(ctx)
	}
	b.cfg.Log.Warn("the queue took nothing and was made again; the outbox has what was in it", "err", err)
}

// encode makes the NATS message. Its id lets JetStream drop what was handled within the last two minutes, and the expected
// sequence of its subject, none, lets it refuse what still waits from longer ago.
func (m Message) encode() (*nats.Msg, error) {
	if err := checkToken(string(m.Recipient)); err != nil {
		return nil, fmt.Errorf("publish to recipient: %w", err)
	}
	if err := checkToken(string(m.Transfer)); err != nil {
		return nil, fmt.Errorf("publish transfer: %w", err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("publish transfer %s: %w", m.Transfer, err)
	}
	return &nats.Msg{
		Subject: deliverSubject + string(m.Recipient) + "." + string(m.Transfer),
		Header: nats.Header{
			jetstream.MsgIDHeader:               {string(m.Transfer) + "." + strconv.Itoa(m.Attempt)},
			jetstream.ExpectedLastSubjSeqHeader: {"0"},
		},
		Data: body,
	}, nil
}

func decode(subject string, body []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		return Message{}, fmt.Errorf("read a message of %s: %w", Stream, err)
	}
	recipient, id, ok := strings.Cut(strings.TrimPrefix(subject, deliverSubject), ".")
	if !ok || id != string(m.Transfer) || m.Attempt < 0 {
		return Message{}, fmt.Errorf("read a message of %s: its subject and its body differ", Stream)
	}
	m.Recipient = transfer.PartnerID(recipient)
	return m, nil
}
