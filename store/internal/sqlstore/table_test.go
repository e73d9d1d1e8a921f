package sqlstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

func TestSumDiffersForDifferentTables(t *testing.T) {
	t.Parallel()
	rows := [][]any{{"a", int64(1), []byte{0}}, {"b", int64(-1), []byte{}}}
	want := sum(t, rows...)
	if got := sum(t, rows[1], rows[0]); got != want {
		t.Error("the sum depends on the order of rows")
	}
	if got := sum(t, []any{"a", int32(1), []byte{0}}, rows[1]); got != want {
		t.Error("the sum depends on the width of a number")
	}
	for name, other := range map[string][][]any{
		"a missing row":          {rows[0]},
		"a row twice":            {rows[0], rows[0]},
		"two more rows":          {rows[0], rows[1], rows[0], rows[0]},
		"another text":           {{"a ", int64(1), []byte{0}}, rows[1]},
		"another number":         {{"a", int64(2), []byte{0}}, rows[1]},
		"other bytes":            {{"a", int64(1), []byte{1}}, rows[1]},
		"text for bytes":         {{"a", int64(1), "\x01"}, rows[1]},
		"values of rows swapped": {{"a", int64(-1), []byte{0}}, {"b", int64(1), []byte{}}},
	} {
		if sum(t, other...) == want {
			t.Errorf("%s: the same sum", name)
		}
	}
	if sum(t, []any{"ab", "c"}) == sum(t, []any{"a", "bc"}) {
		t.Error("the sum does not depend on where one text ends")
	}
}

// SQLite can store values that PostgreSQL can't. Reader must reject such values before they are sent to PostgreSQL.
func TestReaderRejectsInvalidText(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"NUL": "a\x00b", "invalid UTF-8": "a\xff", "NULL": nil, "a float": 0.5,
	} {
		result := &fakeRows{rows: [][]any{{"id-1", "fine"}, {"id-2", value}, {"id-3", "fine"}}}
		reader := sqlstore.NewReader(result, []string{"id", "name"}, func(int) {})
		for reader.Next() {
		}
		if reader.Err() == nil || reader.Sum.Rows != 1 || reader.Next() {
			t.Errorf("%s: read %d rows, error %v", name, reader.Sum.Rows, reader.Err())
		}
		const where = `column name of the row with id "id-2"`
		if _, isText := value.(string); isText && !strings.Contains(reader.Err().Error(), where) {
			t.Errorf("%s: %v", name, reader.Err())
		}
	}
}

func TestReaderReportsProgressAndErrors(t *testing.T) {
	t.Parallel()
	rows := make([][]any, 2345)
	for i := range rows {
		rows[i] = []any{int64(i)}
	}
	seen, calls := 0, 0
	result := &fakeRows{rows: rows, err: errors.New("cut")}
	reader := sqlstore.NewReader(result, []string{"id"}, func(rows int) { seen += rows; calls++ })
	for reader.Next() {
	}
	if seen != len(rows) || calls != 3 || reader.Sum.Rows != len(rows) {
		t.Errorf("progress of %d rows in %d calls, read %d", seen, calls, reader.Sum.Rows)
	}
	if err := reader.Err(); err == nil || err.Error() != "cut" {
		t.Errorf("the error is %v", err)
	}
}

func sum(t *testing.T, rows ...[]any) sqlstore.Sum {
	t.Helper()
	reader := sqlstore.NewReader(&fakeRows{rows: rows}, make([]string, len(rows[0])), func(int) {})
	for reader.Next() {
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	return reader.Sum
}

type fakeRows struct {
	rows [][]any
	next int
	err  error // returned after the last row
}

func (r *fakeRows) Next() bool { r.next++; return r.next <= len(r.rows) }

func (r *fakeRows) Scan(into ...any) error {
	for i, value := range r.rows[r.next-1] {
		*into[i].(*any) = value
	}
	return nil
}

func (r *fakeRows) Err() error   { return r.err }
func (r *fakeRows) Close() error { return nil }
