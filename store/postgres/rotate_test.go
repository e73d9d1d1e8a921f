package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/storetest"
)

// RT-3, RT-4, RT-5, RT-11, RL-2
func TestBatchGivesWhatASequenceGives(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, "fsync = off")
	bouncer := pgtest.NewBouncer(t, server, "default_pool_size = 3")
	for name, url := range map[string]string{
		"directly":         server.Database(t),
		"behind a bouncer": bouncer.URL(server.Database(t)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := openStore(t, url), openStore(t, server.Migrated(t, postgres.Migrate))
			storetest.CheckBatches(t, one, other, one.RotateTogether)
		})
	}
}

// addSessions inserts one user, and returns a request for each session of this user.
func addSessions(t *testing.T, store *postgres.Store, many int) (requests []watchword.RotateRequest) {
	t.Helper()
	err := store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.InsertUser(t.Context(), storetest.User(1), storetest.Start)
		for n := range many {
			one := storetest.Session(storetest.User(1).ID, n)
			requests = append(requests, storetest.Rotate(one, storetest.Start))
			err = errors.Join(err, tx.InsertSession(t.Context(), one))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return requests
}

// leaveOpenTransaction runs a statement in a transaction and leaves the transaction open. The returned function ends
// the transaction with COMMIT or ROLLBACK.
func leaveOpenTransaction(t *testing.T, url, text string, args ...any) (end func(string)) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), "BEGIN")
	if err == nil {
		_, err = conn.Exec(t.Context(), text, args...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(how string) {
		if _, err := conn.Exec(t.Context(), how); err != nil {
			t.Error(err)
		}
	}
}

// longTimeouts are URL parameters for tests that hold a lock until other operations have ended.
const longTimeouts = "&lock_timeout=60000&statement_timeout=60000"

// While a transaction locks the row of one session, or of its limit, all other sessions must rotate, even those in
// the same batch.
func TestLockedRowDelaysNoOtherRotation(t *testing.T) {
	t.Parallel()
	const many, waves = 24, 4
	server := pgtest.New(t, "fsync = off")
	for name, text := range map[string]string{
		"session": "UPDATE sessions SET generation = generation WHERE id = $1",
		"limit":   "INSERT INTO limits (key, tat, sweep_from) VALUES ($1, 0, 0)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := server.Database(t)
			store := openStore(t, url+longTimeouts)
			requests := addSessions(t, store, many)
			for i, r := range requests {
				limit := watchword.Charge{Key: string(r.Session), Cost: time.Second, Span: time.Hour, At: r.At}
				requests[i].Charges = []watchword.Charge{limit}
			}
			end := leaveOpenTransaction(t, url, text, string(requests[0].Session))
			var locked sync.WaitGroup
			var rotated atomic.Int32
			for wave := range waves {
				var others sync.WaitGroup
				for n, r := range requests {
					r.Generation = int64(wave)
					if n > 0 {
						others.Go(func() { wantRotated(t, store, r) })
						continue
					}
					locked.Go(func() {
						r.Generation = 0
						if got, err := store.Rotate(t.Context(), r); err != nil {
							t.Errorf("locked %s: %v", name, err)
						} else if got.Rotated {
							rotated.Add(1)
						}
					})
				}
				others.Wait()
			}
			ctx, leave := context.WithCancel(t.Context())
			leaving := time.AfterFunc(10*time.Millisecond, leave)
			defer leaving.Stop()
			if _, err := store.Rotate(ctx, requests[0]); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that left: %v", err)
			}
			end("ROLLBACK")
			locked.Wait()
			if rotated.Load() > 1 {
				t.Errorf("the first token of the locked session rotated %d times", rotated.Load())
			}
			requests[0].Generation = 1
			wantRotated(t, store, requests[0])
		})
	}
}

func wantRotated(t *testing.T, store *postgres.Store, r watchword.RotateRequest) {
	t.Helper()
	if got, err := store.Rotate(t.Context(), r); err != nil || !got.Rotated || got.Session.ID != r.Session {
		t.Errorf("session %s: rotated %t, %v", r.Session, got.Rotated, err)
	}
}

// A batch that waited for the lock of a session must check that session again after the wait.
func TestBatchSeesWhatChangedWhileItWaited(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, "fsync = off")
	for name, text := range map[string]string{
		"rotated": "UPDATE sessions SET generation = generation + 1 WHERE id = $1",
		"ended":   "UPDATE sessions SET ended_at = 1, ended_why = 'logout' WHERE id = $1",
		"deleted": "DELETE FROM sessions WHERE id = $1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := server.Database(t)
			store := openStore(t, url+longTimeouts)
			requests := addSessions(t, store, 8)
			end := leaveOpenTransaction(t, url, text, string(requests[3].Session))
			var rotating sync.WaitGroup
			rotating.Go(func() {
				results, errs := store.RotateTogether(requests)
				for n, got := range results {
					if errs[n] != nil || got.Rotated == (n == 3) {
						t.Errorf("session %d: rotated %t, %v", n, got.Rotated, errs[n])
					}
				}
			})
			waitForBlockedStatement(t, url)
			end("COMMIT")
			rotating.Wait()
		})
	}
}

// A rotation is charged to the client and to the session. If a concurrent request uses up the limit of the session
// after the check, the store must refuse the rotation and refund the charge of the client.
//
// RL-2
func TestChargeOfTheClientIsRefundedIfTheOtherLimitFillsMeanwhile(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	store := openStore(t, url+longTimeouts)
	r := addSessions(t, store, 1)[0]
	client := watchword.Charge{Key: "client", Cost: time.Hour, Span: time.Hour, At: r.At}
	own := client
	own.Key = "own"
	execStatement(t, url, "INSERT INTO limits (key, tat, sweep_from) VALUES ('own', 0, 0)")
	end := leaveOpenTransaction(t, url, "UPDATE limits SET tat = $1 WHERE key = 'own'", r.At.Add(time.Hour).UnixNano())
	var rotating sync.WaitGroup
	rotating.Go(func() {
		limited := r
		limited.Charges = []watchword.Charge{client, own}
		if got, err := store.Rotate(t.Context(), limited); err != nil || got.Rotated || got.Wait != time.Hour {
			t.Errorf("got %+v, %v; want a wait of an hour", got, err)
		}
	})
	waitForBlockedStatement(t, url)
	end("COMMIT")
	rotating.Wait()
	r.Charges = []watchword.Charge{client}
	wantRotated(t, store, r)
}

func waitForBlockedStatement(t *testing.T, url string) {
	t.Helper()
	waitForConnection(t, url, "wait_event_type = 'Lock'")
}

// waitForConnection waits until a connection to the database meets an SQL condition on pg_stat_activity.
func waitForConnection(t *testing.T, url, state string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // it is a test
	for waits := false; !waits; {
		err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND `+state+`)`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Several processes present the same tokens, in batches and in different orders. Each generation must be rotated
// once, and each presentation must be charged once.
func TestBatchesOfSeveralStoresRotateEachGenerationOnce(t *testing.T) {
	t.Parallel()
	const stores, many, generations = 3, 12, 40
	url := pgtest.Database(t)
	all := []*postgres.Store{openStore(t, url)}
	requests := addSessions(t, all[0], many)
	for len(all) < stores {
		all = append(all, openStore(t, url))
	}
	client := watchword.Charge{Key: "client", Cost: 1, Span: time.Hour, At: storetest.Start}
	for generation := range int64(generations) {
		var winners [many]atomic.Int32
		var rotating sync.WaitGroup
		for s, store := range all {
			for n := range many {
				n = (n*(2*s+1) + s) % many
				r := requests[n]
				r.Generation, r.Charges = generation, []watchword.Charge{client}
				rotating.Go(func() {
					got, err := store.Rotate(t.Context(), r)
					if err != nil {
						t.Errorf("store %d, session %d: %v", s, n, err)
					}
					if got.Rotated {
						winners[n].Add(1)
					}
				})
			}
		}
		rotating.Wait()
		for n := range winners {
			if winners[n].Load() != 1 {
				t.Fatalf("generation %d of session %d rotated %d times", generation, n, winners[n].Load())
			}
		}
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // it is a test
	var charged int64
	err = conn.QueryRow(t.Context(), "SELECT tat - $1 FROM limits WHERE key = 'client'",
		storetest.Start.UnixNano()).Scan(&charged)
	if err != nil || charged != stores*many*generations {
		t.Errorf("%d charges were counted (%v), want %d", charged, err, stores*many*generations)
	}
}

// An unreadable row must cause an error only for its own caller, not for the rest of the batch.
func TestUnreadableRowDoesNotFailItsBatch(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	store := openStore(t, url)
	requests := addSessions(t, store, 16)
	execStatement(t, url, fmt.Sprintf("UPDATE sessions SET methods = 'no JSON' WHERE id = '%s'", requests[5].Session))
	results, errs := store.RotateTogether(requests)
	for n := range requests {
		if bad := n == 5; bad != (errs[n] != nil) || !bad && !results[n].Rotated {
			t.Errorf("session %d: rotated %t, %v", n, results[n].Rotated, errs[n])
		}
	}
	requests[5].Generation++ // the rotation was committed
	if _, err := store.Rotate(t.Context(), requests[5]); err == nil || errors.Is(err, watchword.ErrUnavailable) {
		t.Errorf("got %v, want an error that is no outage", err)
	}
}

func TestCloseWaitsForRotations(t *testing.T) {
	t.Parallel()
	store := openStore(t, pgtest.Migrated(t, postgres.Migrate))
	requests := addSessions(t, store, 64)
	var rotating, started sync.WaitGroup
	started.Add(len(requests))
	for _, r := range requests {
		rotating.Go(func() {
			started.Done()
			if got, err := store.Rotate(t.Context(), r); !errors.Is(err, watchword.ErrUnavailable) && !got.Rotated {
				t.Errorf("session %s: rotated %t, %v", r.Session, got.Rotated, err)
			}
		})
	}
	started.Wait()
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	rotating.Wait()
	if _, err := store.Rotate(t.Context(), requests[0]); !errors.Is(err, watchword.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}
