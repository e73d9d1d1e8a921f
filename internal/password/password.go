// Package password decides whether a password may be chosen, and brings every
// spelling of it to one form.
//
// It knows lengths, Unicode, and which passwords attackers try first. It does
// not hash (internal/passhash), asks nobody, and keeps nothing.
package password

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var (
	// ErrTooLong says that a password is longer than 1,024 bytes, as given or
	// normalised. None that Check accepts is.
	ErrTooLong = errors.New("password is longer than 1024 bytes")

	// ErrInvalid says that a password is not UTF-8 or holds a NUL.
	ErrInvalid = errors.New("password is not UTF-8 without NUL")
)

const (
	maxBytes  = 1024
	maxPoints = 256
)

// Normalize returns the form of a password that is hashed: Unicode NFKC (UAX
// #15), so that an é is the same from every keyboard. Nothing is trimmed, folded
// or cut off. The size is looked at first: normalising is work, and one
// character may become eighteen.
func Normalize(raw string) (string, error) {
	if len(raw) > maxBytes {
		return "", ErrTooLong
	}
	if !utf8.ValidString(raw) || strings.ContainsRune(raw, 0) {
		return "", ErrInvalid
	}
	normal := norm.NFKC.String(raw)
	if len(normal) > maxBytes {
		return "", ErrTooLong
	}
	return normal, nil
}

// A Problem is why a password may not be chosen; "" is none.
type Problem string

const (
	TooShort Problem = "too_short" // fewer code points than asked for
	TooLong  Problem = "too_long"  // more than 256 code points
	Common   Problem = "common"    // known to be used, or made of words like login and this product's name
	Personal Problem = "personal"  // made of the owner's address or name
)

// Check looks at a normalised password. min is in code points; personal are the
// e-mail address and the names of whom it will belong to, in any spelling. There
// are no rules on which kinds of characters it holds (NIST SP 800-63B-4, section
// 3.1.1.2).
func Check(normal string, min int, personal ...string) Problem {
	points := utf8.RuneCountInString(normal)
	if points < min {
		return TooShort
	}
	if points > maxPoints {
		return TooLong
	}
	folded := fold(normal)
	service := serviceWords()
	switch {
	case isCommon(folded), madeOf(folded, service):
		return Common
	case madeOf(folded, append(service, words(personal)...)):
		return Personal
	}
	return ""
}

// fold removes the differences that an attacker tries anyway.
func fold(s string) string { return strings.ToLower(norm.NFKC.String(s)) }
