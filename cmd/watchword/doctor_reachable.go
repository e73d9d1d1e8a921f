package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// checkPublicURL sends two requests to the public URL as a client does, through DNS, proxy and
// certificate. The two paths have different prefixes, because proxies are often configured for
// only one prefix. A server that does not run is a warning, because operators often use the
// doctor before the first start. A wrong response is a failure. Both requests are GET without
// credentials, so they can't change anything, even at a foreign server. Together they may take
// ten seconds, so that `watchword doctor` ends soon when a firewall drops packets.
func (d *checkup) checkPublicURL(ctx context.Context, s *Settings) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	metadata, err := sendProbe(ctx, s.PublicURL+"/.well-known/oauth-authorization-server")
	if err != nil {
		d.warn("public url", s.PublicURL+" does not respond: "+err.Error(),
			"Start `watchword serve`; then check DNS, proxy and certificate.")
		return
	}
	account, err := sendProbe(ctx, s.PublicURL+"/api/auth/me")
	if err != nil {
		d.warn("public url", s.PublicURL+" stopped responding: "+err.Error(), "See what the log of the server says.")
		return
	}
	if found, do := diagnosePublicURL(s.PublicURL, metadata, account); found != "" {
		d.fail("public url", found, do)
		return
	}
	// The header Date has whole seconds, and the response took some time, so small differences
	// are normal.
	if off := time.Since(metadata.date); !metadata.date.IsZero() && off.Abs() > 30*time.Second {
		d.warn("clock", fmt.Sprintf("the server's clock differs by %s.", off.Round(time.Second)), "Set both clocks; use NTP.")
	}
	d.pass("public url", s.PublicURL+" responds")
}

// A probe is a response to a request without credentials. It has the issuer of a metadata
// response and the code of an error response. If the body is not JSON, both are empty, and
// diagnosePublicURL then reports that another program responded.
type probe struct {
	status   int
	location string
	date     time.Time // time of the server; zero if the header is missing
	issuer   string    // in metadata
	code     string    // of an error response
}

// sendProbe sends a GET without credentials. It does not follow redirects, because a redirect
// is a fault that `watchword doctor` reports. It reads at most 1 MiB, because another program
// at the public URL may send a page of any size.
func sendProbe(ctx context.Context, address string) (probe, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return probe{}, err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		return probe{}, err
	}
	defer response.Body.Close() //nolint:errcheck // an error of Close loses nothing after reading
	p := probe{status: response.StatusCode, location: response.Header.Get("Location")}
	p.date, _ = http.ParseTime(response.Header.Get("Date"))
	var body struct{ Issuer, Code string }
	if json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&body) == nil {
		p.issuer, p.code = body.Issuer, body.Code
	}
	return p, nil
}

// diagnosePublicURL examines two responses: to a request for the metadata, and to a request for
// an account without a token. It returns what is wrong, or "" for correct responses. The order
// of the cases matters, because one response can fit several cases. Each text names the proxy
// or the setting to change, because the operator sees only the public URL. diagnosePublicURL
// sends no request, so a test can pass the responses of faulty proxies.
func diagnosePublicURL(public string, metadata, account probe) (found, do string) {
	const host = "Let the proxy pass the Host header on: nginx `proxy_set_header Host $host;`, see docs/operations.md. " +
		"Or set public-url."
	switch {
	case metadata.code == "MISDIRECTED_REQUEST" || account.code == "MISDIRECTED_REQUEST":
		return public + " leads to this server, but under another Host: a proxy changes the Host header.", host
	case metadata.status >= 300 && metadata.status < 400:
		return fmt.Sprintf("%s redirects to %s instead of reaching the server.", public, metadata.location),
			"Write the last address of the redirects to public-url, or let the proxy pass requests on."
	case metadata.status == http.StatusBadGateway, metadata.status == http.StatusGatewayTimeout,
		metadata.status == http.StatusServiceUnavailable && metadata.code == "":
		return fmt.Sprintf("the proxy at %s responds with %d: it does not reach the server.", public, metadata.status),
			"Start `watchword serve`; then point the proxy at the address in listen."
	case metadata.issuer != "" && metadata.issuer != public:
		return fmt.Sprintf("%s is the server of %s.", public, metadata.issuer),
			"Set the same public-url for `watchword doctor` and the server, or point the proxy at the right server."
	case metadata.issuer == "":
		return fmt.Sprintf("%s responds with %d, and is not this server.", public,
			metadata.status), "Correct public-url, or point the proxy at the right server."
	case account.code != "TOKEN_MISSING":
		return fmt.Sprintf("the proxy at %s passes /.well-known/ on, but not /api/auth/ (status %d).", public,
				account.status),
			"Pass all paths on."
	}
	return "", ""
}
