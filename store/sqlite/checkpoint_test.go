package sqlite_test

import (
	"os"
	"testing"
)

// The log must be long enough for many rotations to share a checkpoint, even with a million
// sessions. It must be bounded, because SQLite reads the log after a crash, and each reader
// searches it for pages.
func TestWriteAheadLogIsCheckpointedAtSixteenMebibytes(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	store := open(t, path)
	const statement = count + `INSERT INTO limits (key, tat, sweep_from)
		SELECT printf('%064x', (n + $2) * 7919 * 104729 % 1000003), 1, 1 FROM count`
	const rows = 200
	var longest int64
	for commit := range 120 { // each changes some 200 pages
		if err := store.Exec(t.Context(), statement, rows, commit*rows); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, info.Size())
	}
	const mebi = 1 << 20
	if longest < 15*mebi || longest > 20*mebi {
		t.Errorf("the log grew to %.1f MiB, want about 16", float64(longest)/mebi)
	}
}
