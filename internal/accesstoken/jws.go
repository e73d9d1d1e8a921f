package accesstoken

import (
	"encoding/base64"
	"fmt"
	"slices"
)

// What other signed texts of the same keys are made of (internal/secevent). Their
// type is another, so that none passes for an access token, nor one for them.

// SignAs returns a payload as a compact JWS of a type.
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

// OpenAs returns the payload of a compact JWS of that type, if it is genuine. It
// is as strict as Verify.
func OpenAs(token, typ string, find func(kid string) (Key, bool)) (payload []byte, ok bool) {
	jws, ok := split(token)
	if !ok {
		return nil, false
	}
	key, ok := jws.key(typ, find)
	if !ok || !key.verifies(jws.signed, jws.signature) {
		return nil, false
	}
	return jws.payload, true
}

// Members returns the members of a JSON object as they are written. It reports
// false unless data is one object in UTF-8 with no name twice.
func Members(data []byte) (map[string]string, bool) {
	all := map[string]string{}
	ok := members(data, func(name, value string) bool {
		all[name] = value
		return true
	})
	return all, ok
}

// Text reads a string of JSON.
func Text(value string) (string, bool) {
	if value == "" {
		return "", false
	}
	return text(value)
}

// Seconds reads a time of JSON: whole seconds since 1970.
func Seconds(value string) (int64, bool) {
	if value == "" {
		return 0, false
	}
	return seconds(value)
}

// NamesAudience reports whether the value of `aud` is or holds that audience.
func NamesAudience(value, want string) bool {
	if value == "" {
		return false
	}
	all, ok := audience(value)
	return ok && slices.Contains(all, want)
}
