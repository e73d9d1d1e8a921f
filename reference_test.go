package watchword_test

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// A comment can name a file, a type's member or a package's symbol. The test fails if
// the named thing does not exist. It reads the comments of every Go file, and file
// names in Markdown as well.

var (
	// fileName matches the name of a file of the project, with or without its folder.
	fileName = regexp.MustCompile(`(?:^|[\s("'` + "`" + `])((?:[\w.@-]+/)*[\w@-]+(?:[.][\w-]+)*[.](?:go|md|tsx?|sql|html|css|txt|txtar|ya?ml|mjs))\b`)

	// fencedBlock matches a block of commands and their output, which name the reader's files.
	fencedBlock = regexp.MustCompile("(?s)```.*?```|(?m)^ {4}.*$")

	// symbolName matches Type.Member and package.Symbol.
	symbolName = regexp.MustCompile(`\b([A-Za-z]\w*)[.]([A-Z]\w*)\b`)
)

func TestCommentsNameExistingFilesAndSymbols(t *testing.T) {
	t.Parallel()
	reportFaults(t, referenceFaults(t, os.DirFS(".")))
}

func TestCommentThatNamesAMissingSymbolIsFound(t *testing.T) {
	t.Parallel()
	const good = "package tea\n\n// Cup holds tea. See pot.go and docs/tea.md. Cup.Pour and tea.Cup exist; so does " +
		"http.Handler.\ntype Cup struct{}\n\nfunc (Cup) Pour() {}\n"
	for comment, want := range map[string]string{
		"// See kettle.go.":      "kettle.go",
		"// See docs/coffee.md.": "docs/coffee.md",
		"// Cup.Drink drinks.":   "Cup.Drink",
		"// tea.Kettle boils.":   "tea.Kettle",
	} {
		tree := fstest.MapFS{
			"tea/cup.go":  {Data: []byte(good + comment + "\nfunc spill() {}\n")},
			"tea/pot.go":  {Data: []byte("package tea\n")},
			"docs/tea.md": {Data: []byte("# Tea\n\nSee tea/cup.go.\n")},
		}
		faults := referenceFaults(t, tree)
		if len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("%q: got %q, want one fault with %q", comment, faults, want)
		}
	}
}

func referenceFaults(t *testing.T, tree fs.FS) (faults []string) {
	t.Helper()
	known := readReferences(t, tree)
	files := readHouse(t, tree)
	for _, f := range files {
		for _, group := range f.syntax.Comments {
			for _, comment := range group.List {
				for _, name := range known.missingNames(f.path, comment.Text) {
					faults = append(faults, fmt.Sprintf("%s names %s, which does not exist", f.at(comment), name))
				}
			}
		}
	}
	for name := range known.files {
		if path.Ext(name) != ".md" {
			continue
		}
		text, err := fs.ReadFile(tree, name)
		must(t, err)
		for _, missing := range known.missingFiles(name, fencedBlock.ReplaceAllString(string(text), "")) {
			faults = append(faults, fmt.Sprintf("%s names %s, which does not exist", name, missing))
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults)
}

// references are the things that a comment may name.
type references struct {
	files    map[string]bool            // paths from the root
	endings  map[string]bool            // the last one, two, three … elements of each path
	packages map[string]map[string]bool // exported and other top-level names, by package name
	members  map[string]map[string]bool // fields and methods, by type name, over all packages
}

func readReferences(t *testing.T, tree fs.FS) references {
	t.Helper()
	known := references{
		files: map[string]bool{}, endings: map[string]bool{},
		packages: map[string]map[string]bool{}, members: map[string]map[string]bool{},
	}
	must(t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return fs.SkipDir
		}
		known.files[name] = true
		ending, rest := path.Base(name), path.Dir(name)
		for known.endings[ending] = true; rest != "."; known.endings[ending] = true {
			ending, rest = path.Join(path.Base(rest), ending), path.Dir(rest)
		}
		return err
	}))
	for _, f := range readHouse(t, tree) {
		pkg := strings.TrimSuffix(f.syntax.Name.Name, "_test")
		for _, d := range f.syntax.Decls {
			known.declare(pkg, d)
		}
	}
	return known
}

func (k references) declare(pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			addName(k.packages, pkg, d.Name.Name)
			return
		}
		addName(k.members, receiverType(d.Recv.List[0].Type), d.Name.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				addName(k.packages, pkg, spec.Name.Name)
				k.declareMembers(spec)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					addName(k.packages, pkg, name.Name)
				}
			}
		}
	}
}

// declareMembers also adds the name of each embedded type: its members are not
// followed, so a comment names them by their own type.
func (k references) declareMembers(spec *ast.TypeSpec) {
	var fields *ast.FieldList
	switch kind := spec.Type.(type) {
	case *ast.StructType:
		fields = kind.Fields
	case *ast.InterfaceType:
		fields = kind.Methods
	default:
		addName(k.members, spec.Name.Name, "")
		return
	}
	addName(k.members, spec.Name.Name, "")
	for _, field := range fields.List {
		for _, name := range field.Names {
			addName(k.members, spec.Name.Name, name.Name)
		}
		if len(field.Names) == 0 {
			addName(k.members, spec.Name.Name, "embeds")
			addName(k.members, spec.Name.Name, receiverType(field.Type))
		}
	}
}

func addName(sets map[string]map[string]bool, set, name string) {
	if sets[set] == nil {
		sets[set] = map[string]bool{}
	}
	sets[set][name] = true
}

// receiverType returns the name of a type without its pointer, package and parameters.
func receiverType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiverType(e.X)
	case *ast.IndexExpr:
		return receiverType(e.X)
	case *ast.IndexListExpr:
		return receiverType(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func (k references) missingNames(in, text string) []string {
	missing := k.missingFiles(in, text)
	for _, m := range symbolName.FindAllStringSubmatch(text, -1) {
		set, name := m[1], m[2]
		members, isType := k.members[set]
		symbols, isPackage := k.packages[set]
		switch {
		case isType && (members[name] || members["embeds"]), isPackage && symbols[name]:
		case isType, isPackage:
			missing = append(missing, set+"."+name)
		}
	}
	return missing
}

// missingFiles accepts a path from the root, a path from the folder of the text, and the
// last elements of the path of any file.
func (k references) missingFiles(in, text string) (missing []string) {
	for _, m := range fileName.FindAllStringSubmatch(text, -1) {
		name := strings.TrimPrefix(m[1], "./")
		if k.files[path.Join(path.Dir(in), name)] || k.endings[name] {
			continue
		}
		missing = append(missing, name)
	}
	return missing
}

// The table of ARCHITECTURE.md names every package of the import table, and what each may import. It calls the wings
// "a wing" and "wings".
func TestArchitectureHasTheImportTable(t *testing.T) {
	t.Parallel()
	text, _, _ := strings.Cut(readText(t, "ARCHITECTURE.md"), "\n## Where things are")
	rows := tableRows(text)
	for _, r := range importTable {
		for _, pkg := range strings.Fields(r.importers) {
			at := slices.IndexFunc(rows, func(cells []string) bool {
				return strings.Contains(" "+strings.ReplaceAll(cells[0], ",", "")+" ", " "+tableText(pkg, "a wing")+" ")
			})
			if at < 0 {
				t.Errorf("ARCHITECTURE.md has no row for %s", pkg)
				continue
			}
			for _, may := range strings.Fields(strings.TrimSuffix(r.allowed, wings)) {
				if !strings.Contains(rows[at][1], tableText(may, may)) {
					t.Errorf("ARCHITECTURE.md: %s may import %s, and its row does not say so: %s",
						pkg, may, rows[at][1])
				}
			}
			if strings.HasSuffix(r.allowed, wings) && !strings.Contains(rows[at][1], "wings") {
				t.Errorf("ARCHITECTURE.md: %s may import wings, and its row does not say so", pkg)
			}
		}
	}
}

var (
	// nameBeforeFile matches a name and its file, such as `login (api_session.go)`.
	nameBeforeFile = regexp.MustCompile(`\b([a-z]\w*) \(\w+\.go\)`)

	// camelName matches a name with a capital inside, such as readClient.
	camelName = regexp.MustCompile(`\b[a-z][a-z0-9]*[A-Z]\w*`)

	// codeOfPage matches indented lines, and words in backticks.
	codeOfPage = regexp.MustCompile("(?m)^ {4}.*$|`[\\w.]+`")
)

func TestPagesForDevelopersNameExistingFunctionsAndEveryFileOfTheEngine(t *testing.T) {
	t.Parallel()
	known := readReferences(t, os.DirFS("."))
	declared := map[string]bool{}
	for _, sets := range []map[string]map[string]bool{known.packages, known.members} {
		for _, names := range sets {
			for name := range names {
				declared[name] = true
			}
		}
	}
	for _, page := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md"} {
		for _, code := range codeOfPage.FindAllString(readText(t, page), -1) {
			names := camelName.FindAllString(code, -1)
			for _, match := range nameBeforeFile.FindAllStringSubmatch(code, -1) {
				names = append(names, match[1])
			}
			for _, name := range names {
				if !declared[name] {
					t.Errorf("%s names %s, which is not declared", page, name)
				}
			}
		}
	}
	places := readSection(t, "ARCHITECTURE.md", "## Where things are")
	for name := range known.files {
		if path.Ext(name) == ".go" && path.Dir(name) == "." && !strings.HasSuffix(name, "_test.go") &&
			!regexp.MustCompile(`[ (`+"`"+`]`+regexp.QuoteMeta(name)).MatchString(places) {
			t.Errorf("ARCHITECTURE.md, Where things are: no place for %s", name)
		}
	}
}

// tableText returns how a table names a package.
func tableText(pkg, wing string) string {
	switch {
	case pkg == "root":
		return pkg
	case pkg == "*":
		return "everything"
	case matchesAny(wings, pkg) && wing == "a wing":
		return wing
	}
	return "`" + pkg + "`"
}
