package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/passhash"
)

// userExport writes every account, in the form that import reads.
type userExport struct {
	File   string `arg:"" optional:"" default:"-" help:"File to make, which only its owner can read; - is standard output."`
	Format string `name:"format" enum:",csv,json" default:"" placeholder:"csv|json" help:"csv or json (an account a line); without it, what the name of the file ends with, or json."`

	NoFormulas bool `name:"no-formulas" help:"In CSV, write an apostrophe before an address or a name that a spreadsheet would take for a formula: one that begins with = + - @, a tab or a line end."`

	peppered int // accounts whose hash needs a pepper
}

// An exportedUser is a line. Its members are names that import knows.
type exportedUser struct {
	ID              watchword.UserID  `json:"id"`
	Email           watchword.Address `json:"email"`
	EmailVerified   bool              `json:"emailVerified"`
	EmailVerifiedAt *time.Time        `json:"emailVerifiedAt"`
	Name            string            `json:"name"`
	Roles           []string          `json:"roles"`
	CreatedAt       *time.Time        `json:"createdAt"`
	DisabledAt      *time.Time        `json:"disabledAt"`
	PasswordHash    string            `json:"passwordHash"`
}

var exportedColumns = []string{
	"id", "email", "emailVerified", "emailVerifiedAt", "name", "roles", "createdAt", "disabledAt", "passwordHash",
}

// exportPage is how many accounts are read at once.
const exportPage = 1000

func (c *userExport) Run(ctx context.Context, p *program) error {
	if c.NoFormulas && !c.csv() {
		return faults{{"--no-formulas", "is for CSV: a spreadsheet reads no JSON. Leave it out, or write --format csv."}}
	}
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var out io.Writer = p.out
	var file *newFile
	if c.File != "-" {
		// A file that is not kept holds hashes: a signal must not leave it behind.
		var stop context.CancelFunc
		ctx, stop = untilSignal(ctx)
		defer stop()
		if file, err = createFile(c.File); err != nil {
			return err
		}
		defer file.drop()
		out = file
	}
	n, err := c.write(ctx, p, s.engine, out)
	switch {
	case file != nil && ctx.Err() != nil:
		err = fmt.Errorf("stopped. %s was not written", c.File)
	case err == nil && file != nil:
		err = file.keep()
	}
	if err != nil {
		return err
	}
	if file != nil {
		p.say("Wrote %s to %s.", accounts(n), c.File)
	}
	if file != nil || onTerminal(p.out) {
		if c.peppered > 0 {
			fmt.Fprintf(p.err, "Hashes that need the pepper of the system they came from: %d. Another server imports them with --pepper-file.\n", c.peppered)
		}
		fmt.Fprintln(p.err, "It holds the hashes of passwords: keep it as you keep the database, and delete it when it has served.")
	}
	return nil
}

// write goes through all accounts, page by page.
func (c *userExport) write(ctx context.Context, p *program, engine *watchword.Engine, out io.Writer) (n int, err error) {
	write, flush := c.writer(out)
	pace := p.pace("Exporting", -1)
	defer pace.aside()
	for after := watchword.Address(""); ; {
		page, err := engine.Users(ctx, after, exportPage)
		if err != nil {
			return n, err
		}
		for _, user := range page {
			if passhash.KeyID(string(user.PasswordHash)) != "" {
				c.peppered++
			}
			if err := write(user); err != nil {
				return n, err
			}
		}
		n += len(page)
		if len(page) < exportPage {
			return n, flush()
		}
		after = page[len(page)-1].Email
		pace.at(int64(n), n)
	}
}

// writer writes one account after the other in the format of the file.
func (c *userExport) writer(out io.Writer) (write func(watchword.User) error, flush func() error) {
	buffer := bufio.NewWriterSize(out, 1<<16)
	if c.csv() {
		lines := csv.NewWriter(buffer)
		lines.Write(exportedColumns) //nolint:errcheck // what follows fails, too
		return func(u watchword.User) error { return lines.Write(c.exportedValues(u)) },
			func() error { lines.Flush(); return errors.Join(lines.Error(), buffer.Flush()) }
	}
	lines := json.NewEncoder(buffer)
	lines.SetEscapeHTML(false)
	return func(u watchword.User) error { return lines.Encode(exported(u)) }, buffer.Flush
}

func exported(u watchword.User) exportedUser {
	return exportedUser{
		ID: u.ID, Email: u.Email, EmailVerified: u.Verified(), EmailVerifiedAt: stamp(u.VerifiedAt), Name: u.Name,
		Roles: append([]string{}, u.Roles...), CreatedAt: stamp(u.CreatedAt), DisabledAt: stamp(u.DisabledAt),
		PasswordHash: string(u.PasswordHash),
	}
}

func (c *userExport) csv() bool {
	return c.Format == "csv" || c.Format == "" && strings.EqualFold(filepath.Ext(c.File), ".csv")
}

// cell is a text of a user as --no-formulas wants it.
func (c *userExport) cell(text string) string {
	if c.NoFormulas && text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}

func (c *userExport) exportedValues(u watchword.User) []string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return []string{
		string(u.ID), c.cell(string(u.Email)), strconv.FormatBool(u.Verified()), at(u.VerifiedAt), c.cell(u.Name),
		strings.Join(u.Roles, ","), at(u.CreatedAt), at(u.DisabledAt), string(u.PasswordHash),
	}
}
