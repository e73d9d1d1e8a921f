package passhash

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
	"strings"

	"github.com/go-crypt/x/crypt"
)

// shaCrypt is crypt(3) with SHA-256 ($5$) or SHA-512 ($6$)
// (https://www.akkadia.org/drepper/SHA-crypt.txt).
type shaCrypt struct {
	id     string // 5 or 6
	rounds int    // 0: not in the text, which means 5000
	salt   string
	tag    string
}

const (
	defaultRounds = 5000
	maxRounds     = 1 << 20 // about a second
	maxCryptSalt  = 16

	// maxCryptPassword bounds the work. With crypt(3), the work grows with the length of the password. A longer
	// password takes as long as a password of this length, and never matches.
	maxCryptPassword = 256
)

func (h shaCrypt) String() string { return h.recipe() + "$" + h.salt + "$" + h.tag }

func (h shaCrypt) recipe() string {
	if h.rounds == 0 {
		return "$" + h.id
	}
	return fmt.Sprintf("$%s$rounds=%d", h.id, h.rounds)
}

func (h shaCrypt) hash() func() hash.Hash {
	if h.id == "5" {
		return sha256.New
	}
	return sha512.New
}

func (h shaCrypt) verify(password string) (bool, error) {
	rounds := h.rounds
	if rounds == 0 {
		rounds = defaultRounds
	}
	whole := len(password) <= maxCryptPassword
	tag := crypt.KeySHACrypt(h.hash(), []byte(password[:min(len(password), maxCryptPassword)]), []byte(h.salt), rounds)
	return whole && subtle.ConstantTimeCompare(tag, []byte(h.tag)) == 1, nil
}

// readSHACrypt reads the parts after $5$ or $6$: an optional rounds=N, the salt, the hash.
func readSHACrypt(id string, parts []string) (storedHash, error) {
	form := "$" + id + "$rounds=5000$salt$hash"
	h := shaCrypt{id: id}
	if digits, ok := strings.CutPrefix(parts[0], "rounds="); ok {
		n, ok := readNumber(digits)
		if !ok || fmt.Sprint(n) != digits {
			return nil, malformed(form)
		}
		if n < 1000 || n > maxRounds {
			return nil, tooCostlyError("crypt(3) with rounds=" + digits)
		}
		h.rounds, parts = int(n), parts[1:]
	}
	size := map[string]int{"5": 43, "6": 86}[id]
	if len(parts) != 2 || len(parts[0]) > maxCryptSalt || len(parts[1]) != size || !isCryptText(parts[1]) ||
		!isCryptSalt(parts[0]) {
		return nil, malformed(form)
	}
	h.salt, h.tag = parts[0], parts[1]
	return h, nil
}

func isCryptText(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool {
		return c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// isCryptSalt accepts every salt that crypt(3) accepts, including characters that crypt(3) never generates.
func isCryptSalt(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ':' })
}
