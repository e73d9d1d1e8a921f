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

//go:embed migrations/*.sql
var migrations embed.FS

// A process that comes second looks so often, and waits five minutes at most.
const (
	lockPause = 250 * time.Millisecond
	lockTries = 1200
)

// Migrate brings the tables of the database up to date, and names what it did.
func Migrate(ctx context.Context, url string) (applied []string, err error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	if err := knock(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	applied, err = migrate(ctx, config.ConnConfig)
	return applied, unavailable(err)
}

// Status names the migrations that Migrate would carry out, and changes nothing.
func Status(ctx context.Context, url string) (pending []string, err error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	if err := knock(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	applied, err := versions(ctx, config.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("read version of tables: %w", unavailable(err))
	}
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

// versions are the numbers of the migrations that were carried out. A goose.Provider
// would make its table in order to say so.
func versions(ctx context.Context, config *pgx.ConnConfig) ([]int64, error) {
	config = config.Copy()
	config.DefaultQueryExecMode = unprepared
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only asked
	var made bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('"+goose.DefaultTablename+"') IS NOT NULL").Scan(&made); err != nil || !made {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT version_id FROM "+goose.DefaultTablename+" WHERE is_applied")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// migrate lets one process at a time do the work. The lock is a row with a lease:
// it needs no session, so it works through a proxy too.
func migrate(ctx context.Context, config *pgx.ConnConfig) (applied []string, err error) {
	config = config.Copy()
	config.DefaultQueryExecMode = unprepared
	if config.RuntimeParams["statement_timeout"] != "" {
		config.RuntimeParams["statement_timeout"] = "0" // an index takes as long as it takes
	}
	db := stdlib.OpenDB(*config)
	defer db.Close() //nolint:errcheck // the migrations are committed
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresTableLocker(lock.WithTableLockTimeout(lockPause, lockTries))
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
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read version of tables: %w", err)
	}
	if have > want {
		return nil, fmt.Errorf("its tables were made by a newer watchword (version %d, this program knows %d): use that one, or a newer one", have, want)
	}
	for _, result := range results {
		applied = append(applied, path.Base(result.Source.Path))
	}
	return applied, nil
}
