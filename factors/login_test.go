package factors_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
)

// The numbers in the comment before a test are its numbers in the specification of second factors.

// 1, 2, 3
func TestPasswordAloneOpensNoSessionOfAnAccountWithAFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		before := r.countSessions(t, a)
		handle := r.passwordChallenge(t, a, phone)
		if got := r.countSessions(t, a); got != before {
			t.Errorf("%d sessions, want %d", got, before)
		}
		// The handle does not work as an access token, a refresh token or the token of a mailed link.
		_, err := r.Authenticate(t.Context(), handle)
		wantCode(t, err, watchword.CodeTokenInvalid)
		_, err = r.Refresh(t.Context(), handle, phone)
		wantCode(t, err, watchword.CodeRefreshInvalid)
		_, err = r.Engine.ResetPassword(t.Context(), handle, "a rainbow over the bay", phone)
		wantCode(t, err, watchword.CodeMailTokenInvalid)
		_, err = r.ConfirmTOTP(t.Context(), a.who, string(handle), r.totpCode(t, a, 0), phone)
		wantCode(t, err, watchword.CodeChallengeInvalid)
		// An invented handle must complete no sign-in. Neither must the handle of a challenge with another purpose.
		for _, other := range []watchword.Secret{"", "wwc_", handle[:len(handle)-1], "wwc_B" + handle[5:]} {
			_, err = r.loginWithCode(other, r.totpCode(t, a, 0))
			wantCode(t, err, watchword.CodeChallengeInvalid)
		}
		in, err := r.loginWithCode(handle, r.totpCode(t, a, 0))
		must(t, err)
		if got := r.identity(t, in).Session.Methods; !slices.Equal(got, []string{"pwd", "otp", "mfa"}) {
			t.Errorf("methods %q", got)
		}
		if got := r.countSessions(t, a); got != before+1 {
			t.Errorf("%d sessions after the code", got)
		}
	})
}

// 4
func TestHandleOpensOneSession(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		before, handle := r.countSessions(t, a), r.passwordChallenge(t, a, phone)
		code := r.totpCode(t, a, 0)
		got := runInParallel(20, func(i int) error {
			m := []*factors.Manager{r.Manager, r.otherProcess}[i%2]
			_, err := m.Login(t.Context(), factors.LoginRequest{
				Handle: handle, Proof: factors.Proof{TOTP: code}, Client: phone})
			return err
		})
		if got[""] != 1 || r.countSessions(t, a) != before+1 {
			t.Errorf("%v, %d sessions", got, r.countSessions(t, a)-before)
		}
	})
}

// 5
func TestParallelGuessesAreCountedBeforeTheyAreLookedAt(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		guess := func(handle watchword.Secret) map[watchword.Code]int {
			return runInParallel(50, func(int) error {
				_, err := r.loginWithCode(handle, r.totpCode(t, a, 9))
				return err
			})
		}
		got := guess(r.passwordChallenge(t, a, phone))
		if got[watchword.CodeFactorWrong] != 5 || got[watchword.CodeChallengeInvalid] != 45 {
			t.Errorf("first challenge: %v", got)
		}
		got = guess(r.passwordChallenge(t, a, phone))
		if got[watchword.CodeFactorWrong] != 5 {
			t.Errorf("second challenge: %v", got)
		}
		// After ten failures, the account is at its rate limit. A sign-in with the right password must not reduce the
		// number of failures.
		_, err := r.loginWithCode(r.passwordChallenge(t, a, phone), r.totpCode(t, a, 0))
		wantCode(t, err, watchword.CodeRateLimited)
		// Test 13: recovery codes have a separate counter, so they still work.
		_, err = r.loginWithRecoveryCode(r.passwordChallenge(t, a, phone), a.codes[0])
		must(t, err)
	})
}

// MFA-1
func TestCodeWorksOnce(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		code := r.totpCode(t, a, 0)
		one, other := r.passwordChallenge(t, a, phone), r.passwordChallenge(t, a, laptop)
		got := runInParallel(2, func(i int) error {
			m, handle := []*factors.Manager{r.Manager, r.otherProcess}[i], []watchword.Secret{one, other}[i]
			_, err := m.Login(t.Context(), factors.LoginRequest{
				Handle: handle, Proof: factors.Proof{TOTP: code}, Client: phone})
			return err
		})
		if got[""] != 1 || got[watchword.CodeFactorWrong] != 1 {
			t.Errorf("over two challenges and two processes: %v", got)
		}
		_, _, err := r.StepUp(t.Context(), a.who, factors.StepUpRequest{Proof: factors.Proof{TOTP: code},
			Client: laptop})
		wantCode(t, err, watchword.CodeFactorWrong)

		r.advance(2 * totp.Period)
		later := r.totpCode(t, a, 1)
		_, _, err = r.StepUp(t.Context(), a.who, factors.StepUpRequest{Proof: factors.Proof{TOTP: later},
			Client: laptop})
		must(t, err)
		_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), later)
		wantCode(t, err, watchword.CodeFactorWrong)
		_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), r.totpCode(t, a, 0))
		wantCode(t, err, watchword.CodeFactorWrong)
	})
}

// 9
func TestClocksMayDifferByOneStep(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		at := func(d time.Duration) watchword.Secret {
			code, err := totp.Code(a.secret, totp.Step(r.clock().Add(d)))
			must(t, err)
			return watchword.Secret(code)
		}
		r.advance(10 * totp.Period)
		for _, c := range []struct {
			off  time.Duration
			want watchword.Code
		}{
			{-61 * time.Second, watchword.CodeFactorWrong}, {61 * time.Second, watchword.CodeFactorWrong},
			{-29 * time.Second, ""}, {29 * time.Second, ""},
		} {
			_, err := r.loginWithCode(r.passwordChallenge(t, a, phone), at(c.off))
			if got := watchword.CodeOf(err); err == nil && c.want != "" || err != nil && got != c.want {
				t.Errorf("%s: got %v, want %q", c.off, err, c.want)
			}
			if err == nil {
				r.advance(5 * totp.Period)
			}
		}
		used := at(0)
		_, err := r.loginWithCode(r.passwordChallenge(t, a, phone), used)
		must(t, err)
		r.advance(-20 * time.Second)
		_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), used)
		wantCode(t, err, watchword.CodeFactorWrong)
	})
}

// 11, 12
func TestChangedAccountInvalidatesTheChallenge(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		handle := r.passwordChallenge(t, a, phone)
		must(t, r.Operator().DisableUser(t.Context(), a.who.User.ID))
		_, err := r.loginWithCode(handle, r.totpCode(t, a, 0))
		wantCode(t, err, watchword.CodeAccountDisabled)
		must(t, r.Operator().EnableUser(t.Context(), a.who.User.ID))
		_, err = r.loginWithCode(handle, r.totpCode(t, a, 0))
		must(t, err) // the refused sign-in has not used up the code

		a = r.createAccount(t, "bob@example.com")
		r.addTOTP(t, a)
		handle = r.passwordChallenge(t, a, phone)
		must(t, r.ChangePassword(t.Context(), a.who, password, "a rainbow over the bay", laptop))
		_, err = r.loginWithCode(handle, r.totpCode(t, a, 0))
		wantCode(t, err, watchword.CodeChallengeInvalid)

		a = r.createAccount(t, "eve@example.com")
		r.addTOTP(t, a)
		handle = r.passwordChallenge(t, a, phone)
		must(t, r.Manager.Reset(t.Context(), "ops", a.who.User.ID))
		_, err = r.loginWithCode(handle, r.totpCode(t, a, 0))
		wantCode(t, err, watchword.CodeChallengeInvalid)

		a = r.createAccount(t, "mia@example.com")
		r.addTOTP(t, a)
		handle = r.passwordChallenge(t, a, phone)
		r.advance(watchword.ChallengeLife)
		_, err = r.loginWithCode(handle, r.totpCode(t, a, 0))
		wantCode(t, err, watchword.CodeChallengeInvalid)
	})
}

// MFA-2
func TestRecoveryCodeWorksOnceAndUntilReplaced(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		one, other := r.passwordChallenge(t, a, phone), r.passwordChallenge(t, a, laptop)
		got := runInParallel(2, func(i int) error {
			_, err := r.loginWithRecoveryCode([]watchword.Secret{one, other}[i], a.codes[0])
			return err
		})
		if got[""] != 1 || got[watchword.CodeFactorWrong] != 1 {
			t.Errorf("in parallel: %v", got)
		}
		in, err := r.loginWithRecoveryCode(r.passwordChallenge(t, a, phone), a.codes[1])
		must(t, err)
		if got := in.Session.Methods; !slices.Equal(got, []string{"pwd", "recovery", "mfa"}) {
			t.Errorf("methods %q", got)
		}
		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if overview.Codes.Left != 8 {
			t.Errorf("%d codes are left", overview.Codes.Left)
		}
		fresh, err := r.NewRecoveryCodes(t.Context(), a.who, laptop)
		must(t, err)
		_, err = r.loginWithRecoveryCode(r.passwordChallenge(t, a, phone), a.codes[2])
		wantCode(t, err, watchword.CodeFactorWrong)
		_, err = r.loginWithRecoveryCode(r.passwordChallenge(t, a, phone), fresh[0])
		must(t, err)
	})
}

// 16
func TestResetPasswordKeepsTheFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		must(t, r.Operator().SendReset(t.Context(), a.who.User.ID))
		mail := r.awaitMail(t, watchword.MailReset)
		_, err := r.Engine.ResetPassword(t.Context(), mail.Token, "a rainbow over the bay", phone)
		must(t, err)
		in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{
			Email: a.email, Password: "a rainbow over the bay", Client: phone})
		_, err = r.loginWithCode(wantChallenge(t, in, err), r.totpCode(t, a, 0))
		must(t, err)
	})
}

// Programs that embed the engine sign users in with AdmitUser, which also requires the factor.
func TestAdmitUserAsksForTheFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		for _, methods := range [][]string{{"pwd"}, {"otp"}, {"hwk", "otp"}} {
			in, err := r.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{
				User: a.who.User.ID, Methods: methods, Client: phone})
			wantChallenge(t, in, err)
		}
		in, err := r.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{
			User: a.who.User.ID, Methods: []string{"mfa"}, Client: phone})
		must(t, err)
		r.identity(t, in)
	})
}

// 32
func TestStoreRevealsNoSecretOfAFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		handle := r.passwordChallenge(t, a, phone)
		secrets := [][]byte{a.secret, []byte(totp.Text(a.secret)), []byte(handle), []byte(handle[len(handle)-20:])}
		for _, code := range a.codes {
			secrets = append(secrets, []byte(code), []byte(code[:5]+code[6:]))
		}
		must(t, r.store.View(t.Context(), func(tx watchword.Tx) error {
			all, err := tx.(factors.Tx).Factors(t.Context(), a.who.User.ID)
			must(t, err)
			events, err := tx.Events(t.Context(), a.who.User.ID, 100)
			must(t, err)
			dump := append(all[0].Sealed, all[0].Record...)
			for _, event := range events {
				dump = append(dump, event.Detail...)
			}
			for _, secret := range secrets {
				if bytes.Contains(dump, secret) {
					t.Errorf("%q is stored", secret)
				}
			}
			return nil
		}))
	})
}

// If another tab signs in between the two steps, the browser has a new refresh cookie. The second step must end the
// sessions of both the old and the new cookie.
//
// RT-16
func TestSecondStepEndsTheSessionsOfBothCookies(t *testing.T) {
	type second func(t *testing.T, r *rig, a *account, handle, replaces watchword.Secret) error
	code := func(t *testing.T, r *rig, a *account, handle, replaces watchword.Secret) error {
		_, err := r.Manager.Login(t.Context(), factors.LoginRequest{
			Handle: handle, Replaces: replaces, Proof: factors.Proof{TOTP: r.totpCode(t, a, 0)}, Client: phone})
		return err
	}
	firstCode := func(t *testing.T, r *rig, a *account, handle, replaces watchword.Secret) error {
		begun, err := r.BeginRequired(t.Context(), handle, "")
		must(t, err)
		a.secret = secretOf(t, begun)
		_, _, err = r.ConfirmRequired(t.Context(), factors.RequiredRequest{
			Handle: handle, ID: begun.ID, Code: r.totpCode(t, a, 0), Client: phone, Replaces: replaces})
		return err
	}
	firstPasskey := func(t *testing.T, r *rig, _ *account, handle, replaces watchword.Secret) error {
		begun, err := r.BeginRequiredPasskey(t.Context(), handle)
		must(t, err)
		_, _, err = r.ConfirmRequiredPasskey(t.Context(), factors.RequiredPasskey{Handle: handle, Client: phone,
			NewPasskey: factors.NewPasskey{Ceremony: begun.ID,
				Credential: newDevice().respondToCreation(t, begun.Options)},
			Replaces: replaces})
		return err
	}
	for name, finish := range map[string]second{"code": code, "first code": firstCode, "first passkey": firstPasskey} {
		t.Run(name, func(t *testing.T) {
			onBothStores(t, func(t *testing.T, r *rig) {
				bob, cleo := r.createAccount(t, "bob@example.com"), r.createAccount(t, "cleo@example.com")
				dora := r.createAccount(t, "dora@example.com")
				a := &account{email: "ada@example.com"}
				if name == "code" {
					a = r.createAccountWithTOTP(t)
				} else {
					r.createVerifiedUser(t, a.email, "staff")
				}
				_, err := r.Engine.Login(t.Context(), watchword.LoginRequest{
					Email: a.email, Password: password, Client: phone, Replaces: bob.in.RefreshToken})
				var refusal *watchword.Error
				if !errors.As(err, &refusal) || refusal.Challenge == nil {
					t.Fatalf("got error %v, want a challenge", err)
				}
				must(t, finish(t, r, a, refusal.Challenge.Handle, cleo.in.RefreshToken))
				for _, replaced := range []*account{bob, cleo} {
					_, err = r.Refresh(t.Context(), replaced.in.RefreshToken, phone)
					wantCode(t, err, watchword.CodeSessionEnded)
				}
				_, err = r.Refresh(t.Context(), dora.in.RefreshToken, phone)
				must(t, err)
			}, func(o *watchword.Options) {
				o.SecondFactor = watchword.FactorPolicy{Required: true, Roles: []string{"staff"}}
			})
		})
	}
}
