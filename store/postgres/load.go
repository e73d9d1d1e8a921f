package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// ErrNotEmpty: there is something in the database already.
var ErrNotEmpty = errors.New("it is not empty")

// A Loaded is what was moved of one table.
type Loaded struct {
	Table    string `json:"table"`
	Rows     int    `json:"rows"`
	Checksum string `json:"checksum"` // of the rows on either side, see sqlstore.Sum
}

// Load makes the tables, and fills them with everything that a source holds: all
// of it or, if anything goes wrong, nothing. What was written is read again and
// compared before it is committed. seen is told of rows that were written or
// compared: each row is, once.
//
// No server may work on the database meanwhile; if one does, Load fails.
func Load(ctx context.Context, url string, from sqlstore.Source, seen func(doing string, rows int)) ([]Loaded, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	for _, timeout := range timeouts { // a table takes as long as it takes
		delete(config.ConnConfig.RuntimeParams, timeout.name)
	}
	if _, err := migrate(ctx, config.ConnConfig); err != nil {
		return nil, unavailable(err)
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, unavailable(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything was committed
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after a commit it does nothing
	all, err := load(ctx, tx, from, seen)
	if err != nil {
		return nil, disturbed(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("commit: whether it took place is not known; if it did, another try is refused because this is not empty any more: %w", unavailable(err))
	}
	return all, nil
}

func load(ctx context.Context, tx pgx.Tx, from sqlstore.Source, seen func(doing string, rows int)) (all []Loaded, err error) {
	if err := makeRoom(ctx, tx); err != nil {
		return nil, err
	}
	columns := map[string][]string{}
	sums := map[string]sqlstore.Sum{}
	for _, table := range sqlstore.Tables() {
		if columns[table], err = from.Columns(ctx, table); err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", table, err)
		}
		copied := func(rows int) { seen("copy "+table, rows) }
		if sums[table], err = copyTable(ctx, tx, from, tableOf{table, columns[table]}, copied); err != nil {
			return nil, fmt.Errorf("copy %s: %w", table, err)
		}
	}
	for _, table := range sqlstore.Tables() {
		compared := func(rows int) { seen("compare "+table, rows) }
		sum, err := sumTable(ctx, tx, tableOf{table, columns[table]}, compared)
		if err != nil {
			return nil, fmt.Errorf("compare %s: %w", table, err)
		}
		if sum != sums[table] {
			return nil, fmt.Errorf("%s differs from what was copied: %d rows, checksum %s, should be %d, %s", table, sum.Rows, sum, sums[table].Rows, sums[table])
		}
		all = append(all, Loaded{table, sum.Rows, sum.String()})
	}
	return all, nil
}

type tableOf struct {
	name    string
	columns []string
}

// makeRoom takes away what migrations put in, and refuses a database with more.
func makeRoom(ctx context.Context, tx pgx.Tx) error {
	for _, table := range sqlstore.Seeded() {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
			return fmt.Errorf("clear %s: %w", table, unavailable(err))
		}
	}
	var full []string
	for _, table := range sqlstore.Tables() {
		var found bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&found); err != nil {
			return fmt.Errorf("look into %s: %w", table, unavailable(err))
		}
		if found {
			full = append(full, table)
		}
	}
	if full != nil {
		return fmt.Errorf("%w: there are rows in %s", ErrNotEmpty, strings.Join(full, ", "))
	}
	return nil
}

func copyTable(ctx context.Context, tx pgx.Tx, from sqlstore.Source, table tableOf, seen func(rows int)) (sqlstore.Sum, error) {
	answer, err := from.Rows(ctx, table.name, table.columns)
	if err != nil {
		return sqlstore.Sum{}, err
	}
	defer answer.Close() //nolint:errcheck // Err tells
	reading := sqlstore.NewReading(answer, table.columns, seen)
	_, err = tx.CopyFrom(ctx, pgx.Identifier{table.name}, table.columns, reading)
	if cause := reading.Err(); cause != nil {
		return reading.Sum, cause // the database only says that it was broken off
	}
	return reading.Sum, unavailable(err)
}

func sumTable(ctx context.Context, tx pgx.Tx, table tableOf, seen func(rows int)) (sqlstore.Sum, error) {
	answer, err := tx.Query(ctx, sqlstore.SelectRows(table.name, table.columns))
	if err != nil {
		return sqlstore.Sum{}, unavailable(err)
	}
	defer answer.Close()
	reading := sqlstore.NewReading(rows{answer, func() {}}, table.columns, seen)
	for reading.Next() {
	}
	return reading.Sum, reading.Err()
}

// disturbed says of an error that another program caused it, if one did.
func disturbed(err error) error {
	if inTheWay(err) {
		return fmt.Errorf("another program writes to the database: stop it, and try again: %w", err)
	}
	return err
}
