package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

var sessionTests = map[string]func(suite){
	"SessionIsReadAsInserted": func(s suite) {
		u := s.addUser(1)
		young := s.addSession(Session(u.ID, 1))
		old := Session(u.ID, 2)
		old.Generation, old.Forgiven, old.RefreshKey, old.Persistent = 1<<40, 1<<40-3, 255, false
		for i := range old.Superseded {
			old.Superseded[i] = afterStart(time.Duration(i) * time.Second)
		}
		old.Superseded[0] = time.UnixMilli(1).UTC() // stored as text with leading zeros
		old.Methods, old.EndedAt, old.EndedWhy = []string{"pwd", "otp"}, afterStart(time.Hour), watchword.EndedReuse
		s.addSession(old)
		for _, want := range []watchword.Session{young, old} {
			s.mustView(func(ctx context.Context, tx watchword.Tx) error {
				got, owner, err := tx.Session(ctx, want.ID)
				wantEqual(s, "session", got, want)
				wantEqual(s, "its user", owner, u)
				return err
			})
		}
	},

	// SessionsOf of package admin must list ended sessions too, even those of a deleted account.
	"SessionsOfListsEndedSessionsOfADeletedUser": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		first, second := Session(u.ID, 1), Session(u.ID, 2)
		first.RotatedAt = afterStart(time.Hour)
		second.EndedAt, second.EndedWhy = afterStart(2*time.Hour), watchword.EndedDeleted
		s.addSession(second)
		s.addSession(first)
		s.addSession(Session(other.ID, 3))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.DeleteUser(ctx, u.ID)
			return err
		})
		for limit, want := range map[int][]watchword.Session{9: {first, second}, 1: {first}} {
			s.mustView(func(ctx context.Context, tx watchword.Tx) error {
				got, err := tx.(admin.Tx).SessionsOf(ctx, u.ID, limit)
				wantEqual(s, "sessions", got, want)
				return err
			})
		}
	},

	"UnknownSessionReturnsErrNotFound": func(s suite) {
		nothing := Session(User(1).ID, 1)
		for name, run := range map[string]func(context.Context, func(watchword.Tx) error) error{
			"view": s.View, "update": s.Update,
		} {
			s.wantNotFound(name, run(s.Context(), func(tx watchword.Tx) error {
				_, _, err := tx.Session(s.Context(), nothing.ID)
				s.wantNotFound("session", err)
				return err
			}))
		}
		s.wantUpdate(false, "end it", endSession(nothing, watchword.EndedLogout, Start))
		s.wantUpdate(false, "forgive it", forgive(nothing, 0))
	},

	// Sessions must list only the user's active sessions, the most recently used first.
	//
	// RT-10
	"SessionsListsLiveSessionsLastUsedFirst": func(s suite) {
		now := afterStart(10 * 24 * time.Hour)
		c := Policy().Cutoffs(now)
		u, other := s.addUser(1), s.addUser(2)
		n := 0
		add := func(of watchword.UserID, change func(*watchword.Session)) watchword.Session {
			n++
			one := Session(of, n)
			one.CreatedAt, one.RotatedAt, one.ExpiresAt = c.Created.Add(time.Hour), c.Rotated.Add(time.Hour),
				now.Add(time.Hour)
			change(&one)
			return s.addSession(one)
		}
		const ms = time.Millisecond
		first := add(u.ID, func(one *watchword.Session) { one.RotatedAt = now })
		third := add(u.ID, func(one *watchword.Session) { one.RotatedAt = c.Rotated.Add(ms) })
		second := add(u.ID, func(one *watchword.Session) {
			one.Persistent, one.RotatedAt = false, c.RotatedShort.Add(ms)
		})
		add(u.ID, func(one *watchword.Session) { one.EndedAt, one.EndedWhy = now, watchword.EndedLogout })
		add(u.ID, func(one *watchword.Session) { one.RotatedAt = c.Rotated })
		add(u.ID, func(one *watchword.Session) { one.Persistent, one.RotatedAt = false, c.RotatedShort })
		add(u.ID, func(one *watchword.Session) { one.ExpiresAt = now })
		add(u.ID, func(one *watchword.Session) { one.CreatedAt = c.Created })
		add(other.ID, func(*watchword.Session) {})
		wantEqual(s, "sessions", s.activeSessions(u.ID, c), []watchword.Session{first, second, third})
		wantEqual(s, "sessions of nobody", s.activeSessions(User(3).ID, c), nil)
	},

	"SessionEndsOnce": func(s suite) {
		one := s.addSession(Session(s.addUser(1).ID, 1))
		bystander := s.addSession(Session(one.UserID, 2))
		s.wantUpdate(true, "end", endSession(one, watchword.EndedReuse, afterStart(time.Hour)))
		s.wantUpdate(false, "end again", endSession(one, watchword.EndedLogout, afterStart(2*time.Hour)))
		one.EndedAt, one.EndedWhy = afterStart(time.Hour), watchword.EndedReuse
		wantEqual(s, "session", s.readSession(one.ID), one)
		wantEqual(s, "another", s.readSession(bystander.ID), bystander)
	},

	"EndSessionsKeepsTheException": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		var own []watchword.Session
		for n := range 4 {
			own = append(own, s.addSession(Session(u.ID, n)))
		}
		foreign := s.addSession(Session(other.ID, 9))
		s.wantUpdate(true, "end one", endSession(own[0], watchword.EndedLogout, Start))
		end := func(except watchword.SessionID) (n int) {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
				n, err = tx.EndSessions(ctx, u.ID, except, watchword.EndedPassword, afterStart(time.Hour))
				return err
			})
			return n
		}
		wantEqual(s, "ended but for one", end(own[1].ID), 2)
		wantEqual(s, "ended before", s.readSession(own[0].ID).EndedWhy, watchword.EndedLogout)
		wantEqual(s, "spared", s.readSession(own[1].ID), own[1])
		own[2].EndedAt, own[2].EndedWhy = afterStart(time.Hour), watchword.EndedPassword
		wantEqual(s, "ended", s.readSession(own[2].ID), own[2])
		wantEqual(s, "ended without exception", end(""), 1)
		wantEqual(s, "ended again", end(""), 0)
		wantEqual(s, "session of another", s.readSession(foreign.ID), foreign)
	},

	// RT-12
	"EndOldestSessionsKeepsTheNewestSignIns": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		var own []watchword.Session
		for n := range 6 {
			one := Session(u.ID, n)
			one.CreatedAt = afterStart(time.Duration(n) * time.Minute)
			one.RotatedAt = afterStart(time.Hour - time.Duration(n)*time.Minute) // the oldest session was used last
			own = append(own, s.addSession(one))
		}
		foreign := s.addSession(Session(other.ID, 9))
		s.wantUpdate(true, "end one", endSession(own[5], watchword.EndedLogout, Start))
		idle := Session(u.ID, 6) // the newest session, but idle for too long
		idle.CreatedAt, idle.RotatedAt = afterStart(time.Hour), afterStart(-Policy().Idle)
		s.addSession(idle)
		endOldest := func(keep int) (ids []watchword.SessionID) {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
				ids, err = tx.EndOldestSessions(ctx, u.ID, keep, watchword.EndedTooMany,
					Policy().Cutoffs(afterStart(2*time.Hour)))
				return err
			})
			slices.Sort(ids)
			return ids
		}
		wantEqual(s, "ended of five that live", endOldest(2), []watchword.SessionID{own[0].ID, own[1].ID, own[2].ID})
		var ended []bool
		for _, one := range own {
			ended = append(ended, s.readSession(one.ID).EndedWhy == watchword.EndedTooMany)
		}
		wantEqual(s, "ended as too many", ended, []bool{true, true, true, false, false, false})
		wantEqual(s, "ended when two are kept again", len(endOldest(2)), 0)
		wantEqual(s, "ended when none is kept", len(endOldest(0)), 2)
		wantEqual(s, "idle session", s.readSession(idle.ID), idle)
		wantEqual(s, "session of another", s.readSession(foreign.ID), foreign)
	},

	"EndNextSessionsEndsEverySessionInBatches": func(s suite) {
		var all []watchword.Session
		for n := range 7 {
			all = append(all, s.addSession(Session(s.addUser(n).ID, n)))
		}
		s.wantUpdate(true, "end one", endSession(all[3], watchword.EndedLogout, Start))
		var last watchword.SessionID
		var counts []int
		for range 4 {
			var n int
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
				last, n, err = tx.EndNextSessions(ctx, last, 3, watchword.EndedOperator, afterStart(time.Hour))
				return err
			})
			counts = append(counts, n)
		}
		wantEqual(s, "ended in each batch", counts, []int{3, 3, 0, 0})
		wantEqual(s, "last id", last, all[6].ID)
		for n, one := range all {
			want := watchword.EndedOperator
			if n == 3 {
				want = watchword.EndedLogout
			}
			wantEqual(s, "reason", s.readSession(one.ID).EndedWhy, want)
		}
	},

	"ForgiveAcceptsOnlyTheNewestGeneration": func(s suite) {
		one := Session(s.addUser(1).ID, 1)
		one.Generation = 5
		s.addSession(one)
		s.wantUpdate(false, "an older generation", forgive(one, 4))
		s.wantUpdate(false, "a generation to come", forgive(one, 6))
		s.wantUpdate(true, "the newest", forgive(one, 5))
		s.wantUpdate(true, "the newest again", forgive(one, 5))
		one.Forgiven = 5
		wantEqual(s, "session", s.readSession(one.ID), one)
		s.wantUpdate(true, "end", endSession(one, watchword.EndedLogout, Start))
		s.wantUpdate(false, "once it has ended", forgive(one, 5))
	},
}

func (s suite) activeSessions(id watchword.UserID, c watchword.Cutoffs) (all []watchword.Session) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
		all, err = tx.Sessions(ctx, id, c)
		return err
	})
	for _, one := range all {
		if why := one.EndedBy(c); why != "" {
			s.Errorf("session %s is listed though it is %s", one.ID, why)
		}
	}
	return slices.Clip(all)
}

func endSession(
	one watchword.Session,
	why watchword.EndReason,
	at time.Time,
) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.EndSession(ctx, one.ID, why, at) }
}

func forgive(one watchword.Session, generation int64) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.Forgive(ctx, one.ID, generation) }
}
