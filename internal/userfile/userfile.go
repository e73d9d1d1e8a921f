// Package userfile reads accounts from the files that other systems write: CSV,
// JSON lines, a JSON array, or an object with an array `users` in it (Firebase,
// Keycloak). It goes through a file once and holds one account at a time.
//
// It knows formats, the names that columns have elsewhere, and how dates and
// truths are spelled. It does not know what a good address, role or hash is.
package userfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// MaxAccount is how long one account of a file may be, in bytes. A longer one is
// a problem of that account; a JSON value that is many times longer ends the
// reading.
const MaxAccount = 1 << 20

// A Field is what a column of a file may be used for.
type Field string

const (
	ID            Field = "id"
	Email         Field = "email"
	PasswordHash  Field = "passwordHash"
	Salt          Field = "salt"
	Algorithm     Field = "hashAlgorithm" // of PasswordHash, where the hash does not say it
	Factor        Field = "hashFactor"    // iterations or cost, where the hash does not say it
	Temporary     Field = "temporaryPassword"
	Name          Field = "name"
	FirstName     Field = "firstName"
	LastName      Field = "lastName"
	EmailVerified Field = "emailVerified"
	Roles         Field = "roles"
	CreatedAt     Field = "createdAt"
	Disabled      Field = "disabled"
)

// Formats of Options.
const (
	CSV  = "csv"
	JSON = "json"
)

// Options say how to read a file.
type Options struct {
	// Format is CSV or JSON. Default: what the content looks like.
	Format string

	// Columns names the columns of a CSV file that has no header; an empty name is
	// a column that is passed over. Default: the first line is the header.
	Columns []string

	// Names says which column a field is read from: of JSON the name of a member,
	// with dots for one that is nested. "-" is none. Disabled and EmailVerified take
	// several, in lines, each as parseRules reads it. Default: well-known names, see
	// names.go and state.go.
	Names map[Field]string

	// Ignore names columns that are not read, and say nothing of an account's state.
	Ignore []string

	// From is one of Systems. Default: the one whose columns the file has, if any.
	From string

	// List is the name of the array of accounts in a JSON object; with dots for one
	// that is nested. Default: users, or another usual name.
	List string

	// Now is when the file is read: a ban until yesterday is over. Default: time.Now.
	Now time.Time
}

// A Row is one account, as far as it could be read.
type Row struct {
	Place
	ID, Email          string
	Hash, Salt         string
	Algorithm, Factor  string
	Prehash            string    // what of the password was hashed (passhash.Methods); empty: itself
	Temporary          bool      // the password has to be changed before it is used
	Keycloak           *Keycloak // instead of Hash
	Name               string    // or
	First, Last        string
	Verified, Disabled Mark
	Roles              []string
	CreatedAt          time.Time
	Problems           []Problem
}

// A Mark is something that is so or is not; At is since when, if that is known.
type Mark struct {
	Set bool
	At  time.Time
}

// Keycloak is a password as Keycloak keeps it: two texts of JSON.
type Keycloak struct {
	CredentialData, SecretData string
	Plain                      bool // the file holds the password itself
}

// A Problem is something that could not be read. It holds no value of the file.
type Problem struct {
	Field Field // empty: the whole account
	Text  string
}

// A Place is where in the file an account begins.
type Place struct {
	Line   int // from 1
	Number int // of the account, from 1
	crowd  bool
}

// String is "line 17", or "line 1, account 3" where a line has several.
func (p Place) String() string {
	if p.crowd {
		return fmt.Sprintf("line %d, account %d", p.Line, p.Number)
	}
	return fmt.Sprintf("line %d", p.Line)
}

// A Reader goes through a file.
type Reader struct {
	source  source
	columns *columns
	count   *counter
	last    Place
}

// source yields the accounts of one format.
type source interface {
	// next returns io.EOF after the last account, and another error if what
	// follows can't be read.
	next() (raw, error)
}

// raw is an account before its columns are told apart.
type raw struct {
	line    int
	values  map[string]any // of CSV strings, of JSON what encoding/json makes of it
	problem string         // instead of values
}

// New begins to read. Its errors, and those of Next, say what to do about the
// file; they hold no value of it.
func New(file io.Reader, o Options) (*Reader, error) {
	count := &counter{in: file}
	r := &Reader{count: count, columns: newColumns(o)}
	in := bufio.NewReaderSize(count, MaxAccount)
	head, err := in.Peek(MaxAccount)
	if endsInReturns(head) {
		in = bufio.NewReaderSize(returns{in}, MaxAccount)
		head, err = in.Peek(MaxAccount)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	format, err := recognise(head, o)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, byteOrderMark) {
		in.Discard(len(byteOrderMark)) //nolint:errcheck // it has been seen
	}
	switch format {
	case formatCSV:
		r.source, err = newCSV(in, o.Columns, r.columns)
	case formatLines:
		r.source = &jsonLines{lines: lines{in: in}}
	default:
		r.source = newJSON(in, format, o.List)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Next returns the next account, or io.EOF after the last one. An account that
// can't be read has Problems; another error is about all that follows.
func (r *Reader) Next() (Row, error) {
	raw, err := r.source.next()
	if err != nil {
		return Row{}, err
	}
	place := Place{Line: raw.line, Number: r.last.Number + 1, crowd: raw.line == r.last.Line}
	r.last = place
	if raw.problem != "" {
		return Row{Place: place, Problems: []Problem{{"", raw.problem}}}, nil
	}
	row := r.columns.read(raw.values)
	row.Place = place
	return row, nil
}

// Offset is how many bytes of the file have been taken in.
func (r *Reader) Offset() int64 { return r.count.n }

// Columns tells, when the file has been read, which of its columns were used and
// which were not, in the order of their names.
func (r *Reader) Columns() (used, unused []string) { return r.columns.told() }

// Missing lists the columns that Options.Names speaks of and no account had.
func (r *Reader) Missing() []string { return r.columns.missing() }

// Unsettled lists the columns of the accounts read so far that were not used and whose
// names speak of a state: an account may be disabled or verified because of them. An
// account must not be imported before each is named or declined (Options.Ignore).
func (r *Reader) Unsettled() []string { return slices.Sorted(maps.Keys(r.columns.unsettled)) }

// Hashes lists the columns that hold password hashes by their looks and were not read,
// of accounts that have no other.
func (r *Reader) Hashes() []string { return slices.Sorted(maps.Keys(r.columns.hashes)) }

// System is the name of the system that the file was recognised as, or "".
func (r *Reader) System() string {
	if r.columns.system == nil {
		return ""
	}
	return r.columns.system.name
}

// HasEmail reports whether an account that was read had a column that is looked for an
// address in.
func (r *Reader) HasEmail() bool {
	for name := range r.columns.known {
		if r.columns.use(name).field == Email {
			return true
		}
	}
	return false
}

// counter counts what is read.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}
