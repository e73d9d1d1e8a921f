package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// describeExpress describes the server npm/express.mjs, which is built as common tutorials do.
func describeExpress(on databaseKind) targetKind {
	k := targetKind{
		description:   "the tutorials' design on Express (lab/bench/npm/express.mjs), one process, HS256",
		hashAlgorithm: "bcrypt, cost 10", store: on, readyPath: "/ready", settingsPath: "/settings",
		missingProgram: missingNode,
		api: targetAPI{
			signUp:      func(u user) request { return post("/register", credentials(u)) },
			login:       func(u user) request { return post("/login", credentials(u)) },
			refresh:     func(s *session) request { return post("/refresh", `{"refreshToken":"`+s.refresh+`"}`) },
			logout:      func(s *session) request { return post("/logout", `{"refreshToken":"`+s.refresh+`"}`) },
			me:          func(s *session) request { return get("/me", s) },
			adoptTokens: adoptFields("accessToken", "refreshToken"), signUpSignsIn: true,
		},
	}
	k.buildServer = buildNodeScript("express.mjs")
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

// buildNodeScript returns a function for targetKind.build that prepares a script of npm/.
func buildNodeScript(script string) func(*targetBuilder, target) (builtServer, error) {
	return func(b *targetBuilder, t target) (builtServer, error) {
		dir := filepath.Join(b.repository, "lab/bench/npm")
		if err := b.installNodePackages(dir); err != nil {
			return builtServer{}, err
		}
		return builtServer{
			argv: []string{"node", filepath.Join(dir, script)},
			env:  []string{"NODE_ENV=production"},
			arguments: func(at serverPlace) (argv, env []string) {
				return nil, []string{"PORT=" + at.port, "DATA_DIR=" + at.dataDir, "DATABASE_URL=" + at.databaseURL,
					"SECRET=" + signingSecret, fmt.Sprintf("POOL=%d", poolSize)}
			},
		}, nil
	}
}

// installNodePackages runs npm ci, unless node_modules is newer than the lock file.
func (b *targetBuilder) installNodePackages(dir string) error {
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

// describeBetterAuth describes the server npm/better-auth.mjs. A refresh extends the session and stores it, but does
// not change the cookie.
func describeBetterAuth() targetKind {
	withCookie := func(method, path string) func(*session) request {
		return func(s *session) request { return request{method: method, path: path, cookie: s.cookie} }
	}
	return targetKind{
		description:   "Better Auth 1.7 (lab/bench/npm/better-auth.mjs), one process, no rotation",
		hashAlgorithm: "scrypt N=16384 r=16 p=1", store: sqliteFile, readyPath: "/api/auth/ok", settingsPath: "/settings",
		missingProgram: missingNode,
		buildServer:    buildNodeScript("better-auth.mjs"),
		api: targetAPI{
			signUp: func(u user) request {
				return post("/api/auth/sign-up/email",
					`{"name":"A user","email":"`+u.email+`","password":"`+u.password+`"}`)
			},
			login:   func(u user) request { return post("/api/auth/sign-in/email", credentials(u)) },
			refresh: withCookie("GET", "/api/auth/get-session"),
			me:      withCookie("GET", "/api/auth/get-session?disableRefresh=true"),
			logout:  withCookie("POST", "/api/auth/sign-out"),
			adoptTokens: func(s *session, got response) error {
				if got.setCookie != nil {
					s.cookie = string(got.setCookie)
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

// describePocketBase describes PocketBase with durable commits (pocketbase/). A refresh issues a new token and writes
// no row. Single sessions can't be ended.
func describePocketBase() targetKind {
	const users = "/api/collections/users/"
	return targetKind{
		description:   "PocketBase 0.36.8 (lab/bench/pocketbase), tokens are re-issued without a write, HS256",
		hashAlgorithm: "bcrypt, cost 10", store: sqliteFile, readyPath: "/api/health", settingsPath: "/settings",
		missingProgram: func() string { return "" },
		api: targetAPI{
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
			adoptTokens: func(s *session, got response) error {
				s.access, s.id = findField(got.body, "token"), findField(got.body, "id")
				if s.access == "" || s.id == "" {
					return fmt.Errorf("the response has no token or id: %.300s", got.body)
				}
				return nil
			},
		},
		buildServer: func(b *targetBuilder, _ target) (builtServer, error) {
			binary, err := b.goBuild(filepath.Join(b.repository, "lab/bench/pocketbase"), ".", "pocketbase")
			return builtServer{argv: []string{binary, "serve"}, arguments: func(at serverPlace) (argv, env []string) {
				return []string{"--http=" + at.address, "--dir=" + at.dataDir}, nil
			}}, err
		},
	}
}
