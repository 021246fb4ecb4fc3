package agreement

// LoadWith is Load with contracts of a test's own.
var LoadWith = load
