package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// version is the version of the last release or, after a release, of the next release. The npm
// packages have the same version; `make dist` fails if they differ.
const version = "0.1.0"

// commit and date are set by the linker in a release (tools/dist). The linker sets no other
// variables. In other builds, thisBuild uses the values of the Go toolchain.
var commit, date string

// versionCmd needs no settings and no store, so it also works on a machine without an
// installation.
type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints one line, which has everything that a bug report needs.
func (c *versionCmd) Run(p *program) error {
	b := thisBuild()
	if c.JSON {
		return p.printJSON(b)
	}
	p.say("%s", b)
	return nil
}

// versionFlag is the option --version. Many people try it before they look for a command.
type versionFlag bool

// BeforeReset prints the version before kong validates the rest of the line, as kong does for
// --help.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	fmt.Fprintln(app.Stdout, thisBuild())
	app.Exit(exitDone)
	return nil
}

// A build identifies a binary. The version of Go shows which security fixes of the standard
// library the binary contains. The date is the time of the commit and not of the build, so that
// two builds of a commit have the same bytes. The JSON is for scripts that compare versions
// before an upgrade.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"` // in full; with "-dirty" if files were changed; or "unknown"
	Date     string `json:"date"`   // RFC 3339, UTC; or "unknown"
	Go       string `json:"go"`
	Platform string `json:"platform"` // GOOS/GOARCH
}

func (b build) String() string {
	return fmt.Sprintf("watchword %s (commit %s, %s, %s, %s)", b.Version, b.Commit, b.Date, b.Go, b.Platform)
}

// thisBuild returns the commit and the date that the linker or the Go toolchain wrote into the
// binary. If the binary was built outside of a repository, both are "unknown".
func thisBuild() build {
	b := build{version, commit, date, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok && b.Commit == "" {
		vcs := map[string]string{}
		for _, each := range info.Settings {
			vcs[each.Key] = each.Value
		}
		b.Commit, b.Date = vcs["vcs.revision"], vcs["vcs.time"]
		if vcs["vcs.modified"] == "true" {
			b.Commit += "-dirty"
		}
	}
	if b.Commit == "" {
		b.Commit, b.Date = "unknown", "unknown"
	}
	return b
}
