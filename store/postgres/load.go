package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// ErrNotEmpty means that the database already contains rows.
//
// Unstable: for the program watchword.
var ErrNotEmpty = errors.New("the database is not empty")

// A Source is a database whose tables Load copies, such as a sqlite.Source. Load closes the
// rows before it calls the Source again.
//
// Unstable: for the program watchword.
type Source interface {
	Columns(ctx context.Context, table string) ([]string, error)
	Rows(ctx context.Context, table string, columns []string) (*sql.Rows, error)
}

// A Loaded describes the copied rows of one table.
//
// Unstable: for the program watchword.
type Loaded struct {
	Table    string `json:"table"`
	Rows     int    `json:"rows"`
	Checksum string `json:"checksum"` // sum of the SHA-256 of its rows, equal in both databases
}

// Load creates the tables and copies all rows of a source in one transaction. Before the commit, it reads the copied
// rows and compares checksums. If anything fails, no row is copied. The error wraps ErrNotEmpty if the database
// already contains rows.
//
// Load calls reportRows repeatedly, with the number of rows that were copied or compared since the previous call. Each
// row counts twice: once when it is copied and once when it is compared.
//
// No server may use the database at the same time. If a server writes to it, Load fails.
//
// Unstable: for the program watchword.
func Load(ctx context.Context, url string, source Source, reportRows func(step string, rows int)) ([]Loaded, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	for _, timeout := range sessionTimeouts { // without timeouts, because copying a large table takes long
		delete(config.ConnConfig.RuntimeParams, timeout.name)
	}
	if _, err := migrate(ctx, config.ConnConfig); err != nil {
		return nil, classifyError(err)
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, classifyError(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything was committed
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, classifyError(err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // no effect after a commit
	all, err := copyTables(ctx, tx, source, reportRows)
	if err != nil {
		return nil, explainConflict(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("commit: its outcome is unknown; if it succeeded, "+
			"another attempt reports that the database is not empty: %w", classifyError(err))
	}
	return all, nil
}

// copyTables also compares the copied rows with the source. The caller commits only if it returns no error.
func copyTables(
	ctx context.Context, tx pgx.Tx, source Source, reportRows func(step string, rows int),
) (all []Loaded, err error) {
	if err := requireEmpty(ctx, tx); err != nil {
		return nil, err
	}
	columns := map[string][]string{}
	sums := map[string]sqlstore.Sum{}
	for _, table := range sqlstore.Tables() {
		if columns[table], err = source.Columns(ctx, table); err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", table, err)
		}
		copied := func(rows int) { reportRows("copy "+table, rows) }
		if sums[table], err = copyTable(ctx, tx, source, copiedTable{table, columns[table]}, copied); err != nil {
			return nil, fmt.Errorf("copy %s: %w", table, err)
		}
	}
	for _, table := range sqlstore.Tables() {
		compared := func(rows int) { reportRows("compare "+table, rows) }
		sum, err := checksumTable(ctx, tx, copiedTable{table, columns[table]}, compared)
		if err != nil {
			return nil, fmt.Errorf("compare %s: %w", table, err)
		}
		if sum != sums[table] {
			return nil, fmt.Errorf("table %s differs from the source: got %d rows with checksum %s, want %d with %s",
				table, sum.Rows, sum, sums[table].Rows, sums[table])
		}
		all = append(all, Loaded{table, sum.Rows, sum.String()})
	}
	return all, nil
}

// A copiedTable names a table and the columns to copy. Source and target return the columns in this order, because
// the checksum depends on the order.
type copiedTable struct {
	name    string
	columns []string
}

// requireEmpty returns ErrNotEmpty if the database contains any row that no migration has inserted. It deletes the
// rows that migrations have inserted. A single row is enough for the error, because the rows of two
// installations could not be separated again.
func requireEmpty(ctx context.Context, tx pgx.Tx) error {
	for _, table := range sqlstore.Seeded() {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
			return fmt.Errorf("clear %s: %w", table, classifyError(err))
		}
	}
	// The error lists all tables with rows, because the list shows an operator whether this is the wrong database.
	var full []string
	for _, table := range sqlstore.Tables() {
		var found bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&found); err != nil {
			return fmt.Errorf("query %s: %w", table, classifyError(err))
		}
		if found {
			full = append(full, table)
		}
	}
	if full != nil {
		return fmt.Errorf("%w: it has rows in %s", ErrNotEmpty, strings.Join(full, ", "))
	}
	return nil
}

// copyTable streams the rows with COPY, and returns the checksum of the rows that it read from the source.
func copyTable(
	ctx context.Context, tx pgx.Tx, source Source, table copiedTable, reportRows func(rows int),
) (sqlstore.Sum, error) {
	result, err := source.Rows(ctx, table.name, table.columns)
	if err != nil {
		return sqlstore.Sum{}, err
	}
	defer result.Close() //nolint:errcheck // reader.Err reports any error
	reader := sqlstore.NewReader(result, table.columns, reportRows)
	_, err = tx.CopyFrom(ctx, pgx.Identifier{table.name}, table.columns, reader)
	if cause := reader.Err(); cause != nil {
		return reader.Sum, cause // PostgreSQL's error would only say that COPY was aborted
	}
	return reader.Sum, classifyError(err)
}

// checksumTable reads the copied rows from PostgreSQL. The checksum differs from that of the source if a value
// changed during the copy.
func checksumTable(
	ctx context.Context, tx pgx.Tx, table copiedTable, reportRows func(rows int),
) (sqlstore.Sum, error) {
	result, err := tx.Query(ctx, sqlstore.SelectRows(table.name, table.columns))
	if err != nil {
		return sqlstore.Sum{}, classifyError(err)
	}
	defer result.Close()
	reader := sqlstore.NewReader(resultRows{result, func() {}}, table.columns, reportRows)
	for reader.Next() {
	}
	return reader.Sum, reader.Err()
}

// explainConflict changes the error if another program writes to the database at the same time. The new error asks
// the operator to stop that program.
func explainConflict(err error) error {
	if isConflict(err) {
		return fmt.Errorf("another program writes to the database: stop it and try again: %w", err)
	}
	return err
}
