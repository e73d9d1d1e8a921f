package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A builder builds targets. It stores the binaries in a temporary folder.
type builder struct {
	ctx  context.Context
	root string // root folder of this repository
	dir  string // folder for the binaries
}

// moduleRoot returns the folder of this module's go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/watchword-auth/watchword")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run this inside the repository: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// goBuild builds a package with the flags of `make build`, but without commit and date. It returns the path of the
// binary.
func (b *builder) goBuild(module, pkg, name string) (string, error) {
	binary := filepath.Join(b.dir, name)
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, pkg)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return binary, nil
}

// watchword builds the server of a git revision. If revision is "", it builds the current files of this repository.
func (b *builder) watchword(revision string) (binary string, err error) {
	if revision == "" {
		return b.goBuild(b.root, "./cmd/watchword", "watchword")
	}
	name := "watchword-" + strings.NewReplacer("/", "_", "~", "_", "^", "_").Replace(revision)
	err = b.inWorktree(revision, func(tree string) (err error) {
		binary, err = b.goBuild(tree, "./cmd/watchword", name)
		return err
	})
	return binary, err
}

// inWorktree calls fn with a temporary git worktree of a revision. It then removes the worktree, even after Ctrl-C.
func (b *builder) inWorktree(revision string, fn func(tree string) error) (err error) {
	dir, err := os.MkdirTemp(b.dir, "source-")
	if err != nil {
		return err
	}
	tree := filepath.Join(dir, "watchword")
	if err := b.git("worktree", "add", "--detach", tree, revision); err != nil {
		return err
	}
	defer func() {
		if removed := b.git("worktree", "remove", "--force", tree); err == nil {
			err = removed
		}
	}()
	return fn(tree)
}

// git runs a git command. It does not stop at Ctrl-C, because the worktree must be removed.
func (b *builder) git(args ...string) error {
	cmd := exec.CommandContext(context.WithoutCancel(b.ctx), "git", append([]string{"-C", b.root}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return nil
}
