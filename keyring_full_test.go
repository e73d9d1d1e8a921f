package watchword_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/seal"
)

// insertRetiredKeys inserts refresh keys until every number is in use. They became active a year ago, a minute apart.
func (r *rig) insertRetiredKeys(t *testing.T, drop time.Time) {
	t.Helper()
	box, err := seal.New(r.opts.MasterKey)
	must(t, err)
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		for number := 1; number <= 255; number++ {
			id := fmt.Sprintf("01933f0e-7b2a-7c3d-8e4f-%012d", number)
			at := r.clock.Now().AddDate(-1, 0, 0).Add(time.Duration(number) * time.Minute)
			_, err := tx.InsertKey(t.Context(), watchword.Key{
				ID: id, Use: watchword.KeyRefresh, Alg: "HS256", Number: number,
				Sealed:      box.Seal("refresh HS256 "+id, seal.NewMaster()),
				PublishedAt: at, ActiveFrom: at, DropAt: drop,
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

func countKeys(keys []watchword.KeyInfo, use watchword.KeyUse) (n int) {
	for _, k := range keys {
		if k.Use == use {
			n++
		}
	}
	return n
}

// KEY-9
func TestStartWithFullRingDropsDueKeysFirst(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.insertRetiredKeys(t, r.clock.Now().Add(-time.Minute))
	r.clock.advance(91 * 24 * time.Hour) // the next key becomes active, and another key has to be published
	in := r.signUp(t, "ada@example.com")
	engine := startOnSameStore(t, r, func(*watchword.Options) {})
	if _, err := engine.Refresh(t.Context(), in.RefreshToken, laptop); err != nil {
		t.Errorf("refresh: %v", err)
	}
	keys, err := engine.Operator().Keys(t.Context())
	must(t, err)
	if n := countKeys(keys, watchword.KeyRefresh); n > 3 {
		t.Errorf("%d refresh keys remain, want at most 3", n)
	}
}

// KEY-9
func TestStartWithFullRingAndNothingDueServes(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.insertRetiredKeys(t, r.clock.Now().AddDate(1, 0, 0))
	r.clock.advance(91 * 24 * time.Hour) // the next key becomes active, and no number is free for another key
	in := r.signUp(t, "ada@example.com")
	var log bytes.Buffer
	engine := startOnSameStore(t, r, func(o *watchword.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.Sessions.Idle, o.Sessions.Max = 365*24*time.Hour, 365*24*time.Hour
	})
	if !strings.Contains(log.String(), "255 refresh keys") {
		t.Errorf("the log does not name the full ring: %s", log.String())
	}
	if _, err := engine.Refresh(t.Context(), in.RefreshToken, laptop); err != nil {
		t.Errorf("refresh: %v", err)
	}
	_, err := engine.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: goodPassword, Client: laptop})
	if err != nil {
		t.Errorf("login: %v", err)
	}
	_, err = engine.Operator().RotateKeys(t.Context(), watchword.KeyRefresh)
	wantCode(t, err, watchword.CodeRateLimited)
	if _, err := engine.Operator().RotateKeys(t.Context(), watchword.KeySign); err != nil {
		t.Errorf("the other kind of key does not rotate: %v", err)
	}
}

// KEY-9
func TestManualRotationIsRefusedLongBeforeTheRingIsFull(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	var err error
	rotations := 0
	for ; rotations < 300 && err == nil; rotations++ {
		r.clock.advance(11 * time.Minute)
		_, err = r.Operator().RotateKeys(t.Context(), watchword.KeyRefresh)
	}
	wantCode(t, err, watchword.CodeRateLimited)
	keys, err := r.Operator().Keys(t.Context())
	must(t, err)
	if n := countKeys(keys, watchword.KeyRefresh); n > 101 {
		t.Errorf("commands created %d refresh keys, want at most 101", n)
	}
	r.clock.advance(31 * 24 * time.Hour)
	if _, err := r.Operator().RotateKeys(t.Context(), watchword.KeyRefresh); err != nil {
		t.Errorf("after the oldest keys can be dropped: %v", err)
	}
}

type readOnlyStore struct{ watchword.Store }

func (readOnlyStore) Update(context.Context, func(watchword.Tx) error) error {
	return fmt.Errorf("%w: cannot write in a read-only transaction", watchword.ErrUnavailable)
}

// KEY-9
func TestStartOnAReadOnlyStoreServesWithTheExistingKeys(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.clock.advance(91 * 24 * time.Hour) // the schedule has to publish a key, which the store refuses
	in := r.signUp(t, "ada@example.com")
	engine, err := watchword.NewForTest(t.Context(), readOnlyStore{r.store}, r.opts)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(engine.Close)
	if _, err := engine.Authenticate(t.Context(), in.AccessToken); err != nil {
		t.Errorf("authenticate: %v", err)
	}
}
