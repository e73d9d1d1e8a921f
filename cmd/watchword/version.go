package main

import (
	"runtime"
	"runtime/debug"
)

// versionCmd needs no settings and no store, so it also works on a machine without an installation.
type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// The line has the form that packagers and bug reports expect: name, version, compiler.
func (c *versionCmd) Run(p *program) error {
	b := thisBuild()
	if c.JSON {
		return p.printJSON(b)
	}
	p.say("watchword %s (%s)", b.Version, b.Go)
	return nil
}

// version is set by the linker in a release (make build). Without it, thisBuild reads the module
// version. It is the only variable that the linker sets. Tests and `go run` leave it empty.
var version string

// The Go version matters for security fixes of the standard library. Its JSON is for scripts that
// compare versions before an upgrade.
type build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// thisBuild returns the version that the linker, or else the Go toolchain, wrote into the binary: a
// tag, a pseudo-version with the commit, or (devel). A build outside of a module or a repository
// has no version, and the text is then "" or (devel). Reports of faults quote this text.
func thisBuild() build {
	b := build{version, runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok && b.Version == "" {
		b.Version = info.Main.Version
	}
	return b
}
