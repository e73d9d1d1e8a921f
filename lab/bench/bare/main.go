// Command bare shows the upper bound for lab/bench: a net/http server that reads each
// request and responds with a fixed document of the size of a refresh. It stores and
// signs nothing.
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
