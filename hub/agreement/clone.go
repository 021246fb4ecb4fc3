package agreement

// Clone copies a version, so that it can be changed. Its clauses are those of the copy.
func (a *Agreement) Clone() *Agreement {
	b := *a
	b.Flows = make([]*Flow, len(a.Flows))
	for i, f := range a.Flows {
		clause := *f
		clause.Agreement = &b
		b.Flows[i] = &clause
	}
	return &b
}
