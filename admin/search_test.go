package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// newSearchManagers returns a manager for each store, with 600 accounts and two administrators. Every second account
// is a member, every 20th is staff.
func newSearchManagers(t *testing.T) map[string]*admin.Manager {
	t.Helper()
	onSQLite, err := sqlite.Open(t.Context(), sqlitetest.Path(t, sqlite.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	onPostgres, err := postgres.Open(t.Context(), pgtest.Migrated(t, postgres.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*admin.Manager{}
	for name, store := range map[string]database{"SQLite": onSQLite, "PostgreSQL": onPostgres} {
		t.Cleanup(func() { _ = store.Close() })
		engine, err := watchword.New(t.Context(), store, watchword.Options{PublicURL: "http://localhost:8080",
			Mailer: post{}, MasterKey: []byte(fmt.Sprintf("%-32s", "the master key of "+name))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(engine.Close)
		all[name] = admin.New(engine, store.Admin(), admin.Options{})
		for n := range 2 {
			_, err := engine.Operator().CreateUser(t.Context(),
				watchword.NewUser{Email: fmt.Sprintf("root%d@bücher.example", n), Roles: []string{"admin"}})
			if err != nil {
				t.Fatal(err)
			}
		}
		for n := 0; n < 600; n += 50 { // on a busy machine, one transaction for all would time out
			err = store.Update(t.Context(), func(tx watchword.Tx) error {
				for one := n; one < n+50; one++ {
					if _, err := tx.InsertUser(t.Context(), accountOf(one), time.Now()); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func accountOf(n int) watchword.User {
	now := time.Now().UTC().Truncate(time.Millisecond)
	u := watchword.User{
		ID:    watchword.UserID(fmt.Sprintf("00000000-0000-7000-8000-%012d", n*7919%1000)),
		Email: watchword.Address(fmt.Sprintf("user%03d@example.com", n)), CreatedAt: now, VerifiedAt: now,
	}
	if n%2 == 0 {
		u.Roles = append(u.Roles, "member")
	}
	if n%20 == 0 {
		u.Roles = append(u.Roles, "staff")
	}
	if n%7 == 0 {
		u.DisabledAt = now
	}
	return u
}

// Each list must contain each account once, for every range and page size.
func TestSearchFindsEachAccountOnce(t *testing.T) {
	t.Parallel()
	for store, m := range newSearchManagers(t) {
		for name, c := range map[string]struct {
			filter admin.Filter
			want   int
		}{
			"all":                            {admin.Filter{}, 602},
			"a prefix":                       {admin.Filter{Email: "USER01"}, 10},
			"an address":                     {admin.Filter{Email: "user119@example.com"}, 1},
			"more than an address":           {admin.Filter{Email: "user119@example.comm"}, 0},
			"an international address":       {admin.Filter{Email: "Root0@Bücher.example"}, 1},
			"an international domain begun":  {admin.Filter{Email: "root1@bücher.ex", Role: "admin"}, 1},
			"another international domain":   {admin.Filter{Email: "root1@bucher.example"}, 0},
			"a large role":                   {admin.Filter{Role: "member"}, 300},
			"a large role and a prefix":      {admin.Filter{Role: "member", Email: "user1"}, 50},
			"a large role and an address":    {admin.Filter{Role: "member", Email: "user118@"}, 1},
			"a small role and a prefix":      {admin.Filter{Role: "staff", Email: "user1"}, 5},
			"a small role and all addresses": {admin.Filter{Role: "staff", Email: "u"}, 30},
			"administrators":                 {admin.Filter{Role: "admin"}, 2},
			"an unknown role":                {admin.Filter{Role: "members"}, 0},
			"disabled":                       {admin.Filter{State: admin.StateDisabled}, 86},
			"disabled members":               {admin.Filter{State: admin.StateDisabled, Role: "member"}, 43},
			"disabled members with a prefix": {
				admin.Filter{State: admin.StateDisabled, Role: "member", Email: "user5"}, 7},
			"active, without a factor": {
				admin.Filter{State: admin.StateActive, Factor: admin.FactorNone}, 514},
			"any factor":                       {admin.Filter{Factor: admin.FactorAny}, 0},
			"a wildcard":                       {admin.Filter{Email: "%"}, 0},
			"a wildcard of one character":      {admin.Filter{Email: "user00_"}, 0},
			"NUL":                              {admin.Filter{Email: "user\x00"}, 0},
			"300 characters":                   {admin.Filter{Email: strings.Repeat("u", 300)}, 0},
			"a homoglyph":                      {admin.Filter{Email: "us\u0435r"}, 0},
			"a fullwidth letter":               {admin.Filter{Email: "\uff55ser"}, 0},
			"a letter that folds to ASCII":     {admin.Filter{Email: "u\u017fer"}, 0},
			"a role with a wildcard":           {admin.Filter{Role: "mem%"}, 0},
			"a role with NUL":                  {admin.Filter{Role: "member\x00"}, 0},
			"an id":                            {admin.Filter{ID: string(accountOf(4).ID)}, 1},
			"an id of a member without a role": {admin.Filter{ID: string(accountOf(3).ID), Role: "member"}, 0},
			"an injection":                     {admin.Filter{ID: "' OR 1=1 --"}, 0},
			"an id and NUL":                    {admin.Filter{ID: string(accountOf(4).ID) + "\x00"}, 0},
		} {
			for _, limit := range []int{7, 200} {
				found := readEveryPage(t, m, c.filter, limit)
				if len(found) != c.want {
					t.Errorf("%s on %s in pages of %d: %d accounts, want %d", name, store, limit, len(found), c.want)
				}
				sorted := slices.Compact(slices.Sorted(slices.Values(found)))
				if len(sorted) != len(found) {
					t.Errorf("%s on %s in pages of %d: an account occurs twice", name, store, limit)
				}
			}
		}
	}
}

// readEveryPage fails if a page is longer than the limit.
func readEveryPage(t *testing.T, m *admin.Manager, f admin.Filter, limit int) (found []watchword.UserID) {
	t.Helper()
	for after := ""; ; {
		page, err := m.FindUsers(t.Context(), f, after, limit)
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		if len(page.Items) > limit {
			t.Errorf("%+v: a page of %d has %d accounts", f, limit, len(page.Items))
		}
		for _, account := range page.Items {
			found = append(found, account.ID)
		}
		if after = page.Next; after == "" {
			return found
		}
	}
}

func TestCursorOfAnotherListOrStoreIsRefused(t *testing.T) {
	t.Parallel()
	stores := newSearchManagers(t)
	for name, m := range stores {
		for _, f := range []admin.Filter{
			{}, {Email: "user"}, {Role: "member"}, {Role: "member", Email: "user"}, {Role: "staff", Email: "user"},
			{State: admin.StateActive},
		} {
			page, err := m.FindUsers(t.Context(), f, "", 3)
			if err != nil || page.Next == "" {
				t.Fatalf("%+v on %s: %v, cursor %q", f, name, err, page.Next)
			}
			for other, use := range map[string]func() (admin.Page, error){
				"another prefix": func() (admin.Page, error) {
					changed := f
					changed.Email += "0"
					return m.FindUsers(t.Context(), changed, page.Next, 3)
				},
				"another state": func() (admin.Page, error) {
					changed := f
					changed.State = admin.StateDisabled
					return m.FindUsers(t.Context(), changed, page.Next, 3)
				},
				"another role": func() (admin.Page, error) {
					changed := f
					changed.Role += "s"
					return m.FindUsers(t.Context(), changed, page.Next, 3)
				},
				"another store": func() (admin.Page, error) {
					for elsewhere, o := range stores {
						if elsewhere != name {
							return o.FindUsers(t.Context(), f, page.Next, 3)
						}
					}
					return admin.Page{}, nil
				},
				"a changed byte": func() (admin.Page, error) {
					changed := []byte(page.Next)
					changed[len(changed)/2] ^= 1
					return m.FindUsers(t.Context(), f, string(changed), 3)
				},
			} {
				if _, err := use(); watchword.CodeOf(err) != watchword.CodeParameterInvalid {
					t.Errorf("%+v on %s, %s: %v", f, name, other, err)
				}
			}
		}
	}
}
