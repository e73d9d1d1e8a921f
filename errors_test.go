package watchword_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:generate go test -run ^TestTheBrowserClientKnowsEveryCode$ . -update

const clientCodes = "clients/typescript/src/codes.ts"

// The browser client's list of error codes is generated from the constants of the server. The list must be up to
// date, so that the client knows every code.
func TestTheBrowserClientKnowsEveryCode(t *testing.T) {
	t.Parallel()
	want := clientCodesIntro + unionType("Code", declaredCodes(t))
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

const clientCodesIntro = `// Code generated from the error codes by errors_test.go. DO NOT EDIT.

`

func unionType(name string, members []string) string {
	var text strings.Builder
	const comment = "/** Every refusal of the server that a client can meet. It is stable: program against it. */"
	fmt.Fprintf(&text, "%s\nexport type %s =\n", comment, name)
	for _, member := range members {
		fmt.Fprintf(&text, "  | %q\n", member)
	}
	return text.String()
}

// codeFiles are in the order of the generated list.
var codeFiles = []string{"internal/apirequest/apirequest.go", "errors.go", "federation/federation.go",
	"metadata/metadata.go", "admin/change.go"}

// declaredCodes fails the test if a file outside of codeFiles declares a constant whose name begins with Code.
func declaredCodes(t *testing.T) (values []string) {
	t.Helper()
	found := map[string][]string{} // values by file
	for _, f := range readHouse(t, os.DirFS(".")) {
		if f.test || matchesAny("admin/client lab/*", f.pkg) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, "Code") || len(spec.Values) == 0 {
				return true
			}
			if value, ok := spec.Values[0].(*ast.BasicLit); ok && value.Kind == token.STRING {
				text, err := strconv.Unquote(value.Value)
				must(t, err)
				found[f.path] = append(found[f.path], text)
			}
			return true
		})
	}
	for _, path := range codeFiles {
		if len(found[path]) == 0 {
			t.Errorf("%s declares no error code", path)
		}
		values = append(values, found[path]...)
		delete(found, path)
	}
	for path := range found {
		t.Errorf("%s declares error codes, but codeFiles does not list it", path)
	}
	return values
}

// After a failed callback, the redirect to the client has a code but no text. The client must therefore have a text
// for each code of Manager.Callback that this redirect can have.
func TestClientsHaveATextForEachCodeOfACallback(t *testing.T) {
	t.Parallel()
	values, constant := map[string]string{}, regexp.MustCompile(`(Code\w+) +(?:watchword\.)?Code = "([A-Z_]+)"`)
	declared := readText(t, "errors.go") + readText(t, "federation/federation.go")
	for _, match := range constant.FindAllStringSubmatch(declared, -1) {
		values[match[1]] = match[2]
	}
	_, doc, _ := strings.Cut(readText(t, "federation/callback.go"), "\n// Callback completes an attempt.")
	doc, _, _ = strings.Cut(doc, "\nfunc")
	names := regexp.MustCompile(`\bCode[A-Z]\w+`).FindAllString(doc, -1)
	if len(names) < 10 {
		t.Fatalf("the documentation of Callback has only the codes %q", names)
	}
	// The redirect never has these codes. With NOT_FOUND there is no attempt, and so no URL to redirect to. The other
	// two codes occur only on hosted pages.
	elsewhere := []string{"NOT_FOUND", "INVALID_CREDENTIALS", "STEP_UP_REQUIRED"}
	for file, without := range map[string][]string{
		// With these codes, the sign-in page asks for the second factor and does not redirect to the client.
		"providers.ts": {"SECOND_FACTOR_REQUIRED", "ENROLMENT_REQUIRED"},
		// An application's server can't connect a provider, so IDENTITY_TAKEN can't occur. The server gets the other
		// three errors only later, when it exchanges the code of the sign-in for a session.
		"appattempt.ts": {"IDENTITY_TAKEN", "LINK_REQUIRED", "SECOND_FACTOR_REQUIRED", "ENROLMENT_REQUIRED"},
	} {
		text := readText(t, "clients/typescript/src/"+file)
		_, table, _ := strings.Cut(text, "\nconst messageByCode")
		table, _, _ = strings.Cut(table, "\n}")
		var have, want []string
		for _, match := range regexp.MustCompile(`(?m)^  ([A-Z_]+): "`).FindAllStringSubmatch(table, -1) {
			have = append(have, match[1])
		}
		for _, name := range names {
			if value := values[name]; !slices.Contains(elsewhere, value) && !slices.Contains(without, value) {
				want = append(want, value)
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, slices.Compact(want)) {
			t.Errorf("%s has %q, want %q", file, have, want)
		}
	}
}
