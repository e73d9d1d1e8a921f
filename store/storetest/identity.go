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

var identities = map[string]func(suite){
	"IdentityIsFoundByIssuerAndExactSubject": func(s suite) {
		u := s.addUser(1)
		one := identityOf(u, 1)
		s.wantHeld(true, "insert", insertIdentity(one))
		s.identities(func(ctx context.Context, tx federation.Tx) error {
			got, err := tx.Identity(ctx, one.Issuer, one.Subject)
			same(s, "identity", got, one)
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
		one := identityOf(s.addUser(1), 1)
		s.wantHeld(true, "insert", insertIdentity(one))
		other := identityOf(s.addUser(2), 2)
		other.Subject = one.Subject
		s.wantHeld(true, "at another issuer", insertIdentity(other))
		other.ID, other.Issuer = identityOf(User(2), 3).ID, one.Issuer
		s.wantHeld(false, "of another account", insertIdentity(other))
		other.Subject = strings.ToUpper(one.Subject)
		s.wantHeld(true, "in capitals", insertIdentity(other))
	},

	"OneOfManyInsertsOfAnIdentityWins": func(s suite) {
		one := identityOf(User(1), 1)
		same(s, "winners", s.inParallel(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return insertIdentity(one)(ctx, tx)
		}), 1)
	},

	"IdentityIsUsedByItsOwnerOnly": func(s suite) {
		one, two := identityOf(s.addUser(1), 1), identityOf(User(1), 2)
		s.wantHeld(true, "insert", insertIdentity(two))
		s.wantHeld(true, "insert", insertIdentity(one))
		use := func(i federation.Identity) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(federation.Tx).UseIdentity(ctx, i)
			}
		}
		one.Provider, one.Email, one.LastUsedAt = "renamed", "new@example.com", after(time.Hour)
		s.wantHeld(true, "use", use(one))
		foreign := one
		foreign.UserID = User(2).ID
		s.wantHeld(false, "of another account", use(foreign))
		s.identities(func(ctx context.Context, tx federation.Tx) error {
			all, err := tx.Identities(ctx, one.UserID)
			same(s, "identities", all, []federation.Identity{one, two})
			return err
		})
	},

	"LastIdentityIsKept": func(s suite) {
		u := User(1)
		u.PasswordHash = ""
		s.wantHeld(true, "insert user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.InsertUser(ctx, u, Start)
		})
		one, two := identityOf(u, 1), identityOf(u, 2)
		s.wantHeld(true, "insert", insertIdentity(one))
		remove := func(i federation.Identity, spare string) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(federation.Tx).DeleteIdentity(ctx, i.UserID, i.ID, spare, []string{"other", "acme"})
			}
		}
		s.wantHeld(false, "the last", remove(one, ""))
		s.wantHeld(false, "with a spare passkey that does not exist", remove(one, "unknown"))
		s.wantHeld(true, "insert", insertIdentity(two))
		foreign := one
		foreign.UserID = s.addUser(2).ID
		s.wantHeld(false, "by another account", remove(foreign, ""))
		s.wantHeld(true, "one of two", remove(one, ""))
		s.wantHeld(true, "insert a passkey", insertFactor(passkeyOf(u, 3)))
		s.wantHeld(true, "with a spare passkey", remove(two, passkeyOf(u, 3).ID))
		s.wantHeld(true, "insert", insertIdentity(one))
		s.wantHeld(true, "the passkey, with an identity left", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.(factors.Tx).DeleteFactor(ctx, u.ID, passkeyOf(u, 3).ID, "", []string{"acme"})
		})
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.SetPassword(ctx, u.ID, "hash") })
		s.wantHeld(true, "the last, with a password", remove(one, ""))
	},

	"IdentityOfARemovedProviderIsNoWayIn": func(s suite) {
		u := User(1)
		u.PasswordHash = ""
		s.wantHeld(true, "insert user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.InsertUser(ctx, u, Start)
		})
		gone, kept, passkey := identityOf(u, 1), identityOf(u, 2), passkeyOf(u, 3)
		gone.Provider = "gone"
		s.wantHeld(true, "insert", insertIdentity(gone))
		s.wantHeld(true, "insert", insertIdentity(kept))
		s.wantHeld(true, "insert a passkey", insertFactor(passkey))
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
			s.wantHeld(false, "the identity with offered "+name, identity(offered...))
		}
		for name, offered := range map[string][]string{"none": nil, "others": {"acm", "gon", "cme", "acme-too"}} {
			s.wantHeld(false, "the passkey with offered "+name, factor(offered...))
		}
		s.wantHeld(true, "the passkey, with one provider offered", factor("other", "acme"))
		s.wantHeld(true, "the identity, with the other provider offered again", identity("acme", "gone"))
	},

	"UsersOfRemovedProvidersAreListedInBatches": func(s suite) {
		add := func(n int, change func(*watchword.User), providers ...string) watchword.User {
			u := User(n)
			u.PasswordHash, u.Factors = "", 0
			change(&u)
			s.wantHeld(true, "insert user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.InsertUser(ctx, u, Start)
			})
			for i, provider := range providers {
				one := identityOf(u, 10*n+i)
				one.Provider = provider
				s.wantHeld(true, "insert", insertIdentity(one))
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
			same(s, what, ids, wanted)
		}
		usual := func(*watchword.User) {}
		first := add(1, func(u *watchword.User) { u.VerifiedAt = Start }, "gone", "gone-too")
		second := add(2, func(u *watchword.User) { u.VerifiedAt = time.Time{} }, "gone")
		add(3, usual, "gone", "acme")
		add(4, func(u *watchword.User) { u.PasswordHash = "hash" }, "gone")
		add(5, usual)
		withPasskey := add(6, usual, "gone")
		s.wantHeld(true, "insert a passkey", insertFactor(passkeyOf(withPasskey, 90)))
		withPasskey.Factors = 1
		s.identities(func(ctx context.Context, tx federation.Tx) error {
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
		for _, i := range []federation.Identity{identityOf(u, 1), identityOf(u, 2), identityOf(other, 3)} {
			s.wantHeld(true, "insert", insertIdentity(i))
		}
		left := func(u watchword.User) (n int) {
			s.identities(func(ctx context.Context, tx federation.Tx) error {
				all, err := tx.Identities(ctx, u.ID)
				n = len(all)
				return err
			})
			return n
		}
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return tx.DeleteIdentities(ctx, u.ID, identityOf(u, 2).LinkedAt)
		})
		same(s, "older", left(u), 1)
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.DeleteIdentities(ctx, u.ID, time.Time{}) })
		same(s, "all", left(u), 0)
		same(s, "of the other account", left(other), 1)
		s.wantHeld(true, "delete user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.DeleteUser(ctx, other.ID)
		})
		same(s, "of the deleted account", left(other), 0)
		s.wantHeld(true, "the identity is free again", insertIdentity(identityOf(u, 3)))
	},
}

// identities runs fn in a transaction that must succeed.
func (s suite) identities(fn func(context.Context, federation.Tx) error) {
	s.Helper()
	s.update(func(ctx context.Context, tx watchword.Tx) error { return fn(ctx, tx.(federation.Tx)) })
}

// identityOf returns identity number n, which was connected n minutes after the start.
func identityOf(u watchword.User, n int) federation.Identity {
	f := factorOf(u, n)
	return federation.Identity{
		ID: f.ID, UserID: u.ID, Provider: "acme", Issuer: "https://acme.example.com/" + f.ID, Subject: "subject-" + f.ID,
		Email: "ada@acme.example.com", LinkedAt: after(time.Duration(n) * time.Minute), LastUsedAt: after(time.Hour),
	}
}

func insertIdentity(i federation.Identity) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.(federation.Tx).InsertIdentity(ctx, i)
	}
}
