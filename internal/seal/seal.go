// Package seal keeps secrets at rest: it encrypts them under one master key, and
// derives other keys from it.
//
// It knows bytes. The master key never leaves the box; what is sealed under one
// context can't be opened under another.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MasterSize is the length of a master key in bytes.
const MasterSize = 32

// version is the first byte of everything sealed: AES-256-GCM with a random
// 96-bit nonce, under HKDF-SHA-256 of the master key.
const version = 1

var errOpen = errors.New("can't be opened with this master key")

// A Box seals and opens. It is safe for concurrent use.
type Box struct {
	master []byte
	aead   cipher.AEAD
}

// New makes a Box from a master key of 32 bytes.
func New(master []byte) (*Box, error) {
	if len(master) != MasterSize {
		return nil, fmt.Errorf("a master key has %d bytes, this one %d", MasterSize, len(master))
	}
	b := &Box{master: append([]byte(nil), master...)}
	block, err := aes.NewCipher(b.Derive("seal"))
	if err != nil {
		return nil, err
	}
	b.aead, err = cipher.NewGCM(block)
	return b, err
}

// Derive makes another key of 32 bytes from the master key (RFC 5869): the same
// one for the same purpose.
func (b *Box) Derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, b.master, nil, "watchword "+purpose, MasterSize)
	if err != nil {
		panic(err) // only for lengths that HKDF can't make
	}
	return key
}

// Seal encrypts. context says what the secret is and is needed to open it; it is
// not secret and not part of the result.
func (b *Box) Seal(context string, plain []byte) []byte {
	sealed := make([]byte, 1+b.aead.NonceSize(), 1+b.aead.NonceSize()+len(plain)+b.aead.Overhead())
	sealed[0] = version
	nonce := sealed[1:]
	rand.Read(nonce) //nolint:errcheck // never fails: it crashes the process instead
	return b.aead.Seal(sealed, nonce, plain, []byte(context))
}

// Open decrypts what Seal made under the same context. Its error tells nothing
// of the content.
func (b *Box) Open(context string, sealed []byte) ([]byte, error) {
	head := 1 + b.aead.NonceSize()
	if len(sealed) < head || sealed[0] != version {
		return nil, errOpen
	}
	plain, err := b.aead.Open(nil, sealed[1:head], sealed[head:], []byte(context))
	if err != nil {
		return nil, errOpen
	}
	return plain, nil
}

// NewMaster makes a random key of 32 bytes.
func NewMaster() []byte {
	key := make([]byte, MasterSize)
	rand.Read(key) //nolint:errcheck // never fails: it crashes the process instead
	return key
}

// ParseMaster reads a master key from base64 in either alphabet, padded or not,
// with white space around it. Its error does not hold the text.
func ParseMaster(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	key, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != MasterSize {
		return nil, errors.New("a master key is 32 bytes in base64: make one with `head -c 32 /dev/urandom | base64`")
	}
	return key, nil
}
