package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// certificate is a key pair on disk. The server reloads it when its files change, so that a
// renewal needs no restart. If the new pair can't be read, the old pair stays in use, because
// the two files may not match for a moment during a renewal. Programs that renew certificates
// can't signal every server, so the server checks the files itself.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu         sync.Mutex
	pair       *tls.Certificate
	modifiedAt time.Time // of the newer file, at the time of the last read
	checkedAt  time.Time // when the files were last checked for changes
}

// checkInterval is the least time between two checks of the files. With one second, a renewal
// takes effect quickly, and a flood of handshakes costs only two calls of stat a second.
const checkInterval = time.Second

// tlsConfig is for the public listener (CFG-2: at least TLS 1.2). TLS 1.0 and 1.1 are
// deprecated (RFC 8996). The standard library chooses the curves, and the cipher suites of TLS
// 1.3.
func (c *certificate) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: modernSuites(), // for TLS 1.2 only
		// Without this list, a listener that is not opened by net/http offers no HTTP/2.
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.currentPair(time.Now())
		},
	}
}

// modernSuites returns the cipher suites of TLS 1.2 with authenticated encryption and forward
// secrecy. The default list of the standard library also has suites with CBC and SHA-1, for
// clients released before 2014. Such old browsers can't use the pages anyway.
//
// The list is computed, so that a suite that the standard library removes is removed here too.
// Suites without ECDHE have no forward secrecy: an attacker with a stolen key of the
// certificate could decrypt recorded connections.
func modernSuites() (ids []uint16) {
	for _, suite := range tls.CipherSuites() {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS12) && !strings.Contains(suite.Name, "_CBC_") &&
			strings.HasPrefix(suite.Name, "TLS_ECDHE_") {
			ids = append(ids, suite.ID)
		}
	}
	return ids
}

// currentPair returns an error only if no pair was ever read. It holds the lock while it reads
// the files, at most once a second. Other handshakes wait for the read and then get the same
// pair.
func (c *certificate) currentPair(now time.Time) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && now.Sub(c.checkedAt) < checkInterval {
		return c.pair, nil
	}
	// checkedAt is set before the files are read. Files that can't be used are therefore read
	// once a second, and not in each handshake.
	c.checkedAt = now
	changed := c.lastChange()
	if c.pair != nil && changed.Equal(c.modifiedAt) {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		if c.pair == nil {
			return nil, err
		}
		// The line repeats once a second until the files are repaired. The repetition is
		// intended: when the old certificate expires, all clients fail.
		c.log.Error("the changed certificate is unusable, the old one stays in use", "error", err)
		return c.pair, nil
	}
	if c.pair != nil {
		// The log line has the expiry, so that an operator can see whether the renewal was
		// successful.
		c.log.Info("certificate reloaded", "until", pair.Leaf.NotAfter)
	}
	c.pair, c.modifiedAt = &pair, changed
	return c.pair, nil
}

// lastChange returns the later modification time of the two files, or the zero time if one file
// is missing. The zero time differs from any stored time, so currentPair tries to load the
// files and logs which file is missing. os.Stat follows symbolic links, with which certbot and
// Kubernetes replace files.
func (c *certificate) lastChange() time.Time {
	var last time.Time
	for _, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return time.Time{}
		}
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
