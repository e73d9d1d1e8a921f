package watchword_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// docs/logs.md, docs/data.md and docs/cryptography.md are inventories for auditors. These tests
// compare them with the code. access_test.go compares the rules of fields and routes.

func TestEveryLogMessageIsInTheInventory(t *testing.T) {
	t.Parallel()
	page := readText(t, "docs/logs.md")
	messages := map[string]string{}
	productFiles(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if text, found := loggedMessage(call); found {
					messages[text] = path
					row, _, _ := strings.Cut(page[max(0, strings.Index(page, "| `"+text+"`")):], "\n")
					for _, field := range loggedFields(call) {
						if !strings.Contains(row, "`"+field+"`") {
							t.Errorf("docs/logs.md: the row of %q lacks the field %s of %s", text, field, path)
						}
					}
				}
			}
			return true
		})
	})
	if len(messages) < 30 {
		t.Fatalf("the test found only %d messages", len(messages))
	}
	for _, text := range slices.Sorted(maps.Keys(messages)) {
		if !strings.Contains(page, "`"+text+"`") && !strings.Contains(page, "`` "+text+" ``") &&
			!strings.Contains(page, "``"+text+" ``") {
			t.Errorf("docs/logs.md doesn't list %q of %s", text, messages[text])
		}
	}
}

// loggedMessage returns the first literal text of a call such as e.log.Warn("…").
func loggedMessage(call *ast.CallExpr) (string, bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error", "LogAttrs"}, method.Sel.Name) ||
		!isLogger(method.X) {
		return "", false
	}
	for _, arg := range call.Args {
		if sum, ok := arg.(*ast.BinaryExpr); ok {
			arg = sum.X
		}
		if literal, ok := arg.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			return text, err == nil
		}
	}
	return "", false
}

func loggedFields(call *ast.CallExpr) (names []string) {
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			field, ok := n.(*ast.CallExpr)
			if !ok || len(field.Args) == 0 {
				return true
			}
			attr, _ := field.Fun.(*ast.SelectorExpr)
			literal, named := field.Args[0].(*ast.BasicLit)
			if from, _ := packageOf(attr); from == "slog" && named {
				if name, err := strconv.Unquote(literal.Value); err == nil {
					names = append(names, name)
				}
			}
			return true
		})
	}
	return names
}

func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log") || x.Name == "slog"
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, "log")
	}
	return false
}

func TestEveryEventKindIsInTheInventory(t *testing.T) {
	t.Parallel()
	page := readText(t, "docs/logs.md")
	var kinds [][]string
	for _, f := range readHouse(t, os.DirFS(".")) {
		if !f.test {
			kind := regexp.MustCompile(`EventKind = "([a-z_]+)"`)
			kinds = append(kinds, kind.FindAllStringSubmatch(readText(t, f.path), -1)...)
		}
	}
	if len(kinds) < 40 {
		t.Fatalf("the test found only %d kinds", len(kinds))
	}
	for _, kind := range kinds {
		if !strings.Contains(page, "`"+kind[1]+"`") {
			t.Errorf("docs/logs.md doesn't list the event %s", kind[1])
		}
	}
}

func TestEveryColumnHasADataClass(t *testing.T) {
	t.Parallel()
	page := readText(t, "docs/data.md")
	files, err := filepath.Glob("store/sqlite/migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	var columns int
	for _, path := range files {
		for table, names := range columnsOf(readText(t, path)) {
			rows := rowsOfTable(page, table)
			for _, name := range names {
				columns++
				if !strings.Contains(rows, "`"+name+"`") {
					t.Errorf("docs/data.md doesn't list %s.%s of %s", table, name, path)
				}
			}
		}
	}
	if columns < 70 {
		t.Errorf("the test found only %d columns", columns)
	}
}

var (
	createTable = regexp.MustCompile(`(?ms)^CREATE TABLE (\w+) \((.*?)^\)`)
	columnLine  = regexp.MustCompile(`(?m)^    ([a-z_]+) +[A-Z]`)
	addColumn   = regexp.MustCompile(`ALTER TABLE (\w+) ADD COLUMN (\w+)`)
)

func columnsOf(migration string) map[string][]string {
	found := map[string][]string{}
	for _, table := range createTable.FindAllStringSubmatch(migration, -1) {
		for _, column := range columnLine.FindAllStringSubmatch(table[2], -1) {
			found[table[1]] = append(found[table[1]], column[1])
		}
	}
	for _, added := range addColumn.FindAllStringSubmatch(migration, -1) {
		found[added[1]] = append(found[added[1]], added[2])
	}
	return found
}

// rowsOfTable returns the rows about one database table: the row that names the table, and the rows below it with an
// empty first cell.
func rowsOfTable(page, table string) string {
	_, rest, _ := strings.Cut(page, "\n| `"+table+"` |")
	rows, _, _ := strings.Cut(rest, "\n| `")
	return rows
}

func TestEveryPackageOfCryptographyIsInTheInventory(t *testing.T) {
	t.Parallel()
	page := readText(t, "docs/cryptography.md")
	packages := map[string]string{}
	productFiles(t, func(path string, file *ast.File) {
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err == nil && (strings.HasPrefix(name, "crypto/") || strings.HasPrefix(name, "golang.org/x/crypto/")) {
				packages[strings.TrimSuffix(name, "/asn1")] = path
			}
		}
	})
	if len(packages) < 15 {
		t.Fatalf("the test found only %d packages", len(packages))
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/cryptography.md doesn't list %s of %s", name, packages[name])
		}
	}
}

// connectingCalls lists functions that open a connection or a listener, and types that do.
var connectingCalls = map[string][]string{
	"net":     {"Dial", "DialTimeout", "Dialer", "Listen", "ListenPacket", "ListenConfig"},
	"tls":     {"Dial", "DialWithDialer", "Listen"},
	"http":    {"Client", "DefaultClient", "Get", "Post", "PostForm", "Head", "Transport", "ListenAndServe"},
	"gomail":  {"NewClient"},
	"pgx":     {"Connect", "ConnectConfig"},
	"pgxpool": {"New", "NewWithConfig"},
	"exec":    {"Command", "CommandContext"},
}

func TestEveryConnectionIsInTheInventory(t *testing.T) {
	t.Parallel()
	table := readSection(t, "docs/data.md", "## Communications")
	found := map[string]bool{}
	productFiles(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				from, name := qualifiedName(selector)
				found[path] = found[path] || slices.Contains(connectingCalls[from], name)
			}
			if client, ok := n.(*ast.CompositeLit); ok && isType(client.Type, "http", "Client") &&
				!hasMember(client, "CheckRedirect") && path != "verify/issuer.go" { // sets it after the literal
				t.Errorf("%s: a client of HTTP without CheckRedirect follows redirects", path)
			}
			return true
		})
	})
	connects := 0
	for _, path := range slices.Sorted(maps.Keys(found)) {
		if !found[path] {
			continue
		}
		connects++
		// server/lengths.go wraps listeners of its callers, and verify takes their client.
		other := []string{"server/lengths.go", "server/lengths_tls.go", "verify/verify.go"}
		if !slices.Contains(other, path) && !strings.Contains(table, path) {
			t.Errorf("docs/data.md, Communications: %s connects or listens and is not listed", path)
		}
	}
	for _, path := range regexp.MustCompile(`[a-z/_]+\.go`).FindAllString(table, -1) {
		if !found[path] {
			t.Errorf("docs/data.md, Communications: %s neither connects nor listens", path)
		}
	}
	if connects < 8 {
		t.Fatalf("the test found only %d files", connects)
	}
}

// These packages start programs, leave the memory safety of Go, or decode types that the sender
// chooses. text/template does not escape; only the text part of mails needs no escaping. One file
// compares bytes of memory that SQLite has mapped, because SQLite offers no other way to them.
func TestDangerousPackagesAreNotImported(t *testing.T) {
	t.Parallel()
	banned := []string{"os/exec", "unsafe", "C", "plugin", "encoding/gob", "encoding/xml", "net/rpc", "net/http/cgi",
		"math/rand", "math/rand/v2", "text/template"}
	exceptions := map[string]string{"mail/mail.go": "text/template", "store/sqlite/walindex_linux.go": "unsafe"}
	productFiles(t, func(path string, file *ast.File) {
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err == nil && slices.Contains(banned, name) && exceptions[path] != name {
				t.Errorf("%s imports %s", path, name)
			}
		}
	})
}

// sleep.For is the only wait that has nothing but a time and a context. The other timers wait for more.
func TestWaitsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	timers := []string{"internal/sleep/sleep.go", "internal/passhash/pool.go", "internal/feedlog/feedlog.go"}
	productFiles(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			selector, _ := n.(*ast.SelectorExpr)
			from, name := qualifiedName(selector)
			if from == "time" && (name == "Sleep" || name == "NewTimer" && !slices.Contains(timers, path)) &&
				path != "store/storetest/ready.go" && path != "internal/pgtest/standby.go" {
				t.Errorf("%s calls time.%s: use sleep.For", path, name)
			}
			return true
		})
	})
}

func TestRegularExpressionsAreConstant(t *testing.T) {
	t.Parallel()
	seen := 0
	productFiles(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			selector, _ := call.Fun.(*ast.SelectorExpr)
			if from, name := qualifiedName(selector); from == "regexp" && strings.HasSuffix(name, "Compile") {
				seen++
				if literal, ok := call.Args[0].(*ast.BasicLit); !ok || literal.Kind != token.STRING {
					t.Errorf("%s: a regular expression is not a literal", path)
				}
			}
			return true
		})
	})
	if seen < 10 {
		t.Fatalf("the test found only %d regular expressions", seen)
	}
}

// docs/logs.md says that the log goes to standard error of serve and nowhere else. Other packages
// get their logger from their caller, or discard.
func TestOnlyServeChoosesWhereTheLogGoes(t *testing.T) {
	t.Parallel()
	productFiles(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			selector, _ := n.(*ast.SelectorExpr)
			from, name := qualifiedName(selector)
			handler := from == "slog" && (name == "NewJSONHandler" || name == "NewTextHandler" || name == "Default" ||
				name == "SetDefault" || name == "Info" || name == "Warn" || name == "Error")
			old := from == "log" && (strings.HasPrefix(name, "Print") || strings.HasPrefix(name, "Fatal") ||
				name == "New" || name == "Default")
			if (handler || old) && path != "cmd/watchword/log.go" && !strings.Contains(path, "/gen/") {
				t.Errorf("%s: %s.%s writes a log", path, from, name)
			}
			return true
		})
	})
}

// The scripts of pages and packages neither write HTML nor evaluate text nor store data.
func TestScriptsAvoidDangerousFunctions(t *testing.T) {
	t.Parallel()
	banned := regexp.MustCompile(`\beval\(|new Function\b|innerHTML|outerHTML|insertAdjacentHTML|document\.write|` +
		`localStorage|sessionStorage|indexedDB|__proto__|addEventListener\("message"|window\.name`)
	files := 0
	for _, pattern := range []string{"web/assets/*.js", "clients/*/src/*.ts"} {
		paths, err := filepath.Glob(pattern)
		must(t, err)
		for _, path := range paths {
			files++
			if found := banned.FindString(readText(t, path)); found != "" {
				t.Errorf("%s contains %s", path, found)
			}
		}
	}
	if files < 15 {
		t.Fatalf("the test found only %d files", files)
	}
}

// readSection ends before the next heading of the same level.
func readSection(t *testing.T, path, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(readText(t, path), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", path, heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	part, _, _ := strings.Cut(rest, "\n"+level+" ")
	return part
}

// qualifiedName returns http and Client for http.Client.
func qualifiedName(e *ast.SelectorExpr) (from, name string) {
	from, ok := packageOf(e)
	if !ok {
		return "", ""
	}
	return from, e.Sel.Name
}

func isType(x ast.Expr, from, name string) bool {
	selector, _ := x.(*ast.SelectorExpr)
	pkg, typ := qualifiedName(selector)
	return pkg == from && typ == name
}

func hasMember(literal *ast.CompositeLit, name string) bool {
	return slices.ContainsFunc(literal.Elts, func(x ast.Expr) bool {
		pair, ok := x.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		key, _ := pair.Key.(*ast.Ident)
		return key != nil && key.Name == name
	})
}

// productFiles skips tests, measurements and tools.
func productFiles(t *testing.T, visit func(path string, file *ast.File)) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			other := []string{"lab", "tools", "examples", "clients", "deploy", "bin", "dist", "build", ".git",
				"internal/pgtest", "internal/npmtest", "internal/porttest", "internal/browsertest",
				"internal/password/gen",
				"dialect/internal/dialecttest"}
			if slices.Contains(other, path) || entry.Name() == "node_modules" || entry.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(filepath.ToSlash(path), file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
