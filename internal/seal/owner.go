//go:build unix

package seal

import (
	"fmt"
	"os"
	"syscall"
)

// copyOwner gives the file at newPath the owner of the file at path, if the owners differ. Otherwise, if root runs the
// command, the server could not read the new master key, because the server runs as another user. SQLite copies the
// owner for the files next to its database in the same way.
func copyOwner(path, newPath string) error {
	old, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read the owner of the master key: %w", err)
	}
	made, err := os.Stat(newPath)
	if err != nil {
		return fmt.Errorf("read the owner of the new master key: %w", err)
	}
	want, known := old.Sys().(*syscall.Stat_t)
	have, both := made.Sys().(*syscall.Stat_t)
	if !known || !both || want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	if err := os.Chown(newPath, int(want.Uid), int(want.Gid)); err != nil {
		return fmt.Errorf("keep the owner of the master key: %w", err)
	}
	return nil
}
