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

// A lossyFlow is a request whose last commit is in doubt, and the response that its retry must get.
type lossyFlow struct {
	flow      string
	statement string // of the transaction whose commit response is lost
	method    string // default: POST
	path      string
	body      body

	retryStatus int
	retryCode   string
	verify      func() // runs after the retry
}

const (
	commitMessage = "commit\x00" // the message with which pgx commits a transaction
	setPassword   = "UPDATE users SET password_hash"
	endSession    = "UPDATE sessions SET ended_at"
)

// A lossyService is a server and a proxy that drops some responses of the server's database.
type lossyService struct {
	*fault
	server *server
	proxy  *databaseProxy
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
	d := &lossyService{fault: newFault(t, "answer to a commit lost"), proxy: newDatabaseProxy(t, database.Host),
		server: newServer(t, freeAddress(t))}
	database.Host = d.proxy.Addr().String()
	named := database.Query() // the proxy needs the text of each statement, which pgx sends in this mode
	named.Set("default_query_exec_mode", "cache_describe")
	database.RawQuery = named.Encode()
	dir := startServer(t, d.server,
		append(postgresArguments(database.String()), "--limits=off", "--log-level=error", "--refresh-grace=0s")...)
	d.mails = openMailbox(t, filepath.Join(dir, "watchword-data", "mail"))
	for _, flow := range []func(*testing.T, *device, string) lossyFlow{
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
		t.Run(l.flow, func(t *testing.T) { d.checkLostResponse(t, phone, l) })
	}
}

func (d *lossyService) checkLostResponse(t *testing.T, phone *device, l lossyFlow) {
	message := commitMessage
	if l.statement == sessionIDOfBody(t, l.body) {
		message = l.statement // a statement outside of a transaction has no commit message
	}
	lost := d.proxy.dropResponse(l.statement, message)
	got := phone.mustSend(t, l.method, l.path, l.body).wantStatus(t, 503)
	got.wantCode(t, "TRY_LATER")
	d.countRequest(&d.unavailable)
	if got.retryAfter < 1 {
		t.Error("503 without Retry-After")
	}
	begun := time.Now()
	<-lost // if the 503 has another cause, the test blocks until its timeout
	again := phone.mustSend(t, l.method, l.path, l.body).wantStatus(t, l.retryStatus)
	again.wantCode(t, l.retryCode)
	l.verify()
	d.countRequest(nil)
	d.endRound(time.Since(begun))
}

// sessionIDOfBody returns the session id in the refresh token of a body. The statement that rotates the token
// contains this id.
func sessionIDOfBody(t *testing.T, b body) string {
	token, ok := b["refreshToken"].(string)
	if !ok {
		return "no session"
	}
	raw := tokenBytes(t, token)
	return uuid.UUID(raw[2:18]).String()
}

func (d *lossyService) signUp(t *testing.T, phone *device, _ string) lossyFlow {
	account := body{"email": "new@example.com", "password": firstSecret, "delivery": "body"}
	return lossyFlow{flow: "sign-up", statement: "INSERT INTO users", path: "/register", body: account,
		retryStatus: 409,
		retryCode:   "EMAIL_TAKEN",
		verify:      func() { phone.post(t, "/login", account, 200) }}
}

func (d *lossyService) logIn(_ *testing.T, _ *device, _ string) lossyFlow {
	return lossyFlow{
		flow: "login", statement: setPassword, path: "/login", body: d.currentAccount(firstSecret), retryStatus: 200,
		verify: func() {}}
}

func (d *lossyService) refresh(t *testing.T, phone *device, token string) lossyFlow {
	b := body{"refreshToken": token}
	return lossyFlow{flow: "refresh", statement: sessionIDOfBody(t, b), path: "/refresh", body: b, retryStatus: 200,
		verify: func() { d.wantGeneration(t, phone, token, 1) }}
}

// A refresh with the old token must return this generation, and the session must continue.
func (d *lossyService) wantGeneration(t *testing.T, phone *device, oldToken string, want int64) {
	t.Helper()
	newest := phone.post(t, "/refresh", body{"refreshToken": oldToken}, 200).RefreshToken
	if n := tokenGeneration(t, newest); n != want {
		t.Errorf("the newest token is generation %d, want %d", n, want)
	}
	phone.post(t, "/refresh", body{"refreshToken": newest}, 200)
}

// A late client presents an old token again, because it did not receive the first response. The test loses the second
// response, too.
func (d *lossyService) lateRefresh(t *testing.T, phone *device, token string) lossyFlow {
	b := body{"refreshToken": token}
	phone.post(t, "/refresh", b, 200)
	time.Sleep(5 * time.Millisecond) // after the grace period, which is 0
	return lossyFlow{flow: "late refresh", statement: "UPDATE sessions SET forgiven", path: "/refresh", body: b,
		retryStatus: 200,
		verify:      func() { d.wantGeneration(t, phone, token, 1) }}
}

func (d *lossyService) reuse(t *testing.T, phone *device, token string) lossyFlow {
	link := d.mails.awaitLinkTo(t, watchword.Address(d.currentEmail()), watchword.MailVerify)
	phone.post(t, "/email/verify", body{"token": tokenInLink(t, link)}, 200) // a notice goes to a proven address only
	second := phone.post(t, "/refresh", body{"refreshToken": token}, 200).RefreshToken
	newest := phone.post(t, "/refresh", body{"refreshToken": second}, 200).RefreshToken
	time.Sleep(5 * time.Millisecond)
	return lossyFlow{flow: "reuse by a thief", statement: endSession, path: "/refresh",
		body:        body{"refreshToken": token},
		retryStatus: 401, retryCode: "SESSION_ENDED",
		verify: func() {
			phone.post(t, "/refresh", body{"refreshToken": newest}, 401).wantCode(t, "SESSION_ENDED")
			d.mails.awaitLink(t, watchword.MailReuseDetected)
			d.mu.Lock()
			d.detectedReuses++
			d.mu.Unlock()
		}}
}

func (d *lossyService) logOut(t *testing.T, phone *device, token string) lossyFlow {
	b := body{"refreshToken": token}
	return lossyFlow{flow: "logout", statement: endSession, path: "/logout", body: b, retryStatus: 200,
		verify: func() { phone.post(t, "/refresh", b, 401).wantCode(t, "SESSION_ENDED") }}
}

func (d *lossyService) logOutEverywhere(t *testing.T, phone *device, token string) lossyFlow {
	return lossyFlow{flow: "logout everywhere", statement: endSession, path: "/logout-all", retryStatus: 401,
		retryCode: "SESSION_ENDED",
		verify:    func() { phone.post(t, "/refresh", body{"refreshToken": token}, 401).wantCode(t, "SESSION_ENDED") }}
}

func (d *lossyService) changePassword(t *testing.T, phone *device, token string) lossyFlow {
	return lossyFlow{flow: "change of password", statement: setPassword, path: "/password/change",
		body: body{"currentPassword": firstSecret, "newPassword": nextSecret}, retryStatus: 403,
		retryCode: "PASSWORD_WRONG",
		verify: func() {
			phone.post(t, "/login", d.currentAccount(firstSecret), 401).wantCode(t, "INVALID_CREDENTIALS")
			phone.post(t, "/login", d.currentAccount(nextSecret), 200)
			phone.post(t, "/refresh", body{"refreshToken": token}, 200)
		}}
}

func (d *lossyService) forgot(t *testing.T, phone *device, _ string) lossyFlow {
	return lossyFlow{flow: "forgotten password", statement: "INSERT INTO mails", path: "/password/forgot",
		body: body{"email": d.currentEmail()}, retryStatus: 202,
		verify: func() { d.mails.awaitLink(t, watchword.MailReset); d.mails.awaitLink(t, watchword.MailReset) }}
}

func (d *lossyService) reset(t *testing.T, phone *device, _ string) lossyFlow {
	phone.post(t, "/password/forgot", body{"email": d.currentEmail()}, 202)
	return lossyFlow{flow: "reset of password", statement: "DELETE FROM mail_tokens WHERE hash",
		path: "/password/reset",
		body: body{"token": d.mails.awaitToken(t, watchword.MailReset), "password": nextSecret}, retryStatus: 400,
		retryCode: "MAIL_TOKEN_INVALID",
		verify:    func() { phone.post(t, "/login", d.currentAccount(nextSecret), 200) }}
}

func (d *lossyService) verify(t *testing.T, phone *device, _ string) lossyFlow {
	link := d.mails.awaitLinkTo(t, watchword.Address(d.currentEmail()), watchword.MailVerify)
	return lossyFlow{flow: "proof of address", statement: "DELETE FROM mail_tokens WHERE hash", path: "/email/verify",
		body: body{"token": tokenInLink(t, link)}, retryStatus: 400, retryCode: "MAIL_TOKEN_INVALID",
		verify: func() {
			if !phone.get(t, "/me", 200).User.EmailVerified {
				t.Error("the address is not verified")
			}
		}}
}

func (d *lossyService) deleteAccount(t *testing.T, phone *device, _ string) lossyFlow {
	return lossyFlow{flow: "deletion of account", statement: "DELETE FROM users", method: http.MethodDelete,
		path: "/me",
		body: body{"password": firstSecret}, retryStatus: 401, retryCode: "SESSION_ENDED",
		verify: func() {
			phone.post(t, "/login", d.currentAccount(firstSecret), 401).wantCode(t,
				"INVALID_CREDENTIALS")
		}}
}

func (d *lossyService) currentEmail() string { return fmt.Sprintf("user%d@example.com", d.users-1) }

func (d *lossyService) currentAccount(password string) body {
	return body{"email": d.currentEmail(), "password": password, "delivery": "body"}
}
