package userfile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/userfile"
)

var someDay = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// IMP-1
func TestEveryColumnAboutTheStateCanDisable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		columns, values string
		want            bool
	}{
		{"disabled", "t", true}, {"disabled", "", false}, {"banned", "1", true}, {"is_banned", "0", false},
		{"deleted_at", "2021-01-01 00:00:00", true},
		{"deleted_at", "NULL", false}, {"deletedAt", "0000-00-00 00:00:00", false},
		{"locked_at", "2021-01-01", true},
		{"suspended", "true", true}, {"is_suspended", "f", false}, {"blocked", "yes", true},
		{"archived_at", "2021-01-01", true},
		{"discarded_at", "2021-01-01", true}, {"deactivated_at", "1614834367", true}, {"is_deleted", "1", true},
		{"inactive", "1", true},
		{"isForbidden", "true", true}, {"Is Locked Out", "True", true}, {"nsAccountLock", "TRUE", true},
		{"pwdAccountLockedTime", "000001010000Z", true}, {"pwdAccountLockedTime", "20210101000000Z", true},
		{"userAccountControl", "514", true}, {"userAccountControl", "512", false},
		{"enabled", "f", true}, {"is_active", "1", false},
		{"active", "0", true}, {"activated", "false", true}, {"isApproved", "False", true},
		{"account_non_locked", "false", true}, {"accountEnabled", "True", false},
		{"status", "SUSPENDED", true}, {"status", "active", false},
		{"state", "inactive", true}, {"account_status", "locked_out", true}, {"status", "PASSWORD_EXPIRED", false},
		{"userStatus", "ARCHIVED", true}, {"lifecycle_state", "deactivated", true},
		{"banned_until", "2999-01-01 00:00:00+00", true},
		{"banned_until", "2021-01-01 00:00:00+00", false}, {"banned_until", "infinity", true},
		{"LockoutEnd", "9999-12-31 23:59:59.9999999 +00:00", true},
		{"LockoutEnd", "2020-01-01 00:00:00.0000000 +00:00", false}, {"LockoutEnd", "NULL", false},
		{"lock_until", "1614834367089", false}, {"suspended_till", "3000-01-01", true},
		{"account_expires", "2021-01-01", true}, {"account_expires", "2999-01-01", false},
		{"accountExpires", "9223372036854775807", false}, {"valid_until", "", false},
		{"banned,ban_expires", "1,2021-01-01", false}, {"banned,banExpires", "1,", true},
		{"banned,banExpires", "1,2999-01-01", true}, {"banned,banExpires", "0,2999-01-01", true},
		{"suspended_at,suspended_till", "2020-01-01,2021-01-01", false},
		{"suspended_at,suspended_till", "2020-01-01,2999-01-01", true},
		{"banned,ban_expires,deleted_at", "1,2021-01-01,2021-01-01", true}, {"enabled,locked", "t,t", true},
		{"is_active,status", "t,blocked", true}, {"disabled,deleted", "f,f", false},
	} {
		rows,
			reader := readAll(t, "email,"+c.columns+"\nada@example.com,"+c.values+"\n", userfile.Options{Now: someDay})
		if rows[0].Problems != nil || rows[0].Disabled.Set != c.want || reader.Unsettled() != nil {
			t.Errorf("%s = %s: disabled %v, %v, unsettled %q", c.columns, c.values, rows[0].Disabled, rows[0].Problems,
				reader.Unsettled())
		}
	}
}

// IMP-1
func TestUnreadableStateIsAProblem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ column, value, want string }{
		{"status", "on leave", `the column status has "on leave", which is not a known word for enabled or disabled. Name the words that mean disabled: --disabled 'status=WORD,WORD'; --ignore status`},
		{"status", "1", `has "1"`}, {"status", "", "is empty, which is neither"},
		{"is_active", "", "is empty, which is neither"}, {"is_active", "NULL", "is empty, which is neither"},
		{"banned", "perhaps", "is neither true nor false nor a date"},
		{"banned_until", "soon", "is not an end date"}, {"userAccountControl", "x", "is neither true nor false"},
		{"status", strings.Repeat("x", 40), "has a word, which is not a known word"},
	} {
		rows, _ := readAll(t, "email,"+c.column+"\nada@example.com,"+c.value+"\n", userfile.Options{Now: someDay})
		if p := rows[0].Problems; len(p) != 1 || p[0].Field != userfile.Disabled ||
			!strings.Contains(p[0].Text, c.want) {
			t.Errorf("%s = %q: %+v", c.column, c.value, p)
		}
	}
}

// IMP-1
func TestDisabledOptionSetsTheMeaningOfColumns(t *testing.T) {
	t.Parallel()
	const header = "email,status,gone,until_when,ok\n"
	for _, c := range []struct {
		flag, values string
		want         bool
	}{
		{"status=SUSPENDED,DEPROVISIONED", "deprovisioned,,,", true},
		{"status=SUSPENDED,DEPROVISIONED", "STAGED,,,", false},
		{"!status=ACTIVE,OK", "other,,,", true},
		{"!status=ACTIVE,OK", "ok,,,", false}, {"status=0", "0,,,", true}, {"status=0", "1,,,", false},
		{"gone", ",1,,", true}, {"gone,until_when", ",0,2999-01-01,", true},
		{"until_when", ",,2021-01-01,", false}, {"gone:until", ",2999-01-01,,", true},
		{"!gone:until", ",2021-01-01,,", true}, {"!ok", ",,,f", true}, {"!ok", ",,,t", false},
		{"gone\nstatus=x", "X,0,,", true}, {"gone\nstatus=x", "y,0,,", false}, {"-", "suspended,1,,", false},
		{"status=,x", ",,,", true},
	} {
		rows, reader := readAll(t, header+"ada@example.com,"+c.values+"\n", userfile.Options{
			Now: someDay, Names: map[userfile.Field]string{userfile.Disabled: c.flag},
			Ignore: []string{"status"}[:strings.Count("x", c.flag)],
		})
		if rows[0].Problems != nil || rows[0].Disabled.Set != c.want || reader.Missing() != nil {
			t.Errorf("%q of %s: %+v, missing %q", c.flag, c.values, rows[0], reader.Missing())
		}
	}
	_, reader := readAll(t, header+"ada@example.com,,,,\n", userfile.Options{
		Names: map[userfile.Field]string{userfile.Disabled: "gone,left\nlost=1"}, Ignore: []string{"nothing"}})
	if missing := reader.Missing(); !slices.Equal(missing, []string{"left", "lost", "nothing"}) {
		t.Errorf("missing: %q", missing)
	}
}

// IMP-1
func TestUnknownStateColumnIsUnsettledUntilNamedOrIgnored(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"membership_standing", "shadow_banned", "accountRestricted", "login_forbidden", "kicked_at",
		"isTerminatedEmployee", "access_revoked_on", "user_is_locked_now",
		"expires_at", "BLACKLIST_FLAG", "accountdisabledflag", "removedOn", "quarantined", "left_company",
		"suspended_by",
	} {
		file := "email,password," + name + "\nada@example.com,x,yes\n"
		for _, c := range []struct {
			options userfile.Options
			settled bool
		}{
			{userfile.Options{}, name == "access_revoked_on"}, // this name does not suggest a disabled account
			{userfile.Options{Ignore: []string{name}}, true},
			{userfile.Options{Names: map[userfile.Field]string{userfile.Disabled: name + "=yes"}}, true},
			{userfile.Options{Names: map[userfile.Field]string{userfile.Disabled: "-"}}, true},
		} {
			if _, reader := readAll(t, file, c.options); (reader.Unsettled() == nil) != c.settled {
				t.Errorf("%s with %+v: %q", name, c.options, reader.Unsettled())
			}
		}
		if _,
			reader := readAll(t, "email,"+name+"\nada@example.com,\n", userfile.Options{}); reader.Unsettled() != nil {
			t.Errorf("%s without a value: %q", name, reader.Unsettled())
		}
	}
	nested := `{"email":"ada@example.com","account":{"state":{"suspended":true}},"subscription":{"status":"cancelled"}}`
	_, reader := readAll(t, nested, userfile.Options{})
	if !slices.Equal(reader.Unsettled(), []string{"account.state.suspended"}) {
		t.Errorf("%q", reader.Unsettled())
	}
	if rows, reader := readAll(t, nested, userfile.Options{Names: map[userfile.Field]string{
		userfile.Disabled: "account.state.suspended"}}); reader.Unsettled() != nil || !rows[0].Disabled.Set {
		t.Errorf("%q, %+v", reader.Unsettled(), rows)
	}
	for _, name := range []string{
		"last_activity_at", "activation_key", "TwoFactorEnabled", "LockoutEnabled", "mfa_enabled", "failed_attempts",
		"reset_password_expires", "resetPasswordTokenExpiry",
		"notifications_enabled", "banner_url", "phone_verified", "billing_state", "confirmation_token", "unlock_token",
		"bank", "stateless", "username",
	} {
		if _, reader := readAll(t, "email,email_verified,"+name+"\nada@example.com,t,yes\n",
			userfile.Options{}); reader.Unsettled() != nil {
			t.Errorf("%s is unsettled", name)
		}
	}
}

func TestVerifiedColumnsOfOtherSystemsAreRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		columns, values string
		want            bool
	}{
		{"EmailConfirmed", "True", true}, {"email_confirmed_at", "2021-01-01", true},
		{"confirmed_at", "2021-01-01", true}, {"is_verified", "t", true}, {"verified", "0", false},
		{"mail_verified", "1", true}, {"verified_email_addresses", "ada@example.com", true},
		{"verified_email_addresses", "other@example.com", false}, {"email_status", "verified", true},
		{"email_verified_at,is_verified", "NULL,1", false},
		{"email_verified,verified", "0,1", false}, {"email_verified,email_verified_at", "1,2021-01-01", true},
	} {
		rows, reader := readAll(t, "email,"+c.columns+"\nada@example.com,"+c.values+"\n", userfile.Options{})
		if rows[0].Problems != nil || rows[0].Verified.Set != c.want || reader.Unsettled() != nil {
			t.Errorf("%s = %s: %+v, unsettled %q", c.columns, c.values, rows[0], reader.Unsettled())
		}
	}
	if _, reader := readAll(t, "email,address_validated_on\nada@example.com,x\n",
		userfile.Options{}); !slices.Equal(reader.Unsettled(), []string{"address_validated_on"}) {
		t.Errorf("%q", reader.Unsettled())
	}
	for flag, want := range map[string]bool{"a,b": true, "a": false, "!a": true, "c=yes,sure": true, "c=no": false,
		"-": false} {
		rows, _ := readAll(t, "email,a,b,c\nada@example.com,f,t,sure\n", userfile.Options{
			Names: map[userfile.Field]string{userfile.EmailVerified: flag}})
		if rows[0].Problems != nil || rows[0].Verified.Set != want {
			t.Errorf("%q: %+v", flag, rows[0])
		}
	}
}

// A password must be marked as temporary if the user must change it at the next sign-in.
func TestTemporaryPasswordIsMarked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		want bool
	}{
		{`{"requiredActions":["UPDATE_PASSWORD"],"password":"x"}`, true},
		{`{"requiredActions":["VERIFY_EMAIL"],"password":"x"}`, false},
		{`{"credentials":[{"type":"password","temporary":true,"secretData":"{}","credentialData":"{}"}]}`, true},
		{`{"passwordChangeRequired":true}`, true}, {`{"must_change_password":"f"}`, false},
		{`{"UserStatus":"FORCE_CHANGE_PASSWORD"}`, true}, {`{"needUpdatePassword":1}`, true},
	} {
		if rows, _ := readAll(t, c.file, userfile.Options{}); rows[0].Temporary != c.want || rows[0].Problems != nil {
			t.Errorf("%s: %+v", c.file, rows[0])
		}
	}
}

// The spellings of null must mean an empty value in every field.
func TestNullIsEmptyInEveryField(t *testing.T) {
	t.Parallel()
	for _, null := range []string{"NULL", "null", `\N`, "(null)", "<null>", "[NULL]"} {
		rows, reader := readAll(t, "id,email,password,salt,name,firstName,lastName,roles,emailVerified,createdAt,"+
			"disabled,deleted_at,banned_until,temporary\n"+
			null+",ada@example.com"+strings.Repeat(","+null, 12)+"\n", userfile.Options{})
		want := userfile.Row{Place: rows[0].Place, Email: "ada@example.com"}
		if got := rows[0]; got.Problems != nil || got.ID+got.Hash+got.Salt+got.Name+got.First+got.Last != "" ||
			got.Roles != nil ||
			got.Verified != want.Verified || got.Disabled != want.Disabled || !got.CreatedAt.IsZero() ||
			reader.Unsettled() != nil {
			t.Errorf("%s: %+v", null, got)
		}
	}
	const nulls = `{"email":"ada@example.com","name":"NULL","roles":["NULL"],"profile":{"firstName":"NULL"}}`
	rows, _ := readAll(t, nulls, userfile.Options{})
	if rows[0].Name != "" || rows[0].First != "" {
		t.Errorf("%+v", rows[0])
	}
	rows, _ = readAll(t, "email,lastName\nada@example.com,Null\n", userfile.Options{})
	if rows[0].Last != "Null" {
		t.Errorf("a name: %+v", rows[0])
	}
}

// An object in a file that two parsers could read differently must be a problem.
func TestAmbiguousJSONObjectIsAProblem(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"email":"ada@example.com","email":"eve@example.com"}`, `{"email":"ada@example.com","a":{"b":1,"b":2}}`,
		`{"email":"ada@example.com","name":"\ud800"}`,
		`{"email":"ada@example.com","name":"\u0000"}`,
	} {
		for _, file := range []string{"{}\n" + line + "\n", "[{}," + line + "]"} {
			rows, _ := readAll(t, file, userfile.Options{})
			if len(rows) != 2 || len(rows[1].Problems) != 1 || rows[1].Email != "" {
				t.Errorf("%s: %+v", file, rows)
			}
		}
	}
}

func TestUnsupportedFormatIsNamed(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"COPY public.users (id, email) FROM stdin;\n1\ta@example.com\n\\.\n": "an SQL dump",
		"--\n-- PostgreSQL database dump\n--\n":                              "an SQL dump",
		"INSERT INTO `users` VALUES (1,'a@example.com');\n":                  "an SQL dump",
		"# comment\ndn: uid=ada,dc=example,dc=com\nmail: a@example.com\n":    "LDIF",
		"version: 1\n\ndn: uid=ada,dc=example,dc=com\n":                      "LDIF",
		"users:\n  ada:\n    email: a@example.com\n":                         "YAML",
		"---\n- email: a@example.com\n  name: x\n":                           "YAML",
		"<?xml version=\"1.0\"?><users/>":                                    "XML",
		"PK\x03\x04abc":                                                      "a spreadsheet",
		`{"total":1,"persons":[{"email":"a@example.com"}]}`:                  "It has persons: name the one with the accounts, as in: --list NAME",
		`{"data":{"persons":[{"email":"a@example.com"}]}}`:                   "no array `users`",
	} {
		reader, err := userfile.New(strings.NewReader(file), userfile.Options{})
		if err == nil {
			_, err = reader.Next()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "a@example.com") {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestArrayOfAccountsIsFoundByOtherNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, list string }{
		{`{"total":1,"identities":[{"email":"a@example.com"}],"x":[1]}`, ""},
		{`{"Users":[{"email":"a@example.com"}]}`, ""},
		{`{"status":"ok","data":[{"email":"a@example.com"}]}`, ""},
		{`{"data":{"n":1,"users":[{"email":"a@example.com"}],"y":{}},"z":[[]]}`, ""},
		{`{"persons":[{"email":"a@example.com"}],"users":[{"email":"b@example.com"}]}`, "persons"},
		{`{"a":{"b":{"c":[{"email":"a@example.com"}]}},"d":1}`, "a.b.c"},
	} {
		rows, _ := readAll(t, c.file, userfile.Options{List: c.list})
		if len(rows) != 1 || rows[0].Email != "a@example.com" {
			t.Errorf("%s: %+v", c.file, rows)
		}
	}
}

func TestDatesOfDatabasesAreRead(t *testing.T) {
	t.Parallel()
	want := time.Date(2021, 3, 5, 16, 35, 0, 0, time.UTC)
	for _, text := range []string{
		"Mar  5 2021  4:35PM", "2021-03-05 16:35:00 UTC", "2021-03-05 18:35:00 +0200",
		"2021-03-05 16:35:00.0000000 +00:00", "Fri, 05 Mar 2021 16:35:00 GMT",
		"Fri, 05 Mar 2021 16:35:00.000000000 UTC +00:00",
		"Fri Mar 05 2021 16:35:00 GMT+0000 (Coordinated Universal Time)", "20210305163500Z", "2021-03-05 16:35",
	} {
		rows, _ := readAll(t, `{"createdAt":"`+text+`"}`, userfile.Options{})
		if rows[0].Problems != nil || !rows[0].CreatedAt.Equal(want) {
			t.Errorf("%s: %s, %v", text, rows[0].CreatedAt, rows[0].Problems)
		}
	}
	for _, text := range []string{"0000-00-00 00:00:00", "0001-01-01T00:00:00"} {
		rows, _ := readAll(t, `{"createdAt":"`+text+`"}`, userfile.Options{})
		if rows[0].Problems != nil || !rows[0].CreatedAt.IsZero() {
			t.Errorf("%s: %+v", text, rows[0])
		}
	}
}
