package passhash

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

var (
	// ErrTooLong says that bcrypt would look at the first 72 bytes only.
	ErrTooLong = errors.New("password is longer than the 72 bytes that bcrypt can hash")

	// errMalformed never says what the hash was.
	errMalformed = errors.New("password hash is not Argon2id or bcrypt as we read them, or costs too much")
)

const (
	saltBytes = 16 // of the hashes we make; others have minSalt to maxSalt
	tagBytes  = 32

	minSalt, maxSalt = 8, 64
	minTag, maxTag   = 16, 64

	bcryptBytes = 72 // of a password, the rest bcrypt ignores
)

// Hash makes a hash of a normalised password with a new salt.
func Hash(p Params, normal string) (string, error) {
	switch p.alg {
	case algArgon2id:
		h := argonHash{cost: p.cost, salt: randomBytes(saltBytes)}
		h.tag = h.cost.tag(normal, h.salt, tagBytes)
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

// Verify reports whether the normalised password made the hash. An error says
// that the hash can't be read, never what it is. With a bcrypt hash, a password
// of more than 72 bytes costs the work and is wrong.
func Verify(encoded, normal string) (bool, error) {
	if h, ok := parseArgonHash(encoded); ok {
		tag := h.cost.tag(normal, h.salt, uint32(len(h.tag)))
		return subtle.ConstantTimeCompare(tag, h.tag) == 1, nil
	}
	if _, ok := parseBcryptLog2(encoded); !ok {
		return false, errMalformed
	}
	whole := len(normal) <= bcryptBytes
	err := bcrypt.CompareHashAndPassword([]byte(encoded), []byte(normal[:min(len(normal), bcryptBytes)]))
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, errMalformed
	}
	return err == nil && whole, nil
}

// NeedsRehash reports whether a password that has just been verified should be
// hashed anew: the hash is weaker than p in memory, work, salt or tag, or is
// bcrypt where p is argon2id. A hash that can't be read needs it too. An Argon2id
// hash is never replaced with a bcrypt one, nor any with a weaker one.
func NeedsRehash(encoded string, p Params) bool {
	if h, ok := parseArgonHash(encoded); ok {
		return p.alg == algArgon2id &&
			(h.cost.weakerThan(p.cost) || len(h.salt) < saltBytes || len(h.tag) < tagBytes)
	}
	log2, ok := parseBcryptLog2(encoded)
	return !ok || p.alg == algArgon2id || log2 < p.log2
}

// Dummy returns a hash that costs as much to verify as one made with p, and that
// nobody has the password of. It is cheap to make.
func Dummy(p Params) string {
	if p.alg == algBcrypt {
		const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		b64 := base64.NewEncoding(alphabet).WithPadding(base64.NoPadding)
		return fmt.Sprintf("$2a$%02d$%s%s", p.log2, b64.EncodeToString(randomBytes(16)), b64.EncodeToString(randomBytes(23)))
	}
	return argonHash{cost: p.cost, salt: randomBytes(saltBytes), tag: randomBytes(tagBytes)}.String()
}

// argonHash is a PHC string
// (https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
type argonHash struct {
	cost      argonCost
	salt, tag []byte
}

const argonPrefix = "$argon2id$v=19$"

func (h argonHash) String() string {
	b64 := base64.RawStdEncoding
	return argonPrefix + h.cost.String() + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.tag)
}

// parseArgonHash reads only what String writes, byte for byte, within our bounds.
func parseArgonHash(encoded string) (argonHash, bool) {
	rest, ok := strings.CutPrefix(encoded, argonPrefix)
	parts := strings.Split(rest, "$")
	if !ok || len(parts) != 3 {
		return argonHash{}, false
	}
	var h argonHash
	var badSalt, badTag error
	h.cost, ok = parseArgonCost(parts[0])
	h.salt, badSalt = base64.RawStdEncoding.DecodeString(parts[1])
	h.tag, badTag = base64.RawStdEncoding.DecodeString(parts[2])
	ok = ok && badSalt == nil && badTag == nil && h.cost.bearable() &&
		len(h.salt) >= minSalt && len(h.salt) <= maxSalt &&
		len(h.tag) >= minTag && len(h.tag) <= maxTag &&
		h.String() == encoded
	return h, ok
}

func (c argonCost) tag(normal string, salt []byte, size uint32) []byte {
	return argon2.IDKey([]byte(normal), salt, c.time, c.memory, c.lanes, size)
}

// parseBcryptLog2 reads the cost of $2a$, $2b$ and $2y$ hashes, which differ in
// the bugs of those who made them and not in what they mean. The library knows
// the least cost.
func parseBcryptLog2(encoded string) (int, bool) {
	if len(encoded) != 60 || encoded[:2] != "$2" || !strings.ContainsRune("aby", rune(encoded[2])) || encoded[3] != '$' || encoded[6] != '$' {
		return 0, false
	}
	for _, c := range []byte(encoded[7:]) {
		if c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return 0, false
		}
	}
	log2, err := strconv.ParseUint(encoded[4:6], 10, 8)
	return int(log2), err == nil && log2 <= maxLog2
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
