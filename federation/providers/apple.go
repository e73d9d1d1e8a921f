package providers

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The client secret for Apple is a JWT. Its signing key is a file that Apple lets the operator download once.

const (
	apple = "https://appleid.apple.com"

	appleSecretLife = 5 * time.Minute // short, because each secret is new; Apple accepts up to six months
)

// appleSecret signs a new client secret with a key id and a team id. Without them, it returns the secret in the
// settings, which is already signed.
func (c *client) appleSecret(now time.Time) (string, error) {
	secret := string(c.opts.ClientSecret)
	if c.opts.KeyID == "" && c.opts.TeamID == "" {
		if _, ok := secretExpiry(secret); !ok {
			return "", errors.New("the client secret is no JWT: write team-id and key-id beside the key file of Apple")
		}
		return secret, nil
	}
	if c.opts.KeyID == "" || c.opts.TeamID == "" {
		return "", errors.New("team-id and key-id belong together")
	}
	block, _ := pem.Decode([]byte(secret))
	if block == nil {
		return "", errors.New("the client secret is not the key file of Apple (.p8)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return "", errors.New("the client secret is not the key file of Apple (.p8)")
	}
	options := (&jose.SignerOptions{}).WithHeader("kid", c.opts.KeyID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(map[string]any{"iss": c.opts.TeamID, "sub": c.opts.ClientID, "aud": c.issuer,
		"iat": now.Unix(), "exp": now.Add(appleSecretLife).Unix()})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// SecretExpiry returns when a signed client secret for Apple expires. It reports false for a key file,
// which does not expire.
func SecretExpiry(o Options) (time.Time, bool) {
	if o.KeyID != "" {
		return time.Time{}, false
	}
	return secretExpiry(string(o.ClientSecret))
}

func secretExpiry(secret string) (time.Time, bool) {
	parts := strings.Split(secret, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expires == 0 {
		return time.Time{}, false
	}
	return time.Unix(claims.Expires, 0), true
}
