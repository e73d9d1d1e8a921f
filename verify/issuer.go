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

// An issuer reads documents from the issuer's server. It reads the metadata only from the configured address, and
// rejects metadata that does not name the configured issuer (RFC 8414, section 3.3). A token therefore can't direct
// the verifier to another server.
//
// If isNamed is true, the configured name need not be a URL: it is only the `iss` of access tokens. The metadata may
// then name a different issuer, and the verifier trusts the server at Options.FetchFrom. The shared secret
// authenticates the tokens and the feed.
type issuer struct {
	name         string // exactly as configured
	isNamed      bool   // the metadata may name another issuer
	fetchOrigin  string // Options.FetchFrom; "" for the issuer's own origin
	client       *http.Client
	ownTransport *http.Transport // nil if the caller passed the client

	lock   chan struct{} // a channel of capacity 1, because a mutex can't wait with a context
	cached *metadata     // lock guards cached and readAt
	readAt time.Time
}

// metadata contains the members of RFC 8414, section 2, that the verifier uses.
type metadata struct {
	Issuer           string `json:"issuer"`
	JWKSURI          string `json:"jwks_uri"`
	RevocationFeed   string `json:"revocation_feed_endpoint"`
	RevocationStream string `json:"revocation_stream_endpoint"`
}

func newIssuer(name string, named bool, from string, client *http.Client) *issuer {
	i := &issuer{name: name, isNamed: named, fetchOrigin: from, lock: make(chan struct{}, 1)}
	if client == nil {
		i.ownTransport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: fetchTimeout}).DialContext,
			TLSHandshakeTimeout:   fetchTimeout,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   2,
			IdleConnTimeout:       time.Minute,
			ResponseHeaderTimeout: fetchTimeout,
		}
		client = &http.Client{Transport: i.ownTransport}
	}
	copied := *client
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	i.client = &copied
	return i
}

func (i *issuer) close() {
	if i.ownTransport != nil {
		i.ownTransport.CloseIdleConnections()
	}
}

// metadata returns the cached document if it is at most an hour old, and otherwise fetches it.
func (i *issuer) metadata(ctx context.Context) (metadata, error) {
	select {
	case i.lock <- struct{}{}:
		defer func() { <-i.lock }()
	case <-ctx.Done():
		return metadata{}, ctx.Err()
	}
	if i.cached != nil && time.Since(i.readAt) < metadataMaxAge {
		return *i.cached, nil
	}
	var found metadata
	var err error
	for _, address := range i.metadataURLs() {
		if found, err = i.readMetadata(ctx, i.fetchURL(address)); err == nil {
			i.cached, i.readAt = &found, time.Now()
			return found, nil
		}
		var refused *statusError
		if !errors.As(err, &refused) {
			break // the next address has the same host, so it is unreachable too
		}
	}
	return metadata{}, fmt.Errorf("read metadata: %w", err)
}

// invalidateMetadata makes the next call of metadata fetch the document again. Callers use it after a request to an
// endpoint failed, because the endpoint may have moved.
func (i *issuer) invalidateMetadata() {
	i.lock <- struct{}{}
	i.cached = nil
	<-i.lock
}

func (i *issuer) readMetadata(ctx context.Context, address string) (metadata, error) {
	body, _, err := i.fetchDocument(ctx, address, maxMetadata)
	if err != nil {
		return metadata{}, err
	}
	var found metadata
	if err := json.Unmarshal(body, &found); err != nil {
		return metadata{}, fmt.Errorf("%s is not metadata: %w", address, err)
	}
	if found.Issuer != i.name && !i.isNamed {
		return metadata{}, fmt.Errorf("%s is the metadata of issuer %q, not of %q", address, found.Issuer, i.name)
	}
	if _, err := parseIssuerHost(found.Issuer); err != nil {
		return metadata{}, fmt.Errorf("%s: issuer: %w", address, err)
	}
	for _, endpoint := range []*string{&found.JWKSURI, &found.RevocationFeed, &found.RevocationStream} {
		if *endpoint == "" {
			continue
		}
		if err := checkEndpoint(*endpoint, found.Issuer); err != nil {
			return metadata{}, fmt.Errorf("%s: %w", address, err)
		}
		*endpoint = i.fetchURL(*endpoint)
	}
	return found, nil
}

// fetchURL replaces scheme and host by those of Options.FetchFrom, if set. It keeps path and query.
func (i *issuer) fetchURL(address string) string {
	u, err := url.Parse(address)
	if err != nil || i.fetchOrigin == "" {
		return address
	}
	return i.fetchOrigin + u.RequestURI()
}

// checkEndpoint rejects an endpoint whose responses could be forged on the network. Plain http is allowed only for
// loopback addresses, and only if the issuer also uses plain http.
func checkEndpoint(endpoint, issuer string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("endpoint %q is not an absolute URL", endpoint)
	}
	isLocal := u.Scheme == "http" && weborigin.IsLoopback(u.Hostname()) && strings.HasPrefix(issuer, "http:")
	if u.Scheme == "https" || isLocal {
		return nil
	}
	return fmt.Errorf("endpoint %q is not https", endpoint)
}

type statusError struct {
	address string
	status  int
}

func (e *statusError) Error() string { return fmt.Sprintf("%s responds %d", e.address, e.status) }

// fetchDocument returns an error if the status is not 200 or the document has more than limit bytes.
func (i *issuer) fetchDocument(ctx context.Context, address string, limit int64) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, err := i.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, nil, &statusError{address, response.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", address, err)
	}
	if int64(len(body)) > limit {
		return nil, nil, fmt.Errorf("the response of %s is larger than %d bytes", address, limit)
	}
	return body, response.Header, nil
}

// metadataURLs returns the addresses at which an issuer's metadata may be: those of OpenID Connect Discovery 1.0,
// section 4, and of RFC 8414, section 3. For a named issuer, it derives them from Options.FetchFrom, because the name
// is not an address.
func (i *issuer) metadataURLs() []string {
	base := i.name
	if i.isNamed {
		base = i.fetchOrigin
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil // unreachable: New has parsed it
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	return []string{
		origin + path + "/.well-known/openid-configuration",
		origin + "/.well-known/oauth-authorization-server" + path,
	}
}

// parseIssuerHost rejects plain http, except for loopback addresses, because responses could be forged on the
// network.
func parseIssuerHost(name string) (host string, err error) {
	u, err := url.Parse(name)
	switch {
	case err != nil, u.Host == "", u.User != nil, u.RawQuery != "", u.ForceQuery, strings.Contains(name, "#"):
		return "", fmt.Errorf("%q is not an issuer URL: write the `iss` of its tokens, such as https://id.example.com; "+
			"another name needs Options.SigningSecret, FetchFrom and Audience", name)
	case u.Scheme == "https", u.Scheme == "http" && weborigin.IsLoopback(u.Hostname()):
		return u.Host, nil
	}
	return "", fmt.Errorf("%q has no TLS, so its responses could be forged on the network: write https", name)
}

func hasOnlySchemeAndHost(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.Scheme+"://"+u.Host == address
}

// The user part of an address may contain a password.
func hideUserInfo(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return "…" + address[at:]
	}
	return address
}
