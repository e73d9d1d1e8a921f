package admin_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

type post struct{}

func (post) Send(context.Context, watchword.Message) error { return nil }

type database interface {
	watchword.Store
	Admin() admin.Store
}

func newManagerWithAdmins(t *testing.T, store database, opts ...admin.Options) (*admin.Manager, []admin.Caller) {
	t.Helper()
	t.Cleanup(func() { _ = store.Close() })
	engine, err := watchword.New(t.Context(), store, watchword.Options{
		PublicURL: "http://localhost:8080", MasterKey: []byte("a master key for tests, 32 bytes"), Mailer: post{},
		Claims: watchword.Claims{Computed: map[string]string{"plan": "@public.plan"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	var both []admin.Caller
	for _, email := range []string{"ada@example.com", "grace@example.com"} {
		n := watchword.NewUser{Email: email, Roles: []string{"admin"}}
		user, err := engine.Operator().CreateUser(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, admin.Caller{User: user})
	}
	return admin.New(engine, store.Admin(), append(opts, admin.Options{})[0]), both
}

func TestParallelChangesLeaveAnAdministrator(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) (database, error){
		"SQLite": func(t *testing.T) (database, error) {
			return sqlite.Open(t.Context(), sqlitetest.Path(t, sqlite.Migrate))
		},
		"PostgreSQL": func(t *testing.T) (database, error) {
			return postgres.Open(t.Context(), pgtest.Migrated(t, postgres.Migrate))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			m, both := newManagerWithAdmins(t, store)
			yes, no := true, false
			for range 100 {
				assertOneIsRefused(t, func(i int) error {
					_, err := m.Change(t.Context(), both[i], both[1-i].User.ID, admin.Change{Disabled: &yes})
					return err
				})
				for i := range both {
					_, err := m.Change(t.Context(), both[i], both[1-i].User.ID, admin.Change{Disabled: &no})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			assertOneIsRefused(t, func(i int) error {
				_, err := m.Change(t.Context(), both[i], both[1-i].User.ID, admin.Change{Roles: &[]string{}})
				return err
			})
		})
	}
}

// Administrators can delete their own accounts through the engine, without package admin. The last administrator must
// remain, even during a concurrent deletion or demotion.
func TestDeletionsOfOwnAccountsLeaveAnAdministrator(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		m, others := newManagerWithAdmins(t, store)
		engine, operator := m.Engine(), m.Engine().Operator()
		for _, by := range others {
			wantCode(t, operator.DisableUser(t.Context(), by.User.ID), "")
		}
		for round := range 20 {
			var pair [2]watchword.Identity
			for i := range pair {
				user, err := operator.CreateUser(t.Context(), watchword.NewUser{
					Email: fmt.Sprintf("admin%d-%d@example.com", round, i), Roles: []string{"admin"}})
				wantCode(t, err, "")
				wantCode(t, operator.MarkVerified(t.Context(), user.ID), "")
				in, err := operator.AdmitUser(t.Context(),
					watchword.AdmitRequest{User: user.ID, Methods: []string{"pwd"}})
				wantCode(t, err, "")
				pair[i], err = engine.Authenticate(t.Context(), in.AccessToken)
				wantCode(t, err, "")
			}
			assertOneIsRefused(t, func(i int) error {
				if i == 1 && round%2 == 1 {
					_, err := m.Change(t.Context(), others[0], pair[i].User.ID, admin.Change{Roles: &[]string{}})
					return err
				}
				return engine.DeleteAccount(t.Context(), pair[i], "", watchword.Client{})
			})
			for i := range pair {
				err := operator.DeleteUser(t.Context(), pair[i].User.ID)
				if watchword.CodeOf(err) != watchword.CodeNotFound {
					wantCode(t, err, "")
				}
			}
		}
	})
}

// assertOneIsRefused runs both changes at the same time.
func assertOneIsRefused(t *testing.T, change func(i int) error) {
	t.Helper()
	var errs [2]error
	var running sync.WaitGroup
	for i := range errs {
		running.Go(func() { errs[i] = change(i) })
	}
	running.Wait()
	refused := 0
	for _, err := range errs {
		switch {
		case watchword.CodeOf(err) == watchword.CodeLastAdmin:
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	if refused != 1 {
		t.Fatalf("%d of 2 changes were refused: %v", refused, errs)
	}
}
