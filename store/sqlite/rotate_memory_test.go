package sqlite_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

// Rotate computes its result from the row in memory. This result, and the row that Live returns, must match the file,
// even after writes of another process.
//
// RT-11
func TestRowsInMemoryMatchTheFileBesideWritesOfTwoStores(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	stores := []*sqlite.Store{openStore(t, path), openStore(t, path)}
	const each = 2
	for n := range testUsers {
		addUserWithSessions(t, stores[0], n, each)
	}
	now, rotated := storetest.Start, 0
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			// The store rounds times down to milliseconds, so the test also uses fractions.
			now = now.Add(time.Second + 300*time.Microsecond)
			n := rapid.IntRange(0, testUsers-1).Draw(t, "user")
			id := storetest.Session("", n*each+rapid.IntRange(0, each-1).Draw(t, "session")).ID
			store := stores[rapid.IntRange(0, 1).Draw(t, "store")]
			write := writesOfAllKinds[rapid.IntRange(0, len(writesOfAllKinds)-1).Draw(t, "write")]
			if rapid.Bool().Draw(t, "rotate") {
				if wantRotationMatchesFile(t, store, id, now) {
					rotated++
				}
				wantLiveMatchesFile(t, store, id, "a rotation")
			} else if err := write.run(context.Background(), store, storetest.User(n).ID, id, now); err != nil {
				t.Fatalf("%s: %v", write.name, err)
			}
			wantLiveMatchesFile(t, stores[rapid.IntRange(0, 1).Draw(t, "reader")], id, write.name)
		}
	})
	if rotated == 0 {
		t.Error("no step rotated a session")
	}
}

// wantRotationMatchesFile presents the newest token twice at the same time. It reports whether the session was
// rotated.
func wantRotationMatchesFile(t *rapid.T, store *sqlite.Store, id watchword.SessionID, at time.Time) bool {
	t.Helper()
	ctx := context.Background()
	before, user, err := readWithoutLive(ctx, store, id)
	if err != nil {
		if ignoreNotFound(err) != nil {
			t.Fatal(err)
		}
		before.ID = id
	}
	results, errs := [2]watchword.RotateResult{}, [2]error{}
	var both sync.WaitGroup
	for n := range results {
		both.Go(func() { results[n], errs[n] = store.Rotate(ctx, storetest.Rotate(before, at)) })
	}
	both.Wait()
	if errs[0] != nil || errs[1] != nil || results[0].Rotated && results[1].Rotated {
		t.Fatalf("got %+v, %v", results, errs)
	}
	got := results[0]
	if results[1].Rotated {
		got = results[1]
	}
	alive := err == nil && before.EndedAt.IsZero() && !user.Disabled()
	if got.Rotated != alive {
		t.Fatalf("rotated: %t, but before the session was %+v of %+v", got.Rotated, before, user)
	}
	if !alive {
		return false
	}
	session, user, err := readWithoutLive(ctx, store, id)
	if err != nil || !reflect.DeepEqual(got.Session, session) || !reflect.DeepEqual(got.User, user) {
		t.Fatalf("Rotate returns %+v %+v\nthe file holds %+v %+v %v", got.Session, got.User, session, user, err)
	}
	return true
}
