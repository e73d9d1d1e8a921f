package postgres

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// neverCancel prevents pgx from sending a cancel request for a running statement.
//
// pgx sends a cancel request when the caller's context ends. If the statement is a commit that waits for the
// synchronous standby, PostgreSQL then stops waiting and makes the commit visible. The standby may never receive it,
// so a failover could lose a change that a client has already seen. Without the cancel request, the commit stays
// invisible until the standby has it. statement_timeout ends a statement that takes too long, but it does not apply
// to commits.
//
// pgx dials again for an established connection only to send a cancel request, so neverCancel rejects this second
// dial. pgx also sends a cancel request when it abandons an attempt to connect. neverCancel allows this request,
// because the connection has no transaction yet.
func neverCancel(_ context.Context, config *pgx.ConnConfig) error {
	var established atomic.Pointer[pgconn.PgConn]
	// pgx calls neverCancel for each new connection, so each connection has its own variable established.
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if c := established.Load(); c != nil && (network == "unix" || address == c.Conn().RemoteAddr().String()) {
			return nil, errors.Join(errors.New("statements are not cancelled"), c.Conn().Close())
		}
		return dial(ctx, network, address)
	}
	config.AfterConnect = func(_ context.Context, c *pgconn.PgConn) error {
		established.Store(c)
		return nil
	}
	return nil
}
