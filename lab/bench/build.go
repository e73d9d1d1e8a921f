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

// A targetBuilder builds the servers. It stores their binaries in a temporary folder.
type targetBuilder struct {
	ctx        context.Context
	repository string // root folder
	binDir     string
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
func (b *targetBuilder) goBuild(module, pkg, name string) (string, error) {
	binary := filepath.Join(b.binDir, name)
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, pkg)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return binary, nil
}

// buildWatchword builds the server of a revision. If revision is "", it builds the current files of this repository.
func (b *targetBuilder) buildWatchword(revision string) (binary string, err error) {
	if revision == "" {
		return b.goBuild(b.repository, "./cmd/watchword", "watchword")
	}
	name := "watchword-" + strings.NewReplacer("/", "_", "~", "_", "^", "_").Replace(revision)
	err = b.inWorktree(revision, func(tree string) (err error) {
		binary, err = b.goBuild(tree, "./cmd/watchword", name)
		return err
	})
	return binary, err
}

// inWorktree calls fn with a temporary git worktree of a revision. It then removes the worktree, even after Ctrl-C.
func (b *targetBuilder) inWorktree(revision string, fn func(tree string) error) (err error) {
	dir, err := os.MkdirTemp(b.binDir, "source-")
	if err != nil {
		return err
	}
	tree := filepath.Join(dir, "watchword")
	if err := b.runGit("worktree", "add", "--detach", tree, revision); err != nil {
		return err
	}
	defer func() {
		if removed := b.runGit("worktree", "remove", "--force", tree); err == nil {
			err = removed
		}
	}()
	return fn(tree)
}

// runGit runs git. It continues after Ctrl-C, because the worktree must be removed.
func (b *targetBuilder) runGit(args ...string) error {
	cmd := exec.CommandContext(context.WithoutCancel(b.ctx), "git", append([]string{"-C", b.repository}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return nil
}
