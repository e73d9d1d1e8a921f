package examples_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/browsertest"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// These tests run the Next.js application on app.example.test, over https. Its users sign in on
// the hosted pages of auth.example.test. With `cookie-domain`, browsers send the refresh cookie to both hosts.

const (
	sharedCookie = "__Secure-watchword"
	accessCookie = "__Host-watchword-access"

	subdomainGrace = time.Second // half as long as the simulated outage
)

type subdomain struct {
	authURL string // origin of the hosted pages
	app     *application
	engine  *watchword.Engine
	mails   *postbox
	cutter  *cuttingProxy
}

// startSubdomain needs a built application. A TLS proxy is in front of the hosted pages and of the application. It
// cuts connections of browsers and of the application.
func startSubdomain(t *testing.T) *subdomain {
	s := &subdomain{mails: &postbox{}, cutter: newCutter(sharedCookie)}
	certificate, authority := certificateFor(t, "auth.example.test", "app.example.test")
	auth, serveAuth := s.serveHTTPS(t, "auth.example.test", certificate)
	app, serveApp := s.serveHTTPS(t, "app.example.test", certificate)
	s.authURL, s.app = auth, &application{url: app}
	t.Cleanup(s.app.chromium.Stop)
	serveAuth(s.startWatchword(t))

	// Node.js must resolve the test's host names to the loopback, as Chromium does. It must also trust the test's
	// certificate.
	names := filepath.Join(t.TempDir(), "names.cjs")
	must(t, os.WriteFile(names, []byte(`const dns = require("node:dns"), { lookup } = dns
dns.lookup = (host, ...more) => lookup(host.endsWith(".test") ? "127.0.0.1" : host, ...more)
`), 0o600))
	port := freePort(t)
	behind := "http://localhost:" + port
	startServer(t, "next", behind, []string{"WATCHWORD_URL=" + auth, "APP_ORIGIN=" + app,
		"REFRESH_COOKIE=" + sharedCookie, "NEXT_TELEMETRY_DISABLED=1",
		"NODE_EXTRA_CA_CERTS=" + authority, "NODE_OPTIONS=--require=" + names},
		"node", "node_modules/next/dist/bin/next", "start", "--port", port, "--hostname", "localhost")
	serveApp(behind)
	return s
}

// startWatchword starts a server without TLS, and returns its address.
func (s *subdomain) startWatchword(t *testing.T) (address string) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "watchword.db"))
	must(t, err)
	s.engine, err = watchword.New(t.Context(), store, watchword.Options{PublicURL: s.authURL, Mailer: s.mails,
		MasterKey: []byte("a master key for tests, 32 bytes"), Limits: watchword.Unlimited(),
		HashQueue: 30 * time.Second, AccessTTL: 10 * time.Second,
		Rotation: watchword.RotationPolicy{Grace: subdomainGrace, Clean: 1}})
	must(t, err)
	edge, err := server.New(s.engine, server.Options{AllowedOrigins: []string{s.app.url}, CookieDomain: "example.test",
		CookieSameSite: http.SameSiteLaxMode, TrustedProxies: []string{"127.0.0.0/8"}})
	must(t, err)
	web := httptest.NewServer(edge)
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { s.engine.Run(ctx) })
	t.Cleanup(func() {
		web.CloseClientConnections() // ends the stream of the feed
		web.Close()
		cancel()
		background.Wait()
		s.engine.Close()
		must(t, store.Close())
	})
	return web.URL
}

// serveHTTPS forwards requests with an unchanged Host header.
func (s *subdomain) serveHTTPS(
	t *testing.T, host string, c tls.Certificate,
) (origin string, serve func(behind string)) {
	t.Helper()
	site := httptest.NewUnstartedServer(nil)
	site.Config.ErrorLog = log.New(io.Discard, "", 0)
	site.Config.SetKeepAlivesEnabled(false) // browsers retry requests on reused connections
	site.TLS = &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
	return "https://" + strings.Replace(site.Listener.Addr().String(), "127.0.0.1", host, 1), func(behind string) {
		target, err := url.Parse(behind)
		must(t, err)
		site.Config.Handler = s.cutter.newReverseProxy(func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			// SetXForwarded appends the client IP to the header that the request already has. The documented reverse
			// proxies do the same.
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetXForwarded()
		})
		site.StartTLS()
		t.Cleanup(func() { site.CloseClientConnections(); site.Close() })
	}
}

// certificateFor creates a certificate for the hosts. It also returns a file with the certificate, for programs that
// must trust it.
func certificateFor(t *testing.T, hosts ...string) (c tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	file = filepath.Join(t.TempDir(), "authority.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// createAccount proves the address, so that a suspected theft would cause a mail, which the test would notice.
func (s *subdomain) createAccount(t *testing.T, email string) {
	t.Helper()
	in, err := s.engine.SignUp(t.Context(), watchword.SignUpRequest{Email: email, Password: password})
	must(t, err)
	link := s.mails.awaitMail(t, watchword.MailVerify)
	_, err = s.engine.VerifyEmail(t.Context(), watchword.MailLinkRequest{
		Token: link.Token, Presented: []watchword.Secret{in.AccessToken}})
	must(t, err)
	must(t, s.engine.Logout(t.Context(), in.RefreshToken, "", watchword.Client{}))
}

// openBrowser opens a new browser that accepts the certificate.
func (s *subdomain) openBrowser(t *testing.T) *tab {
	t.Helper()
	b := &tab{t: t, app: s.app, ctx: s.app.chromium.Open(t)}
	b.trust()
	return b
}

func (b *tab) trust() {
	b.t.Helper()
	ignore := security.SetIgnoreCertificateErrorsParams{Ignore: true}
	browsertest.Command(b.t, b.ctx, security.SetIgnoreCertificateErrors, ignore)
}

func (s *subdomain) signInHosted(b *tab, email string) {
	b.t.Helper()
	b.visit(s.authURL + "/login?return_to=" + url.QueryEscape(s.app.url+"/account"))
	b.fill("Email address", email)
	b.fill("Password", password)
	b.press("Sign in")
	b.awaitText("Your account", email, "this device")
}

// sharedRefreshToken returns the cookie that both hosts receive, or "".
func (b *tab) sharedRefreshToken() string {
	b.t.Helper()
	params := network.GetCookiesParams{URLs: []string{b.app.url}}
	for _, cookie := range browsertest.Command(b.t, b.ctx, network.GetCookies, params).Cookies {
		if cookie.Name == sharedCookie {
			if cookie.Domain != ".example.test" {
				b.t.Errorf("the domain of the refresh cookie is %q", cookie.Domain)
			}
			return cookie.Value
		}
	}
	return ""
}

// deleteAccessTokens deletes the access tokens of the application and of the hosted pages.
func (s *subdomain) deleteAccessTokens(b *tab) {
	b.t.Helper()
	for _, one := range [][2]string{{accessCookie, s.app.url}, {"__Host-watchword-page", s.authURL}} {
		browsertest.Command(b.t, b.ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: one[0], URL: one[1]})
	}
}

func nextOnSubdomain(t *testing.T, _ *application) {
	s := startSubdomain(t)
	const email = "ada@example.com"
	s.createAccount(t, email)
	b := s.openBrowser(t)
	s.signInHosted(b, email)
	if got := b.appCookies(); !slices.Equal(got, []string{accessCookie, sharedCookie}) {
		t.Errorf("cookies of the application after a sign-in: %q", got)
	}
	first := b.sharedRefreshToken()
	s.assertStaysSignedIn(t, b, email)
	s.mails.assertNoMail(t, watchword.MailReuseDetected)

	// A sign-out in the application, or on the hosted pages, must end the session for both.
	b.press("Sign out")
	b.awaitText("You are a visitor.")
	if got := b.appCookies(); len(got) > 0 {
		t.Errorf("cookies of the application after a sign-out: %q", got)
	}
	b.visit(s.authURL + "/account")
	b.awaitText("Forgot your password?")
	s.signInHosted(b, email)
	b.visit(s.authURL + "/account")
	b.press("Sign out")
	b.awaitText("Forgot your password?")
	start := time.Now()
	b.visit(s.app.url)
	b.awaitTrue("the application knows the sign-out",
		`() => document.body.innerText.includes("You are a visitor.")`, b.reload)
	t.Logf("the application knew the sign-out after %s", time.Since(start).Round(time.Millisecond))

	s.assertTheftIsNoticed(t, b, email, first)
}

// assertStaysSignedIn loses responses: first at random, then all of them for longer than the grace period, then at
// random again. The first tab renders eight pages of the application at a time. The second tab renders the hosted
// account page. In the third tab, a script of the application refreshes by itself.
func (s *subdomain) assertStaysSignedIn(t *testing.T, b *tab, email string) {
	t.Helper()
	hosted, script := b.openTab(), b.openTab()
	tabs := []*tab{b, hosted, script}
	hosted.trust()
	hosted.visit(s.authURL + "/account")
	script.trust()
	script.visit(s.app.url + "/api/me")
	var sum responseCounts
	for _, phase := range []struct {
		share float64
		time  time.Duration
	}{{0.4, 2 * time.Second}, {1, 2 * subdomainGrace}, {0.4, 2 * time.Second}} {
		s.cutter.setCutShare(phase.share)
		s.deleteAccessTokens(b)
		results := make([]responseCounts, len(tabs))
		var all sync.WaitGroup
		for i, tab := range tabs {
			all.Go(func() {
				switch tab {
				case hosted:
					pages := map[string]string{"/account": email}
					results[i] = evaluate[responseCounts](tab, loadScript, pages, phase.time.Milliseconds())
				case script:
					url := s.authURL + "/api/auth/refresh"
					results[i] = evaluate[responseCounts](tab, refreshScript, url, phase.time.Milliseconds())
				default:
					results[i] = evaluate[responseCounts](tab, loadScript, nextPages, phase.time.Milliseconds())
				}
			})
		}
		for end := time.Now().Add(phase.time - time.Second); time.Now().Before(end); time.Sleep(time.Second / 2) {
			s.deleteAccessTokens(b)
		}
		all.Wait()
		for _, one := range results {
			sum = sum.plus(one)
		}
	}
	s.cutter.setCutShare(0)
	// The application may respond 503, because its own request to Watchword and the retry can both be lost.
	wrong := slices.DeleteFunc(sum.Wrong, func(one string) bool { return strings.HasPrefix(one, "503 "+s.app.url) })
	t.Logf("%d pages shown, %d requests lost, %d responses 503, %d cuts, %d lost refresh tokens, %d rotations",
		sum.Shown, sum.Lost, len(sum.Wrong)-len(wrong), s.cutter.cuts, s.cutter.lostTokens, len(s.cutter.refreshTokens))
	if len(wrong) > 0 {
		t.Errorf("%d pages were wrong, such as %s", len(wrong), wrong[0])
	}
	if sum.Shown < 20 || sum.Lost < 20 || s.cutter.lostTokens < 5 || len(s.cutter.refreshTokens) < 4 {
		t.Error("that is too little for a test")
	}
	hosted.visit(s.authURL + "/account")
	hosted.awaitText("Signed in as " + email)
	b.visit(s.app.url + "/account")
	b.awaitText("Your account", email)
}

// refreshScript refreshes repeatedly, as the client does in a script of the application.
const refreshScript = `async (url, milliseconds) => {
  const tally = { shown: 0, lost: 0, wrong: [] };
  for (const end = performance.now() + milliseconds; performance.now() < end;) {
    try {
      const response = await fetch(url, { method: "POST", credentials: "include" });
      const { accessToken } = await response.json();
      if (accessToken) tally.shown++;
      else tally.wrong.push(response.status + " " + response.url);
    } catch { tally.lost++ }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 800));
  }
  return tally;
}`

// assertTheftIsNoticed sends an old refresh token from another program, as a thief would. The server must send a mail
// and end the session. This proves that assertStaysSignedIn would have noticed a suspected theft.
func (s *subdomain) assertTheftIsNoticed(t *testing.T, b *tab, email, first string) {
	t.Helper()
	s.signInHosted(b, email)
	old := b.sharedRefreshToken()
	if old == first {
		t.Fatal("the sign-in did not start a session")
	}
	for range 3 {
		s.deleteAccessTokens(b)
		b.reload()
		b.awaitText("Your account", email)
	}
	time.Sleep(subdomainGrace)
	_, err := s.engine.Refresh(t.Context(), watchword.Secret(old), watchword.Client{UserAgent: "curl/8.5.0"})
	if err == nil {
		t.Error("an old token was accepted")
	}
	s.mails.awaitMail(t, watchword.MailReuseDetected)
	b.awaitTrue("the browser is signed out", `() => !document.body.innerText.includes("Sign out")`, b.reload)
}

type postbox struct {
	mu    sync.Mutex
	mails []watchword.Message
}

func (p *postbox) Send(_ context.Context, m watchword.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, m)
	return nil
}

func (p *postbox) findMail(kind watchword.MailKind) (watchword.Message, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.mails, func(m watchword.Message) bool { return m.Kind == kind })
	if i < 0 {
		return watchword.Message{}, false
	}
	return p.mails[i], true
}

func (p *postbox) awaitMail(t *testing.T, kind watchword.MailKind) watchword.Message {
	t.Helper()
	for end := time.Now().Add(browsertest.Timeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m, found := p.findMail(kind); found {
			return m
		}
	}
	t.Fatalf("no mail %s was sent", kind)
	return watchword.Message{}
}

func (p *postbox) assertNoMail(t *testing.T, kind watchword.MailKind) {
	t.Helper()
	if _, found := p.findMail(kind); found {
		t.Errorf("a mail %s was sent", kind)
	}
}
