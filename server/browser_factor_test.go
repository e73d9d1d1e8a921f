package server_test

import (
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/server"
)

// These tests use the pages of second factors in a browser. The test computes the codes, as the user's phone does.

// A phone has the secret of an account. Each code works only one time, so nextCode moves the clock of the service to
// the next time step.
type phone struct {
	t          *testing.T
	secret     []byte
	clockAhead *atomic.Int64
}

func (p *phone) nextCode() string {
	p.t.Helper()
	p.clockAhead.Add(int64(totp.Period))
	code, err := totp.Code(p.secret, totp.Step(p.now()))
	must(p.t, err)
	return code
}

func (p *phone) now() time.Time { return time.Now().Add(time.Duration(p.clockAhead.Load())) }

// startWithPhone starts a service with second factors. The service and the phone use the same clock.
func startWithPhone(
	t *testing.T, changeEngine func(*watchword.Options), changeServer func(*server.Options),
) (*service, *phone) {
	t.Helper()
	p := &phone{t: t, clockAhead: &atomic.Int64{}}
	s := start(t, func(o *watchword.Options) {
		o.Now = p.now
		if changeEngine != nil {
			changeEngine(o)
		}
	}, changeServer)
	s.url = s.engine.PublicURL() // changeEngine may have changed the host name
	opts := server.Options{PublicURL: s.url, Factors: factors.New(s.engine, s.store.Factors(), factors.Options{})}
	if changeServer != nil {
		changeServer(&opts)
	}
	var err error
	s.server, err = server.New(s.engine, opts) // replaces the server before its first request
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	return s, p
}

func TestSignInWithACodeOnThePages(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startWithPhone(t, nil, nil)
		var codes []string
		_, phone.secret, codes = s.signUpWithApp(t, s.newBrowser(t))
		b := tabOf(s)
		back := s.url + "/account?return_to=" + s.url + "/docs"
		b.visit("/login?return_to=" + back)
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Sign in")
		b.wantText("Two-step sign-in", "Enter the six digits")
		if cookies := b.cookiesByName(); cookies["watchword"] != nil || cookies["watchword-page"] != nil ||
			cookies["watchword-step"] == nil || !cookies["watchword-step"].HTTPOnly {
			t.Errorf("after the password, the cookies are %v", cookies)
		}
		b.awaitFocus("factor-totp")
		got := evaluate[[]string](b, `() => { const f = document.getElementById("factor-totp");
      return [f.autocomplete, f.inputMode, f.type] }`)
		if got[0] != "one-time-code" || got[1] != "numeric" || got[2] != "text" {
			t.Errorf("the field is %v", got)
		}
		b.fillField("Code", "12 34x")
		b.pressAndLeave("Sign in")
		b.wantText("This code is wrong or was already used. Enter the next one that the app shows.")
		if f := b.fieldStateOf("factor-totp"); !f.Invalid || f.Value != "" || !f.Focus {
			t.Errorf("after a wrong code the field is %+v", f)
		}
		code := phone.nextCode()
		b.fillField("Code", code)
		b.pressAndLeave("Sign in")
		b.wantText("Your account", "Signed in as ada@example.com")
		if at := b.currentAddress(); at != "/account?return_to="+s.url+"/docs" {
			t.Errorf("the sign-in leads to %s", at)
		}
		cookies := b.cookiesByName()
		if cookies["watchword-step"] != nil || cookies["watchword"] == nil || cookies["watchword"].Session {
			t.Errorf("after the code, the cookies are %v", cookies)
		}

		// A used code must not work again, but a recovery code must work. If the box "stay signed in" is not checked,
		// the session must end with the browser.
		b.pressAndLeave("Sign out")
		b.visit("/login")
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		must(t, b.clickAction("", "field", "Keep me signed in")(b.ctx))
		b.pressAndLeave("Sign in")
		b.fillField("Code", code)
		b.pressAndLeave("Sign in")
		b.wantText("was already used")
		b.pressAndLeave("Use a recovery code")
		b.wantText("Each code works once", "Contact the people who run this service")
		b.fillField("Recovery code", "wrong")
		b.pressAndLeave("Sign in")
		b.wantText("This code is wrong or was already used.", "Recovery code")
		b.fillField("Recovery code", codes[0])
		b.pressAndLeave("Sign in")
		b.wantText("Signed in as ada@example.com", "Recovery code used")
		if c := b.cookiesByName()["watchword"]; !c.Session {
			t.Errorf("the cookie without the check mark is %+v", c)
		}
	})
}

func TestSecondStepThatTookTooLongLeadsBackToTheSignIn(t *testing.T) {
	t.Parallel()
	s, phone := startWithPhone(t, nil, nil)
	_, phone.secret, _ = s.signUpWithApp(t, s.newBrowser(t))
	const sentence = "Sign in again. The second step took too long or was already used."
	b := s.openTab(t)
	b.visit("/login/factor?return_to=" + s.url + "/docs")
	b.wantText(sentence, "Password")
	if at := b.currentAddress(); at != "/login?return_to="+url.QueryEscape(s.url+"/docs")+"&why=step" {
		t.Errorf("the address is %s", at)
	}
	b.signIn("ada@example.com", goodPassword)
	phone.clockAhead.Add(int64(watchword.ChallengeLife))
	b.fillField("Code", phone.nextCode())
	b.pressAndLeave("Sign in")
	b.wantText(sentence)
	if c := b.cookiesByName()["watchword-step"]; c != nil {
		t.Errorf("the cookie is still there: %+v", c)
	}
	// The server checks five codes per challenge. The fifth wrong code must end the challenge.
	b.signIn("ada@example.com", goodPassword)
	for range watchword.ChallengeAttempts {
		b.fillField("Code", "12345")
		b.pressAndLeave("Sign in")
		b.wantText("This code is wrong")
	}
	b.fillField("Code", phone.nextCode())
	b.pressAndLeave("Sign in")
	b.wantText(sentence)
	sendDevTools(b, network.ClearBrowserCookies, struct{}{})
	b.signIn("ada@example.com", goodPassword)
	b.fillField("Code", phone.nextCode())
	b.pressAndLeave("Sign in")
	b.wantText("Signed in as ada@example.com")
}

// readSecretFrom reads the text on the page, as a person who types it into an app does.
func (p *phone) readSecretFrom(b *tab) {
	p.t.Helper()
	key := evaluate[string](b, `() => document.querySelector(".qr ~ .hint code").innerText`)
	p.secret = decodeSecret(p.t, strings.ReplaceAll(key, " ", ""))
}

// factorPageStates returns the states of the pages of second factors, in the order of a visit. Before the first
// state, the user must be signed in without a factor. After the last state, the browser shows the second step of a
// sign-in.
func factorPageStates(p *phone) []pageState {
	return []pageState{
		{"step-up-password", openPath("/step-up")},
		{"authenticator", func(b *tab) {
			b.fillField("Current password", goodPassword)
			b.pressAndLeave("Continue")
			b.pressAndLeave("Add an authenticator app")
			p.readSecretFrom(b)
		}},
		{"authenticator-refused", func(b *tab) {
			b.fillField("Code", "12345")
			b.pressAndLeave("Add the app")
		}},
		{"codes", func(b *tab) {
			b.fillField("Code", p.nextCode())
			b.pressAndLeave("Add the app")
		}},
		{"account-two-step", func(b *tab) {
			b.pressAndLeave("I have saved the codes")
			b.pressAndStay("Two-step sign-in", "Rename Authenticator app")
		}},
		{"account-two-step-refused", func(b *tab) {
			b.disableValidation()
			b.fillFieldIn("Two-step sign-in", "Name", "")
			b.pressAndLeave("Save")
		}},
		{"remove", func(b *tab) {
			b.visit("/account")
			b.pressAndLeave("Remove Authenticator app")
		}},
		{"recovery-new", openPath("/account/recovery-codes")},
		{"step-up-code", openPath("/step-up")},
		{"factor", func(b *tab) {
			sendDevTools(b, network.ClearBrowserCookies, struct{}{})
			b.signIn("ada@example.com", goodPassword)
		}},
		{"factor-refused", func(b *tab) {
			b.fillField("Code", "12345")
			b.pressAndLeave("Sign in")
		}},
		{"factor-recovery", func(b *tab) { b.pressAndLeave("Use a recovery code") }},
	}
}

// germanFactorPageStates returns states of the German pages, which have the longest texts. The user must have the
// factor that factorPageStates adds.
func germanFactorPageStates(p *phone) []pageState {
	return []pageState{
		{"account-two-step", func(b *tab) {
			b.visit("/login")
			b.fillField("E-Mail-Adresse", "ada@example.com")
			b.fillField("Passwort", goodPassword)
			b.pressAndLeave("Anmelden")
			b.fillField("Code", p.nextCode())
			b.pressAndLeave("Anmelden")
		}},
		{"authenticator", openPath("/account/authenticator")},
		{"codes", func(b *tab) {
			b.visit("/account/recovery-codes")
			b.pressAndLeave("Neue Codes erstellen")
		}},
	}
}
