package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// express describes npm/express.mjs, which follows the design of common tutorials.
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

// nodeProgram returns a function for kind.build that prepares a script of npm/.
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

// npmInstall installs the packages of the lock file, unless node_modules is newer than the lock file.
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

// betterAuth describes npm/better-auth.mjs. Its refresh extends the session and stores it, but does not change the
// cookie.
func betterAuth() kind {
	withCookie := func(method, path string) func(*session) request {
		return func(s *session) request { return request{method: method, path: path, cookie: s.cookie} }
	}
	return kind{
		about: "Better Auth 1.7 (lab/bench/npm/better-auth.mjs), one process, no rotation",
		hash:  "scrypt N=16384 r=16 p=1", store: sqliteFile, ready: "/api/auth/ok", settings: "/settings",
		missing: missingNode,
		build:   nodeProgram("better-auth.mjs"),
		api: api{
			signUp: func(u user) request {
				return post("/api/auth/sign-up/email",
					`{"name":"A user","email":"`+u.email+`","password":"`+u.password+`"}`)
			},
			login:   func(u user) request { return post("/api/auth/sign-in/email", credentials(u)) },
			refresh: withCookie("GET", "/api/auth/get-session"),
			me:      withCookie("GET", "/api/auth/get-session?disableRefresh=true"),
			logout:  withCookie("POST", "/api/auth/sign-out"),
			adopt: func(s *session, got response) error {
				if got.cookie != nil {
					s.cookie = string(got.cookie)
				}
				if s.cookie == "" || len(got.body) < len("null ") {
					return fmt.Errorf("the response has no session: %.300s", got.body)
				}
				return nil
			},
			signUpSignsIn: true,
		},
	}
}

// pocketBase describes pocketbase/, which is PocketBase with durable commits. Its refresh issues a new token and
// writes no row. Single sessions can't be ended.
func pocketBase() kind {
	const users = "/api/collections/users/"
	return kind{
		about: "PocketBase 0.36.8 (lab/bench/pocketbase), tokens are re-issued without a write, HS256",
		hash:  "bcrypt, cost 10", store: sqliteFile, ready: "/api/health", settings: "/settings",
		missing: func() string { return "" },
		api: api{
			signUp: func(u user) request {
				return post(users+"records",
					`{"email":"`+u.email+`","password":"`+u.password+`","passwordConfirm":"`+u.password+`"}`)
			},
			login: func(u user) request {
				return post(users+"auth-with-password", `{"identity":"`+u.email+`","password":"`+u.password+`"}`)
			},
			refresh: func(s *session) request {
				return request{method: "POST", path: users + "auth-refresh", authorization: s.access}
			},
			me: func(s *session) request {
				return request{method: "GET", path: users + "records/" + s.id, authorization: s.access}
			},
			adopt: func(s *session, got response) error {
				s.access, s.id = field(got.body, "token"), field(got.body, "id")
				if s.access == "" || s.id == "" {
					return fmt.Errorf("the response has no token or id: %.300s", got.body)
				}
				return nil
			},
		},
		build: func(b *builder, _ target) (program, error) {
			binary, err := b.goBuild(filepath.Join(b.root, "lab/bench/pocketbase"), ".", "pocketbase")
			return program{argv: []string{binary, "serve"}, arguments: func(at place) (argv, env []string) {
				return []string{"--http=" + at.address, "--dir=" + at.dir}, nil
			}}, err
		},
	}
}
