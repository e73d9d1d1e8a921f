package verify_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/verify"
)

// FuzzOnlyTheOriginalTokenVerifies cuts, inserts, replaces and splices parts of valid tokens. Verify may accept only
// the original tokens, and their alternative ES256 signatures (r, n−s), see
// TestBothFormsOfASignatureAreRevokedWithTheSession.
//
// JWT-5, JWT-14
func FuzzOnlyTheOriginalTokenVerifies(f *testing.F) {
	var tokens []string
	keys := []accesstoken.Key{
		newKey(f, accesstoken.ES256), newKey(f, accesstoken.Ed25519), newKey(f, accesstoken.RS256)}
	i := newFakeIssuer(keys...)
	v := i.verifierWithoutNetwork(f, verify.Options{})
	f.Cleanup(v.Close)
	for _, k := range keys {
		tokens = append(tokens, i.sign(f, k, nil), i.sign(f, k, func(c *accesstoken.Claims) { c.Subject = "bob" }))
	}
	original := map[string]bool{
		withAlternativeSignature(f, tokens[0]): true, withAlternativeSignature(f, tokens[1]): true}
	for _, token := range tokens {
		original[token] = true
		wantError(f, v, token, nil)
	}
	f.Add(byte(0), byte(0), uint16(0), uint16(1), []byte("e")) // an unchanged token
	f.Add(byte(0), byte(0), uint16(400), uint16(1), []byte("A"))
	f.Add(byte(0), byte(0), uint16(9999), uint16(0), []byte("=\n"))
	f.Add(byte(0), byte(1), uint16(140), uint16(300), []byte{}) // claims of another user
	f.Add(byte(2), byte(4), uint16(60), uint16(0), []byte("."))
	f.Fuzz(func(t *testing.T, one, other byte, at, cut uint16, insert []byte) {
		head, tail := tokens[int(one)%len(tokens)], tokens[int(other)%len(tokens)]
		from := min(int(at), len(head))
		text := head[:from] + string(insert) + tail[min(from+int(cut), len(tail)):]
		if identity, err := v.Verify(t.Context(), text); err == nil && !original[text] {
			t.Fatalf("%q was accepted for %s", text, identity.Subject())
		} else if err != nil && (identity != nil || original[text]) {
			t.Fatalf("%q: %v, %v", text, identity, err)
		}
	})
}
