// Package metadata merges and checks the metadata of accounts: JSON objects as text. Numbers keep
// their digits, so that an id beyond 2^53 is not rounded.
package metadata

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/watchword-auth/watchword/internal/strictjson"
)

const (
	// MaxSize is the maximum size of the public and the private object of an account together, in bytes without
	// blanks.
	MaxSize = 8 << 10
	// maxDepth is how deep objects and arrays may be nested, the outermost object included.
	maxDepth = 8
)

// ErrInvalid is wrapped by all errors of this package. Their texts contain no data.
var ErrInvalid = errors.New("metadata is invalid")

func invalid(text string) error { return fmt.Errorf("%w: %s", ErrInvalid, text) }

// Merge applies a JSON merge patch (RFC 7396) to an object. It returns an object without blanks whose members are
// sorted, or "" for the empty object. The patch null removes all members.
func Merge(object, patch string) (string, error) {
	changes, err := decodeStrictly(patch)
	if err != nil {
		return "", err
	}
	if changes == nil {
		return "", nil
	}
	if _, ok := changes.(map[string]any); !ok {
		return "", invalid("write a JSON object")
	}
	var target any = map[string]any{}
	if object != "" {
		if target, err = decodeStrictly(object); err != nil {
			return "", err
		}
	}
	merged := applyMergePatch(target, changes)
	if depth(merged) > maxDepth {
		return "", invalid(fmt.Sprintf("objects and arrays can be nested %d levels deep", maxDepth))
	}
	if len(merged.(map[string]any)) == 0 {
		return "", nil
	}
	return encodeUnescaped(merged)
}

// applyMergePatch is MergePatch of RFC 7396, section 2.
func applyMergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result := map[string]any{}
	if members, ok := target.(map[string]any); ok {
		for name, value := range members {
			result[name] = value
		}
	}
	for name, value := range changes {
		if value == nil {
			delete(result, name)
		} else {
			result[name] = applyMergePatch(result[name], value)
		}
	}
	return result
}

// decodeStrictly rejects texts that two parsers could read differently: duplicate members, lone surrogates, NUL.
func decodeStrictly(text string) (value any, err error) {
	if !json.Valid([]byte(text)) {
		return nil, invalid("this is not JSON")
	}
	if strings.TrimLeft(text, " \t\r\n")[0] == '{' {
		if err := strictjson.Check([]byte(text)); err != nil {
			return nil, invalid(err.Error())
		}
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, invalid("this is not JSON")
	}
	return value, nil
}

// encodeUnescaped does not escape <, > and &, because the text is not HTML.
func encodeUnescaped(value any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", invalid("this is not JSON")
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}

func depth(value any) int {
	deepest := 0
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			deepest = max(deepest, depth(member))
		}
	case []any:
		for _, element := range value {
			deepest = max(deepest, depth(element))
		}
	default:
		return 0
	}
	return deepest + 1
}

// CheckSize returns an error if the public and the private object together are larger than MaxSize.
func CheckSize(public, private string) error {
	if size := len(public) + len(private); size > MaxSize {
		return invalid(fmt.Sprintf("public and private have %d bytes together, %d are allowed", size, MaxSize))
	}
	return nil
}

// Value returns the value at a path of an object, such as "billing.plan". It returns false if the
// object has no such member, or the member is null.
func Value(object, path string) (any, bool) {
	if object == "" {
		return nil, false
	}
	value, err := decodeStrictly(object)
	if err != nil {
		return nil, false
	}
	for name := range strings.SplitSeq(path, ".") {
		members, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		value = members[name]
	}
	return value, value != nil
}
