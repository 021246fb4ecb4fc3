package agreement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"referralhub/hub/dates"
	"referralhub/hub/transfer"
)

// Graces after which something that is overdue stops what it was only remarked on before.
const (
	ReviewGrace  = 90 * 24 * time.Hour // after review_by (domain.md section 2.1, as the Essex framework does)
	ToolkitGrace = 30                  // days after the Data Security and Protection Toolkit expires (domain.md section 11: warn, then suspend)
)

// Cause is why a clause starts or stops on a date.
type Cause string

// The causes.
const (
	Begins        Cause = "begins"         // the first day of the agreement
	Replaces      Cause = "replaces"       // the first day of a version that takes over from another
	Replaced      Cause = "replaced"       // the first day of the version after it
	Ends          Cause = "ends"           // its last day has passed
	ContractEnds  Cause = "contract-ends"  // the last day of the contract has
	ReviewMissed  Cause = "review-missed"  // it was due for review, and the grace is over
	ToolkitLapsed Cause = "toolkit-lapsed" // the recipient's Data Security and Protection Toolkit lapsed, and the grace is over
)

// Change is that a clause starts to carry data, or stops, on a date.
type Change struct {
	At     time.Time          `json:"at"` // the first instant at which it is so
	Clause string             `json:"clause"`
	To     transfer.PartnerID `json:"to,omitempty"` // the one recipient whom it is about; empty: everybody
	Stops  bool               `json:"stops"`        // otherwise it starts
	Cause  Cause              `json:"cause"`
	Detail string             `json:"detail"` // a sentence
}

// Forecast says which clauses will start or stop between two instants, the first excluded, if nobody does anything: if no version is added, no
// review is held and nobody's status is renewed. What has been suspended or stopped by a person stays so.
func (x *Index) Forecast(from, to time.Time) []Change {
	var changes []Change
	for id, versions := range x.versions {
		dates := datesOf(versions, from, to)
		for _, at := range dates {
			before, after := x.carries(id, at.Add(-1)), x.carries(id, at)
			if before == after {
				continue
			}
			if before != nil {
				cause, detail := stopped(before, after, at)
				changes = append(changes, about(before, at, true, cause, detail)...)
			}
			if after != nil {
				cause := Begins
				if before != nil || after.Version > versions[0].Version {
					cause = Replaces
				}
				changes = append(changes, about(after, at, false, cause, fmt.Sprintf("%s starts on %s.", after.Ref(), day(at)))...)
			}
		}
	}
	changes = append(changes, x.lapses(from, to)...)
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Detail, b.Detail), strings.Compare(a.Clause, b.Clause), cmp.Compare(a.To, b.To))
	})
	return changes
}

// datesOf gives the instants after from and up to to at which anything of an agreement's versions changes, in order.
func datesOf(versions []*Agreement, from, to time.Time) []time.Time {
	var dates []time.Time
	for _, a := range versions {
		for _, at := range []time.Time{a.Starts, a.Ends, a.Contract.Ends, a.graceEnds()} {
			if at.After(from) && !at.After(to) {
				dates = append(dates, at)
			}
		}
	}
	slices.SortFunc(dates, time.Time.Compare)
	return slices.CompactFunc(dates, time.Time.Equal)
}

// graceEnds is when a review that nobody holds stops the agreement.
func (a *Agreement) graceEnds() time.Time {
	if a.ReviewBy.IsZero() {
		return time.Time{}
	}
	return a.ReviewBy.Add(ReviewGrace)
}

// carries gives the version of an agreement that carries data at an instant; nil when none does.
func (x *Index) carries(id transfer.AgreementID, at time.Time) *Agreement {
	a, ok := x.Current(id, at)
	if !ok || a.Standing(at) != InForce || !a.ReviewBy.IsZero() && !at.Before(a.graceEnds()) {
		return nil
	}
	return a
}

// stopped says why a version that carried data does not at an instant. When it was replaced, by what may be nil: a version that has been stopped.
func stopped(a, by *Agreement, at time.Time) (Cause, string) {
	switch a.Standing(at) {
	case Ended:
		return Ends, fmt.Sprintf("%s ended on %s.", a.Ref(), lastDay(at))
	case ContractEnded:
		return ContractEnds, fmt.Sprintf("%s ended with the contract %s on %s.", a.Ref(), a.Contract.Reference, lastDay(at))
	}
	if by == nil && !at.Before(a.graceEnds()) && !a.ReviewBy.IsZero() {
		return ReviewMissed, fmt.Sprintf("%s was due for review by %s, and the grace of %d days is over.",
			a.Ref(), lastDay(a.ReviewBy), int(ReviewGrace.Hours()/24))
	}
	return Replaced, fmt.Sprintf("The next version of %s counts from %s.", a.Ref(), day(at))
}

// about makes the changes of a version's clauses.
func about(a *Agreement, at time.Time, stops bool, cause Cause, detail string) []Change {
	var changes []Change
	for _, f := range a.Flows {
		c := Change{At: at, Clause: f.ID, Stops: stops, Cause: cause, Detail: detail}
		if !slices.Contains(changes, c) { // a clause for several messages is several flows
			changes = append(changes, c)
		}
	}
	return changes
}

// lapses finds the recipients whose toolkit status will have lapsed for too long, and the clauses under which nothing goes to them then.
func (x *Index) lapses(from, to time.Time) []Change {
	var changes []Change
	for _, p := range x.register {
		expires, err := dates.Parse(p.DSPT.Expires)
		if err != nil {
			continue
		}
		at := expires.AddDays(ToolkitGrace).End()
		if !at.After(from) || at.After(to) {
			continue
		}
		detail := fmt.Sprintf("The Data Security and Protection Toolkit status of %s ran to %s, and the grace of %d days is over.",
			p.Name, day(expires.Start()), ToolkitGrace)
		for _, a := range x.agreements {
			if x.carries(a.ID, at) != a {
				continue
			}
			for _, f := range a.Flows {
				c := Change{At: at, Clause: f.ID, To: p.ID, Stops: true, Cause: ToolkitLapsed, Detail: detail}
				if slices.Contains(f.To, p.ID) && !slices.Contains(changes, c) {
					changes = append(changes, c)
				}
			}
		}
	}
	return changes
}
