package bench

import (
	"fmt"
	"strings"
)

// poolSize is the number of database connections of each target with PostgreSQL.
const poolSize = 16

// signingSecret is the secret of targets that sign with HS256.
const signingSecret = "a secret of thirty-two bytes or more"

// ours returns the description of Watchword as a target. The server returns the refresh token in the body, as the
// other targets do.
func ours(on store) kind {
	k := kind{
		about: "Watchword, cmd/watchword, limits off",
		hash:  "Argon2id m=19456 KiB t=2 p=1",
		store: on,
		ready: "/readyz",
		api: api{
			signUp: func(u user) request {
				return post("/api/auth/register", `{"email":"`+u.email+`","password":"`+u.password+`","delivery":"body"}`)
			},
			login: func(u user) request {
				return post("/api/auth/login", `{"email":"`+u.email+`","password":"`+u.password+`","delivery":"body"}`)
			},
			refresh: func(s *session) request { return post("/api/auth/refresh", `{"refreshToken":"`+s.refresh+`"}`) },
			logout:  func(s *session) request { return post("/api/auth/logout", `{"refreshToken":"`+s.refresh+`"}`) },
			me:      func(s *session) request { return get("/api/auth/me", s) },
			adopt:   adoptFields("accessToken", "refreshToken"), signUpSignsIn: true,
		},
	}
	k.missing = func() string { return "" }
	k.build = func(b *builder, t target) (program, error) {
		binary, err := b.watchword(t.revision)
		return program{
			argv: []string{binary, "serve", "--admin-listen=", "--limits=off", "--log-format=json", "--log-level=info",
				"--trusted-proxies=127.0.0.0/8", "--signing-secret=" + secretFor(t.settings)},
			env: []string{"WATCHWORD_MASTER_KEY=" + strings.Repeat("A", 43) + "="}, // the base64 form of 32 bytes
			arguments: func(at place) (argv, env []string) {
				// The public URL must be the address of the server, because the load generator sends this address as
				// Host and the server rejects other hosts.
				argv = []string{"--listen=" + at.address, "--public-url=http://" + at.address, "--data-dir=" + at.dir}
				if on == postgreSQL {
					argv = append(argv, fmt.Sprintf("--store=%s&pool_max_conns=%d", at.database, poolSize))
				}
				for _, setting := range t.settings {
					argv = append(argv, "--"+setting)
				}
				return argv, nil
			},
		}, err
	}
	return k
}

// secretFor returns the signing secret if the settings select HS256, and else "". With other algorithms, the server
// rejects a secret.
func secretFor(settings []string) string {
	for _, s := range settings {
		if s == "signing-alg=HS256" {
			return signingSecret
		}
	}
	return ""
}

// bare describes a server of net/http with a fixed response. It is the upper bound for all targets.
func bare() kind {
	s := &session{}
	return kind{
		about: "a fixed response of net/http (lab/bench/bare), the ceiling", hash: "none", store: noStore, ready: "/",
		missing: func() string { return "" }, withoutPasswords: true,
		api: api{
			refresh: func(*session) request { return post("/refresh", `{"refreshToken":"`+strings.Repeat("x", 120)+`"}`) },
			me:      func(*session) request { return get("/me", s) },
			adopt:   func(*session, response) error { return nil },
		},
		build: func(b *builder, _ target) (program, error) {
			binary, err := b.goBuild(b.root, "./lab/bench/bare", "bare")
			return program{argv: []string{binary}, arguments: func(at place) (argv, env []string) {
				return []string{at.address}, nil
			}}, err
		},
	}
}

func post(path, body string) request { return request{method: "POST", path: path, body: body} }

func get(path string, s *session) request {
	return request{method: "GET", path: path, authorization: "Bearer " + s.access}
}

// adoptFields returns an implementation of api.adopt. It reads the tokens from the members access and refresh of a
// JSON response.
func adoptFields(access, refresh string) func(*session, response) error {
	return func(s *session, got response) error {
		s.access, s.refresh = field(got.body, access), field(got.body, refresh)
		if s.access == "" || s.refresh == "" {
			return fmt.Errorf("the response has no %s or %s: %.300s", access, refresh, got.body)
		}
		return nil
	}
}
