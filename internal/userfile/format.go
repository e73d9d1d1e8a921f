package userfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A fileFormat is the format of a whole file. It is recognized from the first MaxAccount bytes.
type fileFormat int

const (
	formatCSV    fileFormat = iota
	formatLines             // JSON: one account per line
	formatValues            // JSON: one account after the other, over several lines
	formatArray             // JSON: [ account, … ]
	formatObject            // JSON: { …, "users": [ account, … ], … }
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// recogniseFormat returns the format of a file from its first bytes. If the format is not supported, the error says
// how to convert the file.
func recogniseFormat(head []byte, o Options) (fileFormat, error) {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return 0, errors.New("the file is UTF-16. Save it as UTF-8")
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return 0, errors.New("the file is compressed. Unpack it, as in: zcat FILE | watchword users import -")
	case bytes.HasPrefix(head, []byte("SQLite format 3")):
		return 0, errors.New("the file is an SQLite database. Export the table of users, as in: sqlite3 -header -csv FILE " +
			"'SELECT * FROM users' >users.csv")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return 0, errors.New("the file is a ZIP archive or a spreadsheet. Unpack it, or save the sheet as CSV in UTF-8")
	case bytes.IndexByte(head[:min(len(head), 1024)], 0) >= 0:
		return 0, errors.New("the file is binary. Write CSV or JSON")
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(head, byteOrderMark))
	if problem := unsupportedFormat(text, o); problem != "" {
		return 0, errors.New(problem)
	}
	looksJSON := len(text) > 0 && (text[0] == '{' || text[0] == '[')
	switch {
	case len(text) == 0:
		return 0, errors.New("the file is empty")
	case o.Format == CSV, o.Format == "" && !looksJSON:
		return formatCSV, nil
	case !looksJSON:
		return 0, fmt.Errorf("the file is not JSON: it begins with %q, not with { or [", text[:1])
	case o.Columns != nil:
		return 0, errors.New("the columns of JSON have names. Remove --columns")
	case text[0] == '[':
		return formatArray, nil
	}
	f, known := recogniseObject(text, o)
	if !known && len(head) == MaxAccount && !bytes.ContainsRune(text, '\n') {
		f = formatLines // the first line is too long
	}
	return f, nil
}

// recogniseObject returns the format of JSON that begins with an object. This object is either the first account, or
// it contains the array of accounts. The object may be cut off or invalid before the format is clear. In that case,
// the format is formatLines if any line is a valid object. If no line is, recognized is false.
func recogniseObject(text []byte, o Options) (f fileFormat, recognized bool) {
	if o.List != "" {
		return formatObject, true
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	foundArray := false
	memberNames := map[string]bool{} // top-level ones
	var openNames []json.Token       // of the open values, outermost first; nil in an array
	for {
		token, err := dec.Token()
		if err != nil {
			break
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if token == json.Delim('[') && len(openNames) == 1 && openNames[0] == json.Token("users") {
				return formatObject, true
			}
			if token == json.Delim('[') && len(openNames) <= 2 && holdsObjects(text[dec.InputOffset():]) {
				foundArray = true
			}
			rest := text[dec.InputOffset():]
			if token == json.Delim('[') && len(openNames) > 0 && listsAccounts(openNames, rest, memberNames) {
				return formatObject, true
			}
			openNames = append(openNames, nil)
		case json.Delim('}'), json.Delim(']'):
			if openNames = openNames[:len(openNames)-1]; len(openNames) == 0 {
				if foundArray && !containAnyField(memberNames) {
					return formatObject, true // not an account; jsonSource.findAccounts later returns the error
				}
				if bytes.ContainsRune(text[:dec.InputOffset()], '\n') {
					return formatValues, true
				}
				return formatLines, true
			}
			openNames[len(openNames)-1] = nil
		default:
			openNames = updatePath(openNames, token)
			if name, ok := token.(string); ok && len(openNames) == 1 && openNames[0] != nil {
				memberNames[folded(name)] = true
			}
		}
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 2 && line[0] == '{' && json.Valid(line) {
			return formatLines, true // the first line is invalid, but another line is valid
		}
	}
	return formatObject, false
}

// updatePath updates the path after a token. The name of a member stays in the path until its value has been read.
func updatePath(path []json.Token, token json.Token) []json.Token {
	top := len(path) - 1
	if path[top] == nil {
		path[top] = token
	} else {
		path[top] = nil
	}
	return path
}

// listNames are usual names of an array of accounts, at the top level or one level below.
var listNames = []string{"users", "identities", "accounts", "members", "people", "data", "items", "results", "records",
	"rows", "resources", "entries", "documents", "value", "hits"}

// isList reports whether the names in a path, such as users or data.users, are usual for a list of accounts.
func isList(path []json.Token) bool {
	if len(path) > 2 || len(path) == 2 && !listed(path[0]) {
		return false
	}
	return listed(path[len(path)-1])
}

func listed(name json.Token) bool {
	text, ok := name.(string)
	return ok && slices.Contains(listNames, strings.ToLower(text))
}

// listsAccounts reports whether the array at a path is the array of accounts, and not a member of the first account.
// The array must contain objects. The members before the array must not identify an account.
func listsAccounts(path []json.Token, rest []byte, names map[string]bool) bool {
	return isList(path) && holdsObjects(rest) && !identifyAccount(names)
}

func holdsObjects(rest []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(rest), []byte("{")) }

// identifyAccount reports whether one of the names belongs to a column for the address, the password hash or the id.
func identifyAccount(names map[string]bool) bool {
	for name := range names {
		if u := lookUpUse(name); u.field == Email || u.field == PasswordHash || u.field == ID {
			return true
		}
	}
	return false
}

func containAnyField(names map[string]bool) bool {
	for name := range names {
		if lookUpUse(name).field != "" || meaningOf(name) != 0 || name == keycloakCredentials || name == "attributes" ||
			name == "traits" || name == "profile" {
			return true
		}
	}
	return false
}

var (
	dumpLine = regexp.MustCompile(`(?m)^(COPY [^\n]+ FROM stdin;|-- PostgreSQL database dump|INSERT INTO |-- MySQL dump|CREATE TABLE |PRAGMA foreign_keys|-- phpMyAdmin)`)
	ldifLine = regexp.MustCompile(`^(#[^\n]*\n|version: *1\s*\n|\s)*dn::? `)
	yamlLine = regexp.MustCompile(`^(---\s*\n|#[^\n]*\n)*(- )?["']?[A-Za-z_][\w-]*["']?:( [^\n,;\t]*)?\r?\n`)
)

// unsupportedFormat returns the name of the format and how to convert it, or "".
func unsupportedFormat(text []byte, o Options) string {
	head := text[:min(len(text), 64<<10)]
	switch {
	case o.Format != "" || o.Columns != nil || len(head) == 0 || head[0] == '{' || head[0] == '[':
		return ""
	case dumpLine.Match(head):
		return "the file is an SQL dump (COPY or INSERT), not CSV. Export the table of users, as in: psql app -c \"\\copy " +
			"(SELECT * FROM users) TO users.csv CSV HEADER\""
	case ldifLine.Match(head):
		return "the file is LDIF, of an LDAP server. Write the entries as CSV or JSON, with the columns mail, cn, " +
			"userPassword"
	case head[0] == '<':
		return "the file is XML or HTML. Write CSV or JSON"
	case yamlLine.Match(head):
		return "the file is YAML. Write it as JSON with an account a line, as in: yq -o=json -I=0 '.users[]' FILE >users.json"
	}
	return ""
}
