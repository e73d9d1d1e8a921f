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

// healthCmd asks the running server on this machine whether it is ready. It is the HEALTHCHECK
// of the image, which has no shell and no curl. It reads the same settings as serve, so it
// finds the listener without arguments. If serve gets a setting as a flag, healthCmd needs the
// same flag.
type healthCmd struct{}

// healthTimeout is less than the five seconds after which the container engine kills the check
// (HEALTHCHECK in the Dockerfile). The log of the container engine then shows the reason, and
// not only "timeout".
const healthTimeout = 4 * time.Second

// Run prints one line, because container engines show the output of a check in one field.
// Docker reserves every exit code above 1. Faults of settings therefore give exit code 1,
// although other commands return 2 for them.
func (c *healthCmd) Run(p *program) error {
	if err := p.sources.allFaults(p.settings); err != nil {
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

// askReady requests /readyz from the listener that clients use, because sign-ins can fail while
// the admin listener responds. It returns nil only for a response of Watchword, so another
// program on the port does not count as ready.
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
	defer response.Body.Close() //nolint:errcheck // the response was read before, so an error of Close is harmless
	var body struct {
		Status       any // a word from /readyz, but a number in an error response
		Code, Detail string
	}
	// Another program may send a body of any form and size.
	broken := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&body)
	switch {
	case response.StatusCode == http.StatusOK && broken == nil && body.Status == "ready":
		return nil
	case broken == nil && body.Code != "":
		return fmt.Errorf("%d %s", response.StatusCode, cmp.Or(body.Detail, body.Code))
	}
	return fmt.Errorf("%s responds with %d, but not as Watchword does", s.Listen, response.StatusCode)
}

// readyTransport connects to the address of the listener and ignores the host of the URL. If
// the address has no host (:8080) or an unspecified host (0.0.0.0:8080), package net connects
// to this machine. A proxy from the environment is ignored, because it can't reach this
// listener.
func readyTransport(listen string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "tcp", listen)
		},
		// The certificate is not verified, because it names the public host and not this
		// address. This is safe, because the request has no secret.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
}
