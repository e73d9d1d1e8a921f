// Package browsertest runs a real Chromium for tests. Tests share one process. Each
// simulated user has a separate browser context with its own cookies, cache and
// history.
//
// It does not know the tested pages.
package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Skip names the environment variable that skips browser tests when its value is
// "skip". CI never sets it.
const Skip = "WATCHWORD_TEST_BROWSER"

// Pictures names the environment variable with the folder for screenshots of the pages.
const Pictures = "WATCHWORD_TEST_PICTURES"

// Timeout is the maximum time for a step in a page, on a machine busy with other tests.
const Timeout = 30 * time.Second

// A Chromium is one browser process. The first call of Open starts it, and Stop ends
// it.
type Chromium struct {
	// Preferences are settings of the user in the JSON format of a Chromium profile, such as
	// ThirdPartyCookiesBlocked. Default: the settings of a new profile.
	Preferences string

	once sync.Once
	ctx  context.Context
	stop func()
	err  error
	log  bytes.Buffer // standard output and standard error
}

// Preferences about third-party cookies. The defaults of a new profile depend on the
// version and on the kind of browser context, so a test of third-party cookies must set
// one of these.
const (
	ThirdPartyCookiesAllowed = `{"profile": {"cookie_controls_mode": 0}}`
	ThirdPartyCookiesBlocked = `{"profile": {"cookie_controls_mode": 1}}`
)

// Require skips the test in short mode, or if the variable Skip is "skip". A test with slow preparation, such as
// installing packages, calls Require first.
func Require(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: browser tests are skipped")
	}
	if os.Getenv(Skip) == "skip" {
		t.Skip(Skip + "=skip: browser tests are skipped")
	}
}

// Open opens a tab in a new, empty browser context and returns the context.Context of the tab. Pass it to Tab to open
// further tabs of the same user. Open calls Require.
func (c *Chromium) Open(t testing.TB, options ...chromedp.CreateBrowserContextOption) context.Context {
	t.Helper()
	Require(t)
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("chromium is missing: install the Debian package chromium, or set %s=skip", Skip)
	}
	c.once.Do(func() { c.start(program) })
	if c.err != nil {
		t.Fatalf("start chromium: %v\n%s", c.err, c.log.String())
	}
	return Tab(t, c.ctx, chromedp.WithNewBrowserContext(options...))
}

// Stop ends the process if it was started.
func (c *Chromium) Stop() {
	if c.stop != nil {
		c.stop()
	}
}

func (c *Chromium) start(program string) {
	profile, err := c.createProfile()
	if err != nil {
		c.err = err
		return
	}
	ctx, end := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(profile),
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.CombinedOutput(&c.log),
		chromedp.Flag("lang", "en-US"), chromedp.Flag("accept-lang", "en-US"), chromedp.Flag("hide-scrollbars", true),
		// Browsers treat loopback addresses as secure without TLS. Tests of insecure
		// origins need other names for 127.0.0.1.
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
		// Texts and times must be the same on every machine.
		chromedp.Env("TZ=UTC", "LANG=en_US.UTF-8", "LANGUAGE=en"))...)
	ctx, cancel := chromedp.NewContext(ctx)
	c.ctx, c.stop = ctx, func() { cancel(); end(); _ = os.RemoveAll(profile) }
	c.err = startBrowserOrTab(ctx, c.stop)
}

// startBrowserOrTab calls end if the start takes longer than Timeout. ctx itself has no deadline, because the browser
// and the tab live until ctx ends.
func startBrowserOrTab(ctx context.Context, end func()) error {
	limit := time.AfterFunc(Timeout, end)
	err := chromedp.Do(ctx)
	if !limit.Stop() {
		return fmt.Errorf("not ready after %s: %v", Timeout, err)
	}
	return err
}

func (c *Chromium) createProfile() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "watchword-chromium-"); err != nil || c.Preferences == "" {
		return dir, err
	}
	settings := filepath.Join(dir, "Default", "Preferences")
	return dir, errors.Join(os.Mkdir(filepath.Dir(settings), 0o700), os.WriteFile(settings, []byte(c.Preferences), 0o600))
}

// Tab opens a new tab in the browser context of openTab, which is the context.Context of an open tab. The new tab
// closes when the test ends.
func Tab(t testing.TB, openTab context.Context, options ...chromedp.ContextOption) context.Context {
	t.Helper()
	ctx, end := chromedp.NewContext(openTab, options...)
	t.Cleanup(end)
	if err := startBrowserOrTab(ctx, end); err != nil {
		t.Fatal(err)
	}
	Command(t, ctx, network.Enable, network.EnableParams{})
	Command(t, ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return ctx
}

// Command runs a command of the DevTools protocol and returns its result.
func Command[P, R any](t testing.TB, tab context.Context, c cdp.Command[P, R], params P) R {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, Timeout)
	defer cancel()
	result, err := chromedp.Call(ctx, c, params)
	if err != nil {
		t.Fatalf("%s: %v", c.Method, err)
	}
	return result
}

// Evaluate calls a JavaScript function in the page with args, encoded as JSON. If the function returns a promise,
// Evaluate waits for its result.
func Evaluate[T any](tab context.Context, function string, args ...any) (T, error) {
	ctx, cancel := context.WithTimeout(tab, Timeout)
	defer cancel()
	text, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		return *new(T), err
	}
	return chromedp.Run(ctx, chromedp.Evaluate[T]("("+function+")(..."+string(text)+")", chromedp.EvalAwaitPromise))
}

// InEachView shows the page on a phone and a desktop screen, in dark and light mode, and
// calls checkView with each view, such as "phone-dark". The test fails if an element extends
// beyond the right edge. Screenshots are named after the page and the view.
func InEachView(t testing.TB, tab context.Context, name string, checkView func(view string)) {
	t.Helper()
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"phone", 360, 740}, {"desktop", 1200, 800}} {
		Command(t, tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: screen.width, Height: screen.height, DeviceScaleFactor: 1, Mobile: screen.width < 600})
		beyond, err := Evaluate[[]string](tab, `(width) => { scrollTo(0, 0); return [...document.querySelectorAll("body, body *")].filter((e) =>
      e.checkVisibility() && e.getBoundingClientRect().right > width + 0.5).map((e) => e.outerHTML.slice(0, 200)) }`, screen.width)
		if err != nil || len(beyond) > 0 {
			t.Errorf("%s extends beyond the edge of a %s screen: %q %v", name, screen.name, beyond, err)
		}
		for _, scheme := range []string{"dark", "light"} {
			Command(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			view := screen.name + "-" + scheme
			if dir := os.Getenv(Pictures); dir != "" {
				takeScreenshot(t, tab, filepath.Join(dir, name+"-"+view+".png"), screen.width)
			}
			checkView(view)
		}
	}
}

// takeScreenshot saves a picture of the page, which is at most 3,000 pixels high.
func takeScreenshot(t testing.TB, tab context.Context, file string, width int64) {
	t.Helper()
	height, err := Evaluate[float64](tab, `() => Math.min(document.documentElement.scrollHeight, 3000)`)
	if err != nil {
		t.Fatal(err)
	}
	whole := true
	picture := Command(t, tab, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole,
		Clip: &page.Viewport{Width: float64(width), Height: height, Scale: 1}}).Data
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, picture, 0o644)); err != nil {
		t.Fatal(err)
	}
}
