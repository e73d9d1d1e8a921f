package federation

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/amr"
)

// A Kind is a kind of provider. It determines which addresses count as proven.
type Kind string

const (
	KindGoogle    Kind = "google"
	KindGitHub    Kind = "github"
	KindMicrosoft Kind = "microsoft"
	KindApple     Kind = "apple"
	KindOIDC      Kind = "oidc" // any OpenID provider
)

// Claims are the data of a provider about a user. Package federation/providers has checked all signatures.
type Claims struct {
	Issuer  string
	Subject string // case-sensitive, never trimmed

	Email         string
	EmailVerified bool   // false if the claim is missing or is not true
	HostedDomain  string // claim hd of Google
	DomainOwned   bool   // claim xms_edov of Microsoft: the tenant owns the domain of the address

	Name    string
	Locale  string
	Methods []string // amr
	Class   string   // acr
}

// vouchesForAddress decides whether the provider guarantees that the user owns the address. Anyone can create an
// identity with an address that the provider does not guarantee, so such an address opens no account.
func vouchesForAddress(p Info, c Claims) bool {
	if _, err := address.Parse(c.Email); err != nil {
		return false
	}
	switch p.Kind {
	case KindGoogle:
		// Google guarantees Gmail addresses, and domains of its customers. It verified other addresses only once, so
		// they can belong to another person now.
		_, domain, _ := strings.Cut(strings.ToLower(c.Email), "@")
		return c.EmailVerified && (c.HostedDomain != "" || domain == "gmail.com" || domain == "googlemail.com")
	case KindMicrosoft:
		// Only a tenant that owns the domain vouches for the address: the administrator of any tenant can write any
		// address into the claim email.
		return c.DomainOwned
	case KindApple, KindGitHub:
		return c.EmailVerified
	case KindOIDC:
		return c.EmailVerified && p.TrustEmail
	}
	return false
}

// proofExternal is the amr value of a sign-in with any provider.
const proofExternal = "ext"

// mfaClasses are the values of acr that mean several factors at every provider: the REFEDS MFA profile, and the policy
// of OpenID PAPE 1.0. The meaning of other values depends on the provider.
var mfaClasses = []string{
	"https://refeds.org/profile/mfa", "http://schemas.openid.net/pape/policies/2007/06/multi-factor"}

// provenMethods returns the amr values that the sign-in at the provider has proven. It reads the claims amr and acr
// only if the operator trusts the provider, because a provider can claim any value.
func provenMethods(p Info, c Claims) []string {
	if p.Kind == KindOIDC && p.TrustMFA && (slices.Contains(c.Methods, amr.MFA) || slices.Contains(mfaClasses, c.Class)) {
		return []string{proofExternal, amr.MFA}
	}
	return []string{proofExternal}
}

const (
	maxSubject = 255 // characters (OpenID Connect Core, section 2)
	maxName    = 200 // code points, as in a sign-up
)

// isSubject reports whether a text can be stored. Subjects are compared exactly, so a subject is never trimmed.
func isSubject(subject string) bool {
	return subject != "" && len(subject) <= maxSubject && utf8.ValidString(subject) &&
		!strings.ContainsFunc(subject, unicode.IsControl)
}

// accountFromClaims returns the account that a sign-up with the claims creates. It omits a name or a locale that a
// sign-up would refuse. It reports false for an address that a sign-up would refuse.
func (m *Manager) accountFromClaims(c Claims) (u watchword.User, ok bool) {
	wanted := watchword.NewUser{Email: c.Email, Name: c.Name, Locale: c.Locale}
	u, problems := m.engine.ParseUser(wanted, m.engine.Now())
	for _, problem := range problems {
		switch problem.Field {
		case "name":
			wanted.Name = ""
		case "locale":
			wanted.Locale = ""
		default:
			return watchword.User{}, false
		}
	}
	if len(problems) > 0 {
		u, _ = m.engine.ParseUser(wanted, m.engine.Now())
	}
	return u, true
}
