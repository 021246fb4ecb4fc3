package contracts

import "fmt"

// Section is the JSON of a section of the message, as sent: of "carer", or of "cared_for", which is a list. It is not ok when the message
// has no such section, and for members of the envelope, which are not about anybody. The caller must not change it.
func (d *Document) Section(name string) (json []byte, ok bool) {
	if len(d.nodes) == 0 {
		return nil, false
	}
	quoted := []byte(`"` + name + `"`)
	for i := 1; i < int(d.nodes[0].next); i = int(d.nodes[i].next) {
		if n := &d.nodes[i]; sameText(n.name.of(d.Body), quoted) {
			return n.value.of(d.Body), true
		}
	}
	return nil, false
}

// Value is the JSON of the first occurrence of an item about a subject, as sent, and nil when it is absent.
func (d *Document) Value(subject, item int) []byte {
	for _, n := range d.nodes {
		if int(n.item) == item && int(n.subject) == subject {
			return n.value.of(d.Body)
		}
	}
	return nil
}

// AppendOnly appends the document to dst with only the items that keep returns something for: the value it was given, or what
// shall stand in its place. Objects and arrays in which nothing is left go too, and so does the envelope; the order and the
// spelling of what stays are the sender's. subject is an index of Subjects, item one of the contract's. The error is keep's.
func (d *Document) AppendOnly(dst []byte, keep func(subject, item int, value []byte) ([]byte, error)) ([]byte, error) {
	before := len(dst)
	dst, err := d.appendNode(dst, 0, keep)
	if err == nil && len(dst) == before {
		dst = append(dst, "{}"...)
	}
	return dst, err
}

// appendNode appends node i without its name, or nothing when nothing of it is kept.
func (d *Document) appendNode(dst []byte, i int, keep func(subject, item int, value []byte) ([]byte, error)) ([]byte, error) {
	if i >= len(d.nodes) {
		return dst, nil
	}
	n := d.nodes[i]
	value := n.value.of(d.Body)
	if n.item != noItem {
		kept, err := keep(int(n.subject), int(n.item), value)
		if err != nil {
			return dst, fmt.Errorf("cut %s: %w", d.Contract.Items[n.item].Name, err)
		}
		return append(dst, kept...), nil
	}
	before := len(dst)
	dst = append(dst, value[0])
	first := len(dst)
	for child := i + 1; child < int(n.next); child = int(d.nodes[child].next) {
		mark := len(dst)
		if mark > first {
			dst = append(dst, ',')
		}
		if name := d.nodes[child].name; name.end > 0 {
			dst = append(append(dst, name.of(d.Body)...), ':')
		}
		start := len(dst)
		var err error
		if dst, err = d.appendNode(dst, child, keep); err != nil {
			return dst, err
		}
		if len(dst) == start {
			dst = dst[:mark]
		}
	}
	if len(dst) == first {
		return dst[:before], nil
	}
	return append(dst, value[len(value)-1]), nil
}
