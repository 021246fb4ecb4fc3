package agreement

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// value is an object of a message as a condition sees it: bytes of which only the members that are asked for are read.
type value struct {
	raw   []byte // a JSON object; nil when the message has none
	shape *shape
}

var errAbsent = errors.New("the message does not have it")

// get reads a member. An object that is left out says nothing, and can be asked what is in it; nothing else can be had that is not there.
func (v *value) get(name string, s *shape) (ref.Val, error) {
	raw := v.member(name)
	if raw == nil && s.members == nil {
		return nil, errAbsent
	}
	return s.read(raw)
}

// member gives the JSON of a member, nil when there is none.
func (v *value) member(name string) (raw []byte) {
	each(v.raw, func(key, value []byte) bool {
		if string(key) == name && string(value) != "null" {
			raw = value
		}
		return raw == nil
	})
	return raw
}

// read makes JSON a value of CEL.
func (s *shape) read(raw []byte) (ref.Val, error) {
	switch {
	case s.members != nil:
		return &value{raw, s}, nil
	case s.element != nil:
		var entries []ref.Val
		var err error
		each(raw, func(_, entry []byte) bool {
			var v ref.Val
			v, err = s.element.read(entry)
			entries = append(entries, v)
			return err == nil
		})
		return types.NewRefValList(types.DefaultTypeAdapter, entries), err
	}
	switch s.typ {
	case types.BoolType:
		return types.Bool(string(raw) == "true"), nil
	case types.IntType:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		return types.Int(n), err
	case types.DoubleType:
		n, err := strconv.ParseFloat(string(raw), 64)
		return types.Double(n), err
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	return types.String(text), err
}

var decoders = sync.Pool{New: func() any { return &decoding{dec: new(jsontext.Decoder)} }}

// decoding is a decoder that is used again and again.
type decoding struct {
	dec *jsontext.Decoder
	in  bytes.Buffer
}

// each goes through an object or a list of a message, which is known to be well formed, without reading what it passes. A list has no keys.
func each(raw []byte, visit func(key, value []byte) (more bool)) {
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return
	}
	d := decoders.Get().(*decoding)
	defer decoders.Put(d)
	d.in = *bytes.NewBuffer(raw)
	d.dec.Reset(&d.in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	start, err := d.dec.ReadToken()
	for err == nil && d.dec.PeekKind() != '}' && d.dec.PeekKind() != ']' {
		var key, entry jsontext.Value
		if start.Kind() == '{' {
			if key, err = d.dec.ReadValue(); err != nil {
				return
			}
			if bytes.IndexByte(key, '\\') < 0 {
				key = raw[d.dec.InputOffset()-int64(len(key))+1 : d.dec.InputOffset()-1]
			} else if key, err = jsontext.AppendUnquote(nil, key); err != nil {
				return
			}
		}
		if entry, err = d.dec.ReadValue(); err != nil {
			return
		}
		end := int(d.dec.InputOffset())
		if !visit(key, raw[end-len(entry):end:end]) {
			return
		}
	}
}

// Type is part of ref.Val.
func (v *value) Type() ref.Type { return v.shape.typ }

// Value is part of ref.Val.
func (v *value) Value() any { return v }

// Equal is part of ref.Val. No condition gets so far: see shape.asks.
func (v *value) Equal(ref.Val) ref.Val { return types.NewErr("people cannot be compared") }

// ConvertToNative is part of ref.Val.
func (v *value) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("not for anybody but a condition")
}

// ConvertToType is part of ref.Val.
func (v *value) ConvertToType(ref.Type) ref.Val { return types.NewErr("it stays what it is") }
