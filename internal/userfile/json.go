package userfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/watchword-auth/watchword/internal/strictjson"
)

// This file reads JSON: one account per line, an array, or an object that contains the array. An invalid line affects
// only its account. In an array or an object, a syntax error ends the reading, because the start of the next account
// is unknown.

const notObject = "not a JSON object"

type jsonLineSource struct{ lines lineReader }

func (j *jsonLineSource) next() (rawAccount, error) {
	for {
		text, long, err := j.lines.nextText()
		if err != nil {
			return rawAccount{}, err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		got := rawAccount{line: j.lines.lineNumber}
		switch {
		case long:
			got.problem = tooLong
		default:
			got.values, got.problem = decodeObject(text)
		}
		return got, nil
	}
}

// decodeObject decodes one JSON object. It rejects duplicate names and invalid UTF-8, as the API does.
func decodeObject(text []byte) (values map[string]any, problem string) {
	if !utf8.Valid(text) {
		return nil, notUTF8
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // a float would lose digits of an id
	if err := dec.Decode(&values); err != nil || values == nil {
		return nil, notObject
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, notObject
	}
	if err := strictjson.Check(text); err != nil {
		return nil, err.Error()
	}
	return values, ""
}

// jsonSource reads accounts from an array, from an array within an object, or one after the other.
type jsonSource struct {
	dec       *json.Decoder
	feed      *lineCountingReader
	format    fileFormat
	isInArray bool
	arrayName string // empty: one of listNames
	depth     int    // number of objects around the array
}

func newJSON(in *bufio.Reader, f fileFormat, list string) *jsonSource {
	feed := &lineCountingReader{in: in, line: 1}
	return &jsonSource{dec: json.NewDecoder(feed), feed: feed, format: f, arrayName: list}
}

func (j *jsonSource) next() (rawAccount, error) {
	j.feed.allow(maxValueBytes)
	if !j.isInArray && j.format != formatValues {
		if err := j.skipToAccounts(); err != nil {
			return rawAccount{}, j.errorWithLine(err)
		}
		j.isInArray = true
	}
	if !j.dec.More() {
		return rawAccount{}, j.readEnd()
	}
	var text json.RawMessage
	if err := j.dec.Decode(&text); err != nil {
		return rawAccount{}, j.errorWithLine(err)
	}
	got := rawAccount{line: j.feed.lineAt(j.dec.InputOffset() - int64(len(text)))}
	if len(text) > MaxAccount {
		got.problem = tooLong
	} else {
		got.values, got.problem = decodeObject(text)
	}
	return got, nil
}

// skipToAccounts reads up to the first account.
func (j *jsonSource) skipToAccounts() error {
	if _, err := j.dec.Token(); err != nil || j.format == formatArray {
		return err
	}
	return j.findAccounts(nil)
}

// findAccounts reads up to the first account in the array of accounts. It searches for this array in the members of
// the open object, and in the objects that these members contain.
func (j *jsonSource) findAccounts(path []json.Token) error {
	var arrays []string
	for j.dec.More() {
		name, err := j.dec.Token()
		if err != nil {
			return err
		}
		here := append(slices.Clone(path), name)
		token, err := j.dec.Token()
		switch {
		case err != nil:
			return err
		case token == json.Delim('[') && j.isList(here):
			j.depth = len(here)
			return nil
		case token == json.Delim('{') && len(path) < 3 && j.leadsToList(here):
			if err := j.findAccounts(here); !errors.Is(err, errNoUsers) {
				return err
			}
			if _, err := j.dec.Token(); err != nil { // reads the end of the object
				return err
			}
		case token == json.Delim('{'), token == json.Delim('['):
			if token == json.Delim('[') && len(path) == 0 {
				arrays = append(arrays, fmt.Sprint(name))
			}
			if err := j.skipOpen(1); err != nil {
				return err
			}
		}
	}
	if j.arrayName != "" {
		return fmt.Errorf("%w `%s`. Name another array with --list", errNoUsers, j.arrayName)
	}
	if len(arrays) > 0 {
		return fmt.Errorf("%w `users`. It has %s: name the one with the accounts, as in: --list NAME", errNoUsers,
			shownNames(arrays))
	}
	return fmt.Errorf("%w `users`. Write one account a line, or an array of accounts; or name the array, as in: --list "+
		"NAME", errNoUsers)
}

func (j *jsonSource) isList(path []json.Token) bool {
	if j.arrayName == "" {
		return isList(path)
	}
	return pathText(path) == j.arrayName
}

func (j *jsonSource) leadsToList(path []json.Token) bool {
	if j.arrayName == "" {
		return len(path) == 1 && listed(path[0])
	}
	return strings.HasPrefix(j.arrayName, pathText(path)+".")
}

func pathText(path []json.Token) string {
	var names []string
	for _, name := range path {
		names = append(names, fmt.Sprint(name))
	}
	return strings.Join(names, ".")
}

// shownNames joins up to five names of members for an error. It does not show a name that could be a value.
func shownNames(names []string) string {
	names = names[:min(len(names), 5)]
	for i, name := range names {
		if !shownName.MatchString(name) {
			names[i] = "(not shown)"
		}
	}
	return strings.Join(names, ", ")
}

var shownName = regexp.MustCompile(`^[\pL_][\w.:-]{0,39}$`)

var errNoUsers = errors.New("the file has one object and no array")

func (j *jsonSource) skipValue() error { return j.skipOpen(0) }

// skipOpen skips the rest of a value in which depth objects and arrays are open.
func (j *jsonSource) skipOpen(depth int) error {
	for {
		j.feed.allow(maxValueBytes)
		token, err := j.dec.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		j.feed.lineAt(j.dec.InputOffset()) // called only to free the memory for line ends
		if depth == 0 {
			return nil
		}
	}
}

// readEnd reads the text after the last account. It returns io.EOF only if every object is closed, because a
// truncated file must not look complete.
func (j *jsonSource) readEnd() error {
	for open := j.depth; j.format != formatValues; {
		if !j.dec.More() {
			token, err := j.dec.Token() // reads the end of the array, or of an object around it
			if err != nil {
				return j.errorWithLine(err)
			}
			if token == json.Delim('}') {
				open--
			}
			if open <= 0 {
				break
			}
			continue
		}
		if _, err := j.dec.Token(); err != nil { // reads the name of another member
			return j.errorWithLine(err)
		}
		if err := j.skipValue(); err != nil {
			return j.errorWithLine(err)
		}
	}
	switch _, err := j.dec.Token(); {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return j.errorWithLine(err)
	}
	return fmt.Errorf("line %d: more text follows the array of accounts. Write one array",
		j.feed.lineAt(j.dec.InputOffset()))
}

// errorWithLine adds the line where the reading ended.
func (j *jsonSource) errorWithLine(err error) error {
	var syntax *json.SyntaxError
	switch line := j.feed.lineAt(j.dec.InputOffset()); {
	case errors.Is(err, errNoUsers):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends within an account: it is truncated")
	case errors.Is(err, errHuge):
		return fmt.Errorf("line %d: %w", line, err)
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d or soon after: not JSON. The rest of the file can't be read", line)
	}
	return err
}

// maxValueBytes bounds the memory for one value. An account between MaxAccount and maxValueBytes has a problem, and
// the next account is read. A longer value ends the reading.
const maxValueBytes = 16 * MaxAccount

var errHuge = errors.New("an account or value is longer than 16 MiB. The rest of the file can't be read")

// A lineCountingReader limits the bytes that the decoder reads, and counts lines.
type lineCountingReader struct {
	in         io.Reader
	allowed    int
	bytesRead  int64
	lineEnds   []int64 // offsets of the line ends that were read
	passedEnds int     // number of lineEnds before the last offset given to lineAt
	line       int     // line of that offset
}

func (f *lineCountingReader) allow(n int) { f.allowed = n }

func (f *lineCountingReader) Read(p []byte) (int, error) {
	if f.allowed <= 0 {
		return 0, errHuge
	}
	n, err := f.in.Read(p[:min(len(p), f.allowed)])
	for i, c := range p[:n] {
		if c == '\n' {
			f.lineEnds = append(f.lineEnds, f.bytesRead+int64(i))
		}
	}
	f.bytesRead += int64(n)
	f.allowed -= n
	return n, err
}

// lineAt returns the line number of an offset. From call to call, the offset must not decrease.
func (f *lineCountingReader) lineAt(offset int64) int {
	for f.passedEnds < len(f.lineEnds) && f.lineEnds[f.passedEnds] < offset {
		f.passedEnds++
		f.line++
	}
	if 2*f.passedEnds >= len(f.lineEnds) { // not at each call, so that the copying stays cheap
		f.lineEnds, f.passedEnds = f.lineEnds[:copy(f.lineEnds, f.lineEnds[f.passedEnds:])], 0
	}
	return f.line
}
