package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/watchword-auth/watchword/server"
)

// startTLSListener adds a listener to the plain one, and returns its address.
func (s *service) startTLSListener(t *testing.T) string {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	config := &tls.Config{
		Certificates: lender.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	lender.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	web := &http.Server{
		Handler: s.server, ReadHeaderTimeout: time.Minute, TLSConfig: config, ConnContext: server.WithLengths}
	watched := server.WatchTLS(listener, config, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(watched) }()
	t.Cleanup(func() {
		_ = web.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

func dialTLS(t *testing.T, address string, protocols ...string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

// HTTP-8, HTTP-13
func TestFramingErrorClosesTheConnection(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	secured, host := s.startTLSListener(t), strings.TrimPrefix(s.url, "http://")
	const first = "POST /api/auth/logout HTTP/1.1\r\nContent-Type: application/json\r\n"
	both := "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	for name, text := range map[string]string{
		"both lengths":              first + both,
		"both, the other way round": first + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"both, in another case":     first + "TRANSFER-encoding: Chunked\r\ncontent-LENGTH: 5\r\n\r\n0\r\n\r\n",
		"both, by bare line feeds":  strings.ReplaceAll(first+both, "\r\n", "\n"),
		"both, and Connection":      first + "Connection: keep-alive\r\n" + both,
		"both, in HTTP/1.0":         strings.Replace(first, "1.1", "1.0", 1) + "Connection: keep-alive\r\n" + both,
		"both, on a page":           strings.Replace(first, "/api/auth/logout", "/login", 1) + both,
		"both, with another Host": strings.Replace(first, "HTTP/1.1\r\n", "HTTP/1.1\r\nHost: elsewhere\r\n", 1) +
			both,
		"both, to no route":        strings.Replace(first, "/api/auth/logout", "/none/%ZZ", 1) + both,
		"two lengths":              first + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
		"two lengths in one":       first + "Content-Length: 0, 5\r\n\r\n",
		"a length with a sign":     first + "Content-Length: +0\r\n\r\n",
		"a folded length":          first + "Content-Length:\r\n 0\r\n\r\n",
		"a space before the colon": first + "Content-Length : 5\r\n\r\n",
		"an unknown coding":        first + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"two codings": first +
			"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"a control byte before it": first + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"chunks before there were": strings.Replace(first, "1.1", "1.0", 1) +
			"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a chunk size that is none":  first + "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
		"a chunk longer than it was": first + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
	} {
		if !strings.Contains(text, "Host:") {
			text = strings.Replace(text, "\n", "\nHost: "+host+"\r\n", 1)
		}
		for network, dial := range map[string]func() net.Conn{
			"tcp": func() net.Conn {
				conn, err := net.Dial("tcp", host)
				must(t, err)
				t.Cleanup(func() { _ = conn.Close() })
				must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
				return conn
			},
			"tls": func() net.Conn { return dialTLS(t, secured) },
		} {
			conn, email := dial(), fmt.Sprintf("hidden-%x-%s@example.com", name, network)
			hidden := fmt.Sprintf(`{"email":%q,"password":%q}`, email, goodPassword)
			hidden = fmt.Sprintf("POST /api/auth/register HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
				"Content-Length: %d\r\n\r\n%s", host, len(hidden), hidden)
			_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: "+host+"\r\n\r\n"+text+hidden)
			must(t, err)
			in := bufio.NewReader(conn)
			if before := readResponse(t, in); before.StatusCode != 200 {
				t.Errorf("%s, %s: the request before: %d", name, network, before.StatusCode)
			}
			got := readResponse(t, in)
			if got.StatusCode != 400 && got.StatusCode != 501 || !got.Close {
				t.Errorf("%s, %s: %d, closes: %v", name, network, got.StatusCode, got.Close)
			}
			if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%s, %s: afterwards %v, %q", name, network, err, rest)
			}
			wantStatus(t, s.newBrowser(t).post("/login", map[string]any{"email": email, "password": goodPassword}), 401,
				"INVALID_CREDENTIALS")
		}
	}
}

func readResponse(t *testing.T, in *bufio.Reader) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(in, nil)
	must(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	must(t, err)
	return response
}

// HTTP-13
func TestKeepAliveConnectionOverTLSAcceptsEitherLength(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	conn := dialTLS(t, s.startTLSListener(t))
	host, in := strings.TrimPrefix(s.url, "http://"), bufio.NewReader(conn)
	head := "POST /api/auth/login HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n"
	sized, chunked := "Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
	for _, rest := range []string{sized, chunked, sized, chunked, chunked} {
		_, err := io.WriteString(conn, head+rest)
		must(t, err)
		if response := readResponse(t, in); response.StatusCode != 422 ||
			response.Header.Get("Strict-Transport-Security") != "" {
			t.Fatalf("%q: %d", rest, response.StatusCode)
		}
	}
}

// An http2Conn sends HTTP/2 frames one by one, including invalid ones.
type http2Conn struct {
	t      *testing.T
	frames *http2.Framer
	host   string
	stream uint32
}

func (s *service) dialHTTP2(t *testing.T, address string) *http2Conn {
	t.Helper()
	conn := dialTLS(t, address, "h2")
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Fatalf("negotiated %q", got)
	}
	_, err := io.WriteString(conn, http2.ClientPreface)
	must(t, err)
	c := &http2Conn{t: t, frames: http2.NewFramer(conn, conn), host: strings.TrimPrefix(s.url, "http://"), stream: 1}
	c.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must(t, c.frames.WriteSettings())
	return c
}

// send sends each piece of the body in one frame. The headerFields are pairs of name and value.
func (c *http2Conn) send(method, path string, pieces []string, headerFields ...string) {
	c.t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	all := append([]string{":method", method, ":scheme", "https", ":authority", c.host, ":path", path}, headerFields...)
	for i := 0; i < len(all); i += 2 {
		must(c.t, encoder.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}))
	}
	must(c.t, c.frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: c.stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: pieces == nil}))
	for i, piece := range pieces {
		must(c.t, c.frames.WriteData(c.stream, i == len(pieces)-1, []byte(piece)))
	}
	c.stream += 2
}

// readOutcomes returns the status of each response, and for each reset stream or closed connection the reason. It
// reads until the given number of streams has ended or the server closes the connection.
func (c *http2Conn) readOutcomes(streams int) (outcomes []string, closed bool) {
	c.t.Helper()
	for streams > 0 {
		frame, err := c.frames.ReadFrame()
		if err != nil {
			return outcomes, true
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			outcomes = append(outcomes, f.PseudoValue("status"))
		case *http2.RSTStreamFrame:
			if f.ErrCode != http2.ErrCodeNo {
				outcomes = append(outcomes, f.ErrCode.String())
				streams--
			}
		case *http2.GoAwayFrame:
			outcomes, streams = append(outcomes, "GOAWAY"), 1<<20
		}
		if frame.Header().Flags.Has(http2.FlagDataEndStream) && frame.Header().Type <= http2.FrameHeaders {
			streams--
		}
	}
	return outcomes, false
}

// HTTP-13
func TestWrongContentLengthOverHTTP2ClosesTheConnection(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	secured := s.startTLSListener(t)
	json := []string{"content-type", "application/json"}

	good := s.dialHTTP2(t, secured)
	good.send("POST", "/api/auth/logout", []string{"{}"}, append(json, "content-length", "2")...)
	good.send("POST", "/api/auth/logout", []string{"{", "}"}, json...)
	if outcomes, closed := good.readOutcomes(2); closed || !slices.Equal(outcomes, []string{"200", "200"}) {
		t.Errorf("two good requests: %v, closed: %v", outcomes, closed)
	}

	short := s.dialHTTP2(t, secured)
	short.send("POST", "/api/auth/logout", []string{"{}"}, append(json, "content-length", "5")...)
	outcomes, closed := short.readOutcomes(1)
	if !closed || !slices.Contains(outcomes, "400") || !slices.Contains(outcomes, "GOAWAY") {
		t.Errorf("fewer bytes than said: %v, closed: %v", outcomes, closed)
	}

	// If the body has more bytes than content-length, net/http must reset the stream. It must reject header fields of
	// HTTP/1.1 before a handler runs. Bytes of a body must never become a request.
	for name, fields := range map[string][]string{
		"more bytes than said": {"content-length", "2"},
		"a transfer encoding":  {"transfer-encoding", "chunked"},
		"both":                 {"content-length", "2", "transfer-encoding", "chunked"},
		"two lengths":          {"content-length", "2", "content-length", "50"},
	} {
		email := fmt.Sprintf("hidden-%x@example.com", name)
		hidden := fmt.Sprintf("POST /api/auth/register HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n\r\n"+
			`{"email":%q,"password":%q}`, good.host, email, goodPassword)
		c := s.dialHTTP2(t, secured)
		c.send("POST", "/api/auth/logout", []string{"0\r\n\r\n", hidden}, append(json, fields...)...)
		outcomes, _ := c.readOutcomes(1)
		if slices.Contains(outcomes, "200") || slices.Contains(outcomes, "201") || len(outcomes) == 0 {
			t.Errorf("%s: %v", name, outcomes)
		}
		wantStatus(t, s.newBrowser(t).post("/login", map[string]any{"email": email, "password": goodPassword}), 401,
			"INVALID_CREDENTIALS")
	}
}

// HTTP-13
func TestSilentTLSClientDelaysNoOtherClient(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	secured := s.startTLSListener(t)
	for range 3 {
		silent, err := net.Dial("tcp", secured)
		must(t, err)
		t.Cleanup(func() { _ = silent.Close() })
	}
	plain, err := net.Dial("tcp", secured)
	must(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	_, err = io.WriteString(plain, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
	must(t, err)
	if response := readResponse(t, bufio.NewReader(plain)); response.StatusCode != 400 {
		t.Errorf("plain HTTP: %d", response.StatusCode)
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: protocol == "h2"}
		t.Cleanup(transport.CloseIdleConnections)
		response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("https://" + secured +
			"/healthz")
		must(t, err)
		must(t, response.Body.Close())
		if response.StatusCode != 200 || (response.ProtoMajor == 2) != (protocol == "h2") {
			t.Errorf("%s: %d by %s", protocol, response.StatusCode, response.Proto)
		}
	}
}
