package sqlite

import (
	"context"
	"database/sql/driver"
	"slices"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"
)

// FillUp makes writes fail with SQLITE_FULL, as if the disk was full, until MakeRoom. It limits the number of pages.
func (s *Store) FillUp(ctx context.Context) error {
	_, err := s.writer.Exec(ctx, "PRAGMA max_page_count = 1")
	return err
}

// MakeRoom makes writes succeed again after FillUp.
func (s *Store) MakeRoom(ctx context.Context) error {
	_, err := s.writer.Exec(ctx, "PRAGMA max_page_count = 1000000")
	return err
}

// Exec runs a statement that is not in the list of the store's statements.
func (s *Store) Exec(ctx context.Context, text string, args ...any) error {
	s.writeLock <- struct{}{}
	defer func() { <-s.writeLock }()
	_, err := s.writer.Exec(ctx, text, args...)
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	s.live.dropAll(unknownVersion) // because isCurrent does not notice a commit of the writer itself
	return err
}

func (s *Store) Plan(ctx context.Context, text string) (steps []string, err error) {
	reader, err := s.takeReader(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { s.readers <- reader }()
	rows, err := reader.Query(ctx, "EXPLAIN QUERY PLAN "+text, make([]any, 20)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports any error
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, rows.Err()
}

func (s *Store) Queued() int { return s.rotations.Len() }

// InMemory returns the number of sessions in memory. Live returns them without reading the file, unless another
// process has committed.
func (s *Store) InMemory() (n int) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	for _, row := range s.live.sessions {
		if s.live.users[row.session.UserID] == row.user {
			n++
		}
	}
	return n
}

// MaxLiveRows is the maximum number of sessions in memory.
const MaxLiveRows = maxLiveRows

// ForgetWALIndex makes the store read the version from the file at each call of Live. The store does so on systems
// where it can't find the WAL-index in memory.
func (s *Store) ForgetWALIndex() { s.live.sharedHeader = nil }

// Statements starts to record the statements of an idle store. The returned function returns the statements since its
// last call, except those that begin or end a transaction.
func (s *Store) Statements(t testing.TB) (takeNew func() []string) {
	return s.startLog(t).takeStatements
}

// VersionReads starts to count how often an idle store reads the version of the file. The returned function returns
// the number of reads since its last call.
func (s *Store) VersionReads(t testing.TB) (takeNew func() int) {
	return s.startLog(t).takeVersionReads
}

func (s *Store) startLog(t testing.TB) *statementLog {
	t.Helper()
	log := &statementLog{}
	s.driver = loggingDriver{s.driver, log}
	// The store does not keep the data source name of the writer, so the test can't open the writer again. The log
	// therefore wraps the writer's open connection. The writer's statements are prepared again, so that the log
	// records them.
	for _, prepared := range s.writer.prepared {
		_ = prepared.Close()
	}
	s.writer.conn, s.writer.prepared = loggingConn{s.writer.conn.(driverConn), log}, map[string]statement{}
	for range maxReaders {
		if err := (<-s.readers).close(); err != nil {
			t.Fatal(err)
		}
		s.readers <- nil // the store opens the connection again at its next use
	}
	err := s.live.checker.close()
	if err == nil {
		err = s.openChecker(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return log
}

type statementLog struct {
	mu       sync.Mutex
	all      []string
	versions int
}

func (l *statementLog) recordStatement(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text == "PRAGMA data_version" {
		l.versions++
	}
	if word, _, _ := strings.Cut(text, " "); !slices.Contains([]string{"BEGIN", "COMMIT", "ROLLBACK", "PRAGMA"}, word) {
		l.all = append(l.all, text)
	}
}

func (l *statementLog) takeStatements() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, l.all = l.all, nil
	return all
}

func (l *statementLog) takeVersionReads() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, l.versions = l.versions, 0
	return n
}

type loggingDriver struct {
	driver.Driver
	log *statementLog
}

func (d loggingDriver) Open(source string) (driver.Conn, error) {
	conn, err := d.Driver.Open(source)
	if err != nil {
		return nil, err
	}
	return loggingConn{conn.(driverConn), d.log}, nil
}

// A driverConn is a connection of the driver. The interface contains the methods that the type connection calls.
type driverConn interface {
	driver.Conn
	driver.ConnPrepareContext
	sqlite.FileControl
}

type loggingConn struct {
	driverConn
	log *statementLog
}

func (c loggingConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := c.driverConn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return loggingStatement{s.(statement), text, c.log}, nil
}

type loggingStatement struct {
	statement
	text string
	log  *statementLog
}

func (s loggingStatement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.log.recordStatement(s.text)
	return s.statement.ExecContext(ctx, args)
}

func (s loggingStatement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.log.recordStatement(s.text)
	return s.statement.QueryContext(ctx, args)
}
