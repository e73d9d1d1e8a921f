package watchword_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

//go:generate go test -run ^TestTheSecurityTableIsUpToDate$ . -update

var update = flag.Bool("update", false, "write the generated file again")

var requirementComment = regexp.MustCompile(`^// ((?:[A-Z]+-[0-9]+)(?:, [A-Z]+-[0-9]+)*)$`)

// The table of docs/security.md is made of docs/requirements.txt and of the
// comments above tests. A requirement has a test, or says why it has none; a test
// names no requirement that does not exist.
func TestTheSecurityTableIsUpToDate(t *testing.T) {
	t.Parallel()
	covered := coveringTests(t)
	source, err := os.ReadFile("docs/requirements.txt")
	must(t, err)
	var table strings.Builder
	table.WriteString(securityIntro)
	known := map[string]bool{}
	for line := range strings.Lines(string(source)) {
		line = strings.TrimSpace(line)
		if title, isTitle := strings.CutPrefix(line, "# "); isTitle {
			fmt.Fprintf(&table, "\n## %s\n\n| | requirement | state |\n| --- | --- | --- |\n", title)
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) < 2 || len(fields) > 3 {
			t.Fatalf("docs/requirements.txt: %q is not `ID | text | reason`", line)
		}
		known[fields[0]] = true
		state := strings.Join(covered[fields[0]], "<br>")
		if state == "" && len(fields) == 3 {
			state = fields[2]
		}
		if state == "" {
			t.Errorf("%s has no test, and docs/requirements.txt gives no reason", fields[0])
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", fields[0], fields[1], state)
	}
	for id, tests := range covered {
		if !known[id] {
			t.Errorf("%v cover %s, which is no requirement", tests, id)
		}
	}
	if *update {
		must(t, os.WriteFile("docs/security.md", []byte(table.String()), 0o644))
		return
	}
	have, err := os.ReadFile("docs/security.md")
	must(t, err)
	if string(have) != table.String() {
		t.Error("docs/security.md is out of date: run make generate")
	}
}

const securityIntro = `# Security: what is required, and which test shows it

This file is generated from the comments above the tests and from
docs/requirements.txt: run ` + "`make generate`" + `. How to report a vulnerability is in
[SECURITY.md](../SECURITY.md).

A requirement without a test says why: it holds by construction, or what it is
about is not built yet.
`

// coveringTests maps each requirement to the tests whose comment names it.
func coveringTests(t *testing.T) map[string][]string {
	t.Helper()
	covered := map[string][]string{}
	must(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, group := range file.Comments {
			for _, comment := range group.List {
				match := requirementComment.FindStringSubmatch(comment.Text)
				if match == nil {
					continue
				}
				name := testAt(file, comment.End())
				if name == "" {
					t.Errorf("%s: no test below the comment %q", files.Position(comment.Pos()), comment.Text)
					continue
				}
				for id := range strings.SplitSeq(match[1], ", ") {
					test := "`" + filepath.ToSlash(filepath.Dir(path)) + "` " + name
					if !slices.Contains(covered[id], test) {
						covered[id] = append(covered[id], test)
					}
				}
			}
		}
		return nil
	}))
	return covered
}

// testAt is the test that a comment stands in or above.
func testAt(file *ast.File, at token.Pos) string {
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.End() < at {
			continue
		}
		name := function.Name.Name
		isTest := strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
		isSuite := strings.HasSuffix(file.Name.Name, "test") // its tests are steps of functions
		if isTest || isSuite {
			return name
		}
		if function.Pos() > at {
			return ""
		}
	}
	return ""
}
