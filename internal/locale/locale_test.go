package locale_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/locale"
)

func TestParseReturnsTheCanonicalForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"pt_br": "pt-BR", "DE": "de", "zh-hant-tw": "zh-Hant-TW", "und": "", "": "", "english": "", "x": "",
		"de AT":                          "",
		strings.Repeat("de-", 20) + "at": "",
	} {
		if got, ok := locale.Parse(text); got != want || ok != (want != "") {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func FuzzFirstIsStoredAsItIs(f *testing.F) {
	f.Add("de-AT,de;q=0.9")
	f.Add("*;q=0.1, \x00")
	f.Fuzz(func(t *testing.T, header string) {
		first := locale.First(header)
		if again, ok := locale.Parse(first); first != "" && (!ok || again != first) {
			t.Errorf("%q gives %q, which is parsed as %q", header, first, again)
		}
	})
}
