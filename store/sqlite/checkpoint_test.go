package sqlite_test

import (
	"os"
	"testing"
)

// The write-ahead log must grow to about 16 MiB before a checkpoint. With a shorter log, a million sessions would
// cause too many checkpoints. A longer log would slow down recovery after a crash, and also reads, because each read
// searches the log for pages of the database.
func TestWriteAheadLogIsCheckpointedAtSixteenMebibytes(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	store := openStore(t, path)
	const statement = countRows + `INSERT INTO limits (key, tat, sweep_from)
		SELECT printf('%064x', (n + $2) * 7919 * 104729 % 1000003), 1, 1 FROM count`
	const rows = 200
	var longest int64
	for commit := range 120 { // each commit changes some 200 pages of the database
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
