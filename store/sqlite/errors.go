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

// ErrDamaged says that the file contradicts itself: only a backup helps.
var ErrDamaged = errors.New("the database is damaged")

// unavailable marks the errors after which it may work again without a change of
// program: the file is busy, full, read-only, damaged or gone, or the caller's
// time was up. A cancellation by the caller stays what it is.
func unavailable(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, watchword.ErrUnavailable):
		return err
	case ctx.Err() != nil && interrupted(err):
		// However far the interruption got: the cause is the caller's context.
		if err = ctx.Err(); errors.Is(err, context.Canceled) {
			return err
		}
	case !isFault(err):
		return err
	case isNotWritable(err):
		return fmt.Errorf("%w: %w", watchword.ErrNotWritable, err)
	case code(err) == sqlite3.SQLITE_CORRUPT, code(err) == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w: %w", watchword.ErrUnavailable, ErrDamaged, err)
	}
	return fmt.Errorf("%w: %w", watchword.ErrUnavailable, err)
}

// interrupted reports whether err is how a transaction fails whose context ended.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, sql.ErrTxDone) || code(err) == sqlite3.SQLITE_INTERRUPT
}

// isFault reports whether the database failed, rather than the statement.
func isFault(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	var path *fs.PathError
	return errors.As(err, &path) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn)
}

// isNotWritable reports whether there is no room, or no permission to write.
func isNotWritable(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

// code is the primary result code of SQLite, 0 for an error that has none.
func code(err error) int {
	var fault *sqlite.Error
	if errors.As(err, &fault) {
		return fault.Code() & 0xff // the rest says more exactly why
	}
	return sqlite3.SQLITE_OK
}
