package watchword_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/locale"
	"github.com/watchword-auth/watchword/internal/password"
)

// docs/data.md lists the fields of the tables and the access rules of the routes. docs/session-limits.md lists the
// flows that open a session. The tests in this file compare both pages with the code.

// guardTexts maps the guards of server/routes.go to their texts in the access table.
var guardTexts = map[string]string{
	"public": "no credential", "bearer": "access token", "refresh": "refresh token", "mailedToken": "mailed token",
	"anyToken": "any token", "firstFactor": "access token, or a waiting sign-in",
	"readUsers": "admin, or key with users:read", "writeUsers": "admin with a fresh proof, or key with users:write",
	"endSessions": "admin with a fresh proof, or key with sessions:end",
	"readEvents":  "admin, or key with events:read", "readMails": "admin, or key with mail",
	"writeMails": "admin with a fresh proof, or key with mail",
	"readKeys":   "admin, or key with keys", "writeKeys": "admin with a fresh proof, or key with keys",
	"readNoKey": "admin", "writeNoKey": "admin with a fresh proof",
}

func TestEveryRouteIsListedInTheAccessTable(t *testing.T) {
	t.Parallel()
	code, _, _ := strings.Cut(readText(t, "server/routes.go"), "\nfunc (p *pages) routes()")
	// The test reads the routes of the optional features from the source. Each feature lists its routes in a method
	// whose name ends with Routes, with constants as paths.
	files, err := filepath.Glob("server/api_*.go")
	must(t, err)
	for _, file := range files {
		_, more, found := strings.Cut(readText(t, file), "Routes() []route {\n")
		if base := regexp.MustCompile(`const path = pathAPI \+ ("[^"]+")`).FindStringSubmatch(more); found && base != nil {
			more = strings.ReplaceAll(more, `", path + "`, `", pathAPI + "`+strings.Trim(base[1], `"`))
			more = strings.ReplaceAll(more, `", path,`, `", pathAPI + `+base[1]+`,`)
		}
		code += more
	}
	paths := map[string]string{}
	for _, constant := range regexp.MustCompile(`(path\w+) += (?:(path\w+) \+ )?"([^"]+)"`).FindAllStringSubmatch(code, -1) {
		paths[constant[1]] = paths[constant[2]] + constant[3]
	}
	table := readSection(t, "docs/data.md", "## Access")
	route := regexp.MustCompile(`\{(?:"([A-Z]+)"|anyMethod), (path\w+)(?: \+ "([^"]+)")?, [\w.()]+, (\w+),`)
	found := route.FindAllStringSubmatch(code, -1)
	if rows := strings.Count(code, "\n\t\t{"); len(found) != rows {
		t.Fatalf("the test found %d of %d routes", len(found), rows)
	}
	for _, one := range found {
		row := "| `" + strings.TrimSpace(one[1]+" "+paths[one[2]]+one[3]) + "` | " + guardTexts[one[4]] + " |"
		if guardTexts[one[4]] == "" || !strings.Contains(table, row) {
			t.Errorf("docs/data.md, Access: no row begins with %s", row)
		}
	}
	if rows := strings.Count(table[:strings.Index(table, "\n### ")], "\n| `"); rows != len(found) {
		t.Errorf("docs/data.md, Access: %d rows for %d routes", rows, len(found))
	}
}

func TestFieldsOfUsersHaveAccessRules(t *testing.T) {
	t.Parallel()
	rows := tableRows(readSection(t, "docs/data.md", "### Access to fields"))
	members := map[string][]string{} // table → members of the API
	for _, row := range rows {
		table, column, _ := strings.Cut(strings.Trim(row[0], "`"), ".")
		if !strings.Contains(rowsOfTable(readText(t, "docs/data.md"), table), "`"+column+"`") {
			t.Errorf("%s is no column", row[0])
		}
		if member := quotedNames(row[1]); len(member) > 0 {
			members[table] = append(members[table], member[0])
		}
		wantPatch := table == "users" && slices.Contains([]string{"name", "locale"}, column)
		if strings.Contains(row[3], "PATCH /api/auth/me") != wantPatch {
			t.Errorf("%s: changed by %s", row[0], row[3])
		}
	}
	profile, bodies := profileMembers(), membersByType(t, "server/api_*.go")
	for name, c := range map[string]struct{ documented, code []string }{
		"the profile": {members["users"], profile},
		// The API computes the field current, so the table has no column for it.
		"a session":           {append(members["sessions"], "current"), bodies["sessionBody"]},
		"a factor":            {members["factors"], bodies["factorBody"]},
		"a remembered device": {members["devices"], bodies["deviceBody"]},
		"PATCH /api/auth/me":  {[]string{"name", "locale"}, bodies["updateMeBody"]},
	} {
		slices.Sort(c.documented)
		slices.Sort(c.code)
		if !slices.Equal(c.documented, c.code) {
			t.Errorf("%s: docs/data.md has %q, the code has %q", name, c.documented, c.code)
		}
	}
}

// A field that users see must have the same name in the API, in the API for administrators, in an export, and in the
// type of the browser client.
func TestMembersOfAProfileAreInEveryShapeOfAnAccount(t *testing.T) {
	t.Parallel()
	export := readText(t, "cmd/internal/userimport/export.go")
	_, columns, _ := strings.Cut(export, "var exportedColumns = []string{")
	columns, _, _ = strings.Cut(columns, "\n}")
	_, client, _ := strings.Cut(readText(t, "clients/typescript/src/api.ts"), "export interface User {\n")
	client, _, _ = strings.Cut(client, "\n}")
	var typed, cells []string
	for _, member := range regexp.MustCompile(`(?m)^  (\w+): `).FindAllStringSubmatch(client, -1) {
		typed = append(typed, member[1])
	}
	for _, cell := range regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(columns, -1) {
		cells = append(cells, cell[1])
	}
	for shape, members := range map[string][]string{
		"adminUserBody":                         membersByType(t, "server/api_admin.go")["adminUserBody"],
		"exportedUser":                          membersByType(t, "cmd/internal/userimport/export.go")["exportedUser"],
		"exportedColumns":                       cells,
		"User of clients/typescript/src/api.ts": typed,
	} {
		for _, name := range profileMembers() {
			if !slices.Contains(members, name) {
				t.Errorf("%s lacks the member %s of a Profile: it has %q", shape, name, members)
			}
		}
	}
}

func TestProfileCopiesEveryMember(t *testing.T) {
	t.Parallel()
	var user watchword.User
	for _, field := range reflect.ValueOf(&user).Elem().Fields() {
		switch field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.Now()))
		case []string:
			field.Set(reflect.ValueOf([]string{"admin"}))
		case int:
			field.SetInt(1)
		case bool:
			field.SetBool(true)
		default:
			field.SetString("a text")
		}
	}
	for field, value := range reflect.ValueOf(user.Profile()).Fields() {
		if value.IsZero() {
			t.Errorf("User.Profile leaves %s empty", field.Name)
		}
	}
}

func TestEveryMemberOfABodyIsListedWithItsRule(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, row := range tableRows(readSection(t, "docs/data.md", "## Fields")) {
		for _, name := range quotedNames(row[1]) {
			documented[name] = true
		}
	}
	answers := regexp.MustCompile(`^(signedIn|message|session|factor|codesLeft|challenge|device|adminUser)Body$|Answer$`)
	seen := map[string]bool{}
	for body, members := range membersByType(t, "server/api_*.go") {
		for _, name := range members {
			if answers.MatchString(body) {
				continue
			}
			seen[name] = true
			if !documented[name] {
				t.Errorf("docs/data.md, Fields: %s of %s has no rule", name, body)
			}
		}
	}
	if len(seen) < 15 {
		t.Fatalf("the test found only %d members", len(seen))
	}
}

// docs/dialects.md must list exactly the members of the request bodies of sign-up and sign-in.
func TestDialectsPageListsTheMembersOfTheCompleteGuide(t *testing.T) {
	t.Parallel()
	listed := map[string][]string{}
	for _, row := range tableRows(readSection(t, "docs/dialects.md", "## The complete guide")) {
		listed[strings.Trim(row[0], "`")] = quotedNames(row[1])
	}
	bodies := membersByType(t, "server/api_*.go")
	for route, members := range map[string][]string{
		"POST /api/auth/register": bodies["registerBody"], "POST /api/auth/login": bodies["loginBody"],
	} {
		have := slices.Sorted(slices.Values(listed[route]))
		if slices.Sort(members); !slices.Equal(have, members) {
			t.Errorf("%s: docs/dialects.md has %q, the code has %q", route, have, members)
		}
	}
}

// The test tries each bound that the page names, and the next larger value.
func TestFieldRulesHoldAsDocumented(t *testing.T) {
	t.Parallel()
	rules := map[string]string{}
	for _, row := range tableRows(readSection(t, "docs/data.md", "## Fields")) {
		rules[row[0]] = row[2]
	}
	bound := func(field, pattern string) int {
		match := regexp.MustCompile(pattern).FindStringSubmatch(rules[field])
		if match == nil {
			t.Fatalf("docs/data.md, Fields: the rule of %s has no bound %q: %q", field, pattern, rules[field])
		}
		n, err := strconv.Atoi(strings.ReplaceAll(match[1], ",", ""))
		must(t, err)
		return n
	}
	domain := strings.Repeat(strings.Repeat("d", 60)+".", 5)
	try := func(name string, limit int, accepts func(n int) bool) {
		t.Helper()
		if !accepts(limit) || accepts(limit+1) {
			t.Errorf("%s: the bound %d of docs/data.md is accepted: %t, and one more: %t", name, limit,
				accepts(limit), accepts(limit+1))
		}
	}
	try("email address", bound("email address", `at most ([0-9,]+) bytes`), func(n int) bool {
		_, err := address.Parse("ada@" + domain[:n-len("ada@com")] + "com")
		return err == nil
	})
	try("local part", bound("email address", `local part of at most ([0-9,]+) bytes`), func(n int) bool {
		_, err := address.Parse(strings.Repeat("a", n) + "@example.com")
		return err == nil
	})
	try("password, characters", bound("new password", `at most ([0-9,]+) characters`), func(n int) bool {
		return password.Check(strings.Repeat("xy z", n)[:n], 8, nil) == ""
	})
	for _, field := range []string{"new password", "password at sign-in"} {
		try(field+", bytes", bound(field, `([0-9,]+) bytes`), func(n int) bool {
			_, err := password.Normalize(strings.Repeat("x", n))
			return !errors.Is(err, password.ErrTooLong)
		})
	}
	try("locale", bound("locale", `at most ([0-9,]+) bytes`), func(n int) bool {
		_, ok := locale.Parse("en-x-" + strings.Repeat("abcdefgh-", 10)[:n-len("en-x-")])
		return ok
	})
	for _, body := range []string{"JSON body", "form"} {
		if n := bound(body, `at most ([0-9,]+) KiB`); n<<10 != apirequest.MaxBody {
			t.Errorf("%s: %d KiB, and the code has %d bytes", body, n, apirequest.MaxBody)
		}
	}
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	try("name", bound("name", `at most ([0-9,]+) characters`), func(n int) bool {
		name := strings.Repeat("ä", n)
		_, err := r.UpdateProfile(t.Context(), r.authenticate(t, in), watchword.ProfileChange{Name: &name})
		return err == nil
	})
	setRoles := func(roles ...string) bool {
		_, err := r.Operator().SetRoles(t.Context(), in.User.ID, roles)
		return err == nil
	}
	try("number of roles", bound("roles", `at most ([0-9,]+),`), func(n int) bool {
		var roles []string
		for i := range n {
			roles = append(roles, "r"+strconv.Itoa(i))
		}
		return setRoles(roles...)
	})
	try("length of a role", bound("roles", `up to ([0-9,]+) lower-case`), func(n int) bool {
		return setRoles(strings.Repeat("r", n))
	})
}

func TestWordsOfPasswordsAreDocumented(t *testing.T) {
	t.Parallel()
	code := readText(t, "internal/password/personal.go")
	_, code, _ = strings.Cut(code, "func serviceWords()")
	code, _, _ = strings.Cut(code, "\n}")
	words := regexp.MustCompile(`"([a-z]+)"`).FindAllStringSubmatch(code, -1)
	list := quotedNames(readSection(t, "docs/data.md", "### Words of passwords"))
	if len(words) < 10 {
		t.Fatalf("the test found only %d words", len(words))
	}
	for _, word := range words {
		if !slices.Contains(list, word[1]) {
			t.Errorf("docs/data.md, Words of passwords, lacks %s", word[1])
		}
	}
}

// Every function that calls admit is a way to a session. So is every function that calls signInByLink,
// which calls admit.
func TestEveryWayToASessionIsListed(t *testing.T) {
	t.Parallel()
	table := readSection(t, "docs/session-limits.md", "## Ways to a session")
	callers := rootFunctionsCalling(t, "admit")
	callers = append(callers, rootFunctionsCalling(t, "signInByLink")...)
	if len(callers) < 6 {
		t.Fatalf("the test found only %q", callers)
	}
	for _, caller := range callers {
		if !strings.Contains(table, "`"+caller+"`") {
			t.Errorf("docs/session-limits.md, Ways to a session, lacks %s", caller)
		}
	}
}

func TestReasonsOfSessionLimitsNameTheDefaults(t *testing.T) {
	t.Parallel()
	settings := readText(t, "docs/settings.md")
	rows := tableRows(readText(t, "docs/session-limits.md"))
	limits := 0
	for _, row := range rows {
		name := strings.Trim(row[0], "`")
		_, rest, found := strings.Cut(settings, "\n| `"+name+"` | `")
		if !found {
			continue
		}
		limits++
		value, _, _ := strings.Cut(rest, "`")
		if want := inWords(value); strings.Trim(row[1], "`") != want {
			t.Errorf("docs/session-limits.md: %s is %s, want %s", name, row[1], want)
		}
	}
	if limits < 7 {
		t.Errorf("the test found only %d limits", limits)
	}
}

// inWords writes a setting as the page does: 168h as 7 days, 60/1m as 60 in 1 minute.
func inWords(value string) string {
	if count, per, isLimit := strings.Cut(value, "/"); isLimit {
		return count + " in " + inWords(per)
	}
	span, err := time.ParseDuration(value)
	if err != nil || value == "0" {
		return value
	}
	for _, unit := range []struct {
		name string
		span time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := int(span / unit.span); n == 1 && span%unit.span == 0 {
			return "1 " + unit.name
		} else if n > 1 && span%unit.span == 0 {
			return strconv.Itoa(n) + " " + unit.name + "s"
		}
	}
	return value
}

// tableRows returns the cells of each row of the tables of a text, without their heads.
func tableRows(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "| ---") { // below a head
			rows = rows[:len(rows)-1]
			continue
		}
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// quotedNames returns the names in backticks.
func quotedNames(text string) (names []string) {
	for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	return names
}

func jsonName(tag reflect.StructTag) string {
	name, _, _ := strings.Cut(tag.Get("json"), ",")
	return name
}

func profileMembers() (names []string) {
	for field := range reflect.TypeFor[watchword.Profile]().Fields() {
		names = append(names, jsonName(reflect.StructTag(field.Tag)))
	}
	return names
}

func membersByType(t *testing.T, pattern string) map[string][]string {
	t.Helper()
	bodies := map[string][]string{}
	paths, err := filepath.Glob(pattern)
	must(t, err)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			shape, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range shape.Fields.List {
				if embedded, _ := field.Type.(*ast.SelectorExpr); len(field.Names) == 0 && embedded != nil &&
					embedded.Sel.Name == "Profile" {
					bodies[spec.Name.Name] = append(bodies[spec.Name.Name], profileMembers()...)
				}
				if field.Tag == nil {
					continue
				}
				tag, err := strconv.Unquote(field.Tag.Value)
				must(t, err)
				if name := jsonName(reflect.StructTag(tag)); name != "" {
					bodies[spec.Name.Name] = append(bodies[spec.Name.Name], name)
				}
			}
			return true
		})
	}
	return bodies
}

func rootFunctionsCalling(t *testing.T, method string) (callers []string) {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	must(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		must(t, err)
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			ast.Inspect(function.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if selector, ok := call.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == method {
					callers = append(callers, function.Name.Name)
				}
				return true
			})
		}
	}
	return callers
}
