package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A target is a server to measure. A spec names it: NAME[@REVISION][+SETTING=VALUE…]. A setting
// in capitals is an environment variable: ours-sqlite@main+signing-alg=HS256+GOGC=400. Only
// the targets of this repository have revisions and other settings.
type target struct {
	spec     string
	kind     kind
	revision string
	settings []string // name=value, as the server's flags
	env      []string // NAME=value
}

// A kind describes how to build, start and call one implementation.
type kind struct {
	about string // what it is, for the table of settings
	hash  string // hash of passwords
	store store

	// missing returns what has to be installed first, or "".
	missing func() string
	// build prepares the programs, once for each target.
	build func(b *builder, t target) (program, error)
	// ready is a path that responds with 200 once the server serves requests.
	ready string
	api   api
	// settings is a path of a document with the settings that the server read back from its
	// database, or "". See checkSettings.
	settings string
	// sql prepares a new database in PostgreSQL.
	sql []string
	// withoutPasswords means that the scenarios with passwords do not apply.
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
	// prepare runs once before the first start, if it is not nil.
	prepare func(ctx context.Context, at place) error
	// arguments returns additional arguments and variables for one start.
	arguments func(at place) (argv, env []string)
}

// A place is where one server runs.
type place struct {
	address   string // 127.0.0.1:PORT
	port      string
	adminPort string // for targets with a second listener
	dir       string // its data directory
	database  string // URL of an empty PostgreSQL database, for targets that use one
}

// An api describes how to call a target. A nil function means that the target has no such call.
type api struct {
	signUp, login       func(u user) request
	refresh, me, logout func(s *session) request
	// signUpFlow and loginFlow are paths to request first, if they are not "". The id in the
	// response goes into user.flow.
	signUpFlow, loginFlow string
	// adopt stores the tokens of a response to signUp, login or refresh.
	adopt func(s *session, got response) error
	// signUpSignsIn means that the response to signUp has tokens.
	signUpSignsIn bool
}

// flow is an id that some targets require in a sign-up or login.
type user struct{ email, password, flow string }

type session struct {
	user                        user
	access, refresh, cookie, id string
}

// password passes the rules of every target.
const password = "river Stone candle 7"

// DefaultTargets are the targets of `make compare`.
var DefaultTargets = []string{
	"ours-sqlite", "ours-postgres", "express-sqlite", "express-postgres", "better-auth", "pocketbase",
	"supabase-auth", "kratos", "bare",
}

// kinds returns all targets by name, without revisions and settings.
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
