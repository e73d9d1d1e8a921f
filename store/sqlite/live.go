package sqlite

import (
	"context"
	"fmt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Live reads a session and its user in one statement. A statement without a transaction
// reads one snapshot, too.
func (s *Store) Live(
	ctx context.Context, id watchword.SessionID,
) (session watchword.Session, user watchword.User, err error) {
	if err := s.begin(); err != nil {
		return session, user, err
	}
	defer s.running.Done()
	session, user, err = sqlstore.NewTx(poolConn{s.reading}).Session(ctx, id)
	if err != nil {
		return session, user, fmt.Errorf("read session: %w", unavailable(ctx, err))
	}
	return session, user, nil
}
