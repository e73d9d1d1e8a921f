// Package rememberedtoken signs and parses the token of a remembered device. A token consists of "wwb_" and the
// unpadded base64url of
//
//	device id (16 bytes) | HMAC-SHA-256 (32)
//
// The MAC covers the device id and the account. Parse therefore rejects forged tokens, and tokens of other accounts,
// without a query. If Parse accepts a token, the caller looks up the stored device.
package rememberedtoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

const (
	prefix = "wwb_"
	idSize = 16
	size   = idSize + sha256.Size
)

// Sign returns the token of a device for an account.
func Sign(secret []byte, account string, id [idSize]byte) string {
	return prefix + base64.RawURLEncoding.EncodeToString(append(id[:], computeMAC(secret, account, id)...))
}

// Parse returns the device id in a token. It reports false unless Sign created the token for that
// account.
func Parse(token string, secret []byte, account string) (id [idSize]byte, ok bool) {
	if len(token) != len(prefix)+base64.RawURLEncoding.EncodedLen(size) || token[:len(prefix)] != prefix {
		return id, false
	}
	// The strict decoder rejects non-zero trailing bits. It skips line breaks, but the length of a token is fixed. A
	// token with a line break thus decodes to too few bytes and is rejected.
	var raw [size]byte
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(token[len(prefix):]))
	if err != nil || n != size {
		return id, false
	}
	copy(id[:], raw[:])
	if !hmac.Equal(computeMAC(secret, account, id), raw[idSize:]) {
		return [idSize]byte{}, false
	}
	return id, true
}

// computeMAC returns the MAC of a device id and an account. The id comes first and has a fixed length, so no other id
// and account give the same input.
func computeMAC(secret []byte, account string, id [idSize]byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(id[:])
	h.Write([]byte(account))
	return h.Sum(nil)
}
