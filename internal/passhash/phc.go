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
	saltBytes = 16 // for new hashes; imported ones have minSalt to maxSalt
	tagBytes  = 32

	minSalt, maxSalt = 1, 64 // a short salt is weak, but refusing it would lose the password
	minTag, maxTag   = 16, 64
)

// function derives a tag from a password and a salt. String returns its name and
// parameters, the part of a PHC string before the salt: "$argon2id$v=19$m=64,t=1,p=1".
type function interface {
	fmt.Stringer
	affordable() bool // whether the parameters are valid, and within the bounds in params.go
	derive(password string, salt []byte, size int) ([]byte, error)
}

// phc is a PHC string
// (https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
type phc struct {
	function
	salt, tag []byte
}

func (h phc) String() string {
	b64 := base64.RawStdEncoding
	return h.function.String() + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.tag)
}

func (h phc) recipe() string { return h.function.String() }

func (h phc) verify(password string) (bool, error) {
	tag, err := h.derive(password, h.salt, len(h.tag))
	if err != nil {
		return false, fmt.Errorf("hash with %s: %w", h.function, err)
	}
	return subtle.ConstantTimeCompare(tag, h.tag) == 1, nil
}

// newPHC returns a hash, or an error if the cost, the salt or the tag is out of bounds.
func newPHC(f function, salt, tag []byte) (phc, error) {
	if !f.affordable() {
		return phc{}, tooCostly(f.String())
	}
	if len(salt) < minSalt || len(salt) > maxSalt {
		return phc{}, fmt.Errorf("the salt of the hash has %d bytes, not %d to %d: %s", len(salt), minSalt, maxSalt,
			resetByMail)
	}
	if len(tag) < minTag || len(tag) > maxTag {
		return phc{}, fmt.Errorf("the hash has %d bytes, not %d to %d: %s", len(tag), minTag, maxTag, resetByMail)
	}
	return phc{f, salt, tag}, nil
}

// readPHC decodes the salt and the tag.
func readPHC(f function, salt, tag, form string) (stored, error) {
	s, ok := decodeBase64(salt)
	t, ok2 := decodeBase64(tag)
	if !ok || !ok2 {
		return nil, malformed(form)
	}
	return newPHC(f, s, t)
}

// readParameters parses "m=64,t=1,p=1": exactly the given names, each once, in any order.
// The values are in the order of names.
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

// decodeBase64 accepts the standard alphabet, the URL alphabet and passlib's, which has
// a dot instead of the plus, with and without padding.
func decodeBase64(text string) ([]byte, bool) {
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
