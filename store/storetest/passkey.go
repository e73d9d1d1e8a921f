package storetest

import (
	"context"
	"errors"
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
				same(s, "credential "+unknown, errors.Is(missing, watchword.ErrNotFound), true)
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

	"PasswordlessCeremonyIsSpentOnce": func(s suite) {
		c := challengeOf(User(1), 1)
		same(s, "winners", s.inParallel(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return tx.SpendChallenge(ctx, c)
		}), 1)
	},
}

// passkeyOf returns factor number n, an upgraded passkey of the user without a counter.
func passkeyOf(u watchword.User, n int) factors.Factor {
	f := factorOf(u, n)
	f.Kind, f.Sealed, f.Counter, f.Unproven = factors.KindPasskey, []byte{}, 0, true
	f.CredentialID, f.Record = "credential-"+f.ID, `{"flags":1}`
	return f
}
