package watchword

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

// The claims of an access token, and their size. Proxies and browsers reject tokens that
// are too long. Therefore the size of each part is checked early: constants and URLs of
// the server at the start, roles and names by the flows that set them.

// Claims are the optional claims of an access token.
type Claims struct {
	Email  bool              // `email` and `email_verified`
	Name   bool              // `name`
	Static map[string]string // constant claims of every token; see Options.CheckTokens
}

// of returns the optional claims for a user.
func (c Claims) of(u User) map[string]any {
	if !c.Email && !c.Name && len(c.Static) == 0 {
		return nil
	}
	extra := make(map[string]any, len(c.Static)+3)
	for name, value := range c.Static {
		extra[name] = value
	}
	if c.Email {
		extra["email"], extra["email_verified"] = string(u.Email), u.Verified()
	}
	if c.Name {
		extra["name"] = u.Name
	}
	return extra
}

// computed are values that constants can't have. A later release will compute them from
// the user, written with a leading @.
var computed = []string{"id", "role", "roles", "email", "name", "sid"}

// check refuses constants with the name of a standard claim, and values that look
// computed.
func (c Claims) check() error {
	var names []string
	for name, value := range c.Static {
		if slices.ContainsFunc(names, func(other string) bool { return strings.EqualFold(name, other) }) {
			return fmt.Errorf("claim %q appears twice with different case: write each claim once", name)
		}
		names = append(names, name)
		if strings.HasPrefix(value, "@") || slices.Contains(computed, value) {
			return fmt.Errorf(
				"the constant of claim %q begins with @ or is one of %s: such a value stands for data of the user, choose another",
				name,
				strings.Join(computed, ", "),
			)
		}
	}
	return accesstoken.CheckExtra(names)
}

var roleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._:-]{0,63}$`)

const (
	maxAddress   = 254 // internal/address
	maxRoles     = 32
	maxRoleName  = 64
	minRolesRoom = 8 // roles of maximum length that fit into a token with every valid configuration
)

// claims returns the claims of a user's token for a session, without the times.
func (o Options) claims(u User, s Session) accesstoken.Claims {
	return accesstoken.Claims{
		Issuer:    o.PublicURL,
		Audience:  []string{o.Audience},
		Subject:   string(u.ID),
		SessionID: string(s.ID),
		ID:        newID(),
		Roles:     u.Roles,
		AMR:       s.Methods,
		ACR:       "aal1",
		Extra:     o.Claims.of(u),
	}
}

// tokenSize returns the length, in bytes, of an access token with these roles if all
// other parts have their maximum length.
func (o Options) tokenSize(roles []string) (int, error) {
	const latest = 9_999_999_999 // the largest time with ten digits
	user := User{
		ID:    UserID(newID()),
		Email: Address(strings.Repeat("x", maxAddress)),
		Name:  strings.Repeat("\U0001F9A6", maxName), // four bytes each, the maximum of UTF-8
		Roles: roles,
	}
	claims := o.claims(user, Session{ID: SessionID(newID()), Methods: []string{"pwd", "otp", "hwk", "mfa"}})
	claims.IssuedAt, claims.NotBefore, claims.Expires, claims.AuthTime = latest, latest, latest, latest
	return accesstoken.Size(o.SigningAlg, claims)
}

// CheckTokens returns an error if these options can't create access tokens for all users.
// Reasons: an unknown algorithm; a constant with a reserved name (in any case) or a value
// that looks computed; constants, audience or URL too long; a lifetime below 1 s or above
// 1 h. New refuses such options.
//
// Unstable: for the program watchword.
func (o Options) CheckTokens() error {
	o = o.withDefaults()
	if !slices.Contains(
		[]string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256, accesstoken.HS256},
		o.SigningAlg,
	) {
		return fmt.Errorf("signing algorithm %q is not known: write ES256, Ed25519, RS256 or HS256", o.SigningAlg)
	}
	if err := o.Claims.check(); err != nil {
		return err
	}
	if o.AccessTTL < time.Second || o.AccessTTL > maxAccessTTL {
		return fmt.Errorf("access tokens can't be valid for %s: write 1 s to %s", o.AccessTTL, maxAccessTTL)
	}
	if !utf8.ValidString(o.PublicURL) || !utf8.ValidString(o.Audience) {
		return errors.New("the public URL and the audience must be UTF-8")
	}
	size, err := o.tokenSize(slices.Repeat([]string{strings.Repeat("x", maxRoleName)}, minRolesRoom))
	if err != nil {
		return err
	}
	if size > accesstoken.MaxSize {
		return fmt.Errorf(
			"an access token could have %d bytes, the limit is %d: write shorter claims, or a shorter audience or public URL",
			size,
			accesstoken.MaxSize,
		)
	}
	return nil
}

// parseRoles sorts roles and drops duplicates. It refuses invalid names, more than
// maxRoles, and roles that make an access token too long.
func (o Options) parseRoles(raw []string) ([]string, *FieldError) {
	roles := slices.Compact(slices.Sorted(slices.Values(raw)))
	if len(roles) > maxRoles {
		return nil, &FieldError{"roles", FieldTooLong, "A user can have at most 32 roles."}
	}
	length := 0
	for _, role := range roles {
		length += len(role) + len(`"",`)
		if !roleName.MatchString(role) {
			return nil, &FieldError{"roles", FieldInvalid,
				"A role has up to 64 lower-case letters, digits and . _ : - and begins with a letter or digit."}
		}
	}
	if length <= minRolesRoom*maxRoleName { // CheckTokens found room for that
		return roles, nil
	}
	if size, err := o.tokenSize(roles); err != nil || size > accesstoken.MaxSize {
		return nil, &FieldError{"roles", FieldTooLong,
			"These roles make access tokens too long. Use fewer roles, or shorter names."}
	}
	return roles, nil
}
