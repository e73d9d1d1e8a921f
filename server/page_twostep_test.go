package server_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/server"
)

// These tests send requests to the pages of second factors. The tests in browser_factor_test.go open the pages in a
// browser.

func TestWithoutFactorsThePagesOfferNone(t *testing.T) {
	t.Parallel()
	s, phone := startWithPhone(t, nil, nil)
	b := s.newBrowser(t)
	_, phone.secret, _ = s.signUpWithApp(t, s.newBrowser(t))
	var err error
	s.server, err = server.New(s.engine, server.Options{PublicURL: s.url})
	must(t, err)
	wantPage(t, b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": goodPassword}), 403,
		"This account needs a second step, which is not available here.")
	if cookies := b.Jar.Cookies(mustURL(t, s.url)); len(cookies) > 0 {
		t.Errorf("cookies: %v", cookies)
	}
	for _, path := range []string{"/login/factor", "/step-up", "/account/authenticator", "/account/recovery-codes"} {
		wantPage(t, b.visit(path), 404)
	}
	b.register("bob@example.com")
	if page := string(b.visit("/account").raw); strings.Contains(page, "Two-step sign-in") {
		t.Error("the account page offers an app")
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	must(t, err)
	return u
}

func TestSecondStepOnThePagesIsLimited(t *testing.T) {
	t.Parallel()
	s, phone := startWithPhone(t, func(o *watchword.Options) {
		o.Limits.FailedFactors = watchword.Limit{Count: 2, Per: watchword.ChallengeLife}
	}, nil)
	_, phone.secret, _ = s.signUpWithApp(t, s.newBrowser(t))
	b := s.newBrowser(t)
	wantPage(t, b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": goodPassword}), 303)
	for range 2 {
		wantPage(t, b.submitForm("/login/factor", map[string]string{"totp": "12345"}), 403, "This code is wrong")
	}
	wantPage(t, b.submitForm("/login/factor", map[string]string{"totp": phone.nextCode()}), 429,
		"Too many attempts. Try again in ", `name="totp"`)
	wantPage(t, b.submitForm("/login/factor", map[string]string{"totp": ""}), 422, "Fill in this field.")
	wantPage(t, b.submitForm("/login/factor", map[string]string{"recoveryCode": ""}), 422, "Fill in this field.",
		`name="recoveryCode"`)
}

// If the user follows a link from another site, the browser omits the SameSite=Strict cookies. The page must load
// again, so that the browser sends them.
func TestSecondStepAfterALinkOfAnotherSiteLoadsAgain(t *testing.T) {
	t.Parallel()
	s, _ := startWithPhone(t, nil, nil)
	wantPage(t, s.newBrowser(t).visit("/login/factor", "Sec-Fetch-Site", "cross-site"), 200,
		`http-equiv="refresh" content="0; url=/login/factor"`)
	wantPage(t, s.newBrowser(t).visit("/step-up", "Sec-Fetch-Site", "cross-site"), 200, `url=/step-up"`)
}

var aSetup = regexp.MustCompile(`/account/authenticator/[0-9a-f-]{36}`)

// An enrolment belongs to one session. Its URL must not work for another account or for another session of the owner.
func TestSetupPageShowsTheSecretToItsSessionOnly(t *testing.T) {
	t.Parallel()
	s, phone := startWithPhone(t, nil, nil)
	b, same, other := s.newBrowser(t), s.newBrowser(t), s.newBrowser(t)
	b.register("ada@example.com")
	wantPage(t, b.visit("/account/authenticator"), 403, "Confirm your address first")
	other.register("bob@example.com")
	for address, one := range map[string]*browser{"ada@example.com": b, "bob@example.com": other} {
		link := string(s.mailer.awaitMail(t, watchword.MailVerify, address).Token)
		wantPage(t, one.submitForm("/verify", map[string]string{"token": link}), 200)
	}
	wantPage(t, same.submitForm("/login", map[string]string{"email": "ada@example.com", "password": goodPassword}), 303)
	setup := aSetup.FindString(b.visit("/account/authenticator").Header.Get("Location"))
	page := b.visit(setup)
	wantPage(t, page, 200, "<svg", "otpauth://totp/")
	if again := b.visit(setup); string(secretOnPage(again)) != string(secretOnPage(page)) || secretOnPage(page) == nil {
		t.Error("a reload shows another secret")
	}
	for name, one := range map[string]*browser{"another account": other, "another session": same} {
		a := one.visit(setup)
		wantPage(t, a, 401, "This step took too long or was already used.")
		if secretOnPage(a) != nil || strings.Contains(string(a.raw), "otpauth") {
			t.Errorf("%s sees the secret", name)
		}
		wantPage(t, one.submitForm(setup, map[string]string{"totp": "123456"}), 401, "This step took too long")
	}
	phone.secret = decodeSecret(t, strings.ReplaceAll(string(secretOnPage(page)), " ", ""))
	wantPage(t, b.submitForm(setup, map[string]string{"totp": phone.nextCode()}), 200, "Save your recovery codes")
	wantPage(t, b.visit(setup), 401, "This step took too long or was already used.")

	// The second app must not create recovery codes, and a third app must be refused.
	setup = aSetup.FindString(b.visit("/account/authenticator").Header.Get("Location"))
	phone.secret = decodeSecret(t, strings.ReplaceAll(string(secretOnPage(b.visit(setup))), " ", ""))
	wantPage(t, b.submitForm(setup, map[string]string{"totp": phone.nextCode()}), 303, "/account?done=factor")
	wantPage(t, b.visit("/account/authenticator"), 422, "An account can have two authenticator apps and ten passkeys.")
	if page := string(b.visit("/account").raw); strings.Contains(page, "Add an authenticator app") {
		t.Error("the page offers a third app")
	}
	wantPage(t, b.visit("/account/factors/0190/remove"), 404)
}

func secretOnPage(a fullResponse) []byte {
	found := regexp.MustCompile(`<code>([A-Z2-7 ]{32,})</code>`).FindSubmatch(a.raw)
	if found == nil {
		return nil
	}
	return found[1]
}

func TestEnrolmentThatIsOffIsNotOffered(t *testing.T) {
	t.Parallel()
	s, _ := startWithPhone(t, nil, nil)
	b := s.newBrowser(t)
	s.signUpWithApp(t, b)
	must(t, replaceServer(s, factors.Options{EnrolmentOff: true}))
	wantPage(t, b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": goodPassword}), 303,
		"/login/factor")
	other := s.newBrowser(t)
	other.register("bob@example.com")
	if page := string(other.visit("/account").raw); strings.Contains(page, "Two-step sign-in") {
		t.Error("an account without an app sees the section")
	}
	page := b.visit("/account")
	wantPage(t, page, 200, "Two-step sign-in", "Codes left:")
	if strings.Contains(string(page.raw), "Add an authenticator app") {
		t.Error("the page offers another app")
	}
	wantPage(t, b.visit("/account/authenticator"), 404)
}

func replaceServer(s *service, factorOptions factors.Options) (err error) {
	s.server, err = server.New(s.engine, server.Options{PublicURL: s.url,
		Factors: factors.New(s.engine, s.store.Factors(), factorOptions)})
	return err
}
