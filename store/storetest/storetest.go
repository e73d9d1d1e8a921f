// Package storetest is the suite that every store must pass: what each method
// promises, transactions, races, and that a store's rotation and limits decide as
// the pure functions do.
//
// It knows watchword.Store and nothing of databases; what a file, a server or a
// driver does is tested beside each store.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/watchword-auth/watchword"
)

// Run runs the suite. open makes an empty store, and closes it when t ends.
func Run(t *testing.T, open func(t *testing.T) watchword.Store) {
	for _, group := range []map[string]func(suite){
		transactions, users, sessions, mailTokens, mails, events, keys, limits, rotations, races, sweeping, feeds, signups, columns,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(suite{t, open(t)})
			})
		}
	}
}

// A suite is one test with a store of its own.
type suite struct {
	*testing.T
	watchword.Store
}

// update runs fn in a transaction that must succeed.
func (s suite) update(fn func(context.Context, watchword.Tx) error) {
	s.Helper()
	if err := s.Update(s.Context(), func(tx watchword.Tx) error { return fn(s.Context(), tx) }); err != nil {
		s.Fatalf("update: %v", err)
	}
}

// view is update for questions.
func (s suite) view(fn func(context.Context, watchword.Tx) error) {
	s.Helper()
	if err := s.View(s.Context(), func(tx watchword.Tx) error { return fn(s.Context(), tx) }); err != nil {
		s.Fatalf("view: %v", err)
	}
}

// settled runs one conditional statement in a transaction of its own.
func (s suite) settled(fn func(context.Context, watchword.Tx) (bool, error)) (held bool) {
	s.Helper()
	s.update(func(ctx context.Context, tx watchword.Tx) (err error) {
		held, err = fn(ctx, tx)
		return err
	})
	return held
}

// wantHeld runs a conditional statement whose condition has to hold, or not to.
func (s suite) wantHeld(want bool, what string, fn func(context.Context, watchword.Tx) (bool, error)) {
	s.Helper()
	if got := s.settled(fn); got != want {
		s.Errorf("%s: the statement reports %t, want %t", what, got, want)
	}
}

func (s suite) user(id watchword.UserID) (u watchword.User) {
	s.Helper()
	s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
		u, err = tx.User(ctx, id)
		return err
	})
	return u
}

func (s suite) session(id watchword.SessionID) (one watchword.Session) {
	s.Helper()
	s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
		one, _, err = tx.Session(ctx, id)
		return err
	})
	return one
}

// addUser inserts user number n.
func (s suite) addUser(n int) watchword.User {
	s.Helper()
	u := User(n)
	s.wantHeld(true, "insert user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.InsertUser(ctx, u, Start)
	})
	return u
}

func (s suite) addSession(one watchword.Session) watchword.Session {
	s.Helper()
	s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertSession(ctx, one) })
	return one
}

// wantNotFound wants ErrNotFound of a question about nothing.
func (s suite) wantNotFound(what string, err error) {
	s.Helper()
	if !errors.Is(err, watchword.ErrNotFound) {
		s.Errorf("%s: got error %v, want ErrNotFound", what, err)
	}
}

// same compares a row with what it should be. An empty list and none are one.
func same[T any](s suite, what string, got, want T) {
	s.Helper()
	unveiled := cmp.Transformer("unveil", func(secret watchword.Secret) string { return string(secret) })
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), unveiled); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const start = 1795521600123 // 2026-11-24, 12:00 and some milliseconds

// Start is when the fixtures begin.
var Start = time.UnixMilli(start).UTC()

// after is a moment after Start.
func after(d time.Duration) time.Time { return Start.Add(d) }

// User is a verified user, another one for each n.
func User(n int) watchword.User {
	return watchword.User{
		ID:             watchword.UserID(uuidOf("0001", n)),
		Email:          watchword.Address(fmt.Sprintf("user%06d@example.com", n)),
		VerifiedAt:     after(time.Second),
		Name:           "Zoë O'Hara",
		Roles:          []string{"admin", "staff"},
		PasswordHash:   "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
		CreatedAt:      Start,
		RolesChangedAt: Start.Truncate(time.Second),
	}
}

// Session is a live session of the user as it is right after its sign-in at
// Start, another one for each n.
func Session(of watchword.UserID, n int) watchword.Session {
	return watchword.Session{
		ID:     watchword.SessionID(uuidOf("0002", n)),
		UserID: of,
		Rotation: watchword.Rotation{
			Forgiven:  watchword.NeverForgiven,
			RotatedAt: Start,
			RotatedBy: watchword.AgentOf("a browser"),
		},
		RefreshKey:      7,
		Persistent:      true,
		Device:          "Firefox on Linux",
		Address:         "2001:db8::17",
		AuthenticatedAt: Start,
		Methods:         []string{"pwd"},
		CreatedAt:       Start,
		ExpiresAt:       after(30 * 24 * time.Hour),
	}
}

// Policy is what the fixtures live under.
func Policy() watchword.SessionPolicy {
	return watchword.SessionPolicy{Idle: 7 * 24 * time.Hour, ShortIdle: 12 * time.Hour, Max: 30 * 24 * time.Hour}
}

// Rotate presents the newest token of a session at a moment.
func Rotate(one watchword.Session, at time.Time) watchword.RotateRequest {
	return watchword.RotateRequest{
		Session:      one.ID,
		Presentation: watchword.Presentation{Generation: one.Generation, Agent: one.RotatedBy, At: at},
		Cutoffs:      Policy().Cutoffs(at),
		RefreshKey:   one.RefreshKey,
		Address:      one.Address,
	}
}

// uuidOf is the text of a UUID (version 7), another one for each kind and n.
func uuidOf(kind string, n int) string {
	return fmt.Sprintf("019355c1-%s-7000-8000-%012x", kind, n)
}

// RaceDetector reports whether it watches this run: then SQLite, which is Go, is
// twenty times slower.
func RaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
