package main_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// Two builds of one commit must create the same bytes. In CI, the test builds one platform. With
// WATCHWORD_TEST_DIST=all (make dist-check), it builds all platforms, and the second build has an empty build cache.
func TestReleaseIsReproducible(t *testing.T) {
	builder := filepath.Join(t.TempDir(), "dist")
	command(t, "", nil, "go", "build", "-o", builder, ".")
	repository := strings.TrimSpace(command(t, "", nil, "git", "rev-parse", "--show-toplevel"))
	base := t.TempDir()
	full, shallow := filepath.Join(base, "full"), filepath.Join(base, "other folder", "shallow")
	command(t, "", nil, "git", "clone", "-q", "--no-checkout", repository, full)
	command(t, full, nil, "git", "checkout", "-q", "--detach")
	command(t, "", nil, "git", "clone", "-q", "--depth=1", "--no-tags", "file://"+full, shallow)

	// Uncommitted files, and the environment in which the release is built, must not change the bytes of the release.
	if err := os.WriteFile(filepath.Join(shallow, "cmd/watchword/changed.go"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := os.Getenv("WATCHWORD_TEST_DIST") == "all"
	arguments := []string{"-platforms", "linux/amd64"}
	environment := []string{"TZ=Asia/Kathmandu", "LC_ALL=C", "GOAMD64=v3", "GOFLAGS=-buildvcs=true -tags=none", "WATCHWORD_LISTEN=:1"}
	if all {
		arguments = nil
		environment = append(environment, "GOCACHE="+filepath.Join(base, "cache"))
	}
	began := time.Now()
	first := release(t, "umask 022", builder, full, filepath.Join(base, "first"), nil, arguments)
	second := release(t, "umask 077", builder, shallow, filepath.Join(base, "other folder", "second"), environment, arguments)
	t.Logf("two releases of %d files each took %v", len(first), time.Since(began).Round(time.Second))
	if a, b := slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second)); !slices.Equal(a, b) {
		t.Fatalf("the files are %q and %q", a, b)
	}
	for name, data := range first {
		if !bytes.Equal(data, second[name]) {
			t.Errorf("%s differs between two builds", name)
		}
	}
	if want := map[bool]int{false: 6, true: 16}[all]; len(first) != want {
		t.Errorf("got %d files, want %d", len(first), want)
	}
	command(t, filepath.Join(base, "first"), nil, "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	checkArchives(t, first, strings.TrimSpace(command(t, full, nil, "git", "rev-parse", "HEAD")), commitTime(t, full))
}

// release builds a release and returns its files.
func release(t *testing.T, before, builder, source, out string, environment, arguments []string) map[string][]byte {
	t.Helper()
	arguments = append([]string{"-c", before + ` && exec "$0" "$@"`, builder, "-source", source, "-out", out}, arguments...)
	t.Log(command(t, source, environment, "sh", arguments...))
	files := map[string][]byte{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(out, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// checkArchives checks each archive: its files, its binary, its SBOM and its licences.
func checkArchives(t *testing.T, files map[string][]byte, commit string, at time.Time) {
	t.Helper()
	checked := 0
	for name, data := range files {
		var contents map[string][]byte
		stem, isTar := strings.CutSuffix(name, ".tar.gz")
		if isTar {
			contents = readTar(t, data, at)
		} else if stem, isTar = strings.CutSuffix(name, ".zip"); isTar {
			contents = readZip(t, data)
		} else {
			continue
		}
		checked++
		program := "watchword"
		if strings.Contains(name, "windows") {
			program = "watchword.exe"
		}
		for _, want := range []string{
			program, "LICENSE", "README.md", "CHANGELOG.md", "THIRD-PARTY-LICENSES.txt", "man/watchword.1",
			"completions/watchword.bash", "completions/_watchword", "completions/watchword.fish",
		} {
			if len(contents[stem+"/"+want]) == 0 {
				t.Errorf("%s: %s is missing or empty", name, want)
			}
		}
		checkModules(t, contents[stem+"/"+program], files[stem+".cdx.json"], contents[stem+"/THIRD-PARTY-LICENSES.txt"])
		if strings.HasSuffix(stem, "_"+runtime.GOOS+"_"+runtime.GOARCH) {
			checkVersion(t, contents[stem+"/"+program], commit, at)
		}
	}
	if checked == 0 {
		t.Error("the release has no archive")
	}
}

// checkModules compares the SBOM and the licences with the modules that Go finds in the binary.
func checkModules(t *testing.T, binary, sbom, licences []byte) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"std@" + strings.TrimPrefix(info.GoVersion, "go")}
	for _, m := range info.Deps {
		want = append(want, m.Path+"@"+m.Version)
		if !bytes.Contains(licences, []byte("\n"+m.Path+" "+m.Version+": ")) {
			t.Errorf("the licence of %s is missing", m.Path)
		}
	}
	if slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-tags" || s.Value == "v3" }) {
		t.Error("the environment changed the settings of the build")
	}
	var bom struct {
		Format     string `json:"bomFormat"`
		Components []struct {
			Name, Version, Purl string
			Licenses            []struct{ Expression string }
		}
	}
	if err := json.Unmarshal(sbom, &bom); err != nil || bom.Format != "CycloneDX" {
		t.Fatalf("SBOM: format %q, %v", bom.Format, err)
	}
	var got []string
	for _, c := range bom.Components {
		got = append(got, c.Name+"@"+c.Version)
		if len(c.Licenses) != 1 || c.Licenses[0].Expression == "" || !strings.HasPrefix(c.Purl, "pkg:golang/") {
			t.Errorf("SBOM: component %+v lacks a licence or a package URL", c)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("SBOM has %q, the binary %q", got, want)
	}
}

func checkVersion(t *testing.T, binary []byte, commit string, at time.Time) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "watchword")
	if err := os.WriteFile(program, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	text := command(t, "", nil, program, "version")
	for _, want := range []string{"commit " + commit + ",", at.Format(time.RFC3339), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH} {
		if !strings.Contains(text, want) {
			t.Errorf("version prints %q, want %q in it", text, want)
		}
	}
}

// readTar returns the files of a tar archive. It fails if headers depend on the machine.
func readTar(t *testing.T, data []byte, at time.Time) map[string][]byte {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files, last := map[string][]byte{}, ""
	for reader := tar.NewReader(compressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(header.Name, "/watchword") {
			mode = 0o755
		}
		if header.Name <= last || !header.ModTime.Equal(at) || header.Uid != 0 || fs.FileMode(header.Mode) != mode {
			t.Errorf("%s after %s: %v, uid %d, mode %o", header.Name, last, header.ModTime, header.Uid, header.Mode)
		}
		last = header.Name
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}

func readZip(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range archive.File {
		if files[f.Name], err = fs.ReadFile(archive, f.Name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestUnknownPlatformAndUsedFolderAreRefused(t *testing.T) {
	builder, used := filepath.Join(t.TempDir(), "dist"), t.TempDir()
	command(t, "", nil, "go", "build", "-o", builder, ".")
	if err := os.WriteFile(filepath.Join(used, "watchword_0.0.1_linux_amd64.tar.gz"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, arguments := range map[string][]string{
		"unknown platform": {"-platforms", "plan9/amd64", "-out", filepath.Join(t.TempDir(), "out")},
		"contains files":   {"-out", used},
	} {
		text, err := exec.Command(builder, arguments...).CombinedOutput()
		if err == nil || !strings.Contains(string(text), want) {
			t.Errorf("%q: %v %q, want %q", arguments, err, text, want)
		}
	}
}

func commitTime(t *testing.T, repository string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(command(t, repository, nil, "git", "log", "-1", "--format=%cI")))
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// command runs a program and returns its standard output.
func command(t *testing.T, dir string, environment []string, program string, arguments ...string) string {
	t.Helper()
	cmd := exec.Command(program, arguments...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", program, arguments, err, text, errs.Bytes())
	}
	return string(text)
}
