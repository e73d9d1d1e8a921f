package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"modernc.org/sqlite"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// A connection is one connection to the file, with its prepared statements. It implements sqlstore.Conn. Only one
// goroutine may use it at a time.
//
// It uses the driver without database/sql. In a refresh, the contexts, locks, goroutines and conversions of
// database/sql would take more processor time than the statements themselves (docs/performance.md).
type connection struct {
	conn      driver.Conn
	prepared  map[string]statement // by SQL text; a statement is prepared at its first use
	argBuffer []driver.NamedValue  // reused by each statement
	rowBuffer []driver.Value       // reused by each row
}

var _ sqlstore.Conn = (*connection)(nil)

// A statement is a prepared statement of the driver. The interface contains the methods that a connection calls.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// dial opens a connection to a database. The caller passes a data source name (see sourceName).
func dial(ctx context.Context, d driver.Driver, source string) (c *connection, err error) {
	c = &connection{prepared: map[string]statement{}}
	err = retryBusy(ctx, func() (err error) {
		c.conn, err = d.Open(source)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// close accepts nil, because a store that failed to open may have no connection. It closes the statements first,
// because the driver leaks a connection whose statements are open.
func (c *connection) close() error {
	if c == nil {
		return nil
	}
	var errs []error
	for _, s := range c.prepared {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.conn.Close())...)
}

func (c *connection) statement(ctx context.Context, text string) (statement, error) {
	if s, ok := c.prepared[text]; ok {
		return s, nil
	}
	prepared, err := c.conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", text, err)
	}
	s := prepared.(statement)
	c.prepared[text] = s
	return s, nil
}

// Exec returns the number of changed rows. It is 0 if the condition of the statement was false.
func (c *connection) Exec(ctx context.Context, text string, args ...any) (int, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(ctx, c.bind(args))
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// Query returns the rows of a query. They are valid until the next statement runs on this connection.
func (c *connection) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return nil, err
	}
	n := len(result.Columns())
	if cap(c.rowBuffer) < n {
		c.rowBuffer = make([]driver.Value, n)
	}
	return &resultRows{Rows: result, values: c.rowBuffer[:n]}, nil
}

func (c *connection) queryRow(ctx context.Context, text string, into ...any) error {
	result, err := c.Query(ctx, text)
	if err != nil {
		return err
	}
	defer result.Close() //nolint:errcheck // Rows.Err reports any error
	if !result.Next() {
		return cmp.Or(result.Err(), errors.New("there is no row"))
	}
	return result.Scan(into...)
}

// rollback ends a transaction. It ignores errors, because there may be no transaction: BEGIN may have failed, or
// SQLite may have rolled back after a disk error.
func (c *connection) rollback() { _, _ = c.Exec(context.Background(), "ROLLBACK") }

func (c *connection) bind(args []any) []driver.NamedValue {
	c.argBuffer = c.argBuffer[:0]
	for i, arg := range args {
		c.argBuffer = append(c.argBuffer, driver.NamedValue{Ordinal: i + 1, Value: toDriverValue(arg)})
	}
	return c.argBuffer
}

// readVersion reads data_version, which changes whenever another connection, of this or another process, commits a
// change. It uses a read transaction without rows, which is the cheapest query, because Live may call readVersion for
// every authenticated request.
func (c *connection) readVersion() int64 {
	if _, err := c.Exec(context.Background(), "PRAGMA data_version"); err != nil {
		return unknownVersion
	}
	return c.lastVersion()
}

// lastVersion returns the version that this connection read last, without reading the file again. A connection reads
// the version in readVersion and at the beginning of each transaction. The versions of two connections are not
// comparable.
func (c *connection) lastVersion() int64 {
	n, err := c.conn.(sqlite.FileControl).FileControlDataVersion("main")
	if err != nil {
		return unknownVersion
	}
	return int64(n)
}

// resultRows implements sqlstore.Rows on the rows of the driver.
type resultRows struct {
	driver.Rows
	values []driver.Value
	err    error
}

func (r *resultRows) Next() bool {
	if r.err == nil {
		r.err = r.Rows.Next(r.values)
	}
	return r.err == nil
}

func (r *resultRows) Err() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}

func (r *resultRows) Scan(into ...any) error {
	if len(into) != len(r.values) {
		return fmt.Errorf("scan %d columns into %d values", len(r.values), len(into))
	}
	for i, dest := range into {
		if err := assignColumn(dest, r.values[i]); err != nil {
			return fmt.Errorf("scan column %q: %w", r.Columns()[i], err)
		}
	}
	return nil
}

// A trackedConn is a connection in a write transaction. It records which users and sessions its statements may have
// changed.
type trackedConn struct {
	*connection
	changed *changedRows
}

func (w trackedConn) Exec(ctx context.Context, text string, args ...any) (int, error) {
	n, err := w.connection.Exec(ctx, text, args...)
	if n > 0 {
		w.changed.noteStatement(text, args)
	}
	return n, err
}

func (w trackedConn) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	w.changed.noteStatement(text, args) // a statement with RETURNING is a query that writes
	return w.connection.Query(ctx, text, args...)
}
