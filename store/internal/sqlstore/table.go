package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// This file copies whole tables from one database to another (`watchword move`). It reads the names of the columns
// from the database, so a new column needs no change here.

// Tables returns the names of all tables, in the order in which they are copied. A migration
// that creates a table adds its name here; a test of store/postgres compares the list with
// the database.
func Tables() []string {
	tables := []string{"keys", "users", "sessions", "signups", "mail_tokens", "mails", "events", "limits", "callbacks"}
	tables = append(tables, "factors", "recovery_codes", "challenges", "devices", "identities")
	tables = append(tables, "user_roles", "service_keys", "idempotency", "user_metadata")
	return append(tables, Seeded()...)
}

// Seeded returns the names of the tables into which a migration inserts rows. A copy deletes
// these rows first.
func Seeded() []string { return []string{"feed"} }

// SelectRows returns the query for all rows of a table. The query has no ORDER BY, because sorting a large table is
// slow and Sum does not depend on the order.
func SelectRows(table string, columns []string) string {
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + table
}

// A Sum is a checksum of a table: the number of rows and the sum of their hashes. It does not depend on the order of
// rows, because the two databases sort text differently. The hashes are added, because XOR would not detect a row
// that exists twice.
type Sum struct {
	Rows int
	hash [4]uint64 // modulo 2^256, lowest word first
}

// String returns the sum of the hashes, 64 hex digits.
func (s Sum) String() string {
	var bytes []byte
	for _, word := range s.hash {
		bytes = binary.LittleEndian.AppendUint64(bytes, word)
	}
	return hex.EncodeToString(bytes)
}

// addRow hashes each value with its type and length, so that a byte that moves from one value to the next changes the
// hash.
func (s *Sum) addRow(row []any) error {
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
			return fmt.Errorf("a column contains a %T, want a number, text or bytes", value)
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

// A Reader reads the rows of a table once and computes their Sum. It implements
// pgx.CopyFromSource, so rows stream from one database to the other and only one is in
// memory.
type Reader struct {
	Sum        Sum
	rows       Rows
	columns    []string
	row        []any // values of type int64, string and []byte
	targets    []any
	reportRows func(rows int)
	err        error
}

// NewReader returns a Reader of rows that have these columns. It calls reportRows with the number
// of rows since the previous call: after each 1,000 rows, and after the last one.
func NewReader(rows Rows, columns []string, reportRows func(rows int)) *Reader {
	r := &Reader{rows: rows, columns: columns, reportRows: reportRows}
	r.row, r.targets = make([]any, len(columns)), make([]any, len(columns))
	for i := range r.row {
		r.targets[i] = &r.row[i]
	}
	return r
}

const progressEvery = 1000

// Next reads a row. It returns false after the last row, and after an error, which Err returns.
func (r *Reader) Next() bool {
	if r.err != nil {
		return false
	}
	if !r.rows.Next() {
		r.reportRows(r.Sum.Rows % progressEvery)
		return false
	}
	if r.err = r.readRow(); r.err != nil {
		return false
	}
	if r.Sum.Rows%progressEvery == 0 {
		r.reportRows(progressEvery)
	}
	return true
}

func (r *Reader) readRow() error {
	if err := r.rows.Scan(r.targets...); err != nil {
		return err
	}
	for i, value := range r.row { // converts to the types that Sum hashes, which are the same for both databases
		switch v := value.(type) {
		case int32: // type INTEGER of PostgreSQL
			r.row[i] = int64(v)
		case []byte:
			if v == nil { // SQLite returns nil for an empty BLOB
				r.row[i] = []byte{}
			}
		case string: // SQLite stores any bytes as text, PostgreSQL only UTF-8 without NUL
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return fmt.Errorf("column %s of the row with %s %q is not valid UTF-8 text, which PostgreSQL rejects: "+
					"correct the row first", r.columns[i], r.columns[0], r.row[0])
			}
		}
	}
	return r.Sum.addRow(r.row)
}

// Values returns the row that Next read. It is valid until the next call of Next.
func (r *Reader) Values() ([]any, error) { return r.row, nil }

// Err returns the first error of Next, or the error of the rows.
func (r *Reader) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.rows.Err()
}
