package userfile

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// CSV, as RFC 4180 has it. encoding/csv reads one record after the other; which
// lines a record has is found out here, so that a quotation mark that is never
// closed costs its own line and not the rest of the file.

type csvSource struct {
	lines  lines
	again  []csvLine // that were read on trial
	header []string  // an empty name is passed over
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

func newCSV(in *bufio.Reader, names []string, columns *columns) (*csvSource, error) {
	c := &csvSource{lines: lines{in: in}, header: names, comma: ',', feed: &csvFeed{}}
	if names != nil {
		columns.announce(names)
		return c, nil
	}
	c.exact = true
	first, err := c.line()
	if err != nil {
		return nil, err
	}
	c.comma = separator(first.text)
	header, problem := c.parse(first.text)
	switch {
	case first.long:
		problem = tooLong
	case !utf8.ValidString(first.text):
		problem = notUTF8
	}
	if problem != "" {
		return nil, fmt.Errorf("line 1, the names of the columns: %s", problem)
	}
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	c.header = slices.Clone(header)
	for i, name := range c.header {
		c.header[i] = strings.TrimSpace(name)
	}
	columns.announce(c.header)
	return c, nil
}

// FirebaseColumns are those of `firebase auth:export users.csv`, which has no
// header: with four for each of four other providers in the middle.
func FirebaseColumns() []string {
	names := []string{"localId", "email", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl"}
	names = append(names, make([]string, 4*4)...)
	return append(names, "createdAt", "lastLoginAt", "phoneNumber", "disabled")
}

// separator is the comma, unless the header has none and something else that
// spreadsheets write.
func separator(header string) rune {
	for _, each := range ",;\t" {
		if strings.ContainsRune(header, each) {
			return each
		}
	}
	return ','
}

// checkHeader refuses what are no names, without saying what it is.
func checkHeader(header []string) error {
	seen := map[string]bool{}
	for _, name := range header {
		name = strings.TrimSpace(name)
		if strings.ContainsAny(name, "@$") {
			return errors.New("line 1 has an account and no names of columns. Name them, as in: --columns id,email,password")
		}
		if seen[name] && name != "" {
			return fmt.Errorf("line 1 has two columns %q. Rename one of them", name)
		}
		seen[name] = true
	}
	return nil
}

func (c *csvSource) next() (raw, error) {
	for {
		first, err := c.line()
		if err != nil {
			return raw{}, err
		}
		if strings.TrimSpace(first.text) == "" {
			continue
		}
		return c.record(first), nil
	}
}

// record reads the record that begins with a line. If it goes on over others and
// comes to nothing, they are lines of their own.
func (c *csvSource) record(first csvLine) raw {
	got := raw{line: first.n}
	whole, rest, closed := c.rest(first)
	var values []string
	switch {
	case first.long:
		got.problem = tooLong
	case !utf8.ValidString(whole):
		got.problem = notUTF8
	case !closed:
		got.problem = "a quotation mark is not closed"
	default:
		values, got.problem = c.parse(whole)
	}
	if got.problem != "" {
		c.again = slices.Concat(rest, c.again)
		return got
	}
	if len(values) < len(c.header) || c.exact && len(values) > len(c.header) {
		got.problem = fmt.Sprintf("%d values for %d columns", len(values), len(c.header))
		return got
	}
	got.values = make(map[string]any, len(c.header))
	for i, name := range c.header {
		if name != "" {
			got.values[name] = csvValue(values[i])
		}
	}
	return got
}

// rest gathers the lines of a record: while a quotation mark is open, there is
// another.
func (c *csvSource) rest(first csvLine) (whole string, rest []csvLine, closed bool) {
	if closed = even(first.text); closed || first.long {
		return first.text, nil, closed
	}
	size := len(first.text)
	texts := []string{first.text}
	for !closed {
		line, err := c.line()
		if err != nil {
			break // if it is not the end of the file, it comes again
		}
		rest = append(rest, line)
		if size += len(line.text) + 1; line.long || size > MaxAccount {
			break
		}
		texts = append(texts, line.text)
		closed = !even(line.text)
	}
	return strings.Join(texts, "\n"), rest, closed
}

func even(text string) bool { return strings.Count(text, `"`)%2 == 0 }

func (c *csvSource) line() (csvLine, error) {
	if len(c.again) > 0 {
		line := c.again[0]
		c.again = c.again[1:]
		return line, nil
	}
	text, long, err := c.lines.next()
	return csvLine{string(text), long, c.lines.n}, err
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
