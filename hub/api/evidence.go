package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/receipt"
	"referralhub/hub/ledger/witness"
	"referralhub/hub/transfer"
)

type publishedJSON struct {
	Size       int64             `json:"size"`
	At         time.Time         `json:"at"`
	Checkpoint string            `json:"checkpoint"` // with the cosignatures behind the log's signature
	Cosigned   []cosignatureJSON `json:"cosigned"`
}

type cosignatureJSON struct {
	Witness string    `json:"witness"`
	At      time.Time `json:"at"`
}

func cosignatureOf(c ledger.Cosignature) cosignatureJSON {
	return cosignatureJSON{c.Witness, c.At}
}

// checkpoints lists what was published, newest first, and who has cosigned it. It is for witnesses, and for whoever wants to know whether they
// are at work.
func (s *server) checkpoints(r *http.Request, _ auth.Principal) (answer, error) {
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	below := int64(0)
	if v := r.URL.Query().Get("below"); v != "" {
		if below, err = strconv.ParseInt(v, 10, 64); err != nil || below < 1 {
			return answer{}, invalid("?below", "number", "below is a number of leaves, from 1", "take it from next of the page before")
		}
	}
	found, err := s.Board.List(r.Context(), below, limit)
	if err != nil {
		return answer{}, err
	}
	out := map[string]any{"origin": s.Origin, "witnesses": append([]string{}, s.Board.Witnesses()...)}
	if len(found) == limit {
		out["next"] = found[limit-1].Size
	}
	out["checkpoints"] = lo.Map(found, func(p witness.Published, _ int) publishedJSON {
		return publishedJSON{p.Size, p.At, string(p.Signed), lo.Map(p.By, func(c ledger.Cosignature, _ int) cosignatureJSON { return cosignatureOf(c) })}
	})
	return answer{body: out}, nil
}

// cosign takes what a witness has put under a published checkpoint. Who brings it does not matter: the cosignature says whose it is.
func (s *server) cosign(r *http.Request, _ auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		Origin      string `json:"origin"`
		Size        int64  `json:"size"`
		Cosignature string `json:"cosignature"`
	}
	if err := decode(body, &in); err != nil {
		return answer{}, err
	}
	if in.Origin != s.Origin {
		return answer{}, invalid("/origin", "unknown", "this copy of the hub keeps another log: "+s.Origin, "bring the cosignature to the copy that keeps the log it is about")
	}
	if !strings.HasPrefix(in.Cosignature, "— ") || !strings.HasSuffix(in.Cosignature, "\n") {
		return answer{}, invalid("/cosignature", "format", "this is not a signature line", "send it as the witness gives it: a dash, the witness's name and the signature, with the end of the line")
	}
	got, err := s.Board.Take(r.Context(), in.Size, []byte(in.Cosignature))
	switch {
	case errors.Is(err, witness.ErrUnpublished):
		return answer{}, &Problem{Status: http.StatusNotFound, Title: "No such checkpoint", Detail: "No checkpoint of this size was published. GET /v1/log/checkpoints lists those that were."}
	case errors.Is(err, witness.ErrNotCosigned):
		return answer{}, invalid("/cosignature", "signature", "no witness that this hub knows has put this under the checkpoint of this size",
			"cosign the checkpoint as GET /v1/log/checkpoints shows it; the hub's operator adds a witness by its verifier key")
	case err != nil:
		return answer{}, err
	}
	return answer{body: cosignatureOf(got)}, nil
}

// disclosureReceipt gives the receipt of the newest release of a transfer to the two partners that it is between.
func (s *server) disclosureReceipt(r *http.Request, by auth.Principal) (answer, error) {
	id, err := transferID(r)
	if err != nil {
		return answer{}, err
	}
	t, err := s.Exchange.Transfer(r.Context(), by, id)
	if err != nil {
		return answer{}, err
	}
	none := func(detail string) (answer, error) {
		return answer{}, &Problem{Status: http.StatusNotFound, Title: "No receipt", Detail: detail, State: string(t.Transfer.State)}
	}
	if t.Release.Origin == "" {
		return none("Nothing of this transfer has been released yet, so that there is nothing to show a receipt for.")
	}
	if t.Release.Origin != s.Origin {
		return none("Its release is in the log " + t.Release.Origin + ". Ask the copy of the hub that keeps it.")
	}
	src := s.Source(r.Context())
	if t.Transfer.Sender != by.Partner {
		leaves, err := src.Leaves(t.Release.Index, t.Release.Index+1)
		if err != nil {
			return answer{}, err
		}
		l, err := ledger.Parse(leaves[0])
		if err != nil {
			return answer{}, err
		}
		if !showsRecipient(l) {
			return none("Its entry in the log also says what was weighed about people, and a receipt shows the entry whole. Ask for the proof of its hash: GET /v1/log/proofs/inclusion.")
		}
	}
	checkpoint, err := s.Board.Covering(r.Context(), t.Release.Index)
	if err != nil {
		return answer{}, err
	}
	text, err := receipt.Make(src, &s.prover, t.Release.Index, checkpoint)
	if err != nil {
		return answer{}, err
	}
	return answer{body: text, kind: "text/plain; charset=utf-8"}, nil
}

type holdingJSON struct {
	Transfer transfer.TransferID `json:"transfer_id"`
	Log      logRef              `json:"log"`
	Payload  string              `json:"payload_digest"`
}

type loggedJSON struct {
	holdingJSON

	At   time.Time         `json:"at"`
	By   transfer.SystemID `json:"by,omitempty"` // the system that took it
	Held bool              `json:"another_held"` // another release of this transfer is among what was sent
}

type differingJSON struct {
	holdingJSON

	Logged []holdingJSON `json:"logged"`
}

func loggedOf(e exchange.Entry) holdingJSON {
	return holdingJSON{e.Leaf.Transfer, logRef{e.Origin, e.Index}, e.Leaf.Payload}
}

// mostHoldings is how many holdings one statement compares.
const mostHoldings = 5000

// reconcile compares what a partner has kept with what the log says was released to it.
func (s *server) reconcile(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		From     time.Time     `json:"from"`
		To       time.Time     `json:"to"`
		Holdings []holdingJSON `json:"holdings"`
	}
	if err := decode(body, &in); err != nil {
		return answer{}, err
	}
	switch {
	case in.From.IsZero() || !in.From.Before(in.To):
		return answer{}, invalid("/to", "range", "a statement is about the time from one instant to a later one", "give both, as in 2026-11-01T00:00:00Z")
	case len(in.Holdings) > mostHoldings:
		return answer{}, invalid("/holdings", "length", fmt.Sprintf("one statement compares %d holdings at most", mostHoldings), "ask about a shorter time")
	}
	held := make([]exchange.Holding, len(in.Holdings))
	ids := map[transfer.TransferID]bool{}
	for i, h := range in.Holdings {
		if !isID(string(h.Transfer)) {
			return answer{}, invalid(fmt.Sprintf("/holdings/%d/transfer_id", i), "format", "this is no id of a transfer", "take it from the disclosure")
		}
		held[i] = exchange.Holding{Transfer: h.Transfer, Place: exchange.Place(h.Log), Payload: h.Payload}
		ids[h.Transfer] = true
	}
	got, err := s.Exchange.Reconcile(r.Context(), by, in.From, in.To, held)
	if errors.Is(err, exchange.ErrTooMuch) {
		return answer{}, invalid("/to", "range", err.Error(), "ask about a shorter time")
	}
	if err != nil {
		return answer{}, err
	}
	return answer{body: map[string]any{
		"matched": got.Matched,
		"missing": lo.Map(got.Missing, func(e exchange.Entry, _ int) loggedJSON {
			return loggedJSON{loggedOf(e), e.Leaf.At, e.Leaf.Actor.System, ids[e.Leaf.Transfer]}
		}),
		"unknown": lo.Map(got.Unknown, func(h exchange.Holding, _ int) holdingJSON {
			return holdingJSON{h.Transfer, logRef(h.Place), h.Payload}
		}),
		"differing": lo.Map(got.Differing, func(d exchange.Differing, _ int) differingJSON {
			return differingJSON{
				holdingJSON{d.Holding.Transfer, logRef(d.Holding.Place), d.Holding.Payload},
				lo.Map(d.Logged, func(e exchange.Entry, _ int) holdingJSON { return loggedOf(e) }),
			}
		}),
		"query_leaf": logRef{Origin: s.Origin, Index: got.Leaf},
	}}, nil
}
