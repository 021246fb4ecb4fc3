package casebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// Body is the message of the case as its sender would send it: the example without the consents that came with it, sent at the
// instant of the case to its recipient, and then changed as the case says.
func (c *Case) Body() ([]byte, error) {
	body := []byte("{}")
	moment := c.At.UTC().Format(time.RFC3339)
	first := map[string]any{"message_id": "case", "recipients": []transfer.PartnerID{c.To}}
	if c.Message.Like != "" {
		like, err := contracts.Example(c.Message.Like)
		if err != nil {
			return nil, err
		}
		body = like
		first["consents"], first["sent_at"] = nil, moment
		if bytes.Contains(like, []byte(`"undertaking"`)) {
			first["undertaking"] = map[string]any{"asserted_at": moment}
		}
	}
	if c.PassesOn != "" {
		first["onward_of"] = "00000000-0000-7000-8000-000000000000" // until the transfer that it passes on has an id
	}
	with := c.Message.With
	if with == nil {
		with = map[string]any{}
	}
	for _, changes := range []map[string]any{first, with} {
		patch, err := json.Marshal(changes)
		if err != nil {
			return nil, fmt.Errorf("write the changes of the message: %w", err)
		}
		if body, err = jsonpatch.MergePatch(body, patch); err != nil {
			return nil, fmt.Errorf("change the message: %w", err)
		}
	}
	return set(body, c.Message.Set)
}

// set puts values where JSON pointers lead, or takes away what stands there. The furthest back come first, so that taking one entry of a list
// away does not move another one that is meant.
func set(body []byte, values map[string]any) ([]byte, error) {
	pointers := slices.Sorted(maps.Keys(values))
	slices.Reverse(pointers)
	for _, pointer := range pointers {
		operation := map[string]any{"op": "add", "path": pointer, "value": values[pointer]}
		last := pointer[strings.LastIndexByte(pointer, '/')+1:]
		if _, err := strconv.Atoi(last); err == nil {
			operation["op"] = "replace" // to add would push the entry that stands there aside
		}
		if values[pointer] == nil {
			operation["op"] = "remove"
		}
		text, err := json.Marshal([]any{operation})
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", pointer, err)
		}
		patch, err := jsonpatch.DecodePatch(text)
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", pointer, err)
		}
		if body, err = patch.Apply(body); err != nil {
			return nil, fmt.Errorf("set %s: %w", pointer, err)
		}
	}
	return body, nil
}

// Document is the message of the case, read by its contract.
func (c *Case) Document() (*contracts.Document, error) {
	body, err := c.Body()
	if err != nil {
		return nil, err
	}
	var says struct {
		Contract transfer.MessageType `json:"contract"`
	}
	if err := json.Unmarshal(body, &says); err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	contract, known := contracts.For(says.Contract)
	if !known {
		return nil, fmt.Errorf("/contract: %q is no contract of the hub", says.Contract)
	}
	return contract.Parse(body)
}

// ConsentMessage is a consent event of the case as the partner who records it would post it, about the person with these numbers.
func (c *Case) ConsentMessage(e *Consent, id transfer.MessageID, person []contracts.Identifier) ([]byte, error) {
	type identifier struct {
		Scheme string `json:"scheme"`
		Value  string `json:"value"`
	}
	var subject struct {
		Identifiers []identifier `json:"identifiers"`
	}
	for _, i := range person {
		subject.Identifiers = append(subject.Identifiers, identifier(i))
	}
	return json.Marshal(struct {
		Contract  string             `json:"contract"`
		MessageID transfer.MessageID `json:"message_id"`
		Subject   any                `json:"subject"`
		Consent
	}{"consent/1", id, subject, *e})
}

// whatIsWrong gives the faults of a message that its contract does not accept, each in a line.
func whatIsWrong(err error) []string {
	var invalid *contracts.InvalidError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		return []string{err.Error()}
	}
	var lines []string
	for _, f := range invalid.Faults {
		lines = append(lines, strings.Join([]string{f.Pointer, f.Detail, f.Remedy}, ": "))
	}
	return lines
}
