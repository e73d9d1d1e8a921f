package refreshtoken_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/refreshtoken"
)

var (
	secret = []byte("a secret of 32 bytes for testing")
	token  = refreshtoken.Token{KeyNumber: 7, Session: [16]byte{1, 2, 3, 15: 16}, Generation: 1<<40 + 5}
)

func keys(number uint8) ([]byte, bool) { return secret, number == 7 }

func TestSignIsDeterministic(t *testing.T) {
	t.Parallel()
	text := token.Sign(secret)
	if text != token.Sign(secret) || !strings.HasPrefix(text, "wwr_AQc") || len(text) != 82 {
		t.Errorf("got %s", text)
	}
	parsed, err := refreshtoken.Parse(text, keys)
	if err != nil || parsed != token {
		t.Errorf("got %+v, %v", parsed, err)
	}
}

// RT-1
func TestParseRejectsEveryOtherSpelling(t *testing.T) {
	t.Parallel()
	text := token.Sign(secret)
	for i := range text { // replace each character by every other one
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\r\x00" {
			other := text[:i] + string(c) + text[i+1:]
			if other == text {
				continue
			}
			_, err := refreshtoken.Parse(other, func(uint8) ([]byte, bool) { return secret, true })
			if !errors.Is(err, refreshtoken.ErrInvalid) {
				t.Fatalf("%q at %d: %v", c, i, err)
			}
		}
	}
	for name, other := range map[string]string{
		"empty": "", "prefix only": "wwr_", "shorter": text[:81], "longer": text + "A", "padded": text + "==",
		"a line break": text + "\n", "a leading space": " " + text, "another prefix": "wwm_" + text[4:],
		"huge":               strings.Repeat("A", 1<<20),
		"line breaks within": text[:40] + "\r\n" + text[42:],
	} {
		if _, err := refreshtoken.Parse(other, keys); !errors.Is(err, refreshtoken.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseDistinguishesUnknownKeysFromWrongMACs(t *testing.T) {
	t.Parallel()
	other := token
	other.KeyNumber = 8
	if _, err := refreshtoken.Parse(other.Sign(secret), keys); !errors.Is(err, refreshtoken.ErrUnknownKey) {
		t.Errorf("unknown key: %v", err)
	}
	_, err := refreshtoken.Parse(token.Sign([]byte("another secret")), keys)
	if !errors.Is(err, refreshtoken.ErrInvalid) {
		t.Errorf("wrong secret: %v", err)
	}
}

// RT-1
func FuzzParse(f *testing.F) {
	f.Add(token.Sign(secret))
	f.Add("wwr_AQcBAgM")
	f.Add(strings.Repeat("A", 82))
	f.Add(token.Sign(secret)[:80] + "\r\n")
	f.Add(token.Sign(secret) + "==")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := refreshtoken.Parse(text, keys)
		if err == nil && parsed.Sign(secret) != text {
			t.Fatalf("Parse accepted %q, but Sign returns another text", text)
		}
		if err != nil && parsed != (refreshtoken.Token{}) {
			t.Fatal("Parse returned both an error and a token")
		}
	})
}

func BenchmarkSign(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		token.Sign(secret)
	}
}

func BenchmarkParse(b *testing.B) {
	text := token.Sign(secret)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := refreshtoken.Parse(text, keys); err != nil {
			b.Fatal(err)
		}
	}
}
