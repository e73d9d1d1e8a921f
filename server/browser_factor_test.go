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

// A phone has the secret of an account. Each code works only one time. Before the phone shows a code, it therefore
// moves the clock of the service to the next time step.
type phone struct {
	t       *testing.T
	secret  []byte
	forward *atomic.Int64 // how far the clock of the service is ahead
}

func (p *phone) code() string {
	p.t.Helper()
	p.forward.Add(int64(totp.Period))
	code, err := totp.Code(p.secret, totp.Step(p.now()))
	must(p.t, err)
	return code
}

func (p *phone) now() time.Time { return time.Now().Add(time.Duration(p.forward.Load())) }

// startFactors starts a service with second factors, and returns a phone for its clock.
func startFactors(t *testing.T, engine func(*watchword.Options), edge func(*server.Options)) (*service, *phone) {
	t.Helper()
	p := &phone{t: t, forward: &atomic.Int64{}}
	s := start(t, func(o *watchword.Options) {
		o.Now = p.now
		if engine != nil {
			engine(o)
		}
	}, edge)
	s.url = s.engine.PublicURL() // the function engine may have changed the host name
	opts := server.Options{PublicURL: s.url, Factors: factors.New(s.engine, s.store.Factors(), factors.Options{})}
	if edge != nil {
		edge(&opts)
	}
	var err error
	s.server, err = server.New(s.engine, opts) // replaces the server before its first request
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	return s, p
}

func TestSignInWithACodeOnThePages(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startFactors(t, nil, nil)
		var codes []string
		_, phone.secret, codes = s.enrolTOTP(t, s.browser(t))
		b := tabOf(s)
		back := s.url + "/account?return_to=" + s.url + "/docs"
		b.visit("/login?return_to=" + back)
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Sign in")
		b.reads("Two-step sign-in", "Enter the six digits")
		if cookies := b.cookies(); cookies["watchword"] != nil || cookies["watchword-page"] != nil ||
			cookies["watchword-step"] == nil || !cookies["watchword-step"].HTTPOnly {
			t.Errorf("after the password, the cookies are %v", cookies)
		}
		b.focused("factor-totp")
		got := see[[]string](b, `() => { const f = document.getElementById("factor-totp");
      return [f.autocomplete, f.inputMode, f.type] }`)
		if got[0] != "one-time-code" || got[1] != "numeric" || got[2] != "text" {
			t.Errorf("the field is %v", got)
		}
		b.fill("Code", "12 34x")
		b.press("Sign in")
		b.reads("This code is wrong or was already used. Enter the next one that the app shows.")
		if f := b.field("factor-totp"); !f.Invalid || f.Value != "" || !f.Focus {
			t.Errorf("after a wrong code the field is %+v", f)
		}
		code := phone.code()
		b.fill("Code", code)
		b.press("Sign in")
		b.reads("Your account", "Signed in as ada@example.com")
		if at := b.address(); at != "/account?return_to="+s.url+"/docs" {
			t.Errorf("the sign-in leads to %s", at)
		}
		cookies := b.cookies()
		if cookies["watchword-step"] != nil || cookies["watchword"] == nil || cookies["watchword"].Session {
			t.Errorf("after the code, the cookies are %v", cookies)
		}

		// A used code must not work again, but a recovery code must work. If the box "stay signed in" is not checked,
		// the session must end with the browser.
		b.press("Sign out")
		b.visit("/login")
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		must(t, b.click("", "field", "Keep me signed in")(b.ctx))
		b.press("Sign in")
		b.fill("Code", code)
		b.press("Sign in")
		b.reads("was already used")
		b.press("Use a recovery code")
		b.reads("Each code works once", "Contact the people who run this service")
		b.fill("Recovery code", "wrong")
		b.press("Sign in")
		b.reads("This code is wrong or was already used.", "Recovery code")
		b.fill("Recovery code", codes[0])
		b.press("Sign in")
		b.reads("Signed in as ada@example.com", "Recovery code used")
		if c := b.cookies()["watchword"]; !c.Session {
			t.Errorf("the cookie without the check mark is %+v", c)
		}
	})
}

func TestSecondStepThatTookTooLongLeadsBackToTheSignIn(t *testing.T) {
	t.Parallel()
	s, phone := startFactors(t, nil, nil)
	_, phone.secret, _ = s.enrolTOTP(t, s.browser(t))
	const sentence = "Sign in again. The second step took too long or was already used."
	b := s.tab(t)
	b.visit("/login/factor?return_to=" + s.url + "/docs")
	b.reads(sentence, "Password")
	if at := b.address(); at != "/login?return_to="+url.QueryEscape(s.url+"/docs")+"&why=step" {
		t.Errorf("the address is %s", at)
	}
	b.signIn("ada@example.com", goodPassword)
	phone.forward.Add(int64(watchword.ChallengeLife))
	b.fill("Code", phone.code())
	b.press("Sign in")
	b.reads(sentence)
	if c := b.cookies()["watchword-step"]; c != nil {
		t.Errorf("the cookie is still there: %+v", c)
	}
	// The server checks five codes per challenge. The fifth wrong code must end the challenge.
	b.signIn("ada@example.com", goodPassword)
	for range watchword.ChallengeAttempts {
		b.fill("Code", "12345")
		b.press("Sign in")
		b.reads("This code is wrong")
	}
	b.fill("Code", phone.code())
	b.press("Sign in")
	b.reads(sentence)
	command(b, network.ClearBrowserCookies, struct{}{})
	b.signIn("ada@example.com", goodPassword)
	b.fill("Code", phone.code())
	b.press("Sign in")
	b.reads("Signed in as ada@example.com")
}

// The method learn reads the secret as text from the page, as a person who types it into an app does.
func (p *phone) learn(b *tab) {
	p.t.Helper()
	key := see[string](b, `() => document.querySelector(".qr ~ .hint code").innerText`)
	p.secret = secretIn(p.t, strings.ReplaceAll(key, " ", ""))
}

// factorSights returns the pages of second factors in each of their states. The first state needs a signed-in user
// without a factor. After the last state, the user is at the second step.
func factorSights(p *phone) []sight {
	return []sight{
		{"step-up-password", at("/step-up")},
		{"authenticator", func(b *tab) {
			b.fill("Current password", goodPassword)
			b.press("Continue")
			b.press("Add an authenticator app")
			p.learn(b)
		}},
		{"authenticator-refused", func(b *tab) {
			b.fill("Code", "12345")
			b.press("Add the app")
		}},
		{"codes", func(b *tab) {
			b.fill("Code", p.code())
			b.press("Add the app")
		}},
		{"account-two-step", func(b *tab) {
			b.press("I have saved the codes")
			b.push("Two-step sign-in", "Rename Authenticator app")
		}},
		{"account-two-step-refused", func(b *tab) {
			b.unchecked()
			b.fillIn("Two-step sign-in", "Name", "")
			b.press("Save")
		}},
		{"remove", func(b *tab) {
			b.visit("/account")
			b.press("Remove Authenticator app")
		}},
		{"recovery-new", at("/account/recovery-codes")},
		{"step-up-code", at("/step-up")},
		{"factor", func(b *tab) {
			command(b, network.ClearBrowserCookies, struct{}{})
			b.signIn("ada@example.com", goodPassword)
		}},
		{"factor-refused", func(b *tab) {
			b.fill("Code", "12345")
			b.press("Sign in")
		}},
		{"factor-recovery", func(b *tab) { b.press("Use a recovery code") }},
	}
}

// germanFactorSights returns the pages with the longest texts. It needs the user that factorSights has prepared.
func germanFactorSights(p *phone) []sight {
	return []sight{
		{"account-two-step", func(b *tab) {
			b.visit("/login")
			b.fill("E-Mail-Adresse", "ada@example.com")
			b.fill("Passwort", goodPassword)
			b.press("Anmelden")
			b.fill("Code", p.code())
			b.press("Anmelden")
		}},
		{"authenticator", at("/account/authenticator")},
		{"codes", func(b *tab) {
			b.visit("/account/recovery-codes")
			b.press("Neue Codes erstellen")
		}},
	}
}
