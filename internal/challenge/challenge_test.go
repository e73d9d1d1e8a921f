package challenge_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/challenge"
)

var secret = []byte("a secret for tests, of 32 bytes!")

func TestParseRejectsHandlesOfAnotherPurpose(t *testing.T) {
	t.Parallel()
	id := [16]byte{0xff, 1}
	handle := challenge.Sign(secret, "login", id)
	if got, ok := challenge.Parse(handle, secret, "login"); !ok || got != id || len(handle) != 68 {
		t.Errorf("got %v, %v from %q", got, ok, handle)
	}
	for name, got := range map[string]func() ([16]byte, bool){
		"another purpose": func() ([16]byte, bool) { return challenge.Parse(handle, secret, "enrol") },
		"another secret":  func() ([16]byte, bool) { return challenge.Parse(handle, []byte("other"), "login") },
		"another id":      func() ([16]byte, bool) { return challenge.Parse("wwc_A"+handle[5:], secret, "login") },
		"another prefix":  func() ([16]byte, bool) { return challenge.Parse("wwd_"+handle[4:], secret, "login") },
		"a line break":    func() ([16]byte, bool) { return challenge.Parse(handle[:67]+"\n", secret, "login") },
		"a suffix":        func() ([16]byte, bool) { return challenge.Parse(handle+"A", secret, "login") },
		"empty":           func() ([16]byte, bool) { return challenge.Parse("", secret, "login") },
	} {
		if id, ok := got(); ok || id != ([16]byte{}) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("wwc_", "login")
	f.Add(challenge.Sign(secret, "login", [16]byte{1}), "login")
	f.Fuzz(func(t *testing.T, handle, purpose string) {
		if id, ok := challenge.Parse(handle, secret, purpose); ok && challenge.Sign(secret, purpose, id) != handle {
			t.Errorf("Parse accepts %q, which Sign does not return", handle)
		}
	})
}
