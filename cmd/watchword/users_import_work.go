package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// importBatch is how many accounts are committed together: enough that a commit
// costs little, few enough that whoever waits for the database does not notice.
const importBatch = 500

// importPause is between two of them: SQLite gives its lock to whoever asks first,
// and this lets a server ask, too.
const importPause = 5 * time.Millisecond

// importing is one run of the command.
type importing struct {
	*userImport
	program *program
	engine  *watchword.Engine
	input   *importInput
	report  *importReport
	idMap   *idMap

	// Of one pass over the file.
	reader *userfile.Reader
	pace   *pace
	twins  twins
	batch  []candidate
}

var errStopped = errors.New("stopped")

// dryRun only checks.
func (w *importing) dryRun(ctx context.Context) error {
	err := w.check(ctx)
	if errors.Is(err, errStopped) {
		return errors.New("stopped before the end of the file. Nothing was changed")
	}
	w.report.print(err)
	if err != nil {
		return err
	}
	if w.report.bad > 0 || w.report.missing != nil {
		return errReported
	}
	return nil
}

// rehearse is the check before the import.
func (w *importing) rehearse(ctx context.Context) error {
	w.report.quiet = w.SkipBad // they are listed when they are left out
	err := w.check(ctx)
	switch {
	case errors.Is(err, errStopped):
		return errors.New("stopped while the file was checked. Nothing was imported")
	case err != nil:
		err = fmt.Errorf("%s: %w. Nothing was imported", w.input.name, err)
	case w.report.missing != nil:
		err = fmt.Errorf("no account has a column %s. Nothing was imported", strings.Join(w.report.missing, ", "))
	case w.report.bad > 0 && !w.SkipBad:
		err = fmt.Errorf("there are problems with %s, and nothing was imported. Mend the file, or leave them out with --skip-bad", accounts(w.report.bad))
	}
	if err != nil {
		w.report.print(err)
		return err
	}
	w.report = newImportReport(w.program, w.userImport)
	_, err = w.input.Seek(0, io.SeekStart)
	return err
}

func (w *importing) check(ctx context.Context) error {
	return w.pass(ctx, "Checking ", w.engine.CheckImport)
}

// run imports, and says how to go on if it can't to the end.
func (w *importing) run(ctx context.Context) (err error) {
	w.report.imports = true
	err = w.pass(ctx, "Importing", w.engine.ImportUsers)
	if err == nil && w.idMap != nil {
		err = w.idMap.keep()
	}
	done := w.report.done + w.report.there
	switch {
	case err != nil && done == 0:
		err = fmt.Errorf("%w. Nothing was imported", err)
	case err != nil:
		err = fmt.Errorf("%w. Imported by now: %s; run the same command again, and it goes on", err, accounts(done))
	}
	w.report.print(err)
	return err
}

// pass goes through the file once.
func (w *importing) pass(ctx context.Context, doing string, do importer) (err error) {
	if w.reader, err = userfile.New(w.input, w.options()); err != nil {
		return err
	}
	w.twins, w.batch = newTwins(), nil
	w.pace = w.program.pace(doing, w.input.size)
	defer func() { w.pace.aside() }()
	for {
		row, failed := w.reader.Next()
		if failed == nil {
			w.batch = append(w.batch, w.candidate(row))
		}
		if failed != nil || len(w.batch) == importBatch {
			if err := w.flush(context.WithoutCancel(ctx), do); err != nil {
				return err
			}
			w.pace.at(w.reader.Offset(), w.report.rows)
			if w.report.imports {
				time.Sleep(importPause)
			}
		}
		switch {
		case errors.Is(failed, io.EOF):
			w.report.end(w.reader)
			return nil
		case failed != nil:
			return failed
		case ctx.Err() != nil && len(w.batch) == 0:
			return errStopped
		}
	}
}

// importer is CheckImport or ImportUsers.
type importer func(context.Context, []watchword.ImportedUser) ([]watchword.ImportResult, error)

// flush does what is to be done with a batch, and reports it in the order of the
// file.
func (w *importing) flush(ctx context.Context, do importer) error {
	if err := w.examine(ctx); err != nil {
		return err
	}
	var users []watchword.ImportedUser
	for _, c := range w.batch {
		if !c.left {
			users = append(users, c.user)
		}
	}
	results, err := do(ctx, users)
	if err != nil {
		return err
	}
	for i := range w.batch {
		c := &w.batch[i]
		if !c.left {
			if err := w.settle(c, results[0]); err != nil {
				return err
			}
			results = results[1:]
			continue
		}
		w.pace.aside()
		w.report.problem(c)
		if w.strict() {
			return fmt.Errorf("%s has problems. Mend it, or leave such accounts out with --skip-bad", c.row.Place)
		}
	}
	w.batch = w.batch[:0]
	return nil
}

// strict is an import that ends at the first problem.
func (w *importing) strict() bool { return w.report.imports && !w.SkipBad }

// examine finds out which of the batch are to be left out: those with problems,
// of which it finds the others, too; and behind the first of them all, if a
// problem ends the import.
func (w *importing) examine(ctx context.Context) error {
	unseen := w.strict() && !w.input.twice // no check went before
	if unseen && w.report.rows == 0 {
		if missing := w.vital(); missing != nil {
			return fmt.Errorf("no account at the beginning has a column %s", strings.Join(missing, ", "))
		}
	}
	var users []watchword.ImportedUser
	var which []int
	for i := range w.batch {
		c := &w.batch[i]
		c.left = c.problems != nil
		if (c.left || unseen) && !c.unread() {
			users, which = append(users, c.user), append(which, i)
		}
	}
	results, err := w.engine.CheckImport(ctx, users)
	if err != nil {
		return err
	}
	for i, at := range which {
		c := &w.batch[at]
		c.problems = append(c.problems, problemsOf(results[i].Problems, c.user)...)
		c.left = c.problems != nil
	}
	first := slices.IndexFunc(w.batch, func(c candidate) bool { return c.left })
	if w.strict() && first >= 0 {
		w.batch = w.batch[:first+1]
	}
	return nil
}

// vital are the columns that were asked for and whose absence would be noticed too
// late.
func (w *importing) vital() (missing []string) {
	for _, name := range w.reader.Missing() {
		if name == w.Email || name == w.PasswordHash {
			missing = append(missing, name)
		}
	}
	return missing
}

// settle reports what became of an account.
func (w *importing) settle(c *candidate, result watchword.ImportResult) error {
	if result.Problems != nil {
		c.problems = problemsOf(result.Problems, c.user)
		w.pace.aside()
		w.report.problem(c)
		if w.strict() {
			return fmt.Errorf("%s has a problem that it did not have before", c.row.Place)
		}
		return nil
	}
	w.report.settled(c, result)
	if w.idMap == nil || !w.report.imports {
		return nil
	}
	return w.idMap.add(c.row.ID, result.User)
}

func accounts(n int) string {
	if n == 1 {
		return "1 account"
	}
	return fmt.Sprintf("%d accounts", n)
}

// An idMap is the table from old ids to new ones.
type idMap struct {
	file *newFile
	csv  *csv.Writer
}

func newIDMap(path string) (*idMap, error) {
	file, err := createFile(path)
	if err != nil {
		return nil, err
	}
	m := &idMap{file, csv.NewWriter(file)}
	return m, m.csv.Write([]string{"old id", "new id", "email"})
}

func (m *idMap) add(old string, u watchword.User) error {
	return m.csv.Write([]string{old, string(u.ID), string(u.Email)})
}

func (m *idMap) keep() error {
	m.csv.Flush()
	if err := m.csv.Error(); err != nil {
		return err
	}
	return m.file.keep()
}
