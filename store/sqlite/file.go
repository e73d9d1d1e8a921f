package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/watchword-auth/watchword/internal/sleep"
)

// busyTimeout is how long a write waits for the lock of another process. Goroutines of the same process wait for
// writeLock instead, without this timeout.
const busyTimeout = 5 * time.Second

// prepareFile creates the file if it is missing, and removes access for group and others. It runs before SQLite opens
// the file, because SQLite would create it with the default mode (umask). SQLite creates the files next to it (-wal,
// -shm) with the mode of the file.
func prepareFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: check that %s is a directory and that this user can write to it", err, filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = file.Chmod(0o600)
	}
	return errors.Join(err, file.Close())
}

// durablePragmas are the pragmas of connections that serve requests. With synchronous(FULL), a commit returns only
// after its changes are on disk.
func durablePragmas(extra ...string) []string {
	return append([]string{"journal_mode(WAL)", "synchronous(FULL)"}, extra...)
}

// openMigrationPool opens a pool of one connection. Each transaction takes the write lock when it begins, so that no
// later statement can fail because the file is locked.
func openMigrationPool(ctx context.Context, path string) (*sql.DB, error) {
	return openPoolWith(ctx, path, "immediate", durablePragmas())
}

func openPoolWith(ctx context.Context, path, txlock string, pragmas []string) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", sourceName(path, txlock, pragmas))
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	if err = retryBusy(ctx, func() error { return pool.PingContext(ctx) }); err == nil {
		err = refuseMoved(ctx, pool, path)
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// sourceName returns the data source name for the driver. The value of txlock affects only connections of database/sql.
func sourceName(path, txlock string, pragmas []string) string {
	busy := fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())
	query := url.Values{"_pragma": append([]string{busy}, pragmas...), "_txlock": {txlock}}
	dsn := url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: query.Encode()}
	return dsn.String()
}

// retryBusy calls tryOpen every 10 ms while it returns SQLITE_BUSY, for up to busyTimeout. It is needed while another
// process switches the same new file to WAL: SQLite then ignores the busy timeout and fails immediately. retryBusy
// returns other errors immediately.
func retryBusy(ctx context.Context, tryOpen func() error) error {
	deadline := time.Now().Add(busyTimeout)
	for {
		err := tryOpen()
		if resultCode(err) != sqlite3.SQLITE_BUSY || time.Now().After(deadline) ||
			sleep.For(ctx, 10*time.Millisecond) != nil {
			return err
		}
	}
}
