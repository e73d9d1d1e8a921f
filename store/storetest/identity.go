package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
)

var identityTests = map[string]func(suite){
	"IdentityIsFoundByIssuerAndExactSubject": func(s suite) {
		u := s.addUser(1)
		one := newIdentity(u, 1)
		s.wantUpdate(true, "insert", insertIdentity(one))
		s.updateIdentities(func(ctx context.Context, tx federation.Tx) error {
			got, err := tx.Identity(ctx, one.Issuer, one.Subject)
			wantEqual(s, "identity", got, one)
			for _, subject := range []string{"", " " + one.Subject, one.Subject + " ", strings.ToUpper(one.Subject)} {
				_, missing := tx.Identity(ctx, one.Issuer, subject)
				s.wantNotFound("subject "+subject, missing)
			}
			_, missing := tx.Identity(ctx, one.Issuer+"/", one.Subject)
			s.wantNotFound("another issuer", missing)
			return err
		})
	},

	"SubjectIsLinkedOnceForEachIssuer": func(s suite) {
		one := newIdentity(s.addUser(1), 1)
		s.wantUpdate(true, "insert", insertIdentity(one))
		other := newIdentity(s.addUser(2), 2)
		other.Subject = one.Subject
		s.wantUpdate(true, "at another issuer", insertIdentity(other))
		other.ID, other.Issuer = newIdentity(User(2), 3).ID, one.Issuer
		s.wantUpdate(false, "of another account", insertIdentity(other))
		other.Subject = strings.ToUpper(one.Subject)
		s.wantUpdate(true, "in capitals", insertIdentity(other))
	},

	"OneOfManyInsertsOfAnIdentityWins": func(s suite) {
		one := newIdentity(User(1), 1)
		wantEqual(s, "winners", s.countSuccesses(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return insertIdentity(one)(ctx, tx)
		}), 1)
	},

	"IdentityIsUsedByItsOwnerOnly": func(s suite) {
		one, two := newIdentity(s.addUser(1), 1), newIdentity(User(1), 2)
		s.wantUpdate(true, "insert", insertIdentity(two))
		s.wantUpdate(true, "insert", insertIdentity(one))
		use := func(i federation.Identity) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(federation.Tx).UseIdentity(ctx, i)
			}
		}
		one.Provider, one.Email, one.LastUsedAt = "renamed", "new@example.com", afterStart(time.Hour)
		s.wantUpdate(true, "use", use(one))
		foreign := one
		foreign.UserID = User(2).ID
		s.wantUpdate(false, "of another account", use(foreign))
		s.updateIdentities(func(ctx context.Context, tx federation.Tx) error {
			all, err := tx.Identities(ctx, one.UserID)
			wantEqual(s, "identities", all, []federation.Identity{one, two})
			return err
		})
	},

	"LastIdentityIsKept": func(s suite) {
		u := User(1)
		u.PasswordHash = ""
		s.wantUpdate(true, "insert user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.InsertUser(ctx, u, Start)
		})
		one, two := newIdentity(u, 1), newIdentity(u, 2)
		s.wantUpdate(true, "insert", insertIdentity(one))
		remove := func(i federation.Identity, spare string) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(federation.Tx).DeleteIdentity(ctx, i.UserID, i.ID, spare, []string{"other", "acme"})
			}
		}
		s.wantUpdate(false, "the last", remove(one, ""))
		s.wantUpdate(false, "with a spare passkey that does not exist", remove(one, "unknown"))
		s.wantUpdate(true, "insert", insertIdentity(two))
		foreign := one
		foreign.UserID = s.addUser(2).ID
		s.wantUpdate(false, "by another account", remove(foreign, ""))
		s.wantUpdate(true, "one of two", remove(one, ""))
		s.wantUpdate(true, "insert a passkey", insertFactor(newPasskey(u, 3)))
		s.wantUpdate(true, "with a spare passkey", remove(two, newPasskey(u, 3).ID))
		s.wantUpdate(true, "insert", insertIdentity(one))
		s.wantUpdate(true, "the passkey, with an identity left", func(ctx context.Context,
			tx watchword.Tx) (bool, error) {
			return tx.(factors.Tx).DeleteFactor(ctx, u.ID, newPasskey(u, 3).ID, "", []string{"acme"})
		})
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.SetPassword(ctx, u.ID, "hash") })
		s.wantUpdate(true, "the last, with a password", remove(one, ""))
	},

	"IdentityOfARemovedProviderIsNoWayIn": func(s suite) {
		u := User(1)
		u.PasswordHash = ""
		s.wantUpdate(true, "insert user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.InsertUser(ctx, u, Start)
		})
		gone, kept, passkey := newIdentity(u, 1), newIdentity(u, 2), newPasskey(u, 3)
		gone.Provider = "gone"
		s.wantUpdate(true, "insert", insertIdentity(gone))
		s.wantUpdate(true, "insert", insertIdentity(kept))
		s.wantUpdate(true, "insert a passkey", insertFactor(passkey))
		identity := func(offered ...string) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(federation.Tx).DeleteIdentity(ctx, u.ID, kept.ID, "", offered)
			}
		}
		factor := func(offered ...string) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).DeleteFactor(ctx, u.ID, passkey.ID, "", offered)
			}
		}
		for name, offered := range map[string][]string{"none": nil, "others": {"acme", "gon", "one", "gone-too"}} {
			s.wantUpdate(false, "the identity with offered "+name, identity(offered...))
		}
		for name, offered := range map[string][]string{"none": nil, "others": {"acm", "gon", "cme", "acme-too"}} {
			s.wantUpdate(false, "the passkey with offered "+name, factor(offered...))
		}
		s.wantUpdate(true, "the passkey, with one provider offered", factor("other", "acme"))
		s.wantUpdate(true, "the identity, with the other provider offered again", identity("acme", "gone"))
	},

	"UsersOfRemovedProvidersAreListedInBatches": func(s suite) {
		add := func(n int, change func(*watchword.User), providers ...string) watchword.User {
			u := User(n)
			u.PasswordHash, u.Factors = "", 0
			change(&u)
			s.wantUpdate(true, "insert user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.InsertUser(ctx, u, Start)
			})
			for i, provider := range providers {
				one := newIdentity(u, 10*n+i)
				one.Provider = provider
				s.wantUpdate(true, "insert", insertIdentity(one))
			}
			return u
		}
		same := func(what string, got []watchword.User, want ...watchword.User) {
			s.Helper()
			var ids, wanted []string
			for _, u := range got {
				ids = append(ids, fmt.Sprint(u.ID, u.Verified(), u.Factors))
			}
			for _, u := range want {
				wanted = append(wanted, fmt.Sprint(u.ID, u.Verified(), u.Factors))
			}
			wantEqual(s, what, ids, wanted)
		}
		usual := func(*watchword.User) {}
		first := add(1, func(u *watchword.User) { u.VerifiedAt = Start }, "gone", "gone-too")
		second := add(2, func(u *watchword.User) { u.VerifiedAt = time.Time{} }, "gone")
		add(3, usual, "gone", "acme")
		add(4, func(u *watchword.User) { u.PasswordHash = "hash" }, "gone")
		add(5, usual)
		withPasskey := add(6, usual, "gone")
		s.wantUpdate(true, "insert a passkey", insertFactor(newPasskey(withPasskey, 90)))
		withPasskey.Factors = 1
		s.updateIdentities(func(ctx context.Context, tx federation.Tx) error {
			offered := []string{"acme", "other"}
			all, err := tx.Stranded(ctx, "", offered, 10)
			same("all", all, first, second, withPasskey)
			if err == nil {
				all, err = tx.Stranded(ctx, "", offered, 1)
				same("the first", all, first)
			}
			if err == nil {
				all, err = tx.Stranded(ctx, first.ID, offered, 10)
				same("after the first", all, second, withPasskey)
			}
			if err == nil {
				all, err = tx.Stranded(ctx, "", []string{"gone"}, 10)
				same("with the provider", all)
			}
			return err
		})
	},

	"IdentitiesAreDeletedByTimeAndWithTheirUser": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		for _, i := range []federation.Identity{newIdentity(u, 1), newIdentity(u, 2), newIdentity(other, 3)} {
			s.wantUpdate(true, "insert", insertIdentity(i))
		}
		left := func(u watchword.User) (n int) {
			s.updateIdentities(func(ctx context.Context, tx federation.Tx) error {
				all, err := tx.Identities(ctx, u.ID)
				n = len(all)
				return err
			})
			return n
		}
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return tx.DeleteIdentities(ctx, u.ID, newIdentity(u, 2).LinkedAt)
		})
		wantEqual(s, "older", left(u), 1)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return tx.DeleteIdentities(ctx, u.ID, time.Time{})
		})
		wantEqual(s, "all", left(u), 0)
		wantEqual(s, "of the other account", left(other), 1)
		s.wantUpdate(true, "delete user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.DeleteUser(ctx, other.ID)
		})
		wantEqual(s, "of the deleted account", left(other), 0)
		s.wantUpdate(true, "the identity is free again", insertIdentity(newIdentity(u, 3)))
	},
}

func (s suite) updateIdentities(fn func(context.Context, federation.Tx) error) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return fn(ctx, tx.(federation.Tx)) })
}

// newIdentity returns an identity that was connected n minutes after Start.
func newIdentity(u watchword.User, n int) federation.Identity {
	f := newAuthenticator(u, n)
	return federation.Identity{
		ID: f.ID, UserID: u.ID, Provider: "acme", Issuer: "https://acme.example.com/" + f.ID, Subject: "subject-" + f.ID,
		Email: "ada@acme.example.com", LinkedAt: afterStart(time.Duration(n) * time.Minute),
		LastUsedAt: afterStart(time.Hour),
	}
}

func insertIdentity(i federation.Identity) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.(federation.Tx).InsertIdentity(ctx, i)
	}
}
