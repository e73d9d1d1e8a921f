package recoverycode_test

import (
	"regexp"
	"testing"

	"github.com/watchword-auth/watchword/internal/recoverycode"
)

// MFA-2
func TestNewCodesAreRandomAndReadable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 50 {
		for _, code := range recoverycode.New() {
			if !regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}$`).MatchString(code) || seen[code] {
				t.Fatalf("got %q", code)
			}
			seen[code] = true
		}
	}
	if len(seen) != 50*recoverycode.Count {
		t.Errorf("%d codes", len(seen))
	}
}

func TestNormalizeIgnoresHowACodeIsTyped(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"ABCDE-01234": "ABCDE01234", " abcde 01234 ": "ABCDE01234", "oilab-01234": "011AB01234",
		"a-b-c-d-e-0-1-2-3-4": "ABCDE01234",
		"":                    "", "ABCDE-0123": "", "ABCDE-012345": "", "ABCDU-01234": "",
		"ABCDE\n01234": "", "ABCDE01234\x00": "",
	} {
		got, ok := recoverycode.Normalize(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %v, want %q", typed, got, ok, want)
		}
	}
}

func TestHashDependsOnUserAndSecret(t *testing.T) {
	t.Parallel()
	one := recoverycode.Hash([]byte("a"), "ada", "ABCDE01234")
	for _, other := range []string{
		recoverycode.Hash([]byte("b"), "ada", "ABCDE01234"), recoverycode.Hash([]byte("a"), "bob", "ABCDE01234"),
		recoverycode.Hash([]byte("a"), "ada", "ABCDE01235"),
	} {
		if other == one || len(one) != 64 {
			t.Errorf("%s and %s", one, other)
		}
	}
}
