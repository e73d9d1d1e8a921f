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

// What an access token says of a user, and how long it may get. A token that is too
// long would be refused by proxies and browsers, or could not be made at all. So the
// parts are bounded when they are written: constants and addresses of the server at
// the start, roles and names by the flows that set them.

// Claims are the optional claims of an access token.
type Claims struct {
	Email  bool              // `email` and `email_verified`
	Name   bool              // `name`
	Static map[string]string // the same in every token; see Options.CheckTokens
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

// computed are the values that a constant can't have: a later release computes them
// of the user, written with an @ before them.
var computed = []string{"id", "role", "roles", "email", "name", "sid"}

// check refuses constants that take the name of a claim with a meaning, and values
// that look like computed ones.
func (c Claims) check() error {
	var names []string
	for name, value := range c.Static {
		if slices.ContainsFunc(names, func(other string) bool { return strings.EqualFold(name, other) }) {
			return fmt.Errorf("claim %q is there twice, in another case: write each claim once", name)
		}
		names = append(names, name)
		if strings.HasPrefix(value, "@") || slices.Contains(computed, value) {
			return fmt.Errorf("the constant of claim %q begins with @ or is one of %s: such a value stands for data of the user, choose another",
				name, strings.Join(computed, ", "))
		}
	}
	return accesstoken.CheckExtra(names)
}

var roleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._:-]{0,63}$`)

const (
	maxAddress   = 254 // internal/address
	maxRoles     = 32
	maxRoleName  = 64
	minRolesRoom = 8 // roles of the longest name that each configuration leaves room for
)

// claims returns what the token of a user on a session says, without its times.
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

// tokenSize is the length of the access token of a user with these roles, if the
// other parts are as long as they can be.
func (o Options) tokenSize(roles []string) (int, error) {
	const latest = 9_999_999_999 // of times with ten digits
	user := User{
		ID:    UserID(newID()),
		Email: Address(strings.Repeat("x", maxAddress)),
		Name:  strings.Repeat("\U0001F9A6", maxName), // no character takes more than its four bytes
		Roles: roles,
	}
	claims := o.claims(user, Session{ID: SessionID(newID()), Methods: []string{"pwd", "otp", "hwk", "mfa"}})
	claims.IssuedAt, claims.NotBefore, claims.Expires, claims.AuthTime = latest, latest, latest, latest
	return accesstoken.Size(o.SigningAlg, claims)
}

// CheckTokens reports what keeps these options from making an access token for every
// user: an unknown algorithm, a claim with a reserved name (in any case) or with a
// value that looks computed, constants and addresses that are too long, a lifetime
// that no verifier accepts. New refuses such options.
func (o Options) CheckTokens() error {
	o = o.withDefaults()
	if !slices.Contains([]string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256, accesstoken.HS256}, o.SigningAlg) {
		return fmt.Errorf("signing algorithm %q is not known: write ES256, Ed25519, RS256 or HS256", o.SigningAlg)
	}
	if err := o.Claims.check(); err != nil {
		return err
	}
	if o.AccessTTL < time.Second || o.AccessTTL > maxAccessTTL {
		return fmt.Errorf("access tokens can't live for %s: write 1 s to %s", o.AccessTTL, maxAccessTTL)
	}
	if !utf8.ValidString(o.PublicURL) || !utf8.ValidString(o.Audience) {
		return errors.New("the public URL and the audience have to be UTF-8")
	}
	size, err := o.tokenSize(slices.Repeat([]string{strings.Repeat("x", maxRoleName)}, minRolesRoom))
	if err != nil {
		return err
	}
	if size > accesstoken.MaxSize {
		return fmt.Errorf("an access token could have %d bytes, of at most %d: write shorter claims, or a shorter audience or public URL",
			size, accesstoken.MaxSize)
	}
	return nil
}

// parseRoles sorts, drops duplicates, and refuses what is not a name, and roles that
// make an access token too long.
func (o Options) parseRoles(raw []string) ([]string, *FieldError) {
	roles := slices.Compact(slices.Sorted(slices.Values(raw)))
	if len(roles) > maxRoles {
		return nil, &FieldError{"roles", FieldTooLong, "A user can have 32 roles."}
	}
	length := 0
	for _, role := range roles {
		length += len(role) + len(`"",`)
		if !roleName.MatchString(role) {
			return nil, &FieldError{"roles", FieldInvalid,
				"A role is up to 64 lower-case letters, digits, and . _ : - and begins with a letter or digit."}
		}
	}
	if length <= minRolesRoom*maxRoleName { // CheckTokens found room for that
		return roles, nil
	}
	if size, err := o.tokenSize(roles); err != nil || size > accesstoken.MaxSize {
		return nil, &FieldError{"roles", FieldTooLong,
			"Together these roles make an access token too long. Use fewer roles, or shorter names."}
	}
	return roles, nil
}
