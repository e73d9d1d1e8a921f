// Package dialecttest starts a server with the dialects users and lesson for tests, and compares its responses with
// tables.
package dialecttest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/dialect/lesson"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// FrontEnd is the origin that may call the server.
const FrontEnd = "http://localhost:3000"

// A Service is a complete server on a real port with a real SQLite file.
type Service struct {
	URL    string
	Engine *watchword.Engine
	Store  *sqlite.Store
	Mails  *Postbox
	Folder string // of the database
}

// Start starts a server with the dialects users and lesson. It runs changeOptions on the engine options, unless
// changeOptions is nil.
func Start(t *testing.T, changeOptions func(*watchword.Options)) *Service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &Service{URL: "http://" + listener.Addr().String(), Mails: &Postbox{}}
	path := sqlitetest.Path(t, sqlite.Migrate)
	s.Folder = filepath.Dir(path)
	s.Store, err = sqlite.Open(t.Context(), path)
	must(t, err)
	options := watchword.Options{
		PublicURL:   s.URL,
		LinkOrigins: []string{FrontEnd},
		Mailer:      s.Mails,
		MasterKey:   []byte("a master key for tests, 32 bytes"),
		Limits:      watchword.Unlimited(),
		HashWorkers: 2,
		HashQueue:   time.Minute,
	}
	if changeOptions != nil {
		changeOptions(&options)
	}
	s.Engine, err = watchword.New(t.Context(), s.Store, options)
	must(t, err)
	one, err := users.New(s.Engine, users.Options{})
	must(t, err)
	other, err := lesson.New(s.Engine, lesson.Options{})
	must(t, err)
	edge, err := server.New(s.Engine, server.Options{
		PublicURL:      options.PublicURL,
		AllowedOrigins: []string{FrontEnd},
		Dialects:       []dialect.Dialect{one, other},
		Log:            options.Log,
	})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Engine.Run(ctx) })
	web := &http.Server{Handler: edge, ReadHeaderTimeout: time.Minute, ConnContext: server.WithLengths}
	running.Go(func() { _ = web.Serve(server.WatchLengths(listener)) })
	t.Cleanup(func() {
		_ = web.Close()
		stop()
		running.Wait()
		s.Engine.Close()
		_ = s.Store.Close()
	})
	return s
}

// Prove marks an address as verified. Only verified addresses receive notices.
func (s *Service) Prove(t *testing.T, email watchword.Address) {
	t.Helper()
	must(t, s.Store.Update(t.Context(), func(tx watchword.Tx) error {
		user, err := tx.UserByEmail(t.Context(), email)
		if err == nil {
			_, err = tx.SetVerified(t.Context(), user.ID, email, time.Now())
		}
		return err
	}))
}

// A Client is a front-end in a separate browser.
type Client struct {
	http.Client
	t       *testing.T
	service *Service

	// Vars has the values that replace each {name} in requests and expected responses. In an expected response, a
	// {name} without a value matches any value, and the matched text becomes its value.
	Vars map[string]string
}

// Client returns a Client without cookies.
func (s *Service) Client(t *testing.T) *Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &Client{Client: http.Client{Jar: jar}, t: t, service: s, Vars: map[string]string{"url": s.URL}}
}

// Cookie returns the value of a cookie in the browser, or "".
func (c *Client) Cookie(name string) string {
	c.t.Helper()
	url, err := url.Parse(c.service.URL)
	must(c.t, err)
	for _, cookie := range c.Jar.Cookies(url) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// An Exchange is one row of a table: a request and the expected response.
type Exchange struct {
	Name    string
	Request string   // method and path
	Headers []string // pairs of name and value; "" removes a header; default Origin: FrontEnd
	Body    string   // JSON

	Status int
	Answer string            // the whole body; * matches any text
	Want   map[string]string // complete values of headers; "" means absent
}

// An Answer is a response and its body.
type Answer struct {
	*http.Response
	Body string
}

// Do sends one request as a script of the front-end does, and reads the answer.
func (c *Client) Do(x Exchange) Answer {
	c.t.Helper()
	method, path, _ := strings.Cut(c.fill(x.Request), " ")
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.service.URL+path, strings.NewReader(c.fill(x.Body)))
	must(c.t, err)
	r.Header.Set("Origin", FrontEnd)
	r.Header.Set("Sec-Fetch-Site", "same-site")
	if x.Body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(x.Headers); i += 2 {
		r.Header.Del(x.Headers[i])
		if x.Headers[i+1] != "" {
			r.Header.Add(x.Headers[i], c.fill(x.Headers[i+1]))
		}
	}
	response, err := c.Client.Do(r)
	must(c.t, err)
	defer response.Body.Close() //nolint:errcheck // the body was read
	body, err := io.ReadAll(response.Body)
	must(c.t, err)
	return Answer{response, string(body)}
}

// Run sends the requests in order and compares each response with its row.
func (c *Client) Run(exchanges ...Exchange) {
	c.t.Helper()
	for _, x := range exchanges {
		got := c.Do(x)
		name := x.Name
		if name == "" {
			name = x.Request
		}
		if got.StatusCode != x.Status {
			c.t.Fatalf("%s: %d %s, want %d", name, got.StatusCode, redactTokens(got.Body), x.Status)
		}
		if !c.matchesPattern(x.Answer, got.Body) {
			c.t.Errorf("%s: the body is\n  %s\nwant\n  %s", name,
				redactTokens(got.Body), redactTokens(c.fill(x.Answer)))
		}
		for header, want := range x.Want {
			if all := strings.Join(got.Header.Values(header), " | "); !c.matchesPattern(want, all) {
				c.t.Errorf("%s: %s is\n  %s\nwant\n  %s", name, header, redactTokens(all), redactTokens(c.fill(want)))
			}
		}
		if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Content-Type-Options") != "nosniff" {
			c.t.Errorf("%s: may be kept or guessed at: %v", name, got.Header)
		}
	}
}

var secret = regexp.MustCompile(`(wwr_|wwm_|wwd_|eyJ)[A-Za-z0-9._-]+`)

// redactTokens keeps tokens out of the output of a test.
func redactTokens(text string) string { return secret.ReplaceAllString(text, "$1…") }

var (
	variable    = regexp.MustCompile(`\{[a-zA-Z]+\}`)
	escapedName = regexp.MustCompile(`\\\{[a-zA-Z]+\\\}`) // a {name} after regexp.QuoteMeta
)

func (c *Client) fill(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if value, known := c.Vars[strings.Trim(name, "{}")]; known {
			return value
		}
		return name
	})
}

// matchesPattern reports whether the text matches the pattern. If a {name} in the pattern has no value yet, the text
// in its place becomes the value.
func (c *Client) matchesPattern(pattern, text string) bool {
	pattern = c.fill(pattern)
	var names []string
	expression := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
	expression = escapedName.ReplaceAllStringFunc(expression, func(name string) string {
		names = append(names, strings.Trim(name, `\{}`))
		return `([A-Za-z0-9._-]+)`
	})
	found := regexp.MustCompile(`^(?s:` + expression + `)$`).FindStringSubmatch(text)
	for i, name := range names {
		if found == nil || c.Vars[name] != "" && c.Vars[name] != found[i+1] {
			return false
		}
		c.Vars[name] = found[i+1]
	}
	return found != nil
}

// A Postbox is a mailer that stores mails.
type Postbox struct {
	mu    sync.Mutex
	mails []watchword.Message
}

// Send stores a mail.
func (p *Postbox) Send(_ context.Context, m watchword.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, m)
	return nil
}

// Wait waits until an address has count mails of a kind, and returns the newest one.
func (p *Postbox) Wait(t *testing.T, kind watchword.MailKind, to string, count int) watchword.Message {
	t.Helper()
	for range 2000 {
		var found []watchword.Message
		p.mu.Lock()
		for _, m := range p.mails {
			if m.Kind == kind && string(m.To) == to {
				found = append(found, m)
			}
		}
		p.mu.Unlock()
		if len(found) >= count {
			return found[len(found)-1]
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("there are no %d %s mails to %s", count, kind, to)
	return watchword.Message{}
}

// Kinds returns the kinds of the mails to an address, in order.
func (p *Postbox) Kinds(to string) (kinds []watchword.MailKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mails {
		if string(m.To) == to {
			kinds = append(kinds, m.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
