package watchword_test

import (
	"errors"
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

//go:generate go test -run ^TestEverySecurityRequirementOfASVSIsListed$ . -update

// testdata/asvs.txt answers each requirement of levels 1 and 2 of OWASP ASVS 5.0.0, whose ids are in
// testdata/asvs-ids.txt. docs/asvs.md is generated from both. The test fails if an id is missing or
// unknown, if evidence does not exist, or if the page differs.
func TestEverySecurityRequirementOfASVSIsListed(t *testing.T) {
	t.Parallel()
	ids, err := readASVSIDs(readText(t, "testdata/asvs-ids.txt"))
	must(t, err)
	if len(ids) != 253 || countLevel(ids, "1") != 70 {
		t.Errorf("%d ids, %d of level 1; the standard has 253 and 70", len(ids), countLevel(ids, "1"))
	}
	evidence := asvsEvidence{tests: foldersByTest(t), exists: existsInModule}
	rows, faults := readASVS(readText(t, "testdata/asvs.txt"), ids, evidence)
	for _, fault := range faults {
		t.Error(fault)
	}
	if len(faults) == 0 {
		checkGenerated(t, "docs/asvs.md", func(string) string { return expectedASVSPage(ids, rows, evidence) })
	}
}

func TestFaultyAnswerToASVSIsReported(t *testing.T) {
	t.Parallel()
	ids := []asvsID{{id: "1.1.1", level: "1", chapter: "V1 One"}, {id: "1.1.2", level: "2", chapter: "V1 One"}}
	evidence := asvsEvidence{tests: map[string][]string{"TestA": {"server"}}, exists: func(path string) bool {
		return path == "docs/a.md" || path == "docs/a.md#part"
	}}
	const right = "1.1.1 | about | met | TestA, docs/a.md#part | Because.\n" +
		"1.1.2 | about | not applicable | - | There is none.\n"
	if _, faults := readASVS("# comment\n\n"+right, ids, evidence); len(faults) > 0 {
		t.Errorf("the right file has faults: %q", faults)
	}
	for name, c := range map[string]struct{ old, new string }{
		"id missing":                {"1.1.2 | about | not applicable | - | There is none.\n", ""},
		"id unknown":                {"1.1.2", "1.1.3"},
		"id twice":                  {"1.1.2", "1.1.1"},
		"test that does not exist":  {"TestA", "TestB"},
		"document that is missing":  {"docs/a.md#part", "docs/b.md"},
		"section that is missing":   {"#part", "#other"},
		"met without evidence":      {"TestA, docs/a.md#part", "-"},
		"evidence although without": {"not applicable | -", "not applicable | TestA"},
		"state unknown":             {"| met |", "| done |"},
		"no reason":                 {"Because.", ""},
	} {
		text := strings.Replace(right, c.old, c.new, 1)
		if _, faults := readASVS(text, ids, evidence); text == right || len(faults) == 0 {
			t.Errorf("%s: no fault in %q", name, text)
		}
	}
}

type asvsID struct{ id, level, chapter string }

type asvsRow struct {
	about, state, reason string
	evidence             []string // names of tests, and paths from the root of the module
}

// The states of an answer, in the order of the summary.
var asvsStates = []string{"met", "partly", "not met", "not applicable"}

type asvsEvidence struct {
	tests  map[string][]string // name of a test → its packages
	exists func(path string) bool
}

// readASVSIDs returns the ids of levels 1 and 2.
func readASVSIDs(text string) (ids []asvsID, err error) {
	line := regexp.MustCompile(`^([0-9]+\.[0-9]+\.[0-9]+) ([123])$`)
	chapter := ""
	for _, one := range strings.Split(text, "\n") {
		if title, isTitle := strings.CutPrefix(one, "## "); isTitle {
			chapter = title
			continue
		}
		if one == "" || strings.HasPrefix(one, "#") {
			continue
		}
		match := line.FindStringSubmatch(one)
		if match == nil {
			return nil, fmt.Errorf("testdata/asvs-ids.txt: %q", one)
		}
		if match[2] != "3" {
			ids = append(ids, asvsID{match[1], match[2], chapter})
		}
	}
	return ids, nil
}

func countLevel(ids []asvsID, level string) (n int) {
	for _, id := range ids {
		if id.level == level {
			n++
		}
	}
	return n
}

func readASVS(text string, ids []asvsID, known asvsEvidence) (rows map[string]asvsRow, faults []string) {
	rows = map[string]asvsRow{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) != 5 || slices.Contains(fields, "") {
			faults = append(faults, fmt.Sprintf("%q: want id | about | state | evidence | reason", line))
			continue
		}
		id, row := fields[0], asvsRow{about: fields[1], state: fields[2], reason: fields[4]}
		if fields[3] != "-" {
			row.evidence = strings.Split(fields[3], ", ")
		}
		if _, twice := rows[id]; twice {
			faults = append(faults, id+" is listed twice")
		}
		if !slices.ContainsFunc(ids, func(one asvsID) bool { return one.id == id }) {
			faults = append(faults, id+" is no requirement of level 1 or 2")
		}
		faults = append(faults, row.faults(id, known)...)
		rows[id] = row
	}
	for _, one := range ids {
		if _, found := rows[one.id]; !found {
			faults = append(faults, one.id+" has no answer")
		}
	}
	return rows, faults
}

func (r asvsRow) faults(id string, known asvsEvidence) (faults []string) {
	switch {
	case !slices.Contains(asvsStates, r.state):
		faults = append(faults, fmt.Sprintf("%s: %q is no state", id, r.state))
	case (r.state == "met" || r.state == "partly") && len(r.evidence) == 0:
		faults = append(faults, fmt.Sprintf("%s is %s and has no evidence", id, r.state))
	case r.state == "not applicable" && len(r.evidence) > 0:
		faults = append(faults, id+" is not applicable and has evidence")
	}
	for _, one := range r.evidence {
		if isTestName(one) && known.tests[one] == nil || !isTestName(one) && !known.exists(one) {
			faults = append(faults, fmt.Sprintf("%s: %s does not exist", id, one))
		}
	}
	return faults
}

func isTestName(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
}

func foldersByTest(t *testing.T) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	set := token.NewFileSet()
	must(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv != nil {
				continue
			}
			if name := function.Name.Name; isTestName(name) {
				tests[name] = append(tests[name], filepath.ToSlash(filepath.Dir(path)))
			}
		}
		return nil
	}))
	return tests
}

// existsInModule accepts the anchor of a heading after "#".
func existsInModule(path string) bool {
	path, anchor, _ := strings.Cut(path, "#")
	text, err := os.ReadFile(path)
	if err != nil {
		info, statErr := os.Stat(path)
		return anchor == "" && !errors.Is(statErr, fs.ErrNotExist) && info.IsDir()
	}
	if anchor == "" {
		return true
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") && githubAnchor(line) == anchor {
			return true
		}
	}
	return false
}

func githubAnchor(heading string) string {
	words := strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	return strings.ReplaceAll(regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(words, ""), " ", "-")
}

func expectedASVSPage(ids []asvsID, rows map[string]asvsRow, known asvsEvidence) string {
	var page strings.Builder
	page.WriteString(asvsIntro)
	fmt.Fprintf(&page, "| | %s | all |\n|%s\n", strings.Join(asvsStates, " | "), strings.Repeat(" --- |", 6))
	for _, level := range []string{"1", "2"} {
		fmt.Fprintf(&page, "| level %s |", level)
		for _, state := range asvsStates {
			n := 0
			for _, one := range ids {
				if one.level == level && rows[one.id].state == state {
					n++
				}
			}
			fmt.Fprintf(&page, " %d |", n)
		}
		fmt.Fprintf(&page, " %d |\n", countLevel(ids, level))
	}
	for _, state := range asvsStates[1:3] {
		fmt.Fprintf(&page, "\n## List: %s\n\n", state)
		for _, one := range ids {
			if row := rows[one.id]; row.state == state {
				fmt.Fprintf(&page, "- **%s** (level %s), %s: %s\n", one.id, one.level, row.about, row.reason)
			}
		}
	}
	chapter := ""
	for _, one := range ids {
		if one.chapter != chapter {
			chapter = one.chapter
			fmt.Fprintf(&page, "\n## %s\n\n| id | level | about | state | evidence | reason |\n|%s\n", chapter,
				strings.Repeat(" --- |", 6))
		}
		row := rows[one.id]
		fmt.Fprintf(&page, "| %s | %s | %s | %s | %s | %s |\n", one.id, one.level, row.about, row.state,
			strings.Join(row.evidenceLinks(known), "<br>"), row.reason)
	}
	return page.String()
}

func (r asvsRow) evidenceLinks(known asvsEvidence) (texts []string) {
	for _, one := range r.evidence {
		path, _, _ := strings.Cut(one, "#")
		switch {
		case isTestName(one):
			texts = append(texts, "`"+strings.Join(known.tests[one], "`, `")+"` "+one)
		case strings.HasPrefix(one, "docs/"):
			texts = append(texts, "["+path+"]("+strings.TrimPrefix(one, "docs/")+")")
		case strings.HasSuffix(path, ".md"):
			texts = append(texts, "["+path+"](../"+one+")")
		default:
			texts = append(texts, "`"+one+"`")
		}
	}
	return texts
}

const asvsIntro = `# OWASP ASVS 5.0.0, levels 1 and 2

This page says for each requirement of the OWASP Application Security Verification Standard whether Watchword meets it, and
which test or document shows it. This is our own assessment; no outside auditor has checked it. The column *about* is a
reminder in our words. For the text of the requirements, read [the standard](https://github.com/OWASP/ASVS).

- **met**: the program meets the requirement with the default settings. With other settings, it meets the requirement or does
  not start.
- **partly**: the reason says which part is missing, or what the operator has to do.
- **not met**: the reason says what is missing.
- **not applicable**: Watchword has no such feature.

The page is generated from testdata/asvs.txt: run ` + "`make generate`" + `. A test fails when a requirement has no answer, or when a
named test or document does not exist. Ids, levels and names of chapters: copyright The OWASP Foundation,
[CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/).

`
