package consent

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Parse reads a consent event: a message that the consent contract has accepted, an entry of a message's consents, or an event
// that was stored with encoding/json. Unknown and repeated members are errors. Times come out in UTC and whole
// microseconds, as the log keeps them: a decision can be made again on exactly what it was made on.
//
// Subject is not read: whom an event is about is for the caller to work out from the message around it. Nor may a caller
// believe the RecordedBy of an event that arrives from outside: the partner that sends an event recorded it.
func Parse(body []byte) (Event, error) {
	var wire struct {
		Event
		// Of the message around the event, and not of the event.
		Contract  jsontext.Value `json:"contract"`
		MessageID jsontext.Value `json:"message_id"`
		About     jsontext.Value `json:"subject"`
	}
	if err := json.Unmarshal(body, &wire, json.RejectUnknownMembers(true)); err != nil {
		// The library's error may quote what the event says about a person.
		return Event{}, errors.New("read consent event: not as the consent contract describes it")
	}
	e := wire.Event
	switch e.State {
	case Requested, Deferred, Given, Renewed, Refused, Withdrawn, Expired, Invalidated, Objected, Restricted, RestrictionLifted:
	default:
		return Event{}, errors.New("read consent event: its state is none that a consent can have")
	}
	if e.At.IsZero() {
		return Event{}, errors.New("read consent event: it does not say when it happened")
	}
	e.At, e.ExpiresAt = e.At.UTC().Truncate(time.Microsecond), e.ExpiresAt.UTC().Truncate(time.Microsecond)
	return e, nil
}
