package storetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

var callbacks = map[string]func(suite){
	"SignupIsQueuedWithItsAccount": func(s suite) {
		u, deleted := s.addUser(1), s.addUser(2)
		s.wantHeld(false, "insert again", insertUser(u, Start))
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.DeleteUser(ctx, deleted.ID)
			return err
		})
		same(s, "due", s.claimCalls(watchword.CallbackSignup, Start, 9), calls(watchword.CallbackSignup, 1, string(u.ID)))
		same(s, "due for the other kind", s.claimCalls(watchword.CallbackSessionEnded, after(time.Hour), 9), nil)
	},

	"EndedSessionsAreQueuedOnceWithAndWithoutAUser": func(s suite) {
		u := s.addFed(1)
		var ids []string
		for n := range 5 {
			one := s.addSession(Session(u.ID, n))
			s.wantHeld(true, "end", endSession(one, watchword.EndedLogout, after(time.Duration(n)*time.Second)))
			ids = append(ids, string(one.ID))
		}
		s.addSession(Session(u.ID, 6))
		s.queueEnded(after(time.Minute), 2)
		same(s, "without a number", s.claimCalls(watchword.CallbackSessionEnded, after(time.Hour), 9), nil)
		s.number(9)
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.DeleteUser(ctx, u.ID)
			return err
		})
		var got []watchword.Callback
		for range 4 {
			s.queueEnded(after(time.Minute), 2)
			due := s.claimCalls(watchword.CallbackSessionEnded, after(time.Hour), 9)
			if len(due) > 2 {
				s.Errorf("%d in a batch of 2", len(due))
			}
			got = append(got, due...)
		}
		same(s, "due", sorted(got), calls(watchword.CallbackSessionEnded, 1, ids...))
		s.view(func(ctx context.Context, tx watchword.Tx) error {
			one, err := tx.SessionAlone(ctx, watchword.SessionID(ids[3]))
			same(s, "why", one.EndedWhy, watchword.EndedLogout)
			_, missing := tx.SessionAlone(ctx, Session(u.ID, 9).ID)
			s.wantNotFound("a session that does not exist", missing)
			return err
		})
	},

	"ExpiredSessionsAreQueuedOnce": func(s suite) {
		u := s.addFed(1)
		var ids []string
		for n := range 4 {
			one := Session(u.ID, n)
			one.ExpiresAt = after(time.Duration(n) * time.Hour)
			ids = append(ids, string(s.addSession(one).ID))
		}
		s.wantHeld(true, "end", endSession(Session(u.ID, 1), watchword.EndedLogout, Start))
		want := map[time.Duration][]string{0: {ids[0]}, 2 * time.Hour: {ids[2]}, 3 * time.Hour: {ids[3]}}
		for _, d := range []time.Duration{-1, 0, time.Hour, 2 * time.Hour, 2 * time.Hour, 3 * time.Hour} {
			s.queueEnded(after(d), 9)
			due := s.claimCalls(watchword.CallbackSessionEnded, after(d), 9)
			same(s, d.String(), due, calls(watchword.CallbackSessionEnded, 1, want[d]...))
			delete(want, d)
			for _, c := range due {
				s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.DeleteCallback(ctx, c) })
			}
		}
	},

	"ClaimedCallbackIsDueAgainAfterItsLease": func(s suite) {
		u := s.addUser(1)
		kind, call := watchword.CallbackSignup, watchword.Callback{Kind: watchword.CallbackSignup, ID: string(u.ID)}
		same(s, "before", s.claimCalls(kind, after(-time.Second), 9), nil)
		same(s, "first", s.claimCalls(kind, Start, 9), calls(kind, 1, call.ID))
		same(s, "claimed", s.claimCalls(kind, after(time.Minute-1), 9), nil)
		same(s, "after the lease", s.claimCalls(kind, after(time.Minute), 9), calls(kind, 2, call.ID))
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return tx.PostponeCallback(ctx, call, after(time.Hour))
		})
		same(s, "postponed", s.claimCalls(kind, after(time.Hour-time.Millisecond), 9), nil)
		same(s, "due again", s.claimCalls(kind, after(time.Hour), 9), calls(kind, 3, call.ID))
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(tx.DeleteCallback(ctx, call), tx.PostponeCallback(ctx, call, Start))
		})
		same(s, "deleted", s.claimCalls(kind, after(48*time.Hour), 9), nil)
	},

	// If several processes queue and claim at the same time, each callback must be claimed once.
	"ConcurrentProcessesClaimEachCallbackOnce": func(s suite) {
		const sessions = 40
		u := s.addFed(1)
		for n := range sessions {
			one := s.addSession(Session(u.ID, n))
			s.wantHeld(true, "end", endSession(one, watchword.EndedLogout, Start))
		}
		s.number(sessions)
		claimed := make(chan int, 4)
		for range cap(claimed) {
			go func() {
				n := 0
				for range sessions { // enough rounds for all batches
					s.queueEnded(Start, 7)
					n += len(s.claimCalls(watchword.CallbackSessionEnded, Start, 3))
				}
				claimed <- n
			}()
		}
		n := 0
		for range cap(claimed) {
			n += <-claimed
		}
		same(s, "claims", n, sessions)
	},

	"OldCallbacksAreSwept": func(s suite) {
		s.addUser(1)
		s.wantHeld(true, "insert user", insertUser(User(2), after(time.Hour)))
		s.wantSwept(watchword.SweepCallbacks, after(time.Hour), 1)
		same(s, "kept", s.claimCalls(watchword.CallbackSignup, after(time.Hour), 9),
			calls(watchword.CallbackSignup, 1, string(User(2).ID)))
	},
}

// calls returns one callback of the given kind for each id.
func calls(kind watchword.CallbackKind, attempts int, ids ...string) (all []watchword.Callback) {
	for _, id := range ids {
		all = append(all, watchword.Callback{Kind: kind, ID: id, Attempts: attempts})
	}
	return all
}

func sorted(all []watchword.Callback) []watchword.Callback {
	slices.SortFunc(all, func(a, b watchword.Callback) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// claimCalls claims up to limit callbacks for one minute.
func (s suite) claimCalls(kind watchword.CallbackKind, now time.Time, limit int) (due []watchword.Callback) {
	s.Helper()
	s.update(func(ctx context.Context, tx watchword.Tx) (err error) {
		due, err = tx.ClaimCallbacks(ctx, kind, now, now.Add(time.Minute), limit)
		return err
	})
	return due
}

func (s suite) queueEnded(now time.Time, limit int) {
	s.Helper()
	s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.QueueEnded(ctx, now, limit) })
}
