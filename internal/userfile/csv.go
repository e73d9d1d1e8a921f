package userfile

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CSV, as RFC 4180 has it. encoding/csv reads one record after the other; which
// lines a record has is found out here, so that a quotation mark that is never
// closed costs its own line and not the rest of the file.
//
// A record over several lines that is none (the quotation mark is not closed, the
// number of values is wrong) costs its first line, and the others are read on their
// own. One that is right and has rows within a value is a problem, and so is each of
// these rows. They are not read on their own: nothing tells a file that lacks a
// quotation mark from one in which somebody has written "eve@example.com,admin" about
// themselves, and that must not become an account.

type csvSource struct {
	lines  lines
	held   []csvLine // that were read, and may be read again
	at     int       // of held, the line to be read next
	also   []raw     // that were found within the last record
	header []string  // an empty name is passed over
	emails []int     // of header
	exact  bool      // a record may not have more values than the header
	feed   *csvFeed
	parser *csv.Reader
	comma  rune
}

type csvLine struct {
	text string
	long bool
	n    int
}

const (
	notClosed = "a quotation mark is not closed"
	holdsRows = "whole rows lie within its quotation marks. Is one of them missing?"
	heldRow   = "within the quotation marks of a row before it"
)

func newCSV(in *bufio.Reader, names []string, columns *columns) (*csvSource, error) {
	c := &csvSource{lines: lines{in: in}, header: names, exact: names == nil, comma: ',', feed: &csvFeed{}}
	err := c.readSeparator()
	if err == nil && names == nil {
		err = c.readHeader()
	}
	if err != nil {
		return nil, err
	}
	columns.announce(c.header)
	for i, name := range c.header {
		if name != "" && columns.serves(name, Email) {
			c.emails = append(c.emails, i)
		}
	}
	return c, nil
}

// readSeparator passes over a first line that says for Excel what separates values:
// sep=;
func (c *csvSource) readSeparator() error {
	first, err := c.line()
	if err != nil {
		return err
	}
	if name, comma, ok := strings.Cut(strings.Trim(first.text, `"`), "="); ok && strings.EqualFold(name, "sep") {
		if r, size := utf8.DecodeRuneInString(comma); size == len(comma) && strings.ContainsRune(separators, r) {
			c.comma = r
			return nil
		}
	}
	c.at = 0
	return nil
}

func (c *csvSource) readHeader() error {
	first, err := c.content()
	if err != nil {
		return err
	}
	if c.comma == ',' {
		c.comma = separator(first.text)
	}
	header, problem := c.parse(first.text)
	switch {
	case first.long:
		problem = tooLong
	case !utf8.ValidString(first.text):
		problem = notUTF8
	}
	if problem != "" {
		return fmt.Errorf("line %d, the names of the columns: %s", first.n, problem)
	}
	for _, name := range header {
		c.header = append(c.header, strings.TrimSpace(name))
	}
	return checkHeader(c.header, first.n)
}

// FirebaseColumns are those of `firebase auth:export users.csv`, which has no
// header: with four for each of four other providers in the middle.
func FirebaseColumns() []string {
	names := []string{"localId", "email", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl"}
	names = append(names, make([]string, 4*4)...)
	return append(names, "createdAt", "lastLoginAt", "phoneNumber", "disabled")
}

const separators = ",;\t"

// separator is the comma, unless the header has none and something else that
// spreadsheets write.
func separator(header string) rune {
	for _, each := range separators {
		if strings.ContainsRune(header, each) {
			return each
		}
	}
	return ','
}

// checkHeader refuses what are no names, without saying what it is.
func checkHeader(header []string, line int) error {
	seen := map[string]bool{}
	for _, name := range header {
		if strings.ContainsAny(name, "@$") {
			return fmt.Errorf("line %d has an account and no names of columns. Name them, as in: --columns id,email,password", line)
		}
		if seen[name] && name != "" {
			return fmt.Errorf("line %d has two columns %q. Rename one of them", line, name)
		}
		seen[name] = true
	}
	return nil
}

func (c *csvSource) next() (raw, error) {
	if len(c.also) > 0 {
		got := c.also[0]
		c.also = c.also[1:]
		return got, nil
	}
	first, err := c.content()
	if err != nil {
		return raw{}, err
	}
	return c.record(first), nil
}

// content returns the next line that holds more than separators: of empty rows
// spreadsheets write those.
func (c *csvSource) content() (csvLine, error) {
	for {
		c.forget()
		line, err := c.line()
		if err != nil || strings.TrimFunc(line.text, func(r rune) bool { return unicode.IsSpace(r) || r == c.comma }) != "" {
			return line, err
		}
	}
}

// record reads the record that begins with a line. If it goes on over others and
// comes to nothing, they are lines of their own.
func (c *csvSource) record(first csvLine) raw {
	got := raw{line: first.n}
	second := c.at
	whole, closed := c.rest(first)
	var values []string
	switch {
	case first.long:
		got.problem = tooLong
	case !closed && !utf8.ValidString(first.text):
		got.problem = notUTF8
	case !closed:
		got.problem = notClosed
	default:
		if values, got.problem = c.parse(whole); got.problem == "" {
			got.problem = c.wrongNumber(values)
		}
	}
	if got.problem != "" {
		c.at = second
		return got
	}
	for _, line := range c.held[second:c.at] {
		if c.isRow(line.text) {
			got.problem = holdsRows
			c.also = append(c.also, raw{line: line.n, problem: heldRow})
		}
	}
	if got.problem == "" && !utf8.ValidString(whole) {
		got.problem = notUTF8
	}
	if got.problem == "" {
		got.values = c.named(values)
	}
	return got
}

func (c *csvSource) wrongNumber(values []string) (problem string) {
	if len(values) < len(c.header) || c.exact && len(values) > len(c.header) {
		return fmt.Sprintf("%d values for %d columns", len(values), len(c.header))
	}
	return ""
}

func (c *csvSource) named(values []string) map[string]any {
	byName := make(map[string]any, len(c.header))
	for i, name := range c.header {
		if name != "" {
			byName[name] = csvValue(values[i])
		}
	}
	return byName
}

// isRow reports whether a line within a value looks like a record: it has as many
// values, and an address where one belongs. Its last value may have the quotation
// mark that closes the one before.
func (c *csvSource) isRow(text string) bool {
	if !strings.Contains(text, "@") || strings.Count(text, string(c.comma)) < len(c.header)-1 {
		return false
	}
	lazy := csv.NewReader(strings.NewReader(text))
	lazy.Comma, lazy.FieldsPerRecord, lazy.LazyQuotes = c.comma, -1, true
	values, err := lazy.Read()
	return err == nil && c.wrongNumber(values) == "" && slices.ContainsFunc(c.emails, func(i int) bool {
		value := strings.TrimSpace(values[i])
		return strings.Contains(value, "@") && !strings.ContainsAny(value, " \t")
	})
}

// rest gathers the lines of a record: while a quotation mark is open, there is
// another.
func (c *csvSource) rest(first csvLine) (whole string, closed bool) {
	if closed = even(first.text); closed || first.long {
		return first.text, closed
	}
	size := len(first.text)
	texts := []string{first.text}
	for !closed {
		line, err := c.line()
		if err != nil {
			break // if it is not the end of the file, it comes again
		}
		if size += len(line.text) + 1; line.long || size > MaxAccount {
			break
		}
		texts = append(texts, line.text)
		closed = !even(line.text)
	}
	return strings.Join(texts, "\n"), closed
}

func even(text string) bool { return strings.Count(text, `"`)%2 == 0 }

// line returns the next line and keeps it: to set c.at back is to read again.
func (c *csvSource) line() (csvLine, error) {
	if c.at == len(c.held) {
		text, long, err := c.lines.next()
		if err != nil {
			return csvLine{}, err
		}
		c.held = append(c.held, csvLine{string(text), long, c.lines.n})
	}
	c.at++
	return c.held[c.at-1], nil
}

// forget lets the lines go that will not be read again, when they are half of those
// that are kept: each is moved once, however many are read again.
func (c *csvSource) forget() {
	if 2*c.at >= len(c.held) {
		c.held, c.at = slices.Delete(c.held, 0, c.at), 0
	}
}

// parse takes one record apart. The values are good until the next one.
func (c *csvSource) parse(record string) (values []string, problem string) {
	if c.parser == nil {
		c.parser = csv.NewReader(c.feed)
		c.parser.Comma, c.parser.FieldsPerRecord, c.parser.ReuseRecord = c.comma, -1, true
	}
	c.feed.rest.Reset(record + "\n")
	values, err := c.parser.Read()
	if err != nil {
		c.parser = nil // it has seen a part of it
		return nil, "not CSV: a quotation mark within a value has to be doubled, and the value quoted"
	}
	return values, ""
}

// A csvFeed gives the parser one record at a time.
type csvFeed struct{ rest strings.Reader }

func (f *csvFeed) Read(p []byte) (int, error) {
	n, err := f.rest.Read(p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// csvValue undoes how some programs write null and an ObjectId.
func csvValue(text string) string {
	if text == `\N` {
		return ""
	}
	if rest, ok := cutAnyPrefix(text, "ObjectId(", "ObjectID("); ok && strings.HasSuffix(rest, ")") {
		return strings.Trim(strings.TrimSuffix(rest, ")"), `"`)
	}
	return text
}

func cutAnyPrefix(text string, prefixes ...string) (string, bool) {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return rest, true
		}
	}
	return text, false
}
