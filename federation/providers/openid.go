package providers

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/strictjson"
)

// acceptedAlgorithms exclude MACs, because their key is the client secret: any copy of the secret could sign.
var acceptedAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256,
	oidc.PS384, oidc.PS512, oidc.EdDSA}

// clockSkew is how far the clock of a provider may be ahead of this server's clock.
const clockSkew = 5 * time.Minute

// idClaims are the claims of an ID token or of the userinfo endpoint that this package uses. A document is refused if
// a name occurs twice, or in another letter case.
type idClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	Party    string          `json:"azp"`
	Nonce    string          `json:"nonce"`
	IssuedAt json.Number     `json:"iat"`
	Tenant   string          `json:"tid"`

	Email         string          `json:"email"`
	EmailVerified json.RawMessage `json:"email_verified"`
	HostedDomain  string          `json:"hd"`
	DomainOwned   json.RawMessage `json:"xms_edov"`
	Name          string          `json:"name"`
	Locale        json.RawMessage `json:"locale"`
	Methods       json.RawMessage `json:"amr"`
	Class         json.RawMessage `json:"acr"`
}

// exchangeOpenID redeems a code, verifies the ID token, and returns the claims about the user.
func (c *client) exchangeOpenID(
	ctx context.Context, a federation.Attempt, r federation.Response,
) (federation.Claims, error) {
	m, err := c.currentMetadata(ctx)
	if err != nil {
		return federation.Claims{}, err
	}
	// In a mix-up attack, the response has the code of another provider. That code must not be
	// sent to this provider.
	if r.Issuer != m.Issuer && (r.Issuer != "" || m.SendsIssuer) {
		return federation.Claims{}, fmt.Errorf("the response names the issuer %.100q, and not %q", r.Issuer, m.Issuer)
	}
	config := c.oauthConfig(m)
	if c.opts.Kind == federation.KindApple {
		if config.ClientSecret, err = c.appleSecret(c.opts.Now()); err != nil {
			return federation.Claims{}, err
		}
	}
	token, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, c.http), string(r.Code),
		oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return federation.Claims{}, err
	}
	raw, _ := token.Extra("id_token").(string)
	claims, err := c.verifyIDToken(ctx, m, raw, a.Nonce)
	if err != nil {
		return federation.Claims{}, withoutSecrets(err, raw, token.AccessToken, token.RefreshToken)
	}
	if claims.Email == "" && m.UserInfoURL != "" && !c.kind.noUserInfo {
		if err := c.addUserInfo(ctx, m, token.AccessToken, &claims); err != nil {
			return federation.Claims{}, withoutSecrets(err, token.AccessToken)
		}
	}
	if claims.Name == "" {
		claims.Name = r.Name
	}
	return c.federationClaims(m, claims), nil
}

// verifyIDToken follows OpenID Connect Core, section 3.1.3.7. The library checks the signature, the issuer, the
// audience and the expiry. This function does the other checks.
func (c *client) verifyIDToken(ctx context.Context, m *metadata, raw, nonce string) (claims idClaims, err error) {
	verifier := oidc.NewVerifier(m.Issuer, m.keys, &oidc.Config{
		ClientID: c.opts.ClientID, SupportedSigningAlgs: acceptedAlgorithms, Now: c.opts.Now,
		SkipIssuerCheck: c.kind.checkToken != nil}) // the function checkToken checks the issuer instead
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return claims, fmt.Errorf("ID token: %w", err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		return claims, err
	}
	if claims, err = readClaims(payload); err != nil {
		return claims, fmt.Errorf("ID token: %w", err)
	}
	if c.kind.checkToken != nil {
		if err := c.kind.checkToken(c, claims); err != nil {
			return claims, fmt.Errorf("ID token: %w", err)
		}
	}
	issued, err := claims.IssuedAt.Int64()
	switch {
	case claims.Issuer != token.Issuer, claims.Subject != token.Subject, claims.Nonce != token.Nonce:
		return claims, errors.New("ID token: a claim occurs in two spellings")
	case nonce == "" || subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(nonce)) != 1:
		return claims, errors.New("ID token: it belongs to another attempt (nonce)")
	case len(token.Audience) != 1 && claims.Party == "":
		return claims, errors.New("ID token: it has several audiences and no azp")
	case claims.Party != "" && claims.Party != c.opts.ClientID:
		return claims, errors.New("ID token: it was issued to another client (azp)")
	case err != nil || time.Unix(issued, 0).After(c.opts.Now().Add(clockSkew)):
		return claims, errors.New("ID token: it was issued in the future (iat)")
	}
	return claims, nil
}

// readClaims parses the claims of a document. It rejects duplicate members, because two parsers could read different
// claims.
func readClaims(payload []byte) (claims idClaims, err error) {
	if err := strictjson.Check(payload); err != nil {
		return claims, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		return claims, err
	}
	for name := range all {
		if name != strings.ToLower(name) && slices.Contains(claimNames, strings.ToLower(name)) {
			return claims, fmt.Errorf("it has the claim %.20q", name)
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	return claims, decoder.Decode(&claims)
}

// claimNames are the claims whose names must be in lower case. A document with a name such as Sub is refused, because
// encoding/json ignores letter case and would read it as sub.
var claimNames = []string{"iss", "sub", "aud", "azp", "nonce", "iat", "exp", "nbf", "tid", "email", "email_verified",
	"hd", "xms_edov", "name", "locale", "amr", "acr"}

// addUserInfo adds the claims that the provider returns only from its userinfo endpoint. The
// response must have the subject of the ID token (OpenID Connect Core, section 5.3.2).
func (c *client) addUserInfo(ctx context.Context, m *metadata, bearer string, claims *idClaims) error {
	var document json.RawMessage
	if err := getJSON(ctx, c.http, m.UserInfoURL, bearer, &document); err != nil {
		return fmt.Errorf("userinfo: %w", err)
	}
	more, err := readClaims(document)
	if err == nil && more.Subject != claims.Subject {
		err = errors.New("it describes another user")
	}
	if err != nil {
		return fmt.Errorf("userinfo: %w", err)
	}
	claims.Email, claims.EmailVerified = more.Email, more.EmailVerified
	if claims.Name == "" {
		claims.Name = more.Name
	}
	if len(claims.Locale) == 0 {
		claims.Locale = more.Locale
	}
	return nil
}

func (c *client) federationClaims(m *metadata, from idClaims) federation.Claims {
	claims := federation.Claims{Issuer: m.Issuer, Subject: from.Subject, Email: from.Email,
		EmailVerified: isTrue(from.EmailVerified), HostedDomain: from.HostedDomain, Name: from.Name,
		DomainOwned: isTrue(from.DomainOwned)}
	switch c.opts.Kind {
	case federation.KindApple: // Apple may send a string
		claims.EmailVerified = claims.EmailVerified || string(from.EmailVerified) == `"true"`
	case federation.KindMicrosoft: // each tenant is a separate issuer
		claims.Issuer = from.Issuer
	}
	// Claims of an unexpected type are ignored, because they grant no access.
	_ = json.Unmarshal(from.Locale, &claims.Locale)
	_ = json.Unmarshal(from.Methods, &claims.Methods)
	_ = json.Unmarshal(from.Class, &claims.Class)
	return claims
}

// isTrue accepts only the JSON value true.
func isTrue(value json.RawMessage) bool { return string(value) == "true" }
