package watchword

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/claimset"
	"github.com/watchword-auth/watchword/internal/metadata"
)

// The claims of an access token, and their size. Proxies and browsers reject tokens that
// are too long. Therefore the size of each part is checked early: constants and URLs of
// the server at the start, roles and names by the flows that set them.

// Claims are the optional claims of an access token.
type Claims struct {
	Email  bool              // `email` and `email_verified`
	Name   bool              // `name`
	Static map[string]string // constant claims of every token; see Options.CheckTokens

	// Computed are claims with data of the user or the session. The key is the name of the claim, so a service can
	// read the names of another system: {"_id": "@id"}. The data are read at each sign-in and refresh. The values:
	//
	//   - "@id": the user's id, as in `sub`
	//   - "@role": admin if the user has this role, else the first role, else `user`
	//   - "@roles": all roles, as in `roles`
	//   - "@email": the address; absent while it is unproven
	//   - "@name": chosen by the user, not unique: do not identify callers by it
	//   - "@sid": the session's id, as in `sid`
	//   - "@public.plan": the value of "plan" in User.Metadata; "@public.a.b" is a nested value
	Computed map[string]string
}

const claimEmail = "@email"

// optionalClaims omits a computed claim with an unproven address, because services would take it for proven.
func (c Claims) optionalClaims(u User, s Session) map[string]any {
	if !c.Email && !c.Name && len(c.Static) == 0 && len(c.Computed) == 0 {
		return nil
	}
	values := map[string]any{
		"@id": u.ID, "@role": claimset.MainRole(u.Roles), "@roles": append([]string{}, u.Roles...), // not null
		claimEmail: u.Email, "@name": u.Name, "@sid": s.ID,
	}
	extra := make(map[string]any, len(c.Static)+len(c.Computed)+3)
	for name, value := range c.Static {
		extra[name] = value
	}
	for name, value := range c.Computed {
		if path, isPublic := strings.CutPrefix(value, claimset.Public); isPublic {
			if found, ok := metadata.Value(u.Metadata, path); ok {
				extra[name] = found
			}
		} else if value != claimEmail || u.Verified() {
			extra[name] = values[value]
		}
	}
	if c.Email {
		extra["email"], extra["email_verified"] = string(u.Email), u.Verified()
	}
	if c.Name {
		extra["name"] = u.Name
	}
	return extra
}

const (
	maxAddress   = 254 // the limit of internal/address
	minRolesRoom = 8   // every token has room for this many roles of maximum length
)

// tokenClaims returns the claims of an access token, without the times of issue and expiry.
func (o Options) tokenClaims(u User, s Session) accesstoken.Claims {
	return accesstoken.Claims{
		Issuer:    o.Issuer,
		Audience:  []string{o.Audience},
		Subject:   string(u.ID),
		SessionID: string(s.ID),
		ID:        newID(),
		Roles:     u.Roles,
		AMR:       amr.Claim(s.Methods),
		ACR:       amr.Level(s.Methods),
		Extra:     o.Claims.optionalClaims(u, s),
	}
}

// tokenSize returns the length, in bytes, of an access token with these roles and this public metadata. Users can
// change their own name and address, so all other parts have their maximum length.
func (o Options) tokenSize(roles []string, public string) (int, error) {
	user := User{
		ID:    UserID(newID()),
		Email: Address(strings.Repeat("x", maxAddress)),
		Name:  strings.Repeat("\U0001F9A6", maxName), // four bytes each, the maximum of UTF-8
		Roles: roles, Metadata: public,
	}
	if slices.Contains(slices.Collect(maps.Values(o.Claims.Computed)), claimEmail) {
		user.VerifiedAt = time.Unix(1, 0) // without this time, the token would omit the email claim
	}
	const latest = 9_999_999_999 // the largest time with ten digits
	methods := strings.Fields("pwd device otp recovery hwk swk mfa")
	claims := o.tokenClaims(user, Session{ID: SessionID(newID()), Methods: methods})
	claims.IssuedAt, claims.NotBefore, claims.Expires, claims.AuthTime = latest, latest, latest, latest
	return accesstoken.Size(o.SigningAlg, claims)
}

// checkToken refuses a change that makes an access token too long. It accepts a change that makes the token shorter,
// because an earlier release or other Options.Claims may have allowed a token that is too long now.
func (o Options) checkToken(before, after User) error {
	size, err := o.tokenSize(after.Roles, after.Metadata)
	if err != nil || size <= accesstoken.MaxSize {
		return err
	}
	if had, err := o.tokenSize(before.Roles, before.Metadata); err != nil || size <= had {
		return err
	}
	field := "roles"
	if after.Metadata != before.Metadata {
		field = "public"
	}
	return unacceptable(FieldError{field, FieldTooLong, fmt.Sprintf("An access token could have %d bytes with these "+
		"values, %d are allowed. Use fewer or shorter roles, or shorten the metadata that is in claims.",
		size, accesstoken.MaxSize)})
}

// CheckTokens returns an error if these options can't create access tokens for all users. New refuses such options.
// The algorithm must be known, and the lifetime must be 1 s to 1 h. The issuer must be valid, and may differ from the
// public URL only with HS256. A claim must not have a reserved name (in any letter case), a constant that looks
// computed, or an unknown computed value. Claims, audience, issuer and URL must not be too long.
//
// Unstable: for the program watchword.
func (o Options) CheckTokens() error {
	o = o.withDefaults()
	known := []string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256, accesstoken.HS256}
	if !slices.Contains(known, o.SigningAlg) {
		return fmt.Errorf("signing algorithm %q is not known: write ES256, Ed25519, RS256 or HS256", o.SigningAlg)
	}
	if err := accesstoken.CheckIssuer(o.Issuer, o.PublicURL, o.SigningAlg); err != nil {
		return err
	}
	if err := claimset.Check(o.Claims.Static, o.Claims.Computed); err != nil {
		return err
	}
	if o.AccessTTL < time.Second || o.AccessTTL > maxAccessTTL {
		return fmt.Errorf("access tokens can't be valid for %s: write 1 s to %s", o.AccessTTL, maxAccessTTL)
	}
	if !utf8.ValidString(o.PublicURL) || !utf8.ValidString(o.Audience) {
		return errors.New("the public URL and the audience must be UTF-8")
	}
	size, err := o.tokenSize(slices.Repeat([]string{strings.Repeat("x", claimset.MaxRoleName)}, minRolesRoom), "")
	if err != nil {
		return err
	}
	if size > accesstoken.MaxSize {
		return fmt.Errorf("an access token could have %d bytes, the limit is %d: "+
			"write shorter claims, or a shorter audience or public URL", size, accesstoken.MaxSize)
	}
	return nil
}

// parseRoles sorts roles and drops duplicates. It refuses invalid names, more than
// maxRoles, and roles that make an access token without metadata too long.
func (o Options) parseRoles(raw []string) ([]string, *FieldError) {
	roles, length, tooMany, problem := claimset.Roles(raw)
	switch {
	case tooMany:
		return nil, &FieldError{"roles", FieldTooLong, problem}
	case problem != "":
		return nil, &FieldError{"roles", FieldInvalid, problem}
	case length <= minRolesRoom*claimset.MaxRoleName: // CheckTokens guarantees room for roles of this length
		return roles, nil
	}
	if size, err := o.tokenSize(roles, ""); err != nil || size > accesstoken.MaxSize {
		return nil, &FieldError{"roles", FieldTooLong,
			"These roles make access tokens too long. Use fewer roles, or shorter names."}
	}
	return roles, nil
}
