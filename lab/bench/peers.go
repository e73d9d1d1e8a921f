package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// express describes npm/express.mjs, the design that tutorials show.
func express(on store) kind {
	k := kind{
		about: "the tutorials' design on Express (lab/bench/npm/express.mjs), one process, HS256",
		hash:  "bcrypt, cost 10", store: on, ready: "/ready", settings: "/settings",
		missing: missingNode,
		api: api{
			signUp:  func(u user) request { return post("/register", credentials(u)) },
			login:   func(u user) request { return post("/login", credentials(u)) },
			refresh: func(s *session) request { return post("/refresh", `{"refreshToken":"`+s.refresh+`"}`) },
			logout:  func(s *session) request { return post("/logout", `{"refreshToken":"`+s.refresh+`"}`) },
			me:      func(s *session) request { return get("/me", s) },
			adopt:   adoptFields("accessToken", "refreshToken"), signUpSignsIn: true,
		},
	}
	k.build = nodeProgram("express.mjs")
	return k
}

func credentials(u user) string { return `{"email":"` + u.email + `","password":"` + u.password + `"}` }

func missingNode() string {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return name + " (Node.js 20 or newer) on the PATH"
		}
	}
	return ""
}

// nodeProgram returns a build function for a script of npm/.
func nodeProgram(script string) func(*builder, target) (program, error) {
	return func(b *builder, t target) (program, error) {
		dir := filepath.Join(b.root, "lab/bench/npm")
		if err := b.npmInstall(dir); err != nil {
			return program{}, err
		}
		return program{
			argv: []string{"node", filepath.Join(dir, script)},
			env:  []string{"NODE_ENV=production"},
			arguments: func(at place) (argv, env []string) {
				return nil, []string{"PORT=" + at.port, "DATA_DIR=" + at.dir, "DATABASE_URL=" + at.database,
					"SECRET=" + signingSecret, fmt.Sprintf("POOL=%d", poolSize)}
			},
		}, nil
	}
}

// npmInstall installs the locked packages, unless node_modules is newer than the lock file.
func (b *builder) npmInstall(dir string) error {
	lock, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	installed, err := os.Stat(filepath.Join(dir, "node_modules/.package-lock.json"))
	if err == nil && !installed.ModTime().Before(lock.ModTime()) {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cmd := exec.CommandContext(b.ctx, "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return nil
}
