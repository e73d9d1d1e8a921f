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
	"encoding/json"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// A Conn is one transaction of a database. What it prepares, and how, is its own
// business; so is what its errors mean.
type Conn interface {
	Exec(ctx context.Context, text string, args ...any) (rows int, err error)
	Query(ctx context.Context, text string, args ...any) (Rows, error)
}

// Rows are an answer, as in database/sql.
type Rows interface {
	Next() bool
	Scan(...any) error
	Err() error
	Close() error
}

// A Tx carries out the methods of watchword.Tx in one transaction.
type Tx struct{ conn Conn }

var _ watchword.Tx = Tx{}

// NewTx works in a transaction of the caller.
func NewTx(conn Conn) Tx { return Tx{conn} }

// exec runs a statement and returns how many rows it changed.
func (t Tx) exec(ctx context.Context, text string, args ...any) (int, error) {
	return t.conn.Exec(ctx, text, args...)
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
	answer, err := t.conn.Query(ctx, text, args...)
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
	all, err := rows(ctx, t, read, text, args...)
	if err != nil {
		return one, err
	}
	if len(all) == 0 {
		return one, watchword.ErrNotFound
	}
	return all[0], nil
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

// flag scans a column that is 0 or 1.
type flag struct{ into *bool }

func (f flag) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a flag is a number, not %T", src)
	}
	*f.into = n != 0
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

// listColumn scans a column of strings.
type listColumn struct{ into *[]string }

func (c listColumn) Scan(src any) error { return jsonColumn{c.into}.Scan(src) }

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
