// Package sqlstore is the statements that both databases share: one method of
// watchword.Tx is one statement and a scan.
//
// It knows tables and no rules. Opening, transactions, migrations and the shape
// of errors belong to the package of each database.
//
// The text of a statement is the same for both: parameters are $1, $2, … in the
// order of their first appearance (SQLite numbers them so), times are
// milliseconds since 1970 (0 for none), lists are JSON.
package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// Statements are prepared once for each pool of connections.
type Statements map[string]*sql.Stmt

// Prepare prepares all statements on db: up front, for a pool whose connections
// are all in transactions could not prepare one more.
func Prepare(ctx context.Context, db *sql.DB) (Statements, error) {
	statements := Statements{}
	for _, text := range All() {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			statements.Close()
			return nil, fmt.Errorf("prepare %q: %w", text, err)
		}
		statements[text] = stmt
	}
	return statements, nil
}

// Close closes them.
func (s Statements) Close() {
	for _, stmt := range s {
		_ = stmt.Close()
	}
}

// A Tx carries out the methods of watchword.Tx in one transaction.
type Tx struct {
	tx         *sql.Tx
	statements Statements
}

var _ watchword.Tx = Tx{}

// NewTx works in a transaction that was begun on the pool of the statements.
func NewTx(tx *sql.Tx, statements Statements) Tx { return Tx{tx, statements} }

// exec runs a statement and returns how many rows it changed.
func (t Tx) exec(ctx context.Context, text string, args ...any) (int, error) {
	result, err := t.tx.StmtContext(ctx, t.statements[text]).ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// change runs a conditional statement and reports whether its condition held.
func (t Tx) change(ctx context.Context, text string, args ...any) (bool, error) {
	n, err := t.exec(ctx, text, args...)
	return n > 0, err
}

// must runs a statement on a row that has to be there.
func (t Tx) must(ctx context.Context, text string, args ...any) error {
	n, err := t.exec(ctx, text, args...)
	if err == nil && n == 0 {
		err = watchword.ErrNotFound
	}
	return err
}

// rows runs a question and reads each row of its answer.
func rows[T any](ctx context.Context, t Tx, read func(scanner) (T, error), text string, args ...any) ([]T, error) {
	answer, err := t.tx.StmtContext(ctx, t.statements[text]).QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer answer.Close() //nolint:errcheck // Err tells
	var all []T
	for answer.Next() {
		one, err := read(answer)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, answer.Err()
}

// row runs a question that has one row for an answer, or ErrNotFound.
func row[T any](ctx context.Context, t Tx, read func(scanner) (T, error), text string, args ...any) (one T, err error) {
	one, err = read(t.tx.StmtContext(ctx, t.statements[text]).QueryRowContext(ctx, args...))
	if errors.Is(err, sql.ErrNoRows) {
		err = watchword.ErrNotFound
	}
	return one, err
}

type scanner interface{ Scan(...any) error }

// ms is a time as a column has it.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment scans such a column.
type moment struct{ *time.Time }

func (m moment) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time is a number, not %T", src)
	}
	*m.Time = time.Time{}
	if n != 0 {
		*m.Time = time.UnixMilli(n).UTC()
	}
	return nil
}

// list is a column of strings.
func list(values []string) string {
	if len(values) == 0 {
		return "[]"
	}
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // strings always can be
	}
	return string(text)
}

// jsonColumn scans a column of JSON.
type jsonColumn struct{ into any }

func (c jsonColumn) Scan(src any) error {
	switch text := src.(type) {
	case string:
		return json.Unmarshal([]byte(text), c.into)
	case []byte:
		return json.Unmarshal(text, c.into)
	}
	return fmt.Errorf("JSON is text, not %T", src)
}
