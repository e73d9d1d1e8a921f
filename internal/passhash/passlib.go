package passhash

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
)

// passlibBcrypt is passlib's bcrypt_sha256: bcrypt of a digest in base64. The digest is the
// HMAC-SHA256 of the password with the salt as key (version 2), or the SHA-256 of the
// password (version 1).
type passlibBcrypt struct {
	version int
	bcrypt  bcryptHash
}

func (h passlibBcrypt) String() string {
	ident, cost, rest := h.bcrypt.crypt[1:3], h.bcrypt.log2, h.bcrypt.crypt[7:]
	if h.version == 1 {
		return fmt.Sprintf("$bcrypt-sha256$%s,%d$%s$%s", ident, cost, rest[:22], rest[22:])
	}
	return fmt.Sprintf("$bcrypt-sha256$v=2,t=%s,r=%d$%s$%s", ident, cost, rest[:22], rest[22:])
}

func (h passlibBcrypt) recipe() string {
	return fmt.Sprintf("$bcrypt-sha256$%d,%d", h.version, h.bcrypt.log2)
}

func (h passlibBcrypt) verify(password string) (bool, error) {
	digest := sha256.New()
	if h.version == 2 {
		digest = hmac.New(sha256.New, []byte(h.bcrypt.crypt[7:29]))
	}
	digest.Write([]byte(password))
	return h.bcrypt.verify(encode64(digest.Sum(nil)))
}

// readPasslibBcrypt reads v=2,t=2b,r=12 or 2b,12, then the salt and the hash of a
// crypt(3) string.
func readPasslibBcrypt(parts []string) (storedHash, error) {
	const form = "$bcrypt-sha256$v=2,t=2b,r=12$salt$hash"
	if len(parts) != 3 {
		return nil, malformed(form)
	}
	version, ident, cost := 1, "", ""
	if rest, ok := strings.CutPrefix(parts[0], "v=2,t="); ok {
		version = 2
		ident, cost, _ = strings.Cut(rest, ",r=")
	} else {
		ident, cost, _ = strings.Cut(parts[0], ",")
	}
	n, ok := readNumber(cost)
	if !ok || n > 99 || len(parts[1]) != 22 {
		return nil, malformed(form)
	}
	h, err := readBcrypt(fmt.Sprintf("$%s$%02d$%s%s", ident, n, parts[1], parts[2]))
	if err != nil {
		return nil, err
	}
	return passlibBcrypt{version, h}, nil
}
