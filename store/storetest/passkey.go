package storetest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

var passkeys = map[string]func(suite){
	"PasskeyIsFoundByItsCredential": func(s suite) {
		one, totp := passkeyOf(User(1), 1), factorOf(User(1), 2)
		s.wantHeld(true, "passkey", insertFactor(one))
		s.wantHeld(true, "totp", insertFactor(totp))
		s.factors(func(ctx context.Context, tx factors.Tx) error {
			got, err := tx.FactorByCredential(ctx, one.CredentialID)
			same(s, "factor", got, one)
			for _, unknown := range []string{"", "another"} {
				_, missing := tx.FactorByCredential(ctx, unknown)
				s.wantNotFound("credential "+unknown, missing)
			}
			return err
		})
	},

	"CountOfAPasskeyGrowsOrStaysZero": func(s suite) {
		f := passkeyOf(User(1), 1)
		s.wantHeld(true, "insert", insertFactor(f))
		claim := func(count int64, edit func(*factors.Factor)) func(context.Context, watchword.Tx) (bool, error) {
			g := f
			if g.Counter = count; edit != nil {
				edit(&g)
			}
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).ClaimCount(ctx, g, after(time.Hour))
			}
		}
		s.wantHeld(true, "zero after zero", claim(0, nil))
		s.wantHeld(true, "zero again", claim(0, nil))
		s.wantHeld(true, "higher", claim(5, nil))
		s.wantHeld(false, "equal", claim(5, nil))
		s.wantHeld(false, "lower", claim(4, nil))
		s.wantHeld(false, "zero after five", claim(0, nil))
		s.wantHeld(false, "of another account", claim(9, func(g *factors.Factor) { g.UserID = User(2).ID }))
		same(s, "winners", s.inParallel(12, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return claim(6, func(g *factors.Factor) { g.Record, g.Unproven = `{"flags":5}`, false })(ctx, tx)
		}), 1)
		s.factors(func(ctx context.Context, tx factors.Tx) error {
			got, err := tx.FactorByCredential(ctx, f.CredentialID)
			f.Counter, f.Record, f.Unproven, f.LastUsedAt = 6, `{"flags":5}`, false, after(time.Hour)
			same(s, "factor", got, f)
			return err
		})
	},

	"UnprovenPasskeyIsNotCounted": func(s suite) {
		u := s.addUser(1)
		count := func() int {
			s.factors(func(ctx context.Context, tx factors.Tx) error { return tx.CountFactors(ctx, u.ID, after(time.Hour)) })
			return s.user(u.ID).Factors
		}
		s.wantHeld(true, "insert", insertFactor(passkeyOf(u, 1)))
		same(s, "unproven", count(), 0)
		s.wantHeld(true, "insert", insertFactor(factorOf(u, 2)))
		same(s, "with a totp", count(), 1)
		s.wantHeld(true, "first use", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			proven := passkeyOf(u, 1)
			proven.Unproven = false
			return tx.(factors.Tx).ClaimCount(ctx, proven, after(time.Hour))
		})
		same(s, "proven", count(), 2)
	},

	"LastWayInIsKept": func(s suite) {
		u := s.addUser(1)
		one, other, others, app := passkeyOf(u, 1), passkeyOf(u, 2), passkeyOf(User(2), 3), factorOf(u, 4)
		for _, f := range []factors.Factor{one, other, others, app} {
			s.wantHeld(true, "insert", insertFactor(f))
		}
		remove := func(f factors.Factor, spare string) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).DeleteFactor(ctx, u.ID, f.ID, spare, nil)
			}
		}
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.SetPassword(ctx, u.ID, "") })
		for name, spare := range map[string]string{"no other passkey": "", "itself": one.ID,
			"that of another user": others.ID, "one that does not exist": uuidOf("000a", 9)} {
			s.wantHeld(false, name, remove(one, spare))
		}
		s.wantHeld(true, "an app", remove(app, ""))
		// Each of two transactions deletes one passkey, and names the other passkey as the remaining way to sign in.
		ids := map[int]factors.Factor{0: one, 1: other}
		var started atomic.Int32
		same(s, "removed in parallel", s.inParallel(2, func(ctx context.Context, tx factors.Tx) (bool, error) {
			if locked, err := tx.LockUser(ctx, u.ID, u.Email); err != nil || !locked {
				return false, err
			}
			n := int(started.Add(1)) % 2
			return tx.DeleteFactor(ctx, u.ID, ids[n].ID, ids[1-n].ID, nil)
		}), 1)
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.SetPassword(ctx, u.ID, "a hash") })
		same(s, "removed beside a password", s.settled(remove(one, "")) || s.settled(remove(other, "")), true)
	},

	"PasswordlessCeremonyIsSpentOnce": func(s suite) {
		c := challengeOf(User(1), 1)
		same(s, "winners", s.inParallel(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return tx.ConsumeChallenge(ctx, c)
		}), 1)
	},
}

// passkeyOf returns factor number n, a passkey of the user. It was never used with user verification, and its counter
// is 0.
func passkeyOf(u watchword.User, n int) factors.Factor {
	f := factorOf(u, n)
	f.Kind, f.Sealed, f.Counter, f.Unproven = factors.KindPasskey, []byte{}, 0, true
	f.CredentialID, f.Record = "credential-"+f.ID, `{"flags":1}`
	return f
}
