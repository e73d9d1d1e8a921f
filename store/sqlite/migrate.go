package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the tables of the file up to date, and names what it did.
func Migrate(ctx context.Context, file string) (applied []string, err error) {
	if err := prepareFile(file); err != nil {
		return nil, fmt.Errorf("open database: %w", unavailable(err))
	}
	db, err := sql.Open("sqlite", dsn(file, "immediate"))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	defer db.Close() //nolint:errcheck // the migrations are committed
	return migrate(ctx, db)
}

func migrate(ctx context.Context, db *sql.DB) (applied []string, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read version of tables: %w", err)
	}
	if have > want {
		return nil, fmt.Errorf("the database was written by a newer watchword (tables %d, this program knows %d): use that or a newer program", have, want)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	for _, result := range results {
		applied = append(applied, path.Base(result.Source.Path))
	}
	return applied, nil
}
