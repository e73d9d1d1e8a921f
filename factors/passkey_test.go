package factors_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

const publicOrigin = "https://id.example.com"

// A device is a virtual authenticator with one passkey, and the browser that uses it.
type device struct {
	party         virtualwebauthn.RelyingParty
	authenticator virtualwebauthn.Authenticator
	key           virtualwebauthn.Credential
}

// newEncodableKey returns a P-256 passkey whose coordinates have no leading zeros. The virtual authenticator drops
// leading zeros, which makes the encoding of about one key in a hundred invalid.
func newEncodableKey() virtualwebauthn.Credential {
	for {
		key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		if len(key.Key.AttestationData()) == 77 {
			return key
		}
	}
}

func newDevice() *device {
	return &device{
		party:         virtualwebauthn.RelyingParty{ID: "id.example.com", Name: "id.example.com", Origin: publicOrigin},
		authenticator: virtualwebauthn.NewAuthenticator(),
		key:           newEncodableKey(),
	}
}

func (d *device) respondToCreation(t *testing.T, options json.RawMessage) []byte {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(options))
	must(t, err)
	d.authenticator.Options.UserHandle = []byte(parsed.UserID)
	return []byte(virtualwebauthn.CreateAttestationResponse(d.party, d.authenticator, d.key, *parsed))
}

func (d *device) respondToRequest(t *testing.T, options json.RawMessage) []byte {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(options))
	must(t, err)
	return []byte(virtualwebauthn.CreateAssertionResponse(d.party, d.authenticator, d.key, *parsed))
}

func (r *rig) addPasskey(t *testing.T, a *account, d *device) factors.Confirmation {
	t.Helper()
	begun, err := r.BeginPasskey(t.Context(), a.who, false)
	must(t, err)
	done, err := r.ConfirmPasskey(t.Context(), a.who,
		factors.NewPasskey{Ceremony: begun.ID, Credential: d.respondToCreation(t, begun.Options)}, laptop)
	must(t, err)
	a.factor = done.Factor()
	if len(done.Codes) > 0 {
		a.codes = done.Codes
	}
	a.who = r.identity(t, a.in)
	return done
}

// challengeWithPasskey sends the password. The challenge has the options of the passkey ceremony.
func (r *rig) challengeWithPasskey(t *testing.T, a *account) *watchword.ChallengeOffer {
	t.Helper()
	in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{Email: a.email, Password: password, Client: phone})
	wantChallenge(t, in, err)
	var refusal *watchword.Error
	if err := r.Offer(t.Context(), err); !errors.As(err, &refusal) || refusal.Challenge == nil {
		t.Fatalf("got %v", err)
	}
	return refusal.Challenge
}

func (r *rig) loginWithPasskey(t *testing.T, handle watchword.Secret, response []byte) (*watchword.SignIn, error) {
	t.Helper()
	return r.Manager.Login(t.Context(), factors.LoginRequest{
		Handle: handle, Proof: factors.Proof{Passkey: response}, Client: phone})
}

func (r *rig) loginWithPasskeyAlone(t *testing.T, d *device) (*watchword.SignIn, error) {
	t.Helper()
	begun, err := r.PasskeyOptions(t.Context(), phone)
	must(t, err)
	return r.PasskeyLogin(t.Context(), factors.PasskeyLoginRequest{
		Ceremony: begun.ID, Credential: d.respondToRequest(t, begun.Options), Client: phone})
}

func wantMethods(t *testing.T, in *watchword.SignIn, want ...string) {
	t.Helper()
	if !slices.Equal(in.Session.Methods, want) {
		t.Errorf("methods %q, want %q", in.Session.Methods, want)
	}
}

func TestPasskeyCompletesASignIn(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		other, err := r.Engine.Login(t.Context(),
			watchword.LoginRequest{Email: a.email, Password: password, Client: phone})
		must(t, err)
		done := r.addPasskey(t, a, d)
		if len(done.Codes) != 10 || done.Factor().Kind != factors.KindPasskey || done.Factor().Name != "Passkey" {
			t.Errorf("got %+v", done)
		}
		if got := a.who.Session.Methods; !slices.Equal(got, []string{"pwd", "hwk", "uv", "mfa"}) {
			t.Errorf("methods after the enrolment: %q", got)
		}
		_, err = r.Authenticate(t.Context(), other.AccessToken)
		wantCode(t, err, watchword.CodeSessionEnded)

		offer := r.challengeWithPasskey(t, a)
		if !slices.Equal(offer.Methods, []string{"passkey", "recovery"}) {
			t.Errorf("methods %q", offer.Methods)
		}
		d.key.Counter++
		in, err := r.loginWithPasskey(t, offer.Handle, d.respondToRequest(t, offer.Passkey))
		must(t, err)
		wantMethods(t, in, "pwd", "hwk", "uv", "mfa")
		r.identity(t, in)

		// A recovery code must work in place of the passkey.
		_, err = r.loginWithRecoveryCode(r.challengeWithPasskey(t, a).Handle, a.codes[0])
		must(t, err)
	})
}

func TestPasskeySignsInAlone(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		d.authenticator.Options.BackupEligible, d.authenticator.Options.BackupState = true, true
		r.addPasskey(t, a, d)
		in, err := r.loginWithPasskeyAlone(t, d)
		must(t, err)
		wantMethods(t, in, "swk", "uv", "mfa")
		if in.User.ID != a.who.User.ID || !a.factor.BackedUp() {
			t.Errorf("signed in %s, backed up %v", in.User.ID, a.factor.BackedUp())
		}
		r.identity(t, in)
		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if got := overview.Factors[0].LastUsedAt; !got.Equal(r.clock()) {
			t.Errorf("last used at %v", got)
		}
		r.advance(time.Minute)
	})
}
