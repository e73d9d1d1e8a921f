package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

// RT-9
func TestFullDiskReturnsErrUnavailableAndLosesNothing(t *testing.T) {
	t.Parallel()
	store := openStore(t, newDatabasePath(t))
	if err := insertUser(t, store, 0); err != nil {
		t.Fatal(err)
	}
	if err := store.FillUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	users := 1
	for n := 1; ; n++ {
		if n > 1000 {
			t.Fatal("the disk is never full")
		}
		if err := insertUser(t, store, n); err != nil {
			wantUnavailable(t, "update", err)
			break
		}
		users++
	}
	wantUsers(t, store, users)

	// The first charge of a rate limit inserts a row, so it needs disk space.
	var err error
	for n := 0; err == nil && n < 1000; n++ {
		_, err = store.Rotate(t.Context(), watchword.RotateRequest{Charges: []watchword.Charge{
			{Key: fmt.Sprint(strings.Repeat("x", 1000), n), Cost: 1, Span: 1, At: storetest.Start},
		}})
	}
	wantUnavailable(t, "rotate", err)

	if err := store.MakeRoom(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := insertUser(t, store, 2000); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	wantUsers(t, store, users+1)
}

func TestReadOnlyDatabaseReturnsErrUnavailable(t *testing.T) {
	t.Parallel()
	store := openStore(t, newDatabasePath(t))
	if err := store.Exec(t.Context(), "PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, "update", insertUser(t, store, 1))
	_, err := store.Rotate(t.Context(), storetest.Rotate(storetest.Session("", 1), storetest.Start))
	wantUnavailable(t, "rotate", err)
	wantUsers(t, store, 0)
}

func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		if err := insertUser(t, store, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(store.Check(t.Context()), store.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id := string(storetest.User(50).ID)
	damaged := strings.ReplaceAll(string(content), id, "zzzzzzzz"+id[8:]) // the index is now unsorted
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openStore(t, path).Check(t.Context()); err == nil {
		t.Error("the damage is not found")
	}
}
