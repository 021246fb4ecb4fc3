package contracts

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compileLibrary compiles a schema for the general validator, with the formats of this house.
func compileLibrary(text []byte) (*jsonschema.Schema, error) {
	const url = "contract.schema.json"
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	for _, name := range []string{"base64", "nhs-number", "partial-date"} {
		own := formatNamed(name)
		compiler.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(v any) error {
			if text, ok := v.(string); ok && !own.valid([]byte(text)) {
				return errors.New(own.detail)
			}
			return nil
		}})
	}
	if err := compiler.AddResource(url, document); err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return compiler.Compile(url)
}

// libraryFaults validates with the general validator. Its messages quote values, so only the keyword is taken over.
func libraryFaults(library *jsonschema.Schema, body []byte) []Fault {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = library.Validate(value)
	}
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		return []Fault{{Rule: "malformed", Detail: "the message cannot be read", Remedy: "send one JSON object"}}
	}
	return appendLibraryFaults(nil, invalid)
}

func appendLibraryFaults(faults []Fault, e *jsonschema.ValidationError) []Fault {
	for _, cause := range e.Causes {
		faults = appendLibraryFaults(faults, cause)
	}
	if len(e.Causes) > 0 || len(faults) >= MaxFaults {
		return faults
	}
	var way []step
	for _, name := range e.InstanceLocation {
		if position, err := strconv.Atoi(name); err == nil && len(name) < 6 {
			way = append(way, step{position: position})
		} else {
			way = append(way, step{name: presentable(name)})
		}
	}
	rule := "schema"
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		rule = path[len(path)-1]
	}
	return append(faults, Fault{Pointer: pointer(way), Rule: rule, Detail: dotted(way) + " does not satisfy " + strconv.Quote(rule),
		Remedy: "see the schema of the contract"})
}
