package sqlstore_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Statements must list every SQL constant of the package. A missing statement would be neither prepared nor checked
// by other tests.
func TestEveryStatementIsListedUnderItsName(t *testing.T) {
	t.Parallel()
	var written, listed []string
	for _, file := range parsePackage(t) {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.GenDecl:
				written = append(written, declaredStatements(d)...)
			case *ast.FuncDecl:
				if strings.HasSuffix(d.Name.Name, "Statements") {
					listed = append(listed, namesInList(t, d.Body)...)
				}
			}
		}
	}
	if len(written) < 40 {
		t.Errorf("only %d statements are found: %v", len(written), written)
	}
	for _, name := range written {
		if !slices.Contains(listed, name) {
			t.Errorf("%s is not listed in Statements", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(written, name) {
			t.Errorf("%s is listed but is not a statement of the package", name)
		}
	}
}

func parsePackage(t *testing.T) (files []*ast.File) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// declaredStatements returns the names of constants and variables whose text begins with an SQL verb or is built from
// a column list.
func declaredStatements(decl *ast.GenDecl) (names []string) {
	verb := regexp.MustCompile("^[`\"]\\s*(?i:SELECT|INSERT|UPDATE|DELETE|WITH)\\b")
	for _, spec := range decl.Specs {
		value, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, expr := range value.Values {
			if text := firstLiteral(expr); text != nil && verb.MatchString(text.Value) || isBuiltFromColumns(expr) {
				names = append(names, value.Names[i].Name)
			}
		}
	}
	return names
}

func isBuiltFromColumns(expr ast.Expr) bool {
	call, ok := expr.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := call.Fun.(*ast.Ident)
	return ok && strings.HasPrefix(name.Name, "insert")
}

func firstLiteral(expr ast.Expr) *ast.BasicLit {
	for {
		switch e := expr.(type) {
		case *ast.BinaryExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.BasicLit:
			return e
		default:
			return nil
		}
	}
}

// namesInList fails if a name differs from the identifier next to it.
func namesInList(t *testing.T, body *ast.BlockStmt) (names []string) {
	t.Helper()
	ast.Inspect(body, func(n ast.Node) bool {
		row, ok := n.(*ast.CompositeLit)
		if !ok || row.Type != nil { // the list itself
			return true
		}
		name, text := row.Elts[0].(*ast.BasicLit), row.Elts[1].(*ast.Ident)
		if name.Value != strconv.Quote(text.Name) {
			t.Errorf("%s is listed as %s", text.Name, name.Value)
		}
		names = append(names, text.Name)
		return false
	})
	return names
}
