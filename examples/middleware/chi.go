package middleware

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/watchword-auth/watchword/verify"
)

// Chi serves the three routes with the router chi, which accepts net/http middleware directly.
func Chi(v *verify.Verifier) http.Handler {
	r := chi.NewRouter()
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello") })
	r.With(v.Require).Get("/notes", notes)
	r.With(v.RequireRole("admin")).Get("/admin", notes)
	return r
}
