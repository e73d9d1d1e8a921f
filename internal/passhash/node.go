package passhash

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// Node.js programs store an scrypt hash as two hexadecimal texts. The salt is used as text and not decoded. Better
// Auth and Lucia write salt:hash with r=16. Programs that follow the documentation of Node.js use the default, r=8.
// They write salt:hash or hash.salt. The form salt:hash does not show r, so verify tries both values.

const (
	nodeLog2          = 14
	nodeBlock         = 8
	betterBlock       = 16
	nodeHashBytes     = 64
	minNodeSaltDigits = 16
)

// nodeScrypt is a hash in the form salt:hash. Its r is unknown, 8 or 16.
type nodeScrypt struct{ salt, tag []byte }

func (h nodeScrypt) String() string {
	b64 := base64.RawStdEncoding
	return h.recipe() + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.tag)
}

func (h nodeScrypt) recipe() string { return "$scrypt-node" }

func (h nodeScrypt) verify(password string) (bool, error) {
	matches := 0
	for _, block := range []int{betterBlock, nodeBlock} {
		tag, err := scrypt.Key([]byte(password), h.salt, 1<<nodeLog2, block, 1, len(h.tag))
		if err != nil {
			return false, err
		}
		matches |= subtle.ConstantTimeCompare(tag, h.tag)
	}
	return matches == 1, nil
}

func readNodeScrypt(parts []string) (storedHash, error) {
	const form = "$scrypt-node$salt$hash"
	if len(parts) != 2 {
		return nil, malformed(form)
	}
	salt, ok := decodeAnyBase64(parts[0])
	tag, ok2 := decodeAnyBase64(parts[1])
	if !ok || !ok2 || len(tag) != nodeHashBytes || len(salt) < minSalt || len(salt) > maxSalt {
		return nil, malformed(form)
	}
	return nodeScrypt{salt, tag}, nil
}

// readHexPair reads salt:hash, s2:salt:hash (Lucia) and hash.salt. ok is false for any
// other text.
func readHexPair(text, saltEncoding string) (h storedHash, ok bool) {
	text, lucia := strings.CutPrefix(text, "s2:")
	salt, tag, colon := strings.Cut(text, ":")
	if !colon {
		tag, salt, ok = strings.Cut(text, ".")
		if !ok {
			return nil, false
		}
	}
	sum, err := hex.DecodeString(tag)
	if err != nil || len(sum) != nodeHashBytes || len(salt) > maxSalt || len(salt) < minNodeSaltDigits {
		return nil, false
	}
	bytes := []byte(salt)
	if _, err := hex.DecodeString(salt); err != nil && !lucia {
		return nil, false
	} else if saltEncoding == SaltHex {
		bytes, _ = hex.DecodeString(salt)
	}
	switch {
	case lucia:
		return phcHash{scryptFunc{nodeLog2, betterBlock, 1}, bytes, sum}, true
	case colon:
		return nodeScrypt{bytes, sum}, true
	}
	return phcHash{scryptFunc{nodeLog2, nodeBlock, 1}, bytes, sum}, true
}
