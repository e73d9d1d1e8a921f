package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/watchword-auth/watchword/store/storetest"
)

// OPS-1
func TestReadinessFollowsAFullDisk(t *testing.T) {
	t.Parallel()
	store := openStore(t, newDatabasePath(t))
	engine := storetest.ReadyEngine(t, store)
	if err := store.FillUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := 0; insertUser(t, store, n) == nil; n++ {
		if n > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	storetest.WantReady(t, engine, false)
	if err := store.MakeRoom(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.WantReady(t, engine, true)
}

// OPS-1
func TestReadinessFollowsAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	store := openStore(t, newDatabasePath(t))
	engine := storetest.ReadyEngine(t, store)
	for _, readOnly := range []int{1, 0} {
		if err := store.Exec(t.Context(), fmt.Sprintf("PRAGMA query_only = %d", readOnly)); err != nil {
			t.Fatal(err)
		}
		storetest.WantReady(t, engine, readOnly == 0)
	}
}
