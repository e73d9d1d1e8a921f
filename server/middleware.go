package server

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
)

const requestIDHeader = "X-Request-Id"

// identified gives the request its id, of our own making, and every answer its
// headers; and writes the access log, without query strings.
func (s *Server) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		h := w.Header()
		h.Set(requestIDHeader, uuid.NewString())
		s.secure(h, r.URL.Path)
		if s.opts.Draining() {
			h.Set("Connection", "close") // the client's next request goes to another server
		}
		answer := &recorder{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		took := time.Since(begun)
		s.metrics.observe(r, answer.status, took)
		s.log.Debug("request",
			slog.String("request_id", h.Get(requestIDHeader)), slog.String("method", r.Method),
			slog.String("route", routeOf(r)), slog.Int("status", answer.status), slog.String("took", took.String()))
	})
}

// secure sets the headers that every answer has. Only pages load anything, and
// say so themselves.
func (s *Server) secure(h http.Header, path string) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if isOpen(path) {
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("X-Frame-Options", "DENY")
	if s.https {
		h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	}
	h.Set("Cache-Control", "no-store") // what may be kept says so
	if isAPI(path) {
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		return
	}
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'") // pages: see show
}

// recovered turns a panic into an answer: no request takes the process down.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			s.log.Error("a request panicked", slog.String("request_id", w.Header().Get(requestIDHeader)),
				slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
			if answer, ok := w.(*recorder); ok && answer.status == 0 {
				s.fail(w, r, &watchword.Error{Code: watchword.CodeInternal,
					Detail: "Something went wrong here. Try again; if it stays, tell us the request id."})
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// A recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(body []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(body)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
