// Package recoverycode creates recovery codes and computes the hashes that are stored instead of them.
//
// A code has 10 characters of Crockford's base32 (50 bits), written as two groups of five. The hash is a MAC, and its
// secret is not in the database. A copy of the database alone therefore reveals no code, and a slow hash is
// unnecessary.
package recoverycode

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	// Count is how many codes an account gets.
	Count = 10

	length   = 10
	alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // 32 characters without I, L, O and U
)

// New returns Count random codes.
func New() []string {
	codes := make([]string, Count)
	for i := range codes {
		var code [length]byte
		rand.Read(code[:]) //nolint:errcheck // never fails: on an error it crashes the process
		for j, b := range code {
			code[j] = alphabet[b%32] // 256 is a multiple of 32, so all characters are equally likely
		}
		codes[i] = string(code[:length/2]) + "-" + string(code[length/2:])
	}
	return codes
}

var typed = strings.NewReplacer(" ", "", "-", "", "O", "0", "I", "1", "L", "1")

// Normalize returns the form of a typed code that Hash expects. It reports false if the text
// can't be a code. It ignores case, spaces and hyphens. The letters O, I and L count as the
// digits 0, 1 and 1.
func Normalize(code string) (normal string, ok bool) {
	if len(code) > 4*length {
		return "", false
	}
	normal = typed.Replace(strings.ToUpper(code))
	return normal, len(normal) == length && strings.Trim(normal, alphabet) == ""
}

// Hash returns the stored form of a user's code in hex. The code must be normalized.
func Hash(secret []byte, user, normal string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(user + " " + normal)) // a user id has no space, so the text is unambiguous
	return hex.EncodeToString(mac.Sum(nil))
}
