package factors_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// Hostile responses of browsers and authenticators. The numbers refer to the tests in the
// specification of second factors.

// signEditedResponse lets editData change the client data and the authenticator data. The device then signs
// them correctly.
func (d *device) signEditedResponse(
	t *testing.T, response []byte, editData func(client map[string]any, auth []byte),
) []byte {
	t.Helper()
	var whole map[string]any
	must(t, json.Unmarshal(response, &whole))
	inner := whole["response"].(map[string]any)
	text := base64.RawURLEncoding
	raw, err := text.DecodeString(inner["clientDataJSON"].(string))
	must(t, err)
	var client map[string]any
	must(t, json.Unmarshal(raw, &client))
	auth, err := text.DecodeString(inner["authenticatorData"].(string))
	must(t, err)
	editData(client, auth)
	raw, err = json.Marshal(client)
	must(t, err)
	sum := sha256.Sum256(raw)
	digest := sha256.Sum256(append(bytes.Clone(auth), sum[:]...))
	signature, err := d.key.Key.Sign(digest[:])
	must(t, err)
	inner["clientDataJSON"], inner["authenticatorData"] = text.EncodeToString(raw), text.EncodeToString(auth)
	inner["signature"] = text.EncodeToString(signature)
	edited, err := json.Marshal(whole)
	must(t, err)
	return edited
}

// onSQLite runs a test only on SQLite, for rules that do not depend on the store.
func onSQLite(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	t.Parallel()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "watchword.db"))
	must(t, err)
	test(t, newRig(t, store))
}

type attack struct {
	name  string
	setup func(d *device)
	edit  func(client map[string]any, auth []byte)
}

const flagsOffset = 32 // after the hash of the RP ID

// 22
func attacks() []attack {
	origin := func(o string) func(*device) { return func(d *device) { d.party.Origin = o } }
	client := func(name string, value any) func(map[string]any, []byte) {
		return func(c map[string]any, _ []byte) { c[name] = value }
	}
	return []attack{
		{"RP ID of a sibling", func(d *device) { d.party.ID = "app.example.com" }, nil},
		{"RP ID of the parent", func(d *device) { d.party.ID = "example.com" }, nil},
		{"origin with a suffix", origin("https://id.example.com.evil.test"), nil},
		{"origin of a sibling", origin("https://app.example.com"), nil},
		{"origin over http", origin("http://id.example.com"), nil},
		{"origin with a port", origin("https://id.example.com:8443"), nil},
		{"origin with a user name", origin("https://evil.test@id.example.com"), nil},
		{"origin with a path", origin("https://id.example.com/evil"), nil},
		{"origin in capitals", origin("https://ID.example.com"), nil},
		{"no origin", origin(""), nil},
		{"user not present", func(d *device) { d.authenticator.Options.UserNotPresent = true }, nil},
		{"cross-origin frame", nil, client("crossOrigin", true)},
		{"top origin", nil, client("topOrigin", "https://evil.test")},
		{"type of a creation", nil, client("type", "webauthn.create")},
		{"another challenge", nil, client("challenge", strings.Repeat("x", 68))},
		{"no challenge", nil, client("challenge", "")},
		{"backed up, but not eligible", nil, func(_ map[string]any, auth []byte) { auth[flagsOffset] |= 0x10 }},
		{"eligibility changed", nil, func(_ map[string]any, auth []byte) { auth[flagsOffset] |= 0x08 }},
		{"another key", func(d *device) { d.key.Key = newDevice().key.Key }, nil},
		{"another credential", func(d *device) { d.key.ID = []byte("another credential of 32 bytes !") }, nil},
		{"another user handle", func(d *device) { d.authenticator.Options.UserHandle = []byte("another user") }, nil},
	}
}

// MFA-4
func TestHostileAssertionsOpenNoSession(t *testing.T) {
	onSQLite(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		r.addPasskey(t, a, d)
		before := r.countSessions(t, a)
		alone := append(attacks(), attack{"user not verified",
			func(d *device) { d.authenticator.Options.UserNotVerified = true }, nil},
			attack{"no user handle", func(d *device) { d.authenticator.Options.UserHandle = nil }, nil})
		for _, attack := range alone {
			begun, err := r.PasskeyOptions(t.Context(), phone)
			must(t, err)
			_, err = r.PasskeyLogin(t.Context(), factors.PasskeyLoginRequest{
				Ceremony: begun.ID, Credential: attack.respond(t, *d, begun.Options), Client: phone})
			if watchword.CodeOf(err) != watchword.CodeInvalidCredentials {
				t.Errorf("alone, %s: got %v", attack.name, err)
			}
			r.advance(10 * time.Second) // keeps the client below its rate limit
		}
		var offer *watchword.ChallengeOffer
		for i, attack := range attacks() {
			if i%watchword.ChallengeAttempts == 0 {
				offer = r.challengeWithPasskey(t, a)
			}
			_, err := r.loginWithPasskey(t, offer.Handle, attack.respond(t, *d, offer.Passkey))
			if watchword.CodeOf(err) != watchword.CodeFactorWrong {
				t.Errorf("second factor, %s: got %v", attack.name, err)
			}
			r.advance(119 * time.Second) // keeps the account below its rate limit
		}
		if got := r.countSessions(t, a); got != before {
			t.Errorf("%d sessions, want %d", got, before)
		}
		_, err := r.loginWithPasskeyAlone(t, d)
		must(t, err)
	})
}

// respond changes a copy of the device, so the next attack begins with the original.
func (a attack) respond(t *testing.T, d device, options json.RawMessage) []byte {
	t.Helper()
	if a.setup != nil {
		a.setup(&d)
	}
	response := d.respondToRequest(t, options)
	if a.edit != nil {
		response = d.signEditedResponse(t, response, a.edit)
	}
	return response
}

// MFA-4
func TestHostileCreationsAddNoPasskey(t *testing.T) {
	onSQLite(t, func(t *testing.T, r *rig) {
		a := r.createAccount(t, "ada@example.com")
		for _, attack := range attacks() {
			switch attack.name {
			case "another key", "another credential", "another user handle": // new in each creation
				continue
			}
			if attack.edit != nil {
				continue
			}
			d := newDevice()
			attack.setup(d)
			begun, err := r.BeginPasskey(t.Context(), a.who, false)
			must(t, err)
			_, err = r.ConfirmPasskey(t.Context(), a.who,
				factors.NewPasskey{Ceremony: begun.ID, Credential: d.respondToCreation(t, begun.Options)}, laptop)
			if watchword.CodeOf(err) != watchword.CodeFactorWrong {
				t.Errorf("%s: got %v", attack.name, err)
			}
		}
		for _, text := range []string{"", "{}", "null", `{"id":"AA"}`, strings.Repeat("[", 20_000)} {
			begun, err := r.BeginPasskey(t.Context(), a.who, false)
			must(t, err)
			_, err = r.ConfirmPasskey(t.Context(), a.who,
				factors.NewPasskey{Ceremony: begun.ID, Credential: []byte(text)}, laptop)
			wantCode(t, err, watchword.CodeFactorWrong)
		}
		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if len(overview.Factors) != 0 {
			t.Errorf("%d factors", len(overview.Factors))
		}
	})
}

// MFA-4
func TestCeremonyWorksOnceAndForItsPurpose(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		r.addPasskey(t, a, d)
		before := r.countSessions(t, a)
		begun, err := r.PasskeyOptions(t.Context(), phone)
		must(t, err)
		request := factors.PasskeyLoginRequest{Ceremony: begun.ID,
			Credential: d.respondToRequest(t, begun.Options), Client: phone}
		got := runInParallel(20, func(i int) error {
			_, err := []*factors.Manager{r.Manager, r.otherProcess}[i%2].PasskeyLogin(t.Context(), request)
			return err
		})
		if got[""] != 1 || got[watchword.CodeChallengeInvalid] != 19 || r.countSessions(t, a) != before+1 {
			t.Errorf("in parallel: %v, %d sessions", got, r.countSessions(t, a)-before)
		}

		// Responses to a different ceremony are refused.
		offer := r.challengeWithPasskey(t, a)
		stepUp, err := r.StepUpOptions(t.Context(), a.who)
		must(t, err)
		create, err := r.BeginPasskey(t.Context(), a.who, false)
		must(t, err)
		alone, err := r.PasskeyOptions(t.Context(), laptop)
		must(t, err)
		type responses map[string]json.RawMessage
		for name, options := range (responses{"second factor": offer.Passkey, "step-up": stepUp.Options}) {
			_, err = r.PasskeyLogin(t.Context(), factors.PasskeyLoginRequest{
				Ceremony: alone.ID, Credential: d.respondToRequest(t, options), Client: laptop})
			if watchword.CodeOf(err) != watchword.CodeInvalidCredentials {
				t.Errorf("%s alone: %v", name, err)
			}
		}
		for name, options := range (responses{"alone": alone.Options, "step-up": stepUp.Options}) {
			_, err = r.loginWithPasskey(t, offer.Handle, d.respondToRequest(t, options))
			if watchword.CodeOf(err) != watchword.CodeFactorWrong {
				t.Errorf("%s as second factor: %v", name, err)
			}
		}
		for name, options := range (responses{"alone": alone.Options, "second factor": offer.Passkey}) {
			_, _, err = r.StepUp(t.Context(), a.who,
				factors.StepUpRequest{Proof: factors.Proof{Passkey: d.respondToRequest(t, options)}, Client: laptop})
			if watchword.CodeOf(err) != watchword.CodeChallengeInvalid {
				t.Errorf("%s for a step-up: %v", name, err)
			}
		}
		for _, forged := range []watchword.Secret{"", "AAAA", create.ID, offer.Handle, begun.ID[:len(begun.ID)-2]} {
			_, err = r.PasskeyLogin(t.Context(), factors.PasskeyLoginRequest{
				Ceremony: forged, Credential: d.respondToRequest(t, alone.Options), Client: laptop})
			wantCode(t, err, watchword.CodeChallengeInvalid)
		}
		r.advance(5 * time.Minute)
		_, err = r.PasskeyLogin(t.Context(), factors.PasskeyLoginRequest{
			Ceremony: alone.ID, Credential: d.respondToRequest(t, alone.Options), Client: laptop})
		wantCode(t, err, watchword.CodeChallengeInvalid)
	})
}

// MFA-6
func TestCounterOfAPasskeyGrows(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		d.key.Counter = 7
		r.addPasskey(t, a, d)
		for _, c := range []struct {
			count uint32
			want  watchword.Code
		}{
			{7, watchword.CodeInvalidCredentials}, {0, watchword.CodeInvalidCredentials}, {9, ""},
			{8, watchword.CodeInvalidCredentials}, {9, watchword.CodeInvalidCredentials}, {10, ""},
		} {
			d.key.Counter = c.count
			_, err := r.loginWithPasskeyAlone(t, d)
			if err == nil && c.want != "" || err != nil && watchword.CodeOf(err) != c.want {
				t.Errorf("%d: got %v, want %q", c.count, err, c.want)
			} else if errors.Is(err, factors.ErrPasskeyUnknown) {
				t.Errorf("%d: a browser would forget a passkey that exists", c.count)
			}
		}
		offer := r.challengeWithPasskey(t, a)
		_, err := r.loginWithPasskey(t, offer.Handle, d.respondToRequest(t, offer.Passkey))
		wantCode(t, err, watchword.CodeFactorWrong)
		d.key.Counter = 11
		_, err = r.loginWithPasskey(t, offer.Handle, d.respondToRequest(t, offer.Passkey))
		must(t, err)
		must(t, r.store.View(t.Context(), func(tx watchword.Tx) error {
			events, err := tx.Events(t.Context(), a.who.User.ID, 100)
			cloned := 0
			for _, event := range events {
				if event.Kind == watchword.EventLoginFailed && event.Detail == "PASSKEY_COUNTER" {
					cloned += max(event.Times, 1)
				}
			}
			if cloned != 5 {
				t.Errorf("%d events of a copied passkey: %+v", cloned, events)
			}
			return err
		}))
	})
}

// MFA-5
func TestPasskeyOfAnotherAccountOpensNoSession(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		victim, own := r.createAccount(t, "ada@example.com"), newDevice()
		r.addPasskey(t, victim, own)
		attacker, theirs := r.createAccount(t, "eve@example.com"), newDevice()
		r.addPasskey(t, attacker, theirs)
		stolen := *theirs
		stolen.authenticator.Options.UserHandle = own.authenticator.Options.UserHandle
		_, err := r.loginWithPasskeyAlone(t, &stolen)
		wantCode(t, err, watchword.CodeInvalidCredentials)
		stolen.key.ID = own.key.ID
		_, err = r.loginWithPasskeyAlone(t, &stolen)
		wantCode(t, err, watchword.CodeInvalidCredentials)
		offer := r.challengeWithPasskey(t, victim)
		_, err = r.loginWithPasskey(t, offer.Handle, theirs.respondToRequest(t, offer.Passkey))
		wantCode(t, err, watchword.CodeFactorWrong)

		// The server must refuse to add the credential id of the victim to another account.
		copied := *theirs
		copied.key.ID = own.key.ID
		begun, err := r.BeginPasskey(t.Context(), attacker.who, false)
		must(t, err)
		_, err = r.ConfirmPasskey(t.Context(), attacker.who,
			factors.NewPasskey{Ceremony: begun.ID, Credential: copied.respondToCreation(t, begun.Options)}, phone)
		wantCode(t, err, watchword.CodeFactorWrong)
		in, err := r.loginWithPasskeyAlone(t, own)
		must(t, err)
		if in.User.ID != victim.who.User.ID {
			t.Errorf("signed in %s", in.User.ID)
		}
		// A ceremony that another session began must add no passkey.
		begun, err = r.BeginPasskey(t.Context(), attacker.who, false)
		must(t, err)
		_, err = r.ConfirmPasskey(t.Context(), victim.who,
			factors.NewPasskey{Ceremony: begun.ID, Credential: newDevice().respondToCreation(t, begun.Options)}, phone)
		wantCode(t, err, watchword.CodeChallengeInvalid)
	})
}
