package contracts

import (
	"bytes"
	"fmt"
	"slices"

	"referralhub/hub/transfer"
)

// slot is what the hub does with a place of the envelope: one of its functions for each kind of JSON value. A nil one leaves the value alone.
type slot struct {
	open   func(r *reader)                    // an object begins
	close  func(r *reader, body []byte)       // and ends: all of it, as sent
	text   func(r *reader, text []byte) error // a string, valid for the length of the call
	truth  func(r *reader, value bool)        // a boolean
	number func(r *reader, whole int)         // a number
}

// slots are the places of an envelope that the hub reads, in every contract that has them. What else an envelope holds is for people.
var slots = map[string]*slot{
	"message_id":     textInto(func(r *reader) *transfer.MessageID { return &r.doc.Envelope.MessageID }),
	"correlation_id": textInto(func(r *reader) *string { return &r.doc.Envelope.CorrelationID }),
	"purpose":        textInto(func(r *reader) *transfer.Purpose { return &r.doc.Envelope.Purpose }),
	"service":        textInto(func(r *reader) *transfer.Service { return &r.doc.Envelope.Service }),
	"onward_of":      textInto(func(r *reader) *transfer.TransferID { return &r.doc.Envelope.OnwardOf }),
	"recipients": {text: func(r *reader, text []byte) error {
		r.doc.Envelope.Recipients = append(r.doc.Envelope.Recipients, transfer.PartnerID(text))
		return nil
	}},

	"undertaking":                      objectInto(func(r *reader) **Undertaking { return &r.doc.Undertaking }),
	"undertaking.basis":                textInto(func(r *reader) *string { return &r.doc.Undertaking.Basis }),
	"undertaking.evidence_ref":         textInto(func(r *reader) *string { return &r.doc.Undertaking.EvidenceRef }),
	"undertaking.asserted_at":          textInto(func(r *reader) *string { return &r.doc.Undertaking.AssertedAt }),
	"undertaking.text_version":         textInto(func(r *reader) *string { return &r.doc.Undertaking.TextVersion }),
	"undertaking.informed_on":          textInto(func(r *reader) *string { return &r.doc.Undertaking.InformedOn }),
	"undertaking.not_informed_because": textInto(func(r *reader) *string { return &r.doc.Undertaking.NotInformed }),

	"exception":                       objectInto(func(r *reader) **Exception { return &r.doc.Exception }),
	"exception.kind":                  textInto(func(r *reader) *string { return &r.doc.Exception.Kind }),
	"exception.limb":                  textInto(func(r *reader) *string { return &r.doc.Exception.Limb }),
	"exception.person":                textInto(func(r *reader) *string { return &r.doc.Exception.Person }),
	"exception.at":                    textInto(func(r *reader) *string { return &r.doc.Exception.At }),
	"exception.record":                textInto(func(r *reader) *string { return &r.doc.Exception.Record }),
	"exception.necessary":             truthInto(func(r *reader) *bool { return &r.doc.Exception.Necessary }),
	"exception.no_less_intrusive_way": truthInto(func(r *reader) *bool { return &r.doc.Exception.NoLessIntrusiveWay }),
	"exception.no_other_basis":        truthInto(func(r *reader) *bool { return &r.doc.Exception.NoOtherBasis }),
	"exception.incapable":             truthInto(func(r *reader) *bool { return &r.doc.Exception.Incapable }),
	"exception.refused":               truthInto(func(r *reader) *bool { return &r.doc.Exception.Refused }),
	"exception.others_at_risk":        truthInto(func(r *reader) *bool { return &r.doc.Exception.OthersAtRisk }),
	"exception.serious_crime":         truthInto(func(r *reader) *bool { return &r.doc.Exception.SeriousCrime }),
	"exception.coercion":              truthInto(func(r *reader) *bool { return &r.doc.Exception.Coercion }),
	"exception.informing_raises_risk": truthInto(func(r *reader) *bool { return &r.doc.Exception.InformingRaisesRisk }),
	"exception.law":                   textInto(func(r *reader) *string { return &r.doc.Exception.Law }),

	"demand":            objectInto(func(r *reader) **Demand { return &r.doc.Demand }),
	"demand.instrument": textInto(func(r *reader) *string { return &r.doc.Demand.Instrument }),
	"demand.reference":  textInto(func(r *reader) *string { return &r.doc.Demand.Reference }),
	"demand.by":         textInto(func(r *reader) *string { return &r.doc.Demand.By }),
	"demand.authority":  textInto(func(r *reader) *string { return &r.doc.Demand.Authority }),
	"demand.law":        textInto(func(r *reader) *string { return &r.doc.Demand.Law }),
	"demand.on":         textInto(func(r *reader) *string { return &r.doc.Demand.On }),
	"demand.items":      {text: (*reader).demanded},
	"demand.person":     textInto(func(r *reader) *string { return &r.doc.Demand.Person }),

	"secondary":            objectInto(func(r *reader) **Secondary { return &r.doc.Secondary }),
	"secondary.checked_on": textInto(func(r *reader) *string { return &r.doc.Secondary.CheckedOn }),
	"secondary.opted_out":  truthInto(func(r *reader) *bool { return &r.doc.Secondary.OptedOut }),
	"secondary.support":    textInto(func(r *reader) *string { return &r.doc.Secondary.Support }),

	"review":        objectInto(func(r *reader) **Review { return &r.doc.Review }),
	"review.person": textInto(func(r *reader) *string { return &r.doc.Review.Person }),
	"review.at":     textInto(func(r *reader) *string { return &r.doc.Review.At }),

	"consents": {
		open:  func(r *reader) { r.doc.Consents = append(r.doc.Consents, Consent{}) },
		close: func(r *reader, body []byte) { r.consent().Body = body },
	},
	"consents.subject.role":     textInto(func(r *reader) *transfer.Role { return &r.consent().Role }),
	"consents.subject.position": {number: func(r *reader, whole int) { r.consent().Position = whole }},
}

// objectInto makes room for what an object of the envelope says.
func objectInto[T any](at func(*reader) **T) *slot {
	return &slot{open: func(r *reader) { *at(r) = new(T) }}
}

func textInto[S ~string](at func(*reader) *S) *slot {
	return &slot{text: func(r *reader, text []byte) error { *at(r) = S(text); return nil }}
}

func truthInto(at func(*reader) *bool) *slot {
	return &slot{truth: func(r *reader, value bool) { *at(r) = value }}
}

// consent is the event that is being read.
func (r *reader) consent() *Consent { return &r.doc.Consents[len(r.doc.Consents)-1] }

// demanded takes an item that a demand asks for.
func (r *reader) demanded(name []byte) error {
	c := r.doc.Contract
	if item, ok := c.byName[string(name)]; ok {
		r.doc.Demand.Items = r.doc.Demand.Items.With(item)
		return nil
	}
	meant := slices.MinFunc(c.Items, func(a, b Item) int { return distance(string(name), a.Name) - distance(string(name), b.Name) }).Name
	if i, ok := c.byName[string(name[:max(0, bytes.LastIndexByte(name, '.'))])]; ok { // a part of an item
		meant = c.Items[i].Name
	}
	return r.fault("unknown-item", "names no item of this contract", fmt.Sprintf("write %q if that is meant; the schema has all names", meant))
}
