package examples_test

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/watchword-auth/watchword/internal/browsertest"
)

// Helpers for tests of applications that render on their server. In these tests, a proxy drops responses to the
// browser.

// A cuttingProxy is between one browser and an application. It can cut a connection at three moments: before the
// request arrives, in place of the response, or within the response.
type cuttingProxy struct {
	url           string
	refreshCookie string // the cookie's name

	mu            sync.Mutex
	random        *rand.Rand
	cutShare      float64 // of the requests, from 0 to 1
	refreshTokens map[string]bool
	cuts          int
	lostTokens    int // responses with a new refresh token that did not arrive
}

const cutMoments = 3 // number of moments at which the proxy can cut a connection

type cutKey struct{}

func newCuttingProxy(t *testing.T, app string) *cuttingProxy {
	t.Helper()
	c := newCutter("watchword-session")
	forward := c.newReverseProxy(func(*httputil.ProxyRequest) {}) // the request already has the complete URL
	listener := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if "http://"+r.URL.Host != app {
			w.WriteHeader(http.StatusForbidden) // the browser itself sends such requests, not the page
			return
		}
		forward.ServeHTTP(w, r)
	}))
	listener.Config.ErrorLog = log.New(io.Discard, "", 0)
	listener.Config.SetKeepAlivesEnabled(false) // browsers retry requests on reused connections
	listener.Start()
	t.Cleanup(listener.Close)
	c.url = listener.URL
	return c
}

func newCutter(cookie string) *cuttingProxy {
	random := rand.New(rand.NewPCG(14, 1)) //nolint:gosec // a fixed seed, so each run makes the same cuts
	return &cuttingProxy{refreshCookie: cookie, random: random, refreshTokens: map[string]bool{}}
}

func (c *cuttingProxy) newReverseProxy(rewrite func(*httputil.ProxyRequest)) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      &http.Transport{},
		ErrorLog:       log.New(io.Discard, "", 0),
		ModifyResponse: c.respond,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		way := c.chooseCut(r)
		if way == 0 {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), cutKey{}, way)))
	})
}

// chooseCut returns 0 for a cut before the request arrives, 1 in place of the response, and 2 within the response.
// Other values mean no cut. Scripts and styles are never cut. Of the requests to the API, only refreshes are cut.
func (c *cuttingProxy) chooseCut(r *http.Request) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	isSpared := strings.HasPrefix(r.URL.Path, "/_") || strings.HasPrefix(r.URL.Path, "/api/auth/") && !isRefresh(r)
	if isSpared || c.random.Float64() >= c.cutShare {
		return cutMoments
	}
	c.cuts++
	if c.cutShare == 1 {
		return 1 // an outage: every request is processed, but the browser gets no response
	}
	return c.random.IntN(cutMoments)
}

func (c *cuttingProxy) respond(response *http.Response) error {
	way, _ := response.Request.Context().Value(cutKey{}).(int)
	for _, cookie := range response.Cookies() {
		if cookie.Name == c.refreshCookie && cookie.Value != "" {
			c.count(cookie.Value, way == 1)
		}
	}
	switch way {
	case 1:
		panic(http.ErrAbortHandler)
	case 2:
		response.Body = &cutBody{ReadCloser: response.Body, bytesLeft: 100}
	}
	return nil
}

func (c *cuttingProxy) count(token string, isLost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refreshTokens[token] = true
	if isLost {
		c.lostTokens++
	}
}

func (c *cuttingProxy) setCutShare(share float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutShare = share
}

// A cutBody fails in the middle of a response, so that the proxy cuts the connection.
type cutBody struct {
	io.ReadCloser
	bytesLeft int
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.bytesLeft == 0 {
		return 0, errors.New("cut")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.bytesLeft)])
	b.bytesLeft -= n
	return n, err
}

func (a *application) openThroughCutter(t *testing.T) (*tab, *cuttingProxy) {
	t.Helper()
	c := newCuttingProxy(t, a.url)
	return &tab{t: t, app: a, ctx: a.chromium.Open(t, func(p *target.CreateBrowserContextParams) {
		p.ProxyServer, p.ProxyBypassList = c.url, "<-loopback>"
	})}, c
}

// appCookies returns the sorted names of the application's cookies. It fails the test if scripts can read one.
func (b *tab) appCookies() []string {
	b.t.Helper()
	var names []string
	urls := network.GetCookiesParams{URLs: []string{b.app.url}}
	for _, cookie := range browsertest.Command(b.t, b.ctx, network.GetCookies, urls).Cookies {
		if !cookie.HTTPOnly {
			b.t.Errorf("scripts can read the cookie %s", cookie.Name)
		}
		names = append(names, cookie.Name)
	}
	slices.Sort(names)
	return names
}

// deleteAccessToken does what the browser does when the token expires.
func (b *tab) deleteAccessToken() {
	b.t.Helper()
	browsertest.Command(b.t, b.ctx, network.DeleteCookies,
		network.DeleteCookiesParams{Name: "watchword-access", URL: b.app.url})
}

func (b *tab) sessionToken() string {
	b.t.Helper()
	urls := network.GetCookiesParams{URLs: []string{b.app.url}}
	for _, cookie := range browsertest.Command(b.t, b.ctx, network.GetCookies, urls).Cookies {
		if cookie.Name == "watchword-session" {
			return cookie.Value
		}
	}
	b.t.Fatal("the browser has no session cookie")
	return ""
}

// responseCounts are the results of loadScript. Lost counts the requests without a response.
type responseCounts struct {
	Shown, Lost int
	Wrong       []string
}

// loadScript repeatedly requests all pages at the same time, and checks the text of each page.
const loadScript = `async (pages, milliseconds) => {
  const tally = { shown: 0, lost: 0, wrong: [] };
  const end = performance.now() + milliseconds;
  const pause = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 400));
  await Promise.all(Object.entries(pages).flatMap((page) => [page, page]).map(async ([path, text]) => {
    while (performance.now() < end) {
      try {
        const response = await fetch(path, { cache: "no-store" });
        const body = await response.text();
        if (response.status === 200 && body.includes(text)) tally.shown++;
        else tally.wrong.push(response.status + " " + response.url);
      } catch { tally.lost++ }
      await pause();
    }
  }));
  return tally;
}`

// assertStaysSignedIn loses responses at random, then all of them for longer than the grace period, then at random
// again. SOAK_DURATION is how long the test repeats this. The user's address is proven, so that a suspected theft
// would cause a mail, which the test would notice.
func assertStaysSignedIn(t *testing.T, a *application, pages map[string]string) {
	const email = "lossy@example.com"
	b, c := a.openThroughCutter(t)
	b.signUpNext(email)
	a.confirmAddress(t, email)
	first := b.sessionToken()
	end := time.Now()
	if text := os.Getenv("SOAK_DURATION"); text != "" {
		duration, err := time.ParseDuration(text)
		must(t, err)
		end = end.Add(duration)
	}
	tabs := []*tab{b, b.openTab()}
	var sum responseCounts
	for once := true; once || time.Now().Before(end); once = false {
		for _, phase := range []struct {
			share float64
			time  time.Duration
		}{{0.4, 7 * time.Second}, {1, 12 * time.Second}, {0.4, 7 * time.Second}} {
			if c.setCutShare(phase.share); phase.share < 1 {
				for _, tab := range tabs {
					tab.visitWithRetry(a.url + "/account")
				}
			}
			b.deleteAccessToken()
			sum = sum.plus(runLoad(tabs, pages, phase.time, phase.share < 1))
		}
	}
	c.setCutShare(0)
	b.visit(a.url + "/account")
	b.awaitText("Your account", email)
	t.Logf("%d pages shown, %d requests lost, %d cuts, %d lost refresh tokens, %d rotations", sum.Shown, sum.Lost,
		c.cuts, c.lostTokens, len(c.refreshTokens))
	if len(sum.Wrong) > 0 {
		t.Errorf("%d pages were wrong, such as %s", len(sum.Wrong), sum.Wrong[0])
	}
	if sum.Shown < 20 || sum.Lost < 20 || c.lostTokens < 5 || len(c.refreshTokens) < 5 {
		t.Error("that is too little for a test")
	}
	a.assertEventCount(t, email, "refresh_reused", 0)
	if a.countTheftMails(t, email) != 0 {
		t.Error("a theft mail was sent")
	}
	a.assertTheftIsNoticed(t, b, first, email)
}

func (s responseCounts) plus(other responseCounts) responseCounts {
	return responseCounts{s.Shown + other.Shown, s.Lost + other.Lost, append(s.Wrong, other.Wrong...)}
}

// runLoad runs loadScript in each tab, and adds the counts. If deletesToken is set, runLoad deletes the access token
// every second, as if it had expired.
func runLoad(tabs []*tab, pages map[string]string, duration time.Duration, deletesToken bool) (sum responseCounts) {
	tallies := make([]responseCounts, len(tabs))
	var all sync.WaitGroup
	for i, tab := range tabs {
		all.Go(func() { tallies[i] = evaluate[responseCounts](tab, loadScript, pages, duration.Milliseconds()) })
	}
	end := time.Now().Add(duration - time.Second)
	for ; deletesToken && time.Now().Before(end); time.Sleep(time.Second) {
		tabs[0].deleteAccessToken()
	}
	all.Wait()
	for _, one := range tallies {
		sum = sum.plus(one)
	}
	return sum
}

func (b *tab) visitWithRetry(where string) {
	b.t.Helper()
	var err error
	for end := time.Now().Add(browsertest.Timeout); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(b.ctx, browsertest.Timeout)
		err = chromedp.Do(ctx, chromedp.Navigate(where))
		cancel()
		if err == nil {
			return
		}
	}
	b.t.Fatalf("%s: %v", where, err)
}

func (a *application) confirmAddress(t *testing.T, email string) {
	t.Helper()
	row := regexp.MustCompile(`href="(/dev/mail/[^"]+)">Confirm[^<]*</a></td><td>` + regexp.QuoteMeta(email))
	var path []string
	for end := time.Now().Add(browsertest.Timeout); path == nil; time.Sleep(50 * time.Millisecond) {
		if path = row.FindStringSubmatch(a.text(t, "/dev/mail")); path == nil && time.Now().After(end) {
			t.Fatal("no mail asks to confirm the address")
		}
	}
	token := regexp.MustCompile(`token=(wwm_[\w-]+)`).FindStringSubmatch(a.text(t, path[1]))
	if token == nil {
		t.Fatal("the mail has no link")
	}
	body := `{"token":"` + token[1] + `","password":"` + password + `","delivery":"body"}`
	process{a.server}.post(t, "/api/auth/email/verify", "", body, nil)
}

// countTheftMails counts the mails that tell the user that a copied session was ended.
func (a *application) countTheftMails(t *testing.T, email string) int {
	t.Helper()
	row := regexp.MustCompile(`>We signed you out [^<]*</a></td><td>` + regexp.QuoteMeta(email))
	return len(row.FindAllString(a.text(t, "/dev/mail"), -1))
}

func (a *application) text(t *testing.T, path string) string {
	t.Helper()
	status, _, body := process{a.server}.getWithToken(t, path, "")
	if status != http.StatusOK {
		t.Fatalf("%s: %d", path, status)
	}
	return body
}

// assertTheftIsNoticed sends an old refresh token, as a thief would. The server must send a mail and end the session.
// This proves that assertStaysSignedIn would have noticed a suspected theft.
func (a *application) assertTheftIsNoticed(t *testing.T, b *tab, oldToken, email string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", a.server+"/api/auth/refresh",
		strings.NewReader(`{"refreshToken":"`+oldToken+`"}`))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("an old token: %s", response.Status)
	}
	end := time.Now().Add(browsertest.Timeout)
	for ; a.countTheftMails(t, email) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no mail tells the user about the theft")
		}
	}
	b.awaitTrue("the browser is signed out", `() => !document.body.innerText.includes("Sign out")`, b.reload)
}
