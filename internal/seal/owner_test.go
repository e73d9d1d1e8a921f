//go:build unix

package seal_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/watchword-auth/watchword/internal/seal"
)

// If root replaces the master key, the new file must belong to the user that runs the server. The owners can differ
// only if root runs the test.
func TestSuccessorOfAMasterKeyHasTheSameOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if _, _, err := seal.LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(path, 4711, 4712); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.CreateNext(path); err != nil {
		t.Fatal(err)
	}
	if err := seal.Promote(path); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	want, have := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if have.Ino == want.Ino || have.Uid != want.Uid || have.Gid != want.Gid || after.Mode() != before.Mode() {
		t.Errorf("the new file belongs to %d:%d with mode %v, the old one to %d:%d with %v",
			have.Uid, have.Gid, after.Mode(), want.Uid, want.Gid, before.Mode())
	}
}
