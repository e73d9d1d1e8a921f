package password

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// minWordBytes excludes initials.
	minWordBytes = 3

	// maxFiller is the maximum number of digits and symbols around the words. It covers
	// a date of birth. A name with a longer random number is accepted.
	maxFiller = 8
)

// serviceWords returns words that people use in passwords of any service, and the name
// of this product.
func serviceWords() []string {
	return []string{"watchword", "password", "passwort", "passphrase", "secret", "login", "logon", "signin", "signup",
		"register", "account", "welcome", "admin", "administrator", "user", "guest", "test"}
}

// splitWords returns the whole texts, both sides of the @, and every run of letters. It returns each word with and
// without apostrophes (O'Hara, OHara).
func splitWords(personal []string) []string {
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
		s = foldCaseAndWidth(s)
		for _, s := range []string{s, strings.Map(drop, s)} {
			all = append(all, s)
			all = append(all, strings.Split(s, "@")...)
			all = append(all, strings.FieldsFunc(s, separates)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// consistsOfWords reports whether s consists of at least one of the words and at most maxFiller other characters.
// These other characters must not be letters. Words may repeat in any order.
func consistsOfWords(s string, words []string) bool {
	const impossible = maxFiller + 1
	filler := make([]int, len(s)+1) // minimum number of filler characters in s[:i]
	for i := range filler[1:] {
		filler[i+1] = impossible
	}
	for i, r := range s {
		for _, w := range words {
			if end := i + len(w); len(w) >= minWordBytes && strings.HasPrefix(s[i:], w) {
				filler[end] = min(filler[end], filler[i])
			}
		}
		if !unicode.IsLetter(r) {
			end := i + utf8.RuneLen(r)
			filler[end] = min(filler[end], filler[i]+1)
		}
	}
	return filler[len(s)] < min(impossible, utf8.RuneCountInString(s))
}
