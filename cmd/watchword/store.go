package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// A database is a store that can check its own integrity. Both stores implement it. The
// interface is in this package, because only this program needs the check. Check may read the
// whole database and take minutes.
type database interface {
	watchword.Store
	Factors() factors.Store
	Metadata() metadata.Store
	Federation() federation.Store
	Admin() admin.Store
	Check(context.Context) error
}

// usesPostgres accepts the schemes postgres and postgresql, as PostgreSQL's own tools do.
func (s *Settings) usesPostgres() bool {
	scheme, _, _ := strings.Cut(string(s.Store), ":")
	return scheme == "postgres" || scheme == "postgresql"
}

// databasePath returns the path of the SQLite file. The path is relative to the working
// directory, as in every flag. With PostgreSQL, the result has no meaning.
func (s *Settings) databasePath() string {
	if path := strings.TrimPrefix(string(s.Store), "sqlite:"); path != "" {
		return path
	}
	return filepath.Join(s.DataDir, "watchword.db")
}

// databaseName returns a name for messages, without user and password, because messages go to
// logs and reports.
func (s *Settings) databaseName() string {
	if !s.usesPostgres() {
		return s.databasePath()
	}
	u, err := url.Parse(string(s.Store))
	if err != nil {
		return "PostgreSQL"
	}
	return "PostgreSQL at " + u.Host + u.Path
}

// openDatabase opens the store and migrates it to this release. The engine needs the current
// schema, so every command that opens the store migrates it. This is safe while servers run,
// because migrations are additive. Commands that only read call refuseOlder first.
func (s *Settings) openDatabase(ctx context.Context) (database, error) {
	if s.usesPostgres() {
		return postgres.Open(ctx, string(s.Store))
	}
	return sqlite.Open(ctx, s.databasePath())
}

// storeWarnings returns a warning if a proxy in front of PostgreSQL drops the timeouts of the
// connection. Only an open connection shows this, so storeWarnings runs after the start.
// Settings.warnings returns the risks in the settings.
func storeWarnings(ctx context.Context, db database) []string {
	store, ok := db.(*postgres.Store)
	if !ok {
		return nil
	}
	statements, err := store.TimeoutsOff(ctx)
	if err != nil || len(statements) == 0 {
		return nil // other code reports a lost connection
	}
	return []string{"statements and locks can hang without a timeout, because a proxy in front of\n" +
		"  PostgreSQL drops the timeouts. Run this in PostgreSQL, then restart the proxy:\n  " +
		strings.Join(statements, "\n  ")}
}

// restoreBackupAdvice is for a damaged database.
const restoreBackupAdvice = "Stop the server, keep a copy of the files, and restore the last backup."

// logDamage checks an SQLite file once. If the file is damaged, it logs the error with the
// doctor's advice. The check runs while the server works, because reading a large file would
// delay the start too long. A damaged file does not stop the server: most requests don't read
// the damaged pages, and the operator decides what to do. The check ends with ctx at shutdown.
// PostgreSQL has its own tools for damage (checksums, amcheck).
func logDamage(ctx context.Context, db database, log *slog.Logger) {
	store, ok := db.(*sqlite.Store)
	if !ok {
		return
	}
	if err := store.CheckQuickly(ctx); errors.Is(err, sqlite.ErrDamaged) {
		log.Error("The database is damaged. "+restoreBackupAdvice, slog.Any("error", err))
	}
}

// migrateDatabase applies pending migrations and returns their names. After an error, the
// migrations before the failed migration stay applied, and running the command again continues.
func (s *Settings) migrateDatabase(ctx context.Context) (applied []string, err error) {
	if s.usesPostgres() {
		return postgres.Migrate(ctx, string(s.Store))
	}
	return sqlite.Migrate(ctx, s.databasePath())
}

// storeProblem checks the setting store. It opens no connection. It does not check the path of
// an SQLite file, because the file or its directory may be created later.
func storeProblem(s *Settings) string {
	switch {
	case strings.HasPrefix(string(s.Store), "sqlite:"):
		return ""
	case !s.usesPostgres():
		return "is not a store. Write sqlite: for a database in the data directory, sqlite:PATH, or " +
			"postgres://user:password@host/database."
	case postgres.CheckURL(string(s.Store)) != nil:
		return "is not a PostgreSQL URL. Write postgres://user:password@host:5432/database."
	}
	return ""
}
