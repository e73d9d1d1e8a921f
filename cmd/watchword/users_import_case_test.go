package main_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// casePassword is the password of every supported hash in testdata/import. The files have the form that other systems
// write, with made-up accounts.
const casePassword = "violet Kettle 93 harbour"

type importCase struct {
	file         string
	flags        string         // of the dry run and the import
	problems     []string       // of the dry run
	importError  string         // part of the expected error
	signInStatus map[string]int // expected, by account
}

const signedIn, accountOff, badLogin = 200, 403, 401

var importCases = []importCase{
	// Accounts that are disabled in the other system must stay disabled.
	{file: "ban.csv", signInStatus: map[string]int{"x": accountOff}},
	{file: "logto.csv", signInStatus: map[string]int{"ada": signedIn, "sus": accountOff}},
	{file: "better-auth-bcrypt.csv", signInStatus: map[string]int{"ada": signedIn, "banned": accountOff}},
	{file: "aspnet-bcrypt.csv", signInStatus: map[string]int{"ada": signedIn, "locked": accountOff}},
	{file: "aspnet.csv", signInStatus: map[string]int{"ada": signedIn, "two": signedIn, "locked": accountOff}},
	{file: "kratos.json", signInStatus: map[string]int{"ada": signedIn, "off": accountOff}},
	{file: "okta.json", signInStatus: map[string]int{"ada": signedIn, "sus": accountOff, "dep": badLogin}},
	{file: "supabase.csv", signInStatus: map[string]int{"ada": signedIn, "banned": accountOff, "over": signedIn,
		"gone": accountOff}},
	{file: "pocketbase.json", signInStatus: map[string]int{"ada": signedIn, "two": signedIn}},
	{file: "casdoor.json", signInStatus: map[string]int{"ada": signedIn, "forbidden": accountOff}},
	{file: "clerk.json", signInStatus: map[string]int{"ada": signedIn, "ban": accountOff, "other": badLogin}},
	{file: "fusionauth.json", signInStatus: map[string]int{"ada": signedIn, "change": badLogin}},
	{file: "unsettled.csv",
		importError: "membership_standing. Name it with --disabled COLUMN (or --verified COLUMN), or " +
			"exclude it with --ignore membership_standing"},
	{file: "unsettled.csv", flags: "--disabled=membership_standing=evicted",
		signInStatus: map[string]int{"ada": signedIn, "bad": accountOff}},

	{file: "better-auth.csv", signInStatus: map[string]int{"ada": signedIn, "banned": accountOff}},
	{file: "node-scrypt.csv", signInStatus: map[string]int{"ada": signedIn}},
	{file: "rewritten.csv",
		signInStatus: map[string]int{"better": signedIn, "node": signedIn, "net3": signedIn, "net2": signedIn,
			"fusion": signedIn}},
	{file: "label.csv", signInStatus: map[string]int{"a": signedIn, "b": signedIn}},
	{file: "passlib.csv", signInStatus: map[string]int{"a": signedIn, "b": signedIn, "c": signedIn, "d": accountOff}},
	{file: "clerk.csv", signInStatus: map[string]int{"vlad": signedIn}},
	{file: "auth0-custom.json", signInStatus: map[string]int{"ada": signedIn, "bob": accountOff}},
	{file: "meteor.json", signInStatus: map[string]int{"ada": signedIn}},
	{file: "prehash.csv", flags: "--prehash=sha256-hex", signInStatus: map[string]int{"ada": signedIn}},
	{file: "devise.csv", flags: "--pepper-file=pepper.txt", signInStatus: map[string]int{
		"ada": signedIn, "locked": accountOff}},
	{file: "rails-time.csv", signInStatus: map[string]int{"a": signedIn, "b": signedIn, "c": signedIn}},
	{file: "wrapped.json", signInStatus: map[string]int{"a": signedIn}},
	{file: "cognito-list-users.json", signInStatus: map[string]int{"johndoe": badLogin}},

	// The problem names the kind of the unsupported hash. Users with a supported hash in the same file sign in.
	{file: "wordpress.csv", problems: []string{"line 2: passwordHash: phpass ($P$, of WordPress and others) can't be " +
		"checked"}, signInStatus: map[string]int{"new": signedIn, "old": badLogin}},
	{file: "drupal.csv", problems: []string{"line 2: passwordHash: Drupal's $S$ (SHA-512) can't be checked"},
		signInStatus: map[string]int{"blocked": accountOff, "ada": badLogin}},
	{file: "phpbb.csv", problems: []string{"line 3: passwordHash: phpass ($H$, of phpBB) can't be checked"},
		signInStatus: map[string]int{"ada": signedIn, "inactive": accountOff, "old": badLogin}},
	{file: "ldap.csv", problems: []string{"line 2: passwordHash: {SSHA} of LDAP or Spring Security can't be checked"},
		signInStatus: map[string]int{"ada": badLogin, "b": signedIn, "c": signedIn, "d": signedIn, "e": badLogin}},
	{file: "discourse-phc.csv", problems: []string{"line 3: passwordHash: the salt of the hash is hexadecimal digits " +
		"where base64 is expected"}, signInStatus: map[string]int{"ada": signedIn, "salt": badLogin}},
	{file: "keycloak-more.json", problems: []string{"line 1, account 4: passwordHash: the file holds the password " +
		"itself and not a " +
		"hash"}, signInStatus: map[string]int{"temp": badLogin, "hist": signedIn, "oldkc": signedIn,
		"plain": badLogin}},

	// An import must not read NULL as a name, a role or a date.
	{file: "ssms-null.csv", signInStatus: map[string]int{"a": signedIn, "b": badLogin}},
	{file: "mssql.csv", signInStatus: map[string]int{"ada": signedIn, "bob": signedIn}},
	{file: "mysql-batch.tsv", signInStatus: map[string]int{"ada": signedIn, "bob": signedIn}},

	{file: "authelia.yml", importError: "the file is YAML. Write it as JSON"},
	{file: "ldap.ldif", importError: "the file is LDIF"},
}

// The test checks and imports files of other systems while the server runs. Then the users must be able to sign in.
// On PostgreSQL, the test imports a third of the files, because the result does not depend on the database.
//
// IMP-1, IMP-2, PW-10
func TestUsersOfOtherSystemsSignInAfterImport(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, arguments []string) {
		s := newServer(t, freeAddress(t))
		dir := startServer(t, s, append([]string{"--limits=off"}, arguments...)...)
		copyCase(t, dir, "pepper.txt", "")
		for i, c := range importCases {
			if arguments != nil && i%3 != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%d %s", i, c.file),
				func(t *testing.T) { c.run(t, s, dir, fmt.Sprintf("case%d.example", i), arguments) })
		}
	})
}

// copyCase copies a file of testdata/import to dir. If domain is not empty, it replaces example.com in the addresses.
func copyCase(t *testing.T, dir, name, domain string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "import", name))
	if err != nil {
		t.Fatal(err)
	}
	if domain != "" {
		text = []byte(strings.ReplaceAll(string(text), "example.com", domain))
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c importCase) run(t *testing.T, s *server, dir, domain string, arguments []string) {
	copyCase(t, dir, c.file, domain)
	args := append([]string{"users", "import", c.file, "--system=" + domain}, arguments...)
	if c.flags != "" {
		args = append(args, c.flags)
	}
	dry := run(t, call{dir: dir, args: append(args, "--dry-run")})
	if (dry.code == 0) != (c.importError == "" && c.problems == nil) {
		t.Fatalf("the dry run ends with %d:\n%s%s", dry.code, dry.out, dry.errors)
	}
	for _, problem := range c.problems {
		if !strings.Contains(dry.out, "\n"+problem) && !strings.HasPrefix(dry.out, problem) {
			t.Errorf("the dry run does not say %q:\n%s", problem, dry.out)
		}
	}
	if !strings.Contains(dry.out, "\nVerified: ") && dry.errors == "" {
		t.Errorf("verified and disabled accounts are not counted:\n%s", dry.out)
	}
	if c.problems != nil {
		args = append(args, "--skip-bad")
	}
	imported := run(t, call{dir: dir, args: args})
	if (imported.code == 0) != (c.importError == "") || !strings.Contains(imported.errors, c.importError) {
		t.Fatalf("the import ends with %d:\n%s%s", imported.code, imported.out, imported.errors)
	}
	for i, name := range slices.Sorted(maps.Keys(c.signInStatus)) {
		want := c.signInStatus[name]
		device := newDevice(t, s.address)
		if i == 0 { // one wrong password is enough: it takes as long as the slowest hash
			device.post(t, "/login", body{"email": name + "@" + domain, "password": "not " + casePassword}, badLogin)
		}
		answer := device.mustSend(t, "POST", "/login", body{"email": name + "@" + domain, "password": casePassword})
		if answer.status != want {
			t.Errorf("%s: a sign-in gives %d, not %d\n%s", name, answer.status, want, imported.out)
		}
	}
}

// --try verifies a known password without an import. If the password does not fit, the output must name the right
// flags.
//
// IMP-2
func TestTryNamesTheFlagsThatFit(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the slow hashes of many systems are not computed")
	}
	dir := t.TempDir()
	for _, c := range []struct {
		file, email, flags, input string
		code                      int
		says                      string
	}{
		{"node-scrypt.csv",
			"ada", "", casePassword, 0, "The password of ada@example.com fits: scrypt. It will sign in."},
		{"prehash.csv", "ada", "", casePassword, 1, "fits with: --prehash sha256-hex."},
		{"prehash.csv",
			"ada", "--prehash=sha256-hex", casePassword, 0, "fits: bcrypt of the sha256-hex of the password."},
		{"meteor.json", "ada", "", casePassword, 0, "fits: bcrypt of the sha256-hex of the password."},
		{"devise.csv",
			"ada", "", casePassword, 1, "If the system adds a pepper to passwords, name it with --pepper-file"},
		{"devise.csv",
			"ada", "--pepper-file=pepper.txt", casePassword, 0, "fits: bcrypt of the password and the pepper."},
		{"node-scrypt.csv", "ada", "--pepper-file=pepper.txt", casePassword, 1, "fits with: no --pepper-file."},
		{"discourse-phc.csv", "salt", "", casePassword, 1, "fits with: --salt-encoding text."},
		{"discourse-phc.csv", "salt", "--salt-encoding=text", casePassword, 0, "salt as text."},
		{"discourse-phc.csv", "ada", "", "not " + casePassword, 1,
			"does not fit, neither as pbkdf2-sha256 nor in any other known way"},
		{"drupal.csv", "ada", "", casePassword, 1, "Drupal's $S$"},
		{"keycloak-more.json", "temp", "", casePassword, 1, "has a temporary password"},
		{"ban.csv", "nobody", "", casePassword, 1, "no account in ban.csv has the address nobody@example.com"},
		{"ban.csv", "x", "", "", 2, "standard input, which is empty"},
	} {
		copyCase(t, dir, c.file, "")
		copyCase(t, dir, "pepper.txt", "")
		args := []string{"users", "import", c.file, "--try=" + c.email + "@example.com"}
		if c.flags != "" {
			args = append(args, c.flags)
		}
		got := run(t, call{dir: dir, args: args, input: c.input + "\n"})
		if got.code != c.code || !strings.Contains(got.out+got.errors, c.says) {
			t.Errorf("%s %s: exit code %d, not %d, and it says\n%s%s", c.file, c.flags, got.code, c.code, got.out,
				got.errors)
		}
		if strings.Contains(got.out+got.errors, casePassword) || strings.Contains(got.out+got.errors, "c0ffee") {
			t.Errorf("%s: it shows a secret", c.file)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "watchword-data")); err == nil {
		t.Error("a database was created")
	}
}
