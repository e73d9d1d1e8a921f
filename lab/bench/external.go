package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// This file describes Supabase Auth and Ory Kratos, which the runner can't build. It measures them only if their
// programs are on the PATH. Both servers use PostgreSQL with a pool of poolSize connections.

// findOnPath returns the first program on the PATH, or "".
func findOnPath(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func missingFromPath(names ...string) func() string {
	return func() string {
		if findOnPath(names...) != "" {
			return ""
		}
		return "the program " + strings.Join(names, " or ") + " on the PATH"
	}
}

// describeSupabaseAuth describes Supabase Auth with refresh tokens of version 2. The server keeps poolSize idle
// connections. With fewer, it would open a connection for each transaction.
func describeSupabaseAuth() targetKind {
	env := func(at serverPlace) []string {
		pool := fmt.Sprint(poolSize)
		return []string{
			"GOTRUE_API_HOST=127.0.0.1", "PORT=" + at.port, "API_EXTERNAL_URL=http://" + at.address,
			"GOTRUE_SITE_URL=http://" + at.address, "GOTRUE_DB_DRIVER=postgres", "DATABASE_URL=" + at.databaseURL,
			"DB_NAMESPACE=auth", "GOTRUE_DB_MAX_POOL_SIZE=" + pool, "GOTRUE_DB_MAX_IDLE_POOL_SIZE=" + pool,
			"GOTRUE_JWT_SECRET=" + signingSecret, "GOTRUE_JWT_EXP=900", "GOTRUE_JWT_AUD=authenticated",
			"GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated", "GOTRUE_MAILER_AUTOCONFIRM=true",
			"GOTRUE_EXTERNAL_EMAIL_ENABLED=true", "GOTRUE_LOG_LEVEL=info",
			"GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION=2", "GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED=true",
			"GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL=10",
		}
	}
	return targetKind{
		description: "supabase/auth from the PATH, refresh tokens of version 2, HS256", hashAlgorithm: "bcrypt, cost 10",
		store: postgreSQL, readyPath: "/health", missingProgram: missingFromPath("auth", "gotrue"),
		setupSQL: []string{
			"CREATE SCHEMA auth",
			"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = auth', current_database()); END $$",
			// The migrations need these roles. A role belongs to the whole cluster, so it may already exist.
			`DO $$ DECLARE role TEXT; BEGIN
				FOREACH role IN ARRAY ARRAY['postgres', 'anon', 'authenticated', 'service_role', 'supabase_auth_admin'] LOOP
					IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
						EXECUTE format('CREATE ROLE %I', role);
					END IF;
				END LOOP;
			END $$`,
		},
		buildServer: func(*targetBuilder, target) (builtServer, error) {
			return builtServer{argv: []string{findOnPath("auth", "gotrue")}, arguments: func(at serverPlace) (argv, e []string) {
				return nil, env(at)
			}}, nil
		},
		api: targetAPI{
			signUp: func(u user) request { return post("/signup", credentials(u)) },
			login:  func(u user) request { return post("/token?grant_type=password", credentials(u)) },
			refresh: func(s *session) request {
				return post("/token?grant_type=refresh_token", `{"refresh_token":"`+s.refresh+`"}`)
			},
			me: func(s *session) request { return get("/user", s) },
			logout: func(s *session) request {
				return request{method: "POST", path: "/logout?scope=local", authorization: "Bearer " + s.access}
			},
			adoptTokens: adoptFields("access_token", "refresh_token"), signUpSignsIn: true,
		},
	}
}

// describeKratos describes Ory Kratos. A refresh is a request to the admin listener that extends the session, and the
// token stays the same. A sign-up takes two requests, and so does a login.
func describeKratos() targetKind {
	bearer := func(method, path string) func(*session) request {
		return func(s *session) request {
			return request{method: method, path: path, authorization: "Bearer " + s.access}
		}
	}
	return targetKind{
		description: "Ory Kratos from the PATH, sessions are extended, no rotation", hashAlgorithm: "bcrypt, cost 10",
		store: postgreSQL, readyPath: "/health/ready", missingProgram: missingFromPath("kratos"),
		buildServer: func(*targetBuilder, target) (builtServer, error) {
			binary := findOnPath("kratos")
			return builtServer{
				argv: []string{binary, "serve"}, env: []string{"SQA_OPT_OUT=true"},
				prepare: func(ctx context.Context, at serverPlace) error { return prepareKratos(ctx, binary, at) },
				arguments: func(at serverPlace) (argv, env []string) {
					return []string{"--config", filepath.Join(at.dataDir, "kratos.yml")}, nil
				},
			}, nil
		},
		api: targetAPI{
			signUpFlow: "/self-service/registration/api", loginFlow: "/self-service/login/api",
			signUp: func(u user) request {
				return post("/self-service/registration?flow="+u.flow,
					`{"method":"password","password":"`+u.password+`","traits":{"email":"`+u.email+`"}}`)
			},
			login: func(u user) request {
				return post("/self-service/login?flow="+u.flow,
					`{"method":"password","identifier":"`+u.email+`","password":"`+u.password+`"}`)
			},
			refresh: func(s *session) request {
				return request{method: "PATCH", path: "/admin/sessions/" + s.id + "/extend", toAdminListener: true}
			},
			me: bearer("GET", "/sessions/whoami"),
			logout: func(s *session) request {
				return request{method: "DELETE", path: "/self-service/logout/api", body: `{"session_token":"` + s.access + `"}`}
			},
			adoptTokens: func(s *session, got response) error {
				if s.access != "" {
					return nil // after a refresh, the response contains no token
				}
				s.access, s.id = findField(got.body, "session_token"), findField(got.body, "id")
				if s.access == "" || s.id == "" {
					return fmt.Errorf("the response has no session: %.300s", got.body)
				}
				return nil
			},
			signUpSignsIn: true,
		},
	}
}

const kratosSchema = `{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {
  "traits": {"type": "object", "properties": {"email": {"type": "string", "format": "email",
    "ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}}}, "required": ["email"]}}}`

const kratosConfig = `dsn: %[1]s
serve:
  public: {host: 127.0.0.1, port: %[2]s, base_url: "http://127.0.0.1:%[2]s/"}
  admin: {host: 127.0.0.1, port: %[3]s, base_url: "http://127.0.0.1:%[3]s/"}
selfservice:
  default_browser_return_url: http://127.0.0.1:%[2]s/
  methods: {password: {enabled: true, config: {haveibeenpwned_enabled: false}}}
  flows: {registration: {after: {password: {hooks: [{hook: session}]}}}}
identity: {default_schema_id: default, schemas: [{id: default, url: "file://%[4]s"}]}
hashers: {algorithm: bcrypt, bcrypt: {cost: 10}}
secrets: {cookie: ["%[5]s"]}
courier: {smtp: {connection_uri: "smtp://127.0.0.1:1/"}}
log: {level: info}
`

// prepareKratos writes the configuration and creates the tables.
func prepareKratos(ctx context.Context, binary string, at serverPlace) error {
	schema, config := filepath.Join(at.dataDir, "schema.json"), filepath.Join(at.dataDir, "kratos.yml")
	dsn := fmt.Sprintf("%s&max_conns=%[2]d&max_idle_conns=%[2]d", at.databaseURL, poolSize)
	text := fmt.Sprintf(kratosConfig, dsn, at.port, at.adminPort, schema, signingSecret)
	if err := os.WriteFile(schema, []byte(kratosSchema), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "migrate", "sql", "--yes", "--config", config, dsn)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kratos migrate: %w\n%s", err, out)
	}
	return nil
}
