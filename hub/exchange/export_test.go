package exchange

// ReadAtMost sets how many leaves are read for one answer.
func (x *Exchange) ReadAtMost(n int) { x.mostRead = n }
