package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/verify"
)

// BenchmarkVerifyWithoutCache compares Verify with a signature check by the standard library, on the same token and
// key (docs/performance.md). It alternates between both, so that other load on the machine affects both equally.
func BenchmarkVerifyWithoutCache(b *testing.B) {
	for _, alg := range []string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256} {
		b.Run(alg, func(b *testing.B) {
			k := newKey(b, alg)
			i := newIssuer(b, k)
			v := newVerifier(b, i.url, verify.Options{Now: i.clock.Now, CacheSize: -1})
			token := i.sign(b, k, nil)
			checkSignature := signatureOnlyCheck(b, k, token)
			ctx := b.Context()
			must(b, v.Ready(ctx))
			b.ReportAllocs()
			var withVerify, bare []time.Duration
			for b.Loop() {
				began := time.Now()
				if !checkSignature() {
					b.Fatal("refused")
				}
				between := time.Now()
				if _, err := v.Verify(ctx, token); err != nil {
					b.Fatal(err)
				}
				bare, withVerify = append(bare, between.Sub(began)), append(withVerify, time.Since(between))
			}
			b.ReportMetric(float64(median(withVerify)), "ns/verify")
			b.ReportMetric(float64(median(bare)), "ns/bare")
			b.ReportMetric(float64(median(withVerify))/float64(median(bare)), "ratio")
		})
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func BenchmarkVerifyFromCache(b *testing.B) {
	k := newKey(b, accesstoken.ES256)
	i := newIssuer(b, k)
	v := newVerifier(b, i.url, verify.Options{})
	now := time.Now().Unix()
	var tokens []string
	for n := range 1000 {
		tokens = append(tokens, i.sign(b, k, func(c *accesstoken.Claims) {
			c.SessionID, c.IssuedAt, c.NotBefore, c.Expires = fmt.Sprint(n), now, now, now+900
		}))
	}
	ctx := b.Context()
	for _, token := range tokens {
		if _, err := v.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
	for n := range 10_000 {
		v.Revocations().EndSession(fmt.Sprint("ended", n))
	}
	for name, of := range map[string][]string{"one token": tokens[:1], "1000 tokens in turn": tokens} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var each []time.Duration
			for b.Loop() {
				began := time.Now()
				for n := range 1000 {
					if _, err := v.Verify(ctx, of[n%len(of)]); err != nil {
						b.Fatal(err)
					}
				}
				each = append(each, time.Since(began)/1000)
			}
			b.ReportMetric(float64(median(each)), "ns/verify")
		})
	}
}

// BenchmarkRequire compares a handler behind Require with the same handler without Require.
func BenchmarkRequire(b *testing.B) {
	k := newKey(b, accesstoken.ES256)
	i := newIssuer(b, k)
	v := newVerifier(b, i.url, verify.Options{Now: i.clock.Now})
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+i.sign(b, k, nil))
	w := httptest.NewRecorder()
	for name, h := range map[string]http.Handler{"Require": v.Require(handler), "bare": handler} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

func signatureOnlyCheck(b *testing.B, k accesstoken.Key, token string) func() bool {
	b.Helper()
	var set jose.JSONWebKeySet
	must(b, json.Unmarshal(accesstoken.JWKS([]accesstoken.Key{k}), &set))
	head, body, signature := parts(token)
	input := []byte(head + "." + body)
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	must(b, err)
	switch public := set.Keys[0].Key.(type) {
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
		return func() bool {
			digest := sha256.Sum256(input)
			return ecdsa.Verify(public, digest[:], r, s)
		}
	case *rsa.PublicKey:
		return func() bool {
			digest := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], raw) == nil
		}
	case ed25519.PublicKey:
		return func() bool { return ed25519.Verify(public, input, raw) }
	}
	b.Fatal("unknown key type")
	return nil
}
