package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/totp"
)

// A server is killed during the second step of a sign-in: after it counted the attempt, in the transaction of the
// session, or after the commit. The client then retries. The code must open exactly one session, and the next code
// must open another session.

const factorSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// The accounts are u0@example.com, u1@example.com and so on.
func importAccountsWithApps(t *testing.T, dir string, n int, arguments ...string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(firstSecret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	file.WriteString("email,password,emailVerified,totp_secret\n")
	for i := range n {
		fmt.Fprintf(&file, "u%d@example.com,%s,true,%s\n", i, hash, factorSecret)
	}
	got := run(t, call{dir: dir, files: map[string]string{"apps.csv": file.String()},
		args: append([]string{"users", "import", "apps.csv"}, arguments...)})
	if got.code != 0 {
		t.Fatal(got.out, got.errors)
	}
}

func currentTimeStep() int64 { return totp.Step(time.Now()) }

func totpCode(t *testing.T, text string, step int64) string {
	t.Helper()
	secret, _, err := totp.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.Code(secret, step)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// startSecondFactor signs in with the password. It returns the handle of the second step.
func (d *device) startSecondFactor(t *testing.T, email string) string {
	t.Helper()
	got := d.post(t, "/login", body{"email": email, "password": firstSecret, "delivery": "body"}, 403)
	got.wantCode(t, "SECOND_FACTOR_REQUIRED")
	return got.Challenge.Handle
}

func (d *device) sendTOTPCode(t *testing.T, handle, code string) *apiResponse {
	t.Helper()
	return d.mustSend(t, http.MethodPost, "/login/factor", body{"handle": handle, "totp": code})
}

// killDuringSecondFactor sends the request for the second step and kills the server when awaitKill returns. didCommit
// is true if the session was committed before the kill.
func killDuringSecondFactor(t *testing.T, s *server, email string, restart func(), awaitKill func()) (didCommit bool) {
	t.Helper()
	d, step := newDevice(t, s.address), currentTimeStep()
	handle := d.startSecondFactor(t, email)
	request := body{"handle": handle, "totp": totpCode(t, factorSecret, step)}
	answered := make(chan *apiResponse, 1)
	go func() {
		got, _ := d.send(t.Context(), http.MethodPost, "/login/factor", request)
		answered <- got
	}()
	awaitKill()
	s.kill()
	before := <-answered
	restart()
	d = newDevice(t, s.address)
	didCommit = before != nil && before.status == 200
	retried := d.sendTOTPCode(t, handle, totpCode(t, factorSecret, step))
	switch {
	case retried.status == 200 && didCommit:
		t.Error("one code has opened two sessions")
	case retried.status == 200:
	default:
		retried.wantStatus(t, 401).wantCode(t, "CHALLENGE_INVALID")
		didCommit = true
	}
	handle = d.startSecondFactor(t, email)
	d.sendTOTPCode(t, handle, totpCode(t, factorSecret, step)).wantStatus(t, 403).wantCode(t, "FACTOR_WRONG")
	d.sendTOTPCode(t, handle, totpCode(t, factorSecret, step+1)).wantStatus(t, 200)
	if n := len(d.get(t, "/sessions", 200).Sessions); n != 2 {
		t.Errorf("%d sessions of two codes", n)
	}
	return didCommit
}

// MFA-10
func TestKilledServerOpensNoSessionByHalf(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s, dir, rounds := newServer(t, freeAddress(t)), t.TempDir(), soakRounds(4)
		again := func() {
			if err := s.start(dir, []string{"HOME=" + dir}, []string{"--limits=off", "--log-level=error"}); err != nil {
				t.Fatal(err)
			}
		}
		again()
		importAccountsWithApps(t, dir, rounds)
		committed := 0
		for i := range rounds {
			late := time.Duration(rand.IntN(12_000)) * time.Microsecond
			if killDuringSecondFactor(t, s, fmt.Sprintf("u%d@example.com", i), again, func() { time.Sleep(late) }) {
				committed++
			}
		}
		t.Logf("%d of %d sessions were committed before the kill", committed, rounds)
	})
	t.Run("postgres", killBetweenStatements)
}

// killBetweenStatements kills the server at five different points of the second step. Each point is after a
// particular statement, or after the commit of that statement.
func killBetweenStatements(t *testing.T) {
	t.Parallel()
	database, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	direct, wire := postgresArguments(database.String()), newDatabaseProxy(t, database.Host)
	database.Host = wire.Addr().String()
	named := database.Query()
	named.Set("default_query_exec_mode", "cache_describe")
	database.RawQuery = named.Encode()
	s, dir := newServer(t, freeAddress(t)), t.TempDir()
	again := func() {
		arguments := append(postgresArguments(database.String()), "--limits=off", "--log-level=error")
		if err := s.start(dir, []string{"HOME=" + dir}, arguments); err != nil {
			t.Fatal(err)
		}
	}
	again()
	points := []struct {
		name, after, to string
		committed       bool
	}{
		{"the counted attempt", claimAttempt, claimAttempt, false},
		{"the commit of the attempt", claimAttempt, commitMessage, false},
		{"the session", insertSession, insertSession, false},
		{"the claimed code", claimCode, claimCode, false},
		{"the commit of the session", insertSession, commitMessage, true},
	}
	importAccountsWithApps(t, dir, len(points), direct...)
	for i, point := range points {
		opened := killDuringSecondFactor(t, s, fmt.Sprintf("u%d@example.com", i), again, func() {
			select {
			case <-wire.dropResponse(point.after, point.to):
			case <-time.After(20 * time.Second):
				t.Errorf("the server has not run %q", point.after)
			}
		})
		if opened != point.committed {
			t.Errorf("killed after %s: the session was committed: %v", point.name, opened)
		}
	}
}

const (
	claimAttempt  = "UPDATE challenges SET attempts"
	insertSession = "INSERT INTO sessions"
	claimCode     = "UPDATE factors SET counter"
)
