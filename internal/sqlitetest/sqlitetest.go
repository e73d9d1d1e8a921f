// Package sqlitetest creates database files for tests. A new file takes fifty milliseconds, because SQLite syncs each
// migration. A copy of an earlier file takes three milliseconds.
package sqlitetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var template struct {
	sync.Mutex
	file []byte
}

// Path returns the path of a new database in a folder of t, without users. migrateDatabase is sqlite.Migrate,
// which this package must not import. Path calls migrateDatabase only once in each process.
func Path(t testing.TB, migrateDatabase func(ctx context.Context, path string) (applied []string, err error)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "watchword.db")
	file, err := read(t.Context(), migrateDatabase)
	if err = errors.Join(err, os.WriteFile(path, file, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(ctx context.Context, migrateDatabase func(context.Context, string) ([]string, error)) ([]byte, error) {
	template.Lock()
	defer template.Unlock()
	if template.file != nil {
		return template.file, nil
	}
	dir, err := os.MkdirTemp("", "sqlitetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "watchword.db")
	if _, err = migrateDatabase(ctx, path); err != nil {
		return nil, err
	}
	template.file, err = os.ReadFile(path) // the file is complete, because the last Close checkpoints the WAL
	return template.file, err
}
