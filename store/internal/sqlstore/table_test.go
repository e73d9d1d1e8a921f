package sqlstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

func TestASumTellsTablesApart(t *testing.T) {
	t.Parallel()
	rows := [][]any{{"a", int64(1), []byte{0}}, {"b", int64(-1), []byte{}}}
	want := sum(t, rows...)
	if got := sum(t, rows[1], rows[0]); got != want {
		t.Error("the order of rows counts")
	}
	if got := sum(t, []any{"a", int32(1), []byte{0}}, rows[1]); got != want {
		t.Error("the width of a number counts")
	}
	for name, other := range map[string][][]any{
		"a row less":             {rows[0]},
		"a row twice":            {rows[0], rows[0]},
		"two rows too many":      {rows[0], rows[1], rows[0], rows[0]},
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
		t.Error("where one text ends and the next begins does not count")
	}
}

// Whatever only SQLite can keep is found before it is sent.
func TestAReadingStopsAtWhatIsNoText(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"a byte 0": "a\x00b", "no UTF-8": "a\xff", "no value": nil, "a fraction": 0.5} {
		answer := &answer{rows: [][]any{{"id-1", "fine"}, {"id-2", value}, {"id-3", "fine"}}}
		reading := sqlstore.NewReading(answer, []string{"id", "name"}, func(int) {})
		for reading.Next() {
		}
		if reading.Err() == nil || reading.Sum.Rows != 1 || reading.Next() {
			t.Errorf("%s: read %d rows, error %v", name, reading.Sum.Rows, reading.Err())
		}
		if _, isText := value.(string); isText && !strings.Contains(reading.Err().Error(), `column name of the row with id "id-2"`) {
			t.Errorf("%s: %v", name, reading.Err())
		}
	}
}

func TestAReadingTellsOfEveryRowAndOfAnError(t *testing.T) {
	t.Parallel()
	rows := make([][]any, 2345)
	for i := range rows {
		rows[i] = []any{int64(i)}
	}
	seen, calls := 0, 0
	reading := sqlstore.NewReading(&answer{rows: rows, err: errors.New("cut")}, []string{"id"}, func(rows int) { seen += rows; calls++ })
	for reading.Next() {
	}
	if seen != len(rows) || calls != 3 || reading.Sum.Rows != len(rows) {
		t.Errorf("told of %d rows in %d calls, read %d", seen, calls, reading.Sum.Rows)
	}
	if err := reading.Err(); err == nil || err.Error() != "cut" {
		t.Errorf("the error is %v", err)
	}
}

func sum(t *testing.T, rows ...[]any) sqlstore.Sum {
	t.Helper()
	reading := sqlstore.NewReading(&answer{rows: rows}, make([]string, len(rows[0])), func(int) {})
	for reading.Next() {
	}
	if err := reading.Err(); err != nil {
		t.Fatal(err)
	}
	return reading.Sum
}

// An answer holds rows as a database gives them.
type answer struct {
	rows [][]any
	next int
	err  error // after the last row
}

func (a *answer) Next() bool { a.next++; return a.next <= len(a.rows) }

func (a *answer) Scan(into ...any) error {
	for i, value := range a.rows[a.next-1] {
		*into[i].(*any) = value
	}
	return nil
}

func (a *answer) Err() error   { return a.err }
func (a *answer) Close() error { return nil }
