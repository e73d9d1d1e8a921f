package main

import (
	"context"
	"os"
	"strings"
)

// openStore opens the store of an import. For a dry run, it opens the store without changing
// it. If the database has no tables, a dry run uses an empty SQLite database in a temporary
// directory, which the returned function deletes. The dry run then finds the same problems as
// an import into a new database.
func (c *userImport) openStore(ctx context.Context, p *program) (*stack, func(), error) {
	open := p.openOrCreate
	if c.DryRun {
		empty, err := p.hasNoTables(ctx)
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

// openTemporary opens a store in a temporary directory, and sets this directory in the
// settings. The returned function deletes the directory. If the command is killed, the
// directory stays, but it never contains an account.
func (p *program) openTemporary(ctx context.Context) (*stack, func(), error) {
	dir, err := os.MkdirTemp("", "watchword-dry-run-")
	if err != nil {
		return nil, nil, err
	}
	p.settings.DataDir, p.settings.Store = dir, "sqlite:"
	s, err := p.openOrCreate(ctx)
	if err != nil {
		os.RemoveAll(dir) //nolint:errcheck // if this fails, the directory stays
		return nil, nil, err
	}
	return s, func() { s.close(); os.RemoveAll(dir) }, nil //nolint:errcheck // if this fails, the directory stays
}

// hasNoTables reports whether the database is missing or empty. In both cases, the first
// migration is still pending. For a database of an older release, hasNoTables returns false,
// and openUnchanged refuses that database.
func (p *program) hasNoTables(ctx context.Context) (bool, error) {
	if err := p.sources.allFaults(p.settings); err != nil {
		return false, err
	}
	if !p.settings.usesPostgres() && isMissing(p.settings.databasePath()) {
		return true, nil
	}
	pending, err := p.settings.pendingMigrations(ctx)
	return len(pending) > 0 && strings.HasPrefix(pending[0], "00001_"), err
}
