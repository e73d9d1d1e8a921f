package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/metadata"
)

var adminTests = map[string]func(suite){
	"AccountKeepsEveryField": func(s suite) {
		want := s.addFullAccount()
		wantCompleteFixture(s, want)
		s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
			byID, err := tx.Account(ctx, want.ID)
			byEmail, err2 := tx.Accounts(ctx, want.Email, want.Email+"\x7f", admin.Filter{}, 9)
			byRole, err3 := tx.AccountsWithRole(ctx, "", want.ID, admin.Filter{Role: "staff"}, 9)
			wantEqual(s, "by id", byID, want)
			wantEqual(s, "by address", byEmail, []admin.Account{want})
			wantEqual(s, "by role", byRole, []admin.Account{want})
			return firstError(err, err2, err3)
		})
	},

	"UnknownAccountReturnsErrNotFound": func(s suite) {
		s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
			_, err := tx.Account(ctx, User(1).ID)
			s.wantNotFound("account", err)
			return nil
		})
	},

	// Every store must order addresses by bytes, regardless of the database's collation.
	"AccountsAreARangeOfAddresses": func(s suite) {
		all := []watchword.Address{"a-b@example.com", "a.b@example.com", "a_b@example.com", "ab@example.com", "b@example.com"}
		for n, email := range slices.Backward(all) {
			u := User(n)
			u.Email, u.Factors, u.Metadata = email, 0, ""
			s.wantUpdate(true, "insert", insertUser(u, Start))
		}
		for _, c := range []struct {
			from, below watchword.Address
			limit       int
			want        []watchword.Address
		}{
			{"", "\x7f", 9, all},
			{"", "\x7f", 2, all[:2]},
			{"a.b@example.com\x01", "\x7f", 9, all[2:]},
			{"a", "a\x7f", 9, all[:4]},
			{"a_", "a_\x7f", 9, all[2:3]},
			{"a%", "a%\x7f", 9, nil},
			{"b@example.com", "b@example.com", 9, nil},
			{"", "\x7f", 0, nil},
		} {
			s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
				got, err := tx.Accounts(ctx, c.from, c.below, admin.Filter{}, c.limit)
				var emails []watchword.Address
				for _, account := range got {
					emails = append(emails, account.Email)
				}
				wantEqual(s, string(c.from+" to "+c.below), emails, c.want)
				last, found, err2 := tx.LastAccount(ctx, c.from, c.below, c.limit)
				want := watchword.Address("")
				if len(c.want) > 0 {
					want = c.want[len(c.want)-1]
				}
				wantEqual(s, "last", last, want)
				wantEqual(s, "number", found, len(c.want))
				return firstError(err, err2)
			})
		}
	},

	"AccountsWithARoleFollowTheirIDs": func(s suite) {
		var ids []watchword.UserID
		for n := range 5 {
			u := User(5 - n) // the user with the highest id is inserted first
			u.Roles = []string{"member"}
			if n == 2 {
				u.Roles = []string{"members", "memb", "Member"}
			} else {
				ids = append(ids, u.ID)
			}
			s.wantUpdate(true, "insert", insertUser(u, Start))
		}
		slices.Sort(ids)
		s.wantRole("member", "", 9, ids...)
		s.wantRole("member", "", 2, ids[:2]...)
		s.wantRole("member", ids[1], 9, ids[2:]...)
		s.wantRole("member", ids[3], 9)
		s.wantRole("mem%", "", 9)
	},

	// A filter must select exactly the accounts whose admin.Account has the state, the factor and the role of the
	// filter.
	"AccountsAreFilteredByStateFactorAndRole": func(s suite) {
		s.addAccountsOfAllKinds()
		s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
			all, err := tx.Accounts(ctx, "", "\x7f", admin.Filter{}, 99)
			for _, f := range allFilters() {
				var want []admin.Account
				for _, account := range all {
					if filterSelects(f, account) {
						want = append(want, account)
					}
				}
				got, err := tx.Accounts(ctx, "", "\x7f", f, 99)
				wantEqual(s, fmt.Sprintf("%+v", f), got, want)
				few, err2 := tx.Accounts(ctx, "", "\x7f", f, 1)
				wantEqual(s, fmt.Sprintf("%+v, limit 1", f), few, want[:min(1, len(want))])
				if f.Role != "" {
					last, _, err3 := tx.LastWithRole(ctx, f.Role, "", 99)
					byRole, err4 := tx.AccountsWithRole(ctx, "", last, f, 99)
					wantEqual(s, fmt.Sprintf("%+v, by role", f), byRole, want)
					err2 = firstError(err2, err3, err4)
				}
				if err := firstError(err, err2); err != nil {
					return err
				}
			}
			wantEqual(s, "accounts", len(all), 12)
			return err
		})
	},

	// Each change of an account's roles must also change its rows in the table of roles.
	"RolesAreFoundUntilTheyAreRemoved": func(s suite) {
		one, two := s.addUser(1), s.addUser(2)
		s.wantRole("staff", "", 9, one.ID, two.ID)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return tx.SetRoles(ctx, one.ID, []string{"auditor", "admin"}, Start)
		})
		s.wantRole("staff", "", 9, two.ID)
		s.wantRole("auditor", "", 9, one.ID)
		s.wantRole("admin", "", 9, one.ID, two.ID)
		s.wantUpdate(true, "delete", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.DeleteUser(ctx, one.ID)
		})
		s.wantRole("auditor", "", 9)
		s.wantRole("admin", "", 9, two.ID)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.SetRoles(ctx, two.ID, nil, Start) })
		s.wantRole("admin", "", 9)
	},

	"OnlyAnEnabledAccountIsAnAdmin": func(s suite) {
		s.wantUpdate(true, "insert the key", insertKey(newKey(watchword.KeyService, 1)))
		s.wantUpdate(false, "without an account", hasAdmin)
		one := s.addUser(1)
		s.wantUpdate(true, "with an administrator", hasAdmin)
		setDisabled := func(at time.Time) {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.SetDisabled(ctx, one.ID, at) })
		}
		setDisabled(Start)
		s.wantUpdate(false, "with a disabled one", hasAdmin)
		setDisabled(time.Time{})
		s.wantUpdate(true, "with an enabled one", hasAdmin)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return tx.SetRoles(ctx, one.ID, []string{"administrator", "staff"}, Start)
		})
		s.wantUpdate(false, "with another role", hasAdmin)
	},

	// Two transactions each remove one of the last two administrators. Only one of them must succeed. Without a
	// common lock in HasAdmin, neither would see the change of the other. If the store allows it, the test waits
	// until both have called HasAdmin before one of them commits.
	"OneAdminRemainsOfTwo": func(s suite) {
		s.wantUpdate(true, "insert the key", insertKey(newKey(watchword.KeyService, 1)))
		for way := range 3 {
			one, two := s.addUser(2*way), s.addUser(2*way+1)
			asked := make(chan struct{}, 4) // capacity 4, because a store may retry a transaction
			both := func() {
				asked <- struct{}{}
				// If HasAdmin locks, the second transaction does not reach this loop, and the first one waits until
				// the timeout.
				for wait := time.After(200 * time.Millisecond); len(asked) < 2; {
					select {
					case <-wait:
						return
					case <-time.After(time.Millisecond):
					}
				}
			}
			var first, second error
			var running sync.WaitGroup
			running.Go(func() { first = s.removeAdminUnlessLast(one.ID, way, both) })
			running.Go(func() { second = s.removeAdminUnlessLast(two.ID, 2, both) })
			running.Wait()
			failed := slices.DeleteFunc([]error{first, second}, func(err error) bool { return err == nil })
			if len(failed) != 1 || !errors.Is(failed[0], errLastAdmin) {
				s.Errorf("way %d: refused: %v, want one", way, failed)
			}
			s.wantUpdate(true, "the rest", hasAdmin)
			for _, u := range []watchword.User{one, two} {
				s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
					_, err := tx.DeleteUser(ctx, u.ID)
					return err
				})
			}
		}
	},

	// HasAdmin locks the row of the service secret. Without this row, two transactions could both remove an
	// administrator, so HasAdmin must fail.
	"HasAdminFailsWithoutItsLock": func(s suite) {
		s.addUser(1)
		err := s.Update(s.Context(), func(tx watchword.Tx) error {
			_, err := tx.HasAdmin(s.Context())
			return err
		})
		if err == nil || errors.Is(err, watchword.ErrNotFound) || !strings.Contains(err.Error(), "service") {
			s.Errorf("without the key: %v", err)
		}
	},
}

// addFullAccount inserts an account with a value in every field, an authenticator app and a passkey.
func (s suite) addFullAccount() admin.Account {
	s.Helper()
	u := fullUser()
	s.wantUpdate(true, "insert", insertUser(u, Start))
	s.wantUpdate(true, "insert a TOTP", insertFactor(newAuthenticator(u, 1)))
	s.wantUpdate(true, "insert a passkey", insertFactor(newPasskey(u, 2)))
	u.Metadata = `{"plan":"pro"}`
	s.wantUpdate(true, "metadata", setMetadata(u.ID, metadata.Metadata{Version: 1, Public: u.Metadata}, 0))
	return admin.Account{User: s.readUser(u.ID), TOTP: true, Passkey: true}
}

var errLastAdmin = errors.New("the last administrator")

// addAccountsOfAllKinds inserts accounts of each state. In each state, accounts have no factor, an authenticator app,
// a passkey, or both. Their ids and their addresses sort in the same order.
func (s suite) addAccountsOfAllKinds() {
	s.Helper()
	for n := range 12 {
		u := User(n)
		u.Roles = [][]string{nil, {"staff"}, {"admin", "staff"}}[n%3]
		switch n / 4 {
		case 1:
			u.VerifiedAt = time.Time{}
		case 2:
			u.DisabledAt = Start
		}
		if n == 11 {
			u.VerifiedAt = time.Time{} // disabled and unverified
		}
		s.wantUpdate(true, "insert", insertUser(u, Start))
		if n%4 == 1 || n%4 == 3 {
			s.wantUpdate(true, "a TOTP", insertFactor(newAuthenticator(u, 2*n)))
		}
		if n%4 >= 2 {
			s.wantUpdate(true, "a passkey", insertFactor(newPasskey(u, 2*n+1)))
		}
	}
}

func allFilters() (all []admin.Filter) {
	for _, state := range []string{"", admin.StateActive, admin.StateUnverified, admin.StateDisabled} {
		for _, factor := range []string{"", admin.FactorNone, admin.FactorAny, admin.FactorTOTP, admin.FactorPasskey} {
			for _, role := range []string{"", "admin", "staff", "other"} {
				all = append(all, admin.Filter{State: state, Factor: factor, Role: role})
			}
		}
	}
	return all
}

func filterSelects(f admin.Filter, a admin.Account) bool {
	kinds := a.Kinds()
	factor := f.Factor == "" || slices.Contains(kinds, f.Factor) || f.Factor == admin.FactorAny && len(kinds) > 0 ||
		f.Factor == admin.FactorNone && len(kinds) == 0
	return factor && (f.State == "" || f.State == a.State()) && (f.Role == "" || a.HasRole(f.Role))
}

// removeAdminUnlessLast disables (removal 0), demotes (1) or deletes (2) an administrator. It then asks HasAdmin
// whether another administrator remains, and calls beforeCommit. If no administrator remains, it rolls back and
// returns errLastAdmin.
func (s suite) removeAdminUnlessLast(id watchword.UserID, removal int, beforeCommit func()) error {
	return s.Update(s.Context(), func(tx watchword.Tx) (err error) {
		switch removal {
		case 0:
			err = tx.SetDisabled(s.Context(), id, Start)
		case 1:
			err = tx.SetRoles(s.Context(), id, nil, Start)
		default:
			_, err = tx.DeleteUser(s.Context(), id)
		}
		if err != nil {
			return err
		}
		remains, err := tx.HasAdmin(s.Context())
		beforeCommit()
		if err == nil && !remains {
			err = errLastAdmin
		}
		return err
	})
}

func (s suite) viewAdmin(fn func(context.Context, admin.Tx) error) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) error { return fn(ctx, tx.(admin.Tx)) })
}

func (s suite) wantRole(role string, after watchword.UserID, limit int, want ...watchword.UserID) {
	s.Helper()
	s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
		last, found, err := tx.LastWithRole(ctx, role, after, limit)
		accounts, err2 := tx.AccountsWithRole(ctx, after, last, admin.Filter{Role: role}, limit)
		var ids []watchword.UserID
		for _, account := range accounts {
			ids = append(ids, account.ID)
		}
		wantEqual(s, "accounts with the role "+role, ids, want)
		wantEqual(s, "their number", found, len(want))
		return firstError(err, err2)
	})
}

func hasAdmin(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.HasAdmin(ctx) }
