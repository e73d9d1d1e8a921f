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
