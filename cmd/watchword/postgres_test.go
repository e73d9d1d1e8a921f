package main_test

import (
	"path/filepath"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// PostgreSQL is killed and restarted repeatedly while the server works. Meanwhile the server must respond with 503
// and reconnect. Acknowledged changes must survive, and users must stay signed in.
func TestCrashOfPostgresLosesNoAcknowledgedChange(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	s := newServer(t, freeAddress(t))
	startServer(t, s, append(postgresArguments(database.Database(t)), "--limits=off", "--log-level=error")...)
	crowd := newConcurrentUsers(newFault(t, "PostgreSQL killed"), s.address)
	for range soakRounds(6) {
		crowd.injectFault(t, func() {
			database.Kill()
			if err := database.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		crowd.checkAcknowledgedChanges(t.Context())
	}
}

// The program must not take a PostgreSQL URL for a path. A folder with that name would show the password.
func TestPostgresURLCreatesNoFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	arguments := postgresArguments("postgres://me:" + weak + "@127.0.0.1:1/auth?sslmode=disable")
	run(t, call{dir: dir, args: append([]string{"migrate"}, arguments...)})
	if made, err := filepath.Glob(filepath.Join(dir, "postgres*")); err != nil || len(made) > 0 {
		t.Errorf("made: %v, %v", made, err)
	}
}
