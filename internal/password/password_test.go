package password_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/watchword-auth/watchword/internal/password"
)

// PW-4, PW-6
func TestNormalizeUnifiesOnlySpellings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, raw, want string
	}{
		{"plain", "correct horse", "correct horse"},
		{"spaces at the ends stay", "  tulip  ", "  tulip  "},
		{"case stays", "TuLiP", "TuLiP"},
		{"composed", "caf\u00e9", "caf\u00e9"},
		{"decomposed", "cafe\u0301", "caf\u00e9"},
		{"ligature", "o\ufb03ce", "office"},
		{"full width", "\uff50\uff41\uff53\uff53", "pass"},
		{"no-break space", "a\u00a0b", "a b"},
		{"control characters except NUL", "a\tb\x7f", "a\tb\x7f"},
		{"emoji", "\U0001f409\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f409\U0001f3f3\ufe0f\u200d\U0001f308"},
		{"empty", "", ""},
		{"maximum bytes", strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		{"maximum code points", strings.Repeat("\U0001f409", 256), strings.Repeat("\U0001f409", 256)},
	} {
		if got, err := password.Normalize(c.raw); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// PW-2, PW-6
func TestNormalizeRejectsInvalidPasswords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, raw string
		want      error
	}{
		{"one byte too long", strings.Repeat("x", 1025), password.ErrTooLong},
		{"too long and not UTF-8", strings.Repeat("\xff", 1025), password.ErrTooLong},
		{"too long after normalization", strings.Repeat("\ufdfa", 341), password.ErrTooLong},
		{"NUL", "abc\x00defgh", password.ErrInvalid},
		{"not UTF-8", "abcdefgh\xff", password.ErrInvalid},
		{"half a character at the end", "abcdefgh\xe2\x80", password.ErrInvalid},
		{"a surrogate", "abcdefgh\xed\xa0\x80", password.ErrInvalid},
	} {
		if got, err := password.Normalize(c.raw); !errors.Is(err, c.want) || got != "" {
			t.Errorf("%s: got %d bytes and %v, want %v", c.name, len(got), err, c.want)
		}
	}
}

// PW-1, PW-2
func TestLengthIsCountedInCodePoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, normal string
		min          int
		want         password.Problem
	}{
		{"one short", "zqvkwjx", 8, password.TooShort},
		{"just enough", "zqvkwjxy", 8, ""},
		{"two bytes each, one short", strings.Repeat("\u00e9", 14), 15, password.TooShort},
		{"two bytes each, enough", strings.Repeat("\u00e9", 15), 15, ""},
		{"maximum length", strings.Repeat("\u00e9", 256), 8, ""},
		{"one too long", strings.Repeat("\u00e9", 257), 8, password.TooLong},
		{"empty", "", 8, password.TooShort},
	} {
		if got := password.Check(c.normal, c.min, nil); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// PW-3, PW-5
func TestCheckRejectsCommonPasswords(t *testing.T) {
	t.Parallel()
	for want, all := range map[password.Problem][]string{
		password.Common: {
			"password", "12345678", "qwertyuiop", "iloveyou", "baseball1", "1qaz2wsx", "trustno1", "passw0rd",
			"Password",
			"PASSWORD", "password!", "Passw0rd!", "password2026!", "Summer2026!", "dragon99!!", "monkey1234",
			"sunflower",
			"watchword", "Watchword1!", "watchwordlogin", "admin-welcome", " password ", "2026password",
			"trustno1!?", "1234567890!!?",
		},
		"": {
			"correct horse battery staple", "zqvk wjxy", "tulip-anchor-91", "a b c d e f g h", "ttttttttttttttt zq",
			"sunflowerandthesea", "password-for-the-tulips", "dragon918273", "vrxkqzpw", "84629173502847", "84629173",
			"84629173502847@",
			"watchword of the night",
			"\u043f\u0430\u0440\u043e\u043b\u044c \u0434\u043b\u044f \u0442\u044e\u043b\u044c\u043f\u0430\u043d\u0430",
		},
	} {
		for _, normal := range all {
			if got := password.Check(normal, 8, nil); got != want {
				t.Errorf("%q: got %q, want %q", normal, got, want)
			}
		}
	}
}

// PW-5
func TestCheckRejectsTheUsersAddressAndName(t *testing.T) {
	t.Parallel()
	const address, name = "zoltana.bellweather84@mail.example-corp.org", "Zolt\u00e1na Bellweather-O\u2019Harra"
	for want, all := range map[password.Problem][]string{
		password.Personal: {
			address, "Zoltana.Bellweather84@Mail.Example-Corp.ORG", "zoltana.bellweather84", "ZoltanaBellweather84",
			"zoltanabellweather", "bellweatherzoltana!", "bellweather-bellweather", "zoltana19840512",
			"mail.example-corp.org",
			"example-corp", "examplecorp1", "zolt\u00e1nabellweather", "oharra2026", "O\u2019Harra2026",
			"zoltanawatchword",
			"bellweather-password-1", "BELLWEATHER84",
		},
		"": {
			"zoltana1984051234", "zoltanabellweathered", "zoltanas tulips", "thebellweatherof1984",
			"correct horse bellweather",
			"zqvkwjxy", "mailbox-tulip", "8474625190",
		},
	} {
		for _, normal := range all {
			if got := password.Check(normal, 8, nil, address, name); got != want {
				t.Errorf("%q: got %q, want %q", normal, got, want)
			}
		}
	}
}

func TestShortNamesRejectFewPasswords(t *testing.T) {
	t.Parallel()
	for _, normal := range []string{strings.Repeat("a", 64), "abababababab!?", "banana split", "io-io-io-io-io"} {
		if got := password.Check(normal, 8, nil, "a@b.io", "A B", "", " ", "@"); got != "" {
			t.Errorf("%q: got %q, want no result", normal, got)
		}
	}
	for _, normal := range []string{"a@b.io", "a@b.io2026", "4917055512345", "\u674e12345678",
		"\u674e\u674e\u674e\u674e"} {
		if got := password.Check(normal, 4, nil, "a@b.io", "\u674e", "4917055512345@b.io"); got != password.Personal {
			t.Errorf("%q: got %q, want personal", normal, got)
		}
	}
}

// The filter has a false positive rate of one in 65,536, and Check queries it up to three times per password.
// Therefore Check may reject a few uncommon passwords.
func TestCheckRarelyRejectsUncommonPasswords(t *testing.T) {
	t.Parallel()
	const total, limit = 100_000, 20
	rejected := 0
	for i := range total {
		if password.Check("zqvkwjxy-"+strconv.Itoa(i)+"-wjxyzqvk", 8, nil) != "" {
			rejected++
		}
	}
	if rejected > limit {
		t.Errorf("%d of %d were rejected, want at most %d", rejected, total, limit)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"", "correct horse", "caf\u00e9", "cafe\u0301", "\ufdfa", strings.Repeat("\ufdfa", 300), "a\x00b", "\xff\xfe",
		"\xe2\x80", strings.Repeat("\u0301", 400), "\u1100\u1161\u11a8", strings.Repeat("x", 1025),
		"\ufb03\u2460\u00bd",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		normal, err := password.Normalize(raw)
		if err != nil {
			if normal != "" {
				t.Error("Normalize returned both an error and a password")
			}
			return
		}
		if len(raw) > 1024 || len(normal) > 1024 || !utf8.ValidString(normal) || strings.ContainsRune(normal, 0) {
			t.Errorf("%q was accepted as %q", raw, normal)
		}
		if again, err := password.Normalize(normal); err != nil || again != normal {
			t.Errorf("normalizing %q gave %q and again gave %q, %v", raw, normal, again, err)
		}
		if other, err := password.Normalize(norm.NFD.String(raw)); err == nil && other != normal {
			t.Errorf("%q is %q composed and %q decomposed", raw, normal, other)
		}
		password.Check(normal, 8, nil, raw, normal)
	})
}

func BenchmarkNormalize(b *testing.B) {
	for b.Loop() {
		if _, err := password.Normalize("correct horse battery staple cafe\u0301"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for b.Loop() {
		if password.Check("correct horse battery staple", 8, nil, "anna.bell@example.org", "Anna Bell") != "" {
			b.Fatal("rejected")
		}
	}
}

// BenchmarkCheckLongest measures the most expensive input that a client can send: every word matches everywhere.
func BenchmarkCheckLongest(b *testing.B) {
	normal, name := strings.Repeat("a", 256), strings.Repeat("aaaaaaaaa ", 20)
	for b.Loop() {
		password.Check(normal, 8, nil, "anna.bell@example.org", name)
	}
}

// PW-5
func TestCheckRejectsOnlyWordsOfTheOperator(t *testing.T) {
	t.Parallel()
	context := []string{"Globex Corp", "MÜNCHEN"}
	for normal, want := range map[string]password.Problem{
		"globexcorp":         password.Common,
		"Globex2026!":        password.Common,
		"corp-globex-1":      password.Common,
		"münchen1860":        password.Common,
		"globexlogin99":      password.Common,
		"globex+lovelace":    password.Personal,
		"globex makes tubes": "",
		"hamburg-1887-elbe":  "",
	} {
		if got := password.Check(normal, 8, context, "Lovelace"); got != want {
			t.Errorf("Check(%q) is %q, want %q", normal, got, want)
		}
	}
	if got := password.Check("globex2026x", 8, nil); got != "" {
		t.Errorf("without words of the operator: %q", got)
	}
}
