package casebook

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/agreement"
)

// Book is every case of a folder of agreements, and the agreements. It is not safe for concurrent use.
type Book struct {
	Cases []*Case // in the order of files and lines
	Index *agreement.Index

	root    fs.FS
	at      time.Time
	indexes map[string]*agreement.Index // as cases change them, by the changes
}

// Load reads the agreements under root and the cases beside them. The instant says which versions have to have cases, and nothing else.
//
// The book is nil when a fault is worse than a warning. The error is about reading root, never about what is written there.
func Load(root fs.FS, at time.Time) (*Book, []agreement.Fault, error) {
	index, faults, err := agreement.Load(root, at)
	if err != nil || index == nil {
		return nil, faults, err
	}
	names, err := sources(root)
	if err != nil {
		return nil, faults, fmt.Errorf("load cases: %w", err)
	}
	b := &Book{Index: index, root: root, at: at, indexes: map[string]*agreement.Index{}}
	whole := true
	for _, name := range names {
		f, err := read(root, name)
		if err != nil {
			return nil, faults, fmt.Errorf("load cases: %w", err)
		}
		for _, c := range f.cases {
			c.settle()
		}
		f.check(index)
		b.Cases = append(b.Cases, f.cases...)
		faults = append(faults, f.faults...)
		whole = whole && len(f.faults) == 0
	}
	if !whole {
		return nil, faults, nil
	}
	return b, faults, nil
}

// settle fills in what a case may leave out. Consents that are given without a time were given one after the other on the day before, and
// steps follow at intervals of a minute.
func (c *Case) settle() {
	for i := range c.Consents {
		c.Consents[i].settle(c.At.AddDate(0, 0, -1).Add(time.Duration(i) * time.Minute))
	}
	last := c.At
	for i := range c.Then {
		s := &c.Then[i]
		if s.At.IsZero() {
			s.At.Time = last.Add(time.Minute)
		}
		last = s.At
		if s.Consent != nil {
			s.Consent.settle(s.At.Time)
		}
	}
}

func (e *Consent) settle(at time.Time) {
	if e.At.IsZero() {
		e.At.Time = at
	}
	e.Method = lo.CoalesceOrEmpty(e.Method, "verbal")
	e.Authority = lo.CoalesceOrEmpty(e.Authority, "self")
	if len(e.Categories) == 1 && e.Categories[0] == "all" {
		referral, _ := contracts.For("referral/1")
		e.Categories = lo.Uniq(lo.Map(referral.Items, func(i contracts.Item, _ int) string { return string(i.Category) }))
	}
}
