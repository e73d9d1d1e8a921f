package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Whole tables, to move everything from one database to another. Which columns a
// table has is asked of the database, so that a migration can't forget a move.

// Tables names all tables, in the order in which they are moved.
func Tables() []string {
	return append([]string{"keys", "users", "sessions", "signups", "mail_tokens", "mails", "events", "limits"}, Seeded()...)
}

// Seeded names the tables that have rows from the beginning, given by a migration.
// A move replaces them.
func Seeded() []string { return []string{"feed"} }

// A Source is a database that everything is moved away from.
type Source interface {
	Columns(ctx context.Context, table string) ([]string, error)
	Rows(ctx context.Context, table string, columns []string) (Rows, error)
}

// SelectRows asks for all rows of a table, in whatever order is the cheapest.
func SelectRows(table string, columns []string) string {
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + table
}

// A Sum tells what a table holds from what it should hold: the number of its rows
// and the sum of their hashes. The order of rows is of no account, for databases
// sort text differently.
type Sum struct {
	Rows int
	hash [4]uint64 // modulo 2^256, the lowest first
}

// String is the sum of hashes in hex.
func (s Sum) String() string {
	var bytes []byte
	for _, word := range s.hash {
		bytes = binary.LittleEndian.AppendUint64(bytes, word)
	}
	return hex.EncodeToString(bytes)
}

// add counts one row: SHA-256 of its values, each with its type and length.
func (s *Sum) add(row []any) error {
	var text []byte
	for _, value := range row {
		switch v := value.(type) {
		case int64:
			text = binary.BigEndian.AppendUint64(append(text, 'n'), uint64(v))
		case string:
			text = append(binary.AppendUvarint(append(text, 't'), uint64(len(v))), v...)
		case []byte:
			text = append(binary.AppendUvarint(append(text, 'b'), uint64(len(v))), v...)
		default:
			return fmt.Errorf("a column holds a %T, which no column of ours does", value)
		}
	}
	digest := sha256.Sum256(text)
	var carry uint64
	for i := range s.hash {
		s.hash[i], carry = bits.Add64(s.hash[i], binary.LittleEndian.Uint64(digest[8*i:]), carry)
	}
	s.Rows++
	return nil
}

// A Reading goes through the rows of a table once and sums them up. It is a
// pgx.CopyFromSource.
type Reading struct {
	Sum     Sum
	rows    Rows
	columns []string
	row     []any // of int64, string and []byte
	into    []any
	seen    func(rows int)
	err     error
}

// NewReading reads rows of these columns. seen is told of rows now and then, and
// of the last ones at the end.
func NewReading(rows Rows, columns []string, seen func(rows int)) *Reading {
	r := &Reading{rows: rows, columns: columns, row: make([]any, len(columns)), into: make([]any, len(columns)), seen: seen}
	for i := range r.row {
		r.into[i] = &r.row[i]
	}
	return r
}

const seenEvery = 1000

// Next reads a row. Without one, Err says whether that is the end.
func (r *Reading) Next() bool {
	if r.err != nil {
		return false
	}
	if !r.rows.Next() {
		r.seen(r.Sum.Rows % seenEvery)
		return false
	}
	if r.err = r.read(); r.err != nil {
		return false
	}
	if r.Sum.Rows%seenEvery == 0 {
		r.seen(seenEvery)
	}
	return true
}

func (r *Reading) read() error {
	if err := r.rows.Scan(r.into...); err != nil {
		return err
	}
	for i, value := range r.row {
		switch v := value.(type) {
		case int32: // INTEGER of PostgreSQL
			r.row[i] = int64(v)
		case []byte:
			if v == nil { // no bytes, from SQLite
				r.row[i] = []byte{}
			}
		case string: // SQLite takes any bytes, PostgreSQL does not
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return fmt.Errorf("column %s of the row with %s %q has bytes that are no text, which only SQLite can keep: mend it first", r.columns[i], r.columns[0], r.row[0])
			}
		}
	}
	return r.Sum.add(r.row)
}

// Values are the row that was read, until the next is.
func (r *Reading) Values() ([]any, error) { return r.row, nil }

func (r *Reading) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.rows.Err()
}
