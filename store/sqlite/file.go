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
)

// busyTimeout is how long to wait for another program that writes.
const busyTimeout = 5 * time.Second

// prepareFile makes the file readable by its owner only. SQLite gives the files
// beside it the same mode.
func prepareFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: is %s a directory that this user may write to?", err, filepath.Dir(path))
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

// openPool opens a pool of one connection, that is made. FULL means that a commit
// is on disk.
func openPool(ctx context.Context, path, txlock string, pragmas ...string) (*sql.DB, error) {
	return openWith(ctx, path, txlock, append([]string{"journal_mode(WAL)", "synchronous(FULL)"}, pragmas...))
}

func openWith(ctx context.Context, path, txlock string, pragmas []string) (*sql.DB, error) {
	busy := fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())
	query := url.Values{"_pragma": append([]string{busy}, pragmas...), "_txlock": {txlock}}
	dsn := url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: query.Encode()}
	pool, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	if err = connect(ctx, pool); err == nil {
		err = refuseIfLeft(ctx, pool, path)
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// connect makes the first connection. SQLite does not wait for another program
// that switches the same new file to WAL, it only says that it is busy.
func connect(ctx context.Context, pool *sql.DB) error {
	patience := time.Now().Add(busyTimeout)
	for {
		err := pool.PingContext(ctx)
		if code(err) != sqlite3.SQLITE_BUSY || time.Now().After(patience) || ctx.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
