package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

type searchJSON struct {
	Subject *struct {
		Scheme string `json:"scheme"`
		Value  string `json:"value"`
	} `json:"subject"`
	Transfer transfer.TransferID `json:"transfer_id"`
	From     time.Time           `json:"from"`
	To       time.Time           `json:"to"`
	Why      string              `json:"why"`
	After    *logRef             `json:"after"` // the log of the last entry seen
	Limit    int                 `json:"limit"`
}

type entryJSON struct {
	At        time.Time           `json:"at"`
	Kind      ledger.Kind         `json:"kind"`
	Transfer  transfer.TransferID `json:"transfer_id,omitempty"`
	Sender    transfer.PartnerID  `json:"sender,omitempty"`
	Recipient transfer.PartnerID  `json:"recipient,omitempty"`
	By        transfer.SystemID   `json:"by,omitempty"`
	Purpose   transfer.Purpose    `json:"purpose,omitempty"`
	Service   transfer.Service    `json:"service,omitempty"`
	Outcome   transfer.Outcome    `json:"outcome,omitempty"`
	State     transfer.State      `json:"state,omitempty"`
	Receipt   string              `json:"receipt,omitempty"`
	Agreement *agreementJSON      `json:"agreement,omitempty"`
	Role      transfer.Role       `json:"role,omitempty"` // of the person asked about
	Items     []string            `json:"items,omitempty"`
	Stripped  []string            `json:"stripped,omitempty"`
	Reasons   []reason            `json:"reasons,omitempty"`
	Consent   *consentJSON        `json:"consent,omitempty"`
	Ruling    *rulingJSON         `json:"ruling,omitempty"`
	Exception string              `json:"exception,omitempty"` // its kind
	Demand    string              `json:"demand,omitempty"`    // its reference
	Duties    []dutyJSON          `json:"obligations,omitempty"`
	Expires   time.Time           `json:"expires_at,omitzero"`
	Outside   *outsideJSON        `json:"outside,omitempty"` // a disclosure that was made outside the hub
	Why       string              `json:"why,omitempty"`
	Log       logRef              `json:"log"`
}

// dutyJSON is what comes with a permit, and for whom.
type dutyJSON struct {
	Code string    `json:"code"`
	Who  string    `json:"who"`
	By   time.Time `json:"by,omitzero"`
}

// rulingJSON is what a person decided, and as what.
type rulingJSON struct {
	Act    string             `json:"act"`
	Codes  []string           `json:"codes,omitempty"`
	Ground string             `json:"ground,omitempty"`
	Person string             `json:"person"`
	Role   transfer.StaffRole `json:"role"`
}

// outsideJSON says how something was disclosed outside the hub, and by whom.
type outsideJSON struct {
	Office    string    `json:"office,omitempty"`
	How       string    `json:"how"`
	Basis     basisJSON `json:"basis"`
	Exception string    `json:"exception,omitempty"`
	Request   string    `json:"request,omitempty"`
	Made      time.Time `json:"made"`
	Person    string    `json:"person"`
}

// consentJSON is a consent event as the log has it, without the commitment: that is for auditors of the log.
type consentJSON struct {
	ID         string               `json:"id"`
	State      string               `json:"state"`
	Purpose    transfer.Purpose     `json:"purpose"`
	Service    transfer.Service     `json:"service,omitempty"`
	Recipients []transfer.PartnerID `json:"recipients,omitempty"`
	Categories []string             `json:"categories,omitempty"`
	Explicit   bool                 `json:"explicit"`
	Method     string               `json:"method,omitempty"`
	Authority  string               `json:"authority,omitempty"`
}

func consentIn(c *ledger.Consent) *consentJSON {
	if c == nil {
		return nil
	}
	return &consentJSON{c.ID, c.State, c.Purpose, c.Service, c.Recipients, c.Categories, c.Explicit, c.Method, c.Authority}
}

// search answers the Data Protection Lead: who received what about whom, when and why. The person is named in the body, never in a URL.
func (s *server) search(r *http.Request, by auth.Principal) (answer, error) {
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	in := searchJSON{Limit: 200}
	if err := decode(body, &in); err != nil {
		return answer{}, err
	}
	if err := in.check(); err != nil {
		return answer{}, err
	}
	q := exchange.Query{Transfer: in.Transfer, From: in.From, To: in.To, Why: in.Why}
	if in.Subject != nil {
		q.Person = &contracts.Identifier{Scheme: in.Subject.Scheme, Value: in.Subject.Value}
	}
	q.Everyone = s.operates(by)
	found, leaf, err := s.Exchange.Search(r.Context(), by, q)
	if err != nil {
		return answer{}, err
	}
	out := map[string]any{"query_leaf": logRef{Origin: s.Origin, Index: leaf}}
	if in.After != nil {
		_, at, known := lo.FindIndexOf(found, func(e exchange.Entry) bool { return e.Origin == in.After.Origin && e.Index == in.After.Index })
		if !known {
			return answer{}, invalid("/after", "unknown", "no entry of this answer has this place in the log", "take it from next of the page before, and ask the same question again")
		}
		found = found[at+1:]
	}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out["next"] = logRef{Origin: found[in.Limit-1].Origin, Index: found[in.Limit-1].Index}
	}
	out["entries"] = lo.Map(found, func(e exchange.Entry, _ int) entryJSON {
		line := entryOf(e)
		if !q.Everyone && e.Leaf.Recipient == by.Partner && e.Leaf.Sender != by.Partner {
			line.Stripped, line.Reasons = nil, codesOnly(line.Reasons) // as in shown
		}
		return line
	})
	return answer{body: out}, nil
}

func (q *searchJSON) check() error {
	switch {
	case len(strings.TrimSpace(q.Why)) < 5:
		return invalid("/why", "required", "whoever asks the log says why; the answer is logged with it", `say it in a few words, such as "subject access request of 3 March"`)
	case exchange.HoldsNumber(q.Why):
		return invalid("/why", "personal-data", "the reason holds a long number, and it is logged", "leave identifiers out of the reason")
	case len(q.Why) > 200:
		return invalid("/why", "length", "the reason is longer than 200 characters", "keep it short, and name nobody in it")
	case (q.Subject == nil) == (q.Transfer == ""):
		return invalid("/subject", "required", "ask about one person or one transfer", "give either subject or transfer_id")
	case q.Transfer != "" && !isID(string(q.Transfer)):
		return invalid("/transfer_id", "format", "this is no id of a transfer", "take it from an answer of the hub")
	case !q.To.IsZero() && !q.From.Before(q.To):
		return invalid("/to", "range", "the time asked about ends before it begins", "correct from or to")
	case q.Limit < 1 || q.Limit > 1000:
		return invalid("/limit", "range", "limit is a number from 1 to 1000", "leave it out for 200")
	case q.Subject != nil:
		if faults := checkIdentifier("/subject", contracts.Identifier{Scheme: q.Subject.Scheme, Value: q.Subject.Value}); len(faults) > 0 {
			return &contracts.InvalidError{Faults: faults}
		}
	}
	return nil
}

func entryOf(e exchange.Entry) entryJSON {
	l := e.Leaf
	out := entryJSON{
		At: l.At, Kind: l.Kind, Transfer: l.Transfer, Sender: l.Sender, Recipient: l.Recipient, By: l.Actor.System, Purpose: l.Purpose,
		Service: l.Service, Outcome: l.Outcome, State: l.State, Receipt: l.Receipt, Agreement: agreementOf(l.Agreement),
		Reasons: reasonsOf(l.Reasons), Consent: consentIn(l.Consent), Expires: l.Expires, Log: logRef{Origin: e.Origin, Index: e.Index},
	}
	if l.Query != nil {
		out.Why = l.Query.Why
	}
	if r := l.Ruling; r != nil {
		out.Ruling = &rulingJSON{r.Act, r.Codes, r.Ground, l.Actor.Person, l.Actor.Role}
	}
	if l.Exception != nil {
		out.Exception = l.Exception.Kind
	}
	if l.Demand != nil {
		out.Demand = l.Demand.Reference
	}
	for _, o := range l.Obligations {
		out.Duties = append(out.Duties, dutyJSON{o.Code, o.Who, o.By})
	}
	if d := l.Disclosure; d != nil {
		out.Outside = &outsideJSON{Office: d.Office, How: d.How, Basis: basisJSON(d.Basis), Made: d.Made, Person: d.Person}
		if l.Exception != nil {
			out.Outside.Exception = l.Exception.Kind
		}
		if l.Demand != nil {
			out.Outside.Request = l.Demand.Reference
		}
	}
	for _, p := range l.Subjects {
		if e.About == "" || p.Commitment == e.About {
			out.Items, out.Stripped = append(out.Items, p.Items...), append(out.Stripped, p.Stripped...)
			out.Role = p.Role
		}
	}
	if e.About == "" {
		out.Role = ""
	}
	return out
}

func (s *server) partners(*http.Request, auth.Principal) (answer, error) {
	type partnerJSON struct {
		ID   transfer.PartnerID `json:"id"`
		Name string             `json:"name"`
		Kind transfer.Kind      `json:"kind"`
		ODS  string             `json:"ods,omitempty"`
	}
	return answer{body: map[string]any{"partners": lo.Map(s.Exchange.Index().Partners(), func(p *transfer.Partner, _ int) partnerJSON {
		return partnerJSON{p.ID, p.Name, p.Kind, p.ODS}
	})}}, nil
}

func (s *server) openAPI(*http.Request) (answer, error) {
	return answer{body: contracts.OpenAPI()}, nil
}

func (s *server) ready(r *http.Request) (answer, error) {
	if s.Ready != nil {
		if err := s.Ready(r.Context()); err != nil {
			s.Log.WarnContext(r.Context(), "not ready", "err", err)
			return answer{}, &Problem{Status: http.StatusServiceUnavailable, Title: "Not ready", Detail: "A part that the hub needs is away; its log says which.", header: map[string]string{"Retry-After": "5"}}
		}
	}
	return answer{body: map[string]string{"status": "ready"}}, nil
}
