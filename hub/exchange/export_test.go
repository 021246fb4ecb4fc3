package exchange

// Waiting is how many operations wait for a commit.
func (x *Exchange) Waiting() int { return x.group.Waiting() }
