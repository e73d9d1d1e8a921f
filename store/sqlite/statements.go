package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// statements maps the text of a statement to its prepared form on one pool. sql.Stmt prepares
// again on a new connection by itself, so replaced connections need no code here.
type statements map[string]*sql.Stmt

// prepare prepares all statements in advance. Preparing needs a free connection, so doing it
// later could deadlock: all connections may be in transactions that wait for it.
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

// close also works on the nil map of a store that failed to open.
func (s statements) close() {
	for _, stmt := range s {
		_ = stmt.Close()
	}
}

// A conn implements sqlstore.Conn on a transaction. Its errors are classified by View, Update
// and Rotate, which know the context.
type conn struct {
	tx       *sql.Tx
	prepared statements
	changed  *changes // nil in a transaction that can't write
}

// Exec returns the number of changed rows, with which conditional statements report whether they
// held.
func (c conn) Exec(ctx context.Context, text string, args ...any) (int, error) {
	result, err := c.tx.StmtContext(ctx, c.prepared[text]).ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	if n > 0 && c.changed != nil {
		c.changed.note(text, args)
	}
	return int(n), err
}

// A poolConn runs queries without a transaction. It can't write.
type poolConn struct{ prepared statements }

func (c poolConn) Exec(context.Context, string, ...any) (int, error) {
	return 0, errors.New("a write needs a transaction")
}

func (c poolConn) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	return c.prepared[text].QueryContext(ctx, args...)
}

func (c conn) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	if c.changed != nil {
		c.changed.note(text, args) // a statement with RETURNING is a query that writes
	}
	return c.tx.StmtContext(ctx, c.prepared[text]).QueryContext(ctx, args...)
}
