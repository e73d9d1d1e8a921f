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

// This file reads CSV (RFC 4180). encoding/csv parses one record at a time. csvSource decides which lines belong to a
// record, so that a missing closing quotation mark invalidates one line and not the rest of the file.
//
// A record over several lines is invalid if its quotation mark is not closed, or if the number of values is wrong.
// The first line of an invalid record is reported as a problem, and its other lines are read as records.
//
// A value of a valid record can contain lines that look like rows. Then the record and each of these lines are
// reported as problems, and the lines are not read as records. The reason: the file may lack a quotation mark, or a
// user may have written "eve@example.com,admin" into a text about themselves. That text must not become an account.

type csvSource struct {
	lines  lines
	held   []csvLine // lines that may be read a second time
	at     int       // index in held of the next line
	rows   []raw     // problems within the previous record, which the method next returns first
	header []string  // names of the columns; columns with an empty name are skipped
	emails []int     // indexes in header of the columns for the address
	exact  bool      // a record must not have more values than the header
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
	holdsRows = "its quotation marks contain whole rows. Is a quotation mark missing?"
	heldRow   = "within the quotation marks of an earlier row"
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
	columns.addHeader(c.header)
	for i, name := range c.header {
		if name != "" && columns.serves(name, Email) {
			c.emails = append(c.emails, i)
		}
	}
	return c, nil
}

// readSeparator reads a first line that names the separator for Excel, such as "sep=;". Any other first line is read
// again by readHeader.
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

// FirebaseColumns returns the names of the columns of `firebase auth:export users.csv`, which has no header. The
// empty names belong to columns that are skipped: four columns for each of four other sign-in providers.
func FirebaseColumns() []string {
	names := []string{"localId", "email", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl"}
	names = append(names, make([]string, 4*4)...)
	return append(names, "createdAt", "lastLoginAt", "phoneNumber", "disabled")
}

const separators = ",;\t"

// separator returns the separator of a header: the comma if the header has one, or else another separator of
// spreadsheets.
func separator(header string) rune {
	for _, each := range separators {
		if strings.ContainsRune(header, each) {
			return each
		}
	}
	return ','
}

// checkHeader rejects duplicate names, and a first line that is an account instead of a header. Its error does not
// show the account.
func checkHeader(header []string, line int) error {
	seen := map[string]bool{}
	for _, name := range header {
		if strings.ContainsAny(name, "@$") {
			return fmt.Errorf("line %d has an account and no column names. Name the columns, as in: --columns id,email,password",
				line)
		}
		if seen[name] && name != "" {
			return fmt.Errorf("line %d has two columns %q. Rename one of them", line, name)
		}
		seen[name] = true
	}
	return nil
}

func (c *csvSource) next() (raw, error) {
	if len(c.rows) > 0 {
		got := c.rows[0]
		c.rows = c.rows[1:]
		return got, nil
	}
	first, err := c.content()
	if err != nil {
		return raw{}, err
	}
	return c.record(first), nil
}

// content returns the next line with a value. It skips empty rows, which spreadsheets write as lines of separators.
func (c *csvSource) content() (csvLine, error) {
	for {
		c.discardRead()
		line, err := c.line()
		if err != nil || strings.TrimFunc(line.text, func(r rune) bool { return unicode.IsSpace(r) || r == c.comma }) != "" {
			return line, err
		}
	}
}

// record reads the record that begins with the line first. If the record is invalid, its other lines are read again
// as records.
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
			c.rows = append(c.rows, raw{line: line.n, problem: heldRow})
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

// isRow reports whether a line within a value looks like a record: it has the right number
// of values, and an address in the right column. Its last value may contain the quotation
// mark that closes the surrounding value.
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

// rest returns the whole record that begins with the line first. It appends lines while a quotation mark is open. The
// result closed is false if the quotation mark is not closed.
func (c *csvSource) rest(first csvLine) (whole string, closed bool) {
	if closed = hasEvenQuotes(first.text); closed || first.long {
		return first.text, closed
	}
	size := len(first.text)
	texts := []string{first.text}
	for !closed {
		line, err := c.line()
		if err != nil {
			break // c.line returns the same read error at its next call
		}
		if size += len(line.text) + 1; line.long || size > MaxAccount {
			break
		}
		texts = append(texts, line.text)
		closed = !hasEvenQuotes(line.text)
	}
	return strings.Join(texts, "\n"), closed
}

func hasEvenQuotes(text string) bool { return strings.Count(text, `"`)%2 == 0 }

// line returns the next line and keeps it in held. To read lines again, callers set c.at back.
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

// discardRead removes the lines that were read, if they are at least half of the lines in held. It thus never moves
// more lines than it removes.
func (c *csvSource) discardRead() {
	if 2*c.at >= len(c.held) {
		c.held, c.at = slices.Delete(c.held, 0, c.at), 0
	}
}

// parse returns the values of one record. They are valid until the next call.
func (c *csvSource) parse(record string) (values []string, problem string) {
	if c.parser == nil {
		c.parser = csv.NewReader(c.feed)
		c.parser.Comma, c.parser.FieldsPerRecord, c.parser.ReuseRecord = c.comma, -1, true
	}
	c.feed.rest.Reset(record + "\n")
	values, err := c.parser.Read()
	if err != nil {
		c.parser = nil // the parser may have buffered a part of the record
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

// csvValue returns the text of a value: "" for \N, and the digits of ObjectId(…).
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
