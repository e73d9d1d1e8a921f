package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

var factorTests = map[string]func(suite){
	"FactorAndChallengeKeepEveryField": func(s suite) {
		factor, challenge := newAuthenticator(User(1), 1), newChallenge(User(1), 1)
		factor.CredentialID, factor.Record, factor.LastUsedAt = "credential", `{"key":1}`, afterStart(time.Hour)
		factor.Unproven = true
		wantCompleteFixture(s, factor)
		wantCompleteFixture(s, challenge)
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			if _, err := tx.InsertFactor(ctx, factor); err != nil {
				return err
			}
			if err := tx.InsertChallenge(ctx, challenge); err != nil {
				return err
			}
			all, err := tx.Factors(ctx, factor.UserID)
			wantEqual(s, "factors", all, []factors.Factor{factor})
			got, err2 := tx.Challenge(ctx, challenge.ID, challenge.Purpose, challenge.ExpiresAt.Add(-time.Millisecond))
			wantEqual(s, "challenge", got, challenge)
			return firstError(err, err2)
		})
	},

	"LoginChallengeReturnsTheFactorsOfItsUser": func(s suite) {
		u := s.addUser(1)
		app, key := newAuthenticator(u, 1), newAuthenticator(u, 2)
		key.Kind, key.CredentialID, key.Record = factors.KindPasskey, "AQ-_", `{"key":"A\"\\B","transports":["usb"]}`
		want := []watchword.OfferedFactor{{Kind: "totp"},
			{Kind: "passkey", CredentialID: key.CredentialID, Record: key.Record}}
		insert := func(n int, want []watchword.OfferedFactor) {
			s.Helper()
			c := newChallenge(u, n)
			s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
				got, err := tx.InsertLoginChallenge(ctx, c)
				wantEqual(s, "offered factors", got, want)
				stored, err2 := tx.Challenge(ctx, c.ID, c.Purpose, c.CreatedAt)
				wantEqual(s, "challenge", stored, c)
				return firstError(err, err2)
			})
		}
		s.wantUpdate(true, "of another account", insertFactor(newAuthenticator(User(2), 3)))
		insert(1, []watchword.OfferedFactor{}) // empty but not nil, see FactorTx.InsertLoginChallenge
		s.wantUpdate(true, "the newer one", insertFactor(key))
		insert(2, want[1:])
		s.wantUpdate(true, "the older one", insertFactor(app))
		insert(3, want)
	},

	"UserIsReadWithTheFactors": func(s suite) {
		u := s.addUser(1)
		one, other := newAuthenticator(u, 1), newAuthenticator(u, 2)
		other.CreatedAt = one.CreatedAt.Add(time.Hour)
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			_, _, err := tx.UserWithFactors(ctx, u.ID)
			s.wantNotFound("without a factor", err)
			return nil
		})
		s.wantUpdate(true, "the newer one", insertFactor(other))
		s.wantUpdate(true, "the older one", insertFactor(one))
		s.wantUpdate(true, "of another account", insertFactor(newAuthenticator(User(2), 3)))
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			got, all, err := tx.UserWithFactors(ctx, u.ID)
			wantEqual(s, "user", got, u)
			wantEqual(s, "factors", all, []factors.Factor{one, other})
			return err
		})
	},

	"CredentialBelongsToOneFactor": func(s suite) {
		one, other := newAuthenticator(User(1), 1), newAuthenticator(User(2), 2)
		one.CredentialID, other.CredentialID = "same", "same"
		s.wantUpdate(true, "the first", insertFactor(one))
		s.wantUpdate(false, "the same credential", insertFactor(other))
		one.ID, one.CredentialID, other.CredentialID = fixedUUID("000a", 3), "", ""
		s.wantUpdate(true, "without a credential", insertFactor(one))
		s.wantUpdate(true, "another without a credential", insertFactor(other))
	},

	"StepIsClaimedOnce": func(s suite) {
		f := newAuthenticator(User(1), 1)
		s.wantUpdate(true, "insert", insertFactor(f))
		claim := func(step int64) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).ClaimStep(ctx, f, step, afterStart(time.Hour))
			}
		}
		s.wantUpdate(false, "its own step", claim(f.Counter))
		s.wantUpdate(false, "a lower step", claim(f.Counter-1))
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if s.tryUpdate(claim(f.Counter + 1)) {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		wantEqual(s, "winners", won.Load(), int32(1))
		f.UserID = User(2).ID
		s.wantUpdate(false, "of another account", claim(f.Counter+9))
	},

	"ChallengeWorksForItsPurposeUntilItExpires": func(s suite) {
		c := newChallenge(User(1), 1)
		s.addChallenge(c)
		before := c.ExpiresAt.Add(-time.Millisecond)
		for name, of := range map[string]func(factors.Tx, watchword.ChallengePurpose, time.Time) (bool, error){
			"attempt": func(tx factors.Tx, p watchword.ChallengePurpose, at time.Time) (bool, error) {
				return claimSucceeded(tx.ClaimChallenge(s.Context(), c.ID, p, at))
			},
			"take": func(tx factors.Tx, p watchword.ChallengePurpose, at time.Time) (bool, error) {
				return tx.TakeChallenge(s.Context(), c.ID, p, at)
			},
		} {
			try := func(p watchword.ChallengePurpose, at time.Time) func(context.Context, watchword.Tx) (bool, error) {
				return func(_ context.Context, tx watchword.Tx) (bool, error) { return of(tx.(factors.Tx), p, at) }
			}
			s.wantUpdate(false, name+" for another purpose", try(watchword.ChallengeTOTP, before))
			s.wantUpdate(false, name+" when it has expired", try(c.Purpose, c.ExpiresAt))
		}
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			_, err := tx.Challenge(ctx, c.ID, watchword.ChallengeTOTP, before)
			s.wantNotFound("for another purpose", err)
			_, err = tx.Challenge(ctx, c.ID, c.Purpose, c.ExpiresAt)
			s.wantNotFound("when it has expired", err)
			return nil
		})
	},

	"FiveAttemptsAreCountedAndOneTakes": func(s suite) {
		c := newChallenge(User(1), 1)
		c.Attempts = 0
		s.addChallenge(c)
		wantEqual(s, "attempts", s.countSuccesses(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return claimSucceeded(tx.ClaimChallenge(ctx, c.ID, c.Purpose, Start))
		}), watchword.ChallengeAttempts)
		wantEqual(s, "taken", s.countSuccesses(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return tx.TakeChallenge(ctx, c.ID, c.Purpose, Start)
		}), 1)
	},

	"ClaimChallengeCountsAndReads": func(s suite) {
		c := newChallenge(User(1), 1)
		c.Attempts = 0
		s.addChallenge(c)
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			got, err := tx.ClaimChallenge(ctx, c.ID, c.Purpose, Start)
			c.Attempts = 1
			wantEqual(s, "challenge", got, c)
			return err
		})
	},

	"RecoveryCodeWorksOnceAndForItsOwner": func(s suite) {
		u, other := User(1).ID, User(2).ID
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			return firstError(tx.InsertRecoveryCode(ctx, u, "one", Start), tx.InsertRecoveryCode(ctx, u, "two", Start),
				tx.InsertRecoveryCode(ctx, other, "one", Start))
		})
		wantEqual(s, "taken", s.countSuccesses(12, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return tx.TakeRecoveryCode(ctx, u, "one")
		}), 1)
		left := func(id watchword.UserID) (got factors.RecoveryCodes) {
			s.updateFactors(func(ctx context.Context, tx factors.Tx) (err error) {
				got, err = tx.RecoveryCodes(ctx, id)
				return err
			})
			return got
		}
		wantEqual(s, "left", left(u), factors.RecoveryCodes{Left: 1, CreatedAt: Start})
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error { return tx.DeleteRecoveryCodes(ctx, u) })
		wantEqual(s, "left after the deletion", left(u), factors.RecoveryCodes{})
		wantEqual(s, "left to another", left(other), factors.RecoveryCodes{Left: 1, CreatedAt: Start})
	},

	"CountFactorsMovesTheTimeOfTheChange": func(s suite) {
		u := s.addUser(1)
		s.wantUpdate(true, "insert", insertFactor(newAuthenticator(u, 1)))
		for range 2 {
			s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
				return tx.CountFactors(ctx, u.ID, u.FactorsChangedAt)
			})
			u.Factors, u.FactorsChangedAt = 1, u.FactorsChangedAt.Add(time.Millisecond)
			wantEqual(s, "user", s.readUser(u.ID), u)
		}
	},

	"ChangeOfFactorsExcludesASignIn": func(s suite) {
		u := s.addUser(1)
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			return tx.CountFactors(ctx, u.ID, afterStart(time.Hour))
		})
		s.wantUpdate(false, "the lock of a sign-in", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.ReplacePassword(ctx, u, u.PasswordHash)
		})
	},

	"FactorsAreDeletedTogetherAndWithTheUser": func(s suite) {
		for n, remove := range []func(context.Context, factors.Tx, watchword.User) error{
			func(ctx context.Context, tx factors.Tx, u watchword.User) error {
				return tx.DeleteFactors(ctx, u.ID, time.Time{}, afterStart(time.Hour))
			},
			func(ctx context.Context, tx factors.Tx, u watchword.User) error {
				_, err := tx.DeleteUser(ctx, u.ID)
				return err
			},
		} {
			u, c := s.addUser(n), newChallenge(User(n), n)
			s.addChallenge(c)
			s.wantUpdate(true, "insert", insertFactor(newAuthenticator(u, n)))
			s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
				return firstError(tx.InsertRecoveryCode(ctx, u.ID, "hash", Start), remove(ctx, tx, u))
			})
			s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
				all, err := tx.Factors(ctx, u.ID)
				codes, err2 := tx.RecoveryCodes(ctx, u.ID)
				_, err3 := tx.Challenge(ctx, c.ID, c.Purpose, Start)
				s.wantNotFound("challenge", err3)
				wantEqual(s, "left", append([]any{len(all)}, codes), []any{0, factors.RecoveryCodes{}})
				return firstError(err, err2)
			})
		}
		u := User(0)
		u.Factors, u.FactorsChangedAt = 0, afterStart(time.Hour)
		wantEqual(s, "user without factors", s.readUser(u.ID), u)
	},

	"SessionKeepsTheNewestChallengesOfAPurpose": func(s suite) {
		u := s.addUser(1)
		one := newChallenge(u, 1)
		of := func(n int, change func(*watchword.Challenge)) watchword.Challenge {
			c := one
			c.ID, c.CreatedAt = fixedUUID("000b", n), afterStart(time.Duration(n)*time.Second)
			change(&c)
			return c
		}
		others := []watchword.Challenge{
			of(2, func(c *watchword.Challenge) { c.Purpose = watchword.ChallengeTOTP }),
			of(3, func(c *watchword.Challenge) { c.SessionID = Session(u.ID, 3).ID }),
			of(4, func(c *watchword.Challenge) { c.UserID = User(2).ID }),
		}
		second, third := of(5, func(*watchword.Challenge) {}), of(6, func(*watchword.Challenge) {})
		// This challenge was created after the clock was set back.
		earlier := of(7, func(c *watchword.Challenge) { c.CreatedAt = one.CreatedAt.Add(-time.Hour) })
		for _, c := range append(others, one, second, third, earlier) {
			s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
				return tx.InsertSessionChallenge(ctx, c, 2)
			})
		}
		left := func(c watchword.Challenge) bool {
			var err error
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				_, err = tx.(factors.Tx).Challenge(ctx, c.ID, c.Purpose, Start)
				return nil
			})
			return err == nil
		}
		for n, c := range append(others, third, earlier) {
			wantEqual(s, fmt.Sprint("kept ", n), left(c), true)
		}
		for n, c := range []watchword.Challenge{one, second} {
			wantEqual(s, fmt.Sprint("deleted ", n), left(c), false)
		}
	},

	"DeviceIsUsedUntilItsEndOrAChangeOfFactors": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		d := factors.Device{ID: fixedUUID("000c", 1), UserID: u.ID, Name: "Firefox on Linux",
			CreatedAt:  afterStart(time.Hour),
			LastUsedAt: afterStart(2 * time.Hour), ExpiresAt: afterStart(9 * time.Hour)}
		wantCompleteFixture(s, d)
		second := d
		second.ID, second.CreatedAt = fixedUUID("000c", 2), afterStart(2*time.Hour)
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			return firstError(tx.InsertDevice(ctx, d, 2), tx.InsertDevice(ctx, second, 2))
		})
		listed := func(since, now time.Time, want ...factors.Device) {
			s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
				all, err := tx.Devices(ctx, u.ID, since, now)
				wantEqual(s, "devices", all, want)
				return err
			})
		}
		use := func(id watchword.UserID, since, now time.Time) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.UseDevice(ctx, id, d.ID, since, now)
			}
		}
		listed(Start, afterStart(3*time.Hour), second, d)
		s.wantUpdate(true, "used", use(u.ID, Start, afterStart(3*time.Hour)))
		s.wantUpdate(false, "of another", use(other.ID, Start, afterStart(3*time.Hour)))
		s.wantUpdate(false, "expired", use(u.ID, Start, d.ExpiresAt))
		s.wantUpdate(false, "created too early", use(u.ID, d.CreatedAt, afterStart(3*time.Hour)))
		d.LastUsedAt = afterStart(3 * time.Hour)
		listed(Start, afterStart(3*time.Hour), second, d)
		listed(d.CreatedAt, afterStart(3*time.Hour), second)
		listed(Start, d.ExpiresAt)
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			return tx.CountFactors(ctx, u.ID, d.CreatedAt)
		})
		s.wantUpdate(false, "factors changed", use(u.ID, Start, afterStart(3*time.Hour)))
		listed(Start, afterStart(3*time.Hour), second)
		third := d
		third.ID, third.CreatedAt = fixedUUID("000c", 3), afterStart(4*time.Hour)
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error { return tx.InsertDevice(ctx, third, 1) })
		listed(Start, afterStart(3*time.Hour), third)
		remove := func(id watchword.UserID) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).DeleteDevice(ctx, id, third.ID)
			}
		}
		s.wantUpdate(false, "forgotten by another", remove(other.ID))
		s.wantUpdate(true, "forgotten", remove(u.ID))
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			return firstError(tx.InsertDevice(ctx, third, 1), tx.ForgetDevices(ctx, u.ID))
		})
		listed(Start, afterStart(3*time.Hour))
	},

	"SessionIsProvenWhileItIsAlive": func(s suite) {
		one := s.addSession(Session(s.addUser(1).ID, 1))
		methods, at := []string{"pwd", "otp", "mfa"}, afterStart(time.Minute)
		prove := func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.(factors.Tx).ProveSession(ctx, one.ID, methods, at, Policy().Cutoffs(at))
		}
		s.wantUpdate(true, "alive", prove)
		one.Methods, one.AuthenticatedAt = methods, at
		wantEqual(s, "session", s.readSession(one.ID), one)
		s.wantUpdate(true, "end", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.EndSession(ctx, one.ID, watchword.EndedLogout, at)
		})
		s.wantUpdate(false, "ended", prove)
	},

	"SealedFactorsAreListedInBatches": func(s suite) {
		for n := range 3 {
			s.wantUpdate(true, "insert", insertFactor(newAuthenticator(User(n), n)))
		}
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			first, err := tx.SealedFactors(ctx, "", 2)
			if err != nil {
				return err
			}
			rest, err := tx.SealedFactors(ctx, first[1].ID, 2)
			wantEqual(s, "batches", []int{len(first), len(rest)}, []int{2, 1})
			rest[0].Sealed = []byte("another")
			return firstError(err, tx.SetSealedFactor(ctx, rest[0]))
		})
		s.updateFactors(func(ctx context.Context, tx factors.Tx) error {
			all, err := tx.Factors(ctx, User(2).ID)
			wantEqual(s, "sealed", string(all[0].Sealed), "another")
			return err
		})
	},

	"FactorIsRenamedAndDeletedByItsOwnerOnly": func(s suite) {
		f := newAuthenticator(User(1), 1)
		s.wantUpdate(true, "insert", insertFactor(f))
		rename := func(id watchword.UserID) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).RenameFactor(ctx, id, f.ID, "phone")
			}
		}
		remove := func(id watchword.UserID) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.(factors.Tx).DeleteFactor(ctx, id, f.ID, "", nil)
			}
		}
		s.wantUpdate(false, "renamed by another", rename(User(2).ID))
		s.wantUpdate(false, "deleted by another", remove(User(2).ID))
		s.wantUpdate(true, "renamed", rename(f.UserID))
		s.wantUpdate(true, "deleted", remove(f.UserID))
		s.wantUpdate(false, "deleted again", remove(f.UserID))
	},
}

func (s suite) updateFactors(fn func(context.Context, factors.Tx) error) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return fn(ctx, tx.(factors.Tx)) })
}

func (s suite) countSuccesses(n int, fn func(context.Context, factors.Tx) (bool, error)) int {
	s.Helper()
	var held atomic.Int32
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if s.tryUpdate(func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return fn(ctx, tx.(factors.Tx))
			}) {
				held.Add(1)
			}
		})
	}
	wg.Wait()
	return int(held.Load())
}

func insertFactor(f factors.Factor) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.(factors.Tx).InsertFactor(ctx, f) }
}

func (s suite) addChallenge(c watchword.Challenge) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertChallenge(ctx, c) })
}

func newAuthenticator(u watchword.User, n int) factors.Factor {
	return factors.Factor{
		ID: fixedUUID("000a", n), UserID: u.ID, Kind: factors.KindTOTP, Name: fmt.Sprint("factor ", n),
		Sealed: []byte{1, 0, byte(n), 255}, Counter: 59_850_720, CreatedAt: afterStart(time.Duration(n) * time.Second),
	}
}

func newChallenge(u watchword.User, n int) watchword.Challenge {
	return watchword.Challenge{
		ID: fixedUUID("000b", n), Purpose: watchword.ChallengeLogin, UserID: u.ID, SessionID: Session(u.ID, n).ID,
		FactorsChangedAt: u.FactorsChangedAt, Sealed: []byte{2, 0, byte(n)}, Attempts: 2,
		CreatedAt: Start, ExpiresAt: afterStart(10 * time.Minute),
	}
}

// claimSucceeded converts the result of a claim for tests that count successes: ErrNotFound becomes false without an
// error.
func claimSucceeded(_ watchword.Challenge, err error) (bool, error) {
	if errors.Is(err, watchword.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
