package userfile

import (
	"slices"
	"strings"
)

// This file describes systems whose files need rules of their own. For example, 1 in the column status of Drupal
// means enabled, and 0 in the column user_status of WordPress means enabled.

// A system is a program whose files are recognized by their columns.
type system struct {
	name     string
	marks    []string         // lists of columns, with commas; a file of the system has all columns of one list
	disabled []string         // rules for columns that say who is disabled, for parseRules
	ignore   []string         // columns that do not say who is disabled, although their names suggest it
	names    map[Field]string // columns to read instead of the well-known ones
}

var systems = [...]system{
	{name: "wordpress", marks: []string{"user_pass,user_login"}, disabled: []string{"!user_status=0,", "spam", "deleted"},
		names: map[Field]string{Name: "display_name"}},
	{name: "aspnet", marks: []string{"SecurityStamp", "LockoutEnd,PasswordHash"}, ignore: []string{"LockoutEnabled"}},
	{name: "auth0", marks: []string{"custom_password_hash", "email_verified,user_id,tenant"}},
	{name: "better-auth", marks: []string{"banExpires", "ban_expires,emailVerified"}},
	{name: "casdoor", marks: []string{"isForbidden", "passwordType,signupApplication"},
		names: map[Field]string{Name: "displayName", CreatedAt: "createdTime"}},
	{name: "clerk", marks: []string{"primary_email_address", "primary_email_address_id"},
		ignore: []string{"delete_self_enabled", "create_organization_enabled", "lockout_expires_in_seconds"}},
	{name: "cognito", marks: []string{"UserStatus,UserCreateDate", "UserStatus,Attributes", "cognito:username"}},
	{name: "devise", marks: []string{"encrypted_password,reset_password_token"}},
	{name: "discourse", marks: []string{"trust_level,suspended_till"},
		ignore: []string{"approved", "approved_at", "approved_by_id", "silenced_till"}},
	{name: "django", marks: []string{"is_staff,is_superuser"}},
	{name: "drupal", marks: []string{"pass,mail,uid"}, disabled: []string{"status=0"}},
	{name: "firebase", marks: []string{"localId,providerUserInfo"}},
	{name: "fusionauth", marks: []string{"encryptionScheme"}, ignore: []string{"usernameStatus"}},
	{name: "joomla", marks: []string{"block,registerDate"}},
	{name: "keycloak", marks: []string{"credentials,requiredActions", "realmRoles"}},
	{name: "kratos", marks: []string{"traits"}},
	{name: "logto", marks: []string{"password_encrypted", "passwordEncryptionMethod"}},
	{name: "meteor", marks: []string{"services,emails", "services.password.bcrypt"}},
	{name: "okta", marks: []string{"profile,credentials", "profile,status"}, ignore: []string{"activated"}},
	{name: "phpbb", marks: []string{"user_regdate,user_type"}, disabled: []string{"user_type=1"},
		ignore: []string{"user_inactive_reason", "user_inactive_time"}},
	{name: "pocketbase", marks: []string{"tokenKey", "emailVisibility"}},
	{name: "supabase", marks: []string{"encrypted_password,raw_app_meta_data", "encrypted_password,raw_user_meta_data",
		"encrypted_password,instance_id"},
		ignore: []string{"email_change_confirm_status"}, names: map[Field]string{Roles: "-"}},
}

// Systems lists the names for Options.From.
func Systems() (names []string) {
	for _, s := range systems {
		names = append(names, s.name)
	}
	return names
}

// KnowsSystem reports whether Options.From accepts a name. Case, spaces and punctuation are
// ignored: ASP.NET is aspnet.
func KnowsSystem(name string) bool { return systemCalled(name) != nil }

func plainSystem(name string) string {
	plain := strings.ReplaceAll(folded(name), ".", "")
	for _, short := range []struct{ long, name string }{{"orykratos", "kratos"}, {"aspnetidentity", "aspnet"},
		{"aspnetcoreidentity", "aspnet"}, {"rails", "devise"}} {
		if plain == short.long {
			return short.name
		}
	}
	return plain
}

func systemCalled(name string) *system {
	i := slices.IndexFunc(systems[:], func(s system) bool { return plainSystem(s.name) == plainSystem(name) })
	if i < 0 {
		return nil
	}
	return &systems[i]
}

// recogniseSystem finds the system that has these columns, or nil.
func recogniseSystem(values map[string]any) *system {
	plain := make(map[string]bool, len(values))
	for name := range values {
		plain[folded(name)] = true
	}
	for i := range systems {
		if slices.ContainsFunc(systems[i].marks, func(list string) bool {
			return !slices.ContainsFunc(strings.Split(list, ","), func(name string) bool { return !plain[folded(name)] })
		}) {
			return &systems[i]
		}
	}
	return nil
}

// rules returns the rules of the system for the columns of an account.
func (s *system) rules(values map[string]any) (rules []rule) {
	if s == nil {
		return nil
	}
	for _, text := range s.disabled {
		for _, r := range parseRules(text) {
			for name := range values {
				if folded(name) == folded(r.column) {
					r.column = name
					rules = append(rules, r)
				}
			}
		}
	}
	return rules
}

func (s *system) ignores(name string) bool {
	return s != nil && slices.ContainsFunc(s.ignore, func(each string) bool { return folded(each) == folded(name) })
}
