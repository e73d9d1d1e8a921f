package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// Commands that only read don't migrate. A migration affects every server on the store, and an
// operator who lists accounts with a new binary does not want to upgrade yet. The commands
// refuse a database of an older release, because their statements don't fit it.
//
// `watchword doctor` and a dry run promise more: they change no row, no key and no file. When
// an engine starts, it creates missing keys, rotates keys that are due, and finishes an
// interrupted reseal. openUnchanged prevents all of these changes.

// An olderError reports a database of an older release. The program can read such a database
// only after a migration.
type olderError struct{ database string }

// The name of the database has no password, so the text may go to a log.
func (e olderError) Error() string {
	return e.database + " is of an older release, and this command does not change it. Run `watchword migrate` first"
}

// errNeedsStart means that the engine can't start without a change of the store, such as the
// creation of a missing key. An operator sees this error after `migrate` and before the first
// `serve`.
var errNeedsStart = errors.New("the store has no usable keys, and this command does not create them. " +
	"Start the server once: `watchword serve`")

// openToRead opens the store for a command that only reads. It works like openExisting, but
// returns an olderError if migrations are pending. Opening the store migrates nothing, because
// no migration is pending after this check, even if another process has migrated meanwhile.
func (p *program) openToRead(ctx context.Context) (*stack, error) {
	if err := p.refuseOlder(ctx); err != nil {
		return nil, err
	}
	return p.openOrCreate(ctx)
}

// refuseOlder returns an error if the settings are faulty, if there is no database, or if
// migrations are pending.
func (p *program) refuseOlder(ctx context.Context) error {
	if err := p.requireDatabase(); err != nil {
		return err
	}
	pending, err := p.settings.pendingMigrations(ctx)
	if err == nil && len(pending) > 0 {
		err = olderError{p.settings.databaseName()}
	}
	return err
}

// pendingMigrations returns the file names of pending migrations in the order of their numbers.
// The SQLite file must exist.
func (s *Settings) pendingMigrations(ctx context.Context) ([]string, error) {
	if s.usesPostgres() {
		return postgres.Status(ctx, string(s.Store))
	}
	return sqlite.Status(ctx, s.databasePath())
}

// openUnchanged opens the store for a command that promises to change no row, no key and no
// file. It works like openToRead, but returns errNeedsStart if the start of a server would
// change the keys. The engine has no mailer, so the command must not run its background work.
func (p *program) openUnchanged(ctx context.Context) (*stack, error) {
	if err := p.refuseOlder(ctx); err != nil {
		return nil, err
	}
	master, err := p.settings.existingMasterKey()
	if err != nil {
		return nil, err
	}
	db, err := p.settings.openDatabase(ctx) // no migration is pending
	if err != nil {
		return nil, err
	}
	options := p.settings.engineOptions()
	options.Mailer = noMailer{}
	options.MasterKey = p.settings.currentMasterKey(ctx, db, master)
	guard := &startGuard{database: db}
	s := &stack{store: db, mailer: options.Mailer}
	if s.engine, err = watchword.New(ctx, guard.guardedStore(), options); err != nil {
		db.Close() //nolint:errcheck // the first error is more useful
		if errors.Is(err, errNeedsStart) {
			err = errNeedsStart // without the text that the engine puts before it
		}
		return nil, err
	}
	s.operator = s.engine.Operator() // these commands store no event, so no operator's name is needed
	guard.engineStarted = true
	return s, nil
}

// currentMasterKey returns the master key that opens the store. This is master or, after an
// interrupted reseal, the next master key. Unlike watchword.FinishReseal, it renames no file;
// the next server finishes the reseal. If neither key opens the store, it returns master, and
// watchword.New reports the reason.
func (s *Settings) currentMasterKey(ctx context.Context, db database, master []byte) []byte {
	if s.MasterKey != "" || !errors.Is(watchword.CheckKeys(ctx, db, master), watchword.ErrMasterKey) {
		return master
	}
	next, err := seal.LoadNext(s.masterKeyPath())
	if err != nil || watchword.CheckKeys(ctx, db, next) != nil {
		return master
	}
	return next
}

// A startGuard refuses writes while an engine starts. Later writes are allowed, because
// `watchword doctor` tests whether the store accepts writes. For this test, it inserts a row
// and deletes the row in the same transaction.
type startGuard struct {
	database
	engineStarted bool // set once, before the engine is used
}

// Update returns errNeedsStart while the engine starts. It begins no transaction, so a
// read-only database gives the same error.
func (g *startGuard) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	if !g.engineStarted {
		return errNeedsStart
	}
	return g.database.Update(ctx, fn)
}

// guardedStore has the clock of the database, if there is one. The engine finds a clock by a
// type assertion, which would fail for startGuard: the embedded interface hides the clock.
func (g *startGuard) guardedStore() watchword.Store {
	if clock, ok := g.database.(watchword.Clocked); ok {
		return struct {
			watchword.Store
			watchword.Clocked
		}{g, clock}
	}
	return g
}

// noMailer is the mailer of commands that send no mail. Its error keeps a mail in the outbox,
// if the engine calls Send by mistake. A server then sends the mail.
type noMailer struct{}

// Send always fails. Commands with this mailer never call it.
func (noMailer) Send(context.Context, watchword.Message) error {
	return fmt.Errorf("this command sends no mail")
}
