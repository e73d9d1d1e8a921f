// Package password normalizes passwords and checks whether a user may choose one. It
// checks length, common passwords, and the user's own address and name.
//
// It does no I/O. Package internal/passhash hashes passwords.
package password

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var (
	// ErrTooLong means that a password is longer than 1,024 bytes before or after normalization. Check would refuse
	// it, too, because it allows at most 256 code points, which have at most 1,024 bytes.
	ErrTooLong = errors.New("password is longer than 1024 bytes")

	// ErrInvalid means that a password is not valid UTF-8 or contains NUL.
	ErrInvalid = errors.New("password is not UTF-8 without NUL")
)

const (
	maxBytes  = 1024
	maxPoints = 256
)

// Normalize returns the password in Unicode NFKC (UAX #15), which is the form to hash. Keyboards encode letters such
// as é in different ways, but their normal form is the same. Normalize does not trim, fold or truncate. It checks the
// size first to bound the work, because one character can expand to eighteen. Errors are ErrTooLong and ErrInvalid.
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

// A Problem is the reason why a user may not choose a password; "" means no problem.
type Problem string

const (
	TooShort Problem = "too_short" // fewer code points than the minimum
	TooLong  Problem = "too_long"  // more than 256 code points
	Common   Problem = "common"    // a common password, or only words such as login and the product name
	Personal Problem = "personal"  // only words of the user's address or name, or of the service
)

// Check checks a normalized password. minLength is in code points. The operator chooses the forbiddenWords.
// personalTexts are the user's email address and names. Letter case does not matter. Check does not require particular
// kinds of characters (NIST SP 800-63B-4, section 3.1.1.2).
func Check(normal string, minLength int, forbiddenWords []string, personalTexts ...string) Problem {
	points := utf8.RuneCountInString(normal)
	if points < minLength {
		return TooShort
	}
	if points > maxPoints {
		return TooLong
	}
	folded := foldCaseAndWidth(normal)
	service := append(serviceWords(), splitWords(forbiddenWords)...)
	switch {
	case isCommon(folded), consistsOfWords(folded, service):
		return Common
	case consistsOfWords(folded, append(service, splitWords(personalTexts)...)):
		return Personal
	}
	return ""
}

// foldCaseAndWidth removes differences in case and width, because attackers try such variants.
func foldCaseAndWidth(s string) string { return strings.ToLower(norm.NFKC.String(s)) }
