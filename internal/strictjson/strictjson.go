// Package strictjson decodes request bodies into structs and rejects ambiguous JSON.
// encoding/json alone matches names in any letter case, uses the last of duplicate members,
// replaces invalid Unicode, and ignores data after the first value.
//
// It implements JSON (RFC 8259) in the profile of RFC 7493.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxDepth = 8

// ErrTooLarge means that the body has more bytes than the limit.
var ErrTooLarge = errors.New("body is too large")

// An Error describes what is wrong with a body. The only data from the body is the name
// of an unknown member.
type Error struct {
	Field  string // name of the invalid member; empty if the fault is not in one member
	Reason string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %s", e.Field, e.Reason)
}

func invalid(reason string) error { return &Error{Reason: reason} }

// unknownMemberError returns the error for a member that v does not have. The error contains the name only if the
// text looks like a name, because a broken client could have sent a value instead.
func unknownMemberError(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	if len(name) > 40 || strings.Trim(name, letters) != "" || name == "" {
		return invalid("the body has an unknown member (names are case-sensitive)")
	}
	return &Error{name, "is unknown (names are case-sensitive): leave it out"}
}

// Decode reads one JSON object of at most limit bytes into v, a pointer to a struct. It rejects nulls and duplicate
// members. It also rejects members without a field in v, or in the structs within v. Names are case-sensitive. The
// body must be UTF-8 without NUL and lone surrogates, and at most 8 levels deep. Errors are *Error, ErrTooLarge, and
// those of r.
func Decode(r io.Reader, limit int64, v any) error {
	data, err := readBody(r, limit, rulesOf(reflect.TypeOf(v)))
	if err != nil {
		return err
	}
	return unmarshal(data, v)
}

// DecodePatch is like Decode, but allows nulls and any depth inside the value of a member, because this value can be
// a JSON merge patch (RFC 7396). The member itself must not be null. The caller must bound the depth of a patch.
func DecodePatch(r io.Reader, limit int64, v any) error {
	s := rulesOf(reflect.TypeOf(v))
	s.isPatch = true
	data, err := readBody(r, limit, s)
	if err != nil {
		return err
	}
	return unmarshal(data, v)
}

// DecodeLenient is like Decode, but ignores nulls and members that v does not have. It
// serves clients that were written for other servers. It still rejects duplicates.
func DecodeLenient(r io.Reader, limit int64, v any) error {
	data, err := readBody(r, limit, objectRules{allowsNulls: true})
	if err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := unmarshal(data, &all); err != nil {
		return err
	}
	known := map[string]json.RawMessage{} // by exact name, because encoding/json would accept Email for email
	for _, name := range rulesOf(reflect.TypeOf(v)).allowedNames {
		if value, found := all[name]; found && name != "" {
			known[name] = value
		}
	}
	if data, err = json.Marshal(known); err != nil {
		return err
	}
	return unmarshal(data, v)
}

// Check returns an error if a JSON object has duplicate members at any depth, NUL or lone surrogates. The argument
// data must be an object that encoding/json accepts. Errors are *Error.
func Check(data []byte) error {
	if err := checkText(data); err != nil {
		return invalid(strings.Replace(err.Error(), "the body", "the object", 1))
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if _, err := decoder.Token(); err != nil {
		return invalid("the object is not valid JSON")
	}
	if err := (objectRules{allowsNulls: true, anyDepth: true}).checkObject(decoder, 1); err != nil {
		return invalid(strings.Replace(err.Error(), "the body", "the object", 1))
	}
	return nil
}

// readBody reads a body of at most limit bytes, and checks its text and its JSON object.
func readBody(r io.Reader, limit int64, s objectRules) ([]byte, error) {
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
	return data, s.checkBody(data)
}

func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return &Error{mismatch.Field, "has the wrong type"}
	}
	if err != nil {
		return invalid("the body is not valid JSON")
	}
	return nil
}

// rulesOf returns the rules for objects that are decoded into a type. For a pointer or a list, these are the rules of
// the element type. Types other than structs have the zero rules.
func rulesOf(t reflect.Type) (s objectRules) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return objectRules{}
	}
	s.allowedNames = make([]string, t.NumField())
	for i := range s.allowedNames {
		s.allowedNames[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if inner := rulesOf(t.Field(i).Type); inner.allowedNames != nil {
			if s.memberRules == nil {
				s.memberRules = map[string]objectRules{}
			}
			s.memberRules[s.allowedNames[i]] = inner
		}
	}
	return s
}

// checkText rejects invalid UTF-8, NUL and lone surrogates, which encoding/json would replace. It looks for escapes
// in the whole text, because JSON allows backslashes only within strings.
func checkText(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return invalid("the body is empty")
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return invalid("the body is not UTF-8 text")
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		unit := codeUnitOfEscape(data[i:])
		switch {
		case unit == 0, 0xdc00 <= unit && unit <= 0xdfff:
			return invalid("the body contains an invalid character escape")
		case 0xd800 <= unit && unit <= 0xdbff:
			if low := codeUnitOfEscape(data[i+6:]); low < 0xdc00 || low > 0xdfff {
				return invalid("the body contains an invalid character escape")
			}
			i += 11
		default:
			i++ // skip the escaped byte, which can be a backslash
		}
	}
	return nil
}

// codeUnitOfEscape reads a \uXXXX escape at the start of data. It returns -1 if there is none.
func codeUnitOfEscape(data []byte) int64 {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int64(unit)
}

type objectRules struct {
	allowedNames []string // nil: all
	allowsNulls  bool
	anyDepth     bool // do not limit the depth
	isPatch      bool // allow nulls and any depth below the first level

	memberRules map[string]objectRules // only for members that are structs
}

func (s objectRules) rulesOfMember(name string) objectRules {
	inner := s.memberRules[name]
	s.allowedNames, s.memberRules = inner.allowedNames, inner.memberRules
	return s
}

// checkBody requires exactly one JSON object that follows the rules.
func (s objectRules) checkBody(data []byte) error {
	if s.isFlat(data) {
		return nil
	}
	return s.checkTokens(data)
}

// isFlat reports whether data is an object of known members, each once, whose values are
// numbers, booleans and strings without escapes. Such an object follows all rules. Most
// bodies are flat, and a json.Decoder would allocate each of their tokens. A test compares
// isFlat with checkTokens.
func (s objectRules) isFlat(data []byte) bool {
	if !json.Valid(data) {
		return false
	}
	i := skipSpace(data, 0)
	if data[i] != '{' {
		return false
	}
	seen := make([]bool, 0, 16)[:min(len(s.allowedNames), 16)]
	for i = skipSpace(data, i+1); data[i] != '}'; {
		nameEnd := i + 1 + bytes.IndexByte(data[i+1:], '"') // known names have no escapes
		k := indexOfName(s.allowedNames, data[i+1:nameEnd])
		if k < 0 || k >= len(seen) || seen[k] {
			return false
		}
		seen[k] = true
		i = skipSpace(data, skipSpace(data, nameEnd+1)+1) // skip the colon
		if i = scalarEnd(data, i); i < 0 {
			return false
		}
		if i = skipSpace(data, i); data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return true
}

// scalarEnd returns the index after the number, the boolean or the string without escapes
// that begins at i. It returns -1 for any other value.
func scalarEnd(data []byte, i int) int {
	switch data[i] {
	case '{', '[', 'n':
		return -1
	case '"':
		end := i + 1 + bytes.IndexByte(data[i+1:], '"')
		if bytes.IndexByte(data[i+1:end], '\\') >= 0 {
			return -1
		}
		return end + 1
	}
	for data[i] > ' ' && data[i] != ',' && data[i] != '}' {
		i++
	}
	return i
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// indexOfName returns -1 for an unknown name. It also does so for an empty name, because knownNames contains an empty
// name for each field that JSON can't set.
func indexOfName(knownNames []string, name []byte) int {
	if len(name) == 0 {
		return -1
	}
	return slices.IndexFunc(knownNames, func(k string) bool { return k == string(name) })
}

// checkTokens checks any object, including those that are not flat. Its error is the reason for the rejection.
func (s objectRules) checkTokens(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return invalid("the body is not a JSON object")
	}
	if err := s.checkObject(decoder, 1); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return invalid("the body continues after the object")
	}
	return nil
}

// checkObject checks an object after its opening brace.
func (s objectRules) checkObject(decoder *json.Decoder, depth int) error {
	seen := make(map[string]bool, 4)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return invalid("the body is not valid JSON")
		}
		name := token.(string)
		if seen[name] {
			return invalid("the body has a duplicate member")
		}
		seen[name] = true
		isKnown := isOneOf(name, s.allowedNames)
		if s.allowedNames != nil && !isKnown {
			return unknownMemberError(name)
		}
		if err := s.rulesOfMember(name).checkValue(decoder, depth); err != nil {
			if isKnown && errors.Is(err, errNull) {
				return &Error{name, "is null: omit it instead"}
			}
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return invalid("the body is not valid JSON")
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

var errNull = invalid("the body contains null")

func (s objectRules) checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return invalid("the body is not valid JSON")
	}
	switch token {
	case nil:
		if s.allowsNulls || s.isPatch && depth > 1 {
			return nil
		}
		return errNull
	case json.Delim('{'), json.Delim('['):
		if depth == maxDepth && !s.anyDepth && !s.isPatch {
			return invalid("the body is nested too deeply")
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
			return invalid("the body is not valid JSON")
		}
	}
	return nil
}
