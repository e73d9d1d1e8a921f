package main

import (
	"context"
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
	bad     map[int]bool // numbers of the accounts with which the check found something wrong

	// Of one pass over the file.
	reader *userfile.Reader
	pace   *pace
	twins  twins
	batch  []candidate
}

// dryRun only checks. How it ends is how the import would.
func (w *importing) dryRun(ctx context.Context) error {
	err := w.pass(ctx, "Checking ")
	w.report.stopped = errors.Is(err, errStopped)
	if errors.Is(err, errStopped) {
		err = errors.New("stopped before the end of the file. Nothing was changed")
	}
	w.report.print(err)
	if err == nil && (w.report.incomplete() || w.report.bad > 0 && !w.SkipBad || w.report.none()) {
		err = errReported
	}
	return err
}

// rehearse is the check before the import.
func (w *importing) rehearse(ctx context.Context) error {
	w.report.quiet = w.SkipBad // they are listed when they are left out
	err := w.pass(ctx, "Checking ")
	w.report.stopped = errors.Is(err, errStopped)
	switch {
	case errors.Is(err, errStopped):
		err = errors.New("stopped while the file was checked. Nothing was imported")
	case err != nil:
		err = fmt.Errorf("%w. Nothing was imported", err)
	case w.report.missing != nil:
		err = fmt.Errorf("no account has a column %s. Nothing was imported", strings.Join(w.report.missing, ", "))
	case w.report.unsettled != nil:
		err = fmt.Errorf("%w. Nothing was imported", unsettledError(w.report.unsettled))
	case w.report.hashes != nil:
		err = fmt.Errorf("%w. Nothing was imported", hashesError(w.report.hashes))
	case w.report.bad > 0 && !w.SkipBad:
		err = fmt.Errorf("there are problems with %s, and nothing was imported. Mend the file, or leave them out with --skip-bad", accounts(w.report.bad))
	case w.report.none():
		err = errors.New("there are problems with every account, and nothing was imported. Mend the file")
	}
	if err != nil {
		w.report.print(err)
		return err
	}
	w.report = newImportReport(w.program, w.userImport)
	_, err = w.input.Seek(0, io.SeekStart)
	return err
}

// run imports, and says how to go on if it can't to the end.
func (w *importing) run(ctx context.Context) (err error) {
	w.report.imports = true
	err = w.pass(ctx, "Importing")
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
	if err == nil && w.report.none() {
		err = errReported
	}
	return err
}

// pass goes through the file once.
func (w *importing) pass(ctx context.Context, doing string) (err error) {
	if w.reader, err = userfile.New(w.input, w.options()); err != nil {
		return w.input.failed(err)
	}
	w.twins.forget()
	w.batch = nil
	w.pace = w.program.pace(doing, w.input.size)
	defer func() { w.pace.aside() }()
	for {
		row, failed := w.reader.Next()
		if w.input.cut() {
			failed = errStopped
		}
		if failed == nil {
			w.batch = append(w.batch, w.candidate(row))
		}
		if failed != nil || len(w.batch) == importBatch {
			if err := w.flush(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			w.pace.at(w.reader.Offset(), w.report.rows)
			if w.report.imports {
				time.Sleep(importPause)
			}
		}
		switch {
		case errors.Is(failed, io.EOF) && w.report.rows == 0:
			return fmt.Errorf("no accounts in %s", w.input.name)
		case errors.Is(failed, io.EOF):
			w.report.end(w.reader)
			return nil
		case failed != nil:
			return w.input.failed(failed)
		case ctx.Err() != nil && len(w.batch) == 0:
			return errStopped
		}
	}
}

// flush does what is to be done with a batch, and then reports all of it, in the
// order of the file: what was committed is counted, whatever else went wrong.
func (w *importing) flush(ctx context.Context) error {
	if err := w.examine(ctx); err != nil {
		return err
	}
	if w.report.imports {
		if err := w.commit(ctx); err != nil {
			return err
		}
	}
	var first error
	for i := range w.batch {
		if err := w.settle(&w.batch[i]); first == nil {
			first = err
		}
	}
	w.batch = w.batch[:0]
	return first
}

// strict is an import that ends at the first problem.
func (w *importing) strict() bool { return w.report.imports && !w.SkipBad }

// examine finds out what is wrong with the accounts of a batch, and which are to be
// left out: those, and all that stand behind the first of them, if a problem ends
// the import.
func (w *importing) examine(ctx context.Context) error {
	if w.report.rows == 0 {
		if err := w.wrongColumns(); err != nil {
			return err
		}
	}
	if names := w.reader.Unsettled(); names != nil && w.report.imports {
		return unsettledError(names) // of input that is read once, or that has changed since the check
	}
	if names := w.reader.Hashes(); names != nil && w.report.imports {
		return hashesError(names)
	}
	if err := w.ask(ctx); err != nil {
		return err
	}
	for i := range w.batch {
		c := &w.batch[i]
		c.problems = append(c.problems, w.twins.problems(c)...)
		c.left = c.problems != nil
		if c.left && !w.report.imports {
			w.bad[c.row.Number] = true
		}
		if c.left && w.strict() {
			w.batch = w.batch[:i+1]
			break
		}
	}
	return nil
}

// ask asks the engine about a batch. If there was a check, only what was wrong there
// is asked for again: it claims no address.
func (w *importing) ask(ctx context.Context) error {
	checked := w.report.imports && w.input.twice
	var users []watchword.ImportedUser
	var which []int
	for i := range w.batch {
		c := &w.batch[i]
		if !c.unread() && (!checked || c.problems != nil || w.bad[c.row.Number]) {
			users, which = append(users, c.user), append(which, i)
		}
	}
	results, err := w.engine.CheckImport(ctx, users)
	if err != nil {
		return err
	}
	for i, at := range which {
		c := &w.batch[at]
		c.result = results[i]
		c.problems = append(c.problems, problemsOf(results[i].Problems, c.user)...)
	}
	return nil
}

// commit imports those of a batch that are good.
func (w *importing) commit(ctx context.Context) error {
	var users []watchword.ImportedUser
	for _, c := range w.batch {
		if !c.left {
			users = append(users, c.user)
		}
	}
	results, err := w.engine.ImportUsers(ctx, users)
	if err != nil {
		return err
	}
	for i := range w.batch {
		if c := &w.batch[i]; !c.left {
			c.result, results = results[0], results[1:]
			c.problems = problemsOf(c.result.Problems, c.user)
		}
	}
	return nil
}

// settle reports what became of an account.
func (w *importing) settle(c *candidate) error {
	if c.problems != nil {
		w.pace.aside()
		w.report.problem(c)
		switch {
		case !w.strict():
			return nil
		case c.left:
			return fmt.Errorf("%s has problems. Mend it, or leave such accounts out with --skip-bad", c.row.Place)
		}
		return fmt.Errorf("%s has a problem that it did not have before. Mend it, or leave such accounts out with --skip-bad", c.row.Place)
	}
	w.report.settled(c)
	if w.idMap == nil || !w.report.imports {
		return nil
	}
	return w.idMap.add(c.row.ID, c.result.User)
}

// wrongColumns looks at the first accounts of a file whether they can be accounts at
// all, for otherwise the same is wrong with each of a million. Who leaves accounts
// out may have many at the beginning that have no address.
func (w *importing) wrongColumns() error {
	if w.SkipBad || !slices.ContainsFunc(w.batch, func(c candidate) bool { return !c.unread() }) {
		return nil
	}
	for _, name := range w.reader.Missing() {
		late := w.strict() && !w.input.twice // no check went before
		if name == w.Email || name == w.PasswordHash && late {
			return fmt.Errorf("no account at the beginning has a column %s (columns: %s)", name, w.columnNames())
		}
	}
	var emails []string
	for _, c := range w.batch {
		if c.row.Email != "" {
			emails = append(emails, c.row.Email)
		}
	}
	const enough = 10 // for a mistake that is made once, and not in each account
	if len(emails) >= enough && !slices.ContainsFunc(emails, func(email string) bool { return strings.Contains(email, "@") }) {
		return fmt.Errorf("what stands for addresses has no @ in it (columns: %s). Name the right one with --email COLUMN", w.columnNames())
	}
	if w.Email != "" || emails != nil || w.reader.HasEmail() {
		return nil
	}
	return fmt.Errorf("no column is an address (columns: %s). Name it with --email COLUMN", w.columnNames())
}

// columnNames are for a line of an error. What does not look like a name may be a
// value: some files have no names.
func (w *importing) columnNames() string {
	used, unused := w.reader.Columns()
	names := slices.Sorted(slices.Values(slices.Concat(used, unused)))
	more := ""
	if len(names) > maxLines {
		names, more = names[:maxLines], ", …"
	}
	for i, name := range names {
		if !showable(name) {
			names[i] = "(not shown)"
		}
	}
	return strings.Join(names, ", ") + more
}

func accounts(n int) string {
	if n == 1 {
		return "1 account"
	}
	return fmt.Sprintf("%d accounts", n)
}
