// Command bare is the upper bound for lab/bench: a server of net/http that reads each request and returns a fixed
// document, as long as the response to a refresh. It stores and signs nothing.
package main

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
)

func main() {
	token := strings.Repeat("x", 400)
	document := []byte(`{"accessToken":"` + token + `","refreshToken":"` + token[:120] + `"}`)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	})
	if err := http.ListenAndServe(os.Args[1], handler); err != nil {
		slog.Error("serve", "err", err)
		os.Exit(1)
	}
}
