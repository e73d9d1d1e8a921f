// Package sqlite keeps everything in one SQLite file: the store of a single
// server. Every commit is on disk before it is answered.
//
// One connection writes, a few read beside it (WAL). Rotations that arrive
// together leave together, see rotate.go.
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
	"sync"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

const readers = 4

// A Store is an open file. It implements watchword.Store.
type Store struct {
	writer, reader   *sql.DB
	writing, reading sqlstore.Statements
	rotations        chan *rotation
	closing          chan struct{}
	stopped          chan struct{} // closed when no rotation is served any more
	closeOnce        sync.Once
	closeErr         error
}

var _ watchword.Store = (*Store)(nil)

// Open opens the file, made with mode 0600 if it is not there, and brings its
// tables up to date. Several processes may open one file.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := prepareFile(path); err != nil {
		return nil, fmt.Errorf("open database: %w", unavailable(err))
	}
	s := &Store{rotations: make(chan *rotation, maxQueue), closing: make(chan struct{}), stopped: make(chan struct{})}
	if err := s.open(ctx, path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, errors.Join(err, s.closePools()))
	}
	go s.rotateQueued()
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	var err error
	if s.writer, err = sql.Open("sqlite", dsn(path, "immediate")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if s.reader, err = sql.Open("sqlite", dsn(path, "deferred", "query_only(1)")); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if _, err := migrate(ctx, s.writer); err != nil {
		return unavailable(err)
	}
	if s.writing, err = sqlstore.Prepare(ctx, s.writer); err != nil {
		return unavailable(err)
	}
	s.reading, err = sqlstore.Prepare(ctx, s.reader)
	return unavailable(err)
}

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

// dsn is what every connection begins with. FULL means that a commit is on disk.
func dsn(path, txlock string, pragmas ...string) string {
	all := append([]string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"}, pragmas...)
	query := url.Values{"_pragma": all, "_txlock": {txlock}}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: query.Encode()}).String()
}

// View runs fn on one consistent state.
func (s *Store) View(ctx context.Context, fn func(watchword.Tx) error) error {
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin reading: %w", unavailable(err))
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return unavailable(fn(sqlstore.NewTx(tx, s.reading)))
}

// Update runs fn alone, and commits.
func (s *Store) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin writing: %w", unavailable(err))
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if err := fn(sqlstore.NewTx(tx, s.writing)); err != nil {
		return unavailable(err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", unavailable(err))
	}
	return nil
}

// Check reads the whole file and compares it with itself.
func (s *Store) Check(ctx context.Context) error {
	var verdict string
	if err := s.reader.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return fmt.Errorf("check database: %w", unavailable(err))
	}
	if verdict != "ok" {
		return fmt.Errorf("the database is damaged: %s", verdict)
	}
	return nil
}

// Close waits for running operations and folds the log into the file.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.stopped
		s.closeErr = s.closePools()
	})
	return s.closeErr
}

func (s *Store) closePools() error {
	var errs []error
	s.writing.Close()
	s.reading.Close()
	for _, pool := range []*sql.DB{s.reader, s.writer} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}
