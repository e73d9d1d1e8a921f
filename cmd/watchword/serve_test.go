package main_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startServer uses a new folder and stops the server at the end of the test.
func startServer(t *testing.T, s *server, args ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := s.start(dir, []string{"HOME=" + dir}, args); err != nil {
		t.Fatal(err)
	}
	return dir
}

// CFG-2
func TestChangedCertificateIsServedWithoutARestart(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	s.https = true
	files := t.TempDir()
	cert, key := filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
	writePair := func() {
		certificate, private := createLocalhostCertificate(t)
		for name, text := range map[string]string{cert: certificate, key: private} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	writePair()
	startServer(t, s, "--tls-cert="+cert, "--tls-key="+key)
	old := servedSerial(t, s.address)

	if err := os.WriteFile(cert, []byte("half of a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // longer than checkInterval
	if servedSerial(t, s.address).Cmp(old) != 0 {
		t.Fatal("a broken file replaced the certificate")
	}
	writePair()
	for range 1200 { // waits at least a minute
		if servedSerial(t, s.address).Cmp(old) != 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the old certificate is still served")
}

func servedSerial(t *testing.T, address string) *big.Int {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// CFG-2
func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	s.https = true
	files := t.TempDir()
	cert, key := filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
	certificate, private := createLocalhostCertificate(t)
	if os.WriteFile(cert, []byte(certificate), 0o600) != nil || os.WriteFile(key, []byte(private), 0o600) != nil {
		t.Fatal("can't write the certificate")
	}
	startServer(t, s, "--tls-cert="+cert, "--tls-key="+key)
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", s.address, old); err == nil {
		conn.Close()
		t.Fatal("TLS 1.1 was accepted")
	}
	weak := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
			tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA}}
	if conn, err := tls.Dial("tcp", s.address, weak); err == nil {
		conn.Close()
		t.Fatal("a suite with CBC was accepted")
	}
	conn, err := tls.Dial("tcp", s.address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatalf("a client with TLS 1.2: %v", err)
	}
	conn.Close()
}

func TestLogTimesAreInUTC(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	dir := t.TempDir()
	if err := s.start(dir, []string{"HOME=" + dir, "TZ=Asia/Tokyo"}, []string{"--log-format=json"}); err != nil {
		t.Fatal(err)
	}
	if err := s.terminate(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for text := range strings.Lines(s.errs.String()) {
		var line struct{ Time string }
		if json.Unmarshal([]byte(text), &line) != nil {
			continue // not a line of the log
		}
		lines++
		if !strings.HasSuffix(line.Time, "Z") {
			t.Errorf("the time is not in UTC: %s", text)
		}
	}
	if lines == 0 {
		t.Errorf("no line of the log in %q", s.errs.String())
	}
}

func TestSIGTERMLetsAnOpenRequestFinish(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	startServer(t, s)
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"email":"nobody@example.com","password":"seven purple otters"}`
	fmt.Fprintf(conn, "POST /api/auth/login HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		s.address, s.url(), len(body), body[:20])
	waitUntilRead(t, s)

	ended := make(chan error, 1)
	go func() { ended <- s.terminate() }()
	for range 200 {
		probe, err := net.Dial("tcp", s.address)
		if err != nil {
			break
		}
		probe.Close()
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprint(conn, body[20:])
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("the open request was cut off: %v", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", answer.StatusCode)
	}
	if err := <-ended; err != nil {
		t.Errorf("exit: %v", err)
	}
}

// waitUntilRead sends further requests. When it returns, the server has started to read the earlier request.
func waitUntilRead(t *testing.T, s *server) {
	t.Helper()
	for range 5 {
		answer, err := s.client().Get(s.url() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
}

func TestFirstScreenFitsATerminal(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	s.onTerminal = true
	startServer(t, s)
	if err := s.terminate(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(s.out.String(), "\n")
	if len(lines) < 10 || len(lines) > 24 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
