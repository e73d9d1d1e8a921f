// Package userfile reads accounts from the files that other systems write: CSV, JSON lines, a JSON array, or an
// object with an array `users` in it (Firebase, Keycloak). It reads a file once and keeps only one account in memory.
//
// It knows formats, the column names of other systems, and their spellings of dates and booleans. It does not
// validate addresses, roles or hashes.
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

	"github.com/watchword-auth/watchword/internal/factorfile"
)

// MaxAccount bounds the length of one account in the file, in bytes. A longer account
// has a problem and is skipped. A JSON value of more than 16 times this length ends the
// reading, because the decoder would keep all of it in memory.
const MaxAccount = 1 << 20

// A Field is a field of an account that can be read from a column.
type Field string

const (
	ID            Field = "id"
	Email         Field = "email"
	PasswordHash  Field = "passwordHash"
	Salt          Field = "salt"
	Algorithm     Field = "hashAlgorithm" // algorithm of PasswordHash, if the hash itself does not name it
	Factor        Field = "hashFactor"    // iterations or cost of the hash, if it does not contain them
	Temporary     Field = "temporaryPassword"
	Name          Field = "name"
	FirstName     Field = "firstName"
	LastName      Field = "lastName"
	Locale        Field = "locale"
	EmailVerified Field = "emailVerified"
	Roles         Field = "roles"
	CreatedAt     Field = "createdAt"
	Disabled      Field = "disabled"
	TOTP          Field = "totp"          // secret of an authenticator app
	TOTPEnabled   Field = "totpEnabled"   // whether the user has confirmed TOTP
	SecondFactors Field = "secondFactors" // all factors, as users export writes them

	PublicMetadata  Field = "publicMetadata"  // a JSON object that the user may read
	PrivateMetadata Field = "privateMetadata" // a JSON object for operators
)

// Formats of Options.
const (
	CSV  = "csv"
	JSON = "json"
)

// Options configure how to read a file.
type Options struct {
	// Format is CSV or JSON. Default: detected from the content.
	Format string

	// Columns names the columns of a CSV file that has no header; a column with an
	// empty name is skipped. Default: the first line is the header.
	Columns []string

	// Names contains the column of each field. In JSON, this is the name of a
	// member, with dots if it is nested. "-" means that the field is not read.
	// Disabled and EmailVerified take several columns, one per line, each in the
	// form of parseRules. Default: the well-known names in names.go and state.go.
	Names map[Field]string

	// Ignore names columns that are not read. They do not say whether an account is disabled.
	Ignore []string

	// From is the system that wrote the file, one of Systems. Default: recognized by the columns of the file.
	From string

	// List is the name of the array of accounts in a JSON object, with dots if it
	// is nested. Default: users, or another usual name.
	List string

	// Now is the current time, which decides whether a temporary ban has ended. Default: time.Now.
	Now time.Time
}

// A Row is one account. A field that could not be read is empty and has a problem.
type Row struct {
	Place
	ID, Email          string
	Hash, Salt         string
	Algorithm, Factor  string
	Prehash            string    // what was hashed instead of the password (passhash.Methods); empty: the password
	Temporary          bool      // the password must be changed at the next sign-in
	Keycloak           *Keycloak // instead of Hash
	Locale             string    // empty if it is not text
	Name               string    // whole name, usually instead of First and Last
	First, Last        string
	Verified, Disabled Mark
	Roles              []string
	CreatedAt          time.Time
	Factors            []factorfile.Factor
	LostFactor         bool   // the account has two-step sign-in, but the file lacks the secret
	Public, Private    string // metadata: JSON objects without blanks, or ""
	Problems           []Problem
}

// A Mark is a boolean, and the time at which it became true. At is zero if the time is unknown.
type Mark struct {
	Set bool
	At  time.Time
}

// Keycloak is a password in the two JSON texts of a Keycloak credential.
type Keycloak struct {
	CredentialData, SecretData string
	Plain                      bool // the file holds the password itself
}

// A Problem describes what could not be read. It contains no value from the file.
type Problem struct {
	Field Field // empty: the whole account
	Text  string
}

// A Place is the position in the file where an account begins.
type Place struct {
	Line         int  // from 1
	Number       int  // number of the account in the file, from 1
	lineIsShared bool // another account begins on this line
}

// String returns "line 17", or "line 1, account 3" if the line has several accounts.
func (p Place) String() string {
	if p.lineIsShared {
		return fmt.Sprintf("line %d, account %d", p.Line, p.Number)
	}
	return fmt.Sprintf("line %d", p.Line)
}

// A Reader reads the accounts of a file in their order.
type Reader struct {
	source  accountSource
	columns *columnMapping
	count   *countingReader
	last    Place
}

// An accountSource reads the accounts of one format.
type accountSource interface {
	// next returns io.EOF after the last account. Any other error means that the rest
	// of the file can't be read.
	next() (rawAccount, error)
}

// A rawAccount contains the values of one account under the names of their columns. The columns are not yet assigned
// to fields.
type rawAccount struct {
	line    int
	values  map[string]any // strings from CSV, decoded values from JSON
	problem string         // why the account can't be read; values is then nil
}

// New recognizes the format and reads the header. Errors of New and Next say how to correct the file. These errors
// contain no values from the file.
func New(file io.Reader, o Options) (*Reader, error) {
	count := &countingReader{in: file}
	r := &Reader{count: count, columns: newColumns(o)}
	in := bufio.NewReaderSize(count, MaxAccount)
	head, err := in.Peek(MaxAccount)
	if endsInReturns(head) {
		in = bufio.NewReaderSize(carriageReturnReader{in}, MaxAccount)
		head, err = in.Peek(MaxAccount)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	format, err := recogniseFormat(head, o)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, byteOrderMark) {
		in.Discard(len(byteOrderMark)) //nolint:errcheck // Peek has buffered these bytes
	}
	switch format {
	case formatCSV:
		r.source, err = newCSV(in, o.Columns, r.columns)
	case formatLines:
		r.source = &jsonLineSource{lines: lineReader{in: in}}
	default:
		r.source = newJSON(in, format, o.List)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Next returns the next account, or io.EOF after the last one. An account that can't be
// read has Problems. Any other error means that the rest of the file can't be read.
func (r *Reader) Next() (Row, error) {
	raw, err := r.source.next()
	if err != nil {
		return Row{}, err
	}
	place := Place{Line: raw.line, Number: r.last.Number + 1, lineIsShared: raw.line == r.last.Line}
	r.last = place
	if raw.problem != "" {
		return Row{Place: place, Problems: []Problem{{"", raw.problem}}}, nil
	}
	row := r.columns.readRow(raw.values)
	row.Place = place
	return row, nil
}

// Offset returns the number of bytes read from the file, for a progress bar. The reader buffers, so Offset may be
// larger than the end of the last account.
func (r *Reader) Offset() int64 { return r.count.n }

// Columns returns the used columns and the unused columns, sorted by name. Both lists are complete after Next has
// returned io.EOF.
func (r *Reader) Columns() (used, unused []string) { return r.columns.usedAndUnused() }

// Missing lists the columns in Options.Names and Options.Ignore that no account had.
func (r *Reader) Missing() []string { return r.columns.missingNames() }

// Unsettled lists the unused columns that may say that an account is disabled or verified, in the accounts read so
// far. No account should be imported before each of these columns is in Options.Names or Options.Ignore.
func (r *Reader) Unsettled() []string { return slices.Sorted(maps.Keys(r.columns.unsettledNames)) }

// Hashes lists the unused columns whose values look like password hashes, in accounts
// without a password hash.
func (r *Reader) Hashes() []string { return slices.Sorted(maps.Keys(r.columns.hashColumns)) }

// System returns the name of the system that wrote the file, or "" if it is unknown.
func (r *Reader) System() string {
	if r.columns.system == nil {
		return ""
	}
	return r.columns.system.name
}

// HasEmail reports whether an account read so far had a column with a well-known name for the address.
func (r *Reader) HasEmail() bool {
	for name := range r.columns.useByName {
		if r.columns.useOf(name).field == Email {
			return true
		}
	}
	return false
}

type countingReader struct {
	in io.Reader
	n  int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}
