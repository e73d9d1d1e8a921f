package main_test

import (
	"path/filepath"
	"testing"

	"github.com/watchword-auth/watchword"
)

const (
	ada         = "ada@example.com"
	firstSecret = "seven purple otters"
	nextSecret  = "eight yellow badgers"
)

// The test follows one account through sign-ins, refreshes, a theft, a password reset and a restart. It uses the
// built program, a browser and a phone. The grace period is 0. A client that lost a response must keep its session,
// although it repeats its request after the grace period.
//
// RT-6, RST-4
func TestLifeOfAnAccount(t *testing.T) {
	t.Parallel()
	onEachStore(t, followAccount)
}

func followAccount(t *testing.T, arguments []string) {
	dir, address := t.TempDir(), freeAddress(t)
	server := newServer(t, address)
	arguments = append(arguments, "--refresh-grace=0s")
	if err := server.start(dir, []string{"HOME=" + dir}, arguments); err != nil {
		t.Fatal(err)
	}
	mails := openMailbox(t, filepath.Join(dir, "watchword-data", "mail"))
	laptop, phone := newDevice(t, address), newDevice(t, address)

	laptop.post(t, "/register", body{"email": ada, "password": firstSecret}, 201)
	if laptop.get(t, "/me", 200).User.EmailVerified {
		t.Fatal("the address is verified before the mail was read")
	}
	link := mails.awaitToken(t, watchword.MailVerify)
	newDevice(t, address).post(t, "/email/verify", body{"token": link}, 403) // newDevice has no session
	laptop.post(t, "/email/verify", body{"token": link}, 200)
	if !laptop.get(t, "/me", 200).User.EmailVerified {
		t.Fatal("the address is not verified")
	}

	laptop.post(t, "/login", body{"email": ada, "password": firstSecret}, 200)
	first := phone.post(t, "/login", body{"email": ada, "password": firstSecret, "delivery": "body"}, 200).RefreshToken
	laptop.post(t, "/refresh", nil, 200)
	second := phone.post(t, "/refresh", body{"refreshToken": first}, 200).RefreshToken

	// The response to a refresh is lost. The phone retries with the old token and gets the same new token.
	lost := phone.post(t, "/refresh", body{"refreshToken": second}, 200).RefreshToken
	again := phone.post(t, "/refresh", body{"refreshToken": second}, 200).RefreshToken
	if again != lost {
		t.Fatal("the repeated response contains another token")
	}

	// A thief presents an old token of the phone. The session ends for the thief and the phone, the owner gets a
	// mail, and the session of the laptop continues.
	thief := newDevice(t, address)
	thief.post(t, "/refresh", body{"refreshToken": first}, 401).wantCode(t, "REFRESH_REUSED")
	phone.post(t, "/refresh", body{"refreshToken": again}, 401).wantCode(t, "SESSION_ENDED")
	mails.awaitLink(t, watchword.MailReuseDetected)
	laptop.post(t, "/refresh", nil, 200)

	newDevice(t, address).post(t, "/password/forgot", body{"email": ada}, 202)
	newDevice(t, address).post(t, "/password/reset",
		body{"token": mails.awaitToken(t, watchword.MailReset), "password": nextSecret}, 200)
	laptop.get(t, "/me", 401).wantCode(t, "SESSION_ENDED")
	laptop.post(t, "/refresh", nil, 401)
	laptop.post(t, "/login", body{"email": ada, "password": firstSecret}, 401).wantCode(t, "INVALID_CREDENTIALS")
	mails.awaitLink(t, watchword.MailPasswordChanged)

	loseSecondFactors(t, laptop, dir, arguments)

	laptop.post(t, "/login", body{"email": ada, "password": nextSecret}, 200)
	kept := phone.post(t, "/login", body{"email": ada, "password": nextSecret, "delivery": "body"}, 200).RefreshToken
	if err := server.terminate(); err != nil {
		t.Fatalf("SIGTERM: %v\n%s", err, server.errs.String())
	}
	if err := server.start(dir, []string{"HOME=" + dir}, arguments); err != nil {
		t.Fatal(err)
	}
	kept = phone.post(t, "/refresh", body{"refreshToken": kept}, 200).RefreshToken
	laptop.post(t, "/refresh", nil, 200)

	if ended := laptop.post(t, "/logout-all", nil, 200).Ended; ended != 2 {
		t.Fatalf("%d sessions ended, want 2", ended)
	}
	phone.post(t, "/refresh", body{"refreshToken": kept}, 401).wantCode(t, "SESSION_ENDED")
	laptop.get(t, "/me", 401).wantCode(t, "SESSION_ENDED")
}

// RT-5
func TestReuseIsDetectedAfterACrash(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s, "--refresh-grace=0s")
	phone := newDevice(t, s.address)
	first := phone.post(t, "/register", body{"email": ada, "password": firstSecret, "delivery": "body"},
		201).RefreshToken
	second := phone.post(t, "/refresh", body{"refreshToken": first}, 200).RefreshToken
	newest := phone.post(t, "/refresh", body{"refreshToken": second}, 200).RefreshToken
	s.kill()
	if err := s.start(dir, []string{"HOME=" + dir}, []string{"--refresh-grace=0s"}); err != nil {
		t.Fatal(err)
	}
	phone.post(t, "/refresh", body{"refreshToken": first}, 401).wantCode(t, "REFRESH_REUSED")
	phone.post(t, "/refresh", body{"refreshToken": newest}, 401).wantCode(t, "SESSION_ENDED")
}

// loseSecondFactors adds an app, loses the phone, and signs in with a recovery code. It adds an app on another phone
// and loses that too, so the operator resets the factors.
func loseSecondFactors(t *testing.T, laptop *device, dir string, arguments []string) {
	t.Helper()
	step := currentTimeStep()
	login := body{"email": ada, "password": nextSecret}
	laptop.post(t, "/login", login, 200)
	begun := laptop.post(t, "/factors/totp", body{}, 201)
	done := laptop.post(t, "/factors/totp/"+begun.ID+"/confirm", body{"code": totpCode(t, begun.Secret, step-1)}, 200)
	if len(done.RecoveryCodes) != 10 {
		t.Fatalf("%d recovery codes", len(done.RecoveryCodes))
	}
	laptop.post(t, "/login", login, 403).wantCode(t, "SECOND_FACTOR_REQUIRED")
	laptop.post(t, "/login/factor", body{"totp": totpCode(t, begun.Secret, step)}, 200)

	laptop.post(t, "/login", login, 403)
	laptop.post(t, "/login/factor", body{"recoveryCode": done.RecoveryCodes[0]}, 200)
	next := laptop.post(t, "/factors/totp", body{}, 201)
	laptop.post(t, "/factors/totp/"+next.ID+"/confirm", body{"code": totpCode(t, next.Secret, step)}, 200)
	laptop.mustSend(t, "DELETE", "/factors/"+done.Factor.ID, nil).wantStatus(t, 200)
	laptop.post(t, "/login", login, 403)
	laptop.post(t, "/login/factor", body{"totp": totpCode(t, begun.Secret, step+1)}, 403).wantCode(t, "FACTOR_WRONG")
	laptop.post(t, "/login/factor", body{"recoveryCode": done.RecoveryCodes[0]}, 403).wantCode(t, "FACTOR_WRONG")
	laptop.post(t, "/login/factor", body{"totp": totpCode(t, next.Secret, step+1)}, 200)

	got := run(t, call{dir: dir, args: append([]string{"users", "reset-factors", ada, "--yes"}, arguments...)})
	if got.code != 0 {
		t.Fatal(got.out, got.errors)
	}
	laptop.post(t, "/refresh", nil, 401).wantCode(t, "SESSION_ENDED")
}
