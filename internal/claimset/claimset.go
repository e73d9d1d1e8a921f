// Package claimset checks the configuration of additional claims, and the roles of accounts.
package claimset

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

// Values lists the values that the settings may give to a computed claim.
const Values = "@id, @role, @roles, @email, @name, @sid, " + Public + "PATH"

// Public is the prefix of a computed value that comes from the user's public metadata. The rest of the value is the
// path of a metadata member.
const Public = "@public."

// isPublicClaim reports whether a value consists of Public and a valid path: at most 256 bytes of UTF-8, without
// empty names.
func isPublicClaim(value string) bool {
	path, ok := strings.CutPrefix(value, Public)
	return ok && !slices.Contains(strings.Split(path, "."), "") && utf8.ValidString(path) && len(path) <= 256
}

// Check returns an error for a reserved name, for an unknown computed value, and for a constant that looks like a
// computed value. An example of such a constant is role=role: it would be the same for every user, and role=@role was
// probably meant.
func Check(static, computed map[string]string) error {
	known := strings.Split(Values, ", ")
	for name, value := range static {
		if form := "@" + strings.TrimPrefix(value, "@"); slices.Contains(known, form) || strings.HasPrefix(form, Public) {
			return fmt.Errorf(
				"the constant of claim %q is %s, the same text for every user: write %s=%s for the data of each user",
				name, value, name, form,
			)
		}
		if strings.HasPrefix(value, "@") {
			return fmt.Errorf("the constant of claim %q begins with @: write another, or one of %s", name, Values)
		}
	}
	for name, value := range computed {
		if !slices.Contains(known[:len(known)-1], value) && !isPublicClaim(value) {
			return fmt.Errorf("claim %q can't be computed from %q: write one of %s", name, value, Values)
		}
	}
	return accesstoken.CheckExtra(slices.AppendSeq(slices.Collect(maps.Keys(static)), maps.Keys(computed)))
}

// MainRole returns one role, for services that support only one: "admin" if the user has it, or else the first role.
// For a user without roles it returns "user".
func MainRole(roles []string) string {
	if slices.Contains(roles, "admin") {
		return "admin"
	}
	return append(roles[:len(roles):len(roles)], "user")[0]
}

var roleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._:-]{0,63}$`)

// MaxRoleName is the maximum length of a role in bytes.
const MaxRoleName = 64

const maxRoles = 32

// Roles returns the roles sorted and without duplicates, and the length that they have in a token, in bytes. It
// refuses more than 32 roles, and then tooMany is true. It also refuses invalid names. If it refuses the roles,
// problem contains the reason.
func Roles(raw []string) (roles []string, length int, tooMany bool, problem string) {
	roles = slices.Compact(slices.Sorted(slices.Values(raw)))
	if len(roles) > maxRoles {
		return nil, 0, true, "A user can have at most 32 roles."
	}
	for _, role := range roles {
		length += len(role) + len(`"",`)
		if !roleName.MatchString(role) {
			return nil, 0, false,
				"A role has up to 64 lower-case letters, digits and . _ : - and begins with a letter or digit."
		}
	}
	return roles, length, false, ""
}
