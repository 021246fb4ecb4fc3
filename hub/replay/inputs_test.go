package replay_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/replay"
	"referralhub/hub/transfer"
)

// everything is a request of which every part says something.
func everything(t *testing.T, clause *agreement.Flow) *policy.Request {
	t.Helper()
	r := &policy.Request{
		Sender: cih, Recipient: ageUK, Contract: referral, Purpose: "referral.service", Service: "hertswise", At: noon,
		Undertaking: &contracts.Undertaking{}, Exception: &contracts.Exception{}, Demand: &contracts.Demand{},
		Secondary: &contracts.Secondary{}, Review: &contracts.Review{}, Onward: &policy.Onward{Flow: clause},
		Conditions: map[string]bool{"has(carer.gp)": true, `referral.urgency == "urgent"`: false},
		Rulings: []policy.Ruling{
			{Act: policy.LetGo, Person: "dpl-1", Role: transfer.DataProtection, Codes: []policy.Code{"RESTRICTED"}, Ground: "legal-claims", At: noon.Add(-time.Hour)},
			{Act: policy.SendBack, Person: "sg-1", Role: transfer.SafeguardingLead, Codes: []policy.Code{"CAPACITY_DOUBT"}, Ground: "ask-again", At: noon.Add(-time.Minute)},
		},
		Subjects: []policy.Subject{{Role: transfer.Child, Position: 2}},
	}
	for _, part := range []any{r.Undertaking, r.Exception, r.Demand, r.Secondary, r.Review} {
		fill(reflect.ValueOf(part).Elem())
	}
	s := &r.Subjects[0]
	s.Items, s.Noticed, s.Facts = items("carer.name.given", "referral.reason"), items("referral.reason"), 1<<18-1
	r.Demand.Items = items("carer.name.given", "carer.phones")
	whole := consent.Event{Recipients: []transfer.PartnerID{ageUK, pohwer}, Categories: []contracts.Category{"health"}, At: noon.Add(-day), ExpiresAt: noon.Add(day)}
	fill(reflect.ValueOf(&whole).Elem())
	whole.RecordedBy, whole.ID = cih, "c-1"
	plain := consent.Event{ID: "c-2", RecordedBy: ageUK, State: consent.Withdrawn, At: noon.Add(-time.Hour)}
	s.Events = []consent.Event{whole, plain}
	return r
}

// fill gives every string and boolean that says nothing something to say.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case !f.IsZero():
		case f.Kind() == reflect.String:
			f.SetString("word")
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		}
	}
}

// The log holds everything that a decision depends on: whatever a request says, a leaf and the leaves before it say too. A part that somebody
// adds to requests and forgets in leaves fails here.
func TestWhatADecisionDependsOnIsInTheLog(t *testing.T) {
	version := hertswise(1)
	x := register(t, []*agreement.Agreement{version})
	want := everything(t, version.Flows[0])
	for _, part := range []any{want, &want.Subjects[0], want.Onward, &want.Rulings[0], want.Undertaking, want.Exception, want.Demand, want.Secondary, want.Review} {
		for v, i := reflect.ValueOf(part).Elem(), 0; i < v.NumField(); i++ {
			if v.Field(i).IsZero() {
				t.Errorf("%T.%s says nothing, so nothing shows that the log holds it: give it something to say", part, v.Type().Field(i).Name)
			}
		}
	}

	h := replay.NewHistory(x)
	add := func(l *ledger.Leaf) *ledger.Leaf {
		l, err := ledger.Parse(l.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		h.Add(l)
		return l
	}
	for _, e := range want.Subjects[0].Events {
		var kinds []string
		for _, c := range e.Categories {
			kinds = append(kinds, string(c))
		}
		add(&ledger.Leaf{Kind: ledger.KindConsent, At: noon, Actor: ledger.Actor{Partner: e.RecordedBy}, Consent: &ledger.Consent{
			ID: e.ID, Commitment: ann, State: string(e.State), Purpose: e.Purpose, Service: e.Service, Recipients: e.Recipients, Categories: kinds,
			Explicit: e.Explicit, Method: e.Method, Evidence: e.Evidence != "", Authority: e.Authority, Notice: e.Notice, At: e.At, Expires: e.ExpiresAt,
		}})
	}
	add(&ledger.Leaf{Kind: ledger.KindConsent, At: noon, Actor: ledger.Actor{Partner: pohwer}, Consent: &ledger.Consent{ID: "c-3", Commitment: ann, State: "refused", At: noon}})
	add(&ledger.Leaf{Kind: ledger.KindConsent, At: noon, Actor: ledger.Actor{Partner: cih}, Consent: &ledger.Consent{ID: "c-4", Commitment: ben, State: "refused", At: noon}})
	for _, ruling := range want.Rulings {
		add(&ledger.Leaf{Kind: ledger.KindRuling, Transfer: "t1", At: ruling.At, Actor: ledger.Actor{Partner: cih, Person: ruling.Person, Role: ruling.Role},
			Ruling: &ledger.Ruling{Act: string(ruling.Act), Codes: []string{string(ruling.Codes[0])}, Ground: ruling.Ground}})
	}
	add(&ledger.Leaf{Kind: ledger.KindRuling, Transfer: "t1", At: noon, Ruling: &ledger.Ruling{Act: ledger.Reviewed}})
	add(&ledger.Leaf{Kind: ledger.KindRuling, Transfer: "t2", At: noon, Ruling: &ledger.Ruling{Act: "release"}})

	l := &ledger.Leaf{
		Kind: ledger.KindDecision, At: want.At, Transfer: "t1", Sender: want.Sender, Recipient: want.Recipient, Type: "referral/1",
		Purpose: want.Purpose, Service: want.Service,
		Subjects: []ledger.Subject{{Role: transfer.Child, Position: 2, Commitment: ann, Items: []string{"carer.name.given"}, Stripped: []string{"referral.reason"}}},
	}
	replay.WriteInputs(l, want, x)
	got, err := replay.Request(add(l), h)
	if err != nil {
		t.Fatal(err)
	}
	opts := []cmp.Option{
		cmp.Comparer(func(a, b *contracts.Contract) bool { return a == b }),
		cmp.Comparer(func(a, b *agreement.Flow) bool { return a == b }),
		cmpopts.SortSlices(func(a, b consent.Event) bool { return a.ID < b.ID }),
		// That there is evidence counts, and not where it is; nothing depends on the rest.
		cmpopts.IgnoreFields(consent.Event{}, "Subject", "Evidence"),
		cmpopts.IgnoreFields(contracts.Undertaking{}, "EvidenceRef", "AssertedAt", "TextVersion"),
	}
	if diff := cmp.Diff(*want, got, opts...); diff != "" {
		t.Error(diff)
	}
	if got.Undertaking.EvidenceRef == "" || got.Subjects[0].Events[1].Evidence == "" || got.Subjects[0].Events[0].Evidence != "" {
		t.Error("that there is evidence is lost, or it came from nowhere")
	}
}

// Who was on the register is an input as well, for those whom the message or a ruling names, and for nobody else.
func TestTheLogSaysWhoWasOnTheRegister(t *testing.T) {
	staff := func(id string, roles ...transfer.StaffRole) transfer.Person {
		return transfer.Person{ID: id, Roles: roles}
	}
	x := register(t, nil, employing(staff("claims", transfer.Practitioner), staff("reads", transfer.Caseworker), staff("meets", transfer.CaldicottGuardian),
		staff("rules", transfer.DataProtection, transfer.SafeguardingLead), staff("rests", transfer.DataProtection)))
	l := &ledger.Leaf{}
	replay.WriteInputs(l, &policy.Request{
		Sender: cih, Contract: referral, Exception: &contracts.Exception{Person: "claims"}, Review: &contracts.Review{Person: "reads"},
		Demand: &contracts.Demand{Person: "meets"}, Rulings: []policy.Ruling{{Person: "rules"}, {Person: "has left"}},
	}, x)
	want := []ledger.Person{
		{ID: "claims", Roles: []transfer.StaffRole{transfer.Practitioner}}, {ID: "reads", Roles: []transfer.StaffRole{transfer.Caseworker}},
		{ID: "meets", Roles: []transfer.StaffRole{transfer.CaldicottGuardian}},
		{ID: "rules", Roles: []transfer.StaffRole{transfer.DataProtection, transfer.SafeguardingLead}},
	}
	if diff := cmp.Diff(want, l.Staff); diff != "" {
		t.Error(diff)
	}
	plain := &ledger.Leaf{}
	if replay.WriteInputs(plain, &policy.Request{Sender: cih, Contract: referral}, x); plain.Staff != nil {
		t.Errorf("a message that names nobody says %v", plain.Staff)
	}
}

// What many events have in common is kept once, and events that differ in anything are told apart.
func TestEventsThatDifferInOneThingStayTwo(t *testing.T) {
	h := replay.NewHistory(register(t, nil))
	said := func(id string, change func(l *ledger.Leaf)) {
		l := &ledger.Leaf{Kind: ledger.KindConsent, At: noon, Actor: ledger.Actor{Partner: cih}, Consent: &ledger.Consent{
			ID: id, Commitment: ann, State: "given", Purpose: "advocacy", Service: "hertswise", Method: "paper", Authority: "self", Notice: "n-1", At: noon,
		}}
		change(l)
		h.Add(l)
	}
	changes := map[string]func(l *ledger.Leaf){
		"nothing":     func(*ledger.Leaf) {},
		"recorded by": func(l *ledger.Leaf) { l.Actor.Partner = ageUK },
		"state":       func(l *ledger.Leaf) { l.Consent.State = "refused" },
		"purpose":     func(l *ledger.Leaf) { l.Consent.Purpose = "navigation" },
		"service":     func(l *ledger.Leaf) { l.Consent.Service = "navigators" },
		"method":      func(l *ledger.Leaf) { l.Consent.Method = "verbal" },
		"authority":   func(l *ledger.Leaf) { l.Consent.Authority = "parent" },
		"notice":      func(l *ledger.Leaf) { l.Consent.Notice = "n-2" },
		"explicit":    func(l *ledger.Leaf) { l.Consent.Explicit = true },
		"evidence":    func(l *ledger.Leaf) { l.Consent.Evidence = true },
		"recipient":   func(l *ledger.Leaf) { l.Consent.Recipients = []transfer.PartnerID{"health"} },
		"category":    func(l *ledger.Leaf) { l.Consent.Categories = []string{"health"} },
		"categories":  func(l *ledger.Leaf) { l.Consent.Categories = []string{"health", "contact"} },
		"at":          func(l *ledger.Leaf) { l.Consent.At = noon.Add(time.Microsecond) },
		"expires":     func(l *ledger.Leaf) { l.Consent.Expires = noon },
	}
	for id, change := range changes {
		said(id, change)
	}
	l := &ledger.Leaf{Kind: ledger.KindDecision, At: noon, Sender: cih, Recipient: ageUK, Type: "referral/1", Subjects: []ledger.Subject{{Commitment: ann}}}
	r, err := replay.Request(l, h)
	if err != nil || len(r.Subjects[0].Events) != len(changes) {
		t.Fatalf("got %d events, %v", len(r.Subjects[0].Events), err)
	}
	seen := map[string]string{}
	for _, e := range r.Subjects[0].Events {
		id := e.ID
		e.ID = ""
		if other, twice := seen[fmt.Sprint(e)]; twice {
			t.Errorf("%s is read as %s", id, other)
		}
		seen[fmt.Sprint(e)] = id
	}
}

// What passes on data that nobody is known to have received is not what passes on nothing.
func TestWhatIsPassedOnWithoutHavingBeenReceived(t *testing.T) {
	for name, onward := range map[string]*policy.Onward{"its own": nil, "never received": {}} {
		l := &ledger.Leaf{Kind: ledger.KindDecision, At: noon, Type: "referral/1"}
		replay.WriteInputs(l, &policy.Request{Contract: referral, Onward: onward}, register(t, nil))
		r, err := replay.Request(l, replay.NewHistory(register(t, nil)))
		if err != nil || (r.Onward == nil) != (onward == nil) {
			t.Errorf("%s: got %+v, %v", name, r.Onward, err)
		}
	}
}
