package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
)

// The database commits, but its response is lost, so the server does not know the outcome. The client gets a 503 and
// retries. For each flow, the retry must get the response in the table of docs/faults.md, and the change must be made
// exactly once.

// A lostResponse is a flow whose last commit is in doubt.
type lostResponse struct {
	flow   string
	commit string // statement of the transaction whose commit response is lost
	method string // default: POST
	path   string
	body   body

	again int    // status of the retry
	code  string // code of the retry
	then  func() // checks the state afterwards
}

const (
	commitMessage = "commit\x00" // text with which pgx commits
	setPassword   = "UPDATE users SET password_hash"
	endSession    = "UPDATE sessions SET ended_at"
)

// doubtful is a service that loses responses of its database.
type doubtful struct {
	*fault
	server *server
	wire   *wire
	mails  *mailbox
	users  int
}

// RT-6, RST-4
func TestLostCommitResponseDoesNoHarm(t *testing.T) {
	t.Parallel()
	database, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	d := &doubtful{fault: newFault(t, "answer to a commit lost"), wire: newWire(t, database.Host),
		server: newServer(t, freeAddress(t))}
	database.Host = d.wire.Addr().String()
	named := database.Query() // pgx then sends the text of each statement; type wire searches for it
	named.Set("default_query_exec_mode", "cache_describe")
	database.RawQuery = named.Encode()
	dir := startServer(t, d.server,
		append(onPostgres(database.String()), "--limits=off", "--log-level=error", "--refresh-grace=0s")...)
	d.mails = openMailbox(t, filepath.Join(dir, "watchword-data", "mail"))
	for _, flow := range []func(*testing.T, *device, string) lostResponse{
		d.signUp, d.logIn, d.refresh, d.lateRefresh, d.reuse, d.logOut, d.logOutEverywhere,
		d.changePassword, d.forgot, d.reset, d.verify, d.deleteAccount,
	} {
		email := fmt.Sprintf("user%d@example.com", d.users)
		d.users++
		phone := newDevice(t, d.server.address)
		token := phone.post(t, "/register", body{"email": email, "password": firstSecret, "delivery": "body"},
			201).RefreshToken
		l := flow(t, phone, token)
		if l.method == "" {
			l.method = http.MethodPost
		}
		t.Run(l.flow, func(t *testing.T) { d.lose(t, phone, l) })
	}
}

func (d *doubtful) lose(t *testing.T, phone *device, l lostResponse) {
	message := commitMessage
	if l.commit == sessionOf(t, l.body) {
		message = l.commit // the statement runs without a transaction
	}
	lost := d.wire.lose(l.commit, message)
	got := phone.must(t, l.method, l.path, l.body).want(t, 503)
	got.wantCode(t, "TRY_LATER")
	d.count(&d.unavailable)
	if got.retryAfter < 1 {
		t.Error("503 without Retry-After")
	}
	begun := time.Now()
	<-lost // blocks until the test's timeout if the 503 has another cause
	again := phone.must(t, l.method, l.path, l.body).want(t, l.again)
	again.wantCode(t, l.code)
	l.then()
	d.count(nil)
	d.over(time.Since(begun))
}

// sessionOf returns the session id of a refresh token, as in the statement of a rotation.
func sessionOf(t *testing.T, b body) string {
	token, ok := b["refreshToken"].(string)
	if !ok {
		return "no session"
	}
	raw := tokenBytes(t, token)
	return uuid.UUID(raw[2:18]).String()
}

func (d *doubtful) signUp(t *testing.T, phone *device, _ string) lostResponse {
	account := body{"email": "new@example.com", "password": firstSecret, "delivery": "body"}
	return lostResponse{flow: "sign-up", commit: "INSERT INTO users", path: "/register", body: account, again: 409,
		code: "EMAIL_TAKEN",
		then: func() { phone.post(t, "/login", account, 200) }}
}

func (d *doubtful) logIn(_ *testing.T, _ *device, _ string) lostResponse {
	return lostResponse{
		flow: "login", commit: setPassword, path: "/login", body: d.account(firstSecret), again: 200, then: func() {}}
}

func (d *doubtful) refresh(t *testing.T, phone *device, token string) lostResponse {
	b := body{"refreshToken": token}
	return lostResponse{flow: "refresh", commit: sessionOf(t, b), path: "/refresh", body: b, again: 200,
		then: func() { d.onGeneration(t, phone, token, 1) }}
}

// onGeneration checks that a refresh with the old token returns the wanted generation, and that the session
// continues.
func (d *doubtful) onGeneration(t *testing.T, phone *device, old string, want int64) {
	t.Helper()
	newest := phone.post(t, "/refresh", body{"refreshToken": old}, 200).RefreshToken
	if n := generationOf(t, newest); n != want {
		t.Errorf("the newest token is generation %d, want %d", n, want)
	}
	phone.post(t, "/refresh", body{"refreshToken": newest}, 200)
}

// lateRefresh returns the flow of a late client, which presents an old token again because it did not receive the
// first response. The test loses the second response, too.
func (d *doubtful) lateRefresh(t *testing.T, phone *device, token string) lostResponse {
	b := body{"refreshToken": token}
	phone.post(t, "/refresh", b, 200)
	time.Sleep(5 * time.Millisecond) // after the grace period, which is 0
	return lostResponse{flow: "late refresh", commit: "UPDATE sessions SET forgiven", path: "/refresh", body: b,
		again: 200,
		then:  func() { d.onGeneration(t, phone, token, 1) }}
}

func (d *doubtful) reuse(t *testing.T, phone *device, token string) lostResponse {
	link := d.mails.nextTo(t, watchword.Address(d.email()), watchword.MailVerify)
	phone.post(t, "/email/verify", body{"token": tokenIn(t, link)}, 200) // a notice goes to a proven address only
	second := phone.post(t, "/refresh", body{"refreshToken": token}, 200).RefreshToken
	newest := phone.post(t, "/refresh", body{"refreshToken": second}, 200).RefreshToken
	time.Sleep(5 * time.Millisecond)
	return lostResponse{flow: "reuse by a thief", commit: endSession, path: "/refresh",
		body:  body{"refreshToken": token},
		again: 401, code: "SESSION_ENDED",
		then: func() {
			phone.post(t, "/refresh", body{"refreshToken": newest}, 401).wantCode(t, "SESSION_ENDED")
			d.mails.next(t, watchword.MailReuseDetected)
			d.mu.Lock()
			d.reuses++
			d.mu.Unlock()
		}}
}

func (d *doubtful) logOut(t *testing.T, phone *device, token string) lostResponse {
	b := body{"refreshToken": token}
	return lostResponse{flow: "logout", commit: endSession, path: "/logout", body: b, again: 200,
		then: func() { phone.post(t, "/refresh", b, 401).wantCode(t, "SESSION_ENDED") }}
}

func (d *doubtful) logOutEverywhere(t *testing.T, phone *device, token string) lostResponse {
	return lostResponse{flow: "logout everywhere", commit: endSession, path: "/logout-all", again: 401,
		code: "SESSION_ENDED",
		then: func() { phone.post(t, "/refresh", body{"refreshToken": token}, 401).wantCode(t, "SESSION_ENDED") }}
}

func (d *doubtful) changePassword(t *testing.T, phone *device, token string) lostResponse {
	return lostResponse{flow: "change of password", commit: setPassword, path: "/password/change",
		body: body{"currentPassword": firstSecret, "newPassword": nextSecret}, again: 403, code: "PASSWORD_WRONG",
		then: func() {
			phone.post(t, "/login", d.account(firstSecret), 401).wantCode(t, "INVALID_CREDENTIALS")
			phone.post(t, "/login", d.account(nextSecret), 200)
			phone.post(t, "/refresh", body{"refreshToken": token}, 200)
		}}
}

func (d *doubtful) forgot(t *testing.T, phone *device, _ string) lostResponse {
	return lostResponse{flow: "forgotten password", commit: "INSERT INTO mails", path: "/password/forgot",
		body: body{"email": d.email()}, again: 202,
		then: func() { d.mails.next(t, watchword.MailReset); d.mails.next(t, watchword.MailReset) }}
}

func (d *doubtful) reset(t *testing.T, phone *device, _ string) lostResponse {
	phone.post(t, "/password/forgot", body{"email": d.email()}, 202)
	return lostResponse{flow: "reset of password", commit: "DELETE FROM mail_tokens WHERE hash",
		path: "/password/reset",
		body: body{"token": d.mails.token(t, watchword.MailReset), "password": nextSecret}, again: 400,
		code: "MAIL_TOKEN_INVALID",
		then: func() { phone.post(t, "/login", d.account(nextSecret), 200) }}
}

func (d *doubtful) verify(t *testing.T, phone *device, _ string) lostResponse {
	link := d.mails.nextTo(t, watchword.Address(d.email()), watchword.MailVerify)
	return lostResponse{flow: "proof of address", commit: "DELETE FROM mail_tokens WHERE hash", path: "/email/verify",
		body: body{"token": tokenIn(t, link)}, again: 400, code: "MAIL_TOKEN_INVALID",
		then: func() {
			if !phone.get(t, "/me", 200).User.EmailVerified {
				t.Error("the address is not verified")
			}
		}}
}

func (d *doubtful) deleteAccount(t *testing.T, phone *device, _ string) lostResponse {
	return lostResponse{flow: "deletion of account", commit: "DELETE FROM users", method: http.MethodDelete,
		path: "/me",
		body: body{"password": firstSecret}, again: 401, code: "SESSION_ENDED",
		then: func() { phone.post(t, "/login", d.account(firstSecret), 401).wantCode(t, "INVALID_CREDENTIALS") }}
}

// email returns the address of the flow's account.
func (d *doubtful) email() string { return fmt.Sprintf("user%d@example.com", d.users-1) }

func (d *doubtful) account(password string) body {
	return body{"email": d.email(), "password": password, "delivery": "body"}
}
