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

// These tests add an app as a second factor, sign in with it, lose the phone, recover, and remove the app.

// The method scan takes a screenshot of the page and reads the QR code in it.
func (p *phone) scan(b *tab) {
	p.t.Helper()
	box := see[[]float64](b, `() => { const b = document.querySelector(".qr svg").getBoundingClientRect();
    return [b.x + scrollX, b.y + scrollY, b.width, b.height] }`)
	whole := true // autofocus may have scrolled the QR code out of the window
	shot := command(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole,
		Clip: &page.Viewport{X: box[0], Y: box[1], Width: box[2], Height: box[3], Scale: 2}})
	picture, err := png.Decode(bytes.NewReader(shot.Data))
	must(p.t, err)
	uri, err := goqr.Decode(picture)
	must(p.t, err)
	p.learn(b)
	_, after, _ := strings.Cut(uri, "secret=")
	secret, _, _ := strings.Cut(after, "&")
	if !strings.HasPrefix(uri, "otpauth://totp/") || !slices.Equal(secretIn(p.t, secret), p.secret) {
		p.t.Fatalf("the picture says %s", uri)
	}
}

// The method codes returns the recovery codes that the page shows.
func (b *tab) codes() []string {
	b.t.Helper()
	return see[[]string](b, `() => [...document.querySelectorAll(".codes li")].map((li) => li.innerText)`)
}

// enrol adds an app on the account page and returns the recovery codes.
func (p *phone) enrol(b *tab) []string {
	p.t.Helper()
	b.press("Add an authenticator app")
	p.scan(b)
	b.fill("Code", p.code())
	b.press("Add the app")
	codes := b.codes()
	b.reads("Two-step sign-in is on.", "Save your recovery codes", "ada@example.com")
	if len(codes) != 10 {
		p.t.Fatalf("the codes are %q", codes)
	}
	b.press("I have saved the codes")
	return codes
}

func TestAPhoneIsEnrolledUsedLostAndRemoved(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startFactors(t, nil, nil)
		b, other := tabOf(s), tabOf(s)
		b.signUp("ada@example.com")
		b.reads("Confirm your email address first. Then you can add an app here.")
		b.readsNot("Add an authenticator app", "Recovery codes")
		b.follow("/verify", s.post.take(t, watchword.MailVerify, "ada@example.com"))
		b.press("Confirm address")
		other.signIn("ada@example.com", goodPassword)
		b.visit("/account")
		codes := phone.enrol(b)
		b.reads("Recovery codes", "Codes left: 10", "Second factor added")
		other.visit("/account")
		other.reads("You are signed out.")

		b.press("Sign out")
		b.signIn("ada@example.com", goodPassword)
		b.fill("Code", phone.code())
		b.press("Sign in")
		b.reads("Signed in as ada@example.com", "last used just now")

		b.push("Two-step sign-in", "Rename Authenticator app")
		b.fillIn("Two-step sign-in", "Name", "Ada's <phone>")
		b.press("Save")
		b.reads("Name saved.", "Ada's <phone>")

		// After the loss of the phone, recovery codes work for the sign-in and for the step-up. The user then removes
		// the app.
		b.press("Sign out")
		b.signIn("ada@example.com", goodPassword)
		b.press("Use a recovery code")
		b.fill("Recovery code", strings.ToLower(codes[0]))
		b.press("Sign in")
		b.reads("Signed in as ada@example.com", "Codes left: 9", "Recovery code used")
		phone.forward.Add(int64(6 * time.Minute))
		b.press("Remove Ada's <phone>")
		b.reads("Confirm that it is you", "Enter the six digits")
		b.press("Use a recovery code")
		b.fill("Recovery code", codes[0])
		b.press("Continue")
		b.reads("This code is wrong or was already used.")
		b.fill("Recovery code", codes[1])
		b.press("Continue")
		b.reads("Remove this authenticator app?", "Ada's <phone>", "This is your only app.")
		b.pressIn("", "Remove")
		b.reads("Authenticator app removed.", "Add an authenticator app", "Second factor removed")
		b.readsNot("Codes left")
		other.signIn("ada@example.com", goodPassword)
		other.reads("Signed in as ada@example.com")
		b.visit("/account") // the session in tab b has not ended
		b.reads("Signed in as ada@example.com")
	})
}

func TestRecoveryCodesAreShownOnceAndReplaced(t *testing.T) {
	t.Parallel()
	s, phone := startFactors(t, nil, nil)
	b := s.tab(t)
	_, phone.secret, _ = s.enrolTOTP(t, s.browser(t))
	b.signIn("ada@example.com", "correct horse battery")
	b.fill("Code", phone.code())
	b.press("Sign in")
	b.press("Create new codes")
	b.reads("Create new recovery codes?", "Your old codes stop working.")
	b.press("Create new codes")
	codes := b.codes()
	see[bool](b, `() => {
    Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => { window.copied = text } } });
    window.print = () => { window.printed = true };
    return true;
  }`)
	b.push("", "Copy")
	b.until("the button says Copied", `() => document.querySelector("[data-copy]").innerText === "Copied"`)
	b.push("", "Print")
	if got := see[string](b, `() => String(window.printed) + window.copied`); got != "true"+strings.Join(codes, "\n")+"\n" {
		t.Errorf("copied and printed: %q", got)
	}
	b.press("I have saved the codes")
	b.back()
	if again := b.codes(); len(again) != 0 {
		t.Errorf("the back button shows %q", again)
	}
}

func TestStepUpReturnsToThePageThatAskedForIt(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := application(t)
		s, phone := startFactors(t, nil, func(o *server.Options) { o.AllowedOrigins = []string{app} })
		b := tabOf(s)
		b.signUp("ada@example.com")
		b.follow("/verify", s.post.take(t, watchword.MailVerify, "ada@example.com"))
		b.press("Confirm address")
		b.visit(returning("/step-up", app+"/inbox"))
		b.reads("Confirm that it is you", "Enter your password to continue.")
		b.fill("Current password", otherPassword)
		b.press("Continue")
		b.reads("Wrong password.")
		b.fill("Current password", goodPassword)
		b.press("Continue")
		if at := see[string](b, `() => location.href`); at != app+"/inbox" {
			t.Errorf("the step-up leads to %s", at)
		}

		// If the last proof is older than five minutes, the account page must ask for a new proof and then continue
		// with the change.
		phone.forward.Add(int64(6 * time.Minute))
		b.visit(returning("/account", app+"/inbox"))
		b.press("Add an authenticator app")
		b.reads("Enter your password to continue.")
		b.fill("Current password", goodPassword)
		b.press("Continue")
		b.reads("Scan this picture")
		phone.scan(b)
		b.fill("Code", "123")
		b.press("Add the app")
		b.reads("This code is wrong or was already used.")
		before := phone.secret
		phone.scan(b)
		if !slices.Equal(before, phone.secret) {
			t.Error("after a wrong code, the page shows another secret")
		}
		b.fill("Code", phone.code())
		b.press("Add the app")
		b.press("I have saved the codes")
		b.reads("← Back to " + strings.TrimPrefix(app, "http://"))

		// An account with a factor must give a code in the step-up. The page must not accept the password.
		b.visit(returning("/step-up", s.url+"/account"))
		b.readsNot("password")
		b.fill("Code", phone.code())
		b.press("Continue")
		b.reads("Thank you. Now repeat the change", "Identity confirmed again")
	})
}

func TestRequiredAppIsSetUpBeforeTheFirstSession(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startFactors(t, func(o *watchword.Options) { o.SecondFactor.Required = true }, nil)
		b := tabOf(s)
		b.visit(returning("/signup", s.url+"/docs"))
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Create account")
		b.reads("Check your inbox")
		b.openLink(linkOf(s, "/verify", s.post.take(t, watchword.MailVerify, "ada@example.com")))
		b.fill("Password", goodPassword)
		b.press("Confirm and sign in")
		b.reads("Set up two-step sign-in", "This account needs a second step.", "Scan this picture")
		if b.cookies()["watchword"] != nil {
			t.Error("there is a session before the code")
		}
		b.visit("/account")
		b.reads("Sign in")
		b.signIn("ada@example.com", goodPassword)
		phone.scan(b)
		b.fill("Code", "123")
		b.press("Add the app")
		b.reads("This code is wrong or was already used.")
		b.fill("Code", phone.code())
		b.press("Add the app")
		b.reads("Two-step sign-in is on.", "Save your recovery codes")
		if n := len(b.codes()); n != 10 || b.cookies()["watchword-step"] != nil {
			t.Errorf("%d codes, cookies %v", n, b.cookies())
		}
		b.press("I have saved the codes")
		b.reads("Your account", "Codes left: 10")
		b.press("Sign out")
		b.signIn("ada@example.com", goodPassword)
		b.fill("Code", phone.code())
		b.press("Sign in")
		b.reads("Signed in as ada@example.com")

		// In a browser without a waiting sign-in, the page must redirect to the sign-in.
		stranger := tabOf(s)
		stranger.visit("/login/setup")
		stranger.reads("Sign in again. The second step took too long or was already used.")
	})
}
