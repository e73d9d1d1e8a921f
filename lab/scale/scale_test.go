package scale_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/lab/scale"
)

// Run must rotate the sessions with which it filled its databases, and must drop these databases at the end.
func TestRunFillsMeasuresAndDropsDatabases(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		measure(t, scale.Plan{Store: "sqlite:" + dir})
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url := pgtest.New(t, "fsync = off").URL("postgres")
		rows := measure(t, scale.Plan{
			Store: url + "&pool_max_conns=8", FillFactors: []int{100, 50}, Limits: scale.BothLimits})
		if rows[0].Bytes >= rows[1].Bytes || rows[0].Phases[0].LogBytes == 0 || rows[1].Hot == 0 {
			t.Errorf("got %+v", rows)
		}
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context()) //nolint:errcheck // the error does not matter in a test
		var left int
		err = conn.QueryRow(t.Context(), "SELECT COUNT(*) FROM pg_database WHERE datname LIKE 'watchword%'").Scan(&left)
		if err != nil || left > 0 {
			t.Errorf("%d databases are left, %v", left, err)
		}
	})
}

func measure(t *testing.T, plan scale.Plan) []scale.Row {
	t.Helper()
	plan.Sessions, plan.Clients, plan.For, plan.Rounds = []int{200, 400}, 4, 100*time.Millisecond, 1
	if plan.Limits == "" {
		plan.Limits = scale.NoLimits
	}
	if err := plan.Check(); err != nil {
		t.Fatal(err)
	}
	rows, err := scale.Run(t.Context(), plan, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Phases[0].Rate <= 0 || r.Phases[1].Ratio <= 0 || r.P50 <= 0 || r.P99 < r.P50 {
			t.Errorf("got %+v", r)
		}
	}
	if table := scale.Markdown(rows); strings.Count(table, "\n") != len(rows)+2 {
		t.Errorf("got\n%s", table)
	}
	return rows
}
