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

// These tests use forms in a browser. They check the error messages, the keyboard use, and the size of the sign-in
// page.

// A fieldState is the state of an input as sighted users and screen readers perceive it.
type fieldState struct {
	Value, Note    string
	Invalid, Focus bool
}

func (b *tab) field(id string) fieldState {
	b.t.Helper()
	return see[fieldState](b, `(id) => {
    const input = document.getElementById(id), notes = (input.getAttribute("aria-describedby") ?? "").split(" ");
    return { Value: input.value, Invalid: input.getAttribute("aria-invalid") === "true", Focus: document.activeElement === input,
      Note: notes.map((id) => document.getElementById(id)?.innerText ?? "").join(" ") };
  }`, id)
}

// The method unchecked disables the browser's own validation of forms, so that the server must validate.
func (b *tab) unchecked() {
	b.t.Helper()
	see[bool](b, `() => { for (const form of document.forms) form.noValidate = true; return true }`)
}

// The method focused waits until a field has the focus, because the browser applies autofocus only after it has drawn
// the page.
func (b *tab) focused(id string) {
	b.t.Helper()
	b.until("the focus is on "+id, `(id) => document.activeElement?.id === id`, id)
}

func TestErrorsAreShownBesideTheirFields(t *testing.T) {
	t.Parallel()
	const short, common = "The password is too short.", "This password is too common"
	b := start(t, nil, nil).tab(t)
	b.signUp("ada@example.com")
	for _, c := range []struct {
		name, path, part, button string
		typed                    map[string]string // values to type, by label
		faults                   map[string]string // messages by id; the field first is the id of the focused input
		first                    string
		kept                     map[string]string // expected values by id after the error
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
		if c.path != "/account" && len(b.cookies()) > 0 {
			command(b, network.ClearBrowserCookies, struct{}{})
		} else if c.path == "/account" && len(b.cookies()) == 0 {
			b.signIn("ada@example.com", goodPassword)
		}
		b.visit(c.path)
		b.unchecked()
		if c.part == "Email address" {
			b.openAddress()
		}
		for label, text := range c.typed {
			b.fillIn(c.part, label, text)
		}
		b.pressIn(c.part, c.button)
		b.focused(c.first)
		for id, text := range c.faults {
			if got := b.field(id); !got.Invalid || !strings.Contains(got.Note, text) || got.Focus != (id == c.first) {
				t.Errorf("%s: %s is %+v, want %q", c.name, id, got, text)
			}
		}
		for id, value := range c.kept {
			if got := b.field(id); got.Value != value {
				t.Errorf("%s: %s holds %q, want %q", c.name, id, got.Value, value)
			}
		}
		if n := see[int](b, `() => document.querySelectorAll("[aria-invalid]").length`); n != len(c.faults) {
			t.Errorf("%s: %d fields are marked", c.name, n)
		}
		if alert := see[string](b, `() => document.querySelector("[role=alert]")?.innerText ?? ""`); alert != "Check the marked fields." {
			t.Errorf("%s: the alert says %q", c.name, alert)
		}
	}
}

// The message must not say whether the address or the password is wrong.
func TestFailedSignInShowsTheErrorAndKeepsTheAddress(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.browser(t).register("ada@example.com")
	b := s.tab(t)
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		b.signIn(email, otherPassword)
		b.focused("login-password")
		if alert := see[string](b, `() => document.querySelector("[role=alert]")?.innerText ?? ""`); alert != "Wrong email or password." {
			t.Errorf("the alert says %q", alert)
		}
		address, password := b.field("login-email"), b.field("login-password")
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
	s.browser(t).register("ada@example.com")
	b := s.tab(t)
	b.visit("/login")
	now := func() string {
		return see[string](b, `() => { const e = document.activeElement; return e.id || e.name || e.innerText.trim() }`)
	}
	var order []string
	for range 8 {
		b.key(kb.Tab)
		order = append(order, now())
		if ring := see[string](b, `() => getComputedStyle(document.activeElement).outlineStyle`); ring != "solid" {
			t.Errorf("the focus of %s is invisible: %s", now(), ring)
		}
	}
	if got, want := strings.Join(order, ", "), "127.0.0.1, login-email, login-password, Show, remember, Sign in, "+
		"Forgot your password?, No account yet? Create one"; got != want {
		t.Errorf("the tab key goes to\n%s, want\n%s", got, want)
	}
	b.visit("/login")
	b.key(kb.Tab + kb.Tab + "ada@example.com" + kb.Tab + goodPassword + kb.Tab + " ")
	if kind := see[string](b, `() => document.getElementById("login-password").type + document.activeElement.innerText + document.activeElement.getAttribute("aria-pressed")`); kind != "textHidetrue" {
		t.Errorf("the password is not shown: %s", kind)
	}
	b.key(kb.Tab + " ")
	if see[bool](b, `() => document.activeElement.checked`) {
		t.Error("the space key leaves the box checked")
	}
	b.visit("/login")
	b.key(kb.Tab + kb.Tab + "ada@example.com" + kb.Tab + goodPassword)
	b.leave(func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.KeyEvent(kb.Enter)) })
	b.reads("Signed in as ada@example.com")
}

func TestRepeatedClicksSendAFormOnce(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.HashCost = "m=65536,t=10,p=1" }, nil) // slow enough for 2 clicks
	b := s.tab(t)
	b.visit("/signup")
	b.fill("Email address", "ada@example.com")
	b.fill("Password", goodPassword)
	var sent atomic.Int64
	must(t, chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok && e.Request.Method == "POST" {
			sent.Add(1)
		}
	}))
	press := b.click("", "button", "Create account")
	b.leave(func(ctx context.Context) error { return errors.Join(press(ctx), press(ctx)) })
	b.reads("Signed in as ada@example.com")
	if n := sent.Load(); n != 1 {
		t.Errorf("the form was sent %d times", n)
	}
}

func TestSignInPageStaysSmall(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil).tab(t)
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
	b.until("the first paint", `() => performance.getEntriesByName("first-contentful-paint").length > 0`)
	paint := see[float64](b, `() => performance.getEntriesByName("first-contentful-paint")[0].startTime`)
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d requests, %d bytes, first contentful paint after %.0f ms", len(requests), bytes, paint)
	if len(requests) > 2 || bytes > 20<<10 || bytes < 1<<10 {
		t.Errorf("%d bytes in %v", bytes, requests)
	}
}
