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
	"sync"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

const readers = 4

// A Store is an open file. It implements watchword.Store.
type Store struct {
	writer, reader   *sql.DB
	writing, reading statements

	// Whoever holds the turn writes. Updates queue up for updating first, so
	// that only one of them asks for the turn: then the rotations that have
	// gathered come after every single Update, however many wait. (A send to a
	// channel is first come, first served; a pool of connections is not.)
	updating, turn chan struct{}

	rotations chan *rotation // see rotate.go
	rotating  sync.WaitGroup

	mu      sync.Mutex // guards closed, and running against it
	closed  bool
	running sync.WaitGroup
}

var _ watchword.Store = (*Store)(nil)

// Open opens the file, made with mode 0600 if it is not there, and brings its
// tables up to date. Several processes may open one file.
func Open(ctx context.Context, path string) (*Store, error) {
	s := &Store{
		updating:  make(chan struct{}, 1),
		turn:      make(chan struct{}, 1),
		rotations: make(chan *rotation, maxQueue),
	}
	if err := s.open(ctx, path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, errors.Join(unavailable(ctx, err), s.closePools()))
	}
	s.rotating.Go(s.rotateQueued)
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	if err = prepareFile(path); err != nil {
		return err
	}
	if s.writer, err = openPool(ctx, path, "immediate"); err != nil {
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
	s.reading, err = prepare(ctx, s.reader)
	return err
}

// View runs fn on one consistent state.
func (s *Store) View(ctx context.Context, fn func(watchword.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin reading: %w", unavailable(ctx, err))
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return unavailable(ctx, fn(sqlstore.NewTx(conn{tx, s.reading})))
}

// Update runs fn alone, and commits.
func (s *Store) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	for _, gate := range []chan struct{}{s.updating, s.turn} {
		select {
		case gate <- struct{}{}:
			defer func() { <-gate }()
		case <-ctx.Done():
			return fmt.Errorf("wait to write: %w", unavailable(ctx, ctx.Err()))
		}
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin writing: %w", unavailable(ctx, err))
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if err := fn(sqlstore.NewTx(conn{tx, s.writing})); err != nil {
		return unavailable(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", unavailable(ctx, err))
	}
	return nil
}

// Check reads the whole file and compares it with itself. Damage is ErrDamaged.
func (s *Store) Check(ctx context.Context) error { return s.check(ctx, "PRAGMA integrity_check(1)") }

// CheckQuickly is Check without comparing indexes with their tables.
func (s *Store) CheckQuickly(ctx context.Context) error { return s.check(ctx, "PRAGMA quick_check(1)") }

func (s *Store) check(ctx context.Context, pragma string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	var verdict string
	if err := s.reader.QueryRowContext(ctx, pragma).Scan(&verdict); err != nil {
		return fmt.Errorf("check database: %w", unavailable(ctx, err))
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, verdict)
	}
	return nil
}

// enter counts an operation that runs, for Close to wait for; its end is
// s.running.Done.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%w: the database is closed", watchword.ErrUnavailable)
	}
	s.running.Add(1)
	return nil
}

// Close waits for running operations and folds the log into the file.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		return nil
	}
	s.running.Wait()
	close(s.rotations)
	s.rotating.Wait()
	return s.closePools()
}

func (s *Store) closePools() error {
	var errs []error
	s.writing.close()
	s.reading.close()
	for _, pool := range []*sql.DB{s.reader, s.writer} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}
