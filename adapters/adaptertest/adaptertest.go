// Package adaptertest holds every adapter to the same promises: what is given arrives once and whole, a repetition is known by its
// key, each way of a receiver to behave has its outcome, and nothing secret is in what is said about it.
package adaptertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"referralhub/hub/delivery"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/transfer"
)

// Behaviour is how the receiver behind an adapter behaves.
type Behaviour string

// The behaviours. Every protocol knows Accepts; the others it knows as far as it can tell them apart.
const (
	Accepts  Behaviour = "accepts"
	Refuses  Behaviour = "refuses"  // says that it will not take this one
	Gone     Behaviour = "gone"     // says that it will never take any
	Busy     Behaviour = "busy"     // says to come back after BusyFor
	Broken   Behaviour = "broken"   // says that something is wrong on its side
	Hangs    Behaviour = "hangs"    // says nothing until the test is over
	Babbles  Behaviour = "babbles"  // accepts, and does not stop talking
	Stranger Behaviour = "stranger" // cannot prove who it is
	Absent   Behaviour = "absent"   // nobody is there
)

// BusyFor is what a Busy receiver asks for.
const BusyFor = 90 * time.Second

// Arrival is one thing that a receiver was handed. Key is the id by which it knows a repetition.
type Arrival struct {
	Key  string
	Body []byte
}

// Receiver is a receiver and the adapter that reaches it.
type Receiver struct {
	Adapter delivery.Adapter
	To      transfer.Partner
	// Arrived is told of everything that arrives, whatever the receiver says to it. It is buffered for the whole of a test.
	Arrived <-chan Arrival
}

// Harness describes an adapter to the suite.
type Harness struct {
	// Open starts a receiver, and an adapter that waits for it no longer than half a second. Cleanups of t stop both.
	Open func(t *testing.T, b Behaviour) Receiver
	// Behaviours are those that the protocol knows.
	Behaviours []Behaviour
	// Silent says that a notice does not reach the receiver as a message of its own.
	Silent bool
	// Pushes says that datasets are carried. An adapter that carries none rejects them.
	Pushes bool
	// Secrets must be in no error and in no reason: keys, tokens, the receiver's URL.
	Secrets []string
}

// marker is in every dataset of the suite, and must be in nothing that is said about it.
const marker = "The Old Forge, Nowhere Lane"

// Run holds an adapter to its promises.
func Run(t *testing.T, h Harness) {
	if !slices.Contains(h.Behaviours, Accepts) {
		t.Fatal("the harness knows no receiver that accepts")
	}
	t.Run("a notice arrives once and holds ids alone", h.notice)
	t.Run("a dataset arrives once and byte for byte", h.dataset)
	t.Run("a repetition has the same key and another transfer another", h.keys)
	t.Run("a parcel for somebody else does not leave", h.misdirected)
	t.Run("many at once arrive once each", h.concurrent)
	for _, b := range h.Behaviours {
		t.Run("a receiver that "+string(b), func(t *testing.T) { h.behaviour(t, b) })
	}
	t.Run("a cancelled attempt is the hub's own fault", h.cancelled)
	t.Run("closing waits for the attempt under way", h.closed)
}

func (h Harness) notice(t *testing.T) {
	r := h.Open(t, Accepts)
	o, err := r.Adapter.Announce(t.Context(), r.To, noticeOf("0199-a"))
	h.check(t, o, err, delivery.Outcome{Kind: delivery.Delivered})
	if h.Silent {
		return
	}
	got := arrived(t, r, 1)
	if !bytes.Contains(got[0].Body, []byte("0199-a")) {
		t.Errorf("the notice does not name its transfer: %s", got[0].Body)
	}
}

func (h Harness) dataset(t *testing.T) {
	r := h.Open(t, Accepts)
	p := Parcel(t, "0199-a", r.To.ID)
	o, err := r.Adapter.Deliver(t.Context(), r.To, p)
	if !h.Pushes {
		if err != nil || o.Kind != delivery.Rejected || o.Reason == "" {
			t.Errorf("an adapter that pushes nothing gave %+v, %v; want it rejected with a reason", o, err)
		}
		arrived(t, r, 0)
		return
	}
	h.check(t, o, err, delivery.Outcome{Kind: delivery.Delivered})
	got := arrived(t, r, 1)
	if !bytes.Contains(got[0].Body, p.Dataset()) {
		t.Errorf("the dataset did not arrive byte for byte: %s", got[0].Body)
	}
	if want := p.Disclosure().PayloadDigest; !bytes.Contains(got[0].Body, []byte(want)) {
		t.Error("the dataset arrived without its disclosure")
	}
}

func (h Harness) keys(t *testing.T) {
	if h.Silent {
		t.Skip("the protocol has no message for a notice")
	}
	r := h.Open(t, Accepts)
	for _, id := range []transfer.TransferID{"0199-a", "0199-a", "0199-b"} {
		o, err := r.Adapter.Announce(t.Context(), r.To, noticeOf(id))
		h.check(t, o, err, delivery.Outcome{Kind: delivery.Delivered})
	}
	got := arrived(t, r, 3)
	if got[0].Key == "" || got[0].Key != got[1].Key || got[0].Key == got[2].Key {
		t.Errorf("keys %q, %q, %q; want the first two the same and the third another", got[0].Key, got[1].Key, got[2].Key)
	}
	if !h.Pushes {
		return
	}
	for range 2 {
		o, err := r.Adapter.Deliver(t.Context(), r.To, Parcel(t, "0199-a", r.To.ID))
		h.check(t, o, err, delivery.Outcome{Kind: delivery.Delivered})
	}
	again := arrived(t, r, 2)
	if again[0].Key != again[1].Key || again[0].Key == got[0].Key {
		t.Errorf("keys of the dataset %q, %q and of its notice %q; want the first two the same and the third another", again[0].Key, again[1].Key, got[0].Key)
	}
}

func (h Harness) misdirected(t *testing.T) {
	r := h.Open(t, Accepts)
	for name, p := range map[string]delivery.Parcel{"another partner's": Parcel(t, "0199-a", "somebody-else"), "empty": {}} {
		o, err := r.Adapter.Deliver(t.Context(), r.To, p)
		if err == nil || o != (delivery.Outcome{}) {
			t.Errorf("a parcel that is %s gave %+v, %v; want an error", name, o, err)
		}
		h.secrecy(t, o, err)
	}
	arrived(t, r, 0)
}

func (h Harness) concurrent(t *testing.T) {
	const n = 24
	r := h.Open(t, Accepts)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			o, err := r.Adapter.Announce(t.Context(), r.To, noticeOf(transfer.TransferID(fmt.Sprintf("0199-%d", i))))
			h.check(t, o, err, delivery.Outcome{Kind: delivery.Delivered})
		})
	}
	all.Wait()
	if h.Silent {
		return
	}
	keys := make(map[string]bool)
	for _, a := range arrived(t, r, n) {
		keys[a.Key] = true
	}
	if len(keys) != n {
		t.Errorf("%d of %d notices arrived", len(keys), n)
	}
}

func (h Harness) behaviour(t *testing.T, b Behaviour) {
	want, ok := map[Behaviour]delivery.Outcome{
		Accepts:  {Kind: delivery.Delivered},
		Babbles:  {Kind: delivery.Delivered},
		Refuses:  {Kind: delivery.Rejected, Fault: delivery.FaultReceiver},
		Gone:     {Kind: delivery.Rejected, Fault: delivery.FaultReceiver},
		Busy:     {Kind: delivery.Retry, Fault: delivery.FaultReceiver, After: BusyFor},
		Broken:   {Kind: delivery.Retry, Fault: delivery.FaultReceiver},
		Stranger: {Kind: delivery.Retry, Fault: delivery.FaultReceiver},
		Hangs:    {Kind: delivery.Retry, Fault: delivery.FaultNetwork},
		Absent:   {Kind: delivery.Retry, Fault: delivery.FaultNetwork},
	}[b]
	if !ok {
		t.Fatalf("no outcome is laid down for a receiver that %s", b)
	}
	r := h.Open(t, b)
	o, err := r.Adapter.Announce(t.Context(), r.To, noticeOf("0199-a"))
	h.check(t, o, err, want)
	if h.Pushes {
		o, err := r.Adapter.Deliver(t.Context(), r.To, Parcel(t, "0199-a", r.To.ID))
		h.check(t, o, err, want)
	}
}

func (h Harness) cancelled(t *testing.T) {
	r := h.Open(t, Accepts)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o, err := r.Adapter.Announce(ctx, r.To, noticeOf("0199-a"))
	if err == nil {
		t.Errorf("an attempt under a context that has ended gave %+v and no error", o)
	}
	h.secrecy(t, o, err)
	if !slices.Contains(h.Behaviours, Hangs) {
		return
	}
	r = h.Open(t, Hangs)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	go func() { <-r.Arrived; cancel() }()
	if o, err = r.Adapter.Announce(ctx, r.To, noticeOf("0199-a")); err == nil {
		t.Errorf("an attempt cancelled half-way gave %+v and no error", o)
	}
	h.secrecy(t, o, err)
}

func (h Harness) closed(t *testing.T) {
	if !slices.Contains(h.Behaviours, Hangs) {
		t.Skip("the protocol has no attempt that takes long")
	}
	r := h.Open(t, Hangs)
	c, ok := r.Adapter.(io.Closer)
	if !ok {
		t.Skip("the adapter holds nothing that is closed")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o, err := r.Adapter.Announce(t.Context(), r.To, noticeOf("0199-a"))
		if err == nil && o.Kind != delivery.Retry {
			t.Errorf("an attempt during which the adapter was closed gave %+v", o)
		}
		h.secrecy(t, o, err)
	}()
	<-r.Arrived
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the attempt under way did not end")
	}
	if o, err := r.Adapter.Announce(t.Context(), r.To, noticeOf("0199-b")); err == nil {
		t.Errorf("an attempt after Close gave %+v and no error", o)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

// check compares an outcome with what it must be; the reason's words are the adapter's own, but there must be some.
func (h Harness) check(t *testing.T, o delivery.Outcome, err error, want delivery.Outcome) {
	t.Helper()
	if err != nil {
		t.Errorf("error %v; want the outcome %v", err, want.Kind)
		return
	}
	if o.Kind != want.Kind || o.Fault != want.Fault || o.After != want.After {
		t.Errorf("outcome %+v; want %+v", o, want)
	}
	if o.Kind != delivery.Delivered && o.Reason == "" {
		t.Errorf("outcome %v has no reason", o.Kind)
	}
	h.secrecy(t, o, err)
}

func (h Harness) secrecy(t *testing.T, o delivery.Outcome, err error) {
	t.Helper()
	said := o.Reason
	if err != nil {
		said += " " + err.Error()
	}
	for _, s := range append([]string{marker}, h.Secrets...) {
		if strings.Contains(said, s) {
			t.Errorf("a secret was said: %s", said)
		}
	}
}

// arrived takes n arrivals and checks that there is no other.
func arrived(t *testing.T, r Receiver, n int) []Arrival {
	t.Helper()
	var got []Arrival
	for range n {
		select {
		case a := <-r.Arrived:
			got = append(got, a)
		case <-time.After(5 * time.Second):
			t.Fatalf("%d arrived; want %d", len(got), n)
		}
	}
	select {
	case <-r.Arrived:
		t.Fatalf("more than %d arrived", n)
	default:
	}
	return got
}

func noticeOf(id transfer.TransferID) delivery.Notice {
	return delivery.Notice{
		Transfer: id, Type: "referral/1", Sender: "carers-in-hertfordshire", Correlation: "c-1",
		At: time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC),
	}
}

// Parcel makes a parcel of invented data, as if a release had been committed. For tests alone.
func Parcel(t testing.TB, id transfer.TransferID, to transfer.PartnerID) delivery.Parcel {
	t.Helper()
	data, err := json.Marshal(map[string]string{"address": marker, "note": "tea & <biscuits>"})
	if err != nil {
		t.Fatal(err)
	}
	nonce := [32]byte{1, 2, 3}
	leaf := &ledger.Leaf{
		Kind: ledger.KindRelease, At: time.Date(2026, 3, 2, 9, 31, 0, 0, time.UTC), Transfer: id, Sender: "carers-in-hertfordshire",
		Recipient: to, Type: "referral/1", Purpose: "referral.service", Outcome: transfer.Permit,
		Payload: seal.Digest(nonce, data),
	}
	p, err := delivery.NewParcel(leaf, 7, data, nonce, delivery.Disclosure{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
