package userimport

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// flushBatch checks the accounts of the batch, imports them in the second pass, and reports them in the order of the
// file. If the report of one account fails, flushBatch still reports the others, because they are committed.
func (i *Importer) flushBatch(ctx context.Context) error {
	if err := i.findBatchProblems(ctx); err != nil {
		return err
	}
	if i.report.Imported {
		if err := i.commitBatch(ctx); err != nil {
			return err
		}
	}
	var first error
	for n := range i.batch {
		if err := i.reportOutcome(&i.batch[n]); first == nil {
			first = err
		}
	}
	i.batch = i.batch[:0]
	return first
}

// stopsAtProblem reports whether the run ends at the first account with a problem. A check never ends there.
func (i *Importer) stopsAtProblem() bool { return i.report.Imported && !i.options.SkipBad }

// findBatchProblems marks the accounts to skip. If a problem ends the import, it also drops the accounts after the
// first problem.
func (i *Importer) findBatchProblems(ctx context.Context) error {
	if i.report.Accounts == 0 {
		if err := i.checkColumns(); err != nil {
			return err
		}
	}
	// The import refuses columns about which the operator must first decide. Usually, the first pass has already
	// refused the file. But an input that can be read only once has no first pass, and a file may change after its
	// first pass.
	if names := i.reader.Unsettled(); names != nil && i.report.Imported {
		return unsettledError(names)
	}
	if names := i.reader.Hashes(); names != nil && i.report.Imported {
		return unreadHashesError(names)
	}
	if err := i.addEngineProblems(ctx); err != nil {
		return err
	}
	for n := range i.batch {
		a := &i.batch[n]
		a.problems = append(a.problems, i.duplicates.findDuplicates(a)...)
		a.skipped = a.problems != nil
		if a.skipped && !i.report.Imported {
			i.bad[a.row.Number] = true
		}
		if a.skipped && i.stopsAtProblem() {
			i.batch = i.batch[:n+1]
			break
		}
	}
	return nil
}

// addEngineProblems lets the engine check the accounts, and adds the problems that the engine finds. After a first
// pass, it skips the accounts that have had no problem so far, because commitBatch checks them. It runs before the
// search for duplicates, because that search must know which accounts have problems.
func (i *Importer) addEngineProblems(ctx context.Context) error {
	checked := i.report.Imported && i.input.rereadable
	var users []accountimport.Account
	var positions []int
	for n := range i.batch {
		a := &i.batch[n]
		if a.isReadable() && (!checked || a.problems != nil || i.bad[a.row.Number]) {
			users, positions = append(users, a.user), append(positions, n)
		}
	}
	results, err := i.engine.Check(ctx, users)
	if err != nil {
		return err
	}
	for n, position := range positions {
		a := &i.batch[position]
		a.result = results[n]
		a.problems = append(a.problems, engineProblems(results[n].Problems, a.user)...)
	}
	return nil
}

// commitBatch imports in one transaction the accounts that are not skipped. The engine checks them again in the
// transaction, because another process may have created an account after findBatchProblems. Each account gets the
// result of this second check.
func (i *Importer) commitBatch(ctx context.Context) error {
	var users []accountimport.Account
	for _, a := range i.batch {
		if !a.skipped {
			users = append(users, a.user)
		}
	}
	results, err := i.engine.Import(ctx, users)
	if err != nil {
		return err
	}
	for n := range i.batch {
		if a := &i.batch[n]; !a.skipped {
			a.result, results = results[0], results[1:]
			a.problems = engineProblems(a.result.Problems, a.user)
		}
	}
	return nil
}

// reportOutcome runs after the commit, so an account that is reported as imported is on disk. If it returns an error,
// such as a full disk for the id map, the import ends, and the imported batch is kept.
func (i *Importer) reportOutcome(a *account) error {
	if a.problems != nil {
		i.report.addBad(a)
		if !i.report.Unlisted {
			for _, p := range a.problems {
				i.observer.Problem(a.row.Place, p)
			}
		}
		switch {
		case !i.stopsAtProblem():
			return nil
		case a.skipped:
			return fmt.Errorf("%s has problems. Fix it, or skip such accounts with --skip-bad", a.row.Place)
		}
		return fmt.Errorf("%s has a problem that appeared after the check. Fix it, or skip such accounts with --skip-bad",
			a.row.Place)
	}
	i.report.addGood(a)
	if i.options.IDMap == nil || !i.report.Imported {
		return nil
	}
	return i.options.IDMap.Add(a.row.ID, a.result.User)
}

// checkColumns returns an error if the first batch shows that a column was chosen wrongly. Otherwise, every account
// would get the same problem. With SkipBad, checkColumns returns nil, because many accounts at the beginning may have
// no address.
func (i *Importer) checkColumns() error {
	if i.options.SkipBad || !slices.ContainsFunc(i.batch, func(a account) bool { return a.isReadable() }) {
		return nil
	}
	named := i.options.File.Names
	for _, name := range i.reader.Missing() {
		unchecked := i.stopsAtProblem() && !i.input.rereadable
		if name == named[userfile.Email] || name == named[userfile.PasswordHash] && unchecked {
			return fmt.Errorf("no account at the beginning has a column %s (columns: %s)", name, i.columnNames())
		}
	}
	var emails []string
	for _, a := range i.batch {
		if a.row.Email != "" {
			emails = append(emails, a.row.Email)
		}
	}
	const enough = 10 // this many addresses without an @ show that the column is wrong
	hasAt := func(email string) bool { return strings.Contains(email, "@") }
	if len(emails) >= enough && !slices.ContainsFunc(emails, hasAt) {
		return fmt.Errorf("the values of the email column contain no @ (columns: %s). Name the right one with --email COLUMN",
			i.columnNames())
	}
	if named[userfile.Email] != "" || emails != nil || i.reader.HasEmail() {
		return nil
	}
	return fmt.Errorf("no column holds addresses (columns: %s). Name it with --email COLUMN", i.columnNames())
}

// maxColumnNames bounds an error message.
const maxColumnNames = 20

// columnNames lists the names of the columns for an error. It hides a name that may be a value, because
// the first line of a file without a header contains values. The names are sorted, so that the message is the same in
// each run.
func (i *Importer) columnNames() string {
	used, unused := i.reader.Columns()
	names := slices.Sorted(slices.Values(slices.Concat(used, unused)))
	more := ""
	if len(names) > maxColumnNames {
		names, more = names[:maxColumnNames], ", …"
	}
	for n, name := range names {
		if !isShowable(name) {
			names[n] = "(not shown)"
		}
	}
	return strings.Join(names, ", ") + more
}
