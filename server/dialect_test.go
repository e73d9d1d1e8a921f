package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/server/apidoc"
)

// teapot is a dialect as another module would write it: with public packages only.
type teapot struct{}

var (
	_ server.Dialect      = teapot{}
	_ server.Describer    = teapot{}
	_ server.HeaderLister = teapot{}
)

func (teapot) Takes(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/teapot/") }

func (teapot) Routes() map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error {
	return map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error{
		"POST /teapot/brew": func(http.ResponseWriter, *http.Request, watchword.Client) error {
			return &watchword.Error{Code: watchword.CodeValidationFailed, Detail: "Name a tea."}
		},
	}
}

func (teapot) Refuse(w http.ResponseWriter, _ *http.Request, status int, why *watchword.Error) {
	w.WriteHeader(status)
	_, _ = w.Write([]byte("teapot: " + why.Detail))
}

func (teapot) Cookies() []string { return []string{"teapot"} }

func (teapot) Operations() []apidoc.Operation {
	return []apidoc.Operation{{Pattern: "POST /teapot/brew", Summary: "Brew tea", Status: 200, Refusal: ""}}
}

func (teapot) Headers() (requested, exposed []string) {
	return []string{"X-Tea"}, []string{"X-Strength"}
}

func TestDialectOfAnotherModuleHasRoutesHeadersAndDocumentation(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	s := start(t, nil, func(o *server.Options) {
		o.AllowedOrigins, o.Dialects = []string{app}, []server.Dialect{teapot{}}
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
		t.Cleanup(func() { response.Body.Close() }) //nolint:errcheck // nothing was written
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
