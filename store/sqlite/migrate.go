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

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the tables of the file up to date, and names what it did. The
// file is made if it is not there.
func Migrate(ctx context.Context, file string) (applied []string, err error) {
	if err := prepareFile(file); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, unavailable(ctx, err))
	}
	err = withPool(ctx, file, func(pool *sql.DB) error {
		applied, err = migrate(ctx, pool)
		return err
	})
	return applied, err
}

// Status names the migrations that Migrate would carry out, and does not make
// the file if it is not there.
func Status(ctx context.Context, file string) (pending []string, err error) {
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, unavailable(ctx, err))
	}
	err = withPool(ctx, file, func(pool *sql.DB) error {
		provider, err := newProvider(ctx, pool)
		if err != nil {
			return err
		}
		known, err := provider.Status(ctx)
		for _, migration := range known {
			if migration.State == goose.StatePending {
				pending = append(pending, path.Base(migration.Source.Path))
			}
		}
		return err
	})
	return pending, err
}

func withPool(ctx context.Context, file string, fn func(*sql.DB) error) error {
	pool, err := openPool(ctx, file, "immediate")
	if err != nil {
		return fmt.Errorf("open database %s: %w", file, unavailable(ctx, err))
	}
	if err := errors.Join(fn(pool), pool.Close()); err != nil {
		return fmt.Errorf("open database %s: %w", file, unavailable(ctx, err))
	}
	return nil
}

func migrate(ctx context.Context, pool *sql.DB) (applied []string, err error) {
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
		// Of programs that start at once on a new file, each step is made by one.
		if now, _, again := provider.GetVersions(ctx); again != nil || now == before {
			return applied, fmt.Errorf("migrate: %w", err)
		}
	}
}

// newProvider refuses tables that a newer program made.
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
		return nil, fmt.Errorf("its tables were made by a newer watchword (version %d, this program knows %d): use that one, or a newer one", have, want)
	}
	return provider, nil
}
