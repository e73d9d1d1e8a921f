package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// A meServer has one user, to whom the accessToken belongs. Its store is a real file.
type meServer struct {
	handler     http.Handler
	accessToken string
}

func newMeServer(tb testing.TB) meServer {
	tb.Helper()
	store, err := sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "watchword.db"))
	if err != nil {
		tb.Fatal(err)
	}
	engine, err := watchword.New(tb.Context(), store, watchword.Options{
		PublicURL: "http://localhost:8080", MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer: &recordingMailer{}, Limits: watchword.Unlimited(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { engine.Close(); _ = store.Close() })
	in, err := engine.SignUp(tb.Context(), watchword.SignUpRequest{
		Email: "ada@example.com", Password: goodPassword,
	})
	if err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelInfo}))
	handler, err := server.New(engine, server.Options{Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	return meServer{handler, string(in.AccessToken)}
}

func (m meServer) request() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://localhost:8080/api/auth/me", nil)
	r.Header.Set("Authorization", "Bearer "+m.accessToken)
	r.Header.Set("User-Agent", "bench")
	return r
}

func BenchmarkMeHandler(b *testing.B) {
	m := newMeServer(b)
	r := m.request()
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		m.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// BenchmarkMeLoopback sends GET /me over 32 connections, and the same number of requests to a bare net/http server.
// It alternates between the two servers. It prints the ratio of their rates, and for each server the CPU time of the
// process, including the client.
func BenchmarkMeLoopback(b *testing.B) {
	m := newMeServer(b)
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"user":{"id":"x"}}`)
	})
	ask := "GET /api/auth/me HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: bench\r\nAuthorization: Bearer " +
		m.accessToken + "\r\n\r\n"
	targets := []struct {
		name, address string
		took, cpu     time.Duration
		n             int
	}{{name: "me", address: serveMe(b, m.handler)}, {name: "bare", address: serveMe(b, bare)}}
	for b.Loop() {
		for i := range targets {
			t := &targets[i]
			began, cpu := time.Now(), processorTime()
			const connections, each = 32, 200
			sendRequests(b, t.address, ask, connections, each)
			t.took, t.cpu, t.n = t.took+time.Since(began), t.cpu+processorTime()-cpu, t.n+connections*each
		}
	}
	for _, t := range targets {
		b.ReportMetric(float64(t.n)/t.took.Seconds(), t.name+"/s")
		b.ReportMetric(float64(t.cpu.Microseconds())/float64(t.n), t.name+"-cpu-µs")
	}
	b.ReportMetric(targets[1].took.Seconds()/targets[0].took.Seconds(), "ratio")
}

func serveMe(b *testing.B, h http.Handler) (address string) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	web := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnContext: server.WithLengths}
	go func() { _ = web.Serve(server.WatchLengths(listener)) }()
	b.Cleanup(func() { _ = web.Shutdown(context.Background()) })
	return listener.Addr().String()
}

// sendRequests uses raw connections, because the client of net/http costs more than the server.
func sendRequests(b *testing.B, address, request string, connections, perConnection int) {
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for range perConnection {
				_, _ = io.WriteString(conn, request)
				if err := skipResponse(in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// skipResponse can only skip responses with Content-Length.
func skipResponse(in *bufio.Reader) error {
	length, first := 0, true
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(line) != "HTTP/1.1 200 OK\r\n" {
			return fmt.Errorf("got %q", line)
		}
		first = false
		if n := len("Content-Length: "); len(line) > n && string(line[:n]) == "Content-Length: " {
			for _, c := range line[n : len(line)-2] {
				length = 10*length + int(c-'0')
			}
		}
		if len(line) == 2 {
			_, err := in.Discard(length)
			return err
		}
	}
}

func processorTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
