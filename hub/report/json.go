package report

import (
	"bufio"
	"encoding/json"
	"io"
	"iter"
	"time"

	"referralhub/hub/transfer"
)

// writeJSON writes one object: what was asked, the entries, and in "end" how many there are.
func writeJSON(w io.Writer, h *Head, entries iter.Seq2[Entry, error], t *Tail) error {
	head, err := json.Marshal(struct {
		Question   []Line             `json:"question"`
		By         transfer.PartnerID `json:"by"`
		Person     string             `json:"person,omitempty"`
		As         transfer.StaffRole `json:"as,omitempty"`
		Why        string             `json:"why"`
		At         time.Time          `json:"at"`
		Query      Place              `json:"query_leaf"`
		Checkpoint string             `json:"checkpoint,omitempty"`
	}{h.Question, h.By.Partner, h.By.Person, h.By.Role, h.Why, h.At, h.Query, h.Checkpoint})
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(w)
	_, _ = buf.WriteString(string(head[:len(head)-1]) + `,"entries":[`) // the error stays in the writer
	err = list(buf, h.seen(entries, h.Limit, t), func(e Entry) []any { return []any{shown(e)} })
	if err != nil {
		return err
	}
	end, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, _ = buf.WriteString(`],"end":` + string(end) + "}\n")
	return buf.Flush()
}

// writeLines writes a JSON object for each entry, each on a line of its own, and nothing else.
func writeLines(w io.Writer, h *Head, entries iter.Seq2[Entry, error], t *Tail) error {
	buf := bufio.NewWriter(w)
	encoder := json.NewEncoder(buf)
	for e, err := range h.seen(entries, h.Limit, t) {
		if err != nil {
			return err
		}
		if err := encoder.Encode(shown(e)); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// list writes the elements of a long array, a line for each.
func list(buf *bufio.Writer, entries iter.Seq2[Entry, error], elements func(Entry) []any) error {
	separator := "\n"
	for e, err := range entries {
		if err != nil {
			return err
		}
		for _, element := range elements(e) {
			text, err := json.Marshal(element)
			if err != nil {
				return err
			}
			_, _ = buf.WriteString(separator)
			if _, err := buf.Write(text); err != nil {
				return err
			}
			separator = ",\n"
		}
	}
	return nil
}
