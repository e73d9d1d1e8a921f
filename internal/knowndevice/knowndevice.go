// Package knowndevice is the token by which a device that has signed in to an
// account before is recognised: "wwd_" and unpadded base64url of
//
//	device id (16 bytes) | HMAC-SHA-256 (32)
//
// The MAC covers the device id, the account and the account's password hash, so
// that a token is for one account and until its password changes. The token names
// neither. It is no credential: whoever presents it gets another limit, and no
// access.
package knowndevice

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

const (
	prefix = "wwd_"
	idSize = 16
	size   = idSize + sha256.Size
)

// An ID is random. It names one device of one account.
type ID [idSize]byte

// NewID returns a random ID.
func NewID() (id ID) {
	rand.Read(id[:]) //nolint:errcheck // never fails: it crashes the process instead
	return id
}

// String returns the ID in base64url.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Sign returns the token of a device for an account with that password hash.
func (id ID) Sign(secret []byte, account, passwordHash string) string {
	sum := mac(secret, id, account, passwordHash)
	return prefix + base64.RawURLEncoding.EncodeToString(append(id[:], sum...))
}

// Parse returns the device of a token that Sign made for the account and that
// password hash, byte for byte. It reports false for any other text. A text that
// has the shape of a token costs the same time whatever it was made for.
func Parse(text string, secret []byte, account, passwordHash string) (id ID, ok bool) {
	if len(text) != len(prefix)+base64.RawURLEncoding.EncodedLen(size) || text[:len(prefix)] != prefix {
		return ID{}, false
	}
	// Strict refuses stray trailing bits. The decoder skips line breaks, which
	// then leave too few bytes.
	var raw [size]byte
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(text[len(prefix):]))
	if err != nil || n != size {
		return ID{}, false
	}
	copy(id[:], raw[:])
	if !hmac.Equal(mac(secret, id, account, passwordHash), raw[idSize:]) {
		return ID{}, false
	}
	return id, true
}

// mac prefixes each text with its length, so that no two pairs of texts are alike.
func mac(secret []byte, id ID, account, passwordHash string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(id[:])
	for _, text := range []string{account, passwordHash} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		h.Write(length[:])
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}
