package servicekey_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/servicekey"
)

func TestParseAcceptsOnlyWhatSignReturned(t *testing.T) {
	t.Parallel()
	secret, id := []byte("a secret of 32 bytes for tests.."), [16]byte{1, 2, 3, 15: 255}
	key := servicekey.Sign(secret, id)
	if got, ok := servicekey.Parse(key, secret); !ok || got != id {
		t.Fatalf("%s: %v %v", key, got, ok)
	}
	if _, ok := servicekey.Parse(key, []byte("another secret")); ok {
		t.Error("a key of another secret is accepted")
	}
	for i := range key {
		for _, c := range []byte{'a', '7', 'A', '_', 0, '\n', key[i] ^ 1} {
			changed := key[:i] + string(rune(c)) + key[i+1:]
			if _, ok := servicekey.Parse(changed, secret); ok && changed != key {
				t.Errorf("accepted with byte %d changed: %s", i, changed)
			}
		}
	}
	for _, other := range []string{"", "wwk_", "wwk_1", key[:len(key)-1], key + "a", key + "\n", strings.ToUpper(key)} {
		if _, ok := servicekey.Parse(other, secret); ok {
			t.Errorf("accepted: %q", other)
		}
	}
}

func TestScannersFindKeysInText(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(servicekey.Pattern)
	for i := range 200 {
		key := servicekey.Sign([]byte{byte(i)}, [16]byte{byte(i)})
		if got := pattern.FindString(`{"token": "` + key + `"}`); got != key || !servicekey.Is(key) {
			t.Fatalf("%s: found %q", key, got)
		}
	}
}
