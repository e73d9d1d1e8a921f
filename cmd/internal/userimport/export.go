package userimport

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/passhash"
)

// exportPage is the number of accounts in one read from the store.
const exportPage = 1000

// ExportOptions say how Export writes.
type ExportOptions struct {
	CSV        bool               // false: JSON, one account a line
	NoFormulas bool               // in CSV, write an apostrophe before a text that a spreadsheet would evaluate
	Progress   func(accounts int) // called after each page

	// Factors returns the second factors of accounts. If it is nil, the export has no second factors.
	Factors func(context.Context, []watchword.User) (map[watchword.UserID]watchword.Secret, error)

	// Private returns the private metadata of accounts, which are sorted by address. If it is nil, the export has no
	// private metadata.
	Private func(context.Context, []watchword.User) (map[watchword.UserID]string, error)
}

// Exported counts the accounts of an export.
type Exported struct {
	Accounts int
	Peppered int // accounts whose hash needs the pepper of the system they were imported from
	Factors  int // accounts with second factors
}

// Lister is the part of *watchword.Engine that an export uses.
type Lister interface {
	Users(ctx context.Context, after watchword.Address, limit int) ([]watchword.User, error)
}

// exportedUser is an account in JSON. The names of its members are names that an import recognises.
type exportedUser struct {
	ID              watchword.UserID  `json:"id"`
	Email           watchword.Address `json:"email"`
	EmailVerified   bool              `json:"emailVerified"`
	EmailVerifiedAt *time.Time        `json:"emailVerifiedAt"`
	Name            string            `json:"name"`
	Locale          string            `json:"locale"`
	Roles           []string          `json:"roles"`
	CreatedAt       *time.Time        `json:"createdAt"`
	DisabledAt      *time.Time        `json:"disabledAt"`
	PasswordHash    string            `json:"passwordHash"`

	SecondFactors   json.RawMessage `json:"secondFactors,omitempty"`
	PublicMetadata  json.RawMessage `json:"publicMetadata,omitempty"`
	PrivateMetadata json.RawMessage `json:"privateMetadata,omitempty"`
}

var exportedColumns = []string{
	"id", "email", "emailVerified", "emailVerifiedAt", "name", "locale", "roles", "createdAt", "disabledAt",
	"secondFactors", "publicMetadata", "privateMetadata", "passwordHash",
}

// Export writes every account, with its password hash, in the order of addresses. It reads page by page, so accounts
// that change meanwhile may appear as they were before or after the change.
func Export(ctx context.Context, engine Lister, out io.Writer, o ExportOptions) (n Exported, err error) {
	write, flush := o.newAccountWriter(out)
	for after := watchword.Address(""); ; {
		page, err := engine.Users(ctx, after, exportPage)
		if err != nil {
			return n, err
		}
		var factors map[watchword.UserID]watchword.Secret
		if o.Factors != nil {
			if factors, err = o.Factors(ctx, page); err != nil {
				return n, err
			}
		}
		n.Factors += len(factors)
		var private map[watchword.UserID]string
		if o.Private != nil {
			if private, err = o.Private(ctx, page); err != nil {
				return n, err
			}
		}
		for _, user := range page {
			if passhash.KeyID(string(user.PasswordHash)) != "" {
				n.Peppered++
			}
			if err := write(accountExport{user, factors[user.ID], private[user.ID]}); err != nil {
				return n, err
			}
		}
		n.Accounts += len(page)
		if len(page) < exportPage {
			return n, flush()
		}
		after = page[len(page)-1].Email
		o.Progress(n.Accounts)
	}
}

// An accountExport is a user with second factors and private metadata. The public metadata is in User.Metadata.
type accountExport struct {
	watchword.User
	factors watchword.Secret
	private string
}

// The returned writeAccount writes one account, and endFile ends the file. An error of the output, such as a full
// disk, may appear only in endFile, because the output is buffered.
func (o ExportOptions) newAccountWriter(out io.Writer) (writeAccount func(accountExport) error, endFile func() error) {
	buffer := bufio.NewWriterSize(out, 1<<16)
	if o.CSV {
		lines := csv.NewWriter(buffer)
		lines.Write(exportedColumns) //nolint:errcheck // the writer keeps its error, and endFile returns it
		return func(b accountExport) error { return lines.Write(o.csvRecord(b)) },
			func() error { lines.Flush(); return errors.Join(lines.Error(), buffer.Flush()) }
	}
	lines := json.NewEncoder(buffer)
	lines.SetEscapeHTML(false)
	return func(b accountExport) error { return lines.Encode(newExportedUser(b)) }, buffer.Flush
}

func newExportedUser(u accountExport) exportedUser {
	return exportedUser{
		ID: u.ID, Email: u.Email, EmailVerified: u.Verified(), EmailVerifiedAt: utcOrNil(u.VerifiedAt), Name: u.Name,
		Locale: u.Locale, Roles: append([]string{}, u.Roles...), CreatedAt: utcOrNil(u.CreatedAt),
		DisabledAt:   utcOrNil(u.DisabledAt),
		PasswordHash: string(u.PasswordHash), SecondFactors: json.RawMessage(u.factors),
		PublicMetadata: json.RawMessage(u.Metadata), PrivateMetadata: json.RawMessage(u.private),
	}
}

// utcOrNil returns t in UTC. For the zero time, it returns nil, because JSON would show a date in the year 1.
func utcOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// csvRecord returns an account as one row, with the fields in the order of exportedColumns. Times are in RFC 3339
// with fractions of a second, so an import reads the exact times.
func (o ExportOptions) csvRecord(u accountExport) []string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return []string{
		string(u.ID), o.csvCell(string(u.Email)), strconv.FormatBool(u.Verified()), at(u.VerifiedAt), o.csvCell(u.Name),
		u.Locale, strings.Join(u.Roles, ","), at(u.CreatedAt), at(u.DisabledAt),
		string(u.factors), u.Metadata, u.private, string(u.PasswordHash),
	}
}

// csvCell is for a text that a user chose. With NoFormulas, it adds an apostrophe if the text begins with a character
// that can begin a formula (OWASP, CSV Injection). A spreadsheet then does not evaluate the text.
func (o ExportOptions) csvCell(text string) string {
	if o.NoFormulas && text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
