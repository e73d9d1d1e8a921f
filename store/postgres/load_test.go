package postgres_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// Load must copy all rows. After an error, it must copy none.
func TestLoad(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, "fsync = off")
	for name, test := range map[string]func(*testing.T, *pgtest.Server){
		"every table and column is copied":                wantSameColumns,
		"the copy equals the source":                      wantEqualCopy,
		"a failed load copies no row and can be repeated": wantNoRowAfterFailure,
		"a conflicting writer is named in the error":      wantWriterNamed,
		"load requires an empty database":                 wantErrNotEmpty,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

// Both databases must have the tables of sqlstore.Tables, with the same columns. The test fails if a migration adds a
// table or a column to only one database, or a table that sqlstore.Tables omits.
func wantSameColumns(t *testing.T, server *pgtest.Server) {
	path, url := newSQLiteFile(t), server.Database(t)
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	source := openSQLiteSource(t, path)
	moved := map[string][]string{}
	for _, table := range sqlstore.Tables() {
		columns, err := source.Columns(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		moved[table] = columns
	}
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	if there := tablesOfFile(t, path); !cmp.Equal(there, moved) {
		t.Errorf("SQLite has (-), moved is (+):\n%s", cmp.Diff(there, moved))
	}
	if there := tablesOfServer(t, url); !cmp.Equal(there, moved) {
		t.Errorf("PostgreSQL has (-), moved is (+):\n%s", cmp.Diff(there, moved))
	}
}

// Load must copy every column of every table, including values that are difficult to transfer.
func wantEqualCopy(t *testing.T, server *pgtest.Server) {
	path, url := newSQLiteFile(t), server.Database(t)
	const rowsPerTable = 1500 // so many that Load calls done several times
	fillTables(t, path, rowsPerTable)
	source := openSQLiteSource(t, path)
	seen := map[string]int{}
	loaded, err := postgres.Load(t.Context(), url, source, func(doing string, rows int) { seen[doing] += rows })
	if err != nil {
		t.Fatal(err)
	}
	for i, table := range sqlstore.Tables() {
		if got := loaded[i]; got.Table != table || got.Rows != rowsPerTable || seen["copy "+table] != rowsPerTable ||
			seen["compare "+table] != rowsPerTable {
			t.Errorf("%s: %+v, told of %d and %d", table, got, seen["copy "+table], seen["compare "+table])
		}
		columns, err := source.Columns(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		there, err := source.Rows(t.Context(), table, columns)
		if err != nil {
			t.Fatal(err)
		}
		want := sortedRowTexts(t, there, len(columns))
		if err := there.Close(); err != nil {
			t.Fatal(err)
		}
		here, err := connect(t, url).Query(t.Context(), sqlstore.SelectRows(table, columns))
		if err != nil {
			t.Fatal(err)
		}
		if got := sortedRowTexts(t, here, len(columns)); !slices.Equal(got, want) {
			t.Errorf("%s differs: %s", table, cmp.Diff(want[:3], got[:3]))
		}
	}
}

// After a failed Load, the database must be empty, and a second Load must succeed.
func wantNoRowAfterFailure(t *testing.T, server *pgtest.Server) {
	for name, c := range map[string]struct{ breakIt, mendIt, want string }{
		"a row is changed on its way": {
			`CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.device := 'x'; RETURN NEW; END $$;
			 CREATE TRIGGER meddle BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION meddle()`,
			`DROP TRIGGER meddle ON sessions`, "table sessions differs from the source: got 20 rows with checksum",
		},
		"a row is dropped on its way": {
			`CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
			 CREATE TRIGGER meddle BEFORE INSERT ON limits FOR EACH ROW EXECUTE FUNCTION meddle()`,
			`DROP TRIGGER meddle ON limits`, "table limits differs from the source: got 0 rows",
		},
		"a column is missing": {
			`ALTER TABLE events RENAME detail TO details`, `ALTER TABLE events RENAME details TO detail`, "copy events",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, url := newSQLiteFile(t), server.Database(t)
			fillTables(t, path, 20)
			source := openSQLiteSource(t, path)
			if _, err := postgres.Migrate(t.Context(), url); err != nil {
				t.Fatal(err)
			}
			runCommand(t, url, c.breakIt)
			if err := loadFrom(t, url, source); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			runCommand(t, url, c.mendIt)
			if err := loadFrom(t, url, source); err != nil {
				t.Error(err)
			}
		})
	}
}

func wantErrNotEmpty(t *testing.T, server *pgtest.Server) {
	path, url := newSQLiteFile(t), server.Database(t)
	source := openSQLiteSource(t, path)
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	for _, table := range sqlstore.Tables() {
		if slices.Contains(sqlstore.Seeded(), table) {
			continue
		}
		columns, err := source.Columns(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		runCommand(t, url,
			"INSERT INTO "+table+" VALUES ("+strings.TrimSuffix(strings.Repeat("'1', ", len(columns)), ", ")+")")
		if err := loadFrom(t, url, source); !errors.Is(err, postgres.ErrNotEmpty) ||
			!strings.HasSuffix(err.Error(), "rows in "+table) {
			t.Errorf("with a row in %s: %v", table, err)
		}
		runCommand(t, url, "DELETE FROM "+table)
	}
	if err := loadFrom(t, url, source); err != nil {
		t.Errorf("empty again: %v", err)
	}
}

// If another program writes to the database during Load, the error must name this cause.
func wantWriterNamed(t *testing.T, server *pgtest.Server) {
	path, url := newSQLiteFile(t), server.Database(t)
	fillTables(t, path, 20)
	disturb := func(doing string, _ int) {
		if doing == "copy keys" {
			runCommand(t, url, `INSERT INTO users VALUES ('other', 'text 1 of users', 0, '', '[]', '', 0, 0, 0)`)
		}
	}
	_, err := postgres.Load(t.Context(), url, openSQLiteSource(t, path), disturb)
	if err == nil || !strings.Contains(err.Error(), "another program writes to the database") {
		t.Errorf("got %v", err)
	}
}

func loadFrom(t *testing.T, url string, from *sqlite.Source) error {
	t.Helper()
	_, err := postgres.Load(t.Context(), url, from, func(string, int) {})
	return err
}

// newSQLiteFile returns the path of a file with empty tables.
func newSQLiteFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "watchword.db")
	if _, err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

func openSQLiteSource(t *testing.T, path string) *sqlite.Source {
	t.Helper()
	source, err := sqlite.OpenSource(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source
}

func openSQLite(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// fillTables inserts different values in each column.
func fillTables(t *testing.T, path string, rows int) {
	t.Helper()
	db := openSQLite(t, path)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{"", "Ünïcödé 🦉 \u2028", `"'\N\.,;` + "\t\r\n", strings.Repeat("long ", 200), "\u0001\ufffd", `{"a":"\u0000"}`}
	numbers := []int64{0, -1, 1 << 30, -1 << 31}
	blobs := [][]byte{{}, {0}, {0xff, 0, '\\'}, []byte("\\x00")}
	for _, table := range sqlstore.Tables() {
		if _, err := tx.ExecContext(t.Context(), "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
		kinds := queryStrings(t, tx, "SELECT type || ' ' || pk FROM pragma_table_info('"+table+"')")
		for n := range rows {
			var values []any
			for i, kind := range kinds {
				switch {
				case strings.HasPrefix(kind, "TEXT 1"), table == "users" && i == 1, table == "factors" && i == 5,
					table == "identities" && i == 4:
					values = append(values, fmt.Sprintf("text %d of %s", n, table))
				case strings.HasPrefix(kind, "TEXT"):
					values = append(values, texts[(n+i)%len(texts)])
				case strings.HasPrefix(kind, "BLOB"):
					values = append(values, blobs[(n+i)%len(blobs)])
				case table == "keys", strings.HasSuffix(kind, " 1"):
					values = append(values, n)
				case strings.HasPrefix(kind, "BIGINT"):
					values = append(values, numbers[(n+i)%len(numbers)]<<32)
				default:
					values = append(values, numbers[(n+i)%len(numbers)])
				}
			}
			marks := strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
			if _,
				err := tx.ExecContext(t.Context(), "INSERT INTO "+table+" VALUES ("+marks+")", values...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(tx.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func sortedRowTexts(t *testing.T, answer interface {
	Next() bool
	Scan(...any) error
	Err() error
}, columns int) (rows []string) {
	t.Helper()
	for answer.Next() {
		values, into := make([]any, columns), make([]any, columns)
		for i := range values {
			into[i] = &values[i]
		}
		if err := answer.Scan(into...); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf("%q", values))
	}
	if err := answer.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(rows)
	return rows
}

func tablesOfFile(t *testing.T, path string) map[string][]string {
	t.Helper()
	db, tables := openSQLite(t, path), map[string][]string{}
	for _, table := range queryStrings(t, db,
		"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%'") {
		tables[table] = queryStrings(t, db, "SELECT name FROM pragma_table_info('"+table+"')")
	}
	return tables
}

type rowQuerier interface {
	Query(text string, args ...any) (*sql.Rows, error)
}

func queryStrings(t *testing.T, db rowQuerier, text string) (all []string) {
	t.Helper()
	rows, err := db.Query(text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func tablesOfServer(t *testing.T, url string) map[string][]string {
	t.Helper()
	rows, err := connect(t, url).Query(t.Context(), `SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name NOT LIKE 'goose%' ORDER BY table_name, ordinal_position`)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string][]string{}
	for rows.Next() {
		var table, name string
		if err := rows.Scan(&table, &name); err != nil {
			t.Fatal(err)
		}
		tables[table] = append(tables[table], name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return tables
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func runCommand(t *testing.T, url, text string) {
	t.Helper()
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), text, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
}
