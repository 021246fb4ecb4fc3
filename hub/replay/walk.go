package replay

import (
	"context"
	"fmt"

	"referralhub/hub/ledger"
	"referralhub/hub/policy"
)

// step is how many leaves are in hand at a time.
const step = 1024

// walk reads a log from its first leaf to its head.
func walk(ctx context.Context, src ledger.Source, visit func(index int64, l *ledger.Leaf) error) error {
	size, _, err := src.Head()
	if err != nil {
		return fmt.Errorf("read the head: %w", err)
	}
	for from := int64(0); from < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		leaves, err := src.Leaves(from, min(from+step, size))
		if err != nil {
			return fmt.Errorf("read leaves from %d: %w", from, err)
		}
		if len(leaves) == 0 {
			return fmt.Errorf("read leaf %d: %w", from, ledger.ErrAbsent)
		}
		for _, text := range leaves {
			l, err := ledger.Parse(text)
			if err != nil {
				return fmt.Errorf("leaf %d: %w", from, err)
			}
			if err := visit(from, l); err != nil {
				return err
			}
			from++
		}
	}
	return nil
}

// decisions walks a log through its history, and visits every leaf that records a decision: a release and the decision that it rests on are
// one, and the decision is visited.
func decisions(ctx context.Context, src ledger.Source, h *History, visit func(index int64, l *ledger.Leaf) error) error {
	return walk(ctx, src, func(index int64, l *ledger.Leaf) error {
		if !h.Add(l) {
			return nil
		}
		return visit(index, l)
	})
}

// again makes a decision again, on what stood then.
func (h *History) again(l *ledger.Leaf) (policy.Request, policy.Decision, error) {
	r, err := Request(l, h)
	if err != nil {
		return r, policy.Decision{}, err
	}
	x, err := h.Index()
	if err != nil {
		return r, policy.Decision{}, err
	}
	return r, policy.Decide(x, &r), nil
}
