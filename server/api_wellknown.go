package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes serve public documents: keys, issuer metadata, health and readiness. They need no credentials and are
// available under every host, because they contain no secrets. Scripts of every origin may read keys and metadata.

// A jwksAnswer describes the document for OpenAPI. The engine builds the document itself, once per
// change of the keys.
type jwksAnswer struct {
	Keys []map[string]any `json:"keys" nullable:"false" doc:"JSON Web Keys: next, active, retired"`
}

// metadataAnswer has the members of RFC 8414 and OpenID Connect Discovery that apply to this server. The server has
// no authorization endpoint.
type metadataAnswer struct {
	Issuer                 string   `json:"issuer"`
	JWKSURI                string   `json:"jwks_uri"`
	ResponseTypesSupported []string `json:"response_types_supported" nullable:"false" doc:"Always empty"`
	ServiceDocumentation   string   `json:"service_documentation"`
	RevocationFeed         string   `json:"revocation_feed_endpoint" doc:"The revocation feed, by polling"`
	RevocationStream       string   `json:"revocation_stream_endpoint" doc:"The revocation feed, as server-sent events"`
}

// A healthAnswer does not contain the cause. The public listener must not reveal how the
// store fails.
type healthAnswer struct {
	Status string `json:"status"`
}

// serveJWKS lets services verify tokens without a key in their configuration. Services may cache the keys for
// watchword.JWKSMaxAge. The engine publishes a new key for longer than this time before it signs with the key.
// Retired keys stay in the document until all their tokens have expired.
func (a *api) serveJWKS(w http.ResponseWriter, r *http.Request) error {
	document := a.engine.JWKS()
	sum := sha256.Sum256(document)
	// Eight bytes are enough, because the tag only shows a change of the document.
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", watchword.JWKSMaxAge/time.Second))
	w.Header().Set("ETag", tag)
	if matchesETag(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	respond.Write(w, http.StatusOK, "application/json", document)
	return nil
}

// matchesETag compares the tag with an If-None-Match header by weak comparison (RFC 9110, section 13.1.2).
func matchesETag(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
			return true
		}
	}
	return false
}

// serveMetadata serves the same document at both well-known paths, because some libraries look for RFC
// 8414 and others for OpenID Connect. The document changes only with a release, so an hour in caches is
// short enough.
func (a *api) serveMetadata(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	return respond.JSON(w, http.StatusOK, metadataAnswer{
		Issuer:                 a.origins.publicURL,
		JWKSURI:                a.origins.publicURL + pathJWKS,
		ResponseTypesSupported: []string{},
		ServiceDocumentation:   a.origins.publicURL + "/docs",
		RevocationFeed:         a.origins.publicURL + pathRevocations,
		RevocationStream:       a.origins.publicURL + pathStream,
	})
}

// serveHealth does not use the store, because restarting the process would not repair the store.
func (a *api) serveHealth(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	return respond.JSON(w, http.StatusOK, healthAnswer{"up"})
}

// serveReadiness tells a load balancer whether to send traffic: the store accepts writes, and the server is not
// stopping. It tests a write, because a database that became a standby accepts only reads, and every sign-in and
// refresh would fail.
func (a *api) serveReadiness(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if a.draining() {
		return &watchword.Error{Code: watchword.CodeTryLater, Detail: "The server is stopping.", RetryAfter: time.Second}
	}
	if err := a.engine.Ready(r.Context()); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, healthAnswer{"ready"})
}
