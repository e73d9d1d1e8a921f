package accesstoken

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// encoding/json is not strict enough for tokens: it ignores the case of field names, and uses the last of two
// duplicate members. Decoding into a map would take longer than verifying an RS256 signature. Therefore encoding/json
// only checks the syntax, and the functions in this file scan the text. They rely on this check, so they do not
// handle an unclosed string or bracket.

// visitMembers calls visitMember for each member of an object, in order. It reports whether data is one object in
// UTF-8 without duplicate names, and every call returned true.
func visitMembers(data []byte, visitMember func(name, value string) bool) bool {
	if !utf8.Valid(data) || !json.Valid(data) {
		return false
	}
	s := string(data)
	i := skipSpace(s, 0)
	if s[i] != '{' {
		return false
	}
	var backing [24]string
	seen := backing[:0]
	for i = skipSpace(s, i+1); s[i] != '}'; i = skipComma(s, i) {
		end := valueEnd(s, i)
		name, ok := parseString(s[i:end])
		if !ok || slices.Contains(seen, name) {
			return false
		}
		seen = append(seen, name)
		i = skipSpace(s, skipSpace(s, end)+1) // skip the colon
		end = valueEnd(s, i)
		if !visitMember(name, s[i:end]) {
			return false
		}
		i = end
	}
	return true
}

func parseStrings(value string) ([]string, bool) {
	if value[0] != '[' {
		return nil, false
	}
	all := []string{}
	for i := skipSpace(value, 1); value[i] != ']'; {
		end := valueEnd(value, i)
		element, ok := parseString(value[i:end])
		if !ok {
			return nil, false
		}
		all = append(all, element)
		i = skipComma(value, end)
	}
	return all, true
}

func parseString(value string) (string, bool) {
	if value[0] != '"' {
		return "", false
	}
	if strings.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], true
	}
	var s string
	err := json.Unmarshal([]byte(value), &s)
	return s, err == nil
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// skipComma returns the index of the next element or of the closing bracket.
func skipComma(s string, i int) int {
	if i = skipSpace(s, i); s[i] == ',' {
		i = skipSpace(s, i+1)
	}
	return i
}

// valueEnd returns the index after the value that begins at i.
func valueEnd(s string, i int) int {
	if s[i] != '"' && s[i] != '{' && s[i] != '[' { // a number, true, false, null
		for i < len(s) && s[i] > ' ' && s[i] != ',' && s[i] != ']' && s[i] != '}' {
			i++
		}
		return i
	}
	for depth := 0; ; i++ {
		switch s[i] {
		case '"':
			for i++; s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
}
