package factors_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/totp"
)

const rememberFor = 30 * 24 * time.Hour

func enableRememberDevice(o *watchword.Options) {
	o.RememberDevice = rememberFor
	o.Sessions.Idle, o.Sessions.Max = 60*24*time.Hour, 60*24*time.Hour
}

// signInAndRemember signs in with both factors, and lets the server remember the browser. It returns c with the
// cookie of this browser.
func (r *rig) signInAndRemember(t *testing.T, a *account, c watchword.Client) watchword.Client {
	t.Helper()
	r.advance(totp.Period)
	in, err := r.Manager.Login(t.Context(), factors.LoginRequest{Handle: r.passwordChallenge(t, a, c),
		Proof: factors.Proof{TOTP: r.totpCode(t, a, 0)}, Client: c, Remember: true})
	must(t, err)
	if in.Remembered == "" || in.RememberedFor != rememberFor {
		t.Fatalf("remembered for %v by %q", in.RememberedFor, in.Remembered)
	}
	a.in, a.who = in, r.identity(t, in)
	c.Remembered = in.Remembered
	return c
}

// signInWithPasswordOnly returns the sign-in, or nil if the engine asks for the second factor.
func (r *rig) signInWithPasswordOnly(
	t *testing.T, email string, password watchword.Secret, c watchword.Client,
) *watchword.SignIn {
	t.Helper()
	in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{Email: email, Password: password, Client: c})
	if watchword.CodeOf(err) == watchword.CodeSecondFactorRequired {
		wantChallenge(t, in, err)
		return nil
	}
	must(t, err)
	return in
}

func TestRememberedDeviceSkipsTheFactorAndNotTheLevel(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		browser := r.signInAndRemember(t, a, laptop)
		r.advance(time.Hour)
		in := r.signInWithPasswordOnly(t, a.email, password, browser)
		if in == nil {
			t.Fatal("the remembered browser is asked for a code")
		}
		if in.Remembered != "" {
			t.Error("each sign-in would extend the device")
		}
		who := r.identity(t, in)
		if got := who.Session.Methods; !slices.Equal(got, []string{"pwd", "device"}) || amr.Level(got) != amr.LevelOne {
			t.Errorf("methods %q", got)
		}
		// A step-up must require the factor, even on a remembered device.
		wantCode(t, r.Remove(t.Context(), who, a.factor.ID, browser), watchword.CodeStepUpRequired)
		_, _, err := r.StepUp(t.Context(), who, factors.StepUpRequest{Password: password, Client: browser})
		wantCode(t, err, watchword.CodeStepUpRequired)
		access, _, err := r.StepUp(t.Context(), who,
			factors.StepUpRequest{Proof: factors.Proof{TOTP: r.totpCode(t, a, 0)}, Client: browser})
		must(t, err)
		who, err = r.Authenticate(t.Context(), access)
		must(t, err)
		if got := amr.Level(who.Session.Methods); got != amr.LevelTwo {
			t.Errorf("level %s after the step-up", got)
		}
		// AdmitUser trusts an embedding program that has checked the password itself. The remembered device must
		// replace the factor here, too.
		_, err = r.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{
			User: a.who.User.ID, Methods: []string{"pwd"}, Client: browser})
		must(t, err)
		_, err = r.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{
			User: a.who.User.ID, Methods: []string{"otp"}, Client: laptop})
		r.advance(totp.Period)
		_, err = r.loginWithCode(wantChallenge(t, nil, err), r.totpCode(t, a, 0)) // "otp" twice is one factor, not two
		wantCode(t, err, watchword.CodeFactorWrong)
		if r.signInWithPasswordOnly(t, a.email, password, laptop) != nil {
			t.Error("another browser skips the factor")
		}
		_, err = r.Engine.Login(t.Context(), watchword.LoginRequest{Email: a.email, Password: "wrong", Client: browser})
		wantCode(t, err, watchword.CodeInvalidCredentials)
	}, enableRememberDevice)
}

// 27
//
// MFA-7
func TestRememberedDeviceIsOfOneAccount(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, b := r.createAccountWithTOTP(t), r.createAccount(t, "bob@example.com")
		r.addTOTP(t, b)
		browser := r.signInAndRemember(t, a, laptop)
		if r.signInWithPasswordOnly(t, b.email, password, browser) != nil {
			t.Error("the device of another account skips the factor")
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(string(browser.Remembered), "wwb_"))
		must(t, err)
		for _, i := range []int{0, 6, 15, 16, len(raw) - 1} {
			raw[i] ^= 1
			changed := browser
			changed.Remembered = watchword.Secret("wwb_" + base64.RawURLEncoding.EncodeToString(raw))
			raw[i] ^= 1
			if r.signInWithPasswordOnly(t, a.email, password, changed) != nil {
				t.Errorf("a token with byte %d changed skips the factor", i)
			}
		}
		for _, text := range []watchword.Secret{
			"", "wwb_", browser.Remembered + "A", a.in.DeviceToken, a.in.RefreshToken,
		} {
			changed := browser
			changed.Remembered = text
			if r.signInWithPasswordOnly(t, a.email, password, changed) != nil {
				t.Errorf("%q skips the factor", text)
			}
		}
		// Two accounts are remembered in this browser. The device of b must not work for a.
		both := r.signInAndRemember(t, b, browser)
		if r.signInWithPasswordOnly(t, a.email, password, both) != nil ||
			r.signInWithPasswordOnly(t, b.email, password, both) == nil {
			t.Error("the browser is not the device of the account that was remembered last")
		}
	}, enableRememberDevice)
}

// MFA-7
func TestRememberedDeviceEndsWithPasswordFactorsAndSignOutEverywhere(t *testing.T) {
	ends := map[string]func(*testing.T, *rig, *account) watchword.Secret{
		"password change": func(t *testing.T, r *rig, a *account) watchword.Secret {
			must(t, r.ChangePassword(t.Context(), a.who, password, "a rainbow over the bay", laptop))
			return "a rainbow over the bay"
		},
		"reset": func(t *testing.T, r *rig, a *account) watchword.Secret {
			must(t, r.Operator().SendReset(t.Context(), a.who.User.ID))
			_, err := r.Engine.ResetPassword(t.Context(), r.awaitMail(t, watchword.MailReset).Token, password, phone)
			must(t, err)
			return password
		},
		"another factor": func(t *testing.T, r *rig, a *account) watchword.Secret {
			r.addTOTP(t, a)
			return password
		},
		"a factor removed": func(t *testing.T, r *rig, a *account) watchword.Secret {
			first := a.factor.ID
			r.addTOTP(t, a)
			r.signInAndRemember(t, a, laptop)
			must(t, r.Remove(t.Context(), a.who, first, laptop))
			return password
		},
		"factors reset, and a new one": func(t *testing.T, r *rig, a *account) watchword.Secret {
			must(t, r.Manager.Reset(t.Context(), "ops", a.who.User.ID))
			in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{
				Email: a.email, Password: password, Client: laptop})
			must(t, err)
			a.in, a.who = in, r.identity(t, in)
			r.addTOTP(t, a)
			return password
		},
		"sign-out everywhere": func(t *testing.T, r *rig, a *account) watchword.Secret {
			_, err := r.LogoutAll(t.Context(), a.who, a.who.Session.ID, laptop)
			must(t, err)
			return password
		},
		"an operator ends the sessions": func(t *testing.T, r *rig, a *account) watchword.Secret {
			_, err := r.Operator().EndUserSessions(t.Context(), a.who.User.ID)
			must(t, err)
			return password
		},
		"forgotten": func(t *testing.T, r *rig, a *account) watchword.Secret {
			must(t, r.ForgetDevice(t.Context(), a.who, r.listDevices(t, a)[0].ID, laptop))
			return password
		},
		"all forgotten": func(t *testing.T, r *rig, a *account) watchword.Secret {
			must(t, r.ForgetDevice(t.Context(), a.who, "", laptop))
			return password
		},
		"its time is over": func(_ *testing.T, r *rig, _ *account) watchword.Secret {
			r.advance(rememberFor)
			return password
		},
	}
	onBothStores(t, func(t *testing.T, r *rig) {
		for name, end := range ends {
			a := r.createAccount(t, strings.NewReplacer(" ", ".", ",", "").Replace(name)+"@example.com")
			r.addTOTP(t, a)
			browser := r.signInAndRemember(t, a, laptop)
			if r.signInWithPasswordOnly(t, a.email, password, browser) == nil || len(r.listDevices(t, a)) != 1 {
				t.Fatalf("%s: the device is not remembered", name)
			}
			given := end(t, r, a)
			if r.signInWithPasswordOnly(t, a.email, given, browser) != nil {
				t.Errorf("%s: the device still skips the factor", name)
			}
			overview, err := r.List(t.Context(), a.who.User.ID)
			must(t, err)
			if len(overview.Devices) != 0 {
				t.Errorf("%s: it is still listed: %+v", name, overview.Devices)
			}
		}
	}, enableRememberDevice)
}

func (r *rig) listDevices(t *testing.T, a *account) []factors.Device {
	t.Helper()
	list, err := r.Devices(t.Context(), a.who)
	must(t, err)
	return list
}

func TestRememberedDevicesAreListedBoundedAndForgottenByTheirOwner(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, b := r.createAccountWithTOTP(t), r.createAccount(t, "bob@example.com")
		r.addTOTP(t, b)
		first := r.signInAndRemember(t, a, watchword.Client{Device: "Firefox on Linux"})
		r.advance(time.Minute)
		must(t, r.ForgetDevice(t.Context(), r.signInRemembered(t, b).who, "", laptop))
		a.who = r.stepUpWithTOTP(t, a)
		if r.signInWithPasswordOnly(t, a.email, password, first) == nil {
			t.Fatal("another account has forgotten the device")
		}
		list := r.listDevices(t, a)
		if len(list) != 1 || list[0].Name != "Firefox on Linux" || list[0].LastUsedAt.IsZero() ||
			!list[0].ExpiresAt.Equal(list[0].CreatedAt.Add(rememberFor)) {
			t.Errorf("listed: %+v", list)
		}
		err := r.ForgetDevice(t.Context(), r.signInRemembered(t, b).who, list[0].ID, laptop)
		wantCode(t, err, watchword.CodeNotFound)
		for range 20 {
			r.signInAndRemember(t, a, laptop)
		}
		if got := len(r.listDevices(t, a)); got != 20 || r.signInWithPasswordOnly(t, a.email, password, first) != nil {
			t.Errorf("%d devices, the oldest of them the first", got)
		}
		r.advance(time.Hour) // the session is no longer fresh
		_, err = r.Devices(t.Context(), a.who)
		wantCode(t, err, watchword.CodeStepUpRequired)
		wantCode(t, r.ForgetDevice(t.Context(), a.who, "", laptop), watchword.CodeStepUpRequired)
	}, enableRememberDevice)
}

func (r *rig) signInRemembered(t *testing.T, a *account) *account {
	t.Helper()
	r.signInAndRemember(t, a, phone)
	return a
}

func (r *rig) stepUpWithTOTP(t *testing.T, a *account) watchword.Identity {
	t.Helper()
	r.advance(totp.Period)
	access, _, err := r.StepUp(t.Context(), a.who,
		factors.StepUpRequest{Proof: factors.Proof{TOTP: r.totpCode(t, a, 0)}, Client: laptop})
	must(t, err)
	who, err := r.Authenticate(t.Context(), access)
	must(t, err)
	return who
}

func TestDevicesAreNotRememberedByDefault(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		handle := r.passwordChallenge(t, a, laptop)
		login := factors.LoginRequest{Handle: handle, Proof: factors.Proof{TOTP: r.totpCode(t, a, 0)}, Client: laptop,
			Remember: true}
		_, err := r.Manager.Login(t.Context(), login)
		wantCode(t, err, watchword.CodeValidationFailed)
		login.Remember = false
		in, err := r.Manager.Login(t.Context(), login)
		must(t, err)
		if in.Remembered != "" {
			t.Error("the browser is remembered without having asked")
		}
	})
}

func TestSettingSwitchesRememberedDevicesOff(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		browser := r.signInAndRemember(t, a, laptop)
		r.advance(2 * time.Hour)
		for age, want := range map[time.Duration]bool{rememberFor: true, time.Hour: false, 0: false} {
			opts := r.opts
			opts.RememberDevice = age
			engine, err := watchword.New(t.Context(), storeWithoutClock{r.store}, opts)
			must(t, err)
			t.Cleanup(engine.Close)
			again := &rig{Engine: engine}
			if got := again.signInWithPasswordOnly(t, a.email, password, browser) != nil; got != want {
				t.Errorf("remember-device %s: skips %t", age, got)
			}
		}
	}, enableRememberDevice)
}

// 32
//
// MFA-7
func TestStoreRevealsNoTokenOfARememberedDevice(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		browser := r.signInAndRemember(t, a, laptop)
		device := r.listDevices(t, a)[0]
		// A thief who has the row must not be able to compute the token. The computation also needs a secret, which
		// the master key encrypts.
		dump := []byte(strings.Join([]string{device.ID, string(device.UserID), device.Name}, "\n"))
		if bytes.Contains(dump, []byte(browser.Remembered[len(browser.Remembered)-30:])) {
			t.Error("the row has the MAC")
		}
		for _, made := range []watchword.Secret{watchword.Secret(device.ID), "wwb_" + watchword.Secret(device.ID)} {
			thief := laptop
			thief.Remembered = made
			if r.signInWithPasswordOnly(t, a.email, password, thief) != nil {
				t.Errorf("%q skips the factor", made)
			}
		}
		// After the master key is replaced, the browser must still be remembered, because the secret of the tokens
		// does not change.
		next := []byte("another master key for the tests")
		must(t, r.Operator().Reseal(t.Context(), next))
		r.opts.MasterKey = next
		engine, err := watchword.New(t.Context(), storeWithoutClock{r.store}, r.opts)
		must(t, err)
		t.Cleanup(engine.Close)
		r.Engine = engine
		if r.signInWithPasswordOnly(t, a.email, password, browser) == nil {
			t.Error("the device is lost with the old master key")
		}
	}, enableRememberDevice)
}

// A sign-in that relies on a device must open no session if the device is deleted at the same time.
func TestSignInsRaceTheEndOfTheirDevice(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		browser := r.signInAndRemember(t, a, laptop)
		got := runInParallel(12, func(i int) error {
			if i == 6 {
				return r.ChangePassword(t.Context(), a.who, password, "a rainbow over the bay", laptop)
			}
			_, err := r.Engine.Login(t.Context(), watchword.LoginRequest{
				Email: a.email, Password: password, Client: browser})
			return err
		})
		if got[""] < 1 || got[watchword.CodeSecondFactorRequired] > 0 {
			t.Errorf("%v", got)
		}
		// Only the session that made the change remains, because the change ended all earlier sessions.
		if n := r.countSessions(t, a); n != 1 {
			t.Errorf("%d sessions are alive", n)
		}
		if r.signInWithPasswordOnly(t, a.email, "a rainbow over the bay", browser) != nil {
			t.Error("the device has outlived the password")
		}
	}, enableRememberDevice)
}
