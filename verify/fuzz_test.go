package verify_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/verify"
)

// Whatever is done to tokens that are valid, by cutting, inserting, replacing and
// splicing two, nothing but the originals verifies. The one text that does as well
// is left out by name: the twin (r, n−s) of a signature of ES256, of which
// TestTheTwinOfASignatureEndsWithItsSession tells.
//
// JWT-5, JWT-14
func FuzzNothingButTheOriginalVerifies(f *testing.F) {
	var tokens []string
	keys := []accesstoken.Key{newKey(f, accesstoken.ES256), newKey(f, accesstoken.Ed25519), newKey(f, accesstoken.RS256)}
	i := onPaper(keys...)
	v := i.onPaper(f, verify.Options{})
	f.Cleanup(v.Close)
	for _, k := range keys {
		tokens = append(tokens, i.sign(f, k, nil), i.sign(f, k, func(c *accesstoken.Claims) { c.Subject = "bob" }))
	}
	original := map[string]bool{twinOf(f, tokens[0]): true, twinOf(f, tokens[1]): true}
	for _, token := range tokens {
		original[token] = true
		wantError(f, v, token, nil)
	}
	f.Add(byte(0), byte(0), uint16(0), uint16(1), []byte("e"))   // changes nothing
	f.Add(byte(0), byte(0), uint16(400), uint16(1), []byte("A")) // another byte
	f.Add(byte(0), byte(0), uint16(9999), uint16(0), []byte("=\n"))
	f.Add(byte(0), byte(1), uint16(140), uint16(300), []byte{}) // the claims of another
	f.Add(byte(2), byte(4), uint16(60), uint16(0), []byte("."))
	f.Fuzz(func(t *testing.T, one, other byte, at, cut uint16, insert []byte) {
		head, tail := tokens[int(one)%len(tokens)], tokens[int(other)%len(tokens)]
		from := min(int(at), len(head))
		text := head[:from] + string(insert) + tail[min(from+int(cut), len(tail)):]
		if who, err := v.Verify(t.Context(), text); err == nil && !original[text] {
			t.Fatalf("%q passes for %s", text, who.Subject())
		} else if err != nil && (who != nil || original[text]) {
			t.Fatalf("%q: %v, %v", text, who, err)
		}
	})
}
