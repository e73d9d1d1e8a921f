// Package device derives a readable device name from a User-Agent header, such as "Chrome on
// Windows". The name is a label only; clients can forge the header. Names are stored in
// English, and Translate translates them into the reader's language.
package device

import (
	"slices"
	"strings"
	"sync"

	useragent "github.com/medama-io/go-useragent"
)

// Unknown is the name if a user agent does not identify a device.
const Unknown = "Unknown device"

const (
	nameSeparator = " on "

	maxUserAgent = 512 // bytes of the header that are parsed
	maxToolName  = 32  // bytes of a tool's name
)

// passkeySystems lists the systems on which a passkey can be created, as Name writes them.
var passkeySystems = []string{"Windows", "macOS", "Linux", "ChromeOS", "Android", "iPhone", "iPad"}

// A Namer derives device names. Create it with New. It is safe for concurrent use. The
// first use builds the parser's table.
type Namer struct {
	parser func() *useragent.Parser

	// cachedNames maps user agents to names, because a client sends the same header with each request. Clients choose
	// the header, so the number of entries is bounded.
	mu          sync.Mutex
	cachedNames map[string]string
}

// maxCachedNames bounds the memory of Namer.cachedNames to about 600 KiB.
const maxCachedNames = 1024

// New returns a Namer.
func New() *Namer {
	return &Namer{parser: sync.OnceValue(useragent.NewParser), cachedNames: map[string]string{}}
}

// Name returns a device name for a User-Agent header: at most 64 printable ASCII
// characters, or "Unknown device".
func (n *Namer) Name(userAgent string) string {
	userAgent = userAgent[:min(len(userAgent), maxUserAgent)]
	n.mu.Lock()
	name, known := n.cachedNames[userAgent]
	n.mu.Unlock()
	if known {
		return name
	}
	name = n.parse(userAgent)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.cachedNames) >= maxCachedNames {
		clear(n.cachedNames)
	}
	n.cachedNames[strings.Clone(userAgent)] = name // a clone, because the longer header would stay in memory
	return name
}

func (n *Namer) parse(userAgent string) string {
	agent := n.parser().Parse(userAgent)
	browser, system := string(agent.Browser()), string(agent.OS())
	switch {
	case system == "iOS" && agent.IsTablet():
		system = "iPad"
	case system == "iOS":
		system = "iPhone"
	case system == "MacOS":
		system = "macOS"
	}
	switch {
	case browser != "" && system != "":
		return browser + nameSeparator + system
	case browser != "":
		return browser
	case system != "":
		return system
	}
	return toolName(userAgent)
}

// toolName returns the name in a user agent of the form "name/version", such as curl.
func toolName(userAgent string) string {
	name, _, _ := strings.Cut(userAgent, "/")
	if name == "" || len(name) > maxToolName || strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_. ", r))
	}) {
		return Unknown
	}
	return name
}

// Parts returns the browser and the system of a name. It reports false if the name lacks one of them, such as "curl".
func Parts(name string) (browser, system string, found bool) { return strings.Cut(name, nameSeparator) }

// Translate returns a name in the reader's language. formatText formats the translated text of a key in
// web/texts. Translate does not change a name that Name never returns, such as an imported name.
func Translate(name string, formatText func(key string, args ...any) string) string {
	if name == "" || name == Unknown {
		return formatText("sessions.unknown")
	}
	browser, system, found := Parts(name)
	switch {
	case !found:
		return name
	case system == "iPhone" || system == "iPad": // German uses another preposition for a device
		return formatText("device.on.model", browser, system)
	}
	return formatText("device.on", browser, system)
}

// TranslateChosen is like Translate, but for a name that a user may have chosen, such as "Key on my desk". It
// translates a name only if it ends with a system that Name returns.
func TranslateChosen(name string, say func(key string, args ...any) string) string {
	if _, system, _ := Parts(name); !slices.Contains(passkeySystems, system) {
		return name
	}
	return Translate(name, say)
}
