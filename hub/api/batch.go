package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// A batch does for several transfers what an operation of its own does for one. It is one request, and takes one place; what is in it
// stands each for itself, and is answered in its order.
const maxBatch = 100

// batchBytes bounds a batch, and the datasets that an answer to one holds.
func (s *server) batchBytes() int64 { return 8 * s.MaxBodyBytes }

type batchResult struct {
	Status int `json:"status"`
	Body   any `json:"body,omitempty"`
	Fault  any `json:"problem,omitempty"`
}

// result is what the operation of its own would have answered with.
func (s *server) result(r *http.Request, a answer, err error) batchResult {
	if err != nil {
		a = s.problem(r, err)
		return batchResult{Status: a.status, Fault: a.body}
	}
	return batchResult{Status: cmp.Or(a.status, http.StatusOK), Body: a.body}
}

func (b batchResult) appendTo(out []byte) ([]byte, error) {
	text, err := json.Marshal(b)
	return append(out, text...), err
}

// batch reads the values of a batch, which is an object with one member that is called name.
func (s *server) batch(r *http.Request, name string) ([]jsontext.Value, error) {
	body, err := s.body(r, s.batchBytes())
	if err != nil {
		return nil, err
	}
	values, err := openBatch(body, name)
	if err != nil {
		return nil, err
	}
	return values, countBatch(name, len(values))
}

func countBatch(name string, n int) error {
	if n < 1 || n > maxBatch {
		return invalid("/"+name, "count", fmt.Sprintf("a batch holds 1 to %d", maxBatch), "split the batch")
	}
	return nil
}

// openBatch finds the values of a batch and leaves each as it was sent, so that one with faults in it spoils no other.
func openBatch(body []byte, name string) ([]jsontext.Value, error) {
	notABatch := invalid("", "type", fmt.Sprintf("a batch is an object with one member, %q, which is an array", name), "write it as the OpenAPI document shows")
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for _, want := range []jsontext.Kind{'{', '"', '['} {
		token, err := dec.ReadToken()
		switch {
		case err != nil:
			return nil, unreadable(err)
		case token.Kind() != want, want == '"' && token.String() != name:
			return nil, notABatch
		}
	}
	var values []jsontext.Value
	for dec.PeekKind() != ']' {
		raw, err := dec.ReadValue()
		if err != nil {
			return nil, unreadable(err)
		}
		values = append(values, slices.Clone(raw))
	}
	for _, want := range []jsontext.Kind{']', '}'} {
		token, err := dec.ReadToken()
		switch {
		case err != nil:
			return nil, unreadable(err)
		case token.Kind() != want:
			return nil, notABatch
		}
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, unreadable(err)
	}
	return values, nil
}
