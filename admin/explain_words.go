package admin

import (
	"embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/device"
)

// The sentences of explanations. They are here and not in web/texts because the API and the command
// line use them, too. A name in braces is a placeholder.

//go:embed texts
var textFiles embed.FS

// texts are the sentences by language. Both files have the same keys.
var texts = sync.OnceValue(func() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, language := range []string{"en", "de"} {
		var read map[string]string
		raw, err := textFiles.ReadFile("texts/" + language + ".json")
		if err == nil {
			err = json.Unmarshal(raw, &read)
		}
		if err != nil {
			panic(err) // impossible, because a test reads both files
		}
		all[language] = read
	}
	return all
})

// words are the texts of one language.
type words struct {
	texts  map[string]string
	layout string // of a time
}

// wordsIn returns the words of a language, such as "de" or "de-AT". Every other language gets
// English.
func wordsIn(language string) words {
	if base, _, _ := strings.Cut(language, "-"); base == "de" {
		return words{texts()["de"], "02.01.2006, 15:04 UTC"}
	}
	return words{texts()["en"], "2 January 2006, 15:04 UTC"}
}

func (w words) has(key string) bool { return w.texts[key] != "" }

// say returns the text of a key, with values in place of the names in braces. pairs has the names and values.
func (w words) say(key string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return strings.NewReplacer(pairs...).Replace(w.texts[key])
}

// count returns a text that contains a number. For the number 1, it is the text of the key with ".one". For other
// numbers, it is the text of the key, in which {n} is the number.
func (w words) count(key string, n int, pairs ...string) string {
	if n == 1 {
		key += ".one"
	}
	return w.say(key, append(pairs, "n", strconv.Itoa(n))...)
}

// The method when formats a time with its zone, to the minute, which is enough to find an entry in the log.
// Explanation.When is exact.
func (w words) when(t time.Time) string { return t.UTC().Format(w.layout) }

// span returns a duration in the largest unit that divides it, rounded to minutes.
func (w words) span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		unit time.Duration
		key  string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		whole := d.Round(u.unit)
		if whole > 0 && (d%u.unit == 0 || d > 3*u.unit) && (d > u.unit || u.unit != day) {
			return w.count("span."+u.key, int(whole/u.unit))
		}
	}
	return w.count("span.second", int(d.Round(time.Second)/time.Second))
}

// party names a device and its address, such as "Safari on iPhone, 192.0.2.7".
func (w words) party(name, address string) string {
	named := device.Translate(name, func(key string, args ...any) string { return fmt.Sprintf(w.texts[key], args...) })
	if address == "" {
		return named
	}
	return named + ", " + address
}

func (w words) operator(name string) string {
	if name == "" {
		return w.say("an.operator")
	}
	return w.say("the.operator", "name", name)
}

// deletedBy says who deleted an account, from the detail of EventDeleted.
func (w words) deletedBy(e watchword.Event) string {
	if e.Operator != "" || e.Detail != "" {
		return w.operator(e.Operator)
	}
	return w.say("the.user")
}
