package policy

import (
	"reflect"
	"runtime"
	"strings"
)

// Gate is one gate in its row, for tests that take it away.
type Gate struct {
	Name    string // "agreement/consented"
	Without func(f func())
}

// Gates lists every gate of every row.
func Gates() []Gate {
	var all []Gate
	all = append(all, gatesOf("entry", entryGates, func(*hearing) []finding { return nil })...)
	for _, r := range []struct {
		ground string
		rows   *rows
	}{{"agreement", &agreementRows}, {"exception", &exceptionRows}} {
		all = append(all, gatesOf(r.ground, r.rows.transfer, func(*hearing) []finding { return nil })...)
		all = append(all, gatesOf(r.ground, r.rows.items, func(*hearing, *person) []finding { return nil })...)
		all = append(all, gatesOf(r.ground, r.rows.people, func(*hearing, *person) []finding { return nil })...)
	}
	return all
}

func gatesOf[G any](ground string, row []G, finds G) []Gate {
	out := make([]Gate, len(row))
	for i, gate := range row {
		name := runtime.FuncForPC(reflect.ValueOf(gate).Pointer()).Name()
		out[i] = Gate{Name: ground + "/" + name[strings.LastIndex(name, ".")+1:], Without: func(f func()) {
			row[i] = finds
			defer func() { row[i] = gate }()
			f()
		}}
	}
	return out
}
