package main

import (
	"context"
	"os"
	"strings"
)

// open opens the store. A dry run only reads it. Without tables, a dry run checks against an
// empty SQLite database in a temporary directory, which the returned function deletes. The dry
// run then finds the same problems as an import into a new database.
func (c *userImport) open(ctx context.Context, p *program) (*stack, func(), error) {
	open := p.open
	if c.DryRun {
		empty, err := p.noTables(ctx)
		if err != nil {
			return nil, nil, err
		}
		if empty {
			return p.openTemporary(ctx)
		}
		open = p.openUnchanged
	}
	s, err := open(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s, s.close, nil
}

// openTemporary redirects the settings of this process to a temporary directory, which the
// returned function deletes. A killed command leaves the directory behind, but the
// directory never contains an account.
func (p *program) openTemporary(ctx context.Context) (*stack, func(), error) {
	dir, err := os.MkdirTemp("", "watchword-dry-run-")
	if err != nil {
		return nil, nil, err
	}
	p.settings.DataDir, p.settings.Store = dir, "sqlite:"
	s, err := p.open(ctx)
	if err != nil {
		os.RemoveAll(dir) //nolint:errcheck // at worst, the directory stays
		return nil, nil, err
	}
	return s, func() { s.close(); os.RemoveAll(dir) }, nil //nolint:errcheck // as above
}

// noTables reports whether the database is missing or has no tables of Watchword. The first
// migration is pending only in these two cases. A database of an older release is not an error
// here, because openUnchanged refuses it.
func (p *program) noTables(ctx context.Context) (bool, error) {
	if err := p.sources.faults(p.settings); err != nil {
		return false, err
	}
	if !p.settings.onPostgres() && missing(p.settings.databasePath()) {
		return true, nil
	}
	pending, err := p.settings.pendingMigrations(ctx)
	return len(pending) > 0 && strings.HasPrefix(pending[0], "00001_"), err
}
