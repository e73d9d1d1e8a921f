package storable_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/storable"
)

func TestStorableTextIsValidAndBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                     "",
		"plain":                                "plain",
		"exactly":                              "exactly",
		"too long":                             "too lon",
		"seven\xc3\xa9":                        "sevené",
		"sixsix\xc3\xa9":                       "sixsix",
		"a\x00b":                               "ab",
		"a\xffb":                               "ab",
		"\x80\x80\x80":                         "",
		"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac": "€€",
	} {
		if got := storable.Text(text, 7); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLabelIsOnOneLineAndMovesNoText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": true, "Ada’s iPhone 📱": true, "مفتاح": true, "a\u200db": true,
		"a\x00": false, "a\xff": false, "a\nb": false, "a\tb": false, "a\x1bb": false, "a\u009bb": false,
		"a\u2028b": false, "a\u2029b": false, "a\u202eb": false, "a\u200fb": false,
	} {
		if got := storable.Label(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
		if clean := storable.ToLabel(text); !storable.Label(clean) || want && clean != text {
			t.Errorf("%q becomes %q", text, clean)
		}
	}
}
