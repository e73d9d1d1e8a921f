// Command bare is a server that does no authentication. It reads each request and returns a fixed document, as long
// as the response to a refresh. Its throughput is the maximum that lab/bench can measure for a net/http server.
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
