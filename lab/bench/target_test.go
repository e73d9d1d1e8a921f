package bench_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/lab/bench"
)

func TestParseTargetSplitsRevisionSettingsAndVariables(t *testing.T) {
	t.Parallel()
	revision, settings, env, err := bench.ParseTarget("ours-sqlite@v1/x+signing-alg=HS256+GOGC=400+hash-workers=2")
	if err != nil || revision != "v1/x" || !slices.Equal(settings, []string{"signing-alg=HS256", "hash-workers=2"}) ||
		!slices.Equal(env, []string{"GOGC=400"}) {
		t.Errorf("%q %q %q %v", revision, settings, env, err)
	}
	for _, spec := range []string{"", "theirs", "ours-sqlite+", "ours-sqlite+a", "bare@main", "express-sqlite+a=b"} {
		if _, _, _, err := bench.ParseTarget(spec); err == nil {
			t.Errorf("%q is accepted", spec)
		}
	}
	for _, name := range bench.DefaultTargets {
		if _, _, _, err := bench.ParseTarget(name); err != nil {
			t.Error(err)
		}
	}
}

func TestRatioOverOneMeansThatTheFirstTargetIsBetter(t *testing.T) {
	t.Parallel()
	round := func(rate, latency, memory float64) bench.Round {
		return bench.Round{Idle: memory, Figures: map[string]bench.Figures{"me": {PerSecond: rate, P99: latency}}}
	}
	first := []bench.Round{round(100, 1, 10), round(200, 1, 10), round(100, 4, 10)}
	other := []bench.Round{round(50, 3, 40), round(50, 3, 20), round(100, 4, 30)}
	median, ratio := bench.Combine(other, first)
	if got := median.Figures["me"]; got.PerSecond != 50 || got.P99 != 3 || median.Idle != 30 {
		t.Errorf("median %+v", median)
	}
	if got := ratio.Figures["me"]; got.PerSecond != 2 || got.P99 != 3 || ratio.Idle != 3 || got.CPU != 0 {
		t.Errorf("ratio %+v", ratio)
	}
}

func TestRevisionsRunInTurnAndLeaveNoWorktree(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "user.name=a",
			"-c", "user.email=a@example.com"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	write("go.mod", "module example.com/a\n\ngo 1.26.0\n")
	write("a_test.go", "package a\nimport \"testing\"\nfunc BenchmarkOld(*testing.B) {}\n")
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "base")
	write("a_test.go", "package a\nimport \"testing\"\nfunc BenchmarkNew(*testing.B) {}\n")

	r := bench.Revisions{Base: "HEAD", Pattern: ".", Packages: []string{"./..."}, Runs: 2, Time: "1x", Dir: dir}
	files, clean, err := bench.RunRevisions(t.Context(), root, r, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"BenchmarkOld", "BenchmarkNew"} {
		text, err := os.ReadFile(files[i])
		if err != nil || strings.Count(string(text), name) != 2 || strings.Count(string(text), "ns/op") != 2 {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	if err := clean(); err != nil {
		t.Error(err)
	}
	if trees := git("worktree", "list"); strings.Count(trees, "\n") != 1 {
		t.Errorf("worktrees:\n%s", trees)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A cancelled comparison must stop its servers and remove its files.
func TestCancelledComparisonLeavesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the server is not built")
	}
	dir, err := os.MkdirTemp("/var/tmp", "watchword-bench-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	plan := bench.Plan{Targets: []string{"bare"}, Rounds: 1, For: time.Hour, Connections: 2, Logins: 1, Dir: dir}
	_, err = bench.Run(ctx, plan, func(step string) {
		if strings.HasSuffix(step, ": lone") {
			cancel()
		}
	}, func(line string) { t.Error(line) })
	if err == nil {
		t.Error("a cancelled comparison succeeds")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	titles, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range titles {
		if title, _ := os.ReadFile(file); strings.Contains(string(title), filepath.Base(dir)) {
			t.Errorf("%s still runs: %q", file, title)
		}
	}
}

// PrepareDatabase must run the statements of external targets without errors. It does not need their programs, which
// are rarely installed.
func TestExternalTargetsPrepareTheirDatabases(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	for _, name := range []string{"first", "second"} { // twice, because roles exist once per cluster, not per database
		if err := bench.PrepareDatabase(t.Context(), cluster, name, "supabase-auth"); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pgx.Connect(t.Context(), cluster.URL("second"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the error does not matter in a test
	var schema string
	if err := conn.QueryRow(t.Context(), "SELECT current_schema()").Scan(&schema); err != nil || schema != "auth" {
		t.Errorf("the current schema is %q, %v; want auth", schema, err)
	}
}

// Run must reject a database that does not wait for the disk, because the comparison would be unfair.
func TestDatabaseWithoutFsyncIsRefused(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t, "fsync = off")
	err := bench.PrepareDatabase(t.Context(), cluster, "unsafe", "ours-postgres")
	if err == nil || !strings.Contains(err.Error(), "fsync") {
		t.Errorf("got %v, want an error about fsync", err)
	}
}
