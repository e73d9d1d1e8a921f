package passhash

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

var (
	// ErrTooLong means that bcrypt would ignore the end of the password.
	ErrTooLong = errors.New("password is longer than the 72 bytes that bcrypt can hash")

	// errUnreadable contains no part of the hash.
	errUnreadable = errors.New("password hash has an unknown or invalid form, or costs too much")
)

// A storedHash can be checked by Verify. String returns its stored form.
type storedHash interface {
	fmt.Stringer
	recipe() string // function and parameters, without salt and tag
	verify(password string) (bool, error)
}

// Fits reports whether Hash accepts the length of a normalized password.
func (p Params) Fits(normal string) bool { return p.alg != algBcrypt || len(normal) <= bcryptBytes }

// Hash returns the hash of a normalized password with a new random salt. It returns
// ErrTooLong for more than 72 bytes with bcrypt.
func Hash(p Params, normal string) (string, error) {
	switch p.alg {
	case algArgon2id:
		h := phcHash{keyDerivation: argonFunc{algArgon2id, p.cost}, salt: randomBytes(newSaltBytes)}
		var err error
		if h.tag, err = h.derive(normal, h.salt, tagBytes); err != nil {
			return "", fmt.Errorf("create an Argon2id hash: %w", err)
		}
		return h.String(), nil
	case algBcrypt:
		if !p.Fits(normal) {
			return "", ErrTooLong
		}
		encoded, err := bcrypt.GenerateFromPassword([]byte(normal), p.bcryptLog2Rounds)
		if err != nil {
			return "", fmt.Errorf("create a bcrypt hash: %w", err)
		}
		return string(encoded), nil
	}
	return "", errors.New("hash parameters are not set")
}

// Verify reports whether the password matches the hash. It returns an error, without the hash, if the hash can't be
// read. With bcrypt, a password of more than 72 bytes never matches, and takes as long as a shorter one.
func Verify(encoded, password string) (bool, error) {
	h, ok := parseStoredForm(encoded)
	if !ok {
		return false, errUnreadable
	}
	return h.verify(password)
}

// NeedsRehash reports whether a password that has just been verified should be hashed again with p. It reports true
// in these cases:
//
//   - The hash can't be read.
//   - p is argon2id, and the hash is not Argon2id or has less memory, work, salt or tag.
//   - p is bcrypt, and the hash is bcrypt of a lower cost, or neither bcrypt nor Argon2.
//
// Therefore Argon2 is never replaced with bcrypt, and bcrypt is never replaced with a lower cost.
func NeedsRehash(encoded string, p Params) bool {
	h, ok := parseStoredForm(encoded)
	if !ok {
		return true
	}
	switch h := h.(type) {
	case bcryptHash:
		return p.alg == algArgon2id || h.log2 < p.bcryptLog2Rounds
	case phcHash:
		if f, ok := h.keyDerivation.(argonFunc); ok {
			weak := f.cost.isWeakerThan(p.cost) || len(h.salt) < newSaltBytes || len(h.tag) < tagBytes
			return p.alg == algArgon2id && (f.variant != algArgon2id || weak)
		}
	}
	return true
}

// Recipe returns the function and the parameters of a hash, without its salt and its tag, or "" for a hash that can't
// be read. Hashes with the same recipe take the same time to verify.
func Recipe(encoded string) string {
	h, ok := parseStoredForm(encoded)
	if !ok {
		return ""
	}
	return h.recipe()
}

// CostsAs reports whether a hash takes as long to verify as one created with p.
func CostsAs(encoded string, p Params) bool {
	h, ok := parseStoredForm(encoded)
	if !ok {
		return false
	}
	switch h := h.(type) {
	case bcryptHash:
		return p.alg == algBcrypt && h.log2 == p.bcryptLog2Rounds
	case phcHash:
		f, ok := h.keyDerivation.(argonFunc)
		return ok && p.alg == algArgon2id && f.cost == p.cost
	}
	return false
}

// Dummy returns a hash that takes as long to verify as one created with p, and that no
// known password matches. Creating it is cheap.
func Dummy(p Params) string {
	if p.alg == algBcrypt {
		const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		b64 := base64.NewEncoding(alphabet).WithPadding(base64.NoPadding)
		salt, tag := b64.EncodeToString(randomBytes(16)), b64.EncodeToString(randomBytes(23))
		return fmt.Sprintf("$2a$%02d$%s%s", p.bcryptLog2Rounds, salt, tag)
	}
	return phcHash{argonFunc{algArgon2id, p.cost}, randomBytes(newSaltBytes), randomBytes(tagBytes)}.String()
}

// parseStoredForm reads only what Hash and Adopt return, byte for byte.
func parseStoredForm(encoded string) (storedHash, bool) {
	h, err := readAnyForm(encoded)
	return h, err == nil && h.String() == encoded
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
