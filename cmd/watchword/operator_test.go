package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// One process serves requests, and another process changes the same database. The server must apply the change.
func TestOperatorCommandsAffectARunningServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s)
	laptop, phone := newDevice(t, s.address), newDevice(t, s.address)
	account := body{"email": ada, "password": firstSecret}
	laptop.post(t, "/register", account, 201)
	phone.post(t, "/login", account, 200)
	watchword := func(args ...string) string {
		t.Helper()
		got := run(t, call{dir: dir, args: args})
		if got.code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, got.code, got.errors)
		}
		return got.out
	}

	listed := laptop.get(t, "/sessions", 200).Sessions
	shown := watchword("sessions", "list", ada)
	for _, session := range listed {
		if !strings.Contains(shown, session.ID) {
			t.Errorf("session %s is not in\n%s", session.ID, shown)
		}
	}
	if events := watchword("users", "show", ada); !strings.Contains(events, "login") ||
		!strings.Contains(events, "127.0.0.1") {
		t.Errorf("the login is not among the events:\n%s", events)
	}

	phoneSession := listed[0].ID // the most recently used session is first
	watchword("sessions", "end", ada, phoneSession)
	phone.post(t, "/refresh", nil, 401)
	laptop.post(t, "/refresh", nil, 200)

	watchword("users", "disable", ada, "--yes")
	laptop.post(t, "/refresh", nil, 401)
	laptop.post(t, "/login", account, 403).wantCode(t, "ACCOUNT_DISABLED")
	watchword("users", "enable", ada)
	laptop.post(t, "/login", account, 200)

	watchword("users", "delete", ada, "--yes")
	laptop.get(t, "/me", 401)
	laptop.post(t, "/login", account, 401).wantCode(t, "INVALID_CREDENTIALS")
}

func TestTwoServersShareOneDatabase(t *testing.T) {
	t.Parallel()
	one, other := newServer(t, freeAddress(t)), newServer(t, freeAddress(t))
	dir := startServer(t, one)
	if err := other.start(dir, []string{"HOME=" + dir}, nil); err != nil {
		t.Fatal(err)
	}
	account := body{"email": ada, "password": firstSecret}
	newDevice(t, one.address).post(t, "/register", account, 201)
	newDevice(t, other.address).post(t, "/login", account, 200)
	if err := one.terminate(); err != nil {
		t.Fatal(err)
	}
	newDevice(t, other.address).post(t, "/login", account, 200)
}

// An unused session expires before its absolute end. Operators must see the earlier time.
//
// OPS-3
func TestOperatorsSeeTheEarlierExpiry(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s)
	newDevice(t, s.address).post(t, "/register", body{"email": ada, "password": firstSecret}, 201)
	newDevice(t, s.address).post(t, "/login", body{"email": ada, "password": firstSecret, "remember": false}, 200)
	for _, args := range [][]string{{"sessions", "list", ada}, {"users", "show", ada}} {
		got := run(t, call{dir: dir, args: append(args, "--json")})
		var answer struct {
			Sessions []struct{ LastUsedAt, ExpiresAt time.Time }
		}
		if err := json.Unmarshal([]byte(got.out), &answer); err != nil || len(answer.Sessions) != 2 {
			t.Fatalf("%v: %v\n%s%s", args, err, got.out, got.errors)
		}
		table := run(t, call{dir: dir, args: args}).out
		for i, idle := range []time.Duration{24 * time.Hour, 7 * 24 * time.Hour} { // most recent use first
			one := answer.Sessions[i]
			if life := one.ExpiresAt.Sub(one.LastUsedAt); life != idle {
				t.Errorf("%v: session %d ends %s after its last use, want %s", args, i, life, idle)
			}
			if end := one.ExpiresAt.UTC().Format("2006-01-02 15:04:05Z"); !strings.Contains(table, end) {
				t.Errorf("%v: the table does not name %s\n%s", args, end, table)
			}
		}
	}
}
