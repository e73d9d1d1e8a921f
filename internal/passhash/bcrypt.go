package passhash

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const bcryptBytes = 72 // bcrypt ignores the rest of a password

// bcryptHash is a crypt(3) string. $2a$, $2b$ and $2y$ have the same meaning. The letter only shows which bugs were
// fixed in the library that created the hash.
type bcryptHash struct {
	crypt        string
	log2         int
	hashesSHA256 bool // bcrypt reads the SHA-256 of the password in hexadecimal digits, as in Django
}

// djangoSHA256 precedes the crypt(3) string in Django and in the stored form.
const djangoSHA256 = "bcrypt_sha256$"

func (h bcryptHash) String() string {
	if h.hashesSHA256 {
		return djangoSHA256 + h.crypt
	}
	return h.crypt
}

func (h bcryptHash) recipe() string {
	recipe := h.crypt[:7]
	if h.hashesSHA256 {
		recipe = djangoSHA256 + recipe
	}
	return recipe
}

func (h bcryptHash) verify(password string) (bool, error) {
	if h.hashesSHA256 {
		sum := sha256.Sum256([]byte(password))
		password = hex.EncodeToString(sum[:])
	}
	whole := len(password) <= bcryptBytes
	err := bcrypt.CompareHashAndPassword([]byte(h.crypt), []byte(password[:min(len(password), bcryptBytes)]))
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, errUnreadable
	}
	return err == nil && whole, nil
}

func readBcrypt(crypt string) (bcryptHash, error) {
	notBcrypt := malformed("$2b$12$ and 53 characters more")
	if len(crypt) != 60 || crypt[:2] != "$2" || !strings.ContainsRune("aby",
		rune(crypt[2])) || crypt[3] != '$' || crypt[6] != '$' {
		return bcryptHash{}, notBcrypt
	}
	for _, c := range []byte(crypt[7:]) {
		if c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return bcryptHash{}, notBcrypt
		}
	}
	log2, err := strconv.ParseUint(crypt[4:6], 10, 8)
	if err != nil {
		return bcryptHash{}, notBcrypt
	}
	if log2 < uint64(bcrypt.MinCost) || log2 > maxLog2 {
		return bcryptHash{}, tooCostlyError("bcrypt with cost " + crypt[4:6])
	}
	return bcryptHash{crypt: crypt, log2: int(log2)}, nil
}
