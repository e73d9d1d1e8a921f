package middleware

import (
	"fmt"
	"net/http"

	"github.com/watchword-auth/watchword/verify"
)

// ServeMux needs nothing but the standard library.
func ServeMux(v *verify.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello") })
	mux.Handle("GET /notes", v.Require(http.HandlerFunc(notes)))
	mux.Handle("GET /admin", v.RequireRole("admin")(http.HandlerFunc(notes)))
	return mux
}

func notes(w http.ResponseWriter, r *http.Request) {
	who, _ := verify.FromContext(r.Context()) // behind Require there always is one
	_, _ = fmt.Fprintf(w, "%s %s", who.Subject(), r.Header.Get("X-User"))
}
