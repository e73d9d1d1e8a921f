package users_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/dialect/users"
)

func TestNamesSurviveJoiningAndSplitting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ first, last, joined string }{
		{"Ada", "Lovelace", "Ada Lovelace"},
		{"Ada Maria", "de la Cruz", "Ada Maria de\u00a0la\u00a0Cruz"},
		{"Jean-Luc", "O'Neill", "Jean-Luc O'Neill"},
		{"Cher", "", "Cher"},
		{"", "", ""},
	} {
		if joined := users.JoinName(c.first, c.last); joined != c.joined {
			t.Errorf("%q and %q: %q, want %q", c.first, c.last, joined, c.joined)
		}
		if first, last := users.SplitName(c.joined); first != c.first || last != c.last {
			t.Errorf("%q: %q and %q, want %q and %q", c.joined, first, last, c.first, c.last)
		}
	}
	if first, last := users.SplitName("Jan van der Berg"); first != "Jan van der" || last != "Berg" {
		t.Errorf("a name from another API: %q and %q", first, last)
	}
}

func FuzzNamesSurviveJoiningAndSplitting(f *testing.F) {
	f.Add("Ada Maria", "de la Cruz")
	f.Fuzz(func(t *testing.T, first, last string) {
		if strings.Join(strings.Fields(first), " ") != first || strings.Join(strings.Fields(last), " ") != last ||
			last == "" || first == "" {
			t.Skip("the dialect normalizes these names before it joins them")
		}
		if f, l := users.SplitName(users.JoinName(first, last)); f != first || l != last {
			t.Errorf("%q and %q came back as %q and %q", first, last, f, l)
		}
	})
}
