// Package browsertest runs a real Chromium for tests: one process for those that share
// it, and for each person a context with cookies, cache and history of its own.
//
// It knows Chromium and nothing of the pages that are looked at.
package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Skip is the environment variable that lets tests run without Chromium when it is
// "skip". CI never sets it.
const Skip = "WATCHWORD_TEST_BROWSER"

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
