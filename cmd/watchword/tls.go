package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a key pair on disk that is read again when its files change. A
// pair that can't be read leaves the old one in use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time // of the younger file, when pair was read
	looked  time.Time // when the files were last looked at
}

const lookAgain = time.Second

// config is for a server (CFG-2: TLS 1.2 is Go's least for servers).
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current(time.Now())
		},
	}
}

func (c *certificate) current(now time.Time) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && now.Sub(c.looked) < lookAgain {
		return c.pair, nil
	}
	c.looked = now
	changed := c.lastChange()
	if c.pair != nil && changed.Equal(c.changed) {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		if c.pair == nil {
			return nil, err
		}
		c.log.Error("the changed certificate can't be used, the old one stays", "error", err)
		return c.pair, nil
	}
	if c.pair != nil {
		c.log.Info("certificate read again", "until", pair.Leaf.NotAfter)
	}
	c.pair, c.changed = &pair, changed
	return c.pair, nil
}

// lastChange is the zero time if a file is missing.
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
