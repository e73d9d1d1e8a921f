// Package userimport imports accounts from a file of another system, and exports accounts in the form that the import
// reads. It implements `watchword users import` and `watchword users export`. The command has the flags, the
// questions at the terminal and the printed text. Package accountimport has the rules of an import.
//
// An import reads a file twice:
//
//  1. The first pass checks every account, against the rest of the file and against the database, and reports every
//     problem. A dry run ends here. An import of a file with problems ends here too, unless Options.SkipBad is set.
//  2. The second pass imports the accounts in batches, one transaction each. After an interruption at any point, the
//     same call continues: accounts that already exist count as done.
//
// Standard input and pipes can be read only once. Their accounts are imported while they are read. The first problem
// ends such an import, unless Options.SkipBad is set.
//
// Errors and problems are texts for the operator and name the flags of the command. They never contain a hash, a
// pepper or a value that could be a secret.
package userimport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/internal/sleep"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// batchSize is the number of accounts in a transaction. It is large enough that the cost of a commit is small for
// each account, and small enough that other writers wait only for a short time.
const batchSize = 500

// batchPause separates two batches. SQLite gives its write lock to the first process that asks, and during the pause
// a running server can ask.
const batchPause = 5 * time.Millisecond

// Engine is the part of *watchword.Engine that an import uses.
type Engine interface {
	Check(context.Context, []accountimport.Account) ([]accountimport.Result, error)
	Import(context.Context, []accountimport.Account) ([]accountimport.Result, error)
}

// Options say how to read the file and what to do with its accounts.
type Options struct {
	File           userfile.Options
	Hashing        Hashing
	System         string // name of the other system; see accountimport.Account
	AssumeVerified bool   // treat every address as verified; a date in the file still counts
	DropBadHashes  bool   // if a hash is unsupported, import its account without a password
	SkipBad        bool   // skip accounts with problems, and import the others

	JoinName func(first, last string) string // builds the name of an account from two columns
	IDMap    IDMap                           // receives the id of every imported account; may be nil
}

// An IDMap stores the table of old and new ids.
type IDMap interface {
	Add(oldID string, user watchword.User) error

	// Keep completes the table. An import calls it once, after the last account, and never after an error.
	Keep() error
}

// A Phase names a pass over the file.
type Phase int

const (
	Checking Phase = iota
	Importing
)

// An Observer shows the run to the operator. Its methods are called one at a time.
type Observer interface {
	Begin(Phase)                          // a pass begins
	Progress(bytes int64, accounts int)   // after each batch; bytes is the offset in the file
	Problem(at userfile.Place, p Problem) // a problem of an account that is skipped, in the order of the file
	End()                                 // the pass is over, even after an error
}

// ErrStopped reports that the context ended before the end of the file.
var ErrStopped = errors.New("stopped")

// An Importer runs one import. It must not be used for a second one.
type Importer struct {
	options  Options
	engine   Engine
	input    *Input
	observer Observer
	report   *Report
	bad      map[int]bool // by account number: the check found a problem in this account

	// State of one pass over the file.
	reader     *userfile.Reader
	duplicates duplicates
	batch      []account
}

// New returns an Importer. The caller keeps the input open until the import has returned.
func New(engine Engine, input *Input, options Options, observer Observer) *Importer {
	return &Importer{
		options: options, engine: engine, input: input, observer: observer,
		report: newReport(), bad: map[int]bool{}, duplicates: newDuplicates(),
	}
}

// Check is a dry run: it finds every problem and makes no change. The report is valid after an error too.
func (i *Importer) Check(ctx context.Context) (*Report, error) {
	err := i.runPass(ctx, Checking)
	if errors.Is(err, ErrStopped) {
		i.report.Stopped = true
		err = errors.New("stopped before the end of the file. Nothing was changed")
	}
	return i.report, err
}

// Import checks the file, if it can be read twice, and then imports it. Its errors say how many accounts were
// imported and how to continue. The report is valid after an error too.
func (i *Importer) Import(ctx context.Context) (*Report, error) {
	if i.input.rereadable {
		if err := i.checkBeforeImport(ctx); err != nil {
			return i.report, err
		}
		if _, err := i.input.Seek(0, io.SeekStart); err != nil {
			return i.report, err
		}
	}
	i.report.Imported = true
	err := i.runPass(ctx, Importing)
	if err == nil && i.options.IDMap != nil {
		err = i.options.IDMap.Keep()
	}
	done := i.report.Done + i.report.Existing
	switch {
	case err != nil && done == 0:
		err = fmt.Errorf("%w. Nothing was imported", err)
	case err != nil:
		err = fmt.Errorf("%w. Imported so far: %s. Run the same command again to continue", err, Accounts(done))
	}
	return i.report, err
}

// checkBeforeImport returns an error if the import must not begin, and otherwise resets the report.
func (i *Importer) checkBeforeImport(ctx context.Context) error {
	i.report.Unlisted = i.options.SkipBad // with SkipBad, the second pass lists the problems
	err := i.runPass(ctx, Checking)
	i.report.Stopped = errors.Is(err, ErrStopped)
	switch r := i.report; {
	case r.Stopped:
		return errors.New("stopped while the file was checked. Nothing was imported")
	case err != nil:
		return fmt.Errorf("%w. Nothing was imported", err)
	case r.ColumnsMissing != nil:
		return fmt.Errorf("no account has a column %s. Nothing was imported", strings.Join(r.ColumnsMissing, ", "))
	case r.ColumnsUnsettled != nil:
		return fmt.Errorf("%w. Nothing was imported", unsettledError(r.ColumnsUnsettled))
	case r.ColumnsWithHashes != nil:
		return fmt.Errorf("%w. Nothing was imported", unreadHashesError(r.ColumnsWithHashes))
	case r.Bad > 0 && !i.options.SkipBad:
		return fmt.Errorf("there are problems with %s. Nothing was imported. Fix the file, or skip these accounts with "+
			"--skip-bad",
			Accounts(r.Bad))
	case r.IsEmpty():
		return errors.New("there are problems with every account. Nothing was imported. Fix the file")
	}
	i.report = newReport()
	return nil
}

// runPass reads the file one time. It finishes the current batch even if ctx ends meanwhile.
func (i *Importer) runPass(ctx context.Context, phase Phase) (err error) {
	i.input.stopWhenClosed(ctx.Done())
	if i.reader, err = userfile.New(i.input, i.options.File); err != nil {
		return i.input.explainError(err)
	}
	i.duplicates.reset()
	i.batch = nil
	i.observer.Begin(phase)
	defer i.observer.End()
	for {
		row, readErr := i.reader.Next()
		if i.input.truncated() {
			readErr = ErrStopped
		}
		if readErr == nil {
			i.batch = append(i.batch, i.newAccount(row))
		}
		if readErr != nil || len(i.batch) == batchSize {
			if err := i.flushBatch(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			i.observer.Progress(i.reader.Offset(), i.report.Accounts)
			if i.report.Imported {
				_ = sleep.For(ctx, batchPause) // the next switch handles the end of ctx
			}
		}
		switch {
		case errors.Is(readErr, io.EOF) && i.report.Accounts == 0:
			return fmt.Errorf("no accounts in %s", i.input.Name)
		case errors.Is(readErr, io.EOF):
			i.report.addColumns(i.reader)
			return nil
		case readErr != nil:
			return i.input.explainError(readErr)
		case ctx.Err() != nil && len(i.batch) == 0:
			return ErrStopped
		}
	}
}
