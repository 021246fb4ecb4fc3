package consent_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/transfer"
)

const (
	cih     = transfer.PartnerID("carers-in-hertfordshire")
	ageUK   = transfer.PartnerID("age-uk-hertfordshire")
	council = transfer.PartnerID("hertfordshire-county-council")
)

var (
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	scope = consent.Scope{
		Sender: cih, Recipient: ageUK, Purpose: "referral.service", Service: "hertswise",
		Members: []transfer.PartnerID{ageUK, "hils"},
	}
)

// event is something about Hertswise that Carers in Hertfordshire recorded so long before noon.
func event(id string, state consent.State, before time.Duration, change ...func(*consent.Event)) consent.Event {
	e := consent.Event{
		ID: id, RecordedBy: cih, State: state, Purpose: "referral.service", Service: "hertswise",
		Method: "verbal", Authority: "self", At: noon.Add(-before),
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func by(p transfer.PartnerID) func(*consent.Event) {
	return func(e *consent.Event) { e.RecordedBy = p }
}

func naming(categories ...contracts.Category) func(*consent.Event) {
	return func(e *consent.Event) { e.Categories = categories }
}

func explicitly(e *consent.Event) { e.Explicit = true }

func TestWhatPeopleHaveSaid(t *testing.T) {
	hour := time.Hour
	for _, tt := range []struct {
		story  string
		events []consent.Event
		want   consent.Standing
	}{
		{"nobody has asked", nil, consent.Standing{}},
		{
			"she agreed to Hertswise",
			[]consent.Event{event("1", consent.Given, hour)},
			consent.Standing{State: consent.Given, Refs: []string{"1"}},
		},
		{
			"she agreed, and thought better of it",
			[]consent.Event{event("1", consent.Given, 2*hour), event("2", consent.Withdrawn, hour)},
			consent.Standing{State: consent.Withdrawn, Refs: []string{"2"}},
		},
		{
			"she refused, and later agreed",
			[]consent.Event{event("1", consent.Refused, 2*hour), event("2", consent.Given, hour)},
			consent.Standing{State: consent.Given, Refs: []string{"2"}},
		},
		{
			"both are dated to the minute, so the no counts",
			[]consent.Event{event("2", consent.Given, hour), event("1", consent.Withdrawn, hour)},
			consent.Standing{State: consent.Withdrawn, Refs: []string{"1"}},
		},
		{
			"she agreed to health being shared, and took health back",
			[]consent.Event{
				event("1", consent.Given, 2*hour, explicitly, naming("identity", "health")),
				event("2", consent.Withdrawn, hour, naming("health")),
			},
			consent.Standing{
				State: consent.Given, Explicit: true, Categories: []contracts.Category{"identity", "health"},
				Except: map[contracts.Category]consent.State{"health": consent.Withdrawn}, Refs: []string{"1", "2"},
			},
		},
		{
			"she took back everything that she had named",
			[]consent.Event{
				event("1", consent.Given, 3*hour, naming("identity", "health")),
				event("2", consent.Withdrawn, 2*hour, naming("health")),
				event("3", consent.Refused, hour, naming("identity")),
			},
			consent.Standing{
				State:  consent.Withdrawn,
				Except: map[contracts.Category]consent.State{"health": consent.Withdrawn, "identity": consent.Refused},
				Refs:   []string{"1", "2", "3"},
			},
		},
		{
			"a later yes to less replaces the one before",
			[]consent.Event{
				event("1", consent.Given, 2*hour, explicitly, naming("identity", "health")),
				event("2", consent.Given, hour, naming("identity")),
			},
			consent.Standing{State: consent.Given, Categories: []contracts.Category{"identity"}, Refs: []string{"2"}},
		},
		{
			"two forms of one minute: the one that covers less counts",
			[]consent.Event{event("1", consent.Given, hour, naming("identity")), event("2", consent.Given, hour)},
			consent.Standing{State: consent.Given, Categories: []contracts.Category{"identity"}, Refs: []string{"1"}},
		},
		{
			"two forms of one minute: the one that runs out first counts",
			[]consent.Event{
				event("1", consent.Given, hour, func(e *consent.Event) { e.ExpiresAt = noon }), event("2", consent.Given, hour),
			},
			consent.Standing{State: consent.Expired, Refs: []string{"1"}},
		},
		{
			"a renewal is a yes again",
			[]consent.Event{event("1", consent.Withdrawn, 2*hour), event("2", consent.Renewed, hour)},
			consent.Standing{State: consent.Given, Refs: []string{"2"}},
		},
		{
			"asking again does not undo a yes",
			[]consent.Event{event("1", consent.Given, 2*hour), event("2", consent.Requested, hour)},
			consent.Standing{State: consent.Given, Refs: []string{"1"}},
		},
		{
			"asking again does not undo a no",
			[]consent.Event{event("1", consent.Objected, 2*hour), event("2", consent.Deferred, hour)},
			consent.Standing{State: consent.Objected, Refs: []string{"1"}},
		},
		{
			"a no cannot be found invalid behind her back",
			[]consent.Event{event("1", consent.Refused, 2*hour), event("2", consent.Invalidated, hour)},
			consent.Standing{State: consent.Refused, Refs: []string{"1"}},
		},
		{
			"her consent turned out never to have been valid",
			[]consent.Event{event("1", consent.Given, 2*hour), event("2", consent.Invalidated, hour, naming("health"))},
			consent.Standing{State: consent.Invalidated, Refs: []string{"2"}},
		},
		{
			"her consent ran out at this very instant",
			[]consent.Event{event("1", consent.Given, hour, func(e *consent.Event) { e.ExpiresAt = noon })},
			consent.Standing{State: consent.Expired, Refs: []string{"1"}},
		},
		{
			"her consent runs out in a second",
			[]consent.Event{event("1", consent.Given, hour, func(e *consent.Event) { e.ExpiresAt = noon.Add(time.Second) })},
			consent.Standing{State: consent.Given, Refs: []string{"1"}},
		},
		{
			"a clock that runs a little ahead is believed",
			[]consent.Event{event("1", consent.Given, -5*time.Minute)},
			consent.Standing{State: consent.Given, Refs: []string{"1"}},
		},
		{
			"a yes from the future is not",
			[]consent.Event{event("1", consent.Given, -6*time.Minute)},
			consent.Standing{},
		},
		{
			"a withdrawal from the future is",
			[]consent.Event{event("1", consent.Given, hour), event("2", consent.Withdrawn, -48*hour)},
			consent.Standing{State: consent.Withdrawn, Refs: []string{"2"}},
		},
		{
			"she was told and has not answered",
			[]consent.Event{event("1", consent.Requested, hour, func(e *consent.Event) { e.Notice = "carers-2026-04" })},
			consent.Standing{State: consent.Requested, Notice: "carers-2026-04", Refs: []string{"1"}},
		},
	} {
		t.Run(tt.story, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, consent.At(tt.events, scope, noon)); diff != "" {
				t.Errorf("standing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAnEventIsAbout(t *testing.T) {
	none, elsewhere := consent.Standing{}, consent.Standing{OutOfScope: true}
	yes := consent.Standing{State: consent.Given, Refs: []string{"1"}}
	no := consent.Standing{State: consent.Refused, Refs: []string{"1"}}
	for _, tt := range []struct {
		story string
		event consent.Event
		want  consent.Standing
	}{
		{"a yes for the service", event("1", consent.Given, 1), yes},
		{"a yes that names the recipient", event("1", consent.Given, 1, to(ageUK), service("")), yes},
		{"a yes that names another recipient of the service", event("1", consent.Given, 1, to("hils")), elsewhere},
		{"a yes for another purpose", event("1", consent.Given, 1, purpose("advocacy")), elsewhere},
		{"a yes for another service", event("1", consent.Given, 1, service("community-navigators")), elsewhere},
		{"a yes to the recipient for another service", event("1", consent.Given, 1, to(ageUK), service("community-navigators")), elsewhere},
		{"a yes to nobody in particular", event("1", consent.Given, 1, service("")), elsewhere},
		{"a yes that the recipient recorded", event("1", consent.Given, 1, by(ageUK)), yes},
		{"a yes for something else that the recipient recorded is not the sender's to learn of",
			event("1", consent.Given, 1, by(ageUK), purpose("advocacy")), none},
		{"a yes that somebody else recorded", event("1", consent.Given, 1, by(council)), none},
		{"a no to the service", event("1", consent.Refused, 1), no},
		{"a no to the recipient", event("1", consent.Refused, 1, to(ageUK), service("")), no},
		{"a no to all sharing for the purpose", event("1", consent.Refused, 1, service("")), no},
		{"a no to all sharing", event("1", consent.Refused, 1, service(""), purpose("")), no},
		{"a no that the recipient recorded", event("1", consent.Refused, 1, by(ageUK)), no},
		{"a no to another service", event("1", consent.Refused, 1, service("community-navigators")), none},
		{"a no to another recipient", event("1", consent.Refused, 1, to("hils")), none},
		{"a no that somebody else recorded", event("1", consent.Refused, 1, by(council)), none},
	} {
		t.Run(tt.story, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, consent.At([]consent.Event{tt.event}, scope, noon)); diff != "" {
				t.Errorf("standing (-want +got):\n%s", diff)
			}
		})
	}
}

func to(p ...transfer.PartnerID) func(*consent.Event) {
	return func(e *consent.Event) { e.Recipients = p }
}

func service(s transfer.Service) func(*consent.Event) {
	return func(e *consent.Event) { e.Service = s }
}

func purpose(p transfer.Purpose) func(*consent.Event) {
	return func(e *consent.Event) { e.Purpose = p }
}

func TestAPartnerThatDoesNotDeliverTheServiceGetsNothingByAConsentToIt(t *testing.T) {
	toCouncil := scope
	toCouncil.Recipient = council
	if s := consent.At([]consent.Event{event("1", consent.Given, time.Hour)}, toCouncil, noon); s.State != consent.None || !s.OutOfScope {
		t.Errorf("a consent to Hertswise came to %+v for a partner that is no member", s)
	}
}

func TestWhoseYesCounts(t *testing.T) {
	byParent := scope
	byParent.Authorities = []string{"parent", "gillick"}
	events := []consent.Event{
		event("1", consent.Given, 2*time.Hour, func(e *consent.Event) { e.Authority = "parent" }),
		event("2", consent.Given, time.Hour, naming("identity")), // her own
	}
	if s := consent.At(events, byParent, noon); s.State != consent.Given || s.Refs[0] != "1" {
		t.Errorf("the parent's consent came to %+v", s)
	}
	if s := consent.At(events[1:], byParent, noon); s.State != consent.None {
		t.Errorf("a yes that does not count came to %+v", s)
	}
	events = append(events, event("3", consent.Withdrawn, time.Minute))
	if s := consent.At(events, byParent, noon); s.State != consent.Withdrawn {
		t.Errorf("her own no came to %+v", s)
	}
}

// Her son says that what is on file about her is wrong. Until that is looked into, it is kept and not used (Art 18(1)(a)).
func TestARestrictionHoldsUntilItIsLifted(t *testing.T) {
	hour := time.Hour
	contact, health := contracts.Item{Category: "contact"}, contracts.Item{Category: "health", Special: true}
	given := event("yes", consent.Given, 9*hour, explicitly, naming("contact", "health"))
	for _, tt := range []struct {
		story           string
		events          []consent.Event
		contact, health bool // restricted
	}{
		{"nobody restricted anything", nil, false, false},
		{"everything is restricted", []consent.Event{event("1", consent.Restricted, hour)}, true, true},
		{"health is", []consent.Event{event("1", consent.Restricted, hour, naming("health"))}, false, true},
		{"it is, whatever for", []consent.Event{event("1", consent.Restricted, hour, purpose("advocacy"), service("community-navigators"))}, true, true},
		{"the recipient recorded it", []consent.Event{event("1", consent.Restricted, hour, by(ageUK))}, true, true},
		{"the council did, and that is not theirs to know", []consent.Event{event("1", consent.Restricted, hour, by(council))}, false, false},
		{"it is towards another partner", []consent.Event{event("1", consent.Restricted, hour, to("hils"))}, false, false},
		{"it is towards this one", []consent.Event{event("1", consent.Restricted, hour, to("hils", ageUK))}, true, true},
		{"it is dated tomorrow", []consent.Event{event("1", consent.Restricted, -24*hour)}, true, true},
		{"it says that it has run out", []consent.Event{event("1", consent.Restricted, 2*hour, func(e *consent.Event) { e.ExpiresAt = noon.Add(-hour) })}, true, true},
		{"it was lifted", []consent.Event{event("1", consent.Restricted, 2*hour), event("2", consent.RestrictionLifted, hour)}, false, false},
		{"it was lifted before it began", []consent.Event{event("1", consent.Restricted, hour), event("2", consent.RestrictionLifted, 2*hour)}, true, true},
		{"both are dated to the minute", []consent.Event{event("1", consent.Restricted, hour), event("2", consent.RestrictionLifted, hour)}, true, true},
		{"it will be lifted tomorrow", []consent.Event{event("1", consent.Restricted, hour), event("2", consent.RestrictionLifted, -24*hour)}, true, true},
		{"the sender lifted what the recipient recorded",
			[]consent.Event{event("1", consent.Restricted, 2*hour, by(ageUK)), event("2", consent.RestrictionLifted, hour)}, false, false},
		{"the recipient lifted what it recorded",
			[]consent.Event{event("1", consent.Restricted, 2*hour, by(ageUK)), event("2", consent.RestrictionLifted, hour, by(ageUK))}, false, false},
		{"the recipient cannot lift what the sender recorded",
			[]consent.Event{event("1", consent.Restricted, 2*hour), event("2", consent.RestrictionLifted, hour, by(ageUK))}, true, true},
		{"it was lifted towards somebody else",
			[]consent.Event{event("1", consent.Restricted, 2*hour), event("2", consent.RestrictionLifted, hour, to("hils"))}, true, true},
		{"it was lifted for health",
			[]consent.Event{event("1", consent.Restricted, 2*hour, naming("contact", "health")), event("2", consent.RestrictionLifted, hour, naming("health"))}, true, false},
		{"a restriction of everything is not lifted in part",
			[]consent.Event{event("1", consent.Restricted, 2*hour), event("2", consent.RestrictionLifted, hour, naming("health"))}, true, true},
		{"two are in force, by the sender and by the recipient",
			[]consent.Event{event("1", consent.Restricted, hour, naming("health")), event("2", consent.Restricted, 2*hour, naming("contact"), by(ageUK))}, true, true},
		{"one of two was lifted",
			[]consent.Event{event("1", consent.Restricted, 3*hour), event("2", consent.RestrictionLifted, 2*hour), event("3", consent.Restricted, hour, naming("health"))},
			false, true},
		{"she had agreed before", []consent.Event{given, event("1", consent.Restricted, hour)}, true, true},
		{"she has agreed since (Art 18(2)), to health by a tick",
			[]consent.Event{event("1", consent.Restricted, 2*hour), event("2", consent.Given, hour, naming("contact", "health"))}, false, true},
		{"she has agreed since, and thought better of it",
			[]consent.Event{event("1", consent.Restricted, 3*hour), event("2", consent.Given, 2*hour), event("3", consent.Withdrawn, hour)}, true, true},
	} {
		t.Run(tt.story, func(t *testing.T) {
			s := consent.At(tt.events, scope, noon)
			if s.Restricts(&contact) != tt.contact || s.Restricts(&health) != tt.health {
				t.Errorf("contact restricted: %t, health restricted: %t, by %+v", s.Restricts(&contact), s.Restricts(&health), s.Restricted)
			}
			backwards := slices.Clone(tt.events)
			slices.Reverse(backwards)
			if diff := cmp.Diff(s, consent.At(backwards, scope, noon)); diff != "" {
				t.Errorf("in another order (-first +second):\n%s", diff)
			}
			s.Restricted = nil
			without := slices.DeleteFunc(slices.Clone(tt.events), func(e consent.Event) bool {
				return e.State == consent.Restricted || e.State == consent.RestrictionLifted
			})
			if diff := cmp.Diff(consent.At(without, scope, noon), s); diff != "" {
				t.Errorf("what she agreed to is another (-without the restriction +with):\n%s", diff)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	contact := contracts.Item{Category: "contact"}
	health := contracts.Item{Category: "health", Special: true}
	offence := contracts.Item{Category: "offence", Offence: true}
	for _, tt := range []struct {
		story                    string
		events                   []consent.Event
		contact, health, offence bool
	}{
		{"to everything ordinary", []consent.Event{event("1", consent.Given, 2, explicitly)}, true, false, false},
		{"to health, in so many words", []consent.Event{event("1", consent.Given, 2, explicitly, naming("health"))}, false, true, false},
		{"to health, by a tick", []consent.Event{event("1", consent.Given, 2, naming("health", "contact"))}, true, false, false},
		{"to offences", []consent.Event{event("1", consent.Given, 2, naming("offence"))}, false, false, true},
		{
			"to everything ordinary, except contact",
			[]consent.Event{event("1", consent.Given, 2), event("2", consent.Refused, 1, naming("contact"))}, false, false, false,
		},
		{"to nothing", []consent.Event{event("1", consent.Refused, 2, explicitly, naming("health"))}, false, false, false},
	} {
		t.Run(tt.story, func(t *testing.T) {
			s := consent.At(tt.events, scope, noon)
			if s.Covers(&contact) != tt.contact || s.Covers(&health) != tt.health || s.Covers(&offence) != tt.offence {
				t.Errorf("covers contact %t, health %t, offence %t", s.Covers(&contact), s.Covers(&health), s.Covers(&offence))
			}
		})
	}
}

func TestParse(t *testing.T) {
	const message = `{"contract": "consent/1", "message_id": "m-1", "subject": {"identifiers": []}, "state": "given",
		"purpose": "referral.service", "service": "hertswise", "recipients": ["hils"], "categories": ["health"], "explicit": true,
		"method": "verbal-witnessed", "authority": "self", "at": "2026-06-01T13:00:00.1234567+01:00", "expires_at": "2027-06-01T00:00:00Z"}`
	want := consent.Event{
		State: consent.Given, Purpose: "referral.service", Service: "hertswise", Recipients: []transfer.PartnerID{"hils"},
		Categories: []contracts.Category{"health"}, Explicit: true, Method: "verbal-witnessed", Authority: "self",
		At: time.Date(2026, 6, 1, 12, 0, 0, 123456000, time.UTC), ExpiresAt: time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC),
	}
	got, err := consent.Parse([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if got.At.Location() != time.UTC {
		t.Errorf("the time is in %v, and should be in UTC", got.At.Location())
	}
}

func TestParseReadsBackWhatIsStored(t *testing.T) {
	for _, e := range []consent.Event{
		event("1", consent.Given, time.Hour, explicitly, naming("health"), to(ageUK)),
		event("2", consent.Withdrawn, 0),
		event("3", consent.Restricted, 0, naming("health")),
		event("4", consent.RestrictionLifted, 0),
	} {
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := consent.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for story, body := range map[string]string{
		"a state that does not exist":  `{"state":"maybe","at":"2026-06-01T12:00:00Z"}`,
		"an event without a state":     `{"at":"2026-06-01T12:00:00Z"}`,
		"an event without a time":      `{"state":"given"}`,
		"a date instead of a time":     `{"state":"given","at":"2026-06-01"}`,
		"a member that nobody knows":   `{"state":"given","at":"2026-06-01T12:00:00Z","mood":"good"}`,
		"a member that is given twice": `{"state":"refused","state":"given","at":"2026-06-01T12:00:00Z"}`,
		"a member in other spelling":   `{"State":"given","at":"2026-06-01T12:00:00Z"}`,
		"something after the event":    `{"state":"given","at":"2026-06-01T12:00:00Z"} {}`,
		"an error that would quote":    `{"state":"given","at":"Zebedee Quill"}`,
		"nothing at all":               ``,
	} {
		t.Run(story, func(t *testing.T) {
			_, err := consent.Parse([]byte(body))
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "Quill") {
				t.Errorf("the error quotes the event: %v", err)
			}
		})
	}
}
