package agreement

import (
	"slices"
	"strings"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

var transforms = spelt([]contracts.Transform{
	contracts.YearOnly, contracts.OutwardPostcode, contracts.Pseudonymise, contracts.SmallNumbers,
})

// items resolves a clause's items in its contract. It reports whether the clause has items at all; each unknown name is a
// fault of its own.
func (c *compiler) items(e *flowEntry, f *Flow) bool {
	set := &e.Items.itemSet
	if name := e.Items.Name; !name.empty() {
		i := slices.IndexFunc(c.source.ItemSets, func(s itemSetEntry) bool { return s.Name.value == name.value })
		if i < 0 {
			c.fault(name.place, "unknown-item-set", orSuggest(name.value, c.itemSetNames(), "Declare it under item_sets."),
				"there is no item set %q", name)
			return false
		}
		set = &c.source.ItemSets[i].itemSet
		c.used["item set "+name.value] = true
	}
	f.Transform = make(map[int]contracts.Transform)
	for _, part := range set.parts() {
		if part.items != nil {
			c.roleItems(part.role, part.items, f)
		}
	}
	c.withoutNotes(f)
	c.blur(f)
	if f.Allowed.Empty() && set.place != (place{}) && !c.faulted(set.place) {
		c.fault(set.place, "empty-list", "Say what may go.", "no item is listed")
	}
	return true
}

// faulted reports whether a fault was found at or below a place already, so that a consequence of it is not reported too.
func (c *compiler) faulted(at place) bool {
	return slices.ContainsFunc(c.faults, func(f Fault) bool { return f.File == c.file && f.Line >= at.line && !f.Warning })
}

// parts gives the items of a set by role, in the order in which decisions name the roles.
func (s *itemSet) parts() []rolePart {
	return []rolePart{
		{transfer.Carer, s.Carer}, {transfer.CaredFor, s.CaredFor}, {transfer.Child, s.Child},
		{transfer.Household, s.Household}, {transfer.AbsentParent, s.AbsentParent}, {transfer.Professional, s.Professional},
		{transfer.Nobody, s.Nobody},
	}
}

type rolePart struct {
	role  transfer.Role
	items *roleItems
}

// roleItems resolves what a set lists about one role.
func (c *compiler) roleItems(role transfer.Role, listed *roleItems, f *Flow) {
	for _, t := range listed.Required {
		if strings.HasSuffix(t.value, "*") {
			c.fault(t.place, "required-wildcard", "Name each item.", "a wildcard cannot be required")
			continue
		}
		for _, item := range c.resolve(t, role, f) {
			f.Required, f.Allowed = f.Required.With(item.Index), f.Allowed.With(item.Index)
		}
	}
	for _, t := range listed.Allowed {
		for _, item := range c.resolve(t, role, f) {
			f.Allowed = f.Allowed.With(item.Index)
		}
	}
	for _, e := range listed.Transformed {
		if strings.HasSuffix(e.Item.value, "*") {
			c.fault(e.Item.place, "transform-wildcard", "Name each item.", "a wildcard cannot be transformed")
			continue
		}
		how := contracts.Transform(c.oneOf(e.How, "transform", transforms))
		for _, item := range c.resolve(e.Item, role, f) {
			if how == contracts.Pseudonymise && item.Identifier == "" {
				c.fault(e.How.place, "transform", "Pseudonymise identifiers, or leave the item out.", "%s is not an identifier", item.Name)
			}
			if how == contracts.SmallNumbers && !c.counts(f.Contract, item) {
				c.fault(e.How.place, "transform", "Leave the item as it is, or leave it out.", "%s is no table of counts", item.Name)
			}
			f.Allowed = f.Allowed.With(item.Index)
			f.Transform[item.Index] = how
		}
	}
	c.directives(role, f)
}

// directives adds what tells the recipient how to treat the rest ("safe to contact?"): an agreement cannot leave that
// behind, not even one that allows no other free text. One that is special-category or offence data has to be listed.
func (c *compiler) directives(role transfer.Role, f *Flow) {
	for _, item := range f.Contract.Items {
		if item.Role == role && item.Directive && !item.Special && !item.Offence {
			f.Allowed = f.Allowed.With(item.Index)
		}
	}
}

// blur makes sure that no count goes as it is where a clause says how counts are blurred.
func (c *compiler) blur(f *Flow) {
	for i := range f.Allowed.All() {
		if f.Figures != (Figures{}) && c.counts(f.Contract, f.Contract.Items[i]) {
			f.Transform[i] = contracts.SmallNumbers
		}
	}
}

// counts reports whether an item is a table that counts people: a list whose entries have a count.
func (c *compiler) counts(contract *contracts.Contract, item contracts.Item) bool {
	s := c.shapeOf(contract, item)
	return s != nil && s.element != nil && s.element.members["count"] != nil
}

// withoutNotes takes out again what is written freely about how to treat a person, where nobody can tell who the person is and so nobody will
// treat them at all: it would tell who it is.
func (c *compiler) withoutNotes(f *Flow) {
	if !f.Secondary || len(c.telling(f)) > 0 {
		return
	}
	for i := range f.Allowed.All() {
		if item := f.Contract.Items[i]; item.Directive && item.FreeText {
			f.Allowed = f.Allowed.Minus(contracts.ItemSet{}.With(i))
		}
	}
}

// telling names the items of a clause that tell who somebody is and go as they are, apart from the directives that go along.
func (c *compiler) telling(f *Flow) []string {
	var telling []string
	for i := range f.Allowed.All() {
		item := f.Contract.Items[i]
		if _, cut := f.Transform[i]; !cut && !item.Directive && c.identifies(f.Contract, item) {
			telling = append(telling, item.Name)
		}
	}
	return telling
}

// resolve finds the items that a name or wildcard stands for. "carer.name.*" stands for every ordinary item below carer.name:
// a wildcard never reaches special-category data, offence data or free text, which somebody has to have named.
func (c *compiler) resolve(t text, role transfer.Role, f *Flow) []contracts.Item {
	if t.empty() {
		return nil
	}
	if prefix, wild := strings.CutSuffix(t.value, "*"); wild {
		var matched []contracts.Item
		for _, item := range f.Contract.Items {
			if strings.HasPrefix(item.Name, prefix) && item.Role == role && !item.Special && !item.Offence && !item.FreeText && !item.Attachment {
				matched = append(matched, item)
			}
		}
		if len(matched) == 0 || strings.Contains(prefix, "*") || !strings.HasSuffix(prefix, ".") {
			c.fault(t.place, "unknown-item", `Write a path, a dot and a star, as in "carer.name.*"; special-category, offence and free-text items must be named.`,
				"%q matches no ordinary item about the %s in %s", t, role, f.Messages[0])
			return nil
		}
		return matched
	}
	i := slices.IndexFunc(f.Contract.Items, func(item contracts.Item) bool { return item.Name == t.value })
	if i < 0 {
		var known []string
		for _, item := range f.Contract.Items {
			known = append(known, item.Name)
		}
		c.fault(t.place, "unknown-item", orSuggest(t.value, known, "The items are listed in the contract's schema."),
			"%s has no item %q", f.Messages[0], t)
		return nil
	}
	item := f.Contract.Items[i]
	switch {
	case item.Role != role:
		c.fault(t.place, "item-of-another-role", "List it under "+string(item.Role)+".", "%s is about the %s", item.Name, item.Role)
		return nil
	case item.Attachment && f.Attachments == Never:
		c.fault(t.place, "attachments", "Write attachments: reviewed in the flow, or take the item out.",
			"%s are documents, where anything may stand, and flow %s does not allow them", item.Name, f.ID)
	case item.FreeText && !item.Attachment && f.FreeText == Never:
		c.fault(t.place, "free-text", "Write free_text: true in the flow, or take the item out.",
			"%s is free text, where anything may be written, and flow %s does not allow it", item.Name, f.ID)
	}
	return []contracts.Item{item}
}

func (c *compiler) itemSetNames() []string {
	var ns []string
	for _, s := range c.source.ItemSets {
		ns = append(ns, s.Name.value)
	}
	return ns
}
