package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

func raceRounds() int {
	if testing.Short() {
		return 40
	}
	return 200
}

// Each test repeats a race. Several functions, called contenders, start at the same time, and the test counts those
// that succeed.
var raceTests = map[string]func(suite){
	// RT-3
	"ConcurrentRotationsOfOneGenerationSucceedOnce": func(s suite) {
		one := s.addSession(Session(s.addUser(1).ID, 1))
		for range raceRounds() {
			r := Rotate(one, Start)
			s.wantWinners(1, s.rotationContender(r), s.rotationContender(r), s.rotationContender(r))
			one.Generation++
		}
		wantEqual(s, "generation", s.readSession(one.ID).Generation, one.Generation)
	},

	"ConcurrentRotationsOfManySessionsAllSucceed": func(s suite) {
		u := s.addUser(1)
		var all []func() bool
		const many = 64
		for n := range many {
			r := Rotate(s.addSession(Session(u.ID, n)), afterStart(time.Duration(n)*time.Second))
			r.Address = fmt.Sprint(n)
			all = append(all, func() bool {
				for range 10 {
					got, err := s.Rotate(s.Context(), r)
					if err != nil || !got.Rotated || got.Session.ID != r.Session || got.Session.Address != r.Address {
						s.Errorf("session %s: got %+v, %v", r.Session, got, err)
						return false
					}
					r.Generation++
				}
				return true
			})
		}
		s.wantWinners(many, all...)
	},

	// RT-8, RT-9
	"EndedSessionDoesNotRotate": func(s suite) {
		u := s.addUser(1)
		for n := range raceRounds() {
			one := s.addSession(Session(u.ID, n))
			var ended, rotatedLater atomic.Bool
			s.wantWinners(1, s.contender(endSession(one, watchword.EndedLogout, Start), &ended), func() bool {
				for range 5 {
					before := ended.Load()
					if s.rotationContender(Rotate(one, Start))() {
						one.Generation++
						rotatedLater.Store(before)
					}
				}
				return false
			})
			got := s.readSession(one.ID)
			if rotatedLater.Load() || got.EndedWhy != watchword.EndedLogout || got.Generation != one.Generation {
				s.Fatalf(
					"it rotated after its end: %t; it is %+v, its client knows generation %d",
					rotatedLater.Load(),
					got,
					one.Generation,
				)
			}
		}
	},

	// RT-11
	"SessionOfDisabledUserDoesNotRotate": func(s suite) {
		for n := range raceRounds() {
			u := s.addUser(n)
			one := s.addSession(Session(u.ID, n))
			var disabled atomic.Bool
			s.wantWinners(1, s.contender(func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return true, tx.SetDisabled(ctx, u.ID, Start)
			}, &disabled), func() bool {
				for range 5 {
					before := disabled.Load()
					if s.rotationContender(Rotate(one, Start))() {
						one.Generation++
						if before {
							s.Error("a session rotated after its user was disabled")
						}
					}
				}
				return false
			})
		}
	},

	"GenerationIsEitherForgivenOrRotated": func(s suite) {
		u := s.addUser(1)
		for n := range raceRounds() {
			one := s.addSession(Session(u.ID, n))
			var forgiven atomic.Bool
			s.wantWinners(1, s.rotationContender(Rotate(one, Start)), func() bool {
				forgiven.Store(s.tryUpdate(forgive(one, 0)))
				return false
			})
			if got := s.readSession(one.ID).Forgiven; (got == 0) != forgiven.Load() {
				s.Fatalf("generation %d is forgiven, the statement reported %t", got, forgiven.Load())
			}
		}
	},

	"ConcurrentReplacePasswordSucceedsOnce": func(s suite) {
		u := s.addUser(1)
		for n := range raceRounds() {
			replace := func(who string) func() bool {
				return s.contender(func(ctx context.Context, tx watchword.Tx) (bool, error) {
					return tx.ReplacePassword(ctx, u, watchword.Secret(fmt.Sprint(who, n)))
				})
			}
			s.wantWinners(1, replace("one"), replace("other"))
			u.PasswordHash = s.readUser(u.ID).PasswordHash
		}
	},

	"ConcurrentTakeMailTokenSucceedsOnce": func(s suite) {
		for n := range raceRounds() {
			m := s.addMailToken(newResetToken(n))
			s.wantWinners(1, s.contender(takeMailToken(m.Hash, m.Kind, Start)),
				s.contender(takeMailToken(m.Hash, m.Kind, Start)))
		}
	},

	"ConcurrentSignUpsWithOneAddressSucceedOnce": func(s suite) {
		for n := range raceRounds() {
			u, duplicate, mover := User(3*n), User(3*n+1), s.addUser(3*n+2)
			duplicate.Email = u.Email
			s.wantWinners(
				1,
				s.contender(insertUser(u, Start)),
				s.contender(insertUser(duplicate, Start)),
				s.contender(setEmail(mover, u.Email, Start)),
			)
		}
	},

	// ID-12
	"ReservedAddressIsNotTakenByConcurrentSignUp": func(s suite) {
		for n := range raceRounds() {
			owner, other := s.addUser(10*n), s.addUser(10*n+1)
			undo := watchword.MailToken{
				Hash: fmt.Sprint("undo", n), Kind: watchword.MailAddressChanged, UserID: owner.ID,
				Email: owner.Email, ExpiresAt: afterStart(time.Hour),
			}
			moved := watchword.Address(fmt.Sprintf("moved%d@example.com", n))
			all := []func() bool{s.contender(func(ctx context.Context, tx watchword.Tx) (bool, error) {
				held, err := tx.SetEmail(ctx, owner.ID, owner.Email, moved, Start)
				return held, firstError(err, tx.InsertMailToken(ctx, undo))
			}), s.contender(setEmail(other, owner.Email, Start))}
			for i := range 8 {
				newcomer := User(10*n + 2 + i)
				newcomer.Email = owner.Email
				all = append(all, s.contender(insertUser(newcomer, Start)))
			}
			s.wantWinners(1, all...)
			wantEqual(s, "address of its owner", s.readUser(owner.ID).Email, moved)
			owner.Email = moved
			s.wantUpdate(true, "the owner takes it back", setEmail(owner, undo.Email, Start))
		}
	},

	// PW-13
	"RevocationSeesTokenInsertedUnderUserLock": func(s suite) {
		for n := range raceRounds() {
			u := s.addUser(n)
			m := newResetToken(n)
			m.UserID, m.Email = u.ID, u.Email
			s.wantWinners(1, s.contender(func(ctx context.Context, tx watchword.Tx) (bool, error) {
				changed, err := tx.SetEmail(ctx, u.ID, u.Email, watchword.Address("moved."+u.Email), Start)
				return changed, firstError(err, tx.DeleteMailTokens(ctx, u.ID, m.Kind))
			}), func() bool {
				s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
					locked, err := tx.LockUser(ctx, u.ID, u.Email)
					if err != nil || !locked {
						return err
					}
					return tx.InsertMailToken(ctx, m)
				})
				return false
			})
			wantEqual(s, "tokens to the old address", s.existingMailTokens(m), nil)
		}
	},

	"ConcurrentEndSessionSucceedsOnce": func(s suite) {
		u := s.addUser(1)
		for n := range raceRounds() {
			one := s.addSession(Session(u.ID, n))
			s.wantWinners(
				1,
				s.contender(endSession(one, watchword.EndedReuse, Start)),
				s.contender(endSession(one, watchword.EndedLogout, Start)),
			)
		}
	},

	// RT-12
	"ConcurrentSignInsKeepTheSessionLimit": func(s suite) {
		u, keep, n := s.addUser(1), 3, 0
		for range raceRounds() / 4 {
			var all []func() bool
			for range 4 {
				one := Session(u.ID, n)
				n++
				one.CreatedAt = afterStart(time.Duration(n) * time.Second)
				all = append(all, s.contender(func(ctx context.Context, tx watchword.Tx) (bool, error) {
					locked, err := tx.ReplacePassword(ctx, u, u.PasswordHash)
					if err != nil {
						return false, err
					}
					_, err = tx.EndOldestSessions(ctx, u.ID, keep-1, watchword.EndedTooMany, Policy().Cutoffs(Start))
					return locked, firstError(err, tx.InsertSession(ctx, one))
				}))
			}
			s.wantWinners(4, all...)
			wantEqual(s, "living sessions", len(s.activeSessions(u.ID, Policy().Cutoffs(Start))), keep)
		}
	},

	"ConcurrentClaimMailSucceedsOnce": func(s suite) {
		for n := range raceRounds() {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return tx.InsertMail(ctx, newMail(User(1), n))
			})
			claim := func() bool {
				_, err := s.claimMail(afterStart(time.Hour), afterStart(2*time.Hour))
				return err == nil
			}
			s.wantWinners(1, claim, claim)
		}
	},

	"ConcurrentInsertKeySucceedsOnce": func(s suite) {
		for n := range raceRounds() {
			k, duplicate := newKey(watchword.KeySign, n), newKey(watchword.KeySign, n)
			duplicate.ID += "duplicate"
			s.wantWinners(1, s.contender(insertKey(k)), s.contender(insertKey(duplicate)))
		}
	},

	"ConcurrentChargesNeverExceedTheLimit": func(s suite) {
		for n := range raceRounds() {
			use := func() bool { return s.chargeLimit(newCharge(fmt.Sprint(n), 2, time.Minute)) == 0 }
			s.wantWinners(2, use, use, use, use)
		}
	},
}

// wantWinners starts the contenders at the same time. It fails unless exactly want of
// them report true.
func (s suite) wantWinners(want int32, contenders ...func() bool) {
	s.Helper()
	var all sync.WaitGroup
	var winners atomic.Int32
	start := make(chan struct{})
	for _, contender := range contenders {
		all.Go(func() {
			<-start
			if contender() {
				winners.Add(1)
			}
		})
	}
	close(start)
	all.Wait()
	if winners.Load() != want || s.Failed() {
		s.Fatalf("%d of %d contenders won, want %d", winners.Load(), len(contenders), want)
	}
}

// contender returns a function that runs fn in a transaction and returns the result of fn. After the commit, the
// function sets all flags in afterCommit.
func (s suite) contender(
	fn func(context.Context, watchword.Tx) (bool, error), afterCommit ...*atomic.Bool,
) func() bool {
	return func() (held bool) {
		err := s.Update(s.Context(), func(tx watchword.Tx) (err error) {
			held, err = fn(s.Context(), tx)
			return err
		})
		if err != nil {
			s.Errorf("update: %v", err)
		}
		for _, flag := range afterCommit {
			flag.Store(true)
		}
		return held
	}
}

// rotationContender returns a function that rotates a session, and that reports whether the rotation succeeded.
func (s suite) rotationContender(r watchword.RotateRequest) func() bool {
	return func() bool {
		got, err := s.Rotate(s.Context(), r)
		if err != nil {
			s.Errorf("rotate: %v", err)
		}
		return got.Rotated
	}
}
