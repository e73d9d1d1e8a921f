// Package sqlstore holds the SQL statements that SQLite and PostgreSQL share. Most methods of watchword.Tx run one
// statement and scan its rows.
//
// The package contains no rules, because the engine decides. The packages sqlite and postgres open the database, run
// transactions and migrations, and classify errors.
//
// Both databases run the same text:
//
//   - Parameters are $1, $2, … in the order of their first appearance. SQLite ignores the
//     digits and numbers parameters in this order, but PostgreSQL uses the digits.
//   - A time is a BIGINT, in milliseconds since 1970. 0 is the zero time.
//   - A bool is 0 or 1. A list is JSON.
//
// Race conditions are prevented by conditional statements (UPDATE … WHERE, INSERT … ON CONFLICT): of two concurrent
// transactions, only one changes a row. The comments of these statements describe the conflicts.
//
// On PostgreSQL, a statement that waited for a row lock checks its WHERE clause against the new version of that row.
// Its sub-selects, however, still read the snapshot taken before the wait. If a sub-select can be outdated in this
// way, a second statement repeats the check.
package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// A Conn is one transaction of a database. It may prepare each text and keep the prepared statement, because the
// function Statements lists all texts, so their number is limited. It classifies its errors
// (watchword.ErrUnavailable), because this package returns them unchanged.
type Conn interface {
	Exec(ctx context.Context, text string, args ...any) (rows int, err error)
	Query(ctx context.Context, text string, args ...any) (Rows, error)
}

// Rows iterates over the rows of a query. Its methods behave as those of sql.Rows in database/sql.
type Rows interface {
	Next() bool
	Scan(...any) error
	Err() error
	Close() error
}

// A Tx implements watchword.Tx on one transaction. It is valid until the transaction
// ends, and only one goroutine may use it.
type Tx struct{ conn Conn }

var _ watchword.Tx = Tx{}

// NewTx returns a Tx on conn. The caller begins and ends the transaction.
func NewTx(conn Conn) Tx { return Tx{conn} }

// exec returns how many rows the statement changed.
func (t Tx) exec(ctx context.Context, text string, args ...any) (int, error) {
	return t.conn.Exec(ctx, text, args...)
}

// tryChange runs a statement and reports whether it changed a row. The statement itself must check all conditions for
// the change, because the result of an earlier query could be outdated.
func (t Tx) tryChange(ctx context.Context, text string, args ...any) (bool, error) {
	n, err := t.exec(ctx, text, args...)
	return n > 0, err
}

// changeExisting runs a statement that must change a row. It returns ErrNotFound if the row was deleted in the
// meantime, so that the engine does not report a success.
func (t Tx) changeExisting(ctx context.Context, text string, args ...any) error {
	n, err := t.exec(ctx, text, args...)
	if err == nil && n == 0 {
		err = watchword.ErrNotFound
	}
	return err
}

// queryRows runs a query and returns all its rows. It reads all rows before it returns, because a connection runs
// only one statement at a time.
func queryRows[T any](
	ctx context.Context, t Tx, read func(rowScanner) (T, error), text string, args ...any,
) ([]T, error) {
	result, err := t.conn.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer result.Close() //nolint:errcheck // Rows.Err reports any error
	var all []T
	for result.Next() {
		one, err := read(result)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, result.Err()
}

// queryRow returns ErrNotFound if there is no row.
func queryRow[T any](
	ctx context.Context, t Tx, read func(rowScanner) (T, error), text string, args ...any,
) (one T, err error) {
	all, err := queryRows(ctx, t, read, text, args...)
	if err != nil {
		return one, err
	}
	if len(all) == 0 {
		return one, watchword.ErrNotFound
	}
	return all[0], nil
}

// A rowScanner is one row of a result.
type rowScanner interface{ Scan(...any) error }

func scanBool(s rowScanner) (yes bool, err error) { return yes, s.Scan(&yes) }

// toMillis returns the value of a time column: milliseconds since 1970, or 0 for the zero time.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeColumn scans a time column (see toMillis) as UTC.
type timeColumn struct{ *time.Time }

func (m timeColumn) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("scan a time: got %T, want a number", src)
	}
	*m.Time = time.Time{}
	if n != 0 {
		*m.Time = time.UnixMilli(n).UTC()
	}
	return nil
}

// boolColumn scans a column that contains 0 or 1 into a bool. The column can't have a boolean type, because the two
// drivers have no common type that they return as bool.
type boolColumn struct{ into *bool }

func (f boolColumn) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("scan a bool: got %T, want a number", src)
	}
	*f.into = n != 0
	return nil
}

// encodeList stores both nil and an empty list as [], so a reader can't distinguish them.
func encodeList(values []string) string {
	if len(values) == 0 {
		return "[]"
	}
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // unreachable: every string can be encoded
	}
	return string(text)
}

// listColumn scans a column of encodeList.
type listColumn struct{ into *[]string }

func (c listColumn) Scan(src any) error { return jsonColumn{c.into}.Scan(src) }

// jsonColumn scans a column of JSON. One driver returns a string, the other driver returns bytes.
type jsonColumn struct{ into any }

func (c jsonColumn) Scan(src any) error {
	switch text := src.(type) {
	case string:
		return json.Unmarshal([]byte(text), c.into)
	case []byte:
		return json.Unmarshal(text, c.into)
	}
	return fmt.Errorf("scan JSON: got %T, want text", src)
}
