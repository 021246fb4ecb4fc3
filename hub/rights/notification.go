package rights

import (
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"referralhub/hub/dates"
	"referralhub/hub/exchange"
)

// Notification is a draft of what the ICO is told (Art 33(3)): facts of the log and codes of the case, for a person to complete.
type Notification struct {
	Reference    string      `json:"reference"`
	Controller   string      `json:"controller"`
	Registration string      `json:"registration,omitempty"` // with the ICO
	Contact      ContactDesk `json:"contact"`
	Aware        time.Time   `json:"aware"`
	Due          time.Time   `json:"due"`
	Late         []string    `json:"late,omitempty"` // why, where it was
	Nature       []string    `json:"nature"`
	Risk         string      `json:"risk,omitempty"`
	Consequences []string    `json:"consequences,omitempty"`
	Measures     []string    `json:"measures,omitempty"`
	PeopleTold   []string    `json:"people_told,omitempty"`
	Scope        *Scope      `json:"scope,omitempty"`
	Size         *Size       `json:"size,omitempty"`
	Missing      []string    `json:"missing,omitempty"` // what Art 33(3) asks for and nobody has entered: it may follow in phases (Art 33(4))
}

// ContactDesk is the office that knows more (Art 33(3)(b)).
type ContactDesk struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Phone string `json:"phone,omitempty"`
}

// Notification drafts what the ICO is told about an incident. The error is ErrNoCase for a case that is none, or somebody else's.
func (r *Rights) Notification(ctx context.Context, by exchange.Principal, reference string) (*Notification, error) {
	k, err := r.Case(ctx, by, reference)
	if err != nil {
		return nil, err
	}
	if k.Type != Incident {
		return nil, ErrNoCase
	}
	n := &Notification{
		Reference: k.Reference, Controller: string(k.Partner), Aware: k.Aware, Due: k.Aware.Add(dates.BreachNotice), Nature: k.Grounds, Risk: k.level(),
	}
	if p, known := r.cfg.Exchange.Index().Partner(k.Partner); known {
		n.Controller, n.Registration, n.Contact = p.Name, p.ICO, ContactDesk(p.DPL)
	}
	for i := range k.Steps {
		switch s := &k.Steps[i]; s.Step {
		case contained:
			n.Measures = union(n.Measures, s.Grounds)
		case recall:
			n.Measures = union(n.Measures, []string{"recalled"})
		case toldPeople:
			n.PeopleTold = union(n.PeopleTold, s.Grounds)
		case assessed:
			var in struct{ Consequences []string }
			_ = json.Unmarshal(s.Details, &in) // it was checked when the step was taken
			n.Consequences = in.Consequences
		case notifiedICO:
			n.Late = union(n.Late, slices.DeleteFunc(slices.Clone(s.Grounds), func(g string) bool { return !slices.Contains(late, g) }))
		}
	}
	if found := k.sizeOf(); found != nil {
		n.Scope, n.Size = found.Scope, found.Size
	}
	for what, missing := range map[string]bool{
		"numbers": n.Size == nil, "consequences": len(n.Consequences) == 0, "measures": len(n.Measures) == 0, "assessment": n.Risk == "",
		"contact": n.Contact == ContactDesk{},
	} {
		if missing {
			n.Missing = append(n.Missing, what)
		}
	}
	slices.Sort(n.Missing)
	return n, nil
}

//go:embed notification.txt
var notificationText string

var notification = template.Must(template.New("notification").Funcs(template.FuncMap{
	"words": func(codes []string) string { return strings.Join(codes, ", ") },
	"of": func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return strconv.Itoa(n) + " " + many
	},
	"time": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
}).Parse(notificationText))

// WriteText writes the draft as a text that people can go on with.
func (n *Notification) WriteText(w io.Writer) error { return notification.Execute(w, n) }
