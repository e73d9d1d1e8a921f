package accesstoken

import (
	"encoding/base64"
	"fmt"
	"slices"
)

// The keys of access tokens also sign other texts (internal/secevent). These texts have another `typ`, so a verifier
// never accepts them as access tokens.

// SignAs signs a payload as a compact JWS with that `typ`.
func SignAs(k Key, typ string, payload []byte) (string, error) {
	token := make([]byte, 0, 128+base64.RawURLEncoding.EncodedLen(len(payload))+352)
	token = append(token, headerOf(k, typ)...)
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signature, err := k.sign(token)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	token = append(token, '.')
	return string(base64.RawURLEncoding.AppendEncode(token, signature)), nil
}

// OpenAs returns the payload of a compact JWS with that `typ`. It reports false if the
// signature is invalid. It is as strict as Verify.
func OpenAs(token, typ string, findKey func(kid string) (Key, bool)) (payload []byte, ok bool) {
	jws, ok := splitJWS(token)
	if !ok {
		return nil, false
	}
	key, ok := jws.selectKey(typ, findKey)
	if !ok || !key.verifiesSignature(jws.signingInput, jws.signature) {
		return nil, false
	}
	return jws.payload, true
}

// Members returns the members of a JSON object, unparsed. It reports false unless data is
// one object in UTF-8 without duplicate names.
func Members(data []byte) (map[string]string, bool) {
	all := map[string]string{}
	ok := visitMembers(data, func(name, value string) bool {
		all[name] = value
		return true
	})
	return all, ok
}

// Text parses a JSON string.
func Text(value string) (string, bool) {
	if value == "" {
		return "", false
	}
	return parseString(value)
}

// Seconds parses a JSON number of whole seconds since 1970, above zero.
func Seconds(value string) (int64, bool) {
	if value == "" {
		return 0, false
	}
	return parseSeconds(value)
}

// NamesAudience reports whether the value of `aud` is, or contains, that audience.
func NamesAudience(value, want string) bool {
	if value == "" {
		return false
	}
	all, ok := parseAudience(value)
	return ok && slices.Contains(all, want)
}
