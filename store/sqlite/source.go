package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// A Source is a database file whose tables are copied to another database. It implements postgres.Source. No other
// program can open the file until the Source is closed, so the data does not change during the copy.
//
// Unstable: for the program watchword.
type Source struct {
	pool *sql.DB
	path string
}

// ErrInUse means that another program has the file open.
//
// Unstable: for the program watchword.
var ErrInUse = errors.New("another program has it open")

// OpenSource opens a file exclusively. Its error wraps ErrInUse if another program has the
// file open. The tables must be up to date (see Status).
//
// Unstable: for the program watchword.
func OpenSource(ctx context.Context, path string) (*Source, error) {
	// With locking_mode(EXCLUSIVE), the first access fails if any other connection is open, even an idle one, because
	// each open connection holds a shared lock in WAL mode. The pragmas do not set journal_mode, because this would
	// release the exclusive lock.
	pool, err := openPoolWith(ctx, path, "deferred", []string{"locking_mode(EXCLUSIVE)", "synchronous(FULL)"})
	// SQLITE_BUSY means that another program has the file open, because this process has no other connection to it.
	if resultCode(err) == sqlite3.SQLITE_BUSY {
		err = ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, classifyError(ctx, err))
	}
	return &Source{pool, path}, nil
}

// Count returns the number of rows of all tables, for a progress display.
func (s *Source) Count(ctx context.Context) (rows int, err error) {
	for _, table := range sqlstore.Tables() {
		var n int
		if err := s.pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			return 0, fmt.Errorf("count %s: %w", table, classifyError(ctx, err))
		}
		rows += n
	}
	return rows, nil
}

// Columns returns the column names of a table. It reads them from the file, so a column that is missing in the target
// database causes an error. A fixed list would omit the column without an error.
func (s *Source) Columns(ctx context.Context, table string) (columns []string, err error) {
	rows, err := s.pool.QueryContext(ctx, "SELECT name FROM pragma_table_info($1)", table)
	if err != nil {
		return nil, classifyError(ctx, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports any error
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		columns = append(columns, name)
	}
	return columns, classifyError(ctx, rows.Err())
}

// Rows returns all rows of a table, in no particular order. The caller must close them before the next call, because
// the Source has only one connection.
func (s *Source) Rows(ctx context.Context, table string, columns []string) (*sql.Rows, error) {
	rows, err := s.pool.QueryContext(ctx, sqlstore.SelectRows(table, columns))
	return rows, classifyError(ctx, err)
}

// MarkMoved marks the file as moved to another database, so that Open refuses it from then on. If one server used the
// file and another used the copy, each would treat refresh tokens of the other server as reuse and end the sessions.
func (s *Source) MarkMoved(ctx context.Context) error {
	if _, err := s.pool.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", movedVersion)); err != nil {
		return fmt.Errorf("mark %s as moved: %w", s.path, classifyError(ctx, err))
	}
	return nil
}

// Close releases the file for other programs.
func (s *Source) Close() error { return s.pool.Close() }

// movedVersion is the user_version of a file that MarkMoved marked.
const movedVersion = 1

// refuseMoved returns an error if MarkMoved has marked the file. Every function that opens a file calls it.
func refuseMoved(ctx context.Context, pool *sql.DB, path string) error {
	var version int
	if err := pool.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version == movedVersion {
		return fmt.Errorf("its data was moved to another database: start servers with that store. "+
			"To return to this file as it was before the move, run: sqlite3 %s 'PRAGMA user_version = 0'", path)
	}
	return nil
}
