package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

// These tests check that Live returns the current row although it keeps rows in memory and other processes write to
// the file. A second Store in this process acts like a store of another process: the two stores see each other's
// commits only through the file.

// RT-11
func TestLiveMatchesAReadOfTheFileAfterEveryWriteOfTwoStores(t *testing.T) {
	t.Parallel()
	withAndWithoutWALIndex(t, testLiveMatchesAReadOfTheFile)
}

// withAndWithoutWALIndex runs a test with two stores of one file. It then runs the test again without the WAL-index,
// so that the stores read the version from the file at each call.
func withAndWithoutWALIndex(t *testing.T, test func(*testing.T, []*sqlite.Store)) {
	runs := []string{"with the WAL-index", "without the WAL-index"}
	if testing.Short() {
		runs = runs[:1]
	}
	for _, name := range runs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newDatabasePath(t)
			stores := []*sqlite.Store{openStore(t, path), openStore(t, path)}
			if name == "without the WAL-index" {
				stores[0].ForgetWALIndex()
				stores[1].ForgetWALIndex()
			}
			test(t, stores)
		})
	}
}

func testLiveMatchesAReadOfTheFile(t *testing.T, stores []*sqlite.Store) {
	const each = 3
	for n := range testUsers {
		addUserWithSessions(t, stores[0], n, each)
	}
	now := storetest.Start
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Second)
			n := rapid.IntRange(0, testUsers-1).Draw(t, "user")
			id := storetest.Session("", n*each+rapid.IntRange(0, each-1).Draw(t, "session")).ID
			writer := stores[rapid.IntRange(0, 1).Draw(t, "writer")]
			write := writesOfAllKinds[rapid.IntRange(0, len(writesOfAllKinds)-1).Draw(t, "write")]
			t.Log(write.name)
			if err := write.run(context.Background(), writer, storetest.User(n).ID, id, now); err != nil {
				t.Fatalf("%s: %v", write.name, err)
			}
			for range rapid.IntRange(0, 4).Draw(t, "reads") {
				n := rapid.IntRange(0, testUsers*each-1).Draw(t, "read session")
				reader := stores[rapid.IntRange(0, 1).Draw(t, "reader")]
				wantLiveMatchesFile(t, reader, storetest.Session("", n).ID, write.name)
			}
		}
	})
}

const testUsers = 3

// writesOfAllKinds also contains some writes that change neither a session nor its user.
var writesOfAllKinds = []struct {
	name string
	run  func(context.Context, *sqlite.Store, watchword.UserID, watchword.SessionID, time.Time) error
}{
	{"rotate",
		func(ctx context.Context, s *sqlite.Store, _ watchword.UserID, id watchword.SessionID, at time.Time) error {
			return presentNewestToken(ctx, s, id, at)
		}},
	{"end the session", asUpdate(func(
		ctx context.Context, tx watchword.Tx, _ watchword.UserID, id watchword.SessionID, at time.Time) error {
		_, err := tx.EndSession(ctx, id, watchword.EndedLogout, at)
		return err
	})},
	{"end all sessions of the user", asUpdate(func(
		ctx context.Context, tx watchword.Tx, u watchword.UserID, id watchword.SessionID, at time.Time) error {
		_, err := tx.EndSessions(ctx, u, id, watchword.EndedLogoutAll, at)
		return err
	})},
	{"end the oldest sessions", asUpdate(func(
		ctx context.Context, tx watchword.Tx, u watchword.UserID, _ watchword.SessionID, at time.Time) error {
		_, err := tx.EndOldestSessions(ctx, u, 1, watchword.EndedTooMany, storetest.Policy().Cutoffs(at))
		return err
	})},
	{"end every session", asUpdate(func(
		ctx context.Context, tx watchword.Tx, _ watchword.UserID, _ watchword.SessionID, at time.Time) error {
		_, _, err := tx.EndNextSessions(ctx, "", 100, watchword.EndedOperator, at)
		return err
	})},
	{"delete ended sessions", asUpdate(func(
		ctx context.Context, tx watchword.Tx, _ watchword.UserID, _ watchword.SessionID, at time.Time) error {
		_, err := tx.Sweep(ctx, watchword.SweepSessions, at, 100)
		return err
	})},
	{"sign in again", asUpdate(func(
		ctx context.Context, tx watchword.Tx, u watchword.UserID, id watchword.SessionID, at time.Time) error {
		if _, err := tx.User(ctx, u); err != nil {
			return ignoreNotFound(err)
		}
		if _, _, err := tx.Session(ctx, id); !errors.Is(err, watchword.ErrNotFound) {
			return err
		}
		one := storetest.Session(u, 0)
		one.ID, one.CreatedAt, one.RotatedAt = id, at, at
		return tx.InsertSession(ctx, one)
	})},
	{"forgive", asUpdate(func(
		ctx context.Context, tx watchword.Tx, _ watchword.UserID, id watchword.SessionID, _ time.Time) error {
		_, err := tx.Forgive(ctx, id, 0)
		return err
	})},
	{"change the roles", asUpdate(func(
		ctx context.Context, tx watchword.Tx, u watchword.UserID, _ watchword.SessionID, at time.Time) error {
		return ignoreNotFound(tx.SetRoles(ctx, u, []string{fmt.Sprint("role", at.Unix())}, at.Truncate(time.Second)))
	})},
	{"disable", asUpdate(func(
		ctx context.Context, tx watchword.Tx, u watchword.UserID, _ watchword.SessionID, at time.Time) error {
		return ignoreNotFound(tx.SetDisabled(ctx, u, at))
	})},
	{"rename", asUpdate(func(
		ctx context.Context, tx watchword.Tx, u watchword.UserID, _ watchword.SessionID, at time.Time) error {
		return ignoreNotFound(tx.SetName(ctx, u, fmt.Sprint(at.Unix())))
	})},
	{"delete the user", asUpdate(func(
		ctx context.Context, tx watchword.Tx, u watchword.UserID, _ watchword.SessionID, _ time.Time) error {
		_, err := tx.DeleteUser(ctx, u)
		return err
	})},
	{"insert the user", asUpdate(func(
		ctx context.Context, tx watchword.Tx, u watchword.UserID, _ watchword.SessionID, at time.Time) error {
		for n := range testUsers {
			if one := storetest.User(n); one.ID == u {
				_, err := tx.InsertUser(ctx, one, at)
				return err
			}
		}
		return nil
	})},
	{"number the feed", asUpdate(func(
		ctx context.Context, tx watchword.Tx, _ watchword.UserID, _ watchword.SessionID, at time.Time) error {
		_, err := tx.NumberFeed(ctx, at.UnixMicro(), 10)
		return err
	})},
	{"roll back",
		func(ctx context.Context, s *sqlite.Store, u watchword.UserID, id watchword.SessionID, at time.Time) error {
			errUndo := errors.New("undo")
			err := s.Update(ctx, func(tx watchword.Tx) error {
				_, err := tx.EndSession(ctx, id, watchword.EndedLogout, at)
				return errors.Join(err, ignoreNotFound(tx.SetDisabled(ctx, u, at)), errUndo)
			})
			if errors.Is(err, errUndo) {
				return nil
			}
			return err
		}},
}

type writeFunc func(context.Context, watchword.Tx, watchword.UserID, watchword.SessionID, time.Time) error

func asUpdate(
	fn writeFunc,
) func(context.Context, *sqlite.Store, watchword.UserID, watchword.SessionID, time.Time) error {
	return func(ctx context.Context, s *sqlite.Store, u watchword.UserID, id watchword.SessionID, at time.Time) error {
		return s.Update(ctx, func(tx watchword.Tx) error { return fn(ctx, tx, u, id, at) })
	}
}

func ignoreNotFound(err error) error {
	if errors.Is(err, watchword.ErrNotFound) {
		return nil
	}
	return err
}

func presentNewestToken(ctx context.Context, s *sqlite.Store, id watchword.SessionID, at time.Time) error {
	session, _, err := readWithoutLive(ctx, s, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	_, err = s.Rotate(ctx, storetest.Rotate(session, at))
	return err
}

func readWithoutLive(
	ctx context.Context, s *sqlite.Store, id watchword.SessionID,
) (session watchword.Session, user watchword.User, err error) {
	err = s.View(ctx, func(tx watchword.Tx) error {
		session, user, err = tx.Session(ctx, id)
		return err
	})
	return session, user, err
}

func wantLiveMatchesFile(t rapid.TB, s *sqlite.Store, id watchword.SessionID, after string) {
	t.Helper()
	ctx := context.Background()
	session, user, err := s.Live(ctx, id)
	wantSession, wantUser, wantErr := readWithoutLive(ctx, s, id)
	if errors.Is(err, watchword.ErrNotFound) && errors.Is(wantErr, watchword.ErrNotFound) {
		return
	}
	if err != nil || wantErr != nil || !reflect.DeepEqual(session, wantSession) || !reflect.DeepEqual(user, wantUser) {
		t.Fatalf("after %q:\nLive returns    %+v %+v %v\nthe file holds %+v %+v %v",
			after, session, user, err, wantSession, wantUser, wantErr)
	}
}

func addUserWithSessions(t testing.TB, s *sqlite.Store, n, sessions int) {
	t.Helper()
	ctx := t.Context()
	err := s.Update(ctx, func(tx watchword.Tx) error {
		if _, err := tx.InsertUser(ctx, storetest.User(n), storetest.Start); err != nil {
			return err
		}
		for i := range sessions {
			if err := tx.InsertSession(ctx, storetest.Session(storetest.User(n).ID, n*sessions+i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Two stores write while other goroutines read. A read that begins after a write has returned must see this write or
// a later one.
//
// RT-11
func TestLiveBesideWritersNeverReturnsAStateFromBeforeACommit(t *testing.T) {
	t.Parallel()
	withAndWithoutWALIndex(t, testLiveBesideWriters)
}

func testLiveBesideWriters(t *testing.T, stores []*sqlite.Store) {
	const sessions = 8
	rotations := 50
	if testing.Short() {
		rotations = 10
	}
	addUserWithSessions(t, stores[0], 0, sessions)
	var committed [sessions]atomic.Int64 // for each session, the newest generation that Rotate has returned
	var writing, reading sync.WaitGroup
	for session := range sessions {
		writing.Go(func() {
			for n := range rotations {
				err := presentNewestToken(t.Context(), stores[rand.IntN(2)], storetest.Session("", session).ID,
					storetest.Start.Add(time.Duration(n)*time.Second))
				if err != nil {
					t.Error(err)
					return
				}
				committed[session].Store(int64(n) + 1)
				if n%10 == 0 { // a commit that is not a rotation
					err = stores[n/10%2].Update(t.Context(), func(tx watchword.Tx) error {
						return tx.SetName(t.Context(), storetest.User(0).ID, fmt.Sprint(n))
					})
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	done := make(chan struct{})
	for range 4 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				session := rand.IntN(sessions)
				least := committed[session].Load()
				got, _, err := stores[rand.IntN(2)].Live(t.Context(), storetest.Session("", session).ID)
				if err != nil || got.Generation < least {
					t.Errorf("got generation %d (error %v), but %d was committed before", got.Generation, err, least)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
}

// A write must drop only the rows that it changes. Otherwise, Live would usually have to read the file on a busy
// server.
func TestOwnWritesDropOnlyTheRowsThatTheyChange(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	store, other := openStore(t, path), openStore(t, path)
	ctx := t.Context()
	for n := range 2 {
		addUserWithSessions(t, store, n, 2) // user 0 has sessions 0 and 1, user 1 has 2 and 3
	}
	readAll := func() {
		for n := range 4 {
			if _, _, err := store.Live(ctx, storetest.Session("", n).ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	update := func(s *sqlite.Store, fn func(watchword.Tx) error) func() error {
		return func() error { return s.Update(ctx, fn) }
	}
	for _, c := range []struct {
		name  string
		write func() error
		kept  int
	}{
		{"nothing", func() error { return nil }, 4},
		{"a rotation",
			func() error { return presentNewestToken(ctx, store, storetest.Session("", 0).ID, storetest.Start) }, 4},
		{"a sign-in", update(store, func(tx watchword.Tx) error {
			return tx.InsertSession(ctx, storetest.Session(storetest.User(0).ID, 9))
		}), 4},
		{"a rename",
			update(store, func(tx watchword.Tx) error { return tx.SetName(ctx, storetest.User(1).ID, "Eve") }), 2},
		{"numbers of the feed", update(store, func(tx watchword.Tx) error {
			_, err := tx.NumberFeed(ctx, 1, 10)
			return err
		}), 4},
		{"a write of another store", update(other, func(tx watchword.Tx) error {
			return tx.SetName(ctx, storetest.User(1).ID, "Eva")
		}), 1}, // all sessions are dropped, and one was read after the write
	} {
		readAll()
		if err := c.write(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.name == "a write of another store" {
			if _, _, err := store.Live(ctx, storetest.Session("", 0).ID); err != nil {
				t.Fatal(err)
			}
		}
		if got := store.InMemory(); got != c.kept {
			t.Errorf("after %s, %d of 4 sessions are in memory, want %d", c.name, got, c.kept)
		}
	}
}

// Live must read the version of the file once after each commit of any process, and not at other calls.
func TestLiveReadsTheVersionOncePerCommit(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the mapping of the WAL-index is found on Linux only")
	}
	path := newDatabasePath(t)
	store, other := openStore(t, path), openStore(t, path)
	ctx := t.Context()
	addUserWithSessions(t, store, 0, 1)
	since := store.VersionReads(t)
	read := func() {
		for range 100 {
			if _, _, err := store.Live(ctx, storetest.Session("", 0).ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	since()
	if read(); since() != 0 {
		t.Error("the version was read without a commit")
	}
	for n := range 5 {
		failOnError(t, other.Update(ctx, func(tx watchword.Tx) error {
			return tx.SetName(ctx, storetest.User(0).ID, fmt.Sprint(n))
		}))
		if read(); since() != 1 {
			t.Error("the version was not read once after a commit")
		}
	}
}

// Live must remain correct when another store of the same file closes. SQLite unmaps the WAL-index only when the last
// connection of the process closes.
func TestLiveIsExactAfterAnotherStoreOfTheFileWasClosed(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	first, second, third := openStore(t, path), openStore(t, path), openStore(t, path)
	ctx := t.Context()
	addUserWithSessions(t, first, 0, 1)
	id := storetest.Session("", 0).ID
	for n, closing := range []*sqlite.Store{first, third} {
		wantLiveMatchesFile(t, second, id, "before")
		failOnError(t, closing.Close())
		if _, _, err := closing.Live(ctx, id); err == nil {
			t.Error("a closed store returns a session")
		}
		failOnError(t, second.Update(ctx, func(tx watchword.Tx) error {
			return tx.SetName(ctx, storetest.User(0).ID, fmt.Sprint(n))
		}))
		wantLiveMatchesFile(t, second, id, "after")
	}
}

// MEM-1
func TestLiveRowsAreBounded(t *testing.T) {
	t.Parallel()
	store := openStore(t, newDatabasePath(t))
	ctx := t.Context()
	const n = sqlite.MaxLiveRows + 500
	addUserWithSessions(t, store, 0, n)
	for i := range n {
		if _, _, err := store.Live(ctx, storetest.Session("", i).ID); err != nil {
			t.Fatal(err)
		}
	}
	if got := store.InMemory(); got != sqlite.MaxLiveRows {
		t.Errorf("%d sessions are in memory, want %d", got, sqlite.MaxLiveRows)
	}
}

func BenchmarkLive(b *testing.B) {
	store := openStore(b, newDatabasePath(b))
	addUserWithSessions(b, store, 0, 1)
	id := storetest.Session("", 0).ID
	ctx := b.Context()
	b.Run("from memory", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := store.Live(ctx, id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("from the file", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := readWithoutLive(ctx, store, id); err != nil {
				b.Fatal(err)
			}
		}
	})
}
