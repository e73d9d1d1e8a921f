package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// moveCmd copies every table from SQLite to PostgreSQL, and compares checksums on both sides.
// Then it marks the source file, so that no server opens the file again. Otherwise a server
// could still accept sign-ins in the old database, and the new database would lack them. The
// command runs with the settings of the new servers, because their master key has to decrypt
// the moved keys.
type moveCmd struct {
	From string           `name:"from" default:"sqlite:" help:"Source: sqlite:PATH, without a path the database in the data directory. Stop its server first."`
	To   watchword.Secret `name:"to" placeholder:"URL" help:"Target, which must be empty: postgres://user:password@host/database; default: the setting store."`
	JSON bool             `name:"json" help:"Print JSON."`
}

// Run marks the source only after the target has committed. If Run stops between these steps,
// both databases are complete and only the mark is missing; the error says so. The target
// commits in one transaction. A failure before the commit leaves the target empty, so the
// command can be repeated. The source is locked from OpenSource to the end, because changes by
// a server would not be copied.
func (c *moveCmd) Run(ctx context.Context, p *program) error {
	if err := p.sources.allFaults(p.settings); err != nil {
		return err
	}
	from, to, err := c.endpointSettings(p.settings)
	if err != nil {
		return err
	}
	if err := from.checkSource(ctx); err != nil {
		return err
	}
	source, err := sqlite.OpenSource(ctx, from.databasePath())
	if errors.Is(err, sqlite.ErrInUse) {
		return fmt.Errorf("%s is in use: stop its server and every other program that has it open, then run this again",
			from.databasePath())
	}
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // earlier calls have reported any error that matters
	rows, err := source.Count(ctx)
	if err != nil {
		return err
	}
	// The bar counts each row twice, because each row is copied and later compared.
	loaded, err := postgres.Load(ctx, string(to.Store), source, p.newRowProgress(2*rows))
	if errors.Is(err, postgres.ErrNotEmpty) {
		return fmt.Errorf("%s: %w. Write a database of its own", to.databaseName(), err)
	}
	if err != nil {
		return fmt.Errorf("%s: nothing was moved: %w", to.databaseName(), err)
	}
	// The target has committed. If this step fails, the operator must keep servers off the
	// source, because nothing else prevents a second set of sign-ins.
	if err := source.MarkMoved(ctx); err != nil {
		return fmt.Errorf("everything was moved, but the source could not be marked. Start no server on %s again: %w",
			from.databasePath(), err)
	}
	return c.printResult(p, moveResult{from.databasePath(), to.databaseName(), rows, loaded})
}

// endpointSettings returns the settings of a server on the source and of a server on the
// target. Both are copies, because messages need the original settings. It returns the faults
// of both together, before the command opens a file.
func (c *moveCmd) endpointSettings(settings *Settings) (from, to Settings, err error) {
	// Only the store differs, because the master key must decrypt the keys in both databases.
	from, to = *settings, *settings
	from.Store = watchword.Secret(c.From)
	if c.To != "" {
		to.Store = c.To
	}
	var wrong faults
	if !strings.HasPrefix(c.From, "sqlite:") {
		wrong = append(wrong, fault{"--from", "is not an SQLite database; only SQLite can be moved. Write sqlite:PATH."})
	}
	if !to.usesPostgres() || storeProblem(&to) != "" {
		wrong = append(wrong, fault{"--to",
			"is not a PostgreSQL URL. Write postgres://user:password@host:5432/database, or set store to it."})
	}
	// An error that holds a nil faults would not equal nil.
	if wrong != nil {
		return from, to, wrong
	}
	return from, to, nil
}

// checkSource refuses a database that needs a migration, and a database whose keys the master
// key does not decrypt. Without this check, the move would succeed, but the new servers would
// fail when users already need them. The store is closed again before the copy, because
// OpenSource needs exclusive access to the file. If a server starts meanwhile, OpenSource
// fails.
func (s *Settings) checkSource(ctx context.Context) error {
	path := s.databasePath()
	if isMissing(path) {
		return fmt.Errorf("there is no database at %s. Write the right --from, or --data-dir", path)
	}
	pending, err := sqlite.Status(ctx, path)
	if err != nil {
		return err
	}
	if pending != nil {
		return fmt.Errorf("%s is of an older release. Migrate it first: watchword migrate --store 'sqlite:%s'",
			path, path)
	}
	master, err := s.existingMasterKey()
	if err != nil {
		return err
	}
	store, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	// This does not use watchword.New, which would create keys and write. The source is only
	// read.
	return errors.Join(watchword.CheckKeys(ctx, store, master), store.Close())
}

// existingMasterKey returns the master key, or an error if it is missing. It creates no key: a
// new key could not decrypt the existing database, and would hide the loss of the old key.
func (s *Settings) existingMasterKey() (master []byte, err error) {
	if s.MasterKey != "" {
		return seal.ParseMaster(string(s.MasterKey))
	}
	if isMissing(s.masterKeyPath()) {
		return nil, s.missingMasterKeyError()
	}
	master, _, err = seal.LoadOrCreate(s.masterKeyPath())
	return master, err
}

// moveResult is for JSON. Rows is the sum over all tables.
type moveResult struct {
	From   string            `json:"from"`
	To     string            `json:"to"`
	Rows   int               `json:"rows"`
	Tables []postgres.Loaded `json:"tables"`
}

// printResult shows the checksums of every table, which are equal on both sides, and what to do
// next. It prints the path of the master key and not the key, because the output may go to a
// log.
func (c *moveCmd) printResult(p *program, m moveResult) error {
	if c.JSON {
		return p.printJSON(m)
	}
	t := newTable("TABLE", "ROWS", "CHECKSUM ON BOTH SIDES")
	for _, each := range m.Tables {
		t.addRow(each.Table, fmt.Sprint(each.Rows), each.Checksum)
	}
	if err := p.printTable(t); err != nil {
		return err
	}
	p.say("\nMoved from %s to %s. Rows: %d.", m.From, m.To, m.Rows)
	if p.settings.MasterKey == "" {
		p.say("Start the servers with WATCHWORD_STORE set to the new database, and the same master key: "+
			"WATCHWORD_MASTER_KEY_FILE=%s",
			p.settings.masterKeyPath())
	} else {
		p.say("Start the servers with WATCHWORD_STORE set to the new database, and the master key that this command had.")
	}
	p.say("Servers refuse to start on %s from now on: keep it as a backup, or delete it.", m.From)
	return nil
}
