// Package postgres keeps everything in a PostgreSQL database: the store of any
// number of servers.
//
// Statements are those of sqlstore. A transaction that the database refused
// because another was in the way is run again.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/sleep"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

const attempts = 8 // of one transaction

// A Store is a pool of connections. It implements watchword.Store.
type Store struct {
	pool     *pgxpool.Pool
	patience time.Duration          // with one operation
	rotate   [maxCharges + 1]string // the statement for so many charges
	proxied  atomic.Bool            // see replan
}

const maxCharges = 4 // of one rotation; the engine has two

var (
	_ watchword.Store   = (*Store)(nil)
	_ watchword.Clocked = (*Store)(nil)
)

// Open connects and brings the tables up to date; any number of processes may do
// so at once. The URL is that of libpq, with several hosts if need be:
//
//	postgres://user:password@host1,host2/database?target_session_attrs=read-write&pool_max_conns=20
//
// Its errors do not hold the password.
func Open(ctx context.Context, url string) (*Store, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	if err := knock(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	return open(ctx, config)
}

// knock connects once, so that what is wrong with the URL is said in a line. A
// proxy that lends connections out by transaction (PgBouncer) refuses parameters
// of a session: the timeouts are left out, and TimeoutsOff tells.
func knock(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil && strings.Contains(err.Error(), "unsupported startup parameter") {
		for _, timeout := range timeouts {
			delete(config.RuntimeParams, timeout.name)
		}
		conn, err = pgx.ConnectConfig(ctx, config)
	}
	if err != nil {
		return fmt.Errorf("open database %s: %w", config.Database, unavailable(connectError{err}))
	}
	return conn.Close(ctx)
}

// timeouts are the parameters that keep one statement from holding all others.
var timeouts = []struct{ name, milliseconds string }{
	{"statement_timeout", "15000"},
	{"lock_timeout", "5000"},
	{"idle_in_transaction_session_timeout", "30000"},
}

// CheckURL says whether Open could make sense of a URL.
func CheckURL(url string) error {
	_, err := parse(url)
	return err
}

func parse(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("this is not a PostgreSQL URL: write postgres://user:password@host:5432/database")
	}
	params := config.ConnConfig.RuntimeParams
	for _, timeout := range timeouts {
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
	config.BeforeConnect = neverCancel
	return config, nil
}

// patience is how long one operation waits for the database in all: as long as it
// lets a statement run. A database that is gone without a word, or hangs, does not
// tell when the time is up.
func patience(config *pgxpool.Config) time.Duration {
	ms, err := strconv.Atoi(config.ConnConfig.RuntimeParams["statement_timeout"])
	if err != nil || ms <= 0 {
		return 15 * time.Second
	}
	return time.Duration(ms) * time.Millisecond
}

func open(ctx context.Context, config *pgxpool.Config) (*Store, error) {
	if _, err := migrate(ctx, config.ConnConfig); err != nil {
		return nil, fmt.Errorf("open database %s: %w", config.ConnConfig.Database, unavailable(err))
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", config.ConnConfig.Database, unavailable(err))
	}
	s := &Store{pool: pool, patience: patience(config)}
	for charges := range s.rotate {
		s.rotate[charges] = sqlstore.RotateStatement(charges)
	}
	return s, nil
}

// View runs fn on one consistent state.
func (s *Store) View(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.run(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

// Update runs fn in a transaction, again if another was in its way. Each statement
// sees what was committed before it began, whatever the database's default is: a
// condition after a lock has to see what the lock waited for.
func (s *Store) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.run(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
}

// errNotBegun: nothing was asked of the database yet. After it was away, a pool
// finds out one by one that its connections are broken.
var errNotBegun = errors.New("transaction not begun")

func (s *Store) run(ctx context.Context, options pgx.TxOptions, fn func(watchword.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	var err error
	for attempt := range attempts {
		err = s.try(ctx, options, fn)
		if !inTheWay(err) && !errors.Is(err, errNotBegun) && !s.leaveStandby(err) && !s.replan(err) {
			return err
		}
		if sleep.For(ctx, backoff(attempt)) != nil {
			return unavailable(ctx.Err())
		}
	}
	return fmt.Errorf("%w: %w", watchword.ErrUnavailable, err)
}

// leaveStandby reports whether err tells that the server is no longer the
// primary: nothing was done there. It gives up every connection, so that the next
// ones look for the primary.
func (s *Store) leaveStandby(err error) bool {
	if !readOnly(err) {
		return false
	}
	s.pool.Reset()
	return true
}

// unprepared statements are sent without a name: they survive a proxy that hands
// each transaction to another connection.
const unprepared = pgx.QueryExecModeCacheDescribe

// replan reports whether err tells that a prepared statement could not be run:
// nothing was done.
//
// Either there is such a proxy, and the statement was prepared on another connection
// than that on which it was run. From then on statements are planned each time, which
// takes a rotation four fifths of its time. Or the tables were changed by a newer
// program, and every connection has plans of before.
func (s *Store) replan(err error) bool {
	switch {
	case isUnprepared(err):
		s.proxied.Store(true)
	case isOutdatedPlan(err):
		s.pool.Reset()
	default:
		return false
	}
	return true
}

// backoff grows with each attempt and differs between conflicting transactions. The
// clock is random enough for that.
func backoff(attempt int) time.Duration {
	longest := time.Millisecond << attempt
	return longest/2 + time.Duration(time.Now().UnixNano())%(longest/2)
}

func (s *Store) try(ctx context.Context, options pgx.TxOptions, fn func(watchword.Tx) error) error {
	tx, err := s.pool.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotBegun, unavailable(err))
	}
	until, _ := ctx.Deadline()
	defer rollback(tx, until)
	if err := fn(sqlstore.NewTx(conn{tx, until, s.proxied.Load()})); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", unavailable(err))
	}
	return nil
}

// rollback does nothing after a commit.
func rollback(tx pgx.Tx, until time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	tx.Rollback(ctx) //nolint:errcheck // a connection that can't is given up
}

// Rotate charges and rotates in one statement and one round trip.
func (s *Store) Rotate(ctx context.Context, r watchword.RotateRequest) (watchword.RotateResult, error) {
	limited, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	var taken int
	var result watchword.RotateResult
	var err error
	for attempt := range attempts {
		taken, result, err = s.rotateOnce(limited, r)
		if !inTheWay(err) && !pgconn.SafeToRetry(err) && !s.leaveStandby(err) && !s.replan(err) {
			break
		}
		if sleep.For(limited, backoff(attempt)) != nil {
			break
		}
	}
	if err != nil {
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", unavailable(err))
	}
	if taken == len(r.Charges) {
		return result, nil
	}
	return s.refused(ctx, r)
}

func (s *Store) rotateOnce(ctx context.Context, r watchword.RotateRequest) (taken int, result watchword.RotateResult, err error) {
	answer, err := s.pool.Query(ctx, s.rotate[len(r.Charges)], asking(s.proxied.Load(), sqlstore.RotateArgs(r))...)
	if err != nil {
		return 0, result, err
	}
	defer answer.Close()
	if !answer.Next() {
		return 0, result, cmp.Or(answer.Err(), errors.New("the statement has no answer"))
	}
	if taken, result, err = sqlstore.ScanRotate(answer); err != nil {
		return 0, result, err
	}
	answer.Close() // only now is it known that it was committed
	return taken, result, answer.Err()
}

// refused finds out how long a request has to wait that was one too many.
func (s *Store) refused(ctx context.Context, r watchword.RotateRequest) (result watchword.RotateResult, err error) {
	result.Wait = time.Millisecond
	err = s.View(ctx, func(tx watchword.Tx) error {
		for _, c := range r.Charges {
			wait, err := tx.(sqlstore.Tx).Wait(ctx, c)
			if err != nil {
				return err
			}
			result.Wait = max(result.Wait, wait)
		}
		return nil
	})
	return result, err
}

// Clock is the time of the database: the same for all processes.
func (s *Store) Clock(ctx context.Context) (now time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT clock_timestamp()", unprepared).Scan(&now)
	return now, unavailable(err)
}

// Check asks the database whether it can be written to.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	var readOnly bool
	err := s.pool.QueryRow(ctx, "SELECT pg_is_in_recovery()", unprepared).Scan(&readOnly)
	if err != nil {
		return fmt.Errorf("check database: %w", unavailable(err))
	}
	if readOnly {
		return errors.New("the database is a standby that can't be written to: name all hosts in the URL, with target_session_attrs=read-write")
	}
	return nil
}

// TimeoutsOff is empty if something cuts off what hangs. Otherwise nothing does,
// for a proxy did not pass the timeouts on, and it holds the statements that set
// them in the database instead; connections made from then on have them.
func (s *Store) TimeoutsOff(ctx context.Context) (mend []string, err error) {
	for _, timeout := range timeouts {
		var role, value string
		err := s.pool.QueryRow(ctx, "SELECT quote_ident(current_user), current_setting($1)", unprepared, timeout.name).Scan(&role, &value)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", timeout.name, unavailable(err))
		}
		if value == "0" {
			mend = append(mend, fmt.Sprintf("ALTER ROLE %s SET %s = %s;", role, timeout.name, timeout.milliseconds))
		}
	}
	return mend, nil
}

// Close waits for running operations.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// A conn is a transaction as sqlstore wants it, until its time is up.
type conn struct {
	tx      pgx.Tx
	until   time.Time
	proxied bool
}

// asking puts before the values of a statement how it is to be run.
func asking(proxied bool, args []any) []any {
	if proxied {
		return append([]any{unprepared}, args...)
	}
	return args
}

func (c conn) Exec(ctx context.Context, text string, args ...any) (int, error) {
	ctx, cancel := context.WithDeadline(ctx, c.until)
	defer cancel()
	tag, err := c.tx.Exec(ctx, text, asking(c.proxied, args)...)
	return int(tag.RowsAffected()), unavailable(err)
}

func (c conn) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	ctx, cancel := context.WithDeadline(ctx, c.until)
	answer, err := c.tx.Query(ctx, text, asking(c.proxied, args)...)
	if err != nil {
		cancel()
	}
	return rows{answer, cancel}, unavailable(err)
}

type rows struct {
	pgx.Rows
	cancel context.CancelFunc
}

func (r rows) Close() error { r.Rows.Close(); r.cancel(); return r.Err() }
func (r rows) Err() error   { return unavailable(r.Rows.Err()) }
