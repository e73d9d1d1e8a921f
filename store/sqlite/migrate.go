package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/pressly/goose/v3"
)

// The migrations have the same numbers as those in store/postgres, so that `watchword move` can copy between
// databases with equal tables.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Migrate applies pending migrations and returns their file names. It creates a missing
// file.
//
// Unstable: for the program watchword.
func Migrate(ctx context.Context, file string) (applied []string, err error) {
	if err := prepareFile(file); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, classifyError(ctx, err))
	}
	err = withPool(ctx, file, func(pool *sql.DB) error {
		applied, err = migrate(ctx, pool)
		return err
	})
	return applied, err
}

// Status returns the file names of the pending migrations. It fails if the file is missing,
// instead of creating it.
//
// Unstable: for the program watchword.
func Status(ctx context.Context, file string) (pending []string, err error) {
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, classifyError(ctx, err))
	}
	err = withPool(ctx, file, func(pool *sql.DB) error {
		provider, err := newProvider(ctx, pool)
		if err != nil {
			return err
		}
		all, err := provider.Status(ctx)
		for _, migration := range all {
			if migration.State == goose.StatePending {
				pending = append(pending, path.Base(migration.Source.Path))
			}
		}
		return err
	})
	return pending, err
}

// withPool runs fn on a pool that can write, and closes the pool. It does not use Open, because Open would apply
// migrations.
func withPool(ctx context.Context, file string, fn func(*sql.DB) error) error {
	pool, err := openMigrationPool(ctx, file)
	if err != nil {
		return fmt.Errorf("open database %s: %w", file, classifyError(ctx, err))
	}
	if err := errors.Join(fn(pool), pool.Close()); err != nil {
		return fmt.Errorf("open database %s: %w", file, classifyError(ctx, err))
	}
	return nil
}

func migrate(ctx context.Context, pool *sql.DB) (applied []string, err error) {
	// newProvider also checks that the tables are not newer than the program. The check is needed only once, so the
	// call is outside the loop.
	provider, err := newProvider(ctx, pool)
	if err != nil {
		return nil, err
	}
	for {
		before, _, err := provider.GetVersions(ctx)
		if err != nil {
			return applied, fmt.Errorf("read version of tables: %w", err)
		}
		results, err := provider.Up(ctx)
		for _, result := range results {
			applied = append(applied, path.Base(result.Source.Path))
		}
		if err == nil {
			return applied, nil
		}
		// If several processes migrate at the same time, each migration succeeds in only one of them. A process whose
		// migration failed tries again if the version of the tables has increased.
		if now, _, again := provider.GetVersions(ctx); again != nil || now == before {
			return applied, fmt.Errorf("migrate: %w", err)
		}
	}
}

// newProvider returns an error if a newer program has migrated the tables. An older program could
// write incomplete rows that the newer program assumes to be complete.
func newProvider(ctx context.Context, pool *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, pool, files)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read version of tables: %w", err)
	}
	if have > want {
		return nil, fmt.Errorf("a newer watchword has migrated the database "+
			"(schema version %d, this program supports %d): use that version or a newer one", have, want)
	}
	return provider, nil
}
