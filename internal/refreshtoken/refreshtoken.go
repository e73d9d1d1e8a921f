// Package refreshtoken is the wire format of refresh tokens (docs/rotation.md):
// "wwr_" and unpadded base64url of
//
//	version (1 byte) | key number (1) | session id (16) | generation (8, big endian) | HMAC-SHA-256 (32)
//
// The same generation of a session always has the same bytes. The package knows
// no sessions: whether a genuine token is worth anything is decided elsewhere.
package refreshtoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
)

const (
	prefix  = "wwr_"
	version = 1

	bodySize = 1 + 1 + 16 + 8
	size     = bodySize + sha256.Size
)

var (
	// ErrInvalid: not a token of ours, whatever its shape.
	ErrInvalid = errors.New("not a refresh token")

	// ErrUnknownKey: well formed, and of a key number that is not known (yet).
	ErrUnknownKey = errors.New("refresh token of an unknown key")
)

// A Token is what a refresh token says.
type Token struct {
	KeyNumber  uint8
	Session    [16]byte
	Generation uint64
}

// Sign returns the text of the token under the secret of its key.
func (t Token) Sign(secret []byte) string {
	raw := make([]byte, bodySize, size)
	raw[0], raw[1] = version, t.KeyNumber
	copy(raw[2:], t.Session[:])
	binary.BigEndian.PutUint64(raw[18:], t.Generation)
	raw = mac(secret, raw).Sum(raw)

	text := make([]byte, 0, len(prefix)+base64.RawURLEncoding.EncodedLen(size))
	text = append(text, prefix...)
	return string(base64.RawURLEncoding.AppendEncode(text, raw))
}

// Parse returns what a token says if it is one that Sign made, byte for byte.
// secret finds the secret of a key number. Errors: ErrInvalid, ErrUnknownKey.
func Parse(text string, secret func(number uint8) ([]byte, bool)) (Token, error) {
	if len(text) != len(prefix)+base64.RawURLEncoding.EncodedLen(size) || text[:len(prefix)] != prefix {
		return Token{}, ErrInvalid
	}
	// Strict refuses stray trailing bits. The decoder skips line breaks, which
	// then leave too few bytes.
	var buffer [size]byte
	n, err := base64.RawURLEncoding.Strict().Decode(buffer[:], []byte(text[len(prefix):]))
	if err != nil || n != size || buffer[0] != version {
		return Token{}, ErrInvalid
	}
	t := Token{KeyNumber: buffer[1], Generation: binary.BigEndian.Uint64(buffer[18:])}
	copy(t.Session[:], buffer[2:])
	key, known := secret(t.KeyNumber)
	if !known {
		return Token{}, ErrUnknownKey
	}
	var sum [sha256.Size]byte
	if !hmac.Equal(mac(key, buffer[:bodySize]).Sum(sum[:0]), buffer[bodySize:]) {
		return Token{}, ErrInvalid
	}
	return t, nil
}

func mac(secret, body []byte) hash.Hash {
	h := hmac.New(sha256.New, secret)
	h.Write(body)
	return h
}
