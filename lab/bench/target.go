package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A target is a server to measure. Its spec has the form NAME[@REVISION][+SETTING=VALUE…], such as
// ours-sqlite@main+signing-alg=HS256+GOGC=400. A setting in capitals is an environment variable, and any other
// setting is a flag. Only the targets of this repository accept a revision and flags.
type target struct {
	spec        string
	kind        targetKind
	revision    string
	serverFlags []string // as name=value
	environment []string // as NAME=value
}

// A targetKind describes how to build, start and call one implementation.
type targetKind struct {
	description   string // for the table of settings
	hashAlgorithm string // for passwords
	store         databaseKind

	// missingProgram returns what must be installed before the target can be built, or "".
	missingProgram func() string
	// buildServer is called once for each target.
	buildServer func(b *targetBuilder, t target) (builtServer, error)
	// readyPath returns 200 as soon as the server serves requests.
	readyPath string
	api       targetAPI
	// settingsPath is a document in which the server reports the settings of its database, or "". See checkSettings.
	settingsPath string
	setupSQL     []string
	// withoutPasswords means that scenarios with passwords are skipped.
	withoutPasswords bool
}

type databaseKind string

const (
	noStore    databaseKind = "none"
	sqliteFile databaseKind = "SQLite"
	postgreSQL databaseKind = "PostgreSQL"
)

type builtServer struct {
	argv []string
	env  []string
	// prepare is called once before the first start, if it is not nil.
	prepare func(ctx context.Context, at serverPlace) error
	// arguments returns the arguments and environment variables for a start, in addition to argv and env.
	arguments func(at serverPlace) (argv, env []string)
}

// A serverPlace contains the address and the folders with which a server is started.
type serverPlace struct {
	address     string // 127.0.0.1:PORT
	port        string
	adminPort   string // of the second listener, for targets that have one
	dataDir     string
	databaseURL string // of an empty PostgreSQL database, for targets that use one
}

// A targetAPI has a function for each call to the server. The function is nil if the target does not offer the call.
type targetAPI struct {
	signUp, login       func(u user) request
	refresh, me, logout func(s *session) request
	// signUpFlow and loginFlow are paths, or "". A request to the path must precede each sign-up or login. The id in
	// the response is stored in user.flow.
	signUpFlow, loginFlow string
	// adoptTokens stores the tokens of a response to signUp, login or refresh.
	adoptTokens func(s *session, got response) error
	// signUpSignsIn means that the response to signUp contains tokens.
	signUpSignsIn bool
}

// A user is an account that the load signs in to. Some targets require the id of a flow (flow) in a sign-up or login.
type user struct{ email, password, flow string }

type session struct {
	user                        user
	access, refresh, cookie, id string
}

// acceptablePassword follows the password rules of every target.
const acceptablePassword = "river Stone candle 7"

// DefaultTargets are the targets of `make compare`.
var DefaultTargets = []string{
	"ours-sqlite", "ours-postgres", "express-sqlite", "express-postgres", "better-auth", "pocketbase",
	"supabase-auth", "kratos", "bare",
}

// allKinds returns a map from the name of each target to its kind.
func allKinds() map[string]targetKind {
	return map[string]targetKind{
		"bare":             describeBareServer(),
		"ours-sqlite":      describeWatchword(sqliteFile),
		"ours-postgres":    describeWatchword(postgreSQL),
		"express-sqlite":   describeExpress(sqliteFile),
		"express-postgres": describeExpress(postgreSQL),
		"better-auth":      describeBetterAuth(),
		"pocketbase":       describePocketBase(),
		"supabase-auth":    describeSupabaseAuth(),
		"kratos":           describeKratos(),
	}
}

// Names returns the names of all targets.
func Names() []string { return slices.Sorted(maps.Keys(allKinds())) }

func parseTarget(spec string) (t target, err error) {
	words := strings.Split(spec, "+")
	name, revision, _ := strings.Cut(words[0], "@")
	known, ok := allKinds()[name]
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
			t.environment = append(t.environment, setting)
		default:
			t.serverFlags = append(t.serverFlags, setting)
		}
	}
	if !strings.HasPrefix(name, "ours-") && (revision != "" || len(t.serverFlags) > 0) {
		return t, fmt.Errorf("target %q: only ours-sqlite and ours-postgres have revisions and settings", spec)
	}
	return t, nil
}
