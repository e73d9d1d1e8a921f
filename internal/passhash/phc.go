package passhash

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	newSaltBytes = 16 // imported salts can have a different length: minSalt to maxSalt
	tagBytes     = 32

	minSalt, maxSalt = 1, 64 // a short salt is weak, but refusing it would lose the password
	minTag, maxTag   = 16, 64
)

// A keyDerivation derives a tag from a password and a salt. String returns its name and parameters, the part of a PHC
// string before the salt: "$argon2id$v=19$m=64,t=1,p=1".
type keyDerivation interface {
	fmt.Stringer
	isAffordable() bool // valid, and within the bounds in params.go
	derive(password string, salt []byte, size int) ([]byte, error)
}

// phcHash is a PHC string (https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
type phcHash struct {
	keyDerivation
	salt, tag []byte
}

func (h phcHash) String() string {
	b64 := base64.RawStdEncoding
	return h.keyDerivation.String() + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.tag)
}

func (h phcHash) recipe() string { return h.keyDerivation.String() }

func (h phcHash) verify(password string) (bool, error) {
	tag, err := h.derive(password, h.salt, len(h.tag))
	if err != nil {
		return false, fmt.Errorf("hash with %s: %w", h.keyDerivation, err)
	}
	return subtle.ConstantTimeCompare(tag, h.tag) == 1, nil
}

// newPHC returns a hash, or an error if the cost, the salt or the tag is out of bounds.
func newPHC(f keyDerivation, salt, tag []byte) (phcHash, error) {
	if !f.isAffordable() {
		return phcHash{}, tooCostlyError(f.String())
	}
	if len(salt) < minSalt || len(salt) > maxSalt {
		return phcHash{}, fmt.Errorf("the salt of the hash has %d bytes, not %d to %d: %s", len(salt), minSalt, maxSalt,
			resetByMail)
	}
	if len(tag) < minTag || len(tag) > maxTag {
		return phcHash{}, fmt.Errorf("the hash has %d bytes, not %d to %d: %s", len(tag), minTag, maxTag, resetByMail)
	}
	return phcHash{f, salt, tag}, nil
}

func readPHC(f keyDerivation, salt, tag, form string) (storedHash, error) {
	s, ok := decodeAnyBase64(salt)
	t, ok2 := decodeAnyBase64(tag)
	if !ok || !ok2 {
		return nil, malformed(form)
	}
	return newPHC(f, s, t)
}

// readParameters requires exactly the given names, each once, in any order: "m=64,t=1,p=1". The values are in the
// order of names.
func readParameters(text string, names ...string) ([]uint32, bool) {
	parts := strings.Split(text, ",")
	if len(parts) != len(names) {
		return nil, false
	}
	values := make([]uint32, len(names))
	var seen []string
	for _, part := range parts {
		name, digits, _ := strings.Cut(part, "=")
		i := slices.Index(names, name)
		n, ok := readNumber(digits)
		if i < 0 || !ok || slices.Contains(seen, name) {
			return nil, false
		}
		values[i] = n
		seen = append(seen, name)
	}
	return values, true
}

func readNumber(digits string) (uint32, bool) {
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil
}

// decodeAnyBase64 accepts the standard alphabet, the URL alphabet and passlib's, which has a dot instead of the plus,
// with and without padding.
func decodeAnyBase64(text string) ([]byte, bool) {
	standard := strings.Map(func(r rune) rune {
		switch r {
		case '-', '.':
			return '+'
		case '_':
			return '/'
		case '\r', '\n': // the decoder would skip them
			return '!'
		}
		return r
	}, strings.TrimRight(text, "="))
	decoded, err := base64.RawStdEncoding.DecodeString(standard)
	return decoded, err == nil
}
