package providers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// A metadata document describes an OpenID provider (OpenID Connect Discovery, section 3).
type metadata struct {
	Issuer      string   `json:"issuer"`
	AuthURL     string   `json:"authorization_endpoint"`
	TokenURL    string   `json:"token_endpoint"`
	UserInfoURL string   `json:"userinfo_endpoint"`
	JWKSURL     string   `json:"jwks_uri"`
	TokenAuth   []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	MustPush    bool     `json:"require_pushed_authorization_requests"`          // RFC 9126
	PushURL     string   `json:"pushed_authorization_request_endpoint"`          // RFC 9126

	keys oidc.KeySet
}

const (
	metadataLife = time.Hour       // how long a metadata document is used
	failureLife  = 2 * time.Second // how long the error of a failed request is returned without another request
)

// currentMetadata fetches the document at the first use, so that a provider that is down does not delay the start of
// the server. After metadataLife, it fetches the document again. If this fails, the old metadata stay in use.
func (c *client) currentMetadata(ctx context.Context) (*metadata, error) {
	if c.kind.fixedMetadata != nil {
		return c.kind.fixedMetadata(c), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.meta != nil && now.Sub(c.requestedAt) < metadataLife:
		return c.meta, nil
	case c.lastErr != nil && now.Sub(c.requestedAt) < failureLife:
		return c.meta, c.lastErr
	}
	meta, err := c.fetchMetadata(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err() // the client disconnected: the provider has not failed
	}
	// failureLife starts when the request has ended. If it started with the request, the error of a provider that
	// hangs would be too old at once. Each waiting user would then send another request.
	c.requestedAt, c.lastErr = time.Now(), nil
	if err == nil {
		c.meta = meta
	} else if c.meta == nil {
		c.lastErr = err
	}
	return c.meta, c.lastErr
}

// fetchMetadata reads the document of the issuer. The document must name the same issuer, byte for
// byte (OpenID Connect Discovery, section 4.3).
func (c *client) fetchMetadata(ctx context.Context) (*metadata, error) {
	var meta metadata
	from := strings.TrimSuffix(c.issuer, "/") + "/.well-known/openid-configuration"
	if err := getJSON(ctx, c.http, from, "", &meta); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if err := c.kind.checkIssuer(c, meta.Issuer); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	endpoints := map[string]string{"authorization_endpoint": meta.AuthURL, "token_endpoint": meta.TokenURL,
		"jwks_uri": meta.JWKSURL}
	if meta.UserInfoURL != "" {
		endpoints["userinfo_endpoint"] = meta.UserInfoURL
	}
	if meta.MustPush {
		endpoints["pushed_authorization_request_endpoint"] = meta.PushURL
	}
	for what, one := range endpoints {
		if err := checkURL(what, one); err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
	}
	// The key set fetches the keys for the first token, and again for a token with an unknown key. It is still used
	// after this request has ended, so it can't use the context.Context of the request.
	meta.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), c.http), meta.JWKSURL)
	return &meta, nil
}

// checkSameIssuer returns an error unless the discovery document names the issuer of the settings. Microsoft has a
// different rule (tenantIssuer).
func checkSameIssuer(c *client, issuer string) error {
	if issuer != c.issuer {
		return fmt.Errorf("the document names the issuer %q, and not %q", issuer, c.issuer)
	}
	return nil
}

// takesSecretInBody reports whether the token endpoint takes the client secret only in the body.
func (m *metadata) takesSecretInBody() bool {
	return !slices.Contains(m.TokenAuth, "client_secret_basic") && slices.Contains(m.TokenAuth, "client_secret_post")
}
