package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/samber/lo"

	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// jobJSON is a transfer that waits for a person.
type jobJSON struct {
	TransferID transfer.TransferID `json:"transfer_id"`
	MessageID  transfer.MessageID  `json:"message_id,omitempty"`
	Sender     transfer.PartnerID  `json:"sender"`
	Recipient  transfer.PartnerID  `json:"recipient"`
	Purpose    transfer.Purpose    `json:"purpose"`
	Service    transfer.Service    `json:"service,omitempty"`
	State      transfer.State      `json:"state"`
	Outcome    transfer.Outcome    `json:"outcome"`
	Owner      string              `json:"owner"`
	Deadline   time.Time           `json:"deadline"`
	Overdue    bool                `json:"overdue"`
	Reasons    []reason            `json:"reasons"`
	CreatedAt  time.Time           `json:"created_at"`
	Log        logRef              `json:"log"`
}

// holds lists what waits for the sender's people, what is overdue first. The operator sees every partner's, and nothing of what is in them.
func (s *server) holds(r *http.Request, by auth.Principal) (answer, error) {
	p, err := jobsPage(r)
	if err != nil {
		return answer{}, err
	}
	if p.Owner = r.URL.Query().Get("owner"); !slices.Contains([]string{"", policy.OwnerSender, policy.OwnerDPL, policy.OwnerSafeguarding}, p.Owner) {
		return answer{}, invalid("?owner", "enum", "nobody of this name owns holds", "use sender, dpl or safeguarding-lead, or leave it out for all")
	}
	everyone := s.operates(by)
	jobs, err := s.Exchange.Holds(r.Context(), by, p, everyone)
	if err != nil {
		return answer{}, err
	}
	return s.jobs("holds", jobs, p, everyone), nil
}

// exceptions lists what went by exception and waits for its review.
func (s *server) exceptions(r *http.Request, by auth.Principal) (answer, error) {
	p, err := jobsPage(r)
	if err != nil {
		return answer{}, err
	}
	if v := r.URL.Query().Get("unreviewed"); v != "" && v != "1" {
		return answer{}, invalid("?unreviewed", "enum", "this lists what has not been reviewed", "write unreviewed=1; what was reviewed is found by POST /v1/disclosures/search")
	}
	everyone := s.operates(by)
	jobs, err := s.Exchange.Exceptions(r.Context(), by, p, everyone)
	if err != nil {
		return answer{}, err
	}
	return s.jobs("exceptions", jobs, p, everyone), nil
}

// operates reports whether somebody asks for the hub's operator.
func (s *server) operates(by auth.Principal) bool {
	p, known := s.Exchange.Index().Partner(by.Partner)
	return known && p.Kind == transfer.Operator
}

func (s *server) jobs(name string, jobs []exchange.Job, p exchange.Page, bare bool) answer {
	now := s.Now()
	out := map[string]any{name: lo.Map(jobs, func(j exchange.Job, _ int) jobJSON {
		t, l := j.Transfer, j.Decision
		line := jobJSON{
			TransferID: t.ID, MessageID: t.MessageID, Sender: t.Sender, Recipient: t.Recipient, Purpose: t.Purpose, Service: t.Service,
			State: t.State, Outcome: l.Outcome, Owner: j.Work.Owner, Deadline: j.Work.Deadline, Overdue: now.After(j.Work.Deadline),
			Reasons: reasonsOf(l.Reasons), CreatedAt: t.CreatedAt, Log: logRef{Origin: j.Work.Log, Index: j.Work.Leaf},
		}
		if bare {
			line.MessageID, line.Reasons = "", codesOnly(line.Reasons)
		}
		return line
	})}
	if len(jobs) == p.Limit {
		last := jobs[len(jobs)-1].Work
		out["next"] = strconv.FormatInt(last.Deadline.UnixMicro(), 10) + "." + string(last.Transfer)
	}
	return answer{body: out}
}

// jobsPage reads the cursor and size of a queue: its order is that of deadlines, so a cursor is a deadline and a transfer.
func jobsPage(r *http.Request) (p exchange.Page, err error) {
	q := r.URL.Query()
	if p.Limit, err = limitOf(r); err != nil {
		return p, err
	}
	after := q.Get("after")
	if after == "" {
		return p, nil
	}
	micros, id, _ := strings.Cut(after, ".")
	n, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || n < 0 || !isID(id) {
		return p, invalid("?after", "format", "this is no place in the queue", "take it from next of the page before, or leave it out for the first page")
	}
	p.From, p.After = time.UnixMicro(n), transfer.TransferID(id)
	return p, nil
}

// rule carries out what a person decided about a hold.
func (s *server) rule(r *http.Request, by auth.Principal) (answer, error) {
	return s.ruling(r, by, s.Exchange.Rule, policy.LetGo, policy.TurnDown, policy.SendBack)
}

// review records that a person has looked at an exception.
func (s *server) review(r *http.Request, by auth.Principal) (answer, error) {
	return s.ruling(r, by, s.Exchange.Review, ledger.Reviewed)
}

func (s *server) ruling(r *http.Request, by auth.Principal, carryOut ruler, acts ...policy.Act) (answer, error) {
	id, err := transferID(r)
	if err != nil {
		return answer{}, err
	}
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	ruling, err := s.readRuling(body, acts)
	if err != nil {
		return answer{}, err
	}
	repeat, err := carryOut(r.Context(), by, id, ruling)
	if err != nil {
		return answer{}, err
	}
	j, err := s.Exchange.Transfer(r.Context(), by, id)
	if err != nil {
		return answer{}, err
	}
	status := http.StatusCreated
	if repeat {
		status = http.StatusOK
	}
	return answer{status: status, body: s.shown(by, j)}, nil
}

func (s *server) readRuling(body []byte, acts []policy.Act) (exchange.Ruling, error) {
	var out exchange.Ruling
	if err := check("ruling/1", body); err != nil {
		return out, err
	}
	var in struct {
		Act    policy.Act `json:"act"`
		Person string     `json:"person"`
		Codes  []string   `json:"codes"`
		Ground string     `json:"ground"`
		At     time.Time  `json:"at"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return out, unreadable(err)
	}
	grounds := policy.Grounds(in.Act)
	if in.Act == ledger.Reviewed {
		grounds = exchange.ReviewGrounds()
	}
	switch {
	case !slices.Contains(acts, in.Act):
		return out, invalid("/act", "enum", "this operation does not take this act", fmt.Sprintf("use one of: %s", joined(acts)))
	case !slices.Contains(grounds, in.Ground):
		return out, invalid("/ground", "enum", "this is no ground for this act", "use one of: "+strings.Join(grounds, ", "))
	case in.Act != ledger.Reviewed && len(in.Codes) == 0:
		return out, invalid("/codes", "required", "a ruling names the reasons that the person looked at", "take their codes from GET /v1/holds")
	case in.At.After(s.Now().Add(clockSkew)):
		return out, invalid("/at", "future", "this has not happened yet", "say when it was decided, and check the clock of the sending system")
	}
	return exchange.Ruling{Act: in.Act, Person: in.Person, Codes: in.Codes, Ground: in.Ground, At: in.At.UTC()}, nil
}

func joined[T ~string](all []T) string {
	return strings.Join(lo.Map(all, func(v T, _ int) string { return string(v) }), ", ")
}
