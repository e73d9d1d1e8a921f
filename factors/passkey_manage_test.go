package factors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/amr"
)

func (r *rig) addPasskeyWithoutDialog(t *testing.T, a *account, d *device) factors.Confirmation {
	t.Helper()
	begun, err := r.BeginPasskey(t.Context(), a.who, true)
	must(t, err)
	if begun.Mediation != "conditional" {
		t.Errorf("mediation %q", begun.Mediation)
	}
	d.authenticator.Options.UserNotPresent, d.authenticator.Options.UserNotVerified = true, true
	done, err := r.ConfirmPasskey(t.Context(), a.who,
		factors.NewPasskey{Ceremony: begun.ID, Credential: d.respondToCreation(t, begun.Options)}, laptop)
	must(t, err)
	d.authenticator.Options.UserNotPresent = false
	a.who = r.identity(t, a.in)
	return done
}

func TestUpgradedPasskeyIsAskedForAfterItsFirstVerifiedUse(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		done := r.addPasskeyWithoutDialog(t, a, d)
		if !done.Factor().Unproven || len(done.Codes) != 0 || a.who.User.Factors != 0 {
			t.Errorf("%+v, %d factors", done, a.who.User.Factors)
		}
		if got := a.who.Session.Methods; !slices.Equal(got, []string{"pwd"}) {
			t.Errorf("methods after the upgrade: %q", got)
		}
		login := watchword.LoginRequest{Email: a.email, Password: password, Client: phone}
		_, err := r.Engine.Login(t.Context(), login)
		must(t, err)
		_, err = r.loginWithPasskeyAlone(t, d) // the authenticator did not verify the user
		wantCode(t, err, watchword.CodeInvalidCredentials)
		_, err = r.Engine.Login(t.Context(), login)
		must(t, err)
		d.authenticator.Options.UserNotVerified = false
		in, err := r.loginWithPasskeyAlone(t, d)
		must(t, err)
		wantMethods(t, in, "hwk", "uv", "mfa")
		offer := r.challengeWithPasskey(t, a)
		_, err = r.loginWithPasskey(t, offer.Handle, d.respondToRequest(t, offer.Passkey))
		must(t, err)
	})
}

// The first verified use of a passkey from an automatic upgrade turns it into the first factor. The response to this
// sign-in can't contain recovery codes, so the next factor that the user adds creates them.
//
// MFA-3
func TestFirstUseOfAnUpgradedPasskeyTurnsTwoStepSignInOn(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		for _, use := range []string{"sign-in", "step-up"} {
			a, d := r.createAccount(t, use+"@example.com"), newDevice()
			r.addPasskeyWithoutDialog(t, a, d)
			other, err := r.Engine.Login(t.Context(), watchword.LoginRequest{
				Email: a.email, Password: password, Client: phone})
			must(t, err)
			d.authenticator.Options.UserNotVerified = false
			if use == "sign-in" {
				a.in, err = r.loginWithPasskeyAlone(t, d)
				must(t, err)
			} else {
				begun, err := r.StepUpOptions(t.Context(), a.who)
				must(t, err)
				_, _, err = r.StepUp(t.Context(), a.who,
					factors.StepUpRequest{Client: laptop,
						Proof: factors.Proof{Passkey: d.respondToRequest(t, begun.Options)}})
				must(t, err)
			}
			_, err = r.Refresh(t.Context(), other.RefreshToken, phone)
			wantCode(t, err, watchword.CodeSessionEnded)
			r.awaitMail(t, watchword.MailTwoStepOn)
			events, err := r.Operator().UserEvents(t.Context(), a.who.User.ID, 100)
			must(t, err)
			if !slices.ContainsFunc(events, func(e watchword.Event) bool {
				return e.Kind == watchword.EventFactorAdded && e.Detail == "passkey, first use"
			}) {
				t.Errorf("%s: no event says that the passkey is a factor now", use)
			}
			a.who = r.identity(t, a.in)
			if r.addTOTP(t, a); len(a.codes) != 10 {
				t.Errorf("%s: %d recovery codes with the next factor", use, len(a.codes))
			}
			if next := r.addPasskey(t, a, newDevice()); len(next.Codes) != 0 {
				t.Errorf("%s: %d more codes", use, len(next.Codes))
			}
		}
	})
}

// An operator changes the address of an account to that of another person. When this person signs in, the server must
// not ask for the passkey of the person who had the account before.
func TestUpgradedPasskeyOfAnUnprovenAddressBecomesNoFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		r.addPasskeyWithoutDialog(t, a, d)
		other, err := r.Engine.Login(t.Context(), watchword.LoginRequest{
			Email: a.email, Password: password, Client: phone})
		must(t, err)
		d.authenticator.Options.UserNotVerified = false
		must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, "olive@example.com"))
		a.in, err = r.loginWithPasskeyAlone(t, d)
		must(t, err)
		a.who = r.identity(t, a.in)
		begun, err := r.StepUpOptions(t.Context(), a.who)
		must(t, err)
		_, _, err = r.StepUp(t.Context(), a.who,
			factors.StepUpRequest{Client: laptop,
				Proof: factors.Proof{Passkey: d.respondToRequest(t, begun.Options)}})
		must(t, err)
		list, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if n := r.identity(t, a.in).User.Factors; n != 0 || !list.Factors[0].Unproven {
			t.Errorf("%d factors: %+v", n, list.Factors)
		}
		_, err = r.Refresh(t.Context(), other.RefreshToken, phone)
		must(t, err) // the new passkey is no factor yet, so the other sessions stay

		must(t, r.Operator().MarkVerified(t.Context(), a.who.User.ID))
		a.in, err = r.loginWithPasskeyAlone(t, d)
		must(t, err)
		if n := r.identity(t, a.in).User.Factors; n != 1 {
			t.Errorf("%d factors after the proof", n)
		}
	})
}

// MFA-5
func TestUnverifiedPasskeyIsOnlyASecondFactor(t *testing.T) {
	onSQLite(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		d.authenticator.Options.UserNotVerified = true
		r.addPasskey(t, a, d)
		if got := amr.Level(a.who.Session.Methods); got != amr.LevelTwo {
			t.Errorf("level %s of %q", got, a.who.Session.Methods)
		}
		offer := r.challengeWithPasskey(t, a)
		in, err := r.loginWithPasskey(t, offer.Handle, d.respondToRequest(t, offer.Passkey))
		must(t, err)
		wantMethods(t, in, "pwd", "hwk", "mfa")

		// A thief sets a PIN on the security key. The passkey must not sign in without the password yet.
		d.authenticator.Options.UserNotVerified = false
		_, err = r.loginWithPasskeyAlone(t, d)
		wantCode(t, err, watchword.CodeInvalidCredentials)
		// The owner first signs in with the password, and enters the PIN at the security key.
		offer = r.challengeWithPasskey(t, a)
		_, err = r.loginWithPasskey(t, offer.Handle, d.respondToRequest(t, offer.Passkey))
		must(t, err)
		in, err = r.loginWithPasskeyAlone(t, d)
		must(t, err)
		if got := amr.Level(in.Session.Methods); got != amr.LevelPasskey {
			t.Errorf("level %s", got)
		}
	})
}

func TestPasskeyStepsUp(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		r.addPasskey(t, a, d)
		r.advance(time.Hour)
		wantStepUp(t, r.Remove(t.Context(), a.who, a.factor.ID, laptop), amr.LevelTwo)
		begun, err := r.StepUpOptions(t.Context(), a.who)
		must(t, err)
		proof := factors.StepUpRequest{Client: laptop,
			Proof: factors.Proof{Passkey: d.respondToRequest(t, begun.Options)}}
		got := runInParallel(6, func(i int) error {
			_, _, err := []*factors.Manager{r.Manager, r.otherProcess}[i%2].StepUp(t.Context(), a.who, proof)
			return err
		})
		if got[""] != 1 || got[watchword.CodeChallengeInvalid] != 5 {
			t.Errorf("in parallel: %v", got)
		}
		// A ceremony that one session began works in that session only.
		in, err := r.loginWithPasskeyAlone(t, d)
		must(t, err)
		begun, err = r.StepUpOptions(t.Context(), a.who)
		must(t, err)
		proof.Passkey = d.respondToRequest(t, begun.Options)
		_, _, err = r.StepUp(t.Context(), r.identity(t, in), proof)
		wantCode(t, err, watchword.CodeChallengeInvalid)
		// If a passkey alone opened the session, a step-up needs a passkey that verifies the
		// user.
		d.authenticator.Options.UserNotVerified = true
		begun, err = r.StepUpOptions(t.Context(), r.identity(t, in))
		must(t, err)
		proof.Passkey = d.respondToRequest(t, begun.Options)
		_, _, err = r.StepUp(t.Context(), r.identity(t, in), proof)
		wantCode(t, err, watchword.CodeFactorWrong)
		must(t, r.Remove(t.Context(), a.who, a.factor.ID, laptop))
	})
}

func TestPasskeyIsNamedAfterItsDevice(t *testing.T) {
	onSQLite(t, func(t *testing.T, r *rig) {
		a := r.createAccount(t, "ada@example.com")
		for _, c := range []struct{ transports, device, want string }{
			{`["internal"]`, "Chrome on Windows", "Chrome on Windows"},
			{`["hybrid","internal"]`, "Safari on iPhone", "Safari on iPhone"},
			{`["internal"]`, "", "Passkey"},
			{`["internal"]`, "Unknown device", "Passkey"},
			{`["usb","nfc"]`, "Chrome on Windows", "Passkey"}, // a security key works on several devices
		} {
			d, client := newDevice(), laptop
			client.Device = c.device
			begun, err := r.BeginPasskey(t.Context(), a.who, false)
			must(t, err)
			response := strings.Replace(string(d.respondToCreation(t, begun.Options)), `"attestationObject"`,
				`"transports":`+c.transports+`,"attestationObject"`, 1)
			done, err := r.ConfirmPasskey(t.Context(), a.who,
				factors.NewPasskey{Ceremony: begun.ID, Credential: []byte(response)}, client)
			must(t, err)
			if done.Factor().Name != c.want {
				t.Errorf("%s, %q: the name is %q, want %q", c.transports, c.device, done.Factor().Name, c.want)
			}
		}
	})
}

func TestPasskeysAreNamedLimitedAndRemoved(t *testing.T) {
	onSQLite(t, func(t *testing.T, r *rig) {
		a, d := r.createAccountWithTOTP(t), newDevice()
		d.authenticator.Aaguid = uuid.MustParse("d548826e-79b4-db40-a3d8-11116f7e8349")
		totp := a.factor
		done := r.addPasskey(t, a, d)
		if done.Factor().Name != "Bitwarden" || len(done.Codes) != 0 {
			t.Errorf("%+v", done)
		}
		begun, err := r.BeginPasskey(t.Context(), a.who, false)
		must(t, err)
		if !strings.Contains(string(begun.Options), `"id":"`+done.Factor().CredentialID+`"`) {
			t.Errorf("the passkey is not excluded: %s", begun.Options)
		}
		_, err = r.ConfirmPasskey(t.Context(), a.who, factors.NewPasskey{
			Ceremony: begun.ID, Credential: d.respondToCreation(t, begun.Options),
			Name: strings.Repeat("x", 101)}, laptop)
		wantCode(t, err, watchword.CodeValidationFailed)
		must(t, r.Rename(t.Context(), a.who, done.Factor().ID, "laptop"))
		for range factors.MaxPasskeys - 1 {
			r.addPasskey(t, a, newDevice())
		}
		_, err = r.BeginPasskey(t.Context(), a.who, false)
		wantCode(t, err, watchword.CodeFactorLimit)

		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		signal := r.Signal(a.who.User.ID, overview.Factors)
		if overview.Factors[1].Name != "laptop" || len(signal.Credentials) != factors.MaxPasskeys ||
			signal.RPID != "id.example.com" || strings.Contains(signal.UserHandle, string(a.who.User.ID)) {
			t.Errorf("%+v, %+v", overview.Factors[1], signal)
		}
		// The recovery codes must stay while the account has a factor that sign-ins ask for.
		a.who = r.removeFactors(t, a, overview.Factors[1:])
		overview, err = r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if len(overview.Factors) != 1 || overview.Codes.Left != 10 {
			t.Errorf("%+v", overview)
		}
		upgraded := r.addPasskeyWithoutDialog(t, a, newDevice())
		a.who = r.removeFactors(t, a, []factors.Factor{upgraded.Factor()})
		if overview, err = r.List(t.Context(), a.who.User.ID); err != nil || overview.Codes.Left != 10 {
			t.Errorf("after an unproven passkey: %+v, %v", overview, err)
		}
		a.who = r.removeFactors(t, a, []factors.Factor{totp})
		if overview, err = r.List(t.Context(), a.who.User.ID); err != nil || overview.Codes.Left != 0 {
			t.Errorf("after the last factor: %+v, %v", overview, err)
		}
	})
}

// removeFactors removes the factors one after the other. After each removal it refreshes the session, because a
// removal makes the access token invalid.
func (r *rig) removeFactors(t *testing.T, a *account, all []factors.Factor) watchword.Identity {
	t.Helper()
	for _, f := range all {
		must(t, r.Remove(t.Context(), a.who, f.ID, laptop))
		r.advance(time.Second)
		in, err := r.Refresh(t.Context(), a.in.RefreshToken, laptop)
		must(t, err)
		a.in, a.who = in, r.identity(t, in)
	}
	return a.who
}

// 11, 12
func TestPasskeyOpensNoSessionOfADisabledAccount(t *testing.T) {
	onSQLite(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		r.addPasskey(t, a, d)
		must(t, r.Operator().DisableUser(t.Context(), a.who.User.ID))
		_, err := r.loginWithPasskeyAlone(t, d)
		wantCode(t, err, watchword.CodeAccountDisabled)
		must(t, r.Operator().EnableUser(t.Context(), a.who.User.ID))
		_, err = r.loginWithPasskeyAlone(t, d)
		must(t, err)
		must(t, r.Manager.Reset(t.Context(), "", a.who.User.ID))
		_, err = r.loginWithPasskeyAlone(t, d)
		wantCode(t, err, watchword.CodeInvalidCredentials)
		if !errors.Is(err, factors.ErrPasskeyUnknown) {
			t.Errorf("a removed passkey: %v, want ErrPasskeyUnknown, so that the browser forgets it", err)
		}
	})
}

// 25
func TestPasswordlessOptionsRevealNoAccount(t *testing.T) {
	onSQLite(t, func(t *testing.T, r *rig) {
		shape := func() string {
			begun, err := r.PasskeyOptions(t.Context(), phone)
			must(t, err)
			var options map[string]any
			must(t, json.Unmarshal(begun.Options, &options))
			delete(options, "challenge")
			return fmt.Sprint(len(begun.ID), slices.Sorted(maps.Keys(options)), options)
		}
		before := shape()
		a := r.createAccount(t, "ada@example.com")
		r.addPasskey(t, a, newDevice())
		if after := shape(); after != before {
			t.Errorf("got %s, before %s", after, before)
		}
		for range 58 {
			shape()
		}
		_, err := r.PasskeyOptions(t.Context(), phone)
		wantCode(t, err, watchword.CodeRateLimited)
		_, err = r.PasskeyOptions(t.Context(), laptop)
		must(t, err)
	})
}

func TestPasskeysNeedTheDomainOfThePublicURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rpID, url string
		ok        bool
	}{
		{"id.example.com", "https://id.example.com", true}, {"example.com", "https://id.example.com:8443", true},
		{"localhost", "http://localhost:8080", true}, {"other.example", "https://id.example.com", false},
		{"app.id.example.com", "https://id.example.com", false}, {"127.0.0.1", "http://127.0.0.1:8080", false},
		{"ample.com", "https://id.example.com", false},
	} {
		if err := factors.CheckRPID(c.rpID, c.url); (err == nil) != c.ok {
			t.Errorf("%s at %s: %v", c.rpID, c.url, err)
		}
	}
}
