package watchword_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

// These tests read the source files and check the rules of ARCHITECTURE.md. A package may import only what the table
// allows, and some names and calls are forbidden. Files and functions have a maximum length. The import table may
// name a package that does not exist yet. A package that is not in the table is a fault.

const module = "github.com/watchword-auth/watchword"

// An importRule names folders of packages. "root" is the engine, "x/*" is every folder in the folder x, and "*" is
// everything in the module.
type importRule struct {
	importers string
	allowed   string // packages of the module
	forbidden string // packages of any module
}

const (
	// edgePackages are forbidden for the engine and the wings.
	edgePackages = "net/http net/http/* database/sql database/sql/* html/template"

	// wings use accounts and sessions and belong to ring 2. They import the engine, and
	// neither the engine nor another wing imports them. provider and hooks don't exist yet.
	wings = "accountimport admin factors federation metadata provider hooks usersearch"
)

// Each row says what the files of a package may import. Test files may import everything, because they run on the
// real stores and mailers. But the test files of internal/* must obey the row, because these packages are tested
// alone.
var importTable = []importRule{
	{"internal/*", "internal/*", ""},
	{"root", "internal/*", edgePackages},
	{"accountimport", "root internal/*", edgePackages},
	{"admin", "root internal/*", edgePackages},
	{"admin/client", "internal/*", ""}, // for programs outside of this module
	{"factors", "root internal/*", edgePackages},
	{"federation", "root internal/*", edgePackages},
	{"metadata", "root internal/*", edgePackages},
	{"federation/providers", "root federation internal/*", "database/sql database/sql/* html/template"},
	{"provider", "root internal/*", edgePackages},
	{"hooks", "root internal/*", edgePackages},
	{"usersearch", "root internal/*", edgePackages},
	{"store/internal/sqlstore store/storetest", "root internal/* " + wings, ""},
	{"store/sqlite store/postgres", "root internal/* store/internal/sqlstore " + wings, ""},
	{"mail", "root web internal/*", ""},
	{"mail/*", "root internal/* mail", ""},
	{"verify", "internal/*", ""},
	{"web", "", ""},
	{"dialect", "root", ""},
	{"server", "root verify web internal/* dialect " + wings, "store/*"},
	{"dialect/internal/dialecttest", "root server dialect dialect/* store/sqlite internal/*", ""},
	{"dialect/*", "root verify dialect internal/*", "store/*"},
	{"cmd/internal/userimport", "root accountimport internal/*", edgePackages},
	{"cmd/*", "*", "web"},
	{"embedded", "root factors federation server mail mail/* store/*", ""},
	// The trials of lab/timing need accounts with factors, and a server with a provider. The lab is outside of the
	// rings: no package imports it.
	{"lab/timing", "root accountimport factors federation federation/providers server internal/* store/*", ""},
	{"lab lab/*", "root accountimport admin internal/* store/* lab/*", ""},
	{"examples examples/*", "root admin/client embedded verify server dialect/* store/* mail mail/*", ""},
}

const (
	unwantedNames = "util utils common helper helpers types models"

	// This method disables the cross-origin check of net/http for a pattern.
	unwantedCall = "AddInsecureBypassPattern"

	// Only tests may call this function, because its hashes are too weak to protect a password.
	testOnlyCall = "LowestParams"

	// Only the function doorFunc may call the method doorCall, so that every new session passes the checks of
	// doorFunc. The stores, which implement doorCall, and their test suite are exceptions.
	doorCall = "InsertSession"
	doorFile = "entry.go"
	doorFunc = "admit"

	maxRootFiles    = 36
	maxRootLines    = 7500
	maxFileLines    = 500
	maxFuncLines    = 60
	maxLongLines    = 80 // of a function whose comment says why it is long
	maxFuncParams   = 5
	maxColumns      = 120 // outside of raw strings; a tab counts 4 columns in tests, otherwise 1
	maxTxMethods    = 12  // methods of each interface that Tx is composed of
	minComments     = 20  // minimum per cent of comment lines in a package of commentedPackages
	orChangeThePlan = "or change ARCHITECTURE.md and the table in house_test.go together"
)

// commentedPackages are the packages whose code has rules, races and limits that only a
// comment can explain. At least one line in five is a comment.
const commentedPackages = "server store/internal/sqlstore store/sqlite store/postgres cmd/watchword"

func TestPackagesImportOnlyAllowedPackages(t *testing.T) {
	t.Parallel()
	reportFaults(t, importFaults(readHouse(t, os.DirFS("."))))
}

// KEY-5, CSRF-5
func TestUnwantedNamesImportsAndCallsAreAbsent(t *testing.T) {
	t.Parallel()
	reportFaults(t, unwantedFaults(readHouse(t, os.DirFS("."))))
}

// The import table only restricts direct imports. A library can still link net/http into the engine, as a parser of
// user agents once did. The test therefore checks all dependencies.
func TestEngineLinksNoHTTP(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", ".", "./federation", "./metadata")
	out, err := list.CombinedOutput()
	must(t, err)
	linked := strings.Fields(string(out))
	if slices.Contains(linked, "net/http") || !slices.Contains(linked, "net/netip") {
		t.Errorf("net/http is linked, or the list is wrong: %q", linked)
	}
}

// Every flow that opens a session must call admit, so that it can't skip a check.
func TestOnlyAdmitInsertsASession(t *testing.T) {
	t.Parallel()
	reportFaults(t, doorFaults(readHouse(t, os.DirFS("."))))
}

// In commentedPackages, at least minComments per cent of the lines must be comments.
func TestCommentsExplainTheCode(t *testing.T) {
	t.Parallel()
	reportFaults(t, commentFaults(readHouse(t, os.DirFS("."))))
	const code = "package server\n\nfunc f() {\n\tg()\n}\n\nvar a, b int\nvar c int\nvar d int\nvar e int\n"
	for comments, want := range map[int]int{0: 1, 1: 1, 2: 0} {
		tree := fstest.MapFS{"server/a.go": {Data: []byte(code + strings.Repeat("// why\n", comments))}}
		if faults := commentFaults(readHouse(t, tree)); len(faults) != want {
			t.Errorf("%d comments: got %q, want %d faults", comments, faults, want)
		}
	}
}

// commentFaults returns a fault for each package with too few comment lines. It does not count blank lines.
func commentFaults(files []goFile) (faults []string) {
	lines, comments := map[string]int{}, map[string]int{}
	for _, f := range files {
		if !f.test && matchesAny(commentedPackages, f.pkg) {
			lines[f.pkg] += f.filledLines
			comments[f.pkg] += f.commentLines
		}
	}
	for pkg, n := range lines {
		if 100*comments[pkg] < minComments*n {
			faults = append(faults, fmt.Sprintf("%s: %d of %d lines are comments, %d %% are required: say why",
				pkg, comments[pkg], n, minComments))
		}
	}
	return faults
}

func TestFilesAndFunctionsStayReadable(t *testing.T) {
	t.Parallel()
	reportFaults(t, budgetFaults(readHouse(t, os.DirFS("."))))
}

// The test breaks each rule once, in an in-memory file system.
func TestEachHouseRuleReportsItsFault(t *testing.T) {
	t.Parallel()
	const (
		ours        = module + "/"
		longBecause = "package server\n\n// It is long because it is a table.\nfunc f() {"
	)
	for _, c := range []struct {
		name, file, source string
		want               string // part of the expected fault; "" if the file is valid
	}{
		{"a mechanism knows users", "internal/seal/a.go", importing("seal", module), "internal/seal/a.go imports root"},
		{"a test of a mechanism knows users",
			"internal/seal/a_test.go", importing("seal_test", module), "internal/seal/a_test.go imports root"},
		{"a mechanism uses another", "internal/seal/a.go", importing("seal", ours+"internal/kdf"), ""},
		{"the engine speaks HTTP", "login.go", importing("watchword", "net/http"), "login.go imports net/http"},
		{"the engine speaks cookies",
			"login.go", importing("watchword", "net/http/cookiejar"), "login.go imports net/http/cookiejar"},
		{"the engine speaks SQL", "login.go", importing("watchword", "database/sql"), "login.go imports database/sql"},
		{"the engine fills in pages",
			"login.go", importing("watchword", "html/template"), "login.go imports html/template"},
		{"the engine picks its store",
			"login.go", importing("watchword", ours+"store/sqlite"), "login.go imports store/sqlite"},
		{"a test of the engine picks a store", "login_test.go", importing("watchword_test", ours+"store/sqlite"), ""},
		{"a store knows the other",
			"store/sqlite/a.go", importing("sqlite", ours+"store/postgres"), "imports store/postgres"},
		{"a store uses the shared statements",
			"store/sqlite/a.go", importing("sqlite", ours+"store/internal/sqlstore"), ""},
		{"the suite knows a store",
			"store/storetest/a.go", importing("storetest", ours+"store/sqlite"), "imports store/sqlite"},
		{"mail knows how it is sent", "mail/a.go", importing("mail", ours+"mail/smtp"), "imports mail/smtp"},
		{"a sender uses mail", "mail/smtp/a.go", importing("smtp", ours+"mail"), ""},
		{"a verifier links the engine", "verify/a.go", importing("verify", module), "verify/a.go imports root"},
		{"web has logic", "web/a.go", importing("web", module), "web/a.go imports root"},
		{"the server uses web", "server/a.go", importing("server", ours+"web"), ""},
		{"the server knows a store", "server/a.go", importing("server", ours+"store/sqlite"), "imports store/sqlite"},
		{"a dialect knows a store",
			"dialect/users/a.go", importing("users", ours+"store/sqlite"), "imports store/sqlite"},
		{"a dialect uses web", "dialect/users/a.go", importing("users", ours+"web"), "imports web"},
		{"the program wires", "cmd/watchword/a.go", importing("main", ours+"store/sqlite"), ""},
		{"an import of users opens a store",
			"cmd/internal/userimport/a.go", importing("userimport", ours+"store/sqlite"), "imports store/sqlite"},
		{"the program uses web", "cmd/watchword/a.go", importing("main", ours+"web"), "imports web"},
		{"the lab starts a server", "lab/rotation/a.go", importing("rotation", ours+"server"), "imports server"},
		{"a wing uses the engine", "federation/a.go", importing("federation", module), ""},
		{"a wing speaks HTTP",
			"federation/a.go", importing("federation", "net/http"), "federation/a.go imports net/http"},
		{"a wing imports another",
			"hooks/a.go", importing("hooks", ours+"federation"), "hooks/a.go imports federation"},
		{"the engine imports a wing",
			"login.go", importing("watchword", ours+"federation"), "login.go imports federation"},
		{"the statements serve a wing", "store/internal/sqlstore/a.go", importing("sqlstore", ours+"federation"), ""},
		{"the server uses a wing", "server/a.go", importing("server", ours+"federation"), ""},
		{"a dialect uses a wing", "dialect/users/a.go", importing("users", ours+"federation"), "imports federation"},
		{"a package without a place", "billing/a.go", importing("billing"), "has no row"},

		{"a folder for everything", "internal/util/a.go", importing("codes"), "internal/util"},
		{"a package for everything", "internal/codes/a.go", importing("helpers"), "helpers"},
		{"weak randomness", "internal/seal/a.go", importing("seal", "math/rand/v2"), "imports math/rand/v2"},
		{"weak randomness in a test", "internal/seal/a_test.go", importing("seal_test", "math/rand"), ""},
		{"weak randomness in the lab", "lab/rotation/a.go", importing("rotation", "math/rand"), ""},
		{"work before main", "server/a.go", "package server\nfunc init() {}\n", "server/a.go:2: func init"},
		{"a bypass of the cross-origin check", "server/a.go",
			"package server\nfunc f(c guard) { c." + unwantedCall + "(\"/\") }\n", unwantedCall},
		{"a weak hash", "login.go",
			"package watchword\nvar a = passhash." + testOnlyCall + "()\n", "login.go:2: " + testOnlyCall},
		{"weak hashes by default", "login.go",
			"package watchword\nfunc a() { passhash." + testOnlyCall + "ByDefault() }\n",
			"login.go:2: " + testOnlyCall},
		{"a weak hash in a test", "login_test.go",
			"package watchword\nvar a = passhash." + testOnlyCall + "()\n", ""},
		{"a duration without a unit", "server/a.go",
			"package server\nvar a = slog.Duration(\"took\", 1)\n", "slog.Duration"},
		{"a second door",
			"login.go", "package watchword\nfunc login(tx Tx) { tx.InsertSession() }\n", "login.go:2: InsertSession"},
		{"a second door beside the first",
			"entry.go", "package watchword\nfunc login(tx Tx) { tx.InsertSession() }\n", "entry.go:2: InsertSession"},
		{"a door at the edge",
			"server/a.go", "package server\nfunc f(tx Tx) { tx.InsertSession() }\n", "server/a.go:2: InsertSession"},
		{"the door", "entry.go", "package watchword\nfunc admit(tx Tx) { tx.InsertSession() }\n", ""},
		{"the suite of the stores",
			"store/storetest/a.go", "package storetest\nfunc f(tx Tx) { tx.InsertSession() }\n", ""},
		{"a file that does not parse", "server/a.go", "package server\nfunc {\n", "server/a.go:2"},

		{"a long file",
			"server/a.go", "package server\n" + strings.Repeat("//\n", maxFileLines), "server/a.go has 501 lines"},
		{"a wide line", "server/a.go",
			"package server\n// " + strings.Repeat("x", maxColumns) + "\n", "server/a.go:2 has 123 columns"},
		{"a wide raw string", "server/a.go",
			"package server\n\nvar a = `" + strings.Repeat("x", maxColumns) + "`\n", ""},
		{"a wide line after a backtick in a string", "server/a.go",
			"package server\n\nconst fence = \"```\"\n\n// " + strings.Repeat("x", maxColumns) + "\n",
			"server/a.go:5 has 123 columns"},
		{"a wide line of a test", "server/a_test.go",
			"package server\n\t// " + strings.Repeat("x", maxColumns-4) + "\n", "server/a_test.go:2 has 123 columns"},
		{"a long generated file", "server/a.go",
			"// Code generated by x. DO NOT EDIT.\n\npackage server\n" + strings.Repeat("//\n", maxFileLines), ""},
		{"a long function", "server/a.go",
			"package server\nfunc f() {" + strings.Repeat("\n", maxFuncLines) + "}\n", "server/a.go:2: f has 61 lines"},
		{"a long function with a reason", "server/a.go", longBecause + strings.Repeat("\n", maxFuncLines) + "}\n", ""},
		{"a very long function with a reason", "server/a.go", longBecause + strings.Repeat("\n", maxLongLines) + "}\n",
			"server/a.go:4: f has 81 lines"},
		{"many parameters", "server/a.go",
			"package server\nfunc f(a, b, c, d, e int, _ string) {}\n", "server/a.go:2: f has 6 parameters"},
		{"a wide part of a transaction", "store.go", "package watchword\ntype UserTx interface {" +
			strings.Repeat("\nA()", maxTxMethods+1) + "\n}\n", "store.go:2: UserTx has 13 methods"},
		{"another module", "tools/x/util/a.go", importing("util", "math/rand"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{
				c.file:          {Data: []byte(c.source)},
				"tools/go.mod":  {Data: []byte("module tools\n")},
				"testdata/a.go": {Data: []byte("not Go")},
			}
			faults := allFaults(readHouse(t, tree))
			switch {
			case c.want == "" && len(faults) > 0:
				t.Errorf("got %q, want no fault", faults)
			case c.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.want)):
				t.Errorf("got %q, want one fault with %q", faults, c.want)
			}
		})
	}
}

func TestBudgetsOfTheRootPackageReportTheirFault(t *testing.T) {
	t.Parallel()
	long, many := fstest.MapFS{}, fstest.MapFS{}
	for i := range maxRootFiles + 1 {
		many[fmt.Sprintf("f%d.go", i)] = &fstest.MapFile{Data: []byte("package watchword\n")}
	}
	for i := range maxRootLines/maxFileLines + 1 {
		source := "package watchword\n" + strings.Repeat("//\n", maxFileLines-1)
		long[fmt.Sprintf("f%d.go", i)] = &fstest.MapFile{Data: []byte(source)}
	}
	for want, tree := range map[string]fs.FS{"37 files": many, "8000 lines": long} {
		faults := allFaults(readHouse(t, tree))
		if len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("got %q, want one fault with %q", faults, want)
		}
	}
}

func importing(pkg string, paths ...string) string {
	source := "package " + pkg + "\n"
	for _, p := range paths {
		source += "import _ " + strconv.Quote(p) + "\n"
	}
	return source
}

func reportFaults(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

func allFaults(files []goFile) []string {
	return slices.Concat(importFaults(files), unwantedFaults(files), doorFaults(files), budgetFaults(files))
}

type goFile struct {
	path         string // with slashes, from the root of the module
	pkg          string // the folder of the file; "root" for the root folder
	test         bool
	syntax       *ast.File // of the valid part of the file
	parseError   error
	lines        int
	filledLines  int
	commentLines int
	wideLines    []string // each with its position and width
	fset         *token.FileSet
}

// shortName returns the name that the import table uses for a package. It reports false for a package of another
// module.
func shortName(importPath string) (short string, ours bool) {
	if importPath == module {
		return "root", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func (f goFile) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

func (f goFile) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(n.Pos()).Line)
}

// readHouse parses the Go files of a module and ignores build tags. It skips other modules, hidden folders and
// testdata.
func readHouse(t *testing.T, tree fs.FS) []goFile {
	t.Helper()
	read := func() ([]goFile, error) { return readGoFiles(tree) }
	if tree == os.DirFS(".") {
		read = readModule
	}
	files, err := read()
	if err != nil {
		t.Fatalf("read the source files: %v", err)
	}
	return files
}

// readModule parses this module once for all tests, which only read the result.
var readModule = sync.OnceValues(func() ([]goFile, error) { return readGoFiles(os.DirFS(".")) })

func readGoFiles(tree fs.FS) (files []goFile, err error) {
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipOtherFolders(tree, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		f, err := readFile(tree, name)
		files = append(files, f)
		return err
	})
	return files, err
}

// skipOtherFolders returns fs.SkipDir for a folder that holds no package of this module.
func skipOtherFolders(tree fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func linesWithRawStrings(source []byte) map[int]bool {
	lines := map[int]bool{}
	fset := token.NewFileSet()
	var s scanner.Scanner
	file := fset.AddFile("", fset.Base(), len(source))
	s.Init(file, source, nil, 0)
	for {
		pos, kind, text := s.Scan()
		if kind == token.EOF {
			return lines
		}
		if kind == token.STRING && text[0] == '`' {
			for n := range strings.Count(text, "\n") + 1 {
				lines[file.Line(pos)+n] = true
			}
		}
	}
}

func readFile(tree fs.FS, name string) (goFile, error) {
	source, err := fs.ReadFile(tree, name)
	if err != nil {
		return goFile{}, err
	}
	f := goFile{path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), fset: token.NewFileSet()}
	if f.pkg == "." {
		f.pkg = "root"
	}
	f.lines = strings.Count(string(source), "\n")
	raw := linesWithRawStrings(source)
	for i, line := range strings.Split(string(source), "\n") {
		if text := strings.TrimSpace(line); text != "" {
			f.filledLines++
			if strings.HasPrefix(text, "//") {
				f.commentLines++
			}
		}
		n := utf8.RuneCountInString(line)
		if f.test {
			n += 3 * strings.Count(line, "\t")
		}
		if n > maxColumns && !raw[i+1] {
			f.wideLines = append(f.wideLines, fmt.Sprintf("%s:%d has %d columns", name, i+1, n))
		}
	}
	f.syntax, f.parseError = parser.ParseFile(f.fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	return f, nil
}

func importFaults(files []goFile) []string {
	var faults []string
	for _, f := range files {
		i := slices.IndexFunc(importTable, func(r importRule) bool { return matchesAny(r.importers, f.pkg) })
		if i < 0 {
			faults = append(faults,
				fmt.Sprintf("%s: package %s has no row in the import table: move it into one of the rings, %s",
					f.path, f.pkg, orChangeThePlan))
			continue
		}
		if f.test && !matchesAny("internal/*", f.pkg) {
			continue
		}
		r := importTable[i]
		for _, p := range f.imports() {
			short, ours := shortName(p)
			if matchesAny(r.forbidden, short) || ours && short != f.pkg && !matchesAny(r.allowed, short) {
				faults = append(faults, fmt.Sprintf("%s imports %s, but of this module %s may import only [%s] "+
					"and never imports [%s]: move the code that needs it to an outer ring, %s",
					f.path, short, f.pkg, r.allowed, r.forbidden, orChangeThePlan))
			}
		}
	}
	return faults
}

// matchesAny reports whether a package matches one of the patterns. The patterns are separated by spaces.
func matchesAny(patterns, pkg string) bool {
	return slices.ContainsFunc(strings.Fields(patterns), func(p string) bool {
		prefix, isPrefix := strings.CutSuffix(p, "*")
		return p == pkg || isPrefix && strings.HasPrefix(pkg, prefix)
	})
}

func unwantedFaults(files []goFile) []string {
	var faults []string
	for _, f := range files {
		if f.parseError != nil {
			faults = append(faults, f.parseError.Error())
		}
		pkg := strings.TrimSuffix(f.syntax.Name.Name, "_test")
		if matchesAny(unwantedNames, pkg) || matchesAny(unwantedNames, path.Base(f.pkg)) {
			faults = append(faults,
				fmt.Sprintf("%s: package %s in %s: name it after its subject", f.path, pkg, f.pkg))
		}
		if f.test {
			continue
		}
		for _, p := range f.imports() {
			if matchesAny("math/rand math/rand/*", p) && !matchesAny("lab lab/*", f.pkg) {
				faults = append(faults,
					fmt.Sprintf("%s imports %s: use crypto/rand; only tests and lab may be predictable", f.path, p))
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if ok && call.Sel.Name == unwantedCall {
				faults = append(faults,
					fmt.Sprintf("%s: %s: no path may bypass the cross-origin check", f.at(n), unwantedCall))
			}
			if ok && strings.HasPrefix(call.Sel.Name, testOnlyCall) {
				faults = append(faults, fmt.Sprintf("%s: %s: only tests create weak hashes", f.at(n), testOnlyCall))
			}
			if name, ok := packageOf(call); ok && name == "slog" && call.Sel.Name == "Duration" {
				faults = append(faults,
					f.at(n)+": slog.Duration is nanoseconds in JSON: use slog.String and d.String()")
			}
			return true
		})
		for _, fn := range functionsOf(f) {
			if fn.Recv == nil && fn.Name.Name == "init" {
				faults = append(faults,
					fmt.Sprintf("%s: func init: do the work in a function that main calls", f.at(fn)))
			}
		}
	}
	return faults
}

func doorFaults(files []goFile) []string {
	var faults []string
	for _, f := range files {
		if f.test || matchesAny("store/*", f.pkg) {
			continue
		}
		for _, fn := range functionsOf(f) {
			isDoor := f.path == doorFile && fn.Name.Name == doorFunc
			ast.Inspect(fn, func(n ast.Node) bool {
				if call, ok := n.(*ast.SelectorExpr); ok && call.Sel.Name == doorCall && !isDoor {
					faults = append(faults,
						fmt.Sprintf("%s: %s: open sessions through %s in %s", f.at(n), doorCall, doorFunc, doorFile))
				}
				return true
			})
		}
	}
	return faults
}

func budgetFaults(files []goFile) []string {
	var faults []string
	rootFiles, rootLines := 0, 0
	for _, f := range files {
		if ast.IsGenerated(f.syntax) {
			continue
		}
		for _, line := range f.wideLines {
			faults = append(faults, fmt.Sprintf("%s, %d are allowed: break the line", line, maxColumns))
		}
		if f.test {
			continue
		}
		if f.pkg == "root" {
			rootFiles++
			rootLines += f.lines
		}
		if f.lines > maxFileLines {
			faults = append(faults,
				fmt.Sprintf("%s has %d lines, %d are allowed: split it by concern", f.path, f.lines, maxFileLines))
		}
		for _, fn := range functionsOf(f) {
			allowed := maxFuncLines
			if strings.Contains(fn.Doc.Text(), "long because") {
				allowed = maxLongLines
			}
			if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n > allowed {
				faults = append(faults, fmt.Sprintf("%s: %s has %d lines, %d are allowed: split it into steps",
					f.at(fn), fn.Name.Name, n, allowed))
			}
			if n := fn.Type.Params.NumFields(); n > maxFuncParams {
				faults = append(faults, fmt.Sprintf("%s: %s has %d parameters, %d are allowed: "+
					"group those that belong together in a struct", f.at(fn), fn.Name.Name, n, maxFuncParams))
			}
		}
	}
	for _, f := range files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			spec, isType := n.(*ast.TypeSpec)
			if !isType || !strings.HasSuffix(spec.Name.Name, "Tx") {
				return true
			}
			if kind, isInterface := spec.Type.(*ast.InterfaceType); isInterface &&
				kind.Methods.NumFields() > maxTxMethods {
				faults = append(faults, fmt.Sprintf("%s: %s has %d methods, %d are allowed: split it by noun",
					f.at(spec), spec.Name.Name, kind.Methods.NumFields(), maxTxMethods))
			}
			return true
		})
	}
	if rootFiles > maxRootFiles {
		faults = append(faults, fmt.Sprintf(
			"the root package has %d files, %d are allowed: move mechanisms to internal", rootFiles, maxRootFiles))
	}
	if rootLines > maxRootLines {
		faults = append(faults, fmt.Sprintf(
			"the root package has %d lines, %d are allowed: move mechanisms to internal", rootLines, maxRootLines))
	}
	return faults
}

func functionsOf(f goFile) []*ast.FuncDecl {
	var fns []*ast.FuncDecl
	for _, d := range f.syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			fns = append(fns, fn)
		}
	}
	return fns
}

// packageOf returns the package name in a selector expression, such as http for http.Get.
func packageOf(e *ast.SelectorExpr) (name string, ok bool) {
	if e == nil {
		return "", false
	}
	id, ok := e.X.(*ast.Ident)
	if !ok {
		return "", false
	}
	return id.Name, true
}
