package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
)

// Memory is a log at rest in memory, for tests and for whoever holds a log that fits. The zero value is a log that was never
// written. It is safe for concurrent use, except for what reaches into its fields.
type Memory struct {
	mu         sync.RWMutex
	Entries    [][]byte                 // encoded leaves
	Tiles      map[int]map[int64][]byte // full tiles, by level and index
	Size       int64                    // what the head says
	Checkpoint []byte                   // what the head says
}

// Write commits a batch. It refuses one that does not begin where the log ends.
func (m *Memory) Write(b *Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.First != m.Size {
		return fmt.Errorf("write batch at %d: the log has %d leaves", b.First, m.Size)
	}
	for _, leaf := range b.Leaves {
		m.Entries = append(m.Entries, bytes.Clone(leaf))
	}
	for _, t := range b.Tiles {
		if m.Tiles == nil {
			m.Tiles = map[int]map[int64][]byte{}
		}
		if m.Tiles[t.Level] == nil {
			m.Tiles[t.Level] = map[int64][]byte{}
		}
		m.Tiles[t.Level][t.Index] = bytes.Clone(t.Hash)
	}
	m.Size, m.Checkpoint = b.Size, bytes.Clone(b.Checkpoint)
	return nil
}

// Head implements Source.
func (m *Memory) Head() (int64, []byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.Size, m.Checkpoint, nil
}

// Leaves implements Source.
func (m *Memory) Leaves(from, to int64) ([][]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if from < 0 || from > to || to > int64(len(m.Entries)) {
		return nil, fmt.Errorf("leaves %d to %d of %d: %w", from, to-1, len(m.Entries), ErrAbsent)
	}
	return slices.Clone(m.Entries[from:to]), nil
}

// Tile implements Source.
func (m *Memory) Tile(level int, index int64) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	tile, ok := m.Tiles[level][index]
	if !ok {
		return nil, fmt.Errorf("tile %d/%d: %w", level, index, ErrAbsent)
	}
	return tile, nil
}

var _ Source = (*Memory)(nil)
