package server_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/browsertest"
	"github.com/watchword-auth/watchword/internal/passhash"
)

// These tests use the pages in a real Chromium. A tab acts as a user does: it finds a field by its label and a button
// by its text. It clicks at the position of the element on the screen, and types there.

const pageTimeout = browsertest.Timeout

// TestMain ends sharedChromium.
var sharedChromium browsertest.Chromium

// The tests compute thousands of hashes, so they use the lowest cost.
func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault()
	code := m.Run()
	sharedChromium.Stop()
	os.Exit(code)
}

type tab struct {
	t         *testing.T
	ctx       context.Context
	url       string
	leftPages int
}

// openTab opens a tab in a new browser profile.
func (s *service) openTab(t *testing.T) *tab {
	t.Helper()
	return &tab{t: t, ctx: sharedChromium.Open(t), url: s.url}
}

func sendDevTools[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	return browsertest.Command(b.t, b.ctx, c, params)
}

// withoutScript disables the scripts of pages. Expressions of the test still run.
func (b *tab) withoutScript() *tab {
	b.t.Helper()
	sendDevTools(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	return b
}

func (b *tab) setLanguageAndAgent(language, agent string) *tab {
	b.t.Helper()
	sendDevTools(b, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: agent, AcceptLanguage: language})
	return b
}

func tryEvaluate[T any](b *tab, expression string, args ...any) (T, error) {
	return browsertest.Evaluate[T](b.ctx, expression, args...)
}

func evaluate[T any](b *tab, expression string, args ...any) T {
	b.t.Helper()
	value, err := tryEvaluate[T](b, expression, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// waitUntil evaluates the expression repeatedly until it is true. Errors are ignored, because the page may change
// during an evaluation. The test fails after pageTimeout.
func (b *tab) waitUntil(what, expression string, args ...any) {
	b.t.Helper()
	var (
		met bool
		err error
	)
	for end := time.Now().Add(pageTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if met, err = tryEvaluate[bool](b, expression, args...); met {
			return
		}
	}
	b.t.Fatalf("timeout while waiting for: %s (%v). %s shows:\n%s", what, err, b.currentAddress(), b.visibleText())
}

// visit opens a path of the server, or a whole URL.
func (b *tab) visit(path string) {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.url + path
	}
	b.leavePage(func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.Navigate(path)) })
}

// leavePage waits for the page that the action opens.
func (b *tab) leavePage(action func(context.Context) error) {
	b.t.Helper()
	b.leftPages++ // a page that comes back from memory has a smaller number
	evaluate[int](b, `(number) => window.left = number`, b.leftPages)
	ctx, cancel := context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	must(b.t, action(ctx))
	b.waitUntil("another page", `(number) => document.readyState === "complete" && window.left !== number`, b.leftPages)
}

func (b *tab) pressBackButton() {
	b.t.Helper()
	history := sendDevTools(b, page.GetNavigationHistory, struct{}{})
	before := history.Entries[history.CurrentIndex-1].ID
	b.leavePage(func(ctx context.Context) error { // a cached page sends no load event
		_, err := chromedp.Call(ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: before})
		return err
	})
}

// currentAddress omits the host and tokens.
func (b *tab) currentAddress() string {
	at, err := tryEvaluate[string](b, `() => location.href.slice(location.origin.length).replace(/token=.*/, "token")`)
	if err != nil {
		return err.Error()
	}
	return at
}

func (b *tab) visibleText() string {
	text, err := tryEvaluate[string](b, `() => document.body?.innerText ?? ""`)
	if err != nil {
		return err.Error()
	}
	return text
}

func (b *tab) wantText(texts ...string) {
	b.t.Helper()
	all := b.visibleText()
	for _, text := range texts {
		if !strings.Contains(all, text) {
			b.t.Fatalf("%q can't be read on %s:\n%s", text, b.currentAddress(), all)
		}
	}
}

func (b *tab) wantNoText(texts ...string) {
	b.t.Helper()
	all := b.visibleText()
	for _, text := range texts {
		if strings.Contains(all, text) {
			b.t.Fatalf("%q can be read on %s:\n%s", text, b.currentAddress(), all)
		}
	}
}

// findElementScript finds a visible field by its label, and a button or a link by its text or its accessible name. A
// section is named by its heading; "" is the whole page.
const findElementScript = `
  const find = (part, kind, words) => {
    const root = part ? [...document.querySelectorAll("section")].find((s) => s.querySelector("h2, h3")?.innerText === part) : document;
    const is = (e) => e.innerText.trim() === words || e.getAttribute("aria-label") === words;
    const all = kind === "field"
      ? [...root?.querySelectorAll("label") ?? []].filter(is).map((label) => label.control)
      : [...root?.querySelectorAll("button, summary, a") ?? []].filter(is);
    return all.find((e) => e.checkVisibility());
  };`

// clickAction returns an action that clicks on the middle of the element, at its position on the screen.
func (b *tab) clickAction(section, kind, label string) func(context.Context) error {
	b.t.Helper()
	point := evaluate[[]float64](b, `(...which) => {`+findElementScript+`
    const found = find(...which);
    if (!found) return [];
    found.scrollIntoView({ block: "center", behavior: "instant" });
    const box = found.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
    const top = document.elementFromPoint(x, y);
    return found === top || found.contains(top) ? [x, y] : [];
  }`, section, kind, label)
	if len(point) != 2 {
		b.t.Fatalf("there is no %s %q to click on in %q of %s:\n%s", kind, label, section, b.currentAddress(),
			b.visibleText())
	}
	return func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.MouseClickXY(point[0], point[1])) }
}

func (b *tab) pressAndLeave(label string) { b.t.Helper(); b.pressAndLeaveIn("", label) }

func (b *tab) pressAndLeaveIn(section, label string) {
	b.t.Helper()
	b.leavePage(b.clickAction(section, "button", label))
}

func (b *tab) pressAndStay(section, label string) {
	b.t.Helper()
	must(b.t, b.clickAction(section, "button", label)(b.ctx))
}

func (b *tab) fillField(label, text string) { b.t.Helper(); b.fillFieldIn("", label, text) }

func (b *tab) fillFieldIn(section, label, text string) {
	b.t.Helper()
	must(b.t, b.clickAction(section, "field", label)(b.ctx))
	evaluate[bool](b, `() => { document.activeElement.select(); return true }`)
	sendDevTools(b, input.InsertText, input.InsertTextParams{Text: text})
	if got := evaluate[string](b, `() => document.activeElement.value`); got != text {
		b.t.Fatalf("%s holds %q, want %q", label, got, text)
	}
}

func (b *tab) pressKeys(keys string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	must(b.t, chromedp.Do(ctx, chromedp.KeyEvent(keys)))
}

func (b *tab) cookiesByName() map[string]*network.Cookie {
	b.t.Helper()
	all := map[string]*network.Cookie{}
	for _, cookie := range sendDevTools(b, network.GetCookies,
		network.GetCookiesParams{URLs: []string{b.url}}).Cookies {
		all[cookie.Name] = cookie
	}
	return all
}

func (b *tab) signUp(email string) {
	b.t.Helper()
	b.visit("/signup")
	b.fillField("Email address", email)
	b.fillField("Name", "Ada")
	b.fillField("Password", goodPassword)
	b.pressAndLeave("Create account")
	b.wantText("Your account", "Signed in as "+email)
}

func (b *tab) signIn(email, password string) {
	b.t.Helper()
	b.visit("/login")
	b.fillField("Email address", email)
	b.fillField("Password", password)
	b.pressAndLeave("Sign in")
}

// openMailLink pastes the link into the field of the page if scripts are disabled.
func (b *tab) openMailLink(path string, m watchword.Message) {
	b.t.Helper()
	link := b.url + path + "#token=" + string(m.Token)
	b.visit(link)
	if evaluate[bool](b, `() => !document.querySelector("form .token").hidden`) {
		b.fillField("Link or code from the email", link)
	} else if at := b.currentAddress(); at != path {
		b.t.Errorf("the address bar shows %s", at)
	}
}

// awaitMail returns the newest mail, and removes it from the mailer.
func (p *recordingMailer) awaitMail(t *testing.T, kind watchword.MailKind, to string) watchword.Message {
	t.Helper()
	for end := time.Now().Add(pageTimeout); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		for i, m := range slices.Backward(p.mails) {
			if m.Kind == kind && string(m.To) == to {
				p.mails = slices.Delete(p.mails, i, i+1)
				p.mu.Unlock()
				return m
			}
		}
		p.mu.Unlock()
	}
	t.Fatalf("no %s mail came to %s", kind, to)
	return watchword.Message{}
}
