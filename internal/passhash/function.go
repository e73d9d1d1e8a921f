package passhash

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/scrypt"
)

// argonFunc is Argon2id or Argon2i (RFC 9106), version 19.
type argonFunc struct {
	variant string
	cost    argonCost
}

func (f argonFunc) String() string { return "$" + f.variant + "$v=19$" + f.cost.String() }

func (f argonFunc) isAffordable() bool { return f.cost.isAffordable() }

func (f argonFunc) derive(password string, salt []byte, size int) ([]byte, error) {
	c := f.cost
	if f.variant == algArgon2i {
		return argon2.Key([]byte(password), salt, c.passes, c.memory, uint8(c.lanes), uint32(size)), nil
	}
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, uint8(c.lanes), uint32(size)), nil
}

// scryptFunc is scrypt (RFC 7914).
type scryptFunc struct {
	log2  uint32 // of N
	block uint32 // r
	lanes uint32 // p
}

func (f scryptFunc) String() string {
	return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d", f.log2, f.block, f.lanes)
}

// isAffordable reports whether the parameters are valid and the work, r N p, is at most maxScryptWork. This also
// bounds the memory, which is 128 r N bytes.
func (f scryptFunc) isAffordable() bool {
	if f.log2 < 1 || f.log2 > 31 || f.block < 1 || f.block > maxScryptR || f.lanes < 1 || f.lanes > maxLanes {
		return false
	}
	return uint64(f.block)<<f.log2*uint64(f.lanes) <= maxScryptWork
}

func (f scryptFunc) derive(password string, salt []byte, size int) ([]byte, error) {
	return scrypt.Key([]byte(password), salt, 1<<f.log2, int(f.block), int(f.lanes), size)
}

// pbkdf2Func is PBKDF2 (RFC 8018) with HMAC.
type pbkdf2Func struct {
	digest     string // sha1, sha256, sha512
	iterations uint32
}

func (f pbkdf2Func) String() string {
	return fmt.Sprintf("$pbkdf2-%s$i=%d", f.digest, f.iterations)
}

func (f pbkdf2Func) isAffordable() bool {
	most := uint32(maxPBKDF2Iterations)
	if f.digest == "sha512" { // an iteration takes longer than with SHA-256
		most /= 2
	}
	return f.iterations >= 1 && f.iterations <= most
}

func (f pbkdf2Func) derive(password string, salt []byte, size int) ([]byte, error) {
	return pbkdf2.Key(f.digestConstructor(), password, salt, int(f.iterations), size)
}

// digestConstructor returns nil for an unknown digest.
func (f pbkdf2Func) digestConstructor() func() hash.Hash {
	switch f.digest {
	case "sha1":
		return sha1.New
	case "sha256":
		return sha256.New
	case "sha512":
		return sha512.New
	}
	return nil
}

// firebaseFunc derives the key stream of Firebase's scrypt (https://github.com/firebase/scrypt): AES-256 in counter
// mode with a key from scrypt. A hash of Firebase is the signer key, encrypted with this stream. The stored form
// contains the stream instead: it is enough to verify a password, and does not reveal the signer key.
type firebaseFunc struct {
	scryptFunc // with one lane
}

func (f firebaseFunc) String() string {
	return fmt.Sprintf("$firebase-scrypt$ln=%d,r=%d", f.log2, f.block)
}

func (f firebaseFunc) derive(password string, salt []byte, size int) ([]byte, error) {
	key, err := f.scryptFunc.derive(password, salt, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	stream := make([]byte, size)
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(stream, stream)
	return stream, nil
}
