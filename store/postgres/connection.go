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
// The request is the one time that pgx dials for a connection that it has.
func neverCancel(_ context.Context, config *pgx.ConnConfig) error {
	var conn net.Conn
	var connected atomic.Bool
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connected.Load() {
			return nil, errors.Join(errors.New("statements are not cancelled"), conn.Close())
		}
		var err error
		conn, err = dial(ctx, network, address)
		return conn, err
	}
	config.AfterConnect = func(context.Context, *pgconn.PgConn) error {
		connected.Store(true)
		return nil
	}
	return nil
}
