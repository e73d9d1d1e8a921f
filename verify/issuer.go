package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

const (
	fetchTimeout   = 5 * time.Second
	metadataMaxAge = time.Hour
	maxMetadata    = 64 << 10 // bytes
)

// An issuer is where keys and revocations come from. What it says of itself is
// taken only from its own address, and only if it says the name that is expected
// (RFC 8414, section 3.3): no token can point to another place.
type issuer struct {
	name   string // exactly as configured
	from   string // origin that is asked in place of the issuer's; "" for the issuer's
	client *http.Client
	own    *http.Transport // of our own client; nil for a client of the caller's

	turn  chan struct{} // holds one token: who has it may read and change the rest
	known *metadata
	since time.Time
}

// metadata is what we need of RFC 8414, section 2.
type metadata struct {
	Issuer           string `json:"issuer"`
	JWKSURI          string `json:"jwks_uri"`
	RevocationFeed   string `json:"revocation_feed_endpoint"`
	RevocationStream string `json:"revocation_stream_endpoint"`
}

func newIssuer(name, from string, client *http.Client) *issuer {
	i := &issuer{name: name, from: from, turn: make(chan struct{}, 1)}
	i.turn <- struct{}{}
	if client == nil {
		i.own = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: fetchTimeout}).DialContext,
			TLSHandshakeTimeout:   fetchTimeout,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   2,
			IdleConnTimeout:       time.Minute,
			ResponseHeaderTimeout: fetchTimeout,
		}
		client = &http.Client{Transport: i.own}
	}
	copied := *client
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	i.client = &copied
	return i
}

func (i *issuer) close() {
	if i.own != nil {
		i.own.CloseIdleConnections()
	}
}

// metadata returns what the issuer says of itself, not older than an hour.
func (i *issuer) metadata(ctx context.Context) (metadata, error) {
	select {
	case <-i.turn:
		defer func() { i.turn <- struct{}{} }()
	case <-ctx.Done():
		return metadata{}, ctx.Err()
	}
	if i.known != nil && time.Since(i.since) < metadataMaxAge {
		return *i.known, nil
	}
	var found metadata
	var err error
	for _, address := range metadataURLs(i.name) {
		if found, err = i.readMetadata(ctx, i.locate(address)); err == nil {
			i.known, i.since = &found, time.Now()
			return found, nil
		}
		var refused *statusError
		if !errors.As(err, &refused) {
			break // the next address is at the same server
		}
	}
	return metadata{}, fmt.Errorf("read metadata: %w", err)
}

// forget lets the metadata be read again: what it points to has not worked.
func (i *issuer) forget() {
	<-i.turn
	i.known = nil
	i.turn <- struct{}{}
}

func (i *issuer) readMetadata(ctx context.Context, address string) (metadata, error) {
	body, _, err := i.get(ctx, address, maxMetadata)
	if err != nil {
		return metadata{}, err
	}
	var found metadata
	if err := json.Unmarshal(body, &found); err != nil {
		return metadata{}, fmt.Errorf("%s is not metadata: %w", address, err)
	}
	if found.Issuer != i.name {
		return metadata{}, fmt.Errorf("%s is the metadata of issuer %q, not of %q", address, found.Issuer, i.name)
	}
	for _, endpoint := range []*string{&found.JWKSURI, &found.RevocationFeed, &found.RevocationStream} {
		if *endpoint == "" {
			continue
		}
		if err := i.trusts(*endpoint); err != nil {
			return metadata{}, fmt.Errorf("%s: %w", address, err)
		}
		*endpoint = i.locate(*endpoint)
	}
	return found, nil
}

// locate returns where an address of the issuer is fetched: at Options.FetchFrom, if
// there is one, under the same path and query.
func (i *issuer) locate(address string) string {
	u, err := url.Parse(address)
	if err != nil || i.from == "" {
		return address
	}
	return i.from + u.RequestURI()
}

// trusts refuses an endpoint whose answers anybody on the way could write. Only an
// issuer that is on the loopback itself may have one without TLS, there.
func (i *issuer) trusts(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("endpoint %q is not an absolute URL", endpoint)
	}
	if u.Scheme == "https" || u.Scheme == "http" && weborigin.IsLoopback(u.Hostname()) && strings.HasPrefix(i.name, "http:") {
		return nil
	}
	return fmt.Errorf("endpoint %q is not https", endpoint)
}

// A statusError is an answer that is not 200.
type statusError struct {
	address string
	status  int
}

func (e *statusError) Error() string { return fmt.Sprintf("%s answers %d", e.address, e.status) }

// get reads a document of at most limit bytes.
func (i *issuer) get(ctx context.Context, address string, limit int64) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/json")
	answer, err := i.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, nil, &statusError{address, answer.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", address, err)
	}
	if int64(len(body)) > limit {
		return nil, nil, fmt.Errorf("%s answers more than %d bytes", address, limit)
	}
	return body, answer.Header, nil
}

// metadataURLs are where an issuer's metadata may lie: where OpenID Connect
// Discovery 1.0, section 4, looks for it, and where RFC 8414, section 3, does.
func metadataURLs(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil // checkIssuer has parsed it
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	return []string{
		origin + path + "/.well-known/openid-configuration",
		origin + "/.well-known/oauth-authorization-server" + path,
	}
}

// checkIssuer returns the host of an issuer whose answers can be trusted.
func checkIssuer(name string) (host string, err error) {
	u, err := url.Parse(name)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(name, "#"):
		return "", fmt.Errorf("%q is not the URL of one: write it as in the `iss` of its tokens, such as https://id.example.com", name)
	case u.Scheme == "https", u.Scheme == "http" && weborigin.IsLoopback(u.Hostname()):
		return u.Host, nil
	}
	return "", fmt.Errorf("%q could be answered for by anybody on the way: write https", name)
}

// isOrigin reports whether an address is scheme and host, and nothing else.
func isOrigin(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Scheme+"://"+u.Host == address
}

// withoutUser hides what may be a password in an address.
func withoutUser(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return "…" + address[at:]
	}
	return address
}
