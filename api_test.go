package watchword_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

//go:generate go test -run ^TestTheExportedAPIIsListed$ . -update

const apiFile = "api/watchword.txt"

// api/watchword.txt is what other people's programs may use, without its comments:
// a change of it is seen in review, and is never an accident.
func TestTheExportedAPIIsListed(t *testing.T) {
	t.Parallel()
	listed := listAPI(t, os.DirFS("."))
	if *update {
		must(t, os.WriteFile(apiFile, []byte(listed), 0o644))
		return
	}
	have, err := os.ReadFile(apiFile)
	must(t, err)
	if string(have) != listed {
		t.Errorf("the exported API has changed, and %s has not. If it was meant: make generate, and look at the difference", apiFile)
	}
}

<<<<<<< HEAD
func TestAPIListContainsExactlyTheExportedAPI(t *testing.T) {
=======
// An importer can't name a type of an internal package, so no exported declaration uses one.
func TestNoExportedSignatureNamesAnInternalType(t *testing.T) {
	t.Parallel()
	reportFaults(t, internalTypeFaults(readHouse(t, os.DirFS("."))))
	const leaking = "package tea\nimport \"" + module + "/internal/leaf\"\n"
	for source, want := range map[string]int{
		leaking + "func Pour(l leaf.Leaf) {}\n":                                          1,
		leaking + "type Cup struct{ Leaf leaf.Leaf; hidden leaf.Leaf }\n":                1,
		leaking + "type Cup struct{ leaf.Leaf }\n":                                       1,
		leaking + "type Pot interface{ Steep(leaf.Leaf) }\n":                             1,
		leaking + "func pour(l leaf.Leaf) {}\nfunc Drink() { var l leaf.Leaf; _ = l }\n": 0,
	} {
		tree := fstest.MapFS{"tea/tea.go": {Data: []byte(source)}, "internal/leaf/leaf.go": {Data: []byte("package leaf\n")}}
		if faults := internalTypeFaults(readHouse(t, tree)); len(faults) != want {
			t.Errorf("%s: got %q, want %d", source, faults, want)
		}
	}
}

func internalTypeFaults(files []file) (faults []string) {
	for _, f := range files {
		if f.test || !isPublic(f) {
			continue
		}
		internal := map[string]bool{}
		for _, spec := range f.syntax.Imports {
			if p, err := strconv.Unquote(spec.Path.Value); err == nil && strings.Contains(p, "/internal/") {
				internal[path.Base(p)] = true
			}
		}
		check := func(n ast.Node) {
			ast.Inspect(n, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if pkg, ok := sel.X.(*ast.Ident); ok && internal[pkg.Name] {
					faults = append(faults, fmt.Sprintf("%s names %s.%s", f.at(sel), pkg.Name, sel.Sel.Name))
				}
				return true
			})
		}
		for _, d := range f.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type))) {
					check(d.Type)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if kind, ok := spec.(*ast.TypeSpec); ok && kind.Name.IsExported() {
						checkExported(kind.Type, check)
					}
				}
			}
		}
	}
	return faults
}

// checkExported checks what an importer sees of a type: not the unexported fields.
func checkExported(kind ast.Expr, check func(ast.Node)) {
	fields, ok := kind.(*ast.StructType)
	if !ok {
		check(kind)
		return
	}
	for _, field := range fields.Fields.List {
		exported := len(field.Names) == 0 // embedded
		for _, name := range field.Names {
			exported = exported || name.IsExported()
		}
		if exported {
			check(field.Type)
		}
	}
}

// isPublic reports whether other modules may import a file's package.
func isPublic(f file) bool {
	hidden := covers("lab/* examples/*", f.pkg) || slices.Contains(strings.Split(f.pkg, "/"), "internal")
	return !hidden && f.syntax.Name.Name != "main"
}

func TestTheListHasWhatIsExportedAndNothingElse(t *testing.T) {
>>>>>>> 1d94241 (api: a test refuses exported signatures with internal types)
	t.Parallel()
	const source = `// Package tea makes tea.
package tea

// A Cup holds it.
type Cup struct {
	// Size in millilitres.
	Size int // default: 200

	heat float64
}

type pot struct{}

// Pour pours.
func Pour(p *Cup) (full bool) { return p.heat > 0 }
func (c Cup) Drink()          {}
func (pot) Boil()             {}
func spill()                  {}

// Sizes.
const (
	Small = 100 // for one

	large = 500
)
`
	tree := fstest.MapFS{}
	for _, name := range []string{"tea/tea.go", "internal/tea/tea.go", "lab/tea/tea.go", "examples/tea/tea.go", "tea/testdata/tea.go", "x/internal/tea/tea.go"} {
		tree[name] = &fstest.MapFile{Data: []byte(source)}
	}
	tree["tea/tea_test.go"] = &fstest.MapFile{Data: []byte("package tea_test\nfunc TestTea() {}\n")}
	tree["cmd/tea/main.go"] = &fstest.MapFile{Data: []byte("package main\nfunc Main() {}\n")}
	want := apiIntro + `
package tea // github.com/watchword-auth/watchword/tea

const (
	Small = 100
)
func Pour(p *Cup) (full bool)
type Cup struct{ Size int }
func (c Cup) Drink()
`
	if got := listAPI(t, tree); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const apiIntro = `The exported API of every package that other programs may import. Generated by
make generate; a test fails when it is out of date.
`

// listAPI lists the packages of a tree in the order of their paths.
func listAPI(t *testing.T, tree fs.FS) string {
	t.Helper()
	files := map[string][]string{} // by import path
	for _, f := range readHouse(t, tree) {
		if !f.test && isPublic(f) {
			importPath := path.Join(module, path.Dir(f.path))
			files[importPath] = append(files[importPath], f.path)
		}
	}
	text := apiIntro
	for _, importPath := range slices.Sorted(maps.Keys(files)) {
		text += listPackage(t, tree, importPath, files[importPath])
	}
	return text
}

func listPackage(t *testing.T, tree fs.FS, importPath string, names []string) string {
	t.Helper()
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range names {
		source, err := fs.ReadFile(tree, name)
		must(t, err)
		file, err := parser.ParseFile(files, name, source, parser.ParseComments)
		must(t, err)
		parsed = append(parsed, file)
	}
	exported, err := doc.NewFromFiles(files, parsed, importPath)
	must(t, err)
	var decls []ast.Decl
	add := func(values []*doc.Value, functions ...*doc.Func) {
		for _, v := range values {
			decls = append(decls, v.Decl)
		}
		for _, f := range functions {
			decls = append(decls, f.Decl)
		}
	}
	add(slices.Concat(exported.Consts, exported.Vars), exported.Funcs...)
	for _, kind := range exported.Types {
		decls = append(decls, kind.Decl)
		add(slices.Concat(kind.Consts, kind.Vars), slices.Concat(kind.Funcs, kind.Methods)...)
	}
	text := fmt.Sprintf("\npackage %s // %s\n\n", exported.Name, importPath)
	for _, decl := range decls {
		text += declare(t, decl)
	}
	return text
}

// declare prints a declaration without what is said about it.
func declare(t *testing.T, decl ast.Decl) string {
	t.Helper()
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.FuncDecl:
			n.Doc, n.Body = nil, nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.StructType:
			n.Incomplete = false
		case *ast.InterfaceType:
			n.Incomplete = false
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	var text strings.Builder
	must(t, format.Node(&text, token.NewFileSet(), decl)) // no positions: the layout follows from what is left
	return text.String() + "\n"
}
