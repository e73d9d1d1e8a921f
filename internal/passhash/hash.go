package passhash

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

var (
	// ErrTooLong says that bcrypt would look at the first 72 bytes only.
	ErrTooLong = errors.New("password is longer than the 72 bytes that bcrypt can hash")

	// errUnreadable never says what the hash was.
	errUnreadable = errors.New("password hash is of no kind that we read, not as we write it, or costs too much")
)

// stored is a hash that Verify can check. String is how it is kept.
type stored interface {
	fmt.Stringer
	recipe() string // how it was made: what stands before the salt, and nothing of the password
	verify(password string) (bool, error)
}

// Hash makes a hash of a normalised password with a new salt.
func Hash(p Params, normal string) (string, error) {
	switch p.alg {
	case algArgon2id:
		h := phc{function: argon{algArgon2id, p.cost}, salt: randomBytes(saltBytes)}
		var err error
		if h.tag, err = h.derive(normal, h.salt, tagBytes); err != nil {
			return "", fmt.Errorf("make an Argon2id hash: %w", err)
		}
		return h.String(), nil
	case algBcrypt:
		if len(normal) > bcryptBytes {
			return "", ErrTooLong
		}
		encoded, err := bcrypt.GenerateFromPassword([]byte(normal), p.log2)
		if err != nil {
			return "", fmt.Errorf("make a bcrypt hash: %w", err)
		}
		return string(encoded), nil
	}
	return "", errors.New("hash parameters are not set")
}

// Verify reports whether the password made the hash. An error says that the hash
// can't be read, never what it is. With a bcrypt hash, a password of more than 72
// bytes costs the work and is wrong.
func Verify(encoded, password string) (bool, error) {
	h, ok := parse(encoded)
	if !ok {
		return false, errUnreadable
	}
	return h.verify(password)
}

// NeedsRehash reports whether a password that has just been verified should be
// hashed anew. With argon2id, everything else is replaced, and what is weaker
// than p in memory, work, salt or tag; with bcrypt, a cheaper bcrypt, and what
// others made with scrypt or PBKDF2. A hash that can't be read needs it too. An
// Argon2 hash is never replaced with a bcrypt one, nor any with a weaker one of
// its kind.
func NeedsRehash(encoded string, p Params) bool {
	h, ok := parse(encoded)
	if !ok {
		return true
	}
	switch h := h.(type) {
	case bcryptHash:
		return p.alg == algArgon2id || h.log2 < p.log2
	case phc:
		if f, ok := h.function.(argon); ok {
			weak := f.cost.weakerThan(p.cost) || len(h.salt) < saltBytes || len(h.tag) < tagBytes
			return p.alg == algArgon2id && (f.variant != algArgon2id || weak)
		}
	}
	return true
}

// Recipe is how a hash was made, and holds nothing of its salt or of the password: of
// bcrypt, kind and cost. It is empty for a hash that can't be read.
func Recipe(encoded string) string {
	h, ok := parse(encoded)
	if !ok {
		return ""
	}
	return h.recipe()
}

// CostsAs reports whether checking a hash costs what it does with one made with p.
func CostsAs(encoded string, p Params) bool {
	h, ok := parse(encoded)
	if !ok {
		return false
	}
	switch h := h.(type) {
	case bcryptHash:
		return p.alg == algBcrypt && h.log2 == p.log2
	case phc:
		f, ok := h.function.(argon)
		return ok && p.alg == algArgon2id && f.cost == p.cost
	}
	return false
}

// Dummy returns a hash that costs as much to verify as one made with p, and that
// nobody has the password of. It is cheap to make.
func Dummy(p Params) string {
	if p.alg == algBcrypt {
		const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		b64 := base64.NewEncoding(alphabet).WithPadding(base64.NoPadding)
		return fmt.Sprintf("$2a$%02d$%s%s", p.log2, b64.EncodeToString(randomBytes(16)), b64.EncodeToString(randomBytes(23)))
	}
	return phc{argon{algArgon2id, p.cost}, randomBytes(saltBytes), randomBytes(tagBytes)}.String()
}

// parse reads what Hash and Adopt return, byte for byte, and nothing else.
func parse(encoded string) (stored, bool) {
	h, err := read(encoded)
	return h, err == nil && h.String() == encoded
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
