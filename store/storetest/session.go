package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

var sessions = map[string]func(suite){
	"SessionIsReadAsInserted": func(s suite) {
		u := s.addUser(1)
		young := s.addSession(Session(u.ID, 1))
		old := Session(u.ID, 2)
		old.Generation, old.Forgiven, old.RefreshKey, old.Persistent = 1<<40, 1<<40-3, 255, false
		for i := range old.Superseded {
			old.Superseded[i] = after(time.Duration(i) * time.Second)
		}
		old.Superseded[0] = time.UnixMilli(1).UTC() // stored as text with leading zeros
		old.Methods, old.EndedAt, old.EndedWhy = []string{"pwd", "otp"}, after(time.Hour), watchword.EndedReuse
		s.addSession(old)
		for _, want := range []watchword.Session{young, old} {
			s.view(func(ctx context.Context, tx watchword.Tx) error {
				got, owner, err := tx.Session(ctx, want.ID)
				same(s, "session", got, want)
				same(s, "its user", owner, u)
				return err
			})
		}
	},

	// SessionsOf of package admin must list ended sessions too, even those of a deleted account.
	"SessionsOfListsEndedSessionsOfADeletedUser": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		first, second := Session(u.ID, 1), Session(u.ID, 2)
		first.RotatedAt = after(time.Hour)
		second.EndedAt, second.EndedWhy = after(2*time.Hour), watchword.EndedDeleted
		s.addSession(second)
		s.addSession(first)
		s.addSession(Session(other.ID, 3))
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.DeleteUser(ctx, u.ID)
			return err
		})
		for limit, want := range map[int][]watchword.Session{9: {first, second}, 1: {first}} {
			s.view(func(ctx context.Context, tx watchword.Tx) error {
				got, err := tx.(admin.Tx).SessionsOf(ctx, u.ID, limit)
				same(s, "sessions", got, want)
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
		s.wantHeld(false, "end it", endSession(nothing, watchword.EndedLogout, Start))
		s.wantHeld(false, "forgive it", forgive(nothing, 0))
	},

	// Sessions must list only the user's active sessions, the most recently used first.
	//
	// RT-10
	"SessionsListsLiveSessionsLastUsedFirst": func(s suite) {
		now := after(10 * 24 * time.Hour)
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
		same(s, "sessions", s.living(u.ID, c), []watchword.Session{first, second, third})
		same(s, "sessions of nobody", s.living(User(3).ID, c), nil)
	},

	"SessionEndsOnce": func(s suite) {
		one := s.addSession(Session(s.addUser(1).ID, 1))
		bystander := s.addSession(Session(one.UserID, 2))
		s.wantHeld(true, "end", endSession(one, watchword.EndedReuse, after(time.Hour)))
		s.wantHeld(false, "end again", endSession(one, watchword.EndedLogout, after(2*time.Hour)))
		one.EndedAt, one.EndedWhy = after(time.Hour), watchword.EndedReuse
		same(s, "session", s.session(one.ID), one)
		same(s, "another", s.session(bystander.ID), bystander)
	},

	"EndSessionsKeepsTheException": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		var own []watchword.Session
		for n := range 4 {
			own = append(own, s.addSession(Session(u.ID, n)))
		}
		foreign := s.addSession(Session(other.ID, 9))
		s.wantHeld(true, "end one", endSession(own[0], watchword.EndedLogout, Start))
		end := func(except watchword.SessionID) (n int) {
			s.update(func(ctx context.Context, tx watchword.Tx) (err error) {
				n, err = tx.EndSessions(ctx, u.ID, except, watchword.EndedPassword, after(time.Hour))
				return err
			})
			return n
		}
		same(s, "ended but for one", end(own[1].ID), 2)
		same(s, "ended before", s.session(own[0].ID).EndedWhy, watchword.EndedLogout)
		same(s, "spared", s.session(own[1].ID), own[1])
		own[2].EndedAt, own[2].EndedWhy = after(time.Hour), watchword.EndedPassword
		same(s, "ended", s.session(own[2].ID), own[2])
		same(s, "ended without exception", end(""), 1)
		same(s, "ended again", end(""), 0)
		same(s, "session of another", s.session(foreign.ID), foreign)
	},

	// RT-12
	"EndOldestSessionsKeepsTheNewestSignIns": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		var own []watchword.Session
		for n := range 6 {
			one := Session(u.ID, n)
			one.CreatedAt = after(time.Duration(n) * time.Minute)
			one.RotatedAt = after(time.Hour - time.Duration(n)*time.Minute) // the oldest session was used last
			own = append(own, s.addSession(one))
		}
		foreign := s.addSession(Session(other.ID, 9))
		s.wantHeld(true, "end one", endSession(own[5], watchword.EndedLogout, Start))
		idle := Session(u.ID, 6) // the newest session, but idle for too long
		idle.CreatedAt, idle.RotatedAt = after(time.Hour), after(-Policy().Idle)
		s.addSession(idle)
		endOldest := func(keep int) (ids []watchword.SessionID) {
			s.update(func(ctx context.Context, tx watchword.Tx) (err error) {
				ids, err = tx.EndOldestSessions(ctx, u.ID, keep, watchword.EndedTooMany, Policy().Cutoffs(after(2*time.Hour)))
				return err
			})
			slices.Sort(ids)
			return ids
		}
		same(s, "ended of five that live", endOldest(2), []watchword.SessionID{own[0].ID, own[1].ID, own[2].ID})
		var ended []bool
		for _, one := range own {
			ended = append(ended, s.session(one.ID).EndedWhy == watchword.EndedTooMany)
		}
		same(s, "ended as too many", ended, []bool{true, true, true, false, false, false})
		same(s, "ended when two are kept again", len(endOldest(2)), 0)
		same(s, "ended when none is kept", len(endOldest(0)), 2)
		same(s, "idle session", s.session(idle.ID), idle)
		same(s, "session of another", s.session(foreign.ID), foreign)
	},

	"EndNextSessionsEndsEverySessionInBatches": func(s suite) {
		var all []watchword.Session
		for n := range 7 {
			all = append(all, s.addSession(Session(s.addUser(n).ID, n)))
		}
		s.wantHeld(true, "end one", endSession(all[3], watchword.EndedLogout, Start))
		var last watchword.SessionID
		var counts []int
		for range 4 {
			var n int
			s.update(func(ctx context.Context, tx watchword.Tx) (err error) {
				last, n, err = tx.EndNextSessions(ctx, last, 3, watchword.EndedOperator, after(time.Hour))
				return err
			})
			counts = append(counts, n)
		}
		same(s, "ended in each batch", counts, []int{3, 3, 0, 0})
		same(s, "last id", last, all[6].ID)
		for n, one := range all {
			want := watchword.EndedOperator
			if n == 3 {
				want = watchword.EndedLogout
			}
			same(s, "reason", s.session(one.ID).EndedWhy, want)
		}
	},

	"ForgiveAcceptsOnlyTheNewestGeneration": func(s suite) {
		one := Session(s.addUser(1).ID, 1)
		one.Generation = 5
		s.addSession(one)
		s.wantHeld(false, "an older generation", forgive(one, 4))
		s.wantHeld(false, "a generation to come", forgive(one, 6))
		s.wantHeld(true, "the newest", forgive(one, 5))
		s.wantHeld(true, "the newest again", forgive(one, 5))
		one.Forgiven = 5
		same(s, "session", s.session(one.ID), one)
		s.wantHeld(true, "end", endSession(one, watchword.EndedLogout, Start))
		s.wantHeld(false, "once it has ended", forgive(one, 5))
	},
}

func (s suite) living(id watchword.UserID, c watchword.Cutoffs) (all []watchword.Session) {
	s.Helper()
	s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
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
