package knowndevice_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/knowndevice"
)

var secret = []byte("a secret for tests, of 32 bytes!")

func TestParseRejectsTokensOfAnotherAccountOrPassword(t *testing.T) {
	t.Parallel()
	id := knowndevice.ID{0xff}
	token := id.Sign(secret, "ada", "hash")
	if !strings.HasPrefix(token, "wwd_") || len(token) != 68 || strings.Contains(token, "ada") {
		t.Errorf("got %q", token)
	}
	if got, ok := knowndevice.Parse(token, secret, "ada", "hash"); !ok || got != id {
		t.Errorf("got %v, %v", got, ok)
	}
	for name, parse := range map[string]func() (knowndevice.ID, bool){
		"another account": func() (knowndevice.ID,
			bool) {
			return knowndevice.Parse(token, secret, "bob", "hash")
		},
		"another password": func() (knowndevice.ID,
			bool) {
			return knowndevice.Parse(token, secret, "ada", "hash2")
		},
		"another secret": func() (knowndevice.ID,
			bool) {
			return knowndevice.Parse(token, []byte("other"), "ada", "hash")
		},
		"another boundary": func() (knowndevice.ID,
			bool) {
			return knowndevice.Parse(token, secret, "adah", "ash")
		},
		"no account": func() (knowndevice.ID, bool) { return knowndevice.Parse(token, secret, "", "") },
		"another device": func() (knowndevice.ID,
			bool) {
			return knowndevice.Parse("wwd_A"+token[5:], secret, "ada", "hash")
		},
		"a line break": func() (knowndevice.ID,
			bool) {
			return knowndevice.Parse(token[:67]+"\n", secret, "ada", "hash")
		},
		"another prefix": func() (knowndevice.ID,
			bool) {
			return knowndevice.Parse("wwr_"+token[4:], secret, "ada", "hash")
		},
		"empty": func() (knowndevice.ID, bool) { return knowndevice.Parse("", secret, "ada", "hash") },
		"a token with a suffix": func() (knowndevice.ID,
			bool) {
			return knowndevice.Parse(token+"A", secret, "ada", "hash")
		},
	} {
		if got, ok := parse(); ok || got != (knowndevice.ID{}) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEachDeviceHasItsOwnID(t *testing.T) {
	t.Parallel()
	one, other := knowndevice.NewID(), knowndevice.NewID()
	if one == other || one.String() == other.String() || len(one.String()) != 22 {
		t.Errorf("got %s and %s", one, other)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("wwd_", "ada", "hash")
	f.Add(knowndevice.ID{1}.Sign(secret, "ada", "hash"), "ada", "hash")
	f.Add(knowndevice.ID{1}.Sign(secret, "ada", "hash"), "bob", "hash")
	f.Fuzz(func(t *testing.T, text, account, hash string) {
		id, ok := knowndevice.Parse(text, secret, account, hash)
		if ok && id.Sign(secret, account, hash) != text {
			t.Errorf("Parse accepts %q, which Sign does not return", text)
		}
	})
}
