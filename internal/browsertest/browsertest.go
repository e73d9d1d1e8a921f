// Package browsertest runs a real Chromium for tests: one process for those that share
// it, and for each person a context with cookies, cache and history of its own.
//
// It knows Chromium and nothing of the pages that are looked at.
package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// Skip is the environment variable that lets tests run without Chromium when it is
// "skip". CI never sets it.
const Skip = "WATCHWORD_TEST_BROWSER"

// Pictures is the environment variable that names a folder for pictures of the pages,
// for a person to look at.
const Pictures = "WATCHWORD_TEST_PICTURES"

// Patience is how long a page may take on a machine that is busy with other tests.
const Patience = 30 * time.Second

// A Chromium is one process. It starts when the first page is opened; Stop ends it.
type Chromium struct {
	once sync.Once
	ctx  context.Context
	stop func()
	err  error
	said bytes.Buffer
}

// Open opens a tab in a browser that has not been anywhere before. It is the parent of
// further tabs of the same person.
func (c *Chromium) Open(t testing.TB, options ...chromedp.CreateBrowserContextOption) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: pages are not opened in a browser")
	}
	if os.Getenv(Skip) == "skip" {
		t.Skip(Skip + "=skip: nothing is known about the pages in a browser")
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("chromium is missing: install the Debian package chromium, or set %s=skip", Skip)
	}
	c.once.Do(func() { c.start(program) })
	if c.err != nil {
		t.Fatalf("start chromium: %v\n%s", c.err, c.said.String())
	}
	return Tab(t, c.ctx, chromedp.WithNewBrowserContext(options...))
}

// Stop ends the process, if there is one.
func (c *Chromium) Stop() {
	if c.stop != nil {
		c.stop()
	}
}

func (c *Chromium) start(program string) {
	ctx, end := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.CombinedOutput(&c.said),
		chromedp.Flag("lang", "en-US"), chromedp.Flag("accept-lang", "en-US"), chromedp.Flag("hide-scrollbars", true),
		// To a browser the loopback is safe without TLS; these names lead there and are not.
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
		// Words and times are the same on every machine.
		chromedp.Env("TZ=UTC", "LANG=en_US.UTF-8", "LANGUAGE=en"))...)
	ctx, leave := chromedp.NewContext(ctx)
	c.ctx, c.stop = ctx, func() { leave(); end() }
	c.err = chromedp.Do(ctx)
}

// Tab opens another tab beside one that is open. It is closed when the test ends.
func Tab(t testing.TB, beside context.Context, options ...chromedp.ContextOption) context.Context {
	t.Helper()
	ctx, end := chromedp.NewContext(beside, options...)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil { // its first run: the life of the tab is that of ctx
		t.Fatal(err)
	}
	Command(t, ctx, network.Enable, network.EnableParams{})
	Command(t, ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return ctx
}

// Command is one command of the DevTools protocol.
func Command[P, R any](t testing.TB, tab context.Context, c cdp.Command[P, R], params P) R {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, Patience)
	defer cancel()
	result, err := chromedp.Call(ctx, c, params)
	if err != nil {
		t.Fatalf("%s: %v", c.Method, err)
	}
	return result
}

// Look calls a function of JavaScript in the page, and waits for its promise.
func Look[T any](tab context.Context, function string, args ...any) (T, error) {
	ctx, cancel := context.WithTimeout(tab, Patience)
	defer cancel()
	text, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		return *new(T), err
	}
	return chromedp.Run(ctx, chromedp.Evaluate[T]("("+function+")(..."+string(text)+")", chromedp.EvalAwaitPromise))
}

// Views shows the page on a desktop and on a phone, in light and in dark, and calls look
// in each view, such as "phone-dark". The test fails where something of the page goes
// beyond the edge. Pictures are called after the page and the view.
func Views(t testing.TB, tab context.Context, name string, look func(view string)) {
	t.Helper()
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"phone", 360, 740}, {"desktop", 1200, 800}} {
		Command(t, tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: screen.width, Height: screen.height, DeviceScaleFactor: 1, Mobile: screen.width < 600})
		beyond, err := Look[[]string](tab, `(width) => { scrollTo(0, 0); return [...document.querySelectorAll("body, body *")].filter((e) =>
      e.checkVisibility() && e.getBoundingClientRect().right > width + 0.5).map((e) => e.outerHTML.slice(0, 200)) }`, screen.width)
		if err != nil || len(beyond) > 0 {
			t.Errorf("%s goes beyond the edge of a %s: %q %v", name, screen.name, beyond, err)
		}
		for _, scheme := range []string{"dark", "light"} {
			Command(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			view := screen.name + "-" + scheme
			if dir := os.Getenv(Pictures); dir != "" {
				takePicture(t, tab, filepath.Join(dir, name+"-"+view+".png"), screen.width)
			}
			look(view)
		}
	}
}

// takePicture takes the whole page, or of a very long one its beginning.
func takePicture(t testing.TB, tab context.Context, file string, width int64) {
	t.Helper()
	height, err := Look[float64](tab, `() => Math.min(document.documentElement.scrollHeight, 3000)`)
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
