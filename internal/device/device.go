// Package device names a device for people, from what its browser says of
// itself: "Chrome on Windows". It is a label in a list, never a proof.
package device

import (
	"strings"
	"sync"

	useragent "github.com/medama-io/go-useragent"
)

const (
	unknown = "Unknown device"

	maxUserAgent = 512 // bytes that are looked at
	maxTool      = 32
)

// A Namer names devices. Make one with New; it is safe for concurrent use. The
// table that it reads user agents with is built at the first use.
type Namer struct{ parser func() *useragent.Parser }

// New makes a Namer.
func New() *Namer { return &Namer{parser: sync.OnceValue(useragent.NewParser)} }

// Name returns a name of at most 64 ASCII characters for a User-Agent header.
func (n *Namer) Name(userAgent string) string {
	userAgent = userAgent[:min(len(userAgent), maxUserAgent)]
	agent := n.parser().Parse(userAgent)
	browser, system := string(agent.Browser()), string(agent.OS())
	if system == "iOS" {
		system = "iPhone"
		if agent.IsTablet() {
			system = "iPad"
		}
	}
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "":
		return browser
	case system != "":
		return system
	}
	return tool(userAgent)
}

// tool names a program that calls itself "name/version", such as curl.
func tool(userAgent string) string {
	name, _, _ := strings.Cut(userAgent, "/")
	if name == "" || len(name) > maxTool || strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_. ", r))
	}) {
		return unknown
	}
	return name
}
