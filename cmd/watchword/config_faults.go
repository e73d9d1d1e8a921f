package main

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// A fault is one wrong setting or flag that keeps the program from starting. Problem says what
// is wrong and what to write instead, and never quotes a secret. It begins with a verb or a
// quoted value, because messages have the form "Where: Problem".
type fault struct {
	Where   string // a setting, a variable, or a place in a file
	Problem string
}

// faults is the error for wrong settings or flags. reportError prints each fault on its own
// line and exits with exitMisuse. One run finds all faults, so an operator does not have to
// start the program once for each fault.
type faults []fault

// Error returns one line for each fault, for logs and tests. At the command line, reportError
// prints each fault after the name of the program.
func (f faults) Error() string {
	lines := make([]string, len(f))
	for i, each := range f {
		lines[i] = each.Where + ": " + each.Problem
	}
	return strings.Join(lines, "\n")
}

// addFault prints nothing; allFaults later returns all problems together. A problem that is
// found again, for example in a second source, is recorded once.
func (s *sources) addFault(where, problem string) {
	f := fault{where, problem}
	if !slices.Contains(s.found, f) {
		s.found = append(s.found, f)
	}
}

// allFaults returns every fault with the source of its value, or nil. A command calls it before
// it uses the store or a listener. The faults found while reading the sources come before those
// of settingRules. The default replaces a value that can't be read, so a later fault may only
// be about this default.
func (s *sources) allFaults(settings *Settings) error {
	all := slices.Clone(s.found)
	for _, rule := range settingRules {
		if problem := rule.problem(settings); problem != "" {
			all = append(all, fault{rule.setting, problem})
		}
	}
	// With the source, an operator knows which file or variable to change.
	for i := range all {
		if origin := s.origins[all[i].Where]; origin != "" {
			all[i].Where += " (" + origin + ")"
		}
	}
	if len(all) == 0 {
		return nil
	}
	return faults(all)
}

// deriveDefaults sets the defaults that depend on other settings, and adds the providers. It
// runs after all sources are read and before the rules. It does not change a setting whose
// value comes from a source. For drain-delay and password-min, it records why the default was
// changed. `watchword config` shows this reason instead of "default".
func (s *sources) deriveDefaults(settings *Settings) {
	// If a developer changes only the port, links must have the new port too.
	if s.origins["public-url"] == "" {
		if _, port, err := net.SplitHostPort(settings.Listen); err == nil && port != "0" && isPort(port) {
			settings.PublicURL = "http://" + originHost(&url.URL{Scheme: "http", Host: "localhost:" + port})
		}
	}
	// Without a load balancer, the server stops without a delay when a developer presses
	// Ctrl-C.
	if s.origins["drain-delay"] == "" && settings.isLocal() {
		settings.DrainDelay = 0
		s.origins["drain-delay"] = "loopback public-url"
	}
	s.addProviders(settings)
	if settings.PasswordProfile == "nist" && s.origins["password-min"] == "" {
		settings.PasswordMin = 15
		s.origins["password-min"] = "password-profile nist"
	}
}
