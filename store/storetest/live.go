package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
)

// In these tests, Live reads the session before each change. A store with a cache then has the old row in memory,
// which it must not return after the change.
var liveTests = map[string]func(suite){
	"LiveReturnsSessionAndUser": func(s suite) {
		u := s.addUser(1)
		one, other := s.addSession(Session(u.ID, 1)), s.addSession(Session(u.ID, 2))
		for range 3 {
			s.wantLive(one, u)
			s.wantLive(other, u)
		}
	},

	"LiveReturnsErrNotFoundForUnknownSessionsAndDeletedUsers": func(s suite) {
		u := s.addUser(1)
		one := Session(u.ID, 1)
		s.wantNotLive("before the sign-in", one)
		s.addSession(one)
		s.wantLive(one, u)
		s.wantUpdate(true, "delete", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.DeleteUser(ctx, u.ID)
		})
		s.wantNotLive("of a deleted user", one)
	},

	// RT-11
	"LiveSeesEveryChangeOfTheSession": func(s suite) {
		u := s.addUser(1)
		one, other := s.addSession(Session(u.ID, 1)), s.addSession(Session(u.ID, 2))
		s.wantLive(one, u)
		s.wantLive(other, u)
		r := Rotate(one, afterStart(time.Hour))
		r.RefreshKey, r.Address = 8, "198.51.100.1"
		got, err := s.Rotate(s.Context(), r)
		if err != nil || !got.Rotated {
			s.Fatalf("rotate: %+v, %v", got, err)
		}
		one = got.Session
		s.wantLive(one, u)
		s.wantUpdate(true, "forgive", forgive(one, one.Generation))
		one.Forgiven = one.Generation
		s.wantLive(one, u)
		s.wantUpdate(true, "end", endSession(one, watchword.EndedLogout, afterStart(2*time.Hour)))
		one.EndedAt, one.EndedWhy = afterStart(2*time.Hour), watchword.EndedLogout
		s.wantLive(one, u)
		s.wantLive(other, u)
	},

	// RT-11
	"LiveSeesEveryChangeOfTheUser": func(s suite) {
		u := s.addUser(1)
		one := s.addSession(Session(u.ID, 1))
		for _, change := range []struct {
			name string
			make func(context.Context, watchword.Tx) error
			want func(*watchword.User)
		}{
			{"roles", func(ctx context.Context, tx watchword.Tx) error {
				return tx.SetRoles(ctx, u.ID, nil, afterStart(time.Hour).Truncate(time.Second))
			}, func(u *watchword.User) {
				u.Roles, u.RolesChangedAt = nil,
					afterStart(time.Hour).Truncate(time.Second)
			}},
			{"name", func(ctx context.Context, tx watchword.Tx) error { return tx.SetName(ctx, u.ID, "Eve") },
				func(u *watchword.User) { u.Name = "Eve" }},
			{"password", func(ctx context.Context, tx watchword.Tx) error { return tx.SetPassword(ctx, u.ID, "new") },
				func(u *watchword.User) { u.PasswordHash = "new" }},
			{"disabled", func(ctx context.Context, tx watchword.Tx) error {
				return tx.SetDisabled(ctx, u.ID, afterStart(time.Hour))
			}, func(u *watchword.User) { u.DisabledAt = afterStart(time.Hour) }},
		} {
			s.wantLive(one, u)
			s.mustUpdate(change.make)
			change.want(&u)
			s.wantLive(one, u)
		}
	},

	"LiveResultIsTheCallersOwn": func(s suite) {
		u := s.addUser(1)
		one := s.addSession(Session(u.ID, 1))
		for range 2 {
			session, user, err := s.Live(s.Context(), one.ID)
			if err != nil {
				s.Fatal(err)
			}
			session.Methods[0], user.Roles[0] = "forged", "forged"
		}
		s.wantLive(one, u)
	},

	"ConcurrentLivesReadTheirOwnSession": func(s suite) {
		const many = 40
		u := s.addUser(1)
		var reading sync.WaitGroup
		for n := range many {
			one := Session(u.ID, n)
			one.Device = fmt.Sprint(n)
			if n%5 > 0 { // every fifth session does not exist
				s.addSession(one)
			}
			for range 3 {
				reading.Go(func() {
					got, gotUser, err := s.Live(s.Context(), one.ID)
					if n%5 == 0 {
						s.wantNotFound("live", err)
						return
					}
					if err != nil || got.ID != one.ID || got.Device != one.Device || gotUser.ID != u.ID {
						s.Errorf("session %d: %+v, %v", n, got, err)
						return
					}
					got.Methods[0], gotUser.Roles[0] = "own", "own" // the race detector fails if calls share a slice
				})
			}
		}
		reading.Wait()
	},

	// RT-11
	"LiveSeesAnEndThatWasCommittedBefore": func(s suite) {
		u := s.addUser(1)
		crowd := s.addSession(Session(u.ID, 0))
		done := make(chan struct{})
		var reading sync.WaitGroup
		for range 8 {
			reading.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						s.wantLive(crowd, u)
						runtime.Gosched() // otherwise, the eight busy readers would delay sign-outs
					}
				}
			})
		}
		for n := range raceRounds() {
			one := s.addSession(Session(u.ID, n+1))
			s.wantLive(one, u)
			s.wantUpdate(true, "end", endSession(one, watchword.EndedLogout, Start))
			one.EndedAt, one.EndedWhy = Start, watchword.EndedLogout
			s.wantLive(one, u)
		}
		close(done)
		reading.Wait()
	},

	"LiveWithCanceledContextFails": func(s suite) {
		one := s.addSession(Session(s.addUser(1).ID, 1))
		canceled, cancel := context.WithCancel(s.Context())
		cancel()
		_, _, err := s.Live(canceled, one.ID)
		if !errors.Is(err, context.Canceled) || errors.Is(err, watchword.ErrUnavailable) {
			s.Errorf("canceled: got error %v, want context.Canceled alone", err)
		}
	},
}

func (s suite) wantLive(session watchword.Session, user watchword.User) {
	s.Helper()
	gotSession, gotUser, err := s.Live(s.Context(), session.ID)
	if err != nil {
		s.Errorf("live: %v", err)
		return
	}
	wantEqual(s, "session", gotSession, session)
	wantEqual(s, "its user", gotUser, user)
}

func (s suite) wantNotLive(what string, session watchword.Session) {
	s.Helper()
	_, _, err := s.Live(s.Context(), session.ID)
	s.wantNotFound(what, err)
}
