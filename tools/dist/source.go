package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// commit is the source of a release.
type commit struct {
	hash string
	time time.Time // when the commit was made, UTC, in seconds
}

// export writes the files of HEAD to dir.
func export(repository, dir string) (commit, error) {
	text, err := output(repository, nil, "git", "log", "-1", "--no-show-signature", "--format=%H %ct")
	if err != nil {
		return commit{}, err
	}
	var c commit
	var seconds int64
	if _, err := fmt.Sscan(string(text), &c.hash, &seconds); err != nil {
		return commit{}, fmt.Errorf("read git log: %w", err)
	}
	c.time = time.Unix(seconds, 0).UTC()
	fmt.Printf("building commit %s of %s\n", c.hash, c.time.Format(time.RFC3339))
	changed, err := output(repository, nil, "git", "status", "--porcelain")
	if err != nil {
		return commit{}, err
	}
	if len(changed) > 0 {
		fmt.Printf("the changes that are not committed are not part of it:\n%s", changed)
	}
	archive, err := output(repository, nil, "git", "archive", "--format=tar", c.hash)
	if err != nil {
		return commit{}, err
	}
	return c, unpack(bytes.NewReader(archive), dir)
}

// unpack writes the files of a tar archive to dir. It skips symbolic links, because the build does not need those in
// git. os.Root refuses names outside of dir.
func unpack(archive io.Reader, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(strings.TrimSuffix(header.Name, "/"), 0o755)
		case tar.TypeReg:
			var data []byte
			if data, err = io.ReadAll(reader); err == nil {
				err = root.WriteFile(header.Name, data, 0o644)
			}
		}
		if err != nil {
			return err
		}
	}
}

// compile builds the program for a platform and returns the path of the binary. A second call for the same platform
// returns the first binary.
//
// -trimpath removes the folder from the binary. The linker writes the commit and its time. -buildvcs is off, because
// Go would derive a version from the tags in the clone, and not every clone has the same tags.
func (r *release) compile(platform string) (string, error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	binary := filepath.Join(r.work, goos+"_"+goarch)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	flags := fmt.Sprintf("-s -w -X main.commit=%s -X main.date=%s", r.commit.hash, r.commit.time.Format(time.RFC3339))
	_, err := output(r.source, goEnvironment(goos, goarch),
		"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", binary, "./cmd/watchword")
	return binary, err
}

// goEnvironment returns the environment of a build. It overrides every variable of the Go command
// that changes the bytes of a binary.
func goEnvironment(goos, goarch string) []string {
	return append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly",
		"GOWORK=off", "GOENV=off", "GOEXPERIMENT=", "GOFIPS140=off", "GOAMD64=v1", "GOARM64=v8.0")
}

// generate runs the binary of this machine, which prints its completions, its manual page and its version. The
// completions and the manual page therefore match the program.
func (r *release) generate(binary string) ([]file, error) {
	var about struct {
		Version string `json:"version"`
		Commit  string `json:"commit"`
	}
	text, err := r.runBinary(binary, "version", "--json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return nil, err
	}
	if about.Commit != r.commit.hash {
		return nil, fmt.Errorf("the binary says commit %q", about.Commit)
	}
	r.version = about.Version
	var files []file
	for _, each := range []struct {
		name      string
		arguments []string
	}{
		{"man/watchword.1", []string{"man"}},
		{"completions/watchword.bash", []string{"completion", "bash"}},
		{"completions/_watchword", []string{"completion", "zsh"}},
		{"completions/watchword.fish", []string{"completion", "fish"}},
	} {
		data, err := r.runBinary(binary, each.arguments...)
		if err != nil {
			return nil, err
		}
		files = append(files, file{each.name, data, 0o644})
	}
	return files, nil
}

// runBinary runs the built program without the settings of this machine.
func (r *release) runBinary(binary string, arguments ...string) ([]byte, error) {
	var environment []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "WATCHWORD_") {
			environment = append(environment, variable)
		}
	}
	return output(r.work, environment, binary, arguments...)
}

// output runs a program and returns its standard output. The standard error of the program goes
// to that of this process. If environment is nil, the program gets the environment of this
// process.
func output(dir string, environment []string, program string, arguments ...string) ([]byte, error) {
	cmd := exec.Command(program, arguments...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, environment, os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(program), err)
	}
	return text, nil
}
