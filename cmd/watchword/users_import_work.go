package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/passhash"
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

// A candidate is an account of the file, and what is known to be wrong with it.
type candidate struct {
	row      userfile.Row
	user     watchword.ImportedUser
	problems []importProblem
	dropped  bool // the hash was
	left     bool // out of the import
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
	if w.report.bad > 0 {
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
		err = fmt.Errorf("%d accounts have problems, and nothing was imported. Mend the file, or leave them out with --skip-bad", w.report.bad)
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
		err = fmt.Errorf("%w. %d accounts are there; run the same command again, and it goes on", err, done)
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

// unread is an account of which nothing is known.
func (c *candidate) unread() bool { return len(c.problems) > 0 && c.problems[0].Field == "" }

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

// candidate makes an account of a row.
func (w *importing) candidate(row userfile.Row) candidate {
	c := candidate{row: row}
	for _, p := range row.Problems {
		c.problems = append(c.problems, importProblem{Field: string(p.Field), Kind: p.Text})
	}
	now := w.report.begun
	c.user = watchword.ImportedUser{
		ID: row.ID, Email: row.Email, Name: nameOf(row), Roles: row.Roles, CreatedAt: row.CreatedAt,
		DisabledAt: markedAt(row.Disabled, now),
		VerifiedAt: markedAt(row.Verified, now),
	}
	if w.AssumeOK && !row.Verified.Set {
		c.user.VerifiedAt = now
	}
	var err error
	if c.user.PasswordHash, err = w.hash(row); err != nil && w.NoHash {
		c.dropped = true
	} else if err != nil {
		c.problems = append(c.problems, importProblem{Field: "passwordHash", Kind: err.Error()})
	}
	c.problems = append(c.problems, w.twins.problems(c)...)
	return c
}

// nameOf is one name: an account has no more.
func nameOf(row userfile.Row) string {
	if row.First+row.Last != "" {
		return users.JoinName(row.First, row.Last)
	}
	return row.Name
}

// markedAt is when something began that is so; who does not say when says now.
func markedAt(m userfile.Mark, now time.Time) time.Time {
	if m.Set && m.At.IsZero() {
		return now
	}
	return m.At
}

func isUUID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && strings.EqualFold(id.String(), text)
}

// hash is the one place that knows how others keep passwords. Its errors hold
// nothing of a hash.
func (w *importing) hash(row userfile.Row) (watchword.Secret, error) {
	text := strings.TrimSpace(row.Hash)
	encoded, err := "", error(nil)
	switch {
	case row.Keycloak != nil:
		encoded, err = passhash.AdoptKeycloak(row.Keycloak.CredentialData, row.Keycloak.SecretData)
	case text == "", text == "*", text == "NULL", strings.HasPrefix(text, "!"): // Django and /etc/shadow: no password
		return "", nil
	case row.Salt != "" && w.SignerKey != "" && !strings.HasPrefix(text, "$"):
		encoded, err = w.project().Adopt(text, row.Salt)
	default:
		encoded, err = passhash.Adopt(text)
		if err != nil && row.Salt != "" {
			err = errors.New("the hash has a salt of its own, as those of Firebase have, for which --firebase-signer-key is needed")
		}
	}
	return watchword.Secret(encoded), err
}

// twins finds accounts that are in the file twice. It keeps 16 bytes for each, by
// a hash of 64 bits: among a million, that two differ and look alike is a matter
// of thirty million files.
type twins struct {
	seed maphash.Seed
	seen map[uint64]seenAt
}

type seenAt struct{ line, number uint32 }

func newTwins() twins { return twins{maphash.MakeSeed(), map[uint64]seenAt{}} }

func (t twins) problems(c candidate) (found []importProblem) {
	if email, err := address.Parse(c.user.Email); err == nil {
		if at := t.see("email "+email, c.row.Place); at != "" {
			found = append(found, importProblem{Field: "email", Kind: sameEmail, detail: "the same as on " + at + ": " + email})
		}
	}
	if isUUID(c.user.ID) {
		if at := t.see("id "+strings.ToLower(c.user.ID), c.row.Place); at != "" {
			found = append(found, importProblem{Field: "id", Kind: sameID, detail: "the same as on " + at})
		}
	}
	return found
}

// see says where a text was seen before.
func (t twins) see(text string, at userfile.Place) string {
	key := maphash.String(t.seed, text)
	before, seen := t.seen[key]
	if !seen {
		t.seen[key] = seenAt{uint32(at.Line), uint32(at.Number)}
		return ""
	}
	if int(before.line) == at.Line {
		return fmt.Sprintf("line %d, account %d", before.line, before.number)
	}
	return fmt.Sprintf("line %d", before.line)
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
