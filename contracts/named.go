package contracts

import (
	"slices"
	"strconv"
	"strings"
)

// Within reports whether an item is the one that is named, or of the section that is: "carer.name.family" is within "carer.name".
func Within(item, named string) bool {
	rest, ok := strings.CutPrefix(item, named)
	return ok && (rest == "" || rest[0] == '.')
}

// AnyItem reports whether is holds for an item of any contract.
func AnyItem(is func(Item) bool) bool {
	for _, t := range Types() {
		if c, ok := For(t); ok && slices.ContainsFunc(c.Items, is) {
			return true
		}
	}
	return false
}

// UnknownItems finds names that no item of a referral has, in a list at under: "/items".
func UnknownItems(under string, names []string) []Fault {
	contract, _ := For("referral/1") // it is compiled in: a test reads it
	var faults []Fault
	for i, name := range names {
		if _, known := contract.Lookup(name); !known {
			faults = append(faults, Fault{
				Pointer: under + "/" + strconv.Itoa(i), Rule: "unknown-item", Detail: "this names no item of the referral contract", Remedy: "take the names from /referral.v1.schema.json",
			})
		}
	}
	return faults
}
