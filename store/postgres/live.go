package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Live reads a session and its user in one statement and one round trip. A statement outside of a
// transaction sees everything that was committed before it began. A read has no side effect, so
// Live retries after every temporary error.
func (s *Store) Live(
	ctx context.Context, id watchword.SessionID,
) (session watchword.Session, user watchword.User, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	temporary := func(err error) bool { return errors.Is(err, watchword.ErrUnavailable) }
	err = s.retry(ctx, temporary, func() (err error) {
		session, user, err = sqlstore.NewTx(poolConn{s.pool}).Session(ctx, id)
		return err
	})
	if err != nil {
		return session, user, fmt.Errorf("read session: %w", unavailable(err))
	}
	return session, user, nil
}

// A poolConn implements sqlstore.Conn without a transaction. It can't write.
type poolConn struct{ pool *pgxpool.Pool }

func (c poolConn) Exec(context.Context, string, ...any) (int, error) {
	return 0, errors.New("a write needs a transaction")
}

func (c poolConn) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	answer, err := c.pool.Query(ctx, text, args...)
	return rows{answer, func() {}}, unavailable(err)
}
