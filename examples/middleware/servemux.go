package middleware

import (
	"fmt"
	"net/http"

	"github.com/watchword-auth/watchword/verify"
)

// ServeMux serves the three routes with the router of the standard library.
func ServeMux(v *verify.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello") })
	mux.Handle("GET /notes", v.Require(http.HandlerFunc(notes)))
	mux.Handle("GET /admin", v.RequireRole("admin")(http.HandlerFunc(notes)))
	return mux
}

func notes(w http.ResponseWriter, r *http.Request) {
	identity, _ := verify.FromContext(r.Context()) // always present, because Require wraps notes
	_, _ = fmt.Fprintf(w, "%s %s", identity.Subject(), r.Header.Get("X-User"))
}
