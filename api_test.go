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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

//go:generate go test -run ^TestTheExportedAPIIsListed$ . -update

// The exported API is listed in two files, without its comments, so that a review shows each
// change. Semantic versioning covers the first file. The second file has the declarations
// whose doc comments have a paragraph "Unstable: …".
const (
	stableFile   = "api/watchword.txt"
	unstableFile = "api/unstable.txt"
	unstableMark = "Unstable: "

	// A longer stable list needs a larger bound here, so that a review sees the growth.
	maxStableLines = 624
)

func TestTheExportedAPIIsListed(t *testing.T) {
	t.Parallel()
	stable, unstable := listAPI(t, os.DirFS("."))
	if n := strings.Count(stable, "\n"); n > maxStableLines {
		t.Errorf("%s has %d lines, more than %d", stableFile, n, maxStableLines)
	}
	for name, listed := range map[string]string{stableFile: stable, unstableFile: unstable} {
		if *update {
			must(t, os.WriteFile(name, []byte(listed), 0o644))
			continue
		}
		have, err := os.ReadFile(name)
		must(t, err)
		if string(have) != listed {
			t.Errorf("the exported API differs from %s. "+
				"If the change is intended, run make generate and review the difference", name)
		}
	}
}

// A program that uses the stable API must be able to name every type in it. Stores are the one
// exception: a program gets a store from Open and passes it on.
func TestStableAPINamesNoUnstableType(t *testing.T) {
	t.Parallel()
	stable, unstable := listAPI(t, os.DirFS("."))
	checked := 0
	stableTexts := textsByPackage(stable)
	for name, text := range textsByPackage(unstable) {
		for _, match := range regexp.MustCompile(`(?m)^type (\w+)`).FindAllStringSubmatch(text, -1) {
			partly := regexp.MustCompile(`(?m)^type ` + match[1] + `\b`) // stable too: a type with unstable fields
			if match[1] == "Store" || partly.MatchString(stableTexts[name]) {
				continue
			}
			checked++
			here := regexp.MustCompile(`(?m)^.*[ *\]]` + match[1] + `([^\w(].*)?$|^\t` + match[1] + `$`)
			elsewhere := regexp.MustCompile(`(?m)^.*\b` + name + `\.` + match[1] + `\b.*$`)
			uses := append(here.FindAllString(stableTexts[name], -1), elsewhere.FindAllString(stable, -1)...)
			for _, line := range uses {
				t.Errorf("%s.%s is unstable, but the stable API has %q", name, match[1], strings.TrimSpace(line))
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d types were checked", checked)
	}
}

func textsByPackage(list string) map[string]string {
	texts := map[string]string{}
	for _, part := range strings.Split(list, "\npackage ")[1:] {
		name, text, _ := strings.Cut(part, " ")
		texts[name] += text
	}
	return texts
}

// An importer can't name a type of an internal package, so an exported declaration must not use such a type.
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
		tree := fstest.MapFS{
			"tea/tea.go":            {Data: []byte(source)},
			"internal/leaf/leaf.go": {Data: []byte("package leaf\n")},
		}
		if faults := internalTypeFaults(readHouse(t, tree)); len(faults) != want {
			t.Errorf("%s: got %q, want %d", source, faults, want)
		}
	}
}

func internalTypeFaults(files []goFile) (faults []string) {
	for _, f := range files {
		if f.test || !isImportable(f) {
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
				if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiverType(d.Recv.List[0].Type))) {
					check(d.Type)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if kind, ok := spec.(*ast.TypeSpec); ok && kind.Name.IsExported() {
						visitExported(kind.Type, check)
					}
				}
			}
		}
	}
	return faults
}

// visitExported skips unexported fields, which an importer can't see.
func visitExported(kind ast.Expr, check func(ast.Node)) {
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

func isImportable(f goFile) bool {
	hidden := matchesAny("lab/* examples/*", f.pkg) || slices.Contains(strings.Split(f.pkg, "/"), "internal")
	return !hidden && f.syntax.Name.Name != "main"
}

func TestAPIListContainsExactlyTheExportedAPI(t *testing.T) {
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

// Weigh weighs it.
//
// Unstable: for tests.
func (c Cup) Weigh()          {}
func (pot) Boil()             {}
func spill()                  {}

// A Scale is exact.
//
// Unstable: for tests.
type Scale struct{}

func NewScale() Scale { return Scale{} }
func (Scale) Tare()   {}

// Sizes.
const (
	Small = 100 // for one

	large = 500
)
`
	tree := fstest.MapFS{}
	for _, name := range []string{
		"tea/tea.go", "internal/tea/tea.go", "lab/tea/tea.go", "examples/tea/tea.go",
		"tea/testdata/tea.go", "x/internal/tea/tea.go",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(source)}
	}
	tree["tea/tea_test.go"] = &fstest.MapFile{Data: []byte("package tea_test\nfunc TestTea() {}\n")}
	tree["trial/trial.go"] = &fstest.MapFile{Data: []byte(`// Package trial tests tea.
//
// Unstable: for tests.
package trial

func Run() {}
`)}
	tree["cmd/tea/main.go"] = &fstest.MapFile{Data: []byte("package main\nfunc Main() {}\n")}
	wantStable := stableIntro + `
package tea // github.com/watchword-auth/watchword/tea

const (
	Small = 100
)
func Pour(p *Cup) (full bool)
type Cup struct{ Size int }
func (c Cup) Drink()
`
	wantUnstable := unstableIntro + `
package tea // github.com/watchword-auth/watchword/tea

func (c Cup) Weigh()
type Scale struct{}
func NewScale() Scale
func (Scale) Tare()

package trial // github.com/watchword-auth/watchword/trial

func Run()
`
	stable, unstable := listAPI(t, tree)
	if stable != wantStable || unstable != wantUnstable {
		t.Errorf("got\n%s\n%s\nwant\n%s\n%s", stable, unstable, wantStable, wantUnstable)
	}
}

const (
	stableIntro = `The exported API of every package that other programs may import. Semantic versioning
covers it. Generated by make generate; a test fails if it is out of date.
`
	unstableIntro = `Exported identifiers that may change in any release: the contract of stores, and what only
the program watchword, the server and the tests of this module use. Their doc comments say "Unstable:".
Generated by make generate; a test fails if it is out of date.
`
)

func listAPI(t *testing.T, tree fs.FS) (stable, unstable string) {
	t.Helper()
	files := map[string][]string{} // file names by import path
	for _, f := range readHouse(t, tree) {
		if !f.test && isImportable(f) {
			importPath := path.Join(module, path.Dir(f.path))
			files[importPath] = append(files[importPath], f.path)
		}
	}
	stable, unstable = stableIntro, unstableIntro
	for _, importPath := range slices.Sorted(maps.Keys(files)) {
		lists := listPackage(t, tree, importPath, files[importPath])
		stable += lists[false]
		unstable += lists[true]
	}
	return stable, unstable
}

// listPackage returns the exported declarations of a package as text: unstable ones under true, stable ones under
// false.
func listPackage(t *testing.T, tree fs.FS, importPath string, names []string) map[bool]string {
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
	lists := map[bool]string{}
	// The "Unstable" paragraph of a package covers all its types. The "Unstable" paragraph of a type covers its
	// methods.
	add := func(decl ast.Decl, comments ...string) {
		unstable := slices.ContainsFunc(comments, func(c string) bool {
			return strings.Contains("\n"+c, "\n"+unstableMark)
		})
		if lists[unstable] == "" {
			lists[unstable] = fmt.Sprintf("\npackage %s // %s\n\n", exported.Name, importPath)
		}
		lists[unstable] += printDeclaration(t, decl)
	}
	for _, v := range slices.Concat(exported.Consts, exported.Vars) {
		add(v.Decl, exported.Doc, v.Doc)
	}
	for _, f := range exported.Funcs {
		add(f.Decl, exported.Doc, f.Doc)
	}
	for _, kind := range exported.Types {
		fields := cutUnstableFields(kind.Decl)
		if fields != nil && !strings.Contains("\n"+kind.Doc, "\n"+unstableMark) {
			add(fields, unstableMark)
		}
		add(kind.Decl, exported.Doc, kind.Doc)
		for _, v := range slices.Concat(kind.Consts, kind.Vars) {
			add(v.Decl, exported.Doc, kind.Doc, v.Doc)
		}
		for _, f := range slices.Concat(kind.Funcs, kind.Methods) {
			add(f.Decl, exported.Doc, kind.Doc, f.Doc)
		}
	}
	return lists
}

// cutUnstableFields removes the unstable fields from a declaration. It returns a declaration with only the removed
// fields, or nil if it removed none.
func cutUnstableFields(decl *ast.GenDecl) *ast.GenDecl {
	for _, spec := range decl.Specs {
		kind, isType := spec.(*ast.TypeSpec)
		if !isType {
			continue
		}
		structure, isStruct := kind.Type.(*ast.StructType)
		if !isStruct {
			continue
		}
		var stable, unstable []*ast.Field
		for _, field := range structure.Fields.List {
			if strings.Contains("\n"+field.Doc.Text(), "\n"+unstableMark) {
				unstable = append(unstable, field)
			} else {
				stable = append(stable, field)
			}
		}
		if len(unstable) > 0 {
			structure.Fields.List = stable
			fields := &ast.StructType{Fields: &ast.FieldList{List: unstable}}
			return &ast.GenDecl{Tok: token.TYPE, Specs: []ast.Spec{&ast.TypeSpec{Name: kind.Name, Type: fields}}}
		}
	}
	return nil
}

func printDeclaration(t *testing.T, decl ast.Decl) string {
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
	must(t, format.Node(&text, token.NewFileSet(), decl)) // without positions, so the layout depends only on the syntax
	return text.String() + "\n"
}
