package watchword_test

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"
)

// undefinedName matches the error for a name without a package. Names of other packages are not checked.
var undefinedName = regexp.MustCompile(`^undefined: \w+$|^undefined array length \w+ `)

// CI compiles only for Linux, because a full build for another platform takes more than a minute. This test checks
// the names in packages that have files for one platform, so that a rename can't break the other platforms.
func TestFilesForOtherPlatformsUseDeclaredNames(t *testing.T) {
	t.Parallel()
	dirs := map[string]bool{}
	for _, f := range readHouse(t, os.DirFS(".")) {
		dirs[filepath.Dir(f.path)] = true
	}
	checked := 0
	for dir := range dirs {
		for _, goos := range []string{"darwin", "windows"} {
			platform := build.Default
			platform.GOOS, platform.CgoEnabled = goos, false
			pkg, err := platform.ImportDir(dir, 0)
			if err != nil || len(pkg.IgnoredGoFiles) == 0 {
				continue
			}
			checked++
			for _, err := range typeErrors(t, dir, pkg.GoFiles) {
				if undefinedName.MatchString(err.Msg) {
					t.Errorf("%s: %s: %s", goos, err.Fset.Position(err.Pos), err.Msg)
				}
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d packages were checked", checked)
	}
}

// emptyPackages imports every package without its content.
type emptyPackages struct{}

var majorVersion = regexp.MustCompile(`/v\d+$`)

func (emptyPackages) Import(importPath string) (*types.Package, error) {
	pkg := types.NewPackage(importPath, path.Base(majorVersion.ReplaceAllString(importPath, "")))
	pkg.MarkComplete()
	return pkg, nil
}

// typeErrors imports no package, so most of the errors concern names of other packages.
func typeErrors(t *testing.T, dir string, names []string) (found []types.Error) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		must(t, err)
		files = append(files, file)
	}
	config := types.Config{
		Importer: emptyPackages{},
		Error: func(err error) {
			var one types.Error
			if errors.As(err, &one) {
				found = append(found, one)
			}
		},
	}
	_, _ = config.Check(dir, fset, files, nil)
	return found
}
