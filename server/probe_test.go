package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	s := start(t, nil, nil)
	host := strings.TrimPrefix(s.url, "http://")
	head := "POST /api/auth/login HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n"
	conn, err := net.Dial("tcp", host)
	must(t, err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, rest := range []string{"Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"} {
		_, err = io.WriteString(conn, head+rest)
		must(t, err)
		response, err := http.ReadResponse(in, nil)
		must(t, err)
		b, _ := io.ReadAll(response.Body)
		t.Log(response.StatusCode, string(b))
	}
}

func TestProbeHalfClose(t *testing.T) {
	s := start(t, nil, nil)
	host := strings.TrimPrefix(s.url, "http://")
	s.browser(t).register("ada@example.com")
	body := `{"email":"ada@example.com","password":"correct horse battery"}`
	for range 5 {
		conn, err := net.Dial("tcp", host)
		must(t, err)
		_, err = io.WriteString(conn, "POST /api/auth/login HTTP/1.1\r\nHost: "+host+"\r\nContent-Type: application/json\r\nContent-Length: 62\r\n\r\n"+body)
		must(t, err)
		must(t, conn.(*net.TCPConn).CloseWrite())
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Log(err)
			continue
		}
		b, _ := io.ReadAll(response.Body)
		t.Log(len(body), response.StatusCode, string(b))
		conn.Close()
	}
}

func TestProbeEmptyChunked(t *testing.T) {
	s := start(t, nil, nil)
	host := strings.TrimPrefix(s.url, "http://")
	r := raw(t, s, "POST /api/auth/logout HTTP/1.1\r\nHost: "+host+"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	b, _ := io.ReadAll(r.Body)
	t.Log(r.StatusCode, string(b))
}
