package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/watchword-auth/watchword/cmd/internal/userimport"
	"github.com/watchword-auth/watchword/metadata"
)

// userExport writes every account with its password hash, in the form that import reads. The
// file is complete: import reads it without any flag. Operators use it to move accounts to a
// different installation or product. The file is as secret as the database.
type userExport struct {
	File   string `arg:"" optional:"" default:"-" help:"New file, readable only by its owner; - is standard output."`
	Format string `name:"format" enum:",csv,json" default:"" placeholder:"csv|json" help:"csv or json (one account a line); default: by the ending of the file name, else json."`

	NoFormulas bool `name:"no-formulas" help:"In CSV, write an apostrophe before an address or a name that a spreadsheet would evaluate as a formula: one that begins with = + - @, a tab or a line end."`
}

// Run exports all accounts. It prints the warning about hashes to standard error, so that
// standard output contains only accounts. A new file gets its name only when the file is
// complete.
func (c *userExport) Run(ctx context.Context, p *program) error {
	if c.NoFormulas && !c.isCSV() {
		return faults{{"--no-formulas", "applies only to CSV. Remove it, or write --format csv."}}
	}
	s, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var out io.Writer = p.out
	var file *newFile
	if c.File != "-" {
		// At a signal, the export stops and removes the temporary file, because the file
		// contains hashes.
		var stop context.CancelFunc
		ctx, stop = untilSignal(ctx)
		defer stop()
		if file, err = createFile(c.File); err != nil {
			return err
		}
		defer file.removeTemporary()
		out = file
	}
	// The size is unknown, because the export does not count the accounts before it reads them.
	progress := p.newFileProgress("Exporting", -1)
	n, err := userimport.Export(ctx, s.operator, out, userimport.ExportOptions{
		CSV: c.isCSV(), NoFormulas: c.NoFormulas,
		// The file includes second factors. Otherwise, after an import into a new installation,
		// a password alone would be enough to sign in.
		Factors:  p.settings.newFactorManager(s).Portable,
		Private:  metadata.New(s.engine, s.store.Metadata()).Private,
		Progress: func(accounts int) { progress.update(int64(accounts), accounts) },
	})
	progress.clear()
	switch {
	// After a signal, the export returns only the error of its context. A message that the
	// operator understands replaces this error.
	case file != nil && ctx.Err() != nil:
		err = fmt.Errorf("stopped. %s was not written", c.File)
	case err == nil && file != nil:
		err = file.publish()
	}
	if err != nil {
		return err
	}
	if file != nil {
		p.say("Wrote %s to %s.", userimport.Accounts(n.Accounts), c.File)
	}
	if file != nil || onTerminal(p.out) {
		p.warnOfExport(n)
	}
	return nil
}

// warnOfExport tells an operator how dangerous the file is.
func (p *program) warnOfExport(n userimport.Exported) {
	if n.Peppered > 0 {
		fmt.Fprintf(p.err, "Hashes that need the pepper of their original system: %d. Import them with --pepper-file.\n",
			n.Peppered)
	}
	if n.Factors > 0 {
		// The database stores these secrets encrypted, so this file is more dangerous than a
		// copy of the database.
		fmt.Fprintf(p.err, "Accounts with second factors: %d. The file contains the readable secrets of authenticator "+
			"apps, and no recovery codes.\n", n.Factors)
	}
	fmt.Fprintln(p.err, "The file contains password hashes. Protect it like the database, and delete it after use.")
}

// isCSV reports whether to write CSV. The flag --format decides; without it, the file extension
// decides. The extension may be in capitals, as in exports of Windows programs. Other files are
// JSON, because JSON keeps types and nested values.
func (c *userExport) isCSV() bool {
	return c.Format == "csv" || c.Format == "" && strings.EqualFold(filepath.Ext(c.File), ".csv")
}
