package main

import (
	"context"
	"errors"

	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/cmd/internal/userimport"
	"github.com/watchword-auth/watchword/metadata"
)

// userImport is `watchword users import`. Package userimport reads the file, finds the problems
// and imports the accounts. This command translates flags, opens the store, prints problems and
// the summary, and sets the exit code. The exit code is 1 if the dry run found a reason to stop
// the import, or if no account could be imported.
type userImport struct {
	File string `arg:"" help:"CSV or JSON file; - is standard input."`

	DryRun   bool   `name:"dry-run" help:"Check everything, list all problems, change nothing."`
	SkipBad  bool   `name:"skip-bad" help:"Skip accounts with problems and import the others."`
	IDMap    string `name:"id-map" placeholder:"FILE" help:"Write the old id, new id and address of each account to this new CSV file."`
	Format   string `name:"format" enum:",csv,json" default:"" placeholder:"csv|json" help:"csv or json; default: detected from the content."`
	Columns  string `name:"columns" placeholder:"NAME,…" help:"Column names of a CSV file without a header; firebase for a Firebase export."`
	System   string `name:"system" placeholder:"NAME" help:"Name of the other system. Needed if an earlier import came from a different system whose ids may be equal, such as 1, 2, 3."`
	AssumeOK bool   `name:"assume-verified" help:"Treat all addresses as verified, whatever the file says. Dates of verification in the file are kept."`
	NoHash   bool   `name:"drop-bad-hashes" help:"Import accounts with an unsupported hash without a password."`
	JSON     bool   `name:"json" help:"Print JSON."`
	Try      string `name:"try" placeholder:"EMAIL" help:"Ask for this user's password, check it against the hash in the file, and import nothing. Without a terminal, the password is a line of standard input."`
	From     string `name:"from" placeholder:"NAME" help:"System that wrote the file, if it is not recognised: ${systems}."`
	List     string `name:"list" placeholder:"NAME" help:"Array of the accounts in a JSON object; NAME.NAME if it is nested."`

	importColumns
	importHashing
	importFirebase
}

// Run opens the file before the store, because a wrong path must not create a database. Import
// and dry run differ in only one call, so that a dry run finds every problem that the import
// would find. The id map is created before the first account. If its path is not writable, the
// import therefore stops before the first change.
func (c *userImport) Run(ctx context.Context, p *program) error {
	if err := c.flagFaults(); err != nil {
		return err
	}
	options, err := c.importOptions()
	if err != nil {
		return err
	}
	if c.Try != "" {
		return c.tryPassword(p, options)
	}
	input, err := p.openInput(c.File)
	if err != nil {
		return err
	}
	defer input.Close() //nolint:errcheck // the file was only read
	s, closeStack, err := c.openStore(ctx, p)
	if err != nil {
		return err
	}
	// Deferred calls run in reverse order. First stop gives the signals their default action
	// again, and then closeStack closes the store.
	defer closeStack()
	// A signal stops the import after the current batch. If the operator runs the same command
	// again, it skips the accounts that exist and imports the rest.
	ctx, stop := untilSignal(ctx)
	defer stop()
	if c.IDMap != "" {
		ids, err := newIDMap(c.IDMap)
		if err != nil {
			return err
		}
		defer ids.file.removeTemporary()
		options.IDMap = ids
	}
	printer := &importPrinter{program: p, command: c, size: input.Size}
	// Package accountimport does not import packages factors and metadata, so this command
	// passes both to the importer. Otherwise, the importer would refuse accounts that have
	// factors or metadata.
	accounts := accountimport.New(s.engine).As(p.operatorName()).With(p.settings.newFactorManager(s).Imports()).
		WithMetadata(metadata.New(s.engine, s.store.Metadata()).Imports())
	importer := userimport.New(accounts, input, options, printer)
	if c.DryRun {
		report, err := importer.Check(ctx)
		printer.printSummary(report, err)
		// The exit code says whether an import of this file would succeed, so that a script can
		// rely on it.
		if err == nil && (report.IsIncomplete() || report.Bad > 0 && !c.SkipBad || report.IsEmpty()) {
			err = errReported
		}
		return err
	}
	report, err := importer.Import(ctx)
	printer.printSummary(report, err)
	if err == nil && report.IsEmpty() {
		err = errReported
	}
	return err
}

// openInput opens the file of a command; "-" is standard input. The caller closes the input.
// The size of standard input is unknown.
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
