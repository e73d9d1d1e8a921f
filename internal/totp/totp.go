// Package totp verifies time-based one-time passwords (RFC 6238) so that each code works once.
//
// All secrets have the parameters that every authenticator supports: SHA-1, 6 digits, 30 s.
package totp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

const (
	// SecretSize is the length of a secret in bytes: 160 bits, as RFC 4226 recommends.
	SecretSize = 20

	// Period is the length of a time step.
	Period = 30 * time.Second

	digits = otp.DigitsSix
)

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret returns a random secret.
func NewSecret() []byte {
	secret := make([]byte, SecretSize)
	rand.Read(secret) //nolint:errcheck // never fails: on an error it crashes the process
	return secret
}

// Text returns a secret in base32, for people who type it.
func Text(secret []byte) string { return encoding.EncodeToString(secret) }

// URI returns the otpauth URI of a secret, which authenticators read as a QR code.
func URI(secret []byte, issuer, account string) string {
	q := url.Values{"secret": {Text(secret)}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	// Some authenticators show a + in the query unchanged, so a space is encoded as %20.
	query := strings.ReplaceAll(q.Encode(), "+", "%20")
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(account) + "?" + query
}

// Step returns the time step of t.
func Step(t time.Time) int64 { return t.Unix() / int64(Period/time.Second) }

// Code returns the code of a step. The step must not be negative.
func Code(secret []byte, step int64) (string, error) {
	opts := hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1}
	return hotp.GenerateCodeCustom(Text(secret), uint64(step), opts)
}

// Match reports whether a code is accepted at now. If so, it also returns the time step of the code, which the caller
// must store. lastStep is the stored step of the last accepted code, or 0.
//
// The clock of the authenticator may differ by one step, so Match checks three steps. If two of these steps have the
// same code, Match returns the higher step. Otherwise the code would work once more at the higher step. For the same
// reason, Match refuses the last accepted code during the next two steps. The check takes the same time for every
// text with six digits.
func Match(secret []byte, code string, now time.Time, lastStep int64) (step int64, ok bool, err error) {
	if len(code) != digits.Length() || strings.Trim(code, "0123456789") != "" {
		return 0, false, nil
	}
	used := 0
	if lastStep > 0 {
		if used, err = compareCode(secret, lastStep, code); err != nil {
			return 0, false, err
		}
	}
	current := Step(now)
	for candidate := max(current-1, 0); candidate <= current+1; candidate++ {
		matches, err := compareCode(secret, candidate, code)
		if err != nil {
			return 0, false, err
		}
		if matches == 1 && candidate > lastStep && (used == 0 || candidate-lastStep > 2) {
			step, ok = candidate, true
		}
	}
	return step, ok, nil
}

// compareCode returns 1 if the step has this code, and 0 otherwise.
func compareCode(secret []byte, step int64, code string) (int, error) {
	want, err := Code(secret, step)
	return subtle.ConstantTimeCompare([]byte(want), []byte(code)), err
}

// Normalize removes the spaces that authenticators show between digits.
func Normalize(code string) string { return strings.Join(strings.Fields(code), "") }
