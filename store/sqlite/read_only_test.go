//go:build unix

package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/watchword-auth/watchword/store/sqlite"
)

// readOnlyFile is an environment variable with the path of a read-only file. The test sets it and runs the test
// program again, in a second process and as a user without privileges. The second process is needed, because file
// modes do not restrict root, and tests in containers run as root.
const readOnlyFile = "WATCHWORD_TEST_READ_ONLY_FILE"

func TestUnwritableFileReturnsErrUnavailable(t *testing.T) {
	if path := os.Getenv(readOnlyFile); path != "" {
		_, err := sqlite.Open(t.Context(), path)
		wantUnavailable(t, "open", err)
		return
	}
	t.Parallel()
	dir, program := worldReadableDir(t), copyTestProgram(t)
	path := filepath.Join(dir, "watchword.db")
	if _, err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		file      string
		dir, mode fs.FileMode
	}{
		{"a file that is read-only", path, 0o777, 0o444},
		{"a file that is another's", path, 0o777, 0o000},
		{"a directory that is read-only", path, 0o555, 0o666},
		{"a new file in a directory that is read-only", filepath.Join(dir, "new.db"), 0o555, 0o666},
	} {
		if err := errors.Join(os.Chmod(path, c.mode), os.Chmod(dir, c.dir)); err != nil {
			t.Fatal(err)
		}
		test := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
		test.Env = append(os.Environ(), readOnlyFile+"="+c.file)
		if os.Geteuid() == 0 {
			const nobody = 65534
			test.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		out, err := test.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
}

func worldReadableDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) }) // otherwise, the directory can't be removed
	return dir
}

// copyTestProgram copies the running test program to a directory where every user may run it.
func copyTestProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(worldReadableDir(t), "sqlite.test")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
