package accesstoken_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

func publicKeyFromJWKS(t *testing.T, k accesstoken.Key) any {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(accesstoken.JWKS([]accesstoken.Key{k}), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("JWKS: %d keys, %v", len(set.Keys), err)
	}
	return set.Keys[0].Key
}

// Another library must accept the signatures of many keys of each algorithm. Among 600 ES256 signatures, about five
// have an r or s with a leading zero byte.
func TestOtherLibraryVerifiesSignatures(t *testing.T) {
	t.Parallel()
	for alg, c := range map[string]struct {
		wire             jose.SignatureAlgorithm
		keys, signatures int
	}{
		accesstoken.ES256: {jose.ES256, 30, 20}, accesstoken.Ed25519: {jose.EdDSA, 30, 5},
		accesstoken.RS256: {jose.RS256, 2, 3},
	} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			for range c.keys {
				k, err := accesstoken.GenerateKey(alg)
				if err != nil {
					t.Fatal(err)
				}
				public := publicKeyFromJWKS(t, k)
				for range c.signatures {
					verifiedByJose(t, sign(t, k, goodClaims()), c.wire, public)
				}
			}
		})
	}
	t.Run(accesstoken.HS256, func(t *testing.T) {
		t.Parallel()
		secret := []byte("a secret of at least 32 bytes, or longer")
		k, err := accesstoken.NewHS256(secret)
		if err != nil {
			t.Fatal(err)
		}
		verifiedByJose(t, sign(t, k, goodClaims()), jose.HS256, secret)
	})
}

func verifiedByJose(t *testing.T, token string, alg jose.SignatureAlgorithm, key any) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		t.Fatalf("go-jose rejects %s: %v", token, err)
	}
	text := strings.Split(token, ".")[1]
	if want, err := base64.RawURLEncoding.DecodeString(text); err != nil || string(want) != string(payload) {
		t.Errorf("go-jose reads %s, want %s, %v", payload, want, err)
	}
}

// r and s must have 32 bytes each, even if they begin with zeros. Only one random signature in 128 has such an r or
// s, so the test uses small numbers.
func TestES256SignatureHasFixedLength(t *testing.T) {
	t.Parallel()
	order := elliptic.P256().Params().N
	values := []*big.Int{big.NewInt(1), big.NewInt(127), big.NewInt(128), big.NewInt(1 << 40),
		new(big.Int).Rsh(order, 8),
		new(big.Int).Rsh(order, 1), new(big.Int).Sub(order, big.NewInt(1))}
	for _, r := range values {
		for _, s := range values {
			der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				t.Fatal(err)
			}
			got, err := accesstoken.FixedLength(der)
			if err != nil || len(got) != 64 {
				t.Fatalf("r=%v s=%v: got %d bytes, %v", r, s, len(got), err)
			}
			if new(big.Int).SetBytes(got[:32]).Cmp(r) != 0 || new(big.Int).SetBytes(got[32:]).Cmp(s) != 0 {
				t.Errorf("r=%v s=%v: got %x", r, s, got)
			}
			if _, err := accesstoken.FixedLength(append(der, 0)); err == nil {
				t.Error("accepts bytes after the signature")
			}
		}
	}
	long, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).Lsh(order, 8), big.NewInt(1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accesstoken.FixedLength(long); err == nil {
		t.Error("accepts an r of 33 bytes")
	}
}

// The expected signature is a test vector of RFC 6979, section A.2.5.
func TestES256SignatureFollowsRFC6979(t *testing.T) {
	t.Parallel()
	d, _ := new(big.Int).SetString("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721", 16)
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("sample"))
	der, err := k.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	got, err := accesstoken.FixedLength(der)
	const want = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" +
		"f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
	if text, _ := new(big.Int).SetString(want, 16); err != nil || text.Cmp(new(big.Int).SetBytes(got)) != 0 {
		t.Errorf("got %x, %v, want %s", got, err, want)
	}
}
