package rights

// Back is Watcher, with a first look that reads so many leaves.
func (r *Rights) Back(leaves int64) *Watcher {
	w := r.Watcher()
	w.back = leaves
	return w
}
