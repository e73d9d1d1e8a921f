package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/server"
)

// newTeapot returns a dialect that uses only public packages, as a dialect in another module must.
func newTeapot() dialect.Dialect {
	return dialect.Dialect{
		Takes: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/teapot/") },
		Routes: map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error{
			"POST /teapot/brew": func(http.ResponseWriter, *http.Request, watchword.Client) error {
				return &watchword.Error{Code: watchword.CodeValidationFailed, Detail: "Name a tea."}
			},
		},
		Refuse: func(w http.ResponseWriter, _ *http.Request, status int, why *watchword.Error) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("teapot: " + why.Detail))
		},
		Cookies:        []string{"teapot"},
		RequestHeaders: []string{"X-Tea"}, ResponseHeaders: []string{"X-Strength"},
		Operations: []dialect.Operation{{Pattern: "POST /teapot/brew", Summary: "Brew tea", Status: 200, Refusal: ""}},
	}
}

func TestDialectOfAnotherModuleHasRoutesHeadersAndDocumentation(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	s := start(t, nil, func(o *server.Options) {
		o.AllowedOrigins, o.Dialects = []string{app}, []dialect.Dialect{newTeapot()}
	})
	send := func(method, path string, header map[string]string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
		must(t, err)
		for name, value := range header {
			r.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(r)
		must(t, err)
		t.Cleanup(func() { response.Body.Close() }) //nolint:errcheck // the test only reads the response
		return response
	}
	preflight := send("OPTIONS", "/teapot/brew", map[string]string{
		"Origin": app, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-tea",
	})
	if got := preflight.Header.Get("Access-Control-Allow-Headers"); !strings.EqualFold(got, "x-tea") {
		t.Errorf("the preflight allows %q", got)
	}
	brewed := send("POST", "/teapot/brew", map[string]string{"Origin": app})
	if exposed := brewed.Header.Get("Access-Control-Expose-Headers"); brewed.StatusCode != 422 ||
		!strings.Contains(exposed, "X-Strength") {
		t.Errorf("status %d, exposed headers %q", brewed.StatusCode, exposed)
	}
	if _, described := s.document.Paths["/teapot/brew"]; !described {
		t.Error("/openapi.json does not describe the route")
	}
}

func TestDialectWithoutRequiredFunctionsIsRefused(t *testing.T) {
	t.Parallel()
	s, incomplete := start(t, nil, nil), newTeapot()
	incomplete.Refuse = nil
	for _, d := range []dialect.Dialect{{}, incomplete} {
		_, err := server.New(s.engine, server.Options{Dialects: []dialect.Dialect{d}})
		if err == nil || !strings.Contains(err.Error(), "needs Takes and Refuse") {
			t.Errorf("got error %v", err)
		}
	}
}
