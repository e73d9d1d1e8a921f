package accesstoken_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

func BenchmarkSign(b *testing.B) {
	for _, alg := range []string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256, accesstoken.HS256} {
		b.Run(alg, func(b *testing.B) {
			k := key(b, alg)
			claims := goodClaims()
			b.ReportAllocs()
			for b.Loop() {
				sign(b, k, claims)
			}
		})
	}
}

// Beside each stands the bare signature check of the standard library.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256, accesstoken.HS256} {
		b.Run(alg, func(b *testing.B) {
			k := key(b, alg)
			token, find := sign(b, k, goodClaims()), finder(k)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := accesstoken.Verify(token, find, want); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	message := make([]byte, 500)
	digest := sha256.Sum256(message)
	b.Run("ES256/bare", func(b *testing.B) {
		k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		r, s, _ := ecdsa.Sign(rand.Reader, k, digest[:])
		for b.Loop() {
			if !ecdsa.Verify(&k.PublicKey, digest[:], r, s) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("Ed25519/bare", func(b *testing.B) {
		public, private, _ := ed25519.GenerateKey(rand.Reader)
		signature := ed25519.Sign(private, message)
		for b.Loop() {
			if !ed25519.Verify(public, message, signature) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("RS256/bare", func(b *testing.B) {
		k, _ := rsa.GenerateKey(rand.Reader, 2048)
		signature, _ := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:])
		for b.Loop() {
			if rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, digest[:], signature) != nil {
				b.Fatal("refused")
			}
		}
	})
}
