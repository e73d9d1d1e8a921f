package totp

import (
	"encoding/base32"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"
)

// This file reads secrets of other systems: base32 as people type it, or an otpauth URI as in a
// QR code.

// The lengths of imported secrets, in bytes. Many systems use 10 bytes, RFC 4226 requires 16.
const (
	minSecret = 10
	maxSecret = 128
)

// Errors of Parse. They contain no part of the secret.
var (
	errSecret = errors.New("neither a base32 secret nor an otpauth URI")
	errLength = errors.New("the secret has less than 10 or more than 128 bytes")
	errForm   = errors.New("the otpauth URI is not for SHA1, 6 digits and 30 seconds, which are supported")
)

// Parse reads a secret in base32 or in an otpauth URI, and the account's label in the URI. Case, spaces, hyphens and
// padding of the base32 text don't matter.
func Parse(text string) (secret []byte, label string, err error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(strings.ToLower(text), "otpauth:") {
		if text, label, err = parseURI(text); err != nil {
			return nil, "", err
		}
	}
	plain := strings.NewReplacer(" ", "", "-", "", "=", "").Replace(strings.ToUpper(text))
	secret, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(plain)
	switch {
	case err != nil || plain == "":
		return nil, "", errSecret
	case len(secret) < minSecret || len(secret) > maxSecret:
		return nil, "", errLength
	}
	return secret, label, nil
}

// parseURI returns the secret of an otpauth URI in base32, and its label. It rejects a URI with unusual parameters,
// because the codes would never match.
func parseURI(text string) (secret, label string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", "", errSecret
	}
	q := u.Query()
	usual := func(name string, values ...string) bool {
		for _, value := range values {
			if strings.EqualFold(q.Get(name), value) {
				return true
			}
		}
		return false
	}
	if !strings.EqualFold(u.Host, "totp") || !usual("algorithm", "", "SHA1", "HmacSHA1") || !usual("digits", "", "6") ||
		!usual("period", "", "30") {
		return "", "", errForm
	}
	if label = strings.TrimPrefix(u.Path, "/"); !utf8.ValidString(label) {
		label = ""
	}
	return q.Get("secret"), label, nil
}
