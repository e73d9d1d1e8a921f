package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
)

func openStore(t testing.TB, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func urlOfBothHosts(t *testing.T, database string, other *pgtest.Server) string {
	t.Helper()
	first, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	second, err := url.Parse(other.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	first.Host += "," + second.Host
	return first.String() + "&target_session_attrs=read-write&connect_timeout=2"
}

func insertMail(ctx context.Context, s *postgres.Store, id string) error {
	return s.Update(ctx, func(tx watchword.Tx) error { return tx.InsertMail(ctx, watchword.Mail{ID: id}) })
}

func countMails(t *testing.T, s *postgres.Store) (n int) {
	t.Helper()
	err := s.View(t.Context(), func(tx watchword.Tx) error {
		mails, err := tx.Mails(t.Context(), 100)
		n = len(mails)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// If the caller's context ends while a commit waits for the synchronous standby, the commit must stay invisible,
// because a failover could still lose it.
func TestCommitStaysInvisibleUntilStandbyHasIt(t *testing.T) {
	t.Parallel()
	primary := pgtest.New(t, "fsync = off")
	database := primary.Database(t)
	store := openStore(t, database+"&statement_timeout=60000") // longer than the caller's context
	standby := primary.Standby(t)
	standby.Freeze(t)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	left := make(chan error, 1)
	go func() { left <- insertMail(ctx, store, "left") }()
	waitForConnection(t, database, "wait_event = 'SyncRep'")
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("a commit that waits for its standby: %v", err)
	}
	for range 30 { // 300 ms, because a cancel request takes effect with a delay
		if countMails(t, store) > 0 {
			t.Fatal("it shows, and its standby does not have it")
		}
		time.Sleep(10 * time.Millisecond)
	}
	standby.Thaw()
	for countMails(t, store) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
}

// If the primary becomes a standby and keeps its connections open, the next operation must find the new primary.
func TestStoreLeavesPrimaryThatBecameStandby(t *testing.T) {
	t.Parallel()
	first := pgtest.New(t, "fsync = off")
	database := first.Database(t)
	openStore(t, database)
	second := first.Standby(t)
	store := openStore(t, urlOfBothHosts(t, database, second))
	if err := insertMail(t.Context(), store, "before"); err != nil {
		t.Fatal(err)
	}
	first.Reload(t, "default_transaction_read_only = on")
	second.Promote(t)
	for key, write := range map[string]func() error{
		"update": func() error { return insertMail(t.Context(), store, "after") },
		"rotate": func() error {
			_, err := store.Rotate(t.Context(), watchword.RotateRequest{Session: "none"})
			return err
		},
	} {
		if err := write(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if n := countMails(t, store); n != 2 {
		t.Errorf("%d of 2 writes are there", n)
	}
}

// If the first host hangs, the store must connect to the second host. It must do so although pgx also sends a cancel
// request to the first host.
func TestHangingHostIsSkipped(t *testing.T) {
	t.Parallel()
	first := pgtest.New(t, "fsync = off")
	database := first.Database(t)
	openStore(t, database)
	second := first.Standby(t)
	second.Promote(t)
	store := openStore(t, urlOfBothHosts(t, database, second))
	first.Freeze(t)
	for range 3 { // the first attempt reaches the frozen host and times out
		ctx, leave := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_ = insertMail(ctx, store, "hangs")
		leave()
	}
	for id := range 8 {
		if err := insertMail(t.Context(), store, string(rune('a'+id))); err != nil {
			t.Fatal(err)
		}
	}
}

// If the database hangs without closing its connections, each operation must return ErrUnavailable after the
// statement timeout.
func TestHangingDatabaseReturnsErrUnavailableInTime(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, "fsync = off")
	store := openStore(t, server.Migrated(t, postgres.Migrate)+"&statement_timeout=1000")
	server.Freeze(t)
	for name, operation := range map[string]func() error{
		"view":   func() error { return store.View(t.Context(), func(watchword.Tx) error { return nil }) },
		"update": func() error { return insertMail(t.Context(), store, "key") },
		"rotate": func() error {
			_, err := store.Rotate(t.Context(), watchword.RotateRequest{Session: "none"})
			return err
		},
		"check": func() error { return store.Check(t.Context()) },
		"clock": func() error { _, err := store.Clock(t.Context()); return err },
	} {
		begun := time.Now()
		if err := operation(); !errors.Is(err, watchword.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	server.Thaw()
	if err := insertMail(t.Context(), store, "key"); err != nil {
		t.Errorf("when it went on: %v", err)
	}
}
