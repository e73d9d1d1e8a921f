package amr_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/amr"
)

func TestLevelNeedsTwoKindsOfProof(t *testing.T) {
	t.Parallel()
	for methods, want := range map[string]string{
		"": "aal1", "pwd": "aal1", "pwd,pwd": "aal1", "otp": "aal1", "otp,recovery": "aal1", "otp,hwk": "aal1",
		"pwd,pin": "aal1",
		"pwd,otp": "aal2 mfa", "otp,pwd": "aal2 mfa", "pwd,recovery": "aal2 mfa", "pwd,swk": "aal2 mfa",
		"ext,hwk": "aal2 mfa",
		"mfa":     "aal2", "pwd,otp,mfa": "aal2",
	} {
		given := slices.DeleteFunc(strings.Split(methods, ","), func(m string) bool { return m == "" })
		got := amr.Complete(given)
		level, added, _ := strings.Cut(want, " ")
		if added != "" {
			given = append(given, added)
		}
		if amr.Level(got) != level || !slices.Equal(got, slices.Compact(given)) {
			t.Errorf("%q: got %q, %s, want %s", methods, got, amr.Level(got), want)
		}
	}
	if got := amr.First([]string{"pwd", "otp", "recovery", "mfa", "ext"}); !slices.Equal(got, []string{"pwd", "ext"}) {
		t.Errorf("got %q", got)
	}
}

func TestLevelReachesTheLowerOnes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		level    string
		accepted []string
		want     bool
	}{
		{"aal1", []string{"aal1"}, true},
		{"aal2", []string{"aal1"}, true},
		{"phr", []string{"aal1"}, true},
		{"phr", []string{"aal2"}, true},
		{"phr", []string{"phr"}, true},
		{"aal1", []string{"aal2"}, false},
		{"aal2", []string{"phr"}, false},
		{"aal1", []string{"phr", "aal2"}, false},
		{"aal2", []string{"phr", "aal2"}, true},
		{"phr", nil, false},
		{"phr", []string{""}, false},
		{"phr", []string{"PHR", "aal2 ", "gold"}, false},
		{"", []string{"aal1"}, false},
		{"gold", []string{"aal1"}, false},
		{"gold", []string{"gold"}, true},
	} {
		if got := amr.Reaches(c.level, c.accepted...); got != c.want {
			t.Errorf("%q for %q: %t", c.level, c.accepted, got)
		}
	}
}
