package main_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// onEachStore runs a test on SQLite and on PostgreSQL, which must behave the same. arguments select the store for
// `serve`.
func onEachStore(t *testing.T, test func(t *testing.T, arguments []string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, nil)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgresArguments(pgtest.Database(t)))
	})
}

func postgresArguments(url string) []string {
	return []string{"--store=" + url, "--master-key=bm90IGEgc2VjcmV0OiBvbmx5IGEga2V5IGluIHRlc3Q="}
}
