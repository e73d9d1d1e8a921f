package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/watchword-auth/watchword"
)

// A fieldState has what sighted users and screen readers perceive of an input.
type fieldState struct {
	Value, Note    string
	Invalid, Focus bool
}

func (b *tab) fieldStateOf(id string) fieldState {
	b.t.Helper()
	return evaluate[fieldState](b, `(id) => {
    const input = document.getElementById(id), notes = (input.getAttribute("aria-describedby") ?? "").split(" ");
    return { Value: input.value, Invalid: input.getAttribute("aria-invalid") === "true", Focus: document.activeElement === input,
      Note: notes.map((id) => document.getElementById(id)?.innerText ?? "").join(" ") };
  }`, id)
}

// disableValidation disables the browser's validation of forms, so that invalid values reach the server.
func (b *tab) disableValidation() {
	b.t.Helper()
	evaluate[bool](b, `() => { for (const form of document.forms) form.noValidate = true; return true }`)
}

// awaitFocus waits, because the browser applies autofocus only after it has drawn the page.
func (b *tab) awaitFocus(id string) {
	b.t.Helper()
	b.waitUntil("the focus is on "+id, `(id) => document.activeElement?.id === id`, id)
}

func TestErrorsAreShownBesideTheirFields(t *testing.T) {
	t.Parallel()
	const short, common = "The password is too short.", "This password is too common"
	b := start(t, nil, nil).openTab(t)
	b.signUp("ada@example.com")
	for _, c := range []struct {
		name, path, part, button string
		valuesByLabel            map[string]string
		messagesByID             map[string]string
		focusedID                string
		wantAfterError           map[string]string
	}{
		{"an empty form", "/signup", "", "Create account", map[string]string{"Email address": "", "Password": ""},
			map[string]string{"signup-email": "Fill in this field.", "signup-password": "Fill in this field."},
			"signup-email", nil},
		{"no address", "/signup", "", "Create account", map[string]string{
			"Email address": "ada@", "Name": "Ada", "Password": goodPassword},
			map[string]string{"signup-email": "This is not an email address."}, "signup-email",
			map[string]string{"signup-email": "ada@", "signup-name": "Ada", "signup-password": ""}},
		{"a short password", "/signup", "", "Create account", map[string]string{
			"Email address": "bob@example.com", "Name": "Bob", "Password": "short"},
			map[string]string{"signup-password": short}, "signup-password",
			map[string]string{"signup-email": "bob@example.com", "signup-name": "Bob", "signup-password": ""}},
		{"a common password", "/signup", "", "Create account", map[string]string{
			"Email address": "bob@example.com", "Password": "password123"},
			map[string]string{"signup-password": common}, "signup-password", map[string]string{
				"signup-email": "bob@example.com", "signup-password": ""}},
		{"a forgotten one", "/forgot", "", "Email me a link", map[string]string{"Email address": "ada"},
			map[string]string{"forgot-email": "This is not an email address."}, "forgot-email",
			map[string]string{"forgot-email": "ada"}},
		{"a wrong password", "/account", "Password", "Change password", map[string]string{
			"Current password": "not the password", "New password": otherPassword},
			map[string]string{"password-currentPassword": "Wrong password."}, "password-currentPassword",
			map[string]string{"password-currentPassword": "", "password-newPassword": ""}},
		{"a wrong password before an address", "/account", "Email address", "Send confirmation link", map[string]string{
			"Current password": "no", "New email address": "lady@example.com"},
			map[string]string{"address-currentPassword": "Wrong password."}, "address-currentPassword",
			map[string]string{"address-newEmail": "lady@example.com", "address-currentPassword": ""}},
		{"a new address that is none", "/account", "Email address", "Send confirmation link", map[string]string{
			"Current password": goodPassword, "New email address": "lady"},
			map[string]string{"address-newEmail": "This is not an email address."}, "address-newEmail",
			map[string]string{"address-newEmail": "lady"}},
	} {
		if c.path != "/account" && len(b.cookiesByName()) > 0 {
			sendDevTools(b, network.ClearBrowserCookies, struct{}{})
		} else if c.path == "/account" && len(b.cookiesByName()) == 0 {
			b.signIn("ada@example.com", goodPassword)
		}
		b.visit(c.path)
		b.disableValidation()
		if c.part == "Email address" {
			b.openAddress()
		}
		for label, text := range c.valuesByLabel {
			b.fillFieldIn(c.part, label, text)
		}
		b.pressAndLeaveIn(c.part, c.button)
		b.awaitFocus(c.focusedID)
		for id, text := range c.messagesByID {
			if got := b.fieldStateOf(id); !got.Invalid || !strings.Contains(got.Note, text) ||
				got.Focus != (id == c.focusedID) {
				t.Errorf("%s: %s is %+v, want %q", c.name, id, got, text)
			}
		}
		for id, value := range c.wantAfterError {
			if got := b.fieldStateOf(id); got.Value != value {
				t.Errorf("%s: %s holds %q, want %q", c.name, id, got.Value, value)
			}
		}
		if n := evaluate[int](b, `() => document.querySelectorAll("[aria-invalid]").length`); n != len(c.messagesByID) {
			t.Errorf("%s: %d fields are marked", c.name, n)
		}
		if alert := evaluate[string](b,
			`() => document.querySelector("[role=alert]")?.innerText ?? ""`); alert != "Check the marked fields." {
			t.Errorf("%s: the alert says %q", c.name, alert)
		}
	}
}

// The message must not say whether the address or the password is wrong.
func TestFailedSignInShowsTheErrorAndKeepsTheAddress(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.newBrowser(t).register("ada@example.com")
	b := s.openTab(t)
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		b.signIn(email, otherPassword)
		b.awaitFocus("login-password")
		if alert := evaluate[string](b,
			`() => document.querySelector("[role=alert]")?.innerText ?? ""`); alert != "Wrong email or password." {
			t.Errorf("the alert says %q", alert)
		}
		address, password := b.fieldStateOf("login-email"), b.fieldStateOf("login-password")
		if address.Value != email || password.Value != "" || !password.Focus || !address.Invalid || !password.Invalid ||
			!strings.Contains(address.Note, "Wrong email or password.") ||
			!strings.Contains(password.Note, "Wrong email or password.") {
			t.Errorf("address %+v, password %+v", address, password)
		}
	}
}

func TestSignInWorksByKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.newBrowser(t).register("ada@example.com")
	b := s.openTab(t)
	b.visit("/login")
	now := func() string {
		return evaluate[string](b,
			`() => { const e = document.activeElement; return e.id || e.name || e.innerText.trim() }`)
	}
	var order []string
	for range 8 {
		b.pressKeys(kb.Tab)
		order = append(order, now())
		if ring := evaluate[string](b, `() => getComputedStyle(document.activeElement).outlineStyle`); ring != "solid" {
			t.Errorf("the focus of %s is invisible: %s", now(), ring)
		}
	}
	if got, want := strings.Join(order, ", "), "127.0.0.1, login-email, login-password, Show, remember, Sign in, "+
		"Forgot your password?, No account yet? Create one"; got != want {
		t.Errorf("the tab key goes to\n%s, want\n%s", got, want)
	}
	b.visit("/login")
	b.pressKeys(kb.Tab + kb.Tab + "ada@example.com" + kb.Tab + goodPassword + kb.Tab + " ")
	if kind := evaluate[string](b, `() => document.getElementById("login-password").type + document.activeElement.innerText + document.activeElement.getAttribute("aria-pressed")`); kind != "textHidetrue" {
		t.Errorf("the password is not shown: %s", kind)
	}
	b.pressKeys(kb.Tab + " ")
	if evaluate[bool](b, `() => document.activeElement.checked`) {
		t.Error("the space key leaves the box checked")
	}
	b.visit("/login")
	b.pressKeys(kb.Tab + kb.Tab + "ada@example.com" + kb.Tab + goodPassword)
	b.leavePage(func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.KeyEvent(kb.Enter)) })
	b.wantText("Signed in as ada@example.com")
}

func TestRepeatedClicksSendAFormOnce(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.HashCost = "m=65536,t=10,p=1" }, nil) // slow enough for a second click
	b := s.openTab(t)
	b.visit("/signup")
	b.fillField("Email address", "ada@example.com")
	b.fillField("Password", goodPassword)
	var sent atomic.Int64
	must(t, chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok && e.Request.Method == "POST" {
			sent.Add(1)
		}
	}))
	press := b.clickAction("", "button", "Create account")
	b.leavePage(func(ctx context.Context) error { return errors.Join(press(ctx), press(ctx)) })
	b.wantText("Signed in as ada@example.com")
	if n := sent.Load(); n != 1 {
		t.Errorf("the form was sent %d times", n)
	}
}

func TestSignInPageStaysSmall(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil).openTab(t)
	var (
		mu       sync.Mutex
		requests = map[network.RequestID]string{}
		bytes    int
	)
	must(t, chromedp.Listen(b.ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if strings.HasPrefix(e.Request.URL, "http") {
				requests[e.RequestID] = e.Request.URL
			}
		case *network.EventLoadingFinished:
			if requests[e.RequestID] != "" {
				bytes += int(e.EncodedDataLength)
			}
		}
	}))
	b.visit("/login")
	b.waitUntil("the first paint", `() => performance.getEntriesByName("first-contentful-paint").length > 0`)
	paint := evaluate[float64](b, `() => performance.getEntriesByName("first-contentful-paint")[0].startTime`)
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d requests, %d bytes, first contentful paint after %.0f ms", len(requests), bytes, paint)
	if len(requests) > 2 || bytes > 20<<10 || bytes < 1<<10 {
		t.Errorf("%d bytes in %v", bytes, requests)
	}
}
