package main_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// An account whose only factor is lost: the operator removes it, and the count of the user with it.
func TestResetFactorsRemovesThem(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, url, more := t.TempDir(), "", []string(nil)
			if name == "postgres" {
				url = pgtest.New(t).Database(t)
				more = onPostgres(url)
			}
			watchword := func(args ...string) result {
				return run(t, call{dir: dir, args: append(args, more...)})
			}
			if got := watchword("users", "create", ada); got.code != 0 {
				t.Fatal(got.errors)
			}
			const insert = `INSERT INTO factors
				SELECT 'one', id, 'totp', 'phone', '', '', '', 0, 0, 1795521600123, 0 FROM users`
			if name == "sqlite" {
				change(t, dir, strings.Replace(insert, "''", "x''", 1)) // sealed is bytes
			} else {
				execute(t, url, insert)
			}
			if got := watchword("users", "factors", ada); !strings.Contains(got.out, "totp  phone  added 2026-11-24") {
				t.Errorf("%s%s", got.out, got.errors)
			}
			if got := watchword("users", "reset-factors", ada); got.code == 0 {
				t.Error("it does not ask")
			}
			if got := watchword("users", "reset-factors", ada, "--yes"); got.code != 0 ||
				!strings.Contains(got.out, ada) {
				t.Errorf("exit code %d: %s%s", got.code, got.out, got.errors)
			}
			if got := watchword("users", "factors", ada, "--json"); !strings.Contains(got.out, `"factors": []`) {
				t.Errorf("%s%s", got.out, got.errors)
			}
		})
	}
}
