package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthCmd asks the running server on this machine whether it is ready. It is the HEALTHCHECK of
// the image, which has no shell and no curl. It reads the same settings as serve, so it finds the
// listener without arguments. Settings that serve gets as flags have to be repeated.
type healthCmd struct{}

// healthTimeout is below the five seconds of the HEALTHCHECK in the Dockerfile, after which the
// container engine kills the check. The container engine's log then has the reason, and not only
// "timeout".
const healthTimeout = 4 * time.Second

// Run prints one line, because container engines show the output of a check in one field. Faults
// of settings give exit code 1 here, and not 2 as in other commands: Docker reserves every code
// above 1.
func (c *healthCmd) Run(p *program) error {
	if err := p.sources.faults(p.settings); err != nil {
		var wrong faults
		if errors.As(err, &wrong) {
			err = fmt.Errorf("%s: %s (faults: %d; `watchword config` shows all)", wrong[0].Where, wrong[0].Problem, len(wrong))
		}
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	if err := askReady(ctx, p.settings); err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	p.say("ready")
	return nil
}

// askReady requests /readyz from the public listener, because clients use it: an admin listener
// that responds does not prove that sign-ins work. It returns nil only for a response of
// Watchword itself, so another program on the port does not count as ready.
func askReady(ctx context.Context, s *Settings) error {
	scheme := "http"
	if s.TLSCert != "" {
		scheme = "https"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost/readyz", nil)
	if err != nil {
		return err
	}
	response, err := readyTransport(s.Listen).RoundTrip(r)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not respond within %s", s.Listen, healthTimeout)
	case err != nil:
		return fmt.Errorf("%s: %w", s.Listen, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	var body struct {
		Status       any // a word from /readyz, a number in an error response
		Code, Detail string
	}
	// The body of another program may be of any form and size.
	broken := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&body)
	switch {
	case response.StatusCode == http.StatusOK && broken == nil && body.Status == "ready":
		return nil
	case broken == nil && body.Code != "":
		return fmt.Errorf("%d %s", response.StatusCode, cmp.Or(body.Detail, body.Code))
	}
	return fmt.Errorf("%s responds with %d, but not as Watchword does", s.Listen, response.StatusCode)
}

// readyTransport connects to the address of the listener and ignores the host of the URL.
// Package net connects to this machine if the address has no host, as in :8080, or an
// unspecified one, as in 0.0.0.0:8080. A proxy from the environment is ignored, because it
// can't reach this listener.
func readyTransport(listen string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "tcp", listen)
		},
		// The certificate names the public host and not this address, so verification would fail. The
		// request has no secret.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
}
