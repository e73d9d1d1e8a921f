// Package address decides which email addresses are valid, and whether two addresses are equal. It accepts fewer
// addresses than RFC 5321. Every mail server can send to an accepted address, and each address has one canonical
// form.
package address

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ErrInvalid means that the text is not an accepted email address.
var ErrInvalid = errors.New("not an e-mail address")

const (
	maxAddress = 254 // RFC 5321, section 4.5.3.1.3, as corrected by erratum 1690
	maxLocal   = 64
	maxRaw     = 1024 // before the conversion to punycode, which can shorten a domain
)

// Parse returns the canonical form: lower case, ASCII, an international domain as punycode. It removes surrounding
// white space. The address has at most 254 bytes. The local part is a dot-atom (RFC 5322 section 3.2.3) of at most 64
// bytes. The domain has at least two labels of letters, digits and hyphens. Quoted parts, comments, literals and a
// trailing dot are rejected.
//
// Parse also rejects routing characters in the local part: `%`, `!` and `=?`. With `%` or `!`, a sender can make a
// relay forward the mail to another host. `=?` begins an encoded word (RFC 2047, section 2).
func Parse(raw string) (string, error) {
	canonical, err := ParseExisting(raw)
	if err != nil {
		return "", err
	}
	local, _, _ := strings.Cut(canonical, "@")
	if strings.ContainsAny(local, "%!") || strings.Contains(local, "=?") {
		return "", ErrInvalid
	}
	return canonical, nil
}

// ParseExisting is like Parse, but accepts routing characters. It is for looking up accounts: an account that was
// created before Parse rejected these characters can have such an address.
func ParseExisting(raw string) (string, error) {
	if len(raw) > maxRaw || !utf8.ValidString(raw) {
		return "", ErrInvalid
	}
	local, domain, found := strings.Cut(strings.Trim(raw, " \t\r\n"), "@")
	if !found || !isDotAtom(local) {
		return "", ErrInvalid
	}
	ascii, err := canonicalDomain(domain)
	if err != nil {
		return "", err
	}
	canonical := strings.ToLower(local) + "@" + ascii
	if len(canonical) > maxAddress {
		return "", ErrInvalid
	}
	return canonical, nil
}

// Prefix returns the canonical form of the beginning of an address, for a search among canonical addresses. The
// beginning may end in the middle of an ASCII label. Prefix treats a last label that is not ASCII as complete,
// because the punycode of a part of a label does not begin the punycode of the whole label. Prefix reports false if
// no address begins with the text.
func Prefix(raw string) (string, bool) {
	local, domain, _ := strings.Cut(raw, "@")
	if len(raw) > maxRaw || !utf8.ValidString(raw) || !isASCII(local) {
		return "", false
	}
	if isASCII(domain) {
		return strings.ToLower(raw), true
	}
	complete, last := domain, ""
	if dot := strings.LastIndex(domain, "."); isASCII(domain[dot+1:]) {
		complete, last = domain[:dot+1], domain[dot+1:]
	}
	ascii, err := lookup.ToASCII(complete)
	return strings.ToLower(local) + "@" + ascii + strings.ToLower(last), err == nil
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

func isDotAtom(local string) bool {
	if len(local) == 0 || len(local) > maxLocal {
		return false
	}
	previous := byte('.')
	for i := range len(local) {
		c := local[i]
		switch {
		case c == '.':
			if previous == '.' {
				return false
			}
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0:
		default:
			return false
		}
		previous = c
	}
	return previous != '.'
}

// lookup converts domains by IDNA 2008 as browsers do (UTS #46).
var lookup = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true),
	idna.VerifyDNSLength(true), idna.Transitional(false),
)

// canonicalDomain returns a domain as ASCII, or ErrInvalid if it can't be the domain of an
// email address.
func canonicalDomain(domain string) (string, error) {
	ascii, err := lookup.ToASCII(domain)
	if err != nil || strings.HasSuffix(ascii, ".") {
		return "", ErrInvalid
	}
	labels := strings.Split(ascii, ".")
	if len(labels) < 2 || !hasLetter(labels[len(labels)-1]) {
		return "", ErrInvalid
	}
	for _, label := range labels {
		if !isLDH(label) {
			return "", ErrInvalid
		}
	}
	return ascii, nil
}

func isLDH(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func hasLetter(label string) bool {
	return strings.ContainsFunc(label, func(r rune) bool { return 'a' <= r && r <= 'z' })
}
