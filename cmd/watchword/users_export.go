package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/watchword-auth/watchword/cmd/internal/userimport"
)

// userExport writes every account, in the form that import reads.
type userExport struct {
	File   string `arg:"" optional:"" default:"-" help:"File to make, which only its owner can read; - is standard output."`
	Format string `name:"format" enum:",csv,json" default:"" placeholder:"csv|json" help:"csv or json (an account a line); without it, what the name of the file ends with, or json."`

	NoFormulas bool `name:"no-formulas" help:"In CSV, write an apostrophe before an address or a name that a spreadsheet would take for a formula: one that begins with = + - @, a tab or a line end."`
}

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
	pace := p.pace("Exporting", -1)
	n, err := userimport.Export(ctx, s.engine.Operator(), out, userimport.ExportOptions{
		CSV: c.csv(), NoFormulas: c.NoFormulas, Progress: func(accounts int) { pace.at(int64(accounts), accounts) },
	})
	pace.aside()
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
		p.say("Wrote %s to %s.", userimport.Accounts(n.Accounts), c.File)
	}
	if file != nil || onTerminal(p.out) {
		if n.Peppered > 0 {
			fmt.Fprintf(p.err, "Hashes that need the pepper of the system they came from: %d. Another server imports them with --pepper-file.\n", n.Peppered)
		}
		fmt.Fprintln(p.err, "It holds the hashes of passwords: keep it as you keep the database, and delete it when it has served.")
	}
	return nil
}

func (c *userExport) csv() bool {
	return c.Format == "csv" || c.Format == "" && strings.EqualFold(filepath.Ext(c.File), ".csv")
}
