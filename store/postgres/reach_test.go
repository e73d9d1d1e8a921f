package postgres_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
	"github.com/watchword-auth/watchword/store/postgres"
)

var updateDocs = flag.Bool("update", false, "write the table of docs/scale.md again")

// Each statement must find its rows by an index, and no statement may scan a table, because a table may have the rows
// of a hundred million users. The table in docs/scale.md must show two things for each statement: the indexes that
// PostgreSQL uses, and the key, which would select the shard in a sharded database.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	t.Parallel()
	conn := connectForPlans(t, pgtest.New(t, "fsync = off"))
	var table strings.Builder
	table.WriteString("| statement | its rows are found by | index |\n| --- | --- | --- |\n")
	for _, s := range append(sqlstore.Statements(), sqlstore.Statement{
		Name: "RotateStatement", Text: sqlstore.RotateStatement(2), By: sqlstore.BySessionAndUser,
	}, sqlstore.Statement{
		Name: "RotateManyStatement", Text: sqlstore.RotateManyStatement(), By: sqlstore.BySessionAndUser,
	}, sqlstore.Statement{
		Name: "LiveStatement", Text: sqlstore.LiveStatement(), By: sqlstore.BySessionAndUser,
	}) {
		used := map[string]bool{}
		for _, step := range queryPlan(t, conn, s.Text) {
			if step.Condition != "" {
				used["`"+step.Index+"`"] = true
			}
			whole := step.Type == "Seq Scan" || step.Index != "" && step.Condition == ""
			if whole && !slices.Contains(smallTables, step.Table) {
				t.Errorf("%s: %s reads all of %s %s", s.Name, step.Type, step.Table, step.Index)
			}
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.Name, s.By, strings.Join(slices.Sorted(maps.Keys(used)), ", "))
	}
	wantTableInDocument(t, "../../docs/scale.md", table.String())
}

// smallTables may be scanned: keys, the single row of the feed, service keys, and unsent mails.
var smallTables = []string{"keys", "feed", "mails", "service_keys"}

// wantTableInDocument fails if the document does not contain the table. With the flag -update, it writes the table
// into the document instead.
func wantTableInDocument(t *testing.T, path, table string) {
	t.Helper()
	const begin, end = "<!-- statements -->\n\n", "\n<!-- end of statements -->\n"
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(document), begin)
	have, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatalf("%s has no place for the table", path)
	case *updateDocs:
		err = os.WriteFile(path, []byte(before+begin+table+end+after), 0o644)
	case have != table:
		err = fmt.Errorf(
			"its table is out of date: run go test -run EveryStatementUsesAnIndex ./store/postgres -update")
	}
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

// connectForPlans returns a connection to a new database with all tables. Because the tables are empty, the settings
// of the connection make the planner prefer any index to a scan, as for large tables. The planner must also plan for
// unknown parameters.
func connectForPlans(t *testing.T, server *pgtest.Server) *pgx.Conn {
	t.Helper()
	url := server.Database(t)
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

type planNode struct {
	Type      string     `json:"Node Type"`
	Table     string     `json:"Relation Name"`
	Index     string     `json:"Index Name"`
	Condition string     `json:"Index Cond"`
	Arbiters  []string   `json:"Conflict Arbiter Indexes"`
	Plans     []planNode `json:"Plans"`
}

func queryPlan(t *testing.T, conn *pgx.Conn, text string) (steps []planNode) {
	t.Helper()
	highest := len(slices.Compact(slices.Sorted(slices.Values(regexp.MustCompile(`\$\d+`).FindAllString(text, -1)))))
	execute := "EXECUTE this"
	if highest > 0 {
		execute += "(NULL" + strings.Repeat(", NULL", highest-1) + ")"
	}
	if _, err := conn.Exec(t.Context(), "DEALLOCATE ALL; PREPARE this AS "+text); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	var answer []struct{ Plan planNode }
	var source []byte
	err := conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+execute, pgx.QueryExecModeSimpleProtocol).Scan(&source)
	if err == nil {
		err = json.Unmarshal(source, &answer)
	}
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return flatten(answer[0].Plan)
}

func flatten(s planNode) []planNode {
	steps := []planNode{s}
	for _, index := range s.Arbiters {
		steps = append(steps, planNode{Type: "Conflict", Index: index, Condition: "the row to be added"})
	}
	for _, below := range s.Plans {
		steps = append(steps, flatten(below)...)
	}
	return steps
}
