package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// The migrations have the same numbers as those in store/sqlite. A released migration never changes, because existing
// databases have already applied it.
//
//go:embed migrations/*.sql
var migrations embed.FS

// While another process migrates, Migrate tries to get the lock every 250 ms, for at most 5 minutes.
const (
	lockInterval = 250 * time.Millisecond
	lockAttempts = 1200
)

// Migrate applies pending migrations and returns their file names.
//
// Unstable: for the program watchword.
func Migrate(ctx context.Context, url string) (applied []string, err error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if err := connectOnce(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	applied, err = migrate(ctx, config.ConnConfig)
	return applied, classifyError(err)
}

// Status returns the file names of the pending migrations. It only reads.
//
// Unstable: for the program watchword.
func Status(ctx context.Context, url string) (pending []string, err error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if err := connectOnce(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	applied, err := appliedVersions(ctx, config.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("read version of tables: %w", classifyError(err))
	}
	// ReadDir sorts the names, which begin with the number. The result is therefore in the order in which Migrate
	// applies the files.
	files, err := fs.ReadDir(migrations, "migrations")
	for _, file := range files {
		version, err := goose.NumericComponent(file.Name())
		if err != nil {
			return nil, fmt.Errorf("read migrations: %w", err)
		}
		if !slices.Contains(applied, version) {
			pending = append(pending, file.Name())
		}
	}
	return pending, err
}

// appliedVersions queries goose's table directly, because a goose.Provider would create the table if it is missing.
func appliedVersions(ctx context.Context, config *pgx.ConnConfig) ([]int64, error) {
	config = config.Copy()
	// Prepared statements would fail through a proxy that pools by transaction.
	config.DefaultQueryExecMode = unpreparedMode
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // the connection only reads
	var exists bool
	query := "SELECT to_regclass('" + goose.DefaultTablename + "') IS NOT NULL"
	if err := conn.QueryRow(ctx, query).Scan(&exists); err != nil || !exists {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT version_id FROM "+goose.DefaultTablename+" WHERE is_applied")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// migrate applies pending migrations. A lock ensures that only one process migrates at a time. The lock is a row that
// expires. An advisory lock would need a dedicated session, which a pooling proxy does not provide.
func migrate(ctx context.Context, config *pgx.ConnConfig) (applied []string, err error) {
	config = config.Copy()
	config.DefaultQueryExecMode = unpreparedMode
	if config.RuntimeParams["statement_timeout"] != "" {
		config.RuntimeParams["statement_timeout"] = "0" // no limit: creating an index can take long
	}
	db := stdlib.OpenDB(*config)
	defer db.Close() //nolint:errcheck // the migrations are committed
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresTableLocker(lock.WithTableLockTimeout(lockInterval, lockAttempts))
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	// An older program must not start on a newer schema. This check may come after Up, because Up does not change a
	// newer schema.
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read version of tables: %w", err)
	}
	if have > want {
		return nil, fmt.Errorf("a newer watchword has migrated the database "+
			"(schema version %d, this program supports %d): use that version or a newer one", have, want)
	}
	for _, result := range results {
		applied = append(applied, path.Base(result.Source.Path))
	}
	return applied, nil
}
