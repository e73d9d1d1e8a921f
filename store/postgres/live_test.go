package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/storetest"
)

type statementCounter struct{ atomic.Int64 }

func (c *statementCounter) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData,
) context.Context {
	c.Add(1)
	return ctx
}

func (*statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Live must retry only after an outage. If the session does not exist, a retry would not find it either, and would
// delay other reads.
func TestReadOfASessionIsRetriedAfterAnOutageOnly(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var statements statementCounter
	store, err := postgres.OpenTraced(t.Context(), url, &statements)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	unreadable, missing := addSessions(t, store, 1)[0].Session, storetest.Session("", 9).ID
	execStatement(t, url, fmt.Sprintf("UPDATE sessions SET methods = 'no JSON' WHERE id = '%s'", unreadable))
	for name, c := range map[string]struct {
		id       watchword.SessionID
		notFound bool
	}{
		"missing":    {missing, true},
		"unreadable": {unreadable, false},
	} {
		statements.Store(0)
		_, _, err := store.Live(t.Context(), c.id)
		notFound, outage := errors.Is(err, watchword.ErrNotFound), errors.Is(err, watchword.ErrUnavailable)
		if err == nil || notFound != c.notFound || outage {
			t.Errorf("%s: got error %v", name, err)
		}
		if n := statements.Load(); n != 1 {
			t.Errorf("%s: %d statements, want 1", name, n)
		}
	}
}
