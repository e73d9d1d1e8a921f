package userimport

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// A Problem is a reason why an account can't be imported. Its texts may contain control characters of the file; the
// caller removes them before it prints.
type Problem struct {
	Field  string // empty: the whole account
	Kind   string // the reason without values of the file, so that Report can count equal reasons
	detail string // Kind with a value of the file; empty: there is no value to show
}

const sameInFile = "duplicate of another account in the file"

// Detail returns the reason, with the value of the file if the value is safe to show. The list of problems shows
// Detail. Counts use Kind, because values would make each problem unique.
func (p Problem) Detail() string { return cmp.Or(p.detail, p.Kind) }

// String returns the field and the detail.
func (p Problem) String() string { return withField(p.Field, p.Detail()) }

func withField(field, text string) string {
	if field == "" {
		return text
	}
	return field + ": " + text
}

// engineProblems converts the engine's field errors into problems for the list. It turns the sentences into phrases,
// and uses the field names of the file.
func engineProblems(fields []watchword.FieldError, u accountimport.Account) (problems []Problem) {
	for _, f := range fields {
		p := Problem{Field: f.Field, Kind: asPhrase(f.Message)}
		if strings.HasSuffix(p.Kind, " out") { // "leave it out" becomes "leave it out with --skip-bad"
			p.Kind += " with --skip-bad"
		}
		switch {
		case f.Field == "verifiedAt":
			p.Field = string(userfile.EmailVerified)
		case f.Field == "disabledAt":
			p.Field = string(userfile.Disabled)
		case f.Field == "email" && f.Code == watchword.FieldRequired:
			p.Kind = "missing"
		case f.Field == "email" && f.Code == watchword.FieldInvalid:
			p.Kind = "not an e-mail address"
			p.detail = p.Kind + shownEmail(u.Email)
		case f.Field == "email" && f.Code == accountimport.FieldTaken: // so the address is valid
			p.detail = shorten(u.Email) + ": " + p.Kind
		case f.Field == "roles":
			p.detail = p.Kind + shownRoles(u.Roles)
		}
		problems = append(problems, p)
	}
	return problems
}

// asPhrase removes the capital letter and the full stop of a sentence. A problem is printed after a place and a
// colon, as in messages of compilers.
func asPhrase(sentence string) string {
	first, size := utf8.DecodeRuneInString(sentence)
	return string(unicode.ToLower(first)) + strings.TrimSuffix(sentence[size:], ".")
}

// If the operator mixed up columns, a value may be a password or a hash. A value is therefore shown only if it looks
// like what its column should hold.

func shownEmail(text string) string {
	if len(text) > 64 || !strings.Contains(text, "@") || strings.Contains(text, "$") {
		return " (not shown: does --email name the right column?)"
	}
	return ": " + text
}

func shownRoles(roles []string) string {
	for _, role := range roles {
		if !isShowable(role) {
			return " (not shown: does --roles name the right column?)"
		}
	}
	return ", unlike: " + shorten(strings.Join(roles, ", "))
}

var (
	plainWord = regexp.MustCompile(`^[\pL\pN ._:/@-]{1,40}$`)
	hexDigits = regexp.MustCompile(`^[0-9A-Fa-f]{32,}$`)
)

// isShowable reports whether a text looks like the name of a role or a column.
func isShowable(text string) bool { return plainWord.MatchString(text) && !hexDigits.MatchString(text) }

// shorten cuts a value of the file to 100 bytes. A cut inside of a character removes that character.
func shorten(text string) string {
	if len(text) > 100 {
		return strings.ToValidUTF8(text[:100], "") + "…"
	}
	return text
}

// unreadHashesError returns an error that says what to do about columns that look like password hashes.
func unreadHashesError(names []string) error {
	return fmt.Errorf("a column looks like password hashes and is not read: %s. Name it with --password-hash COLUMN, "+
		"or leave passwords out with --password-hash=-", strings.Join(names, ", "))
}

// unsettledError returns an error that says what to do about columns whose names suggest a state, such as disabled or
// verified.
func unsettledError(names []string) error {
	return fmt.Errorf("the name of a column suggests a state that the import does not know: %s. "+
		"Name it with --disabled COLUMN (or --verified COLUMN), or exclude it with --ignore %s",
		strings.Join(names, ", "), strings.Join(names, ","))
}
