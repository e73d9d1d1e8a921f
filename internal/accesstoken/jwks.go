package accesstoken

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

const maxKeys = 64 // keys in one JWKS; most issuers publish three

// JWKS returns the JWK Set of the public keys (RFC 7517, section 5), in the order given. It
// omits HS256 keys, because they are secret.
func JWKS(keys []Key) []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		if k.public != nil {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.public, KeyID: k.id, Algorithm: k.alg, Use: "sig"})
		}
	}
	document, err := json.Marshal(set)
	if err != nil {
		panic(err) // impossible: wireAlgorithm accepted each public key
	}
	return document
}

// ParseJWKS returns the keys of a JWKS that verify access tokens, as a map from `kid` to key. These keys can't sign.
// ParseJWKS returns an error for a document with more than 64 keys.
//
// It omits a key without `kid` or `alg`, a key whose `alg` belongs to another key type, an encryption key, and a key
// of an unknown type. If two keys have the same `kid`, it omits both. It also omits private keys, because a published
// private key is compromised.
func ParseJWKS(document []byte) (map[string]Key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, errors.New("not a JWKS")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("a JWKS of %d keys is too long: %d are read", len(set.Keys), maxKeys)
	}
	keys, seen := map[string]Key{}, map[string]bool{}
	for _, text := range set.Keys {
		var jwk jose.JSONWebKey
		if err := json.Unmarshal(text, &jwk); err != nil {
			continue
		}
		if seen[jwk.KeyID] {
			delete(keys, jwk.KeyID)
			continue
		}
		seen[jwk.KeyID] = true
		if k, ok := publicKey(jwk); ok {
			keys[k.id] = k
		}
	}
	return keys, nil
}

func publicKey(jwk jose.JSONWebKey) (Key, bool) {
	wire, fits := wireAlgorithm(jwk.Key) // fits is false for a private key or a secret
	if !fits || jwk.Algorithm != wire || jwk.KeyID == "" || jwk.Use != "" && jwk.Use != "sig" || !jwk.Valid() {
		return Key{}, false
	}
	k := Key{id: jwk.KeyID, alg: wire, public: jwk.Key}
	k.header = headerOf(k, tokenType)
	return k, true
}
