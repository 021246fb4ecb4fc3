package rights

import (
	"referralhub/hub/dates"
)

// What the requests of Arts 15 to 21 have in common: identity, clarification, extension, refusal, and the month (Art 12, 12A UK GDPR).

// Steps of a request.
const (
	identityConfirmed = "identity-confirmed"
	asked             = "clarification-asked"
	answeredQuestion  = "clarification-answered"
	extended          = "extended"
	answered          = "answered"
	refused           = "refused"
	dropped           = "dropped" // by the person who asked
	closed            = "closed"
)

// unfounded are the grounds on which any request may be refused (Art 12(5), and who does not show who they are: Art 12(6)).
var unfounded = []string{"manifestly-unfounded", "excessive", "identity-not-confirmed"}

// request is the steps that every request has. grounds are why one of this kind may be refused besides.
func request(grounds []string, own map[string]rule) map[string]rule {
	return with(map[string]rule{
		identityConfirmed: {from: []State{Identity}, to: Open},
		extended:          {from: []State{Open, Clarification, Telling}, grounds: []string{"complex", "numerous"}, effect: extend},
		refused:           {from: []State{Identity, Open, Clarification}, to: Refused, grounds: append(unfounded, grounds...)},
		dropped:           {from: []State{Identity, Open, Clarification}, to: Closed},
	}, own)
}

// telling is the steps of a request whose outcome recipients are told (Art 19). The person is answered while they are told, and it is closed when
// all have done it.
func telling(grounds []string, own map[string]rule) map[string]rule {
	return request(grounds, with(passing(Telling), with(map[string]rule{
		answered: {from: []State{Telling}},
		closed:   {from: []State{Telling}, to: Closed, effect: finished},
	}, own)))
}

// finished refuses to close what is not done.
func finished(w *work) error {
	if _, yes := w.k.took(answered); !yes {
		return w.refuse("the person has not been told what was done: take the step %s", answered)
	}
	return w.waits()
}

// extend gives two months more, if the person is told so before the first month ends (Art 12A).
func extend(w *work) error {
	if _, yes := w.k.took(extended); yes {
		return w.refuse("it was extended before, and that is possible once")
	}
	first := w.rights.cfg.Calendar.Month(w.k.begins(), w.k.pauses()...)
	if !first.Date.IsZero() && w.on.After(first.Date) {
		return w.refuse("it could be extended until %s, when the first month ended", first.Date)
	}
	return nil
}

// begins is when the month begins: when it came in, or when the person had shown who they are if that was later (Art 12A).
func (k *Case) begins() dates.Date {
	confirmed, _ := k.took(identityConfirmed)
	return dates.Latest(k.Received, confirmed.On)
}

// pauses are the times for which the clock stands.
func (k *Case) pauses() []dates.Pause {
	var out []dates.Pause
	for _, s := range k.Steps {
		switch {
		case s.Step == asked:
			out = append(out, dates.Pause{Asked: s.On})
		case s.Step == answeredQuestion && len(out) > 0:
			out[len(out)-1].Answered = s.On
		}
	}
	return out
}

// month is the clock of a request under an article.
func month(article string) func(*Case, *dates.Calendar) []Deadline {
	return func(k *Case, c *dates.Calendar) []Deadline {
		d := Deadline{What: "answer the person", Source: article + " and Art 12A UK GDPR"}
		if _, d.Met = k.took(answered); !d.Met {
			d.Met = k.State.Over()
		}
		if k.State == Identity {
			d.Warning = "the month begins when the person's identity is confirmed"
			return []Deadline{d}
		}
		due := c.Month
		if _, longer := k.took(extended); longer {
			due = c.Extended
		}
		by := due(k.begins(), k.pauses()...)
		d.By, d.Warning = by.Date.String(), by.Warning
		return []Deadline{d}
	}
}

// month is by when a recipient has to answer what it is told today: it has the same time as whoever tells it.
func (w *work) month() dates.Date { return w.rights.cfg.Calendar.Month(dates.On(w.At())).Date }
