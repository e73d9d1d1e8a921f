package userfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// What a file is, told from how it begins.

type format int

const (
	formatCSV    format = iota
	formatLines         // JSON: an account a line
	formatValues        // JSON: one account after the other, over several lines
	formatArray         // JSON: [ account, … ]
	formatObject        // JSON: { …, "users": [ account, … ], … }
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// recognise looks at the head of a file, of which an account is the smallest part.
func recognise(head []byte, o Options) (format, error) {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return 0, errors.New("the file is UTF-16. Save it as UTF-8")
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return 0, errors.New("the file is compressed. Unpack it, as in: zcat FILE | watchword users import -")
	case bytes.IndexByte(head[:min(len(head), 1024)], 0) >= 0:
		return 0, errors.New("the file is no text. Write CSV or JSON")
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(head, byteOrderMark))
	looksJSON := len(text) > 0 && (text[0] == '{' || text[0] == '[')
	switch {
	case len(text) == 0:
		return 0, errors.New("the file is empty")
	case o.Format == CSV, o.Format == "" && !looksJSON:
		return formatCSV, nil
	case !looksJSON:
		return 0, fmt.Errorf("the file is no JSON: it begins with %q, not with { or [", text[:1])
	case o.Columns != nil:
		return 0, errors.New("the columns of JSON have names already. Write no --columns")
	case text[0] == '[':
		return formatArray, nil
	}
	f, known := recogniseObject(text)
	if !known && len(head) == MaxAccount && !bytes.ContainsRune(text, '\n') {
		f = formatLines // and the first is too long
	}
	return f, nil
}

// recogniseObject tells JSON that begins with an object apart: is it the first
// account, or does it hold all of them? If it is cut off or broken before that can
// be known, the others decide.
func recogniseObject(text []byte) (f format, known bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	var path []json.Token // the name before each value that is open; nil in an array
	for {
		token, err := dec.Token()
		if err != nil {
			break
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if token == json.Delim('[') && len(path) == 1 && path[0] == json.Token("users") {
				return formatObject, true
			}
			path = append(path, nil)
		case json.Delim('}'), json.Delim(']'):
			if path = path[:len(path)-1]; len(path) == 0 {
				if bytes.ContainsRune(text[:dec.InputOffset()], '\n') {
					return formatValues, true
				}
				return formatLines, true
			}
			path[len(path)-1] = nil
		default:
			path = named(path, token)
		}
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 2 && line[0] == '{' && json.Valid(line) {
			return formatLines, true // the first line is broken, and others are not
		}
	}
	return formatObject, false
}

// named keeps the name of a member until its value has passed.
func named(path []json.Token, token json.Token) []json.Token {
	top := len(path) - 1
	if path[top] == nil {
		path[top] = token
	} else {
		path[top] = nil
	}
	return path
}
