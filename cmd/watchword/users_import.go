package main

import (
	"context"
	"errors"

	"github.com/watchword-auth/watchword/cmd/internal/userimport"
)

// Accounts from another system, in the order of the work:
//
//  1. The whole file is read and checked, against itself and against the database,
//     and every problem is said. A dry run ends here. A file with problems is not
//     begun with, unless --skip-bad leaves those accounts out.
//  2. It is read again and imported, some hundreds of accounts in a transaction.
//     Whatever ends it in between, the same command goes on: accounts that are
//     there count as done.
//
// Standard input can be read once, and is imported as it comes.

// userImport is the command.
type userImport struct {
	File string `arg:"" help:"CSV or JSON file; - is standard input."`

	DryRun   bool   `name:"dry-run" help:"Check everything, list all problems, change nothing."`
	SkipBad  bool   `name:"skip-bad" help:"Leave accounts with problems out and import the others."`
	IDMap    string `name:"id-map" placeholder:"FILE" help:"Write old id, new id and address of each account to this new CSV file."`
	Format   string `name:"format" enum:",csv,json" default:"" placeholder:"csv|json" help:"csv or json; without it, told from the content."`
	Columns  string `name:"columns" placeholder:"NAME,…" help:"Names of the columns of a CSV file without a header; firebase for those of Firebase."`
	System   string `name:"system" placeholder:"NAME" help:"Name of the other system, if one was imported before whose ids may be the same, such as 1, 2, 3."`
	AssumeOK bool   `name:"assume-verified" help:"Take all addresses for verified, whatever the file says; where it says since when, that stays."`
	NoHash   bool   `name:"drop-bad-hashes" help:"Import an account whose hash can't be checked without a password."`
	JSON     bool   `name:"json" help:"Print JSON."`
	Try      string `name:"try" placeholder:"EMAIL" help:"Ask for this user's password, say how the file keeps it, and import nothing. Without a terminal, the password is a line of standard input."`
	From     string `name:"from" placeholder:"NAME" help:"System that wrote the file, if it is not recognised: ${systems}."`
	List     string `name:"list" placeholder:"NAME" help:"Array of the accounts in a JSON object; NAME.NAME if it is nested."`

	importColumns
	importHashing
	importFirebase
}

func (c *userImport) Run(ctx context.Context, p *program) error {
	if err := c.misuse(); err != nil {
		return err
	}
	options, err := c.options()
	if err != nil {
		return err
	}
	if c.Try != "" {
		return c.try(p, options)
	}
	input, err := p.openInput(c.File)
	if err != nil {
		return err
	}
	defer input.Close() //nolint:errcheck // it was only read
	s, closeStack, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	defer closeStack()
	ctx, stop := untilSignal(ctx)
	defer stop()
	if c.IDMap != "" {
		ids, err := newIDMap(c.IDMap)
		if err != nil {
			return err
		}
		defer ids.file.drop()
		options.IDMap = ids
	}
	printer := &importPrinter{program: p, command: c, size: input.Size}
	importer := userimport.New(s.engine.Operator(), input, options, printer)
	if c.DryRun {
		report, err := importer.Check(ctx)
		printer.summary(report, err)
		if err == nil && (report.IsIncomplete() || report.Bad > 0 && !c.SkipBad || report.IsEmpty()) {
			err = errReported
		}
		return err
	}
	report, err := importer.Import(ctx)
	printer.summary(report, err)
	if err == nil && report.IsEmpty() {
		err = errReported
	}
	return err
}

// openInput opens the file of a command; "-" is standard input.
func (p *program) openInput(path string) (*userimport.Input, error) {
	if path == "-" {
		return userimport.Stdin(p.in), nil
	}
	input, err := userimport.Open(path)
	if err != nil {
		return nil, errors.New(plainFileError(err))
	}
	return input, nil
}
