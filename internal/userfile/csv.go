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
	lines          lineReader
	heldLines      []csvLine
	nextHeld       int          // index in heldLines
	innerProblems  []rawAccount // problems of lines within the previous record; the method next returns them first
	header         []string     // columns with an empty name are skipped
	addressIndexes []int        // in header
	forbidsExtra   bool         // a record must not have more values than the header
	feed           *recordReader
	parser         *csv.Reader
	comma          rune
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

func newCSV(in *bufio.Reader, names []string, columns *columnMapping) (*csvSource, error) {
	c := &csvSource{
		lines: lineReader{in: in}, header: names, forbidsExtra: names == nil, comma: ',', feed: &recordReader{},
	}
	err := c.readSeparator()
	if err == nil && names == nil {
		err = c.readHeader()
	}
	if err != nil {
		return nil, err
	}
	columns.addHeader(c.header)
	for i, name := range c.header {
		if name != "" && columns.isReadFor(name, Email) {
			c.addressIndexes = append(c.addressIndexes, i)
		}
	}
	return c, nil
}

// readSeparator reads a first line that names the separator for Excel, such as "sep=;". Any other first line is read
// again by readHeader.
func (c *csvSource) readSeparator() error {
	first, err := c.nextLine()
	if err != nil {
		return err
	}
	if name, comma, ok := strings.Cut(strings.Trim(first.text, `"`), "="); ok && strings.EqualFold(name, "sep") {
		if r, size := utf8.DecodeRuneInString(comma); size == len(comma) && strings.ContainsRune(separators, r) {
			c.comma = r
			return nil
		}
	}
	c.nextHeld = 0
	return nil
}

func (c *csvSource) readHeader() error {
	first, err := c.nextNonEmptyLine()
	if err != nil {
		return err
	}
	if c.comma == ',' {
		c.comma = findSeparator(first.text)
	}
	header, problem := c.parseRecord(first.text)
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

// findSeparator returns the comma if the header has one, or else another separator of spreadsheets.
func findSeparator(header string) rune {
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

func (c *csvSource) next() (rawAccount, error) {
	if len(c.innerProblems) > 0 {
		got := c.innerProblems[0]
		c.innerProblems = c.innerProblems[1:]
		return got, nil
	}
	first, err := c.nextNonEmptyLine()
	if err != nil {
		return rawAccount{}, err
	}
	return c.readRecord(first), nil
}

// nextNonEmptyLine also skips rows that consist of separators, because spreadsheets write empty rows in this way.
func (c *csvSource) nextNonEmptyLine() (csvLine, error) {
	for {
		c.discardReadLines()
		line, err := c.nextLine()
		if err != nil || strings.TrimFunc(line.text, func(r rune) bool { return unicode.IsSpace(r) || r == c.comma }) != "" {
			return line, err
		}
	}
}

// readRecord reads the record that begins with firstLine. If the record is invalid, its other lines are read
// again as records.
func (c *csvSource) readRecord(firstLine csvLine) rawAccount {
	got := rawAccount{line: firstLine.n}
	second := c.nextHeld
	whole, isClosed := c.joinRecord(firstLine)
	var values []string
	switch {
	case firstLine.long:
		got.problem = tooLong
	case !isClosed && !utf8.ValidString(firstLine.text):
		got.problem = notUTF8
	case !isClosed:
		got.problem = notClosed
	default:
		if values, got.problem = c.parseRecord(whole); got.problem == "" {
			got.problem = c.wrongNumber(values)
		}
	}
	if got.problem != "" {
		c.nextHeld = second
		return got
	}
	for _, line := range c.heldLines[second:c.nextHeld] {
		if c.looksLikeRow(line.text) {
			got.problem = holdsRows
			c.innerProblems = append(c.innerProblems, rawAccount{line: line.n, problem: heldRow})
		}
	}
	if got.problem == "" && !utf8.ValidString(whole) {
		got.problem = notUTF8
	}
	if got.problem == "" {
		got.values = c.valuesByName(values)
	}
	return got
}

func (c *csvSource) wrongNumber(values []string) (problem string) {
	if len(values) < len(c.header) || c.forbidsExtra && len(values) > len(c.header) {
		return fmt.Sprintf("%d values for %d columns", len(values), len(c.header))
	}
	return ""
}

func (c *csvSource) valuesByName(values []string) map[string]any {
	byName := make(map[string]any, len(c.header))
	for i, name := range c.header {
		if name != "" {
			byName[name] = cleanValue(values[i])
		}
	}
	return byName
}

// looksLikeRow reports whether a line within a value looks like a record: it has the right number of values, and an
// address in the right column. Its last value may contain the quotation mark that closes the surrounding value.
func (c *csvSource) looksLikeRow(text string) bool {
	if !strings.Contains(text, "@") || strings.Count(text, string(c.comma)) < len(c.header)-1 {
		return false
	}
	lazy := csv.NewReader(strings.NewReader(text))
	lazy.Comma, lazy.FieldsPerRecord, lazy.LazyQuotes = c.comma, -1, true
	values, err := lazy.Read()
	return err == nil && c.wrongNumber(values) == "" && slices.ContainsFunc(c.addressIndexes, func(i int) bool {
		value := strings.TrimSpace(values[i])
		return strings.Contains(value, "@") && !strings.ContainsAny(value, " \t")
	})
}

// joinRecord appends lines to firstLine while a quotation mark is open. isClosed is false if the quotation mark is not
// closed.
func (c *csvSource) joinRecord(firstLine csvLine) (whole string, isClosed bool) {
	if isClosed = hasEvenQuotes(firstLine.text); isClosed || firstLine.long {
		return firstLine.text, isClosed
	}
	size := len(firstLine.text)
	texts := []string{firstLine.text}
	for !isClosed {
		line, err := c.nextLine()
		if err != nil {
			break // c.nextLine returns the same read error at its next call
		}
		if size += len(line.text) + 1; line.long || size > MaxAccount {
			break
		}
		texts = append(texts, line.text)
		isClosed = !hasEvenQuotes(line.text)
	}
	return strings.Join(texts, "\n"), isClosed
}

func hasEvenQuotes(text string) bool { return strings.Count(text, `"`)%2 == 0 }

// nextLine returns the next line and keeps it in heldLines. To read lines again, callers set c.nextHeld back.
func (c *csvSource) nextLine() (csvLine, error) {
	if c.nextHeld == len(c.heldLines) {
		text, long, err := c.lines.nextText()
		if err != nil {
			return csvLine{}, err
		}
		c.heldLines = append(c.heldLines, csvLine{string(text), long, c.lines.lineNumber})
	}
	c.nextHeld++
	return c.heldLines[c.nextHeld-1], nil
}

// discardReadLines removes from heldLines the lines that have been read, but only if these are at least half of the
// lines. It thus never moves more lines than it removes.
func (c *csvSource) discardReadLines() {
	if 2*c.nextHeld >= len(c.heldLines) {
		c.heldLines, c.nextHeld = slices.Delete(c.heldLines, 0, c.nextHeld), 0
	}
}

// parseRecord returns the values of one record. The slice is valid until the next call.
func (c *csvSource) parseRecord(record string) (values []string, problem string) {
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

// A recordReader gives the parser one record at a time.
type recordReader struct{ rest strings.Reader }

func (f *recordReader) Read(p []byte) (int, error) {
	n, err := f.rest.Read(p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// cleanValue returns "" for \N, and the digits of ObjectId(…).
func cleanValue(text string) string {
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
