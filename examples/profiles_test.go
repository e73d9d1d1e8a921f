package examples_test

import (
	"database/sql"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/watchword-auth/watchword/embedded" // registers the driver of SQLite
)

// The example must create a row for each account, whether the server or the command line created the account. This
// includes accounts that the command line created while the example did not run.
func TestProfilesExampleCreatesARowAtSignUp(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	bin, dir := t.TempDir(), filepath.Join(t.TempDir(), "data")
	for _, program := range []string{"./profiles", "../cmd/watchword"} {
		build := exec.Command("go", "build", "-o", bin+"/", program)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	address := "127.0.0.1:" + freePort(t)
	line := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "watchword"), args...)
		cmd.Env = append(serverEnvironment(), "WATCHWORD_DATA_DIR="+dir, "WATCHWORD_PUBLIC_URL=http://"+address)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("watchword %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	line("users", "create", "bo@example.com")
	p := startExample(t, t.TempDir(), []string{"ADDRESS=" + address, "DATA_DIR=" + dir}, filepath.Join(bin, "profiles"))
	var in struct{ AccessToken string }
	p.post(t, "/api/auth/register", "", `{"email":"ada@example.com","password":"seven purple otters","name":"Ada"}`, &in)
	awaitCondition(t, "the profile", func() bool {
		status, _, body := p.getWithToken(t, "/profile", in.AccessToken)
		return status == 200 && strings.Contains(body, `"Greeting":"Welcome"`)
	})
	line("sessions", "end", "ada@example.com", "--yes")

	db, err := sql.Open("sqlite", filepath.Join(dir, "application.db")+"?_pragma=busy_timeout(5000)")
	must(t, err)
	defer db.Close() //nolint:errcheck // the test only reads
	rows := func(query string) (n int) {
		must(t, db.QueryRowContext(t.Context(), query).Scan(&n))
		return n
	}
	awaitCondition(t, "both profiles", func() bool { return rows(`SELECT COUNT(*) FROM profiles`) == 2 })
	awaitCondition(t, "the end of the session", func() bool {
		return rows(`SELECT COUNT(*) FROM endings WHERE why = 'ended_by_operator'`) == 1
	})
}

// awaitCondition fails the test after 20 s.
func awaitCondition(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not appear", what)
		}
	}
}
