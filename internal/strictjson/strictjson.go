// Package strictjson decodes the body of a request into a flat struct, and
// accepts nothing that has two readings. encoding/json alone matches names in any
// case, takes the last of two, mends broken text and stops before what follows.
//
// It knows JSON (RFC 8259, in the profile of RFC 7493), not what a body means.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how many objects and arrays may lie within each other.
const maxDepth = 8

// ErrTooLarge says that there are more bytes than the limit.
var ErrTooLarge = errors.New("body is too large")

// An Error says what is wrong, without a word of what was sent.
type Error struct {
	Field  string // the member concerned; empty if it is none of ours
	Reason string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %s", e.Field, e.Reason)
}

func wrong(reason string) error { return &Error{Reason: reason} }

// Decode reads at most limit bytes: one object, with members that v, a pointer
// to a struct, has by exactly that name, each at most once and none null. The
// body has to be UTF-8 without NUL and lone surrogates, at most 8 deep. Errors:
// *Error, ErrTooLarge, and those of r.
func Decode(r io.Reader, limit int64, v any) error {
	data, err := read(r, limit, shape{known: names(v)})
	if err != nil {
		return err
	}
	return unmarshal(data, v)
}

// DecodeKnown is Decode for clients that were written for other servers: members
// that v does not have, and nulls, are passed over. What v has still has one
// reading.
func DecodeKnown(r io.Reader, limit int64, v any) error {
	data, err := read(r, limit, shape{loose: true})
	if err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := unmarshal(data, &all); err != nil {
		return err
	}
	known := map[string]json.RawMessage{} // encoding/json would take Email for email
	for _, name := range names(v) {
		if value, found := all[name]; found && name != "" {
			known[name] = value
		}
	}
	if data, err = json.Marshal(known); err != nil {
		return err
	}
	return unmarshal(data, v)
}

// Check reports whether a JSON object that encoding/json accepts has one reading: no
// member twice, at any depth, no NUL and no lone surrogates. Errors: *Error.
func Check(data []byte) error {
	if err := checkText(data); err != nil {
		return wrong(strings.Replace(err.Error(), "the body", "the object", 1))
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if _, err := decoder.Token(); err != nil {
		return wrong("the object is not valid JSON")
	}
	if err := (shape{loose: true, deep: true}).checkObject(decoder, 1); err != nil {
		return wrong(strings.Replace(err.Error(), "the body", "the object", 1))
	}
	return nil
}

// read returns a body that has one reading.
func read(r io.Reader, limit int64, s shape) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, ErrTooLarge
	}
	if err := checkText(data); err != nil {
		return nil, err
	}
	return data, s.check(data)
}

func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return &Error{mismatch.Field, "has the wrong type"}
	}
	if err != nil {
		return wrong("the body is not valid JSON")
	}
	return nil
}

// names are the members of the struct that v points to.
func names(v any) []string {
	t := reflect.TypeOf(v).Elem()
	all := make([]string, t.NumField())
	for i := range all {
		all[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return all
}

// checkText looks at the bytes: the decoder would replace what is not text. A
// backslash outside a string is no JSON, so escapes need no context.
func checkText(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return wrong("the body is empty")
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return wrong("the body is not UTF-8 text")
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		unit := escaped(data[i:])
		switch {
		case unit == 0, 0xdc00 <= unit && unit <= 0xdfff:
			return wrong("the body holds a character that is none")
		case 0xd800 <= unit && unit <= 0xdbff:
			if low := escaped(data[i+6:]); low < 0xdc00 || low > 0xdfff {
				return wrong("the body holds a character that is none")
			}
			i += 11
		default:
			i++ // the escaped byte, which may be a backslash
		}
	}
	return nil
}

// escaped is the code unit of a \uXXXX at the start of data, or -1.
func escaped(data []byte) int64 {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int64(unit)
}

// A shape is which members an object may have.
type shape struct {
	known []string
	loose bool // any, and nulls
	deep  bool // at any depth
}

// check walks over the tokens: one object, no name twice, none unknown, no null,
// not too deep, nothing after it.
func (s shape) check(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return wrong("the body is not a JSON object")
	}
	if err := s.checkObject(decoder, 1); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return wrong("there is something after the object")
	}
	return nil
}

// checkObject reads an object whose brace is read.
func (s shape) checkObject(decoder *json.Decoder, depth int) error {
	seen := make(map[string]bool, 4)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return wrong("the body is not valid JSON")
		}
		name := token.(string)
		if seen[name] {
			return wrong("the body has a member twice")
		}
		seen[name] = true
		ours := depth == 1 && isOneOf(name, s.known)
		if depth == 1 && !ours && !s.loose {
			return wrong("the body has a member that is not known here (names are case-sensitive)")
		}
		if err := s.checkValue(decoder, depth); err != nil {
			if ours && errors.Is(err, errNull) {
				return &Error{name, "is null: leave it out instead"}
			}
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return wrong("the body is not valid JSON")
	}
	return nil
}

func isOneOf(name string, known []string) bool {
	for _, k := range known {
		if k == name {
			return name != ""
		}
	}
	return false
}

var errNull = wrong("the body holds a null")

func (s shape) checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return wrong("the body is not valid JSON")
	}
	switch token {
	case nil:
		if s.loose {
			return nil
		}
		return errNull
	case json.Delim('{'), json.Delim('['):
		if depth == maxDepth && !s.deep {
			return wrong("the body is nested too deep")
		}
	}
	switch token {
	case json.Delim('{'):
		return s.checkObject(decoder, depth+1)
	case json.Delim('['):
		for decoder.More() {
			if err := s.checkValue(decoder, depth+1); err != nil {
				return err
			}
		}
		if _, err := decoder.Token(); err != nil {
			return wrong("the body is not valid JSON")
		}
	}
	return nil
}
