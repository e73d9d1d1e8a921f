package userfile_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/watchword-auth/watchword/internal/factorfile"
	"github.com/watchword-auth/watchword/internal/userfile"
)

const (
	bcrypt  = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	argon   = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$4HzVbT8cXZ8mJ0Vt3bCk1yqQ3o4nq1bXo0rj2sQy2nE"
	created = "2021-03-04T05:06:07.089Z"
)

var createdAt = time.Date(2021, 3, 4, 5, 6, 7, 89e6, time.UTC)

// Each sample has the format of the named program and must be read without options.
func TestFilesOfOtherSystemsAreReadWithoutOptions(t *testing.T) {
	t.Parallel()
	ada := userfile.Row{
		ID: "5f4dcc3b5aa765d61d8327de", First: "Ada", Last: "Lovelace", Email: "Ada@example.com", Hash: bcrypt,
	}
	full := func(r userfile.Row, change func(*userfile.Row)) userfile.Row { change(&r); return r }
	verified, open := userfile.Mark{Set: true}, userfile.Mark{}
	for _, c := range []struct {
		name, file   string
		options      userfile.Options
		want         userfile.Row // the first row
		rows         int
		used, unused string
	}{
		{
			name: "mongoexport, the users of the tutorial",
			file: `{"_id":{"$oid":"5f4dcc3b5aa765d61d8327de"},"firstName":"Ada","lastName":"Lovelace","email":"Ada@example.com","password":"` + bcrypt + `","tokens":[{"_id":{"$oid":"5f4dcc3b5aa765d61d8327df"},"token":"eyJhbGciOi"}],"resetpasswordtoken":"e3b0c4","resetpasswordtokenexpiry":{"$date":"2021-03-04T05:06:07.089Z"},"__v":3}
{"_id":{"$oid":"5f4dcc3b5aa765d61d8327e0"},"firstName":"Grace","lastName":"Hopper","email":"grace@example.com","password":"` + bcrypt + `","tokens":[],"__v":0}
`,
			want: ada, rows: 2,
			used:   "_id email firstName lastName password",
			unused: "__v resetpasswordtoken resetpasswordtokenexpiry tokens",
		}, {
			name: "mongoexport, canonical extended JSON",
			file: `{"_id":{"$oid":"5f4dcc3b5aa765d61d8327de"},"firstName":"Ada","lastName":"Lovelace","email":"Ada@example.com","password":"` + bcrypt + `","createdAt":{"$date":{"$numberLong":"1614834367089"}},"__v":{"$numberInt":"3"}}`,
			want: full(ada, func(r *userfile.Row) { r.CreatedAt = createdAt }), rows: 1,
			used: "_id createdAt email firstName lastName password", unused: "__v",
		}, {
			name: "mongoexport --jsonArray",
			file: `[{"_id":{"$oid":"5f4dcc3b5aa765d61d8327de"},"firstName":"Ada","lastName":"Lovelace","email":"Ada@example.com","password":"` + bcrypt + `"},
{"_id":{"$oid":"5f4dcc3b5aa765d61d8327e0"},"firstName":"Grace","lastName":"Hopper","email":"grace@example.com"}]
`,
			want: ada, rows: 2, used: "_id email firstName lastName password",
		}, {
			name: "mongoexport --jsonArray --pretty",
			file: "[{\n\t\"_id\": {\n\t\t\"$oid\": \"5f4dcc3b5aa765d61d8327de\"\n\t},\n\t\"firstName\": \"Ada\",\n" +
				"\t\"lastName\": \"Lovelace\",\n\t\"email\": \"Ada@example.com\",\n\t\"password\": \"" + bcrypt +
				"\"\n},\n{\n\t\"email\": \"grace@example.com\"\n}]\n",
			want: ada, rows: 2, used: "_id email firstName lastName password",
		}, {
			name: "mongoexport --pretty",
			file: "{\n\t\"_id\": {\n\t\t\"$oid\": \"5f4dcc3b5aa765d61d8327de\"\n\t},\n\t\"firstName\": \"Ada\",\n" +
				"\t\"lastName\": \"Lovelace\",\n\t\"email\": \"Ada@example.com\",\n\t\"password\": \"" + bcrypt +
				"\"\n}\n{\n\t\"email\": \"grace@example.com\"\n}\n",
			want: ada, rows: 2, used: "_id email firstName lastName password",
		}, {
			name: "mongoexport --type=csv",
			file: "_id,firstName,lastName,email,password,tokens,createdAt\nObjectId(5f4dcc3b5aa765d61d8327de),Ada,Lovelace,Ada@example.com," + bcrypt + `,"[{""token"":""eyJ""}]",2021-03-04T05:06:07.089Z` + "\n",
			want: full(ada, func(r *userfile.Row) { r.CreatedAt = createdAt }), rows: 1,
			used: "_id createdAt email firstName lastName password", unused: "tokens",
		}, {
			name: "the lesson",
			file: "username,email,password\r\nada,Ada@example.com," + bcrypt + "\r\n\r\n",
			want: userfile.Row{Name: "ada", Email: "Ada@example.com", Hash: bcrypt}, rows: 1,
			used: "email password username",
		}, {
			name: "the complete guide",
			file: `{"_id":{"$oid":"5f4dcc3b5aa765d61d8327de"},"name":"Ada Lovelace","email":"Ada@example.com","passwordHash":"` + bcrypt + `","role":"Admin","refreshTokens":[],"createdAt":{"$date":"` + created + `"}}`,
			want: userfile.Row{ID: "5f4dcc3b5aa765d61d8327de", Name: "Ada Lovelace", Email: "Ada@example.com",
				Hash: bcrypt, Roles: []string{"admin"}, CreatedAt: createdAt}, rows: 1,
			used: "_id createdAt email name passwordHash role", unused: "refreshTokens",
		}, {
			name: "Django, from psql's \\copy … csv header",
			file: "id,password,last_login,is_superuser,username,first_name,last_name,email,is_staff,is_active," +
				"date_joined\n" +
				"7,pbkdf2_sha256$260000$salt$Zm9vYmFy,,f,ada,Ada,Lovelace,Ada@example.com,t,f,2021-03-04 " +
				"05:06:07.089+00\n" +
				"8,!,,f,bob,,,bob@example.com,f,t,2021-03-04 05:06:07+00\n",
			want: full(ada, func(r *userfile.Row) {
				r.ID, r.Hash, r.CreatedAt, r.Disabled = "7", "pbkdf2_sha256$260000$salt$Zm9vYmFy", createdAt,
					userfile.Mark{Set: true}
			}), rows: 2,
			used:   "date_joined email first_name id is_active last_name password username",
			unused: "is_staff is_superuser last_login",
		}, {
			name: "Firebase auth:export, JSON",
			file: `{"users": [
{
  "localId": "Xk7p",
  "email": "Ada@example.com",
  "emailVerified": true,
  "passwordHash": "bHNk",
  "salt": "c2Vh",
  "displayName": "Ada",
  "lastSignedInAt": "1614834367089",
  "createdAt": "1614834367089",
  "disabled": false,
  "providerUserInfo": []
},
{"localId":"Yk7p","email":"grace@example.com","emailVerified":false,"providerUserInfo":[{"providerId":"google.com"}]}
]}`,
			want: userfile.Row{ID: "Xk7p", Email: "Ada@example.com", Hash: "bHNk", Salt: "c2Vh", Name: "Ada",
				Verified: verified, Disabled: open, CreatedAt: createdAt}, rows: 2,
			used:   "createdAt disabled displayName email emailVerified localId passwordHash salt",
			unused: "lastSignedInAt providerUserInfo",
		}, {
			name: "Firebase auth:export, CSV",
			file: "Xk7p,Ada@example.com,true,bHNk,c2Vh,Ada,,,,,,,,,,,,,,,,,,1614834367089,1614834367090,,true,,\n" +
				"Yk7p,grace@example.com,false,,,\"Hopper, Grace\",,1,g@example.com,,,,,,,,,,,,,,,1614834367089,,," +
				"false,,\n",
			options: userfile.Options{Columns: userfile.FirebaseColumns()},
			want: userfile.Row{ID: "Xk7p", Email: "Ada@example.com", Hash: "bHNk", Salt: "c2Vh", Name: "Ada",
				Verified: verified, Disabled: verified, CreatedAt: createdAt}, rows: 2,
			used:   "createdAt disabled displayName email emailVerified localId passwordHash salt",
			unused: "lastLoginAt phoneNumber photoUrl",
		}, {
			name: "Keycloak, an exported realm",
			file: `{
  "id" : "0c7b", "realm" : "shop", "roles" : { "realm" : [ { "name" : "users" } ], "client" : { "users" : [ ] } },
  "users" : [ {
    "id" : "3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69",
    "createdTimestamp" : 1614834367089,
    "username" : "ada", "enabled" : false, "emailVerified" : true,
    "firstName" : "Ada", "lastName" : "Lovelace", "email" : "Ada@example.com",
    "credentials" : [ { "type" : "otp", "secretData" : "{\"value\":\"12345678901234567890\"}",
      "credentialData" : "{\"subType\":\"totp\",\"digits\":6,\"period\":30,\"algorithm\":\"HmacSHA1\"}" }, {
      "type" : "password", "secretData" : "{\"value\":\"aGFzaA==\",\"salt\":\"c2FsdA==\"}",
      "credentialData" : "{\"hashIterations\":27500,\"algorithm\":\"pbkdf2-sha256\"}" } ],
    "realmRoles" : [ "offline_access", "editor" ], "groups" : [ "/staff" ], "notBefore" : 0
  } ],
  "clients" : [ { "clientId" : "account", "users" : [ 1, 2 ] } ]
}
`,
			want: full(ada, func(r *userfile.Row) {
				r.ID, r.Hash, r.Verified, r.Disabled = "3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69", "", verified,
					userfile.Mark{Set: true}
				r.CreatedAt, r.Roles = createdAt, []string{"offline_access", "editor"}
				r.Keycloak = &userfile.Keycloak{
					CredentialData: `{"hashIterations":27500,"algorithm":"pbkdf2-sha256"}`, SecretData: `{"value":"aGFzaA==","salt":"c2FsdA=="}`,
				}
				r.Factors = []factorfile.Factor{{Kind: "totp", Secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}}
			}), rows: 1,
			used:   "createdTimestamp credentials email emailVerified enabled firstName id lastName realmRoles",
			unused: "groups notBefore username",
		}, {
			name: "Laravel, from a spreadsheet with semicolons and a byte order mark",
			file: "\ufeffid;name;email;email_verified_at;password;created_at\r\n" +
				"7;\"Lovelace; Ada\";Ada@example.com;2021-03-04 05:06:07;" +
				strings.Replace(bcrypt, "$2a$", "$2y$", 1) + ";NULL\r\n",
			want: userfile.Row{ID: "7", Name: "Lovelace; Ada", Email: "Ada@example.com",
				Hash:     strings.Replace(bcrypt, "$2a$", "$2y$", 1),
				Verified: userfile.Mark{Set: true, At: createdAt.Truncate(time.Second)}}, rows: 1,
			used: "created_at email email_verified_at id name password",
		}, {
			name: "headers as people write them",
			file: "Id\tE-Mail\tPassword Hash\tDisplay Name\n7\tAda@example.com\t" + argon + "\tAda\n",
			want: userfile.Row{ID: "7", Name: "Ada", Email: "Ada@example.com", Hash: argon}, rows: 1,
			used: "Display Name E-Mail Id Password Hash",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rows, reader := readAll(t, c.file, c.options)
			if len(rows) != c.rows {
				t.Fatalf("%d rows, want %d: %+v", len(rows), c.rows, rows)
			}
			for _, row := range rows {
				if row.Problems != nil {
					t.Errorf("%s: %+v", row.Place, row.Problems)
				}
			}
			if diff := cmp.Diff(c.want, rows[0], cmpopts.IgnoreFields(userfile.Row{}, "Place")); diff != "" {
				t.Errorf("want, got:\n%s", diff)
			}
			used, unused := reader.Columns()
			if strings.Join(used, " ") != c.used || strings.Join(unused, " ") != c.unused {
				t.Errorf("columns used: %s; not used: %s", used, unused)
			}
		})
	}
}

func TestNamedColumnIsRead(t *testing.T) {
	t.Parallel()
	const file = `{"user":{"mail":"ada@example.com","since":{"$date":"2021-03-04T05:06:07.089Z"}},"emails":[{"address":"second@example.com"}],"pwd":"x","name":"Ada","firstName":"Not","active":"no","role":"admin"}`
	rows, reader := readAll(t, file, userfile.Options{Names: map[userfile.Field]string{
		userfile.Email: "user.mail", userfile.CreatedAt: "user.since", userfile.PasswordHash: "pwd",
		userfile.Name:     "name",
		userfile.Disabled: "!active", userfile.Roles: "-", userfile.Salt: "pepper",
	}})
	want := userfile.Row{
		Email: "ada@example.com", Hash: "x", Name: "Ada", CreatedAt: createdAt, Disabled: userfile.Mark{Set: true}}
	if diff := cmp.Diff(want, rows[0], cmpopts.IgnoreFields(userfile.Row{}, "Place")); diff != "" {
		t.Error(diff)
	}
	if missing := reader.Missing(); !slices.Equal(missing, []string{"pepper"}) {
		t.Errorf("missing: %q", missing)
	}
	if _, unused := reader.Columns(); !slices.Equal(unused, []string{"emails", "firstName", "role"}) {
		t.Errorf("not used: %q", unused)
	}
	rows, _ = readAll(t, file, userfile.Options{Names: map[userfile.Field]string{userfile.Email: "emails.0.address"}})
	if rows[0].Email != "second@example.com" {
		t.Errorf("email %q", rows[0].Email)
	}
	rows, _ = readAll(t, `{"is_active":false}`, userfile.Options{Names: map[userfile.Field]string{userfile.Disabled: "is_active"}})
	if !rows[0].Disabled.Set {
		t.Error("a well-known column is not turned round when it is named")
	}
}

// A problem must be reported with its account, and the next account must be read.
func TestProblemSkipsOneAccount(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", userfile.MaxAccount)
	for _, c := range []struct{ name, file, want string }{
		{"CSV: too few values", "email,name\nbad\ngood@example.com,x\n", "line 2: 1 values for 2 columns"},
		{"CSV: too many values", "email,name\nbad,x,y\ngood@example.com,x\n", "line 2: 3 values for 2 columns"},
		{"CSV: not UTF-8", "email,name\nbad,\xe4\ngood@example.com,x\n", "line 2: not UTF-8"},
		{"CSV: a long line", "email,name\nbad," + long + "\ngood@example.com,x\n", "line 2: longer than 1 MiB"},
		{"CSV: a quotation mark within",
			"email,name\nbad,5\" x\ngood@example.com,x\n", "line 2: a quotation mark is not closed"},
		{"CSV: a quotation mark that others follow",
			"email,name\nbad,\"x\ngood@example.com,\"x\"\n", "line 2: a quotation mark is not closed"},
		{"CSV: text behind a quotation mark", "email,name\nbad,\"x\" y\ngood@example.com,x\n", "line 2: not CSV"},
		{"CSV: a quotation mark that opens the rest of a large file", "email,name\nbad,\"x\ngood@example.com,x\n" +
			strings.Repeat("more@example.com,x\n", 100_000), "line 2: a quotation mark is not closed"},
		{"lines: not JSON", "{\"email\":\"bad\"\n{\"email\":\"good@example.com\"}\n", "line 1: not a JSON object"},
		{"lines: two on one", "{\"email\":\"x\"}\n{\"email\":\"bad\"} {}\n{\"email\":\"good@example.com\"}\n",
			"line 2: not a JSON object"},
		{"lines: not UTF-8",
			"{\"email\":\"x\"}\n{\"email\":\"bad\xe4\"}\n{\"email\":\"good@example.com\"}\n", "line 2: not UTF-8"},
		{"lines: a long one", "{\"email\":\"x\"}\n{\"email\":\"" + long + "\"}\n{\"email\":\"good@example.com\"}\n",
			"line 2: longer than 1 MiB"},
		{"lines: a long first one",
			"{\"email\":\"" + long + "\"}\n{\"email\":\"good@example.com\"}\n", "line 1: longer than 1 MiB"},
		{"lines: a long first one with users within", "{\"x\":{\"users\":[]},\"users\":17,\"email\":\"" +
			long + "\"}\n{\"email\":\"good@example.com\"}\n", "line 1: longer than 1 MiB"},
		{"lines: a long first one after a blank one",
			"\n{\"email\":\"" + long + "\"}\n{\"email\":\"good@example.com\"}\n", "line 2: longer than 1 MiB"},
		{"lines: a long first one that is broken",
			"{\"email\"\"" + long + "\n{\"email\":\"good@example.com\"}\n", "line 1: longer than 1 MiB"},
		{"an object on one long line", `{"users":[{"email":"` + long + `"},{"email":"good@example.com"}]}`, "line 1: longer than 1 MiB"},
		{"an array: no object", "[\n17,\n{\"email\":\"good@example.com\"}]", "line 2: not a JSON object"},
		{"an array: a long one",
			"[\n\n{\"email\":\"" + long + "\"},\n{\"email\":\"good@example.com\"}]", "line 3: longer than 1 MiB"},
		{"an array: not UTF-8", "[{\"email\":\"bad\xe4\"},{\"email\":\"good@example.com\"}]", "line 1: not UTF-8"},
		{"an array on one line", `[{"email":"x"},{"email":["bad"]},{"email":"good@example.com"}]`, "line 1, account 2: email: not text"},
		{"a date", `[{"createdAt":"yesterday"},{"email":"good@example.com"}]`, "line 1: createdAt: not a date"},
		{"a truth", `[{"emailVerified":"perhaps"},{"email":"good@example.com"}]`, "line 1: emailVerified: neither true nor false"},
		{"roles of another collection", `[{"roles":[{"$oid":"5f4dcc3b5aa765d61d8327de"}]},{"email":"good@example.com"}]`, "line 1: roles: refers to documents"},
		{"roles that are none", `[{"roles":{"admin":true}},{"email":"good@example.com"}]`, "line 1: roles: not a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rows, _ := readAll(t, c.file, userfile.Options{})
			var problems []string
			good := false
			for _, row := range rows {
				for _, p := range row.Problems {
					text := row.String() + ": "
					if p.Field != "" {
						text += string(p.Field) + ": "
					}
					problems = append(problems, text+p.Text)
				}
				good = good || row.Email == "good@example.com"
			}
			if len(problems) != 1 || !strings.HasPrefix(problems[0], c.want) {
				t.Errorf("problems: %.500q, want %q", problems, c.want)
			}
			if !good {
				t.Error("the account after it was not read")
			}
		})
	}
}

// summarizeRows returns a line for each account, with its address, and a line for each problem.
func summarizeRows(rows []userfile.Row) (all []string) {
	for _, row := range rows {
		if row.Problems == nil {
			all = append(all, row.Email)
		}
		for _, p := range row.Problems {
			all = append(all, row.String()+": "+p.Text)
		}
	}
	return all
}

// After any misplaced quotation mark, each later line must be read or reported.
func TestUnclosedQuotationMarkSkipsOneLine(t *testing.T) {
	t.Parallel()
	const (
		open  = "a quotation mark is not closed"
		holds = "its quotation marks contain whole rows. Is a quotation mark missing?"
		held  = "within the quotation marks of an earlier row"
	)
	for _, c := range []struct {
		name, file string
		want       []string
	}{
		{
			"it is closed lines later, and makes too few values",
			"email,name,bio\nbad@example.com,\"x\none@example.com,O,o\ntwo@example.com,T,t\nzoe@example.com,Z,5\"\n" +
				"six@example.com,S,s\n",
			[]string{"line 2: 2 values for 3 columns", "one@example.com", "two@example.com", "line 5: " + open,
				"six@example.com"},
		}, {
			"and makes too many",
			"email,name\nbad@example.com,\"x\none@example.com,O\nzoe@example.com,5\",Z\nsix@example.com,S\n",
			[]string{"line 2: 3 values for 2 columns", "one@example.com", "line 4: " + open, "six@example.com"},
		}, {
			"and among the lines that are read again are others like it",
			"email,name\nbad@example.com,\"x\none@example.com,O\nzoe@example.com,\"5\ntwo@example.com,T\n" +
				"zac@example.com,5\",Z\nsix@example.com,S\nlast@example.com,\"L\"\n",
			[]string{"line 2: not CSV: a quotation mark within a value has to be doubled, and the value quoted",
				"one@example.com",
				"line 4: 3 values for 2 columns", "two@example.com", "line 6: " + open, "six@example.com",
				"last@example.com"},
		}, {
			"none of them is closed",
			"email,name\nbad@example.com,\"x\"\"\none@example.com,O\ntwo@example.com,\"\"\nsix@example.com,S",
			[]string{"line 2: " + open, "one@example.com", "two@example.com", "six@example.com"},
		}, {
			"it makes the right number of values",
			"email,name,bio\nbad@example.com,B,\"x\none@example.com,O,o\ntwo@example.com,T,t\n\n" +
				"zoe@example.com,Z,5\"\nsix@example.com,S,s\n",
			[]string{"line 2: " + holds, "line 3: " + held, "line 4: " + held, "line 6: " + held, "six@example.com"},
		}, {
			"a text of several lines is one value",
			"email;bio\nada@example.com;\"Mail:\nada@example.org\n\nor to me; ada@example.org\n\"\nsix@example.com;s\n",
			[]string{"ada@example.com", "six@example.com"},
		}, {
			"a text in Latin-1 of several lines is one value",
			"email,bio\nada@example.com,\"\xe4\nx\"\nsix@example.com,s\n",
			[]string{"line 2: not UTF-8. Was the file saved as Latin-1? Try: iconv -f latin1 -t utf-8",
				"six@example.com"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rows, _ := readAll(t, c.file, userfile.Options{})
			if diff := cmp.Diff(c.want, summarizeRows(rows)); diff != "" {
				t.Errorf("want, got:\n%s", diff)
			}
		})
	}
}

// Users write texts of several lines. A line of such a text that looks like a row must be reported and must not
// become an account. Otherwise a user could create an admin with the text "eve@example.com,admin".
func TestRowsWithinAValueAreProblems(t *testing.T) {
	t.Parallel()
	for _, bio := range []string{"x", "\xe4"} {
		rows, _ := readAll(t, "email,role,bio\nada@example.com,user,\""+bio+"\neve@example.com,admin,x\ny\"\n"+
			"six@example.com,user,s\n", userfile.Options{})
		if len(rows) != 3 || rows[0].Problems == nil || rows[1].Problems == nil || rows[1].Line != 3 ||
			rows[1].Email != "" || rows[2].Email != "six@example.com" {
			t.Errorf("%q: %+v", bio, rows)
		}
	}
}

func TestEmptyRowsAreSkipped(t *testing.T) {
	t.Parallel()
	two := []string{"ada@example.com", "six@example.com"}
	named := userfile.Options{Columns: []string{"email", "name"}}
	for _, c := range []struct {
		file    string
		options userfile.Options
		want    []string
	}{
		{"email,name\nada@example.com,A\n,\n,,,\n , \nsix@example.com,S\n,\n", userfile.Options{}, two},
		{",,\n\nemail,name\nada@example.com,A\nsix@example.com,S\n", userfile.Options{}, two},
		{"email;name\n;\nada@example.com;A\n,\n;;\nsix@example.com;S\n",
			userfile.Options{}, []string{"ada@example.com", "line 4: 1 values for 2 columns", "six@example.com"}},
		{"\ufeffsep=;\r\nemail;name, first\r\nada@example.com;A\r\nsix@example.com;S,s\r\n", userfile.Options{}, two},
		{"\"SEP=,\"\nemail,name\nada@example.com,A\nsix@example.com,S\n", userfile.Options{}, two},
		{"sep=\t\nada@example.com\tA\nsix@example.com\tS\n", named, two},
		{"ada@example.com,A\n,\nsix@example.com,S\n", named, two},
	} {
		rows, _ := readAll(t, c.file, c.options)
		if diff := cmp.Diff(c.want, summarizeRows(rows)); diff != "" {
			t.Errorf("%q: want, got:\n%s", c.file, diff)
		}
	}
}

// If a file can't be read to its end, New or Next must return an error. Otherwise a part of the file could be missing
// silently.
func TestUnreadableFileIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, want string
		options          userfile.Options
	}{
		{"empty", " \n", "the file is empty", userfile.Options{}},
		{"UTF-16", "\xff\xfee\x00", "Save it as UTF-8", userfile.Options{}},
		{"compressed", "\x1f\x8b\x08", "zcat", userfile.Options{}},
		{"binary", "SQLite format 3\x00", "is an SQLite database", userfile.Options{}},
		{"CSV that is said to be JSON",
			"email\nada@example.com\n", "it begins with \"e\"", userfile.Options{Format: userfile.JSON}},
		{"JSON with columns", "{}", "Remove --columns", userfile.Options{Columns: []string{"email"}}},
		{"no header", "ada@example.com," + bcrypt + "\n", "--columns", userfile.Options{}},
		{"two columns of one name", "email,email\n", `two columns "email"`, userfile.Options{}},
		{"two columns of one name, below", "sep=;\nemail;email\n", `line 2 has two columns "email"`, userfile.Options{}},
		{"an array that is cut off", `[{"email":"a@example.com"},`, "truncated", userfile.Options{}},
		{"an array that is cut off within an account", `[{"email":"a@exam`, "truncated", userfile.Options{}},
		{"an array that is not closed", `[{"email":"a@example.com"}`, "truncated", userfile.Options{}},
		{"an object that is not closed", `{"users":[{"email":"a@example.com"}]`, "truncated", userfile.Options{}},
		{"an array that breaks",
			"[{\"email\":\"a@example.com\"},\n{\"email\"}]", "line 1 or soon after: not JSON", userfile.Options{}},
		{"more than an array", "[{\"email\":\"a@example.com\"}]\n[]", "line 2: more text follows", userfile.Options{}},
		{"no users", "{\n" + `"realm":"` + strings.Repeat("x", userfile.MaxAccount) + `"}`, "no array `users`", userfile.Options{}},
		{"a huge value", `[{"x":"` + strings.Repeat("x", 17*userfile.MaxAccount) + `"}]`, "longer than 16 MiB", userfile.Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reader, err := userfile.New(strings.NewReader(c.file), c.options)
			for err == nil {
				_, err = reader.Next()
			}
			if errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "example.com") {
				t.Errorf("it quotes the file: %v", err)
			}
		})
	}
}

func TestDateSpellings(t *testing.T) {
	t.Parallel()
	exact, second := createdAt, createdAt.Truncate(time.Second)
	for text, want := range map[string]time.Time{
		`"2021-03-04T05:06:07.089Z"`: exact, `"2021-03-04T06:06:07.089+01:00"`: exact, `"2021-03-04T06:06:07.089+0100"`: exact,
		`"2021-03-04 05:06:07.089+00"`: exact, `"2021-03-04 05:06:07.089"`: exact, `"2021-03-04 05:06:07.089 +0000 UTC"`: exact,
		`"2021-03-04T05:06:07"`: second, `"2021-03-04"`: second.Truncate(24 * time.Hour),
		`1614834367089`: exact, `"1614834367089"`: exact, `1614834367.089`: exact, `1614834367`: second, `"1614834367"`: second,
		`{"$date":"2021-03-04T05:06:07.089Z"}`: exact, `{"$date":1614834367089}`: exact, `{"$date":{"$numberLong":"1614834367089"}}`: exact,
		`{"$numberLong":"1614834367089"}`: exact, `null`: {}, `""`: {}, `0`: {}, `"NULL"`: {},
	} {
		rows, _ := readAll(t, `{"createdAt":`+text+`}`, userfile.Options{})
		if got := rows[0]; got.Problems != nil || !got.CreatedAt.Equal(want) {
			t.Errorf("%s: %s, %v", text, got.CreatedAt, got.Problems)
		}
	}
	for _, text := range []string{`"04/03/2021"`, `true`, `{}`, `[1]`, `1e300`, `"NaN"`, `-1e300`, `"2021-13-01"`} {
		rows, _ := readAll(t, `{"createdAt":`+text+`}`, userfile.Options{})
		if got := rows[0]; len(got.Problems) != 1 {
			t.Errorf("%s became %s", text, got.CreatedAt)
		}
	}
}

func TestRoleAndBooleanSpellings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`"Admin"`: {"admin"}, `"admin, editor;x"`: {"admin", "editor", "x"}, `["Admin","editor"]`: {"admin", "editor"},
		`"[\"admin\"]"`: {"admin"}, `"{admin,\"super user\"}"`: {"admin", "super user"}, `[{"name":"admin"}]`: {"admin"},
		`""`: nil, `null`: nil, `[]`: nil, `"super user"`: {"super user"},
	} {
		rows, _ := readAll(t, `{"roles":`+text+`}`, userfile.Options{})
		if got := rows[0]; got.Problems != nil || !slices.Equal(got.Roles, want) {
			t.Errorf("%s: %q, %v", text, got.Roles, got.Problems)
		}
	}
	for text, want := range map[string]bool{
		`true`: true, `"True"`: true, `"t"`: true, `1`: true, `"yes"`: true, `"2021-03-04"`: true,
		`false`: false, `"False"`: false, `0`: false, `"no"`: false, `null`: false, `""`: false, `"NULL"`: false,
	} {
		rows, _ := readAll(t, `{"emailVerified":`+text+`}`, userfile.Options{})
		if got := rows[0]; got.Problems != nil || got.Verified.Set != want {
			t.Errorf("%s: %v, %v", text, got.Verified, got.Problems)
		}
	}
	for text, want := range map[string]bool{`true`: false, `false`: true, `"f"`: true} {
		rows, _ := readAll(t, `{"enabled":`+text+`}`, userfile.Options{})
		if got := rows[0]; got.Problems != nil || got.Disabled.Set != want {
			t.Errorf("enabled %s: disabled %v, %v", text, got.Disabled, got.Problems)
		}
	}
	for _, text := range []string{`null`, `""`, `"NULL"`} {
		rows, _ := readAll(t, `{"enabled":`+text+`}`, userfile.Options{})
		if got := rows[0]; len(got.Problems) != 1 ||
			!strings.Contains(got.Problems[0].Text, "is neither enabled nor disabled") {
			t.Errorf("enabled %s: disabled %v, %v", text, got.Disabled, got.Problems)
		}
	}
}

// A file must be read in the same way with each line ending: \n, \r\n, and only \r, as in files of Excel for the Mac.
func TestEveryLineEndIsRead(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"email,name\nada@example.com,A\n\nsix@example.com,\"S\n\ns\"\nlast@example.com\n",
		"sep=;\nemail;name\nada@example.com;A\nsix@example.com;S\nlast@example.com",
		"\"first\n\",email\nx,ada@example.com\n",
		"{\"email\":\"ada@example.com\"}\n{\"email\":\"six@example.com\"}\n17\n",
		"{\n\"email\":\"ada@example.com\"\n}\n{\n\"email\":\"six@example.com\"}\n",
		"[\n{\"email\":\"ada@example.com\"},\n\n{\"email\":\"six@example.com\"},\n17]\n",
	} {
		want := accountsWithLines(file)
		for _, end := range []string{"\r\n", "\r"} {
			for _, mark := range []string{"", "\ufeff"} {
				if diff := cmp.Diff(want, accountsWithLines(mark+strings.ReplaceAll(file, "\n", end))); diff != "" {
					t.Errorf("%q with %q: want, got:\n%s", file, end, diff)
				}
			}
		}
	}
	inCell := "email,name\rada@example.com,\"A\na\"\rsix@example.com,\"S\"\r" // lines in a cell have another ending
	if got := accountsWithLines(inCell); !slices.Equal(got,
		[]string{"line 2: ada@example.com []", "line 4: six@example.com []", "EOF"}) {
		t.Errorf("%q", got)
	}
	twice := "email,name\r\r\nada@example.com,A\r\r\n"
	if got := accountsWithLines(twice); !slices.Equal(got, []string{"line 2: ada@example.com []", "EOF"}) {
		t.Errorf("%q", got)
	}
}

// accountsWithLines returns the accounts of a file with their lines, and the error at the end.
func accountsWithLines(file string) (all []string) {
	reader, err := userfile.New(strings.NewReader(file), userfile.Options{})
	for err == nil {
		var row userfile.Row
		if row, err = reader.Next(); err == nil {
			all = append(all, fmt.Sprint(row.Place, ": ", row.Email, " ", row.Problems))
		}
	}
	return append(all, err.Error())
}

func TestIDSpellings(t *testing.T) {
	t.Parallel()
	const id = "3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69"
	for text, want := range map[string]string{
		`"3F0E9BD2-7A0C-4E6F-8A53-1F2D3C4B5A69"`: id, `" 3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69\t"`: id,
		`"{3F0E9BD2-7A0C-4E6F-8A53-1F2D3C4B5A69}"`: id, `"{3f0e9bd27a0c4e6f8a531f2d3c4b5a69}"`: id,
		`"urn:uuid:3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69"`: id, `"URN:UUID:3F0E9BD2-7A0C-4E6F-8A53-1F2D3C4B5A69"`: id,
		`"3F0E9BD27A0C4E6F8A531F2D3C4B5A69"`: id, `{"$uuid":"3F0E9BD2-7A0C-4E6F-8A53-1F2D3C4B5A69"}`: id,
		`{"$binary":{"base64":"Pw6b0noMTm+KUx8tPEtaaQ==","subType":"04"}}`: id, `{"$binary":{"base64":"Pw6b0noMTm+KUx8tPEtaaQ==","subType":"4"}}`: id,
		`{"$binary":"Pw6b0noMTm+KUx8tPEtaaQ==","$type":"04"}`: id,
		// other ids must stay unchanged
		`" 17 "`: "17", `17`: "17", `"5F4DCC3B5AA765D61D8327DE"`: "5F4DCC3B5AA765D61D8327DE", `"X{3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69}"`: "X{3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69}",
		`"{3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69)"`: "{3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69)", `"3F0E9BD27-A0C4E6F8A531F2D3C4B5A69"`: "3F0E9BD27-A0C4E6F8A531F2D3C4B5A69",
		`"GF0E9BD27A0C4E6F8A531F2D3C4B5A69"`: "GF0E9BD27A0C4E6F8A531F2D3C4B5A69", `null`: "", `" "`: "",
	} {
		for _, field := range []string{"id", "_id"} {
			rows, _ := readAll(t, `{"`+field+`":`+text+`}`, userfile.Options{})
			if got := rows[0]; got.Problems != nil || got.ID != want {
				t.Errorf("%s: %q, %v", text, got.ID, got.Problems)
			}
		}
	}
	for _, text := range []string{ // not read: another byte order, or not a UUID
		`{"$binary":{"base64":"Pw6b0noMTm+KUx8tPEtaaQ==","subType":"03"}}`, `{"$binary":{"base64":"Pw6b0noMTm+KUx8tPEta","subType":"04"}}`,
		`{"$binary":{"base64":"*","subType":"04"}}`, `{"$binary":17}`, `{"$binary":{}}`,
	} {
		rows, _ := readAll(t, `{"_id":`+text+`}`, userfile.Options{})
		if got := rows[0]; len(got.Problems) != 1 || got.ID != "" {
			t.Errorf("%s became %q", text, got.ID)
		}
	}
	rows, _ := readAll(t, "_id,email\n {3F0E9BD2-7A0C-4E6F-8A53-1F2D3C4B5A69} ,a@example.com\n", userfile.Options{})
	if rows[0].ID != id {
		t.Errorf("CSV: %q", rows[0].ID)
	}
}

// Groups must not be read as roles: otherwise a group named admin would grant the role admin.
func TestKeycloakGroupsAreNotRoles(t *testing.T) {
	t.Parallel()
	rows, reader := readAll(t, `{"email":"ada@example.com","groups":["/staff","admin"]}`, userfile.Options{})
	if _, unused := reader.Columns(); rows[0].Roles != nil || rows[0].Problems != nil ||
		!slices.Equal(unused, []string{"groups"}) {
		t.Errorf("%+v, not used: %q", rows[0], unused)
	}
	rows, _ = readAll(t, `{"groups":["staff"]}`, userfile.Options{Names: map[userfile.Field]string{userfile.Roles: "groups"}})
	if !slices.Equal(rows[0].Roles, []string{"staff"}) {
		t.Errorf("when they are asked for: %+v", rows[0])
	}
}

// The numbers 0 and 1 must be read as booleans. Any other small number, such as 2021, must be a problem and not a
// date in 1970.
func TestNumberIsADateABooleanOrAProblem(t *testing.T) {
	t.Parallel()
	at := func(text string) userfile.Mark {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return userfile.Mark{Set: true, At: at}
	}
	set, open := userfile.Mark{Set: true}, userfile.Mark{}
	for text, want := range map[string]*userfile.Mark{
		"0": &open, "1": &set, "0.0": &open, "1.0": &set,
		"631152000": new(at("1990-01-01T00:00:00Z")), "631152000000": new(at("1990-01-01T00:00:00Z")),
		"19900101": new(at("1990-01-01T00:00:00Z")), "20210304": new(at("2021-03-04T00:00:00Z")),
		"21001231": new(at("2100-12-31T00:00:00Z")),
		"2":        nil, "-1": nil, "0.5": nil, "2021": nil, "202103": nil, "631151999": nil, "631151999999": nil,
		"-1614834367": nil,
		"20211304":    nil, "20210230": nil, "19891231": nil, "21010101": nil, "-20210304": nil, "20210304.5": nil,
	} {
		for _, text := range []string{text, `"` + text + `"`, `{"$numberDouble":"` + text + `"}`} {
			rows, _ := readAll(t, `{"createdAt":`+text+`,"emailVerified":`+text+`,"isActive":`+text+`}`, userfile.Options{})
			var problems []userfile.Problem
			if want == nil {
				problems = append(problems,
					userfile.Problem{Field: userfile.EmailVerified, Text: "neither true nor false"},
					userfile.Problem{Field: userfile.Disabled, Text: "the column isActive is neither true nor false " +
						"nor a date. Name the values that mean disabled: " +
						"--disabled 'isActive=VALUE,VALUE'; --ignore isActive if it is about something else"})
			}
			if want == nil || want.Set && want.At.IsZero() { // 1 is a boolean, but not a date
				problems = append(problems,
					userfile.Problem{Field: userfile.CreatedAt, Text: "not a date: write RFC 3339, or seconds or " +
						"milliseconds since 1970, or skip dates with --created-at=-"})
			}
			if diff := cmp.Diff(problems, rows[0].Problems); diff != "" {
				t.Errorf("%s: want, got:\n%s", text, diff)
			}
			if want != nil &&
				(rows[0].Verified != *want || rows[0].Disabled.Set == want.Set || !rows[0].CreatedAt.Equal(want.At)) {
				t.Errorf("%s: %+v", text, rows[0])
			}
		}
	}
}

// Reading a file of any length must need only the memory of one account.
func TestMemoryStaysConstant(t *testing.T) {
	for name, file := range map[string]io.Reader{
		"CSV":   generateFile("email,name,password\n", "ada%d@example.com,Ada,"+bcrypt+"\n", ""),
		"lines": generateFile("", `{"email":"ada%d@example.com","name":"Ada","password":"`+bcrypt+"\"}\n", ""),
		"array": generateFile("[\n", `{"email":"ada%d@example.com","name":"Ada","password":"`+bcrypt+"\"},\n", "{}]"),
	} {
		reader, err := userfile.New(file, userfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		rows := 0
		for {
			row, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || row.Problems != nil {
				t.Fatalf("%s: %s: %v, %v", name, row.Place, row.Problems, err)
			}
			rows++
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); rows < endlessRows || grown > 1<<20 {
			t.Errorf("%s: %d rows take %d bytes", name, rows, grown)
		}
		runtime.KeepAlive(reader)
	}
}

// After a long account, the decoder's buffer is large. A reader that scans the whole buffer for each account would
// need most of a minute for this file, instead of a fraction of a second.
func TestLineNumbersAreRightAfterALongAccount(t *testing.T) {
	t.Parallel()
	const accounts = 20_000
	var file strings.Builder
	file.WriteString(`[{"x":"` + strings.Repeat("x", 12*userfile.MaxAccount) + "\"},\n")
	for n := range accounts {
		fmt.Fprintf(&file, "{\"id\":%d},\n", n)
	}
	file.WriteString("{}\n" + strings.Repeat("\n", 12*userfile.MaxAccount) + "]")
	rows, _ := readAll(t, file.String(), userfile.Options{})
	for n, row := range rows {
		if row.Line != n+1 {
			t.Fatalf("account %d is said to be in line %d", n+1, row.Line)
		}
	}
	if len(rows) != accounts+2 {
		t.Errorf("%d accounts", len(rows))
	}
}

const endlessRows = 30_000

// generateFile returns a file that is generated while it is read.
func generateFile(head, row, foot string) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		io.WriteString(writer, head)
		for n := range endlessRows {
			fmt.Fprintf(writer, row, n)
		}
		io.WriteString(writer, foot)
		writer.Close()
	}()
	return reader
}

func readAll(t testing.TB, file string, o userfile.Options) ([]userfile.Row, *userfile.Reader) {
	t.Helper()
	reader, err := userfile.New(strings.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	var rows []userfile.Row
	for {
		row, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return rows, reader
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"email,a,b\nx@x,\"y\nz@z,1,2\nq@q,1,2\"\n,,\n", "sep=;\n;\na;\"b\n1;2\"\n", "a,b\r1,2\r",
		"email,password\nada@example.com,\"x\ny\"\n", `{"email":"ada@example.com"}`, "[{\"email\":1},\n{}]", `{"a":{},"users":[{"enabled":0}],"b":[1]}`,
		"{\n\"email\":\"x\"\n}\n{}", "\ufeffa;b\r\n1;\"\"\"2\"\r\n", `[[{"users":[`, `{"createdAt":{"$date":{"$numberLong":"1"}},"roles":[{"$oid":""}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		reader, err := userfile.New(strings.NewReader(file), userfile.Options{})
		line := 0
		for n := 1; err == nil; n++ {
			var row userfile.Row
			if row, err = reader.Next(); err != nil {
				break
			}
			if row.Number != n || row.Line < line || row.Line > strings.Count(file, "\n")+strings.Count(file, "\r")+1 ||
				n > len(file) {
				t.Fatalf("account %d is number %d in line %d, after %d", n, row.Number, row.Line, line)
			}
			line = row.Line
		}
		if reader != nil {
			reader.Columns()
		}
	})
}
