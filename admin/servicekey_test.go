package admin_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

type countingDatabase struct {
	database
	transactions *atomic.Int64
}

func (c countingDatabase) Admin() admin.Store {
	return countingStore{c.database.Admin(), c.transactions}
}

type countingStore struct {
	admin.Store
	transactions *atomic.Int64
}

func (c countingStore) View(ctx context.Context, fn func(admin.Tx) error) error {
	c.transactions.Add(1)
	return c.Store.View(ctx, fn)
}

func (c countingStore) Update(ctx context.Context, fn func(admin.Tx) error) error {
	c.transactions.Add(1)
	return c.Store.Update(ctx, fn)
}

// onBothStores passes the file of SQLite as path, or "" for PostgreSQL.
func onBothStores(t *testing.T, test func(t *testing.T, store database, path string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := sqlitetest.Path(t, sqlite.Migrate)
		store, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		test(t, store, path)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		store, err := postgres.Open(t.Context(), pgtest.Migrated(t, postgres.Migrate))
		if err != nil {
			t.Fatal(err)
		}
		test(t, store, "")
	})
}

func wantCode(t *testing.T, err error, code watchword.Code) {
	t.Helper()
	if (err == nil) != (code == "") || (err != nil && watchword.CodeOf(err) != code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func TestServiceKeyWorksUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		ctx := t.Context()
		m, both := newManagerWithAdmins(t, store)
		read := admin.Need{Scope: admin.ScopeUsersRead}
		key, secret, err := m.CreateServiceKey(ctx, both[0], admin.NewServiceKey{
			Name: "billing", Scopes: []string{"sessions:end", "users:read"}})
		wantCode(t, err, "")
		if !slices.Equal(key.Scopes, []string{"users:read", "sessions:end"}) ||
			key.ExpiresAt.Sub(key.CreatedAt).Round(time.Hour) != admin.DefaultKeyLife {
			t.Errorf("%+v", key)
		}
		caller, err := m.Authorize(ctx, secret, read)
		wantCode(t, err, "")
		if caller.Key.ID != key.ID || caller.Name() != "service key billing ("+key.ID+")" {
			t.Errorf("%+v", caller)
		}
		_, err = m.Authorize(ctx, secret, admin.Need{Scope: admin.ScopeUsersWrite, Write: true})
		wantCode(t, err, watchword.CodeInsufficientScope)
		_, err = m.Authorize(ctx, secret, admin.Need{}) // this Need admits only administrators
		wantCode(t, err, watchword.CodeInsufficientScope)
		_, _, err = m.CreateServiceKey(ctx, caller, admin.NewServiceKey{Name: "b", Scopes: []string{"mail"}})
		wantCode(t, err, watchword.CodeInsufficientScope)
		wantCode(t, m.RevokeServiceKey(ctx, caller, key.ID), watchword.CodeInsufficientScope)

		second, _, err := m.CreateServiceKey(ctx, both[0], admin.NewServiceKey{Name: "crm", Scopes: []string{"mail"}})
		wantCode(t, err, "")
		keys, next, err := m.ServiceKeys(ctx, "", 1)
		wantCode(t, err, "")
		if len(keys) != 1 || keys[0].ID != second.ID || !keys[0].LastUsedAt.IsZero() || next == "" {
			t.Errorf("first page: %+v %q", keys, next)
		}
		keys, next, err = m.ServiceKeys(ctx, next, 1)
		wantCode(t, err, "")
		if len(keys) != 1 || keys[0].ID != key.ID || time.Since(keys[0].LastUsedAt) > time.Minute || next != "" {
			t.Errorf("second page: %+v %q", keys, next)
		}
		wantCode(t, m.RevokeServiceKey(ctx, both[0], key.ID), "")
		_, err = m.Authorize(ctx, secret, read)
		wantCode(t, err, watchword.CodeTokenInvalid)
		wantCode(t, m.RevokeServiceKey(ctx, both[0], key.ID), watchword.CodeNotFound)
		wantCode(t, m.RevokeServiceKey(ctx, both[0], "x"), watchword.CodeNotFound)
		var events []watchword.Event
		wantCode(t, store.View(ctx, func(tx watchword.Tx) (err error) {
			events, err = tx.Events(ctx, "", 10)
			return err
		}), "")
		if len(events) != 3 || events[0].Kind != admin.EventKeyRevoked || events[0].Operator != "ada@example.com" ||
			events[0].Detail != "billing ("+key.ID+")" {
			t.Errorf("%+v", events)
		}
	})
}

// Test 4 of the specification: a change of any byte makes the key invalid, and a forged key costs no query.
func TestForgedServiceKeyCostsNoQuery(t *testing.T) {
	t.Parallel()
	store, err := sqlite.Open(t.Context(), sqlitetest.Path(t, sqlite.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	count := &atomic.Int64{}
	m, both := newManagerWithAdmins(t, countingDatabase{store, count})
	_, secret, err := m.CreateServiceKey(t.Context(), both[0], admin.NewServiceKey{
		Name: "billing", Scopes: []string{"users:read"}})
	wantCode(t, err, "")
	count.Store(0)
	key := []byte(secret)
	for i := range key {
		for _, change := range []byte{1, 2, 4, 128} {
			changed := slices.Clone(key)
			changed[i] ^= change
			_, err := m.Authorize(t.Context(), watchword.Secret(changed), admin.Need{Scope: admin.ScopeUsersRead})
			wantCode(t, err, watchword.CodeTokenInvalid)
		}
	}
	if n := count.Load(); n != 0 {
		t.Errorf("%d transactions for forged keys", n)
	}
	_, err = m.Authorize(t.Context(), secret, admin.Need{Scope: admin.ScopeUsersRead})
	wantCode(t, err, "")
	if n := count.Load(); n != 2 {
		t.Errorf("%d transactions for a right key, want one to read and one to count", n)
	}
}

// The database contains neither the key nor a usable part of it.
func TestDatabaseHasNoUsableServiceKey(t *testing.T) {
	t.Parallel()
	path := sqlitetest.Path(t, sqlite.Migrate)
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	m, both := newManagerWithAdmins(t, store)
	_, secret, err := m.CreateServiceKey(t.Context(), both[0], admin.NewServiceKey{
		Name: "name of the key", Scopes: []string{"users:read"}})
	wantCode(t, err, "")
	_, err = m.Authorize(t.Context(), secret, admin.Need{Scope: admin.ScopeUsersRead})
	wantCode(t, err, "")
	files, err := filepath.Glob(path + "*") // including the write-ahead log
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	if !strings.Contains(all.String(), "name of the key") {
		t.Fatal("the files don't contain the row")
	}
	mac := string(secret[len(secret)-51:]) // only the part after the id
	if strings.Contains(all.String(), "wwk_") || strings.Contains(all.String(), mac) {
		t.Error("the database contains a service key")
	}
}

func TestServiceKeyHasItsOwnLimit(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		m, both := newManagerWithAdmins(t, store, admin.Options{KeyLimit: watchword.Limit{Count: 3, Per: time.Hour}})
		read := admin.Need{Scope: admin.ScopeUsersRead}
		var secrets []watchword.Secret
		for range 2 {
			_, secret, err := m.CreateServiceKey(t.Context(), both[0], admin.NewServiceKey{
				Name: "billing", Scopes: []string{"users:read"}})
			wantCode(t, err, "")
			secrets = append(secrets, secret)
		}
		for range 3 {
			_, err := m.Authorize(t.Context(), secrets[0], read)
			wantCode(t, err, "")
		}
		_, err := m.Authorize(t.Context(), secrets[0], read)
		wantCode(t, err, watchword.CodeRateLimited)
		_, err = m.Authorize(t.Context(), secrets[1], read)
		wantCode(t, err, "")
	})
}

func TestNegativeLimitOfServiceKeysMeansUnlimited(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		m, both := newManagerWithAdmins(t, store, admin.Options{KeyLimit: watchword.Limit{Count: -1, Per: time.Hour}})
		_, secret, err := m.CreateServiceKey(t.Context(), both[0], admin.NewServiceKey{
			Name: "billing", Scopes: []string{"users:read"}})
		wantCode(t, err, "")
		for range 5 {
			_, err = m.Authorize(t.Context(), secret, admin.Need{Scope: admin.ScopeUsersRead})
			wantCode(t, err, "")
		}
	})
}

func TestNewServiceKeyIsChecked(t *testing.T) {
	t.Parallel()
	store, err := sqlite.Open(t.Context(), sqlitetest.Path(t, sqlite.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	m, both := newManagerWithAdmins(t, store)
	for name, n := range map[string]admin.NewServiceKey{
		"no name":         {Scopes: []string{"mail"}},
		"a long name":     {Name: strings.Repeat("a", 65), Scopes: []string{"mail"}},
		"a line break":    {Name: "a\nb", Scopes: []string{"mail"}},
		"no scope":        {Name: "a"},
		"unknown scope":   {Name: "a", Scopes: []string{"mail", "root"}},
		"a scope twice":   {Name: "a", Scopes: []string{"mail", "mail"}},
		"a short life":    {Name: "a", Scopes: []string{"mail"}, Life: time.Second},
		"a negative life": {Name: "a", Scopes: []string{"mail"}, Life: -time.Hour},
		"a long life":     {Name: "a", Scopes: []string{"mail"}, Life: admin.MaxKeyLife + 1},
	} {
		_, _, err := m.CreateServiceKey(t.Context(), both[0], n)
		if watchword.CodeOf(err) != watchword.CodeValidationFailed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
