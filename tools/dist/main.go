// Command dist builds the files of a release: for each platform an archive and its SBOM, the SBOMs
// of the npm packages, and SHA256SUMS.
//
//	go -C tools run ./dist [-source DIR] [-out DIR] [-platforms linux/amd64,…]
//
// The release is reproducible: its bytes depend only on the commit and on the version of Go. The
// program therefore exports the commit from git and builds the export. Files that are not
// committed, the folder, the time zone, the user and the build cache have no influence. Every time
// in the archives is the time of the commit.
//
// The command is in the tools module, because its library for SBOMs must not become a
// dependency of programs that import Watchword.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// platforms lists the platforms of a release. The tests of Watchword run only on linux.
var platforms = []string{
	"darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "windows/amd64", "windows/arm64",
}

// npmPackages are the folders of the npm packages. Each has an SBOM. npm itself packs and publishes
// them.
var npmPackages = []string{"clients/admin", "clients/typescript", "clients/verify"}

// release is one run of the program.
type release struct {
	source    string   // folder with the files of the commit
	work      string   // a temporary folder for binaries
	out       string   // the folder of the results
	commit    commit   // the exported commit
	version   string   // version of the built program
	platforms []string // GOOS/GOARCH
}

func main() {
	source := flag.String("source", "..", "Folder of the git repository.")
	out := flag.String("out", "../dist", "Folder of the results; it is created, and may not contain files.")
	list := flag.String("platforms", strings.Join(platforms, ","), "Platforms as GOOS/GOARCH, separated by commas.")
	flag.Parse()
	if err := run(*source, *out, strings.Split(*list, ",")); err != nil {
		fmt.Fprintf(os.Stderr, "dist: %v\n", err)
		os.Exit(1)
	}
}

func run(repository, out string, wanted []string) error {
	for _, platform := range wanted {
		if !slices.Contains(platforms, platform) {
			return fmt.Errorf("unknown platform %q; the platforms are: %s", platform, strings.Join(platforms, ", "))
		}
	}
	work, err := os.MkdirTemp("", "watchword-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	r := release{source: filepath.Join(work, "source"), work: work, out: out, platforms: wanted}
	if err := prepareOut(out); err != nil {
		return err
	}
	if r.commit, err = export(repository, r.source); err != nil {
		return fmt.Errorf("export the commit: %w", err)
	}
	if err := r.build(); err != nil {
		return err
	}
	return writeChecksums(out)
}

// prepareOut creates the folder of the results. The folder must be empty, because SHA256SUMS
// would list files of another release.
func prepareOut(out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(out)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s contains files; remove them first", out)
	}
	return err
}

// build writes the archives and the SBOMs.
func (r *release) build() error {
	host, err := r.compile(runtime.GOOS + "/" + runtime.GOARCH)
	if err != nil {
		return err
	}
	documents, err := r.generate(host)
	if err != nil {
		return fmt.Errorf("generate completions and manual: %w", err)
	}
	for _, platform := range r.platforms {
		if err := r.writePlatform(platform, documents); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
	}
	for _, dir := range npmPackages {
		if err := r.writeNpmSBOM(dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

// writePlatform writes the archive of a platform and its SBOM. Both describe exactly the modules
// that the linker put into this binary, because platforms link different modules.
func (r *release) writePlatform(platform string, documents []file) error {
	binary, err := r.compile(platform)
	if err != nil {
		return err
	}
	modules, err := r.linkedModules(binary)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("watchword_%s_%s", r.version, strings.ReplaceAll(platform, "/", "_"))
	files, err := r.contents(binary, modules, documents)
	if err != nil {
		return err
	}
	windows := strings.HasPrefix(platform, "windows/")
	program := file{name: "watchword", mode: 0o755}
	if windows {
		program.name = "watchword.exe"
	}
	if program.data, err = os.ReadFile(binary); err != nil {
		return err
	}
	files = append(files, program)
	if err := r.writeSBOM(name, goSBOM(r, platform, program.data, modules)); err != nil {
		return err
	}
	pack, ending := packTar, ".tar.gz"
	if windows {
		pack, ending = packZip, ".zip"
	}
	archive, err := pack(name, files, r.commit.time)
	if err != nil {
		return err
	}
	fmt.Printf("%s%s: %d bytes, %d modules\n", name, ending, len(archive), len(modules))
	return os.WriteFile(filepath.Join(r.out, name+ending), archive, 0o644)
}

// contents returns all files of an archive except the binary.
func (r *release) contents(binary string, modules []linked, documents []file) ([]file, error) {
	files := slices.Clone(documents)
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		data, err := os.ReadFile(filepath.Join(r.source, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, data, 0o644})
	}
	notice, err := os.ReadFile(filepath.Join(r.source, "internal/password/NOTICE.md"))
	if err != nil {
		return nil, err
	}
	return append(files, file{"THIRD-PARTY-LICENSES.txt", licenceFile(modules, notice), 0o644}), nil
}
