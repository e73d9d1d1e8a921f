package server_test

import (
	"bytes"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	goqr "github.com/piglig/go-qr"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
)

// scanQRCode reads a screenshot of the page. It fails unless the QR code has the secret that the page shows as text.
func (p *phone) scanQRCode(b *tab) {
	p.t.Helper()
	box := evaluate[[]float64](b, `() => { const b = document.querySelector(".qr svg").getBoundingClientRect();
    return [b.x + scrollX, b.y + scrollY, b.width, b.height] }`)
	beyondViewport := true // autofocus may have scrolled the QR code out of the window
	shot := sendDevTools(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyondViewport,
		Clip: &page.Viewport{X: box[0], Y: box[1], Width: box[2], Height: box[3], Scale: 2}})
	picture, err := png.Decode(bytes.NewReader(shot.Data))
	must(p.t, err)
	uri, err := goqr.Decode(picture)
	must(p.t, err)
	p.readSecretFrom(b)
	_, after, _ := strings.Cut(uri, "secret=")
	secret, _, _ := strings.Cut(after, "&")
	if !strings.HasPrefix(uri, "otpauth://totp/") || !slices.Equal(decodeSecret(p.t, secret), p.secret) {
		p.t.Fatalf("the picture says %s", uri)
	}
}

func (b *tab) shownRecoveryCodes() []string {
	b.t.Helper()
	return evaluate[[]string](b, `() => [...document.querySelectorAll(".codes li")].map((li) => li.innerText)`)
}

// enrolApp adds an authenticator app on the account page, and returns the recovery codes.
func (p *phone) enrolApp(b *tab) []string {
	p.t.Helper()
	b.pressAndLeave("Add an authenticator app")
	p.scanQRCode(b)
	b.fillField("Code", p.nextCode())
	b.pressAndLeave("Add the app")
	codes := b.shownRecoveryCodes()
	b.wantText("Two-step sign-in is on.", "Save your recovery codes", "ada@example.com")
	if len(codes) != 10 {
		p.t.Fatalf("the codes are %q", codes)
	}
	b.pressAndLeave("I have saved the codes")
	return codes
}

func TestAPhoneIsEnrolledUsedLostAndRemoved(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startWithPhone(t, nil, nil)
		b, other := tabOf(s), tabOf(s)
		b.signUp("ada@example.com")
		b.wantText("Confirm your email address first. Then you can add an app here.")
		b.wantNoText("Add an authenticator app", "Recovery codes")
		b.openMailLink("/verify", s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com"))
		b.pressAndLeave("Confirm address")
		other.signIn("ada@example.com", goodPassword)
		b.visit("/account")
		codes := phone.enrolApp(b)
		b.wantText("Recovery codes", "Codes left: 10", "Second factor added")
		other.visit("/account")
		other.wantText("You are signed out.")

		b.pressAndLeave("Sign out")
		b.signIn("ada@example.com", goodPassword)
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Sign in")
		b.wantText("Signed in as ada@example.com", "last used just now")

		b.pressAndStay("Two-step sign-in", "Rename Authenticator app")
		b.fillFieldIn("Two-step sign-in", "Name", "Ada's <phone>")
		b.pressAndLeave("Save")
		b.wantText("Name saved.", "Ada's <phone>")

		// After the loss of the phone, recovery codes work for the sign-in and for the step-up. The user then removes
		// the app.
		b.pressAndLeave("Sign out")
		b.signIn("ada@example.com", goodPassword)
		b.pressAndLeave("Use a recovery code")
		b.fillField("Recovery code", strings.ToLower(codes[0]))
		b.pressAndLeave("Sign in")
		b.wantText("Signed in as ada@example.com", "Codes left: 9", "Recovery code used")
		phone.clockAhead.Add(int64(6 * time.Minute))
		b.pressAndLeave("Remove Ada's <phone>")
		b.wantText("Confirm that it is you", "Enter the six digits")
		b.pressAndLeave("Use a recovery code")
		b.fillField("Recovery code", codes[0])
		b.pressAndLeave("Continue")
		b.wantText("This code is wrong or was already used.")
		b.fillField("Recovery code", codes[1])
		b.pressAndLeave("Continue")
		b.wantText("Remove this authenticator app?", "Ada's <phone>", "This is your only app.")
		b.pressAndLeaveIn("", "Remove")
		b.wantText("Authenticator app removed.", "Add an authenticator app", "Second factor removed")
		b.wantNoText("Codes left")
		other.signIn("ada@example.com", goodPassword)
		other.wantText("Signed in as ada@example.com")
		b.visit("/account") // the session in tab b has not ended
		b.wantText("Signed in as ada@example.com")
	})
}

func TestRecoveryCodesAreShownOnceAndReplaced(t *testing.T) {
	t.Parallel()
	s, phone := startWithPhone(t, nil, nil)
	b := s.openTab(t)
	_, phone.secret, _ = s.signUpWithApp(t, s.newBrowser(t))
	b.signIn("ada@example.com", "correct horse battery")
	b.fillField("Code", phone.nextCode())
	b.pressAndLeave("Sign in")
	b.pressAndLeave("Create new codes")
	b.wantText("Create new recovery codes?", "Your old codes stop working.")
	b.pressAndLeave("Create new codes")
	codes := b.shownRecoveryCodes()
	evaluate[bool](b, `() => {
    Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => { window.copied = text } } });
    window.print = () => { window.printed = true };
    return true;
  }`)
	b.pressAndStay("", "Copy")
	b.waitUntil("the button says Copied", `() => document.querySelector("[data-copy]").innerText === "Copied"`)
	b.pressAndStay("", "Print")
	if got := evaluate[string](b, `() => String(window.printed) + window.copied`); got !=
		"true"+strings.Join(codes, "\n")+"\n" {
		t.Errorf("copied and printed: %q", got)
	}
	b.pressAndLeave("I have saved the codes")
	b.pressBackButton()
	if again := b.shownRecoveryCodes(); len(again) != 0 {
		t.Errorf("the back button shows %q", again)
	}
}

func TestStepUpReturnsToThePageThatAskedForIt(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := serveFrontEnd(t)
		s, phone := startWithPhone(t, nil, func(o *server.Options) { o.AllowedOrigins = []string{app} })
		b := tabOf(s)
		b.signUp("ada@example.com")
		b.openMailLink("/verify", s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com"))
		b.pressAndLeave("Confirm address")
		b.visit(withReturnTo("/step-up", app+"/inbox"))
		b.wantText("Confirm that it is you", "Enter your password to continue.")
		b.fillField("Current password", otherPassword)
		b.pressAndLeave("Continue")
		b.wantText("Wrong password.")
		b.fillField("Current password", goodPassword)
		b.pressAndLeave("Continue")
		if at := evaluate[string](b, `() => location.href`); at != app+"/inbox" {
			t.Errorf("the step-up leads to %s", at)
		}

		// If the last proof is older than five minutes, the account page must ask for a new proof and then continue
		// with the change.
		phone.clockAhead.Add(int64(6 * time.Minute))
		b.visit(withReturnTo("/account", app+"/inbox"))
		b.pressAndLeave("Add an authenticator app")
		b.wantText("Enter your password to continue.")
		b.fillField("Current password", goodPassword)
		b.pressAndLeave("Continue")
		b.wantText("Scan this picture")
		phone.scanQRCode(b)
		b.fillField("Code", "123")
		b.pressAndLeave("Add the app")
		b.wantText("This code is wrong or was already used.")
		before := phone.secret
		phone.scanQRCode(b)
		if !slices.Equal(before, phone.secret) {
			t.Error("after a wrong code, the page shows another secret")
		}
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Add the app")
		b.pressAndLeave("I have saved the codes")
		b.wantText("← Back to " + strings.TrimPrefix(app, "http://"))

		// An account with a factor must give a code in the step-up. The page must not accept the password.
		b.visit(withReturnTo("/step-up", s.url+"/account"))
		b.wantNoText("password")
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Continue")
		b.wantText("Thank you. Now repeat the change", "Identity confirmed again")
	})
}

func TestRequiredAppIsSetUpBeforeTheFirstSession(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startWithPhone(t, func(o *watchword.Options) { o.SecondFactor.Required = true }, nil)
		b := tabOf(s)
		b.visit(withReturnTo("/signup", s.url+"/docs"))
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Create account")
		b.wantText("Check your inbox")
		b.openOrPasteLink(mailLink(s, "/verify", s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com")))
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Confirm and sign in")
		b.wantText("Set up two-step sign-in", "This account needs a second step.", "Scan this picture")
		if b.cookiesByName()["watchword"] != nil {
			t.Error("there is a session before the code")
		}
		b.visit("/account")
		b.wantText("Sign in")
		b.signIn("ada@example.com", goodPassword)
		phone.scanQRCode(b)
		b.fillField("Code", "123")
		b.pressAndLeave("Add the app")
		b.wantText("This code is wrong or was already used.")
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Add the app")
		b.wantText("Two-step sign-in is on.", "Save your recovery codes")
		if n := len(b.shownRecoveryCodes()); n != 10 || b.cookiesByName()["watchword-step"] != nil {
			t.Errorf("%d codes, cookies %v", n, b.cookiesByName())
		}
		b.pressAndLeave("I have saved the codes")
		b.wantText("Your account", "Codes left: 10")
		b.pressAndLeave("Sign out")
		b.signIn("ada@example.com", goodPassword)
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Sign in")
		b.wantText("Signed in as ada@example.com")

		// In a browser without a waiting sign-in, the page must redirect to the sign-in.
		stranger := tabOf(s)
		stranger.visit("/login/setup")
		stranger.wantText("Sign in again. The second step took too long or was already used.")
	})
}
