// Package storetest is the test suite that every watchword.Store must pass. It tests the
// documented behaviour of each method, transactions and races. It compares Rotate and Charge
// with the pure functions of the engine, and it checks that every field is stored.
//
// A test of another store calls Run. Tests of a particular file format, server or driver
// belong to the package of the store.
//
// Unstable: the store interfaces may grow, and the suite grows with them.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/watchword-auth/watchword"
)

// Run runs the suite. openStore returns an empty store and closes it when t ends. Tests run in
// parallel, each with a separate store.
func Run(t *testing.T, openStore func(t *testing.T) watchword.Store) {
	for _, group := range []map[string]func(suite){
		transactionTests, userTests, sessionTests, mailTokenTests, mailTests, eventTests, keyTests, limitTests,
		rotationTests, raceTests, sweepTests, feedTests,
		signupTests, columnTests, liveTests, batchTests, callbackTests, factorTests, passkeyTests,
		identityTests, metadataTests,
		adminTests, adminRecordTests,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(suite{t, openStore(t)})
			})
		}
	}
}

type suite struct {
	*testing.T
	watchword.Store
}

func (s suite) mustUpdate(fn func(context.Context, watchword.Tx) error) {
	s.Helper()
	if err := s.Update(s.Context(), func(tx watchword.Tx) error { return fn(s.Context(), tx) }); err != nil {
		s.Fatalf("update: %v", err)
	}
}

func (s suite) mustView(fn func(context.Context, watchword.Tx) error) {
	s.Helper()
	if err := s.View(s.Context(), func(tx watchword.Tx) error { return fn(s.Context(), tx) }); err != nil {
		s.Fatalf("view: %v", err)
	}
}

// tryUpdate runs fn in a separate transaction. fn runs a conditional SQL statement, and returns whether its condition
// was true.
func (s suite) tryUpdate(fn func(context.Context, watchword.Tx) (bool, error)) (held bool) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
		held, err = fn(ctx, tx)
		return err
	})
	return held
}

// wantUpdate fails unless fn returns want. fn is as in tryUpdate.
func (s suite) wantUpdate(want bool, what string, fn func(context.Context, watchword.Tx) (bool, error)) {
	s.Helper()
	if got := s.tryUpdate(fn); got != want {
		s.Errorf("%s: the statement reports %t, want %t", what, got, want)
	}
}

func (s suite) readUser(id watchword.UserID) (u watchword.User) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
		u, err = tx.User(ctx, id)
		return err
	})
	return u
}

func (s suite) readSession(id watchword.SessionID) (one watchword.Session) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
		one, _, err = tx.Session(ctx, id)
		return err
	})
	return one
}

func (s suite) addUser(n int) watchword.User {
	s.Helper()
	u := User(n)
	s.wantUpdate(true, "insert user", func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.InsertUser(ctx, u, Start)
	})
	return u
}

func (s suite) addSession(one watchword.Session) watchword.Session {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertSession(ctx, one) })
	return one
}

// wantNotFound fails unless err is ErrNotFound. It also fails if err is ErrUnavailable at the same time, because a
// missing row is not an outage.
func (s suite) wantNotFound(what string, err error) {
	s.Helper()
	if !errors.Is(err, watchword.ErrNotFound) || errors.Is(err, watchword.ErrUnavailable) {
		s.Errorf("%s: got error %v, want ErrNotFound alone", what, err)
	}
}

// wantEqual fails unless got equals want. It treats nil and an empty list as equal, and compares secrets by content.
func wantEqual[T any](s suite, what string, got, want T) {
	s.Helper()
	if reflect.DeepEqual(got, want) { // fast path, because cmp.Diff is slow
		return
	}
	revealed := cmp.Transformer("reveal", func(secret watchword.Secret) string { return string(secret) })
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), revealed); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const startMillis = 1795521600123 // 2026-11-24 12:00:00.123

// Start is the time at which fixtures are created.
var Start = time.UnixMilli(startMillis).UTC()

func afterStart(d time.Duration) time.Time { return Start.Add(d) }

// User returns a verified user. Each n gives a different user.
func User(n int) watchword.User {
	return watchword.User{
		ID:             watchword.UserID(fixedUUID("0001", n)),
		Email:          watchword.Address(fmt.Sprintf("user%06d@example.com", n)),
		VerifiedAt:     afterStart(time.Second),
		Name:           "Zoë O'Hara",
		Roles:          []string{"admin", "staff"},
		PasswordHash:   "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
		CreatedAt:      Start,
		RolesChangedAt: Start.Truncate(time.Second),
		Locale:         "de-AT",

		Factors:          2,
		FactorsChangedAt: afterStart(time.Millisecond),
	}
}

// Session returns a session of the user, as created by a sign-in at Start. Each n gives
// a different session.
func Session(userID watchword.UserID, n int) watchword.Session {
	return watchword.Session{
		ID:     watchword.SessionID(fixedUUID("0002", n)),
		UserID: userID,
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
		ExpiresAt:       afterStart(30 * 24 * time.Hour),
	}
}

// Policy returns the session policy of the fixtures.
func Policy() watchword.SessionPolicy {
	return watchword.SessionPolicy{Idle: 7 * 24 * time.Hour, ShortIdle: 12 * time.Hour, Max: 30 * 24 * time.Hour}
}

// Rotate returns a request that presents the newest token of the session.
func Rotate(one watchword.Session, at time.Time) watchword.RotateRequest {
	return watchword.RotateRequest{
		Session:      one.ID,
		Presentation: watchword.Presentation{Generation: one.Generation, Agent: one.RotatedBy, At: at},
		Cutoffs:      Policy().Cutoffs(at),
		RefreshKey:   one.RefreshKey,
		Address:      one.Address,
	}
}

// fixedUUID returns a different UUID of version 7 for each pair of kind and n.
func fixedUUID(kind string, n int) string {
	return fmt.Sprintf("019355c1-%s-7000-8000-%012x", kind, n)
}

// RaceDetector reports whether the race detector is on. It makes SQLite, which is compiled to Go, about twenty times
// slower.
func RaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
