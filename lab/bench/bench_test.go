package bench_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/lab/bench"
)

// peersVariable is an environment variable that lists additional targets, such as express-sqlite,better-auth. The
// test omits them by default, because they need npm packages or long builds.
const peersVariable = "WATCHWORD_TEST_PEERS"

// Each scenario must run against the real server without errors. The test does not check times.
func TestComparisonMeasuresEveryScenario(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the server is not built")
	}
	dir, err := os.MkdirTemp("/var/tmp", "watchword-bench-test-") // fsync has no effect in memory, such as /tmp
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	plan := bench.Plan{
		Targets: []string{"ours-sqlite", "bare"}, Rounds: 1, For: 200 * time.Millisecond,
		Connections: 4, Logins: 2, Dir: dir,
	}
	if more := os.Getenv(peersVariable); more != "" {
		plan.Targets = append(plan.Targets, strings.Split(more, ",")...)
	}
	if err := plan.Check(); err != nil {
		t.Fatal(err)
	}
	results, err := bench.Run(t.Context(), plan, func(string) {}, func(line string) { t.Error(line) })
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(plan.Targets) {
		t.Fatalf("%d results for %d targets", len(results), len(plan.Targets))
	}
	for _, r := range results {
		if r.Error != "" || r.Median.ReadyAgain <= 0 || r.Median.Idle <= 0 || r.Median.Peak < r.Median.Idle {
			t.Errorf("%+v", r)
		}
		for name, f := range r.Median.Figures {
			if f.Count == 0 || f.P50 <= 0 || f.P99 < f.P50 {
				t.Errorf("%s, %s: %+v", r.Target, name, f)
			}
		}
	}
	for _, name := range []string{"lone refresh", "lone me", "sign-up", "login", "refresh", "me", "storm login",
		"storm refresh", "storm me", "fairness alone", "fairness beside", "fairness crowd", "logout"} {
		if results[0].Median.Figures[name].Count == 0 {
			t.Errorf("%s was not measured", name)
		}
	}
	if table := bench.Markdown(results); strings.Count(table, "| ours-sqlite |") != 3 ||
		strings.Count(table, "| bare |") != 6 {
		t.Errorf("got\n%s", table)
	}
	if _, err := json.Marshal(results); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(plan.Dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
