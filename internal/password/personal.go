package password

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// A word of fewer bytes is no word: an initial makes no password personal.
	minWord = 3

	// maxFiller is how many digits and signs may stand around the words: a date
	// of birth, and no more, so that a long random number is not refused for the
	// name before it.
	maxFiller = 8
)

// serviceWords are what people put into the password of any service, and this
// one's name.
func serviceWords() []string {
	return []string{"watchword", "password", "passwort", "passphrase", "secret", "login", "logon", "signin", "signup",
		"register", "account", "welcome", "admin", "administrator", "user", "guest", "test"}
}

// words takes addresses and names apart: the whole, what stands on each side of
// the @, and every run of letters; all of it with and without the apostrophe of
// an O'Hara.
func words(personal []string) []string {
	const apostrophes = "'\u2018\u2019\u02bc"
	separates := func(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune(apostrophes, r) }
	drop := func(r rune) rune {
		if strings.ContainsRune(apostrophes, r) {
			return -1
		}
		return r
	}
	var all []string
	for _, s := range personal {
		s = fold(s)
		for _, s := range []string{s, strings.Map(drop, s)} {
			all = append(all, s)
			all = append(all, strings.Split(s, "@")...)
			all = append(all, strings.FieldsFunc(s, separates)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// madeOf reports whether s is nothing but words, at least one, in any order and
// as often as you like, with a little filler that holds no letter.
func madeOf(s string, words []string) bool {
	const never = maxFiller + 1
	filler := make([]int, len(s)+1) // the least that s[:i] needs
	for i := range filler[1:] {
		filler[i+1] = never
	}
	for i, r := range s {
		for _, w := range words {
			if end := i + len(w); len(w) >= minWord && strings.HasPrefix(s[i:], w) {
				filler[end] = min(filler[end], filler[i])
			}
		}
		if !unicode.IsLetter(r) {
			end := i + utf8.RuneLen(r)
			filler[end] = min(filler[end], filler[i]+1)
		}
	}
	return filler[len(s)] < min(never, utf8.RuneCountInString(s))
}
