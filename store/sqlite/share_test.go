package sqlite_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

// If two processes (a server and a command) rotate the same session at the same time, only one rotation must succeed.
// Only the conditions in the statements can ensure this, because processes share no locks in memory.
//
// RT-3
func TestTwoProcessesShareOneFile(t *testing.T) {
	t.Parallel()
	const rounds = 200
	path := newDatabasePath(t)
	both := []*sqlite.Store{openStore(t, path), openStore(t, path)}
	if err := insertUser(t, both[0], 1); err != nil {
		t.Fatal(err)
	}
	one := storetest.Session(storetest.User(1).ID, 1)
	err := both[1].Update(t.Context(), func(tx watchword.Tx) error { return tx.InsertSession(t.Context(), one) })
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		var all sync.WaitGroup
		var rotated atomic.Int32
		for n, store := range both {
			all.Go(func() {
				got, err := store.Rotate(t.Context(), storetest.Rotate(one, storetest.Start))
				if err != nil {
					t.Error(err)
				}
				if got.Rotated {
					rotated.Add(1)
				}
			})
			all.Go(func() {
				if err := insertUser(t, store, 2+2*round+n); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if rotated.Load() != 1 || t.Failed() {
			t.Fatalf("generation %d was rotated %d times", one.Generation, rotated.Load())
		}
		one.Generation++
	}
	for _, store := range both {
		wantUsers(t, store, 1+2*rounds)
	}
}
