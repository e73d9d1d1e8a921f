// Package refreshtoken encodes and decodes refresh tokens (docs/rotation.md). A token consists of "wwr_" and the
// unpadded base64url of
//
//	version (1 byte) | key number (1) | session id (16) | generation (8, big endian) | HMAC-SHA-256 (32)
//
// If a generation is signed again, its token has the same bytes. The package only checks that a token is genuine. The
// engine decides whether the token is still accepted.
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
	// ErrInvalid means that the text is not a token that Sign created.
	ErrInvalid = errors.New("not a refresh token")

	// ErrUnknownKey means that the token is well formed, but its key number is unknown.
	// Another server may have created the key a moment ago.
	ErrUnknownKey = errors.New("refresh token of an unknown key")
)

// A Token is the content of a refresh token.
type Token struct {
	KeyNumber  uint8
	Session    [16]byte
	Generation uint64
}

// Sign returns the encoded token with its MAC. The caller passes the secret of the key with the number KeyNumber.
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

// Parse decodes and verifies a token. It accepts only the exact bytes that Sign returns. The function secret returns
// the secret of a key number. Errors are ErrInvalid and ErrUnknownKey.
func Parse(text string, secret func(number uint8) ([]byte, bool)) (Token, error) {
	if len(text) != len(prefix)+base64.RawURLEncoding.EncodedLen(size) || text[:len(prefix)] != prefix {
		return Token{}, ErrInvalid
	}
	// The strict decoder rejects non-zero trailing bits. It skips line breaks, but the length of a token is fixed. A
	// token with a line break thus decodes to too few bytes (n) and is rejected.
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
