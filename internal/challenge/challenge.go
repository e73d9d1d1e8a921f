// Package challenge signs and parses handles. A handle is the text with which a client refers to a challenge: "wwc_"
// and unpadded base64url of
//
//	challenge id (16 bytes) | HMAC-SHA-256 (32)
//
// The MAC covers the purpose and the id. A handle therefore works for one purpose, and an invented handle is rejected
// without a query.
package challenge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

const (
	prefix = "wwc_"
	idSize = 16
	size   = idSize + sha256.Size
)

// Sign returns the handle of a challenge.
func Sign(secret []byte, purpose string, id [idSize]byte) string {
	return prefix + base64.RawURLEncoding.EncodeToString(append(id[:], computeMAC(secret, purpose, id)...))
}

// Parse returns the challenge id in a handle. It reports false unless Sign created the handle for that purpose.
func Parse(handle string, secret []byte, purpose string) (id [idSize]byte, ok bool) {
	if len(handle) != len(prefix)+base64.RawURLEncoding.EncodedLen(size) || handle[:len(prefix)] != prefix {
		return id, false
	}
	// The strict decoder rejects non-zero trailing bits. It skips line breaks, but the length of a handle is fixed. A
	// handle with a line break thus decodes to too few bytes and is rejected.
	var raw [size]byte
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(handle[len(prefix):]))
	if err != nil || n != size {
		return id, false
	}
	copy(id[:], raw[:])
	if !hmac.Equal(computeMAC(secret, purpose, id), raw[idSize:]) {
		return [idSize]byte{}, false
	}
	return id, true
}

// computeMAC writes the id first. The id has a fixed length, so different pairs of id and purpose never give the same
// input.
func computeMAC(secret []byte, purpose string, id [idSize]byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(id[:])
	h.Write([]byte(purpose))
	return h.Sum(nil)
}
