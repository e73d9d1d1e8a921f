package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/watchword-auth/watchword"
)

// unavailable marks the errors after which it may work again without a change of
// program: the file is busy, full, read-only or gone. The caller's own
// cancellation stays what it is.
func unavailable(err error) error {
	if err == nil || errors.Is(err, watchword.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return err
	}
	var fault *sqlite.Error
	if errors.As(err, &fault) {
		switch fault.Code() & 0xff { // the rest says more exactly why
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT,
			sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT:
			return fmt.Errorf("%w: %w", watchword.ErrUnavailable, err)
		}
		return err
	}
	var path *fs.PathError
	if errors.Is(err, errClosed) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &path) ||
		err.Error() == "sql: database is closed" { // it has no name
		return fmt.Errorf("%w: %w", watchword.ErrUnavailable, err)
	}
	return err
}
