package metadata

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Assign returns the JSON merge patch for command-line arguments such as org.seats=5. A shell removes the quotes that
// a JSON string needs. If a value is not JSON, the error therefore shows how to quote a string in a shell.
func Assign(values []string) (string, error) {
	patch := map[string]any{}
	for _, one := range values {
		path, value, found := strings.Cut(one, "=")
		names := strings.Split(path, ".")
		if !found || slices.Contains(names, "") {
			return "", fmt.Errorf("%q is not a member to set: write key=json, or a.b=json for a member of a member", one)
		}
		if !json.Valid([]byte(value)) {
			return "", fmt.Errorf(`the value of %s is not JSON: write a text in quotes, as in %s='"pro"'`, path, path)
		}
		at := patch
		for _, name := range names[:len(names)-1] {
			next, ok := at[name].(map[string]any)
			if !ok {
				if at[name] != nil {
					return "", fmt.Errorf("%s is set twice", path)
				}
				next = map[string]any{}
				at[name] = next
			}
			at = next
		}
		last := names[len(names)-1]
		if at[last] != nil {
			return "", fmt.Errorf("%s is set twice", path)
		}
		at[last] = json.RawMessage(value)
	}
	text, err := json.Marshal(patch)
	return string(text), err
}
