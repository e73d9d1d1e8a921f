package examples_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/watchword-auth/watchword/internal/browsertest"
)

// This test signs in with a provider in a popup, in a real Chromium. It runs the single-page
// application, the built server and npm's oidc-provider, which signs its user in without a prompt.

// The test is not parallel, because building the client reloads the open pages of other tests.
func TestChromiumSignsInByThePopupOfAProvider(t *testing.T) {
	provider, settings := startProvider(t)
	a := startApplication(t, "spa", settings...)
	provider.put(t, "/test/redirect", a.server+"/sign-in/acme/callback")

	b := &tab{t: t, app: a, ctx: a.chromium.Open(t)}
	// The user stays at the provider for longer than the page waits for a popup that seems closed. The page must
	// still get the result.
	provider.put(t, "/test/user", `{"deny": true, "wait": 3}`)
	b.visit(a.url + "/?page=1#/sign-in")
	b.clickWithMouse("Continue with Acme")
	b.awaitText("The sign-in with the provider was not completed.")
	b.awaitTabCount(1)

	provider.put(t, "/test/user", `{"sub": "ada", "email": "ada@example.com", "email_verified": true, "name": "Ada"}`)
	b.clickWithMouse("Continue with Acme")
	b.awaitText("Your account", "ada@example.com", "Ada")
	b.awaitTabCount(1)
	b.press("Sign out")
	b.awaitText("New here?")

	// A script clicks the button, so the browser blocks the popup. In this case, the page itself must go to the
	// provider.
	b.press("Continue with Acme")
	b.awaitText("Your account", "ada@example.com")
	if at := evaluate[string](b, `() => location.href`); at != a.url+"/?page=1#/account" {
		t.Errorf("after the redirect, the page is %s", at)
	}
}

func startProvider(t *testing.T) (provider process, settings []string) {
	t.Helper()
	const client = "../clients/typescript"
	const secret = "a secret for tests"
	program, _ := nodeWithPackages(t, client)
	provider = startExample(t, client+"/test", nil, program, "provider.js", "watchword", secret)
	file := filepath.Join(t.TempDir(), "watchword.yaml")
	config := `sign-in-with: [{id: acme, kind: oidc, name: Acme, client-id: watchword, trust-email: true, issuer: %q}]`
	must(t, os.WriteFile(file, fmt.Appendf(nil, config, provider.url), 0o600))
	return provider, []string{"WATCHWORD_CONFIG=" + file, "WATCHWORD_SIGN_IN_WITH_ACME_CLIENT_SECRET=" + secret}
}

func (p process) put(t *testing.T, path, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "PUT", p.url+path, strings.NewReader(body))
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: %s", path, response.Status)
	}
}

// clickWithMouse sends a real click, because browsers open a popup only after one.
func (b *tab) clickWithMouse(words string) {
	b.t.Helper()
	b.awaitText(words)
	at := evaluate[[]float64](b, `(words) => {
	  const found = [...document.querySelectorAll("button:enabled")].find((e) => e.innerText.trim() === words);
	  found.scrollIntoView();
	  const { x, y, width, height } = found.getBoundingClientRect();
	  return [x + width / 2, y + height / 2];
	}`, words)
	for _, kind := range []input.DispatchMouseEventType{
		input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
		browsertest.Command(b.t, b.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{
			Type: kind, X: at[0], Y: at[1], Button: input.MouseButtonLeft, ClickCount: 1})
	}
}

// awaitTabCount waits until the browser has the wanted number of tabs and windows.
func (b *tab) awaitTabCount(want int) {
	b.t.Helper()
	own := chromedp.FromContext(b.ctx).BrowserContextID
	got := 0
	for end := time.Now().Add(browsertest.Timeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		got = 0
		for _, info := range browsertest.Command(b.t, b.ctx, target.GetTargets, target.GetTargetsParams{}).TargetInfos {
			if info.Type == "page" && info.BrowserContextID == own {
				got++
			}
		}
		if got == want {
			return
		}
	}
	b.t.Errorf("the browser has %d tabs, not %d", got, want)
}
