package bench

import (
	"fmt"
	"strings"
)

// poolSize is the number of database connections of each target with PostgreSQL.
const poolSize = 16

// signingSecret is the secret of targets that sign with HS256.
const signingSecret = "a secret of thirty-two bytes or more"

// describeWatchword describes this server. Responses contain the refresh token in the body, as those of the other
// targets do.
func describeWatchword(on databaseKind) targetKind {
	k := targetKind{
		description:   "Watchword, cmd/watchword, limits off",
		hashAlgorithm: "Argon2id m=19456 KiB t=2 p=1",
		store:         on,
		readyPath:     "/readyz",
		api: targetAPI{
			signUp: func(u user) request {
				return post("/api/auth/register", `{"email":"`+u.email+`","password":"`+u.password+`","delivery":"body"}`)
			},
			login: func(u user) request {
				return post("/api/auth/login", `{"email":"`+u.email+`","password":"`+u.password+`","delivery":"body"}`)
			},
			refresh:     func(s *session) request { return post("/api/auth/refresh", `{"refreshToken":"`+s.refresh+`"}`) },
			logout:      func(s *session) request { return post("/api/auth/logout", `{"refreshToken":"`+s.refresh+`"}`) },
			me:          func(s *session) request { return get("/api/auth/me", s) },
			adoptTokens: adoptFields("accessToken", "refreshToken"), signUpSignsIn: true,
		},
	}
	k.missingProgram = func() string { return "" }
	k.buildServer = func(b *targetBuilder, t target) (builtServer, error) {
		binary, err := b.buildWatchword(t.revision)
		return builtServer{
			argv: []string{binary, "serve", "--admin-listen=", "--limits=off", "--log-format=json", "--log-level=info",
				"--trusted-proxies=127.0.0.0/8", "--signing-secret=" + secretFor(t.serverFlags)},
			env: []string{"WATCHWORD_MASTER_KEY=" + strings.Repeat("A", 43) + "="}, // the base64 form of 32 bytes
			arguments: func(at serverPlace) (argv, env []string) {
				// The public URL must be the address of the server, because the load generator sends this address as
				// Host and the server rejects other hosts.
				argv = []string{"--listen=" + at.address, "--public-url=http://" + at.address, "--data-dir=" + at.dataDir}
				if on == postgreSQL {
					argv = append(argv, fmt.Sprintf("--store=%s&pool_max_conns=%d", at.databaseURL, poolSize))
				}
				for _, setting := range t.serverFlags {
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

// describeBareServer describes a server of net/http with a fixed response. It is the upper bound for all targets.
func describeBareServer() targetKind {
	s := &session{}
	return targetKind{
		description:   "a fixed response of net/http (lab/bench/bare), the ceiling",
		hashAlgorithm: "none", store: noStore, readyPath: "/",
		missingProgram: func() string { return "" }, withoutPasswords: true,
		api: targetAPI{
			refresh:     func(*session) request { return post("/refresh", `{"refreshToken":"`+strings.Repeat("x", 120)+`"}`) },
			me:          func(*session) request { return get("/me", s) },
			adoptTokens: func(*session, response) error { return nil },
		},
		buildServer: func(b *targetBuilder, _ target) (builtServer, error) {
			binary, err := b.goBuild(b.repository, "./lab/bench/bare", "bare")
			return builtServer{argv: []string{binary}, arguments: func(at serverPlace) (argv, env []string) {
				return []string{at.address}, nil
			}}, err
		},
	}
}

func post(path, body string) request { return request{method: "POST", path: path, body: body} }

func get(path string, s *session) request {
	return request{method: "GET", path: path, authorization: "Bearer " + s.access}
}

// adoptFields returns an implementation of targetAPI.adoptTokens. It reads the tokens from the members access and
// refresh of a JSON response.
func adoptFields(access, refresh string) func(*session, response) error {
	return func(s *session, got response) error {
		s.access, s.refresh = findField(got.body, access), findField(got.body, refresh)
		if s.access == "" || s.refresh == "" {
			return fmt.Errorf("the response has no %s or %s: %.300s", access, refresh, got.body)
		}
		return nil
	}
}
