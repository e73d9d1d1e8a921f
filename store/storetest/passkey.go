package storetest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

var passkeyTests = map[string]func(suite){
	"PasskeyIsFoundByItsCredential": func(s suite) {
		one, totp := newPasskey(User(1), 1), newAuthenticator(User(1), 2)
		s.wantUpdate(true, "passkey", insertFactor(one))
		s.wantUpdate(true, "totp", insertFactor(totp))
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			got, err := tx.FactorByCredential(ctx, one.CredentialID)
			wantEqual(s, "factor", got, one)
			for _, unknown := range []string{"", "another"} {
				_, missing := tx.FactorByCredential(ctx, unknown)
				s.wantNotFound("credential "+unknown, missing)
			}
			return err
		})
	},

	"CountOfAPasskeyGrowsOrStaysZero": func(s suite) {
		f := newPasskey(User(1), 1)
		s.wantUpdate(true, "insert", insertFactor(f))
		claim := func(count int64, edit func(*factors.Factor)) func(context.Context, watchword.Tx) (bool, error) {
			g := f
			if g.Counter = count; edit != nil {
				edit(&g)
			}
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).ClaimCount(ctx, g, afterStart(time.Hour))
			}
		}
		s.wantUpdate(true, "zero after zero", claim(0, nil))
		s.wantUpdate(true, "zero again", claim(0, nil))
		s.wantUpdate(true, "higher", claim(5, nil))
		s.wantUpdate(false, "equal", claim(5, nil))
		s.wantUpdate(false, "lower", claim(4, nil))
		s.wantUpdate(false, "zero after five", claim(0, nil))
		s.wantUpdate(false, "of another account", claim(9, func(g *factors.Factor) { g.UserID = User(2).ID }))
		wantEqual(s, "winners", s.countSuccesses(12, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return claim(6, func(g *factors.Factor) { g.Record, g.Unproven = `{"flags":5}`, false })(ctx, tx)
		}), 1)
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			got, err := tx.FactorByCredential(ctx, f.CredentialID)
			f.Counter, f.Record, f.Unproven, f.LastUsedAt = 6, `{"flags":5}`, false, afterStart(time.Hour)
			wantEqual(s, "factor", got, f)
			return err
		})
	},

	"UnprovenPasskeyIsNotCounted": func(s suite) {
		u := s.addUser(1)
		count := func() int {
			s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
				return tx.CountFactors(ctx, u.ID, afterStart(time.Hour))
			})
			return s.readUser(u.ID).Factors
		}
		s.wantUpdate(true, "insert", insertFactor(newPasskey(u, 1)))
		wantEqual(s, "unproven", count(), 0)
		s.wantUpdate(true, "insert", insertFactor(newAuthenticator(u, 2)))
		wantEqual(s, "with a totp", count(), 1)
		s.wantUpdate(true, "first use", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			proven := newPasskey(u, 1)
			proven.Unproven = false
			return tx.(factors.Tx).ClaimCount(ctx, proven, afterStart(time.Hour))
		})
		wantEqual(s, "proven", count(), 2)
	},

	"LastWayInIsKept": func(s suite) {
		u := s.addUser(1)
		one, other, others, app := newPasskey(u, 1), newPasskey(u, 2), newPasskey(User(2), 3), newAuthenticator(u, 4)
		for _, f := range []factors.Factor{one, other, others, app} {
			s.wantUpdate(true, "insert", insertFactor(f))
		}
		remove := func(f factors.Factor, spare string) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).DeleteFactor(ctx, u.ID, f.ID, spare, nil)
			}
		}
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.SetPassword(ctx, u.ID, "") })
		for name, spare := range map[string]string{"no other passkey": "", "itself": one.ID,
			"that of another user": others.ID, "one that does not exist": fixedUUID("000a", 9)} {
			s.wantUpdate(false, name, remove(one, spare))
		}
		s.wantUpdate(true, "an app", remove(app, ""))
		// Each of two transactions deletes one passkey, and names the other passkey as the remaining way to sign in.
		ids := map[int]factors.Factor{0: one, 1: other}
		var started atomic.Int32
		wantEqual(s, "removed in parallel", s.countSuccesses(2, func(ctx context.Context, tx factors.Tx) (bool, error) {
			if locked, err := tx.LockUser(ctx, u.ID, u.Email); err != nil || !locked {
				return false, err
			}
			n := int(started.Add(1)) % 2
			return tx.DeleteFactor(ctx, u.ID, ids[n].ID, ids[1-n].ID, nil)
		}), 1)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.SetPassword(ctx, u.ID, "a hash") })
		wantEqual(s, "removed beside a password", s.tryUpdate(remove(one, "")) || s.tryUpdate(remove(other, "")), true)
	},

	"PasswordlessCeremonyIsSpentOnce": func(s suite) {
		c := newChallenge(User(1), 1)
		wantEqual(s, "winners", s.countSuccesses(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return tx.ConsumeChallenge(ctx, c)
		}), 1)
	},
}

// newPasskey returns a passkey that was never used with user verification. Its counter is 0.
func newPasskey(u watchword.User, n int) factors.Factor {
	f := newAuthenticator(u, n)
	f.Kind, f.Sealed, f.Counter, f.Unproven = factors.KindPasskey, []byte{}, 0, true
	f.CredentialID, f.Record = "credential-"+f.ID, `{"flags":1}`
	return f
}
