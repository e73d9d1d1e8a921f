package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A target is a server to measure. Its spec has the form NAME[@REVISION][+SETTING=VALUE…], such as
// ours-sqlite@main+signing-alg=HS256+GOGC=400. A setting in capitals is an environment variable. Only the targets of
// this repository have revisions, and settings that are flags.
type target struct {
	spec     string
	kind     kind
	revision string
	settings []string // flags of the server, as name=value
	env      []string // environment variables, as NAME=value
}

// A kind describes how to build, start and call one implementation.
type kind struct {
	about string // description for the table of settings
	hash  string // password hashing algorithm, for the table
	store store

	// missing returns what must be installed before the target can be built, or "".
	missing func() string
	// build builds the programs. It is called once for each target.
	build func(b *builder, t target) (program, error)
	// ready is a path that returns 200 as soon as the server serves requests.
	ready string
	api   api
	// settings is the path of a document in which the server reports the settings of its database, or "". See
	// checkSettings.
	settings string
	// sql contains the statements that prepare a new PostgreSQL database.
	sql []string
	// withoutPasswords means that the target has no passwords, so scenarios with passwords are skipped.
	withoutPasswords bool
}

// A store is the database of a target.
type store string

const (
	noStore    store = "none"
	sqliteFile store = "SQLite"
	postgreSQL store = "PostgreSQL"
)

// A program is a built server.
type program struct {
	argv []string
	env  []string
	// prepare is called once before the first start, if it is not nil.
	prepare func(ctx context.Context, at place) error
	// arguments returns the arguments and environment variables for a start, in addition to argv and env.
	arguments func(at place) (argv, env []string)
}

// A place contains the address and the folders with which a server is started.
type place struct {
	address   string // 127.0.0.1:PORT
	port      string
	adminPort string // port of the second listener, for targets that have one
	dir       string // data directory of the server
	database  string // URL of an empty PostgreSQL database, for targets that use one
}

// An api describes how to call a target. A function is nil if the target does not offer this call.
type api struct {
	signUp, login       func(u user) request
	refresh, me, logout func(s *session) request
	// signUpFlow and loginFlow are paths, or "". A request to the path must precede each sign-up or login. The id in
	// the response is stored in user.flow.
	signUpFlow, loginFlow string
	// adopt stores the tokens of a response to signUp, login or refresh.
	adopt func(s *session, got response) error
	// signUpSignsIn means that the response to signUp contains tokens.
	signUpSignsIn bool
}

// A user is an account that the load signs in to. Some targets require the id flow in a sign-up or login.
type user struct{ email, password, flow string }

type session struct {
	user                        user
	access, refresh, cookie, id string
}

// password is accepted by the password rules of every target.
const password = "river Stone candle 7"

// DefaultTargets are the targets of `make compare`.
var DefaultTargets = []string{
	"ours-sqlite", "ours-postgres", "express-sqlite", "express-postgres", "better-auth", "pocketbase",
	"supabase-auth", "kratos", "bare",
}

// kinds returns the kinds of all targets, by name.
func kinds() map[string]kind {
	return map[string]kind{
		"bare":             bare(),
		"ours-sqlite":      ours(sqliteFile),
		"ours-postgres":    ours(postgreSQL),
		"express-sqlite":   express(sqliteFile),
		"express-postgres": express(postgreSQL),
		"better-auth":      betterAuth(),
		"pocketbase":       pocketBase(),
		"supabase-auth":    supabaseAuth(),
		"kratos":           kratos(),
	}
}

// Names returns the names of all targets.
func Names() []string { return slices.Sorted(maps.Keys(kinds())) }

func parseTarget(spec string) (t target, err error) {
	words := strings.Split(spec, "+")
	name, revision, _ := strings.Cut(words[0], "@")
	known, ok := kinds()[name]
	if !ok {
		return t, fmt.Errorf("unknown target %q; the targets are: %s", name, strings.Join(Names(), " "))
	}
	t = target{spec: spec, kind: known, revision: revision}
	for _, setting := range words[1:] {
		key, _, ok := strings.Cut(setting, "=")
		switch {
		case !ok || key == "":
			return t, fmt.Errorf("target %q: write a setting as +name=value", spec)
		case strings.ToUpper(key) == key:
			t.env = append(t.env, setting)
		default:
			t.settings = append(t.settings, setting)
		}
	}
	if !strings.HasPrefix(name, "ours-") && (revision != "" || len(t.settings) > 0) {
		return t, fmt.Errorf("target %q: only ours-sqlite and ours-postgres have revisions and settings", spec)
	}
	return t, nil
}
