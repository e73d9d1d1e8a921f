package main_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// An operator has removed the provider of two users from the settings. `watchword doctor` must count the users who
// can't sign in now.
//
// SW-26
func TestDoctorCountsTheUsersOfARemovedProvider(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, more, empty := t.TempDir(), []string(nil), `x''`
			update := func(statement string) { executeSQL(t, dir, statement) }
			if name == "postgres" {
				url := pgtest.Database(t)
				more, empty = postgresArguments(url), `''`
				update = func(statement string) { execute(t, url, statement) }
			}
			watchword := func(args ...string) result {
				return run(t, call{dir: dir, args: append(args, more...)})
			}
			for _, who := range []string{ada, "bob@example.com", "key@example.com", "passkey@example.com"} {
				if got := watchword("users", "create", who); got.code != 0 {
					t.Fatal(got.errors)
				}
			}
			if got := watchword("doctor"); strings.Contains(got.out, "removed") {
				t.Errorf("without identities:\n%s", got.out)
			}
			update(`INSERT INTO identities (id, user_id, provider, issuer, subject, email, linked_at, last_used_at)
				SELECT id, id, 'gone', 'https://gone.example', id, '', 1795521600123, 0 FROM users`)
			update(`UPDATE users SET verified_at = 1795521600123 WHERE email IN ('` + ada + `', 'key@example.com')`)
			// The passkey of key@example.com has no user verification, so it is only a second factor. The passkey of
			// passkey@example.com has user verification, so it is enough to sign in.
			update(`INSERT INTO factors (id, user_id, kind, name, sealed, credential_id, record, counter, created_at,
					last_used_at, unproven)
				SELECT id, id, 'passkey', 'x', ` + empty + `, id,
					CASE email WHEN 'key@example.com' THEN '{"flags":1}' ELSE '{"flags":5}' END, 0, 1795521600123, 0, 0
				FROM users WHERE email IN ('key@example.com', 'passkey@example.com')`)
			got := watchword("doctor")
			for _, line := range []string{
				"fail  provider    " +
					"Users of a removed provider who can't sign in, because their address is not proven: 1.\n",
				"warn  provider    Users of a removed provider who can sign in after a password reset: 2.\n",
			} {
				if !strings.Contains(got.out, line) || got.code != 1 {
					t.Errorf("exit code %d, no %q in\n%s%s", got.code, line, got.out, got.errors)
				}
			}
		})
	}
}
