package contracts

// Transform is a way to send less than an item says.
type Transform string

const (
	YearOnly        Transform = "year"             // a date becomes its year
	OutwardPostcode Transform = "outward-postcode" // "SG14 1AX" becomes "SG14"
	Pseudonymise    Transform = "pseudonym"        // an identifier becomes one that only this recipient sees
	SmallNumbers    Transform = "small-numbers"    // of the counts of a table, small ones are suppressed and the others rounded
)
