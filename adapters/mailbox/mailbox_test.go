package mailbox_test

import (
	"errors"
	"testing"

	"referralhub/adapters/adaptertest"
	"referralhub/adapters/mailbox"
	"referralhub/hub/delivery"
	"referralhub/hub/transfer"
)

type bell struct {
	rung chan transfer.PartnerID
	err  error
}

func (b bell) Notify(r transfer.PartnerID) error {
	b.rung <- r
	return b.err
}

func TestConformance(t *testing.T) {
	adaptertest.Run(t, adaptertest.Harness{
		Open: func(*testing.T, adaptertest.Behaviour) adaptertest.Receiver {
			return adaptertest.Receiver{
				Adapter: mailbox.New(bell{rung: make(chan transfer.PartnerID, 100)}),
				To:      transfer.Partner{ID: "age-uk-hertfordshire"},
				Arrived: make(chan adaptertest.Arrival),
			}
		},
		Behaviours: []adaptertest.Behaviour{adaptertest.Accepts},
		Silent:     true,
	})
}

func TestAnnounceWakesTheRecipientAlone(t *testing.T) {
	b := bell{rung: make(chan transfer.PartnerID, 1)}
	if _, err := mailbox.New(b).Announce(t.Context(), transfer.Partner{ID: "age-uk-hertfordshire"}, delivery.Notice{Transfer: "0199-a"}); err != nil {
		t.Fatal(err)
	}
	if got := <-b.rung; got != "age-uk-hertfordshire" {
		t.Errorf("woke %s", got)
	}
}

// The transfer lies in the inbox whether or not anybody was woken: that the bus is away must not put it back in the outbox.
func TestLostWakeUpIsDelivered(t *testing.T) {
	b := bell{rung: make(chan transfer.PartnerID, 1), err: errors.New("the bus is away")}
	o, err := mailbox.New(b).Announce(t.Context(), transfer.Partner{ID: "age-uk-hertfordshire"}, delivery.Notice{Transfer: "0199-a"})
	if err != nil || o.Kind != delivery.Delivered {
		t.Errorf("got %+v, %v; want delivered", o, err)
	}
}
