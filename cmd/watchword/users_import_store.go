package main

import (
	"context"
	"os"
	"strings"
)

// open opens the store. A dry run only reads it. Without tables, a dry run checks against
// an empty SQLite database in a temporary directory, which the returned function deletes. It then
// finds the same problems as an import into the new database would.
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
// returned function deletes. A command that is killed leaves the directory. It never
// holds an account.
func (p *program) openTemporary(ctx context.Context) (*stack, func(), error) {
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

// noTables reports whether there is no database, or one without our tables. The first migration is
// pending only then. A database of an older release is no error here: openUnchanged refuses it.
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
