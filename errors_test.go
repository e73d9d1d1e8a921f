package watchword_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

//go:generate go test -run ^TestTheBrowserClientKnowsEveryCode$ . -update

const clientCodes = "clients/typescript/src/codes.ts"

// The union of codes that the browser client throws is generated from errors.go, so the client
// knows every new code.
func TestTheBrowserClientKnowsEveryCode(t *testing.T) {
	t.Parallel()
	want := clientCodesIntro + union("Code", constants(t, "Code"))
	if *update {
		must(t, os.WriteFile(clientCodes, []byte(want), 0o644))
		return
	}
	have, err := os.ReadFile(clientCodes)
	must(t, err)
	if string(have) != want {
		t.Errorf("%s is out of date: run make generate", clientCodes)
	}
}

const clientCodesIntro = `// Code generated from errors.go by errors_test.go. DO NOT EDIT.

`

func union(name string, members []string) string {
	var text strings.Builder
	const comment = "/** Every refusal of the server that a client can meet. It is stable: program against it. */"
	fmt.Fprintf(&text, "%s\nexport type %s =\n", comment, name)
	for _, member := range members {
		fmt.Fprintf(&text, "  | %q\n", member)
	}
	return text.String()
}

// constants returns the values of a type in errors.go, in their order.
func constants(t *testing.T, kind string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	must(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if named, ok := spec.Type.(*ast.Ident); !ok || named.Name != kind {
			return true
		}
		for _, value := range spec.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			must(t, err)
			values = append(values, text)
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("errors.go has no constants of type %s", kind)
	}
	return values
}
