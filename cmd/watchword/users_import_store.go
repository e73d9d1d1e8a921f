package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// open opens the store. A dry run must not create or migrate tables. Without tables, it checks
// against an empty SQLite database in a temporary directory, which the returned function deletes.
func (c *userImport) open(ctx context.Context, p *program) (*stack, func(), error) {
	throwAway := false
	if c.DryRun {
		var err error
		if throwAway, err = p.noTables(ctx); err != nil {
			return nil, nil, err
		}
	}
	if !throwAway {
		s, err := p.open(ctx)
		if err != nil {
			return nil, nil, err
		}
		return s, s.close, nil
	}
	dir, err := os.MkdirTemp("", "watchword-dry-run-")
	if err != nil {
		return nil, nil, err
	}
	p.settings.DataDir, p.settings.Store = dir, "sqlite:"
	s, err := p.open(ctx)
	if err != nil {
		os.RemoveAll(dir) //nolint:errcheck // a leftover, at worst
		return nil, nil, err
	}
	return s, func() { s.close(); os.RemoveAll(dir) }, nil //nolint:errcheck // as above
}

// noTables reports whether the database has no tables yet. A database of an older release is an
// error, because the statements of this release do not fit it. The first migration is pending only
// in a database without any of our tables.
func (p *program) noTables(ctx context.Context) (bool, error) {
	if err := p.sources.faults(p.settings); err != nil {
		return false, err
	}
	var pending []string
	var err error
	switch {
	case p.settings.onPostgres():
		pending, err = postgres.Status(ctx, string(p.settings.Store))
	case missing(p.settings.databasePath()):
		return true, nil
	default:
		pending, err = sqlite.Status(ctx, p.settings.databasePath())
	}
	if err != nil || len(pending) == 0 {
		return false, err
	}
	if strings.HasPrefix(pending[0], "00001_") {
		return true, nil
	}
	return false, fmt.Errorf("%s is of an older release, and a dry run does not change it. Run `watchword migrate` first",
		p.settings.databaseName())
}
