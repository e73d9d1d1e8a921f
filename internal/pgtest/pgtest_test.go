package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

func TestAServerIsKilledAndKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t)
	url := s.Database(t)
	do := func(statement string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context()) //nolint:errcheck // it is a test
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TABLE kept (n INT)")
	s.Kill()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	do("INSERT INTO kept VALUES (1)")
}
