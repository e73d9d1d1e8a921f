// Package sqlite is a store in one SQLite file, for a single server. A method that changes data returns after the
// commit is on disk.
//
// One connection writes, and up to four connections read at the same time (WAL). Concurrent rotations share a commit,
// see rotate.go.
//
// An embedding program needs only Open and Store. The remaining identifiers are marked as unstable, because only the
// program watchword uses them.
//
// The files with the endings -wal and -shm belong to the database. A copy of the main file alone can lack the last
// commits (docs/operations.md describes backups). The folder must be on a local disk, because processes that use the
// same file share memory through the -shm file.
package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// maxReaders is the maximum number of reading connections.
const maxReaders = 4

// checkpointPages is the length of the write-ahead log, in pages of 4 KiB, at which the writer copies the log into
// the file. It is 16 MiB, four times SQLite's default. Each checkpoint waits twice for the disk. With a million
// sessions, nearly every rotation changes a different page, so the default would cause a checkpoint every thousand
// rotations. Longer logs do not improve the rate (docs/performance.md).
const checkpointPages = 4000

// A Store is an open database file. It is safe for concurrent use and implements watchword.Store.
type Store struct {
	// Only the holder of writeLock may use writer. All commits of this process must use this connection, because
	// live.go relies on it.
	writer *connection

	// readers contains the idle connections for reads. A nil element stands for a connection that is not open yet. It
	// is opened at its first use, because most programs need only one or two connections.
	readers chan *connection
	path    string
	source  string // data source name of the readers
	driver  driver.Driver

	// The holder of writeLock may write. An Update first takes updateLock, so that at most one Update waits for
	// writeLock. A batch of rotations therefore waits for at most one Update, even if many are queued. The locks are
	// channels, because a channel serves its senders in the order of arrival.
	updateLock, writeLock chan struct{}

	rotations *rotateQueue // see rotate.go

	live liveRows

	mu       sync.Mutex // guards isClosed, and prevents running.Add during Close
	isClosed bool
	running  sync.WaitGroup
}

var _ watchword.Store = (*Store)(nil)

// Open opens the file and applies pending migrations. It creates a missing file with mode 0600. Several processes may
// open the same file. The caller closes the store.
func Open(ctx context.Context, path string) (*Store, error) {
	s := &Store{
		updateLock: make(chan struct{}, 1),
		writeLock:  make(chan struct{}, 1),
		readers:    make(chan *connection, maxReaders),
	}
	for range maxReaders {
		s.readers <- nil
	}
	if err := s.openConnections(ctx, path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, errors.Join(classifyError(ctx, err), s.closeConnections()))
	}
	s.rotations = s.newRotations()
	return s, nil
}

// openConnections stores the connections in s. If it returns an error, the caller closes them with closeConnections.
func (s *Store) openConnections(ctx context.Context, path string) (err error) {
	if err = prepareFile(path); err != nil {
		return err
	}
	pool, err := openMigrationPool(ctx, path)
	if err != nil {
		return err
	}
	defer pool.Close() //nolint:errcheck // all transactions have ended
	if _, err = migrate(ctx, pool); err != nil {
		return err
	}
	s.driver, s.path = pool.Driver(), path
	s.source = sourceName(path, "", durablePragmas("query_only(1)"))
	checkpoints := fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages)
	if s.writer, err = dial(ctx, s.driver, sourceName(path, "", durablePragmas(checkpoints))); err != nil {
		return err
	}
	return s.openChecker(ctx)
}

// takeReader returns an idle connection for reads. It waits if all four connections are in use. The caller gives the
// connection back with s.readers <- c.
func (s *Store) takeReader(ctx context.Context) (c *connection, err error) {
	select {
	case c = <-s.readers:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c == nil {
		if c, err = dial(ctx, s.driver, s.source); err != nil {
			s.readers <- nil
		}
	}
	return c, err
}

// View runs fn on one consistent snapshot. If all four connections for reads are in use, it waits. fn can't write,
// because the connection has query_only.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) View(ctx context.Context, fn func(watchword.Tx) error) error {
	if err := s.beginOperation(); err != nil {
		return err
	}
	defer s.running.Done()
	reader, err := s.takeReader(ctx)
	if err != nil {
		return fmt.Errorf("open a read connection: %w", classifyError(ctx, err))
	}
	defer func() {
		reader.rollback()
		s.readers <- reader
	}()
	if _, err := reader.Exec(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("begin read transaction: %w", classifyError(ctx, err))
	}
	return classifyError(ctx, fn(sqlstore.NewTx(reader)))
}

// Update runs fn in a transaction and commits. No other write runs at the same time, so there are no conflicts and fn
// runs only once.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	if err := s.beginOperation(); err != nil {
		return err
	}
	defer s.running.Done()
	for _, lock := range []chan struct{}{s.updateLock, s.writeLock} {
		select {
		case lock <- struct{}{}:
			defer func() { <-lock }()
		case <-ctx.Done():
			return fmt.Errorf("wait for the write lock: %w", classifyError(ctx, ctx.Err()))
		}
	}
	return classifyError(ctx, s.updateLocked(ctx, func(tx sqlstore.Tx, _ *changedRows) error { return fn(tx) }))
}

// updateLocked runs fn in a transaction and commits it. fn may use the rows in memory, and records in its second
// argument the rows that it changes. The caller holds writeLock.
func (s *Store) updateLocked(ctx context.Context, fn func(sqlstore.Tx, *changedRows) error) error {
	committed := false
	defer func() {
		if !committed {
			s.writer.rollback()
		}
	}()
	// BEGIN IMMEDIATE takes the lock of the file now, so that no later statement fails because the file is locked.
	if _, err := s.writer.Exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin write transaction: %w", err)
	}
	changed := changedRows{rowsWereCurrent: s.live.isCurrent(s.writer)}
	if err := fn(sqlstore.NewTx(trackedConn{s.writer, &changed}), &changed); err != nil {
		return err
	}
	// This is the last check of ctx. A cancellation during the commit has no effect, because the outcome of the
	// commit would be unknown.
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.commit(&changed); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}

// Check verifies the whole file (PRAGMA integrity_check). If the file is damaged, the error wraps ErrDamaged. The
// time that Check takes is proportional to the size of the file.
//
// Unstable: for the program watchword.
func (s *Store) Check(ctx context.Context) error { return s.runCheck(ctx, "PRAGMA integrity_check(1)") }

// CheckQuickly is like Check, but does not compare indexes with tables (PRAGMA quick_check).
//
// Unstable: for the program watchword.
func (s *Store) CheckQuickly(ctx context.Context) error {
	return s.runCheck(ctx, "PRAGMA quick_check(1)")
}

// runCheck uses a connection for reads, so that writes continue during a check, which may take seconds.
func (s *Store) runCheck(ctx context.Context, pragma string) error {
	if err := s.beginOperation(); err != nil {
		return err
	}
	defer s.running.Done()
	reader, err := s.takeReader(ctx)
	if err != nil {
		return fmt.Errorf("check database: %w", classifyError(ctx, err))
	}
	defer func() { s.readers <- reader }()
	var result string
	if err := reader.queryRow(ctx, pragma, &result); err != nil {
		return fmt.Errorf("check database: %w", classifyError(ctx, err))
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, result)
	}
	return nil
}

// beginOperation returns an error if the store is closed. Close waits until the caller ends the operation with
// s.running.Done.
func (s *Store) beginOperation() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed {
		return fmt.Errorf("%w: the database is closed", watchword.ErrUnavailable)
	}
	s.running.Add(1)
	return nil
}

// Close waits for running operations and checkpoints the write-ahead log into the file. A second
// call has no effect. Operations that begin afterwards return ErrUnavailable.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.isClosed
	s.isClosed = true
	s.mu.Unlock()
	if !first {
		return nil
	}
	s.running.Wait()
	s.rotations.Close()
	return s.closeConnections()
}

// closeConnections closes all open connections, even after a failed Open. It closes the writer last, because the last
// connection runs a checkpoint.
func (s *Store) closeConnections() error {
	errs := []error{s.live.checker.close()}
	for range maxReaders {
		errs = append(errs, (<-s.readers).close())
	}
	return errors.Join(append(errs, s.writer.close())...)
}
