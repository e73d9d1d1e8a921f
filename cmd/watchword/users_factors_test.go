package main_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// lostFactors are an authenticator app, an unused passkey of 1Password, and a recovery code. The name of the passkey
// contains control characters that would forge the output.
var lostFactors = []string{
	`INSERT INTO factors (id, user_id, kind, name, sealed, credential_id, record, counter, created_at, last_used_at,
		unproven) SELECT 'one', id, 'totp', 'phone', '', '', '', 0, 1795521600123, 0, 0 FROM users`,
	`INSERT INTO factors (id, user_id, kind, name, sealed, credential_id, record, counter, created_at, last_used_at,
		unproven) SELECT 'two', id, 'passkey', 'work` + "\x1b[2J\nFactors: 0.\u202e" + `', '', 'c', '{"aaguid":"utpVZqeqQB+9lkVhmlUSDQ==","flags":4}',
		0, 1795521600124, 0, 1 FROM users`,
	`INSERT INTO recovery_codes SELECT id, 'hash', 1795521600123 FROM users`,
}

// The user has lost every factor. The operator's commands must show the factors, remove each kind, and remove all.
func TestResetFactorsRemovesThem(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, url, more := t.TempDir(), "", []string(nil)
			if name == "postgres" {
				url = pgtest.Database(t)
				more = postgresArguments(url)
			}
			watchword := func(args ...string) result {
				return run(t, call{dir: dir, args: append(args, more...)})
			}
			if got := watchword("users", "create", ada); got.code != 0 {
				t.Fatal(got.errors)
			}
			for _, insert := range lostFactors {
				if name == "sqlite" {
					executeSQL(t, dir, strings.Replace(insert, "'',", "x'',", 1)) // SQLite needs a BLOB here
				} else {
					execute(t, url, insert)
				}
			}
			got := watchword("users", "factors", ada)
			for _, line := range []string{
				"totp  phone  added 2026-11-24, never used\n",
				"passkey  work\ufffd[2J\ufffdFactors: 0.\ufffd (1Password)  " +
					"added 2026-11-24, not asked for before its first use\n",
				"Factors: 2. Recovery codes left: 1.\n",
			} {
				if !strings.Contains(got.out, line) {
					t.Errorf("no %q in\n%s%s", line, got.out, got.errors)
				}
			}
			for _, c := range []struct{ kind, removed, left string }{
				{"recovery", "Removed the recovery codes of ada@", "Factors: 2. Recovery codes left: 0."},
				{"totp", "Removed the authenticator apps of ada@", "passkey  work"},
			} {
				got := watchword("users", "reset-factors", ada, "--yes", "--kind", c.kind)
				after := watchword("users", "factors", ada)
				if got.code != 0 || !strings.Contains(got.out, c.removed) || !strings.Contains(after.out, c.left) {
					t.Errorf("%s: exit code %d: %s%s\n%s", c.kind, got.code, got.out, got.errors, after.out)
				}
			}
			if got := watchword("users", "reset-factors", ada, "--yes", "--kind", "passkeys"); got.code != 2 {
				t.Errorf("an unknown kind: exit code %d", got.code)
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
