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
)

// The algorithms, by the names of the settings. On the wire Ed25519 is "EdDSA"
// (RFC 8037): libraries that know the newer name of RFC 9864 are few.
const (
	ES256   = "ES256"
	Ed25519 = "Ed25519"
	RS256   = "RS256"
	HS256   = "HS256"

	edDSA = "EdDSA"
)

const (
	rsaBits    = 3072 // of new keys: 128 bits of security (NIST SP 800-57 part 1, table 2)
	minRSABits = 2048 // of keys made by earlier releases, which sign until they retire
	maxRSABits = 8192 // a longer one would be work for whoever verifies
	minSecret  = 32   // RFC 7518, section 3.2
	sharedID   = "shared"
)

// A Key verifies, and signs unless it came from a JWKS. Its algorithm is part of
// it: no token chooses one.
type Key struct {
	id, alg string
	public  crypto.PublicKey // nil for HS256
	private crypto.Signer    // nil for HS256, and for a key of a JWKS
	secret  []byte           // of HS256
	header  string           // the first segment of its tokens, ready to use
}

// ID is the `kid`: for an asymmetric key its thumbprint (RFC 7638). That of HS256
// is a constant, for a hash of the secret would let its finder test guesses.
func (k Key) ID() string { return k.id }

// Alg is the `alg` on the wire.
func (k Key) Alg() string { return k.alg }

// GenerateKey makes a key for ES256, Ed25519 or RS256.
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
	return nil, fmt.Errorf("signing algorithm %q is not known: write ES256, Ed25519, RS256 or HS256", alg)
}

// NewHS256 makes a key from a secret that resource servers share. Whoever has it
// can make tokens.
func NewHS256(secret []byte) (Key, error) {
	if len(secret) < minSecret {
		return Key{}, fmt.Errorf("a signing secret for HS256 has at least %d bytes, this one %d", minSecret, len(secret))
	}
	k := Key{id: sharedID, alg: HS256, secret: append([]byte(nil), secret...)}
	k.header = headerOf(k, tokenType)
	return k, nil
}

// MarshalKey returns the private key as PKCS #8 (RFC 5208).
func MarshalKey(k Key) ([]byte, error) {
	if k.private == nil {
		return nil, errors.New("only an asymmetric key can be kept")
	}
	return x509.MarshalPKCS8PrivateKey(k.private)
}

// UnmarshalKey reads what MarshalKey returned.
func UnmarshalKey(alg string, der []byte) (Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, errors.New("not a PKCS #8 private key")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return Key{}, errors.New("not a private key that signs")
	}
	return newKey(alg, private)
}

// newKey binds a private key to its algorithm, after a look that they match.
func newKey(alg string, private crypto.Signer) (Key, error) {
	wire, fits := wireOf(private.Public())
	if !fits || alg != nameOf(wire) {
		return Key{}, fmt.Errorf("this private key is not one for %s", alg)
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

// wireOf is the one `alg` that a public key is good for here.
func wireOf(public crypto.PublicKey) (wire string, fits bool) {
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

// nameOf is the name in the settings of an `alg`.
func nameOf(wire string) string {
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
		panic(err) // three strings
	}
	return base64.RawURLEncoding.EncodeToString(header)
}

// sign returns the signature of RFC 7518, section 3, or RFC 8037.
func (k Key) sign(input []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(input)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature, nil
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

// verifies reports whether the signature is this key's. ES256 has two valid
// signatures for one text: nothing may be keyed by the text of a token.
func (k Key) verifies(input, signature []byte) bool {
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
