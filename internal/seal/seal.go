// Package seal encrypts secrets for storage under one master key and derives other keys from it.
//
// A Box never returns its master key. Each secret is sealed with a text that describes the secret, such as its row in
// the store. The secret opens only with the same text.
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

// formatVersion is the first byte of all sealed data. Version 1 is AES-256-GCM with a random 96-bit nonce, under a
// key derived from the master key with HKDF-SHA-256.
const formatVersion = 1

var errOpen = errors.New("cannot be opened with this master key")

// A Box seals and opens data. It is safe for concurrent use.
type Box struct {
	master []byte
	aead   cipher.AEAD
}

// New returns a Box for a master key of 32 bytes.
func New(master []byte) (*Box, error) {
	if len(master) != MasterSize {
		return nil, fmt.Errorf("a master key has %d bytes, got %d", MasterSize, len(master))
	}
	b := &Box{master: append([]byte(nil), master...)}
	block, err := aes.NewCipher(b.Derive("seal"))
	if err != nil {
		return nil, err
	}
	b.aead, err = cipher.NewGCM(block)
	return b, err
}

// Derive returns a key of 32 bytes, derived from the master key with HKDF (RFC 5869). The
// same purpose always gives the same key.
func (b *Box) Derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, b.master, nil, "watchword "+purpose, MasterSize)
	if err != nil {
		panic(err) // can't happen: HKDF fails only for longer keys
	}
	return key
}

// Seal encrypts a secret. The context is a text that describes the secret, such as its row in the store. It is
// authenticated, but not secret and not part of the result. Open needs the same context.
func (b *Box) Seal(context string, secret []byte) []byte {
	sealed := make([]byte, 1+b.aead.NonceSize(), 1+b.aead.NonceSize()+len(secret)+b.aead.Overhead())
	sealed[0] = formatVersion
	nonce := sealed[1:]
	rand.Read(nonce) //nolint:errcheck // never returns an error: it crashes the process instead
	return b.aead.Seal(sealed, nonce, secret, []byte(context))
}

// Open decrypts a result of Seal. It needs the context that Seal got. Its error does not reveal the content.
func (b *Box) Open(context string, sealed []byte) ([]byte, error) {
	head := 1 + b.aead.NonceSize()
	if len(sealed) < head || sealed[0] != formatVersion {
		return nil, errOpen
	}
	plain, err := b.aead.Open(nil, sealed[1:head], sealed[head:], []byte(context))
	if err != nil {
		return nil, errOpen
	}
	return plain, nil
}

// NewMaster returns a random master key of 32 bytes.
func NewMaster() []byte {
	key := make([]byte, MasterSize)
	rand.Read(key) //nolint:errcheck // never returns an error: it crashes the process instead
	return key
}

// ParseMaster decodes a master key from base64 in either alphabet, with or without
// padding and surrounding white space. Its error does not contain the text.
func ParseMaster(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	key, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != MasterSize {
		return nil, errors.New("a master key is 32 bytes in base64: create one with `head -c 32 /dev/urandom | base64`")
	}
	return key, nil
}
