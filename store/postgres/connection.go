package postgres

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// neverCancel keeps a connection from asking for the end of its statement.
//
// pgx asks for it when a caller leaves in the middle. If the statement is a commit
// that waits for the synchronous standby, PostgreSQL then stops waiting, and
// shows to everybody what the standby may never get: whoever is answered from it
// loses the answer in a failover. Without the request the commit stays hidden
// until the standby has it. A statement that takes too long is ended by
// statement_timeout, which spares commits.
//
// The request is the one time that pgx dials for a connection that it has. An
// attempt to connect that was given up asks, too, beside the attempt after it:
// that is let through, for it has nothing to commit.
func neverCancel(_ context.Context, config *pgx.ConnConfig) error {
	var made atomic.Pointer[pgconn.PgConn]
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if c := made.Load(); c != nil && (network == "unix" || address == c.Conn().RemoteAddr().String()) {
			return nil, errors.Join(errors.New("statements are not cancelled"), c.Conn().Close())
		}
		return dial(ctx, network, address)
	}
	config.AfterConnect = func(_ context.Context, c *pgconn.PgConn) error {
		made.Store(c)
		return nil
	}
	return nil
}
