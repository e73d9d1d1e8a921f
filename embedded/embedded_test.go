package embedded_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/embedded"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/devbox"
)

const url = "http://localhost:8080"

func TestAccountsSurviveReopening(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	options := embedded.Options{Engine: watchword.Options{PublicURL: url}}
	first := open(t, dir, options)
	if status := post(first, "/api/auth/register"); status != http.StatusCreated {
		t.Fatalf("sign-up: status %d", status)
	}
	awaitMail(t, filepath.Join(dir, "mail"))
	if status := get(first, "/dev/mail"); status != http.StatusOK {
		t.Errorf("the development mailbox: status %d", status)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "master.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("master.key: %v, %v", info, err)
	}

	second := open(t, dir, options)
	if status := post(second, "/api/auth/login"); status != http.StatusOK {
		t.Errorf("sign-in after reopening: status %d", status)
	}
}

type acmeProvider struct{ federation.Provider }

func (acmeProvider) Info() federation.Info {
	return federation.Info{ID: "acme", Kind: federation.KindOIDC, Name: "Acme"}
}

func TestProvidersAreOfferedOnThePages(t *testing.T) {
	t.Parallel()
	options := embedded.Options{
		Engine:    watchword.Options{PublicURL: url},
		Providers: []federation.Provider{acmeProvider{}},
	}
	accounts := open(t, t.TempDir(), options)
	response := httptest.NewRecorder()
	accounts.ServeHTTP(response, httptest.NewRequest("GET", url+"/login", nil))
	if !strings.Contains(response.Body.String(), `href="/sign-in/acme?page=login"`) {
		t.Errorf("the sign-in page has no button: %s", response.Body)
	}
	options.Providers = append(options.Providers, acmeProvider{})
	if _, err := embedded.Open(t.Context(), t.TempDir(), options); err == nil {
		t.Error("two providers have one id")
	}
}

func TestOpenOnPostgresNeedsKeyAndMailer(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	renderer, err := mail.NewRenderer(mail.Options{PublicURL: url})
	if err != nil {
		t.Fatal(err)
	}
	box, err := devbox.Open(t.TempDir(), renderer)
	if err != nil {
		t.Fatal(err)
	}
	options := embedded.Options{Engine: watchword.Options{PublicURL: url}}
	for _, missing := range []string{"MasterKey", "Mailer"} {
		if _, err := embedded.Open(t.Context(), database, options); err == nil ||
			!strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
		options.Engine.MasterKey = make([]byte, 32)
	}
	options.Engine.Mailer = box
	accounts := open(t, database, options)
	if status := post(accounts, "/api/auth/register"); status != http.StatusCreated {
		t.Errorf("sign-up: status %d", status)
	}
}

func TestOpenRefusesUnusableOptions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		place string
		url   string
	}{
		"no place":              {"", url},
		"a file as directory":   {file, url},
		"no public URL":         {t.TempDir(), ""},
		"a public URL in clear": {t.TempDir(), "http://example.com"},
	} {
		accounts, err := embedded.Open(t.Context(), c.place, embedded.Options{
			Engine: watchword.Options{PublicURL: c.url}})
		if err == nil {
			accounts.Close() //nolint:errcheck // the test fails anyway
			t.Errorf("%s: opened", name)
		}
	}
}

func open(t *testing.T, place string, o embedded.Options) *embedded.Accounts {
	t.Helper()
	accounts, err := embedded.Open(t.Context(), place, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accounts.Close() }) //nolint:errcheck // a test may have closed it
	return accounts
}

func awaitMail(t *testing.T, folder string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if mails, err := filepath.Glob(filepath.Join(folder, "*.json")); err == nil && len(mails) > 0 {
			return
		}
	}
	t.Fatal("the sign-up mail never reached the mailbox")
}

func get(h http.Handler, path string) (status int) {
	return do(h, httptest.NewRequest("GET", url+path, nil))
}

func post(h http.Handler, path string) (status int) {
	body := strings.NewReader(`{"email": "ada@example.com", "password": "seven purple otters"}`)
	request := httptest.NewRequest("POST", url+path, body)
	request.Header.Set("Content-Type", "application/json")
	return do(h, request)
}

func do(h http.Handler, r *http.Request) (status int) {
	response := httptest.NewRecorder()
	h.ServeHTTP(response, r)
	return response.Code
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "watchword")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory may remain

	accounts, err := embedded.Open(context.Background(), dir, embedded.Options{
		Engine: watchword.Options{PublicURL: "http://localhost:8080"},
	})
	if err != nil {
		panic(err)
	}
	defer accounts.Close() //nolint:errcheck // an error loses no data: all writes are committed

	mux := http.NewServeMux()
	mux.Handle("/", accounts)
	mux.Handle("GET /reports", accounts.Require("admin")(http.NotFoundHandler()))

	response := httptest.NewRecorder()
	mux.ServeHTTP(response, httptest.NewRequest("GET", "http://localhost:8080/reports", nil))
	fmt.Println(response.Code)
	// Output: 401
}
