package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// RT-15
var sweepTests = map[string]func(suite){
	"EndedAndExpiredSessionsAreSwept": func(s suite) {
		before, u := afterStart(10*24*time.Hour), s.addUser(1)
		const ms = time.Millisecond
		add := func(n int, change func(*watchword.Session)) watchword.Session {
			one := Session(u.ID, n)
			one.CreatedAt, one.RotatedAt, one.ExpiresAt = before.Add(-time.Hour), before, before.Add(time.Hour)
			change(&one)
			return s.addSession(one)
		}
		kept := []watchword.Session{
			add(0, func(*watchword.Session) {}),
			add(1, func(one *watchword.Session) { one.ExpiresAt = before }),
			add(2, func(one *watchword.Session) { one.EndedAt, one.EndedWhy = before, watchword.EndedLogout }),
		}
		dead := []watchword.Session{
			add(3, func(one *watchword.Session) { one.ExpiresAt = before.Add(-ms) }),
			add(4, func(one *watchword.Session) { one.EndedAt, one.EndedWhy = before.Add(-ms), watchword.EndedLogout }),
		}
		s.wantSwept(watchword.SweepSessions, before, len(dead))
		for _, one := range kept {
			wantEqual(s, "kept", s.readSession(one.ID), one)
		}
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			for _, one := range dead {
				_, _, err := tx.Session(ctx, one.ID)
				s.wantNotFound("swept", err)
			}
			return nil
		})
	},

	"ExpiredMailTokensAreSwept": func(s suite) {
		var all []watchword.MailToken
		for n := range 3 {
			m := newResetToken(n)
			m.ExpiresAt = afterStart(time.Duration(n+1) * time.Hour)
			all = append(all, s.addMailToken(m))
		}
		s.wantSwept(watchword.SweepMailTokens, afterStart(2*time.Hour), 1)
		wantEqual(s, "tokens", s.existingMailTokens(all...), all[1:])
	},

	"OldEventsAreSwept": func(s suite) {
		for n := range 3 {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return tx.InsertEvent(ctx, newEvent(User(n%2).ID, n))
			})
		}
		s.wantSwept(watchword.SweepEvents, newEvent("", 1).At, 1)
		wantEqual(s, "events", s.readEvents(User(0).ID, 9), []watchword.Event{newEvent(User(0).ID, 2)})
		wantEqual(s, "events of another", s.readEvents(User(1).ID, 9), []watchword.Event{newEvent(User(1).ID, 1)})
	},

	"UnusedLimitsAreSwept": func(s suite) {
		used, once := newCharge("used", 2, time.Minute), newCharge("once", 6, time.Second)
		s.chargeLimit(once)
		s.chargeLimit(used)
		used.At = used.At.Add(2 * used.Span)
		s.chargeLimit(used)
		s.chargeLimit(used)
		wantEqual(s, "swept", s.sweepLimits(used.At, 100), []int{1})
		wantEqual(s, "the one in use still counts", s.chargeLimit(used) > 0, true)
		wantEqual(s, "swept an hour later", s.sweepLimits(used.At.Add(time.Hour), 100), []int{1})
	},

	"SweepLimitsVisitsEveryCounter": func(s suite) {
		now := afterStart(time.Hour)
		for n := range 10 { // every third counter has expired
			one := newCharge(fmt.Sprint("key", n), 2, time.Minute)
			s.chargeLimit(one)
			if one.At = now; n%3 > 0 {
				s.chargeLimit(one)
			}
		}
		wantEqual(s, "swept", s.sweepLimits(now, 3), []int{1, 1, 1, 1})
		wantEqual(s, "swept again", s.sweepLimits(now, 3), []int{0, 0, 0})
		wantEqual(s, "swept later", s.sweepLimits(now.Add(time.Hour), 6), []int{6, 0})
		wantEqual(s, "swept at the end", s.sweepLimits(now.Add(time.Hour), 6), []int{0})
	},

	"AbandonedMailsAreSwept": func(s suite) {
		for n := range 3 {
			m := newMail(User(1), n)
			if n > 0 {
				m.GivenUpAt = afterStart(time.Duration(n) * time.Hour)
			}
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, m) })
		}
		s.wantSwept(watchword.SweepMails, afterStart(2*time.Hour), 1)
		if got := s.readMails(); len(got) != 2 || !got[0].GivenUpAt.IsZero() || got[1].GivenUpAt != afterStart(2*time.Hour) {
			s.Errorf("left: %+v", got)
		}
	},

	"SweepDeletesAtMostItsLimit": func(s suite) {
		const rows = 5
		for n := range rows {
			one, m := Session(User(1).ID, n), newMail(User(1), n)
			one.EndedAt, one.EndedWhy, m.GivenUpAt = Start, watchword.EndedLogout, Start
			s.addSession(one)
			s.addUser(n)
			s.addMailToken(newResetToken(n))
			s.addSignup(waitingAddress, n)
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return firstError(tx.InsertMail(ctx, m), tx.InsertEvent(ctx, newEvent(User(1).ID, n)),
					tx.InsertChallenge(ctx, newChallenge(User(1), n)))
			})
		}
		for _, what := range []watchword.Sweep{
			watchword.SweepSessions, watchword.SweepMailTokens, watchword.SweepEvents, watchword.SweepMails,
			watchword.SweepSignups, watchword.SweepCallbacks, watchword.SweepChallenges,
		} {
			for _, want := range []int{3, 2, 0} {
				s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
					n, err := tx.Sweep(ctx, what, afterStart(24*time.Hour), 3)
					if n != want {
						s.Errorf("%s: swept %d, want %d", what, n, want)
					}
					return err
				})
			}
		}
	},

	"UnknownSweepFails": func(s suite) {
		err := s.Update(s.Context(), func(tx watchword.Tx) error {
			_, err := tx.Sweep(s.Context(), "users", Start, 1)
			return err
		})
		if err == nil {
			s.Error("users are swept")
		}
	},
}

// sweepLimits returns how many counters each batch deleted.
func (s suite) sweepLimits(before time.Time, limit int) (deleted []int) {
	s.Helper()
	for mark := (watchword.LimitMark{}); ; {
		var n int
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
			mark, n, err = tx.SweepLimits(ctx, mark, before, limit)
			return err
		})
		if deleted = append(deleted, n); mark == (watchword.LimitMark{}) {
			return deleted
		}
	}
}

func (s suite) wantSwept(what watchword.Sweep, before time.Time, want int) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
		n, err := tx.Sweep(ctx, what, before, 100)
		if n != want {
			s.Errorf("%s: swept %d, want %d", what, n, want)
		}
		return err
	})
}
