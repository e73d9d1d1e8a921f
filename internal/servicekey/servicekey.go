// Package servicekey creates and parses service keys: "wwk_1" and lower-case base32 of
//
//	key id (16 bytes) | HMAC-SHA-256 (32)
//
// A key is computed from its id, so the database contains neither the key nor a hash of it. The
// MAC also serves as a checksum. A changed or invented key is rejected without a query.
//
// The text has only letters, digits and an underscore, a fixed length and a unique prefix. Scanners
// for leaked secrets find it with Pattern, and a double click selects all of it.
package servicekey

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// Pattern is the regular expression of a key (RE2). docs/admin.md repeats it.
const Pattern = `\bwwk_1[a-z2-7]{77}\b`

const (
	prefix  = "wwk_"
	version = "1"
	idSize  = 16
	size    = idSize + sha256.Size
)

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Is reports whether a bearer token has the prefix that service keys of every version share.
func Is(token string) bool { return strings.HasPrefix(token, prefix) }

// Sign returns the key with that id.
func Sign(secret []byte, id [idSize]byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("service key " + version + "\n")) // distinguishes keys from cursors, whose MAC has the same secret
	h.Write(id[:])
	return prefix + version + encoding.EncodeToString(h.Sum(id[:]))
}

// Parse returns the id in a key. It reports false unless Sign created the key.
func Parse(key string, secret []byte) (id [idSize]byte, ok bool) {
	encoded, found := strings.CutPrefix(key, prefix+version)
	if !found || len(encoded) != encoding.EncodedLen(size) {
		return id, false
	}
	raw, err := encoding.DecodeString(encoded)
	if err != nil || len(raw) != size {
		return id, false
	}
	copy(id[:], raw)
	// Compare the texts and not the bytes. The decoder ignores the last bit, so two texts can give the same bytes.
	if !hmac.Equal([]byte(Sign(secret, id)), []byte(key)) {
		return [idSize]byte{}, false
	}
	return id, true
}
