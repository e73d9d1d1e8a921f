package storetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

var callbackTests = map[string]func(suite){
	"SignupIsQueuedWithItsAccount": func(s suite) {
		u, deleted := s.addUser(1), s.addUser(2)
		s.wantUpdate(false, "insert again", insertUser(u, Start))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.DeleteUser(ctx, deleted.ID)
			return err
		})
		wantEqual(s, "due", s.claimCallbacks(watchword.CallbackSignup, Start, 9),
			newCallbacks(watchword.CallbackSignup, 1, string(u.ID)))
		wantEqual(s, "due for the other kind", s.claimCallbacks(watchword.CallbackSessionEnded,
			afterStart(time.Hour), 9), nil)
	},

	"EndedSessionsAreQueuedOnceWithAndWithoutAUser": func(s suite) {
		u := s.addUserWithoutFeedEntry(1)
		var ids []string
		for n := range 5 {
			one := s.addSession(Session(u.ID, n))
			s.wantUpdate(true, "end", endSession(one, watchword.EndedLogout, afterStart(time.Duration(n)*time.Second)))
			ids = append(ids, string(one.ID))
		}
		s.addSession(Session(u.ID, 6))
		s.queueEnded(afterStart(time.Minute), 2)
		wantEqual(s, "without a number", s.claimCallbacks(watchword.CallbackSessionEnded, afterStart(time.Hour), 9), nil)
		s.numberFeed(9)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.DeleteUser(ctx, u.ID)
			return err
		})
		var got []watchword.Callback
		for range 4 {
			s.queueEnded(afterStart(time.Minute), 2)
			due := s.claimCallbacks(watchword.CallbackSessionEnded, afterStart(time.Hour), 9)
			if len(due) > 2 {
				s.Errorf("%d in a batch of 2", len(due))
			}
			got = append(got, due...)
		}
		wantEqual(s, "due", sortCallbacks(got), newCallbacks(watchword.CallbackSessionEnded, 1, ids...))
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			one, err := tx.SessionAlone(ctx, watchword.SessionID(ids[3]))
			wantEqual(s, "why", one.EndedWhy, watchword.EndedLogout)
			_, missing := tx.SessionAlone(ctx, Session(u.ID, 9).ID)
			s.wantNotFound("a session that does not exist", missing)
			return err
		})
	},

	"ExpiredSessionsAreQueuedOnce": func(s suite) {
		u := s.addUserWithoutFeedEntry(1)
		var ids []string
		for n := range 4 {
			one := Session(u.ID, n)
			one.ExpiresAt = afterStart(time.Duration(n) * time.Hour)
			ids = append(ids, string(s.addSession(one).ID))
		}
		s.wantUpdate(true, "end", endSession(Session(u.ID, 1), watchword.EndedLogout, Start))
		want := map[time.Duration][]string{0: {ids[0]}, 2 * time.Hour: {ids[2]}, 3 * time.Hour: {ids[3]}}
		for _, d := range []time.Duration{-1, 0, time.Hour, 2 * time.Hour, 2 * time.Hour, 3 * time.Hour} {
			s.queueEnded(afterStart(d), 9)
			due := s.claimCallbacks(watchword.CallbackSessionEnded, afterStart(d), 9)
			wantEqual(s, d.String(), due, newCallbacks(watchword.CallbackSessionEnded, 1, want[d]...))
			delete(want, d)
			for _, c := range due {
				s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.DeleteCallback(ctx, c) })
			}
		}
	},

	"ClaimedCallbackIsDueAgainAfterItsLease": func(s suite) {
		u := s.addUser(1)
		kind, call := watchword.CallbackSignup, watchword.Callback{Kind: watchword.CallbackSignup, ID: string(u.ID)}
		wantEqual(s, "before", s.claimCallbacks(kind, afterStart(-time.Second), 9), nil)
		wantEqual(s, "first", s.claimCallbacks(kind, Start, 9), newCallbacks(kind, 1, call.ID))
		wantEqual(s, "claimed", s.claimCallbacks(kind, afterStart(time.Minute-1), 9), nil)
		wantEqual(s, "after the lease", s.claimCallbacks(kind, afterStart(time.Minute), 9), newCallbacks(kind,
			2, call.ID))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return tx.PostponeCallback(ctx, call, afterStart(time.Hour))
		})
		wantEqual(s, "postponed", s.claimCallbacks(kind, afterStart(time.Hour-time.Millisecond), 9), nil)
		wantEqual(s, "due again", s.claimCallbacks(kind, afterStart(time.Hour), 9), newCallbacks(kind, 3, call.ID))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(tx.DeleteCallback(ctx, call), tx.PostponeCallback(ctx, call, Start))
		})
		wantEqual(s, "deleted", s.claimCallbacks(kind, afterStart(48*time.Hour), 9), nil)
	},

	// If several processes queue and claim at the same time, each callback must be claimed once.
	"ConcurrentProcessesClaimEachCallbackOnce": func(s suite) {
		const sessions = 40
		u := s.addUserWithoutFeedEntry(1)
		for n := range sessions {
			one := s.addSession(Session(u.ID, n))
			s.wantUpdate(true, "end", endSession(one, watchword.EndedLogout, Start))
		}
		s.numberFeed(sessions)
		claimed := make(chan int, 4)
		for range cap(claimed) {
			go func() {
				n := 0
				for range sessions { // enough rounds for all batches
					s.queueEnded(Start, 7)
					n += len(s.claimCallbacks(watchword.CallbackSessionEnded, Start, 3))
				}
				claimed <- n
			}()
		}
		n := 0
		for range cap(claimed) {
			n += <-claimed
		}
		wantEqual(s, "claims", n, sessions)
	},

	"OldCallbacksAreSwept": func(s suite) {
		s.addUser(1)
		s.wantUpdate(true, "insert user", insertUser(User(2), afterStart(time.Hour)))
		s.wantSwept(watchword.SweepCallbacks, afterStart(time.Hour), 1)
		wantEqual(s, "kept", s.claimCallbacks(watchword.CallbackSignup, afterStart(time.Hour), 9),
			newCallbacks(watchword.CallbackSignup, 1, string(User(2).ID)))
	},
}

func newCallbacks(kind watchword.CallbackKind, attempts int, ids ...string) (all []watchword.Callback) {
	for _, id := range ids {
		all = append(all, watchword.Callback{Kind: kind, ID: id, Attempts: attempts})
	}
	return all
}

func sortCallbacks(all []watchword.Callback) []watchword.Callback {
	slices.SortFunc(all, func(a, b watchword.Callback) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (s suite) claimCallbacks(kind watchword.CallbackKind, now time.Time, limit int) (due []watchword.Callback) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
		due, err = tx.ClaimCallbacks(ctx, kind, now, now.Add(time.Minute), limit)
		return err
	})
	return due
}

func (s suite) queueEnded(now time.Time, limit int) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.QueueEnded(ctx, now, limit) })
}
