package main

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// A fault is one thing that keeps the program from starting, and what to write
// instead.
type fault struct {
	Where   string // a setting, a variable, or a place in a file
	Problem string
}

// faults is all of them, as an error of wrong use.
type faults []fault

func (f faults) Error() string {
	lines := make([]string, len(f))
	for i, each := range f {
		lines[i] = each.Where + ": " + each.Problem
	}
	return strings.Join(lines, "\n")
}

// fault remembers a problem once.
func (s *sources) fault(where, problem string) {
	f := fault{where, problem}
	if !slices.Contains(s.found, f) {
		s.found = append(s.found, f)
	}
}

// faults are the problems of reading and of meaning together, each with the
// place where the value stands; nil if there is none.
func (s *sources) faults(settings *Settings) error {
	all := slices.Clone(s.found)
	for _, rule := range settingRules {
		if problem := rule.problem(settings); problem != "" {
			all = append(all, fault{rule.setting, problem})
		}
	}
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

// settle fills in the defaults that follow from other settings.
func (s *sources) settle(settings *Settings) {
	if s.origins["public-url"] == "" {
		if _, port, err := net.SplitHostPort(settings.Listen); err == nil && port != "0" && isPort(port) {
			settings.PublicURL = "http://" + plainHost(&url.URL{Scheme: "http", Host: "localhost:" + port})
		}
	}
	if s.origins["drain-delay"] == "" && settings.local() {
		settings.DrainDelay = 0
		s.origins["drain-delay"] = "loopback public-url"
	}
	if settings.PasswordProfile == "nist" && s.origins["password-min"] == "" {
		settings.PasswordMin = 15
		s.origins["password-min"] = "password-profile nist"
	}
}
