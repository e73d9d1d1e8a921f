// Package sqlite is a store in one SQLite file, for a single server. A method that changes
// data returns after the commit is on disk.
//
// One connection writes, and up to four read at the same time (WAL). Concurrent rotations
// share a commit, see rotate.go.
//
// An embedding program needs only Open and Store. The remaining identifiers are marked as
// unstable, because only the program watchword uses them.
//
// The files with the endings -wal and -shm belong to the database. A copy of the main file alone
// can lack the last commits (docs/operations.md says how to back up). The folder must be on a
// local disk, because the processes that share a WAL need shared memory.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// readers is the number of connections that read.
const readers = 4

// checkpointPages is the length of the write-ahead log, in pages of 4 KiB, from which the writer
// copies it into the file: 16 MiB, four times SQLite's default. Each checkpoint waits twice for
// the disk. With a million sessions nearly every rotation changes another page, so the default
// checkpoints every thousand rotations. Longer logs than this gain nothing (docs/performance.md).
const checkpointPages = 4000

// A Store is an open database file. It is safe for concurrent use and implements watchword.Store.
type Store struct {
	writer, reader   *sql.DB
	writing, reading statements

	// writeLock is the right to write. An Update first takes updateLock, so that at most one
	// Update waits for writeLock. A batch of rotations therefore waits for one Update at
	// most, however many are queued. The locks are channels, because senders to a channel
	// are served in order; a sql.DB promises no order.
	updateLock, writeLock chan struct{}

	rotations *rotateQueue // see rotate.go

	live liveRows

	mu      sync.Mutex // guards closed, and running.Add against a concurrent Close
	closed  bool
	running sync.WaitGroup
}

var _ watchword.Store = (*Store)(nil)

// Open opens the file and applies pending migrations. It creates a missing file with mode
// 0600. Several processes may open one file. The caller closes the store.
func Open(ctx context.Context, path string) (*Store, error) {
	s := &Store{
		updateLock: make(chan struct{}, 1),
		writeLock:  make(chan struct{}, 1),
	}
	if err := s.open(ctx, path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, errors.Join(unavailable(ctx, err), s.closePools()))
	}
	s.rotations = s.newRotations()
	return s, nil
}

// open completes s step by step. After an error, closePools closes what was opened.
func (s *Store) open(ctx context.Context, path string) (err error) {
	if err = prepareFile(path); err != nil {
		return err
	}
	checkpoints := fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages)
	if s.writer, err = openPool(ctx, path, "immediate", checkpoints); err != nil {
		return err
	}
	if s.reader, err = openPool(ctx, path, "deferred", "query_only(1)"); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if _, err = migrate(ctx, s.writer); err != nil {
		return err
	}
	if s.writing, err = prepare(ctx, s.writer); err != nil {
		return err
	}
	if s.reading, err = prepare(ctx, s.reader); err != nil {
		return err
	}
	return s.openLive(path)
}

// View runs fn on one consistent snapshot. fn can't write: the connection has query_only. It waits
// for a free connection if four reads are running.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) View(ctx context.Context, fn func(watchword.Tx) error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.running.Done()
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin read transaction: %w", unavailable(ctx, err))
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return unavailable(ctx, fn(sqlstore.NewTx(conn{tx, s.reading, nil})))
}

// Update runs fn in a transaction and commits. No other write runs at the same time, so fn
// runs once.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.running.Done()
	for _, lock := range []chan struct{}{s.updateLock, s.writeLock} {
		select {
		case lock <- struct{}{}:
			defer func() { <-lock }()
		case <-ctx.Done():
			return fmt.Errorf("wait for the write lock: %w", unavailable(ctx, ctx.Err()))
		}
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin write transaction: %w", unavailable(ctx, err))
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	var changed changes
	if err := fn(sqlstore.NewTx(conn{tx, s.writing, &changed})); err != nil {
		return unavailable(ctx, err)
	}
	if err := s.commit(tx, &changed); err != nil {
		return fmt.Errorf("commit: %w", unavailable(ctx, err))
	}
	return nil
}

// Check verifies the whole file (PRAGMA integrity_check). If it is damaged, the error wraps
// ErrDamaged. It takes time in proportion to the size of the file.
//
// Unstable: for the program watchword.
func (s *Store) Check(ctx context.Context) error { return s.check(ctx, "PRAGMA integrity_check(1)") }

// CheckQuickly is Check without the comparison of indexes with tables (PRAGMA quick_check).
//
// Unstable: for the program watchword.
func (s *Store) CheckQuickly(ctx context.Context) error { return s.check(ctx, "PRAGMA quick_check(1)") }

// check runs on a reader, so that writes continue during the seconds it may take.
func (s *Store) check(ctx context.Context, pragma string) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.running.Done()
	var result string
	if err := s.reader.QueryRowContext(ctx, pragma).Scan(&result); err != nil {
		return fmt.Errorf("check database: %w", unavailable(ctx, err))
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, result)
	}
	return nil
}

// begin counts a running operation, for which Close waits. It fails once the store is closed.
// The caller ends the operation with s.running.Done.
func (s *Store) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%w: the database is closed", watchword.ErrUnavailable)
	}
	s.running.Add(1)
	return nil
}

// Close waits for running operations and checkpoints the write-ahead log into the file. A second
// call has no effect. Operations that begin afterwards return ErrUnavailable.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		return nil
	}
	s.running.Wait()
	s.rotations.Close()
	return s.closePools()
}

// closePools also closes what a failed Open left behind.
func (s *Store) closePools() error {
	var errs []error
	s.writing.close()
	s.reading.close()
	errs = append(errs, s.live.checker.close())
	for _, pool := range []*sql.DB{s.reader, s.writer} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}
