// Package knowndevice signs and parses the token of a device that has signed in to an account before: "wwd_" and
// unpadded base64url of
//
//	device id (16 bytes) | HMAC-SHA-256 (32)
//
// The MAC covers the device id, the account and the account's password hash. A token is therefore valid for one
// account, until its password changes. The token does not reveal the account or the hash. It is not a credential and
// grants no access: it only selects a separate rate limit for attempts to sign in.
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

// An ID identifies one device of one account. It is random.
type ID [idSize]byte

// NewID returns a random ID.
func NewID() (id ID) {
	rand.Read(id[:]) //nolint:errcheck // never fails: on an error it crashes the process
	return id
}

// String returns the ID in base64url.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Sign returns the token of the device for the account with that password hash.
func (id ID) Sign(secret []byte, account, passwordHash string) string {
	sum := computeMAC(secret, id, account, passwordHash)
	return prefix + base64.RawURLEncoding.EncodeToString(append(id[:], sum...))
}

// Parse returns the device id in a token that Sign created for that account and password hash. It reports false for
// any other text. Every text with the length and prefix of a token takes the same time.
func Parse(text string, secret []byte, account, passwordHash string) (id ID, ok bool) {
	if len(text) != len(prefix)+base64.RawURLEncoding.EncodedLen(size) || text[:len(prefix)] != prefix {
		return ID{}, false
	}
	// The strict decoder rejects non-zero trailing bits. It skips line breaks, but the length of a token is fixed. A
	// token with a line break thus decodes to too few bytes and is rejected.
	var raw [size]byte
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(text[len(prefix):]))
	if err != nil || n != size {
		return ID{}, false
	}
	copy(id[:], raw[:])
	if !hmac.Equal(computeMAC(secret, id, account, passwordHash), raw[idSize:]) {
		return ID{}, false
	}
	return id, true
}

// computeMAC writes the length before each text, so different pairs of account and password hash never give the same
// input.
func computeMAC(secret []byte, id ID, account, passwordHash string) []byte {
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
