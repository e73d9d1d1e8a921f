// Command watchword is the authentication server and the tool of its operator.
//
// Every command goes through the same steps:
//
//  1. run collects the settings from flags, environment, .env and the YAML file
//     (config_sources.go) and derives defaults.
//  2. The command checks them (settingRules) and stops with all faults at once.
//  3. open connects the engine to a store and a mailer (wire.go). It creates the database and the
//     keys if they are missing.
//  4. The command makes one call of the engine and prints the result as a table or as JSON. `serve`
//     instead opens the listeners, installs the HTTP edge and runs until a signal (serve.go).
//
// This package connects all other packages and has no rules about accounts, because
// those belong to the engine. Results go to standard output; questions, errors and
// logs go to standard error. Texts of strangers, such as names and user agents, are
// printed without control characters (printable).
package main

//go:generate sh -c "go run . config --markdown >settings.tmp && mv settings.tmp ../../docs/settings.md"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// cli is the command line. `watchword --help` is generated from it.
type cli struct {
	ConfigFile  string      `name:"config" placeholder:"FILE" help:"Read settings from this YAML file (WATCHWORD_CONFIG)."`
	ShowVersion versionFlag `name:"version" help:"Print the version."`
	As          string      `name:"as" placeholder:"NAME" help:"Your name in the events of this command; default: the system user."`
	Settings

	Serve         serveCmd         `cmd:"" group:"run" help:"Run the server."`
	Health        healthCmd        `cmd:"" group:"run" help:"Ask the running server on this machine whether it is ready: exit code 0 or 1."`
	Doctor        doctorCmd        `cmd:"" group:"run" help:"Check settings, store, keys, clock, mail and cookies, and say what to do."`
	Config        configCmd        `cmd:"" group:"run" help:"Print every setting, its value and where it comes from."`
	Migrate       migrateCmd       `cmd:"" group:"run" help:"Create the database, or upgrade it to this release. serve does this too."`
	Move          moveCmd          `cmd:"" group:"run" help:"Move all data from SQLite to PostgreSQL. Sessions stay signed in."`
	Version       versionCmd       `cmd:"" group:"run" help:"Print version, commit, date, Go version and platform."`
	Completion    completionCmd    `cmd:"" group:"run" help:"Print the completion script of a shell."`
	Man           manCmd           `cmd:"" group:"run" help:"Print the manual page: watchword man | man -l -"`
	CompleteWords completeWordsCmd `cmd:"" hidden:"" passthrough:""`
	Users         usersCmd         `cmd:"" group:"operate" help:"Accounts."`
	Sessions      sessionsCmd      `cmd:"" group:"operate" help:"Sessions of users."`
	Events        eventsCmd        `cmd:"" group:"operate" help:"List security events: of an account, or those of no account."`
	Explain       explainCmd       `cmd:"" group:"operate" help:"Say why an account was signed out."`
	Keys          keysCmd          `cmd:"" group:"operate" help:"Signing and refresh keys."`
	Mail          mailCmd          `cmd:"" group:"operate" help:"The outbox of mails."`
	ServiceKeys   serviceKeysCmd   `cmd:"" name:"service-keys" group:"operate" help:"Credentials of programs that use the administration API."`
}

// A program is the environment of a command: its settings and its streams. Commands use its
// streams and never those of package os, so tests can capture them. The type of in is *os.File,
// because questions need to know whether the input is a terminal.
type program struct {
	settings *Settings
	sources  *sources
	as       string // value of --as, set after parsing
	in       *os.File
	out, err io.Writer
}

// Exit codes. Scripts rely on them. exitMisuse means that the command made no change and that
// the same call can't succeed.
const (
	exitDone   = 0
	exitFailed = 1
	exitMisuse = 2
)

func main() { os.Exit(run(os.Args[1:])) }

// run parses the arguments and runs one command. It returns the exit code and never exits
// itself, so that deferred functions run.
func run(args []string) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command := &cli{}
	p := &program{
		settings: &command.Settings,
		sources:  newSources(command.listSettings(), os.Environ()),
		in:       os.Stdin,
		out:      os.Stdout,
		err:      os.Stderr,
	}
	parsed, err := p.newParser(command).Parse(args)
	if err == nil {
		p.as = command.As
		p.sources.recordFlagOrigins(parsed)
		// All sources are read now, including a YAML file that a flag names.
		p.sources.deriveDefaults(p.settings)
		err = parsed.Run(p)
	}
	return p.reportError(err)
}

// newParser panics if a struct tag has a mistake, which every test of a command would find. A
// settingDecoder decodes each setting: it records faults instead of stopping at the first, and
// its faults name the setting and not only its type.
func (p *program) newParser(command *cli) *kong.Kong {
	options := []kong.Option{
		kong.Name("watchword"),
		kong.Description("Watchword is an authentication server: accounts, sessions that neither break nor leak, and " +
			"tokens.\n\n" +
			"A setting is a flag (--public-url), an environment variable (WATCHWORD_PUBLIC_URL), " +
			"or a line of the YAML file (public-url: …), in this order. `watchword serve --help` lists them."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Help(helpWithoutSettings),
		kong.ExplicitGroups(helpGroups()),
		kong.Resolvers(p.sources),
		importVars(),
		kong.BindTo(context.Background(), (*context.Context)(nil)),
	}
	for _, each := range command.listSettings() {
		options = append(options, kong.ValueMapper(each.value.Addr().Interface(), settingDecoder{each, p.sources}))
	}
	return kong.Must(command, options...)
}

// helpGroups returns the headings of `watchword --help` and of `watchword serve --help`. The
// order of this list is the order of the help.
func helpGroups() []kong.Group {
	groups := []kong.Group{
		{Key: "run", Title: "Run:"},
		{Key: "operate", Title: "Operate:"},
	}
	for _, each := range settingGroups {
		groups = append(groups, kong.Group{Key: each.key, Title: each.title + ":"})
	}
	return groups
}

// helpWithoutSettings hides the settings in the help of every command except serve. All
// commands accept the settings, but 60 lines of settings would hide the flags of the command.
func helpWithoutSettings(options kong.HelpOptions, ctx *kong.Context) error {
	selected := ctx.Selected()
	serve := selected != nil && selected.Name == "serve"
	for _, flag := range ctx.Model.Flags {
		flag.Hidden = !serve && flag.Group != nil
	}
	return kong.DefaultHelpPrinter(options, ctx)
}

// reportError returns the exit code. It is the only place that prints errors. Faults of
// settings give exit code 2, like a wrong flag, because the same call can't succeed. Every
// other error gives exit code 1.
func (p *program) reportError(err error) int {
	var misuse *kong.ParseError
	var wrong faults
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &misuse):
		text := misuse.Error()
		if !strings.HasSuffix(text, "?") {
			text += "."
		}
		fmt.Fprintf(p.err, "watchword: %s See %s.\n", text, helpFor(misuse.Context))
		return exitMisuse
	case errors.As(err, &wrong):
		for _, fault := range wrong {
			fmt.Fprintf(p.err, "watchword: %s: %s\n", fault.Where, fault.Problem)
		}
		return exitMisuse
	case errors.Is(err, errMisuse):
		return exitMisuse
	case errors.Is(err, errReported):
		return exitFailed
	}
	fmt.Fprintf(p.err, "watchword: %s\n", errorLine(err))
	return exitFailed
}

// A command returns one of these errors after it has printed what is wrong. They only set the
// exit code.
var (
	errReported = errors.New("reported")
	errMisuse   = errors.New("reported as wrong use")
)

// helpFor returns the command line that prints the help for the current command. For an unknown
// command, it prints the general help.
func helpFor(ctx *kong.Context) string {
	if ctx != nil && ctx.Selected() != nil {
		return "watchword " + ctx.Selected().Path() + " --help"
	}
	return "watchword --help"
}
