package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// These tests send requests that the client of net/http can't send.

// RT-9
func TestCanceledRequestReturns503(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.newBrowser(t).register("ada@example.com")
	body, err := json.Marshal(map[string]string{"email": "ada@example.com", "password": goodPassword})
	must(t, err)
	host := strings.TrimPrefix(s.url, "http://")
	conn, err := net.Dial("tcp", host)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /api/auth/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", host, len(body), body)
	must(t, err)
	must(t, conn.(*net.TCPConn).CloseWrite()) // net/http treats a half-closed connection as a disconnected client
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	answered, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode == 200 && len(answered) == 0 || response.StatusCode == 500 {
		t.Errorf("%d %s", response.StatusCode, answered)
	}
	if response.StatusCode == 503 && response.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestEmptyChunkedBodyCountsAsNoBody(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	head := "POST %s HTTP/1.1\r\nHost: " + strings.TrimPrefix(s.url, "http://") +
		"\r\nTransfer-Encoding: chunked\r\n%s\r\n"
	for _, c := range []struct {
		path, kind, chunks string
		status             int
	}{
		{"/api/auth/logout", "", "0\r\n\r\n", 200},
		{"/api/auth/refresh", "", "0\r\n\r\n", 401},
		{"/api/auth/logout", "", "2\r\n{}\r\n0\r\n\r\n", 415},
		{"/api/auth/logout", "Content-Type: application/json\r\n", "2\r\n{}\r\n0\r\n\r\n", 200},
		{"/api/auth/logout", "Content-Type: application/json\r\n", "1\r\n{\r\n0\r\n\r\n", 400},
		{"/api/auth/logout", "Content-Type: application/json\r\n", "x\r\n{}\r\n0\r\n\r\n", 400},
	} {
		if got := sendRaw(t, s, fmt.Sprintf(head, c.path, c.kind)+c.chunks); got.StatusCode != c.status {
			t.Errorf("%s %s%q: %d", c.path, c.kind, c.chunks, got.StatusCode)
		}
	}
}
