package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The algorithms, by their names in the settings. In tokens, Ed25519 is "EdDSA" (RFC 8037),
// because few libraries know the newer name of RFC 9864.
const (
	ES256   = "ES256"
	Ed25519 = "Ed25519"
	RS256   = "RS256"
	HS256   = "HS256"

	edDSA = "EdDSA"
)

const (
	rsaBits    = 3072 // size of new keys: 128 bits of security (NIST SP 800-57 part 1, table 2)
	minRSABits = 2048 // minimum for keys of earlier releases, which sign until they retire
	maxRSABits = 8192 // verifying with a longer key is too slow
	minSecret  = 32   // bytes (RFC 7518, section 3.2)
	sharedID   = "shared"
)

// A Key verifies signatures. It can also sign, unless it came from a JWKS. A key has one algorithm, so a token can't
// choose the algorithm.
type Key struct {
	id, alg string
	public  crypto.PublicKey // nil for HS256
	private crypto.Signer    // nil for HS256, and for a key of a JWKS
	secret  []byte           // of HS256
	header  string           // encoded header of the access tokens of this key
}

// ID returns the `kid`: the thumbprint of an asymmetric key (RFC 7638). For HS256 it is a
// constant, because a hash of the secret would allow offline guessing.
func (k Key) ID() string { return k.id }

// Alg returns the `alg` that tokens contain.
func (k Key) Alg() string { return k.alg }

// GenerateKey creates a random key for ES256, Ed25519 or RS256.
func GenerateKey(alg string) (Key, error) {
	private, err := generate(alg)
	if err != nil {
		return Key{}, err
	}
	return newKey(alg, private)
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("signing algorithm %q is unknown: write ES256, Ed25519, RS256 or HS256", alg)
}

// NewHS256 creates a key from a secret of at least 32 bytes that resource servers share.
// Everyone who has the secret can also sign tokens.
func NewHS256(secret []byte) (Key, error) {
	if len(secret) < minSecret {
		return Key{}, fmt.Errorf(
			"a signing secret for HS256 needs at least %d bytes; this one has %d",
			minSecret,
			len(secret),
		)
	}
	k := Key{id: sharedID, alg: HS256, secret: append([]byte(nil), secret...)}
	k.header = headerOf(k, tokenType)
	return k, nil
}

// MarshalKey returns the private key as PKCS #8 (RFC 5208).
func MarshalKey(k Key) ([]byte, error) {
	if k.private == nil {
		return nil, errors.New("only an asymmetric key can be stored")
	}
	return x509.MarshalPKCS8PrivateKey(k.private)
}

// UnmarshalKey parses a private key that MarshalKey returned.
func UnmarshalKey(alg string, der []byte) (Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, errors.New("not a PKCS #8 private key")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return Key{}, errors.New("this private key can't sign")
	}
	return newKey(alg, private)
}

// newKey returns the Key for a private key. It returns an error if the private key does not match the algorithm.
func newKey(alg string, private crypto.Signer) (Key, error) {
	wire, fits := wireAlgorithm(private.Public())
	if !fits || alg != settingsName(wire) {
		return Key{}, fmt.Errorf("this is not a private key for %s", alg)
	}
	public := jose.JSONWebKey{Key: private.Public()}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, err
	}
	k := Key{id: base64.RawURLEncoding.EncodeToString(thumbprint), alg: wire, public: private.Public(), private: private}
	k.header = headerOf(k, tokenType)
	return k, nil
}

// wireAlgorithm returns the `alg` of the tokens that a public key verifies. It reports false for an unsupported key.
func wireAlgorithm(public crypto.PublicKey) (wire string, fits bool) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return ES256, key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return edDSA, len(key) == ed25519.PublicKeySize
	case *rsa.PublicKey:
		return RS256, key.N.BitLen() >= minRSABits && key.N.BitLen() <= maxRSABits
	}
	return "", false
}

// settingsName returns the name that the settings use for an `alg`.
func settingsName(wire string) string {
	if wire == edDSA {
		return Ed25519
	}
	return wire
}

func headerOf(k Key, typ string) string {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{k.alg, k.id, typ})
	if err != nil {
		panic(err) // can't happen: the value consists of three strings
	}
	return base64.RawURLEncoding.EncodeToString(header)
}

// sign returns a signature as RFC 7518, section 3, or RFC 8037 define it.
func (k Key) sign(input []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		// Without a source of randomness, Sign derives the nonce from the key and the digest (RFC 6979). It then uses
		// SHA-256, which is faster than the SHA-512 that it uses with a source of randomness. Two tokens still have
		// different signatures, because each token has its own `jti`.
		digest := sha256.Sum256(input)
		der, err := private.Sign(nil, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return convertToFixedLength(der)
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input), nil
	case *rsa.PrivateKey:
		digest := sha256.Sum256(input)
		return rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:]) // deterministic
	}
	if k.secret == nil {
		return nil, errors.New("this key can only verify")
	}
	return k.mac(input), nil
}

// convertToFixedLength converts an ECDSA signature on P-256 from ASN.1 to r and s with 32 bytes each (RFC 7518,
// section 3.4).
func convertToFixedLength(der []byte) ([]byte, error) {
	var r, s []byte // big endian, without leading zeros
	var sequence cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&sequence, asn1.SEQUENCE) || !input.Empty() ||
		!sequence.ReadASN1Integer(&r) || !sequence.ReadASN1Integer(&s) || !sequence.Empty() ||
		len(r) > 32 || len(s) > 32 {
		return nil, errors.New("malformed ECDSA signature")
	}
	signature := make([]byte, 64)
	copy(signature[32-len(r):], r)
	copy(signature[64-len(s):], s)
	return signature, nil
}

// verifiesSignature accepts both ES256 signatures that are valid for an input. One token thus has two encodings.
func (k Key) verifiesSignature(input, signature []byte) bool {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		digest := sha256.Sum256(input)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(public, digest[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, input, signature)
	case *rsa.PublicKey:
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	}
	return k.secret != nil && hmac.Equal(k.mac(input), signature)
}

func (k Key) mac(input []byte) []byte {
	h := hmac.New(sha256.New, k.secret)
	h.Write(input)
	return h.Sum(nil)
}
