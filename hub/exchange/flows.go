package exchange

import (
	"context"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/traffic"
	"referralhub/hub/transfer"
)

// Flows gives what was disclosed from one instant to another, which is excluded, beside what is declared now; a zero instant is no bound. For a
// partner it is what that partner sent and received; for the empty one everything, which is the operator's to ask. It is about nobody in
// particular, so that it is not logged who looked.
func (x *Exchange) Flows(ctx context.Context, of transfer.PartnerID, from, to time.Time) (traffic.Map, error) {
	r, at, err := x.asItStands(ctx)
	if err != nil {
		return traffic.Map{}, err
	}
	uses, err := traffic.Read(ctx, x.cfg.Store, from, to)
	return traffic.Of(r.index, uses, of, at), err
}

// Processing gives a partner's record of processing (Art 30 UK GDPR) from what was disclosed. It is not ok when the partner is not on the register.
func (x *Exchange) Processing(ctx context.Context, of transfer.PartnerID, from, to time.Time) (record agreement.Record, ok bool, err error) {
	r, at, err := x.asItStands(ctx)
	if err != nil {
		return record, false, err
	}
	uses, err := traffic.Read(ctx, x.cfg.Store, from, to)
	record, ok = traffic.RecordOf(r.index, uses, of, from, to, at)
	return record, ok, err
}
