package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/examples/middleware"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/verify"
)

// JWT-18
func TestServiceWhoseClockIsBehindAcceptsAFreshToken(t *testing.T) {
	in := signedIn(t)
	v, err := verify.New(in.issuer, verify.Options{Now: func() time.Time { return time.Now().Add(-2 * time.Second) }})
	must(t, err)
	t.Cleanup(v.Close)
	response, body := get(t, serve(t, middleware.ServeMux(v))+"/notes", []string{"Authorization", "Bearer " + in.token})
	if response.StatusCode != 200 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestEveryRouterAcceptsSignedInUsersOnly(t *testing.T) {
	in := signedIn(t)
	v, err := verify.New(in.issuer, verify.Options{})
	must(t, err)
	t.Cleanup(v.Close)
	app := middleware.Fiber(v)
	for name, url := range map[string]string{
		"ServeMux": serve(t, middleware.ServeMux(v)),
		"chi":      serve(t, middleware.Chi(v)),
		"echo":     serve(t, middleware.Echo(v)),
		"gin":      serve(t, middleware.Gin(v)),
		"fiber":    serveFiber(t, app),
	} {
		good, forged := "Bearer "+in.token, "Bearer "+in.token[:len(in.token)-8]+"AAAAAAAA"
		for what, c := range map[string]struct {
			path     string
			headers  []string
			status   int
			wantBody string // the body, or the beginning of an error response
		}{
			"no sign-in needed": {"/", nil, 200, "hello"},
			"a good token":      {"/notes", []string{"Authorization", good}, 200, in.user + " "},
			"a header as well":  {"/notes", []string{"Authorization", good, "X-User", "eve"}, 200, in.user + " "},
			"no token":          {"/notes", nil, 401, `"code":"TOKEN_MISSING"`},
			"a header only":     {"/notes", []string{"X-User", "eve"}, 401, `"code":"TOKEN_MISSING"`},
			"a forged token":    {"/notes", []string{"Authorization", forged}, 401, `"code":"TOKEN_INVALID"`},
			"two tokens":        {"/notes", []string{"Authorization", good, "Authorization", good}, 400, `"code":"AMBIGUOUS_CREDENTIALS"`},
			"a role they lack":  {"/admin", []string{"Authorization", good}, 403, `"code":"INSUFFICIENT_SCOPE"`},
			"no token for that": {"/admin", nil, 401, `"code":"TOKEN_MISSING"`},
		} {
			response, body := get(t, url+c.path, c.headers)
			isBody := body == c.wantBody || c.status != 200 && strings.Contains(body, c.wantBody)
			if response.StatusCode != c.status || !isBody {
				t.Errorf("%s, %s: %d %s", name, what, response.StatusCode, body)
			}
			if challenge := response.Header.Get("WWW-Authenticate"); c.status >= 400 &&
				!strings.HasPrefix(challenge, "Bearer realm=") {
				t.Errorf("%s, %s: WWW-Authenticate is %q", name, what, challenge)
			}
		}
	}
}

type account struct{ issuer, user, token string }

func signedIn(t *testing.T) account {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	issuer := "http://" + listener.Addr().String()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "watchword.db"))
	must(t, err)
	engine, err := watchword.New(ctx, store, watchword.Options{
		PublicURL: issuer, Mailer: noMail{}, MasterKey: []byte("a master key for tests, 32 bytes")})
	must(t, err)
	edge, err := server.New(engine, server.Options{PublicURL: issuer})
	must(t, err)
	web := &http.Server{Handler: edge}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() {
		_ = web.Close()
		engine.Close()
		_ = store.Close()
	})
	in, err := engine.SignUp(ctx, watchword.SignUpRequest{Email: "ada@example.com", Password: "correct horse battery"})
	must(t, err)
	return account{issuer, string(in.User.ID), string(in.AccessToken)}
}

type noMail struct{}

func (noMail) Send(context.Context, watchword.Message) error { return nil }

func serve(t *testing.T, handler http.Handler) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	web := &http.Server{Handler: handler}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close() })
	return "http://" + listener.Addr().String()
}

func serveFiber(t *testing.T, app *fiber.App) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() { _ = app.Shutdown() })
	return "http://" + listener.Addr().String()
}

func get(t *testing.T, url string, headers []string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response, fmt.Sprintf("%s", body)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
