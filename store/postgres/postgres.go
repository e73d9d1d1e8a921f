// Package postgres is a store in a PostgreSQL database, for any number of servers.
//
// It retries a transaction that failed because of a concurrent one. It also retries after a failover if the operation
// has made no change yet. No operation takes longer than the statement timeout (15 seconds by default).
//
// An embedding program needs only Open and Store. The remaining identifiers are marked as unstable, because only the
// program watchword uses them.
//
// View reads one snapshot (REPEATABLE READ). Update runs at READ COMMITTED and prevents race conditions with
// conditional statements. The package uses no extension, no advisory lock and no LISTEN, because databases that are
// compatible with PostgreSQL may lack them.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/gather"
	"github.com/watchword-auth/watchword/internal/sleep"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// maxAttempts is the maximum number of attempts of one transaction. With the backoff, they take about a quarter of a
// second. If conflicts continue for longer, the database is overloaded.
const maxAttempts = 8

// A Store is a pool of connections. It is safe for concurrent use and implements watchword.Store.
type Store struct {
	pool            *pgxpool.Pool
	timeout         time.Duration                                            // of one operation, including all attempts
	withoutPrepared atomic.Bool                                              // see resetIfPlanFailed
	rotations       *gather.Queue[watchword.RotateRequest, sqlstore.Rotated] // see rotate.go
	liveReads       *gather.Queue[watchword.SessionID, sqlstore.Live]        // see live.go
}

var (
	_ watchword.Store   = (*Store)(nil)
	_ watchword.Clocked = (*Store)(nil)
)

// Open connects and applies pending migrations. Any number of processes may call it at the
// same time. The URL has the format of libpq and may name several hosts:
//
//	postgres://user:password@host1,host2/database?target_session_attrs=read-write&pool_max_conns=20
//
// Its errors do not contain the password. The caller closes the store.
func Open(ctx context.Context, url string) (*Store, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if err := connectOnce(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	return migrateAndOpen(ctx, config)
}

// connectOnce opens and closes a connection, so that a mistake in the URL is reported early and in a short error. A
// proxy that pools by transaction (PgBouncer) rejects session parameters. In this case, connectOnce removes the
// timeouts from config, and Store.TimeoutsOff reports them later.
func connectOnce(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil && strings.Contains(err.Error(), "unsupported startup parameter") {
		for _, timeout := range sessionTimeouts {
			delete(config.RuntimeParams, timeout.name)
		}
		conn, err = pgx.ConnectConfig(ctx, config)
	}
	if err != nil {
		return fmt.Errorf("open database %s: %w", config.Database, classifyError(connectError{err}))
	}
	return conn.Close(ctx)
}

// sessionTimeouts are session parameters. They prevent one statement or one abandoned transaction from blocking all
// others.
var sessionTimeouts = []struct{ name, milliseconds string }{
	{"statement_timeout", "15000"},
	{"lock_timeout", "5000"},
	{"idle_in_transaction_session_timeout", "30000"},
}

// CheckURL returns an error if url is not a PostgreSQL URL. It does not connect.
//
// Unstable: for the program watchword.
func CheckURL(url string) error {
	_, err := parseURL(url)
	return err
}

// parseURL sets defaults for parameters that the URL omits: the timeouts, application_name, a pool of 4 connections
// per CPU (at least 8) and 5 seconds to connect. Its error omits the cause, because the cause may contain the
// password.
func parseURL(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("this is not a PostgreSQL URL: write postgres://user:password@host:5432/database")
	}
	params := config.ConnConfig.RuntimeParams
	for _, timeout := range sessionTimeouts {
		if params[timeout.name] == "" {
			params[timeout.name] = timeout.milliseconds
		}
	}
	if params["application_name"] == "" {
		params["application_name"] = "watchword"
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = int32(max(8, 4*runtime.NumCPU()))
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	return config, nil
}

// operationTimeout returns how long one operation may take in total: the statement timeout, or 15 seconds. The client
// enforces this limit too, because a database that hangs or is disconnected can't report a timeout. If the caller's
// deadline is earlier, it applies instead.
func operationTimeout(config *pgxpool.Config) time.Duration {
	ms, err := strconv.Atoi(config.ConnConfig.RuntimeParams["statement_timeout"])
	if err != nil || ms <= 0 {
		return 15 * time.Second
	}
	return time.Duration(ms) * time.Millisecond
}

// migrateAndOpen applies migrations before it fills the pool. Otherwise, connections could prepare statements for the
// old tables.
func migrateAndOpen(ctx context.Context, config *pgxpool.Config) (*Store, error) {
	if _, err := migrate(ctx, config.ConnConfig); err != nil {
		return nil, fmt.Errorf("open database %s: %w", config.ConnConfig.Database, classifyError(err))
	}
	s := &Store{timeout: operationTimeout(config)}
	config.BeforeConnect = s.beforeConnect
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", config.ConnConfig.Database, classifyError(err))
	}
	s.pool = pool
	s.rotations = newQueue(int(config.MaxConns), s.rotateBatch)
	s.liveReads = newQueue(int(config.MaxConns), s.readBatch)
	return s, nil
}

// beforeConnect disables named prepared statements if resetIfPlanFailed has detected a proxy that does not support
// them.
func (s *Store) beforeConnect(ctx context.Context, config *pgx.ConnConfig) error {
	if s.withoutPrepared.Load() {
		config.DefaultQueryExecMode = unpreparedMode
	}
	return neverCancel(ctx, config)
}

// View runs fn on one consistent snapshot.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) View(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.runTransaction(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

// Update runs fn in a transaction and commits. After a conflict with another transaction, it runs fn again. The
// isolation level is always READ COMMITTED, because a statement that waits for a lock must see the changes that were
// committed during the wait.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.runTransaction(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
}

// errNotBegun means that the transaction did not begin, so a retry is safe. After an outage, several retries may be
// needed, because the pool detects its broken connections one at a time.
var errNotBegun = errors.New("transaction not begun")

// runTransaction calls fn until it succeeds, fails permanently, or reaches the time limit.
func (s *Store) runTransaction(ctx context.Context, options pgx.TxOptions, fn func(watchword.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	notBegun := func(err error) bool { return errors.Is(err, errNotBegun) }
	return s.retry(ctx, notBegun, func() error { return s.attemptOnce(ctx, options, fn) })
}

// retry calls fn until it succeeds, fails permanently, or reaches the time limit. It retries after errors that roll a
// transaction back, and after errors for which isSafeToRetry returns true.
func (s *Store) retry(ctx context.Context, isSafeToRetry func(error) bool, fn func() error) error {
	var err error
	for attempt := range maxAttempts {
		err = fn()
		if err == nil || !isConflict(err) && !isSafeToRetry(err) && !s.resetIfStandby(err) && !s.resetIfPlanFailed(err) {
			return err
		}
		if sleep.For(ctx, backoff(attempt)) != nil {
			return classifyError(ctx.Err())
		}
	}
	return fmt.Errorf("%w: %w", watchword.ErrUnavailable, err)
}

// resetIfStandby reports whether err means that the server is no longer the primary. A retry is then safe, because a
// standby makes no change. It also closes all connections, so that new connections look for the primary among the
// hosts of the URL.
func (s *Store) resetIfStandby(err error) bool {
	if !isReadOnly(err) {
		return false
	}
	s.pool.Reset()
	return true
}

// unpreparedMode uses no named prepared statements. It works through a proxy that changes the server connection
// between transactions.
const unpreparedMode = pgx.QueryExecModeCacheDescribe

// resetIfPlanFailed reports whether err means that a prepared statement could not run. A retry is then safe, because
// no change was made. There are two causes:
//
//   - A proxy pools by transaction. It uses another server connection than the one on
//     which the statement was prepared, or it keeps an outdated statement. From then on,
//     new connections use no named prepared statements, but plan a statement at each use.
//     Planning takes four fifths of the time of a single rotation.
//   - A newer program migrated the tables, so the plans of all connections are outdated.
//
// In both cases, resetIfPlanFailed closes all connections.
func (s *Store) resetIfPlanFailed(err error) bool {
	switch {
	case isStatementLost(err), isSharedPlan(err):
		s.withoutPrepared.Store(true)
	case !isOutdatedPlan(err):
		return false
	}
	s.pool.Reset()
	return true
}

// backoff returns the time to wait before the next attempt. The upper bound of this time doubles with each attempt. The
// result is random, between half of the bound and the bound, so that conflicting transactions do not conflict again.
// The nanoseconds of the clock are random enough.
func backoff(attempt int) time.Duration {
	longest := time.Millisecond << attempt
	return longest/2 + time.Duration(time.Now().UnixNano())%(longest/2)
}

// attemptOnce is one attempt of runTransaction.
func (s *Store) attemptOnce(ctx context.Context, options pgx.TxOptions, fn func(watchword.Tx) error) error {
	tx, err := s.pool.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotBegun, classifyError(err))
	}
	deadline, _ := ctx.Deadline()
	defer rollback(tx, deadline)
	if err := fn(sqlstore.NewTx(txConn{tx, deadline})); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", classifyError(err))
	}
	return nil
}

// rollback ends a transaction. It has no effect after a commit. It ignores the caller's cancellation, because the
// connection returns to the pool only after the rollback.
func rollback(tx pgx.Tx, deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	tx.Rollback(ctx) //nolint:errcheck // pgx closes the connection if Rollback fails
}

// Clock returns the time of the database, which is the same for all processes. It implements
// watchword.Clocked.
//
// Unstable: implements watchword.Clocked.
func (s *Store) Clock(ctx context.Context) (now time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT clock_timestamp()", unpreparedMode).Scan(&now)
	return now, classifyError(err)
}

// Check returns an error if the database is unreachable or is a standby.
//
// Unstable: for the program watchword.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var readOnly bool
	err := s.pool.QueryRow(ctx, "SELECT pg_is_in_recovery()", unpreparedMode).Scan(&readOnly)
	if err != nil {
		return fmt.Errorf("check database: %w", classifyError(err))
	}
	if readOnly {
		return errors.New("the database is a standby and accepts no writes: " +
			"name all hosts in the URL, with target_session_attrs=read-write")
	}
	return nil
}

// TimeoutsOff returns an empty list if the session timeouts are in effect. Otherwise, a proxy removed them, and
// TimeoutsOff returns the SQL statements that set the timeouts for the database role. They take effect for new
// connections.
//
// Unstable: for the program watchword.
func (s *Store) TimeoutsOff(ctx context.Context) (fixes []string, err error) {
	for _, timeout := range sessionTimeouts {
		var role, value string
		query := "SELECT quote_ident(current_user), current_setting($1)"
		err := s.pool.QueryRow(ctx, query, unpreparedMode, timeout.name).Scan(&role, &value)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", timeout.name, classifyError(err))
		}
		if value == "0" {
			fixes = append(fixes, fmt.Sprintf("ALTER ROLE %s SET %s = %s;", role, timeout.name, timeout.milliseconds))
		}
	}
	return fixes, nil
}

// Close waits for running operations. Operations on a closed store return an error.
func (s *Store) Close() error {
	s.rotations.Close()
	s.liveReads.Close()
	s.pool.Close()
	return nil
}

// A txConn implements sqlstore.Conn on a transaction. Each statement ends at the deadline of the operation, even if
// the caller's context has no deadline. A statement without a deadline could keep row locks for which other
// transactions wait.
type txConn struct {
	tx       pgx.Tx
	deadline time.Time
}

// Exec returns the number of changed rows. It is 0 if the condition of the statement was false.
func (c txConn) Exec(ctx context.Context, text string, args ...any) (int, error) {
	ctx, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	tag, err := c.tx.Exec(ctx, text, args...)
	return int(tag.RowsAffected()), classifyError(err)
}

// Query applies the deadline until the rows are closed, because the database sends rows while the caller reads them.
func (c txConn) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	ctx, cancel := context.WithDeadline(ctx, c.deadline)
	answer, err := c.tx.Query(ctx, text, args...)
	if err != nil {
		cancel()
	}
	return resultRows{answer, cancel}, classifyError(err)
}

// resultRows implements sqlstore.Rows. Close also releases the context of the query.
type resultRows struct {
	pgx.Rows
	cancel context.CancelFunc
}

func (r resultRows) Close() error { r.Rows.Close(); r.cancel(); return r.Err() }
func (r resultRows) Err() error   { return classifyError(r.Rows.Err()) }
