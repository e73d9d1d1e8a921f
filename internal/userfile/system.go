package userfile

import (
	"slices"
	"strings"
)

// This file describes systems whose files need rules of their own. For example, 1 in the column status of Drupal
// means enabled, and 0 in the column user_status of WordPress means enabled.

// A sourceSystem is a program whose files are recognized by their columns.
type sourceSystem struct {
	name           string
	columnLists    []string         // separated by commas; a file of the system has all columns of one list
	disabledRules  []string         // rules for columns that say who is disabled, for parseRules
	ignoredColumns []string         // their names suggest that they say who is disabled, but they do not
	fieldColumns   map[Field]string // to read instead of the well-known ones
}

var systems = [...]sourceSystem{
	{name: "wordpress", columnLists: []string{"user_pass,user_login"},
		disabledRules: []string{"!user_status=0,", "spam", "deleted"},
		fieldColumns:  map[Field]string{Name: "display_name"}},
	{name: "aspnet", columnLists: []string{"SecurityStamp", "LockoutEnd,PasswordHash"},
		ignoredColumns: []string{"LockoutEnabled"}},
	{name: "auth0", columnLists: []string{"custom_password_hash", "email_verified,user_id,tenant"}},
	{name: "better-auth", columnLists: []string{"banExpires", "ban_expires,emailVerified"}},
	{name: "casdoor", columnLists: []string{"isForbidden", "passwordType,signupApplication"},
		fieldColumns: map[Field]string{Name: "displayName", CreatedAt: "createdTime"}},
	{name: "clerk", columnLists: []string{"primary_email_address", "primary_email_address_id"},
		ignoredColumns: []string{"delete_self_enabled", "create_organization_enabled", "lockout_expires_in_seconds"}},
	{name: "cognito", columnLists: []string{"UserStatus,UserCreateDate", "UserStatus,Attributes", "cognito:username"}},
	{name: "devise", columnLists: []string{"encrypted_password,reset_password_token"}},
	{name: "discourse", columnLists: []string{"trust_level,suspended_till"},
		ignoredColumns: []string{"approved", "approved_at", "approved_by_id", "silenced_till"}},
	{name: "django", columnLists: []string{"is_staff,is_superuser"}},
	{name: "drupal", columnLists: []string{"pass,mail,uid"}, disabledRules: []string{"status=0"}},
	{name: "firebase", columnLists: []string{"localId,providerUserInfo"}},
	{name: "fusionauth", columnLists: []string{"encryptionScheme"}, ignoredColumns: []string{"usernameStatus"}},
	{name: "joomla", columnLists: []string{"block,registerDate"}},
	{name: "keycloak", columnLists: []string{"credentials,requiredActions", "realmRoles"}},
	{name: "kratos", columnLists: []string{"traits"}},
	{name: "logto", columnLists: []string{"password_encrypted", "passwordEncryptionMethod"}},
	{name: "meteor", columnLists: []string{"services,emails", "services.password.bcrypt"}},
	{name: "okta", columnLists: []string{"profile,credentials", "profile,status"}, ignoredColumns: []string{"activated"}},
	{name: "phpbb", columnLists: []string{"user_regdate,user_type"}, disabledRules: []string{"user_type=1"},
		ignoredColumns: []string{"user_inactive_reason", "user_inactive_time"}},
	{name: "pocketbase", columnLists: []string{"tokenKey", "emailVisibility"}},
	{name: "supabase",
		columnLists: []string{"encrypted_password,raw_app_meta_data", "encrypted_password,raw_user_meta_data",
			"encrypted_password,instance_id"},
		ignoredColumns: []string{"email_change_confirm_status"}, fieldColumns: map[Field]string{Roles: "-"}},
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

func systemCalled(name string) *sourceSystem {
	i := slices.IndexFunc(systems[:], func(s sourceSystem) bool { return plainSystem(s.name) == plainSystem(name) })
	if i < 0 {
		return nil
	}
	return &systems[i]
}

// recogniseSystem returns the system whose files have these columns, or nil if there is none.
func recogniseSystem(values map[string]any) *sourceSystem {
	plain := make(map[string]bool, len(values))
	for name := range values {
		plain[folded(name)] = true
	}
	for i := range systems {
		if slices.ContainsFunc(systems[i].columnLists, func(list string) bool {
			return !slices.ContainsFunc(strings.Split(list, ","), func(name string) bool { return !plain[folded(name)] })
		}) {
			return &systems[i]
		}
	}
	return nil
}

func (s *sourceSystem) parsedRules(values map[string]any) (rules []columnRule) {
	if s == nil {
		return nil
	}
	for _, text := range s.disabledRules {
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

func (s *sourceSystem) ignores(name string) bool {
	isName := func(column string) bool { return folded(column) == folded(name) }
	return s != nil && slices.ContainsFunc(s.ignoredColumns, isName)
}
