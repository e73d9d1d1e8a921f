package watchword_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/watchword-auth/watchword"
)

// A watchedStore counts the open transactions.
type watchedStore struct {
	watchword.Store
	openTransactions atomic.Int32
}

func (s *watchedStore) View(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.Store.View(ctx, s.watchTransaction(fn))
}

func (s *watchedStore) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.Store.Update(ctx, s.watchTransaction(fn))
}

func (s *watchedStore) watchTransaction(fn func(watchword.Tx) error) func(watchword.Tx) error {
	return func(tx watchword.Tx) error {
		s.openTransactions.Add(1)
		defer s.openTransactions.Add(-1)
		return fn(tx)
	}
}

// A watchedLog keeps all log lines, and a separate list of the lines written during a transaction.
type watchedLog struct {
	slog.Handler
	store         *watchedStore
	lines, inside *[]string
}

func (h watchedLog) Enabled(context.Context, slog.Level) bool { return true }

func (h watchedLog) Handle(_ context.Context, r slog.Record) error {
	*h.lines = append(*h.lines, r.Message)
	if h.store.openTransactions.Load() > 0 {
		*h.inside = append(*h.inside, r.Message)
	}
	return nil
}

// A transaction can run twice, which would write its log lines twice. A flow must therefore log outside of it.
func TestNoFlowOfASessionLogsInsideATransaction(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	r := startOn(t, path, nil)
	old := r.signUp(t, "ada@example.com").RefreshToken
	must(t, r.store.Close())
	backup, err := os.ReadFile(path)
	must(t, err)

	r = startOn(t, path, nil)
	newer, err := r.Refresh(t.Context(), old, laptop)
	must(t, err)
	must(t, r.store.Close())
	must(t, os.WriteFile(path, backup, 0o600))

	r = startOn(t, path, nil)
	store := &watchedStore{Store: r.store}
	var lines, inside []string
	r.opts.Log = slog.New(watchedLog{store: store, lines: &lines, inside: &inside})
	engine, err := watchword.NewForTest(t.Context(), store, r.opts)
	must(t, err)
	t.Cleanup(engine.Close)
	_, err = engine.Refresh(t.Context(), newer.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)
	_, err = engine.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: otherPassword, Client: laptop})
	wantCode(t, err, watchword.CodeInvalidCredentials)
	must(t, engine.Logout(t.Context(), old, "", laptop))
	all := strings.Join(lines, "\n")
	if strings.Count(all, "newer than its session") != 1 || strings.Count(all, "security event") != 3 {
		t.Errorf("logged:\n%s", all)
	}
	if len(inside) > 0 {
		t.Errorf("logged inside a transaction: %q", inside)
	}
}
