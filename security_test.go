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

var update = flag.Bool("update", false, "write the generated files")

var requirementComment = regexp.MustCompile(`^// ((?:[A-Z]+-[0-9]+)(?:, [A-Z]+-[0-9]+)*)$`)

// The tables of docs/security.md and docs/dialects.md are generated from lists in testdata and from the comments
// above tests. Each listed requirement needs a test, or a reason why it has none. Tests must not name other
// requirements.
func TestTheSecurityTableIsUpToDate(t *testing.T) {
	t.Parallel()
	covered := coveringTests(t)
	requirements := renderCoverage(t, "testdata/requirements.txt", covered, "requirement", "state")
	faults := renderCoverage(t, "testdata/tutorials.txt", covered, "the original", "here", "test")
	for id, tests := range covered {
		t.Errorf("%v cover %s, which is not listed", tests, id)
	}
	checkGenerated(t, "docs/security.md", func(string) string { return securityIntro + requirements })
	checkGenerated(t, "docs/dialects.md", func(have string) string {
		intro, _, found := strings.Cut(have, faultsMark)
		if !found {
			t.Fatalf("docs/dialects.md has no line %q", faultsMark)
		}
		return intro + faultsMark + faults
	})
}

// faultsMark precedes the table in docs/dialects.md.
const faultsMark = "<!-- made of testdata/tutorials.txt and of the tests by `make generate` -->\n"

// renderCoverage renders a table from a file with the lines `ID | column | … | reason`, and adds the tests of each
// ID. It deletes each rendered ID from testsByID.
func renderCoverage(t *testing.T, file string, testsByID map[string][]string, columns ...string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	must(t, err)
	var table strings.Builder
	for line := range strings.Lines(string(source)) {
		line = strings.TrimSpace(line)
		if title, isTitle := strings.CutPrefix(line, "# "); isTitle {
			fmt.Fprintf(&table, "\n## %s\n\n| | %s |\n|%s\n", title, strings.Join(columns, " | "),
				strings.Repeat(" --- |", len(columns)+1))
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) < len(columns) || len(fields) > len(columns)+1 {
			t.Fatalf("%s: %q has not as many fields as the others", file, line)
		}
		id, said := fields[0], fields[:len(columns)]
		state := strings.Join(testsByID[id], "<br>")
		if state == "" && len(fields) > len(columns) {
			state = fields[len(columns)]
		}
		if state == "" {
			t.Errorf("%s has no test, and %s gives no reason", id, file)
		}
		fmt.Fprintf(&table, "| %s | %s |\n", strings.Join(said, " | "), state)
		delete(testsByID, id)
	}
	return table.String()
}

// checkGenerated fails if the file differs from the generated text. With -update, it writes the text to the file.
func checkGenerated(t *testing.T, file string, want func(have string) string) {
	t.Helper()
	have, err := os.ReadFile(file)
	must(t, err)
	if text := want(string(have)); *update {
		must(t, os.WriteFile(file, []byte(text), 0o644))
	} else if text != string(have) {
		t.Errorf("%s is out of date: run make generate", file)
	}
}

const securityIntro = `# Security: the requirements and their tests

This file is generated from the comments above the tests and from
testdata/requirements.txt: run ` + "`make generate`" + `. How to report a vulnerability is in
[SECURITY.md](../SECURITY.md).

If a requirement has no test, the column *state* says why. Either the requirement holds by
construction, or the feature does not exist yet.
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
				name := testOfComment(file, comment.End())
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

// testOfComment returns the test around a comment, or the next test after it.
func testOfComment(file *ast.File, at token.Pos) string {
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.End() < at {
			continue
		}
		name := function.Name.Name
		isTest := strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
		isSuite := strings.HasSuffix(file.Name.Name, "test") // a suite's functions count as tests
		if isTest || isSuite {
			return name
		}
		if function.Pos() > at {
			return ""
		}
	}
	return ""
}
