package agreement

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// ODRL writes an agreement in the W3C Open Digital Rights Language 2.2 as JSON-LD, with the terms of the Data Privacy Vocabulary 2.3, and with
// terms of the hub's own where neither has any: Art 6(1)(ea), the paragraphs of DPA 2018 Schedule 1, purposes and items (domain.md section 2.2).
//
// Each clause is an odrl:Agreement, whose assigner is the collection of its senders and whose assignee that of its recipients: nobody of the one
// may send to nobody of the other by any clause that is not here (conflict: prohibit).
func ODRL(a *Agreement, x *Index) ([]byte, error) {
	w := &odrl{agreement: a, index: x, named: make(map[string]bool)}
	for _, f := range a.Flows {
		w.clause(f)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(node{"@context": odrlContext, "@graph": w.graph})
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", a.Ref(), err)
	}
	return out.Bytes(), nil
}

// node is an object of JSON-LD. Its keys are written in order.
type node map[string]any

var odrlContext = []any{"http://www.w3.org/ns/odrl.jsonld", node{
	"dpv":     "https://w3id.org/dpv#",
	"eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
	"hub":     "urn:referralhub:term:",
	"dct":     "http://purl.org/dc/terms/",
	"xsd":     "http://www.w3.org/2001/XMLSchema#",

	"hub:member":   node{"@type": "@id"},
	"hub:party":    node{"@type": "@id"},
	"dct:isPartOf": node{"@type": "@id"},
}}

type odrl struct {
	agreement *Agreement
	index     *Index
	graph     []node
	named     map[string]bool // the nodes of graph that more than one clause may name
}

func (w *odrl) add(id string, n node) string {
	if !w.named[id] {
		n["@id"] = id
		w.graph, w.named[id] = append(w.graph, n), true
	}
	return id
}

// iri names something of the hub's. Everything that comes in is a slug, a number or a clause.
func iri(kind string, parts ...string) string {
	return "urn:referralhub:" + kind + ":" + strings.NewReplacer("@", ":", "#", ":", "/", ":").Replace(strings.Join(parts, ":"))
}

func (w *odrl) party(id transfer.PartnerID) string {
	n := node{"@type": []string{"Party", "dpv:LegalEntity"}, "dct:title": w.index.nameOf(id)}
	for _, p := range w.agreement.Parties {
		if p.Partner == id {
			n["@type"] = []string{"Party", partyClasses[p.Role]}
		}
	}
	if p, ok := w.index.Partner(id); ok {
		n["dpv:hasLocation"] = p.Location
	}
	return w.add(iri("partner", string(id)), n)
}

var partyClasses = map[string]string{
	"controller": "dpv:DataController", "joint-controller": "dpv:JointDataControllers", "processor": "dpv:DataProcessor",
}

// collection names one partner by itself, and several together.
func (w *odrl) collection(clause, side string, ids []transfer.PartnerID) string {
	if len(ids) == 1 {
		return w.party(ids[0])
	}
	id := iri("parties", clause, side)
	for _, member := range ids {
		w.party(member)
	}
	return w.add(id, node{"@type": "PartyCollection", "hub:member": lo.Map(ids, func(m transfer.PartnerID, _ int) string {
		return iri("partner", string(m))
	})})
}

// clause adds one clause: senders with different bases make a clause of several flows, which are told apart by a number.
func (w *odrl) clause(f *Flow) {
	a := w.agreement
	name := f.ID + ":" + string(f.Messages[0])
	for n := 2; w.named[iri("clause", name)]; n++ {
		name = fmt.Sprintf("%s:%s:%d", f.ID, f.Messages[0], n)
	}
	purpose, _ := a.Purpose(f.Purpose)
	if purpose == nil {
		purpose = &Purpose{}
	}
	n := node{
		"@type": "Agreement", "profile": "urn:referralhub:profile:odrl", "conflict": "prohibit",
		"assigner": w.collection(name, "senders", f.From), "assignee": w.collection(name, "recipients", f.To), "target": w.items(name, f),
		"dct:title": a.Title, "dct:isPartOf": iri("agreement", a.Ref()), "hub:digest": a.Digest, "hub:status": string(a.Status),
		"hub:basis": lo.Map(slices.Concat(f.From, f.To), func(id transfer.PartnerID, _ int) node {
			return node{"hub:party": iri("partner", string(id)), "dpv:hasLegalBasis": legalBasis(purpose.BasisFor(id))}
		}),
		"permission": []node{{
			"action":     lo.Ternary(f.AccessOnly, "dpv:MakeAvailable", "dpv:DiscloseByTransmission"),
			"constraint": w.constraints(f),
			"duty":       w.duties(f, purpose),
		}},
		"prohibition": w.prohibitions(f, purpose),
	}
	w.add(iri("clause", name), n)
}

// items makes the asset that a clause is about: the items that may go, and how.
func (w *odrl) items(clause string, f *Flow) string {
	class := "dpv:PersonalData"
	if f.Figures != (Figures{}) {
		class = "dpv:StatisticallyConfidentialData"
	}
	var items []node
	for i := range f.Allowed.All() {
		item := f.Contract.Items[i]
		n := node{"hub:name": item.Name, "hub:about": string(item.Role), "hub:category": string(item.Category), "hub:required": f.Required.Has(i)}
		switch {
		case item.Special:
			n["@type"] = "dpv:SpecialCategoryPersonalData"
		case item.Offence:
			n["@type"] = "hub:CriminalOffenceData"
		case class == "dpv:PersonalData":
			n["@type"] = class
		}
		if how, ok := f.Transform[i]; ok {
			n["hub:transformed"] = string(how)
			if how == contracts.Pseudonymise {
				n["@type"] = "dpv:PseudonymisedData"
			}
		}
		items = append(items, n)
	}
	return w.add(iri("items", clause), node{"@type": []string{"AssetCollection", class}, "hub:message": string(f.Messages[0]), "hub:item": items})
}

func constraint(left, operator string, right any) node {
	return node{"leftOperand": left, "operator": operator, "rightOperand": right}
}

func instant(t time.Time) node {
	return node{"@type": "xsd:dateTime", "@value": t.UTC().Format(time.RFC3339)}
}

// isoPeriod writes "4y" as a duration of ISO 8601.
func isoPeriod(s string) node {
	return node{"@type": "xsd:duration", "@value": "P" + strings.ToUpper(s)}
}

func (w *odrl) constraints(f *Flow) []node {
	a := w.agreement
	cs := []node{
		constraint("purpose", "isA", node{"@id": "hub:purpose:" + string(f.Purpose)}),
		constraint("dpv:hasLegalBasis", "isAllOf", legalBasis(f.Basis)),
		constraint("dateTime", "gteq", instant(a.Starts)),
	}
	if !a.Ends.IsZero() {
		cs = append(cs, constraint("dateTime", "lt", instant(a.Ends)))
	}
	if f.Service != "" {
		cs = append(cs, constraint("dpv:hasService", "eq", node{"@id": "hub:service:" + string(f.Service)}))
	}
	if f.When != nil {
		cs = append(cs, constraint("hub:condition", "eq", f.When.Source))
	}
	for name, asks := range map[string]bool{
		"hub:compelled": f.Compelled, "hub:told": f.Told, "hub:freeTextReviewed": f.FreeText == Reviewed,
		"hub:attachmentsReviewed": f.Attachments == Reviewed, "hub:beyondCare": f.Secondary,
	} {
		if asks {
			cs = append(cs, constraint(name, "eq", node{"@type": "xsd:boolean", "@value": "true"}))
		}
	}
	if f.Objection > 0 {
		cs = append(cs, constraint("delayPeriod", "gteq", isoPeriod(fmt.Sprintf("%dd", int(f.Objection.Hours()/24)))))
	}
	if f.Figures != (Figures{}) {
		cs = append(cs, constraint("count", "gteq", node{"@type": "xsd:integer", "@value": fmt.Sprint(f.Figures.Below)}))
		if f.Figures.Round > 0 {
			cs = append(cs, constraint("resolution", "eq", node{"@type": "xsd:integer", "@value": fmt.Sprint(f.Figures.Round)}))
		}
	}
	slices.SortStableFunc(cs, func(a, b node) int { return strings.Compare(a["leftOperand"].(string), b["leftOperand"].(string)) })
	return cs
}

// legalBasis names a basis: by the terms of DPV's extension for the EU GDPR, whose letters the UK GDPR has kept, and by terms of the hub's own.
func legalBasis(b Basis) []node {
	article6 := "eu-gdpr:A6-1-" + b.Article6
	if b.Article6 == "ea" { // new in UK law
		article6 = "hub:A6-1-ea"
	}
	named := []node{{"@id": article6}}
	if b.Article9 != "" {
		named = append(named, node{"@id": "eu-gdpr:A9-2-" + b.Article9})
	}
	for _, paragraph := range []string{b.Schedule1, b.Offence} {
		if n := paragraphNumber(paragraph); n != 0 {
			named = append(named, node{"@id": fmt.Sprintf("hub:DPA2018-Sch1-para%d", n), "dct:title": "DPA 2018 Schedule 1 " + paragraph})
		}
	}
	if b.Statute != "" {
		named = append(named, node{"@id": "hub:statute", "dct:title": b.Statute})
	}
	return named
}

// duties are what a recipient or the sender has to do about what goes.
func (w *odrl) duties(f *Flow, p *Purpose) []node {
	a := w.agreement
	ds := []node{{"action": "reviewPolicy", "constraint": []node{constraint("dateTime", "lt", instant(a.ReviewBy))}}}
	if f.Basis.Article6 == "a" {
		form := node{"action": "obtainConsent"}
		if p.Consent.Form != "" {
			form["hub:form"] = p.Consent.Form
		}
		ds = append(ds, form)
	}
	if f.Told {
		ds = append(ds, node{"action": "inform"})
	}
	for _, r := range a.Retention {
		action := map[string]string{"delete": "delete", "anonymise": "anonymize", "return": "hub:return"}[r.Disposal]
		d := node{"action": action, "constraint": []node{
			constraint("elapsedTime", "eq", isoPeriod(r.Period)), constraint("event", "eq", node{"@id": "hub:trigger:" + r.Trigger}),
		}}
		if r.Items != "" {
			d["hub:items"] = r.Items
		}
		ds = append(ds, d)
	}
	return ds
}

// prohibitions are what nobody may do with what goes: the uses that the agreement rules out, and passing it on further than it says.
func (w *odrl) prohibitions(f *Flow, p *Purpose) []node {
	var ps []node
	for _, use := range p.Prohibited {
		if use == "sale" {
			ps = append(ps, node{"action": "sell"})
		} else {
			ps = append(ps, node{"action": "use", "constraint": []node{constraint("purpose", "eq", use)}})
		}
	}
	onward := node{"action": "distribute"}
	if len(f.Onward.To) > 0 {
		onward["constraint"] = []node{constraint("recipient", "isNoneOf", lo.Map(f.Onward.To, func(id transfer.PartnerID, _ int) node {
			return node{"@id": w.party(id)}
		}))}
	}
	ps = append(ps, onward)
	if len(f.Onward.Purposes) > 0 {
		ps = append(ps, node{"action": "distribute", "constraint": []node{constraint("purpose", "isNoneOf",
			lo.Map(f.Onward.Purposes, func(p transfer.Purpose, _ int) node { return node{"@id": "hub:purpose:" + string(p)} }))}})
	}
	return ps
}
