package contracts

// For the tests that hold the pass against the general validator.
var CompileLibrary = compileLibrary

// NeedsLibrary reports whether a contract's schema has a keyword that the pass does not know.
func NeedsLibrary(c *Contract) bool { return c.program.library != nil }

// Notice says in a word what is noticed in a text, and nothing when it is not notable.
func Notice(text string) string {
	return [...]string{"", "e-mail", "postcode", "telephone", "street", "identifier"}[notice([]byte(text))]
}
