package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// A Source is a file that everything is moved away from. Until it is closed no
// other program has the file open, so that nothing changes behind the move.
type Source struct {
	pool *sql.DB
	path string
}

var _ sqlstore.Source = (*Source)(nil)

// ErrInUse: another program has the file open.
var ErrInUse = errors.New("another program has it open")

// OpenSource opens a file whose tables are up to date (see Status) for this
// program alone.
func OpenSource(ctx context.Context, path string) (*Source, error) {
	// Of a file in WAL mode whoever is the first to say so has it for itself, if
	// nobody has it open: even those who do nothing hold a lock. To name the mode
	// again would take this back.
	pool, err := openWith(ctx, path, "deferred", []string{"locking_mode(EXCLUSIVE)", "synchronous(FULL)"})
	if code(err) == sqlite3.SQLITE_BUSY {
		err = ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, unavailable(ctx, err))
	}
	return &Source{pool, path}, nil
}

// Count is how many rows there are, of all tables.
func (s *Source) Count(ctx context.Context) (rows int, err error) {
	for _, table := range sqlstore.Tables() {
		var n int
		if err := s.pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			return 0, fmt.Errorf("count %s: %w", table, unavailable(ctx, err))
		}
		rows += n
	}
	return rows, nil
}

// Columns names the columns of a table.
func (s *Source) Columns(ctx context.Context, table string) (columns []string, err error) {
	rows, err := s.pool.QueryContext(ctx, "SELECT name FROM pragma_table_info($1)", table)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		columns = append(columns, name)
	}
	return columns, unavailable(ctx, rows.Err())
}

// Rows reads a whole table. The answer has to be closed before the next question.
func (s *Source) Rows(ctx context.Context, table string, columns []string) (sqlstore.Rows, error) {
	rows, err := s.pool.QueryContext(ctx, sqlstore.SelectRows(table, columns))
	return rows, unavailable(ctx, err)
}

// Leave marks the file as moved away from: no program opens it any more. Two
// servers that go on from the same sessions would take each other's clients for
// thieves.
func (s *Source) Leave(ctx context.Context) error {
	if _, err := s.pool.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", movedAway)); err != nil {
		return fmt.Errorf("mark %s as moved away from: %w", s.path, unavailable(ctx, err))
	}
	return nil
}

func (s *Source) Close() error { return s.pool.Close() }

// movedAway is the user_version of a file that was left.
const movedAway = 1

// refuseIfLeft refuses such a file, to all who open one.
func refuseIfLeft(ctx context.Context, pool *sql.DB, path string) error {
	var version int
	if err := pool.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version == movedAway {
		return fmt.Errorf("everything in it was moved to another database: start servers with that store. "+
			"If that one is given up, `sqlite3 %s 'PRAGMA user_version = 0'` opens this one as it was then", path)
	}
	return nil
}
