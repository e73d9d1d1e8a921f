package rememberedtoken_test

import (
	"encoding/base64"
	"testing"

	"github.com/watchword-auth/watchword/internal/rememberedtoken"
)

var secret = []byte("a secret for tests, of 32 bytes!")

func TestParseRejectsEveryChangedByteAndOtherAccounts(t *testing.T) {
	t.Parallel()
	id := [16]byte{0xff, 1}
	token := rememberedtoken.Sign(secret, "ada", id)
	if got, ok := rememberedtoken.Parse(token, secret, "ada"); !ok || got != id || len(token) != 68 {
		t.Errorf("got %v, %v from %q", got, ok, token)
	}
	for name, parse := range map[string]func() ([16]byte, bool){
		"another account": func() ([16]byte, bool) { return rememberedtoken.Parse(token, secret, "bob") },
		"no account":      func() ([16]byte, bool) { return rememberedtoken.Parse(token, secret, "") },
		"another secret":  func() ([16]byte, bool) { return rememberedtoken.Parse(token, []byte("other"), "ada") },
		"a line break":    func() ([16]byte, bool) { return rememberedtoken.Parse(token[:67]+"\n", secret, "ada") },
		"a suffix":        func() ([16]byte, bool) { return rememberedtoken.Parse(token+"A", secret, "ada") },
		"another prefix":  func() ([16]byte, bool) { return rememberedtoken.Parse("wwd_"+token[4:], secret, "ada") },
		"empty":           func() ([16]byte, bool) { return rememberedtoken.Parse("", secret, "ada") },
	} {
		if id, ok := parse(); ok || id != ([16]byte{}) {
			t.Errorf("%s: accepted", name)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(token[4:])
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		if _, ok := rememberedtoken.Parse("wwb_"+base64.RawURLEncoding.EncodeToString(raw), secret, "ada"); ok {
			t.Errorf("byte %d changed: accepted", i)
		}
		raw[i] ^= 1
	}
}

func FuzzParse(f *testing.F) {
	f.Add("wwb_", "ada")
	f.Add(rememberedtoken.Sign(secret, "ada", [16]byte{1}), "ada")
	f.Fuzz(func(t *testing.T, token, account string) {
		id, ok := rememberedtoken.Parse(token, secret, account)
		if ok && rememberedtoken.Sign(secret, account, id) != token {
			t.Errorf("Parse accepts %q, which Sign does not return", token)
		}
	})
}
