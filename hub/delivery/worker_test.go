package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"referralhub/hub/bus"
	"referralhub/hub/delivery"
	"referralhub/hub/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ageUK  = transfer.PartnerID("age-uk-hertfordshire")
	pohwer = transfer.PartnerID("pohwer")
)

// stage is everything around a worker: a bus in memory, an exchange that remembers, and an adapter that does as it is told.
type stage struct {
	t      *testing.T
	worker *delivery.Worker

	mu       sync.Mutex
	partners map[transfer.PartnerID]transfer.Partner
	handlers map[transfer.PartnerID]func(context.Context, bus.Message) bus.Verdict
	verdicts []bus.Verdict
	consumed chan transfer.PartnerID

	job     func(transfer.TransferID) (delivery.Job, error)
	asked   int
	settled []settled
	settle  error
	due     []bus.Message

	answer func() (delivery.Outcome, error)
	sent   []string
}

type settled struct {
	Transfer transfer.TransferID
	Attempt  int
	delivery.Settlement
}

func newStage(t *testing.T) *stage {
	s := &stage{
		t:        t,
		partners: make(map[transfer.PartnerID]transfer.Partner),
		handlers: make(map[transfer.PartnerID]func(context.Context, bus.Message) bus.Verdict),
		consumed: make(chan transfer.PartnerID, 10),
		answer:   func() (delivery.Outcome, error) { return delivery.Outcome{Kind: delivery.Delivered}, nil },
	}
	s.job = func(id transfer.TransferID) (delivery.Job, error) {
		return delivery.Job{Notice: &delivery.Notice{Transfer: id}}, nil
	}
	s.join(ageUK)
	worker, err := delivery.New(delivery.Config{
		Bus: s, Exchange: s, Adapters: map[string]delivery.Adapter{"test": s},
		Partners: func(id transfer.PartnerID) (transfer.Partner, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			p, ok := s.partners[id]
			return p, ok
		},
		Recipients: func() (ids []transfer.PartnerID) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for id := range s.partners {
				ids = append(ids, id)
			}
			return ids
		},
		SweepLimit: 2,
		Rand:       func() float64 { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.worker = worker
	return s
}

func (s *stage) join(id transfer.PartnerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partners[id] = transfer.Partner{ID: id, Delivery: transfer.Delivery{Adapter: "test"}}
}

// Consume and Publish are the bus.
func (s *stage) Consume(ctx context.Context, recipients []transfer.PartnerID, handle func(context.Context, bus.Message) bus.Verdict) error {
	s.mu.Lock()
	for _, r := range recipients {
		s.handlers[r] = handle
	}
	s.mu.Unlock()
	for _, r := range recipients {
		s.consumed <- r
	}
	<-ctx.Done()
	return nil
}

func (s *stage) Publish(ctx context.Context, messages []bus.Message) error {
	for _, m := range messages {
		s.mu.Lock()
		handle := s.handlers[m.Recipient]
		s.mu.Unlock()
		if handle == nil {
			return errors.New("nobody consumes")
		}
		v := handle(ctx, m)
		s.mu.Lock()
		s.verdicts = append(s.verdicts, v)
		s.mu.Unlock()
	}
	return nil
}

// Next, Settle and Due are the exchange.
func (s *stage) Next(_ context.Context, id transfer.TransferID) (delivery.Job, error) {
	s.asked++
	return s.job(id)
}

func (s *stage) Settle(ctx context.Context, id transfer.TransferID, attempt int, o delivery.Settlement) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.settle != nil {
		return s.settle
	}
	s.settled = append(s.settled, settled{id, attempt, o})
	return nil
}

func (s *stage) Due(_ context.Context, _ time.Time, limit int) ([]bus.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.due[:min(limit, len(s.due))]
	s.due = s.due[len(due):]
	return due, nil
}

// Announce and Deliver are the adapter.
func (s *stage) Announce(_ context.Context, to transfer.Partner, n delivery.Notice) (delivery.Outcome, error) {
	s.sent = append(s.sent, fmt.Sprintf("notice of %s to %s", n.Transfer, to.ID))
	return s.answer()
}

func (s *stage) Deliver(_ context.Context, to transfer.Partner, p delivery.Parcel) (delivery.Outcome, error) {
	s.sent = append(s.sent, fmt.Sprintf("dataset of %s to %s", p.Transfer(), to.ID))
	return s.answer()
}

// play runs f while the worker runs, in a bubble where time is cheap.
func play(t *testing.T, f func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict)) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := s.worker.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		<-s.consumed
		f(t, s, func(m bus.Message) bus.Verdict { return s.handlers[m.Recipient](ctx, m) })
		cancel()
		running.Wait()
	})
}

// pass lets the bubble's time go by.
func pass(d time.Duration) { <-time.After(d) }

var message = bus.Message{Recipient: ageUK, Transfer: "0199-a"}

func TestNoticeIsAnnouncedAndSettled(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		if v := hand(message); v != bus.Ack() {
			t.Errorf("verdict %+v", v)
		}
		want := []settled{{"0199-a", 0, delivery.Settlement{Outcome: delivery.Outcome{Kind: delivery.Delivered}, Announced: true}}}
		if diff := cmp.Diff(want, s.settled); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"notice of 0199-a to age-uk-hertfordshire"}, s.sent); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDatasetIsDelivered(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		p := parcel(t, "0199-a", ageUK)
		s.job = func(transfer.TransferID) (delivery.Job, error) { return delivery.Job{Parcel: &p}, nil }
		if v := hand(message); v != bus.Ack() {
			t.Errorf("verdict %+v", v)
		}
		if diff := cmp.Diff([]string{"dataset of 0199-a to age-uk-hertfordshire"}, s.sent); diff != "" {
			t.Error(diff)
		}
	})
}

// Withdrawn, collected, expired: nothing is sent, nothing is counted, and nothing comes back.
func TestNothingToDoAnyMore(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		s.job = func(transfer.TransferID) (delivery.Job, error) { return delivery.Job{}, nil }
		if v := hand(message); v != bus.Ack() || len(s.sent) != 0 || len(s.settled) != 0 {
			t.Errorf("verdict %+v, sent %v, settled %v", v, s.sent, s.settled)
		}
	})
}

// Whatever mixes two transfers or two partners up, the adapter never sees it, and the log has the release as not delivered.
func TestMixedUpIsNotSent(t *testing.T) {
	for name, job := range map[string]func(t *testing.T) delivery.Job{
		"another partner's parcel": func(t *testing.T) delivery.Job {
			p := parcel(t, "0199-a", pohwer)
			return delivery.Job{Parcel: &p}
		},
		"another transfer's parcel": func(t *testing.T) delivery.Job {
			p := parcel(t, "0199-b", ageUK)
			return delivery.Job{Parcel: &p}
		},
		"an empty parcel":           func(*testing.T) delivery.Job { return delivery.Job{Parcel: new(delivery.Parcel)} },
		"another transfer's notice": func(*testing.T) delivery.Job { return delivery.Job{Notice: &delivery.Notice{Transfer: "0199-b"}} },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
				s.job = func(transfer.TransferID) (delivery.Job, error) { return job(t), nil }
				hand(message)
				if len(s.sent) != 0 {
					t.Errorf("sent %v", s.sent)
				}
				if len(s.settled) != 1 || s.settled[0].Outcome.Fault != delivery.FaultHub || s.settled[0].Outcome.Kind != delivery.Retry {
					t.Errorf("settled %+v", s.settled)
				}
			})
		})
	}
	t.Run("another partner's address", func(t *testing.T) {
		play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
			s.partners[ageUK] = transfer.Partner{ID: pohwer, Delivery: transfer.Delivery{Adapter: "test"}}
			hand(message)
			if len(s.sent) != 0 {
				t.Errorf("sent %v", s.sent)
			}
		})
	})
}

func TestFaultsBeforeAnAttemptAreNotCounted(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		s.job = func(transfer.TransferID) (delivery.Job, error) { return delivery.Job{}, errors.New("store is busy") }
		for range 50 {
			if v := hand(message); v != bus.NakWithDelay(10*time.Second) {
				t.Fatalf("verdict %+v", v)
			}
		}
		s.partners[ageUK] = transfer.Partner{ID: ageUK, Delivery: transfer.Delivery{Adapter: "pigeon"}}
		if v := hand(message); v != bus.NakWithDelay(time.Minute) {
			t.Errorf("verdict without an adapter %+v", v)
		}
		delete(s.partners, ageUK)
		if v := hand(message); v != bus.NakWithDelay(time.Minute) {
			t.Errorf("verdict without a partner %+v", v)
		}
		if s.asked != 50 {
			t.Errorf("a release was asked for %d times; want none for a partner that cannot be reached", s.asked)
		}
		if len(s.sent) != 0 || len(s.settled) != 0 || s.worker.Stats().Before != 52 {
			t.Errorf("sent %v, settled %v, stats %+v", s.sent, s.settled, s.worker.Stats())
		}
	})
}

func TestAttemptsAreSpacedAndGivenUp(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		s.answer = func() (delivery.Outcome, error) {
			return delivery.Outcome{Kind: delivery.Retry, Fault: delivery.FaultNetwork, Reason: "nobody is there"}, nil
		}
		m := message
		for {
			if v := hand(m); v != bus.Ack() {
				t.Fatalf("attempt %d: verdict %+v", m.Attempt, v)
			}
			last := s.settled[len(s.settled)-1]
			if last.Attempt != m.Attempt {
				t.Fatalf("attempt %d was settled as %d", m.Attempt, last.Attempt)
			}
			if last.GiveUp {
				break
			}
			pass(max(last.After, 5*time.Minute)) // the outbox's wait; past the longest that a circuit is open
			m.Attempt++
		}
		if m.Attempt != 10 || len(s.sent) != 11 {
			t.Errorf("given up at attempt %d after %d", m.Attempt, len(s.sent))
		}
		if st := s.worker.Stats(); st.GaveUp != 1 || st.Retried != 11 || st.Open != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestRejectionIsGivenUpAtOnce(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		rejected := delivery.Outcome{Kind: delivery.Rejected, Fault: delivery.FaultReceiver, Reason: "the endpoint answered 410"}
		s.answer = func() (delivery.Outcome, error) { return rejected, nil }
		if v := hand(message); v != bus.Ack() {
			t.Errorf("verdict %+v", v)
		}
		want := []settled{{"0199-a", 0, delivery.Settlement{Outcome: rejected, Announced: true, GiveUp: true}}}
		if diff := cmp.Diff(want, s.settled); diff != "" {
			t.Error(diff)
		}
	})
}

// An endpoint that is away costs five transfers an attempt, and then one at a time.
func TestOpenCircuitSparesAttempts(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		s.answer = func() (delivery.Outcome, error) {
			return delivery.Outcome{Kind: delivery.Retry, Fault: delivery.FaultNetwork, Reason: "nobody is there"}, nil
		}
		for i := range 100 {
			hand(bus.Message{Recipient: ageUK, Transfer: transfer.TransferID(fmt.Sprint(i))})
		}
		if len(s.sent) != 5 || s.asked != 5 {
			t.Errorf("%d attempts and %d releases; want 5", len(s.sent), s.asked)
		}
		if v := hand(message); v != bus.NakWithDelay(30*time.Second) {
			t.Errorf("verdict %+v", v)
		}
		s.answer = func() (delivery.Outcome, error) { return delivery.Outcome{Kind: delivery.Delivered}, nil }
		pass(30 * time.Second)
		if v := hand(message); v != bus.Ack() || s.worker.Stats().Open != 0 {
			t.Errorf("verdict %+v, stats %+v; want it closed again", v, s.worker.Stats())
		}
	})
}

// An adapter that cannot do its work is the hub's fault; what it was given is settled, for its release is in the log.
func TestAdapterErrorIsTheHubsFault(t *testing.T) {
	for name, answer := range map[string]func() (delivery.Outcome, error){
		"an error":   func() (delivery.Outcome, error) { return delivery.Outcome{}, errors.New("no signing secret") },
		"no outcome": func() (delivery.Outcome, error) { return delivery.Outcome{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
				s.answer = answer
				for range 20 {
					if v := hand(message); v != bus.Ack() {
						t.Errorf("verdict %+v", v)
					}
				}
				if o := s.settled[0].Outcome; o.Kind != delivery.Retry || o.Fault != delivery.FaultHub || o.Reason == "" {
					t.Errorf("outcome %+v", o)
				}
				if s.worker.Stats().Open != 0 {
					t.Error("the partner's circuit is open for the hub's fault")
				}
			})
		})
	}
}

// The store fails after the partner has the dataset: the outcome is kept, and the partner does not get it twice.
func TestOutcomeThatCannotBeRecordedIsKept(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		s.settle = errors.New("store is busy")
		for range 3 {
			if v := hand(message); v != bus.NakWithDelay(10*time.Second) {
				t.Errorf("verdict %+v", v)
			}
		}
		if n := s.worker.Stats().Unsettled; n != 1 {
			t.Errorf("%d unsettled", n)
		}
		s.settle = nil
		if v := hand(message); v != bus.Ack() {
			t.Errorf("verdict %+v", v)
		}
		if len(s.sent) != 1 || s.asked != 1 || len(s.settled) != 1 {
			t.Errorf("sent %v, settled %+v", s.sent, s.settled)
		}
		// The next attempt is another.
		hand(bus.Message{Recipient: ageUK, Transfer: "0199-a", Attempt: 1})
		if len(s.sent) != 2 || s.worker.Stats().Unsettled != 0 {
			t.Errorf("sent %v", s.sent)
		}
	})
}

// The hub is stopping: what the adapter could not finish comes again, and what it did finish is recorded all the same.
func TestStoppingDuringAnAttempt(t *testing.T) {
	play(t, func(t *testing.T, s *stage, _ func(bus.Message) bus.Verdict) {
		ctx, cancel := context.WithCancel(t.Context())
		s.answer = func() (delivery.Outcome, error) { cancel(); return delivery.Outcome{}, ctx.Err() }
		if v := s.handlers[ageUK](ctx, message); v != bus.NakWithDelay(0) || len(s.settled) != 0 {
			t.Errorf("verdict %+v, settled %v", v, s.settled)
		}
		s.answer = func() (delivery.Outcome, error) { return delivery.Outcome{Kind: delivery.Delivered}, nil }
		if v := s.handlers[ageUK](ctx, message); v != bus.Ack() || len(s.settled) != 1 {
			t.Errorf("verdict %+v, settled %v", v, s.settled)
		}
	})
}

// What JetStream lost comes out of the outbox, page by page.
func TestSweepPublishesWhatIsDue(t *testing.T) {
	play(t, func(t *testing.T, s *stage, _ func(bus.Message) bus.Verdict) {
		s.mu.Lock()
		for i := range 5 {
			s.due = append(s.due, bus.Message{Recipient: ageUK, Transfer: transfer.TransferID(fmt.Sprint(i)), Attempt: i})
		}
		s.mu.Unlock()
		pass(2 * time.Second)
		synctest.Wait()
		if len(s.settled) != 5 || s.settled[4].Attempt != 4 {
			t.Errorf("settled %+v", s.settled)
		}
	})
}

func TestPartnerWhoJoinsIsServed(t *testing.T) {
	play(t, func(t *testing.T, s *stage, hand func(bus.Message) bus.Verdict) {
		s.join(pohwer)
		if got := <-s.consumed; got != pohwer {
			t.Errorf("consumes for %s again", got)
		}
		if v := hand(bus.Message{Recipient: pohwer, Transfer: "0199-b"}); v != bus.Ack() {
			t.Errorf("verdict %+v", v)
		}
	})
}

func TestWorkerNeedsItsParts(t *testing.T) {
	if _, err := delivery.New(delivery.Config{}); err == nil {
		t.Error("made of nothing")
	}
}
