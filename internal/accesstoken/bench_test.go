package accesstoken_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

// Each benchmark has a variant "bare", which calls only the standard library on the same text. The difference between
// the two times is the overhead of this package.

var algorithms = []string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256, accesstoken.HS256}

func BenchmarkSign(b *testing.B) {
	for _, alg := range algorithms {
		k, claims := key(b, alg), goodClaims()
		text := sign(b, k, claims)
		signBare, _ := newStandardSigner(b, alg, text[:strings.LastIndexByte(text, '.')])
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sign(b, k, claims)
			}
		})
		b.Run(alg+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				signBare()
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range algorithms {
		k := key(b, alg)
		token, find := sign(b, k, goodClaims()), finder(k)
		_, verifyBare := newStandardSigner(b, alg, token[:strings.LastIndexByte(token, '.')])
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := accesstoken.Verify(token, find, want); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !verifyBare() {
					b.Fatal("refused")
				}
			}
		})
	}
}

// newStandardSigner returns functions that sign and verify the text with a new key. They use only the standard
// library.
func newStandardSigner(b *testing.B, alg, text string) (sign func(), verify func() bool) {
	b.Helper()
	message := []byte(text)
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	switch alg {
	case accesstoken.ES256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		digest := sha256.Sum256(message)
		r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
		must(err)
		return func() {
				digest := sha256.Sum256(message)
				_, _, err := ecdsa.Sign(rand.Reader, k, digest[:])
				must(err)
			}, func() bool {
				digest := sha256.Sum256(message)
				return ecdsa.Verify(&k.PublicKey, digest[:], r, s)
			}
	case accesstoken.Ed25519:
		public, k, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		signature := ed25519.Sign(k, message)
		return func() { ed25519.Sign(k, message) },
			func() bool { return ed25519.Verify(public, message, signature) }
	case accesstoken.RS256:
		k, err := rsa.GenerateKey(rand.Reader, 3072)
		must(err)
		digest := sha256.Sum256(message)
		signature, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:])
		must(err)
		return func() {
				digest := sha256.Sum256(message)
				_, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:])
				must(err)
			}, func() bool {
				digest := sha256.Sum256(message)
				return rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, digest[:], signature) == nil
			}
	}
	secret := make([]byte, 32)
	mac := func() []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(message)
		return h.Sum(nil)
	}
	signature := mac()
	return func() { mac() }, func() bool { return hmac.Equal(mac(), signature) }
}
