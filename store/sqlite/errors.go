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

// ErrDamaged means that the database file is corrupt. Restore a backup.
//
// Unstable: for the program watchword.
var ErrDamaged = errors.New("the database is damaged")

// classifyError wraps err in watchword.ErrUnavailable if a retry may succeed, at least after a repair: the file is
// busy, damaged or missing, or the caller's deadline has passed. For a full or read-only file, it wraps err in
// watchword.ErrNotWritable. If the caller cancelled, it returns context.Canceled.
//
// The engine responds to ErrUnavailable with 503 and keeps sessions. Any other error is a bug, and the response is
// 500.
func classifyError(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, watchword.ErrUnavailable):
		return err
	case ctx.Err() != nil && isInterruption(err):
		// The driver reports an interruption with different errors, but ctx.Err() is always the cause.
		if err = ctx.Err(); errors.Is(err, context.Canceled) {
			return err
		}
	case !isDatabaseFailure(err):
		return err
	case isNotWritable(err):
		return fmt.Errorf("%w: %w", watchword.ErrNotWritable, err)
	case resultCode(err) == sqlite3.SQLITE_CORRUPT, resultCode(err) == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w: %w", watchword.ErrUnavailable, ErrDamaged, err)
	}
	return fmt.Errorf("%w: %w", watchword.ErrUnavailable, err)
}

// isInterruption reports whether the driver may return err because the context ended.
func isInterruption(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, sql.ErrTxDone) || resultCode(err) == sqlite3.SQLITE_INTERRUPT
}

// isDatabaseFailure reports whether err is a failure of the database, such as a full disk, and not a mistake in a
// statement. After a failure, a retry may succeed, in some cases only after an operator has removed the cause.
func isDatabaseFailure(err error) bool {
	switch resultCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	var path *fs.PathError
	return errors.As(err, &path) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn)
}

// isNotWritable reports whether the disk is full or the file is read-only. Reads still work.
func isNotWritable(err error) bool {
	switch resultCode(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

// resultCode returns the primary result code of SQLite, or 0 (SQLITE_OK) for any other error.
func resultCode(err error) int {
	var fault *sqlite.Error
	if errors.As(err, &fault) {
		return fault.Code() & 0xff // the higher bits are the extended code
	}
	return sqlite3.SQLITE_OK
}
