package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// statements are prepared once for each pool of connections.
type statements map[string]*sql.Stmt

// prepare prepares all statements on a pool: up front, for a pool whose
// connections are all in transactions could not prepare one more.
func prepare(ctx context.Context, pool *sql.DB) (statements, error) {
	all := statements{}
	for _, text := range sqlstore.All() {
		stmt, err := pool.PrepareContext(ctx, text)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("prepare %q: %w", text, err)
		}
		all[text] = stmt
	}
	return all, nil
}

func (s statements) close() {
	for _, stmt := range s {
		_ = stmt.Close()
	}
}

// A conn is a transaction as sqlstore wants it.
type conn struct {
	tx       *sql.Tx
	prepared statements
}

func (c conn) Exec(ctx context.Context, text string, args ...any) (int, error) {
	result, err := c.tx.StmtContext(ctx, c.prepared[text]).ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

func (c conn) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	return c.tx.StmtContext(ctx, c.prepared[text]).QueryContext(ctx, args...)
}
