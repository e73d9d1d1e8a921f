package bench_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/lab/bench"
)

func TestConnReadsEveryFormOfResponse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a long body. ", 10_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/echo":
			_, _ = io.WriteString(w, r.Method+" "+string(body)+" "+r.Header.Get("Authorization")+" "+
				r.Header.Get("X-Forwarded-For"))
		case "/cookie":
			w.Header().Add("Set-Cookie", "first=1; HttpOnly")
			w.Header().Add("Set-Cookie", "second=2")
			w.WriteHeader(http.StatusCreated)
		case "/chunks":
			for range 3 {
				_, _ = io.WriteString(w, long)
				w.(http.Flusher).Flush()
			}
		case "/close":
			w.Header().Set("Connection", "close")
			http.Error(w, "closed", http.StatusTeapot)
		}
	}))
	defer server.Close()
	c := bench.NewConn(server.Listener.Addr().String())
	for _, step := range []struct {
		method, path, body string
		status             int
		cookie, answer     string
		open               bool
	}{
		{"POST", "/echo", `{"a":1}`, 200, "", `POST {"a":1} Bearer t 10.0.0.7`, true},
		{"GET", "/cookie", "", 201, "first=1", "", true},
		{"GET", "/chunks", "", 200, "", long + long + long, true},
		{"GET", "/close", "", 418, "", "closed\n", false},
		{"POST", "/echo", "", 200, "", "POST  Bearer t 10.0.0.7", true},
	} {
		status, cookie, answer, err := c.Do(t.Context(), step.method, step.path, step.body, "10.0.0.7")
		if err != nil || status != step.status || cookie != step.cookie || answer != step.answer ||
			c.Open() != step.open {
			t.Errorf("%s: %d %q %.80q, open %v, %v", step.path, status, cookie, answer, c.Open(), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := c.Do(ctx, "GET", "/echo", "", ""); err == nil {
		t.Error("a request of a cancelled context succeeds")
	}
}

func TestConnRejectsMalformedResponses(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"", "HTTP/1.1", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 xyz OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			connection, buffer, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = buffer.WriteString(answer)
			_ = buffer.Flush()
			_ = connection.Close()
		}))
		c := bench.NewConn(server.Listener.Addr().String())
		if status, _, body, err := c.Do(t.Context(), "GET", "/", "", ""); err == nil {
			t.Errorf("%q is read as %d %q", answer, status, body)
		}
		server.Close()
	}
}

func TestFieldReturnsAStringOfADocument(t *testing.T) {
	t.Parallel()
	document := []byte(`{"tokenId":"1","token":"abc","nested":{"id":"x"}}`)
	for name, want := range map[string]string{"token": "abc", "id": "x", "missing": ""} {
		if got := bench.Field(document, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestCPUTicksReadsNamesWithSpaces(t *testing.T) {
	t.Parallel()
	stat := "17 (a (strange) name) S 1 17 17 0 -1 4194560 5 0 0 0 100 20 3 4 20 0 7 0 1 1 1\n"
	if got, err := bench.CPUTicks([]byte(stat)); err != nil || got != 127 {
		t.Errorf("got %d, %v, want 127", got, err)
	}
	if _, err := bench.CPUTicks([]byte("17 (short) S 1")); err == nil {
		t.Error("a short line is accepted")
	}
}
