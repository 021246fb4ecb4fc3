// Package rights is the work that people do about a person's rights and about what went wrong: requests under Arts 15 to 21 UK GDPR, complaints,
// incidents, legal holds, retention. The hub knows who received what about whom, so it can say so, tell those who received it (Art 19), and keep
// the clocks (domain.md section 10).
//
// Everything is a case, and a case goes by steps. Each type of case has a procedure that says which step may follow which, who may take it, on
// which grounds, and what it does. A step is one commit: the case, its leaf in the log, the notices that it sends, what it stops.
//
//	opened ──► identity ──► open ──► clarification ──► open ──► telling ──► closed
//	                          └──────────────► refused
//
// MUST lines:
//   - A case, its leaf and the notices that come of a step are in one commit, or none of them is.
//   - A case that told recipients is not closed before each of them has done it or refused with a reason that somebody looked at.
//   - A partner's case is about what that partner disclosed. It says nothing about what others did, nor whether they know the person.
//   - A case holds codes, names of items, dates and offices. Who it is about is a column beside it, and nowhere in it.
package rights

import (
	"encoding/json"
	"time"

	"referralhub/hub/dates"
	"referralhub/hub/transfer"
)

// Type is what a case is about.
type Type string

// The types of case.
const (
	Access        Type = "access"        // Art 15
	Rectification Type = "rectification" // Art 16
	Erasure       Type = "erasure"       // Art 17
	Restriction   Type = "restriction"   // Art 18
	Portability   Type = "portability"   // Art 20
	Objection     Type = "objection"     // Art 21
	Withdrawal    Type = "withdrawal"    // Art 7(3)
	Complaint     Type = "complaint"     // DPA 2018 s.164A, rule 001-36
	Incident      Type = "incident"      // Arts 33 and 34
	LegalHold     Type = "legal-hold"
	Retention     Type = "retention"
	Flag          Type = "flag" // something unusual, for somebody to look at
)

// Types lists them.
func Types() []Type {
	return []Type{Access, Rectification, Erasure, Restriction, Portability, Objection, Withdrawal, Complaint, Incident, LegalHold, Retention, Flag}
}

// State is where a case stands. Procedures may have more of them; the last two are the same for all, and nothing is due in them.
type State string

// The states that most procedures share.
const (
	Identity      State = "identity" // who asks has to show who they are; the clock has not begun
	Open          State = "open"
	Clarification State = "clarification" // the person was asked what they mean; the clock stands
	Telling       State = "telling"       // recipients were told, and not all have answered
	Closed        State = "closed"
	Refused       State = "refused"
)

// Over reports whether nothing is left to do.
func (s State) Over() bool { return s == Closed || s == Refused }

// Case is a case as it is kept and shown. It names nobody.
type Case struct {
	Reference string             `json:"reference"` // given by the hub: "case-<uuid>"
	Type      Type               `json:"type"`
	Partner   transfer.PartnerID `json:"partner"` // whose case it is: the controller, or the operator for all of them
	State     State              `json:"state"`
	Received  dates.Date         `json:"received"`
	Aware     time.Time          `json:"aware,omitzero"` // the instant from which hours count, where they do
	Channel   string             `json:"channel,omitempty"`
	Known     bool               `json:"known"` // the log holds something of this partner's about the person
	Role      transfer.Role      `json:"role,omitempty"`
	Items     []string           `json:"items,omitempty"` // by name; empty: all of them
	Grounds   []string           `json:"grounds,omitempty"`
	Stage     string             `json:"stage,omitempty"`
	Scope     json.RawMessage    `json:"scope,omitempty"` // what the procedure keeps besides
	Steps     []Step             `json:"steps"`
	Deadlines []Deadline         `json:"deadlines,omitempty"`
	Told      []string           `json:"told,omitempty"`  // ids of the notices sent
	Tasks     []Task             `json:"tasks,omitempty"` // recipients whom a person has to tell, because the hub cannot
	Of        string             `json:"of,omitempty"`    // reference of the case that this one came of
}

// Step is what was done, by whom, when.
type Step struct {
	Step    string             `json:"step"`
	On      dates.Date         `json:"on"` // the day that counts
	At      time.Time          `json:"at"` // when it was entered
	By      transfer.PartnerID `json:"by"`
	Person  string             `json:"person,omitempty"` // by the id of By's register entry; empty for what the hub did by itself
	Role    transfer.StaffRole `json:"role,omitempty"`
	Grounds []string           `json:"grounds,omitempty"`
	Items   []string           `json:"items,omitempty"`
	Notice  string             `json:"notice,omitempty"`
	Task    string             `json:"task,omitempty"`
	Entries []Place            `json:"entries,omitempty"`
	Details json.RawMessage    `json:"details,omitempty"`
	Log     Place              `json:"log"` // its leaf
}

// Place is where a leaf stands.
type Place struct {
	Origin string `json:"origin"`
	Index  int64  `json:"index"`
}

// Deadline is by when something is due, and which rule says so.
type Deadline struct {
	What    string `json:"what"`
	By      string `json:"by,omitempty"` // "2026-12-02", or an instant (RFC 3339) where hours count; empty while the clock does not run
	Source  string `json:"source"`
	Met     bool   `json:"met"`
	Warning string `json:"warning,omitempty"` // what whoever relies on it has to know
}

// Instant is the end of the day, or the instant, by which it is due; zero when none is.
func (d *Deadline) Instant() time.Time {
	if day, err := dates.Parse(d.By); err == nil {
		return day.LastSecond()
	}
	at, err := time.Parse(time.RFC3339, d.By)
	if err != nil {
		return time.Time{}
	}
	return at
}

// Task is what a person has to do because the hub cannot: tell a recipient (an office outside the hub, or a partner without a system that takes
// notices), or send again what was stopped.
type Task struct {
	ID        string                `json:"id"` // "task-1"
	Office    string                `json:"office"`
	Act       string                `json:"act"`
	Items     []string              `json:"items,omitempty"`
	Made      []string              `json:"made"` // on which days it was told what is now to be put right: "2026-11-02"
	Transfers []transfer.TransferID `json:"transfers,omitempty"`
	Outside   []Outside             `json:"outside,omitempty"` // what was told outside the hub
	Done      bool                  `json:"done"`
}

// took finds the newest step of a name.
func (k *Case) took(step string) (Step, bool) {
	for i := len(k.Steps) - 1; i >= 0; i-- {
		if k.Steps[i].Step == step {
			return k.Steps[i], true
		}
	}
	return Step{}, false
}

// due is the first deadline that has not been met.
func (k *Case) due() (Deadline, time.Time) {
	var first Deadline
	var at time.Time
	for _, d := range k.Deadlines {
		if by := d.Instant(); !d.Met && !by.IsZero() && (at.IsZero() || by.Before(at)) {
			first, at = d, by
		}
	}
	return first, at
}
