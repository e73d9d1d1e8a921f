package address_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/address"
)

func TestParseReturnsOneCanonicalForm(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"ada@example.com":                       "ada@example.com",
		" Ada.Lovelace+news@Example.COM\r\n":    "ada.lovelace+news@example.com",
		"ada@bücher.example":                    "ada@xn--bcher-kva.example",
		"ada@XN--BCHER-KVA.example":             "ada@xn--bcher-kva.example",
		"ada@mail.example.co.uk":                "ada@mail.example.co.uk",
		"#$&'*+-/?=^_`{|}~@example.com":         "#$&'*+-/?=^_`{|}~@example.com",
		strings.Repeat("a", 64) + "@example.co": strings.Repeat("a", 64) + "@example.co",
		"ada@1.example":                         "ada@1.example",
		"ada@ＥＸＡＭＰＬＥ.com":                       "ada@example.com",
	} {
		if got, err := address.Parse(raw); err != nil || got != want {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}

// IN-3, IN-4
func TestParseRejectsInvalidAddresses(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"empty": "", "blank": "  ", "no at": "ada", "no local part": "@example.com", "no domain": "ada@",
		"two ats": "ada@b@example.com", "a quoted local part": `"ada"@example.com`, "quoted with an at": `"e@evil.example"@example.com`,
		"a name": "Ada <ada@example.com>", "a comment": "ada(x)@example.com", "a literal": "ada@[127.0.0.1]",
		"an address": "ada@127.0.0.1",
		"one label":  "ada@localhost", "a trailing dot": "ada@example.com.", "an empty label": "ada@example..com",
		"a leading dot": ".ada@example.com",
		"dots in a row": "a..da@example.com", "a dot before the at": "ada.@example.com",
		"a hyphen first": "ada@-example.com", "an underscore": "ada@ex_ample.com",
		"not ASCII": "ädä@example.com", "a full-width at": "ada＠example.com", "a line break": "ada\n@example.com",
		"a header": "ada@example.com\r\nBcc: eve@example.com",
		"NUL":      "ada\x00@example.com", "a list": "ada@example.com,eve@example.com",
		"a blank within":    "ada lovelace@example.com",
		"a long local part": strings.Repeat("a", 65) + "@example.com",
		"a long domain":     "ada@" + strings.Repeat("a.", 130) + "com",
		"a long label":      "ada@" + strings.Repeat("a", 64) + ".com",
		"huge":              strings.Repeat("a", 1<<20) + "@example.com",
		"invalid UTF-8":     "ada@ex\xffample.com",
		"digits on top":     "ada@example.123", "broken punycode": "ada@xn--a.example",
		"mixed direction":    "ada@\u05d0a.example",
		"a soft hyphen only": "ada@\u00ad.com", "a joiner": "ada@a\u200db.example",
	} {
		if got, err := address.Parse(raw); err == nil {
			t.Errorf("%s: %q became %q", name, raw, got)
		}
	}
}

func TestPrefixIsTheBeginningOfCanonicalAddresses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"": "", "A": "a", "Ada@": "ada@", "ada@EXAM": "ada@exam", "ada@exam-": "ada@exam-", "%": "%",
		"Ada@Bücher.Example": "ada@xn--bcher-kva.example",
		"ada@bücher.ex":      "ada@xn--bcher-kva.ex",
		"ada@bücher.ex-":     "ada@xn--bcher-kva.ex-",
		"ada@bücher.":        "ada@xn--bcher-kva.",
		"ada@bücher":         "ada@xn--bcher-kva",
		"ada@xn--bcher-k":    "ada@xn--bcher-k",
		"ada@bücher。ex":      "ada@xn--bcher-kva.ex",
		"ada@example.рф":     "ada@example.xn--p1ai",
		"ada@mail.bücher.рф": "ada@mail.xn--bcher-kva.xn--p1ai",
	} {
		if got, ok := address.Prefix(raw); !ok || got != want {
			t.Errorf("%q: %q, %v, want %q", raw, got, ok, want)
		}
	}
	for _, raw := range []string{
		"ädä", "ädä@example.com", "\u212Aim@example.com", "ada＠example.com", "ada@a\u200db.example",
		"ada@b@bücher.example", "ada@ex\xffample.com", "ada@bücher..", "ada@.bücher", "ada@bü cher.example",
		strings.Repeat("ü", 1<<20), "ada@" + strings.Repeat("ü", 1<<20),
	} {
		if got, ok := address.Prefix(raw); ok {
			t.Errorf("%.40q: %q", raw, got)
		}
	}
}

// IN-10
func TestRoutingCharactersAreRejectedExceptForExistingAccounts(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"ada%elsewhere.example@example.com", "elsewhere.example!ada@example.com", "%@example.com", "!@example.com",
		"=?utf-8?q?ada?=@example.com", "a=?b@example.com", "=?@example.com", "ada%40elsewhere.example@example.com",
	} {
		if got, err := address.Parse(raw); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", raw, got)
		}
		if got, err := address.ParseExisting(raw); err != nil || got != raw {
			t.Errorf("ParseExisting(%q) = %q, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"a=b@example.com", "a?b@example.com", "a?=b@example.com"} {
		if _, err := address.Parse(raw); err != nil {
			t.Errorf("Parse(%q): %v", raw, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"ada@example.com", "Ada@bücher.example", `"a"@b.c`, "a@b.xn--p1ai", "@", "a%b@c.de", "=?a?=@b.cd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := address.Parse(raw)
		if err != nil {
			return
		}
		twice, err := address.Parse(once)
		if err != nil || twice != once {
			t.Fatalf("%q became %q, and that %q, %v", raw, once, twice, err)
		}
		for _, r := range once {
			if r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' {
				t.Fatalf("%q became %q", raw, once)
			}
		}
		if local, _, _ := strings.Cut(once, "@"); strings.ContainsAny(local, "%!") || strings.Contains(local, "=?") {
			t.Fatalf("%q became %q, which a relay may forward to another host", raw, once)
		}
		if len(once) > 254 || strings.Count(once, "@") != 1 {
			t.Fatalf("%q became %q", raw, once)
		}
	})
}
